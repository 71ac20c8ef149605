// SPDX-License-Identifier: GPL-2.0-only
/*
 * fl_locals: every address of the router, of all devices in its namespace, so that the programs know what is for the host; and the
 * broadcast addresses of the networks there, from which nobody sends.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/datapath/private.h"
#include "user/lib/log.h"

/* As the kernel has it: a network of 31 or 32 bits has none (RFC 3021). */
static int take_broadcast(struct entries *entries, const struct prefix *prefix, uint32_t number)
{
	struct addr broadcast = prefix->addr;
	union fl_addr key;

	if (prefix->addr.family != AF_INET || prefix->len > 30)
		return 0;
	broadcast.v4.s_addr |= htonl(0xffffffff >> prefix->len);
	key = addr_to_map(&broadcast);
	return entries_add(entries, &key, number | FL_LOCAL_BROADCAST);
}

static int take(struct entries *entries, const struct system_addr *a, const struct port *ports)
{
	union fl_addr key = addr_to_map(&a->prefix.addr);
	uint32_t number = 0;
	int err;

	for (size_t i = 1; i < FL_PORTS_MAX; i++)
		if (ports[i].present && ports[i].value.ifindex == a->ifindex)
			number = i;
	err = entries_add(entries, &key, number);
	return err ?: take_broadcast(entries, &a->prefix, number);
}

/* A link-local address may be on several devices: one entry, and it is local anyway. */
static int collect(struct datapath *dp, const struct port *ports, struct entries *entries)
{
	const struct system_addr *a;
	int err = 0;

	for (size_t i = 0; (a = system_addr_at(dp->system, i)) && !err; i++)
		err = take(entries, a, ports);
	entries_sort(entries);
	return err;
}

static void collect_map(void *arg, const void *key, const void *value)
{
	uint32_t number;

	memcpy(&number, value, sizeof(number));
	if (entries_add(arg, key, number))
		log_warnx("out of memory");
}

static bool has_key(const struct entries *entries, const uint8_t *key)
{
	size_t low = 0, high = entries->n;

	while (low < high) {
		size_t middle = (low + high) / 2;
		int order = memcmp(key, entry_key(entries, middle), entries->key_size);

		if (order == 0)
			return true;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return false;
}

/* Makes the map what the machine has: new ones first. */
int locals_sync(struct datapath *dp, const struct port *ports)
{
	struct entries wanted = { .key_size = sizeof(union fl_addr) };
	int err = 0;

	if (!dp->locals.key_size) { /* the first time: what an earlier daemon wrote */
		dp->locals.key_size = sizeof(union fl_addr);
		err = map_walk(dp, DP_MAP_LOCALS, collect_map, &dp->locals);
		entries_sort(&dp->locals);
	}
	err = err ?: collect(dp, ports, &wanted);
	if (!err && wanted.n == dp->locals.n && memcmp(wanted.records, dp->locals.records, wanted.n * (16 + 4)) == 0) {
		free(wanted.records);
		return 0;
	}
	for (size_t i = 0; i < dp->locals.n && !err; i++)
		if (!has_key(&wanted, entry_key(&dp->locals, i)))
			err = map_delete(dp, DP_MAP_LOCALS, entry_key(&dp->locals, i));
	for (size_t i = 0; i < wanted.n && !err; i++) {
		uint32_t number = entry_value(&wanted, i);

		err = map_put(dp, DP_MAP_LOCALS, entry_key(&wanted, i), &number);
	}
	free(dp->locals.records);
	dp->locals = wanted;
	if (err == -E2BIG || err == -ENOSPC)
		return log_ret(err, "this machine has more than %d addresses", FL_LOCALS_MAX);
	return err ? log_ret(err, "cannot write the table of local addresses") : 0;
}
