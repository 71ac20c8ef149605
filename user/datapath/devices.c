// SPDX-License-Identifier: GPL-2.0-only
/* Devices of our own: one for each tunnel, and the pair through which ICMP errors come. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/datapath/private.h"
#include "user/lib/log.h"

#define MTU_MIN 1280	 /* RFC 8200 5: IPv6 needs it */
#define MTU_UNKNOWN 1480 /* the underlay is not there yet */
#define OUTER_LEN 20
#define ICMP_DEVICE "fl-icmp"
#define OWN_MAX (2 * FL_PORTS_MAX)

uint32_t tunnel_mtu(const struct system *system, const struct config_tunnel *tunnel)
{
	const struct config_interface *underlay;
	const struct system_link *link;
	uint32_t mtu = 0;

	if (tunnel->mtu)
		return tunnel->mtu;
	for (size_t i = 0; (underlay = config_tunnel_underlay(tunnel, i)); i++) {
		link = system_link_by_name(system, underlay->device);
		if (link && (!mtu || link->mtu < mtu))
			mtu = link->mtu;
	}
	if (!mtu)
		return MTU_UNKNOWN;
	return mtu < MTU_MIN + OUTER_LEN ? MTU_MIN : mtu - OUTER_LEN;
}

struct device_change {
	char name[16];
	uint32_t ifindex;
	uint32_t mtu; /* before; 0: the device was not there */
	size_t n_addresses;
	struct prefix addresses[]; /* before */
};

static void device_change_back(struct datapath *dp, const void *data)
{
	const struct device_change *change = data;

	if (!change->mtu) {
		device_delete(dp->system, dp->instance, change->name);
		return;
	}
	if (device_set_mtu(dp->system, change->ifindex, change->mtu) ||
	    device_set_addresses(dp->system, change->ifindex, change->addresses, change->n_addresses))
		log_warnx("cannot put the addresses and MTU of %s back", change->name);
}

/* What the device is before the change, or that it is not there; the link-local addresses of the kernel left out. */
static void remember_device(struct datapath *dp, const char *name, struct undo *undo)
{
	const struct system_link *link = system_link_by_name(dp->system, name);
	const struct system_addr *a;
	struct device_change *change;
	size_t n = 0, size;

	for (size_t i = 0; link && (a = system_addr_at(dp->system, i)); i++)
		n += a->ifindex == link->ifindex && !addr_is_link_local(&a->prefix.addr);
	size = sizeof(*change) + n * sizeof(change->addresses[0]);
	change = calloc(1, size);
	if (!change)
		return;
	strncpy(change->name, name, sizeof(change->name) - 1);
	if (link) {
		change->ifindex = link->ifindex;
		change->mtu = link->mtu;
		for (size_t i = 0; (a = system_addr_at(dp->system, i)) && change->n_addresses < n; i++)
			if (a->ifindex == link->ifindex && !addr_is_link_local(&a->prefix.addr))
				change->addresses[change->n_addresses++] = a->prefix;
	}
	undo_push(undo, device_change_back, change, size);
	free(change);
}

static int name_taken(const char *tunnel, char **why)
{
	return fail(why, EEXIST, "tunnel %s: a device of that name exists and is not fairlead's; rename one of the two",
		    tunnel);
}

static int namespace_taken(char **why)
{
	return fail(why, EEXIST,
		    "a device fl-icmp is there that is not this instance's; a network namespace can have one instance "
		    "of fairlead");
}

static int tunnel_make(struct datapath *dp, const struct config_tunnel *tunnel, uint32_t *peer, struct undo *undo,
		       char **why)
{
	uint32_t mtu = tunnel_mtu(dp->system, tunnel), ifindex;
	int err;

	if (undo)
		remember_device(dp, tunnel->name, undo);
	err = device_tunnel_create(dp->system, dp->instance, tunnel->name, mtu, &ifindex, peer);
	if (err == -EEXIST) {
		if (undo && undo->n)
			undo_drop(undo); /* not ours to change, so nothing was changed */
		return name_taken(tunnel->name, why);
	}
	if (err)
		return fail(why, err, "tunnel %s: cannot make its device: %s", tunnel->name, strerror(-err));
	err = device_set_addresses(dp->system, ifindex, tunnel->addresses, tunnel->n_addresses);
	if (err)
		return fail(why, err, "tunnel %s: cannot set its addresses: %s", tunnel->name, strerror(-err));
	return 0;
}

static int icmp_make(struct datapath *dp, struct undo *undo, char **why)
{
	uint32_t peer;
	int err;

	if (undo)
		remember_device(dp, ICMP_DEVICE, undo);
	err = device_icmp_create(dp->system, dp->instance, &dp->icmp_ifindex, &peer);
	if (err == -EEXIST && undo && undo->n)
		undo_drop(undo);
	if (err == -EEXIST)
		return namespace_taken(why);
	if (err)
		return fail(why, err, "cannot make the device fl-icmp, which ICMP errors come through: %s",
			    strerror(-err));
	return 0;
}

/* fl-icmp first: where another instance is at work, that it is there says more than that it has a tunnel of the same name. */
int devices_make(struct datapath *dp, const struct config *config, uint32_t *peers, struct undo *undo, char **why)
{
	int err = icmp_make(dp, undo, why);

	for (size_t i = 0; i < config->n_tunnels && !err; i++)
		err = tunnel_make(dp, &config->tunnels[i], &peers[i], undo, why);
	return err ?: system_dispatch(dp->system); /* what was made just now is in the caches then */
}

int devices_check(struct datapath *dp, const struct config *config, char **why)
{
	int err = device_check(dp->system, dp->instance, ICMP_DEVICE);

	if (err == -EEXIST)
		return namespace_taken(why);
	for (size_t i = 0; i < config->n_tunnels && !err; i++) {
		err = device_check(dp->system, dp->instance, config->tunnels[i].name);
		if (err == -EEXIST)
			return name_taken(config->tunnels[i].name, why);
	}
	return err;
}

static bool is_wanted(const struct config *config, const char *name)
{
	if (!config)
		return false;
	return strcmp(name, ICMP_DEVICE) == 0 || strcmp(name, "fl-icmp-rx") == 0 || config_find_tunnel(config, name);
}

/* Deletes those of our devices that `config` does not have (NULL: all), also those that an interrupted apply left. */
void devices_remove(struct datapath *dp, const struct config *config)
{
	char(*names)[16] = calloc(OWN_MAX, sizeof(*names));
	size_t n = names ? device_list_own(dp->system, dp->instance, names, OWN_MAX) : 0;

	for (size_t i = 0; i < n; i++) {
		int err;

		if (is_wanted(config, names[i]))
			continue;
		err = device_delete(dp->system, dp->instance, names[i]);
		if (err)
			log_ret(err, "cannot remove the device %s", names[i]);
	}
	free(names);
}
