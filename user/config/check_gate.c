/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the file may say and the data plane does not do yet: checked like all the rest, and then refused, so that nobody relies on
 * what is not there. Each of the constructs once, at its first place.
 */
#include "user/config/check.h"

static void refuse(struct check *c, const char *const *at, const char *why)
{
	check_error(c, at, "not in this version: %s", why);
}

/* Index of the first of n that `is` says true of; n: none. */
#define FIRST(i, n, is) \
	do { \
		for ((i) = 0; (i) < (n) && !(is); (i)++) \
			; \
	} while (0)

/* Number of the first remote that is a host's name; n_remotes: none. */
static size_t first_named(const struct config_tunnel *t)
{
	size_t i;

	FIRST(i, t->n_remotes, t->remotes[i].host && t->remotes[i].address_outer.family == AF_UNSPEC);
	return i;
}

static void gate_tunnels(struct check *c)
{
	const struct draft_tunnel *t = c->draft->tunnels;
	size_t n = c->draft->n_tunnels, i;

	FIRST(i, n, !t[i].disabled && first_named(&t[i].item) < t[i].item.n_remotes);
	if (i < n)
		refuse(c,
		       t[i].item.broker ? AT("tunnels", t[i].item.name, "clients",
					     t[i].item.remotes[first_named(&t[i].item)].name, "remote")
					: AT("tunnels", t[i].item.name, "remote"),
		       "host names are not resolved yet; name an IPv4 address");
	FIRST(i, n, !t[i].disabled && t[i].item.update.url);
	if (i < n)
		refuse(c, AT("tunnels", t[i].item.name, "update"), "brokers are not told of a changed endpoint yet");
}

static void gate_groups(struct check *c)
{
	const struct draft *d = c->draft;
	size_t i;

	FIRST(i, d->n_tunnels, !d->tunnels[i].disabled && d->tunnels[i].underlay_group);
	if (i < d->n_tunnels)
		refuse(c, AT("tunnels", d->tunnels[i].item.name, "underlay"),
		       "a gateway group carries no tunnel yet; name an interface");
}

static void gate_ha(struct check *c)
{
	size_t i;

	FIRST(i, c->draft->n_vips, !c->draft->vips[i].disabled);
	if (i < c->draft->n_vips)
		refuse(c, AT("vips"), "there are no shared addresses yet");
	if (c->draft->ha.interface)
		refuse(c, AT("ha"), "nodes don't work in pairs yet");
}

static void gate_hooks(struct check *c)
{
	if (c->draft->n_hooks_vip)
		refuse(c, AT("hooks", "vip"), "there are no shared addresses yet");
}

void check_gate(struct check *c)
{
	gate_tunnels(c);
	gate_groups(c);
	gate_ha(c);
	gate_hooks(c);
}
