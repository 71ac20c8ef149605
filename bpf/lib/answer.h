/* SPDX-License-Identifier: GPL-2.0-only */
/* What answers of our own have in common, whatever they say: to whom there are none, how many there may be, their headers. */
#pragma once

#include "lib/icmp.h"
#include "lib/scope.h"

#define ANSWER_RATE_MS 10 /* a token each; RFC 4443 2.4 (f) */
#define ANSWER_BURST 50
#define SUM_MAX 2048 /* bytes that packet_sum() sums up at most */

/* Each has buckets of its own. */
enum rate {
	RATE_ICMP,
	RATE_TOO_BIG, /* not for others to empty: without it a path is a black hole */
	RATE_RESET,   /* a port scan uses up many */
	RATES,
};
_Static_assert(RATES == FL_ICMP_RATES, "of every rate");

struct icmp_bucket {
	__u32 stamp; /* low word of jiffies64 */
	__u32 tokens;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FL_ICMP_RATES *FL_ICMP_BUCKETS);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct icmp_bucket);
} fl_icmp_rate SEC(".maps");

/* Whose bucket is whose, nobody outside can work out (fl_secret). */
static __always_inline bool icmp_rate_allows(__u64 who, enum rate rate)
{
	__u64 hash = (who ^ fl_secret) * 0x9e3779b97f4a7c15ULL;
	__u32 slot, now = bpf_jiffies64();
	struct icmp_bucket *b;
	__u64 new;

	hash = (hash ^ hash >> 32) * 0xd6e8feb86659fd93ULL;
	slot = (hash >> 32) % FL_ICMP_BUCKETS + rate * FL_ICMP_BUCKETS;
	b = bpf_map_lookup_elem(&fl_icmp_rate, &slot);
	if (!b)
		return false;
	new = (__u64)(now - b->stamp) * 1000 / fl_hz / ANSWER_RATE_MS;
	if (new) {
		b->tokens = b->tokens + new > ANSWER_BURST ? ANSWER_BURST : b->tokens + new;
		b->stamp = now;
	}
	if (b->tokens == 0)
		return false;
	b->tokens--;
	return true;
}

/* No answer to nobody, or to many; nor (unless `to_group`) about what went to many. A rule may reject what routing has not seen. */
static __always_inline bool may_answer6(const struct ipv6hdr *ip, bool to_group)
{
	union fl_addr src, dst;

	__builtin_memcpy(&src, &ip->saddr, sizeof(src));
	__builtin_memcpy(&dst, &ip->daddr, sizeof(dst));
	if (scope_check6(&src, &dst) == -FL_DROP_MARTIAN || (src.q[0] == 0 && src.q[1] == 0))
		return false;
	return to_group || dst.b[0] != 0xff;
}

static __always_inline bool may_answer4(const struct iphdr *ip)
{
	union fl_addr src, dst;

	addr_set4(&src, ip->saddr);
	addr_set4(&dst, ip->daddr);
	if (scope_check4(&src, &dst) == -FL_DROP_MARTIAN || src.b[12] == 0 || src.b[12] >> 4 == 15)
		return false;
	return !is_group(&dst, FL_INET) && !is_broadcast(&dst);
}

/* Sum of `len` bytes at `off`, both together less than L4_REACH + SUM_MAX. */
GLOBAL __u64 packet_sum(struct fl_ctx *ctx, __u32 off, __u32 len)
{
	__u64 sum = 0;
	__u32 i;

	for (i = 0; i < SUM_MAX / 8 && len >= 8; i++, off += 8, len -= 8) {
		__u64 *p = pkt_at(ctx, off, 0xfff, 8);

		if (!p)
			return 0;
		sum = csum_add(sum, *p);
	}
	for (i = 0; i < 3 && len >= 2; i++, off += 2, len -= 2) {
		__u16 *p = pkt_at(ctx, off, 0xfff, 2);

		if (!p)
			return 0;
		sum = csum_add(sum, *p);
	}
	if (len) {
		__u8 *p = pkt_at(ctx, off, 0xfff, 1);

		if (!p)
			return 0;
		sum = csum_add(sum, bpf_htons((__u16)*p << 8));
	}
	return sum;
}

/* The headers; what they are written to is all zeros. */
static __always_inline void ethernet_answer(struct ethhdr *eth, const struct fl_port *here, __be16 proto)
{
	__builtin_memcpy(eth->h_dest, here->mac, ETH_ALEN);
	eth->h_source[0] = ICMP_REQUEST_MARK;
	eth->h_proto = proto;
}

static __always_inline void ipv6_answer(void *at, const union fl_addr *src, const union fl_addr *dst, __u32 len,
					__u8 proto)
{
	struct ipv6hdr *ip = at;

	ip->version = 6;
	ip->payload_len = bpf_htons(len);
	ip->nexthdr = proto;
	ip->hop_limit = 64;
	__builtin_memcpy(&ip->saddr, src, sizeof(*src));
	__builtin_memcpy(&ip->daddr, dst, sizeof(*dst));
}

static __always_inline void ipv4_answer(void *at, __be32 src, __be32 dst, __u32 len, __u8 proto)
{
	struct iphdr *ip = at;
	__u32 words[5];

	ip->version = 4;
	ip->ihl = 5;
	ip->tot_len = bpf_htons(sizeof(*ip) + len);
	ip->frag_off = bpf_htons(IP_DF);
	ip->ttl = 64;
	ip->protocol = proto;
	ip->saddr = src;
	ip->daddr = dst;
	__builtin_memcpy(words, ip, sizeof(words));
	ip->check = ~csum_fold((__u64)words[0] + words[1] + words[2] + words[3] + words[4]);
}
