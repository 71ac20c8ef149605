// SPDX-License-Identifier: GPL-2.0-only
/*
 * Next hops of gateways with "address": "auto", as the system tells them: by the default routes that a DHCP client, pppd or the kernel itself
 * (router advertisements) has put into the main table. On a point-to-point link the other end is the next hop, whatever the routes say.
 */

#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/datapath/private.h"
#include "user/lib/log.h"

#define NUD_ANSWERS (NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_PROBE | NUD_STALE | NUD_DELAY)

void learned_read(struct datapath *dp, const struct config *config)
{
	struct system_default *defaults = NULL;
	size_t n = 0;
	int err = config_has_automatic(config) ? system_get_defaults(dp->system, &defaults, &n) : 0;

	if (err) { /* what was known stays, until the next change */
		log_ret(err, "cannot read the default routes that the system has learned");
		return;
	}
	free(dp->defaults);
	dp->defaults = defaults;
	dp->n_defaults = n;
}

bool learned_expired(const struct datapath *dp)
{
	for (size_t i = 0; i < dp->n_defaults; i++)
		if (dp->defaults[i].expires_ms && dp->defaults[i].expires_ms <= monotonic_ms())
			return true;
	return false;
}

void learned_free(struct datapath *dp)
{
	free(dp->defaults);
	dp->defaults = NULL;
	dp->n_defaults = 0;
}

/* Addresses stay on one that is down. */
static bool is_link(const struct datapath *dp, uint32_t ifindex)
{
	const struct system_link *link = system_link_by_index(dp->system, ifindex);

	return link && link->flags & IFF_POINTOPOINT && link->flags & IFF_UP;
}

/* NUD_*; 0: nobody has asked for it yet */
static uint16_t neighbour_state(const struct datapath *dp, const struct system_default *d)
{
	const struct system_neigh *neigh;

	for (size_t i = 0; (neigh = system_neigh_at(dp->system, i)); i++)
		if (neigh->ifindex == d->ifindex && addr_equal(&neigh->addr, &d->gateway))
			return neigh->state;
	return 0;
}

static bool is_rival(const struct system_default *a, const struct system_default *b)
{
	return a->ifindex == b->ifindex && a->family == b->family && a->metric == b->metric &&
	       b->gateway.family != AF_UNSPEC;
}

static bool is_silent(const struct datapath *dp, const struct system_default *d)
{
	return neighbour_state(dp, d) & (NUD_FAILED | NUD_INCOMPLETE);
}

/*
 * Of several of the same metric the kernel goes by one that answers. So does this: the first does not, and another does. Without another the
 * neighbours' long list is not looked at.
 */
static const struct system_default *that_answers(const struct datapath *dp, size_t first)
{
	const struct system_default *d = &dp->defaults[first], *other = d + 1, *end = dp->defaults + dp->n_defaults;

	for (; other < end && is_rival(d, other); other++) {
		if (!is_silent(dp, d))
			break;
		if (neighbour_state(dp, other) & NUD_ANSWERS)
			return other;
	}
	return d;
}

static void ask_for(const struct datapath *dp, const struct system_default *d)
{
	if (!(neighbour_state(dp, d) & NUD_ANSWERS))
		system_neigh_probe(dp->system, d->ifindex, &d->gateway);
}

/* Nobody asks for another while nothing goes to it, nor for the first as long as another has its place. */
void learned_tick(const struct datapath *dp)
{
	const struct system_default *first = dp->defaults, *d, *end = dp->defaults + dp->n_defaults;

	for (d = first; d < end; d++) {
		if (!is_rival(first, d)) {
			first = d;
		} else if (d != first && is_silent(dp, first)) {
			ask_for(dp, first);
			ask_for(dp, d);
		}
	}
}

/* By an advertised or given route; they are sorted, the best one first. */
static bool learn_by_route(const struct datapath *dp, uint32_t ifindex, int family, bool link, struct learned *out)
{
	for (size_t i = 0; i < dp->n_defaults; i++) {
		const struct system_default *d = &dp->defaults[i], *used;

		if (d->ifindex != ifindex || d->family != family || (d->gateway.family == AF_UNSPEC && !link))
			continue;
		used = that_answers(dp, i);
		*out = (struct learned){ .known = true, .address = used->gateway, .protocol = used->protocol };
		if (used != d)
			out->silent = d;
		return true;
	}
	return false;
}

static bool is_peer(const struct system_addr *a)
{
	return !addr_equal(&a->peer, &a->prefix.addr);
}

/* A link-local address comes with the link; that IPv6 is spoken behind it an address that others reach says, or a route. */
static void learn_by_link(const struct datapath *dp, uint32_t ifindex, int family, struct learned *out)
{
	const struct system_addr *a;

	for (size_t i = 0; (a = system_addr_at(dp->system, i)); i++) {
		if (a->ifindex != ifindex || a->prefix.addr.family != family)
			continue;
		if (!addr_is_link_local(&a->prefix.addr))
			out->known = true;
		if (is_peer(a) && out->address.family == AF_UNSPEC)
			out->address = a->peer;
	}
	if (!out->known) /* a peer alone is nobody yet */
		*out = (struct learned){};
}

static void learn(const struct datapath *dp, const struct port *port, int family, struct learned *out)
{
	bool link = is_link(dp, port->value.ifindex);

	learn_by_route(dp, port->value.ifindex, family, link, out);
	if (link && out->address.family == AF_UNSPEC)
		learn_by_link(dp, port->value.ifindex, family, out);
}

bool gateway_is_link(const struct datapath *dp, const struct config_gateway *gateway, const struct port *port)
{
	if (!gateway->automatic)
		return gateway->address.family == AF_UNSPEC;
	return port && port->present && is_link(dp, port->value.ifindex);
}

unsigned int gateway_hops(const struct datapath *dp, const struct config_gateway *gateway, const struct port *port,
			  struct learned hops[2])
{
	unsigned int may = config_gateway_families(gateway), families = 0;

	memset(hops, 0, 2 * sizeof(*hops));
	if (!gateway->automatic) {
		if (gateway->address.family != AF_UNSPEC)
			hops[gateway->address.family == AF_INET6] =
				(struct learned){ .known = true, .address = gateway->address };
		return may;
	}
	for (unsigned int six = 0; six < 2 && port && port->present; six++) {
		if (may & (six ? FL_INET6 : FL_INET))
			learn(dp, port, six ? AF_INET6 : AF_INET, &hops[six]);
		families |= hops[six].known ? (six ? FL_INET6 : FL_INET) : 0;
	}
	return families;
}

/* What iproute2 calls them. pppd and most DHCP clients' scripts say nothing, which is "boot". */
const char *learned_by(const struct learned *hop, char buf[LEARNED_BY_MAX])
{
	static const char *const names[256] = {
		[RTPROT_KERNEL] = "kernel", [RTPROT_BOOT] = "boot", [RTPROT_STATIC] = "static",
		[RTPROT_RA] = "ra",	    [RTPROT_DHCP] = "dhcp", [RTPROT_ZEBRA] = "zebra",
		[RTPROT_BIRD] = "bird",	    [RTPROT_OSPF] = "ospf", [RTPROT_BGP] = "bgp",
		[RTPROT_ISIS] = "isis",	    [RTPROT_RIP] = "rip",   [RTPROT_UNSPEC] = "link",
	};

	if (names[hop->protocol])
		return names[hop->protocol];
	snprintf(buf, LEARNED_BY_MAX, "protocol %u", hop->protocol);
	return buf;
}
