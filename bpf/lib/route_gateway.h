/* SPDX-License-Identifier: GPL-2.0-only */
/* Ways by gateways: the hop to one, whatever the routing table says, and the member of a group that the table leads to. */
#pragma once

#include "lib/fib.h"
#include "lib/gateway.h"
#include "lib/tunnel.h"

/*
 * What the kernel says of the neighbour that s->hop is to be: what the daemon has entered may be wrong when it is dead. False: it would not
 * send to it by that device.
 */
static __always_inline bool gateway_ask(struct fl_ctx *ctx, struct scratch *s, const struct fl_gateway *gateway)
{
	union fl_addr addr = s->hop.addr;

	__builtin_memset(&s->outer, 0, sizeof(s->outer));
	s->outer.dst = addr;
	s->outer.ifindex = gateway->ifindex;
	s->outer.family = s->pkt.family;
	s->outer.out = true;
	s->outer.set = s->pkt.set;
	return fib_ask(ctx, &s->outer, &s->hop) == STAGE_GO && s->hop.family && s->hop.ifindex == gateway->ifindex &&
	       same_addr(&s->hop.addr, &addr);
}

/* The hop to a gateway, whatever the routing table says. Returns STAGE_GO or -FL_DROP_*. */
static __always_inline int hop_by_gateway(struct fl_ctx *ctx, struct scratch *s, __u32 number)
{
	const struct fl_gateway *gateway = gateway_get(s->pkt.set, number);
	struct fl_nexthop_key key = {};
	const struct fl_port *port;
	const __u32 *index = NULL;

	if (!gateway || !(s->even_down || gateway_is_up(number, s->pkt.family)))
		return -FL_DROP_GATEWAY_DOWN;
	port = port_get(s->pkt.set, gateway->port);
	if (!gateway->port || !port)
		return -FL_DROP_GATEWAY_DOWN;
	key.ifindex = gateway->ifindex;
	key.addr = gateway->flags & FL_GATEWAY_LINK ? s->query.dst : gateway->addr[s->pkt.family == FL_INET6];
	s->hop.addr = key.addr;
	if (!gateway_ask(ctx, s, gateway)) {
		s->hop.addr = key.addr;
		s->hop.resolved = false;
		index = bpf_map_lookup_elem(&fl_nh_by_addr, &key);
	}
	if (index)
		hop_from_nexthop(&s->hop, *index);
	s->hop.port = gateway->port;
	s->hop.ifindex = gateway->ifindex;
	s->hop.mtu = s->pkt.family == FL_INET6 ? port->mtu6 : port->mtu;
	s->hop.family = s->pkt.family == FL_INET6 ? AF_INET6 : AF_INET;
	return STAGE_GO;
}

/* Whether the longest configured route to s->subject.dst leads to a group: others' connections follow the routing table. */
static __always_inline bool is_group_routed(const struct scratch *s)
{
	struct fl_client_route_key key = { .prefixlen = 32 + 128, .set = s->pkt.set, .addr = s->subject.dst };
	const __u32 *by_group = bpf_map_lookup_elem(&fl_clients, &key);

	return by_group && *by_group;
}

/*
 * The member of a group, that routes lead to, by which a new connection leaves: by port `number`, in s->way and s->hop. It stays with
 * it, whatever the group uses later. 0: it is by no such one.
 */
GLOBAL __u32 routed_gateway(struct scratch *s, __u32 number)
{
	const struct fl_port *port = s ? port_get(s->pkt.set, number) : NULL;
	const struct fl_gateway *gateway;
	const struct fl_nexthop *nh;
	const union fl_addr *hop;
	__u32 at, six, nexthop;

	if (!s || !port || !(port->flags & FL_PORT_MEMBER) || !is_group_routed(s))
		return 0;
	six = s->pkt.family == FL_INET6;
	at = port->member[six];
	nexthop = s->way.nexthop; /* of a hop that the flow cache has given XDP knows no address */
	nh = nexthop ? bpf_map_lookup_elem(&fl_nh, &nexthop) : NULL;
	for (int i = 0; i < 8 && at; i++) {
		gateway = gateway_get(s->pkt.set, at);
		if (!gateway)
			return 0;
		/* a link's own route leads to the destination itself; one to a router on the link is another's */
		hop = gateway->flags & FL_GATEWAY_LINK ? &s->subject.dst : &gateway->addr[six];
		if (s->way.endpoint || same_addr(hop, nh ? &nh->addr : &s->hop.addr))
			return at;
		at = gateway->next[six];
	}
	return 0;
}
