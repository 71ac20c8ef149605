/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * XDP's short way: a TCP or UDP packet of a flow that the cache knows, which needs nothing but new headers. It is made of the
 * pipeline's own pieces, but calls no function and keeps all it knows of the packet in registers. What is not of that kind
 * goes the long way, from the start of the frame.
 */
#pragma once

#include "ctx/xdp_transmit.h"

#define LONG_WAY -1

/* What packets have a short way: each kind its own copy, where what the kind says is known and costs nothing. */
enum short_kind {
	SHORT_IPV4,
	SHORT_IPV6,
	SHORT_6IN4,
};

/*
 * Reads the headers at pkt->outer; false: something about them is not usual. Whether an outer header is a tunnel's the flow says:
 * the pipeline makes none for another's.
 */
static __always_inline bool short_parse(struct fl_ctx *ctx, struct pkt *pkt, enum short_kind kind)
{
	__u32 room = ctx_room(ctx) - pkt->outer;

	pkt->l3 = pkt->outer;
	if (kind != SHORT_IPV6) {
		if (ipv4_parse(ctx, pkt, room, false) || pkt->fragment)
			return false;
		room = pkt->len - sizeof(struct iphdr);
	}
	if (kind == SHORT_6IN4) {
		pkt->outer_tos = pkt->tos;
		pkt->l3 += sizeof(struct iphdr);
	}
	if (kind != SHORT_IPV4 && ipv6_read(ctx, pkt, room))
		return false;
	return pkt->proto == IPPROTO_TCP || pkt->proto == IPPROTO_UDP;
}

/* A SYN whose MSS option a tunnel may want lower. */
static __always_inline bool wants_clamp(struct fl_ctx *ctx, const struct pkt *pkt, const struct fl_flow *flow)
{
	struct tcphdr *tcp = pkt_at(ctx, pkt->l4, L4_MAX, sizeof(*tcp));

	return pkt->proto == IPPROTO_TCP && (flow->endpoint || flow->in_endpoint) && (!tcp || tcp->syn);
}

static __always_inline int short_way_of(struct fl_ctx *ctx, const struct fl_control *control, __u32 gen, __u32 port,
					__u32 l3, enum short_kind kind, bool generic)
{
	struct pkt pkt = { .l2_port = port, .port = port, .outer = l3, .gen = gen, .set = FL_GEN_SET(gen) };
	struct fl_flow *flow, key;
	struct hop hop;

	if (!short_parse(ctx, &pkt, kind) || !flow_key(ctx, &pkt, port, &key))
		return LONG_WAY;
	flow = flow_find_known(&key);
	if (!flow || !flow_is_fresh(flow, &key, control) || !hop_from_nexthop(&hop, flow->nexthop))
		return LONG_WAY;
	pkt.endpoint = flow->in_endpoint;
	/* an outer header of nothing but zeros has the key of a packet without one */
	if (kind == SHORT_6IN4 && !pkt.endpoint)
		return LONG_WAY;
	if (!control->forward || pkt.hops <= 1 || pkt.len > flow->mtu || wants_clamp(ctx, &pkt, flow))
		return LONG_WAY;
	if (kind == SHORT_6IN4 && ecn_decapsulate(pkt.outer_tos, pkt.tos) < 0)
		return LONG_WAY;
	return transmit(ctx, &pkt, generic, true, flow, &hop);
}

/*
 * Returns the hook's code, or LONG_WAY with nothing done. What it learned so far is not handed on: the verifier would go the long
 * way once for each way to get there, and every frame that takes it has other costs.
 */
static __always_inline int short_way(struct fl_ctx *ctx, bool generic)
{
	const struct fl_control *control = control_get();
	const struct fl_port *in;
	struct iphdr *ip;
	__be16 proto;
	__u32 gen, port;
	__u16 vid;
	int l3;

	l3 = ethernet_parse(ctx, &vid, &proto);
	if (l3 < 0 || !control)
		return XDP_PASS;
	gen = control_gen(control);
	if (control->policy[FL_GEN_SET(gen)])
		return LONG_WAY;
	port = port_number(FL_GEN_SET(gen), ctx_ifindex(ctx), vid);
	in = port ? port_get(FL_GEN_SET(gen), port) : NULL;
	if (!in || !ethernet_is_for(ctx, in))
		return XDP_PASS;
	if (proto == bpf_htons(ETH_P_IPV6) && in->family & FL_INET6)
		return short_way_of(ctx, control, gen, port, l3, SHORT_IPV6, generic);
	ip = proto == bpf_htons(ETH_P_IP) ? pkt_at(ctx, l3, 0x1f, sizeof(*ip)) : NULL;
	if (ip && ip->protocol == IPPROTO_IPV6)
		return short_way_of(ctx, control, gen, port, l3, SHORT_6IN4, generic);
	if (ip && in->family & FL_INET)
		return short_way_of(ctx, control, gen, port, l3, SHORT_IPV4, generic);
	return LONG_WAY;
}
