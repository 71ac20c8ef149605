/* SPDX-License-Identifier: GPL-2.0-only */
/* The far end of lib/icmp.h: an icmp_request and the packet in error become the ICMP or ICMPv6 error (RFC 792, RFC 4443). */
#pragma once

#include "lib/icmp.h"

#define ICMP_HLEN 8
#define ICMP6_QUOTE_MAX (1280 - sizeof(struct ipv6hdr) - ICMP_HLEN) /* RFC 4443 2.4 (c) */
#define ICMP4_QUOTE_MAX (576 - sizeof(struct iphdr) - ICMP_HLEN)    /* RFC 1812 4.3.2.3 */
#define ICMP_RATE_MS 10						    /* a token each; RFC 4443 2.4 (f) */
#define ICMP_BURST 50

struct icmp_bucket {
	__u32 stamp; /* low word of jiffies64 */
	__u32 tokens;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2 * FL_ICMP_BUCKETS);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct icmp_bucket);
} fl_icmp_rate SEC(".maps");

/*
 * Whose bucket is whose, nobody outside can work out (fl_secret). What says Packet Too Big has buckets of its own: they are
 * not for others to empty, since without it a path is a black hole.
 */
static __always_inline bool icmp_rate_allows(__u64 who, bool too_big)
{
	__u64 hash = (who ^ fl_secret) * 0x9e3779b97f4a7c15ULL;
	__u32 slot, now = bpf_jiffies64();
	struct icmp_bucket *b;
	__u64 new;

	hash = (hash ^ hash >> 32) * 0xd6e8feb86659fd93ULL;
	slot = (hash >> 32) % FL_ICMP_BUCKETS + (too_big ? FL_ICMP_BUCKETS : 0);
	b = bpf_map_lookup_elem(&fl_icmp_rate, &slot);
	if (!b)
		return false;
	new = (__u64)(now - b->stamp) * 1000 / fl_hz / ICMP_RATE_MS;
	if (new) {
		b->tokens = b->tokens + new > ICMP_BURST ? ICMP_BURST : b->tokens + new;
		b->stamp = now;
	}
	if (b->tokens == 0)
		return false;
	b->tokens--;
	return true;
}

/* RFC 4443 2.4 (e), RFC 1122 3.2.2: no error about an error, a multicast (but too big), or from nobody. */
static __always_inline bool icmp6_may_answer(struct fl_ctx *ctx, const struct ipv6hdr *ip, __u32 l3, __u8 type)
{
	const union fl_addr *src = (const union fl_addr *)&ip->saddr;
	struct pkt in = { .l3 = l3, .proto = ip->nexthdr };
	__u8 *icmp;

	if (src->b[0] == 0xff || (src->q[0] == 0 && src->q[1] == 0))
		return false;
	if (ip->daddr.s6_addr[0] == 0xff && type != 2)
		return false;
	if (ext_headers_walk(ctx, &in))
		return false;
	if (in.proto != IPPROTO_ICMPV6 || (!in.l4 && in.fragment)) /* what a later fragment is of, nobody can tell */
		return true;
	icmp = in.l4 ? pkt_at(ctx, in.l4, L4_MAX, 1) : NULL;
	return icmp && *icmp >= ICMP6_ECHO && *icmp != 137; /* redirect */
}

/* Addresses were looked at before (scope_check4()): IPv4 errors are of what came in to be forwarded, never of the router's own. */
static __always_inline bool icmp4_may_answer(struct fl_ctx *ctx, const struct iphdr *ip, __u32 l3)
{
	__u8 *icmp;

	if (ip->frag_off & bpf_htons(IP_OFFSET))
		return false;
	if (ip->protocol != IPPROTO_ICMP)
		return true;
	icmp = pkt_at(ctx, l3 + ip->ihl * 4, L4_MAX, 1);
	return icmp && (*icmp == 8 || *icmp == 0 || *icmp >= 13); /* echo, and the queries */
}

/* Sum of `len` bytes at `off`, `len` at most ICMP6_QUOTE_MAX. */
GLOBAL __u64 packet_sum(struct fl_ctx *ctx, __u32 off, __u32 len)
{
	__u64 sum = 0;
	__u32 i;

	for (i = 0; i < ICMP6_QUOTE_MAX / 8 && len >= 8; i++, off += 8, len -= 8) {
		__u64 *p = pkt_at(ctx, off, 0x7ff, 8);

		if (!p)
			return 0;
		sum = csum_add(sum, *p);
	}
	for (i = 0; i < 3 && len >= 2; i++, off += 2, len -= 2) {
		__u16 *p = pkt_at(ctx, off, 0x7ff, 2);

		if (!p)
			return 0;
		sum = csum_add(sum, *p);
	}
	if (len) {
		__u8 *p = pkt_at(ctx, off, 0x7ff, 1);

		if (!p)
			return 0;
		sum = csum_add(sum, bpf_htons((__u16)*p << 8));
	}
	return sum;
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
	if (!icmp_rate_allows(to.q[0] ^ to.q[1] * 3, req->type == 2))
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
	__builtin_memcpy(out->eth.h_dest, here->mac, ETH_ALEN);
	out->eth.h_source[0] = ICMP_REQUEST_MARK;
	out->eth.h_proto = bpf_htons(ETH_P_IPV6);
	out->ip.version = 6;
	out->ip.payload_len = bpf_htons(quote + ICMP_HLEN);
	out->ip.nexthdr = IPPROTO_ICMPV6;
	out->ip.hop_limit = 64;
	__builtin_memcpy(&out->ip.saddr, &answers->addr6, sizeof(to));
	__builtin_memcpy(&out->ip.daddr, &to, sizeof(to));
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
	__u32 header[5] = {};
	__be32 to;
	__u64 sum;

	if (!ip || !icmp4_may_answer(ctx, ip, l3) || !answers->addr4)
		return XDP_DROP;
	to = ip->saddr;
	if (!icmp_rate_allows(to, req->type == 3 && req->code == 4))
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
	__builtin_memcpy(out->eth.h_dest, here->mac, ETH_ALEN);
	out->eth.h_source[0] = ICMP_REQUEST_MARK;
	out->eth.h_proto = bpf_htons(ETH_P_IP);
	out->ip.version = 4;
	out->ip.ihl = 5;
	out->ip.tot_len = bpf_htons(quote + sizeof(struct iphdr) + ICMP_HLEN);
	out->ip.frag_off = bpf_htons(IP_DF);
	out->ip.ttl = 64;
	out->ip.protocol = IPPROTO_ICMP;
	out->ip.saddr = answers->addr4;
	out->ip.daddr = to;
	__builtin_memcpy(header, &out->ip, sizeof(header));
	out->ip.check = ~csum_fold((__u64)header[0] + header[1] + header[2] + header[3] + header[4]);
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
	int r = XDP_DROP;

	if (!here || !in || in->mark != ICMP_REQUEST_MARK)
		return XDP_DROP;
	req = *in;
	if (req.l3 > 60 || ctx_len(ctx) < sizeof(req) + req.l3 + sizeof(struct iphdr))
		return XDP_DROP;
	answers = port_get(set, bpf_ntohs(req.port));
	if (!answers)
		return XDP_DROP;
	if (req.proto == bpf_htons(ETH_P_IPV6))
		r = icmp6_build(ctx, &req, answers, here);
	else if (req.proto == bpf_htons(ETH_P_IP))
		r = icmp4_build(ctx, &req, answers, here);
	if (r == -FL_DROP_ICMP_RATE) {
		drop_count(bpf_ntohs(req.port), FL_DROP_ICMP_RATE, ctx_len(ctx));
		return XDP_DROP;
	}
	return r;
}
