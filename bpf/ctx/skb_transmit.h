/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * tc's ways out: to a neighbour (which the kernel resolves), into a tunnel's device for the host, back as an ICMP error,
 * or up to the kernel. There is no floor below for what is to be forwarded: what the kernel refuses here is dropped.
 */
#pragma once

#include "lib/pipeline.h"

/*
 * In skb->tc_index of what fairlead has passed: at tc egress of our ports a forwarded packet without it is the kernel's
 * doing and is dropped. It does not leave the machine: every program of ours that lets a packet go clears it.
 */
#define SKB_TAG 0xfa17
#define SKB_TAG_SOURCE 0xfa16 /* the same, but its source is to be translated there */

/* Linux 6.3; headers of 6.1 do not have it */
#ifndef BPF_F_ADJ_ROOM_DECAP_L3_IPV6
#define BPF_F_ADJ_ROOM_DECAP_L3_IPV6 (1ULL << 8)
#endif

/* Gives an skb from a device without Ethernet header the header that helpers want to see. */
static __always_inline int skb_add_ethernet(struct fl_ctx *ctx, struct pkt *pkt)
{
	if (pkt->outer)
		return 0;
	if (bpf_skb_change_head(ctx, ETH_HLEN, 0))
		return -1;
	pkt->outer += ETH_HLEN;
	pkt->l3 += ETH_HLEN;
	pkt->l4 += pkt->l4 ? ETH_HLEN : 0;
	return 0;
}

/* Takes off the outer header of `len` bytes, GSO and checksum state with it. */
static __always_inline int skb_decapsulate(struct fl_ctx *ctx, int len)
{
	if (fl_decap_l3)
		return bpf_skb_adjust_room(ctx, -len, BPF_ADJ_ROOM_MAC,
					   BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_DECAP_L3_IPV6);
	/* before Linux 6.3: turn it into an IPv6 packet, which adds 20 bytes, then take off both headers */
	if (bpf_skb_change_proto(ctx, bpf_htons(ETH_P_IPV6), 0))
		return -1;
	return bpf_skb_adjust_room(ctx, -(len + 20), BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO);
}

static __always_inline int skb_encapsulate(struct fl_ctx *ctx)
{
	if (!bpf_skb_adjust_room(ctx, sizeof(struct iphdr), BPF_ADJ_ROOM_MAC,
				 BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_ENCAP_L3_IPV4))
		return 0;
	/*
	 * An answer of ours has the skb of what it answers, and one that has been encapsulated before is refused, also where XDP has written
	 * another packet into it. Then the way of skb_decapsulate(): 40 bytes more, of which a change to IPv4 takes 20.
	 */
	if (ctx_gso_size(ctx) || bpf_skb_adjust_room(ctx, 2 * sizeof(struct iphdr), BPF_ADJ_ROOM_MAC, 0))
		return -1;
	return bpf_skb_change_proto(ctx, bpf_htons(ETH_P_IP), 0);
}

/*
 * Makes room for what leaves: without the outer header that came, with one if `encap`. An outer header of 20 bytes that
 * stays one is rewritten in place. Afterwards the routed header is at pkt->outer (+ 20 if encap). 0 or an error.
 */
static __always_inline int skb_reshape(struct fl_ctx *ctx, const struct pkt *pkt, bool encap)
{
	int outer = pkt->l3 - pkt->outer;

	if (outer == sizeof(struct iphdr) && encap)
		return 0;
	if (outer && skb_decapsulate(ctx, outer))
		return -1;
	return encap ? skb_encapsulate(ctx) : 0;
}

/* The device is the port's: of a hop that the flow cache has given, nothing else says it. */
static __always_inline int to_neighbour(struct fl_ctx *ctx, const struct pkt *pkt, const struct hop *hop)
{
	struct bpf_redir_neigh nh = { .nh_family = hop->family };
	const struct fl_port *port = port_get(pkt->set, hop->port);

	if (!port)
		return drop(ctx, pkt, FL_DROP_INTERNAL);
	ctx->tc_index = SKB_TAG;
	if (hop->family == 0)
		return bpf_redirect_neigh(port->ifindex, NULL, 0, 0);
	if (hop->family == AF_INET)
		nh.ipv4_nh = hop->addr.w[3];
	else
		__builtin_memcpy(nh.ipv6_nh, &hop->addr, sizeof(nh.ipv6_nh));
	return bpf_redirect_neigh(port->ifindex, &nh, sizeof(nh), 0);
}

/* Sends the packet of s on; `hops` to take off its hop limit. */
GLOBAL int send(struct fl_ctx *ctx, struct scratch *s, struct fl_flow *flow, __u32 hops)
{
	const struct fl_endpoint *ep;
	const struct hop *hop;
	struct pkt *pkt;
	__u32 l3, l4;

	if (!s || !flow)
		return CTX_DROP;
	pkt = &s->pkt;
	hop = &s->hop;
	ep = flow->endpoint ? endpoint_get(flow->endpoint) : NULL;
	if (!ctx_gso_size(ctx) && ctx->len > pkt->l3 + pkt->len) /* padding stays behind */
		bpf_skb_change_tail(ctx, pkt->l3 + pkt->len, 0);
	if (skb_add_ethernet(ctx, pkt) || skb_reshape(ctx, pkt, ep))
		return drop(ctx, pkt, FL_DROP_TUNNEL_FAILED);
	l3 = pkt->outer + (ep ? sizeof(struct iphdr) : 0);
	l4 = pkt->l4 ? pkt->l4 - pkt->l3 + l3 : 0;
	ctx_pull(ctx, l4 + 60);
	rewrite(ctx, pkt, l3, l4, hops, flow);
	rewrite_payload(ctx, pkt, l4, flow, hop);
	if (ep) {
		struct iphdr *ip = pkt_at(ctx, pkt->outer, 0x1f, sizeof(*ip));

		if (!ip)
			return drop(ctx, pkt, FL_DROP_INTERNAL);
		outer_write(ip, ep, outer_source(ep, pkt->set, hop->port), pkt->len, pkt->tos, flow->mtu);
	}
	if (hops)
		count_forwarded(pkt, flow, hop);
	else
		count_own(pkt, flow, hop);
	return to_neighbour(ctx, pkt, hop);
}

static __always_inline int transmit(struct fl_ctx *ctx, struct scratch *s, struct fl_flow *flow, __u32 hops)
{
	int r = commit(ctx, &s->pkt);

	if (r)
		return hops ? refuse(ctx, &s->pkt, -r) : drop(ctx, &s->pkt, -r);
	return send(ctx, s, flow, hops);
}

/* Gives the packet of s to the host: as it came, or decapsulated into the tunnel's device; its addresses translated. */
GLOBAL int hand_up(struct fl_ctx *ctx, struct scratch *s, struct fl_flow *flow)
{
	const struct fl_port *tunnel;
	struct fl_flow plain = {};
	struct ethhdr *eth;
	struct pkt *pkt;
	__u32 l3, l4;
	bool decap;

	if (!s)
		return CTX_DROP;
	pkt = &s->pkt;
	tunnel = port_get(pkt->set, pkt->port);
	decap = pkt->l3 != pkt->outer;
	plain.in_endpoint = pkt->endpoint;
	if (!tunnel)
		return drop(ctx, pkt, FL_DROP_INTERNAL);
	if (decap && (skb_add_ethernet(ctx, pkt) || skb_reshape(ctx, pkt, false)))
		return drop(ctx, pkt, FL_DROP_TUNNEL_FAILED);
	l3 = pkt->outer;
	l4 = pkt->l4 ? pkt->l4 - pkt->l3 + l3 : 0;
	if (flow) { /* a source only by a hairpin to the router itself */
		plain.npt_src = flow->npt_src;
		plain.npt_dst = flow->npt_dst;
	}
	if (decap || plain.npt_dst || is_translated(pkt)) {
		ctx_pull(ctx, l4 + 60);
		rewrite(ctx, pkt, l3, l4, 0, &plain);
		rewrite_payload(ctx, pkt, l4, &plain, NULL);
	}
	port_count_rx(pkt->l2_port, pkt->len);
	if (!decap) {
		ctx->tc_index = 0;
		return CTX_PASS;
	}
	endpoint_count(pkt->endpoint, true, pkt->len);
	eth = pkt_at(ctx, 0, 0, sizeof(*eth));
	if (!eth)
		return drop(ctx, pkt, FL_DROP_INTERNAL);
	__builtin_memcpy(eth->h_dest, tunnel->mac, ETH_ALEN);
	__builtin_memcpy(eth->h_source, tunnel->mac, ETH_ALEN);
	eth->h_proto = bpf_htons(ETH_P_IPV6);
	ctx->tc_index = SKB_TAG; /* our ingress program on the tunnel's device lets it up */
	return bpf_redirect(tunnel->ifindex, BPF_F_INGRESS);
}

static __always_inline int deliver(struct fl_ctx *ctx, struct scratch *s, struct fl_flow *flow)
{
	int r = commit(ctx, &s->pkt);

	return r ? refuse(ctx, &s->pkt, -r) : hand_up(ctx, s, flow);
}

/*
 * Has the kernel forward the packet of s, and fragment it: on its own route, which is the one that we found too. It does not forward what has
 * the host's own address as a source, so that one is translated when its fragments leave (source_translate()).
 */
static __always_inline int hand_to_kernel(struct fl_ctx *ctx, struct scratch *s)
{
	bool translated = is_translated(&s->pkt), source = translated && !destination_changes(s);
	int r = commit(ctx, &s->pkt);

	if (r)
		return refuse(ctx, &s->pkt, -r);
	if (translated && !source)
		rewrite(ctx, &s->pkt, s->pkt.l3, s->pkt.l4, 0, &s->way);
	port_count_rx(s->pkt.l2_port, s->pkt.len);
	ctx->tc_index = source ? SKB_TAG_SOURCE : SKB_TAG;
	return CTX_PASS;
}

/* What hand_to_kernel() has left to do, of each fragment. Its state has counted the packet. */
static __always_inline int source_translate(struct fl_ctx *ctx, struct scratch *s)
{
	int r;

	s->pkt.l3 = s->pkt.outer;
	s->pkt.judged = true;
	r = ipv4_parse(ctx, &s->pkt, ctx_len(ctx) - s->pkt.outer, true);
	if (r == STAGE_GO)
		r = policy_connection(ctx, s);
	if (r != STAGE_GO || !s->translate)
		return drop(ctx, &s->pkt, r < 0 ? -r : FL_DROP_NAT_STATELESS);
	s->doing = DOING_NOTHING;
	policy_settle(ctx, s);
	rewrite(ctx, &s->pkt, s->pkt.l3, s->pkt.l4, 0, &s->way);
	return CTX_PASS;
}

/* Drops the packet and sends it to where it becomes the answer (lib/icmp.h). */
static __always_inline int answer(struct fl_ctx *ctx, struct scratch *s, const struct fl_control *control)
{
	struct pkt *pkt = &s->pkt;
	struct icmp_request req = {
		.mark = ICMP_REQUEST_MARK,
		.type = pkt->icmp_type,
		.code = pkt->icmp_code,
		.port = bpf_htons(pkt->port),
		.gateway = bpf_htons(own_answer_gateway(s)),
		.value = bpf_htonl(pkt->icmp_value),
		.proto = pkt->family == FL_INET6 ? bpf_htons(ETH_P_IPV6) : bpf_htons(ETH_P_IP),
	};

	drop(ctx, pkt, pkt->reason);
	if (pkt->npt_failed)
		npt_count_failed(pkt->npt_failed);
	if (!control->icmp_ifindex || skb_add_ethernet(ctx, pkt))
		return CTX_DROP;
	req.l3 = pkt->l3 - pkt->outer;
	if (bpf_skb_store_bytes(ctx, 0, &req, sizeof(req), 0))
		return CTX_DROP;
	ctx->tc_index = 0;
	return bpf_redirect(control->icmp_ifindex, 0);
}
