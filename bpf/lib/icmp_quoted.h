/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * ICMP errors of connections (RFC 792, RFC 4443): which one an error speaks of is said by the packet that it quotes, and what was
 * translated there is turned back inside the quote (RFC 5508 4.2, 4.3). All of it is arithmetic, the same at both hooks: a quote is
 * never GSO, and with the error's own checksum mended the packet's sum stays.
 */
#pragma once

#include "lib/nat_rewrite.h"

#define QUOTE_MAX \
	0x7ff /* bytes of a quote that are read lie here at the latest: a transport header at L4_REACH, in a moved frame */
#define QUOTE_AT 8	  /* the quote behind the error's own header */
#define QUOTE_TRANSPORT 8 /* what every error quotes of a transport header (RFC 792) */

/* The packet that an error quotes, as its sender sent it. */
struct quote {
	union fl_addr src, dst; /* IPv4 mapped */
	__be16 sport,
		dport; /* ICMP queries: the identifier at the asker's end, 0 at the other; protocols without ports: 0 */
	__u8 proto;
	__u16 transport; /* offset of its transport header from the error's own; 0: in another fragment */
	__u16 checksum;	 /* offset in the transport header; 0: none, or not quoted */
	bool has_seq;
	__u32 seq; /* TCP, host order: must lie in the window of what that side has sent */
};

/* The quoted IPv4 header at `at`: addresses; says in `in` what is behind it. STAGE_GO or -FL_DROP_*. */
static __always_inline int quote_read4(struct fl_ctx *ctx, __u32 at, struct quote *q, struct pkt *in)
{
	struct iphdr *ip = pkt_at(ctx, at, QUOTE_MAX, sizeof(*ip));

	if (!ip || ip->version != 4 || ip->ihl < 5)
		return -FL_DROP_MALFORMED;
	q->src.w[2] = q->dst.w[2] = bpf_htonl(0xffff);
	q->src.w[3] = ip->saddr;
	q->dst.w[3] = ip->daddr;
	in->proto = ip->protocol;
	in->l4 = ip->frag_off & bpf_htons(IP_OFFSET) ? 0 : at + ip->ihl * 4;
	return STAGE_GO;
}

static __always_inline int quote_read6(struct fl_ctx *ctx, __u32 at, struct quote *q, struct pkt *in)
{
	struct ipv6hdr *ip = pkt_at(ctx, at, QUOTE_MAX, sizeof(*ip));

	if (!ip || ip->version != 6)
		return -FL_DROP_MALFORMED;
	__builtin_memcpy(&q->src, &ip->saddr, sizeof(q->src));
	__builtin_memcpy(&q->dst, &ip->daddr, sizeof(q->dst));
	in->l3 = at;
	in->proto = ip->nexthdr;
	return ext_headers_walk(ctx, in);
}

/* What the quoted transport header at `at` says, of which `room` bytes are there. STAGE_GO or -FL_DROP_*. */
static __always_inline int quote_read_transport(struct fl_ctx *ctx, __u32 at, __u32 room, __u8 family, struct quote *q)
{
	struct {
		__be16 sport, dport;
		__be32 seq;
	} * h;
	__u32 check = checksum_offset(family, q->proto);

	if (room < QUOTE_TRANSPORT) /* what has ports, or an identifier, must show it */
		return has_ports(q->proto) || q->proto == IPPROTO_ICMP || q->proto == IPPROTO_ICMPV6
			       ? -FL_DROP_MALFORMED
			       : STAGE_GO;
	h = pkt_at(ctx, at, QUOTE_MAX, sizeof(*h));
	if (!h)
		return -FL_DROP_MALFORMED;
	if (has_ports(q->proto)) {
		q->sport = h->sport;
		q->dport = h->dport;
		q->seq = bpf_ntohl(h->seq);
		q->has_seq = q->proto == IPPROTO_TCP;
	} else if (is_icmp_query(family, q->proto, *(__u8 *)h)) {
		bool asks = is_icmp_request(family, *(__u8 *)h);

		q->sport = asks ? h->seq : 0; /* its first half is the identifier */
		q->dport = asks ? 0 : h->seq;
	} else if (q->proto == IPPROTO_ICMP || q->proto == IPPROTO_ICMPV6) {
		return -FL_DROP_MALFORMED; /* an error about an error, or about what has no state */
	}
	q->checksum = check && check + sizeof(__u16) <= room ? check : 0;
	return STAGE_GO;
}

/* An error goes to the one whose packet it quotes: another's is forged. Its addresses as the packet has them. */
static __always_inline bool quote_is_of_receiver(struct fl_ctx *ctx, const struct pkt *pkt, const struct quote *q)
{
	struct ipv6hdr *ip6;
	struct iphdr *ip4;

	if (pkt->family == FL_INET) {
		ip4 = pkt_at(ctx, pkt->l3, L3_MAX, sizeof(*ip4));
		return ip4 && ip4->daddr == q->src.w[3];
	}
	ip6 = pkt_at(ctx, pkt->l3, L3_MAX, sizeof(*ip6));
	return ip6 && same_addr((const union fl_addr *)&ip6->daddr, &q->src);
}

/*
 * Reads what the ICMP error at pkt->l4 quotes. Its state is the one of that packet, which the error meets. Returns STAGE_GO, or
 * -FL_DROP_*: there is none, or too little of it; an error is quoted, or another's packet, or a fragment whose ports are in another one.
 */
GLOBAL int quote_read(struct fl_ctx *ctx, struct pkt *pkt, struct quote *q)
{
	struct pkt in = {};
	__u32 at, end;
	int r;

	if (!pkt || !q)
		return -FL_DROP_INTERNAL;
	__builtin_memset(q, 0, sizeof(*q));
	if (pkt->frag)
		return -FL_DROP_FRAGMENT; /* no error is so big */
	ctx_pull(ctx, QUOTE_MAX);
	at = pkt->l4 + QUOTE_AT;
	end = pkt->l3 + pkt->len;
	r = pkt->family == FL_INET6 ? quote_read6(ctx, at, q, &in) : quote_read4(ctx, at, q, &in);
	if (r)
		return r;
	q->proto = in.proto;
	if (!quote_is_of_receiver(ctx, pkt, q))
		return -FL_DROP_MALFORMED;
	if (!in.l4)
		return has_ports(q->proto) || q->proto == IPPROTO_ICMP || q->proto == IPPROTO_ICMPV6 ? -FL_DROP_FRAGMENT
												     : STAGE_GO;
	r = quote_read_transport(ctx, in.l4, end > in.l4 ? end - in.l4 : 0, pkt->family, q);
	q->transport = in.l4 - pkt->l4;
	return r;
}

/*
 * What becomes of the error's own addresses, as the quoted packet becomes `to`. It goes to who sent that. Its source is the one that the
 * packet was for, who becomes that of before; or a router on the way: on the translated side it takes the same address, which
 * hides its own (RFC 5508 REQ-5 c), on the other it keeps its own. `npt`: prefixes are translated, which a router may be in, too.
 */
static __always_inline void quote_outer(const union fl_addr *src, const struct quote *q, const struct rewrite *to,
					const struct fl_npt *npt, struct rewrite *outer)
{
	bool same = same_addr(src, &q->dst), translated = !same_addr(&to->dst, &q->dst);

	__builtin_memset(outer, 0, sizeof(*outer));
	outer->dst = to->src;
	outer->src = same || (translated && !npt) ? to->dst : *src;
	if (!same && translated && npt)
		fl_npt_to_external(npt, &outer->src);
}

/* The addresses of the quoted IP header at `at`. 0, or -1: it is out of reach. */
static __always_inline int quote_write_addresses(struct fl_ctx *ctx, __u32 at, __u8 family, const struct rewrite *to,
						 struct change *c)
{
	struct ipv6hdr *ip6;
	struct iphdr *ip4;

	if (family == FL_INET) {
		ip4 = pkt_at(ctx, at, QUOTE_MAX, sizeof(*ip4));
		if (!ip4)
			return -1;
		ip4_write(ip4, to, c);
		return 0;
	}
	ip6 = pkt_at(ctx, at, QUOTE_MAX, sizeof(*ip6));
	if (!ip6)
		return -1;
	ip6_write(ip6, to, c);
	return 0;
}

/* The quoted transport header of the error at l4: ports, and the checksum where there is one. Adds to *c what changed. */
static __always_inline int quote_write_transport(struct fl_ctx *ctx, __u32 l4, __u8 family, const struct quote *q,
						 const struct rewrite *to, __u32 addresses, struct change *c)
{
	struct change port = {};
	struct transport *h;
	__u16 *check, was;

	if (has_transport(q->proto)) {
		h = pkt_at(ctx, l4 + q->transport, QUOTE_MAX, sizeof(*h));
		if (!h)
			return -1;
		ports_write(h, family, q->proto, to, &port);
	}
	c->before += port.before;
	c->after += port.after;
	if (!q->checksum)
		return 0;
	check = pkt_at(ctx, l4 + q->transport + q->checksum, QUOTE_MAX, sizeof(*check));
	if (!check)
		return -1;
	was = *check;
	*check = checksum_mend(was, q->proto, q->proto == IPPROTO_ICMP ? 0 : addresses, change_of(&port));
	c->before += was;
	c->after += *check;
	return 0;
}

/*
 * Writes into the quote of the error at l4 what its packet was at the receiver of the error, and mends the error's own checksum. `q`: of
 * quote_read(). The error's own addresses are nat_rewrite()'s. Returns STAGE_GO or -FL_DROP_INTERNAL.
 */
GLOBAL int quote_rewrite(struct fl_ctx *ctx, struct pkt *pkt, __u32 l4, const struct quote *q, const struct rewrite *to)
{
	struct change all;
	__u32 addresses;
	__u16 *check;

	if (!pkt || !q || !to)
		return -FL_DROP_INTERNAL;
	ctx_pull(ctx, QUOTE_MAX);
	if (quote_write_addresses(ctx, l4 + QUOTE_AT, pkt->family, to, &all))
		return -FL_DROP_INTERNAL;
	addresses = change_of(&all);
	if (pkt->family == FL_INET) /* with its checksum, the header's sum stays */
		all.before = all.after = 0;
	if (q->transport && quote_write_transport(ctx, l4, pkt->family, q, to, addresses, &all))
		return -FL_DROP_INTERNAL;
	check = pkt_at(ctx, l4 + 2, L4_MAX, sizeof(*check));
	if (!check)
		return -FL_DROP_INTERNAL;
	*check = checksum_mend(*check, pkt->proto, change_of(&all), 0);
	return STAGE_GO;
}
