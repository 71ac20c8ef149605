// SPDX-License-Identifier: GPL-2.0-only
/* Ports: which device has which number, what the programs are told of it, and writing that. */

#include <errno.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/datapath/private.h"
#include "user/lib/log.h"

#define NUMBER_GRACE_MS 5000 /* a port's number is not another's so soon */

#define MTU6_MIN 1280 /* RFC 8200 5 */

/* NETDEV_XDP_ACT_NDO_XMIT of linux/netdev.h, Linux 6.3 */
#define XDP_ACT_NDO_XMIT 4

struct port *port_by_name(struct port *ports, const char *name)
{
	for (size_t i = 1; i < FL_PORTS_MAX; i++)
		if (ports[i].kind != PORT_NONE && strcmp(ports[i].name, name) == 0)
			return &ports[i];
	return NULL;
}

struct port *port_by_ifindex(struct port *ports, uint32_t ifindex)
{
	for (size_t i = 1; i < FL_PORTS_MAX; i++)
		if (ports[i].kind != PORT_NONE && ports[i].present && ports[i].value.ifindex == ifindex)
			return &ports[i];
	return NULL;
}

const struct port *port_of_interface(const struct port *ports, const struct config_interface *interface)
{
	for (size_t i = 1; interface && i < FL_PORTS_MAX; i++)
		if (ports[i].kind == PORT_INTERFACE && ports[i].interface == interface)
			return &ports[i];
	return NULL;
}

const struct port *port_of_tunnel(const struct port *ports, const struct config_tunnel *tunnel)
{
	for (size_t i = 1; tunnel && i < FL_PORTS_MAX; i++)
		if (ports[i].kind == PORT_TUNNEL && ports[i].tunnel == tunnel)
			return &ports[i];
	return NULL;
}

/* ---- numbers ---- */

static struct port *port_allocate(struct datapath *dp, struct port *next)
{
	uint64_t now = monotonic_ms();
	uint32_t drops[FL_DROP_SLOTS];

	for (uint32_t i = 1; i < FL_PORTS_MAX; i++) {
		struct port *port = &next[i];

		if (port->kind != PORT_NONE || dp->ports[i].kind != PORT_NONE)
			continue;
		if (dp->port_freed_ms[i] && now - dp->port_freed_ms[i] < NUMBER_GRACE_MS)
			continue;
		*port = (struct port){ .number = i };
		for (uint32_t reason = 0; reason < FL_DROP_SLOTS; reason++)
			drops[reason] = i * FL_DROP_SLOTS + reason;
		if (map_zero(dp, DP_MAP_PORT_STATS, &i, 1) || map_zero(dp, DP_MAP_WAITED, &i, 1) ||
		    map_zero(dp, DP_MAP_DROPS, drops, FL_DROP_SLOTS))
			log_warnx("cannot reset the counters of port %u", i);
		return port;
	}
	return NULL;
}

/* The port that this name had before; or the one that an earlier daemon had for this device; or a new one. */
static struct port *port_match(struct datapath *dp, struct port *next, enum port_kind kind, const char *name,
			       const struct system_link *link)
{
	struct port *port = NULL;

	for (size_t i = 1; i < FL_PORTS_MAX && !port; i++)
		if (next[i].kind == kind && strcmp(next[i].name, name) == 0)
			port = &next[i];
	for (size_t i = 1; i < FL_PORTS_MAX && !port && link; i++)
		if (next[i].kind == kind && next[i].name[0] == '\0' && next[i].value.ifindex == link->ifindex)
			port = &next[i];
	if (!port && link)
		port = port_allocate(dp, next);
	return port;
}

static void port_take_link(struct port *port, const struct system_link *link)
{
	port->present = link != NULL;
	if (!link) {
		port->value = (struct fl_port){};
		port->mode = PORT_MODE_NONE;
		return;
	}
	if (port->value.ifindex != link->ifindex) {
		port->mode = PORT_MODE_NONE;
		memset(port->priority, 0, sizeof(port->priority));
		port->missing = 0;
	}
	port->value.ifindex = link->ifindex;
	port->value.mtu = link->mtu;
	memcpy(port->value.mac, link->mac, sizeof(link->mac));
	port->value.flags = FL_PORT_UP | (link->arptype == ARPHRD_ETHER ? 0 : FL_PORT_L3);
	port->veth = strcmp(link->kind, "veth") == 0;
	port->parent = strcmp(link->kind, "vlan") == 0 ? link->parent : 0;
	port->vid = port->parent ? link->vid : 0;
}

static void warn_of_device(const struct config_interface *interface, struct config_report *report)
{
	char pointer[128];

	snprintf(pointer, sizeof(pointer), "/interfaces/%s/device", interface->name);
	config_report_add(report, true, pointer, "there is no device \"%s\" yet; it is taken in when it appears",
			  interface->device);
}

void datapath_warn(struct datapath *dp, const struct config *config, struct config_report *report)
{
	for (size_t i = 0; i < config->n_interfaces; i++)
		if (!system_link_by_name(dp->system, config->interfaces[i].device))
			warn_of_device(&config->interfaces[i], report);
}

#define DEFAULT_LEN 3 /* ::/0, and 2000::/3, which is all that there is */

static bool leads_by(const struct config_via *via, const struct config_interface *interface)
{
	if (via->gateway)
		return via->gateway->interface == interface;
	for (size_t i = 0; i < via->group->n_members; i++)
		if (via->group->members[i].gateway->interface == interface)
			return true;
	return false;
}

static bool has_underlay(const struct config_tunnel *tunnel, const struct config_interface *interface)
{
	const struct config_interface *at;

	for (size_t i = 0; (at = config_tunnel_underlay(tunnel, i)); i++)
		if (at == interface)
			return true;
	return false;
}

/* As its underlay; over a group where one of the members' interfaces is. */
static bool is_antispoof(const struct config_tunnel *tunnel)
{
	const struct config_interface *at;

	for (size_t i = 0; (at = config_tunnel_underlay(tunnel, i)); i++)
		if (at->antispoof)
			return true;
	return false;
}

/*
 * Whether the configuration has it lead out. (A translation's own interface has a flag of its own, and so has a tunnel.) What comes by
 * it is no host of ours, though the routing table may know its source.
 */
static bool is_outside(const struct config *config, const struct config_interface *interface)
{
	for (size_t i = 0; i < config->n_tunnels; i++)
		if (has_underlay(&config->tunnels[i], interface))
			return true;
	for (size_t i = 0; i < config->n_translations; i++)
		if (config->translations[i].from == interface)
			return true;
	for (size_t i = 0; i < config->n_routes; i++)
		if (config->routes[i].destination.len <= DEFAULT_LEN && leads_by(&config->routes[i].via, interface))
			return true;
	return false;
}

/* Flags that the configuration of an interface says. */
static uint16_t flags_of(const struct config *config, const struct config_interface *interface)
{
	return (interface->antispoof ? FL_PORT_ANTISPOOF : 0) | (is_outside(config, interface) ? FL_PORT_OUTSIDE : 0) |
	       (config_has_vip(config, interface) ? FL_PORT_VIP : 0) |
	       (config->ha.interface == interface ? FL_PORT_SYNC : 0);
}

static int plan_interfaces(struct datapath *dp, const struct config *config, struct port *next, bool *matched,
			   struct config_report *report, char **why)
{
	for (size_t i = 0; i < config->n_interfaces; i++) {
		const struct config_interface *interface = &config->interfaces[i];
		const struct system_link *link = system_link_by_name(dp->system, interface->device);
		struct port *port = port_match(dp, next, PORT_INTERFACE, interface->name, link);

		if (!link && report)
			warn_of_device(interface, report);
		if (!port && !link)
			continue;
		if (!port)
			return fail(why, ENOSPC, "more than %d interfaces and tunnels", FL_PORTS_MAX - 2);
		port->kind = PORT_INTERFACE;
		port->interface = interface;
		port->tunnel = NULL;
		snprintf(port->name, sizeof(port->name), "%s", interface->name);
		snprintf(port->device, sizeof(port->device), "%s", interface->device);
		port_take_link(port, link);
		port->value.family = link ? interface->family : 0;
		port->value.flags |= link ? flags_of(config, interface) : 0;
		matched[port->number] = true;
	}
	return 0;
}

static int plan_device(struct datapath *dp, enum port_kind kind, const char *name, const char *device, uint8_t family,
		       struct port *next, bool *matched, struct port **out, char **why)
{
	const struct system_link *link = system_link_by_name(dp->system, device);
	struct port *port = port_match(dp, next, kind, name, link);

	*out = NULL;
	if (!port && !link)
		return 0;
	if (!port)
		return fail(why, ENOSPC, "more than %d interfaces and tunnels", FL_PORTS_MAX - 2);
	port->kind = kind;
	port->interface = NULL;
	snprintf(port->name, sizeof(port->name), "%s", name);
	snprintf(port->device, sizeof(port->device), "%s", device);
	port_take_link(port, link);
	port->value.family = link ? family : 0;
	matched[port->number] = true;
	*out = port;
	return 0;
}

/* Numbers and what the machine says of each port. Ports of `next` that the configuration no longer has become PORT_NONE. */
int ports_plan(struct datapath *dp, const struct config *config, const uint32_t *peers, struct port *next,
	       struct config_report *report, char **why)
{
	bool matched[FL_PORTS_MAX] = {};
	struct port *port;
	int err = plan_interfaces(dp, config, next, matched, report, why);

	for (size_t i = 0; i < config->n_tunnels && !err; i++) {
		const struct config_tunnel *tunnel = &config->tunnels[i];

		err = plan_device(dp, PORT_TUNNEL, tunnel->name, tunnel->name, FL_INET6, next, matched, &port, why);
		if (err || !port)
			continue;
		port->tunnel = tunnel;
		port->peer = peers[i];
		if (port->present) {
			port->value.flags |= FL_PORT_TUNNEL | (tunnel->broker ? FL_PORT_BROKER : 0) |
					     (is_antispoof(tunnel) ? FL_PORT_ANTISPOOF : 0);
			port->value.mtu = tunnel_mtu(dp->system, tunnel);
			port->value.peer_ifindex = port->peer;
		}
	}
	err = err ?: plan_device(dp, PORT_ICMP, "fl-icmp-rx", "fl-icmp-rx", FL_BOTH, next, matched, &port, why);
	if (!err && port && port->present)
		port->value.flags |= FL_PORT_ICMP;
	for (size_t i = 1; i < FL_PORTS_MAX && !err; i++) {
		if (matched[i])
			continue;
		next[i].kind = PORT_NONE;
		next[i].present = false;
		next[i].name[0] = '\0';
		next[i].value = (struct fl_port){};
	}
	return err;
}

/* ---- values ---- */

/*
 * Can XDP transmit by this device? The kernel tells since 6.3. Before, a driver that runs our program natively does, except
 * veth, which needs a program or GRO at its other end.
 */
static bool can_xmit(struct datapath *dp, const struct port *ports, uint32_t ifindex)
{
	uint64_t features;

	if (device_xdp_features(ifindex, &features) == 0)
		return features & XDP_ACT_NDO_XMIT;
	for (size_t i = 1; i < FL_PORTS_MAX; i++)
		if (ports[i].present && ports[i].value.ifindex == ifindex)
			return ports[i].mode == PORT_MODE_NATIVE && !ports[i].veth;
	(void)dp;
	return false;
}

/* What the kernel holds IPv6 packets to: an advertised MTU, or one set by hand, is below the device's. */
static uint16_t mtu6_of(const struct port *port)
{
	uint32_t mtu = port->value.mtu;
	unsigned long set;
	char key[64], text[16];

	snprintf(key, sizeof(key), "net/ipv6/conf/%s/mtu", port->device);
	if (sysctl_get(key, text, sizeof(text)) == 0) {
		set = strtoul(text, NULL, 10);
		mtu = set >= MTU6_MIN && set < mtu ? set : mtu;
	}
	return mtu < UINT16_MAX ? mtu : UINT16_MAX;
}

/* A frame that XDP sends into a cable that is not there is lost without a word; tc says why. */
static bool has_carrier(struct datapath *dp, uint32_t ifindex)
{
	const struct system_link *link = system_link_by_index(dp->system, ifindex);

	return link && link->carrier;
}

static void port_value(struct datapath *dp, const struct port *ports, struct port *port)
{
	struct fl_port *value = &port->value;

	value->mtu6 = mtu6_of(port);
	value->flags &= ~(FL_PORT_XDP_XMIT | FL_PORT_NPT);
	value->xmit_ifindex = port->on_parent ? port->parent : value->ifindex;
	value->vid = port->on_parent ? port->vid : 0;
	value->endpoint = 0;
	value->underlay = 0;
	if (port->kind != PORT_INTERFACE || (value->flags & FL_PORT_L3) || (port->parent && !port->on_parent))
		return;
	if (has_carrier(dp, value->xmit_ifindex) && can_xmit(dp, ports, value->xmit_ifindex))
		value->flags |= FL_PORT_XDP_XMIT;
}

/* Completes the values: what hangs on the programs' modes, and on the tables. */
void ports_values(struct datapath *dp, struct port *next, const struct tables *tables)
{
	for (size_t i = 1; i < FL_PORTS_MAX; i++)
		if (next[i].present)
			port_value(dp, next, &next[i]);
	for (size_t i = 0; i < tables->n_endpoints; i++) {
		struct port *port = &next[tables->endpoints[i].value.tunnel];

		if (!port->present)
			continue;
		port->value.underlay =
			tables->endpoints[i].value.group ? FL_UNDERLAY_GROUP : tables->endpoints[i].value.underlay;
		if (!(port->value.flags & FL_PORT_BROKER))
			port->value.endpoint = tables->endpoints[i].index;
	}
	gateways_of_ports(tables, next);
	for (size_t i = 0; i < tables->n_npts; i++)
		if (next[tables->npts[i].value.port].present)
			next[tables->npts[i].value.port].value.flags |= FL_PORT_NPT;
}

/* ---- writing ---- */

/* A device's port in one set; the other set's stays. Without `add`: nobody's, if it is still this port's. */
static int map_device(struct datapath *dp, uint32_t set, uint32_t ifindex, uint32_t vid, uint32_t number, bool add)
{
	const struct fl_vlan_key key = { .ifindex = ifindex, .vid = vid };
	bool by_array = vid == 0 && ifindex < FL_IFINDEX_MAX;
	enum dp_map_id map = by_array ? DP_MAP_IFINDEX : DP_MAP_VLANS;
	const void *device = by_array ? (const void *)&ifindex : &key;
	struct fl_numbers numbers = {};
	int err = map_get(dp, map, device, &numbers);

	if (err && err != -ENOENT)
		return err;
	if (!add && (numbers.port[set] & ~FL_NUMBER_HIDDEN) != (number & ~FL_NUMBER_HIDDEN))
		return 0;
	numbers.port[set] = add ? number : 0;
	if (!by_array && !numbers.port[!set] && !add)
		return map_delete(dp, map, device);
	return map_put(dp, map, device, &numbers);
}

/* By which devices and tags packets find the port. */
static int map_devices(struct datapath *dp, uint32_t set, const struct fl_port *port, uint32_t number, bool add)
{
	int err = map_device(dp, set, port->ifindex, 0, number, add);

	if (!err && port->peer_ifindex)
		err = map_device(dp, set, port->peer_ifindex, 0, number | FL_NUMBER_HIDDEN, add);
	return err || !port->vid ? err : map_device(dp, set, port->xmit_ifindex, port->vid, number, add);
}

static int map_transmit(struct datapath *dp, uint32_t index, const struct fl_port *port)
{
	uint32_t value[4] = { port->xmit_ifindex }; /* struct bpf_devmap_val: ifindex, then no program */
	int err;

	if (!(port->flags & FL_PORT_UP) || (port->flags & FL_PORT_L3))
		return map_delete(dp, DP_MAP_TX, &index);
	err = map_put(dp, DP_MAP_TX, &index, value);
	return err == -EINVAL ? 0 : err; /* the device has gone since */
}

static bool same_devices(const struct fl_port *a, const struct fl_port *b)
{
	return a->ifindex == b->ifindex && a->xmit_ifindex == b->xmit_ifindex && a->vid == b->vid &&
	       a->peer_ifindex == b->peer_ifindex;
}

static int port_write(struct datapath *dp, uint32_t set, uint32_t number, const struct fl_port *value)
{
	uint32_t index = FL_PORT_INDEX(set, number);
	int err = map_put(dp, DP_MAP_PORTS, &index, value);

	err = err ?: map_transmit(dp, index, value);
	if (!err && (value->flags & FL_PORT_UP))
		err = map_devices(dp, set, value, number, true);
	if (!err)
		dp->in_map[set][number] = *value;
	return err;
}

bool ports_equal(const struct datapath *dp, const struct port *ports, uint32_t set)
{
	for (size_t i = 1; i < FL_PORTS_MAX; i++)
		if (memcmp(&ports[i].value, &dp->in_map[set][i], sizeof(struct fl_port)) != 0)
			return false;
	return true;
}

/*
 * Makes the set what `ports` says. Old ways to changed ports are closed before new ones open: devices may have been swapped. In
 * the set that is in force packets may meet a change half done: for what the machine changed, not for a configuration.
 */
int ports_write(struct datapath *dp, const struct port *ports, uint32_t set)
{
	int err = 0;

	if (ports_equal(dp, ports, set))
		return 0;
	for (uint32_t i = 1; i < FL_PORTS_MAX && !err; i++)
		if ((dp->in_map[set][i].flags & FL_PORT_UP) && !same_devices(&dp->in_map[set][i], &ports[i].value))
			err = map_devices(dp, set, &dp->in_map[set][i], i, false);
	for (uint32_t i = 1; i < FL_PORTS_MAX && !err; i++)
		if (memcmp(&dp->in_map[set][i], &ports[i].value, sizeof(struct fl_port)) != 0)
			err = port_write(dp, set, i, &ports[i].value);
	if (set == set_in_force(dp))
		control_bump(dp);
	return err ? log_ret(err, "cannot write the table of ports") : 0;
}
