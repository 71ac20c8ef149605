// SPDX-License-Identifier: GPL-2.0-only
/* Neighbours, next hops among them, and what gateways are probed by. */
#include <linux/neighbour.h>
#include <string.h>

#include "user/doctor/judge.h"

#define FULL_PCT 80

void judge_neighbours(struct doctor *d, const char *family, unsigned int entries, int limit)
{
	const char *remedy = doctor_text(d,
					 "sysctl -w net.%s.neigh.default.gc_thresh3=%u, gc_thresh2 half of it, also in "
					 "/etc/sysctl.d; who asks for so many: ip neigh",
					 family, entries * 4);

	if (limit < 0)
		doctor_skip(d, "%s: %u; in this network namespace the kernel does not tell how many there may be",
			    family, entries);
	else if (entries >= (unsigned int)limit)
		doctor_fail(d, remedy, "%s: the table is full: %u of %d; new neighbours can't be reached", family,
			    entries, limit);
	else if (entries * 100ull >= (unsigned long long)limit * FULL_PCT)
		doctor_warn(d, remedy, "%s: %u of %d", family, entries, limit);
	else
		doctor_ok(d, "%s: %u of %d", family, entries, limit);
}

void check_neighbours(struct doctor *d)
{
	unsigned int inet = 0, inet6 = 0;
	const struct system_neigh *n;

	for (size_t i = 0; d->system && (n = system_neigh_at(d->system, i)); i++) {
		if (n->state & (NUD_NOARP | NUD_PERMANENT))
			continue; /* which do not count */
		inet += n->addr.family == AF_INET;
		inet6 += n->addr.family == AF_INET6;
	}
	judge_neighbours(d, "ipv4", inet, doctor_sysctl("net/ipv4/neigh/default/gc_thresh3"));
	judge_neighbours(d, "ipv6", inet6, doctor_sysctl("net/ipv6/neigh/default/gc_thresh3"));
}

/* ---- next hops ---- */

static const struct system_neigh *find(struct doctor *d, uint32_t ifindex, const struct addr *addr)
{
	const struct system_neigh *n;

	for (size_t i = 0; (n = system_neigh_at(d->system, i)); i++)
		if (n->ifindex == ifindex && addr_equal(&n->addr, addr))
			return n;
	return NULL;
}

void check_next_hops(struct doctor *d)
{
	const struct config *c = d->config;
	unsigned int n = 0, bad = 0;
	char text[ADDR_STRLEN];

	for (size_t i = 0; c && d->system && i < c->n_gateways; i++) {
		const struct config_gateway *gw = &c->gateways[i];
		const struct system_link *link = gw->interface ? doctor_link(d, gw->interface) : NULL;
		const struct system_neigh *neigh;

		if (!link || !link->has_mac || gw->address.family == AF_UNSPEC)
			continue;
		n++;
		neigh = find(d, link->ifindex, &gw->address);
		if (!neigh || !(neigh->state & (NUD_FAILED | NUD_INCOMPLETE)))
			continue;
		bad++;
		doctor_fail(d,
			    doctor_text(d,
					"is it switched on, and is this its cable? tcpdump -ni %s %s shows whether it "
					"answers",
					gw->interface->device, gw->address.family == AF_INET ? "arp" : "icmp6"),
			    "gateway %s: nobody on %s says that it is %s", gw->name, gw->interface->device,
			    addr_format(&gw->address, text));
	}
	if (!n)
		doctor_skip(d, "no gateway has an address on a link with MACs");
	else if (!bad)
		doctor_ok(d, "%u gateway%s answer%s for their addresses", n, n == 1 ? "" : "s", n == 1 ? "s" : "");
}

/* ---- what they are probed by ---- */

static const struct addr *target_of(const struct config_gateway *gw, size_t i)
{
	if (!gw->monitored)
		return NULL;
	if (gw->monitor.n_targets)
		return i < gw->monitor.n_targets ? &gw->monitor.targets[i] : NULL;
	return !i && gw->address.family != AF_UNSPEC ? &gw->address : NULL;
}

/* The first that both are probed by. */
static const struct addr *common_target(const struct config_gateway *one, const struct config_gateway *other)
{
	const struct addr *a, *b;

	for (size_t i = 0; (a = target_of(one, i)); i++)
		for (size_t j = 0; (b = target_of(other, j)); j++)
			if (addr_equal(a, b) && !addr_is_link_local(a))
				return a;
	return NULL;
}

void check_monitor_targets(struct doctor *d)
{
	const struct config *c = d->config;
	char text[ADDR_STRLEN];
	bool bad = false;

	if (!c || !c->n_gateways) {
		doctor_skip(d, c ? "there are no gateways" : "no configuration tells");
		return;
	}
	for (size_t i = 0; i < c->n_gateways; i++) {
		for (size_t j = 0; j < i; j++) {
			const struct addr *same = common_target(&c->gateways[j], &c->gateways[i]);

			if (!same)
				continue;
			bad = true;
			doctor_warn(d, doctor_text(d, "/gateways/%s/monitor/targets: another one", c->gateways[i].name),
				    "gateways %s and %s are both probed by %s: when that one fails both seem down",
				    c->gateways[j].name, c->gateways[i].name, addr_format(same, text));
		}
	}
	if (!bad)
		doctor_ok(d, "no two gateways are probed by the same address");
}
