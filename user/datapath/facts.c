// SPDX-License-Identifier: GPL-2.0-only
/* Addresses of ports: sources of ICMP errors, tunnels' local ends, delegated prefixes. */

#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "user/datapath/private.h"

static bool is_usable(const struct system_addr *a)
{
	return a->scope == RT_SCOPE_UNIVERSE && !(a->flags & (IFA_F_TENTATIVE | IFA_F_DEPRECATED | IFA_F_DADFAILED));
}

/* Nobody is delegated a unique local prefix (fc00::/7) by a provider. */
static bool is_unique_local(const struct addr *a)
{
	return (a->v6.s6_addr[0] & 0xfe) == 0xfc;
}

/*
 * Which of two IPv6 addresses tells the delegated prefix: one with a lifetime (given by RA or DHCPv6) before one that was
 * set by hand. Temporary addresses and unique local ones never do.
 */
static void take_delegated(struct port *port, const struct system_addr *a, bool *dynamic)
{
	bool has_lifetime = !(a->flags & IFA_F_PERMANENT);

	if ((a->flags & IFA_F_TEMPORARY) || is_unique_local(&a->prefix.addr))
		return;
	if (port->delegated.addr.family != AF_UNSPEC && (*dynamic || !has_lifetime))
		return;
	port->delegated = a->prefix;
	*dynamic = has_lifetime;
}

static void port_addresses(struct datapath *dp, struct port *port)
{
	const struct system_addr *a;
	struct addr own6 = {}, local6 = {}, temporary6 = {};
	bool dynamic = false;

	port->own4 = (struct addr){};
	port->delegated = (struct prefix){};
	for (size_t i = 0; (a = system_addr_at(dp->system, i)); i++) {
		if (a->ifindex != port->value.ifindex || !is_usable(a))
			continue;
		if (a->prefix.addr.family == AF_INET) {
			if (port->own4.family == AF_UNSPEC)
				port->own4 = a->prefix.addr;
			continue;
		}
		take_delegated(port, a, &dynamic);
		if (a->flags & IFA_F_TEMPORARY)
			temporary6 = temporary6.family ? temporary6 : a->prefix.addr;
		else if (is_unique_local(&a->prefix.addr))
			local6 = local6.family ? local6 : a->prefix.addr;
		else if (own6.family == AF_UNSPEC)
			own6 = a->prefix.addr;
	}
	/* who is far away can't take an error from a unique local address for what it is */
	if (own6.family == AF_UNSPEC)
		own6 = temporary6.family ? temporary6 : local6;
	port->value.addr4 = port->own4.family == AF_INET ? port->own4.v4.s_addr : 0;
	memset(&port->value.addr6, 0, sizeof(port->value.addr6));
	if (own6.family == AF_INET6)
		port->value.addr6 = addr_to_map(&own6);
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
