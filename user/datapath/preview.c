// SPDX-License-Identifier: GPL-2.0-only
/* What an apply would come to, as far as that can be known while nothing is changed. */

#include <errno.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/datapath/private.h"

/* NETDEV_XDP_ACT_BASIC of linux/netdev.h, Linux 6.3 */
#define XDP_ACT_BASIC 1

static const char *const mode_names[] = {
	[CONFIG_MODE_NATIVE] = "native",
	[CONFIG_MODE_GENERIC] = "generic",
	[CONFIG_MODE_TC] = "tc",
};

static void warn_of_mode(const struct config_interface *interface, const char *reason, struct config_report *report)
{
	char pointer[128];

	snprintf(pointer, sizeof(pointer), "/interfaces/%s/mode", interface->name);
	config_report_add(report, true, pointer, "\"%s\" can't be had on %s: %s", mode_names[interface->mode],
			  interface->device, reason);
}

/* ---- after an apply ---- */

static bool is_mode(enum config_mode wanted, enum port_mode runs)
{
	switch (wanted) {
	case CONFIG_MODE_NATIVE:
		return runs == PORT_MODE_NATIVE;
	case CONFIG_MODE_GENERIC:
		return runs == PORT_MODE_GENERIC;
	default:
		return true;
	}
}

void modes_warn(const struct config *config, const struct port *ports, struct config_report *report)
{
	for (size_t i = 0; i < config->n_interfaces; i++) {
		const struct port *port = port_of_interface(ports, &config->interfaces[i]);

		if (port && port->present && !is_mode(config->interfaces[i].mode, port->mode))
			warn_of_mode(&config->interfaces[i], port->reason, report);
	}
}

/* ---- before one ---- */

/* The kernel tells since 6.3; before, it is tried. */
static bool has_native(const struct system_link *link)
{
	uint64_t features;

	return link->arptype == ARPHRD_ETHER &&
	       (device_xdp_features(link->ifindex, &features) || (features & XDP_ACT_BASIC));
}

static bool vlan_has_native(struct datapath *dp, const struct config *config, const struct system_link *link)
{
	const struct system_link *parent = system_link_by_index(dp->system, link->parent);

	for (size_t i = 0; parent && i < config->n_interfaces; i++) {
		const struct config_interface *interface = &config->interfaces[i];

		if (strcmp(interface->device, parent->name) == 0)
			return (interface->mode == CONFIG_MODE_AUTO || interface->mode == CONFIG_MODE_NATIVE) &&
			       has_native(parent);
	}
	return false;
}

static bool is_anothers(struct datapath *dp, const struct system_link *link)
{
	struct program_seen seen;

	return link->xdp_prog_id && program_see(dp, link->xdp_prog_id, &seen) == 0 && seen.owner != OWNER_US &&
	       strcmp(seen.name, XDP_DISPATCHER) != 0;
}

/* Why the interface will run in tc whatever it asks for; NULL: nothing is known that speaks against it. */
static const char *why_tc(struct datapath *dp, const struct config *config, const struct config_interface *interface,
			  const struct system_link *link)
{
	if (link->arptype != ARPHRD_ETHER)
		return "no Ethernet header; tc runs";
	if (is_anothers(dp, link))
		return "an XDP program of another owner is attached; tc runs";
	if (interface->mode != CONFIG_MODE_NATIVE)
		return xdp_blind_to_tags(dp, link, interface->mode);
	if (strcmp(link->kind, "vlan") == 0)
		return vlan_has_native(dp, config, link) ? NULL
							 : "a VLAN whose parent is not served by native XDP; tc runs";
	return has_native(link) ? NULL : "its driver has no native XDP; tc runs";
}

static void foresee_modes(struct datapath *dp, const struct config *config, struct config_report *report)
{
	for (size_t i = 0; i < config->n_interfaces; i++) {
		const struct config_interface *interface = &config->interfaces[i];
		const struct system_link *link = system_link_by_name(dp->system, interface->device);
		bool asks = interface->mode == CONFIG_MODE_NATIVE || interface->mode == CONFIG_MODE_GENERIC;
		const char *reason = link && asks ? why_tc(dp, config, interface, link) : NULL;

		if (reason)
			warn_of_mode(interface, reason, report);
	}
}

/* Tunnels whose devices would be made: as if they were there. */
static void add_new_tunnels(const struct config *config, struct port *next)
{
	size_t number = 1;

	for (size_t i = 0; i < config->n_tunnels; i++) {
		const struct config_tunnel *tunnel = &config->tunnels[i];
		struct port *port = &next[number];

		if (port_of_tunnel(next, tunnel))
			continue;
		while (number < FL_PORTS_MAX && next[number].kind != PORT_NONE)
			port = &next[++number];
		if (number == FL_PORTS_MAX)
			return;
		*port = (struct port){ .number = number, .kind = PORT_TUNNEL, .present = true, .tunnel = tunnel };
		snprintf(port->name, sizeof(port->name), "%s", tunnel->name);
	}
}

static int plan(struct datapath *dp, const struct config *config, struct port *next, char **why)
{
	uint32_t *peers = calloc(config->n_tunnels + 1, sizeof(*peers));
	struct tables *tables = NULL;
	int err = peers ? ports_plan(dp, config, peers, next, NULL, why) : -ENOMEM;

	if (!err) {
		add_new_tunnels(config, next);
		facts_addresses(dp, next);
		err = tables_compile(config, next, tables_in_force(dp), &tables, why);
	}
	tables_free(tables);
	free(peers);
	return err;
}

int datapath_preview(struct datapath *dp, const struct config *config, struct config_report *report, char **why)
{
	struct port *next = calloc(FL_PORTS_MAX, sizeof(*next));
	int err = next ? devices_check(dp, config, why) : -ENOMEM;

	if (!err) {
		memcpy(next, dp->ports, FL_PORTS_MAX * sizeof(*next));
		err = plan(dp, config, next, why);
	}
	if (err) {
		fail(why, err, "the data plane could not be changed: %s", strerror(-err));
	} else {
		datapath_warn(dp, config, report);
		foresee_modes(dp, config, report);
		routes_warn(dp, config, next, report);
	}
	free(next);
	return err;
}
