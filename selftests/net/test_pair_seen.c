// SPDX-License-Identifier: GPL-2.0-only
/* Whether the peer sees where the addresses are, in the two nodes' world of test_pair.h. */
#include <linux/if_ether.h>
#include <string.h>

#include "selftests/net/test_pair.h"

TestSuite(pair_seen, .init = pair_world_open, .fini = pair_world_close, .timeout = 120);

/* Without preempt: whoever has them keeps them */
static void begin(void)
{
	static const struct carp_settings humble = { .advbase_s = 1 };

	pair_begin(&humble);
	pair_pass(10 * SECOND, NULL);
	cr_assert(pair_role(A) == CARP_MASTER && pair_role(B) == CARP_BACKUP);
	cr_assert_eq(A->happened[VHID_UNSEEN] + B->happened[VHID_UNSEEN], 0u, "who was not there can't have seen it");
}

static void hand_over(void)
{
	vhids_hand_over(A->v, 0, w.now);
	pair_carry();
	cr_assert(pair_role(A) == CARP_BACKUP && pair_role(B) == CARP_MASTER);
}

Test(pair_seen, a_switch_that_drops_announcements_is_told)
{
	struct vhid_view view;

	begin();
	w.no_arp = true;
	hand_over();
	pair_pass(900 * MS, NULL);
	cr_expect_eq(B->happened[VHID_UNSEEN], 0u, "it has a second");
	pair_pass(500 * MS, NULL);
	cr_expect_eq(B->happened[VHID_UNSEEN], 1u);
	view = pair_view(B);
	cr_expect(view.unseen_ns && addr_equal(&view.unseen_peer, &B->peer.addr));
	pair_pass(60 * SECOND, NULL);
	cr_expect_eq(B->happened[VHID_UNSEEN], 1u, "told once");
	cr_expect_eq(B->happened[VHID_SEEN] + B->happened[VHID_ANNOUNCED] + B->happened[VHID_SEGMENT], 0u);
	w.no_arp = false;
	pair_pass(11 * SECOND, NULL);
	cr_expect(B->happened[VHID_SEEN] == 1 && !pair_view(B).unseen_ns, "the next one ends it");
	pair_pass(60 * SECOND, NULL);
	cr_expect_eq(B->happened[VHID_UNSEEN], 1u);
	cr_expect(pair_role(A) == CARP_BACKUP && pair_role(B) == CARP_MASTER, "nobody moves for it");
}

Test(pair_seen, all_is_well)
{
	begin();
	hand_over();
	pair_pass(60 * SECOND, NULL);
	cr_expect_eq(B->happened[VHID_ANNOUNCED], 1u);
	cr_expect_eq(A->happened[VHID_UNSEEN] + B->happened[VHID_UNSEEN], 0u);
}

/* By the sync link it says that it has none: it is not asked to see anything. */
Test(pair_seen, who_has_no_link_sees_nothing)
{
	begin();
	pair_node_link(A, false);
	pair_carry();
	cr_assert_eq(pair_role(B), CARP_MASTER);
	pair_pass(20 * SECOND, NULL);
	pair_node_link(A, true);
	pair_pass(20 * SECOND, NULL);
	cr_expect_eq(pair_role(B), CARP_MASTER);
	cr_expect_eq(A->happened[VHID_UNSEEN] + B->happened[VHID_UNSEEN], 0u);
}

/* It would have seen it, and dies before it could say so. */
Test(pair_seen, nor_who_is_dead)
{
	begin();
	hand_over();
	w.no_arp = true;
	pair_node_kill(A);
	pair_pass(20 * SECOND, NULL);
	cr_expect_eq(B->happened[VHID_UNSEEN], 0u);
}

Test(pair_seen, it_ends_with_the_peer)
{
	begin();
	w.no_arp = true;
	hand_over();
	pair_pass(5 * SECOND, NULL);
	cr_assert_eq(B->happened[VHID_UNSEEN], 1u);
	pair_node_kill(A);
	pair_pass(5 * SECOND, NULL);
	cr_expect(!pair_view(B).unseen_ns && B->happened[VHID_SEEN] == 0, "it has not");
}

/* What was not seen is over with the role. */
Test(pair_seen, the_next_master_begins_anew)
{
	begin();
	w.no_arp = true;
	hand_over();
	pair_pass(2 * SECOND, NULL);
	cr_assert_eq(B->happened[VHID_UNSEEN], 1u);
	w.no_arp = false;
	vhids_hand_over(B->v, 0, w.now);
	pair_carry();
	cr_assert_eq(pair_role(A), CARP_MASTER);
	cr_expect(!pair_view(B).unseen_ns && B->happened[VHID_SEEN] == 0);
	pair_pass(20 * SECOND, NULL);
	hand_over();
	pair_pass(20 * SECOND, NULL);
	cr_expect(A->happened[VHID_UNSEEN] == 0 && B->happened[VHID_UNSEEN] == 1);
}

/* A refresh, too: the switch was replaced long after the takeover. */
Test(pair_seen, a_refresh_is_looked_for)
{
	begin();
	B->setup.announce_refresh_s = 30;
	pair_node_configure(B);
	hand_over();
	pair_pass(5 * SECOND, NULL);
	w.no_arp = true;
	pair_pass(40 * SECOND, NULL);
	cr_expect_eq(B->happened[VHID_UNSEEN], 1u);
}
