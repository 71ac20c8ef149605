// SPDX-License-Identifier: GPL-2.0-only
/* A node whose adverts can't be sent, and can be again, in the two nodes' world of test_pair.h. */
#include <string.h>
#include <unistd.h>

#include "selftests/net/test_pair.h"
#include "selftests/net/test_system.h"

TestSuite(pair_sending, .init = pair_world_open, .fini = pair_world_close, .timeout = 120);

static const struct carp_settings slow = { .advbase_s = 1, .preempt = true }, humble = { .advbase_s = 1 };

static void in_node_0(const char *command)
{
	run("nsenter --net=/proc/%d/fd/%d sh -c '%s'", (int)getpid(), A->ns, command);
}

static void block(void)
{
	in_node_0(
		"nft \"add table netdev t; add chain netdev t out { type filter hook egress device lan priority 0; }; "
		"add rule netdev t out ip protocol 112 drop\"");
}

static void unblock(void)
{
	in_node_0("nft delete table netdev t");
}

static bool is_demoted(void)
{
	return pair_view(A).demotions.sending == VHID_DEMOTION;
}

/* Node 0 is relieved, and what it can't send is over later: the demotion holds for proof_ns more. */
static void fails_for(uint64_t ns, uint64_t proof_ns)
{
	block();
	pair_pass(4 * SECOND, NULL);
	cr_assert(is_demoted() && pair_role(A) == CARP_BACKUP && pair_role(B) == CARP_MASTER);
	cr_expect_eq(pair_view(A).unsent_proof_ns, proof_ns);
	pair_pass(ns, NULL);
	cr_expect(is_demoted());
	unblock();
	pair_pass(proof_ns - SECOND / 2, NULL);
	cr_expect(is_demoted() && pair_role(B) == CARP_MASTER, "%llu s", (unsigned long long)(proof_ns / SECOND));
	pair_pass(2 * SECOND, NULL);
	cr_assert_not(is_demoted(), "%llu s", (unsigned long long)(proof_ns / SECOND));
}

/* As a backup it sends no adverts: by what should it ever know? */
Test(pair_sending, it_ends_at_a_backup)
{
	pair_begin_known(&slow);
	fails_for(30 * SECOND, 3 * SECOND);
	cr_expect(pair_role(A) == CARP_MASTER && pair_role(B) == CARP_BACKUP, "it preempts");
	cr_expect(A->happened[VHID_UNSENT] == 1 && A->happened[VHID_SENT] == 1);
	cr_expect_eq(pair_view(A).unsent_ns, 0u);
	pair_pass(60 * SECOND, NULL);
	cr_expect_eq(A->happened[VHID_UNSENT], 1u);
	cr_expect(!B->happened[VHID_FAULT] && !pair_view(B).bad, "no probe is an advert");
}

Test(pair_sending, it_ends_without_preempt_too)
{
	pair_begin_known(&humble);
	fails_for(SECOND, 3 * SECOND);
	pair_pass(60 * SECOND, NULL);
	cr_expect(pair_role(A) == CARP_BACKUP && pair_role(B) == CARP_MASTER);
	pair_node_kill(B);
	pair_pass(4 * SECOND, NULL);
	cr_expect_eq(pair_role(A), CARP_MASTER);
}

/* With nobody to relieve it its own adverts tell. */
Test(pair_sending, it_ends_at_a_master)
{
	pair_begin_known(&slow);
	pair_node_kill(B);
	block();
	pair_pass(20 * SECOND, NULL);
	cr_assert(is_demoted() && pair_role(A) == CARP_MASTER);
	unblock();
	pair_pass(6 * SECOND, NULL);
	cr_expect(!is_demoted() && pair_role(A) == CARP_MASTER);
}

/* What fails under a master's load alone would have the address go to and fro, each time for nothing. */
Test(pair_sending, what_comes_back_soon_takes_longer_to_end)
{
	static const unsigned int proof_s[] = { 3, 6, 12, 24, 48, 60, 60 };

	pair_begin_known(&slow);
	for (size_t i = 0; i < sizeof(proof_s) / sizeof(*proof_s); i++) {
		fails_for(10 * SECOND, proof_s[i] * SECOND);
		pair_pass(60 * SECOND, NULL);
		cr_assert_eq(pair_role(A), CARP_MASTER);
	}
	pair_pass(600 * SECOND, NULL);
	fails_for(10 * SECOND, 3 * SECOND);
}

/* One that fails in between begins it anew. */
Test(pair_sending, all_of_them_must_leave)
{
	pair_begin_known(&humble);
	block();
	pair_pass(5 * SECOND, NULL);
	for (int i = 0; i < 5; i++) {
		unblock();
		pair_pass(2500 * MS, NULL);
		block();
		pair_pass(1500 * MS, NULL);
		cr_expect(is_demoted());
	}
}

Test(pair_sending, who_says_nothing_does_not_probe_either)
{
	pair_begin_known(&humble);
	block();
	pair_pass(5 * SECOND, NULL);
	vhids_mute(A->v, w.now + 2 * SECOND);
	unblock();
	pair_pass(4500 * MS, NULL);
	cr_expect(is_demoted(), "the first probe was no sooner");
	pair_pass(2 * SECOND, NULL);
	cr_expect_not(is_demoted());
}

/* Another configuration is no end of it. */
Test(pair_sending, an_apply_changes_nothing_of_it)
{
	pair_begin_known(&humble);
	block();
	pair_pass(5 * SECOND, NULL);
	A->setup.announce_repeat = 2;
	pair_node_configure(A);
	cr_expect(is_demoted());
	unblock();
	pair_pass(2 * SECOND, NULL);
	pair_node_configure(A);
	cr_expect(is_demoted());
	pair_pass(3 * SECOND, NULL);
	cr_expect_not(is_demoted());
}
