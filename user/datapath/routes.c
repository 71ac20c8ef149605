// SPDX-License-Identifier: GPL-2.0-only
/* Routes that fairlead keeps in the kernel's main table: those of the configuration and those to brokers' clients. */

#include <errno.h>
#include <linux/ipv6_route.h>
#include <linux/membarrier.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "user/datapath/private.h"
#include "user/lib/log.h"

struct route_list {
	struct system_route *routes;
	size_t n, cap;
};

static int route_add(struct route_list *list, const struct system_route *route)
{
	if (list->n == list->cap) {
		size_t cap = list->cap ? list->cap * 2 : 64;
		struct system_route *routes = reallocarray(list->routes, cap, sizeof(*routes));

		if (!routes)
			return -ENOMEM;
		list->routes = routes;
		list->cap = cap;
	}
	list->routes[list->n++] = *route;
	return 0;
}

/* Of those that come first. Before any that the system learns of IPv6; of IPv4 behind the halves of a VPN client that is to carry everything. */
#define FIRST_METRIC 1

/*
 * What a route is in the kernel's table: itself, but an IPv4 default that comes first is two halves. Whatever default others learn, also with metric 0,
 * theirs is never in front, and ours is never in their way: a DHCP client adds its own only where there is none.
 */
static size_t split(const struct system_route *route, struct system_route parts[2])
{
	if (!route->first || route->destination.len || route->destination.addr.family != AF_INET) {
		parts[0] = *route;
		return 1;
	}
	for (uint32_t i = 0; i < 2; i++) {
		parts[i] = *route;
		parts[i].destination.len = 1;
		parts[i].destination.addr.v4.s_addr = htonl(i << 31);
	}
	return 2;
}

static bool same_prefix(const struct prefix *a, const struct prefix *b)
{
	return a->len == b->len && addr_equal(&a->addr, &b->addr);
}

/* One that is there: a metric of its own has only what comes first. */
static bool is_first(const struct system_route *there)
{
	return there->metric == FIRST_METRIC;
}

bool route_is_of(const struct system_route *there, const struct config_route *wanted)
{
	const struct system_route like = { .destination = wanted->destination, .first = is_first(there) };
	struct system_route parts[2];
	size_t n = split(&like, parts);

	for (size_t i = 0; i < n; i++)
		if (same_prefix(&there->destination, &parts[i].destination))
			return true;
	return false;
}

/* The gateway that a route goes by now; NULL: its group has none. */
const struct config_gateway *route_gateway(const struct datapath *dp, const struct config *config,
					   const struct config_route *wanted)
{
	if (!wanted->via.group)
		return wanted->via.gateway;
	return group_carrier(dp, config, wanted->via.group, family_of(&wanted->destination.addr));
}

/*
 * A look-up in the kernel's table takes a learned default without asking whether its next hop answers. Where that is the silent one of two, ours by
 * the other does not wait behind it: it comes first for as long. Another device's default that comes before both stays before ours.
 */
static bool overtakes(const struct datapath *dp, const struct system_route *route, const struct system_default *silent)
{
	const struct system_route like = { .destination = route->destination, .metric = silent->metric };
	uint32_t metric = silent->family == AF_INET6 ? IP6_RT_PRIO_USER : 0; /* of ours, as the kernel has it */
	struct system_route taken;

	if (route->destination.len || silent->metric > metric)
		return false;
	for (size_t i = 0; i < dp->n_defaults; i++)
		if (dp->defaults[i].family == silent->family && dp->defaults[i].metric < silent->metric)
			return false;
	return !system_get_others_default(dp->system, &like, &taken) && taken.ifindex == silent->ifindex;
}

static void put_first(struct system_route *route)
{
	route->first = true;
	route->metric = FIRST_METRIC;
}

/* As the kernel would have it; false: its device or its address is not there yet. A group without a member leads nowhere, not to where others' routes do. */
static bool route_of(const struct datapath *dp, const struct config *config, const struct config_route *wanted,
		     const struct port *ports, struct system_route *route)
{
	const struct config_gateway *gateway = route_gateway(dp, config, wanted);
	const struct port *port = gateway ? gateway_port(ports, gateway) : NULL;
	bool six = wanted->destination.addr.family == AF_INET6;
	struct learned hops[2];
	bool leads = port && port->present && gateway_hops(dp, gateway, port, hops) & (six ? FL_INET6 : FL_INET);

	*route = (struct system_route){ .destination = wanted->destination };
	if (wanted->via.group) {
		put_first(route);
		route->unreachable = !leads;
		if (route->unreachable)
			return true;
	}
	if (!leads)
		return false;
	route->ifindex = port->value.ifindex;
	if (!gateway_is_link(dp, gateway, port))
		route->gateway = hops[six].address;
	if (!route->first && hops[six].silent && overtakes(dp, route, hops[six].silent))
		put_first(route);
	return true;
}

/* behind: only if it is not one that comes first */
static bool is_installed(struct datapath *dp, const struct config_route *wanted, bool behind)
{
	struct system_route *routes = NULL;
	bool found = false;
	size_t n = 0;

	if (system_get_routes(dp->system, &routes, &n))
		return false;
	for (size_t i = 0; i < n && !found; i++)
		found = route_is_of(&routes[i], wanted) && !(behind && is_first(&routes[i]));
	free(routes);
	return found;
}

/*
 * A default that the system has learned, or was given by others, is used as it is: where it has the metric of ours, which then
 * finds no place, ours waits until it goes.
 */
static bool yields(struct datapath *dp, const struct config_route *wanted, const struct system_route *route,
		   struct system_route *others)
{
	return !route->destination.len && !route->first && !system_get_others_default(dp->system, route, others) &&
	       !is_installed(dp, wanted, true);
}

enum route_state route_state(struct datapath *dp, const struct config_route *wanted, struct system_route *others)
{
	struct system_route route;

	if (is_installed(dp, wanted, false))
		return ROUTE_ACTIVE;
	if (!route_of(dp, dp->config, wanted, dp->ports, &route) || !yields(dp, wanted, &route, others))
		return ROUTE_MISSING;
	return others->ifindex == route.ifindex && addr_equal(&others->gateway, &route.gateway) ? ROUTE_ACTIVE
												: ROUTE_YIELDS;
}

void routes_warn(struct datapath *dp, const struct config *config, const struct port *ports,
		 struct config_report *report)
{
	char pointer[32], gateway[ADDR_STRLEN];
	struct system_route route, others;
	const struct system_link *link;

	for (size_t i = 0; i < config->n_routes; i++) {
		if (!route_of(dp, config, &config->routes[i], ports, &route) ||
		    !yields(dp, &config->routes[i], &route, &others) ||
		    (others.ifindex == route.ifindex && addr_equal(&others.gateway, &route.gateway)))
			continue;
		link = system_link_by_index(dp->system, others.ifindex);
		snprintf(pointer, sizeof(pointer), "/routes/%zu", i);
		config_report_add(
			report, true, pointer,
			"the system has a default route of its own, with the same metric, by %s%s%s: that one "
			"is used as it is",
			link ? link->name : "no device", others.gateway.family ? " via " : "",
			addr_format(&others.gateway, gateway));
	}
}

/* A half of a default that the configuration has a route of its own to is not the default's. */
static bool is_taken(const struct config *config, const struct config_route *wanted, const struct system_route *part)
{
	for (size_t i = 0; i < config->n_routes; i++)
		if (&config->routes[i] != wanted && same_prefix(&config->routes[i].destination, &part->destination))
			return !same_prefix(&wanted->destination, &part->destination);
	return false;
}

static int route_add_parts(const struct config *config, const struct config_route *wanted,
			   const struct system_route *route, struct route_list *list)
{
	struct system_route parts[2];
	size_t n = split(route, parts);
	int err = 0;

	for (size_t i = 0; i < n && !err; i++)
		if (!is_taken(config, wanted, &parts[i]))
			err = route_add(list, &parts[i]);
	return err;
}

static int config_routes(struct datapath *dp, const struct config *config, const struct port *ports,
			 struct route_list *list)
{
	struct system_route route, others;
	int err = 0;

	for (size_t i = 0; i < config->n_routes && !err; i++) {
		const struct config_route *wanted = &config->routes[i];

		if (route_of(dp, config, wanted, ports, &route) && !yields(dp, wanted, &route, &others))
			err = route_add_parts(config, wanted, &route, list);
	}
	return err;
}

static bool in_own_network(const struct config_tunnel *tunnel, const struct addr *a)
{
	for (size_t i = 0; i < tunnel->n_addresses; i++)
		if (prefix_contains(&tunnel->addresses[i], a))
			return true;
	return false;
}

/* A client's prefixes go via its address where that is on the tunnel's network, else straight into the tunnel. */
static int client_routes(const struct config_tunnel *tunnel, const struct config_remote *remote, uint32_t ifindex,
			 struct route_list *list)
{
	struct system_route route = { .ifindex = ifindex };
	int err = 0;

	if (remote->address.family == AF_INET6) {
		if (in_own_network(tunnel, &remote->address)) {
			route.gateway = remote->address;
		} else {
			route.destination = (struct prefix){ remote->address, 128 };
			err = route_add(list, &route);
		}
	}
	for (size_t i = 0; i < remote->n_routes && !err; i++) {
		route.destination = remote->routes[i];
		err = route_add(list, &route);
	}
	return err;
}

static int brokers_routes(const struct config *config, const struct port *ports, struct route_list *list)
{
	int err = 0;

	for (size_t i = 0; i < config->n_tunnels; i++) {
		const struct config_tunnel *tunnel = &config->tunnels[i];
		const struct port *port = port_of_tunnel(ports, tunnel);

		if (!tunnel->broker || !port || !port->present)
			continue;
		for (size_t j = 0; j < tunnel->n_remotes && !err; j++)
			err = client_routes(tunnel, &tunnel->remotes[j], port->value.ifindex, list);
	}
	return err;
}

struct routes_change {
	size_t n;
	struct system_route routes[];
};

static void routes_change_back(struct datapath *dp, const void *data)
{
	const struct routes_change *change = data;
	size_t conflict;
	int err = system_set_routes(dp->system, change->routes, change->n, &conflict);

	if (err)
		log_ret(err, "cannot put the routes back");
}

static int remember_routes(struct datapath *dp, struct undo *undo)
{
	struct system_route *routes = NULL;
	struct routes_change *change;
	size_t n = 0;
	int err = system_get_routes(dp->system, &routes, &n);

	if (err)
		return err;
	change = calloc(1, sizeof(*change) + n * sizeof(*routes));
	if (change) {
		change->n = n;
		if (n)
			memcpy(change->routes, routes, n * sizeof(*routes));
		undo_push(undo, routes_change_back, change, sizeof(*change) + n * sizeof(*routes));
	}
	free(change);
	free(routes);
	return change ? 0 : -ENOMEM;
}

static int refused(const struct route_list *list, size_t conflict, int err, char **why)
{
	char destination[PREFIX_STRLEN], gateway[ADDR_STRLEN];

	if (conflict >= list->n)
		return fail(why, err, "cannot set the routes: %s", strerror(-err));
	prefix_format(&list->routes[conflict].destination, destination);
	for (size_t i = 0; i < list->n && err == -EEXIST; i++)
		if (i != conflict && list->routes[i].destination.len == list->routes[conflict].destination.len &&
		    addr_equal(&list->routes[i].destination.addr, &list->routes[conflict].destination.addr))
			return fail(why, err, "two routes to %s", destination);
	if (err == -EEXIST)
		return fail(why, err, "there is a route to %s that is not fairlead's; remove one of the two",
			    destination);
	addr_format(&list->routes[conflict].gateway, gateway);
	return fail(why, err, "cannot set the route to %s%s%s: %s", destination, gateway[0] ? " via " : "", gateway,
		    strerror(-err));
}

static int wanted_routes(struct datapath *dp, const struct config *config, const struct port *ports,
			 struct route_list *list)
{
	int err = config_routes(dp, config, ports, list);

	return err ?: brokers_routes(config, ports, list);
}

/* ---- groups that use another member ---- */

static bool same_way(const struct system_route *a, const struct system_route *b)
{
	if (a->unreachable || b->unreachable)
		return a->unreachable == b->unreachable;
	return a->ifindex == b->ifindex && addr_equal(&a->gateway, &b->gateway);
}

/* What routes_apply() has made of them. */
static void group_routes_keep(struct datapath *dp, const struct config *config, const struct port *ports)
{
	struct system_route *routes = calloc(config->n_routes + 1, sizeof(*routes));

	for (size_t i = 0; i < config->n_routes && routes; i++)
		if (config->routes[i].via.group)
			route_of(dp, config, &config->routes[i], ports, &routes[i]);
	free(dp->group_routes);
	dp->group_routes = routes;
}

static int move_parts(struct datapath *dp, const struct config_route *wanted, const struct system_route *from,
		      const struct system_route *to)
{
	struct system_route old[2], new[2];
	size_t n = split(from, old);
	int err = 0;

	split(to, new);
	for (size_t i = 0; i < n; i++)
		if (!is_taken(dp->config, wanted, &new[i]))
			err = system_move_route(dp->system, &old[i], &new[i]) ?: err;
	return err;
}

void routes_follow(struct datapath *dp)
{
	struct system_route route;
	bool moved = false;
	int err;

	if (!dp->group_routes)
		return;
	for (size_t i = 0; i < dp->config->n_routes; i++) {
		struct system_route *now = &dp->group_routes[i];

		if (!dp->config->routes[i].via.group)
			continue;
		route_of(dp, dp->config, &dp->config->routes[i], dp->ports, &route);
		if (same_way(now, &route))
			continue;
		err = move_parts(dp, &dp->config->routes[i], now, &route);
		if (err && err != -EEXIST) { /* the device is on its way out, or in: the next look puts it right */
			log_ret(err, "a route cannot follow its gateway group");
			dp->routes_dirty = true;
		}
		*now = route;
		moved = true;
	}
	if (moved) /* a way asked for between the timekeeper's word and here is the old one */
		datapath_health_written(dp);
}

int routes_apply(struct datapath *dp, const struct config *config, const struct port *ports, struct undo *undo,
		 char **why)
{
	struct route_list list = {};
	size_t conflict = SIZE_MAX;
	int err = wanted_routes(dp, config, ports, &list);

	if (!err && undo)
		err = remember_routes(dp, undo);
	if (!err) {
		err = system_set_routes(dp->system, list.routes, list.n, &conflict);
		if (err)
			refused(&list, conflict, err, why);
		else
			group_routes_keep(dp, config, ports);
	}
	free(list.routes);
	return err;
}

/* ---- routes that a change moves ---- */

static int compare_routes(const void *a, const void *b)
{
	const struct system_route *x = a, *y = b;
	int order = addr_compare(&x->destination.addr, &y->destination.addr);

	if (!order)
		order = x->destination.len < y->destination.len ? -1 : x->destination.len > y->destination.len;
	if (!order)
		order = addr_compare(&x->gateway, &y->gateway);
	return order ? order : x->ifindex < y->ifindex ? -1 : x->ifindex > y->ifindex;
}

static int hold(struct datapath *dp, const struct prefix *destination, uint32_t held)
{
	unsigned int len = destination->len + (destination->addr.family == AF_INET ? 96 : 0);
	const struct fl_held_key key = { .prefixlen = 32 + len, .addr = addr_to_map(&destination->addr) };

	return map_put(dp, DP_MAP_HELD, &key, &held);
}

/* How many routes of two sorted lists differ; with `write`, fl_held is told of all. */
static int hold_differences(struct datapath *dp, const struct route_list *a, const struct route_list *b, bool write,
			    size_t *n)
{
	size_t i = 0, j = 0;
	int err = 0;

	*n = 0;
	while (!err && (i < a->n || j < b->n)) {
		int order = i == a->n ? 1 : j == b->n ? -1 : compare_routes(&a->routes[i], &b->routes[j]);

		*n += order != 0;
		if (write)
			err = hold(dp, order <= 0 ? &a->routes[i].destination : &b->routes[j].destination, order != 0);
		i += order <= 0;
		j += order >= 0;
	}
	return err;
}

/* What has a longer route that stays is not held: others' routes, which go in first, and those of ours. */
static int hold_fill(struct datapath *dp, const struct route_list *there, const struct route_list *wanted)
{
	struct prefix *others = NULL;
	size_t n = 0;
	int err = system_get_others_destinations(dp->system, &others, &n);

	for (size_t i = 0; i < n && !err; i++)
		err = hold(dp, &others[i], 0);
	free(others);
	return err ?: hold_differences(dp, there, wanted, true, &n);
}

static void collect_held(void *arg, const void *key, const void *value)
{
	struct entries *entries = arg;

	(void)value;
	if (entries_add(entries, key, 0))
		log_warnx("out of memory");
}

static void hold_clear(struct datapath *dp)
{
	struct entries held = { .key_size = sizeof(struct fl_held_key) };

	map_walk(dp, DP_MAP_HELD, collect_held, &held);
	for (size_t i = 0; i < held.n; i++)
		map_delete(dp, DP_MAP_HELD, entry_key(&held, i));
	free(held.records);
}

/* Where the tables of routes are more than fl_held has room for. */
static int hold_everything(struct datapath *dp)
{
	const struct prefix all = { .addr = { .family = AF_INET6 } }; /* IPv4-mapped addresses too */

	hold_clear(dp);
	return hold(dp, &all, 1);
}

/* How long something is held that a daemon which is killed meanwhile leaves; and a tenth of a millisecond more for each route */
#define HOLD_MS 200

static void hold_until(struct datapath *dp, size_t n)
{
	dp->held_routes = n;
	dp->control.held_until_ns = (monotonic_ms() + HOLD_MS + n / 10) * 1000000;
}

void wait_for_programs(void)
{
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0))
		usleep(20000);
}

/*
 * From here on until routes_release() packets to destinations whose route the configuration changes are dropped: they would
 * meet the tables of one configuration and the routes of the other. All others go on.
 */
int routes_hold(struct datapath *dp, const struct config *config, const struct port *ports)
{
	struct route_list wanted = {}, there = {};
	size_t n = 0;
	int err = wanted_routes(dp, config, ports, &wanted);

	err = err ?: system_get_routes(dp->system, &there.routes, &there.n);
	if (err)
		goto out;
	if (wanted.n)
		qsort(wanted.routes, wanted.n, sizeof(*wanted.routes), compare_routes);
	qsort(there.routes, there.n, sizeof(*there.routes), compare_routes);
	hold_differences(dp, &there, &wanted, false, &n);
	if (!n)
		goto out;
	err = hold_fill(dp, &there, &wanted);
	if (err == -ENOSPC)
		err = hold_everything(dp);
	if (err)
		goto out;
	hold_until(dp, n);
	control_bump(dp);
	wait_for_programs();
out:
	free(wanted.routes);
	free(there.routes);
	return err ? log_ret(err, "cannot hold packets to destinations whose routes change") : 0;
}

/* A while more. */
void routes_hold_on(struct datapath *dp)
{
	if (!dp->control.held_until_ns)
		return;
	hold_until(dp, dp->held_routes);
	control_write(dp);
}

/* Also what a daemon held that was killed in the middle of a change. */
void routes_release(struct datapath *dp)
{
	if (!dp->control.held_until_ns)
		return;
	dp->control.held_until_ns = 0;
	control_bump(dp);
	hold_clear(dp);
}
