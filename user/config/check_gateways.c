/* SPDX-License-Identifier: GPL-2.0-only */
/* Gateways, what they are probed by, and groups of them. */
#include <errno.h>
#include <stdlib.h>

#include "user/config/check_match.h"

#define PROBES_MAX 32768 /* of one target, that are remembered */

/* ---- addresses ---- */

static bool in_a_network(const struct config_tunnel *t, const struct addr *a)
{
	size_t i;

	for (i = 0; i < t->n_addresses; i++) {
		if (t->addresses[i].addr.family == AF_UNSPEC || prefix_contains(&t->addresses[i], a))
			return true;
	}
	return !t->n_addresses; /* refused: may have been right */
}

static bool is_own_address(const struct config_tunnel *t, const struct addr *a)
{
	size_t i;

	for (i = 0; i < t->n_addresses; i++) {
		if (addr_equal(&t->addresses[i].addr, a))
			return true;
	}
	return false;
}

static unsigned int family_of(const struct addr *a)
{
	return a->family == AF_INET ? FL_INET : FL_INET6;
}

/* As an underlay: the outer packets of tunnels are fairlead's, whatever the interface has. */
static bool carries_tunnels(const struct check *c, const struct draft_gateway *g)
{
	size_t i, j;

	for (i = 0; i < c->draft->n_tunnels; i++) {
		const struct draft_tunnel *t = &c->draft->tunnels[i];

		if (t->underlay_ref == g->port.interface)
			return true;
		for (j = 0; t->underlay_group && j < t->underlay_group->n_members; j++)
			if (t->underlay_group->members[j].gateway_ref == g)
				return true;
	}
	return false;
}

/* What rules send by it would be judged there by no other rule, and be hidden from the host's own nftables. */
static void check_family(struct check *c, const struct draft_gateway *g)
{
	const struct addr *a = &g->item.address;
	char text[ADDR_STRLEN];

	if (a->family == AF_UNSPEC || g->port.interface->family & family_of(a) ||
	    (a->family == AF_INET && carries_tunnels(c, g)))
		return;
	check_error(
		c, AT("gateways", g->item.name, "address"),
		"\"%s\" is an %s address, and the interface \"%s\" is of \"family\": \"%s\"; accepted: an %s address",
		addr_format(a, text), a->family == AF_INET ? "IPv4" : "IPv6", g->port.interface->name,
		a->family == AF_INET ? "inet6" : "inet", a->family == AF_INET ? "IPv6" : "IPv4");
}

/* Of interfaces only the system knows the addresses; of tunnels this file does. */
static void check_address(struct check *c, const struct draft_gateway *g)
{
	const char *const *at = AT("gateways", g->item.name, "address");
	const struct addr *a = &g->item.address;
	const struct config_tunnel *t;
	char text[ADDR_STRLEN];

	if (g->port.interface)
		check_family(c, g);
	if (!g->port.tunnel)
		return;
	t = &g->port.tunnel->item;
	if (g->item.automatic)
		check_error(c, at,
			    "nothing tells what is behind the tunnel \"%s\"; accepted: an IPv6 address, or no "
			    "\"address\"",
			    t->name);
	if (a->family == AF_UNSPEC)
		return;
	addr_format(a, text);
	if (a->family == AF_INET)
		check_error(c, at,
			    "\"%s\" is an IPv4 address, and the tunnel \"%s\" carries IPv6; accepted: an IPv6 address",
			    text, t->name);
	else if (is_own_address(t, a))
		check_error(c, at, "\"%s\" is this end's own address on the tunnel \"%s\"; accepted: the other end's",
			    text, t->name);
	else if (!addr_is_link_local(a) && !in_a_network(t, a))
		check_error(
			c, at,
			"\"%s\" is in no network of the tunnel \"%s\"; accepted: an address in one of its \"address\"",
			text, t->name);
}

/* ---- monitor ---- */

/* Why a gateway is of one family only. */
static const char *family_reason(const struct draft_gateway *g)
{
	if (g->port.tunnel)
		return "is on a tunnel, which carries IPv6";
	if (g->item.address.family != AF_UNSPEC)
		return g->item.address.family == AF_INET ? "has an IPv4 address" : "has an IPv6 address";
	return check_gateway_families(g) == FL_INET ? "is on an interface of \"family\": \"inet\""
						    : "is on an interface of \"family\": \"inet6\"";
}

static void check_target(struct check *c, const struct draft_gateway *g, size_t i)
{
	const char *const *at = AT("gateways", g->item.name, "monitor", "targets", NUMBER(i));
	const struct addr *target = &g->item.monitor.targets[i];
	char text[ADDR_STRLEN];

	if (target->family == AF_UNSPEC)
		return;
	addr_format(target, text);
	if (!(check_gateway_families(g) & family_of(target)))
		check_error(c, at, "\"%s\" is an %s address, and the gateway %s; accepted: an %s address", text,
			    target->family == AF_INET ? "IPv4" : "IPv6", family_reason(g),
			    target->family == AF_INET ? "IPv6" : "IPv4");
	else if (g->port.tunnel && is_own_address(&g->port.tunnel->item, target))
		check_error(c, at, "\"%s\" is this end's own address on the tunnel \"%s\"; accepted: one beyond it",
			    text, g->port.tunnel->item.name);
}

/* Whether the file has the key, in `monitor` if that is given. What it has may be refused. */
static bool has_key(const struct check *c, const struct draft_gateway *g, const char *object, const char *key)
{
	const json_t *json = json_object_get(json_object_get(c->document, "gateways"), g->item.name);

	return json_object_get(object ? json_object_get(json, object) : json, key);
}

static void check_targets(struct check *c, const struct draft_gateway *g)
{
	const struct config_monitor *m = &g->item.monitor;
	size_t n = m->n_targets ? m->n_targets : g->item.automatic ? 2 : 1, i; /* learned ones: of each family */

	if (!has_key(c, g, "monitor", "targets") && !has_key(c, g, NULL, "address"))
		check_error(c, AT("gateways", g->item.name),
			    "there is neither an \"address\" nor \"targets\" in \"monitor\" to probe; accepted: one of "
			    "them, or \"monitor\": false, with which the gateway is always up");
	if (m->n_targets > TARGETS_MAX)
		check_error(c, AT("gateways", g->item.name, "monitor", "targets"), "found %zu; accepted: at most %d",
			    m->n_targets, TARGETS_MAX);
	if (m->quorum > n)
		check_error(c, AT("gateways", g->item.name, "monitor", "quorum"),
			    "found %u, and there %s %zu target%s; accepted: at most that many", m->quorum,
			    n == 1 ? "is" : "are", n, n == 1 ? "" : "s");
	for (i = 0; i < m->n_targets; i++)
		check_target(c, g, i);
}

static void check_idle(struct check *c, const struct draft_gateway *g)
{
	const char *const *at = AT("gateways", g->item.name, "monitor", "idle_interval_ms");
	const struct config_monitor *m = &g->item.monitor;

	if (!g->item.metered && has_key(c, g, "monitor", "idle_interval_ms"))
		check_warning(c, at, "without effect: the gateway is not \"metered\"");
	else if (g->item.metered && m->period_ms <= m->idle_interval_ms)
		check_warning(c, at, "found %u: while it is idle, no probe may lie in \"period_ms\", which is %u",
			      m->idle_interval_ms, m->period_ms);
}

/* As dpinger has it: else the window is never full, or holds no probe whose fate is known. */
static void check_times(struct check *c, const struct draft_gateway *g)
{
	const struct config_monitor *m = &g->item.monitor;
	const char *const *at = AT("gateways", g->item.name, "monitor", "period_ms");

	if (!m->interval_ms || !m->loss_interval_ms || !m->period_ms)
		return; /* refused */
	if (m->period_ms <= 2 * m->interval_ms + m->loss_interval_ms)
		check_error(c, at,
			    "found %u; accepted: more than %u, which is twice \"interval_ms\" and once "
			    "\"loss_interval_ms\"",
			    m->period_ms, 2 * m->interval_ms + m->loss_interval_ms);
	else if (m->period_ms / m->interval_ms > PROBES_MAX)
		check_warning(c, at, "found %u, in which there are %u probes; the last %d count", m->period_ms,
			      m->period_ms / m->interval_ms, PROBES_MAX);
	check_idle(c, g);
}

static void check_gateway(struct check *c, const struct draft_gateway *g)
{
	check_address(c, g);
	if (!g->item.monitored)
		return;
	check_targets(c, g);
	check_times(c, g);
}

/* ---- targets that several gateways have ---- */

struct target {
	struct addr addr;
	const struct draft_gateway *gateway;
	size_t index; /* in `targets`; SIZE_MAX: the gateway's own address */
	size_t order;
	bool on_link; /* another host on each link */
};

static int by_target(const void *a, const void *b)
{
	const struct target *x = a, *y = b;
	int c = addr_compare(&x->addr, &y->addr);

	return c ? c : (x->order < y->order ? -1 : 1);
}

static void add_target(struct target *targets, size_t *n, const struct addr *addr, const struct draft_gateway *g,
		       size_t index)
{
	if (addr->family == AF_UNSPEC)
		return;
	targets[*n] = (struct target){ *addr, g, index, *n, false };
	targets[*n].on_link = addr_is_link_local(addr) || addr_equal(addr, &g->item.address);
	(*n)++;
}

static size_t collect_targets(const struct draft *d, struct target *targets)
{
	size_t n = 0, i, j;

	for (i = 0; i < d->n_gateways; i++) {
		const struct draft_gateway *g = &d->gateways[i];
		const struct config_monitor *m = &g->item.monitor;

		if (g->disabled || !g->item.monitored)
			continue;
		for (j = 0; j < m->n_targets; j++)
			add_target(targets, &n, &m->targets[j], g, j);
		if (!m->n_targets)
			add_target(targets, &n, &g->item.address, g, SIZE_MAX);
	}
	return n;
}

static bool is_shared(const struct target *a, const struct target *b)
{
	bool same_link = a->gateway->port.interface == b->gateway->port.interface &&
			 a->gateway->port.tunnel == b->gateway->port.tunnel;

	return a->gateway != b->gateway && addr_equal(&a->addr, &b->addr) && (same_link || !(a->on_link && b->on_link));
}

static void warn_of_shared(struct check *c, const struct target *t, const struct target *other)
{
	const char *name = t->gateway->item.name;
	char text[ADDR_STRLEN];

	check_warning(c,
		      t->index == SIZE_MAX ? AT("gateways", name, "address")
					   : AT("gateways", name, "monitor", "targets", NUMBER(t->index)),
		      "\"%s\" is probed for the gateway \"%s\" too: when it does not answer, both are down",
		      addr_format(&t->addr, text), other->gateway->item.name);
}

static void check_shared_targets(struct check *c)
{
	const struct draft *d = c->draft;
	struct target *targets;
	size_t n = d->n_gateways + 1, i, j;

	for (i = 0; i < d->n_gateways; i++)
		n += d->gateways[i].item.monitor.n_targets;
	targets = calloc(n, sizeof(*targets));
	if (!targets) {
		c->err = -ENOMEM;
		return;
	}
	n = collect_targets(d, targets);
	qsort(targets, n, sizeof(*targets), by_target);
	for (i = 1; i < n; i++) {
		for (j = i; j > 0 && addr_equal(&targets[j - 1].addr, &targets[i].addr); j--) {
			if (is_shared(&targets[i], &targets[j - 1])) {
				warn_of_shared(c, &targets[i], &targets[j - 1]);
				break;
			}
		}
	}
	free(targets);
}

/* ---- groups ---- */

unsigned int check_group_families(const struct draft_group *group)
{
	unsigned int families = 0;
	size_t i;

	for (i = 0; i < group->n_members; i++) {
		if (!group->members[i].gateway_ref)
			return FL_BOTH; /* refused, and may have been right */
		families |= check_gateway_families(group->members[i].gateway_ref);
	}
	return group->n_members ? families : FL_BOTH;
}

static void check_member(struct check *c, const struct draft_group *group, size_t i)
{
	const struct draft_gateway *g = group->members[i].gateway_ref;
	const char *const *at = AT("gateway_groups", group->item.name, "members", NUMBER(i), "gateway");
	size_t j;

	for (j = 0; j < i; j++) {
		if (group->members[j].gateway_ref == g) {
			check_error(c, at, "\"%s\" is a member already", g->item.name);
			return;
		}
	}
	if (g->port.tunnel && g->port.tunnel->item.broker)
		check_error(c, at,
			    "the gateway \"%s\" is on the tunnel \"%s\", which has clients, and does not say which of "
			    "them; accepted: a gateway elsewhere",
			    g->item.name, g->port.tunnel->item.name);
}

/* One that is always up, and takes the family, of the lowest tier; NULL: none is. */
static const struct draft_member *always_up(const struct draft_group *group, unsigned int family)
{
	const struct draft_member *m = group->members, *always = NULL;
	size_t i;

	for (i = 0; i < group->n_members; i++) {
		if (m[i].gateway_ref && !m[i].gateway_ref->item.monitored &&
		    check_gateway_families(m[i].gateway_ref) & family &&
		    (!always || m[i].item.tier < always->item.tier))
			always = &m[i];
	}
	return always;
}

/* That one leaves nothing to the tiers behind its own. */
static void check_tiers(struct check *c, const struct draft_group *group)
{
	const struct draft_member *always[] = { always_up(group, FL_INET), always_up(group, FL_INET6) };
	size_t i, six;

	for (i = 0; i < group->n_members; i++) {
		const struct draft_member *m = &group->members[i], *first = NULL;
		unsigned int left = m->gateway_ref ? check_gateway_families(m->gateway_ref) : 0;

		for (six = 0; six < 2 && left; six++) {
			unsigned int family = six ? FL_INET6 : FL_INET;

			if (left & family && always[six] && m->item.tier > always[six]->item.tier) {
				left &= ~family;
				first = first ? first : always[six];
			}
		}
		if (first && !left)
			check_warning(c, AT("gateway_groups", group->item.name, "members", NUMBER(i), "tier"),
				      "never used: \"%s\" of tier %u is always up, since its \"monitor\" is false",
				      first->gateway, first->item.tier);
	}
}

static void check_group(struct check *c, const struct draft_group *group)
{
	size_t i;

	if (check_find_gateway(c, group->item.name))
		check_error(c, AT("gateway_groups", group->item.name),
			    "there is a gateway \"%s\" too; give one of the two another name", group->item.name);
	if (group->n_members > MEMBERS_MAX)
		check_error(c, AT("gateway_groups", group->item.name, "members"), "found %zu; accepted: at most %d",
			    group->n_members, MEMBERS_MAX);
	for (i = 0; i < group->n_members; i++) {
		if (group->members[i].gateway_ref)
			check_member(c, group, i);
	}
	check_tiers(c, group);
}

void check_gateways(struct check *c)
{
	const struct draft *d = c->draft;
	size_t i;

	for (i = 0; i < d->n_gateways; i++) {
		if (!d->gateways[i].disabled)
			check_gateway(c, &d->gateways[i]);
	}
	check_shared_targets(c);
	for (i = 0; i < d->n_groups; i++)
		check_group(c, &d->groups[i]);
}
