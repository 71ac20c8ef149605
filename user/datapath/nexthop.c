// SPDX-License-Identifier: GPL-2.0-only
/*
 * Next hops: the kernel's neighbours on our ports, in fl_nh and fl_nh_by_addr. XDP alone lets a neighbour go stale, so those
 * that the programs ask for are kept resolved by the kernel (NTF_EXT_MANAGED) while they are used.
 */

#include <errno.h>
#include <linux/neighbour.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "user/datapath/private.h"
#include "user/lib/log.h"

#define NUD_USABLE (NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_PROBE | NUD_STALE | NUD_DELAY)
#define FREE_GRACE_MS 5000    /* flows look at their next hop anew every second */
#define UNUSED_MS (5 * 60000) /* then the kernel may forget it */

/* NTF_EXT_MANAGED is in linux/neighbour.h since 5.16 */

struct neighbour {
	struct fl_nexthop_key key; /* first: what the tree compares */
	struct fl_nexthop value;
	uint32_t index; /* 0: never used */
	bool seen;
	bool managed;
	uint64_t used_ms;  /* when `used` changed last */
	uint64_t freed_ms; /* 0: in use */
};

static int compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct fl_nexthop_key));
}

static struct neighbour *neighbour_find(struct datapath *dp, const struct fl_nexthop_key *key)
{
	struct neighbour **node = tfind(key, &dp->neighbour_tree, compare);

	return node ? *node : NULL;
}

/* A slot that was never used, or whose last owner has been gone for long enough. */
static struct neighbour *slot_get(struct datapath *dp)
{
	uint64_t now = monotonic_ms();

	for (uint32_t i = 1; i < FL_NEXTHOPS_MAX; i++) {
		struct neighbour *n = &dp->neighbours[i];

		if (n->index && (!n->freed_ms || now - n->freed_ms < FREE_GRACE_MS))
			continue;
		*n = (struct neighbour){ .index = i };
		if (i >= dp->n_neighbours)
			dp->n_neighbours = i + 1;
		return n;
	}
	return NULL;
}

static int neighbour_add_index(struct datapath *dp, struct neighbour *n)
{
	return tsearch(n, &dp->neighbour_tree, compare) ? 0 : -ENOMEM;
}

static void neighbour_remove(struct datapath *dp, struct neighbour *n)
{
	n->value.valid = 0;
	map_delete(dp, DP_MAP_NH_BY_ADDR, &n->key);
	map_put(dp, DP_MAP_NH, &n->index, &n->value);
	tdelete(n, &dp->neighbour_tree, compare);
	n->freed_ms = monotonic_ms();
}

static struct fl_nexthop value_of(const struct port *port, const struct system_neigh *neigh)
{
	struct fl_nexthop value = { .addr = addr_to_map(&neigh->addr), .port = port->number, .valid = 1 };

	memcpy(&value.dmac, neigh->mac, sizeof(neigh->mac));
	memcpy(&value.smac, port->value.mac, sizeof(port->value.mac));
	return value;
}

/* Returns 1 when flows must look again: new, or another MAC. */
static int neighbour_take(struct datapath *dp, const struct port *port, const struct system_neigh *neigh)
{
	struct fl_nexthop_key key = { .ifindex = neigh->ifindex, .addr = addr_to_map(&neigh->addr) };
	struct fl_nexthop value = value_of(port, neigh);
	struct neighbour *n = neighbour_find(dp, &key);
	bool is_new = !n;
	int err;

	if (!n) {
		n = slot_get(dp);
		if (!n)
			return -ENOSPC;
		n->key = key;
	}
	n->seen = true;
	n->managed = neigh->flags_ext & NTF_EXT_MANAGED;
	if (is_new && n->managed)
		n->used_ms = monotonic_ms(); /* by an earlier daemon */
	value.used = n->value.used;
	if (!is_new && memcmp(&n->value, &value, sizeof(value)) == 0)
		return 0;
	n->value = value;
	failed_forget(dp, &key);
	err = map_put(dp, DP_MAP_NH, &n->index, &value);
	if (is_new) {
		err = err ?: neighbour_add_index(dp, n);
		err = err ?: map_put(dp, DP_MAP_NH_BY_ADDR, &key, &n->index);
		if (err)
			n->freed_ms = monotonic_ms();
	}
	return err ?: 1;
}

void nexthops_sync(struct datapath *dp)
{
	uint64_t now = monotonic_ms();
	uint16_t port_of[FL_IFINDEX_MAX / 64] = {}; /* small cache: most devices have a low index */
	const struct system_neigh *neigh;
	bool changed = false;
	int err = 0;

	for (size_t i = 1; i < FL_PORTS_MAX; i++)
		if (dp->ports[i].present && dp->ports[i].value.ifindex < FL_IFINDEX_MAX / 64)
			port_of[dp->ports[i].value.ifindex] = i;
	for (uint32_t i = 1; i < dp->n_neighbours; i++)
		dp->neighbours[i].seen = false;
	for (size_t i = 0; (neigh = system_neigh_at(dp->system, i)); i++) {
		const struct port *port = neigh->ifindex < FL_IFINDEX_MAX / 64
						  ? &dp->ports[port_of[neigh->ifindex]]
						  : port_by_ifindex(dp->ports, neigh->ifindex);

		if (!port || port->kind != PORT_INTERFACE || (port->value.flags & FL_PORT_L3))
			continue;
		if (neigh->state == NUD_FAILED)
			failed_take(dp, neigh);
		if (!(neigh->state & NUD_USABLE) || (neigh->mac[0] & 1))
			continue;
		err = neighbour_take(dp, port, neigh);
		if (err < 0)
			break;
		changed |= err > 0;
	}
	if (err < 0)
		log_ret(err, "cannot write the table of next hops; packets to new neighbours take the kernel's way");
	for (uint32_t i = 1; i < dp->n_neighbours && err >= 0; i++) {
		struct neighbour *n = &dp->neighbours[i];

		if (!n->index || n->seen || n->freed_ms)
			continue;
		neighbour_remove(dp, n);
		changed = true;
	}
	dp->failed_told_ms = now;
	if (changed)
		control_bump(dp);
}

static void manage(struct datapath *dp, struct neighbour *n, bool on)
{
	struct addr addr = addr_from_map(&n->key.addr);
	int err;

	if (n->managed == on || dp->no_managed)
		return;
	err = system_neigh_manage(dp->system, n->key.ifindex, &addr, on);
	if (err == -EOPNOTSUPP) {
		dp->no_managed = true;
		log_info("this kernel cannot keep neighbours resolved by itself (Linux 5.16 and up can)");
	} else if (err) {
		log_debug("neighbour cannot be kept resolved: %s", strerror(-err));
	} else {
		n->managed = on;
	}
}

/* `used` counts jiffies, which only the kernel can read: what has changed since the last tick is in use. */
void nexthops_tick(struct datapath *dp)
{
	struct fl_nexthop *now;
	uint64_t ms = monotonic_ms();

	if (dp->n_neighbours < 2)
		return;
	now = calloc(dp->n_neighbours, sizeof(*now));
	if (!now || map_read(dp, DP_MAP_NH, 0, dp->n_neighbours, now))
		goto out;
	for (uint32_t i = 1; i < dp->n_neighbours; i++) {
		struct neighbour *n = &dp->neighbours[i];

		if (!n->index || n->freed_ms)
			continue;
		if (now[i].used != n->value.used) {
			n->value.used = now[i].used;
			n->used_ms = ms;
			manage(dp, n, true);
		} else if (n->managed && ms - n->used_ms > UNUSED_MS) {
			manage(dp, n, false);
		}
	}
out:
	free(now);
}

static void adopt_index(void *arg, const void *key, const void *value)
{
	struct datapath *dp = arg;
	struct neighbour *n;
	uint32_t index;

	memcpy(&index, value, sizeof(index));
	if (index == 0 || index >= FL_NEXTHOPS_MAX || dp->neighbours[index].index)
		return;
	n = &dp->neighbours[index];
	memcpy(&n->key, key, sizeof(n->key));
	n->index = index;
	if (map_get(dp, DP_MAP_NH, &index, &n->value) || neighbour_add_index(dp, n))
		n->freed_ms = monotonic_ms();
	if (index >= dp->n_neighbours)
		dp->n_neighbours = index + 1;
}

int nexthops_adopt(struct datapath *dp)
{
	dp->neighbours = calloc(FL_NEXTHOPS_MAX, sizeof(*dp->neighbours));
	if (!dp->neighbours)
		return -ENOMEM;
	return map_walk(dp, DP_MAP_NH_BY_ADDR, adopt_index, dp);
}

/* The kernel may forget again what it kept for us, or for an earlier daemon: who only unloads has not read which those are. */
void nexthops_release(struct datapath *dp)
{
	for (uint32_t i = 1; i < dp->n_neighbours; i++) {
		if (!dp->neighbours[i].index || dp->neighbours[i].freed_ms)
			continue;
		dp->neighbours[i].managed = true; /* if not, nothing is changed */
		manage(dp, &dp->neighbours[i], false);
	}
}

static void keep(void *node)
{
	(void)node; /* the array owns it */
}

uint32_t nexthop_port(const struct datapath *dp, uint32_t index)
{
	return index && index < dp->n_neighbours ? dp->neighbours[index].value.port : 0;
}

void nexthops_free(struct datapath *dp)
{
	tdestroy(dp->neighbour_tree, keep);
	free(dp->neighbours);
}
