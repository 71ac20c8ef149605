/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the pipeline knows of a packet, and how it reads headers. Offsets count from the start of the frame; every read
 * checks its bounds again, since helpers move packets.
 */
#pragma once

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>

#include "lib/csum.h"
#include "lib/drop.h"
#include "lib/port.h"

#define L3_MAX 0x7f  /* an IP header that is routed starts here at the latest: 18 + 60 */
#define L4_MAX 0x3ff /* bytes that are read of the transport header lie here at the latest */
/* where it starts at the latest: it may move by an outer header and a tag, and up to 60 bytes of it are read */
#define L4_REACH (L4_MAX - 24 - 64)

#define IP_DF 0x4000
#define IP_MF 0x2000
#define IP_OFFSET 0x1fff

#define ICMP6_ECHO 128 /* types below are errors (RFC 4443 2.1) */

/* What a stage says. Negative: -(enum fl_drop). */
enum stage {
	STAGE_GO = 0,	    /* on to the next stage */
	STAGE_PASS = 1,	    /* not fairlead's, or for the floor below: untouched */
	STAGE_DELIVER = 2,  /* the host shall have it */
	STAGE_ERROR = 3,    /* drop it and answer with pkt.icmp_*; the reason is in pkt.reason */
	STAGE_FRAGMENT = 4, /* the kernel shall fragment and forward it */
};

struct pkt {
	__u32 l2_port;	/* port that the frame came in by */
	__u32 port;	/* that the packet came in by: the tunnel's once it is decapsulated */
	__u32 endpoint; /* decapsulated from; 0: plain */
	__u32 len;	/* of the IP packet that is routed, its header included */
	__u16 outer;	/* offset of the first IP header */
	__u16 l3;	/* of the one that is routed */
	__u16 l4;	/* of its transport header; 0: not in this packet, or not known */
	__u8 family;	/* enum fl_family of the packet that is routed */
	__u8 proto;	/* its transport protocol */
	__u8 tos;	/* its TOS or traffic class */
	__u8 hops;	/* its TTL or hop limit */
	__u8 outer_tos; /* before decapsulation */
	bool df;	/* may not be fragmented: IPv6, or IPv4 with DF */
	bool fragment;	/* part of a fragmented packet */
	__u16 frag;	/* of a fragment: its offset in units of 8 bytes, and IP_MF */
	__u32 frag_id;	/* the identification that all its fragments have, as it lies there */
	bool taken;	/* the outer header is a tunnel's */
	bool judged;	/* policy is on: lib/policy.h has decided, lib/policy_commit.h carries out */
	bool hidden;	/* came in by the hidden end of a tunnel's device: the router's own */
	__u8 icmp_type, icmp_code;
	__u16 reason;	  /* enum fl_drop with STAGE_ERROR */
	__u32 icmp_value; /* MTU or pointer */
	__u32 gen;	  /* of the configuration in force, read once … */
	__u32 set;	  /* … and the set of tables that it says */
	__u32 npt_failed; /* the translation that could not do it */
	__u32 blame;	  /* the port whose drop it is; 0: `port`'s */
};

/* Pointer to `size` bytes at `off` (at most `max`), or NULL. */
#define pkt_at(ctx, off, max, size) \
	({ \
		__u32 __off = (off); \
		void *__p; \
		hide(__off); \
		__p = ctx_data(ctx) + (__off & (max)); \
		__p + (size) <= ctx_end(ctx) ? __p : (void *)0; \
	})

/* Copies `len` bytes at `off`, wherever they lie: 1 to `max`, a power of two, in words that Linux 6.1 understands. How many; 0: it can't. */
static __always_inline __u32 pkt_copy(struct fl_ctx *ctx, __u32 off, void *to, __u32 len, __u32 max)
{
	len--;
	hide(len);
	len = (len & (max - 1)) + 1;
	return ctx_load_bytes(ctx, off, to, len) ? 0 : len;
}

/*
 * Splits off the Ethernet header and an 802.1Q tag (802.1ad numbers other VLANs: not ours). *vid 0: none. *proto: of the
 * payload, network order. Returns its length or <0.
 */
static __always_inline int ethernet_parse(struct fl_ctx *ctx, __u16 *vid, __be16 *proto)
{
	struct ethhdr *eth = pkt_at(ctx, 0, 0, sizeof(*eth));
	struct {
		__be16 tci, proto;
	} * tag;

	*vid = 0;
	if (!eth)
		return -1;
	*proto = *(const __be16 *)((const void *)eth + offsetof(struct ethhdr, h_proto));
	if (*proto != bpf_htons(ETH_P_8021Q))
		return ETH_HLEN;
	tag = pkt_at(ctx, ETH_HLEN, 0x1f, sizeof(*tag));
	if (!tag)
		return -1;
	*vid = bpf_ntohs(tag->tci) & 0xfff;
	*proto = tag->proto;
	return ETH_HLEN + sizeof(*tag);
}

static __always_inline bool ethernet_is_for(struct fl_ctx *ctx, const struct fl_port *port)
{
	struct ethhdr *eth = pkt_at(ctx, 0, 0, sizeof(*eth));

	const __u16 *to = (const __u16 *)eth, *mac = (const __u16 *)port->mac;

	return eth && !((to[0] ^ mac[0]) | (to[1] ^ mac[1]) | (to[2] ^ mac[2]));
}

/*
 * Walks the extension headers of the IPv6 packet at pkt->l3 to the transport header: sets proto, l4 and fragment.
 * Returns STAGE_GO, or -FL_DROP_* for a malformed chain (RFC 8200 4), for one that is longer than can be looked at (no rule could
 * judge such a packet, nor a translation mend its checksum) and for a source route. A later fragment leaves l4 at 0.
 */
GLOBAL int ext_headers_walk(struct fl_ctx *ctx, struct pkt *pkt)
{
	__u32 off;
	__u8 next;

	if (!pkt)
		return -FL_DROP_INTERNAL;
	off = pkt->l3 + sizeof(struct ipv6hdr);
	next = pkt->proto;
	pkt->l4 = 0;
	ctx_pull(ctx, L4_MAX);
	/* as a loop the compiler may lay it out so that its end falls through to its head, which Linux 6.1 refuses */
#pragma unroll
	for (int i = 0; i <= FL_EXT_HEADERS_MAX; i++) {
		__u8 *h;

		pkt->proto = next;
		if (next == IPPROTO_NONE)
			return STAGE_GO;
		if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING && next != IPPROTO_DSTOPTS &&
		    next != IPPROTO_FRAGMENT && next != IPPROTO_AH) {
			pkt->l4 = off;
			return off <= L4_REACH ? STAGE_GO : -FL_DROP_EXT_HEADERS;
		}
		if (i == FL_EXT_HEADERS_MAX || off > L4_REACH)
			return -FL_DROP_EXT_HEADERS;
		h = pkt_at(ctx, off, L4_MAX, 8);
		if (!h)
			return -FL_DROP_MALFORMED;
		if (next == IPPROTO_FRAGMENT) {
			__u16 frag = bpf_ntohs(*(__be16 *)(h + 2));

			pkt->fragment = true;
			pkt->frag = frag >> 3 | (frag & 1 ? IP_MF : 0);
			pkt->frag_id = *(__be32 *)(h + 4);
			if (frag >> 3) { /* the transport header is in another */
				pkt->proto = h[0];
				return STAGE_GO;
			}
			off += 8;
		} else if (next == IPPROTO_AH) {
			off += ((__u32)h[1] + 2) * 4;
		} else {
			/* type 0 with segments left lets a sender choose the way: deprecated by RFC 5095, as pf and routers drop it */
			if (next == IPPROTO_ROUTING && !h[2] && h[3])
				return -FL_DROP_SOURCE_ROUTE;
			off += ((__u32)h[1] + 1) * 8;
		}
		next = h[0];
	}
	return -FL_DROP_EXT_HEADERS;
}

static __always_inline bool has_ports(__u8 proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_SCTP || proto == IPPROTO_DCCP ||
	       proto == IPPROTO_UDPLITE;
}

/* Reads the IPv6 header at pkt->l3; `room`: bytes of the frame from there. Returns STAGE_GO or -FL_DROP_*. */
static __always_inline int ipv6_read(struct fl_ctx *ctx, struct pkt *pkt, __u32 room)
{
	struct ipv6hdr *ip = pkt_at(ctx, pkt->l3, L3_MAX, sizeof(*ip));

	if (!ip || ip->version != 6)
		return -FL_DROP_MALFORMED;
	pkt->len = bpf_ntohs(ip->payload_len) + sizeof(*ip);
	if (pkt->len == sizeof(*ip) && ip->nexthdr == IPPROTO_HOPOPTS)
		pkt->len = room; /* jumbogram, or BIG TCP */
	if (pkt->len > room)
		return -FL_DROP_MALFORMED;
	pkt->family = FL_INET6;
	pkt->hops = ip->hop_limit;
	pkt->tos = (bpf_ntohs(*(__be16 *)ip) >> 4) & 0xff;
	pkt->df = true;
	pkt->proto = ip->nexthdr;
	pkt->l4 = pkt->l3 + sizeof(*ip);
	return STAGE_GO;
}

/* The same, and the extension headers behind it. */
static __always_inline int ipv6_parse(struct fl_ctx *ctx, struct pkt *pkt, __u32 room)
{
	int r = ipv6_read(ctx, pkt, room);

	if (r || pkt->proto == IPPROTO_TCP || pkt->proto == IPPROTO_UDP || pkt->proto == IPPROTO_ICMPV6)
		return r;
	return ext_headers_walk(ctx, pkt);
}

/* The sum of the options of the IPv4 header at pkt->l3, `end` words long; ~0: they are cut off. */
static __always_inline __u64 ipv4_options_sum(struct fl_ctx *ctx, const struct pkt *pkt, __u32 end)
{
	__u64 sum = 0;

	for (int i = 5; i < 15 && i < end; i++) {
		const __u32 *option = pkt_at(ctx, pkt->l3 + i * 4, L3_MAX, sizeof(*option));

		if (!option)
			return ~0ULL;
		sum += *option;
	}
	return sum;
}

/*
 * Reads the IPv4 header at pkt->l3; `room`: bytes of the frame from there; `options`: it may have some. Returns STAGE_GO or
 * -FL_DROP_*. RFC 1812 5.2.2: no header is believed, or forwarded, whose checksum is wrong.
 */
static __always_inline int ipv4_parse(struct fl_ctx *ctx, struct pkt *pkt, __u32 room, bool options)
{
	struct iphdr *ip = pkt_at(ctx, pkt->l3, L3_MAX, sizeof(*ip));
	const __u32 *words = (const __u32 *)ip;
	__u32 len;
	__u64 sum;
	__u16 frag;

	if (!ip || ip->version != 4 || ip->ihl < 5 || (!options && ip->ihl > 5))
		return -FL_DROP_MALFORMED;
	len = options ? ip->ihl * 4 : sizeof(*ip);
	pkt->len = bpf_ntohs(ip->tot_len);
	if (pkt->len > room || pkt->len < len)
		return -FL_DROP_MALFORMED;
	sum = options ? ipv4_options_sum(ctx, pkt, len / 4) : 0;
	if (sum == ~0ULL || csum_fold(sum + words[0] + words[1] + words[2] + words[3] + words[4]) != 0xffff)
		return -FL_DROP_MALFORMED;
	frag = bpf_ntohs(ip->frag_off);
	pkt->family = FL_INET;
	pkt->hops = ip->ttl;
	pkt->tos = ip->tos;
	pkt->df = frag & IP_DF;
	pkt->fragment = frag & (IP_MF | IP_OFFSET);
	pkt->frag = frag & (IP_MF | IP_OFFSET);
	pkt->frag_id = ip->id;
	pkt->proto = ip->protocol;
	pkt->l4 = frag & IP_OFFSET ? 0 : pkt->l3 + len;
	return STAGE_GO;
}

#define SCTP_CHECKSUM 8 /* offset of the CRC32c (RFC 9260 3.1) */

/* A sender that leaves the CRC to its device leaves it 0; once in four billion packets it is 0. */
static __always_inline bool crc_is_unfinished(struct fl_ctx *ctx, const struct pkt *pkt)
{
	__u32 *crc = pkt_at(ctx, pkt->l4 + SCTP_CHECKSUM, L4_MAX, sizeof(*crc));

	return crc && *crc == 0;
}

/* The headers that checksum_is_unfinished() looks at: the routed ones, or those in a 6in4 packet that only passes by. */
static __always_inline bool checksum_headers(struct fl_ctx *ctx, const struct pkt *pkt, struct pkt *at)
{
	struct ipv6hdr *ip;

	at->l3 = pkt->l3;
	at->l4 = pkt->l4;
	at->len = pkt->len;
	at->proto = pkt->proto;
	at->family = pkt->family;
	if (pkt->proto != IPPROTO_IPV6 || !pkt->l4)
		return pkt->l4;
	ip = pkt_at(ctx, pkt->l4, L4_MAX, sizeof(*ip));
	if (!ip)
		return false;
	at->l3 = pkt->l4;
	at->l4 = pkt->l4 + sizeof(*ip);
	at->len = sizeof(*ip) + bpf_ntohs(ip->payload_len);
	at->proto = ip->nexthdr;
	at->family = FL_INET6;
	return true;
}

/*
 * True where the TCP or UDP checksum is the folded, uninverted pseudo-header sum: a veth or tap sender left the rest to its
 * device, which a frame that XDP redirects never passes. Such packets go down; once in 65,536 a whole one goes with them.
 */
static __always_inline bool checksum_is_unfinished(struct fl_ctx *ctx, const struct pkt *pkt)
{
	struct pkt at;
	__u16 check, len;
	__u64 sum;

	if (!checksum_headers(ctx, pkt, &at))
		return false;
	len = at.l3 + at.len - at.l4;
	if (at.proto == IPPROTO_TCP) {
		struct tcphdr *tcp = pkt_at(ctx, at.l4, L4_MAX, sizeof(*tcp));

		if (!tcp)
			return false;
		check = tcp->check;
	} else if (at.proto == IPPROTO_UDP) {
		struct udphdr *udp = pkt_at(ctx, at.l4, L4_MAX, sizeof(*udp));

		if (!udp)
			return false;
		check = udp->check;
	} else {
		return at.proto == IPPROTO_SCTP && crc_is_unfinished(ctx, &at);
	}
	if (at.family == FL_INET6) {
		struct ipv6hdr *ip = pkt_at(ctx, at.l3, L4_MAX, sizeof(*ip));

		if (!ip)
			return false;
		sum = csum_pseudo6((__u64 *)&ip->saddr, (__u64 *)&ip->daddr, len, at.proto);
	} else {
		struct iphdr *ip = pkt_at(ctx, at.l3, L4_MAX, sizeof(*ip));

		if (!ip)
			return false;
		sum = csum_pseudo4(ip->saddr, ip->daddr, len, at.proto);
	}
	return check == csum_fold(sum);
}
