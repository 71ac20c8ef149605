/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Address translation of packets: headers and checksums. Both hooks write the same bytes: by arithmetic in XDP; at tc, where a
 * checksum may be left to a device, or a device may have summed the packet up, by the kernel's helper.
 */
#pragma once

#include "lib/npt.h"

/* What a packet's addresses and ports become: those of the other element of its state, as the packet's sender is the source. */
struct rewrite {
	union fl_addr src, dst; /* IPv4 mapped */
	__be16 sport,
		dport; /* ICMP queries: the identifier at the asker's end, 0 at the other; protocols without ports: not looked at */
};

static __always_inline bool same_addr(const union fl_addr *a, const union fl_addr *b)
{
	return a->q[0] == b->q[0] && a->q[1] == b->q[1];
}

/* Sums, one's complement, of what was written, before and after; less than 2^16 words. */
struct change {
	__u64 before, after;
};

/* By how much a sum has grown: 0 to 0xfffe. Not at all is 0, which a checksum need not be told. */
static __always_inline __u32 change_of(const struct change *c)
{
	__u32 diff = csum_fold((__u64)csum_fold(c->after) + (__u16)~csum_fold(c->before));

	return (diff + ((diff + 1) >> 16)) & 0xffff;
}

/* 0 says that there is no checksum (RFC 768); one that is 0 is sent as 0xffff. */
static __always_inline bool zero_is_no_checksum(__u8 proto)
{
	return proto == IPPROTO_UDP || proto == IPPROTO_UDPLITE;
}

/* Messages that a state can be made for: their identifier, at offset 4, takes the place of ports. */
static __always_inline bool is_icmp_query(__u8 family, __u8 proto, __u8 type)
{
	if (family == FL_INET6)
		return proto == IPPROTO_ICMPV6 && (type == ICMP6_ECHO || type == ICMP6_ECHO + 1);
	return proto == IPPROTO_ICMP && (type == 8 || type == 0 || type == 13 || type == 14);
}

/* Of those, the ones that ask. */
static __always_inline bool is_icmp_request(__u8 family, __u8 type)
{
	return family == FL_INET6 ? type == ICMP6_ECHO : type == 8 || type == 13;
}

/* SCTP's CRC covers the ports, and can't be mended without a look at the whole packet: they stay. */
static __always_inline bool can_change_ports(__u8 proto)
{
	return has_ports(proto) && proto != IPPROTO_SCTP;
}

/* Where the checksum lies in a transport header whose ports or addresses may change; 0: it has none that counts them. */
static __always_inline __u32 checksum_offset(__u8 family, __u8 proto)
{
	if (proto == IPPROTO_ICMP)
		return family == FL_INET ? 2 : 0;
	return proto == IPPROTO_ICMPV6 && family == FL_INET ? 0 : pseudo_checksum_offset(proto);
}

/*
 * The checksum of a transport header after its pseudo-header grew by `addresses`, its ports by `ports`. It comes out as from a sum of
 * the whole packet: not as the other one of the two zeros.
 */
static __always_inline __u16 checksum_mend(__u16 check, __u8 proto, __u32 addresses, __u32 ports)
{
	__u16 is;

	if ((check == 0 && zero_is_no_checksum(proto)) || !(addresses | ports))
		return check;
	is = ~csum_fold((__u64)(__u16)~check + addresses + ports);
	return is == 0 && zero_is_no_checksum(proto) ? 0xffff : is;
}

/* The addresses of an IPv4 header, and its checksum. */
static __always_inline void ip4_write(struct iphdr *ip, const struct rewrite *to, struct change *c)
{
	c->before = (__u64)ip->saddr + ip->daddr;
	c->after = (__u64)to->src.w[3] + to->dst.w[3];
	ip->check = csum_replace(ip->check, c->before, c->after);
	ip->saddr = to->src.w[3];
	ip->daddr = to->dst.w[3];
}

static __always_inline void ip6_write(struct ipv6hdr *ip, const struct rewrite *to, struct change *c)
{
	union fl_addr *at = (union fl_addr *)&ip->saddr;

	c->before = addr_sum(&at[0]) + addr_sum(&at[1]);
	c->after = addr_sum(&to->src) + addr_sum(&to->dst);
	__builtin_memcpy(&at[0], &to->src, sizeof(*at));
	__builtin_memcpy(&at[1], &to->dst, sizeof(*at));
}

/* How the transport headers begin whose ports, or identifiers, change. */
struct transport {
	__be16 sport, dport;
	__be16 id;
};

static __always_inline void ports_write(struct transport *h, __u8 family, __u8 proto, const struct rewrite *to,
					struct change *c)
{
	c->before = c->after = 0;
	if (can_change_ports(proto)) {
		c->before = h->sport + h->dport;
		c->after = to->sport + to->dport;
		h->sport = to->sport;
		h->dport = to->dport;
	} else if (is_icmp_query(family, proto, *(__u8 *)h)) {
		c->before = h->id;
		c->after = to->sport | to->dport;
		h->id = to->sport | to->dport;
	}
}

/* Protocols whose header ports_write() knows. */
static __always_inline bool has_transport(__u8 proto)
{
	return can_change_ports(proto) || proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6;
}

/* The addresses of the IP header at l3. 0, or -1: it is out of reach. */
static __always_inline int addresses_write(struct fl_ctx *ctx, const struct pkt *pkt, __u32 l3,
					   const struct rewrite *to, struct change *c)
{
	struct ipv6hdr *ip6;
	struct iphdr *ip4;

	if (pkt->family == FL_INET) {
		ip4 = pkt_at(ctx, l3, L3_MAX, sizeof(*ip4));
		if (!ip4)
			return -1;
		ip4_write(ip4, to, c);
		return 0;
	}
	ip6 = pkt_at(ctx, l3, L3_MAX, sizeof(*ip6));
	if (!ip6)
		return -1;
	ip6_write(ip6, to, c);
	/* of an IPv4 header the sum stays; and the helper that mends a transport checksum takes every packet for IPv4 */
	ctx_sum_changed(ctx, csum_fold(c->before), csum_fold(c->after));
	return 0;
}

/* The transport checksum, at `off`, after ports_write(). */
static __always_inline int checksum_write(struct fl_ctx *ctx, const struct pkt *pkt, __u32 off, __u32 addresses,
					  const struct change *port)
{
	__u16 *check = pkt_at(ctx, off, L4_MAX, sizeof(*check));
	__u32 ports = change_of(port);

	if (!check)
		return -1;
	if (*check == 0 && zero_is_no_checksum(pkt->proto)) {
		ctx_sum_changed(ctx, csum_fold(port->before), csum_fold(port->after)); /* nothing makes up for it */
		return 0;
	}
#ifdef CTX_IS_SKB
	__u64 zero = zero_is_no_checksum(pkt->proto) ? BPF_F_MARK_MANGLED_0 : 0;

	/*
	 * In two steps: a sender that left the sum to its device has put in that of the pseudo-header alone; and of the ports the kernel
	 * knows by itself that the sum of the whole packet stays
	 */
	off &= L4_MAX;
	if (addresses && bpf_l4_csum_replace(ctx, off, 0, addresses, BPF_F_PSEUDO_HDR | zero))
		return -1;
	if (ports && bpf_l4_csum_replace(ctx, off, 0, ports, zero))
		return -1;
#else
	*check = checksum_mend(*check, pkt->proto, addresses, ports);
#endif
	return 0;
}

/*
 * Writes the addresses of the IP header at l3, the ports or the identifier of the transport header at l4 (0: a later fragment, which
 * has none), and their checksums; a first fragment's is the whole datagram's, and mended all the same. Returns STAGE_GO, or
 * -FL_DROP_INTERNAL where a header is out of reach, which no packet is that was parsed.
 */
GLOBAL int nat_rewrite(struct fl_ctx *ctx, struct pkt *pkt, __u32 l3, __u32 l4, const struct rewrite *to)
{
	struct change addr, port = {};
	__u32 check, addresses;
	struct transport *h;

	if (!pkt || !to || addresses_write(ctx, pkt, l3, to, &addr))
		return -FL_DROP_INTERNAL;
	if (!l4)
		return STAGE_GO;
	if (has_transport(pkt->proto)) {
		h = pkt_at(ctx, l4, L4_MAX, sizeof(*h));
		if (!h)
			return -FL_DROP_INTERNAL;
		ports_write(h, pkt->family, pkt->proto, to, &port);
	}
	check = checksum_offset(pkt->family, pkt->proto);
	addresses = pkt->proto == IPPROTO_ICMP ? 0 : change_of(&addr); /* it has no pseudo-header */
	if (check && checksum_write(ctx, pkt, l4 + check, addresses, &port))
		return -FL_DROP_INTERNAL;
	return STAGE_GO;
}
