// SPDX-License-Identifier: GPL-2.0-only
/* Devices: what their drivers can do, what they do to packets by themselves, and how big these may be. */
#include <errno.h>
#include <linux/if_arp.h>
#include <string.h>

#include "user/doctor/judge.h"

/* linux/netdev.h of Linux 6.3, newer than the headers this is built with */
#define XDP_BASIC (1 << 0)
#define XDP_REDIRECT (1 << 1)
#define XDP_NDO_XMIT (1 << 2)

#define OUTER_HEADER 20 /* IPv4, of 6in4 */
#define SYNC_MTU_MIN 1500

/* ---- drivers ---- */

/* Of virtual machines: whether frames with other MACs get through a switch of theirs decides. */
bool driver_is_virtual(const char *driver)
{
	static const char *const drivers[] = { "virtio_net", "vmxnet3", "hv_netvsc", "vif", "ena", "gve", "mana" };

	for (size_t i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++)
		if (!strcmp(driver, drivers[i]))
			return true;
	return false;
}

void judge_driver(struct doctor *d, const char *device, const char *driver, long long features)
{
	if (features < 0)
		doctor_skip(d, "%s: driver %s; what it can do in XDP this kernel does not tell", device, driver);
	else if (!(features & XDP_BASIC))
		doctor_warn(
			d,
			doctor_text(
				d,
				"\"mode\": \"tc\" for it if that is fast enough, and nothing is told; else a card whose "
				"driver has XDP"),
			"%s: the driver %s has no XDP: programs run in tc, several times slower", device, driver);
	else if (!(features & XDP_REDIRECT) || !(features & XDP_NDO_XMIT))
		doctor_warn(
			d,
			"a newer kernel, more queues (ethtool -L), or GRO on at the other end of a veth; fairlead show "
			"interfaces tells what runs",
			"%s: the driver %s can't %s by XDP: what leaves there goes by tc", device, driver,
			features & XDP_REDIRECT ? "send" : "redirect");
	else
		doctor_ok(d, "%s: the driver %s has all of XDP", device, driver);
}

static bool is_hardware(const struct system_link *link)
{
	return !*link->kind && link->arptype == ARPHRD_ETHER;
}

static void check_device(struct doctor *d, const struct config_interface *interface)
{
	const struct system_link *link = doctor_link(d, interface);
	const json_t *row = doctor_row(doctor_shown(d, "interfaces"), "name", interface->name);
	const char *mode = doctor_string(row, "mode");
	char driver[64] = "";
	uint64_t features;

	if (!link && config_is_masters(d->config, interface) && doctor_is_standby(d)) {
		doctor_ok(d, "%s: there is no device %s, and need not be: only the master has it", interface->name,
			  interface->device);
		return;
	}
	if (!link) {
		doctor_fail(d, "ip link lists what there is; it is taken in as soon as it comes",
			    "%s: there is no device %s", interface->name, interface->device);
		return;
	}
	device_driver(interface->device, driver, sizeof(driver));
	if (!strcmp(mode, "native"))
		doctor_ok(d, "%s (%s): native XDP%s%s", interface->name, interface->device, *driver ? ", driver " : "",
			  driver);
	else if (interface->mode == CONFIG_MODE_TC || !is_hardware(link))
		doctor_ok(d, "%s (%s): %s%s%s", interface->name, interface->device, *mode ? mode : "not attached",
			  *driver ? ", driver " : "", driver);
	else
		judge_driver(d, interface->device, *driver ? driver : "unknown",
			     device_xdp_features(link->ifindex, &features) ? -1 : (long long)features);
}

void check_devices(struct doctor *d)
{
	if (!d->config || !d->system)
		doctor_skip(d, "no configuration tells which devices");
	for (size_t i = 0; d->config && d->system && i < d->config->n_interfaces; i++)
		check_device(d, &d->config->interfaces[i]);
}

/* ---- offloads ---- */

static bool is_on(const char *device, enum offload what)
{
	bool on = false;

	return !offload_get(device, what, &on) && on;
}

/* Of a VLAN of the configuration on a device whose XDP program must see the tag. */
static void check_tags(struct doctor *d, const struct system_link *vlan)
{
	const struct system_link *lower = vlan->parent ? system_link_by_index(d->system, vlan->parent) : NULL;

	if (!vlan->vid || !lower || !lower->xdp_native || !is_on(lower->name, OFFLOAD_RXVLAN))
		return;
	doctor_fail(d, doctor_text(d, "ethtool -K %s rxvlan off; or \"mode\": \"tc\" for %s", lower->name, vlan->name),
		    "%s takes VLAN tags off frames (rxvlan) before XDP sees them: %s gets none", lower->name,
		    vlan->name);
}

static void check_device_offloads(struct doctor *d, const struct system_link *link)
{
	if (is_on(link->name, OFFLOAD_LRO))
		doctor_fail(
			d, doctor_text(d, "ethtool -K %s lro off", link->name),
			"%s puts packets together so that they can't be taken apart again (LRO): forwarded ones get lost",
			link->name);
	if (is_on(link->name, OFFLOAD_UDP_GRO_FORWARDING))
		doctor_warn(
			d, doctor_text(d, "ethtool -K %s rx-udp-gro-forwarding off", link->name),
			"%s puts UDP packets together (rx-udp-gro-forwarding): counters count many as one, and what leaves "
			"is cut anew",
			link->name);
	check_tags(d, link);
}

void check_offloads(struct doctor *d)
{
	size_t before = json_array_size(d->rows);
	const struct system_link *link;

	if (!d->config || !d->system) {
		doctor_skip(d, "no configuration tells which devices");
		return;
	}
	for (size_t i = 0; i < d->config->n_interfaces; i++) {
		link = doctor_link(d, &d->config->interfaces[i]);
		if (link)
			check_device_offloads(d, link);
	}
	if (json_array_size(d->rows) == before)
		doctor_ok(d, "none that forwarding suffers by");
}

/* ---- MTU ---- */

static void check_tunnel_mtu(struct doctor *d, const struct config_tunnel *tunnel)
{
	const struct config_interface *underlay;
	const struct system_link *link;

	for (size_t i = 0; tunnel->mtu && (underlay = config_tunnel_underlay(tunnel, i)); i++) {
		link = doctor_link(d, underlay);
		if (!link || tunnel->mtu + OUTER_HEADER <= link->mtu)
			continue;
		doctor_fail(d,
			    doctor_text(d, "/tunnels/%s/mtu: \"auto\", or at most %u", tunnel->name,
					link->mtu - OUTER_HEADER),
			    "tunnel %s: packets of %u bytes do not fit through %s (%s), whose MTU is %u", tunnel->name,
			    tunnel->mtu, underlay->name, underlay->device, link->mtu);
	}
}

/* The smaller one is to be as big as the other: what is bigger gets lost without a word. row: of `show sync` */
void judge_peer_mtu(struct doctor *d, const char *device, const json_t *row)
{
	const char *peer = doctor_string(row, "peer"), *its = doctor_string(row, "peer_device");
	long long mtu = doctor_number(row, "mtu"), peer_mtu = doctor_number(row, "peer_mtu");

	if (!mtu || !peer_mtu || mtu == peer_mtu)
		return;
	doctor_warn(
		d,
		mtu < peer_mtu
			? doctor_text(d, "ip link set dev %s mtu %lld, and where the system sets it", device, peer_mtu)
			: doctor_text(d, "on %s: ip link set dev %s mtu %lld, and where the system sets it", peer, its,
				      mtu),
		"the sync link has an MTU of %lld here (%s) and of %lld on %s (%s): bigger packets get lost on the way",
		mtu, device, peer_mtu, peer, its);
}

static void check_sync_mtu(struct doctor *d)
{
	const struct system_link *link = d->config->ha.interface ? doctor_link(d, d->config->ha.interface) : NULL;
	json_t *row;
	size_t i;

	if (!link)
		return;
	if (link->mtu < SYNC_MTU_MIN)
		doctor_warn(d, doctor_text(d, "ip link set dev %s mtu %d, on both nodes", link->name, SYNC_MTU_MIN),
			    "%s (%s): the MTU of the sync link is %u: more packets than need be",
			    d->config->ha.interface->name, link->name, link->mtu);
	json_array_foreach((json_t *)doctor_shown(d, "sync"), i, row) {
		judge_peer_mtu(d, link->name, row);
	}
}

void check_mtu(struct doctor *d)
{
	size_t before = json_array_size(d->rows);

	if (!d->config || !d->system) {
		doctor_skip(d, "no configuration tells which devices");
		return;
	}
	for (size_t i = 0; i < d->config->n_tunnels; i++)
		check_tunnel_mtu(d, &d->config->tunnels[i]);
	check_sync_mtu(d);
	if (json_array_size(d->rows) == before)
		doctor_ok(d, "tunnels fit through their underlays%s",
			  d->config->ha.interface ? ", and the sync link is as big as it should be" : "");
}
