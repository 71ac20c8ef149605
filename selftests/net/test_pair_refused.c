// SPDX-License-Identifier: GPL-2.0-only
/* Nodes that refuse each other's adverts, or can speak by one of two families only, in the two nodes' world of test_pair.h. */
#include <arpa/inet.h>

#include "selftests/net/test_pair.h"

TestSuite(pair_refused, .init = pair_world_open, .fini = pair_world_close, .timeout = 120);

static const struct carp_settings slow = { .advbase_s = 1, .preempt = true };
static unsigned int changes;

static void count_changes(void)
{
	static enum carp_role before = CARP_MASTER;

	changes += pair_role(A) != before;
	before = pair_role(A);
}

/* Its password file has been changed, the other's has not. */
static void another_password(struct node *n)
{
	static struct carp_key key;

	carp_key_make(&key, 42, "hate", 4, &pair_address, 1);
	n->setup.key = &key;
	pair_node_configure(n);
}

/* Nothing else is on the segment: the standby, which is silent there, hears frames, and the master does not. That does not cut the master off. */
Test(pair_refused, who_is_refused_is_not_cut_off)
{
	pair_begin_known(&slow);
	another_password(B);
	pair_pass(60 * SECOND, count_changes);
	cr_expect(!changes && pair_role(A) == CARP_MASTER && pair_role(B) == CARP_BACKUP, "%u changes", changes);
	cr_expect(!A->happened[VHID_DEAF] && !pair_view(A).demotions.segment);
	cr_expect_geq(B->faults[CARP_DIGEST], 1u);
	cr_expect(pair_view(A).split && pair_view(A).split_refused, "told by the standby");
	cr_expect(pair_view(B).split && pair_view(B).split_refused);
	another_password(A);
	pair_pass(10 * SECOND, count_changes);
	cr_expect(!pair_view(A).split && !pair_view(B).split && !changes);
}

/* It has a password, and the other one; but the cut is somewhere else. */
Test(pair_refused, what_is_cut_later_is_no_refusal)
{
	pair_begin_known(&slow);
	another_password(B);
	pair_pass(10 * SECOND, NULL);
	pair_channel(LAN, true, 0);
	pair_pass(20 * SECOND, NULL);
	cr_expect(pair_view(B).split && !pair_view(B).split_refused);
	cr_expect(pair_view(A).split && !pair_view(A).split_refused);
}

/* With nothing else in common both are master, and neither is dead. */
Test(pair_refused, two_masters_that_refuse_each_other_are_a_split_brain)
{
	pair_begin_known(&slow);
	another_password(B);
	pair_channel(SYNC, true, 0);
	pair_pass(20 * SECOND, NULL);
	cr_assert(pair_role(A) == CARP_MASTER && pair_role(B) == CARP_MASTER);
	cr_expect(pair_view(A).rival.family == AF_INET && pair_view(A).rival_why == CARP_DIGEST);
	cr_expect(pair_view(B).rival.family == AF_INET && pair_view(B).rival_why == CARP_DIGEST);
	cr_expect(A->happened[VHID_RIVAL] == 1 && B->happened[VHID_RIVAL] == 1);
	another_password(A);
	pair_pass(10 * SECOND, NULL);
	cr_expect(pair_role(A) == CARP_MASTER && pair_role(B) == CARP_BACKUP);
	cr_expect_eq(pair_view(A).rival.family, AF_UNSPEC);
}

/* An address of both families; the device's own one of IPv4 is taken away from the master: hosts of IPv4 reach it no more. */
Test(pair_refused, a_family_without_an_address_to_send_from_demotes)
{
	struct prefix both[2];
	struct carp_key key;
	struct addr four;

	pair_begin_known(&slow);
	four = A->facts.sources[0];
	both[0] = pair_address;
	both[1].len = 64;
	addr_parse("2001:db8::100", &both[1].addr);
	carp_key_make(&key, 42, "love", 4, both, 2);
	for (unsigned int i = 0; i < 2; i++) {
		w.nodes[i].setup.key = &key;
		w.nodes[i].setup.addresses = both;
		w.nodes[i].setup.n_addresses = 2;
		addr_parse(i ? "fe80::2" : "fe80::1", &w.nodes[i].facts.sources[1]);
		pair_node_configure(&w.nodes[i]);
	}
	pair_pass(5 * SECOND, NULL);
	cr_assert(pair_role(A) == CARP_MASTER && pair_role(B) == CARP_BACKUP);
	A->facts.sources[0] = (struct addr){ 0 };
	pair_node_facts(A);
	pair_carry();
	cr_expect(pair_role(A) == CARP_BACKUP && pair_role(B) == CARP_MASTER, "relieved at once");
	cr_expect_eq(pair_view(A).demotions.held, VHID_DEMOTION);
	cr_expect_neq(pair_view(A).unspoken_ns, 0u);
	A->facts.sources[0] = four;
	pair_node_facts(A);
	pair_pass(3 * SECOND, NULL);
	cr_expect(pair_role(A) == CARP_MASTER && !pair_view(A).demotions.held && !pair_view(A).unspoken_ns);
	/* alone it goes on with the other family: that is better than nothing */
	pair_node_kill(B);
	pair_pass(10 * SECOND, NULL);
	A->facts.sources[0] = (struct addr){ 0 };
	pair_node_facts(A);
	pair_pass(10 * SECOND, NULL);
	cr_expect_eq(pair_role(A), CARP_MASTER);
}
