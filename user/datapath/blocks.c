// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the kernel forwards before the programs are there: nothing, by rules of its routing. `fairleadd --block` has put one there for all
 * devices at boot. When every device of the configuration has its programs it goes; for those that are not there, or whose
 * guard can't be attached, there is one of their own.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/datapath/private.h"
#include "user/lib/log.h"

static const struct {
	int family;
	uint8_t flag;
	const char *forwarding; /* of all devices */
} families[] = {
	{ AF_INET, FL_INET, "net/ipv4/ip_forward" },
	{ AF_INET6, FL_INET6, "net/ipv6/conf/all/forwarding" },
};

#define N_FAMILIES (sizeof(families) / sizeof(families[0]))

static bool is_guarded(const struct port *ports, const struct config_interface *interface)
{
	const struct port *port = port_of_interface(ports, interface);

	return port && port->present && !port->unguarded;
}

static size_t unguarded(const struct config *config, const struct port *ports, uint8_t family, char (*devices)[16])
{
	size_t n = 0;

	for (size_t i = 0; i < config->n_interfaces; i++) {
		const struct config_interface *interface = &config->interfaces[i];

		if (interface->family & family && !is_guarded(ports, interface))
			snprintf(devices[n++], sizeof(*devices), "%s", interface->device);
	}
	return n;
}

/* NULL: nothing is blocked */
static int set(struct datapath *dp, const struct config *config, const struct port *ports)
{
	char(*devices)[16] = calloc(config ? config->n_interfaces + 1 : 1, sizeof(*devices));
	int err = devices ? 0 : -ENOMEM;

	for (size_t i = 0; i < N_FAMILIES && !err; i++) {
		size_t n = config ? unguarded(config, ports, families[i].flag, devices) : 0;

		err = system_set_blocked(dp->system, families[i].family, devices, n);
		if (err == -EAFNOSUPPORT || err == -EOPNOTSUPP) /* a kernel without rules */
			err = 0;
	}
	free(devices);
	return err;
}

/* The machine forwards nothing of a family that it does not have. */
static bool has_family(size_t i)
{
	char value[16];

	return sysctl_get(families[i].forwarding, value, sizeof(value)) != -ENOENT;
}

/* Every device, of the families that are told; as much as can be. */
static int set_all(struct system *system, const bool all[N_FAMILIES])
{
	static const char device[1][16] = { SYSTEM_BLOCK_ALL };
	int err = 0;

	for (size_t i = 0; i < N_FAMILIES; i++)
		if (all[i] && has_family(i))
			err = system_set_blocked(system, families[i].family, device, 1) ?: err;
	return err;
}

static void put_back(struct datapath *dp, const void *all)
{
	if (dp->config ? set(dp, dp->config, dp->ports) : set_all(dp->system, all))
		log_warnx("cannot put back which devices are blocked");
}

/* Somebody else had switched it on, and packets may have passed unseen. */
static void warn_of_gap(const bool all[N_FAMILIES])
{
	char value[16];

	for (size_t i = 0; i < N_FAMILIES; i++)
		if (!all[i] && !sysctl_get(families[i].forwarding, value, sizeof(value)) && strcmp(value, "0") != 0)
			log_warnx("%s was on before this start and nothing blocked it: the kernel has forwarded as it "
				  "likes; `fairleadd --block` at boot prevents that",
				  families[i].forwarding);
}

int blocks_sync(struct datapath *dp, const struct config *config, const struct port *ports, struct undo *undo,
		char **why)
{
	bool all[N_FAMILIES];
	int err;

	for (size_t i = 0; i < N_FAMILIES; i++)
		all[i] = system_is_blocked(dp->system, families[i].family);
	if (dp->first && !dp->config)
		warn_of_gap(all);
	undo_push(undo, put_back, all, sizeof(all));
	err = set(dp, config, ports);
	control_bump(dp);
	return err ? fail(why, err, "cannot set which devices are blocked: %s", strerror(-err)) : 0;
}

void blocks_lift(struct datapath *dp)
{
	int err = set(dp, NULL, NULL);

	if (err)
		log_ret(err, "cannot lift the rules that block devices");
}

int datapath_block(struct system *system)
{
	static const bool all[N_FAMILIES] = { true, true };

	return set_all(system, all);
}

bool datapath_is_blocked(struct system *system)
{
	for (size_t i = 0; i < N_FAMILIES; i++)
		if (system_is_blocked(system, families[i].family))
			return true;
	return false;
}
