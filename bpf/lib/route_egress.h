/* SPDX-License-Identifier: GPL-2.0-only */
/* The way out by a hop: prefix translation of the source, the tunnel's endpoint, the outer packet's own hop, the MTU. */
#pragma once

#include "lib/fib.h"
#include "lib/gateway.h"
#include "lib/icmp.h"
#include "lib/tunnel.h"

static __always_inline void query_outer(struct scratch *s, const struct fl_endpoint *ep)
{
	const struct fl_control *control = control_get();

	if (!control || !(control->routing & FL_ROUTING_TRANSPORT))
		return;
	s->outer.proto = IPPROTO_IPV6;
	s->outer.tos = outer_tos(ep, s->pkt.tos);
}

/*
 * An underlay that is a group: by which member an outer packet leaves, and so from which address, in s->outer. false: there is none that can
 * be used.
 */
GLOBAL int outer_by_member(struct scratch *s, __u32 endpoint)
{
	const struct fl_endpoint *ep = endpoint_get(endpoint);
	const struct fl_gateway *gateway;
	const struct fl_group *group;
	const struct fl_port *port;
	__u32 index;

	if (!s || !ep)
		return false;
	index = FL_GROUP_INDEX(s->pkt.set & 1, ep->group & (FL_GROUPS_MAX - 1), 0);
	group = bpf_map_lookup_elem(&fl_groups, &index);
	gateway = group && group->most ? gateway_get(s->pkt.set, group->most) : NULL;
	port = gateway && gateway->port ? port_get(s->pkt.set, gateway->port) : NULL;
	if (!port || !(ep->local || port->flags & FL_PORT_OWN4))
		return false;
	s->outer.ifindex = gateway->ifindex;
	if (!ep->local)
		addr_set4(&s->outer.src, port->addr4);
	if (!(gateway->flags & FL_GATEWAY_LINK))
		s->outer.dst = gateway->addr[0];
	return true;
}

/*
 * The hop to what s->outer has asked for: a neighbour on the member's link, also where the routing table says nothing of it or something
 * else. `told`: what fib_ask() has said.
 */
static __always_inline void hop_to_member(struct scratch *s, int told)
{
	struct hop *hop = &s->hop;

	if (told == STAGE_GO && hop->family == AF_INET && hop->ifindex == s->outer.ifindex &&
	    same_addr(&hop->addr, &s->outer.dst))
		return;
	hop->addr = s->outer.dst;
	hop->ifindex = s->outer.ifindex;
	hop->port = port_number(s->outer.set, s->outer.ifindex, 0);
	hop->mtu = 0xffff;
	hop->resolved = false;
	hop->family = AF_INET;
}

/*
 * The way out by s->hop: source translation, tunnel endpoint, the outer's own hop, MTU. s->query.dst is the translated
 * destination. Fills flow. Returns STAGE_GO, STAGE_ERROR or -FL_DROP_*.
 */
GLOBAL int route_egress(struct fl_ctx *ctx, struct scratch *s, struct fl_flow *flow)
{
	const struct fl_endpoint *ep;
	const struct fl_port *port;
	__u32 mtu, tunnel;
	union fl_addr src;
	int r;

	if (!s || !flow)
		return -FL_DROP_INTERNAL;
	mtu = s->hop.mtu;
	tunnel = s->hop.port;
	port = port_get(s->pkt.set, tunnel);
	if (!port)
		return -FL_DROP_INTERNAL;
	if ((port->flags & FL_PORT_NPT) && s->pkt.family == FL_INET6 && !s->by_state && !flow->npt_src &&
	    !is_link_local(&flow->src) && flow->dst.b[0] != 0xff) {
		src = flow->src;
		flow->npt_src = npt_find(s->pkt.set, FL_NPT_OUT, tunnel, &src);
		r = flow->npt_src ? npt_translate(&s->pkt, flow->npt_src, true, &src) : STAGE_GO;
		if (r)
			return r;
	}
	if (port->flags & FL_PORT_TUNNEL) {
		if (s->pkt.family != FL_INET6)
			return -FL_DROP_FOREIGN_EGRESS;
		flow->endpoint =
			port->flags & FL_PORT_BROKER ? client_find(s->pkt.set, tunnel, &s->query.dst) : port->endpoint;
		ep = flow->endpoint ? endpoint_get(flow->endpoint) : NULL;
		if (!ep || !ep->remote)
			return icmp_unreachable(&s->pkt, FL_DROP_UNREACHABLE);
		if (flow->endpoint == s->pkt.endpoint) /* RFC 4443 3.1: not back on a point-to-point link */
			return icmp_unreachable(&s->pkt, FL_DROP_P2P_LOOP);
		addr_set4(&s->outer.src, ep->local);
		addr_set4(&s->outer.dst, ep->remote);
		s->outer.ifindex = ep->underlay_ifindex;
		s->outer.family = FL_INET;
		s->outer.out = true;
		s->outer.set = s->pkt.set;
		if (ep->group && !outer_by_member(s, flow->endpoint)) {
			s->pkt.blame = tunnel;
			return icmp_unreachable(&s->pkt, FL_DROP_NO_UNDERLAY);
		}
		query_outer(s, ep);
		r = fib_ask(ctx, &s->outer, &s->hop);
		s->outer.tos = s->outer.proto = 0;
		if (r == -FL_DROP_HELD)
			return r;
		if (ep->group) {
			hop_to_member(s, r);
			r = STAGE_GO;
		}
		if (r) {
			s->pkt.blame = tunnel;
			return icmp_unreachable(&s->pkt, FL_DROP_NO_UNDERLAY);
		}
		if (!s->hop.port)
			return -FL_DROP_FOREIGN_EGRESS;
		port = port_get(s->pkt.set, s->hop.port);
		if (!(ep->flags & FL_EP_DYNAMIC_MTU) && port) /* RFC 4213 3.2.1: a set MTU listens to no path */
			s->hop.mtu = port->mtu;
		if (endpoint_mtu(flow->endpoint, ep) < mtu)
			mtu = endpoint_mtu(flow->endpoint, ep);
		if (s->hop.mtu < mtu + sizeof(struct iphdr))
			mtu = s->hop.mtu - sizeof(struct iphdr);
		if (mtu < 1280)
			mtu = 1280;
		if (port && port->mtu < mtu + sizeof(struct iphdr)) /* no link for IPv6: see too_big() */
			mtu = port->mtu - sizeof(struct iphdr);
	}
	flow->mtu = mtu > 0xffff ? 0xffff : mtu;
	flow->xmit |= port ? port_xmit(port) : 0;
	return STAGE_GO;
}

/* The port that a packet of this flow leaves by: the tunnel's where it is encapsulated, else the hop's. */
static __always_inline __u32 flow_out_port(const struct fl_flow *flow, const struct hop *hop)
{
	const struct fl_endpoint *ep = flow->endpoint ? endpoint_get(flow->endpoint) : NULL;

	return ep ? ep->tunnel : hop->port;
}
