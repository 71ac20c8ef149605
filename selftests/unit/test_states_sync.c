// SPDX-License-Identifier: GPL-2.0-only
/* State replication: whatever has happened, in the end all have the same. */
#include <errno.h>

#include "selftests/unit/replicas.h"
#include "user/lib/be.h"
#include "user/sync/states_pack.h"

/*
 * There is no room on the way from one of two to the other for a while. Of three, one that hears nothing of a connection that has moved to another may
 * keep it until it runs out, if that one has ended it by then.
 */
static void fill_or_empty(unsigned int from)
{
	struct link *link = replicas_link(from, !from);

	link->full = !link->full;
}

static void anything(unsigned int nodes, uint64_t seed, unsigned int protocol)
{
	replicas_open(nodes, seed, protocol);
	for (int round = 0; round < 4; round++) {
		for (int i = 0; i < 3000; i++) {
			replica_happen(&replicas.nodes[replicas_rnd(replicas.n)]);
			if (replicas_rnd(4) == 0)
				replicas_turn(replicas_rnd(20));
			if (replicas_rnd(300) == 0)
				replica_isolate(replicas_rnd(replicas.n));
			if (replicas_rnd(100) == 0)
				replicas_join();
			if (nodes == 2 && replicas_rnd(50) == 0)
				fill_or_empty(replicas_rnd(2));
		}
		for (unsigned int i = 0; i < 2; i++)
			replicas_link(i, !i)->full = false;
		replicas_join();
		replicas_settle();
		cr_assert_gt(replicas_expect_same("at last"), KEYS / 10);
		replicas_expect_matching(protocol < 2 ? -1 : 1);
	}
	replicas_close();
}

Test(states_sync, whatever_happens)
{
	for (uint64_t seed = 1; seed < 6; seed++)
		anything(2, seed, PROTOCOL);
}

Test(states_sync, three_nodes)
{
	for (uint64_t seed = 1; seed < 4; seed++)
		anything(3, seed, PROTOCOL);
}

Test(states_sync, plain_records)
{
	anything(2, 1, 2);
}

static unsigned int count_messages(unsigned int from, unsigned int to, uint16_t type)
{
	unsigned int n = 0;

	for (const struct message *m = replicas_link(from, to)->first; m; m = m->next)
		n += m->type == type;
	return n;
}

/* An older one would skip packed records as what it does not know, and never have them. */
Test(states_sync, packed_for_who_reads_it)
{
	for (unsigned int protocol = 1; protocol <= PROTOCOL; protocol++) {
		replicas_pair_speaking(protocol);
		replica_fill(0, 200, 250);
		replicas_turn(0);
		cr_expect_eq(count_messages(0, 1, STATES_PACKED), protocol < 3 ? 0 : 1, "version %u", protocol);
		cr_expect_eq(count_messages(0, 1, STATES_BATCH), protocol < 3 ? 1 : 0, "version %u", protocol);
		replicas_settle();
		cr_expect_eq(replicas_expect_same("behind it"), 200);
		replicas_close();
	}
}

/* Version 1: shorter records, no digest, and nobody asks for what is gone. */
Test(states_sync, older_peer)
{
	uint8_t batch[4 + STATES_RECORD_MIN], record[STATES_RECORD];
	struct states_clock clock = { .now = replicas_jiffies(NULL), .hz = HZ };
	struct states_entry e;

	replicas_pair_speaking(1);
	replicas_cut(replicas_link(0, 1));
	replica_fill(0, 150, 200);
	replica_remove(0, 0, 50, 1);
	replicas_join();
	replicas_settle();
	cr_assert_eq(replicas_expect_same("behind it"), 150);
	/* what a newer one would ask for, since it is gone here, and would disclaim, since it goes by the other */
	cr_assert(replica_has(&replicas.nodes[1], 61, &e));
	cr_assert(states_remove(replicas.nodes[1].table, e.slot, e.tag));
	cr_assert(replica_has(&replicas.nodes[1], 62, &e));
	replica_packet(&replicas.nodes[1], &e);
	replicas_settle();
	cr_expect_eq(replicas.types & (1u << STATES_DIGEST | 1u << STATES_WANT | 1u << STATES_DISCLAIM), 0, "%x",
		     replicas.types);
	cr_assert(replica_has(&replicas.nodes[0], 60, &e));
	cr_assert(replica_has(&replicas.nodes[1], 60, &e));
	e.slot = 4;
	e.tag = 77 << 8;
	e.state.addr[0].w[3] = htonl(60000);
	e.state.addr[1].w[3] = htonl(60001);
	states_record_put(record, &e, &clock);
	put_be16(batch, STATES_RECORD_MIN);
	put_be16(batch + 2, 1);
	memcpy(batch + 4, record, STATES_RECORD_MIN);
	batch[4 + 85] = FL_KIND_ESTABLISHED;
	cr_assert_eq(states_sync_message(replicas_link(1, 0)->peer, STATES_BATCH, batch, sizeof(batch)), 0);
	cr_expect_eq(replicas_numbers(1, 0).refused, 0);
	replicas_close();
}

/* What both have of their own, as each node has of connections between the two, is nobody's fault: neither is without it. */
Test(states_sync, both_have_it)
{
	struct states_entry e;

	replicas_pair();
	replicas_settle();
	for (unsigned int node = 0; node < 2; node++) {
		replica_make(&replicas.nodes[node], 200, false);
		cr_assert(replica_has(&replicas.nodes[node], 200, &e));
		replicas.nodes[node].table->entries[e.slot].flags |= FL_STATE_OWN * (node == 1);
	}
	replicas_settle();
	cr_expect_eq(replicas_numbers(1, 0).refused, 0, "%llu", (unsigned long long)replicas_numbers(1, 0).refused);
	cr_expect_eq(replicas_numbers(1, 0).missing, 0);
	replicas_close();
}

/* What goes behind the receiver's back comes again. */
Test(states_sync, removed_there)
{
	replicas_pair();
	replicas_settle(); /* until the walk no longer finds anything that has been seen lately */
	replica_remove(1, 0, 100, 5);
	replicas_settle();
	replicas_expect_same("behind it");
	cr_assert_eq(replicas_numbers(1, 0).wanted, 20);
	cr_assert_eq(replicas_numbers(1, 0).resyncs, 0);
	replicas_close();
}

static void end_by_hand(unsigned int node, uint32_t number)
{
	struct node *n = &replicas.nodes[node];
	struct states_entry e;

	cr_assert(replica_has(n, number, &e));
	cr_assert(states_end(n->table, e.slot, e.tag));
	states_sync_ended(n->sync, &e, STATES_BY_HAND);
}

/* On whichever node somebody ends a connection, it does not come back from the other: not one that this has had of that, nor one of both. */
Test(states_sync, ended_by_hand)
{
	struct states_entry e;

	replicas_pair();
	replica_make(&replicas.nodes[0], 200, true);
	cr_assert(replica_has(&replicas.nodes[1], 10, &e));
	replica_packet(&replicas.nodes[1], &e);
	replicas_settle();
	cr_assert(replica_has(&replicas.nodes[1], 200, &e), "half-open for so long that it was told of");
	cr_assert(replica_has(&replicas.nodes[0], 11, &e));
	replicas.nodes[0].table->entries[e.slot].flags &= ~FL_STATE_PEER;
	cr_assert(replica_has(&replicas.nodes[1], 11, &e));
	replicas.nodes[1].table->entries[e.slot].flags &= ~FL_STATE_PEER;
	for (uint32_t number = 0; number < 100; number += 5)
		end_by_hand(1, number);
	end_by_hand(1, 11);
	end_by_hand(0, 200);
	for (int i = 0; i < 3; i++)
		replicas_turn(1000);
	cr_expect_not(replica_has(&replicas.nodes[0], 11, &e), "each believed that it is its own");
	cr_expect_not(replica_has(&replicas.nodes[1], 200, &e), "half-open");
	cr_expect_eq(replicas_expect_same("at once"), 150 - 20 - 1);
	replicas_settle();
	cr_expect_eq(replicas_expect_same("later"), 150 - 20 - 1);
	cr_expect_eq(replicas_numbers(1, 0).resyncs, 0);
	replicas_close();
}

static bool reset_by_hand(unsigned int node, uint32_t number)
{
	struct node *n = &replicas.nodes[node];
	struct states_entry e;
	bool asked;

	cr_assert(replica_has(n, number, &e));
	asked = states_sync_reset(n->sync, &e);
	cr_assert(states_end(n->table, e.slot, e.tag));
	states_sync_ended(n->sync, &e, asked ? STATES_BY_HAND_RESET : STATES_BY_HAND);
	return asked;
}

/* Whose they are is asked to reset them before they end, however many there are: more than a message has room for. Of its own nobody is asked. */
Test(states_sync, reset_by_hand)
{
	replicas_pair();
	replica_fill(0, 150, KEYS);
	replicas_settle();
	for (uint32_t number = 0; number < KEYS; number++)
		if (number < 100 || number >= 150)
			cr_expect(reset_by_hand(1, number));
	cr_expect_not(reset_by_hand(1, 120));
	end_by_hand(1, 121);
	for (uint32_t number = 130; number < 140; number++)
		cr_expect(reset_by_hand(0, number));
	end_by_hand(0, 140);
	for (int i = 0; i < 3; i++)
		replicas_turn(1000);
	cr_expect_eq(replicas.nodes[0].resets, KEYS - 50);
	cr_expect_eq(replicas.nodes[1].resets, 10);
	cr_expect_eq(replicas_expect_same("at once"), 50 - 13);
	replicas_cut(replicas_link(0, 1));
	cr_expect_not(reset_by_hand(0, 141), "nobody is there to be asked");
	replicas_close();
}

/*
 * One resync is under way: its beginning has come, its records not yet; or it is on its way while the kill goes the other. Nothing that is ended
 * then comes back, by an older peer neither, and its owner resets it.
 */
static void killed_amid_resync(bool begins_there)
{
	struct link *link = replicas_link(0, 1);

	replicas_pair();
	link->peer->send.again = link->full = true;
	replicas.ns += TURN_NS;
	states_sync_turn(replicas.nodes[0].sync);
	while (begins_there && replicas_deliver(link))
		;
	for (uint32_t number = 0; number < 20; number += 2) {
		cr_expect(reset_by_hand(1, number));
		end_by_hand(1, number + 1);
	}
	states_sync_turn(replicas.nodes[1].sync);
	while (replicas_deliver(replicas_link(1, 0)))
		;
	link->full = false;
	for (int i = 0; i < 20; i++)
		replicas_turn(1000);
	cr_expect_eq(replicas_expect_same("at once"), 130);
	cr_expect_eq(replicas.nodes[0].resets, 10, "%u", replicas.nodes[0].resets);
	cr_expect_eq(replicas.nodes[1].resets, 0);
	replicas_settle();
	cr_expect_eq(replicas_expect_same("later"), 130);
	replicas_expect_matching(1);
	replicas_close();
}

Test(states_sync, killed_amid_bulk)
{
	killed_amid_resync(true);
}

Test(states_sync, killed_before_bulk)
{
	killed_amid_resync(false);
}

/* While the peer is away nobody can be asked for resets; what is ended stays so, and what begins anew meanwhile is another one. */
Test(states_sync, killed_while_away)
{
	struct states_entry e;

	replicas_pair();
	replicas_cut(replicas_link(0, 1));
	for (uint32_t number = 0; number < 20; number++)
		end_by_hand(1, number);
	cr_expect_not(reset_by_hand(1, 20));
	replicas.ns += 100 * TURN_NS;
	replica_remove(0, 5, 7, 1);
	replica_fill(0, 5, 7);
	for (int i = 0; i < 30000; i++) /* two minutes */
		replicas_turn(1000);
	replicas_join();
	replicas_settle();
	cr_expect_eq(replicas_expect_same("again"), 150 - 19);
	cr_expect(replica_has(&replicas.nodes[1], 5, &e) && replica_has(&replicas.nodes[0], 6, &e));
	cr_expect_eq(replicas.nodes[0].resets, 0);
	replicas_expect_matching(1);
	for (int i = 0; i < 20000; i++)
		replicas_turn(1000);
	cr_expect_eq(replicas.nodes[1].sync->killed.size, 0, "nothing is kept in mind for ever");
	replicas_close();
}

/*
 * While the peer is away its connections come to this node and are its own, and so they are to the peer, too, which hears of none of that. What is
 * ended by hand here comes back by neither; what has lost its way here may have one there.
 */
Test(states_sync, killed_after_it_has_moved)
{
	struct node *here = &replicas.nodes[1];
	struct states_entry e;

	replicas_pair();
	replicas_cut(replicas_link(0, 1));
	for (uint32_t number = 0; number < 20; number++) {
		cr_assert(replica_has(here, number, &e));
		replica_packet(here, &e);
		if (number < 10)
			end_by_hand(1, number);
	}
	cr_assert(replica_has(here, 10, &e));
	replica_packet(&replicas.nodes[0], &e);
	cr_assert(states_end(here->table, e.slot, e.tag));
	states_sync_ended(here->sync, &e, STATES_NO_WAY);
	replicas_join();
	replicas_settle();
	cr_expect_eq(replicas_expect_same("again"), 150 - 10);
	cr_expect(replica_has(here, 10, &e));
	replicas_expect_matching(1);
	replicas_close();
}

/* Nobody knows whether a peer that has been away for so long ever comes back. */
Test(states_sync, killed_long_ago)
{
	replicas_pair();
	replicas_cut(replicas_link(0, 1));
	end_by_hand(1, 0);
	replicas_turn(1000);
	cr_expect_eq(replicas.nodes[1].sync->killed.n, 1);
	replicas.ns += (KILLED_AWAY_S + 1) * 1000000000ULL;
	replicas_turn(1000);
	cr_expect_eq(replicas.nodes[1].sync->killed.size, 0);
	replicas_close();
}

/* Who has the key, and more wishes than a node has connections. */
Test(states_sync, too_many_resets)
{
	uint8_t data[PAIR_BYTES];
	struct states_entry e;
	struct link *link = replicas_link(0, 1);

	replicas_pair();
	cr_assert(replica_has(&replicas.nodes[0], 3, &e));
	put_be32(data, e.slot);
	put_be32(data + 4, FL_TAG_SERIAL(e.tag));
	for (int i = 0; i < 3; i++)
		cr_expect_eq(states_sync_message(link->peer, STATES_RESETS, data, sizeof(data)), 0);
	cr_expect_eq(replicas.nodes[0].resets, 1, "the same again");
	cr_expect_not(replica_has(&replicas.nodes[0], 3, &e));
	link->peer->resets = STATES_RESETS_MAX - 1;
	for (uint32_t number = 4; number < 8; number++) {
		cr_assert(replica_has(&replicas.nodes[0], number, &e));
		put_be32(data, e.slot);
		put_be32(data + 4, FL_TAG_SERIAL(e.tag));
		states_sync_message(link->peer, STATES_RESETS, data, sizeof(data));
		cr_expect_not(replica_has(&replicas.nodes[0], number, &e));
	}
	cr_expect_eq(replicas.nodes[0].resets, 2);
	cr_expect_eq(replicas_numbers(0, 1).unreset, 3);
	cr_expect_eq(replicas.nodes[0].told, 1);
	replicas.ns += 1000000000;
	cr_assert(replica_has(&replicas.nodes[0], 8, &e));
	put_be32(data, e.slot);
	put_be32(data + 4, FL_TAG_SERIAL(e.tag));
	states_sync_message(link->peer, STATES_RESETS, data, sizeof(data));
	cr_expect_eq(replicas.nodes[0].resets, 3, "a second later");
	replicas_settle();
	cr_expect_eq(replicas_expect_same("behind it"), 150 - 6);
	replicas_close();
}

/* Before anything that is asked next the peer has heard of it. */
Test(states_sync, at_once)
{
	struct states_entry e;

	replicas_pair();
	end_by_hand(0, 7);
	cr_assert(states_sync_now(replicas_link(0, 1)->peer));
	replicas_turn(0);
	cr_assert(replica_has(&replicas.nodes[1], 7, &e));
	cr_assert_not_null(replicas_link(0, 1)->first);
	cr_assert_eq(replicas_link(0, 1)->first->type, STATES_DELETE);
	replicas_close();
}

/* What one believes of the other, and is not so. */
Test(states_sync, digest)
{
	struct states_entry e;
	struct sending *send;
	struct mirrored *m;
	uint32_t slot = 0;

	replicas_pair();
	send = &replicas_link(0, 1)->peer->send;
	cr_assert(replica_has(&replicas.nodes[0], 3, &e));
	/* lost by the sender */
	send->serials[e.slot] = 0;
	digest_take(&send->digest, e.slot, FL_TAG_SERIAL(e.tag));
	/* planted at the receiver */
	while (send->serials[slot] || FL_TAG_KIND(states_tag(replicas.nodes[0].table, slot)))
		slot++;
	m = &replicas_link(1, 0)->peer->receive.mirror[slot];
	*m = (struct mirrored){ .peer_serial = SERIAL_IS | 5, .slot = NOWHERE };
	digest_add(&replicas_link(1, 0)->peer->receive.digest, slot, 5);
	replicas_settle();
	replicas_expect_same("behind it");
	replicas_expect_matching(1);
	cr_assert_eq(replicas_numbers(1, 0).resyncs, 1);
	cr_assert_geq(replicas_numbers(0, 1).resyncs, 1);
	cr_assert_gt(replicas.nodes[0].told + replicas.nodes[1].told, 0);
	replicas_close();
}

/* The log is read though there is no room on the way: what it has named is told when there is, once. */
Test(states_sync, no_room)
{
	struct link *link = replicas_link(0, 1);
	struct states *table;
	uint64_t sent;

	replicas_pair();
	table = replicas.nodes[0].table;
	replica_fill(0, 150, 250);
	link->full = true;
	for (int i = 0; i < 3; i++) {
		for (uint32_t n = 0; n < FL_SYNC_LOG; n++)
			states_log(table, n % states_slots(table));
		states_sync_turn(replicas.nodes[0].sync);
	}
	cr_assert_eq(replicas_numbers(0, 1).overruns, 0);
	link->full = false;
	sent = replicas_numbers(0, 1).sent;
	replicas_turn(1000);
	cr_expect_eq(replicas_numbers(0, 1).sent - sent, 200, "%lu", replicas_numbers(0, 1).sent - sent);
	replicas_settle();
	cr_expect_eq(replicas_numbers(0, 1).overruns, 0);
	cr_expect_eq(replicas_numbers(0, 1).resyncs, 0);
	cr_assert_eq(replicas_expect_same("in the end"), 250);
	replicas_expect_matching(1);
	replicas_close();
}

/* More than the log holds between two looks. What has not changed since the last walk is not told again. */
Test(states_sync, overrun)
{
	uint64_t sent;

	replicas_pair();
	replicas_settle();
	sent = replicas_numbers(0, 1).sent;
	replica_fill(0, 150, 250);
	replicas.nodes[0].logs[0].head += FL_SYNC_LOG;
	for (unsigned int i = 0; i < CPUS; i++) /* written over */
		memset(replicas.nodes[0].logs[i].slot, 0, sizeof(replicas.nodes[0].logs[i].slot));
	replicas_turn(1000);
	cr_assert_eq(replicas_numbers(0, 1).overruns, 1);
	cr_assert_eq(replicas_numbers(0, 1).resyncs, 1);
	replicas_turn(1000);
	cr_assert_eq(replicas_expect_same("at once"), 250);
	cr_expect_eq(replicas_numbers(0, 1).sent - sent, 100, "%lu", replicas_numbers(0, 1).sent - sent);
	replicas_close();
}

/* A state that ends in the turn in which it is told: the end comes behind it. */
Test(states_sync, ends_at_once)
{
	struct states_entry e;

	replicas_pair();
	replica_make(&replicas.nodes[0], 200, false);
	cr_assert(replica_has(&replicas.nodes[0], 200, &e));
	replicas.nodes[0].table->log = NULL;
	replicas_amid.table = replicas.nodes[0].table;
	replicas_amid.slot = e.slot;
	replicas_amid.tag = e.tag;
	replicas_amid.calls = 2; /* it asks for the time twice before it walks */
	replicas_link(0, 1)->peer->send.hurry = true;
	replicas_link(0, 1)->peer->send.at = 0;
	replicas_turn(1000);
	cr_assert_eq(replicas_amid.calls, 0);
	cr_assert_eq(replicas_expect_same("at once"), 150);
	replicas_settle();
	replicas_expect_matching(1);
	cr_assert_eq(replicas_numbers(1, 0).resyncs, 0);
	replicas_close();
}

/* A connection that has ended and begun anew in another slot, told before the end of the old one is. */
Test(states_sync, anew)
{
	struct states_entry e, there;
	struct states *table;

	replicas_pair();
	table = replicas.nodes[0].table;
	cr_assert(replica_has(&replicas.nodes[0], 5, &e));
	replica_packet(&replicas.nodes[0], &e);
	replicas_turn(1000);
	cr_assert(replica_has(&replicas.nodes[1], 5, &there) && there.state.phase[0] == FL_PHASE_MULTIPLE);
	table->log = NULL;
	cr_assert(states_remove(table, e.slot, e.tag));
	*states_tag_at(table, e.slot) = FL_TAG(0, 99, FL_KIND_CLAIMED); /* others are there */
	replica_make(&replicas.nodes[0], 5, false);
	*states_tag_at(table, e.slot) = FL_TAG(0, 99, FL_KIND_FREE);
	replicas_turn(1000);
	cr_assert(replica_has(&replicas.nodes[1], 5, &there) && there.state.phase[0] == FL_PHASE_SINGLE);
	replicas_settle();
	cr_assert_eq(replicas_expect_same("at last"), 150);
	replicas_expect_matching(1);
	replicas_close();
}

/* A peer that takes nothing gets no more than a megabyte, and then all the same. */
Test(states_sync, slow_peer)
{
	replicas_pair();
	for (int i = 0; i < 3000; i++) {
		replicas.ns += TURN_NS;
		for (int n = 0; n < 5; n++)
			replica_happen(&replicas.nodes[0]);
		states_sync_turn(replicas.nodes[0].sync);
		if (replicas_link(0, 1)->waiting > (3u << 20))
			cr_assert_fail("%zu bytes wait", replicas_link(0, 1)->waiting);
	}
	cr_assert_gt(replicas_numbers(0, 1).lag_ms, 5000);
	replicas_settle();
	replicas_expect_same("behind it");
	cr_assert_lt(replicas_numbers(0, 1).lag_ms, 100);
	replicas_close();
}

/* ---- what no node of ours sends ---- */

static const struct {
	const char *what;
	uint16_t type;
	size_t len;
	uint8_t data[24];
} wrong[] = {
	{ "a batch that is cut", STATES_BATCH, 3, { 0, 160, 0 } },
	{ "records that are too short", STATES_BATCH, 4 + 16, { 0, 16, 0, 1 } },
	{ "records of no length", STATES_BATCH, 4, { 0, 0, 255, 255 } },
	{ "more records than there are", STATES_BATCH, 4, { 0, 160, 0, 1 } },
	{ "packed records that are cut", STATES_PACKED, 4 + 8, { 0, 160, 0, 1, 1, 0, 0, 0, 0, 9, 9, 9 } },
	{ "fewer packed records than it says", STATES_PACKED, 4 + 5, { 0, 160, 0, 2 } },
	{ "more packed records than it says", STATES_PACKED, 4 + 10, { 0, 160, 0, 1 } },
	{ "packed records of no words", STATES_PACKED, 4 + 5, { 0, 161, 0, 1 } },
	{ "packed records that are too long", STATES_PACKED, 4 + 5, { 4, 4, 0, 1 } },
	{ "half a delete", STATES_DELETE, 7, {} },
	{ "of a slot that is none", STATES_DELETE, 8, { 255, 255, 255, 255 } },
	{ "a digest that is cut", STATES_DIGEST, 15, {} },
	{ "a table of no size", STATES_BULK_BEGIN, 12, { 0, 0, 0, 1 } },
	{ "a table of any size", STATES_BULK_BEGIN, 12, { 0, 0, 0, 1, 0, 0, 0, 1, 255, 255, 255, 255 } },
	{ "a beginning that is cut", STATES_BULK_BEGIN, 11, { 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 1 } },
	{ "an end without a beginning", STATES_BULK_END, 0, {} },
	{ "names that are none", STATES_NAMES, 2, { '{', '{' } },
};

Test(states_sync, wrong_messages)
{
	struct states_sync_peer *peer;

	replicas_pair();
	peer = replicas_link(0, 1)->peer;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		cr_expect_eq(states_sync_message(peer, wrong[i].type, wrong[i].data, wrong[i].len), -EPROTO, "%s",
			     wrong[i].what);
	cr_expect_eq(states_sync_message(peer, 31, (const uint8_t *)"new", 3), 0);
	replicas_settle();
	replicas_close();
}

static size_t pack(uint8_t *to, const uint8_t *batch, size_t n)
{
	static const uint8_t none[STATES_RECORD];
	const uint8_t *before = none;
	size_t len = 4;

	memcpy(to, batch, 4);
	for (batch += 4; n--; before = batch, batch += STATES_RECORD)
		len += states_pack(to + len, batch, before, STATES_RECORD);
	return len;
}

/* Any bytes: the table stays one, and in the end all have the same again. */
Test(states_sync, any_bytes)
{
	static uint8_t data[4 + 3 * STATES_RECORD], packed[4 + 3 * STATES_PACK_MAX(STATES_RECORD)];
	struct states_sync_peer *peer;

	replicas_pair();
	peer = replicas_link(0, 1)->peer;
	for (int i = 0; i < 20000; i++) {
		uint16_t type = STATES_BULK_BEGIN + replicas_rnd(STATES_LAST - STATES_BULK_BEGIN + 1);
		size_t len = replicas_rnd(sizeof(data));

		for (size_t b = 0; b < len; b++)
			data[b] = replicas_rnd(256);
		if (type == STATES_BULK_BEGIN) /* of a size that this machine has memory for */
			memset(data + 8, 0, 3);
		if (replicas_rnd(2)) {
			len = sizeof(data);
			put_be16(data, STATES_RECORD);
			put_be16(data + 2, 3);
			for (int n = 0; n < 3; n++)
				memset(data + 4 + n * STATES_RECORD, 0, 3);
		}
		if (type == STATES_PACKED && len == sizeof(data))
			states_sync_message(peer, type, packed, pack(packed, data, 3));
		else
			states_sync_message(peer, type, data, len);
	}
	replicas_cut(replicas_link(0, 1));
	replicas_join();
	replicas_settle();
	replicas_expect_matching(1);
	for (uint32_t number = 0; number < 150; number++) {
		struct states_entry e;

		cr_assert(replica_has(&replicas.nodes[1], number, &e));
	}
	replicas_close();
}
