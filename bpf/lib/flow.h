/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The flow cache: what the slow path (lib/route.h) found for (port, outer addresses, source, destination), FL_FLOW_WAYS entries
 * for each hash value. Each CPU has its own part, so that no entry is written by two. Tags, some more bits of the hash, say which
 * entry may be the flow's: without them a look at a full set is one at up to four cold cache lines.
 *
 * Only answers that forward are kept. An entry is good while its generation is in force and for FLOW_ALIVE_S; without a
 * daemon that watches routes and neighbours, and would bump the generation, for FLOW_ALONE_S.
 */
#pragma once

#include "lib/packet.h"

#define FLOW_ALIVE_S 10
#define FLOW_ALONE_S 1

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FL_FLOWS);	   /* times CPUs: the daemon sets it */
	__uint(map_flags, BPF_F_MMAPABLE); /* for the alignment: an entry is one cache line */
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct fl_flow);
} fl_flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FL_FLOW_SETS); /* times CPUs: the daemon sets it */
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct fl_flow_tags);
} fl_flow_tags SEC(".maps");

/* explain's: a dry run must not touch the cache */
struct fl_flow fl_explain_flow;

static __always_inline bool flow_is_of(const struct fl_flow *flow, const struct fl_flow *key)
{
	return flow->src.q[1] == key->src.q[1] && flow->dst.q[1] == key->dst.q[1] && flow->src.q[0] == key->src.q[0] &&
	       flow->dst.q[0] == key->dst.q[0] && flow->outer == key->outer && flow->from == key->from &&
	       flow->gateway == key->gateway;
}

static __always_inline __u32 flow_hash(const struct fl_flow *key)
{
	/* addresses differ mostly in their last bytes: as low bits those reach all bits of the products */
	__u64 h = bpf_be64_to_cpu(key->src.q[0]) * 0x9e3779b97f4a7c15ULL +
		  bpf_be64_to_cpu(key->src.q[1]) * 0xc2b2ae3d27d4eb4fULL +
		  bpf_be64_to_cpu(key->dst.q[0]) * 0x165667b19e3779f9ULL +
		  bpf_be64_to_cpu(key->dst.q[1]) * 0xd6e8feb86659fd93ULL + ((__u64)key->gateway << 32) + key->from;

	return ((h ^ h >> 32) * 0x9fb21c651e98df25ULL) >> 32;
}

/* Of the entries that may be the flow's. */
static __always_inline __u32 flow_set(__u32 hash)
{
	return bpf_get_smp_processor_id() * FL_FLOW_SETS + hash % FL_FLOW_SETS;
}

/* Never 0, which is that of an empty entry. */
static __always_inline __u16 flow_tag(__u32 hash)
{
	return hash >> 16 | 1;
}
_Static_assert(FL_FLOW_SETS <= 1 << 16, "a tag has other bits than the set");

/* The flow's entry, NULL if it has none. Branches of one kind, which the verifier follows once: each entry is a value of its own. */
static __always_inline struct fl_flow *flow_find_known(const struct fl_flow *key)
{
	__u32 hash = flow_hash(key), set = flow_set(hash), slot = set * FL_FLOW_WAYS;
	const struct fl_flow_tags *tags = bpf_map_lookup_elem(&fl_flow_tags, &set);
	__u16 tag = flow_tag(hash);
	struct fl_flow *flow;

	if (!tags)
		return NULL;
#pragma unroll
	for (int i = 0; i < FL_FLOW_WAYS; i++, slot++) {
		if (tags->tag[i] != tag)
			continue;
		flow = bpf_map_lookup_elem(&fl_flows, &slot);
		if (flow && flow_is_of(flow, key))
			return flow;
	}
	return NULL;
}

/*
 * An entry for a flow that has none: a free one, or any. NULL: no cache. To know the oldest would take a look at each, which are as many
 * cold lines.
 */
static __always_inline struct fl_flow *flow_make(const struct fl_flow *key)
{
	__u32 hash = flow_hash(key), set = flow_set(hash), way = bpf_get_prandom_u32(), slot;
	struct fl_flow_tags *tags = bpf_map_lookup_elem(&fl_flow_tags, &set);

	if (!tags)
		return NULL;
#pragma unroll
	for (int i = 0; i < FL_FLOW_WAYS; i++)
		way = tags->tag[i] ? way : i;
	way %= FL_FLOW_WAYS;
	tags->tag[way] = flow_tag(hash);
	slot = set * FL_FLOW_WAYS + way;
	return bpf_map_lookup_elem(&fl_flows, &slot);
}

/* The flow's entry (*known), or the one to make it. NULL: no cache. */
static __always_inline struct fl_flow *flow_find(struct fl_flow *key, bool *known)
{
	struct fl_flow *flow;

	*known = false;
	if (fl_dry_run)
		return &fl_explain_flow;
	flow = flow_find_known(key);
	*known = flow;
	return flow ? flow : flow_make(key);
}

/* Keeps what was found for the flow: it is complete. */
static __always_inline void flow_store(struct fl_flow *found, struct fl_flow *key)
{
	struct fl_flow *flow;
	bool known;

	if (fl_dry_run)
		return;
	flow = flow_find(key, &known);
	if (!flow)
		return;
	*flow = *found;
	flow->gen = key->gen;
}

/* jiffies and the clock of user space side by side, so that the daemon can say until when it is alive. */
static __always_inline void clock_tell(__u32 jiffies)
{
	__u32 zero = 0;
	struct fl_learned *learned = bpf_map_lookup_elem(&fl_learned, &zero);

	if (!learned || learned->jiffies == jiffies || fl_dry_run)
		return;
	learned->jiffies = jiffies;
	learned->jiffies_ns = bpf_ktime_get_coarse_ns();
}

/* How old an answer may be, in FL_STAMP()s. */
static __always_inline __u16 flow_age_max(const struct fl_control *control, __u32 now)
{
	bool watched = control && control->alive_until && (__s32)(control->alive_until - now) > 0;

	return FL_STAMP(fl_hz * (watched ? FLOW_ALIVE_S : FLOW_ALONE_S));
}

static __always_inline bool flow_is_fresh(const struct fl_flow *flow, const struct fl_flow *key,
					  const struct fl_control *control)
{
	__u16 age = key->stamp - flow->stamp;

	return flow->gen == key->gen && age < flow_age_max(control, bpf_jiffies64());
}

static __always_inline void addr_set4(union fl_addr *a, __be32 addr)
{
	a->q[0] = 0;
	a->w[2] = bpf_htonl(0xffff);
	a->w[3] = addr;
}

/* Starts a flow's entry anew; it is not fresh until gen is set. */
static __always_inline void flow_begin(struct fl_flow *flow, const struct fl_flow *key)
{
	flow->gen = 0;
	flow->src = key->src;
	flow->dst = key->dst;
	flow->outer = key->outer;
	flow->from = key->from;
	flow->in_endpoint = key->in_endpoint;
	flow->stamp = key->stamp;
	flow->gateway = key->gateway;
	flow->npt_src = flow->npt_dst = flow->mtu = flow->xmit = 0;
	flow->endpoint = flow->nexthop = 0;
	clock_tell(bpf_jiffies64());
}

/*
 * What finds the packet's entry: its addresses, those of the outer header that it came in, and the port; and what an entry must
 * match to be fresh.
 */
static __always_inline bool flow_key(struct fl_ctx *ctx, const struct pkt *pkt, __u32 from, struct fl_flow *key)
{
	const union fl_addr *src;

	if (pkt->family == FL_INET6) {
		struct ipv6hdr *ip = pkt_at(ctx, pkt->l3, L3_MAX, sizeof(*ip));

		if (!ip)
			return false;
		src = (const union fl_addr *)&ip
			      ->saddr; /* in words of 8 bytes, which a copy by the header's alignment isn't */
		key->src = src[0];
		key->dst = src[1];
	} else {
		struct iphdr *ip = pkt_at(ctx, pkt->l3, L3_MAX, sizeof(*ip));

		if (!ip)
			return false;
		addr_set4(&key->src, ip->saddr);
		addr_set4(&key->dst, ip->daddr);
	}
	key->from = pkt->family == FL_INET ? from | FL_FLOW_INET : from;
	key->outer = 0;
	if (pkt->l3 != pkt->outer) {
		struct iphdr *ip = pkt_at(ctx, pkt->outer, 0x1f, sizeof(*ip));

		if (!ip)
			return false;
		key->outer = *(const __u64 *)&ip->saddr;
	}
	key->in_endpoint = pkt->endpoint;
	key->gen = control_generation(pkt->gen);
	key->stamp = FL_STAMP(bpf_jiffies64());
	key->gateway = 0;
	return true;
}
