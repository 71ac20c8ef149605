// SPDX-License-Identifier: GPL-2.0-only
/* Config sync of what somebody has yet to confirm. */
#include "selftests/unit/config_nodes.h"

TestSuite(config_push_trial, .init = nodes_open, .fini = nodes_close, .timeout = 30);

static void begin_trial(void)
{
	node_begin(A, PUSH_APPLY, 2, 60);
	nodes_settle();
	nodes_expect_over(true, "");
	nodes_expect(2, 2, 2);
	cr_expect(A->trial && B->trial && C->trial);
	cr_expect_eq(A->version, 1);
}

Test(config_push_trial, a_trial_is_confirmed)
{
	begin_trial();
	nodes_confirm();
	nodes_settle();
	nodes_expect(2, 2, 2);
	cr_expect(!B->trial && !C->trial && B->version == 2);
	nodes_expect_in_step();
	cr_expect_eq(A->given, 0);
}

Test(config_push_trial, a_trial_ends)
{
	begin_trial();
	nodes_end_trial();
	nodes_settle();
	nodes_expect(1, 1, 1);
	cr_expect(!B->trial && B->version == 1);
	nodes_expect_in_step();
}

Test(config_push_trial, a_trial_is_confirmed_while_a_peer_is_away)
{
	begin_trial();
	nodes_cut(A, B);
	nodes_confirm();
	nodes_settle();
	cr_expect(B->trial);
	nodes_join(A, B);
	nodes_settle();
	nodes_expect(2, 2, 2);
	cr_expect_not(B->trial);
	nodes_expect_in_step();
}

Test(config_push_trial, a_trial_ends_while_a_peer_is_away)
{
	begin_trial();
	nodes_cut(A, B);
	nodes_end_trial();
	nodes_settle();
	nodes_pass(71000);
	nodes_expect(1, 1, 1);
	nodes_join(A, B);
	nodes_settle();
	nodes_expect(1, 1, 1);
	nodes_expect_in_step();
}

Test(config_push_trial, the_primary_dies_on_trial)
{
	begin_trial();
	node_die(A);
	node_revive(A);
	nodes_settle();
	nodes_expect(1, 1, 1);
	cr_expect(!B->trial && !C->trial);
	nodes_expect_in_step();
}

Test(config_push_trial, a_peer_dies_on_trial)
{
	begin_trial();
	node_die(B);
	node_revive(B);
	nodes_settle();
	cr_expect_eq(B->text, 1, "its own file is the one before");
	nodes_confirm();
	nodes_settle();
	nodes_expect(2, 2, 2);
	nodes_expect_in_step();
}

Test(config_push_trial, a_trial_that_one_can_not_take)
{
	C->can_not = true;
	node_begin(A, PUSH_APPLY, 2, 60);
	nodes_settle();
	cr_expect_eq(A->done, 0);
	nodes_expect(1, 1, 1);
	cr_expect(!A->trial && !B->trial);
}
