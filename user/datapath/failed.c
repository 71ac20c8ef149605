// SPDX-License-Identifier: GPL-2.0-only
/*
 * Neighbours that did not answer, in fl_nh_failed. tc hands a packet for a neighbour that is not resolved to the kernel, which holds it,
 * asks, and gives up after three seconds without a word to the sender. So for some seconds after that the programs answer with
 * Destination Unreachable themselves, and the kernel is made to ask again for whom packets still come: no packet is lost by that.
 */

#include <linux/neighbour.h>
#include <string.h>

#include "user/datapath/private.h"
#include "user/lib/log.h"

/* Longer than the second to the next tick and the three in which the kernel asks again: without a gap while packets come */
#define FAILED_MS 6000

#define PROBES_MAX 256 /* a tick; each waits for the kernel's answer */

static struct fl_nexthop_key key_of(const struct system_neigh *neigh)
{
	return (struct fl_nexthop_key){ .ifindex = neigh->ifindex, .addr = addr_to_map(&neigh->addr) };
}

static bool has_failed(const struct system_neigh *neigh, uint64_t now)
{
	return neigh->state == NUD_FAILED && now - neigh->failed_ms < FAILED_MS;
}

void failed_take(struct datapath *dp, const struct system_neigh *neigh)
{
	struct fl_nexthop_key key = key_of(neigh);
	struct fl_failed value = { .until_s = (neigh->failed_ms + FAILED_MS) / 1000 };

	/* what was told before, not what was told at this millisecond */
	if (!has_failed(neigh, monotonic_ms()) || neigh->failed_ms < dp->failed_told_ms)
		return;
	if (map_put(dp, DP_MAP_NH_FAILED, &key, &value))
		log_debug("a neighbour that does not answer cannot be noted");
}

void failed_forget(struct datapath *dp, const struct fl_nexthop_key *key)
{
	map_delete(dp, DP_MAP_NH_FAILED, key);
}

/* Asked for since the kernel gave up: it shall ask again. Meanwhile it keeps the state, so that one call is enough. */
void failed_tick(struct datapath *dp)
{
	uint64_t now = monotonic_ms();
	const struct system_neigh *neigh;
	unsigned int probes = 0;

	for (size_t i = 0; (neigh = system_neigh_at(dp->system, i)) && probes < PROBES_MAX; i++) {
		struct fl_nexthop_key key = key_of(neigh);
		struct fl_failed value;

		if (!has_failed(neigh, now) || map_get(dp, DP_MAP_NH_FAILED, &key, &value) || !value.asked_s)
			continue;
		value.asked_s = 0;
		map_put(dp, DP_MAP_NH_FAILED, &key, &value);
		system_neigh_probe(dp->system, neigh->ifindex, &neigh->addr);
		probes++;
	}
}
