/* SPDX-License-Identifier: GPL-2.0-only */
/* Names that one item uses for another: looked up once, here, and everything that is wrong with them said. */
#include <string.h>

#include "user/config/check.h"
#include "user/config/suggest.h"

#define LISTED_MAX 8 /* names that a message lists when none is near */

const char *check_missing(char buf[CHECK_MISSING], const char *what, const char *name, const json_t *one,
			  const json_t *other)
{
	const json_t *const sets[] = { one, other };
	struct suggest s = { .given = name };
	char list[LISTED_MAX * 40] = "";
	size_t used = 0, listed = 0, i;
	const char *key;
	json_t *value;

	for (i = 0; i < 2; i++) {
		json_object_foreach((json_t *)sets[i], key, value) {
			suggest_offer(&s, key);
			if (listed++ < LISTED_MAX && used < sizeof(list))
				used += (size_t)snprintf(list + used, sizeof(list) - used, "%s\"%.32s\"",
							 used ? ", " : "", key);
		}
	}
	used = (size_t)snprintf(buf, CHECK_MISSING, "no %s named \"%.100s\"; ", what, name);
	if (s.best)
		snprintf(buf + used, CHECK_MISSING - used, "did you mean \"%s\"?", s.best);
	else if (listed)
		snprintf(buf + used, CHECK_MISSING - used, "accepted: %s%s", list, listed > LISTED_MAX ? ", …" : "");
	else
		snprintf(buf + used, CHECK_MISSING - used, "there is none at all");
	return buf;
}

static void report_missing(struct check *c, const char *const *at, const char *what, const char *name,
			   const json_t *one, const json_t *other)
{
	char text[CHECK_MISSING];

	check_error(c, at, "%s", check_missing(text, what, name, one, other));
}

static void resolve_underlay(struct check *c, struct draft_tunnel *t)
{
	const char *const *at = AT("tunnels", t->item.name, "underlay");

	if (!t->underlay)
		return;
	t->underlay_ref = check_find_interface(c, t->underlay);
	t->underlay_group = t->underlay_ref ? NULL : check_find_group(c, t->underlay);
	if (t->underlay_ref && check_find_group(c, t->underlay))
		check_error(c, at, "\"%s\" is an interface and a gateway group; give one of the two another name",
			    t->underlay);
	if (t->underlay_ref || t->underlay_group)
		return;
	if (check_find_tunnel(c, t->underlay))
		check_error(c, at, "\"%s\" is a tunnel; accepted: an interface or gateway group", t->underlay);
	else if (check_find_gateway(c, t->underlay))
		check_error(c, at, "\"%s\" is a gateway; accepted: its interface, or a gateway group", t->underlay);
	else
		report_missing(c, at, "interface or gateway group", t->underlay, c->interfaces, c->groups);
}

void check_port(struct check *c, const char *const *at, const char *name, bool disabled, const char *what,
		struct draft_port *port)
{
	if (!name)
		return;
	port->interface = check_find_interface(c, name);
	if (port->interface)
		return;
	port->tunnel = check_find_tunnel(c, name);
	if (!port->tunnel)
		report_missing(c, at, "interface or tunnel", name, c->interfaces, c->tunnels);
	else if (port->tunnel->disabled && !disabled)
		check_error(c, at, "the tunnel \"%s\" is disabled; disable this %s too, or enable the tunnel", name,
			    what);
}

/* No gateway, nor, where `groups` has those that may stand here too, one of them. */
static void refuse_gateway(struct check *c, const char *const *at, const char *name, const json_t *groups)
{
	const char *const what = groups ? "gateway or gateway group" : "gateway";

	if (check_find_group(c, name))
		check_error(c, at, "\"%s\" is a gateway group; accepted: a gateway", name);
	else if (check_find_interface(c, name) || check_find_tunnel(c, name))
		check_error(c, at, "\"%s\" is %s; accepted: the name of a gateway with \"interface\": \"%s\"", name,
			    check_find_tunnel(c, name) ? "a tunnel" : "an interface", name);
	else
		report_missing(c, at, what, name, c->gateways, groups);
}

struct draft_via check_via_name(struct check *c, const char *const *at, const char *name, bool disabled,
				const char *what)
{
	struct draft_via via = { .gateway = check_find_gateway(c, name) };

	if (!via.gateway)
		via.group = check_find_group(c, name);
	else if (via.gateway->disabled && !disabled)
		check_error(c, at, "the gateway \"%s\" is disabled; disable this %s too, or enable the gateway", name,
			    what);
	if (name && !via.gateway && !via.group)
		refuse_gateway(c, at, name, c->groups);
	return via;
}

/* A name alone is a VIP's; `target`: where addresses are translated to. */
const struct draft_vip *check_vip_name(struct check *c, const char *const *at, const char *name, bool disabled,
				       const char *what, bool target)
{
	const struct draft_vip *v = check_find_vip(c, name);
	char text[CHECK_MISSING];

	if (v && v->disabled && !disabled)
		check_error(c, at, "the shared address \"%s\" is disabled; disable this %s too, or enable it", name,
			    what);
	if (v)
		return v;
	if (!target && (check_find_interface(c, name) || check_find_tunnel(c, name)))
		check_error(c, at,
			    "\"%s\" is %s; did you mean \"%s:address\", the addresses that it has, or \"%s:network\"?",
			    name, check_find_tunnel(c, name) ? "a tunnel" : "an interface", name, name);
	else if (!target && check_find_alias(c, name))
		check_error(c, at, "\"%s\" is an alias; did you mean \"$%s\"?", name, name);
	else if (json_object_size(c->vips))
		check_error(c, at, "%s", check_missing(text, "shared address", name, c->vips, NULL));
	else if (target)
		check_error(c, at,
			    "\"%s\" is no address; accepted: an address, a shared address's name, or "
			    "\"interface\" for whatever the interface has",
			    name);
	else
		check_error(c, at, "\"%s\" is no address; names of hosts are not accepted", name);
	return NULL;
}

static void resolve_from(struct check *c, struct draft_translation *t, size_t i)
{
	const char *const *at = AT("prefix_translations", NUMBER(i), "external", "from");

	if (!t->from)
		return;
	t->from_ref = check_find_interface(c, t->from);
	if (t->from_ref)
		return;
	if (check_find_tunnel(c, t->from))
		check_error(c, at, "\"%s\" is a tunnel, which no prefix is delegated on; accepted: an interface",
			    t->from);
	else
		report_missing(c, at, "interface", t->from, c->interfaces, NULL);
}

static void resolve_members(struct check *c, struct draft_group *g)
{
	size_t i;

	for (i = 0; i < g->n_members; i++) {
		struct draft_member *m = &g->members[i];
		const char *const *at = AT("gateway_groups", g->item.name, "members", NUMBER(i), "gateway");

		m->gateway_ref = check_find_gateway(c, m->gateway);
		if (m->gateway && !m->gateway_ref)
			refuse_gateway(c, at, m->gateway, NULL);
		else if (m->gateway && m->gateway_ref->disabled)
			check_error(c, at, "the gateway \"%s\" is disabled; take the member out, or enable the gateway",
				    m->gateway);
	}
}

void check_references(struct check *c)
{
	struct draft *d = c->draft;
	size_t i;

	for (i = 0; i < d->n_tunnels; i++)
		resolve_underlay(c, &d->tunnels[i]);
	for (i = 0; i < d->n_gateways; i++)
		check_port(c, AT("gateways", d->gateways[i].item.name, "interface"), d->gateways[i].interface,
			   d->gateways[i].disabled, "gateway", &d->gateways[i].port);
	for (i = 0; i < d->n_routes; i++)
		d->routes[i].via = check_via_name(c, AT("routes", NUMBER(i), "gateway"), d->routes[i].gateway,
						  d->routes[i].disabled, "route");
	for (i = 0; i < d->n_groups; i++)
		resolve_members(c, &d->groups[i]);
	check_vip_interfaces(c);
	for (i = 0; i < d->n_translations; i++) {
		check_port(c, AT("prefix_translations", NUMBER(i), "interface"), d->translations[i].interface,
			   d->translations[i].disabled, "translation", &d->translations[i].port);
		resolve_from(c, &d->translations[i], i);
	}
}
