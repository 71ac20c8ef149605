// SPDX-License-Identifier: GPL-2.0-only
/*
 * XDP: which mode an interface gets, and why. A program of another owner is respected; ours is replaced in one step, and only
 * if it still is the one that was seen.
 */

#include <errno.h>
#include <linux/if_link.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "user/datapath/private.h"
#include "user/lib/log.h"

struct xdp_now {
	enum port_mode mode; /* PORT_MODE_NONE: no program */
	uint32_t id;
	char name[BPF_OBJ_NAME_LEN];
	bool ours;
	char instance[64]; /* another one of fairlead's, or "" */
};

static enum dp_prog_id prog_of_mode(enum port_mode mode)
{
	return mode == PORT_MODE_GENERIC ? DP_PROG_XDP_GENERIC : DP_PROG_XDP;
}

static __u32 mode_flag(enum port_mode mode)
{
	return mode == PORT_MODE_GENERIC ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE;
}

static int xdp_query(struct datapath *dp, uint32_t ifindex, struct xdp_now *now)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, opts);
	struct program_seen seen;
	int err = bpf_xdp_query(ifindex, 0, &opts);

	memset(now, 0, sizeof(*now));
	if (err)
		return err;
	now->id = opts.drv_prog_id ? opts.drv_prog_id : opts.skb_prog_id ? opts.skb_prog_id : opts.hw_prog_id;
	if (!now->id)
		return 0;
	now->mode = opts.skb_prog_id && !opts.drv_prog_id ? PORT_MODE_GENERIC : PORT_MODE_NATIVE;
	program_see(dp, now->id, &seen);
	memcpy(now->name, seen.name, sizeof(now->name));
	now->ours = seen.owner == OWNER_US;
	if (seen.owner == OWNER_INSTANCE)
		memcpy(now->instance, seen.instance, sizeof(now->instance));
	return 0;
}

/* By what netlink has told: to ask for one device costs a look at all of them (libbpf). */
uint32_t xdp_missing(struct datapath *dp, const struct port *port)
{
	const struct system_link *link = system_link_by_index(dp->system, port->value.ifindex);
	enum dp_prog_id id = port->kind == PORT_ICMP ? DP_PROG_ICMP : prog_of_mode(port->mode);

	if (!link || port->on_parent || (port->mode != PORT_MODE_NATIVE && port->mode != PORT_MODE_GENERIC))
		return 0;
	if (link->xdp_prog_id == dp->objects.progs[id].id)
		return 0;
	return link->xdp_prog_id && joined_dispatcher(dp, link->ifindex, NULL) ? 0 : MISSING_XDP;
}

struct xdp_change {
	uint32_t ifindex;
	enum port_mode before;
	enum dp_prog_id prog;
};

static void xdp_change_back(struct datapath *dp, const void *data)
{
	const struct xdp_change *change = data;

	xdp_detach(dp, change->ifindex);
	if (change->before != PORT_MODE_NONE &&
	    bpf_xdp_attach(change->ifindex, dp->objects.progs[change->prog].fd, mode_flag(change->before), NULL))
		log_warnx("cannot put XDP of device %u back; tc runs there", change->ifindex);
}

static int detach_seen(struct datapath *dp, uint32_t ifindex, const struct xdp_now *now)
{
	int fd = program_fd(dp, now->id), err;
	LIBBPF_OPTS(bpf_xdp_attach_opts, opts, .old_prog_fd = fd);

	if (fd < 0)
		return fd;
	err = bpf_xdp_detach(ifindex, mode_flag(now->mode) | XDP_FLAGS_REPLACE, &opts);
	close(fd);
	return err;
}

void xdp_detach(struct datapath *dp, uint32_t ifindex)
{
	struct xdp_now now;
	int err;

	if (xdp_query(dp, ifindex, &now) || !now.id)
		return;
	if (strcmp(now.name, XDP_DISPATCHER) == 0) {
		err = leave_dispatcher(dp, ifindex);
		if (err)
			log_ret(err, "cannot leave the XDP dispatcher of device %u", ifindex);
		return;
	}
	if (!now.ours)
		return;
	err = detach_seen(dp, ifindex, &now);
	if (err && err != -ENODEV)
		log_ret(err, "cannot take the XDP program from device %u", ifindex);
}

/* From what is there (nothing, or ours in any mode) to our program in `mode`. tc serves the device meanwhile. */
static int xdp_set(struct datapath *dp, uint32_t ifindex, enum dp_prog_id id, enum port_mode mode,
		   const struct xdp_now *now, struct undo *undo)
{
	const struct xdp_change change = { ifindex, now->mode, id == DP_PROG_ICMP ? id : prog_of_mode(now->mode) };
	const struct dp_prog *prog = &dp->objects.progs[id];
	int err, fd;

	if (now->mode == mode && now->id == prog->id)
		return 0;
	if (now->mode == mode) {
		LIBBPF_OPTS(bpf_xdp_attach_opts, opts);

		fd = program_fd(dp, now->id);
		if (fd < 0)
			return fd;
		opts.old_prog_fd = fd;
		err = bpf_xdp_attach(ifindex, prog->fd, mode_flag(mode) | XDP_FLAGS_REPLACE, &opts);
		close(fd);
		return err;
	}
	undo_push(undo, xdp_change_back, &change, sizeof(change));
	if (now->mode != PORT_MODE_NONE) { /* one device cannot have both modes */
		err = detach_seen(dp, ifindex, now);
		if (err)
			return err;
	}
	return bpf_xdp_attach(ifindex, prog->fd, mode_flag(mode) | XDP_FLAGS_UPDATE_IF_NOEXIST, NULL);
}

static int settle(struct port *port, enum port_mode mode, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static int settle(struct port *port, enum port_mode mode, const char *fmt, ...)
{
	va_list ap;

	port->mode = mode;
	va_start(ap, fmt);
	vsnprintf(port->reason, sizeof(port->reason), fmt, ap);
	va_end(ap);
	return 0;
}

static void drop_ours(struct datapath *dp, const struct port *port, const struct xdp_now *now, struct undo *undo)
{
	const struct xdp_change change = { port->value.ifindex, now->mode, prog_of_mode(now->mode) };

	if (!now->id || !now->ours)
		return;
	undo_push(undo, xdp_change_back, &change, sizeof(change));
	if (detach_seen(dp, port->value.ifindex, now))
		log_warnx("cannot take the XDP program from %s", port->device);
}

/* Somebody else's program is there. */
static int attach_beside(struct datapath *dp, struct port *port, const struct xdp_now *now, struct undo *undo)
{
	int err;

	if (now->instance[0])
		return settle(port, PORT_MODE_TC, "instance \"%s\" of fairlead serves this device; tc runs",
			      now->instance);
	if (!now->name[0])
		return settle(
			port, PORT_MODE_TC,
			"an XDP program (id %u) of another owner is attached, which only CAP_SYS_ADMIN may look at; tc "
			"runs",
			now->id);
	if (strcmp(now->name, XDP_DISPATCHER) != 0)
		return settle(port, PORT_MODE_TC, "XDP program \"%s\" (id %u) of another owner is attached; tc runs",
			      now->name, now->id);
	err = join_dispatcher(dp, port->value.ifindex, now->id);
	if (err)
		return settle(port, PORT_MODE_TC,
			      "the XDP dispatcher that is attached (id %u) cannot be joined (%s); tc runs", now->id,
			      strerror(-err));
	offload_off(dp, port, OFFLOAD_RXVLAN, undo); /* as in attach_mode() */
	return settle(port, now->mode, "joined the XDP dispatcher that is attached (id %u)", now->id);
}

static bool has_vlans(struct datapath *dp, uint32_t ifindex)
{
	const struct system_link *link;

	for (size_t i = 0; (link = system_link_at(dp->system, i)); i++)
		if (link->vid && link->parent == ifindex)
			return true;
	return false;
}

/*
 * Why XDP would take frames with a VLAN tag for frames without; NULL: it would not. A card can be told to leave tags in frames. A veth's
 * sender leaves them beside, and so do devices made of others by the time that generic XDP looks: only tc sees them there.
 */
const char *xdp_blind_to_tags(struct datapath *dp, const struct system_link *link, enum config_mode asked)
{
	if (strcmp(link->kind, "veth") == 0)
		return asked == CONFIG_MODE_AUTO && has_vlans(dp, link->ifindex)
			       ? "VLANs lie on it, whose tags XDP does not see on a veth; tc runs"
			       : NULL;
	if (asked == CONFIG_MODE_GENERIC && link->kind[0] && !link->vid && strcmp(link->kind, "tun") != 0)
		return "generic XDP does not see VLAN tags on such a device; tc runs";
	return NULL;
}

static const char *const mode_words[] = { [PORT_MODE_GENERIC] = "generic XDP", [PORT_MODE_NATIVE] = "native XDP" };

static int attach_mode(struct datapath *dp, struct port *port, enum port_mode mode, const struct xdp_now *now,
		       struct undo *undo)
{
	bool asked = port->interface->mode != CONFIG_MODE_AUTO;
	const struct system_link *link = system_link_by_index(dp->system, port->value.ifindex);
	const char *blind = link ? xdp_blind_to_tags(dp, link, port->interface->mode) : NULL;
	int err;

	if (blind) {
		drop_ours(dp, port, now, undo);
		return settle(port, PORT_MODE_TC, "%s", blind);
	}
	err = xdp_set(dp, port->value.ifindex, prog_of_mode(mode), mode, now, undo);
	if (err == -ENODEV)
		return err;
	if (err)
		return settle(port, PORT_MODE_TC, "the driver refuses %s (%s); tc runs", mode_words[mode],
			      strerror(-err));
	/* a tag that the device takes off, the program would not see: packets of a VLAN would pass for untagged ones */
	offload_off(dp, port, OFFLOAD_RXVLAN, undo);
	return settle(port, mode, "%s%s", mode_words[mode], asked ? ", as asked" : "");
}

static int attach_vlan(struct datapath *dp, struct port *ports, struct port *port, const struct xdp_now *now,
		       struct undo *undo)
{
	const struct port *parent = port_by_ifindex(ports, port->parent);

	port->on_parent = parent && parent->kind == PORT_INTERFACE && parent->mode == PORT_MODE_NATIVE &&
			  !parent->on_parent && port->interface->mode != CONFIG_MODE_TC &&
			  port->interface->mode != CONFIG_MODE_GENERIC;
	if (port->on_parent) {
		drop_ours(dp, port, now, undo);
		offload_off(dp, parent, OFFLOAD_TXVLAN, undo);
		return settle(port, PORT_MODE_NATIVE, "native XDP, served on its parent %s", parent->device);
	}
	if (port->interface->mode == CONFIG_MODE_GENERIC)
		return attach_mode(dp, port, PORT_MODE_GENERIC, now, undo);
	drop_ours(dp, port, now, undo);
	if (port->interface->mode == CONFIG_MODE_TC)
		return settle(port, PORT_MODE_TC, "tc, as asked");
	return settle(port, PORT_MODE_TC, "a VLAN whose parent is not served by native XDP; tc runs");
}

static int attach_icmp(struct datapath *dp, struct port *port, const struct xdp_now *now, struct undo *undo)
{
	int err = now->id && !now->ours ? -EBUSY
					: xdp_set(dp, port->value.ifindex, DP_PROG_ICMP, PORT_MODE_NATIVE, now, undo);

	port->mode = err ? PORT_MODE_NONE : PORT_MODE_NATIVE;
	return err;
}

int xdp_attach(struct datapath *dp, struct port *ports, struct port *port, struct undo *undo)
{
	struct xdp_now now;
	int err = xdp_query(dp, port->value.ifindex, &now);

	if (err)
		return err;
	port->on_parent = false;
	if (port->kind == PORT_ICMP)
		return attach_icmp(dp, port, &now, undo);
	if (port->value.flags & FL_PORT_L3)
		return settle(port, PORT_MODE_TC, "no Ethernet header; tc runs");
	if (now.id && !now.ours && port->interface->mode != CONFIG_MODE_TC)
		return attach_beside(dp, port, &now, undo);
	if (port->parent && port->interface->mode != CONFIG_MODE_TC)
		return attach_vlan(dp, ports, port, &now, undo);
	switch (port->interface->mode) {
	case CONFIG_MODE_TC:
		drop_ours(dp, port, &now, undo);
		if (strcmp(now.name, XDP_DISPATCHER) == 0)
			leave_dispatcher(dp, port->value.ifindex);
		return settle(port, PORT_MODE_TC, "tc, as asked");
	case CONFIG_MODE_GENERIC:
		return attach_mode(dp, port, PORT_MODE_GENERIC, &now, undo);
	default:
		return attach_mode(dp, port, PORT_MODE_NATIVE, &now, undo);
	}
}
