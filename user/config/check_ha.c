/* SPDX-License-Identifier: GPL-2.0-only */
/* Shared addresses, and the pair that shares them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fairlead/limits.h"
#include "user/config/check_match.h"

/* ---- names ---- */

static const struct config_interface *resolve_interface(struct check *c, const char *const *at, const char *name)
{
	const struct config_interface *interface = check_find_interface(c, name);
	char text[CHECK_MISSING];

	if (!name || interface)
		return interface;
	if (check_find_tunnel(c, name))
		check_error(c, at, "\"%s\" is a tunnel; accepted: an interface", name);
	else
		check_error(c, at, "%s", check_missing(text, "interface", name, c->interfaces, NULL));
	return NULL;
}

/* ---- one shared address ---- */

static bool has_family(const struct config_vip *v, int family)
{
	size_t i;

	for (i = 0; i < v->n_addresses; i++) {
		if (v->addresses[i].addr.family == family || v->addresses[i].addr.family == AF_UNSPEC)
			return true;
	}
	return !v->n_addresses; /* refused: may have been right */
}

static void check_address(struct check *c, const struct config_vip *v, size_t i)
{
	const json_t *vip = json_object_get(json_object_get(c->document, "vips"), v->name);
	const char *const *at = AT("vips", v->name, "address", ELEMENT(json_object_get(vip, "address"), i));
	const struct prefix *p = &v->addresses[i];
	unsigned int longest = p->addr.family == AF_INET ? 32 : 128;
	char text[PREFIX_STRLEN];

	if (p->addr.family == AF_UNSPEC)
		return;
	prefix_format(p, text);
	if (p->len == longest)
		check_warning(c, at, "\"%s\" has the length of an address; others have that of the network it is in",
			      text);
	else if (p->len < longest - 1 && prefix_is_network(p))
		check_error(c, at, "\"%s\" is the network's own address; accepted: one in it", text);
}

static void check_peers(struct check *c, const struct config_vip *v)
{
	char text[ADDR_STRLEN];
	size_t i, j;

	for (i = 0; i < v->n_peers; i++) {
		const char *const *at = AT("vips", v->name, "peers", NUMBER(i));
		const struct addr *peer = &v->peers[i];

		if (peer->family == AF_UNSPEC)
			continue;
		addr_format(peer, text);
		if (!has_family(v, peer->family))
			check_error(c, at, "\"%s\" is an %s address, and none in \"address\" is", text,
				    peer->family == AF_INET ? "IPv4" : "IPv6");
		for (j = 0; j < v->n_addresses; j++) {
			if (addr_equal(&v->addresses[j].addr, peer))
				check_error(c, at, "\"%s\" is the shared address; accepted: another node's own", text);
		}
	}
}

/* As the file has it: what was refused is 0 as well. */
static bool is_zero(const struct check *c, const struct draft_vip *v)
{
	const json_t *vip = json_object_get(json_object_get(c->document, "vips"), v->item.name);
	const json_t *advbase = json_object_get(vip, "advbase_s");

	return json_is_number(advbase) && json_number_value(advbase) == 0;
}

static void check_vip(struct check *c, const struct draft_vip *v)
{
	unsigned int advskew = v->own_advskew ? v->item.advskew : c->draft->ha.item.advskew;
	size_t i;

	if (strlen(v->item.name) > CONFIG_VIP_NAME_MAX)
		check_error(c, AT("vips", v->item.name), "a name of %zu characters; accepted: up to %d",
			    strlen(v->item.name), CONFIG_VIP_NAME_MAX);
	for (i = 0; i < v->item.n_addresses; i++)
		check_address(c, &v->item, i);
	check_peers(c, &v->item);
	if (v->item.plain_peers && v->item.fast_ms)
		check_error(
			c, AT("vips", v->item.name, "fast_ms"),
			"\"plain_peers\" is true, and plain nodes know nothing of milliseconds: each would take the other for "
			"dead or better; accepted: one of the two");
	if (is_zero(c, v) && !advskew)
		check_error(
			c, AT("vips", v->item.name, "advbase_s"),
			"found 0, and \"advskew\" is 0 too%s: there is no time between two adverts; accepted: one of "
			"the two above 0",
			v->own_advskew ? "" : " (that of \"ha\")");
}

/* ---- shared addresses against each other ---- */

struct shared {
	const struct prefix *prefix;
	const struct draft_vip *vip;
	size_t order;
};

static int by_addr(const void *a, const void *b)
{
	const struct shared *x = a, *y = b;
	int c = addr_compare(&x->prefix->addr, &y->prefix->addr);

	return c ? c : (x->order < y->order ? -1 : 1);
}

/* Link-local ones each interface has for itself. */
static void compare_shared(struct check *c, const struct shared *one, const struct shared *again)
{
	const struct addr *addr = &one->prefix->addr;
	char text[ADDR_STRLEN];

	if (!addr_equal(addr, &again->prefix->addr) ||
	    (addr_is_link_local(addr) && one->vip->interface_ref != again->vip->interface_ref))
		return;
	if (one->vip == again->vip && one->prefix->len == again->prefix->len)
		return; /* which has been said */
	check_error(c, AT("vips", again->vip->item.name, "address"), "\"%s\" is an address of \"%s\" already",
		    addr_format(addr, text), one->vip->item.name);
}

static void check_same_addresses(struct check *c)
{
	const struct draft *d = c->draft;
	struct shared *list;
	size_t n = 1, i, j;

	for (i = 0; i < d->n_vips; i++)
		n += d->vips[i].item.n_addresses;
	list = calloc(n, sizeof(*list));
	if (!list) {
		c->err = -ENOMEM;
		return;
	}
	for (i = n = 0; i < d->n_vips; i++) {
		for (j = 0; !d->vips[i].disabled && j < d->vips[i].item.n_addresses; j++) {
			if (d->vips[i].item.addresses[j].addr.family != AF_UNSPEC) {
				list[n] = (struct shared){ &d->vips[i].item.addresses[j], &d->vips[i], n };
				n++;
			}
		}
	}
	qsort(list, n, sizeof(*list), by_addr);
	for (i = 1; i < n; i++)
		compare_shared(c, &list[i - 1], &list[i]);
	free(list);
}

/* The first with that vhid on the interface. */
static void check_same_vhids(struct check *c)
{
	const struct draft_vip *v = c->draft->vips;
	size_t i, j;

	for (i = 0; i < c->draft->n_vips; i++) {
		for (j = 0; j < i && !v[i].disabled && v[i].item.vhid; j++) {
			if (v[j].disabled || v[j].item.vhid != v[i].item.vhid || !v[i].interface_ref ||
			    v[j].interface_ref != v[i].interface_ref)
				continue;
			check_warning(c, AT("vips", v[i].item.name, "vhid"),
				      "\"%s\" has %u on the interface \"%s\" already; to the others both are one",
				      v[j].item.name, v[j].item.vhid, v[i].interface);
			break;
		}
	}
}

/* ---- ha ---- */

static void check_nodes(struct check *c)
{
	const struct config_ha *ha = &c->draft->ha.item;
	char text[ADDR_STRLEN];
	size_t i;

	if (ha->n_peers > FL_PEERS_MAX)
		check_error(c, AT("ha", "peers"), "found %zu; accepted: at most %d", ha->n_peers, FL_PEERS_MAX);
	for (i = 0; i < ha->n_peers; i++) {
		const char *const *at = AT("ha", "peers", NUMBER(i));

		if (ha->peers[i].family == AF_UNSPEC || ha->local.family == AF_UNSPEC)
			continue;
		addr_format(&ha->peers[i], text);
		if (addr_equal(&ha->peers[i], &ha->local))
			check_error(c, at, "\"%s\" is \"local\" too; accepted: another node's address", text);
		else if (ha->peers[i].family != ha->local.family)
			check_error(c, at,
				    "\"%s\" is an %s address, and \"local\" is not; accepted: one family for all", text,
				    ha->peers[i].family == AF_INET ? "IPv4" : "IPv6");
	}
}

static void check_local(struct check *c)
{
	const struct draft *d = c->draft;
	char text[ADDR_STRLEN];
	size_t i, j;

	for (i = 0; i < d->n_vips; i++) {
		for (j = 0; !d->vips[i].disabled && j < d->vips[i].item.n_addresses; j++) {
			if (d->ha.item.local.family != AF_UNSPEC &&
			    addr_equal(&d->vips[i].item.addresses[j].addr, &d->ha.item.local))
				check_error(c, AT("ha", "local"),
					    "\"%s\" is shared as \"%s\"; accepted: an address of this node's own",
					    addr_format(&d->ha.item.local, text), d->vips[i].item.name);
		}
	}
}

static void check_present(struct check *c, const struct config_interface *interface, const char *why)
{
	if (interface && interface->present == CONFIG_PRESENT_MASTER)
		check_error(c, AT("interfaces", interface->name, "present"),
			    "\"master\", and %s: it must be at the standby, too; accepted: \"auto\" or \"always\"",
			    why);
}

/* Both nodes need these, whoever is master: what is missing there is no longer told of as what only the master has. */
static void check_presence(struct check *c)
{
	const struct draft *d = c->draft;
	char why[160];
	size_t i;

	check_present(c, d->ha.interface_ref, "\"ha\" names it");
	for (i = 0; i < d->n_vips; i++) {
		snprintf(why, sizeof(why), "\"%s\" is shared there", d->vips[i].item.name);
		check_present(c, d->vips[i].disabled ? NULL : d->vips[i].interface_ref, why);
	}
}

static bool uses_gateways(const struct draft *d)
{
	size_t i;

	for (i = 0; i < d->n_rules; i++) {
		if (d->rules[i].route_to_via.gateway || d->rules[i].reply_to_via.gateway)
			return true;
	}
	return false;
}

static bool uses_groups(const struct draft *d)
{
	size_t i;

	for (i = 0; i < d->n_rules; i++) {
		if (d->rules[i].route_to_via.group || d->rules[i].reply_to_via.group)
			return true;
	}
	return false;
}

static bool routes_use_groups(const struct draft *d)
{
	size_t i;

	for (i = 0; i < d->n_routes && !d->routes[i].via.group; i++)
		;
	return i < d->n_routes;
}

static bool routes_use_gateways(const struct draft *d)
{
	size_t i;

	for (i = 0; i < d->n_routes && !d->routes[i].via.gateway; i++)
		;
	return i < d->n_routes;
}

static bool has_groups(const struct draft *d)
{
	return d->n_groups;
}

/* What is pushed refers to what is not: the peer refuses it unless it has items of these names itself. */
static void check_sections(struct check *c)
{
	static const struct {
		enum config_section section, needs;
		const char *name, *needs_name;
		bool (*refers)(const struct draft *draft);
	} needs[] = {
		{ CONFIG_SECTION_RULES, CONFIG_SECTION_GATEWAYS, "rules", "gateways", uses_gateways },
		{ CONFIG_SECTION_RULES, CONFIG_SECTION_GATEWAY_GROUPS, "rules", "gateway_groups", uses_groups },
		{ CONFIG_SECTION_ROUTES, CONFIG_SECTION_GATEWAYS, "routes", "gateways", routes_use_gateways },
		{ CONFIG_SECTION_ROUTES, CONFIG_SECTION_GATEWAY_GROUPS, "routes", "gateway_groups", routes_use_groups },
		{ CONFIG_SECTION_GATEWAY_GROUPS, CONFIG_SECTION_GATEWAYS, "gateway_groups", "gateways", has_groups },
	};
	const struct config_ha *ha = &c->draft->ha.item;
	size_t i;

	for (i = 0; ha->role == CONFIG_ROLE_PRIMARY && i < sizeof(needs) / sizeof(needs[0]); i++) {
		if (ha->sections >> needs[i].section & 1 && !(ha->sections >> needs[i].needs & 1) &&
		    needs[i].refers(c->draft))
			check_warning(
				c, AT("ha", "sync_config", "sections"),
				"\"%s\" is pushed and names what is in \"%s\", which is not; the peer needs that of "
				"its own",
				needs[i].name, needs[i].needs_name);
	}
}

/* ---- all of it ---- */

void check_vip_interfaces(struct check *c)
{
	struct draft *d = c->draft;
	size_t i;

	for (i = 0; i < d->n_vips; i++)
		d->vips[i].interface_ref =
			resolve_interface(c, AT("vips", d->vips[i].item.name, "interface"), d->vips[i].interface);
	d->ha.interface_ref = resolve_interface(c, AT("ha", "interface"), d->ha.interface);
}

void check_ha(struct check *c)
{
	size_t i;

	for (i = 0; i < c->draft->n_vips; i++) {
		if (!c->draft->vips[i].disabled)
			check_vip(c, &c->draft->vips[i]);
	}
	check_same_addresses(c);
	check_same_vhids(c);
	check_nodes(c);
	check_local(c);
	check_presence(c);
	check_sections(c);
}
