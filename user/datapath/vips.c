// SPDX-License-Identifier: GPL-2.0-only
/*
 * Virtual addresses: what the programs know of them (include/fairlead/vip.h), and what the kernel has. Whether this node has one now is a
 * lease that somebody else writes.
 *
 * What a configuration has more is added before it is in force, and what it has less is taken away afterwards: the leases of what it keeps
 * go on, whatever becomes of an apply.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "fairlead/vip.h"
#include "user/datapath/private.h"
#include "user/datapath/rows.h"
#include "user/lib/log.h"

#define LEASES_BYTES (FL_VIPS_MAX * sizeof(uint64_t))
#define NO_LEASE FL_VIPS_MAX

/* Who has a number in fl_leases. */
struct holder {
	char interface[64]; /* its name in the configuration; "": nobody, or not known who since an earlier daemon gave it */
	uint8_t vhid;
	bool found; /* in the maps, from an earlier daemon */
	bool told;  /* whether it shall have the kernel's addresses */
	bool own;
};

/* The maps' rows, as they are or shall be. */
struct vip_tables {
	struct rows macs, addresses;
	struct rows pairs; /* whom this node tells what it knows */
};

struct vips {
	struct holder holders[FL_VIPS_MAX];
	struct vip_tables now;
	uint64_t *leases; /* mapped */
};

static struct vip_tables vip_tables_empty(void)
{
	return (struct vip_tables){
		.macs = { DP_MAP_VMACS, sizeof(struct fl_vmac_key), sizeof(struct fl_vmac), 0, 0, NULL },
		.addresses = { DP_MAP_VIPS, sizeof(struct fl_vip_key), sizeof(struct fl_vip), 0, 0, NULL },
		.pairs = { DP_MAP_PAIRS, sizeof(struct fl_pair_key), 1, 0, 0, NULL },
	};
}

static void vip_tables_free(struct vip_tables *tables)
{
	free(tables->macs.records);
	free(tables->addresses.records);
	free(tables->pairs.records);
}

/* ---- open, close ---- */

static void find_holders(struct vips *vips)
{
	struct fl_vmac vmac;
	struct fl_vip vip;

	for (size_t i = 0; i < vips->now.macs.n; i++) {
		memcpy(&vmac, row_at(&vips->now.macs, i) + vips->now.macs.key_size, sizeof(vmac));
		vips->holders[vmac.lease % FL_VIPS_MAX].found = true;
	}
	for (size_t i = 0; i < vips->now.addresses.n; i++) {
		memcpy(&vip, row_at(&vips->now.addresses, i) + vips->now.addresses.key_size, sizeof(vip));
		vips->holders[vip.lease % FL_VIPS_MAX].found = true;
	}
}

int vip_maps_open(struct datapath *dp)
{
	struct vips *vips = dp->vips = calloc(1, sizeof(*dp->vips));
	void *leases;
	int err;

	if (!vips)
		return -ENOMEM;
	leases = mmap(NULL, LEASES_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, dp->maps[DP_MAP_LEASES].fd, 0);
	if (leases == MAP_FAILED)
		return log_ret(errno, "cannot map fl_leases");
	vips->leases = leases;
	vips->now = vip_tables_empty();
	err = rows_read(dp, &vips->now.macs);
	err = err ?: rows_read(dp, &vips->now.addresses);
	err = err ?: rows_read(dp, &vips->now.pairs);
	if (err)
		return log_ret(err, "cannot read the virtual addresses of an earlier daemon");
	find_holders(vips);
	return 0;
}

void vip_maps_close(struct datapath *dp)
{
	if (!dp->vips)
		return;
	if (dp->vips->leases)
		munmap(dp->vips->leases, LEASES_BYTES);
	vip_tables_free(&dp->vips->now);
	free(dp->vips);
	dp->vips = NULL;
}

static void lease_end(struct vips *vips, size_t number)
{
	__atomic_store_n(&vips->leases[number], 0, __ATOMIC_RELEASE);
}

/* ---- numbers ---- */

static const struct port *port_of(const struct port *ports, const struct config_interface *interface)
{
	for (size_t i = 1; i < FL_PORTS_MAX; i++)
		if (ports[i].kind == PORT_INTERFACE && strcmp(ports[i].name, interface->name) == 0)
			return ports[i].present ? &ports[i] : NULL;
	return NULL;
}

static const struct port *port_of_vip(const struct port *ports, const struct config_vip *vip)
{
	return port_of(ports, vip->interface);
}

static bool is_holder(const struct holder *holder, const struct config_vip *vip)
{
	return holder->vhid == vip->vhid && strcmp(holder->interface, vip->interface->name) == 0;
}

static size_t number_of(const struct vips *vips, const struct config_vip *vip)
{
	for (size_t i = 0; i < FL_VIPS_MAX; i++)
		if (is_holder(&vips->holders[i], vip))
			return i;
	return NO_LEASE;
}

/* What an earlier daemon gave it. */
static size_t number_found(const struct vips *vips, const struct config_vip *vip, const struct port *port)
{
	struct fl_vmac_key key = { .ifindex = port ? port->value.ifindex : 0, .vhid = vip->vhid };
	const void *value = rows_find(&vips->now.macs, &key);
	struct fl_vmac vmac;

	if (!value)
		return NO_LEASE;
	memcpy(&vmac, value, sizeof(vmac));
	return vmac.lease < FL_VIPS_MAX && !vips->holders[vmac.lease].interface[0] ? vmac.lease : NO_LEASE;
}

static size_t number_new(struct vips *vips)
{
	for (size_t i = 0; i < FL_VIPS_MAX; i++)
		if (!vips->holders[i].interface[0] && !vips->holders[i].found) {
			lease_end(vips, i);
			return i;
		}
	return NO_LEASE;
}

static void hold(struct vips *vips, size_t number, const struct config_vip *vip)
{
	struct holder *holder = &vips->holders[number];

	*holder = (struct holder){ .vhid = vip->vhid };
	snprintf(holder->interface, sizeof(holder->interface), "%s", vip->interface->name);
}

/* Found ones first: a new one must not get the number of one that comes later in the list. */
static int number_all(struct vips *vips, const struct config *config, const struct port *ports)
{
	for (int new = 0; new < 2; new ++)
		for (size_t i = 0; i < config->n_vips; i++) {
			const struct config_vip *vip = &config->vips[i];
			size_t number;

			if (number_of(vips, vip) != NO_LEASE)
				continue;
			number = new ? number_new(vips) : number_found(vips, vip, port_of_vip(ports, vip));
			if (number != NO_LEASE)
				hold(vips, number, vip);
			else if (new)
				return -ENOSPC;
		}
	return 0;
}

/* ---- what the maps shall have ---- */

static int plan_macs(struct rows *macs, const struct config_vip *vip, size_t number, const struct port *port)
{
	struct fl_vmac_key key = { .ifindex = port->value.ifindex, .vhid = vip->vhid };
	struct fl_vmac value = { .lease = (__u16)number };
	int err;

	memcpy(value.mac, port->value.mac, sizeof(value.mac));
	err = rows_put(macs, &key, &value);
	if (err || !port->parent || !port->vid)
		return err;
	key.ifindex = port->parent; /* as XDP there sees its frames */
	key.vid = port->vid;
	return rows_put(macs, &key, &value);
}

static struct fl_vip_key vip_key(const struct addr *a, uint32_t ifindex)
{
	return (struct fl_vip_key){ .addr = addr_to_map(a),
				    .ifindex = addr_is_link_local(a) && a->family == AF_INET6 ? ifindex : 0 };
}

/* Global ones also while the device is not there: nothing else may answer for them. */
static int plan_addresses(struct rows *addresses, const struct config_vip *vip, size_t number, uint32_t ifindex)
{
	const struct fl_vip value = { .lease = (__u16)number, .vhid = vip->vhid };
	int err = 0;

	for (size_t i = 0; i < vip->n_addresses && !err; i++) {
		struct fl_vip_key key = vip_key(&vip->addresses[i].addr, ifindex);

		err = rows_put(addresses, &key, &value);
	}
	return err;
}

static int plan_pairs(struct rows *pairs, const struct config_ha *ha, const struct port *ports)
{
	const struct port *port = ha->interface ? port_of(ports, ha->interface) : NULL;
	struct fl_pair_key key = { .local = addr_to_map(&ha->local), .port = htons(ha->port) };
	const uint8_t is = 1;
	int err = 0;

	for (size_t i = 0; port && i < ha->n_peers && !err; i++) {
		key.ifindex = port->value.ifindex;
		key.remote = addr_to_map(&ha->peers[i]);
		err = rows_put(pairs, &key, &is);
	}
	return err;
}

static int plan(const struct vips *vips, const struct config *config, const struct port *ports, struct vip_tables *p)
{
	int err;

	*p = vip_tables_empty();
	err = config ? plan_pairs(&p->pairs, &config->ha, ports) : 0;
	for (size_t i = 0; config && i < config->n_vips && !err; i++) {
		const struct config_vip *vip = &config->vips[i];
		const struct port *port = port_of_vip(ports, vip);
		size_t number = number_of(vips, vip);

		if (number == NO_LEASE)
			continue;
		if (port && !(port->value.flags & FL_PORT_L3))
			err = plan_macs(&p->macs, vip, number, port);
		err = err ?: plan_addresses(&p->addresses, vip, number, port ? port->value.ifindex : 0);
	}
	rows_sort(&p->macs); /* vips of the same vhid on one interface have the same lease */
	rows_sort(&p->addresses);
	rows_sort(&p->pairs);
	return err;
}

/* ---- maps and filters follow ---- */

static void hear(struct datapath *dp, const uint8_t *row, bool on)
{
	struct fl_vmac_key key;
	int err;

	memcpy(&key, row, sizeof(key));
	if (key.vid)
		return;
	err = device_hear_mac(dp->system, key.ifindex, (uint8_t[]){ 0, 0, 0x5e, 0, 1, key.vhid }, on);
	if (err && err != -ENODEV)
		log_ret(err, "the device of vhid %u (ifindex %u) does not take frames to the virtual MAC", key.vhid,
			key.ifindex);
}

/* What `to` has besides is put there; `from` becomes both. */
static int rows_add(struct datapath *dp, struct rows *from, const struct rows *to)
{
	size_t before = from->n;
	int err = 0;

	for (size_t i = 0; i < to->n && !err; i++) {
		const uint8_t *row = row_at(to, i);
		struct rows old = *from;
		void *value;

		old.n = before; /* the sorted part */
		value = rows_find(&old, row);
		if (value && memcmp(value, row + to->key_size, to->value_size) == 0)
			continue;
		err = map_put(dp, to->map, row, row + to->key_size);
		if (!err && value)
			memcpy(value, row + to->key_size, to->value_size);
		else if (!err)
			err = rows_put(from, row, row + to->key_size);
		if (!err && !value && to->map == DP_MAP_VMACS)
			hear(dp, row, true);
	}
	rows_sort(from);
	return err;
}

static void rows_remove(struct datapath *dp, const struct rows *from, const struct rows *to)
{
	for (size_t i = 0; i < from->n; i++) {
		const uint8_t *row = row_at(from, i);
		int err;

		if (rows_find(to, row))
			continue;
		err = map_delete(dp, from->map, row);
		if (err)
			log_ret(err, "cannot delete from %s", dp_map_names[from->map]);
		if (from->map == DP_MAP_VMACS)
			hear(dp, row, false);
	}
}

static void vips_add_back(struct datapath *dp, const void *data)
{
	(void)data;
	vips_settle(dp, dp->config, dp->ports);
}

int vips_add(struct datapath *dp, const struct config *config, const struct port *ports, struct undo *undo, char **why)
{
	struct vips *vips = dp->vips;
	struct vip_tables planned = {};
	int err;

	if (!config->n_vips && !config->ha.interface)
		return 0;
	undo_push(undo, vips_add_back, NULL, 0);
	err = number_all(vips, config, ports);
	err = err ?: plan(vips, config, ports, &planned);
	err = err ?: rows_add(dp, &vips->now.macs, &planned.macs);
	err = err ?: rows_add(dp, &vips->now.addresses, &planned.addresses);
	err = err ?: rows_add(dp, &vips->now.pairs, &planned.pairs);
	vip_tables_free(&planned);
	if (!err && config->n_vips && !dp->control.vips) {
		dp->control.vips = 1;
		control_write(dp);
	}
	if (err == -ENOSPC || err == -E2BIG)
		return fail(why, err, "too many shared addresses beside those that are taken away");
	return err ? fail(why, err, "cannot write the table of shared addresses") : 0;
}

/* ---- the kernel's addresses ---- */

static int own(struct datapath *dp, const struct config_vip *vip, const struct port *port, bool on, bool warn)
{
	bool *others = calloc(vip->n_addresses + 1, sizeof(*others));
	char text[ADDR_STRLEN];
	int err = others ? device_share_addresses(dp->system, port->value.ifindex, vip->addresses, vip->n_addresses, on,
						  others)
			 : -ENOMEM;

	for (size_t i = 0; others && warn && i < vip->n_addresses; i++)
		if (others[i])
			log_warnx(
				"%s has the shared address %s already, not from fairlead: it is left alone, also while another node has it",
				port->device, addr_format(&vip->addresses[i].addr, text));
	free(others);
	return err;
}

/* Whether the vhid that has it by `tables` is on that device. */
static bool is_wanted(const struct vip_tables *tables, const struct fl_vip_key *key, uint32_t ifindex)
{
	struct fl_vmac_key mac = { .ifindex = ifindex };
	const void *value = rows_find(&tables->addresses, key);
	struct fl_vip vip;

	if (!value)
		return false;
	memcpy(&vip, value, sizeof(vip));
	mac.vhid = vip.vhid;
	return rows_find(&tables->macs, &mac);
}

/* Those that were put there for a vip that is no more, or is on another device, by this daemon or an earlier one of this instance. */
static void addresses_sweep(struct datapath *dp, const struct vip_tables *wanted)
{
	const struct system_addr *a;

	for (size_t i = 0; (a = system_addr_at(dp->system, i)); i++) {
		struct fl_vip_key key = vip_key(&a->prefix.addr, a->ifindex);
		int err;

		if (a->protocol != ADDRPROT_FAIRLEAD || is_wanted(wanted, &key, a->ifindex))
			continue;
		if (!rows_find(&dp->vips->now.addresses, &key) && others_at_work(dp)) /* another instance's */
			continue;
		err = device_share_addresses(dp->system, a->ifindex, &a->prefix, 1, false, NULL);
		if (err && err != -ENODEV)
			log_ret(err, "cannot take a shared address away");
	}
}

/* Somebody has taken them away, or the device is another one. */
static void addresses_put_back(struct datapath *dp, const struct config *config, const struct port *ports)
{
	for (size_t i = 0; config && i < config->n_vips; i++) {
		const struct config_vip *vip = &config->vips[i];
		const struct port *port = port_of_vip(ports, vip);
		size_t number = number_of(dp->vips, vip);
		int err;

		if (!port || number == NO_LEASE || !dp->vips->holders[number].told)
			continue;
		err = own(dp, vip, port, dp->vips->holders[number].own, false);
		if (err && err != -ENODEV)
			log_ret(err, "not all addresses of %s follow", vip->name);
	}
}

/* ---- afterwards ---- */

/* Leases of what is no more, before anything else of it is taken away. */
static void leases_end(struct vips *vips, const struct config *config)
{
	bool wanted[FL_VIPS_MAX] = {};

	for (size_t i = 0; config && i < config->n_vips; i++) {
		size_t number = number_of(vips, &config->vips[i]);

		if (number != NO_LEASE)
			wanted[number] = true;
	}
	for (size_t i = 0; i < FL_VIPS_MAX; i++) {
		if (wanted[i])
			continue;
		lease_end(vips, i);
		vips->holders[i] = (struct holder){};
	}
}

void vips_settle(struct datapath *dp, const struct config *config, const struct port *ports)
{
	struct vips *vips = dp->vips;
	struct vip_tables planned = {};
	int err;

	if (!vips || (!vips->now.macs.n && !vips->now.addresses.n && !vips->now.pairs.n &&
		      !(config && (config->n_vips || config->ha.interface))))
		return;
	system_dispatch(dp->system); /* the addresses of a moment ago */
	leases_end(vips, config);
	err = plan(vips, config, ports, &planned);
	if (err) { /* nothing is taken away until the next time */
		vip_tables_free(&planned);
		log_ret(err, "cannot take away what was shared");
		return;
	}
	addresses_sweep(dp, &planned);
	rows_remove(dp, &vips->now.macs, &planned.macs);
	rows_remove(dp, &vips->now.addresses, &planned.addresses);
	rows_remove(dp, &vips->now.pairs, &planned.pairs);
	vip_tables_free(&vips->now);
	vips->now = planned;
	addresses_put_back(dp, config, ports);
	dp->control.vips = config && config->n_vips;
	control_write(dp);
}

/* ---- for others ---- */

int datapath_vip_lease(const struct datapath *dp, const struct config_vip *vip)
{
	size_t number = number_of(dp->vips, vip);

	return number == NO_LEASE ? -ENOENT : (int)number;
}

volatile uint64_t *datapath_leases(struct datapath *dp)
{
	return dp->vips->leases;
}

bool datapath_vip_device(const struct datapath *dp, const struct config_vip *vip, uint32_t *ifindex, uint8_t mac[6])
{
	const struct port *port = port_of_vip(dp->ports, vip);

	if (!port)
		return false;
	*ifindex = port->value.ifindex;
	memcpy(mac, port->value.mac, sizeof(port->value.mac));
	return true;
}

int datapath_vip_own(struct datapath *dp, const struct config_vip *vip, bool on)
{
	size_t number = number_of(dp->vips, vip);
	const struct port *port = port_of_vip(dp->ports, vip);
	struct holder *holder;
	bool warn;

	if (number == NO_LEASE)
		return -ENOENT;
	holder = &dp->vips->holders[number];
	warn = on && !(holder->told && holder->own);
	holder->told = true;
	holder->own = on;
	return port ? own(dp, vip, port, on, warn) : -ENODEV;
}
