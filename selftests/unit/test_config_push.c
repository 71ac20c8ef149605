// SPDX-License-Identifier: GPL-2.0-only
/* Config sync: rounds, nodes that go in the midst of them, changes by hand, roles. */
#include "selftests/unit/config_nodes.h"

#include <string.h>

#include "user/sync/config_message.h"

TestSuite(config_push, .init = nodes_open, .fini = nodes_close, .timeout = 30);

/* ---- a round ---- */

Test(config_push, everywhere)
{
	nodes_apply(2);
	cr_expect(push_is_busy(&A->push));
	nodes_expect(1, 1, 1);
	nodes_settle();
	nodes_expect_over(true, "");
	nodes_expect(2, 2, 2);
	cr_expect_eq(A->version, 2);
	nodes_expect_in_step();
	cr_expect_not(push_is_busy(&A->push));
	cr_expect_eq(B->take.stage, TAKE_NOTHING);
}

Test(config_push, refused_by_one_is_nowhere)
{
	C->refuses = true;
	nodes_apply(2);
	nodes_settle();
	nodes_expect_over(false, "c does not take it: the configuration has errors; nothing was changed on any node");
	cr_expect_eq(json_array_size(node_peer(A, C)->findings), 1u);
	nodes_expect(1, 1, 1);
	cr_expect_eq(B->take.stage, TAKE_NOTHING);
	nodes_expect_in_step();
}

Test(config_push, own_commit_fails_and_it_is_nowhere)
{
	A->own_fails = true;
	nodes_apply(2);
	nodes_settle();
	nodes_expect_over(false, "");
	nodes_expect(1, 1, 1);
	cr_expect(B->take.stage == TAKE_NOTHING && !B->taken);
}

Test(config_push, a_commit_that_fails_brings_all_back)
{
	C->can_not = true;
	nodes_apply(2);
	nodes_settle();
	nodes_expect_over(false, "c could not take it: no space left on device; all nodes are back to what was before");
	nodes_expect(1, 1, 1);
	cr_expect_eq(B->taken, 1, "it had it, for a moment");
	C->can_not = false;
	nodes_apply(3);
	nodes_settle();
	nodes_expect_over(true, "");
	nodes_expect(3, 3, 3);
	nodes_expect_in_step();
}

Test(config_push, no_answer_in_time_is_nowhere)
{
	B->deaf = true;
	nodes_apply(2);
	nodes_settle();
	cr_expect_eq(A->overs, 0);
	nodes_pass(PUSH_ANSWER_MS);
	nodes_settle();
	nodes_expect_over(false,
			  "b does not take it: it has not answered within 10 s; nothing was changed on any node");
	B->deaf = false;
	nodes_settle();
	nodes_expect(1, 1, 1);
	cr_expect_eq(B->take.stage, TAKE_NOTHING);
	nodes_expect_in_step();
}

Test(config_push, no_word_after_commit_brings_all_back)
{
	nodes_apply(2);
	nodes_deliver_until(B, CONFIG_COMMIT);
	B->deaf = true;
	while (nodes_deliver())
		;
	nodes_expect(2, 1, 2);
	nodes_pass(PUSH_ANSWER_MS);
	nodes_expect_over(
		false, "b could not take it: it has not answered within 10 s; all nodes are back to what was before");
	B->deaf = false;
	nodes_settle();
	nodes_expect(1, 1, 1);
	nodes_expect_in_step();
}

Test(config_push, only_looking)
{
	node_begin(A, PUSH_LOOK, 2, 0);
	nodes_settle();
	nodes_expect_over(true, "");
	nodes_expect(1, 1, 1);
	B->refuses = true;
	node_begin(A, PUSH_LOOK, 2, 0);
	nodes_settle();
	nodes_expect_over(false, "b would not take it: the configuration has errors");
	cr_expect_eq(B->take.stage, TAKE_NOTHING);
}

/* ---- peers that go ---- */

static void b_dies_before(struct node *to, unsigned int type, bool in_the_middle)
{
	nodes_apply(2);
	nodes_deliver_until(to, type);
	node_die(B);
	nodes_settle();
	nodes_expect_over(true, "");
	nodes_expect(2, B->text, 2);
	cr_expect(push_is_pending(&A->push, node_peer(A, B)));
	node_revive(B);
	nodes_settle();
	nodes_expect(2, 2, 2);
	nodes_expect_in_step();
	cr_expect_eq(A->given, !in_the_middle);
}

Test(config_push, absent)
{
	node_die(B);
	nodes_apply(2);
	nodes_settle();
	nodes_expect_over(true, "");
	nodes_expect(2, 1, 2);
	cr_expect(push_is_pending(&A->push, node_peer(A, B)));
	cr_expect_not(push_matches(&A->push, node_peer(A, B)));
	node_revive(B);
	nodes_settle();
	nodes_expect(2, 2, 2);
	nodes_expect_in_step();
	cr_expect(A->given == 1 && !A->edited);
}

Test(config_push, dies_before_prepare)
{
	b_dies_before(B, CONFIG_PREPARE, false);
}

Test(config_push, dies_after_prepare)
{
	b_dies_before(A, CONFIG_VERDICT, false);
}

Test(config_push, dies_before_commit)
{
	b_dies_before(B, CONFIG_COMMIT, false);
}

Test(config_push, dies_after_commit)
{
	nodes_apply(2);
	nodes_deliver_until(A, CONFIG_DONE); /* that of B, which is asked first */
	cr_assert_eq(B->text, 2);
	node_die(B);
	nodes_settle();
	nodes_expect_over(true, "");
	node_revive(B);
	nodes_settle();
	nodes_expect(2, 2, 2);
	nodes_expect_in_step();
}

/* It has what the others have gone back from. */
Test(config_push, dies_after_a_commit_that_is_taken_back)
{
	C->can_not = true;
	nodes_apply(2);
	while (B->text != 2 && nodes_deliver())
		;
	node_die(B);
	nodes_settle();
	cr_expect_eq(A->done, 0);
	nodes_expect(1, 2, 1);
	node_revive(B);
	nodes_settle();
	nodes_expect(1, 1, 1);
}

/* ---- the primary goes ---- */

static void primary_dies_and_returns(void)
{
	node_die(A);
	nodes_settle();
	node_revive(A);
	nodes_settle();
	nodes_expect(A->text, A->text, A->text);
	nodes_expect_in_step();
}

Test(config_push, primary_dies_before_its_commit)
{
	nodes_apply(2);
	nodes_deliver_until(A, CONFIG_VERDICT);
	primary_dies_and_returns();
	cr_expect_eq(A->text, 1);
	cr_expect_eq(B->take.stage, TAKE_NOTHING);
}

Test(config_push, primary_dies_between_its_commit_and_theirs)
{
	nodes_apply(2);
	nodes_deliver_until(B, CONFIG_COMMIT);
	primary_dies_and_returns();
	cr_expect_eq(A->text, 2);
}

Test(config_push, primary_dies_when_one_has_it)
{
	nodes_apply(2);
	nodes_deliver_until(A, CONFIG_DONE);
	cr_expect(B->text == 2 || C->text == 2);
	primary_dies_and_returns();
	cr_expect_eq(A->text, 2);
}

/* ---- without a command ---- */

Test(config_push, a_new_peer_gets_it)
{
	node_die(B);
	B->version = 0;
	B->text = B->pushed = 7;
	node_revive(B);
	nodes_settle();
	nodes_expect(1, 1, 1);
	nodes_expect_in_step();
}

/* What is refused is told once, not each second; a return is a reason to ask again. */
Test(config_push, refused_without_a_command)
{
	node_die(B);
	nodes_apply(2);
	nodes_settle();
	B->refuses = true;
	node_revive(B);
	nodes_settle();
	nodes_settle();
	nodes_expect(2, 1, 2);
	cr_expect_str_eq(node_peer(A, B)->error, "the configuration has errors");
	cr_expect(push_is_pending(&A->push, node_peer(A, B)));
	cr_expect_eq(A->overs, 2, "its own, and one for B");
	B->refuses = false;
	nodes_cut(A, B);
	nodes_join(A, B);
	nodes_settle();
	nodes_expect(2, 2, 2);
	nodes_expect_in_step();
}

Test(config_push, a_command_comes_before_it)
{
	node_die(B);
	nodes_apply(2);
	nodes_settle();
	node_revive(B);
	nodes_deliver_until(B, CONFIG_PREPARE);
	cr_expect_not(push_is_busy(&A->push));
	nodes_apply(3);
	nodes_settle();
	nodes_expect_over(true, "");
	nodes_expect(3, 3, 3);
	nodes_expect_in_step();
}

/* ---- changed by hand ---- */

Test(config_push, changed_by_hand)
{
	B->text = 5;
	node_own(B);
	nodes_settle();
	nodes_expect(1, 5, 1);
	cr_expect(push_is_edited(&A->push, node_peer(A, B)));
	cr_expect_not(push_matches(&A->push, node_peer(A, B)));
	cr_expect_not(push_is_pending(&A->push, node_peer(A, B)));
	nodes_apply(2);
	nodes_settle();
	nodes_expect(2, 2, 2);
	cr_expect_eq(A->edited, 1);
	nodes_expect_in_step();
	B->text = 5;
	node_own(B);
	nodes_settle();
	node_begin(A, PUSH_AGAIN, 2, 0);
	nodes_settle();
	nodes_expect(2, 2, 2);
	cr_expect_eq(A->edited, 2);
	cr_expect_eq(C->taken, 1, "which had it");
}

Test(config_push, changed_here_alone)
{
	A->text = 4; /* apply --local */
	node_own(A);
	nodes_settle();
	nodes_expect(4, 1, 1);
	cr_expect_not(push_matches(&A->push, node_peer(A, B)));
	cr_expect_not(push_is_edited(&A->push, node_peer(A, B)));
	nodes_cut(A, B);
	nodes_join(A, B);
	nodes_settle();
	nodes_expect(4, 1, 1);
}

/* ---- roles ---- */

Test(config_push, two_primaries)
{
	B->role = CONFIG_ROLE_PRIMARY;
	node_own(B);
	nodes_settle();
	cr_expect_not(push_has_peers(&A->push));
	nodes_apply(2);
	nodes_settle();
	nodes_expect_over(true, "");
	nodes_expect(2, 1, 1);
	/* it had not told yet */
	node_peer(A, B)->role = CONFIG_ROLE_SECONDARY;
	node_begin(A, PUSH_LOOK, 3, 0);
	while (nodes_deliver())
		;
	cr_expect_eq(A->done, 0);
	cr_expect(strstr(node_peer(A, B)->error, "primary too"));
	cr_expect(strstr(node_peer(A, C)->error, "two primaries"));
	/* the roles are swapped: what was pushed last is everywhere's, and counts on */
	A->role = CONFIG_ROLE_SECONDARY;
	node_own(A);
	nodes_settle();
	nodes_expect(1, 1, 1);
	cr_expect_eq(A->version, B->version);
}

/* They do not see each other; who sees both is not handed to and fro. */
Test(config_push, two_primaries_apart)
{
	nodes_cut(A, B);
	B->role = CONFIG_ROLE_PRIMARY;
	node_own(B);
	nodes_settle();
	nodes_apply(2);
	nodes_settle();
	cr_expect_eq(A->done, 0);
	cr_expect(strstr(A->error, "two primaries"));
	nodes_expect(1, 1, 1);
	nodes_cut(B, C);
	nodes_apply(2);
	nodes_settle();
	nodes_join(B, C);
	nodes_settle();
	nodes_expect(2, 1, 2);
	cr_expect_eq(C->taken, 1);
}

/* ---- at random: whatever happens, once it stops all nodes are the same ---- */

static unsigned int seed;

static unsigned int below(unsigned int n)
{
	seed = seed * 1103515245 + 12345;
	return (seed >> 16) % n;
}

static void something(int text)
{
	struct node *n = &nodes[below(NODES)], *other = &nodes[below(NODES)];

	switch (below(12)) {
	case 0:
		if (n->up && other != n && other->up)
			nodes_cut(n, other);
		break;
	case 1:
		if (other != n)
			nodes_join(n, other);
		break;
	case 2:
		if (n->up)
			node_die(n);
		break;
	case 3:
		if (!n->up)
			node_revive(n);
		break;
	case 4:
		n->refuses = !below(3);
		n->can_not = !below(3);
		n->deaf = n != A && !below(4);
		break;
	case 5:
		nodes_pass(below(12000));
		break;
	case 6:
		if (A->up && !push_is_busy(&A->push) && !A->trial)
			node_begin(A, PUSH_APPLY, text, below(3) ? 0 : 20);
		break;
	case 7:
		if (A->up && A->trial && !push_is_busy(&A->push)) {
			if (below(2))
				nodes_confirm();
			else
				nodes_end_trial();
		}
		break;
	default:
		for (unsigned int i = below(8); i && nodes_deliver(); i--)
			;
	}
}

Test(config_push, at_random)
{
	nodes_close();
	for (unsigned int round = 1; round < 400; round++) {
		seed = round;
		nodes_open();
		for (int i = 0; i < 150; i++)
			something(i + 2);
		for (size_t i = 0; i < NODES; i++) {
			nodes[i].refuses = nodes[i].can_not = nodes[i].deaf = false;
			if (!nodes[i].up)
				node_revive(&nodes[i]);
		}
		nodes_settle();
		nodes_pass(PUSH_ANSWER_MS);
		nodes_settle();
		nodes_cut(A, B);
		nodes_cut(A, C);
		nodes_join(A, B);
		nodes_join(A, C);
		nodes_settle();
		if (A->trial)
			nodes_end_trial();
		nodes_settle();
		nodes_pass(PUSH_RETRY_MS);
		nodes_settle();
		cr_expect(A->text == B->text && B->text == C->text, "round %u: %d %d %d", round, A->text, B->text,
			  C->text);
		cr_expect(!A->trial && !B->trial && !C->trial, "round %u", round);
		cr_expect(A->version == B->version && A->version == C->version, "round %u", round);
		nodes_close();
	}
	nodes_open();
}
