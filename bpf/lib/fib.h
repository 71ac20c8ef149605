/* SPDX-License-Identifier: GPL-2.0-only */
/* What the kernel's routing tables say (bpf_fib_lookup): the hop to a destination, and what fits it. */
#pragma once

#include "lib/nexthop.h"
#include "lib/scope.h"

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, FL_HELD_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_RDONLY_PROG);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct fl_held_key);
	__type(value, __u32);
} fl_held SEC(".maps"); /* Daemon writes */

/*
 * Whether a change of configuration is moving the route to addr. Tables are switched at once, the kernel's routes one by one: who
 * met the new tables and the old route would be forwarded as no configuration says.
 */
static __always_inline bool is_held(const union fl_addr *addr)
{
	const struct fl_control *control = control_get();
	struct fl_held_key key = { .prefixlen = 32 + 128, .addr = *addr };
	const __u32 *held;

	if (!control || !control->held_until_ns || addr->b[0] == 0xff || is_link_local(addr))
		return false;
	if (control->held_until_ns <
	    bpf_ktime_get_coarse_ns()) /* a daemon that was killed meanwhile holds nothing for long */
		return false;
	held = bpf_map_lookup_elem(&fl_held, &key);
	return held && *held;
}

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, FL_ROUTE_MTUS_MAX);
	__uint(map_flags, BPF_F_RDONLY_PROG);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, __u32);
} fl_route_mtu SEC(".maps"); /* Daemon writes */

/*
 * bpf_fib_lookup() answers for no device whose forwarding is off, not even for the router's own packets; an underlay whose
 * IPv4 is left to the host is such a device. tc can send by it all the same.
 */
static __always_inline int hop_by_kernel(const struct fib_query *query, struct hop *hop)
{
	hop->ifindex = query->ifindex;
	hop->port = port_number(query->set, query->ifindex, 0);
	hop->mtu = 0xffff;
	hop->resolved = false;
	hop->family = 0;
	return STAGE_GO;
}

/*
 * What fits the hop: the device's MTU, or what the route is locked to. Never what the kernel has learned of the path: that is told by
 * ICMP, which anybody can forge, and a router does not forward by it (ip_forward_use_pmtu).
 */
static __always_inline __u32 hop_mtu(const struct fib_query *query, const struct hop *hop, __u32 told)
{
	const struct fl_port *port = port_get(query->set, hop->port);
	const struct fl_control *control = control_get();
	__u32 mtu;

	if (!port || !control)
		return 0;
	mtu = query->family == FL_INET6 ? port->mtu6 : port->mtu;
	if (hop->resolved && told < mtu && (control->routing & FL_ROUTING_MTU) &&
	    bpf_map_lookup_elem(&fl_route_mtu, &told))
		return told;
	return mtu;
}

/*
 * Asks the kernel's tables (bpf_fib_lookup). Fills hop. Returns STAGE_GO, STAGE_DELIVER (for the host, or no route: the
 * kernel's answer is best) or -FL_DROP_*.
 */
GLOBAL int fib_ask(struct fl_ctx *ctx, struct fib_query *query, struct hop *hop)
{
	struct bpf_fib_lookup *fib;
	int r;

	if (!query || !hop)
		return -FL_DROP_INTERNAL;
	if (is_held(&query->dst))
		return -FL_DROP_HELD;
	fib = &query->fib; /* not on the stack, of which there is little */
	__builtin_memset(fib, 0, sizeof(*fib));
	fib->tot_len = 1; /* so that mtu_result is filled */
	fib->ifindex = query->ifindex;
	fib->l4_protocol = query->proto;
	fib->sport = query->sport;
	fib->dport = query->dport;
	if (query->family == FL_INET) {
		fib->family = AF_INET;
		fib->tos = query->tos;
		fib->ipv4_src = query->src.w[3];
		fib->ipv4_dst = query->dst.w[3];
	} else {
		fib->family = AF_INET6;
		fib->flowinfo = bpf_htonl((__u32)query->tos << 20);
		__builtin_memcpy(fib->ipv6_src, &query->src, 32);
	}
	r = bpf_fib_lookup(ctx, fib, sizeof(*fib), query->out ? BPF_FIB_LOOKUP_OUTPUT : 0);
	switch (r) {
	case BPF_FIB_LKUP_RET_SUCCESS:
	case BPF_FIB_LKUP_RET_FRAG_NEEDED:
	case BPF_FIB_LKUP_RET_NO_NEIGH:
		break;
	case BPF_FIB_LKUP_RET_BLACKHOLE:
		return -FL_DROP_BLACKHOLE;
	case BPF_FIB_LKUP_RET_FWD_DISABLED:
		return query->out ? hop_by_kernel(query, hop) : -FL_DROP_FORWARDING_OFF;
	default: /* local, no route, unreachable, prohibit, a lightweight tunnel */
		return STAGE_DELIVER;
	}
	hop->ifindex = fib->ifindex;
	hop->port = port_number(query->set, fib->ifindex, 0);
	hop->resolved = r != BPF_FIB_LKUP_RET_NO_NEIGH;
	hop->family = fib->family;
	if (fib->family == AF_INET)
		addr_set4(&hop->addr, fib->ipv4_dst);
	else
		__builtin_memcpy(&hop->addr, fib->ipv6_dst, sizeof(hop->addr));
	hop->dmac = hop->smac = 0;
	__builtin_memcpy(&hop->dmac, fib->dmac, ETH_ALEN);
	__builtin_memcpy(&hop->smac, fib->smac, ETH_ALEN);
	hop->mtu = hop_mtu(query, hop, fib->mtu_result);
	return STAGE_GO;
}

/* What rules may ask for besides addresses. */
static __always_inline void query_transport(struct fl_ctx *ctx, struct scratch *s)
{
	const struct fl_control *control = control_get();
	const __be16 *ports;

	s->query.tos = s->query.proto = s->query.sport = s->query.dport = 0;
	if (!control || !(control->routing & FL_ROUTING_TRANSPORT))
		return;
	s->query.tos = s->pkt.tos;
	s->query.proto = s->pkt.proto;
	/* a later fragment has none, and all of a datagram go one way, as in the kernel */
	ports = s->pkt.l4 && !s->pkt.fragment && has_ports(s->pkt.proto) ? pkt_at(ctx, s->pkt.l4, L4_MAX, 4) : NULL;
	if (ports) {
		s->query.sport = ports[0];
		s->query.dport = ports[1];
	}
}
