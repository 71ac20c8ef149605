/* SPDX-License-Identifier: GPL-2.0-only */
/* Whether a packet may come in by its port, and its destination as the inside sees it. */
#pragma once

#include "lib/fib.h"
#include "lib/tunnel.h"

/* By which device the kernel would send a packet from the outside to `dst`; 0: it would not. s->outer and s->hop are scratch. */
static __always_inline __u32 route_device(struct fl_ctx *ctx, struct scratch *s, __u32 ifindex,
					  const union fl_addr *dst)
{
	s->outer.dst = *dst;
	s->outer.src = s->query.dst;
	s->outer.ifindex = ifindex;
	s->outer.family = s->pkt.family;
	s->outer.out = false;
	s->outer.set = s->pkt.set;
	return fib_ask(ctx, &s->outer, &s->hop) ? 0 : s->hop.ifindex;
}

/*
 * Whether a packet comes from a network of ours: by a port that leads nowhere else, and from a source that the routing table has there.
 * A default route that the system learned itself makes a port one that leads out, though no configuration says so.
 */
static __always_inline bool is_from_inside(struct fl_ctx *ctx, struct scratch *s, const struct fl_port *in)
{
	const union fl_addr anywhere = { .w = { bpf_htonl(0x20000000) } };

	return !(in->flags & (FL_PORT_OUTSIDE | FL_PORT_NPT | FL_PORT_TUNNEL)) &&
	       route_device(ctx, s, in->ifindex, &s->query.src) == in->ifindex &&
	       route_device(ctx, s, in->ifindex, &anywhere) != in->ifindex;
}

static __always_inline bool npt_has_internal(__u32 index, const union fl_addr *addr)
{
	const struct fl_npt *npt = npt_get(index);

	return npt && !((addr->q[0] ^ npt->internal.q[0]) & fl_prefix_mask(npt->internal_len));
}

/*
 * Translates s->query.dst if a translation has it: come in by its outside, or from inside to its outside (RFC 6296 4.3:
 * then the source too, if it is of the internal prefix). Returns STAGE_GO, STAGE_DELIVER, STAGE_ERROR or -FL_DROP_*.
 */
static __always_inline int route_translate_in(struct fl_ctx *ctx, struct scratch *s, struct fl_flow *flow,
					      const struct fl_port *in)
{
	union fl_addr src = s->query.src;
	__u32 index = 0;
	int r;

	if (in->flags & FL_PORT_NPT)
		index = npt_find(s->pkt.set, FL_NPT_IN, s->pkt.port, &s->query.dst);
	if (!index && !(in->flags & FL_PORT_ICMP)) {
		index = npt_find(s->pkt.set, FL_NPT_HAIRPIN, 0, &s->query.dst);
		if (!index)
			return STAGE_GO;
		s->hairpin = true;
		if (npt_has_internal(index, &src)) {
			flow->npt_src = index;
			r = npt_translate(&s->pkt, index, true, &src);
			if (r)
				return r;
		} else if (!is_from_inside(ctx, s, in)) {
			return STAGE_GO;
		}
	}
	if (!index)
		return STAGE_GO;
	flow->npt_dst = index;
	r = npt_translate(&s->pkt, index, false, &s->query.dst);
	if (r)
		return r;
	return is_local(&s->query.dst) ? STAGE_DELIVER : STAGE_GO;
}

/*
 * True where all of the world is "on the link" of that device: a default route by it has no next hop, as those of modems, PPP and VPNs.
 * bpf_fib_lookup() does not say which route it was, so networks that are really there can't be told from the world. s->hop is scratch.
 */
static __always_inline bool is_way_out(struct fl_ctx *ctx, struct scratch *s, const struct fl_port *in, __u32 ifindex)
{
	union fl_addr anywhere = { .w = { bpf_htonl(0x20000000) } };

	if (s->pkt.family == FL_INET)
		addr_set4(&anywhere, bpf_htonl(1)); /* 0.0.0.1: nobody has a route of his own to it */
	return route_device(ctx, s, in->ifindex, &anywhere) == ifindex && same_addr(&s->hop.addr, &anywhere);
}

/*
 * True where the source is an address of the router's, or one of a network on the link of another device. s->hop is
 * scratch.
 */
static __always_inline bool source_is_spoofed(struct fl_ctx *ctx, struct scratch *s, const struct fl_port *in)
{
	__u32 ifindex;

	if (is_local(&s->query.src))
		return true;
	ifindex = route_device(ctx, s, in->ifindex, &s->query.src);
	return ifindex && ifindex != in->ifindex && same_addr(&s->hop.addr, &s->query.src) &&
	       !is_way_out(ctx, s, in, ifindex);
}

/* A host on the link that its packet came by: what is sent back needs no gateway. s->hop is scratch. */
static __always_inline bool source_is_neighbour(struct fl_ctx *ctx, struct scratch *s, const struct fl_port *in)
{
	return route_device(ctx, s, in->ifindex, &s->query.src) == in->ifindex &&
	       same_addr(&s->hop.addr, &s->query.src);
}

/*
 * The slow path's first half: whether a packet with the flow's addresses may come in here, and its destination as the inside sees it, in
 * s->query.dst. Returns STAGE_GO, STAGE_DELIVER (with npt_dst), STAGE_ERROR or -FL_DROP_*.
 */
GLOBAL int route_admit(struct fl_ctx *ctx, struct scratch *s, struct fl_flow *flow)
{
	const struct fl_port *in;
	int r;

	if (!s || !flow)
		return -FL_DROP_INTERNAL;
	s->query.src = flow->src;
	s->query.dst = flow->dst;
	s->query.family = s->pkt.family;
	s->query.out = false;
	s->query.set = s->pkt.set;
	s->hairpin = false;
	in = port_get(s->pkt.set, s->pkt.port);
	if (!in)
		return -FL_DROP_INTERNAL;
	r = s->pkt.family == FL_INET6 ? scope_check6(&s->query.src, &s->query.dst)
				      : scope_check4(&s->query.src, &s->query.dst);
	if (r < 0)
		return r;
	/* explain does not say by which client a packet comes: by the one that its source belongs to */
	if (fl_dry_run && (in->flags & FL_PORT_BROKER) && !s->pkt.endpoint) {
		s->pkt.endpoint = client_find(s->pkt.set, s->pkt.port, &s->query.src);
		if (!s->pkt.endpoint && !is_link_local(&s->query.src))
			return -FL_DROP_TUNNEL_CLIENT;
	}
	if (s->pkt.endpoint && (in->flags & FL_PORT_BROKER)) {
		__u32 owner = client_find(s->pkt.set, s->pkt.port, &s->query.src);

		if (owner != s->pkt.endpoint && (owner || !is_link_local(&flow->src)))
			return -FL_DROP_TUNNEL_CLIENT;
	}
	if ((in->flags & FL_PORT_ANTISPOOF) && !is_link_local(&s->query.src) &&
	    !is_group(&s->query.dst, s->pkt.family) && source_is_spoofed(ctx, s, in))
		return -FL_DROP_SPOOFED;
	if (in->gateway[s->pkt.family == FL_INET6] && source_is_neighbour(ctx, s, in))
		flow->xmit |= FL_FLOW_NEIGHBOUR;
	if (r)
		return r;
	/* of a connection that the state table knows: its addresses are the inside's already */
	if (s->pkt.family != FL_INET6 || s->by_state)
		return STAGE_GO;
	return route_translate_in(ctx, s, flow, in);
}
