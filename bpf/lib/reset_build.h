/* SPDX-License-Identifier: GPL-2.0-only */
/* A request for a TCP reset and the segment become the reset, as from where the segment was going (RFC 9293 3.10.7.1). */
#pragma once

#include "lib/answer.h"

/* The segment to be reset. */
struct offender {
	__u32 off; /* of the TCP header */
	__u32 len; /* of header and data */
	__u64 pseudo;
};

/*
 * The header that answers the segment; false: there is no answer to a reset, nor to what is no whole header or not what was sent. A
 * segment that is longer than packet_sum() can sum up, or in more than one buffer, is believed.
 */
static __always_inline bool reset_header(struct fl_ctx *ctx, const struct offender *s, bool whole, struct tcphdr *out)
{
	const struct tcphdr *in = pkt_at(ctx, s->off, L4_MAX, sizeof(*in));
	__u32 header, seq;

	if (!in || in->rst)
		return false;
	header = in->doff * 4;
	if (header < sizeof(*in) || header > s->len || s->off + s->len > ctx_len(ctx))
		return false;
	__builtin_memset(out, 0, sizeof(*out));
	out->source = in->dest;
	out->dest = in->source;
	out->doff = sizeof(*out) / 4;
	out->rst = 1;
	out->ack = !in->ack;
	seq = bpf_ntohl(in->seq) + s->len - header + in->syn + in->fin;
	if (in->ack)
		out->seq = in->ack_seq;
	else
		out->ack_seq = bpf_htonl(seq);
	if (!whole || s->len > SUM_MAX || s->off + s->len > ctx_room(ctx))
		return true;
	return csum_fold(csum_add(packet_sum(ctx, s->off, s->len), s->pseudo)) == 0xffff;
}

static __always_inline void reset_sum(struct tcphdr *tcp, __u64 pseudo)
{
	__u32 words[5];

	__builtin_memcpy(words, tcp, sizeof(words));
	tcp->check = ~csum_fold(csum_add((__u64)words[0] + words[1] + words[2] + words[3] + words[4], pseudo));
}

static __always_inline int frame_cut(struct fl_ctx *ctx, __u32 len)
{
	return bpf_xdp_adjust_tail(ctx, (int)len - (int)ctx_len(ctx));
}

static __always_inline int reset6_build(struct fl_ctx *ctx, __u32 l3, const struct fl_port *here)
{
	struct {
		struct ethhdr eth;
		struct ipv6hdr ip;
		struct tcphdr tcp;
	} __attribute__((packed)) * out;
	struct ipv6hdr *ip = pkt_at(ctx, l3, L3_MAX, sizeof(*ip));
	struct pkt in = { .l3 = l3 };
	union fl_addr src, dst;
	struct offender s = {};
	struct tcphdr tcp;
	__u32 end;

	if (!ip || !may_answer6(ip, false))
		return XDP_DROP;
	__builtin_memcpy(&src, &ip->saddr, sizeof(src));
	__builtin_memcpy(&dst, &ip->daddr, sizeof(dst));
	end = l3 + sizeof(*ip) + bpf_ntohs(ip->payload_len);
	in.proto = ip->nexthdr;
	if (ext_headers_walk(ctx, &in) || in.proto != IPPROTO_TCP || !in.l4 || end <= in.l4)
		return XDP_DROP;
	s.off = in.l4;
	s.len = end - in.l4;
	s.pseudo = csum_pseudo6(src.q, dst.q, s.len, IPPROTO_TCP);
	if (!reset_header(ctx, &s, !in.fragment, &tcp))
		return XDP_DROP;
	if (!icmp_rate_allows(src.q[0] ^ src.q[1] * 3, RATE_RESET))
		return -FL_DROP_ICMP_RATE;
	if (frame_cut(ctx, sizeof(*out)))
		return XDP_DROP;
	out = pkt_at(ctx, 0, 0, sizeof(*out));
	if (!out)
		return XDP_DROP;
	reset_sum(&tcp, csum_pseudo6(dst.q, src.q, sizeof(tcp), IPPROTO_TCP));
	__builtin_memset(out, 0, sizeof(*out));
	ethernet_answer(&out->eth, here, bpf_htons(ETH_P_IPV6));
	ipv6_answer(&out->ip, &dst, &src, sizeof(tcp), IPPROTO_TCP);
	__builtin_memcpy(&out->tcp, &tcp, sizeof(tcp));
	return XDP_PASS;
}

static __always_inline int reset4_build(struct fl_ctx *ctx, __u32 l3, const struct fl_port *here)
{
	struct {
		struct ethhdr eth;
		struct iphdr ip;
		struct tcphdr tcp;
	} __attribute__((packed)) * out;
	struct iphdr *ip = pkt_at(ctx, l3, L3_MAX, sizeof(*ip));
	struct offender s = {};
	struct tcphdr tcp;
	__be32 src, dst;
	__u32 header;
	bool whole;

	if (!ip || !may_answer4(ip) || ip->protocol != IPPROTO_TCP || ip->frag_off & bpf_htons(IP_OFFSET))
		return XDP_DROP;
	src = ip->saddr;
	dst = ip->daddr;
	header = ip->ihl * 4;
	if (bpf_ntohs(ip->tot_len) <= header)
		return XDP_DROP;
	whole = !(ip->frag_off & bpf_htons(IP_MF));
	s.off = l3 + header;
	s.len = bpf_ntohs(ip->tot_len) - header;
	s.pseudo = csum_pseudo4(src, dst, s.len, IPPROTO_TCP);
	if (!reset_header(ctx, &s, whole, &tcp))
		return XDP_DROP;
	if (!icmp_rate_allows(src, RATE_RESET))
		return -FL_DROP_ICMP_RATE;
	if (frame_cut(ctx, sizeof(*out)))
		return XDP_DROP;
	out = pkt_at(ctx, 0, 0, sizeof(*out));
	if (!out)
		return XDP_DROP;
	reset_sum(&tcp, csum_pseudo4(dst, src, sizeof(tcp), IPPROTO_TCP));
	__builtin_memset(out, 0, sizeof(*out));
	ethernet_answer(&out->eth, here, bpf_htons(ETH_P_IP));
	ipv4_answer(&out->ip, dst, src, sizeof(tcp), IPPROTO_TCP);
	__builtin_memcpy(&out->tcp, &tcp, sizeof(tcp));
	return XDP_PASS;
}

static __always_inline int reset_build(struct fl_ctx *ctx, const struct icmp_request *req, const struct fl_port *here)
{
	__u32 l3 = sizeof(*req) + req->l3;

	if (req->proto == bpf_htons(ETH_P_IPV6))
		return reset6_build(ctx, l3, here);
	return req->proto == bpf_htons(ETH_P_IP) ? reset4_build(ctx, l3, here) : XDP_DROP;
}
