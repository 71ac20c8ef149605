/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the router itself needs passes without a rule: neighbour discovery, DHCP, what tells of a tunnel's path, and what nodes of a pair tell
 * each other.
 */
#pragma once

#include "fairlead/vip.h"
#include "lib/transport.h"
#include "lib/tunnel.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2 * FL_PEERS_MAX);
	__uint(map_flags, BPF_F_RDONLY_PROG);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct fl_pair_key);
	__type(value, __u8);
} fl_pairs SEC(".maps"); /* Daemon writes */

#define IPPROTO_CARP 112

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

/*
 * What nodes that share addresses tell each other: CARP, and between two that the configuration names as a pair, on their link, what goes to or
 * from their port. `own`: the router's.
 */
GLOBAL bool is_of_pair(const struct scratch *s, bool own)
{
	const struct fl_port *port = s ? port_get(s->pkt.set, s->pkt.port) : NULL;
	struct fl_pair_key key = {};

	if (!port)
		return false;
	if (s->pkt.proto == IPPROTO_CARP)
		return port->flags & FL_PORT_VIP;
	if (!(port->flags & FL_PORT_SYNC) || (s->pkt.proto != IPPROTO_TCP && s->pkt.proto != IPPROTO_UDP))
		return false;
	key.local = own ? s->subject.src : s->subject.dst;
	key.remote = own ? s->subject.dst : s->subject.src;
	key.ifindex = port->ifindex;
	key.port = s->subject.dport;
	if (bpf_map_lookup_elem(&fl_pairs, &key))
		return true;
	key.port = s->subject.sport;
	return bpf_map_lookup_elem(&fl_pairs, &key);
}

/* What the router itself needs passes without a rule: what comes for it, and (own) what it sends. */
static __always_inline bool is_unasked(struct fl_ctx *ctx, const struct scratch *s, bool own)
{
	if (is_discovery(s) || is_dhcp(&s->subject, !own) || is_of_pair(s, own))
		return true;
	/* what it means for a tunnel, lib/pmtu.h knows */
	return !own && s->message == MESSAGE_ERROR && s->pkt.family == FL_INET && s->quote.proto == IPPROTO_IPV6 &&
	       endpoint_find(s->pkt.set, s->quote.src.w[3], 0);
}
