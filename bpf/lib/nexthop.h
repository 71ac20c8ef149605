/* SPDX-License-Identifier: GPL-2.0-only */
/* Next hops: the entries of neighbours, which the daemon makes and a packet corrects, and those that the kernel has asked for in vain. */
#pragma once

#include "lib/scratch.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, FL_NEXTHOPS_MAX);
	__uint(map_flags, BPF_F_RDONLY_PROG);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct fl_nexthop_key);
	__type(value, __u32);
} fl_nh_by_addr SEC(".maps"); /* Daemon writes */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FL_NEXTHOPS_MAX);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct fl_nexthop);
} fl_nh SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, FL_FAILED_MAX);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct fl_nexthop_key);
	__type(value, struct fl_failed);
} fl_nh_failed SEC(".maps");

#define AF_INET 2
#define AF_INET6 10

/* Looks up and corrects the next hop's entry: the FIB has just said what its MACs are. Returns its index, 0: not there yet. */
static __always_inline __u32 nexthop_confirm(const struct hop *hop, __u32 stamp)
{
	struct fl_nexthop_key key = { .ifindex = hop->ifindex, .addr = hop->addr };
	const __u32 *index = bpf_map_lookup_elem(&fl_nh_by_addr, &key);
	struct fl_nexthop *nh = index ? bpf_map_lookup_elem(&fl_nh, index) : NULL;

	if (!nh || !nh->valid || fl_dry_run)
		return 0;
	if (nh->dmac != hop->dmac)
		nh->dmac = hop->dmac;
	if (nh->smac != hop->smac)
		nh->smac = hop->smac;
	nh->used = stamp;
	return *index;
}

/* The hop by the next hop's entry; false: that is not valid. */
static __always_inline bool hop_from_nexthop(struct hop *hop, __u32 index)
{
	const struct fl_nexthop *nh = bpf_map_lookup_elem(&fl_nh, &index);

	if (!nh || !nh->valid)
		return false;
	hop->dmac = nh->dmac;
	hop->smac = nh->smac;
	hop->port = nh->port;
	hop->resolved = true;
#ifdef CTX_IS_SKB /* XDP needs no more than the MACs */
	hop->addr = nh->addr;
	hop->family = nh->addr.q[0] == 0 && nh->addr.w[2] == bpf_htonl(0xffff) ? AF_INET : AF_INET6;
#endif
	return true;
}

/*
 * Whether the kernel has asked for this hop in vain, a moment ago (RFC 4443 3.1, RFC 1812 5.2.7.1); notes that it is wanted. Not
 * while it is asking for the first time: then it holds the packet. tc only, XDP passes down what is not resolved.
 */
static __always_inline bool hop_has_failed(const struct hop *hop)
{
	struct fl_nexthop_key key = { .ifindex = hop->ifindex, .addr = hop->addr };
	struct fl_failed *failed;
	__u32 now = now_s();

	if (hop->resolved || !hop->family)
		return false;
	failed = bpf_map_lookup_elem(&fl_nh_failed, &key);
	if (!failed || failed->until_s <= now)
		return false;
	if (failed->asked_s != now && !fl_dry_run)
		failed->asked_s = now;
	return true;
}
