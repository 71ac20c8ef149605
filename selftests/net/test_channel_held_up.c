// SPDX-License-Identifier: GPL-2.0-only
/* The stream of a pair whose one node is busy: its loop stands still, and by another way it tells that it lives. */
#include <criterion/criterion.h>
#include <string.h>

#include "selftests/net/test_channel.h"
#include "user/lib/clock.h"
#include "user/sync/channel_internal.h"

#define BIG (3u << 20)

TestSuite(channel_held_up, .init = set_up_channel, .fini = tear_down_channel, .timeout = 60);

static bool has_lost_it(void)
{
	return nodes[0].closed;
}

static bool big_is_there(void)
{
	return nodes[1].messages == 1 && nodes[1].last_len == BIG;
}

/* More waits for it than its kernel has room for. */
static void hold_up(void)
{
	static uint8_t big[BIG];

	nodes[1].still = true;
	cr_assert_eq(sync_send(peer_of(0), PART_FIRST, big, sizeof(big)), 0);
}

static bool is_busy(void)
{
	json_t *reasons = json_array();
	bool is;

	channel_reasons(nodes[0].channel, reasons);
	is = json_array_size(reasons) == 1 &&
	     strstr(json_string_value(json_array_get(reasons, 0)), "is busy since 3 s");
	json_decref(reasons);
	return is;
}

/* Its loop alone is held up, for twice as long as a dead peer is waited for: nobody is lost, and all arrives. */
Test(channel_held_up, busy)
{
	pair_open();
	nodes[1].beats = true;
	hold_up();
	cr_assert(until(is_busy, 5));
	go_ms(2 * SYNC_DEAD_MS - 3000);
	cr_expect_eq(nodes[0].closed, 0, "%s", sync_peer_last_error(peer_of(0)));
	nodes[1].still = false;
	cr_assert(until(big_is_there, 20), "%s", sync_peer_last_error(peer_of(0)));
	go_ms(SYNC_DEAD_MS + 500);
	for (int i = 0; i < 2; i++) {
		cr_expect_eq(nodes[i].opened, 1);
		cr_expect_eq(nodes[i].closed, 0, "%s", sync_peer_last_error(peer_of(i)));
	}
	cr_expect_not(is_busy());
}

/* Then its beats end, too. */
Test(channel_held_up, and_dead)
{
	long long begin_ms;

	pair_open();
	nodes[1].beats = true;
	hold_up();
	go_ms(SYNC_DEAD_MS + 1000);
	cr_expect_eq(nodes[0].closed, 0);
	begin_ms = clock_ms(CLOCK_MONOTONIC);
	nodes[1].beats = false;
	cr_assert(until(has_lost_it, 20));
	cr_expect_leq(clock_ms(CLOCK_MONOTONIC) - begin_ms, 1000);
	cr_expect(strstr(sync_peer_last_error(peer_of(0)), "nothing was heard from it for 3 s"), "%s",
		  sync_peer_last_error(peer_of(0)));
}

/* Who beats is another start of it than the one that this connection is with. */
Test(channel_held_up, another_start)
{
	pair_open();
	nodes[1].beats = true;
	nodes[1].settings.epoch++;
	nodes[1].still = true;
	cr_assert(until(has_lost_it, SYNC_DEAD_MS / 1000 + 2));
}

/* Not for ever. */
Test(channel_held_up, hangs)
{
	pair_open();
	nodes[1].beats = true;
	nodes[1].still = true;
	go_ms(SYNC_DEAD_MS + 500);
	cr_expect_eq(nodes[0].closed, 0);
	nodes[0].channel->peers[0]->conn->silent += TICKS(SYNC_HELD_UP_MS - SYNC_DEAD_MS - 1000);
	cr_assert(until(has_lost_it, 3));
	cr_expect(strstr(sync_peer_last_error(peer_of(0)), "nothing but beats was heard from it for 60 s"), "%s",
		  sync_peer_last_error(peer_of(0)));
}
