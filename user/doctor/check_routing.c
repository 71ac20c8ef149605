// SPDX-License-Identifier: GPL-2.0-only
/* Switches of the kernel that decide whether it routes, and by what. */
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "user/doctor/doctor.h"

static const struct {
	enum fl_family bit;
	const char *name, *dir;
} families[] = { { FL_INET, "IPv4", "ipv4" }, { FL_INET6, "IPv6", "ipv6" } };

#define N_FAMILIES (sizeof(families) / sizeof(families[0]))

/* ---- forwarding of our devices ---- */

static void judge_forwarding(struct doctor *d, const struct config_interface *interface, size_t family)
{
	int on = doctor_sysctl("net/%s/conf/%s/forwarding", families[family].dir, interface->device);

	if (on > 0)
		return;
	if (on < 0)
		doctor_warn(d, doctor_text(d, "sysctl -w net.ipv6.conf.%s.disable_ipv6=0", interface->device),
			    "%s (%s): the kernel has no %s there", interface->name, interface->device,
			    families[family].name);
	else if (d->settings.answers)
		doctor_fail(d,
			    "whoever switches it off must let it be: IPv4Forwarding=, IPv6Forwarding= or IPForward= of "
			    "systemd-networkd, files in /etc/sysctl.d; then systemctl restart fairleadd",
			    "%s (%s): forwarding of %s is off: its packets are dropped as forwarding-off",
			    interface->name, interface->device, families[family].name);
	else
		doctor_warn(d, "start the daemon", "%s (%s): forwarding of %s is off, as before its first start",
			    interface->name, interface->device, families[family].name);
}

void check_forwarding(struct doctor *d)
{
	size_t before = json_array_size(d->rows);

	if (!d->config) {
		doctor_skip(d, "no configuration tells which devices");
		return;
	}
	for (size_t i = 0; i < d->config->n_interfaces; i++) {
		const struct config_interface *interface = &d->config->interfaces[i];

		for (size_t f = 0; f < N_FAMILIES && doctor_link(d, interface); f++)
			if (interface->family & families[f].bit)
				judge_forwarding(d, interface, f);
	}
	if (json_array_size(d->rows) == before)
		doctor_ok(d, "on, for each device and family of the configuration");
}

/* ---- forwarding of all others ---- */

/* Up, and nobody's whose packets the programs see. NULL: none, or one only, which has nowhere to forward to */
static const char *foreign_devices(struct doctor *d)
{
	const struct system_link *link;
	const char *names = "";
	unsigned int n = 0;

	for (size_t i = 0; d->system && (link = system_link_at(d->system, i)); i++) {
		if (doctor_is_ours(d, link) || !(link->flags & IFF_UP))
			continue;
		names = doctor_text(d, "%s%s%s", names, n++ ? ", " : "", link->name);
	}
	return n > 1 ? names : NULL;
}

void check_kernel_forwards(struct doctor *d)
{
	static const struct {
		const char *key, *name, *text;
	} keys[] = {
		{ "net/ipv4/ip_forward", "net.ipv4.ip_forward", "IPv4" },
		{ "net/ipv6/conf/all/forwarding", "net.ipv6.conf.all.forwarding", "IPv6" },
	};
	const char *devices = d->config ? foreign_devices(d) : NULL;
	bool any = false;

	if (!d->config) {
		doctor_skip(d, "no configuration tells which devices are fairlead's");
		return;
	}
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]) && devices; i++) {
		if (doctor_sysctl("%s", keys[i].key) < 1)
			continue;
		any = true;
		doctor_warn(
			d,
			doctor_text(
				d,
				"sysctl -w %s=0, also in /etc/sysctl.d; fairlead does not need it. Or those devices "
				"into the configuration",
				keys[i].name),
			"%s is on: the kernel itself forwards %s between devices that fairlead does not see: %s",
			keys[i].name, keys[i].text, devices);
	}
	if (!any)
		doctor_ok(d, "the kernel forwards nothing beside fairlead");
}

/* ---- router advertisements ---- */

/* Whether something of that device was advertised: its default route, or an address that ends, where advertisements are wanted. */
static bool is_advertised(struct doctor *d, const struct system_link *link, bool wanted)
{
	struct system_default *defaults = NULL;
	const struct system_addr *a;
	bool found = false;
	size_t n = 0;

	if (!system_get_defaults(d->system, &defaults, &n))
		for (size_t i = 0; i < n; i++)
			found |= defaults[i].ifindex == link->ifindex && defaults[i].protocol == RTPROT_RA;
	free(defaults);
	for (size_t i = 0; (a = system_addr_at(d->system, i)); i++)
		found |= wanted && a->ifindex == link->ifindex && a->prefix.addr.family == AF_INET6 &&
			 !(a->flags & IFA_F_PERMANENT) && a->scope == RT_SCOPE_UNIVERSE;
	return found;
}

static bool wants_learned(const struct doctor *d, const struct config_interface *interface)
{
	for (size_t i = 0; i < d->config->n_gateways; i++)
		if (d->config->gateways[i].interface == interface && d->config->gateways[i].automatic)
			return true;
	return false;
}

void check_accept_ra(struct doctor *d)
{
	unsigned int n = 0;
	bool bad = false;

	for (size_t i = 0; d->config && d->system && i < d->config->n_interfaces; i++) {
		const struct config_interface *interface = &d->config->interfaces[i];
		const struct system_link *link = doctor_link(d, interface);
		int forwarding = doctor_sysctl("net/ipv6/conf/%s/forwarding", interface->device),
		    accept = doctor_sysctl("net/ipv6/conf/%s/accept_ra", interface->device);

		if (!link || accept < 0 || !(is_advertised(d, link, accept) || (wants_learned(d, interface) && accept)))
			continue;
		n++;
		if (forwarding < 1 || accept == 2)
			continue;
		bad = true;
		doctor_fail(
			d,
			doctor_text(d, "sysctl -w net.ipv6.conf.%s.accept_ra=2, also in /etc/sysctl.d",
				    interface->device),
			"%s (%s): what its router advertises is not taken any more, since it forwards and accept_ra is %d: "
			"address and default route end soon",
			interface->name, interface->device, accept);
	}
	if (!d->config || !d->system)
		doctor_skip(d, "no configuration tells which devices");
	else if (!n)
		doctor_skip(d, "nothing is learned by router advertisements");
	else if (!bad)
		doctor_ok(d, "taken, though the device forwards");
}

/* ---- rp_filter ---- */

static bool is_uplink(const struct config *c, const struct config_interface *interface)
{
	const struct config_interface *underlay;

	for (size_t i = 0; i < c->n_gateways; i++)
		if (c->gateways[i].interface == interface)
			return true;
	for (size_t i = 0; i < c->n_tunnels; i++)
		for (size_t j = 0; (underlay = config_tunnel_underlay(&c->tunnels[i], j)); j++)
			if (underlay == interface)
				return true;
	return false;
}

void check_rp_filter(struct doctor *d)
{
	int all = doctor_sysctl("net/ipv4/conf/all/rp_filter");
	unsigned int uplinks = 0;
	bool bad = false;

	if (!d->config) {
		doctor_skip(d, "no configuration tells which devices");
		return;
	}
	for (size_t i = 0; i < d->config->n_interfaces; i++)
		uplinks += is_uplink(d->config, &d->config->interfaces[i]);
	for (size_t i = 0; i < d->config->n_interfaces && uplinks > 1; i++) {
		const struct config_interface *interface = &d->config->interfaces[i];
		int own = doctor_sysctl("net/ipv4/conf/%s/rp_filter", interface->device);

		/* the higher one holds, and 2 is loose */
		if (!is_uplink(d->config, interface) || own < 0 || (own > all ? own : all) != 1)
			continue;
		bad = true;
		doctor_warn(
			d,
			doctor_text(d, "sysctl -w net.ipv4.conf.%s.rp_filter=2, also in /etc/sysctl.d",
				    interface->device),
			"%s (%s): rp_filter is strict and there are %u uplinks: answers to the router's own packets that "
			"were steered there are dropped by the kernel",
			interface->name, interface->device, uplinks);
	}
	if (!bad)
		doctor_ok(d,
			  uplinks > 1 ? "not strict where there are several uplinks" : "of no matter with one uplink");
}
