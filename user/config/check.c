/* SPDX-License-Identifier: GPL-2.0-only */
/* The checks in order, and what all of them use. */
#include "user/config/check.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fairlead/rules.h"
#include "fairlead/vip.h"

const char *check_number(size_t n, char *buf)
{
	snprintf(buf, 24, "%zu", n);
	return buf;
}

static void check_vadd(struct check *c, bool warning, const char *const *at, const char *fmt, va_list ap)
{
	char *pointer = pointer_of_parts(at);

	if (!pointer)
		c->err = -ENOMEM;
	report_vadd(c->report, warning, pointer ? pointer : "", fmt, ap);
	free(pointer);
}

void check_error(struct check *c, const char *const *at, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	check_vadd(c, false, at, fmt, ap);
	va_end(ap);
}

void check_warning(struct check *c, const char *const *at, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	check_vadd(c, true, at, fmt, ap);
	va_end(ap);
}

/* ---- items by name ---- */

/* `items`: the first of n structs of `size` bytes that begin with the pointer to their name. */
static json_t *index_names(struct check *c, const void *items, size_t n, size_t size)
{
	json_t *index = json_object();
	const char *name;
	size_t i;

	for (i = 0; i < n; i++) {
		memcpy(&name, (const char *)items + i * size, sizeof(name));
		if (!name || json_object_set_new(index, name, json_integer((json_int_t)i)))
			c->err = -ENOMEM;
	}
	if (!index)
		c->err = -ENOMEM;
	return index;
}

_Static_assert(offsetof(struct config_interface, name) == 0, "index_names() relies on it");
_Static_assert(offsetof(struct draft_tunnel, item.name) == 0, "index_names() relies on it");
_Static_assert(offsetof(struct draft_gateway, item.name) == 0, "index_names() relies on it");
_Static_assert(offsetof(struct draft_group, item.name) == 0, "index_names() relies on it");
_Static_assert(offsetof(struct draft_vip, item.name) == 0, "index_names() relies on it");
_Static_assert(offsetof(struct config_alias, name) == 0, "index_names() relies on it");

static json_int_t find(const json_t *index, const char *name)
{
	const json_t *at = name ? json_object_get(index, name) : NULL;

	return at ? json_integer_value(at) : -1;
}

const struct config_interface *check_find_interface(const struct check *c, const char *name)
{
	json_int_t at = find(c->interfaces, name);

	return at < 0 ? NULL : &c->draft->interfaces[at];
}

const struct draft_tunnel *check_find_tunnel(const struct check *c, const char *name)
{
	json_int_t at = find(c->tunnels, name);

	return at < 0 ? NULL : &c->draft->tunnels[at];
}

const struct draft_gateway *check_find_gateway(const struct check *c, const char *name)
{
	json_int_t at = find(c->gateways, name);

	return at < 0 ? NULL : &c->draft->gateways[at];
}

const struct draft_group *check_find_group(const struct check *c, const char *name)
{
	json_int_t at = find(c->groups, name);

	return at < 0 ? NULL : &c->draft->groups[at];
}

const struct draft_vip *check_find_vip(const struct check *c, const char *name)
{
	json_int_t at = find(c->vips, name);

	return at < 0 ? NULL : &c->draft->vips[at];
}

const struct config_alias *check_find_alias(const struct check *c, const char *name)
{
	json_int_t at = find(c->aliases, name);

	return at < 0 ? NULL : &c->draft->aliases[at];
}

/* ---- interfaces against each other, and everything against the size of the tables ---- */

static void check_devices(struct check *c)
{
	const struct config_interface *in = c->draft->interfaces;
	json_t *seen = json_object();
	size_t i;

	for (i = 0; i < c->draft->n_interfaces; i++) {
		const json_t *other = in[i].device ? json_object_get(seen, in[i].device) : NULL;

		if (!in[i].device)
			continue;
		if (other)
			check_error(c, AT("interfaces", in[i].name, "device"),
				    "interface \"%s\" has the device \"%s\" already; a device is one interface",
				    json_string_value(other), in[i].device);
		else if (json_object_set_new(seen, in[i].device, json_string(in[i].name)))
			c->err = -ENOMEM;
	}
	json_decref(seen);
}

/* Lists of the data plane: of rules two places are taken, by "no rule" and default_action, of translations one. */
static void check_list_limits(struct check *c)
{
	const size_t most_rules = FL_RULES_MAX - 2, most_nat = FL_RULES_MAX - 1;
	const struct draft *d = c->draft;
	size_t rules[2] = { 0 }, nat[2] = { 0 }, i;

	for (i = 0; i < d->n_rules; i++) {
		rules[0] += !d->rules[i].disabled && d->rules[i].item.direction != CONFIG_OUT;
		rules[1] += !d->rules[i].disabled && d->rules[i].item.direction != CONFIG_IN;
	}
	for (i = 0; i < d->n_nat; i++) {
		nat[0] += !d->nat[i].disabled && d->nat[i].item.type != CONFIG_SNAT;
		nat[1] += !d->nat[i].disabled && d->nat[i].item.type != CONFIG_DNAT;
	}
	for (i = 0; i < 2; i++) {
		if (rules[i] > most_rules)
			check_error(c, AT("rules"), "found %zu for direction %s; accepted: at most %zu", rules[i],
				    i ? "out" : "in", most_rules);
		if (nat[i] > most_nat)
			check_error(c, AT("nat"), "found %zu of %s; accepted: at most %zu", nat[i],
				    i ? "sources" : "destinations", most_nat);
	}
}

static void check_vip_limits(struct check *c)
{
	const struct draft *d = c->draft;
	size_t vips = 0, addresses = 0, i;

	for (i = 0; i < d->n_vips; i++) {
		vips += !d->vips[i].disabled;
		addresses += d->vips[i].disabled ? 0 : d->vips[i].item.n_addresses;
	}
	if (vips > FL_VIPS_MAX)
		check_error(c, AT("vips"), "found %zu; accepted: at most %d", vips, FL_VIPS_MAX);
	if (addresses > FL_VIP_ADDRESSES_MAX)
		check_error(c, AT("vips"), "found %zu addresses; accepted: at most %d", addresses,
			    FL_VIP_ADDRESSES_MAX);
}

static void check_limits(struct check *c)
{
	const struct draft *d = c->draft;
	size_t ports = d->n_interfaces, remotes = 0, routes = 0, gateways = 0, translations = 0, i, j;

	for (i = 0; i < d->n_tunnels; i++) {
		if (d->tunnels[i].disabled)
			continue;
		ports++;
		remotes += d->tunnels[i].item.n_remotes;
		for (j = 0; d->tunnels[i].item.broker && j < d->tunnels[i].item.n_remotes; j++)
			routes += d->tunnels[i].item.remotes[j].n_routes + 1;
	}
	for (i = 0; i < d->n_gateways; i++)
		gateways += !d->gateways[i].disabled;
	for (i = 0; i < d->n_translations; i++)
		translations += !d->translations[i].disabled;
	/* number 0 is no one's, one is that of the device for ICMP errors; of tables that change as a whole, both sets have to fit */
	if (ports > FL_PORTS_MAX - 2)
		check_error(c, AT(NULL), "found %zu interfaces and tunnels; accepted: at most %d", ports,
			    FL_PORTS_MAX - 2);
	if (remotes > FL_ENDPOINTS_MAX / 2 - 1)
		check_error(c, AT("tunnels"), "found %zu remotes and clients; accepted: at most %d", remotes,
			    FL_ENDPOINTS_MAX / 2 - 1);
	if (routes > FL_CLIENT_ROUTES_MAX / 2)
		check_error(c, AT("tunnels"), "found %zu addresses and routes of clients; accepted: at most %d", routes,
			    FL_CLIENT_ROUTES_MAX / 2);
	if (gateways > FL_GATEWAYS_MAX - 1)
		check_error(c, AT("gateways"), "found %zu; accepted: at most %d", gateways, FL_GATEWAYS_MAX - 1);
	if (translations > FL_NPT_MAX / 2 - 1)
		check_error(c, AT("prefix_translations"), "found %zu; accepted: at most %d", translations,
			    FL_NPT_MAX / 2 - 1);
	check_list_limits(c);
	check_vip_limits(c);
}

int check_draft(struct draft *draft, const json_t *document, struct config_report *report)
{
	struct check c = { .draft = draft, .document = document, .report = report };

	c.interfaces = index_names(&c, draft->interfaces, draft->n_interfaces, sizeof(*draft->interfaces));
	c.tunnels = index_names(&c, draft->tunnels, draft->n_tunnels, sizeof(*draft->tunnels));
	c.gateways = index_names(&c, draft->gateways, draft->n_gateways, sizeof(*draft->gateways));
	c.groups = index_names(&c, draft->groups, draft->n_groups, sizeof(*draft->groups));
	c.vips = index_names(&c, draft->vips, draft->n_vips, sizeof(*draft->vips));
	c.aliases = index_names(&c, draft->aliases, draft->n_aliases, sizeof(*draft->aliases));
	if (!c.err) {
		check_devices(&c);
		check_limits(&c);
		check_references(&c);
		check_tunnels(&c);
		check_gateways(&c);
		check_routes(&c);
		check_translations(&c);
		check_aliases(&c);
		check_rules(&c);
		check_steering(&c);
		check_nat(&c);
		check_ha(&c);
	}
	json_decref(c.interfaces);
	json_decref(c.tunnels);
	json_decref(c.gateways);
	json_decref(c.groups);
	json_decref(c.vips);
	json_decref(c.aliases);
	return c.err;
}
