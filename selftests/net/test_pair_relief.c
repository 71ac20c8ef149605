// SPDX-License-Identifier: GPL-2.0-only
/*
 * A master that loses the link over which both its adverts and its beats go: what it says on another segment relieves it there, too. In the world of
 * test_pair.h with an address on the sync link's device, as where a LAN is the sync link.
 */
#include <string.h>

#include "selftests/net/test_pair.h"

static const struct carp_settings slow = { .advbase_s = 1, .preempt = true }, humble = { .advbase_s = 1 };
static unsigned int both_master;

TestSuite(pair_relief, .init = pair_world_open, .fini = pair_world_close, .timeout = 120);

/* The second address, after the cable's other end is gone: who has a link gives it up, so never both. */
static void count_both(void)
{
	struct vhid_view a[2], b[2];

	vhids_show(A->v, a, 2);
	vhids_show(B->v, b, 2);
	both_master += a[1].carp.role == CARP_MASTER && b[1].carp.role == CARP_MASTER;
}

static void begin_two(const struct carp_settings *set)
{
	pair_begin(set);
	pair_two_configure(A, false, false);
	pair_two_configure(B, false, false);
	pair_two_facts(A, false);
	pair_two_facts(B, false);
	pair_pass(15 * SECOND, NULL);
	cr_assert(pair_has_both(A, CARP_MASTER, CARP_MASTER) && pair_has_both(B, CARP_BACKUP, CARP_BACKUP));
}

/* At node 0, which sees it */
static void cable(bool in)
{
	pair_channel(SYNC, !in, 0);
	vhids_link(A->v, A->ifindex[SYNC], in, w.now);
}

static struct ext last_said(void)
{
	struct ext ext;
	unsigned int key;

	cr_assert_eq(ext_get(w.last[LAN] + EXT_AT - CARP_LEN, CARP_LEN + EXT_LEN, &A->keys, &ext, &key), CARP_OK);
	return ext;
}

Test(pair_relief, comes_by_what_is_left)
{
	begin_two(&slow);
	cable(false);
	pair_carry();
	cr_expect(pair_has_both(A, CARP_BACKUP, CARP_INIT));
	cr_expect(pair_has_both(B, CARP_MASTER, CARP_MASTER), "no time has passed");
	cr_expect(last_said().flags & EXT_TOGETHER && last_said().demotion == VHID_DEMOTION);
	pair_pass(10 * SECOND, count_both);
	cr_expect(pair_has_both(A, CARP_BACKUP, CARP_INIT) && pair_has_both(B, CARP_MASTER, CARP_MASTER));
	cable(true);
	pair_pass(3 * SECOND, count_both);
	cr_expect(pair_has_both(A, CARP_MASTER, CARP_MASTER) && pair_has_both(B, CARP_BACKUP, CARP_BACKUP));
	cr_expect_eq(both_master, 0u);
}

Test(pair_relief, needs_no_preempt)
{
	begin_two(&humble);
	cable(false);
	pair_carry();
	cr_expect(pair_has_both(B, CARP_MASTER, CARP_MASTER));
	cable(true);
	pair_pass(10 * SECOND, NULL);
	cr_expect(pair_has_both(B, CARP_MASTER, CARP_MASTER), "who comes back takes nothing");
}

/* Node 0 is demoted as a whole, and of the second nothing is heard any more. By either node's configuration, one of both may move alone. */
static void goes_alone(bool first_at_a, bool second_at_a, bool first_at_b, bool second_at_b)
{
	begin_two(&slow);
	pair_two_configure(A, first_at_a, second_at_a);
	pair_two_configure(B, first_at_b, second_at_b);
	pair_pass(5 * SECOND, NULL);
	cr_assert(pair_has_both(A, CARP_MASTER, CARP_MASTER) && pair_has_both(B, CARP_BACKUP, CARP_BACKUP));
	pair_channel(SYNC, true, 0);
	A->fact.demotion = 1;
	pair_two_facts(A, false);
	pair_pass(SECOND / 2, NULL);
	cr_expect(pair_has_both(A, CARP_BACKUP, CARP_MASTER) && pair_has_both(B, CARP_MASTER, CARP_BACKUP));
}

Test(pair_relief, is_none_of_what_is_independent_there)
{
	goes_alone(false, true, false, false);
}

Test(pair_relief, is_none_of_what_is_independent_here)
{
	goes_alone(false, false, false, true);
}

Test(pair_relief, is_none_by_what_is_independent_there)
{
	goes_alone(true, false, false, false);
}

Test(pair_relief, is_none_by_what_is_independent_here)
{
	goes_alone(false, false, true, false);
}

/* The link's own demotion is that of the independent one alone. */
Test(pair_relief, is_none_where_both_are_independent)
{
	begin_two(&slow);
	pair_two_configure(A, true, true);
	pair_two_configure(B, true, true);
	pair_pass(5 * SECOND, NULL);
	cr_expect(!(last_said().flags & EXT_TOGETHER));
	cable(false);
	pair_pass(SECOND, NULL);
	cr_expect(pair_has_both(A, CARP_MASTER, CARP_INIT) && pair_has_both(B, CARP_BACKUP, CARP_BACKUP));
	pair_pass(4 * SECOND, NULL);
	cr_expect(pair_has_both(A, CARP_MASTER, CARP_INIT) && pair_has_both(B, CARP_BACKUP, CARP_MASTER));
}

Test(pair_relief, waits_until_this_node_is_ready)
{
	begin_two(&slow);
	B->fact.ready = false;
	pair_two_facts(B, false);
	cable(false);
	pair_pass(SECOND, NULL);
	cr_expect(pair_has_both(B, CARP_BACKUP, CARP_BACKUP));
	B->fact.ready = true;
	pair_two_facts(B, false);
	pair_pass(SECOND, count_both);
	cr_expect(pair_has_both(B, CARP_MASTER, CARP_MASTER), "the next advert says it once more");
	cr_expect_eq(both_master, 0u);
}

Test(pair_relief, is_none_by_who_is_no_better_off)
{
	begin_two(&slow);
	B->fact.demotion = VHID_DEMOTION;
	pair_two_facts(B, false);
	cable(false);
	pair_pass(SECOND, NULL);
	cr_expect(pair_has_both(A, CARP_MASTER, CARP_INIT) && pair_has_both(B, CARP_BACKUP, CARP_BACKUP));
	pair_pass(4 * SECOND, NULL);
	cr_expect(pair_has_both(A, CARP_MASTER, CARP_INIT) && pair_has_both(B, CARP_BACKUP, CARP_MASTER),
		  "nobody has it");
}

Test(pair_relief, is_none_where_this_node_has_no_link)
{
	begin_two(&slow);
	cable(false);
	vhids_link(B->v, B->ifindex[SYNC], false, w.now);
	pair_pass(5 * SECOND, NULL);
	cr_expect(pair_has_both(A, CARP_MASTER, CARP_INIT) && pair_has_both(B, CARP_BACKUP, CARP_INIT));
}

/* That a node lives on one segment is no word of its being there on another. */
Test(pair_relief, is_no_sign_of_life)
{
	begin_two(&slow);
	pair_channel(SYNC, true, 0);
	pair_pass(5 * SECOND, NULL);
	cr_expect(pair_has_both(A, CARP_MASTER, CARP_MASTER) && pair_has_both(B, CARP_BACKUP, CARP_MASTER));
}

Test(pair_relief, is_not_to_be_had_by_a_recording)
{
	uint8_t frame[FRAME_MAX];
	size_t len;

	begin_two(&slow);
	w.cut[LAN] = true; /* nobody hears it yet */
	cable(false);
	pair_carry();
	len = w.last_len[LAN];
	memcpy(frame, w.last[LAN], len);
	cable(true);
	w.cut[LAN] = false;
	pair_pass(5 * SECOND, NULL);
	cr_assert(pair_has_both(A, CARP_MASTER, CARP_MASTER) && pair_has_both(B, CARP_BACKUP, CARP_BACKUP));
	pair_channel(SYNC, true, 0);
	pair_put(1, LAN, frame, len);
	pair_carry();
	cr_expect(pair_has_both(B, CARP_BACKUP, CARP_BACKUP));
	cr_expect_eq(B->faults[CARP_REPLAYED], 1u);
}

/* ---- whatever comes ---- */

static bool cables[2][CHANNELS];      /* by node: in */
static uint64_t both_since[CHANNELS]; /* both are master of it, and hear each other there; 0: not */
static uint64_t longest_both;

static void watch_both(void)
{
	struct vhid_view views[2][CHANNELS];

	for (unsigned int i = 0; i < 2; i++)
		vhids_show(w.nodes[i].v, views[i], CHANNELS);
	for (unsigned int c = 0; c < CHANNELS; c++) {
		bool both = views[0][c].carp.role == CARP_MASTER && views[1][c].carp.role == CARP_MASTER;

		both_since[c] = both && cables[0][c] && cables[1][c] ? both_since[c] ?: w.now : 0;
		if (both_since[c] && w.now - both_since[c] > longest_both)
			longest_both = w.now - both_since[c];
	}
}

static void plug(unsigned int node, unsigned int channel, bool in)
{
	struct node *n = &w.nodes[node];

	cables[node][channel] = in;
	pair_channel(channel, !cables[0][channel] || !cables[1][channel], 0);
	vhids_link(n->v, n->ifindex[channel], in, w.now);
}

static void something_happens(void)
{
	unsigned int node = rand() % 2;
	struct node *n = &w.nodes[node];

	switch (rand() % 5) {
	case 0:
	case 1:
		plug(node, rand() % CHANNELS, rand() % 2);
		break;
	case 2:
		n->fact.demotion = (unsigned int)rand() % 3;
		pair_two_facts(n, false);
		break;
	case 3:
		n->fact.ready = rand() % 4;
		pair_two_facts(n, false);
		break;
	default:
		vhids_hand_over(n->v, rand() % 2, w.now);
	}
}

static void all_is_well(void)
{
	for (unsigned int i = 0; i < 2; i++) {
		for (unsigned int c = 0; c < CHANNELS; c++)
			plug(i, c, true);
		w.nodes[i].fact = (struct vhid_node){ .ready = true };
		pair_two_facts(&w.nodes[i], false);
	}
}

/* Never two masters that hear each other for longer than a change takes, and after all node 0, which is the better one, has both. */
Test(pair_relief, histories)
{
	static const struct carp_settings fast = { .fast_ms = 20, .preempt = true };

	begin_two(&fast);
	memset(cables, true, sizeof(cables));
	for (unsigned int seed = 0; seed < 60; seed++) {
		srand(seed);
		longest_both = 0;
		for (int step = 0; step < 40; step++) {
			something_happens();
			pair_pass(rand() % 100 * MS, watch_both);
		}
		cr_expect_leq(longest_both, 2 * 20 * MS, "seed %u: %.3f ms", seed, (double)longest_both / MS);
		all_is_well();
		pair_pass(2 * SECOND, NULL);
		cr_expect(pair_has_both(A, CARP_MASTER, CARP_MASTER) && pair_has_both(B, CARP_BACKUP, CARP_BACKUP),
			  "seed %u", seed);
	}
}
