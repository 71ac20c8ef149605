// SPDX-License-Identifier: GPL-2.0-only
/* Addresses of ports: sources of ICMP errors, tunnels' local ends, delegated prefixes. */

#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "user/datapath/private.h"

/* One that is shared is another node's at another time. */
static bool is_usable(const struct system_addr *a)
{
	return a->protocol != ADDRPROT_FAIRLEAD && a->scope == RT_SCOPE_UNIVERSE &&
	       !(a->flags & (IFA_F_TENTATIVE | IFA_F_DEPRECATED | IFA_F_DADFAILED));
}

/* Nobody is delegated a unique local prefix (fc00::/7) by a provider. */
static bool is_unique_local(const struct addr *a)
{
	return (a->v6.s6_addr[0] & 0xfe) == 0xfc;
}

/*
 * Whether it tells a prefix that the outside routes here. Not yet checked for duplicates (IFA_F_TENTATIVE), or found to be one, it
 * does: that concerns its lower half. Deprecated it does not (RFC 4862 5.5.4), nor does a temporary one, or a unique local one.
 */
static bool tells_delegated(const struct system_addr *a)
{
	return a->prefix.addr.family == AF_INET6 && a->scope == RT_SCOPE_UNIVERSE &&
	       !(a->flags & (IFA_F_TEMPORARY | IFA_F_DEPRECATED)) && !is_unique_local(&a->prefix.addr);
}

/*
 * Which of two: one with a lifetime (given by RA or DHCPv6) before one that was set by hand; then the older one, so that
 * another one beside it, or another daemon, changes nothing; and of two that came by one advertisement the lower.
 */
static bool tells_it_better(const struct system_addr *a, const struct system_addr *than)
{
	bool by_hand = a->flags & IFA_F_PERMANENT, than_by_hand = than->flags & IFA_F_PERMANENT;

	if (by_hand != than_by_hand)
		return than_by_hand;
	if (a->created != than->created)
		return (int32_t)(a->created - than->created) < 0;
	return memcmp(&a->prefix.addr.v6, &than->prefix.addr.v6, sizeof(a->prefix.addr.v6)) < 0;
}

static void connections_follow(struct datapath *dp, struct port *port, const struct addr *own6)
{
	const struct prefix is[3] = { { port->own4, 32 },
				      { *own6, 128 },
				      { prefix_network(&port->delegated), port->delegated.len } };

	for (size_t i = 0; i < 3; i++)
		orphans_follow(dp, &port->outside[i], &is[i]);
}

static void port_addresses(struct datapath *dp, struct port *port)
{
	const struct system_addr *a, *delegated = NULL;
	struct addr own6 = {}, local6 = {}, temporary6 = {};

	port->own4 = (struct addr){};
	for (size_t i = 0; (a = system_addr_at(dp->system, i)); i++) {
		if (a->ifindex != port->value.ifindex)
			continue;
		if (tells_delegated(a) && (!delegated || tells_it_better(a, delegated)))
			delegated = a;
		if (!is_usable(a))
			continue;
		if (a->prefix.addr.family == AF_INET) {
			if (port->own4.family == AF_UNSPEC)
				port->own4 = a->prefix.addr;
			continue;
		}
		if (a->flags & IFA_F_TEMPORARY)
			temporary6 = temporary6.family ? temporary6 : a->prefix.addr;
		else if (is_unique_local(&a->prefix.addr))
			local6 = local6.family ? local6 : a->prefix.addr;
		else if (own6.family == AF_UNSPEC)
			own6 = a->prefix.addr;
	}
	port->delegated = delegated ? delegated->prefix : (struct prefix){};
	/* who is far away can't take an error from a unique local address for what it is */
	if (own6.family == AF_UNSPEC)
		own6 = temporary6.family ? temporary6 : local6;
	port->value.addr4 = port->own4.family == AF_INET ? port->own4.v4.s_addr : 0;
	memset(&port->value.addr6, 0, sizeof(port->value.addr6));
	if (own6.family == AF_INET6)
		port->value.addr6 = addr_to_map(&own6);
	port->value.flags &= ~(FL_PORT_OWN4 | FL_PORT_OWN6);
	port->value.flags |= (port->value.addr4 ? FL_PORT_OWN4 : 0) | (own6.family == AF_INET6 ? FL_PORT_OWN6 : 0);
	connections_follow(dp, port, &own6);
}

/* A port without a global address answers with one of another port's, interfaces' before tunnels'. */
void facts_addresses(struct datapath *dp, struct port *ports)
{
	const union fl_addr none = {};
	union fl_addr any6 = {};
	__be32 any4 = 0;

	for (size_t i = 1; i < FL_PORTS_MAX; i++)
		if (ports[i].present)
			port_addresses(dp, &ports[i]);
	for (int kind = PORT_INTERFACE; kind <= PORT_TUNNEL; kind++) {
		for (size_t i = 1; i < FL_PORTS_MAX; i++) {
			const struct port *port = &ports[i];

			if (!port->present || port->kind != (enum port_kind)kind)
				continue;
			any4 = any4 ? any4 : port->value.addr4;
			if (memcmp(&any6, &none, sizeof(none)) == 0)
				any6 = port->value.addr6;
		}
	}
	for (size_t i = 1; i < FL_PORTS_MAX; i++) {
		struct port *port = &ports[i];

		if (!port->present)
			continue;
		if (!port->value.addr4)
			port->value.addr4 = any4;
		if (memcmp(&port->value.addr6, &none, sizeof(none)) == 0)
			port->value.addr6 = any6;
	}
}
