/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The far end of lib/icmp.h: an icmp_request and the packet in error become the ICMP or ICMPv6 error (RFC 792, RFC 4443), or the reset
 * that a TCP segment asks for.
 */
#pragma once

#include "lib/reset_build.h"

#define ICMP_HLEN 8
#define ICMP6_QUOTE_MAX (1280 - sizeof(struct ipv6hdr) - ICMP_HLEN) /* RFC 4443 2.4 (c) */
#define ICMP4_QUOTE_MAX (576 - sizeof(struct iphdr) - ICMP_HLEN)    /* RFC 1812 4.3.2.3 */

/* RFC 4443 2.4 (e): no error about an error, a multicast (but too big), or from nobody. */
static __always_inline bool icmp6_may_answer(struct fl_ctx *ctx, const struct ipv6hdr *ip, __u32 l3, __u8 type)
{
	struct pkt in = { .l3 = l3, .proto = ip->nexthdr };
	__u8 *icmp;

	if (!may_answer6(ip, type == 2))
		return false;
	if (ext_headers_walk(ctx, &in))
		return false;
	if (in.proto != IPPROTO_ICMPV6 || (!in.l4 && in.fragment)) /* what a later fragment is of, nobody can tell */
		return true;
	icmp = in.l4 ? pkt_at(ctx, in.l4, L4_MAX, 1) : NULL;
	return icmp && *icmp >= ICMP6_ECHO && *icmp != 137; /* redirect */
}

/* RFC 1122 3.2.2 */
static __always_inline bool icmp4_may_answer(struct fl_ctx *ctx, const struct iphdr *ip, __u32 l3)
{
	__u8 *icmp;

	if (!may_answer4(ip) || ip->frag_off & bpf_htons(IP_OFFSET))
		return false;
	if (ip->protocol != IPPROTO_ICMP)
		return true;
	icmp = pkt_at(ctx, l3 + ip->ihl * 4, L4_MAX, 1);
	return icmp && (*icmp == 8 || *icmp == 0 || *icmp >= 13); /* echo, and the queries */
}

/* Cuts the frame to `quote` bytes of the packet at l3 and makes `room` before them. 0, or -1. */
static __always_inline int frame_reshape(struct fl_ctx *ctx, __u32 l3, __u32 quote, __u32 room)
{
	__u32 len = ctx_len(ctx);

	if (len > l3 + quote && bpf_xdp_adjust_tail(ctx, (int)(l3 + quote) - (int)len))
		return -1;
	return bpf_xdp_adjust_head(ctx, (int)l3 - (int)room);
}

static __always_inline int icmp6_build(struct fl_ctx *ctx, const struct icmp_request *req,
				       const struct fl_port *answers, const struct fl_port *here)
{
	struct {
		struct ethhdr eth;
		struct ipv6hdr ip;
		struct {
			__u8 type, code;
			__u16 check;
			__be32 value;
		} icmp;
	} __attribute__((packed)) * out;
	__u32 l3 = sizeof(*req) + req->l3, quote = ctx_len(ctx) - l3;
	struct ipv6hdr *ip = pkt_at(ctx, l3, L3_MAX, sizeof(*ip));
	__u64 sum;
	union fl_addr to;

	if (!ip || !icmp6_may_answer(ctx, ip, l3, req->type) || (!answers->addr6.q[0] && !answers->addr6.q[1]))
		return XDP_DROP;
	__builtin_memcpy(&to, &ip->saddr, sizeof(to));
	if (!icmp_rate_allows(to.q[0] ^ to.q[1] * 3, req->type == 2 ? RATE_TOO_BIG : RATE_ICMP))
		return -FL_DROP_ICMP_RATE;
	if (quote > bpf_ntohs(ip->payload_len) + sizeof(*ip)) /* the rest pads the frame */
		quote = bpf_ntohs(ip->payload_len) + sizeof(*ip);
	if (quote > ICMP6_QUOTE_MAX)
		quote = ICMP6_QUOTE_MAX;
	if (frame_reshape(ctx, l3, quote, sizeof(*out)))
		return XDP_DROP;
	sum = packet_sum(ctx, sizeof(*out), quote);
	out = pkt_at(ctx, 0, 0, sizeof(*out));
	if (!out)
		return XDP_DROP;
	__builtin_memset(out, 0, sizeof(*out));
	ethernet_answer(&out->eth, here, bpf_htons(ETH_P_IPV6));
	ipv6_answer(&out->ip, &answers->addr6, &to, quote + ICMP_HLEN, IPPROTO_ICMPV6);
	out->icmp.type = req->type;
	out->icmp.code = req->code;
	out->icmp.value = req->value;
	sum = csum_add(sum, csum_pseudo6(answers->addr6.q, to.q, quote + ICMP_HLEN, IPPROTO_ICMPV6));
	sum = csum_add(sum, bpf_htons((__u16)req->type << 8 | req->code));
	out->icmp.check = ~csum_fold(csum_add(sum, req->value));
	return XDP_PASS;
}

static __always_inline int icmp4_build(struct fl_ctx *ctx, const struct icmp_request *req,
				       const struct fl_port *answers, const struct fl_port *here)
{
	struct {
		struct ethhdr eth;
		struct iphdr ip;
		struct {
			__u8 type, code;
			__u16 check;
			__be32 value;
		} icmp;
	} __attribute__((packed)) * out;
	__u32 l3 = sizeof(*req) + req->l3, quote = ctx_len(ctx) - l3;
	struct iphdr *ip = pkt_at(ctx, l3, L3_MAX, sizeof(*ip));
	__be32 to;
	__u64 sum;

	if (!ip || !icmp4_may_answer(ctx, ip, l3) || !answers->addr4)
		return XDP_DROP;
	to = ip->saddr;
	if (!icmp_rate_allows(to, req->type == 3 && req->code == 4 ? RATE_TOO_BIG : RATE_ICMP))
		return -FL_DROP_ICMP_RATE;
	if (quote > bpf_ntohs(ip->tot_len)) /* the rest pads the frame */
		quote = bpf_ntohs(ip->tot_len);
	if (quote > ICMP4_QUOTE_MAX)
		quote = ICMP4_QUOTE_MAX;
	if (frame_reshape(ctx, l3, quote, sizeof(*out)))
		return XDP_DROP;
	sum = packet_sum(ctx, sizeof(*out), quote);
	out = pkt_at(ctx, 0, 0, sizeof(*out));
	if (!out)
		return XDP_DROP;
	__builtin_memset(out, 0, sizeof(*out));
	ethernet_answer(&out->eth, here, bpf_htons(ETH_P_IP));
	ipv4_answer(&out->ip, answers->addr4, to, quote + ICMP_HLEN, IPPROTO_ICMP);
	out->icmp.type = req->type;
	out->icmp.code = req->code;
	out->icmp.value = req->value;
	sum = csum_add(sum, bpf_htons((__u16)req->type << 8 | req->code));
	out->icmp.check = ~csum_fold(csum_add(sum, req->value));
	return XDP_PASS;
}

/* The program on fl-icmp-rx. XDP_PASS: the answer, for tc ingress there to forward. */
static __always_inline int icmp_build(struct fl_ctx *ctx)
{
	const struct fl_control *control = control_get();
	__u32 set = control ? FL_GEN_SET(control_gen(control)) : 0;
	const struct fl_port *here = port_get(set, port_number(set, ctx_ifindex(ctx), 0)), *answers;
	struct icmp_request *in = pkt_at(ctx, 0, 0, sizeof(*in)), req;
	struct ethhdr *eth;
	int r = XDP_DROP;

	if (!here || !in || in->mark != ICMP_REQUEST_MARK)
		return XDP_DROP;
	req = *in;
	if (req.l3 > 60 || ctx_len(ctx) < sizeof(req) + req.l3 + sizeof(struct iphdr))
		return XDP_DROP;
	answers = port_get(set, bpf_ntohs(req.port));
	if (!answers)
		return XDP_DROP;
	if (req.type == FL_ICMP_RESET)
		r = reset_build(ctx, &req, here);
	else if (req.proto == bpf_htons(ETH_P_IPV6))
		r = icmp6_build(ctx, &req, answers, here);
	else if (req.proto == bpf_htons(ETH_P_IP))
		r = icmp4_build(ctx, &req, answers, here);
	if (r == -FL_DROP_ICMP_RATE) {
		drop_count(bpf_ntohs(req.port), FL_DROP_ICMP_RATE, ctx_len(ctx));
		return XDP_DROP;
	}
	eth = r == XDP_PASS ? pkt_at(ctx, 0, 0, sizeof(*eth)) : NULL;
	if (eth)
		*(__be16 *)(eth->h_source + 4) = req.gateway;
	return r;
}
