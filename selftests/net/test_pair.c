// SPDX-License-Identifier: GPL-2.0-only
/* Which of two nodes has the addresses, as each hears the other's adverts and beats: one thing at a time, and whatever comes. */
#include <stdlib.h>
#include <string.h>

#include "selftests/net/test_pair.h"
#include "user/lib/be.h"

#define FAST_NS (20 * MS)

static const struct carp_settings slow = { .advbase_s = 1, .preempt = true }, fast = { .fast_ms = 20, .preempt = true },
				  humble = { .advbase_s = 1 };

TestSuite(pair, .init = pair_world_open, .fini = pair_world_close, .timeout = 120);

/* ---- one thing at a time ---- */

Test(pair, a_lost_link_relieves_at_once)
{
	pair_begin_known(&slow);
	pair_node_link(A, false);
	pair_carry();
	cr_expect(pair_role(A) == CARP_INIT && !pair_owns(A));
	cr_expect(pair_role(B) == CARP_MASTER && pair_owns(B), "no time has passed");
	pair_node_link(A, true);
	pair_pass(SECOND, NULL);
	cr_expect(pair_role(A) == CARP_MASTER && pair_role(B) == CARP_BACKUP);
}

/* What can't forward yet takes nothing back; but for how long is limited, and a dead peer is no reason to wait. */
Test(pair, after_a_lost_link_its_gateways_are_waited_for)
{
	pair_begin_known(&slow);
	vhids_gateways(A->v, A->ifindex[LAN], true, w.now);
	pair_pass(SECOND, NULL);
	cr_expect_eq(pair_role(A), CARP_MASTER, "a gateway that is down moves nothing");
	pair_node_link(A, false);
	pair_carry();
	pair_node_link(A, true);
	pair_pass(3 * SECOND, NULL);
	cr_expect(pair_role(A) == CARP_BACKUP && pair_role(B) == CARP_MASTER);
	cr_expect(pair_view(A).settles && pair_view(A).demotions.links);
	vhids_gateways(A->v, A->ifindex[LAN], false, w.now);
	pair_pass(SECOND, NULL);
	cr_expect(pair_role(A) == CARP_MASTER && !pair_view(A).settles, "it is up");
	vhids_gateways(A->v, A->ifindex[LAN], true, w.now);
	pair_node_link(A, false);
	pair_carry();
	pair_node_link(A, true);
	pair_pass(VHID_SETTLE_NS - SECOND, NULL);
	cr_expect_eq(pair_role(A), CARP_BACKUP);
	pair_pass(3 * SECOND, NULL);
	cr_expect_eq(pair_role(A), CARP_MASTER, "the time is over");
	pair_node_link(A, false);
	pair_carry();
	pair_node_link(A, true);
	pair_node_kill(B);
	pair_pass(5 * SECOND, NULL);
	cr_expect_eq(pair_role(A), CARP_MASTER, "nobody else is there");
}

Test(pair, of_two_masters_who_has_no_gateway_yields)
{
	pair_begin_known(&slow);
	pair_channel(LAN, true, 0);
	pair_channel(SYNC, true, 0);
	pair_pass(6 * SECOND, NULL);
	cr_assert(pair_role(A) == CARP_MASTER && pair_role(B) == CARP_MASTER);
	vhids_gateways(A->v, A->ifindex[LAN], true, w.now);
	pair_channel(SYNC, false, 0);
	pair_pass(2 * SECOND, NULL);
	cr_expect(pair_role(A) == CARP_BACKUP && pair_role(B) == CARP_MASTER);
	pair_channel(LAN, false, 0);
	vhids_gateways(A->v, A->ifindex[LAN], false, w.now);
	pair_pass(2 * SECOND, NULL);
	cr_expect(pair_role(A) == CARP_MASTER && pair_role(B) == CARP_BACKUP);
}

/* It has been cut off for a little less than it takes to find that the gateway does not answer */
Test(pair, of_two_masters_who_has_no_gateway_before_long_yields)
{
	pair_begin_known(&slow);
	pair_channel(LAN, true, 0);
	pair_channel(SYNC, true, 0);
	pair_pass(6 * SECOND, NULL);
	pair_channel(SYNC, false, 0);
	pair_pass(SECOND, NULL);
	cr_assert(pair_role(A) == CARP_MASTER && pair_role(B) == CARP_BACKUP);
	vhids_gateways(A->v, A->ifindex[LAN], false, w.now);
	vhids_gateways(A->v, A->ifindex[LAN], true, w.now);
	pair_pass(100 * MS, NULL);
	cr_expect(pair_role(A) == CARP_BACKUP && pair_role(B) == CARP_MASTER);
	vhids_gateways(A->v, A->ifindex[LAN], false, w.now);
	pair_pass(2 * SECOND, NULL);
	cr_expect(pair_role(A) == CARP_MASTER && pair_role(B) == CARP_BACKUP);
	vhids_gateways(A->v, A->ifindex[LAN], true, w.now);
	pair_pass(2 * SECOND, NULL);
	cr_expect_eq(pair_role(A), CARP_MASTER, "what becomes of it later is another matter");
}

Test(pair, who_bows_out_does_so_by_beats_too)
{
	pair_begin_known(&humble);
	pair_channel(LAN, true, 0);
	vhids_hand_over(A->v, 0, w.now);
	pair_carry();
	cr_expect(pair_role(A) == CARP_BACKUP && pair_role(B) == CARP_MASTER);
	vhids_hand_over(B->v, 0, w.now);
	pair_carry();
	cr_expect(pair_role(A) == CARP_MASTER && pair_role(B) == CARP_BACKUP);
	vhids_close(A->v, w.now);
	A->v = NULL;
	A->runs = false;
	pair_carry();
	cr_expect(!pair_owns(A) && pair_role(B) == CARP_MASTER, "at its end");
	cr_expect_eq(pair_peer_state(B), PAIR_ENDED);
	cr_expect_eq(B->lease, UINT64_MAX);
}

Test(pair, demotion_relieves_at_once)
{
	pair_begin_known(&slow);
	pair_channel(LAN, true, 0);
	A->fact.demotion = 1;
	pair_node_facts(A);
	pair_carry();
	cr_expect(pair_role(A) == CARP_BACKUP && pair_role(B) == CARP_MASTER);
}

Test(pair, a_lease_ends_while_a_ready_peer_is_there)
{
	pair_begin_known(&fast);
	cr_expect(pair_view(A).guarded);
	cr_expect_leq(A->lease, w.now + 2 * FAST_NS);
	B->fact.ready = false;
	pair_node_facts(B);
	pair_carry();
	cr_expect_geq(A->lease, w.now + 59 * SECOND, "it does not take over yet");
	cr_expect_leq(A->lease, w.now + 60 * SECOND, "but it will");
	B->fact.ready = true;
	pair_node_facts(B);
	pair_carry();
	cr_expect_leq(A->lease, w.now + 2 * FAST_NS);
	pair_node_link(B, false);
	pair_carry();
	cr_expect_eq(A->lease, UINT64_MAX, "it could not");
	pair_node_link(B, true);
	pair_node_kill(B);
	pair_pass(3 * SECOND, NULL);
	cr_expect_eq(A->lease, UINT64_MAX, "it is dead");
	cr_expect_eq(pair_peer_state(A), PAIR_SILENT);
}

Test(pair, a_killed_master_is_replaced_and_nothing_is_owned_twice)
{
	pair_begin_known(&fast);
	pair_node_kill(A);
	pair_pass(90 * MS, pair_count_both);
	cr_expect(pair_role(B) == CARP_MASTER && pair_owns(B) && !pair_owns(A));
	cr_expect_eq(pair_both_own, 0u);
	cr_expect_eq(B->lease, UINT64_MAX);
}

/* What the dead one's programs go on with ends, though nobody was there who would have taken over at once. */
Test(pair, a_killed_masters_lease_ends_also_where_the_peer_gets_ready_later)
{
	pair_begin_known(&slow);
	B->fact.ready = false;
	pair_node_facts(B);
	pair_carry();
	pair_node_kill(A);
	pair_pass(30 * SECOND, NULL);
	cr_expect(pair_role(B) == CARP_BACKUP && pair_owns(A), "somebody has to forward");
	B->fact.ready = true;
	pair_node_facts(B);
	pair_pass(SECOND / 2, NULL);
	cr_expect(pair_role(B) == CARP_MASTER && pair_owns(B), "it has waited long enough");
	pair_pass(30 * SECOND, NULL);
	cr_expect(!pair_owns(A));
}

static void both_begin_anew(bool ready_a, bool ready_b)
{
	static uint64_t epoch = 10;

	pair_node_kill(A);
	pair_node_kill(B);
	A->fact.ready = ready_a;
	B->fact.ready = ready_b;
	pair_node_start(A, ++epoch);
	pair_node_start(B, epoch);
	memset(A->happened, 0, sizeof(A->happened));
	memset(B->happened, 0, sizeof(B->happened));
}

static void gets_ready(struct node *n)
{
	n->fact.ready = true;
	pair_node_facts(n);
}

Test(pair, after_both_were_killed_who_gets_ready_takes_over_at_once)
{
	pair_begin_known(&slow);
	both_begin_anew(false, false);
	pair_pass(10 * SECOND, NULL);
	cr_expect(pair_role(A) == CARP_BACKUP && pair_role(B) == CARP_BACKUP);
	gets_ready(B);
	gets_ready(A);
	pair_carry();
	cr_expect(pair_role(A) == CARP_MASTER && pair_owns(A), "no time has passed");
	pair_pass(5 * SECOND, NULL);
	cr_expect(pair_role(A) == CARP_MASTER && pair_role(B) == CARP_BACKUP);
	both_begin_anew(false, true);
	pair_pass(SECOND, NULL);
	cr_expect(pair_role(A) == CARP_BACKUP && pair_role(B) == CARP_MASTER);
	gets_ready(A);
	pair_pass(2 * SECOND, NULL);
	cr_expect(pair_role(A) == CARP_MASTER && pair_role(B) == CARP_BACKUP);
}

/* By beats all know that nobody has them: there is no master whose adverts could come. The worse node does not even begin. */
Test(pair, what_all_say_they_have_not_is_taken_without_waiting)
{
	pair_begin_known(&slow);
	both_begin_anew(true, true);
	pair_pass(300 * MS, NULL);
	cr_expect(pair_role(A) == CARP_MASTER && pair_role(B) == CARP_BACKUP);
	pair_pass(5 * SECOND, NULL);
	cr_expect_eq(A->happened[VHID_ROLE] + B->happened[VHID_ROLE], 3u);
}

/* Beats alone tell it, and only where no other node is believed. */
Test(pair, where_not_all_tell_a_master_is_waited_for)
{
	pair_begin_known(&slow);
	A->setup.plain_peers = B->setup.plain_peers = true;
	both_begin_anew(true, true);
	pair_pass(2900 * MS, NULL);
	cr_expect(pair_role(A) == CARP_BACKUP && pair_role(B) == CARP_BACKUP, "it may be a plain one");
	pair_pass(500 * MS, NULL);
	cr_expect_eq(pair_role(A), CARP_MASTER);
	A->setup.plain_peers = B->setup.plain_peers = false;
	pair_channel(SYNC, true, 0);
	both_begin_anew(true, true);
	pair_pass(2900 * MS, NULL);
	cr_expect(pair_role(A) == CARP_BACKUP && pair_role(B) == CARP_BACKUP, "the other is not heard");
}

/* As the first, but that one begins after the other. */
Test(pair, the_better_one_takes_it_first)
{
	pair_begin_known(&fast);
	pair_node_kill(A);
	pair_node_kill(B);
	pair_node_start(B, 6);
	pair_pass(5 * MS, NULL);
	pair_node_start(A, 6);
	memset(B->happened, 0, sizeof(B->happened));
	pair_pass(SECOND, NULL);
	cr_expect(pair_role(A) == CARP_MASTER && pair_role(B) == CARP_BACKUP);
	cr_expect_eq(B->happened[VHID_ROLE], 0u);
}

/* It says that A has nothing, and comes behind an advert that says the contrary. */
Test(pair, a_word_that_an_advert_has_overtaken_is_none)
{
	uint8_t beat[FRAME_MAX];
	size_t len;

	pair_begin_known(&humble);
	pair_channel(SYNC, true, 0);
	both_begin_anew(true, true);
	pair_pass(2900 * MS, NULL);
	len = w.last_len[SYNC];
	memcpy(beat, w.last[SYNC], len);
	pair_pass(SECOND, NULL);
	cr_expect(pair_role(A) == CARP_MASTER && pair_role(B) == CARP_BACKUP);
	pair_put(1, SYNC, beat, len);
	pair_pass(5 * SECOND, NULL);
	cr_expect(pair_role(A) == CARP_MASTER && pair_role(B) == CARP_BACKUP);
	cr_expect_eq(B->happened[VHID_ROLE], 1u);
}

/* What it said of itself before it died, or before it became master, is no word of now. */
Test(pair, an_old_word_is_none)
{
	pair_begin_known(&(struct carp_settings){ .fast_ms = 20 });
	both_begin_anew(false, false);
	pair_pass(SECOND, NULL);
	pair_channel(LAN, true, 0);
	A->runs = false;
	pair_pass(2 * SECOND, NULL);
	gets_ready(B);
	pair_pass(SECOND, NULL);
	cr_expect_eq(pair_role(B), CARP_MASTER);
	A->runs = true;
	gets_ready(A);
	pair_pass(SECOND, NULL);
	cr_expect(pair_role(A) == CARP_BACKUP && pair_role(B) == CARP_MASTER);
	cr_expect_eq(B->happened[VHID_ROLE], 2u);

	pair_channel(LAN, false, 0);
	A->setup.set = B->setup.set = slow;
	both_begin_anew(false, false);
	pair_pass(SECOND, NULL);
	pair_node_kill(B);
	pair_pass(SECOND, NULL);
	gets_ready(A);
	pair_pass(900 * MS, NULL);
	cr_expect_eq(pair_role(A), CARP_BACKUP);
	pair_pass(200 * MS, NULL);
	cr_expect_eq(pair_role(A), CARP_MASTER);
}

/* It would be taken back before the other has it. */
Test(pair, what_is_handed_over_is_waited_for)
{
	pair_begin_known(&humble);
	B->fact.ready = false;
	pair_node_facts(B);
	pair_pass(SECOND, NULL);
	vhids_hand_over(A->v, 0, w.now);
	pair_pass(2 * SECOND, NULL);
	cr_expect(pair_role(A) == CARP_BACKUP && pair_role(B) == CARP_BACKUP);
	gets_ready(B);
	pair_pass(SECOND, NULL);
	cr_expect(pair_role(A) == CARP_BACKUP && pair_role(B) == CARP_MASTER);
}

/* It finds its timer due, and what the other has said, in whatever order. */
Test(pair, a_master_that_was_stopped_has_none_of_them_when_it_goes_on)
{
	pair_begin_known(&fast);
	A->setup.set.preempt = false;
	pair_node_configure(A);
	A->runs = false;
	pair_pass(2 * SECOND, pair_count_both);
	cr_expect(pair_role(B) == CARP_MASTER);
	A->runs = true;
	vhids_run(A->v, w.now);
	cr_expect(pair_role(A) == CARP_BACKUP && !pair_owns(A));
	pair_pass(SECOND, pair_count_both);
	cr_expect(pair_role(A) == CARP_BACKUP && pair_role(B) == CARP_MASTER);
	cr_expect_eq(pair_both_own, 0u);
	cr_expect_eq(A->happened[VHID_SPLIT_BRAIN] + B->happened[VHID_SPLIT_BRAIN], 0u);
}

/* By beats and adverts: as long as both may be late it is not told what it is. */
Test(pair, a_dead_master_is_no_cut_sync_link)
{
	unsigned int events;

	pair_begin_known(&slow);
	events = B->happened[VHID_PEER];
	pair_node_kill(A);
	pair_pass(10 * SECOND, NULL);
	cr_expect_eq(pair_peer_state(B), PAIR_SILENT);
	cr_expect_eq(B->happened[VHID_PEER], events + 1);
}

Test(pair, a_cut_sync_link_moves_nothing)
{
	pair_begin_known(&slow);
	pair_channel(SYNC, true, 0);
	pair_pass(20 * SECOND, pair_count_both);
	cr_expect(pair_role(A) == CARP_MASTER && pair_role(B) == CARP_BACKUP);
	cr_expect_eq(pair_peer_state(B), PAIR_LINK_DOWN);
	cr_expect_eq(pair_both_own, 0u);
	cr_expect_eq(A->lease, UINT64_MAX, "who would take over is not heard");
	pair_channel(SYNC, false, 0);
	pair_pass(SECOND, NULL);
	cr_expect_eq(pair_peer_state(B), PAIR_UP);
}

/* A master hears its peer by the sync link alone. Linux tells of a lost carrier once a second, so it may come behind what follows from it. */
Test(pair, a_carrier_that_is_told_late_is_no_dead_peer)
{
	unsigned int events;

	pair_begin_known(&slow);
	events = A->happened[VHID_PEER];
	pair_channel(SYNC, true, 0);
	pair_pass(1900 * MS, NULL);
	vhids_link(A->v, A->ifindex[SYNC], false, w.now);
	pair_pass(5 * SECOND, NULL);
	cr_expect_eq(pair_peer_state(A), PAIR_LINK_DOWN);
	cr_expect_eq(A->happened[VHID_PEER], events + 1);
}

/* Frames of others come in by both ends of the segment. */
static void others(bool first, bool second)
{
	static const uint8_t frame[60] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 9, 0x88, 0xb5 };

	if (first)
		pair_put(0, LAN, frame, sizeof(frame));
	if (second)
		pair_put(1, LAN, frame, sizeof(frame));
}

Test(pair, a_segment_that_drops_adverts_is_told_and_moves_nothing)
{
	pair_begin_known(&slow);
	pair_channel(LAN, true, 0);
	for (int i = 0; i < 40; i++) {
		others(true, true);
		pair_pass(250 * MS, pair_count_both);
	}
	cr_expect(A->happened[VHID_SEGMENT] == 1 && B->happened[VHID_SEGMENT] == 1);
	cr_expect(pair_view(A).split && pair_view(B).split);
	cr_expect(pair_role(A) == CARP_MASTER && pair_role(B) == CARP_BACKUP);
	pair_channel(LAN, false, 0);
	pair_pass(5 * SECOND, pair_count_both);
	cr_expect(A->happened[VHID_SEGMENT_WHOLE] == 1 && B->happened[VHID_SEGMENT_WHOLE] == 1);
	cr_expect_eq(pair_both_own, 0u);
}

Test(pair, a_node_whose_segment_is_dead_is_relieved)
{
	pair_begin_known(&slow);
	pair_channel(LAN, true, 0);
	for (int i = 0; i < 40; i++) {
		others(false, true);
		pair_pass(250 * MS, pair_count_both);
	}
	cr_expect(A->happened[VHID_DEAF] == 1 && pair_view(A).demotions.segment == VHID_DEMOTION);
	cr_expect(pair_role(A) == CARP_BACKUP && pair_role(B) == CARP_MASTER);
	cr_expect_eq(B->happened[VHID_DEAF], 0u);
	pair_channel(LAN, false, 0);
	pair_pass(3 * SECOND, pair_count_both);
	cr_expect(A->happened[VHID_HEARS] == 1 && pair_role(A) == CARP_MASTER && pair_role(B) == CARP_BACKUP);
	cr_expect_eq(pair_both_own, 0u);
}

/* What peers have said of the segment ends with them. */
Test(pair, a_segment_counts_no_longer_without_peers)
{
	pair_begin_known(&slow);
	pair_channel(LAN, true, 0);
	for (int i = 0; i < 40; i++) {
		others(false, true);
		pair_pass(250 * MS, NULL);
	}
	cr_assert_eq(pair_view(A).demotions.segment, VHID_DEMOTION);
	A->pair.n_peers = 0;
	pair_node_configure(A);
	cr_expect_eq(pair_view(A).demotions.segment, 0);
}

static void heal_by(unsigned int channel)
{
	pair_begin_known(&fast);
	pair_channel(LAN, true, 0);
	pair_channel(SYNC, true, 0);
	pair_pass(10 * SECOND, NULL);
	cr_expect(pair_role(A) == CARP_MASTER && pair_role(B) == CARP_MASTER);
	cr_expect(pair_peer_state(A) == PAIR_SILENT && pair_peer_state(B) == PAIR_SILENT, "to each the other is dead");
	cr_expect_eq(A->happened[VHID_SPLIT_BRAIN] + B->happened[VHID_SPLIT_BRAIN], 0u);
	pair_channel(channel, false, 0);
	pair_pass(2 * FAST_NS, NULL);
	cr_expect(pair_role(A) == CARP_MASTER && pair_role(B) == CARP_BACKUP && !pair_owns(B));
	pair_pass(2 * SECOND, NULL);
	cr_expect(A->happened[VHID_SPLIT_BRAIN] == 1 && B->happened[VHID_SPLIT_BRAIN] == 1);
	cr_expect(A->happened[VHID_ONE_MASTER] == 1 && B->happened[VHID_ONE_MASTER] == 1);
	cr_expect(!pair_view(A).dual && pair_view(A).dual_ns);
}

Test(pair, a_split_brain_heals_by_the_sync_link)
{
	heal_by(SYNC);
}

Test(pair, a_split_brain_heals_by_the_segment)
{
	heal_by(LAN);
}

/* A beat that was sent before the advert, and comes behind it: its sender has gone since. */
Test(pair, what_comes_late_is_not_heard)
{
	uint8_t beat[FRAME_MAX];
	size_t len;

	pair_begin_known(&humble);
	pair_channel(SYNC, true, 0);
	pair_pass(300 * MS, NULL);
	len = w.last_len[SYNC];
	memcpy(beat, w.last[SYNC], len);
	vhids_hand_over(A->v, 0, w.now);
	pair_carry();
	cr_expect(pair_role(A) == CARP_BACKUP && pair_role(B) == CARP_MASTER);
	pair_put(1, SYNC, beat, len);
	pair_carry();
	cr_expect_eq(pair_role(B), CARP_MASTER);
	cr_expect_eq(B->happened[VHID_FAULT], 0u);
}

Test(pair, the_peer_tells_when_it_has_seen_the_announcements)
{
	pair_begin_known(&humble);
	vhids_hand_over(A->v, 0, w.now);
	pair_carry();
	cr_expect(pair_role(B) == CARP_MASTER && B->happened[VHID_ANNOUNCED] == 1);
	cr_expect(pair_view(B).announced_ns && pair_view(B).announced_ns < MS);
}

/* ---- whatever comes ---- */

static uint64_t both_since; /* both have the addresses, and can hear each other; 0: not */
static uint64_t longest_both;

static void watch_both(void)
{
	uint64_t clean = w.clean_since[LAN] < w.clean_since[SYNC] ? w.clean_since[LAN] : w.clean_since[SYNC];

	if (!pair_owns(A) || !pair_owns(B) || !A->runs || !B->runs || clean == CARP_NEVER) {
		both_since = 0;
		return;
	}
	both_since = both_since ?: w.now;
	if (w.now - both_since > longest_both)
		longest_both = w.now - both_since;
}

static void something_happens(unsigned int *epoch)
{
	struct node *n = &w.nodes[rand() % 2];

	switch (rand() % 8) {
	case 0:
		pair_channel(LAN, rand() % 2, rand() % 2 * 30);
		break;
	case 1:
		pair_channel(SYNC, rand() % 2, rand() % 2 * 30);
		break;
	case 2:
		n->runs = n->v && rand() % 2;
		break;
	case 3:
		if (n->runs)
			pair_node_kill(n);
		break;
	case 4:
		if (!n->v)
			pair_node_start(n, ++*epoch);
		break;
	case 5:
		pair_node_link(n, rand() % 3);
		if (!n->runs && n->v)
			n->link_up = true;
		break;
	case 6:
		n->fact.demotion = (unsigned int)rand() % 3;
		if (n->runs)
			pair_node_facts(n);
		break;
	default:
		if (n->runs)
			vhids_hand_over(n->v, 0, w.now);
	}
}

static void all_is_well(unsigned int *epoch)
{
	pair_channel(LAN, false, 0);
	pair_channel(SYNC, false, 0);
	for (unsigned int i = 0; i < 2; i++) {
		struct node *n = &w.nodes[i];

		if (!n->v)
			pair_node_start(n, ++*epoch);
		n->runs = true;
		pair_node_link(n, true);
	}
	pair_carry();
}

/* One dies: the other has the addresses within its patience, and the time that it was late itself. */
static void one_dies(unsigned int *epoch)
{
	struct node *dies = &w.nodes[rand() % 2], *stays = dies == A ? B : A;
	struct vhid_view view = pair_view(stays);

	pair_node_kill(dies);
	pair_pass(carp_patience_ns(&view.carp) + FAST_NS, NULL);
	cr_expect(pair_role(stays) == CARP_MASTER && pair_owns(stays));
	pair_node_start(dies, ++*epoch);
}

/* As long as one of the two ways is whole, no address is owned twice for longer than an interval; when all is well again there is one master. */
Test(pair, histories)
{
	unsigned int epoch = 10;

	pair_begin(&fast);
	for (unsigned int seed = 0; seed < 60; seed++) {
		srand(seed);
		longest_both = both_since = 0;
		for (int step = 0; step < 30; step++) {
			something_happens(&epoch);
			pair_pass(rand() % 100 * MS, watch_both);
		}
		cr_expect_leq(longest_both, 2 * FAST_NS, "seed %u: %.3f ms", seed, (double)longest_both / MS);
		all_is_well(&epoch);
		pair_pass(2 * FAST_NS, NULL);
		cr_expect(!pair_owns(A) || !pair_owns(B), "seed %u", seed);
		pair_pass(4 * FAST_NS + 3 * SECOND, NULL);
		cr_expect_eq(pair_owns(A) + pair_owns(B), 1, "seed %u", seed);
		cr_expect_eq((pair_role(A) == CARP_MASTER) + (pair_role(B) == CARP_MASTER), 1, "seed %u", seed);
		one_dies(&epoch);
		pair_pass(SECOND, NULL);
	}
}
