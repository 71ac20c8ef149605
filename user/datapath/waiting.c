// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fragments that have overtaken their first one, by which rules and states judge them. fl_tc_in hands them up; they come in again
 * as soon as that one has been forwarded, or are dropped when it does not come. Whoever sends more of them than there is room for
 * shortens their stay: the oldest go first, and what fl_waiting has no room for is dropped by the program.
 */

#include <string.h>

#include "fairlead/fragment.h"
#include "user/datapath/held.h"
#include "user/datapath/private.h"
#include "user/lib/log.h"

#define HELD_NS 500000000ULL
#define PUT 16 /* fragments of one call: the event loop has other things to do */

/* dp->waiting holds struct fl_waiting; len 0: gone */

/* Counted as the program would have, had it dropped it. */
static void give_up(struct datapath *dp, struct fl_waiting *fragment)
{
	const uint32_t port = fragment->port, l2_port = fragment->l2_port;
	struct fl_waited waited;

	if (map_get(dp, DP_MAP_WAITED, &port, &waited) == 0) {
		waited.drops.packets++;
		waited.drops.bytes += fragment->len;
		waited.drops.last_ns = monotonic_ns();
		map_put(dp, DP_MAP_WAITED, &port, &waited);
	}
	if (map_get(dp, DP_MAP_WAITED, &l2_port, &waited) == 0) {
		waited.rx_packets++;
		waited.rx_bytes += fragment->len;
		map_put(dp, DP_MAP_WAITED, &l2_port, &waited);
	}
	fragment->len = 0;
}

static void put_in(struct datapath *dp, struct fl_waiting *fragment)
{
	int err = held_inject(dp->waiting, fragment->ifindex, fragment->frame, fragment->len);

	if (err) { /* its device is gone, or down */
		log_debug("a fragment can't come in again: %s", strerror(-err));
		give_up(dp, fragment);
	}
	fragment->len = 0;
}

/* With one the fragments of its datagram that came before it: the first one may have come between two looks. Returns how many. */
static unsigned int put_in_until(struct datapath *dp, unsigned int last)
{
	const struct fl_waiting *one = held_at(dp->waiting, last);
	const struct fl_fragment_key key = one->key;
	unsigned int n = 0;

	for (unsigned int i = 0; i <= last; i++) {
		struct fl_waiting *fragment = held_at(dp->waiting, i);

		if (!fragment->len || memcmp(&fragment->key, &key, sizeof(key)) != 0)
			continue;
		put_in(dp, fragment);
		n++;
	}
	return n;
}

/* Not one that the programs would find too old: what comes in again must not come back. */
static bool first_is_there(struct datapath *dp, const struct fl_waiting *fragment)
{
	struct fl_fragment first;

	return map_get(dp, DP_MAP_FRAGMENTS, &fragment->key, &first) == 0 &&
	       (int32_t)(fragment->stamp - first.stamp) < (int32_t)(FL_FRAGMENT_S * dp->hz / 2);
}

static void look_for_firsts(struct datapath *dp)
{
	struct held *held = dp->waiting;
	const struct fl_waiting *first, *missing = NULL; /* most that wait for it stand together */
	uint64_t now = monotonic_ns();
	unsigned int put = 0;

	for (unsigned int i = 0; i < held_count(held); i++) {
		struct fl_waiting *fragment = held_at(held, i);

		if (!fragment->len)
			continue;
		if (put < PUT && !(missing && memcmp(&fragment->key, &missing->key, sizeof(missing->key)) == 0)) {
			if (first_is_there(dp, fragment)) {
				put += put_in_until(dp, i);
				continue;
			}
			missing = fragment;
		}
		if (now - fragment->time_ns > HELD_NS)
			give_up(dp, fragment);
	}
	while ((first = held_first(held)) && !first->len)
		held_drop_first(held);
}

static int take(void *arg, void *data, size_t len)
{
	const struct fl_waiting *fragment = data;
	struct datapath *dp = arg;
	struct fl_waiting *first;

	if (len < sizeof(*fragment) || !fragment->len || fragment->len > sizeof(fragment->frame))
		return 0;
	if (held_is_full(dp->waiting)) {
		first = held_first(dp->waiting);
		if (first->len)
			give_up(dp, first);
		held_drop_first(dp->waiting);
	}
	held_add(dp->waiting, fragment, offsetof(struct fl_waiting, frame) + fragment->len);
	return held_taken(dp->waiting);
}

bool datapath_waiting(struct datapath *dp)
{
	bool more = held_consume(dp->waiting);

	look_for_firsts(dp);
	return held_count(dp->waiting) || more;
}

int datapath_waiting_fd(const struct datapath *dp)
{
	return held_fd(dp->waiting);
}

void waiting_close(struct datapath *dp)
{
	held_close(dp->waiting);
	dp->waiting = NULL;
}

int waiting_open(struct datapath *dp)
{
	int err = held_open(&dp->waiting, dp->maps[DP_MAP_WAITING].fd, sizeof(struct fl_waiting), take, dp);

	return err ? log_ret(err, "fragments out of order can't be read") : 0;
}

static struct fl_waited waited_of(struct datapath *dp, uint32_t port)
{
	struct fl_waited waited;

	return map_get(dp, DP_MAP_WAITED, &port, &waited) ? (struct fl_waited){} : waited;
}

void waiting_add_drops(struct datapath *dp, uint32_t port, uint32_t reason, struct fl_drop_stats *stats)
{
	struct fl_waited waited;

	if (reason != FL_DROP_FRAGMENT)
		return;
	waited = waited_of(dp, port);
	stats->packets += waited.drops.packets;
	stats->bytes += waited.drops.bytes;
	if (waited.drops.last_ns > stats->last_ns)
		stats->last_ns = waited.drops.last_ns;
}

void waiting_add_received(struct datapath *dp, uint32_t port, struct fl_port_stats *stats)
{
	const struct fl_waited waited = waited_of(dp, port);

	stats->rx_packets += waited.rx_packets;
	stats->rx_bytes += waited.rx_bytes;
}
