/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The pipeline, the same at both hooks: parse, decapsulate, route, check; then the hook's transmit.h commits. Nothing
 * before that writes to the packet or counts it, so that what can't be finished goes down to the next floor as it came.
 */
#pragma once

#include "lib/event.h"
#include "lib/icmp.h"
#include "lib/mss.h"
#include "lib/policy_commit.h"

struct fl_explain fl_explain_result; /* of a dry run; user space reads it */

/* The outermost IP header at pkt->l3. Returns STAGE_GO, STAGE_PASS or -FL_DROP_*. */
static __always_inline int parse_ip(struct fl_ctx *ctx, struct pkt *pkt, const struct fl_port *port, __be16 proto)
{
	__u32 room = ctx_room(ctx) - pkt->l3;
	int r;

	if (proto == bpf_htons(ETH_P_IPV6))
		return port->family & FL_INET6 ? ipv6_parse(ctx, pkt, room) : STAGE_PASS;
	r = ipv4_parse(ctx, pkt, room, true);
	if (r)
		return port->family & FL_INET ? r : STAGE_PASS;
	if (pkt->proto == IPPROTO_IPV6) { /* tunnel outers are fairlead's in every family */
		r = tunnel_receive(ctx, pkt);
		if (pkt->taken)
			return r;
	}
	return port->family & FL_INET ? STAGE_GO : STAGE_PASS;
}

/* Of an answer of our own: the gateway that it goes by (lib/icmp.h). */
static __always_inline __u16 answer_gateway(struct fl_ctx *ctx)
{
	const struct ethhdr *eth = pkt_at(ctx, 0, 0, sizeof(*eth));

	return eth ? bpf_ntohs(*(const __be16 *)(eth->h_source + 4)) : 0;
}

/* Where the packet goes, in s->way and s->hop, and whether it may. Returns STAGE_GO, STAGE_DELIVER, STAGE_ERROR or -FL_DROP_*. */
static __always_inline int decide(struct fl_ctx *ctx, struct scratch *s, const struct fl_control *control,
				  const struct fl_port *port)
{
	struct fl_flow *flow;
	int r;

	/* the answers that we make of our own are of what has been judged */
	if (!control->policy[s->pkt.set & 1] || port->flags & FL_PORT_ICMP) {
#ifdef CTX_IS_SKB
		if (port->flags & FL_PORT_ICMP) {
			s->steer = answer_gateway(ctx);
			s->even_down = true;
		}
#endif
		r = route(ctx, s, control, &flow);
		if (flow) /* one place for both ways: what follows is verified once */
			s->way = *flow;
	} else {
		s->pkt.judged = true;
		r = policy_forward(ctx, s);
	}
	return r;
}

/* Headers of the frame behind its link layer (pkt->outer bytes). Returns STAGE_GO, STAGE_PASS or -FL_DROP_*. */
static __always_inline int parse(struct fl_ctx *ctx, struct pkt *pkt, const struct fl_port *port, __be16 proto)
{
	int r;

	pkt->l3 = pkt->outer;
	if (proto != bpf_htons(ETH_P_IPV6) && proto != bpf_htons(ETH_P_IP))
		return STAGE_PASS;
	r = parse_ip(ctx, pkt, port, proto);
	/* XDP looks at a frame's first buffer only: what seems cut off there may go on in others, which tc sees */
	return r == -FL_DROP_MALFORMED && ctx_room(ctx) < ctx_len(ctx) ? STAGE_PASS : r;
}

/* Bytes of the packet as it will be on the wire: of a GSO packet, one segment. */
static __always_inline __u32 segment_len(struct fl_ctx *ctx, const struct pkt *pkt)
{
	__u32 gso = ctx_gso_size(ctx);
	struct tcphdr *tcp;

	if (!gso || !pkt->l4)
		return pkt->len;
	if (pkt->proto != IPPROTO_TCP)
		return pkt->l4 - pkt->l3 + sizeof(struct udphdr) + gso;
	tcp = pkt_at(ctx, pkt->l4, L4_MAX, sizeof(*tcp));
	return pkt->l4 - pkt->l3 + (tcp ? tcp->doff * 4 : sizeof(*tcp)) + gso;
}

/*
 * The answer to a packet that is bigger than the way: none to one of 1280 bytes or less, since IPv6 has no smaller MTU (RFC 8200 5).
 * Such a tunnel's underlay must be given an MTU of 1300.
 */
static __always_inline int too_big(struct pkt *pkt, const struct fl_flow *flow)
{
	const struct fl_endpoint *ep = flow->endpoint ? endpoint_get(flow->endpoint) : NULL;

	if (pkt->family != FL_INET6 || flow->mtu >= 1280)
		return icmp_too_big(pkt, flow->mtu);
	if (pkt->len > 1280)
		return icmp_too_big(pkt, 1280);
	pkt->blame = ep ? ep->tunnel : 0;
	return -FL_DROP_TUNNEL_FAILED;
}

/* Neighbour discovery, and listener discovery, whatever addresses they bear: they belong to one link (RFC 4861, RFC 3810 5). */
static __always_inline bool is_of_the_link(struct fl_ctx *ctx, const struct pkt *pkt)
{
	__u8 *icmp = pkt_at(ctx, pkt->l4, L4_MAX, 8);

	return pkt->proto == IPPROTO_ICMPV6 && pkt->family == FL_INET6 && pkt->l4 && icmp &&
	       ((icmp[0] >= 130 && icmp[0] <= 137) || icmp[0] == 143);
}

/* Options of an IPv4 packet to forward are not ours to interpret, and a sender has no good reason for them. */
static __always_inline bool has_ip_options(struct fl_ctx *ctx, const struct pkt *pkt)
{
	struct iphdr *ip = pkt_at(ctx, pkt->l3, L3_MAX, sizeof(*ip));

	return pkt->family == FL_INET && ip && ip->ihl != 5;
}

/* Its addresses, or what an error quotes, become others. */
static __always_inline bool is_translated(const struct pkt *pkt)
{
	const struct scratch *s = pkt->judged ? scratch_at() : NULL;

	return s && s->translate;
}

/*
 * A packet that the kernel would not send as we do, so that it can't fragment it for us: by a rule's gateway, or of which it would have to see
 * the destination translated and the source not yet (as its own, it would not forward it).
 */
static __always_inline bool is_only_ours(const struct pkt *pkt)
{
	const struct scratch *s = pkt->judged ? scratch_at() : NULL;

	return s &&
	       (s->steer || s->doing == DOING_ERROR || (s->translate && source_changes(s) && destination_changes(s)));
}

/*
 * What a packet to forward must still pass. Returns STAGE_GO; STAGE_FRAGMENT for an IPv4 packet that is too big and may be fragmented;
 * STAGE_ERROR or -FL_DROP_*.
 */
static __always_inline int forward_check(struct fl_ctx *ctx, struct pkt *pkt, const struct fl_control *control,
					 const struct fl_flow *flow)
{
	if (!control->forward)
		return -FL_DROP_BLOCKED;
	if (has_ip_options(ctx, pkt))
		return -FL_DROP_IP_OPTIONS;
	if (is_of_the_link(ctx, pkt))
		return -FL_DROP_SCOPE;
	if (pkt->hops <= 1)
		return icmp_time_exceeded(pkt);
	if (segment_len(ctx, pkt) > flow->mtu)
		return pkt->df || is_only_ours(pkt) ? too_big(pkt, flow) : STAGE_FRAGMENT;
	return STAGE_GO;
}

/*
 * Changes of the routed header itself, at l3 with its transport header at l4 (0: out of reach). `hops`: to take off; out:
 * the port that it leaves by, 0 if it is for the host.
 */
static __always_inline void rewrite6(struct fl_ctx *ctx, struct pkt *pkt, __u32 l3, __u32 l4, __u32 hops,
				     const struct fl_flow *flow)
{
	struct ipv6hdr *ip = pkt_at(ctx, l3, L3_MAX, sizeof(*ip));
	__u64 was;

	if (!ip)
		return;
	was = *(__u64 *)ip;
	ip->hop_limit -= hops;
	if (pkt->endpoint) {
		int ecn = ecn_decapsulate(pkt->outer_tos, pkt->tos);

		pkt->tos = (pkt->tos & 0xfc) | (ecn & 3);
		ip->flow_lbl[0] = (ip->flow_lbl[0] & 0x0f) | (pkt->tos << 4 & 0xf0);
	}
	ctx_sum_changed(ctx, csum_fold(was), csum_fold(*(__u64 *)ip));
	npt_rewrite(ctx, pkt, l3, l4, flow->npt_src, true);
	npt_rewrite(ctx, pkt, l3, l4, flow->npt_dst, false);
}

static __always_inline void rewrite4(struct fl_ctx *ctx, __u32 l3, __u32 hops)
{
	struct iphdr *ip = pkt_at(ctx, l3, L3_MAX, sizeof(*ip));

	if (!ip || !hops)
		return;
	ip->check = csum_replace(ip->check, bpf_htons(hops << 8), 0);
	ip->ttl -= hops;
}

/* A hairpin went out and in again by the port of its translation. */
static __always_inline void rewrite_quoted(struct fl_ctx *ctx, struct pkt *pkt, __u32 l4, const struct fl_flow *flow,
					   __u32 out_port)
{
	const struct fl_npt *hairpin = flow->npt_src && flow->npt_src == flow->npt_dst ? npt_get(flow->npt_src) : NULL;
	const struct fl_port *in = port_get(pkt->set, pkt->port), *out = port_get(pkt->set, out_port);
	__u32 from = in && in->flags & FL_PORT_NPT ? pkt->port : 0;
	__u32 to = out && out->flags & FL_PORT_NPT ? out_port : 0;

	if (hairpin && !from)
		from = to = hairpin->port;
	if (from || to)
		npt_rewrite_quoted(ctx, pkt, l4, from, to);
}

/* Its quote is translated as the state says (policy_rewrite()). */
static __always_inline bool is_of_state(const struct pkt *pkt)
{
	const struct scratch *s = pkt->judged ? scratch_at() : NULL;

	return s && s->doing == DOING_ERROR;
}

/* What lies behind the routed header: the MSS of SYNs, and the packets that ICMPv6 errors quote. */
static __always_inline void rewrite_payload(struct fl_ctx *ctx, struct pkt *pkt, __u32 l4, struct fl_flow *flow,
					    const struct hop *hop)
{
	if (pkt->proto == IPPROTO_TCP && (flow->in_endpoint || flow->endpoint) && pkt->l4)
		mss_clamp(ctx, pkt, l4, flow);
	else if (pkt->family == FL_INET6 && !is_of_state(pkt) && is_icmp6_error(ctx, pkt, l4))
		rewrite_quoted(ctx, pkt, l4, flow, hop ? flow_out_port(flow, hop) : 0);
}

static __always_inline void rewrite(struct fl_ctx *ctx, struct pkt *pkt, __u32 l3, __u32 l4, __u32 hops,
				    const struct fl_flow *flow)
{
	if (pkt->family == FL_INET6)
		rewrite6(ctx, pkt, l3, l4, hops, flow);
	else
		rewrite4(ctx, l3, hops);
	if (pkt->judged)
		policy_rewrite(ctx, l3, l4);
}

/* The one place that counts a packet that leaves. */
static __always_inline void count_forwarded(const struct pkt *pkt, const struct fl_flow *flow, const struct hop *hop)
{
	port_count_rx(pkt->l2_port, pkt->len);
	port_count_tx(hop->port, pkt->len);
	if (pkt->endpoint)
		endpoint_count(pkt->endpoint, true, pkt->len);
	if (flow->endpoint)
		endpoint_count(flow->endpoint, false, pkt->len);
}

/* The same for the router's own packet that went into a tunnel, or inside. */
static __always_inline void count_own(const struct pkt *pkt, const struct fl_flow *flow, const struct hop *hop)
{
	port_count_tx(hop->port, pkt->len);
	if (flow->endpoint)
		endpoint_count(flow->endpoint, false, pkt->len);
}

/* Does what was decided for the packet's connection. The last step that can fail. Returns STAGE_GO or -FL_DROP_*. */
static __always_inline int commit(struct fl_ctx *ctx, const struct pkt *pkt)
{
	return pkt->judged ? policy_commit(ctx, scratch_at()) : STAGE_GO;
}

/* The one place that drops: negative `stage`, or STAGE_ERROR whose answer could not be sent. */
static __always_inline int drop(struct fl_ctx *ctx, const struct pkt *pkt, __u32 reason)
{
	drop_count(pkt->blame ? pkt->blame : pkt->port ? pkt->port : pkt->l2_port, reason, ctx_len(ctx));
	return CTX_DROP;
}

/* The same of a packet that came in, which so is finished here. */
static __always_inline int refuse(struct fl_ctx *ctx, const struct pkt *pkt, __u32 reason)
{
	port_count_rx(pkt->l2_port, ctx_len(ctx));
	return drop(ctx, pkt, reason);
}

/* Its part about states and rules. */
static __always_inline void explain_policy(const struct scratch *s, struct fl_explain *e)
{
	e->flags = FL_EXPLAIN_JUDGED | (s->doing == DOING_UPDATE ? FL_EXPLAIN_KNOWN : 0) |
		   (s->doing == DOING_ERROR ? FL_EXPLAIN_ERROR : 0) | (s->doing == DOING_INSERT ? FL_EXPLAIN_NEW : 0) |
		   (s->local ? FL_EXPLAIN_LOCAL : 0) | (s->log ? FL_EXPLAIN_LOG : 0);
	e->state = s->conn.main;
	e->rule[0] = s->rule[0];
	e->rule[1] = s->rule[1];
	e->decider = s->decider;
	e->snat = s->x.snat;
	e->dnat = s->x.dnat;
	e->steer = s->steer;
	e->src = s->x.to.src;
	e->dst = s->x.to.dst;
	e->sport = s->x.to.sport;
	e->dport = s->x.to.dport;
}

/* The same of prefix translations, where no state has the addresses. */
static __always_inline void explain_prefixes(const struct fl_flow *flow, struct fl_explain *e)
{
	const struct fl_npt *npt;

	e->src = flow->src;
	e->dst = flow->dst;
	npt = flow->npt_src ? npt_get(flow->npt_src) : NULL;
	if (npt)
		fl_npt_to_external(npt, &e->src);
	npt = flow->npt_dst ? npt_get(flow->npt_dst) : NULL;
	if (npt)
		fl_npt_to_internal(npt, &e->dst);
}

/* What explain reads after a dry run. */
static __always_inline void explain(const struct scratch *s, const struct fl_flow *flow, int stage)
{
	const struct pkt *pkt = &s->pkt;
	const struct hop *hop = &s->hop;
	struct fl_explain *e = &fl_explain_result;

	__builtin_memset(e, 0, sizeof(*e));
	e->in_port = pkt->port;
	e->in_endpoint = pkt->endpoint;
	e->verdict = stage < 0		      ? FL_VERDICT_DROP
		     : stage == STAGE_ERROR   ? FL_VERDICT_ERROR
		     : stage == STAGE_GO      ? FL_VERDICT_FORWARD
		     : stage == STAGE_DELIVER ? FL_VERDICT_DELIVER
					      : FL_VERDICT_NONE;
	e->reason = stage < 0 ? -stage : stage == STAGE_ERROR ? pkt->reason : 0;
	e->icmp_type = stage == STAGE_ERROR ? pkt->icmp_type : 0;
	e->icmp_code = stage == STAGE_ERROR ? pkt->icmp_code : 0;
	if (pkt->judged)
		explain_policy(s, e);
	if (!flow)
		return;
	e->npt_src = flow->npt_src;
	e->npt_dst = flow->npt_dst;
	if (!pkt->judged)
		explain_prefixes(flow, e);
	if (stage == STAGE_DELIVER)
		return;
	e->endpoint = flow->endpoint;
	e->mtu = flow->mtu;
	e->out_port = flow_out_port(flow, hop);
	e->xmit_port = hop->port;
	e->resolved = hop->resolved;
	e->nexthop = hop->addr;
	if (!(flow->from & FL_FLOW_OWN))
		e->gateway = s->gateway;
}
