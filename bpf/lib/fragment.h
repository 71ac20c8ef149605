/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Fragments. The first one shows the ports, by which rules and states judge it; the others go where it went. None is put together: what
 * overtakes the first one waits for it (lib/waiting.h).
 */
#pragma once

#include "fairlead/fragment.h"
#include "lib/packet.h"

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, FL_FRAGMENTS_MAX);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct fl_fragment_key);
	__type(value, struct fl_fragment);
} fl_fragments SEC(".maps"); /* Programs write, the daemon looks whether one is there */

/* Bytes that a transport header has at least: less of it can be neither judged nor translated. */
static __always_inline __u32 transport_least(__u8 proto)
{
	switch (proto) {
	case IPPROTO_TCP:
		return sizeof(struct tcphdr);
	case IPPROTO_UDP:
	case IPPROTO_UDPLITE:
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return 8;
	case IPPROTO_DCCP:
	case IPPROTO_SCTP:
		return 12;
	default:
		return 0;
	}
}

/*
 * Whether the transport header is where a filter sees it: of a whole packet and of a first fragment all that it has at least (RFC 1858
 * 3: tiny fragments), and no later fragment writes over that (RFC 3128). STAGE_GO or -FL_DROP_*.
 */
static __always_inline int transport_check(const struct pkt *pkt)
{
	__u32 least = transport_least(pkt->proto);

	if (pkt->l4 && pkt->l4 + least > pkt->l3 + pkt->len)
		return pkt->fragment ? -FL_DROP_FRAGMENT : -FL_DROP_MALFORMED;
	if (!pkt->l4 && pkt->fragment && (__u32)(pkt->frag & IP_OFFSET) * 8 < least)
		return -FL_DROP_FRAGMENT;
	return STAGE_GO;
}

static __always_inline void fragment_key(struct fl_fragment_key *key, const struct pkt *pkt, const union fl_addr *src,
					 const union fl_addr *dst)
{
	__builtin_memset(key, 0, sizeof(*key));
	key->src = *src;
	key->dst = *dst;
	key->id = pkt->frag_id;
	key->proto = pkt->family == FL_INET ? pkt->proto : 0;
	key->family = pkt->family;
}

/*
 * Part of a datagram whose later fragments must be known by their first: where a protocol has neither ports nor identifiers they tell all,
 * but of IPv6 not even the protocol (RFC 8200 4.5: only what the first one says counts).
 */
static __always_inline bool fragment_has_ports(const struct pkt *pkt)
{
	return pkt->fragment && (pkt->family == FL_INET6 || transport_least(pkt->proto));
}

/* A later fragment, which shows no ports of its own. */
static __always_inline bool fragment_is_later(const struct pkt *pkt)
{
	return fragment_has_ports(pkt) && !pkt->l4;
}

/*
 * Of a later fragment: the ports that its first one had; pkt->proto becomes that one's. Returns STAGE_GO, or -FL_DROP_FRAGMENT: none has
 * been forwarded, or it would write over that one's header.
 */
GLOBAL int fragment_find(struct pkt *pkt, const union fl_addr *src, const union fl_addr *dst, __be16 *sport,
			 __be16 *dport)
{
	struct fl_fragment_key key;
	struct fl_fragment *first;

	if (!pkt || !src || !dst || !sport || !dport)
		return -FL_DROP_INTERNAL;
	fragment_key(&key, pkt, src, dst);
	first = bpf_map_lookup_elem(&fl_fragments, &key);
	if (!first || (__u32)bpf_jiffies64() - first->stamp > FL_FRAGMENT_S * fl_hz)
		return -FL_DROP_FRAGMENT;
	*sport = first->sport;
	*dport = first->dport;
	pkt->proto = first->proto;
	return transport_check(pkt);
}

/* Of a first fragment that is forwarded: lets those behind it follow. */
GLOBAL int fragment_remember(struct pkt *pkt, const union fl_addr *src, const union fl_addr *dst, __be16 sport,
			     __be16 dport)
{
	struct fl_fragment first = { .sport = sport, .dport = dport };
	struct fl_fragment_key key;

	if (!pkt || !src || !dst)
		return -FL_DROP_INTERNAL;
	if (fl_dry_run || !pkt->l4 || !(pkt->frag & IP_MF) || !fragment_has_ports(pkt))
		return STAGE_GO;
	fragment_key(&key, pkt, src, dst);
	first.stamp = bpf_jiffies64();
	first.proto = pkt->proto;
	bpf_map_update_elem(&fl_fragments, &key, &first, BPF_ANY);
	return STAGE_GO;
}
