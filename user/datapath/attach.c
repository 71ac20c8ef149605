// SPDX-License-Identifier: GPL-2.0-only
/*
 * tc: our filters on the clsact hooks. A filter of ours is known by its handle and by its program, which is this instance's
 * (owner.c); it is replaced in one step. Filters of others, and the hook that they need, are never touched.
 */

#include <errno.h>
#include <linux/if_ether.h>
#include <linux/pkt_sched.h>
#include <netlink/netlink.h>
#include <netlink/route/classifier.h>
#include <netlink/route/tc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "user/datapath/private.h"
#include "user/lib/log.h"

#define OUR_HANDLE 0xfa17
#define PRIORITIES 64 /* how many are tried for a free one */

/* BPF_TCX_INGRESS, BPF_TCX_EGRESS of linux/bpf.h, Linux 6.6 */
#define ATTACH_TCX_INGRESS 46
#define ATTACH_TCX_EGRESS 47

struct filters {
	uint64_t taken; /* priorities below 64 that foreign filters have */
	uint32_t n_foreign, n_foreign_before;
	uint16_t ours; /* our filter's priority, 0: none */
	uint32_t prog_id;
	char instance[64]; /* another one of fairlead's that has a filter here, or "" */
};

/* libbpf refuses options with anything but zeros in their padding: no initializer, no copy. */
static void hook_set(struct bpf_tc_hook *hook, uint32_t ifindex, bool egress)
{
	memset(hook, 0, sizeof(*hook));
	hook->sz = sizeof(*hook);
	hook->ifindex = ifindex;
	hook->attach_point = egress ? BPF_TC_EGRESS : BPF_TC_INGRESS;
}

static uint32_t program_at(uint32_t ifindex, bool egress, uint32_t handle, uint16_t priority)
{
	struct bpf_tc_hook hook;
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = handle, .priority = priority);

	hook_set(&hook, ifindex, egress);
	return bpf_tc_query(&hook, &opts) ? 0 : opts.prog_id;
}

static void filter_see(struct datapath *dp, uint32_t ifindex, bool egress, struct rtnl_cls *cls,
		       struct filters *filters)
{
	const char *kind = rtnl_tc_get_kind(TC_CAST(cls));
	uint32_t handle = rtnl_tc_get_handle(TC_CAST(cls));
	uint16_t priority = rtnl_cls_get_prio(cls);
	struct program_seen seen;
	uint32_t id;

	if (!handle)
		return; /* the list's head */
	if (handle == OUR_HANDLE && kind && strcmp(kind, "bpf") == 0) {
		id = program_at(ifindex, egress, handle, priority);
		if (id && program_see(dp, id, &seen) == 0 && seen.owner == OWNER_US) {
			filters->ours = priority;
			filters->prog_id = id;
			return;
		}
		if (id && seen.owner == OWNER_INSTANCE)
			memcpy(filters->instance, seen.instance, sizeof(filters->instance));
	}
	filters->n_foreign++;
	if (priority < 64)
		filters->taken |= 1ULL << priority;
}

static int filters_list(struct datapath *dp, uint32_t ifindex, bool egress, struct filters *filters)
{
	uint32_t parent = TC_H_MAKE(TC_H_CLSACT, egress ? TC_H_MIN_EGRESS : TC_H_MIN_INGRESS);
	struct nl_cache *cache;
	int err = rtnl_cls_alloc_cache(dp->nl, ifindex, parent, &cache);

	memset(filters, 0, sizeof(*filters));
	if (err)
		return err == -NLE_NODEV ? -ENODEV : -EIO;
	for (struct nl_object *o = nl_cache_get_first(cache); o; o = nl_cache_get_next(o))
		filter_see(dp, ifindex, egress, (struct rtnl_cls *)o, filters);
	nl_cache_free(cache);
	for (uint16_t p = 1; p < 64 && filters->ours && p < filters->ours; p++)
		filters->n_foreign_before += filters->taken >> p & 1;
	return 0;
}

/* Programs by TCX run before every clsact filter. */
static uint32_t count_tcx(uint32_t ifindex, bool egress)
{
	__u32 ids[16], n = 16, flags = 0;

	return bpf_prog_query(ifindex, egress ? ATTACH_TCX_EGRESS : ATTACH_TCX_INGRESS, 0, &flags, ids, &n) ? 0 : n;
}

struct tc_change {
	uint32_t ifindex;
	bool egress;
};

static void tc_change_back(struct datapath *dp, const void *data)
{
	const struct tc_change *change = data;

	tc_detach(dp, change->ifindex, change->egress);
	tc_detach_qdisc(dp, change->ifindex);
}

/* A new filter at the first priority that nobody has: as early as goes without touching others. */
static int filter_add(struct datapath *dp, uint32_t ifindex, bool egress, const struct filters *filters,
		      uint16_t *priority)
{
	struct bpf_tc_hook hook;
	int err = -ENOSPC;

	hook_set(&hook, ifindex, egress);
	for (uint16_t p = 1; p < PRIORITIES; p++) {
		LIBBPF_OPTS(bpf_tc_opts, opts, .handle = OUR_HANDLE, .priority = p,
			    .prog_fd = dp->objects.progs[egress ? DP_PROG_TC_OUT : DP_PROG_TC_IN].fd);

		if (p < 64 && (filters->taken >> p & 1))
			continue;
		err = bpf_tc_attach(&hook, &opts);
		*priority = p;
		if (err != -EEXIST && err != -EINVAL)
			break;
	}
	return err;
}

/* Remembers whether it was made here: one that was there before us stays, also when nobody uses it. */
static int qdisc_make(struct datapath *dp, uint32_t ifindex)
{
	struct bpf_tc_hook hook;
	int err;

	hook_set(&hook, ifindex, false);
	err = bpf_tc_hook_create(&hook);
	if (err == -EEXIST)
		return 0;
	return err ?: saved_add(dp, "qdisc", ifindex, "clsact", "none");
}

/* -ENOTUNIQ: an ingress qdisc is in its place. That takes a filter for egress too, and runs it at ingress. */
static int qdisc_check(struct datapath *dp, uint32_t ifindex)
{
	char kind[16];
	int err = device_ingress_qdisc(dp->system, ifindex, kind);

	return err || strcmp(kind, "clsact") == 0 ? err : -ENOTUNIQ;
}

/* *n_before: filters of others that see packets first; *priority: of ours. -EADDRINUSE: another instance guards the device. */
static int tc_attach_device(struct datapath *dp, uint32_t ifindex, bool egress, uint32_t *n_before, uint16_t *priority,
			    struct undo *undo)
{
	const struct dp_prog *prog = &dp->objects.progs[egress ? DP_PROG_TC_OUT : DP_PROG_TC_IN];
	const struct tc_change change = { ifindex, egress };
	struct bpf_tc_hook hook;
	struct filters filters;
	int err;

	err = qdisc_make(dp, ifindex);
	err = err ?: filters_list(dp, ifindex, egress, &filters);
	if (!err && !filters.ours)
		err = filters.instance[0] ? -EADDRINUSE : qdisc_check(dp, ifindex);
	if (err)
		return err;
	hook_set(&hook, ifindex, egress);
	if (filters.ours)
		*priority = filters.ours;
	if (filters.ours && filters.prog_id != prog->id) {
		LIBBPF_OPTS(bpf_tc_opts, opts, .handle = OUR_HANDLE, .priority = filters.ours, .prog_fd = prog->fd,
			    .flags = BPF_TC_F_REPLACE);

		err = bpf_tc_attach(&hook, &opts);
	} else if (!filters.ours) {
		err = filter_add(dp, ifindex, egress, &filters, priority);
		if (!err) {
			undo_push(undo, tc_change_back, &change, sizeof(change));
			for (uint16_t p = 1; p < *priority; p++)
				filters.n_foreign_before += filters.taken >> p & 1;
		}
	}
	*n_before = filters.n_foreign_before + count_tcx(ifindex, egress);
	return err;
}

int tc_attach(struct datapath *dp, struct port *port, bool egress, struct undo *undo)
{
	uint32_t n_before;
	int err = tc_attach_device(dp, port->value.ifindex, egress, &n_before, &port->priority[egress], undo);

	if (!err && n_before)
		port->foreign_filters |= 1 << egress;
	if (!err && !egress && port->value.peer_ifindex)
		err = tc_attach_device(dp, port->value.peer_ifindex, false, &n_before, &port->priority[FILTER_HIDDEN],
				       undo);
	return err;
}

uint32_t tc_missing(struct datapath *dp, const struct port *port)
{
	const uint32_t ifindexes[] = { port->value.ifindex, port->value.ifindex, port->value.peer_ifindex };
	uint32_t missing = 0;

	if (port->unguarded) /* it may look as if they were there */
		return MISSING_GUARD | MISSING_INGRESS;
	for (int place = FILTER_INGRESS; place <= FILTER_HIDDEN; place++) {
		bool egress = place == FILTER_EGRESS;
		uint32_t ours = dp->objects.progs[egress ? DP_PROG_TC_OUT : DP_PROG_TC_IN].id;

		if (!ifindexes[place] || (egress && port->kind == PORT_ICMP))
			continue;
		if (port->priority[place] &&
		    program_at(ifindexes[place], egress, OUR_HANDLE, port->priority[place]) != ours)
			missing |= 1 << place;
	}
	return missing;
}

uint32_t tc_program_at(struct datapath *dp, uint32_t ifindex, bool egress)
{
	struct filters filters;

	return filters_list(dp, ifindex, egress, &filters) ? 0 : filters.prog_id;
}

bool tc_is_attached(struct datapath *dp, uint32_t ifindex, bool egress)
{
	return tc_program_at(dp, ifindex, egress) != 0;
}

bool tc_instance_at(struct datapath *dp, uint32_t ifindex, bool egress, char *instance)
{
	struct filters filters;

	if (filters_list(dp, ifindex, egress, &filters) || !filters.instance[0])
		return false;
	if (instance)
		memcpy(instance, filters.instance, sizeof(filters.instance));
	return true;
}

int tc_detach(struct datapath *dp, uint32_t ifindex, bool egress)
{
	struct bpf_tc_hook hook;
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = OUR_HANDLE);
	struct filters filters;
	int err = filters_list(dp, ifindex, egress, &filters);

	if (err || !filters.ours)
		return err == -ENODEV ? 0 : err;
	hook_set(&hook, ifindex, egress);
	opts.priority = filters.ours;
	err = bpf_tc_detach(&hook, &opts);
	return err == -ENOENT || err == -ENODEV ? 0 : err;
}

/* The hook goes when nobody has a filter on it, if it is of our making. */
void tc_detach_qdisc(struct datapath *dp, uint32_t ifindex)
{
	struct saved_setting *made = saved_find(dp, "qdisc", ifindex, "clsact");
	struct filters in, out;
	struct bpf_tc_hook hook;

	if (!made)
		return;
	if (filters_list(dp, ifindex, false, &in) || filters_list(dp, ifindex, true, &out))
		return;
	if (in.n_foreign || out.n_foreign || in.ours || out.ours)
		return;
	saved_drop(dp, made);
	hook_set(&hook, ifindex, false);
	hook.attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS;
	bpf_tc_hook_destroy(&hook);
}

void hooks_detach(struct datapath *dp, uint32_t ifindex)
{
	int err;

	xdp_detach(dp, ifindex);
	err = tc_detach(dp, ifindex, false);
	err = tc_detach(dp, ifindex, true) ?: err;
	if (err)
		log_ret(err, "cannot take our filter from device %u", ifindex);
	tc_detach_qdisc(dp, ifindex);
}

/* A device may vanish at any moment: the port is then treated as if it had not been there. */
static int attached(struct port *port, int err, const char *what, char **why)
{
	if (!err)
		return 0;
	if (err == -ENODEV || err == -ENXIO) {
		port->present = false;
		port->value = (struct fl_port){};
		return 0;
	}
	if (err == -ENOTUNIQ)
		return fail(
			why, err,
			"%s (%s): cannot attach %s: an ingress qdisc is in the place of clsact, which serves as one too; "
			"replace it (tc qdisc del dev %s ingress)",
			port->name, port->device, what, port->device);
	return fail(why, err, "%s (%s): cannot attach %s: %s", port->name, port->device, what, strerror(-err));
}

static int attach_filters(struct datapath *dp, struct port *port, bool egress, struct undo *undo, char **why)
{
	char instance[64] = "";
	int err = tc_attach(dp, port, egress, undo);

	if (err == -EADDRINUSE && tc_instance_at(dp, port->value.ifindex, egress, instance))
		fail(why, err,
		     "%s (%s): instance \"%s\" of fairlead serves this device; a network namespace can have one "
		     "instance (to remove that one: fairlead --instance %s unload)",
		     port->name, port->device, instance, instance);
	err = attached(port, err, egress ? "the egress guard" : "the ingress program", why);
	if (err)
		port->unguarded = true;
	return err;
}

static void reason_add_foreign(struct port *port)
{
	size_t len = strlen(port->reason);

	if (!port->foreign_filters)
		return;
	snprintf(port->reason + len, sizeof(port->reason) - len,
		 "; warning: tc filters of another owner run before ours at %s and may hide packets",
		 port->foreign_filters == 3   ? "ingress and egress"
		 : port->foreign_filters == 2 ? "egress"
					      : "ingress");
}

/* Guards first, so that nothing leaves unseen; then tc, then XDP. All are tried, the first error is returned. */
int hooks_attach(struct datapath *dp, struct port *next, struct undo *undo, char **why)
{
	int err = 0;

	for (size_t i = 1; i < FL_PORTS_MAX; i++) {
		next[i].foreign_filters = 0;
		next[i].unguarded = false;
		if (next[i].present && next[i].kind != PORT_ICMP)
			err = attach_filters(dp, &next[i], true, undo, why) ?: err;
	}
	for (size_t i = 1; i < FL_PORTS_MAX; i++)
		if (next[i].present)
			err = attach_filters(dp, &next[i], false, undo, why) ?: err;
	saved_write(dp); /* which qdiscs were made */
	for (int vlans = 0; vlans < 2; vlans++)
		for (size_t i = 1; i < FL_PORTS_MAX; i++)
			if (next[i].present && next[i].kind != PORT_TUNNEL && (next[i].parent != 0) == vlans)
				err = attached(&next[i], xdp_attach(dp, next, &next[i], undo), "the XDP program", why)
					      ?: err;
	for (size_t i = 1; i < FL_PORTS_MAX; i++)
		if (next[i].present)
			reason_add_foreign(&next[i]);
	return err;
}
