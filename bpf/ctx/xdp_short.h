/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * XDP's short way: a TCP or UDP packet of a flow that the cache knows, or of a connection that has a state, which needs nothing but new
 * headers. It is made of the pipeline's own pieces, but keeps all it knows of the packet in registers. What is not of that kind goes the long
 * way, from the start of the frame.
 */
#pragma once

#include "ctx/xdp_transmit.h"

#define LONG_WAY -1
#define LONG_WAY_NEW -2 /* no state knows its connection: s->conn tells what was looked for */

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

/* What transmit() needs of a way. */
static __always_inline void way_copy(struct fl_flow *way, const struct fl_flow *flow)
{
	way->in_endpoint = flow->in_endpoint;
	way->endpoint = flow->endpoint;
	way->mtu = flow->mtu;
	way->xmit = flow->xmit;
	way->npt_src = flow->npt_src;
	way->npt_dst = flow->npt_dst;
}

/* The way that the flow cache knows. */
static __always_inline bool short_flow(struct fl_ctx *ctx, const struct fl_control *control, struct pkt *pkt,
				       enum short_kind kind, struct fl_flow *way, struct hop *hop)
{
	struct fl_flow *flow, key;

	if (!flow_key(ctx, pkt, pkt->port, &key))
		return false;
	flow = flow_find_known(&key);
	if (!flow || !flow_is_fresh(flow, &key, control) || !hop_from_nexthop(hop, flow->nexthop))
		return false;
	pkt->endpoint = flow->in_endpoint;
	way_copy(way, flow);
	/* an outer header of nothing but zeros has the key of a packet without one */
	return kind != SHORT_6IN4 || pkt->endpoint;
}

/* Whether the outer header is that of the tunnel's end by which the state's packets come. */
static __always_inline bool outer_is_of(struct fl_ctx *ctx, const struct pkt *pkt, __u32 endpoint)
{
	const struct fl_endpoint *ep = endpoint_get(endpoint);
	struct iphdr *ip = pkt_at(ctx, pkt->outer, 0x1f, sizeof(*ip));

	if (!ep || !ip || ip->saddr != ep->remote)
		return false;
	if (ep->group)
		return comes_by_member(pkt->set, ep->tunnel, pkt->l2_port, ip->daddr);
	return ip->daddr == ep->local && ep->underlay == pkt->l2_port;
}

/* The way that the connection's state knows, which has let the packet pass. 0, LONG_WAY or LONG_WAY_NEW. */
static __always_inline int short_state(struct fl_ctx *ctx, struct pkt *pkt, enum short_kind kind, struct fl_flow *way,
				       struct hop *hop)
{
	struct scratch *s = scratch_at();
	const struct fl_state *st;
	const struct fl_end *end;
	const struct fl_port *out;
	const __be16 *ports = pkt_at(ctx, pkt->l4, L4_MAX, 4);
	union fl_addr src, dst;

	if (!s || !ports || transport_check(pkt) || !addresses_read(ctx, pkt, &src, &dst))
		return LONG_WAY;
	tuple_of(&s->conn, &src, &dst, ports[0], ports[1], pkt->proto);
	if (!state_find(&s->conn)) /* whether it has a tunnel's header is not known yet */
		return kind == SHORT_6IN4 ? LONG_WAY : LONG_WAY_NEW;
	st = state_at(s->conn.main);
	if (!st)
		return LONG_WAY;
	end = &st->end[s->conn.main_side & 1];
	if (kind == SHORT_6IN4) {
		pkt->endpoint = end->from & 0x7fff;
		if (!(end->from & 0x8000) || !outer_is_of(ctx, pkt, pkt->endpoint))
			return LONG_WAY;
	}
	if (!end->mtu || !end_is_fresh(pkt, s->conn.now, end) || !hop_from_nexthop(hop, end->nexthop))
		return LONG_WAY;
	out = port_get(pkt->set, hop->port);
	if (!out || (pkt->proto == IPPROTO_TCP && (tcp_read(ctx, pkt, &s->seg) || s->seg.flags & TCP_SYN)))
		return LONG_WAY;
	if (!tuple_is_of_sender(&s->conn, st) || state_check(&s->conn, &s->seg))
		return LONG_WAY;
	s->translate = s->conn.translated;
	if (s->translate && nat_of_conn(&s->x.to, &s->conn))
		return LONG_WAY;
	*way = (struct fl_flow){
		.in_endpoint = pkt->endpoint, .endpoint = end->endpoint, .mtu = end->mtu, .xmit = port_xmit(out)
	};
	s->doing = DOING_UPDATE;
	s->pkt.family = pkt->family; /* what policy_rewrite() asks */
	s->pkt.proto = pkt->proto;
	pkt->judged = true;
	return 0;
}

static __always_inline int short_way_of(struct fl_ctx *ctx, const struct fl_control *control, __u32 gen, __u32 port,
					__u32 l3, enum short_kind kind, bool generic)
{
	struct pkt pkt = { .l2_port = port, .port = port, .outer = l3, .gen = gen, .set = FL_GEN_SET(gen) };
	struct fl_flow way;
	struct hop hop;
	int r;

	if (!short_parse(ctx, &pkt, kind))
		return LONG_WAY;
	if (control->policy[pkt.set & 1]) {
		r = short_state(ctx, &pkt, kind, &way, &hop);
		if (r)
			return r;
	} else if (!short_flow(ctx, control, &pkt, kind, &way, &hop)) {
		return LONG_WAY;
	}
	if (!control->forward || pkt.hops <= 1 || pkt.len > way.mtu || wants_clamp(ctx, &pkt, &way))
		return LONG_WAY;
	if (kind == SHORT_6IN4 && ecn_decapsulate(pkt.outer_tos, pkt.tos) < 0)
		return LONG_WAY;
	return transmit(ctx, &pkt, generic, true, &way, &hop);
}

/*
 * Returns the hook's code, or LONG_WAY or LONG_WAY_NEW with nothing done. What else it learned is not handed on: the verifier would go the
 * long way once for each way to get there, and every frame that takes it has other costs.
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
