/* SPDX-License-Identifier: GPL-2.0-only */
/* What the router itself needs passes without a rule: neighbour discovery, DHCP, and what tells of a tunnel's path. */
#pragma once

#include "lib/transport.h"
#include "lib/tunnel.h"

/* DHCP and DHCPv6 between a client and a server: of the ports one is `server`'s and the other `client`'s. */
static __always_inline bool is_dhcp(const struct subject *sub, bool to_client)
{
	__be16 server = sub->family == FL_INET ? bpf_htons(67) : bpf_htons(547);
	__be16 client = sub->family == FL_INET ? bpf_htons(68) : bpf_htons(546);

	return sub->proto == IPPROTO_UDP && sub->sport == (to_client ? server : client) &&
	       sub->dport == (to_client ? client : server);
}

/*
 * What a DHCP server sends to an address that is not the router's yet. The client listens on a packet socket, behind tc ingress where it asks
 * for IPv4 only, as most do.
 */
static __always_inline bool is_offer(const struct scratch *s)
{
	return !s->local && s->doing == DOING_NOTHING && s->pkt.family == FL_INET && is_dhcp(&s->subject, true);
}

/* So it is the host's, whatever a rule has said of it. */
static __always_inline int offer_deliver(struct scratch *s)
{
	s->rule[0] = s->rule[1] = s->decider = 0;
	s->log = 0;
	s->local = s->offered = true;
	return STAGE_DELIVER;
}

/* Neighbour discovery (RFC 4861 with 255 hops, so from this link), and listener discovery, which switches let it through by. */
static __always_inline bool is_discovery(const struct scratch *s)
{
	__u8 type = s->subject.icmp_type;

	if (s->pkt.family != FL_INET6 || s->pkt.proto != IPPROTO_ICMPV6 || !s->pkt.l4)
		return false;
	return (type >= 133 && type <= 137 && s->pkt.hops == 255) || (type >= 130 && type <= 132) || type == 143;
}

/* What the router itself needs passes without a rule: what comes for it, and (own) what it sends. */
static __always_inline bool is_unasked(struct fl_ctx *ctx, const struct scratch *s, bool own)
{
	if (is_discovery(s) || is_dhcp(&s->subject, !own))
		return true;
	/* what it means for a tunnel, lib/pmtu.h knows */
	return !own && s->message == MESSAGE_ERROR && s->pkt.family == FL_INET && s->quote.proto == IPPROTO_IPV6 &&
	       endpoint_find(s->pkt.set, s->quote.src.w[3], 0);
}
