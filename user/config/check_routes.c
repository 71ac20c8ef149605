/* SPDX-License-Identifier: GPL-2.0-only */
/* Routes, and what lies behind which client: that all of it leads somewhere, and to one place. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/config/check_match.h"

/* ---- routes ---- */

static const char *family_text(int family)
{
	return family == AF_INET ? "IPv4" : "IPv6";
}

static void check_route_gateway(struct check *c, const struct draft_route *r, size_t i)
{
	const char *const *at = AT("routes", NUMBER(i), "gateway");
	int family = r->item.destination.addr.family;
	const struct draft_gateway *g = r->via.gateway;
	char text[PREFIX_STRLEN];
	int has = g->port.tunnel ? AF_INET6 : g->item.address.family;

	prefix_format(&r->item.destination, text);
	if (has != AF_UNSPEC && has != family) {
		check_error(c, at, "\"%s\" is %s, and the gateway \"%s\" %s; accepted: a gateway of %s", text,
			    family_text(family), r->gateway,
			    g->port.tunnel   ? "is on a tunnel, which carries IPv6"
			    : has == AF_INET ? "has an IPv4 address"
					     : "has an IPv6 address",
			    family_text(family));
	} else if (g->port.tunnel && g->port.tunnel->item.broker) {
		check_error(
			c, at,
			"the gateway \"%s\" is on the tunnel \"%s\", which has clients; put \"%s\" into the \"routes\" of one of them",
			r->gateway, g->port.tunnel->item.name, text);
	}
}

static void check_route_group(struct check *c, const struct draft_route *r, size_t i)
{
	const char *const *at = AT("routes", NUMBER(i), "gateway");
	int family = r->item.destination.addr.family;
	char text[PREFIX_STRLEN];

	if (!(check_group_families(r->via.group) & (family == AF_INET ? FL_INET : FL_INET6)))
		check_error(c, at, "\"%s\" is %s, which no member of the group \"%s\" carries",
			    prefix_format(&r->item.destination, text), family_text(family), r->gateway);
}

static void check_route(struct check *c, const struct draft_route *r, size_t i)
{
	if (r->disabled || r->item.destination.addr.family == AF_UNSPEC)
		return;
	if (r->via.gateway)
		check_route_gateway(c, r, i);
	else if (r->via.group)
		check_route_group(c, r, i);
}

/* ---- who has which prefix: routes, clients' routes, clients' addresses ---- */

struct claim {
	struct prefix prefix;
	const struct draft_tunnel *tunnel; /* NULL: one of the top-level routes */
	const struct config_remote *client;
	size_t index; /* in the routes; SIZE_MAX: the client's address */
	size_t order;
};

static int compare_prefixes(const struct prefix *a, const struct prefix *b)
{
	int c = addr_compare(&a->addr, &b->addr);

	return c ? c : (a->len < b->len ? -1 : a->len > b->len);
}

/* A network before what lies in it. */
static int by_claim(const void *a, const void *b)
{
	const struct claim *x = a, *y = b;
	int c = compare_prefixes(&x->prefix, &y->prefix);

	return c ? c : (x->order < y->order ? -1 : 1);
}

static char *claim_pointer(const struct claim *k)
{
	if (!k->tunnel)
		return pointer_of_parts(AT("routes", NUMBER(k->index), "destination"));
	if (k->index == SIZE_MAX)
		return pointer_of_parts(AT("tunnels", k->tunnel->item.name, "clients", k->client->name, "address"));
	return pointer_of_parts(
		AT("tunnels", k->tunnel->item.name, "clients", k->client->name, "routes", NUMBER(k->index)));
}

static void report_claim(struct check *c, const struct claim *k, const struct claim *other, bool same)
{
	char *here = claim_pointer(k), *there = claim_pointer(other);
	char text[PREFIX_STRLEN], outer[PREFIX_STRLEN];

	prefix_format(&k->prefix, text);
	if (!here || !there)
		c->err = -ENOMEM;
	else if (same)
		config_report_add(c->report, false, here, "\"%s\" is at %s already; it can lead to one place only",
				  text, there);
	else
		config_report_add(c->report, true, here, "\"%s\" lies in \"%s\" of another client (%s); it goes here",
				  text, prefix_format(&other->prefix, outer), there);
	free(here);
	free(there);
}

static void add_claim(struct claim *claims, size_t *n, struct claim k)
{
	if (k.prefix.addr.family == AF_UNSPEC)
		return;
	k.order = *n;
	claims[(*n)++] = k;
}

static size_t collect_claims(const struct draft *d, struct claim *claims)
{
	size_t n = 0, i, j, k;

	for (i = 0; i < d->n_tunnels; i++) {
		const struct draft_tunnel *t = &d->tunnels[i];

		for (j = 0; !t->disabled && t->item.broker && j < t->item.n_remotes; j++) {
			const struct config_remote *r = &t->item.remotes[j];

			add_claim(claims, &n, (struct claim){ { r->address, 128 }, t, r, SIZE_MAX, 0 });
			for (k = 0; k < r->n_routes; k++)
				add_claim(claims, &n, (struct claim){ r->routes[k], t, r, k, 0 });
		}
	}
	for (i = 0; i < d->n_routes; i++) {
		if (!d->routes[i].disabled)
			add_claim(claims, &n, (struct claim){ d->routes[i].item.destination, NULL, NULL, i, 0 });
	}
	return n;
}

/* The innermost of the networks on the stack that another client of the same tunnel has. */
static const struct claim *enclosing(const struct claim *const *stack, size_t depth, const struct claim *k)
{
	while (depth-- > 0) {
		if (stack[depth]->tunnel && stack[depth]->tunnel == k->tunnel)
			return stack[depth]->client == k->client ? NULL : stack[depth];
	}
	return NULL;
}

/*
 * Two claims of one prefix that may be: within one client an address that is its own /128 (a list with a prefix twice has
 * been refused already), and link-local addresses, which each tunnel has for itself.
 */
static bool may_share(const struct claim *a, const struct claim *b)
{
	if (a->client && a->client == b->client)
		return true;
	return addr_is_link_local(&a->prefix.addr) && a->tunnel != b->tunnel;
}

/* In sorted order a stack of networks, each in the one below, holds all that the next prefix can lie in. */
static void compare_claims(struct check *c, const struct claim *claims, size_t n)
{
	const struct claim *stack[129], *k, *outer;
	size_t depth = 0, i;

	for (i = 0; i < n; i++) {
		k = &claims[i];
		if (i && !compare_prefixes(&k->prefix, &k[-1].prefix)) {
			if (!may_share(k, k - 1))
				report_claim(c, k, k - 1, true);
			continue;
		}
		while (depth && !prefix_contains(&stack[depth - 1]->prefix, &k->prefix.addr))
			depth--;
		outer = enclosing(stack, depth, k);
		if (outer)
			report_claim(c, k, outer, false);
		stack[depth++] = k;
	}
}

static void check_claims(struct check *c)
{
	const struct draft *d = c->draft;
	struct claim *claims;
	size_t n = d->n_routes + 1, i, j;

	for (i = 0; i < d->n_tunnels; i++) {
		for (j = 0; j < d->tunnels[i].item.n_remotes; j++)
			n += d->tunnels[i].item.remotes[j].n_routes + 1;
	}
	claims = calloc(n, sizeof(*claims));
	if (!claims) {
		c->err = -ENOMEM;
		return;
	}
	n = collect_claims(d, claims);
	qsort(claims, n, sizeof(*claims), by_claim);
	compare_claims(c, claims, n);
	free(claims);
}

void check_routes(struct check *c)
{
	const struct draft *d = c->draft;
	size_t i;

	for (i = 0; i < d->n_routes; i++)
		check_route(c, &d->routes[i], i);
	check_claims(c);
}
