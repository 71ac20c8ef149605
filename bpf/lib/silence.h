/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the kernel would tell of a tunnel. Fragments of outer packets go up to it while a daemon is there to take them whole; of those
 * that nobody takes, or that never become whole, it says so in an ICMP error (protocol unreachable, reassembly time exceeded),
 * which reveals the tunnel. tc egress only: such errors do not leave.
 */
#pragma once

#include "lib/tunnel.h"

/* The tunnel whose outer packet is quoted by the ICMP message at l4, if that is an error; 0: of no tunnel. */
GLOBAL __u32 tunnel_of_quoted(struct fl_ctx *ctx, __u32 set, __u32 l4)
{
	struct {
		__u8 type, code;
		__be16 check;
		__be32 value;
		struct iphdr ip;
	} * q;
	__u32 found;

	ctx_pull(ctx, (l4 & L4_MAX) + sizeof(*q));
	q = pkt_at(ctx, l4, L4_MAX, sizeof(*q));
	/* RFC 1122 3.2.2: the errors are these and source quench; redirects are no answer of a host */
	if (!q || (q->type != 3 && q->type != 11 && q->type != 12) || q->ip.protocol != IPPROTO_IPV6)
		return 0;
	found = endpoint_find(set, q->ip.daddr, q->ip.saddr);
	return FL_EP_IN_TUNNEL(found ?: endpoint_find(set, q->ip.daddr, 0));
}

/* The same for the router's own IPv4 packet at pkt->outer. */
static __always_inline __u32 tells_of_tunnel(struct fl_ctx *ctx, const struct pkt *pkt)
{
	struct iphdr *ip = pkt_at(ctx, pkt->outer, 0x1f, sizeof(*ip));

	if (!ip || ip->protocol != IPPROTO_ICMP)
		return 0;
	return tunnel_of_quoted(ctx, pkt->set, pkt->outer + ip->ihl * 4);
}
