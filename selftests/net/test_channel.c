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

static bool peer_mtu_is_new(void)
{
	json_t *rows = channel_show(nodes[1].channel);
	bool is = number(json_array_get(rows, 0), "peer_mtu") == 9000;

	json_decref(rows);
	return is;
}

/* Each knows the other end's, from HELLO and when it changes. */
Test(channel, mtu)
{
	json_t *rows;

	pair_open();
	rows = channel_show(nodes[1].channel);
	cr_expect_eq(number(json_array_get(rows, 0), "mtu"), 65536);
	cr_expect_eq(number(json_array_get(rows, 0), "peer_mtu"), 65536);
	cr_expect_str_eq(text(json_array_get(rows, 0), "peer_device"), "lo");
	json_decref(rows);
	run("ip link set lo mtu 9000");
	cr_assert(until(peer_mtu_is_new, 10));
	cr_expect_eq(nodes[1].opened, 1, "by the same connection");
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

/* ---- the end of it, and what comes after ---- */

static bool node_0_has_lost_it(void)
{
	return nodes[0].closed;
}

static bool both_lost(void)
{
	return nodes[0].closed && nodes[1].closed;
}

static bool connected_twice(void)
{
	return both_connected() && nodes[0].opened == 2 && nodes[1].opened == 2;
}

/* A node whose loop stands still is as good as dead. When it goes on it has lost nobody by its own fault, and is connected to again. */
Test(channel, stands_still)
{
	pair_open();
	nodes[1].still = true;
	cr_assert(until(node_0_has_lost_it, 20));
	cr_expect(strstr(sync_peer_last_error(peer_of(0)), "nothing was heard"), "%s",
		  sync_peer_last_error(peer_of(0)));
	cr_expect_geq(sync_peer_silent_ms(peer_of(0)), SYNC_DEAD_MS - 500);
	nodes[1].still = false;
	cr_assert(until(connected_twice, 20));
}

Test(channel, dropped)
{
	pair_open();
	sync_drop(peer_of(0), "its table is another one");
	cr_expect(sync_peer_connected(peer_of(0)), "not before the loop goes on");
	cr_assert(until(both_lost, 20));
	cr_expect_str_eq(sync_peer_last_error(peer_of(0)), "its table is another one");
	cr_expect_str_eq(sync_peer_last_error(peer_of(1)), "it says: its table is another one");
	cr_assert(until(connected_twice, 20));
}

static bool stops(void)
{
	return !strcmp(sync_peer_last_error(peer_of(1)), "it says: fairleadd stops");
}

static bool nobody_there(void)
{
	return !strcmp(sync_peer_last_error(peer_of(0)), "no fairleadd listens there");
}

Test(channel, restarts)
{
	pair_open();
	channel_close(nodes[0].channel);
	nodes[0].channel = NULL;
	cr_assert(until(stops, 20));
	cr_expect_eq(nodes[1].closed, 1);
	channel_close(nodes[1].channel);
	node_open(0);
	cr_assert(until(nobody_there, 20), "%s", sync_peer_last_error(peer_of(0)));
	node_open(1);
	cr_assert(until(both_connected, 20));
}

/* ---- another configuration ---- */

static const char *key_of_peer(int i)
{
	static char name[16];
	json_t *rows = channel_show(nodes[i].channel);

	snprintf(name, sizeof(name), "%s", text(json_array_get(rows, 0), "key"));
	json_decref(rows);
	return name;
}

static void use_keys(int i, uint8_t first, uint8_t second)
{
	nodes[i].keys = (struct sync_keys){ .n = second ? 2 : 1 };
	key_of(&nodes[i].keys.key[0], first);
	if (second)
		key_of(&nodes[i].keys.key[1], second);
	cr_assert_eq(channel_configure(nodes[i].channel, &nodes[i].settings), 0);
}

static bool both_use_the_new(void)
{
	return both_connected() && !strcmp(key_of_peer(0), "current") && !strcmp(key_of_peer(1), "current");
}

/* The one that connects first, or last. */
static void change_keys(int first)
{
	pair_open();
	use_keys(first, 2, 1);
	go_ms(1500);
	cr_expect_str_eq(key_of_peer(first), "old");
	use_keys(!first, 2, 1);
	cr_assert(until(both_use_the_new, 20));
	use_keys(first, 2, 0);
	use_keys(!first, 2, 0);
	go_ms(300);
	cr_expect(both_use_the_new());
	cr_expect_eq(nodes[0].opened, 2, "another connection has taken the first one's place");
	cr_expect_eq(nodes[0].closed, 1);
	cr_expect_str_eq(sync_peer_last_error(peer_of(0)), "");
	cr_expect_str_eq(sync_peer_last_error(peer_of(1)), "");
}

Test(channel, keys)
{
	change_keys(0);
}

Test(channel, keys_of_the_other)
{
	change_keys(1);
}

Test(channel, key_taken_out)
{
	pair_open();
	use_keys(1, 2, 0);
	cr_expect_eq(nodes[1].closed, 1, "at once");
	cr_assert(until(both_lost, 20));
	cr_expect(strstr(sync_peer_last_error(peer_of(0)), "was taken out of the key file"), "%s",
		  sync_peer_last_error(peer_of(0)));
	use_keys(0, 2, 1);
	cr_assert(until(connected_twice, 20));
}

/* Who has just been sent to hears all of it, and why it was the last; what it has sent itself nobody has read. */
Test(channel, farewell)
{
	static const uint8_t much[64 << 10];

	pair_open();
	nodes[1].still = true;
	for (int i = 0; i < 2; i++)
		cr_expect_eq(sync_send(peer_of(i), PART_FIRST, much, sizeof(much)), 0);
	go_ms(100);
	cr_expect_eq(sync_send(peer_of(1), PART_LAST, "last", 4), 0);
	use_keys(1, 2, 0);
	nodes[1].still = false;
	cr_assert(until(both_lost, 20));
	cr_expect_eq(nodes[0].messages, 2);
	cr_expect_arr_eq(nodes[0].last, "last", 4);
	cr_expect(strstr(sync_peer_last_error(peer_of(0)), "was taken out of the key file"), "%s",
		  sync_peer_last_error(peer_of(0)));
}

Test(channel, configured)
{
	struct sync_peer *before;

	pair_open();
	before = peer_of(0);
	nodes[0].settings.n_peers = 2;
	nodes[0].peers[1] = addr("127.0.0.9");
	cr_assert_eq(channel_configure(nodes[0].channel, &nodes[0].settings), 0);
	cr_expect_eq(peer_of(0), before);
	cr_expect_eq(nodes[0].closed, 0, "the other peer is the same");
	nodes[0].settings.role = "secondary";
	cr_assert_eq(channel_configure(nodes[0].channel, &nodes[0].settings), 0);
	cr_expect_eq(nodes[0].closed, 1, "the peer has to know that");
	cr_assert(until(connected_twice, 20));
	cr_expect_str_eq(text((json_t *)sync_peer_hello(peer_of(1)), "role"), "secondary");
	nodes[0].settings.n_peers = 1;
	nodes[0].peers[0] = addr("127.0.0.9");
	cr_assert_eq(channel_configure(nodes[0].channel, &nodes[0].settings), 0);
	cr_expect_eq(nodes[0].closed, 2);
	cr_expect_null(channel_peer_at(nodes[0].channel, 1));
}
