/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Learns the path MTU of tunnels from ICMPv4 Fragmentation Needed (RFC 4213 3.2.2, RFC 1191). tc only: the message is for
 * the router itself. Who is off the path can lower a tunnel to 1280 by guessing both ends, no further: RFC 4213's floor.
 */
#pragma once

#include "lib/icmp.h"
#include "lib/tunnel.h"

#define PMTU_FORGET_S 600 /* RFC 1191 6.3 */
#define PMTU_FLOOR 1280

/* The ICMP packet at pkt. */
GLOBAL int pmtu_take(struct fl_ctx *ctx, struct pkt *pkt)
{
	struct {
		__u8 type, code;
		__be16 check, unused, mtu;
		struct iphdr ip;
		__u8 inner;
	} __attribute__((packed)) * q;
	const struct fl_endpoint *ep;
	struct fl_endpoint_path *path;
	struct iphdr *ip;
	__u32 index, mtu;

	if (!pkt)
		return 0;
	ctx_pull(ctx, pkt->l4 + sizeof(*q));
	q = pkt_at(ctx, pkt->l4, L4_MAX, sizeof(*q));
	ip = pkt_at(ctx, pkt->l3, L3_MAX, sizeof(*ip));
	if (!ip || !q || ip->daddr != q->ip.saddr || q->type != 3 || q->code != 4 || q->ip.ihl != 5 ||
	    q->ip.protocol != IPPROTO_IPV6 || q->inner >> 4 != 6)
		return 0;
	index = FL_EP_IN_ENDPOINT(endpoint_find(pkt->set, q->ip.saddr, q->ip.daddr));
	ep = index ? endpoint_get(index) : NULL;
	path = index ? bpf_map_lookup_elem(&fl_ep_path, &index) : NULL;
	if (!ep || !path || !(ep->flags & FL_EP_DYNAMIC_MTU))
		return 0;
	mtu = bpf_ntohs(q->mtu); /* 0: a router older than RFC 1191 */
	mtu = mtu < PMTU_FLOOR + sizeof(struct iphdr) ? PMTU_FLOOR : mtu - sizeof(struct iphdr);
	if (mtu >= endpoint_mtu(index, ep) || fl_dry_run)
		return 0;
	path->mtu = mtu;
	path->expires_s = now_s() + PMTU_FORGET_S;
	control_learned();
	return 0;
}

/* Looks at what goes up to the host; what it says of one of our endpoints is remembered. The packet stays as it is. */
static __always_inline void pmtu_learn(struct fl_ctx *ctx, struct pkt *pkt)
{
	if (pkt->family == FL_INET && pkt->proto == IPPROTO_ICMP && pkt->l4)
		pmtu_take(ctx, pkt);
}
