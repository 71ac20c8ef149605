/* SPDX-License-Identifier: GPL-2.0-only */
/* Holds the MSS that TCP SYNs announce to what fits the tunnel (RFC 9293 3.7.1 names the option). */
#pragma once

#include "lib/tcp_option.h"
#include "lib/tunnel.h"

/* What a tunnel with room for `mtu` bytes allows, or `other` if that is less; 0: all. */
static __always_inline __u16 mss_for(const struct fl_endpoint *ep, __u32 mtu, __u16 other)
{
	__u16 mss = ep->mss == FL_MSS_AUTO ? mtu - sizeof(struct ipv6hdr) - sizeof(struct tcphdr) : ep->mss;

	return other && (other < mss || !mss) ? other : mss;
}

/* The MTU of the tunnel to an endpoint as far as the underlay's device has room for it: the other end's answers come this way. */
static __always_inline __u32 endpoint_room(__u32 set, __u32 index, const struct fl_endpoint *ep)
{
	const struct fl_port *underlay = port_get(set, ep->underlay);
	__u32 mtu = endpoint_mtu(index, ep);

	return underlay && underlay->mtu < mtu + sizeof(struct iphdr) ? underlay->mtu - sizeof(struct iphdr) : mtu;
}

/* What the tunnels allow that a packet of the flow came in and leaves by; 0: all. */
static __always_inline __u16 mss_of_flow(__u32 set, const struct fl_flow *flow)
{
	const struct fl_endpoint *in = flow->in_endpoint ? endpoint_get(flow->in_endpoint) : NULL;
	const struct fl_endpoint *out = flow->endpoint ? endpoint_get(flow->endpoint) : NULL;
	__u16 mss = in ? mss_for(in, endpoint_room(set, flow->in_endpoint, in), 0) : 0;

	return out ? mss_for(out, flow->mtu, mss) : mss;
}

/*
 * Lowers the MSS option of the SYN whose TCP header is at l4 to what the flow's tunnels allow. What is no SYN, or asks for less,
 * stays as it is.
 */
GLOBAL int mss_clamp(struct fl_ctx *ctx, struct pkt *pkt, __u32 l4, struct fl_flow *flow)
{
	struct tcphdr *tcp = pkt_at(ctx, l4, L4_MAX, sizeof(*tcp));
	__u16 was, is, mss;
	__u32 off;
	__u8 *opt;

	if (!pkt || !flow || !tcp || !tcp->syn)
		return 0;
	off = tcp_option_find(ctx, l4, tcp->doff * 4, TCPOPT_MSS, 4);
	opt = off ? pkt_at(ctx, l4 + off, L4_MAX, 4) : NULL;
	if (!opt)
		return 0;
	__builtin_memcpy(&was, &opt[2], sizeof(was));
	mss = mss_of_flow(pkt->set, flow);
	if (!mss || bpf_ntohs(was) <= mss)
		return 0;
	is = bpf_htons(mss);
	__builtin_memcpy(&opt[2], &is, sizeof(is));
	if (off & 1) { /* the option lies across two words of the sum */
		was = __builtin_bswap16(was);
		is = __builtin_bswap16(is);
	}
#ifdef CTX_IS_SKB
	/* leaves an unfinished checksum alone */
	bpf_l4_csum_replace(ctx, (l4 & L4_MAX) + offsetof(struct tcphdr, check), was, is, sizeof(is));
#else
	tcp = pkt_at(ctx, l4, L4_MAX, sizeof(*tcp));
	if (tcp)
		tcp->check = csum_replace(tcp->check, was, is);
#endif
	return 0;
}
