// SPDX-License-Identifier: GPL-2.0-only
/* What the programs must know of the kernel's routing besides what bpf_fib_lookup() says: enum fl_routing, and fl_route_mtu. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/datapath/private.h"
#include "user/lib/log.h"

static struct fl_route_mtu_key key_of(const struct system_route_mtu *route)
{
	unsigned int len = route->destination.len + (route->destination.addr.family == AF_INET ? 96 : 0);
	const struct addr destination = prefix_network(&route->destination);

	return (struct fl_route_mtu_key){ .prefixlen = 32 + len, .addr = addr_to_map(&destination) };
}

static bool is_wanted(struct datapath *dp, const struct fl_route_mtu_key *key)
{
	const struct system_route_mtu *route;

	for (size_t i = 0; (route = system_route_mtu_at(dp->system, i)); i++) {
		struct fl_route_mtu_key other = key_of(route);

		if (memcmp(&other, key, sizeof(other)) == 0)
			return true;
	}
	return false;
}

static void collect_key(void *arg, const void *key, const void *value)
{
	(void)value;
	if (entries_add(arg, key, 0))
		log_warnx("out of memory");
}

/* There are few such routes: on most machines none. */
static int route_mtus_write(struct datapath *dp, size_t *n)
{
	struct entries there = { .key_size = sizeof(struct fl_route_mtu_key) };
	const struct system_route_mtu *route;
	int err = map_walk(dp, DP_MAP_ROUTE_MTU, collect_key, &there);

	for (size_t i = 0; i < there.n && !err; i++)
		if (!is_wanted(dp, (const void *)entry_key(&there, i)))
			err = map_delete(dp, DP_MAP_ROUTE_MTU, entry_key(&there, i));
	free(there.records);
	for (*n = 0; !err && (route = system_route_mtu_at(dp->system, *n)); (*n)++) {
		struct fl_route_mtu_key key = key_of(route);
		struct fl_route_mtu value = { .ifindex = route->ifindex, .mtu = route->mtu };

		if (route->gateway.family)
			value.gateway = addr_to_map(&route->gateway);
		err = map_put(dp, DP_MAP_ROUTE_MTU, &key, &value);
	}
	return err;
}

int routing_sync(struct datapath *dp, bool mtus)
{
	uint32_t routing = dp->control.routing & FL_ROUTING_MTU;
	size_t n = 0;
	int err = 0;

	if (mtus) {
		err = route_mtus_write(dp, &n);
		routing = n ? FL_ROUTING_MTU : 0;
	}
	if (system_rules_look_at_transport(dp->system))
		routing |= FL_ROUTING_TRANSPORT;
	dp->control.routing = routing;
	control_write(dp);
	return err ? log_ret(err, "cannot write the table of routes with an MTU") : 0;
}
