// SPDX-License-Identifier: GPL-2.0-only
/*
 * Forwarding is switched on for the devices of our ports alone, once the programs are in force there, and with it the
 * acceptance of router advertisements that it would switch off. The switches for all devices (net.ipv4.ip_forward,
 * net.ipv6.conf.all.forwarding) are never touched: with them the kernel would forward between devices that no program of ours
 * sees. IPv4 forwards what comes in by a device that may; IPv6's own forwarding hangs on the switch for all, but
 * bpf_fib_lookup() and what a router says of itself (neighbour advertisements, its groups) go by the device's.
 */

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/datapath/private.h"
#include "user/lib/log.h"

#define ACCEPT_RA "net/ipv6/conf/*/accept_ra"

static const struct forward_switch {
	uint8_t family;
	const char *key; /* the device's name stands for the star */
} switches[] = {
	{ FL_INET6, "net/ipv6/conf/*/forwarding" },
	{ FL_INET, "net/ipv4/conf/*/forwarding" },
};

#define N_SWITCHES (sizeof(switches) / sizeof(switches[0]))

/* ---- one setting of one device, by what it is called now ---- */

static int device_key(struct datapath *dp, uint32_t ifindex, const char *key, char *path, size_t len)
{
	const struct system_link *link = system_link_by_index(dp->system, ifindex);
	const char *star = strchr(key, '*');

	if (!link || !star)
		return -ENODEV;
	snprintf(path, len, "%.*s%s%s", (int)(star - key), key, link->name, star + 1);
	return 0;
}

static int device_get(struct datapath *dp, uint32_t ifindex, const char *key, char *value, size_t len)
{
	char path[128];
	int err = device_key(dp, ifindex, key, path, sizeof(path));

	return err ?: sysctl_get(path, value, len);
}

static bool device_has(struct datapath *dp, uint32_t ifindex, const char *key, const char *value)
{
	char now[32];

	return device_get(dp, ifindex, key, now, sizeof(now)) == 0 && strcmp(now, value) == 0;
}

static int device_set(struct datapath *dp, uint32_t ifindex, const char *key, const char *value)
{
	char path[128];
	int err = device_key(dp, ifindex, key, path, sizeof(path));

	return err ?: sysctl_set(path, value);
}

/* A device, or IPv6 on it, may go at any moment: no error. */
static bool is_gone(int err)
{
	return err == -ENODEV || err == -ENOENT;
}

/* ---- what is to be changed ---- */

struct sysctl_change {
	uint32_t ifindex;
	const char *key;
	char from[32], to[32];
	bool was_saved; /* `from` is not what was there before fairlead */
};

struct changes {
	struct sysctl_change *list;
	size_t n, cap;
	bool inet6; /* IPv6 forwarding goes on somewhere */
};

static void put_back(struct datapath *dp, const void *data)
{
	const struct sysctl_change *change = data;
	struct saved_setting *saved = saved_find(dp, "sysctl", change->ifindex, change->key);
	int err = device_set(dp, change->ifindex, change->key, change->from);

	if (err && !is_gone(err))
		log_ret(err, "cannot put %s of device %u back to %s", change->key, change->ifindex, change->from);
	if (saved && !change->was_saved)
		saved_drop(dp, saved);
	else if (!saved && change->was_saved)
		saved_add(dp, "sysctl", change->ifindex, change->key, change->to);
	saved_write(dp);
}

/* Adds it if the setting is `from` now. What is saved of our own devices would be of no use: they go with us. */
static int change_add(struct datapath *dp, struct changes *changes, const struct port *port, const char *key,
		      const char *from, const char *to)
{
	struct sysctl_change *change;
	uint32_t ifindex = port->value.ifindex;

	if (!device_has(dp, ifindex, key, from))
		return 0;
	if (changes->n == changes->cap) {
		size_t cap = changes->cap ? changes->cap * 2 : 64;
		struct sysctl_change *list = reallocarray(changes->list, cap, sizeof(*list));

		if (!list)
			return -ENOMEM;
		changes->list = list;
		changes->cap = cap;
	}
	change = &changes->list[changes->n++];
	*change = (struct sysctl_change){ .ifindex = ifindex, .key = key };
	snprintf(change->from, sizeof(change->from), "%s", from);
	snprintf(change->to, sizeof(change->to), "%s", to);
	change->was_saved = saved_find(dp, "sysctl", ifindex, key);
	return port->kind == PORT_INTERFACE ? saved_add(dp, "sysctl", ifindex, key, from) : 0;
}

/* Of a port whose hooks could not be attached, none: the kernel would forward there what no program has seen. */
static uint8_t families(const struct port *port)
{
	return port->present && !port->unguarded ? port->value.family : 0;
}

/* With forwarding on, Linux takes router advertisements only where accept_ra is 2: else a SLAAC host loses its default route. */
static int changes_of_port(struct datapath *dp, const struct port *port, struct changes *changes)
{
	int err = 0;

	for (size_t i = 0; i < N_SWITCHES && !err; i++) {
		const struct forward_switch *s = &switches[i];

		if (!(families(port) & s->family))
			continue;
		if (s->family == FL_INET6 && (device_has(dp, port->value.ifindex, s->key, "0") ||
					      saved_find(dp, "sysctl", port->value.ifindex, ACCEPT_RA)))
			err = change_add(dp, changes, port, ACCEPT_RA, "1", "2");
		if (s->family == FL_INET6 && device_has(dp, port->value.ifindex, s->key, "0"))
			changes->inet6 = true;
		err = err ?: change_add(dp, changes, port, s->key, "0", "1");
	}
	return err;
}

/*
 * When IPv6 forwarding goes on for one device, Linux deletes the default routes that others have learned, unless their
 * accept_ra is 2, where it is 1 by default. Both mean the same on a device that does not forward.
 */
static void shield_others(struct datapath *dp, bool on, uint8_t *shielded)
{
	const struct system_link *link;

	for (size_t i = 0; (link = system_link_at(dp->system, i)); i++) {
		if (on && !(link->flags & IFF_LOOPBACK) && device_has(dp, link->ifindex, ACCEPT_RA, "1"))
			shielded[i] = device_set(dp, link->ifindex, ACCEPT_RA, "2") == 0;
		else if (!on && shielded[i])
			device_set(dp, link->ifindex, ACCEPT_RA, "1");
	}
}

static int changes_make(struct datapath *dp, const struct changes *changes, bool accept_ra, struct undo *undo,
			char **why)
{
	int err = 0;

	for (size_t i = 0; i < changes->n && !err; i++) {
		const struct sysctl_change *change = &changes->list[i];
		char path[128] = "";

		if ((strcmp(change->key, ACCEPT_RA) == 0) != accept_ra)
			continue;
		device_key(dp, change->ifindex, change->key, path, sizeof(path));
		undo_push(undo, put_back, change, sizeof(*change));
		err = device_set(dp, change->ifindex, change->key, change->to);
		if (is_gone(err))
			err = 0;
		else if (err)
			fail(why, err, "cannot set %s to %s: %s", path, change->to, strerror(-err));
	}
	return err;
}

int sysctls_apply(struct datapath *dp, const struct port *ports, struct undo *undo, char **why)
{
	struct changes changes = {};
	uint8_t *shielded = NULL;
	size_t n_links = 0;
	int err = 0;

	for (size_t i = 1; i < FL_PORTS_MAX && !err; i++)
		err = changes_of_port(dp, &ports[i], &changes);
	while (changes.inet6 && system_link_at(dp->system, n_links))
		n_links++;
	if (n_links)
		shielded = calloc(n_links, 1);
	err = err ?: saved_write(dp);
	if (err)
		fail(why, err, "cannot save what forwarding was: %s", strerror(-err));
	err = err ?: changes_make(dp, &changes, true, undo, why);
	if (!err && shielded)
		shield_others(dp, true, shielded);
	err = err ?: changes_make(dp, &changes, false, undo, why);
	if (shielded)
		shield_others(dp, false, shielded);
	free(shielded);
	free(changes.list);
	return err;
}

/* A setting that is not there, for a device without IPv6, is not missing. */
uint32_t sysctls_missing(struct datapath *dp, const struct port *port)
{
	uint32_t ifindex = port->value.ifindex, missing = 0;

	for (size_t i = 0; i < N_SWITCHES; i++)
		if ((families(port) & switches[i].family) && device_has(dp, ifindex, switches[i].key, "0"))
			missing |= switches[i].family == FL_INET6 ? MISSING_INET6 : MISSING_INET;
	if ((families(port) & FL_INET6) && saved_find(dp, "sysctl", ifindex, ACCEPT_RA) &&
	    device_has(dp, ifindex, ACCEPT_RA, "1"))
		missing |= MISSING_ACCEPT_RA;
	return missing;
}

/* ---- taking back ---- */

static const struct port *port_at(const struct port *ports, uint32_t ifindex)
{
	for (size_t i = 1; i < FL_PORTS_MAX; i++)
		if (ports[i].kind != PORT_NONE && ports[i].present && ports[i].value.ifindex == ifindex)
			return &ports[i];
	return NULL;
}

static void restore(struct datapath *dp, const struct saved_setting *saved)
{
	int err = device_set(dp, saved->ifindex, saved->key, saved->value);

	if (err && !is_gone(err))
		log_ret(err, "cannot put %s of device %u back to %s", saved->key, saved->ifindex, saved->value);
}

/* Before the programs let go of a device, or of a family there: what was before fairlead holds again. */
void sysctls_withdraw(struct datapath *dp, const struct port *ports, struct undo *undo)
{
	saved_prune(dp);
	for (size_t i = dp->n_saved; i > 0; i--) {
		struct saved_setting *saved = &dp->saved[i - 1];
		struct sysctl_change change = { .ifindex = saved->ifindex, .was_saved = true };
		const struct port *port = port_at(ports, saved->ifindex);
		uint8_t family = strncmp(saved->key, "net/ipv6/", 9) == 0 ? FL_INET6 : FL_INET;

		if (strcmp(saved->kind, "sysctl") != 0 || (port && (families(port) & family)))
			continue;
		change.key = strcmp(saved->key, ACCEPT_RA) == 0 ? ACCEPT_RA : switches[family == FL_INET].key;
		snprintf(change.to, sizeof(change.to), "%s", saved->value);
		device_get(dp, saved->ifindex, saved->key, change.from, sizeof(change.from));
		undo_push(undo, put_back, &change, sizeof(change));
		restore(dp, saved);
		saved_drop(dp, saved);
	}
	saved_write(dp);
}

/* Unload: forwarding first, what follows takes the guards away. */
void sysctls_restore(struct datapath *dp)
{
	for (int accept_ra = 0; accept_ra < 2; accept_ra++)
		for (size_t i = 0; i < dp->n_saved; i++)
			if (strcmp(dp->saved[i].kind, "sysctl") == 0 &&
			    (strcmp(dp->saved[i].key, ACCEPT_RA) == 0) == accept_ra)
				restore(dp, &dp->saved[i]);
	for (size_t i = dp->n_saved; i > 0; i--)
		if (strcmp(dp->saved[i - 1].kind, "sysctl") == 0)
			saved_drop(dp, &dp->saved[i - 1]);
}
