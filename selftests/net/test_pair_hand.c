// SPDX-License-Identifier: GPL-2.0-only
/* What people tell a node of a pair, in the two nodes' world of test_pair.h. */
#include <unistd.h>

#include "selftests/net/test_pair.h"
#include "selftests/net/test_system.h"

TestSuite(pair_hand, .init = pair_world_open, .fini = pair_world_close, .timeout = 120);

static void maintenance(struct node *n, bool on)
{
	n->pair.maintenance = on;
	n->setup.set.advskew = on ? 254 : 0;
	pair_node_configure(n);
}

static bool roles_are(enum carp_role a, enum carp_role b)
{
	return pair_role(A) == a && pair_role(B) == b;
}

/* Without preempt, too: who comes back does not take them, but gets them. Node 0 is in maintenance, and a backup */
static void begin_in_maintenance(void)
{
	static const struct carp_settings humble = { .advbase_s = 1 };

	pair_begin(&humble);
	pair_pass(10 * SECOND, NULL);
	cr_assert(roles_are(CARP_MASTER, CARP_BACKUP));
	maintenance(A, true);
	pair_carry();
	cr_assert(roles_are(CARP_BACKUP, CARP_MASTER), "no time has passed");
	cr_expect_eq(pair_view(A).demotions.maintenance, VHID_MAINTENANCE);
}

static void demote(struct node *n, uint32_t demotion)
{
	n->fact.demotion = demotion;
	pair_node_facts(n);
}

static void get_ready(struct node *n, bool ready)
{
	n->fact.ready = ready;
	pair_node_facts(n);
}

/* A host that the other does not see, for so long */
static void frames_come_by_node_0(unsigned int s)
{
	static const uint8_t frame[60] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 9, 0x88, 0xb5 };

	for (unsigned int i = 0; i < 4 * s; i++) {
		pair_put(0, LAN, frame, sizeof(frame));
		pair_pass(250 * MS, pair_count_both);
	}
}

Test(pair_hand, who_is_in_maintenance_leaves_them_to_any_other)
{
	begin_in_maintenance();
	pair_node_kill(B);
	pair_pass(5 * SECOND, NULL);
	cr_assert_eq(pair_role(A), CARP_MASTER, "no other is left");
	cr_expect_eq(pair_view(A).carp.demotion, 0u);
	B->fact.ready = false;
	pair_node_start(B, 6);
	pair_pass(5 * SECOND, pair_count_both);
	cr_expect_eq(pair_role(A), CARP_MASTER, "it is not ready");
	cr_expect_eq(pair_view(A).carp.demotion, 0u, "behind nobody");
	get_ready(B, true);
	pair_pass(2 * SECOND, pair_count_both);
	cr_expect(roles_are(CARP_BACKUP, CARP_MASTER));
	maintenance(B, true);
	pair_pass(SECOND, pair_count_both);
	cr_expect_eq(pair_role(B), CARP_MASTER, "the other is so, too");
	maintenance(A, false);
	pair_pass(SECOND, pair_count_both);
	cr_expect(roles_are(CARP_MASTER, CARP_BACKUP), "no more");
	cr_expect_eq(pair_both_own, 0u);
}

/* Whoever can have them at all goes before it, master or backup. */
Test(pair_hand, to_one_that_is_demoted_too)
{
	begin_in_maintenance();
	demote(B, 10 * VHID_DEMOTION);
	pair_pass(100 * SECOND, pair_count_both);
	cr_expect(roles_are(CARP_BACKUP, CARP_MASTER), "it is worse off");
	pair_node_kill(B);
	pair_pass(5 * SECOND, NULL);
	cr_assert_eq(pair_role(A), CARP_MASTER);
	pair_node_start(B, 6);
	pair_pass(3 * SECOND, pair_count_both);
	cr_expect(roles_are(CARP_BACKUP, CARP_MASTER));
	pair_pass(100 * SECOND, pair_count_both);
	cr_expect(roles_are(CARP_BACKUP, CARP_MASTER));
	cr_expect_leq(A->happened[VHID_ROLE], 5u, "to and fro: %u", A->happened[VHID_ROLE]);
	maintenance(A, false);
	pair_pass(SECOND, pair_count_both);
	cr_expect(roles_are(CARP_MASTER, CARP_BACKUP));
	cr_expect_eq(pair_both_own, 0u);
}

/* It has them, though its adverts are heard by beats alone. */
Test(pair_hand, to_one_that_can_not_send_too)
{
	begin_in_maintenance();
	run("nsenter --net=/proc/%d/fd/%d nft 'add table netdev t; "
	    "add chain netdev t out { type filter hook egress device lan priority 0; }; add rule netdev t out ip protocol 112 drop'",
	    (int)getpid(), B->ns);
	frames_come_by_node_0(20);
	cr_expect(roles_are(CARP_BACKUP, CARP_MASTER) && pair_view(B).demotions.sending);
	cr_expect_eq(B->happened[VHID_DEAF], 0u, "that nothing is heard of it is its own doing");
	vhids_hand_over(B->v, SIZE_MAX, w.now);
	pair_pass(10 * SECOND, pair_count_both);
	cr_expect(roles_are(CARP_BACKUP, CARP_MASTER));
	cr_expect_leq(B->happened[VHID_ROLE], 5u, "to and fro: %u", B->happened[VHID_ROLE]);
	cr_expect_eq(pair_both_own, 0u);
}

/* Of two in maintenance the less demoted has them. */
Test(pair_hand, both_are_as_ever)
{
	begin_in_maintenance();
	maintenance(B, true);
	demote(B, VHID_DEMOTION);
	pair_pass(SECOND, pair_count_both);
	cr_expect(roles_are(CARP_MASTER, CARP_BACKUP));
	cr_expect(!pair_view(A).demotions.maintenance && !pair_view(B).demotions.maintenance);
	demote(A, 2 * VHID_DEMOTION);
	pair_pass(SECOND, pair_count_both);
	cr_expect(roles_are(CARP_BACKUP, CARP_MASTER));
	cr_expect_eq(pair_both_own, 0u);
}

/* Nobody is left without: who has been disabled, has no link, or can't forward yet has them no more. */
Test(pair_hand, but_to_nobody_that_can_not_have_them)
{
	begin_in_maintenance();
	demote(B, 1);
	B->facts.disabled = true;
	pair_node_facts(B);
	pair_carry();
	cr_expect_eq(pair_role(A), CARP_MASTER, "it is disabled");
	B->facts.disabled = false;
	pair_node_facts(B);
	pair_pass(2 * SECOND, pair_count_both);
	cr_assert(roles_are(CARP_BACKUP, CARP_MASTER));
	vhids_gateways(B->v, B->ifindex[LAN], true, w.now);
	pair_node_link(B, false);
	pair_carry();
	cr_expect_eq(pair_role(A), CARP_MASTER, "it has no link");
	pair_node_link(B, true);
	pair_pass(5 * SECOND, pair_count_both);
	cr_expect(roles_are(CARP_MASTER, CARP_BACKUP), "nor gateway");
	vhids_gateways(B->v, B->ifindex[LAN], false, w.now);
	pair_pass(2 * SECOND, pair_count_both);
	cr_expect(roles_are(CARP_BACKUP, CARP_MASTER));
	cr_expect_eq(pair_both_own, 0u);
}

Test(pair_hand, nor_to_one_whose_segment_is_dead)
{
	begin_in_maintenance();
	pair_channel(LAN, true, 0);
	frames_come_by_node_0(15);
	cr_expect(roles_are(CARP_MASTER, CARP_BACKUP));
	pair_node_kill(B);
	pair_node_start(B, 6);
	pair_pass(10 * SECOND, pair_count_both);
	cr_expect(roles_are(CARP_MASTER, CARP_BACKUP), "it does not hear this node there");
	pair_channel(LAN, false, 0);
	pair_pass(5 * SECOND, pair_count_both);
	cr_expect(roles_are(CARP_BACKUP, CARP_MASTER));
	cr_expect_eq(pair_both_own, 0u);
}

/* ---- two addresses ---- */

static void two_begin_in_maintenance(bool independent)
{
	begin_in_maintenance();
	for (int i = 0; i < 2; i++) {
		pair_two_configure(&w.nodes[i], independent, independent);
		pair_two_facts(&w.nodes[i], false);
	}
	pair_pass(10 * SECOND, NULL);
	cr_assert(pair_has_both(A, CARP_BACKUP, CARP_BACKUP) && pair_has_both(B, CARP_MASTER, CARP_MASTER));
}

/* What can't all be at the other node is all here. */
Test(pair_hand, all_of_them_go_together)
{
	two_begin_in_maintenance(false);
	vhids_link(B->v, B->ifindex[SYNC], false, w.now);
	pair_pass(SECOND / 2, NULL);
	cr_expect(pair_has_both(A, CARP_MASTER, CARP_MASTER) && pair_has_both(B, CARP_BACKUP, CARP_INIT));
	vhids_link(B->v, B->ifindex[SYNC], true, w.now);
	pair_pass(3 * SECOND, NULL);
	cr_expect(pair_has_both(A, CARP_BACKUP, CARP_BACKUP) && pair_has_both(B, CARP_MASTER, CARP_MASTER));
	pair_two_facts(B, true);
	pair_pass(3 * SECOND, NULL);
	cr_expect(pair_has_both(A, CARP_BACKUP, CARP_MASTER) && pair_has_both(B, CARP_MASTER, CARP_DISABLED),
		  "by hand");
}

Test(pair_hand, independent_ones_do_not)
{
	two_begin_in_maintenance(true);
	vhids_link(B->v, B->ifindex[SYNC], false, w.now);
	pair_pass(SECOND / 2, NULL);
	B->fact.demotion = 1;
	pair_two_facts(B, false);
	pair_pass(3 * SECOND, NULL);
	cr_expect(pair_has_both(A, CARP_BACKUP, CARP_MASTER) && pair_has_both(B, CARP_MASTER, CARP_INIT));
}
