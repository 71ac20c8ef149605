// SPDX-License-Identifier: GPL-2.0-only
/* Others' BPF programs and filters on our devices: they see, change, drop or redirect packets that fairlead counts as its own. */
#include <bpf/bpf.h>
#include <linux/pkt_cls.h>
#include <linux/rtnetlink.h>
#include <netlink/msg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "user/doctor/doctor.h"
#include "user/doctor/netlink.h"

/* linux/bpf.h of Linux 6.6, newer than the headers this is built with */
#define TCX_INGRESS 46
#define TCX_EGRESS 47
#define PROGRAMS_MAX 64

#define OURS "fl_"
#define DISPATCHER "xdp_dispatcher" /* libxdp's, which ours may have joined */

/* "": it can't be looked at */
static void name_of(uint32_t id, char name[BPF_OBJ_NAME_LEN])
{
	struct bpf_prog_info info = { 0 };
	uint32_t len = sizeof(info);
	int fd = bpf_prog_get_fd_by_id(id);

	*name = '\0';
	if (fd < 0)
		return;
	if (!bpf_obj_get_info_by_fd(fd, &info, &len))
		memcpy(name, info.name, BPF_OBJ_NAME_LEN);
	close(fd);
}

static void judge_xdp(struct doctor *d, const struct config_interface *interface, const struct system_link *link)
{
	uint32_t id = link->xdp_prog_id;
	char name[BPF_OBJ_NAME_LEN];

	name_of(id, name);
	if (!strncmp(name, OURS, strlen(OURS)))
		return;
	if (!strcmp(name, DISPATCHER))
		doctor_ok(d, "%s (%s): programs share XDP by libxdp's dispatcher: xdp-loader status", interface->name,
			  interface->device);
	else
		doctor_warn(
			d,
			doctor_text(d, "whose is it: bpftool prog show id %u; without it: ip link set dev %s %s off",
				    id, interface->device, link->xdp_native ? "xdp" : "xdpgeneric"),
			"%s (%s): the XDP program %s (id %u) is not fairlead's: it sees all before, and fairlead works in tc",
			interface->name, interface->device, *name ? name : "without a name", id);
}

void check_foreign_programs(struct doctor *d)
{
	size_t before = json_array_size(d->rows);

	if (!d->config || !d->system) {
		doctor_skip(d, "no configuration tells which devices");
		return;
	}
	for (size_t i = 0; i < d->config->n_interfaces; i++) {
		const struct system_link *link = doctor_link(d, &d->config->interfaces[i]);

		if (link && link->xdp_prog_id)
			judge_xdp(d, &d->config->interfaces[i], link);
	}
	if (json_array_size(d->rows) == before)
		doctor_ok(d, "no XDP program but fairlead's");
}

/* ---- tc ---- */

struct found {
	struct doctor *d;
	const struct config_interface *interface;
	const char *side;
	char last[64]; /* each filter comes more than once: its chain's head, and itself */
};

static void tell_filter(struct found *found, const char *what)
{
	if (!strcmp(found->last, what))
		return;
	snprintf(found->last, sizeof(found->last), "%s", what);
	doctor_warn(found->d,
		    doctor_text(found->d, "tc filter show dev %s %s; bpftool net show; without it: tc filter del …",
				found->interface->device, found->side),
		    "%s (%s), %s: %s is not fairlead's", found->interface->name, found->interface->device, found->side,
		    what);
}

static void on_filter(const struct nlmsghdr *h, void *arg)
{
	struct nlattr *kind = nlmsg_find_attr((struct nlmsghdr *)h, sizeof(struct tcmsg), TCA_KIND),
		      *options = nlmsg_find_attr((struct nlmsghdr *)h, sizeof(struct tcmsg), TCA_OPTIONS), *name = NULL;
	char what[64];

	if (!kind || !options)
		return; /* a head without a filter */
	if (!strcmp(nla_data(kind), "bpf"))
		name = nla_find(nla_data(options), nla_len(options), TCA_BPF_NAME);
	if (name && !strncmp(nla_data(name), OURS, strlen(OURS)))
		return;
	snprintf(what, sizeof(what), "the filter %.15s%s%.40s", (char *)nla_data(kind), name ? " " : "",
		 name ? (char *)nla_data(name) : "");
	tell_filter(arg, what);
}

static void check_filters(struct found *found, uint32_t ifindex, uint32_t parent)
{
	const struct tcmsg tcm = { .tcm_family = AF_UNSPEC, .tcm_ifindex = (int)ifindex, .tcm_parent = parent };

	netlink_dump(NETLINK_ROUTE, RTM_GETTFILTER, &tcm, sizeof(tcm), on_filter, found);
}

/* Programs without a qdisc, since Linux 6.6 */
static void check_tcx(struct found *found, uint32_t ifindex, int type)
{
	uint32_t ids[PROGRAMS_MAX], n = PROGRAMS_MAX;
	char name[BPF_OBJ_NAME_LEN], what[64];

	if (bpf_prog_query((int)ifindex, (enum bpf_attach_type)type, 0, NULL, ids, &n))
		return;
	for (uint32_t i = 0; i < n; i++) {
		name_of(ids[i], name);
		snprintf(what, sizeof(what), "the tcx program %s (id %u)", name, ids[i]);
		if (strncmp(name, OURS, strlen(OURS)))
			tell_filter(found, what);
	}
}

void check_foreign_filters(struct doctor *d)
{
	size_t before = json_array_size(d->rows);

	if (!d->config || !d->system) {
		doctor_skip(d, "no configuration tells which devices");
		return;
	}
	for (size_t i = 0; i < d->config->n_interfaces; i++) {
		const struct system_link *link = doctor_link(d, &d->config->interfaces[i]);
		struct found in = { .d = d, .interface = &d->config->interfaces[i], .side = "ingress" }, out = in;

		if (!link)
			continue;
		out.side = "egress";
		check_filters(&in, link->ifindex, TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS));
		check_filters(&out, link->ifindex, TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS));
		check_tcx(&in, link->ifindex, TCX_INGRESS);
		check_tcx(&out, link->ifindex, TCX_EGRESS);
	}
	if (json_array_size(d->rows) == before)
		doctor_ok(d, "no tc filter but fairlead's");
}
