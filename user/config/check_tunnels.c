/* SPDX-License-Identifier: GPL-2.0-only */
/* Tunnels: their names, ends, sizes, and that no two have the same pair of ends. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "user/config/check_match.h"

#define MTU_ETHERNET 1480 /* what an Ethernet's 1500 leave */
#define TCP_HEADERS 60	  /* IPv6 and TCP */

/* A tunnel's name is a device's, and stands where an interface's may. */
static void check_name(struct check *c, const struct draft_tunnel *t)
{
	const char *name = t->item.name;
	size_t i;

	if (check_find_interface(c, name))
		check_error(c, AT("tunnels", name),
			    "there is an interface \"%s\" too; give one of the two another name", name);
	for (i = 0; !t->disabled && i < c->draft->n_interfaces; i++) {
		const struct config_interface *in = &c->draft->interfaces[i];

		if (in->device && !strcmp(in->device, name) && strcmp(in->name, name))
			check_error(
				c, AT("tunnels", name),
				"the device of a tunnel is called as the tunnel, and \"%s\" is the device of interface \"%s\"; give the tunnel another name",
				name, in->name);
	}
}

static void check_sizes(struct check *c, const struct config_tunnel *t)
{
	unsigned int mss = t->mss_clamp;

	if (t->mtu > MTU_ETHERNET)
		check_warning(c, AT("tunnels", t->name, "mtu"),
			      "%u needs an underlay that carries packets of %u bytes; Ethernet leaves %u", t->mtu,
			      t->mtu + 20, MTU_ETHERNET);
	if (t->mtu && mss != FL_MSS_OFF && mss != FL_MSS_AUTO && mss + TCP_HEADERS > t->mtu)
		check_warning(c, AT("tunnels", t->name, "mss_clamp"),
			      "segments of %u bytes don't fit an MTU of %u; at most %u do", mss, t->mtu,
			      t->mtu - TCP_HEADERS);
}

static void check_addresses(struct check *c, const struct config_tunnel *t)
{
	char text[PREFIX_STRLEN];
	size_t i;

	for (i = 0; i < t->n_addresses; i++) {
		const struct prefix *p = &t->addresses[i];

		if (p->addr.family != AF_UNSPEC && p->len < 127 && prefix_is_network(p))
			check_warning(c, AT("tunnels", t->name, "address"),
				      "\"%s\" is the network's own address; the device wants one in it",
				      prefix_format(p, text));
	}
}

static void check_client(struct check *c, const struct config_tunnel *t, const struct config_remote *r)
{
	const char *const *at = AT("tunnels", t->name, "clients", r->name, "address");
	char text[ADDR_STRLEN];
	bool reached = addr_is_link_local(&r->address); /* which the tunnel itself leads to */
	size_t i;

	if (r->address.family == AF_UNSPEC)
		return;
	for (i = 0; i < t->n_addresses; i++) {
		if (addr_equal(&t->addresses[i].addr, &r->address))
			check_error(c, at, "\"%s\" is this end's own address; accepted: the client's",
				    addr_format(&r->address, text));
		/* one that was refused has no family, and may have been right */
		reached |= t->addresses[i].addr.family == AF_UNSPEC || prefix_contains(&t->addresses[i], &r->address);
	}
	for (i = 0; i < r->n_routes; i++)
		reached |= r->routes[i].addr.family == AF_UNSPEC || prefix_contains(&r->routes[i], &r->address);
	if (!reached && t->n_addresses)
		check_warning(
			c, at,
			"\"%s\" is neither in a network of the tunnel's \"address\" nor in one of the client's \"routes\": nothing leads there",
			addr_format(&r->address, text));
}

static void check_ends(struct check *c, const struct config_tunnel *t)
{
	const struct config_remote *r;
	size_t i;

	for (i = 0; i < t->n_remotes; i++) {
		r = &t->remotes[i];
		if (r->address_outer.family != AF_UNSPEC && addr_equal(&r->address_outer, &t->local))
			check_error(c,
				    t->broker ? AT("tunnels", t->name, "clients", r->name, "remote")
					      : AT("tunnels", t->name, "remote"),
				    "\"%s\" is \"local\" too; accepted: the address of the other end", r->host);
		if (t->broker)
			check_client(c, t, r);
	}
}

static void check_update(struct check *c, const struct config_tunnel *t)
{
	const struct config_update *u = &t->update;

	if (!u->url)
		return;
	if (t->broker)
		check_error(c, AT("tunnels", t->name, "update"),
			    "a broker tells no other; accepted: \"update\" beside \"remote\"");
	if (u->password_file && !u->user)
		check_error(c, AT("tunnels", t->name, "update", "password_file"),
			    "there is no \"user\" that it is of; accepted: both, or none");
	if (u->password_file && !strncmp(u->url, "http:", 5))
		check_warning(c, AT("tunnels", t->name, "update", "url"),
			      "by \"http:\" the password goes out in clear text; \"https:\" hides it");
}

/* ---- a group as underlay ---- */

static void check_underlay_group(struct check *c, const struct draft_tunnel *t)
{
	const char *const *at = AT("tunnels", t->item.name, "underlay");
	const struct draft_group *group = t->underlay_group;
	size_t i;

	for (i = 0; i < group->n_members; i++) {
		const struct draft_gateway *g = group->members[i].gateway_ref;

		if (g && g->port.tunnel == t)
			check_error(
				c, at,
				"the member \"%s\" of \"%s\" is on this tunnel itself; accepted: a group of gateways on interfaces",
				g->item.name, group->item.name);
		else if (g && g->port.tunnel)
			check_error(
				c, at,
				"the member \"%s\" of \"%s\" is on a tunnel; accepted: a group of gateways on interfaces",
				g->item.name, group->item.name);
		else if (g && !(check_gateway_families(g) & FL_INET))
			check_error(c, at,
				    "the member \"%s\" of \"%s\" carries no IPv4, which the tunnel is in; accepted: "
				    "a group of IPv4 gateways",
				    g->item.name, group->item.name);
	}
	if (t->item.local.family != AF_UNSPEC)
		check_warning(
			c, AT("tunnels", t->item.name, "local"),
			"this is one address, whichever member of \"%s\" carries: it must be good behind each of them; \"interface\" is the address of the one that does",
			group->item.name);
}

/* ---- pairs of ends ---- */

struct end {
	const struct draft_tunnel *tunnel;
	const struct config_remote *remote;
	const char *interface; /* whose address "interface" is; "": it is not known */
	size_t order;
};

/* Same remote, be it by name, same local; "interface" is the same where that is. Only what has both. */
static int compare_ends(const struct end *x, const struct end *y)
{
	int c = addr_compare(&x->remote->address_outer, &y->remote->address_outer);

	if (!c && x->remote->address_outer.family == AF_UNSPEC)
		c = strcasecmp(x->remote->host, y->remote->host);
	if (!c)
		c = addr_compare(&x->tunnel->item.local, &y->tunnel->item.local);
	if (!c && x->tunnel->item.local.family == AF_UNSPEC)
		c = strcmp(x->interface, y->interface);
	return c;
}

static int by_ends(const void *a, const void *b)
{
	const struct end *x = a, *y = b;
	int c = compare_ends(x, y);

	return c ? c : (x->order < y->order ? -1 : 1);
}

static void report_same_ends(struct check *c, const struct end *first, const struct end *again)
{
	const char *tunnel = again->tunnel->item.name, *client = again->remote->name;

	check_error(c, client ? AT("tunnels", tunnel, "clients", client, "remote") : AT("tunnels", tunnel, "remote"),
		    "tunnel \"%s\"%s%s%s has the same \"local\" and the same remote \"%s\" already",
		    first->tunnel->item.name, first->remote->name ? ", client \"" : "",
		    first->remote->name ? first->remote->name : "", first->remote->name ? "\"" : "",
		    again->remote->host);
}

/* A tunnel over a group has as many local addresses as members, unless one is given. */
static size_t n_locals(const struct draft_tunnel *t)
{
	return t->underlay_group && t->item.local.family == AF_UNSPEC ? t->underlay_group->n_members : 1;
}

static const char *interface_of(const struct draft_tunnel *t, size_t i)
{
	const struct draft_gateway *g = t->underlay_group ? t->underlay_group->members[i].gateway_ref : NULL;

	if (!t->underlay_group)
		return t->underlay;
	return g && g->port.interface ? g->port.interface->name : "";
}

static size_t collect_ends(const struct draft *d, struct end *ends)
{
	size_t n = 0, i, j, k;

	for (i = 0; i < d->n_tunnels; i++) {
		const struct draft_tunnel *t = &d->tunnels[i];

		for (j = 0; !t->disabled && t->underlay && j < t->item.n_remotes; j++) {
			for (k = 0; t->item.remotes[j].host && k < n_locals(t); k++) {
				ends[n] = (struct end){ t, &t->item.remotes[j], interface_of(t, k), n };
				n++;
			}
		}
	}
	return n;
}

/* Each pair once: two groups may have several interfaces in common, and two members of a group the same one. */
static void report_ends(struct check *c, const struct end *ends, size_t n)
{
	const struct end *reported = NULL;
	size_t i;

	for (i = 1; i < n; i++) {
		if (compare_ends(&ends[i - 1], &ends[i]) || ends[i - 1].remote == ends[i].remote ||
		    (reported && ends[i].remote == reported->remote) || !*ends[i].interface)
			continue;
		report_same_ends(c, &ends[i - 1], &ends[i]);
		reported = &ends[i];
	}
}

static void check_same_ends(struct check *c)
{
	const struct draft *d = c->draft;
	struct end *ends;
	size_t n = 0, i;

	for (i = 0; i < d->n_tunnels; i++)
		n += d->tunnels[i].item.n_remotes * n_locals(&d->tunnels[i]);
	ends = calloc(n + 1, sizeof(*ends));
	if (!ends) {
		c->err = -ENOMEM;
		return;
	}
	n = collect_ends(d, ends);
	qsort(ends, n, sizeof(*ends), by_ends);
	report_ends(c, ends, n);
	free(ends);
}

void check_tunnels(struct check *c)
{
	const struct draft *d = c->draft;
	size_t i;

	for (i = 0; i < d->n_tunnels; i++) {
		check_name(c, &d->tunnels[i]);
		if (d->tunnels[i].disabled)
			continue;
		check_sizes(c, &d->tunnels[i].item);
		check_addresses(c, &d->tunnels[i].item);
		check_ends(c, &d->tunnels[i].item);
		check_update(c, &d->tunnels[i].item);
		if (d->tunnels[i].underlay_group)
			check_underlay_group(c, &d->tunnels[i]);
	}
	check_same_ends(c);
}
