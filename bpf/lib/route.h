/* SPDX-License-Identifier: GPL-2.0-only */
/* Where a packet goes: its flow, from the cache or decided now, by way of the kernel's tables, gateways, translations and tunnels. */
#pragma once

#include "lib/route_admit.h"
#include "lib/route_egress.h"
#include "lib/route_gateway.h"

/*
 * The second half: the way of a packet to s->query.dst, by flow->gateway or by the kernel's tables, in the rest of flow and in s->hop.
 * Returns STAGE_GO, STAGE_DELIVER (the kernel's answer is best), STAGE_ERROR or -FL_DROP_*.
 */
GLOBAL int route_way(struct fl_ctx *ctx, struct scratch *s, struct fl_flow *flow)
{
	const struct fl_port *in;
	int r;

	if (!s || !flow)
		return -FL_DROP_INTERNAL;
	in = port_get(s->pkt.set, s->pkt.port);
	if (!in)
		return -FL_DROP_INTERNAL;
	s->query.ifindex = in->ifindex;
	query_transport(ctx, s);
	r = flow->gateway ? hop_by_gateway(ctx, s, flow->gateway) : fib_ask(ctx, &s->query, &s->hop);
	/* the kernel would quote the translated destination, which the sender does not know */
	if (r == STAGE_DELIVER && s->hairpin && flow->npt_dst)
		return icmp_unreachable(&s->pkt, FL_DROP_UNREACHABLE);
	if (r)
		return r;
	if (!s->hop.port)
		return -FL_DROP_FOREIGN_EGRESS;
	s->gateway = s->hop.addr;
	r = route_egress(ctx, s, flow);
	if (r)
		return r;
	if (s->hop.resolved)
		flow->nexthop = nexthop_confirm(&s->hop, bpf_jiffies64());
	return STAGE_GO;
}

/*
 * The router's own packet to the outside address of a host inside, about to leave by the port s->pkt.port: its way inside, and in
 * flow->npt_dst the translation. Returns STAGE_GO (npt_dst 0: it goes where the kernel sends it), STAGE_ERROR or -FL_DROP_*.
 */
static __always_inline int route_own_inside(struct fl_ctx *ctx, struct scratch *s, struct fl_flow *flow)
{
	const struct fl_port *out = port_get(s->pkt.set, s->pkt.port);
	__u32 index = npt_find(s->pkt.set, FL_NPT_HAIRPIN, 0, &s->query.dst);
	union fl_addr *dst = &s->outer.dst, *src = &s->outer.src; /* not on the stack, and free until route_egress() */
	int r;

	*dst = s->query.dst;
	*src = s->query.src;
	if (!index || !out || !(out->flags & FL_PORT_NPT))
		return STAGE_GO;
	r = npt_translate(&s->pkt, index, false, dst);
	if (r)
		return r;
	if (is_local(dst)) /* and what comes back by that way is translated */
		return STAGE_GO;
	if (npt_has_internal(index, src)) {
		flow->npt_src = index;
		r = npt_translate(&s->pkt, index, true, src);
		if (r)
			return r;
	}
	s->query.dst = *dst;
	s->query.family = FL_INET6;
	query_transport(ctx, s);
	s->query.ifindex = out->ifindex;
	s->query.out = false;
	s->query.set = s->pkt.set;
	flow->npt_dst = index;
	r = fib_ask(ctx, &s->query, &s->hop);
	if (r)
		return r < 0 ? r : icmp_unreachable(&s->pkt, FL_DROP_UNREACHABLE);
	return s->hop.port ? STAGE_GO : -FL_DROP_FOREIGN_EGRESS;
}

/*
 * The way of the router's own packet that leaves by the port s->pkt.port; the kernel has routed it. Translates its source,
 * and finds the tunnel's endpoint. Link-local and multicast stay as they are. Returns as route_egress().
 */
GLOBAL int route_own(struct fl_ctx *ctx, struct scratch *s, struct fl_flow *flow)
{
	int r;

	if (!s || !flow)
		return -FL_DROP_INTERNAL;
	if (is_held(&flow->dst))
		return -FL_DROP_HELD;
	s->query.src = flow->src;
	s->query.dst = flow->dst;
	r = route_own_inside(ctx, s, flow);
	if (r)
		return r;
	if (flow->npt_dst)
		return route_egress(ctx, s, flow);
	s->hop.port = s->pkt.port;
	s->hop.mtu = 0xffff;
	s->hop.resolved = false;
	return route_egress(ctx, s, flow);
}

/* The packet's flow: from the cache, or decided now. *out is NULL only with an error. */
static __always_inline int route(struct fl_ctx *ctx, struct scratch *s, const struct fl_control *control,
				 struct fl_flow **out)
{
	struct fl_flow *flow;
	struct fl_flow *key = &s->key;
	bool known;
	int r;

	*out = NULL;
	if (!flow_key(ctx, &s->pkt, s->pkt.l2_port, key))
		return -FL_DROP_MALFORMED;
	key->gateway = s->steer; /* an answer of our own has one */
	flow = flow_find(key, &known);
	*out = flow;
	if (!flow)
		return -FL_DROP_INTERNAL;
	if (known && flow_is_fresh(flow, key, control) && hop_from_nexthop(&s->hop, flow->nexthop))
		return STAGE_GO;
	flow_begin(flow, key);
	r = route_admit(ctx, s, flow);
	if (r == STAGE_GO)
		r = route_way(ctx, s, flow);
	if (r == STAGE_GO && flow->nexthop && !(control->routing & FL_ROUTING_TRANSPORT))
		flow->gen = key->gen; /* complete: from now on it may be used */
	return r;
}
