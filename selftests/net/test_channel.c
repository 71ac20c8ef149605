// SPDX-License-Identifier: GPL-2.0-only
/* The stream of a pair where all goes well. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "selftests/net/test_channel.h"
#include "selftests/net/test_system.h"

#define BIG (3u << 20)

TestSuite(channel, .init = set_up_channel, .fini = tear_down_channel, .timeout = 60);
TestSuite(channel6, .init = set_up_channel6, .fini = tear_down_channel, .timeout = 60);

static bool messages_are_there(void)
{
	return nodes[0].messages >= 2 && nodes[1].messages >= 2;
}

static void exchange(void)
{
	uint8_t *big = calloc(1, BIG);

	pair_open();
	cr_expect_eq(nodes[0].opened, 1);
	cr_expect_eq(nodes[1].opened, 1);
	for (int i = 0; i < 2; i++) {
		cr_expect_eq(sync_send(peer_of(i), PART_LAST + 1, "nobody's", 8), 0);
		cr_expect_eq(sync_send(peer_of(i), PART_FIRST, big, BIG), 0);
		cr_expect_gt(sync_waiting(peer_of(i)), BIG);
		cr_expect_eq(sync_send(peer_of(i), PART_LAST, "hello", 5), 0);
	}
	free(big);
	cr_assert(until(messages_are_there, 20));
	for (int i = 0; i < 2; i++) {
		cr_expect_eq(nodes[i].messages, 2);
		cr_expect_eq(nodes[i].last_type, PART_LAST);
		cr_expect_eq(nodes[i].last_len, 5);
		cr_expect_arr_eq(nodes[i].last, "hello", 5);
		cr_expect_eq(nodes[i].drained, 1);
		cr_expect_eq(nodes[i].closed, 0);
		cr_expect_eq(sync_waiting(peer_of(i)), 0);
	}
	cr_expect_eq(sync_send(peer_of(0), PART_FIRST, NULL, SYNC_FRAME_MAX + 1), -EMSGSIZE);
}

Test(channel, exchange)
{
	exchange();
}

Test(channel6, exchange)
{
	exchange();
}

Test(channel, shown)
{
	json_t *rows, *row;

	pair_open();
	cr_expect_str_eq(sync_peer_name(peer_of(0)), "fw1");
	cr_expect_eq(sync_peer_number(peer_of(0)), 2);
	cr_expect_eq(sync_peer_protocol(peer_of(0)), SYNC_PROTOCOL_MAX);
	cr_expect_not_null(json_object_get(sync_peer_hello(peer_of(0)), "states"));
	rows = channel_show(nodes[1].channel);
	cr_assert_eq(json_array_size(rows), 1);
	row = json_array_get(rows, 0);
	cr_expect_str_eq(text(row, "peer"), "fw0");
	cr_expect_str_eq(text(row, "address"), "127.0.0.1");
	cr_expect_str_eq(text(row, "role"), "primary");
	cr_expect_str_eq(text(row, "key"), "current");
	cr_expect_str_eq(text(row, "last_error"), "");
	cr_expect(json_is_true(json_object_get(row, "connected")));
	cr_expect(json_is_null(json_object_get(row, "lag_ms")));
	cr_expect_gt(number(row, "bytes_sent"), 100);
	cr_expect_gt(number(row, "bytes_received"), 100);
	json_decref(rows);
}

static bool clock_is_known(void)
{
	json_t *rows = channel_show(nodes[1].channel);
	bool known = json_is_integer(json_object_get(json_array_get(rows, 0), "clock_offset_ms"));

	json_decref(rows);
	return known;
}

/* Both have the same clock, and an answer takes no second. */
Test(channel, clocks)
{
	json_t *rows;

	pair_open();
	cr_assert(until(clock_is_known, 10));
	rows = channel_show(nodes[1].channel);
	cr_expect_lt(llabs(number(json_array_get(rows, 0), "clock_offset_ms")), 1000);
	json_decref(rows);
}
