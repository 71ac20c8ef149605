/* SPDX-License-Identifier: GPL-2.0-only */
/* Prefix translation of packets (RFC 6296): which translation, headers, and the packets that ICMPv6 errors quote. */
#pragma once

#include "fairlead/npt_math.h"
#include "lib/packet.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FL_NPT_MAX);
	__uint(map_flags, BPF_F_RDONLY_PROG);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct fl_npt);
} fl_npt SEC(".maps"); /* Daemon writes */

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 3 * FL_NPT_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_RDONLY_PROG);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct fl_npt_key);
	__type(value, __u32);
} fl_npt_prefix SEC(".maps"); /* Daemon writes */

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, FL_NPT_MAX);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct fl_npt_stats);
} fl_npt_stats SEC(".maps");

/* Index of the translation whose prefix holds addr, or 0. Asked once per flow and second. */
static __always_inline __u32 npt_find(__u8 set, __u8 dir, __u16 port, const union fl_addr *addr)
{
	struct fl_npt_key key = { .prefixlen = 32 + 128, .set = set, .dir = dir, .port = port, .addr = *addr };
	const __u32 *index = bpf_map_lookup_elem(&fl_npt_prefix, &key);

	return index ? *index : 0;
}

static __always_inline const struct fl_npt *npt_get(__u32 index)
{
	return bpf_map_lookup_elem(&fl_npt, &index);
}

static __always_inline void npt_count(__u32 index, bool out, __u32 bytes)
{
	struct fl_npt_stats *stats = bpf_map_lookup_elem(&fl_npt_stats, &index);

	if (!stats || fl_dry_run)
		return;
	if (out) {
		stats->out_packets++;
		stats->out_bytes += bytes;
	} else {
		stats->in_packets++;
		stats->in_bytes += bytes;
	}
}

/* Says whether *addr can be translated, and translates it. Returns STAGE_GO, or STAGE_ERROR with the answer RFC 6296 asks for. */
static __always_inline int npt_translate(struct pkt *pkt, __u32 index, bool to_external, union fl_addr *addr)
{
	const struct fl_npt *npt = npt_get(index);
	enum fl_npt_result result;

	if (!npt)
		return -FL_DROP_INTERNAL;
	result = to_external ? fl_npt_to_external(npt, addr) : fl_npt_to_internal(npt, addr);
	if (result == FL_NPT_OK)
		return STAGE_GO;
	pkt->reason = FL_DROP_NPT_UNTRANSLATABLE;
	if (result == FL_NPT_BAD_IID) { /* 3.7: Parameter Problem, at the address */
		pkt->icmp_type = 4;
		pkt->icmp_code = 0;
		pkt->icmp_value = to_external ? offsetof(struct ipv6hdr, saddr) : offsetof(struct ipv6hdr, daddr);
	} else { /* 3.2: Destination Unreachable; of its codes, source address failed policy, or address unreachable */
		pkt->icmp_type = 1;
		pkt->icmp_code = to_external ? 5 : 3;
		pkt->icmp_value = 0;
	}
	pkt->npt_failed = index;
	return STAGE_ERROR;
}

static __always_inline void npt_count_failed(__u32 index)
{
	struct fl_npt_stats *stats = bpf_map_lookup_elem(&fl_npt_stats, &index);

	if (stats && !fl_dry_run)
		stats->untranslatable++;
}

static __always_inline __u64 addr_sum(const union fl_addr *a)
{
	return csum_add(csum_add(0, a->q[0]), a->q[1]);
}

/* Where a transport protocol that covers the pseudo-header keeps its checksum; 0: it has none. */
static __always_inline __u16 pseudo_checksum_offset(__u8 proto)
{
	switch (proto) {
	case IPPROTO_TCP:
		return offsetof(struct tcphdr, check);
	case IPPROTO_UDP:
	case IPPROTO_UDPLITE:
	case IPPROTO_DCCP:
		return offsetof(struct udphdr, check);
	case IPPROTO_ICMPV6:
		return 2;
	default:
		return 0;
	}
}

/* The transport checksum after addresses under it changed their sum (plain mode only; RFC 6296 leaves sums alone). */
static __always_inline void npt_fix_checksum(struct fl_ctx *ctx, struct pkt *pkt, __u32 l4, __u64 before, __u64 after)
{
	__u32 off = l4 + pseudo_checksum_offset(pkt->proto);

	/*
	 * Of the addresses, whether or not a checksum makes up for them: bpf_l4_csum_replace() takes the difference off
	 * skb->csum, as is right for IPv4, whose header has a checksum of its own.
	 */
	ctx_sum_changed(ctx, csum_fold(before), csum_fold(after));
	if (off == l4 || pkt->l4 == 0)
		return;
#ifdef CTX_IS_SKB
	/* the helper knows whether the skb's checksum is finished */
	__u32 diff = csum_fold((__u64)csum_fold(after) + (__u16)~csum_fold(before));

	bpf_l4_csum_replace(ctx, off, 0, diff,
			    BPF_F_PSEUDO_HDR | (pkt->proto == IPPROTO_UDP ? BPF_F_MARK_MANGLED_0 : 0));
#else
	__u16 *check = pkt_at(ctx, off, L4_MAX, sizeof(*check));

	if (!check || (*check == 0 && pkt->proto == IPPROTO_UDP))
		return;
	*check = csum_replace(*check, before, after);
	if (*check == 0 && pkt->proto == IPPROTO_UDP)
		*check = 0xffff;
#endif
}

/*
 * Rewrites an address of the IPv6 header at l3, transport header at l4: the source to the outside, or the destination to the inside.
 * The flow cache holds only what can be translated. One by one, which costs the verifier least.
 */
static __always_inline void npt_rewrite(struct fl_ctx *ctx, struct pkt *pkt, __u32 l3, __u32 l4, __u32 index, bool out)
{
	const struct fl_npt *npt = index ? npt_get(index) : NULL;
	struct ipv6hdr *ip = pkt_at(ctx, l3, L3_MAX, sizeof(*ip));
	union fl_addr *addr;
	__u64 before;

	if (!npt || !ip)
		return;
	addr = (union fl_addr *)(out ? &ip->saddr : &ip->daddr);
	before = addr_sum(addr);
	if (out)
		fl_npt_to_external(npt, addr);
	else
		fl_npt_to_internal(npt, addr);
	if (npt->mode == FL_NPT_PLAIN)
		npt_fix_checksum(ctx, pkt, l4, before, addr_sum(addr));
	npt_count(index, out, pkt->len);
}

static __always_inline bool is_icmp6_error(struct fl_ctx *ctx, const struct pkt *pkt, __u32 l4)
{
	__u8 *icmp = pkt_at(ctx, l4, L4_MAX, 8);

	return pkt->proto == IPPROTO_ICMPV6 && pkt->l4 && icmp && icmp[0] < ICMP6_ECHO;
}

struct quoted {
	__u8 type, code;
	__u16 check;
	__be32 value;
	struct ipv6hdr ip;
};

/* The checksum of the transport header right behind the quoted IPv6 header; NULL: none, or cut off. */
static __always_inline __u16 *quoted_checksum(struct fl_ctx *ctx, __u32 l4, __u8 proto)
{
	__u32 off = pseudo_checksum_offset(proto);
	__u16 *check = pkt_at(ctx, l4 + sizeof(struct quoted) + off, L4_MAX, sizeof(*check));

	return off && check && *check ? check : NULL;
}

/* Writes one address of the quoted packet, and the checksums that cover it: its transport's in plain mode, the error's. */
static __always_inline void quoted_write(struct fl_ctx *ctx, __u32 l4, bool dst, const union fl_addr *addr,
					 __u64 before, bool plain)
{
	struct quoted *q = pkt_at(ctx, l4, L4_MAX, sizeof(*q));
	__u64 after = addr_sum(addr);
	__u16 *check;

	if (!q)
		return;
	__builtin_memcpy(dst ? &q->ip.daddr : &q->ip.saddr, addr, sizeof(*addr));
	check = plain ? quoted_checksum(ctx, l4, q->ip.nexthdr) : NULL;
	if (check) {
		__u16 was = *check;

		*check = csum_replace(was, before, after);
		before = csum_add(before, was);
		after = csum_add(after, *check);
	}
	q->check = csum_replace(q->check, before, after);
}

/*
 * Translates inside the packet that an ICMPv6 error quotes: leaving by `out_port`, the destination from inside; having come
 * in by `in_port`, the source from outside (RFC 6296 leaves it open, receivers match errors by it). 0: that side has none.
 */
GLOBAL int npt_rewrite_quoted(struct fl_ctx *ctx, struct pkt *pkt, __u32 l4, __u32 in_port, __u32 out_port)
{
	struct quoted *q = pkt_at(ctx, l4, L4_MAX, sizeof(*q));
	const struct fl_npt *npt;
	union fl_addr addr;
	__u64 before;
	__u32 index;

	if (!pkt || !q || q->ip.version != 6)
		return 0;
	__builtin_memcpy(&addr, &q->ip.saddr, sizeof(addr));
	before = addr_sum(&addr);
	index = in_port ? npt_find(pkt->set, FL_NPT_IN, in_port, &addr) : 0;
	npt = index ? npt_get(index) : NULL;
	if (npt && fl_npt_to_internal(npt, &addr) == FL_NPT_OK)
		quoted_write(ctx, l4, false, &addr, before, npt->mode == FL_NPT_PLAIN);
	q = pkt_at(ctx, l4, L4_MAX, sizeof(*q));
	if (!q)
		return 0;
	__builtin_memcpy(&addr, &q->ip.daddr, sizeof(addr));
	before = addr_sum(&addr);
	index = out_port ? npt_find(pkt->set, FL_NPT_OUT, out_port, &addr) : 0;
	npt = index ? npt_get(index) : NULL;
	if (npt && fl_npt_to_external(npt, &addr) == FL_NPT_OK)
		quoted_write(ctx, l4, true, &addr, before, npt->mode == FL_NPT_PLAIN);
	return 0;
}
