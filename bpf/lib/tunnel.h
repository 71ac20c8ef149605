/* SPDX-License-Identifier: GPL-2.0-only */
/* 6in4 (RFC 4213): which tunnel an outer packet belongs to, what inner packets it may carry, and the outer header. */
#pragma once

#include "lib/packet.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2 * FL_ENDPOINTS_MAX);
	__uint(map_flags, BPF_F_RDONLY_PROG);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct fl_endpoint_key);
	__type(value, __u32);
} fl_ep_in SEC(".maps"); /* Daemon writes */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FL_ENDPOINTS_MAX);
	__uint(map_flags, BPF_F_RDONLY_PROG);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct fl_endpoint);
} fl_ep SEC(".maps"); /* Daemon writes */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FL_ENDPOINTS_MAX);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct fl_endpoint_path);
} fl_ep_path SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FL_ENDPOINTS_MAX); /* times CPUs: the daemon sets it */
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct fl_endpoint_stats);
} fl_ep_stats SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, FL_CLIENT_ROUTES_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_RDONLY_PROG);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct fl_client_route_key);
	__type(value, __u32);
} fl_clients SEC(".maps"); /* Daemon writes */

static __always_inline const struct fl_endpoint *endpoint_get(__u32 index)
{
	return bpf_map_lookup_elem(&fl_ep, &index);
}

/* FL_EP_IN() of (local, remote), or with remote 0 of an address that tunnels use; 0: none. */
static __always_inline __u32 endpoint_find(__u8 set, __be32 local, __be32 remote)
{
	struct fl_endpoint_key key = { .set = set, .local = local, .remote = remote };
	const __u32 *index = bpf_map_lookup_elem(&fl_ep_in, &key);

	return index ? *index : 0;
}

/* Whether outer packets for a tunnel over a group may come in by a port, to `local`. */
GLOBAL __u32 comes_by_member(__u32 set, __u32 tunnel, __u32 port, __u32 local)
{
	struct fl_endpoint_key key = { .set = set, .port = port, .local = local, .remote = FL_EP_IN_MEMBER(tunnel) };

	return bpf_map_lookup_elem(&fl_ep_in, &key) != NULL;
}

/* The client of a broker's tunnel that an inner address belongs to; 0: none. */
static __always_inline __u32 client_find(__u8 set, __u16 tunnel, const union fl_addr *addr)
{
	struct fl_client_route_key key = { .prefixlen = 32 + 128, .set = set, .tunnel = tunnel, .addr = *addr };
	const __u32 *index = bpf_map_lookup_elem(&fl_clients, &key);

	return index ? *index : 0;
}

/*
 * The tunnel that an IPv4 packet at l3 is for; 0: none. Of a frame that was sent to many: the host gets such packets all the same, with
 * the raw socket that the daemon has there, and nothing is to come into a tunnel by them.
 */
GLOBAL __u32 tunnel_of_outer(struct fl_ctx *ctx, __u32 set, __u32 l3)
{
	struct iphdr *ip = pkt_at(ctx, l3, 0x1f, sizeof(*ip));

	if (!ip || ip->protocol != IPPROTO_IPV6)
		return 0;
	return FL_EP_IN_TUNNEL(endpoint_find(set, ip->daddr, 0));
}

static __always_inline void endpoint_count(__u32 index, bool rx, __u32 bytes)
{
	__u32 slot = FL_EP_STATS_INDEX(bpf_get_smp_processor_id(), index);
	struct fl_endpoint_stats *stats = bpf_map_lookup_elem(&fl_ep_stats, &slot);

	if (!stats || fl_dry_run)
		return;
	if (rx) {
		stats->rx_packets++;
		stats->rx_bytes += bytes;
	} else {
		stats->tx_packets++;
		stats->tx_bytes += bytes;
	}
}

/* MTU of the tunnel to an endpoint: as configured, or what the path said in the last ten minutes. */
static __always_inline __u32 endpoint_mtu(__u32 index, const struct fl_endpoint *ep)
{
	const struct fl_endpoint_path *path = bpf_map_lookup_elem(&fl_ep_path, &index);

	if (!(ep->flags & FL_EP_DYNAMIC_MTU)) /* RFC 4213 3.2.1: whoever set it knows */
		return ep->mtu;
	if (path && path->mtu && path->mtu < ep->mtu && path->expires_s > now_s())
		return path->mtu;
	return ep->mtu;
}

/* RFC 4213 3.6: inner sources that are dropped silently: multicast, loopback, IPv4-compatible but ::, IPv4-mapped. */
static __always_inline bool inner_source_is_forbidden(const union fl_addr *src)
{
	if (src->b[0] == 0xff)
		return true;
	if (src->q[0] != 0)
		return false;
	if (src->w[2] == bpf_htonl(0x0000ffff))
		return true;
	return src->w[2] == 0 && src->w[3] != 0; /* ::1 among them */
}

/*
 * RFC 6040 4.2: the inner ECN field after decapsulation, from the outer and the inner one. -1: drop (CE outside, and the
 * inner transport would not understand it).
 */
static __always_inline int ecn_decapsulate(__u8 outer, __u8 inner)
{
	outer &= 3;
	inner &= 3;
	if (outer == 3)
		return inner == 0 ? -1 : 3;
	if (outer == 1 && inner == 2)
		return 1;
	return inner;
}

/* The outer header's: DSCP as configured, ECN of the inner one (RFC 6040 4.1, normal mode). */
static __always_inline __u8 outer_tos(const struct fl_endpoint *ep, __u8 tos)
{
	return ep->dscp == FL_DSCP_COPY ? tos : ep->dscp << 2 | (tos & 3);
}

/* The outer source of a packet that leaves by a port. */
static __always_inline __be32 outer_source(const struct fl_endpoint *ep, __u32 set, __u32 port)
{
	const struct fl_port *out = ep->local ? NULL : port_get(set, port);

	return out ? out->addr4 : ep->local;
}

/* Writes the outer header. `tos`: the inner traffic class, whose ECN field is copied (RFC 6040 4.1, normal mode). */
static __always_inline void outer_write(struct iphdr *ip, const struct fl_endpoint *ep, __be32 local, __u16 inner_len,
					__u8 tos, __u32 mtu)
{
	__u64 *words = (__u64 *)ip;
	bool df = (ep->flags & FL_EP_DYNAMIC_MTU) && mtu > 1280; /* RFC 4213 3.2.1, 3.2.2 */

	ip->version = 4;
	ip->ihl = 5;
	ip->tos = outer_tos(ep, tos);
	ip->tot_len = bpf_htons(inner_len + sizeof(*ip));
	ip->id = df ? 0 : bpf_get_prandom_u32();
	ip->frag_off = df ? bpf_htons(IP_DF) : 0;
	ip->ttl = ep->ttl;
	ip->protocol = IPPROTO_IPV6;
	ip->check = 0;
	ip->saddr = local;
	ip->daddr = ep->remote;
	ip->check = ~csum_fold(csum_add(csum_add(0, words[0]), words[1]) + ip->daddr);
}

/*
 * Takes the outer header at pkt->l3 for a tunnel's, if it is one (pkt->taken). Returns STAGE_GO with pkt at the inner
 * header (or as it was: not for a tunnel), STAGE_PASS for what only the floor below can do, or -FL_DROP_*: silently, since
 * any answer would reveal the tunnel (RFC 4213 3.6).
 */
GLOBAL int tunnel_receive(struct fl_ctx *ctx, struct pkt *pkt)
{
	const struct fl_port *tunnel;
	__u32 found, outer_len, set;
	struct ipv6hdr *inner;
	union fl_addr *src;
	struct iphdr *ip;

	if (!pkt)
		return -FL_DROP_INTERNAL;
	ip = pkt_at(ctx, pkt->l3, L3_MAX, sizeof(*ip));
	if (!ip)
		return -FL_DROP_MALFORMED;
	set = pkt->set;
	found = endpoint_find(set, ip->daddr, ip->saddr);
	if (!found)
		found = endpoint_find(set, ip->daddr, 0);
	if (!found)
		return STAGE_GO;
	pkt->taken = true;
	pkt->port = FL_EP_IN_TUNNEL(found); /* its counters */
	if (!FL_EP_IN_ENDPOINT(found))
		return -FL_DROP_TUNNEL_STRANGER;
	tunnel = port_get(set, pkt->port);
	if (!tunnel)
		return -FL_DROP_INTERNAL;
	if (tunnel->underlay != pkt->l2_port &&
	    (tunnel->underlay != FL_UNDERLAY_GROUP || !comes_by_member(set, pkt->port, pkt->l2_port, ip->daddr)))
		return -FL_DROP_TUNNEL_UNDERLAY;
	if (pkt->fragment) {
#ifdef CTX_IS_SKB
		if (control_reassembles())
			return STAGE_PASS; /* the kernel puts it together, the daemon's raw socket takes it */
		return -FL_DROP_TUNNEL_FRAGMENT;
#else
		return STAGE_PASS;
#endif
	}
	outer_len = ip->ihl * 4;
	pkt->outer_tos = ip->tos;
	pkt->endpoint = FL_EP_IN_ENDPOINT(found);
	pkt->l3 += outer_len;
	if (pkt->len < outer_len + sizeof(*inner) || ipv6_parse(ctx, pkt, pkt->len - outer_len))
		return -FL_DROP_TUNNEL_INNER;
	inner = pkt_at(ctx, pkt->l3, L3_MAX, sizeof(*inner));
	if (!inner)
		return -FL_DROP_TUNNEL_INNER;
	src = (union fl_addr *)&inner->saddr;
	if (inner_source_is_forbidden(src))
		return -FL_DROP_TUNNEL_SOURCE;
	if (ecn_decapsulate(pkt->outer_tos, pkt->tos) < 0)
		return -FL_DROP_TUNNEL_ECN;
	return STAGE_GO;
}
