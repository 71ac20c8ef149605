// SPDX-License-Identifier: GPL-2.0-only
/* What people tell a node of a pair, in the two nodes' world of test_pair.h. */
#include "selftests/net/test_pair.h"

TestSuite(pair_hand, .init = pair_world_open, .fini = pair_world_close, .timeout = 120);

static void maintenance(struct node *n, bool on)
{
	n->pair.maintenance = on;
	n->setup.set.advskew = on ? 254 : 0;
	pair_node_configure(n);
}

/* Without preempt, too: who comes back does not take them, but gets them. */
Test(pair_hand, who_is_in_maintenance_leaves_them_to_any_other)
{
	static const struct carp_settings humble = { .advbase_s = 1 };

	pair_begin(&humble);
	pair_pass(10 * SECOND, NULL);
	cr_assert(pair_role(A) == CARP_MASTER && pair_role(B) == CARP_BACKUP);
	maintenance(A, true);
	vhids_hand_over(A->v, SIZE_MAX, w.now);
	pair_carry();
	cr_assert(pair_role(A) == CARP_BACKUP && pair_role(B) == CARP_MASTER);
	pair_node_kill(B);
	pair_pass(5 * SECOND, NULL);
	cr_assert_eq(pair_role(A), CARP_MASTER, "no other is left");
	B->fact.ready = false;
	pair_node_start(B, 6);
	pair_pass(5 * SECOND, pair_count_both);
	cr_expect_eq(pair_role(A), CARP_MASTER, "it is not ready");
	B->fact.ready = true;
	pair_node_facts(B);
	pair_pass(2 * SECOND, pair_count_both);
	cr_expect(pair_role(A) == CARP_BACKUP && pair_role(B) == CARP_MASTER);
	B->fact.demotion = 240;
	pair_node_facts(B);
	pair_pass(100 * SECOND, pair_count_both);
	cr_expect(pair_role(A) == CARP_MASTER && pair_role(B) == CARP_BACKUP, "it is worse off");
	B->fact.demotion = 0;
	pair_node_facts(B);
	pair_pass(SECOND, pair_count_both);
	cr_expect_eq(pair_role(B), CARP_MASTER);
	maintenance(B, true);
	pair_pass(SECOND, pair_count_both);
	cr_expect_eq(pair_role(B), CARP_MASTER, "the other is so, too");
	cr_expect_eq(pair_both_own, 0u);
}
