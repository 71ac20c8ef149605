// SPDX-License-Identifier: GPL-2.0-only
/* State replication when a table gets another size, or a node or its daemon begins anew. */
#include "selftests/unit/replicas.h"

static void resize(struct node *node, uint32_t buckets)
{
	struct states *was = node->table;
	struct states_host host;

	node->table = table_new(buckets);
	memcpy(node->table->control->timeout, was->control->timeout, sizeof(was->control->timeout));
	node->table->log = was->log;
	states_carry(was, node->table);
	states_copy(was, node->table);
	table_free(was);
	host = replica_host(node);
	states_sync_table(node->sync, &host);
}

/* The table gets another size: nobody forgets anything. */
Test(states_sync, another_size)
{
	replicas_pair();
	for (unsigned int i = 0; i < 2; i++) {
		resize(&replicas.nodes[i], 200);
		for (int n = 0; n < 100; n++)
			replica_happen(&replicas.nodes[i]);
		replicas_settle();
		replicas_expect_same("behind it");
		replicas_expect_matching(1);
	}
	replicas_close();
}

/* Who begins to replicate while the peer has long done so gets all of it, names too. */
Test(states_sync, listens_late)
{
	replicas_open(2, 1, PROTOCOL);
	replica_fill(0, 0, 100);
	replicas_join();
	for (int i = 0; i < 100; i++) {
		replicas_turn(0);
		replicas_lose(replicas_link(0, 1));
	}
	cr_assert_eq(replicas_numbers(1, 0).theirs, 0);
	replicas_settle();
	cr_expect_eq(replicas_expect_same("behind it"), 100);
	cr_expect_eq(replicas_numbers(1, 0).missing, 0);
	cr_expect_eq(replicas_numbers(1, 0).resyncs, 1);
	replicas_expect_matching(1);
	replicas_close();
}

/* What has no place is told as long as it has none. */
Test(states_sync, too_small)
{
	uint64_t missing;

	replicas_open(2, 1, PROTOCOL);
	resize(&replicas.nodes[1], 4);
	replicas_join();
	replica_fill(0, 0, 100);
	replicas_settle();
	missing = replicas_numbers(1, 0).missing;
	cr_assert_gt(missing, 0);
	cr_assert_eq(replicas_numbers(1, 0).theirs + missing, 100);
	cr_assert_eq(replicas_numbers(0, 1).missing, 0);
	cr_assert_eq(replicas_numbers(0, 1).limit, replicas.nodes[1].table->control->limit);
	cr_assert_eq(replicas_numbers(1, 0).limit, replicas.nodes[0].table->control->limit);
	resize(&replicas.nodes[1], 200);
	replicas_settle();
	cr_assert_eq(replicas_numbers(1, 0).missing, 0);
	cr_assert_eq(replicas_expect_same("with room"), 100);
	replicas_close();
}

static void boots(unsigned int i)
{
	struct node *node = &replicas.nodes[i];

	replicas_cut(replicas_link(0, 1));
	replica_close(node);
	replica_open(node, BUCKETS);
	replicas_link(i, i ^ 1)->peer = states_sync_add(node->sync, replicas_link(i, i ^ 1));
}

/* There is room later, and nobody tells of what is idle. */
Test(states_sync, room_later)
{
	replicas_open(2, 1, PROTOCOL);
	resize(&replicas.nodes[1], 4);
	replicas_join();
	replica_fill(0, 0, 100);
	replicas_settle();
	cr_assert_gt(replicas_numbers(1, 0).missing, 60);
	replica_remove(0, 0, 90, 1);
	replicas_settle();
	cr_expect_eq(replicas_numbers(1, 0).missing, 0);
	cr_expect_eq(replicas_expect_same("with room"), 10);
	cr_expect_eq(replicas_numbers(1, 0).resyncs, 0);
	replicas_close();
}

/* A node is switched off, and comes back with nothing: what the other has had of it is its own now, and comes back. */
Test(states_sync, boot)
{
	struct states_entry e;

	replicas_pair();
	boots(0);
	replicas_join();
	replicas_settle();
	cr_assert_eq(replicas_expect_same("behind it"), 150);
	replicas_expect_matching(1);
	cr_assert(replica_has(&replicas.nodes[1], 3, &e) && !(e.state.flags & FL_STATE_PEER));
	cr_assert(replica_has(&replicas.nodes[0], 3, &e) && e.state.flags & FL_STATE_PEER);
	replicas_close();
}

static void daemon_restarts(unsigned int i)
{
	struct node *node = &replicas.nodes[i];
	struct states_host host = replica_host(node);

	replicas_cut(replicas_link(0, 1));
	states_sync_free(node->sync);
	node->sync = states_sync_new(&host);
	replicas_link(i, i ^ 1)->peer = states_sync_add(node->sync, replicas_link(i, i ^ 1));
}

/* The daemon alone is killed: its table stays, and what has ended meanwhile goes. */
Test(states_sync, daemon_again)
{
	replicas_pair();
	daemon_restarts(0);
	replica_remove(0, 0, 50, 1);
	replica_fill(0, 200, 220);
	replicas_join();
	replicas_settle();
	cr_assert_eq(replicas_expect_same("behind it"), 120);
	replicas_close();
}

/* What has ended at the peer while no daemon was here to hear of it ends with the first bulk … */
Test(states_sync, daemon_behind)
{
	replicas_pair();
	daemon_restarts(1);
	replica_remove(0, 0, 50, 1);
	replicas_join();
	replicas_settle();
	cr_assert_eq(replicas_expect_same("behind it"), 100);
	replicas_expect_matching(1);
	replicas_close();
}

/* … but not if the peer has lost it. */
Test(states_sync, both_again)
{
	replicas_pair();
	daemon_restarts(1);
	boots(0);
	replicas_join();
	replicas_settle();
	cr_assert_eq(replicas_expect_same("behind it"), 150);
	replicas_expect_matching(1);
	replicas_close();
}
