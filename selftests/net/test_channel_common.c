// SPDX-License-Identifier: GPL-2.0-only
#include "selftests/net/test_channel.h"

#include <criterion/criterion.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "selftests/net/test_system.h"
#include "user/lib/clock.h"

struct node nodes[NODES];

static bool v6;

static void set_up_lo(void)
{
	if (geteuid())
		cr_skip_test("needs root");
	signal(SIGPIPE, SIG_IGN); /* as the daemon does */
	cr_assert_eq(unshare(CLONE_NEWNET), 0);
	run("ip link set lo up");
}

void set_up_channel(void)
{
	set_up_lo();
}

void set_up_channel6(void)
{
	v6 = true;
	set_up_lo();
	for (int i = 1; i <= NODES; i++)
		run("ip addr add 2001:db8::%d/128 dev lo nodad", i);
}

void tear_down_channel(void)
{
	for (int i = 0; i < NODES; i++) {
		channel_close(nodes[i].channel);
		if (nodes[i].base)
			event_base_free(nodes[i].base);
	}
}

/* ---- a part that counts ---- */

static void on_opened(void *arg, struct sync_peer *peer)
{
	(void)peer;
	((struct node *)arg)->opened++;
}

static void on_closed(void *arg, struct sync_peer *peer)
{
	cr_expect(!sync_peer_connected(peer));
	((struct node *)arg)->closed++;
}

static void on_drained(void *arg, struct sync_peer *peer)
{
	(void)peer;
	((struct node *)arg)->drained++;
}

static int on_message(void *arg, struct sync_peer *peer, uint16_t type, const uint8_t *data, size_t len)
{
	struct node *node = arg;

	(void)peer;
	node->messages++;
	node->last_type = type;
	node->last_len = len;
	memcpy(node->last, data, len < sizeof(node->last) ? len : sizeof(node->last));
	return node->answer;
}

static json_t *say_hello(void *arg, struct sync_peer *peer)
{
	(void)arg, (void)peer;
	return json_pack("{s:i}", "tables", 1);
}

static void show(void *arg, struct sync_peer *peer, json_t *row)
{
	(void)peer;
	json_object_set_new(row, "sent", json_integer(((struct node *)arg)->messages));
}

/* ---- nodes ---- */

static bool lives(void *arg, const struct addr *peer, uint64_t epoch)
{
	(void)arg;
	for (int i = 0; i < NODES; i++)
		if (addr_equal(&nodes[i].local, peer))
			return nodes[i].beats && epoch == nodes[i].settings.epoch;
	return false;
}

void key_of(struct sync_key *key, uint8_t seed)
{
	uint8_t secret[SYNC_KEY_BYTES];

	memset(secret, seed, sizeof(secret));
	cr_assert_eq(sync_key_derive(secret, key), 0);
}

static struct addr node_addr(int i)
{
	char text[ADDR_STRLEN];

	snprintf(text, sizeof(text), v6 ? "2001:db8::%d" : "127.0.0.%d", i + 1);
	return addr(text);
}

void node_prepare(int i, int peer, uint8_t seed)
{
	static const char *const names[NODES] = { "fw0", "fw1", "fw2" };
	struct node *node = &nodes[i];

	node->base = event_base_new();
	node->local = node_addr(i);
	node->peers[0] = node_addr(peer);
	node->keys.n = 1;
	key_of(&node->keys.key[0], seed);
	node->settings = (struct channel_settings){ .device = "lo",
						    .local = node->local,
						    .peers = node->peers,
						    .n_peers = 1,
						    .port = PORT,
						    .keys = &node->keys,
						    .node = names[i],
						    .number = i + 1,
						    .epoch = i + 1,
						    .role = i ? "secondary" : "primary",
						    .lives = lives };
	node->part = (struct sync_part){ .name = "states",
					 .first = PART_FIRST,
					 .last = PART_LAST,
					 .hello = say_hello,
					 .opened = on_opened,
					 .closed = on_closed,
					 .message = on_message,
					 .drained = on_drained,
					 .show = show,
					 .arg = node };
}

void node_open(int i)
{
	cr_assert_eq(channel_open(&nodes[i].channel, nodes[i].base, &nodes[i].settings), 0);
	channel_part(nodes[i].channel, &nodes[i].part);
}

struct sync_peer *peer_of(int i)
{
	return channel_peer_at(nodes[i].channel, 0);
}

bool both_connected(void)
{
	return sync_peer_connected(peer_of(0)) && sync_peer_connected(peer_of(1));
}

void pair_open(void)
{
	node_prepare(0, 1, 1);
	node_prepare(1, 0, 1);
	node_open(0);
	node_open(1);
	cr_assert(until(both_connected, 10));
}

/* ---- time ---- */

static void step(void)
{
	for (int i = 0; i < NODES; i++)
		if (nodes[i].base && !nodes[i].still)
			event_base_loop(nodes[i].base, EVLOOP_NONBLOCK);
	usleep(500);
}

void go_ms(int ms)
{
	long long end = clock_ms(CLOCK_MONOTONIC) + ms;

	do
		step();
	while (clock_ms(CLOCK_MONOTONIC) < end);
}

bool until(bool (*holds)(void), int seconds)
{
	long long end = clock_ms(CLOCK_MONOTONIC) + seconds * 1000LL;

	while (!holds()) {
		if (clock_ms(CLOCK_MONOTONIC) > end)
			return false;
		step();
	}
	return true;
}
