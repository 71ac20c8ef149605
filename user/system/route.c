/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The set of routes that bear fairlead's protocol number, made what is wanted by as few changes as there are differences.
 *
 * A route whose next hop changes is first added beside the old one and then the old one taken away, so that there is always
 * a route. All others are added only where nobody has a route of the same destination and metric.
 */
#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "user/lib/log.h"
#include "user/system/internal.h"
#include "user/system/route_msg.h"

#define IPV6_METRIC 1024 /* IP6_RT_PRIO_USER: what the kernel makes of no metric; of IPv4 it makes 0 */

struct wanted {
	struct route_entry entry;
	size_t index; /* in the caller's array */
	bool there;
	bool beside; /* there are ours of the same destination and metric */
	bool added;
};

struct existing {
	struct route_entry entry;
	bool keep;
	bool deleted;
};

struct change {
	struct wanted *wanted;
	struct existing *existing;
	size_t n_wanted, n_existing;
};

static int compare_number(uint32_t a, uint32_t b)
{
	return a < b ? -1 : a > b;
}

/* By what the kernel has only one of: destination and metric. */
static int compare_key(const struct system_route *a, const struct system_route *b)
{
	int diff = addr_compare(&a->destination.addr, &b->destination.addr);

	if (!diff)
		diff = compare_number(a->destination.len, b->destination.len);
	return diff ? diff : compare_number(a->metric, b->metric);
}

static int compare_wanted(const void *a, const void *b)
{
	return compare_key(&((const struct wanted *)a)->entry.route, &((const struct wanted *)b)->entry.route);
}

static int compare_existing(const void *a, const void *b)
{
	return compare_key(&((const struct existing *)a)->entry.route, &((const struct existing *)b)->entry.route);
}

static bool is_wanted(const struct route_entry *entry, const struct system_route *route)
{
	if (route->unreachable)
		return entry->type == RTN_UNREACHABLE && !entry->tos;
	return entry->type == RTN_UNICAST && !entry->tos && !entry->nexthop && entry->route.ifindex == route->ifindex &&
	       addr_equal(&entry->route.gateway, &route->gateway);
}

static void normalise(const struct system_route *from, struct route_entry *to)
{
	memset(to, 0, sizeof(*to));
	to->type = from->unreachable ? RTN_UNREACHABLE : RTN_UNICAST;
	to->route = *from;
	to->route.destination.addr = prefix_network(&from->destination);
	if (!from->metric && from->destination.addr.family == AF_INET6)
		to->route.metric = IPV6_METRIC;
}

/* Sorted by key. -EEXIST: two of one key, *conflict is the later one. */
static int change_wanted(struct change *c, const struct system_route *routes, size_t n, size_t *conflict)
{
	c->wanted = calloc(n + 1, sizeof(*c->wanted));
	if (!c->wanted)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		if (routes[i].destination.addr.family != AF_INET && routes[i].destination.addr.family != AF_INET6) {
			*conflict = i;
			return -EAFNOSUPPORT;
		}
		normalise(&routes[i], &c->wanted[i].entry);
		c->wanted[i].index = i;
	}
	c->n_wanted = n;
	qsort(c->wanted, n, sizeof(*c->wanted), compare_wanted);
	for (size_t i = 1; i < n; i++) {
		size_t a = c->wanted[i - 1].index, b = c->wanted[i].index;

		if (!compare_wanted(&c->wanted[i - 1], &c->wanted[i])) {
			*conflict = a > b ? a : b;
			return -EEXIST;
		}
	}
	return 0;
}

static int change_existing(struct change *c, struct system *s)
{
	struct route_entry *entries = NULL;
	size_t n;
	int err = route_dump(s, true, &entries, &n);

	if (err)
		return err;
	c->existing = calloc(n + 1, sizeof(*c->existing));
	if (!c->existing) {
		free(entries);
		return -ENOMEM;
	}
	for (size_t i = 0; i < n; i++)
		c->existing[i].entry = entries[i];
	c->n_existing = n;
	free(entries);
	qsort(c->existing, n, sizeof(*c->existing), compare_existing);
	return 0;
}

/* Both are sorted; there may be several existing ones of a key, but only one wanted. */
static void change_match(struct change *c)
{
	size_t e = 0;

	for (size_t w = 0; w < c->n_wanted; w++) {
		struct wanted *wanted = &c->wanted[w];
		const struct system_route *route = &wanted->entry.route;

		while (e < c->n_existing && compare_key(&c->existing[e].entry.route, route) < 0)
			e++;
		for (; e < c->n_existing && !compare_key(&c->existing[e].entry.route, route); e++) {
			struct existing *existing = &c->existing[e];

			wanted->beside = true;
			if (!wanted->there && is_wanted(&existing->entry, route))
				wanted->there = existing->keep = true;
		}
	}
}

/* Where there are several, the kernel takes that which it has had for longest, or of IPv4 was asked to put in front. */
static int how_to_add(const struct wanted *wanted)
{
	if (wanted->entry.route.first)
		return 0;
	return wanted->beside ? NLM_F_APPEND : NLM_F_EXCL;
}

static int change_apply(struct change *c, struct system *s, size_t *conflict)
{
	int err;

	for (size_t i = 0; i < c->n_wanted; i++) {
		struct wanted *wanted = &c->wanted[i];

		if (wanted->there)
			continue;
		err = route_add(s, &wanted->entry, how_to_add(wanted));
		if (err) {
			*conflict = wanted->index;
			return err;
		}
		wanted->added = true;
	}
	for (size_t i = 0; i < c->n_existing; i++) {
		struct existing *existing = &c->existing[i];

		if (existing->keep)
			continue;
		err = route_delete(s, &existing->entry);
		if (err)
			return err;
		existing->deleted = true;
	}
	return 0;
}

static void change_undo(struct change *c, struct system *s)
{
	int err;

	for (size_t i = 0; i < c->n_existing; i++) {
		if (!c->existing[i].deleted)
			continue;
		err = route_add(s, &c->existing[i].entry, NLM_F_APPEND);
		if (err && err != -EEXIST)
			log_ret(err, "can't put a route back");
	}
	for (size_t i = 0; i < c->n_wanted; i++) {
		if (!c->wanted[i].added)
			continue;
		err = route_delete(s, &c->wanted[i].entry);
		if (err)
			log_ret(err, "can't take a new route back");
	}
}

int system_set_routes(struct system *s, const struct system_route *routes, size_t n, size_t *conflict)
{
	struct change c = { 0 };
	int err;

	*conflict = n; /* none to blame */
	err = change_wanted(&c, routes, n, conflict);
	if (!err)
		err = change_existing(&c, s);
	if (!err) {
		change_match(&c);
		err = change_apply(&c, s, conflict);
		if (err)
			change_undo(&c, s);
	}
	free(c.wanted);
	free(c.existing);
	return err;
}

int system_move_route(struct system *s, const struct system_route *from, const struct system_route *to)
{
	struct route_entry old, new;
	int err;

	normalise(from, &old);
	normalise(to, &new);
	err = route_add(s, &new, to->first ? 0 : NLM_F_APPEND);
	return err ? err : route_delete(s, &old);
}

int system_get_routes(struct system *s, struct system_route **out, size_t *n)
{
	struct route_entry *entries = NULL;
	struct system_route *routes;
	size_t n_entries, k = 0;
	int err = route_dump(s, true, &entries, &n_entries);

	if (err)
		return err;
	routes = calloc(n_entries + 1, sizeof(*routes));
	if (!routes) {
		free(entries);
		return -ENOMEM;
	}
	for (size_t i = 0; i < n_entries; i++)
		if (entries[i].type == RTN_UNICAST || entries[i].type == RTN_UNREACHABLE)
			routes[k++] = entries[i].route;
	for (size_t i = 0; i < k; i++)
		if (routes[i].unreachable) /* of IPv6 the kernel names its loopback device */
			routes[i].ifindex = 0;
	free(entries);
	*out = routes;
	*n = k;
	return 0;
}

int system_get_others_destinations(struct system *s, struct prefix **out, size_t *n)
{
	struct route_entry *entries = NULL;
	struct prefix *destinations;
	int err = route_dump(s, false, &entries, n);

	if (err)
		return err;
	destinations = calloc(*n + 1, sizeof(*destinations));
	for (size_t i = 0; destinations && i < *n; i++)
		destinations[i] = entries[i].route.destination;
	free(entries);
	*out = destinations;
	return destinations ? 0 : -ENOMEM;
}

int system_get_others_default(struct system *s, const struct system_route *route, struct system_route *out)
{
	struct route_entry *entries = NULL, like;
	size_t n = 0;
	int err = route_dump(s, false, &entries, &n);

	if (err)
		return err;
	normalise(route, &like);
	err = -ENOENT;
	for (size_t i = 0; i < n && err; i++) {
		if (compare_key(&entries[i].route, &like.route) || entries[i].tos)
			continue;
		*out = entries[i].route;
		err = 0;
	}
	free(entries);
	return err;
}

/* ---- defaults that others have learned ---- */

/* By device, the better one first, else in the kernel's order. */
static bool is_before(const struct route_entry *a, const struct route_entry *b)
{
	if (a->route.ifindex != b->route.ifindex)
		return a->route.ifindex < b->route.ifindex;
	if (a->route.metric != b->route.metric)
		return a->route.metric < b->route.metric;
	return a->rank > b->rank;
}

static bool tells_a_gateway(const struct route_entry *entry)
{
	return !entry->route.destination.len && entry->type == RTN_UNICAST && !entry->tos && !entry->dead &&
	       entry->left >= 0 && entry->route.ifindex;
}

/* The defaults among them, in that order: of so few that it does not matter how they are sorted. */
static size_t defaults_first(struct route_entry *entries, size_t n)
{
	size_t k = 0;

	for (size_t i = 0; i < n; i++) {
		struct route_entry entry = entries[i];
		size_t at = k;

		if (!tells_a_gateway(&entry))
			continue;
		for (; at && is_before(&entry, &entries[at - 1]); at--)
			entries[at] = entries[at - 1];
		entries[at] = entry;
		k++;
	}
	return k;
}

static struct system_default default_of(const struct route_entry *entry, uint64_t now_ms)
{
	const struct system_route *route = &entry->route;
	struct system_default out = {
		.family = route->destination.addr.family,
		.ifindex = route->ifindex,
		.metric = route->metric,
		.protocol = entry->protocol,
		.expires_ms = entry->left ? now_ms + (uint64_t)entry->left * 1000 / sysconf(_SC_CLK_TCK) : 0,
	};

	if (route->gateway.family == out.family)
		out.gateway = route->gateway;
	return out;
}

int system_get_defaults(struct system *s, struct system_default **out, size_t *n)
{
	struct route_entry *entries = NULL;
	struct timespec now;
	size_t n_entries;
	int err = route_dump(s, false, &entries, &n_entries);

	if (err)
		return err;
	*n = defaults_first(entries, n_entries);
	*out = calloc(*n + 1, sizeof(**out));
	clock_gettime(CLOCK_MONOTONIC, &now);
	for (size_t i = 0; *out && i < *n; i++)
		(*out)[i] = default_of(&entries[i], (uint64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000);
	free(entries);
	return *out ? 0 : -ENOMEM;
}
