/* SPDX-License-Identifier: GPL-2.0-only */
/* The pieces of translation in a program of their own, one for each hook: frames in, and what `io` says. */
#pragma once

#include "lib/fragment.h"
#include "lib/icmp_quoted.h"
#include "lib/transport.h"
#include "selftests/prog/nat.h"

char _license[] SEC("license") = "GPL";

struct nat_io io;

static __always_inline int body_parse(struct fl_ctx *ctx, struct pkt *pkt)
{
	struct ethhdr *eth = pkt_at(ctx, 0, 0, sizeof(*eth));
	__u32 room = ctx_room(ctx) - ETH_HLEN;
	int r = -FL_DROP_MALFORMED;

	if (!eth)
		return r;
	pkt->l3 = pkt->outer = ETH_HLEN;
	if (eth->h_proto == bpf_htons(ETH_P_IPV6))
		r = ipv6_parse(ctx, pkt, room);
	else if (eth->h_proto == bpf_htons(ETH_P_IP))
		r = ipv4_parse(ctx, pkt, room, true);
	return r ? r : transport_check(pkt);
}

static __always_inline bool body_addresses(struct fl_ctx *ctx, const struct pkt *pkt, union fl_addr *src,
					   union fl_addr *dst)
{
	struct ipv6hdr *ip6 = pkt_at(ctx, pkt->l3, L3_MAX, sizeof(*ip6));
	struct iphdr *ip4 = pkt_at(ctx, pkt->l3, L3_MAX, sizeof(*ip4));

	if (pkt->family == FL_INET6 && ip6) {
		__builtin_memcpy(src, &ip6->saddr, sizeof(*src));
		__builtin_memcpy(dst, &ip6->daddr, sizeof(*dst));
		return true;
	}
	if (pkt->family != FL_INET || !ip4)
		return false;
	src->w[2] = dst->w[2] = bpf_htonl(0xffff);
	src->w[3] = ip4->saddr;
	dst->w[3] = ip4->daddr;
	return true;
}

static __always_inline int body_quote(struct fl_ctx *ctx, struct pkt *pkt, const struct rewrite *to,
				      const union fl_addr *src)
{
	const struct fl_npt *npt = io.npt ? npt_get(io.npt) : NULL;
	const __u8 *icmp = pkt->l4 ? pkt_at(ctx, pkt->l4, L4_MAX, 1) : NULL;
	struct rewrite outer;
	struct quote q = {};
	int r;

	io.is_error = icmp && message_of(pkt, *icmp) == MESSAGE_ERROR;
	if (!io.is_error)
		return STAGE_GO;
	r = quote_read(ctx, pkt, &q);
	if (r)
		return r;
	io.quoted.src = q.src;
	io.quoted.dst = q.dst;
	io.quoted.sport = q.sport;
	io.quoted.dport = q.dport;
	io.proto = q.proto;
	io.has_seq = q.has_seq;
	io.seq = q.seq;
	quote_outer(src, &q, to, npt, &outer);
	r = quote_rewrite(ctx, pkt, pkt->l4, &q, to);
	return r ? r : nat_rewrite(ctx, pkt, pkt->l3, pkt->l4, &outer);
}

static __always_inline int body_fragment(struct pkt *pkt, const union fl_addr *src, const union fl_addr *dst)
{
	__be16 sport = io.to.sport, dport = io.to.dport;
	int r;

	if (!fragment_is_later(pkt))
		return fragment_remember(pkt, src, dst, sport, dport);
	r = fragment_find(pkt, src, dst, &sport, &dport);
	io.to.sport = sport;
	io.to.dport = dport;
	io.proto = pkt->proto;
	return r;
}

static __always_inline int body(struct fl_ctx *ctx)
{
	struct rewrite to = { io.to.src, io.to.dst, io.to.sport, io.to.dport };
	union fl_addr src = {}, dst = {};
	struct pkt pkt = {};
	int r = body_parse(ctx, &pkt);

	if (!r && !body_addresses(ctx, &pkt, &src, &dst))
		r = -FL_DROP_INTERNAL;
	if (r)
		return r;
	if (io.part == NAT_QUOTE)
		return body_quote(ctx, &pkt, &to, &src);
	if (io.part == NAT_FRAGMENT)
		return body_fragment(&pkt, &src, &dst);
	return nat_rewrite(ctx, &pkt, pkt.l3, pkt.l4, &to);
}
