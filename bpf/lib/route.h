/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where a packet goes: the kernel's tables, the next hops, translations and tunnels.
 */
#pragma once

#include "lib/gateway.h"
#include "lib/icmp.h"
#include "lib/scratch.h"
#include "lib/tunnel.h"

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

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, FL_LOCALS_MAX);
	__uint(map_flags, BPF_F_RDONLY_PROG);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, union fl_addr);
	__type(value, __u32);
} fl_locals SEC(".maps"); /* Daemon writes */

static __always_inline bool is_link_local(const union fl_addr *a)
{
	return a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80;
}

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

/* Linux 6.1 takes no key that lies in an argument of a global function: a copy on the stack. */
static __always_inline const __u32 *local_find(const union fl_addr *addr)
{
	union fl_addr key = *addr;

	return bpf_map_lookup_elem(&fl_locals, &key);
}

static __always_inline bool is_local(const union fl_addr *addr)
{
	return local_find(addr);
}

/* The broadcast address of an IPv4 network on one of our links. */
static __always_inline bool is_broadcast(const union fl_addr *addr)
{
	const __u32 *local = local_find(addr);

	return local && (*local & FL_LOCAL_BROADCAST);
}

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

/* Multicast, or IPv4's broadcast to this link. */
static __always_inline bool is_group(const union fl_addr *a, __u8 family)
{
	return family == FL_INET6 ? a->b[0] == 0xff : a->b[12] >> 4 == 14 || a->w[3] == 0xffffffff;
}

/* ::ffff:0:0/96: IPv4 addresses in sockets and in our maps; on the wire they would be taken for those (RFC 6890 2.2.3). */
static __always_inline bool is_mapped(const union fl_addr *a)
{
	return a->q[0] == 0 && a->w[2] == bpf_htonl(0xffff);
}

/* Sources and destinations that are never forwarded: STAGE_GO, STAGE_DELIVER or -FL_DROP_*. */
static __always_inline int scope_check6(const union fl_addr *src, const union fl_addr *dst)
{
	if (is_mapped(src) || is_mapped(dst) || src->b[0] == 0xff ||
	    (src->q[0] == 0 && src->q[1] == bpf_cpu_to_be64(1)) ||
	    (dst->q[0] == 0 && (dst->q[1] == bpf_cpu_to_be64(1) || dst->q[1] == 0)))
		return -FL_DROP_MARTIAN;
	if (dst->b[0] == 0xff || is_link_local(dst) || is_local(dst))
		return STAGE_DELIVER;
	if (is_link_local(src) || (src->q[0] == 0 && src->q[1] == 0))
		return -FL_DROP_SCOPE;
	return STAGE_GO;
}

static __always_inline int scope_check4(const union fl_addr *src, const union fl_addr *dst)
{
	__u32 s = bpf_ntohl(src->w[3]), d = bpf_ntohl(dst->w[3]);

	if (s >> 24 == 127 || d >> 24 == 127 || s >> 28 == 14 || s == 0xffffffff ||
	    is_broadcast(src)) /* RFC 1812 5.3.7 */
		return -FL_DROP_MARTIAN;
	if (d >> 28 == 14 || d == 0xffffffff || is_local(dst))
		return STAGE_DELIVER;
	if (s >> 24 == 0 || s >> 28 == 15 || d >> 24 == 0 || d >> 28 == 15)
		return -FL_DROP_MARTIAN;
	if (s >> 16 == 0xa9fe || d >> 16 == 0xa9fe)
		return -FL_DROP_SCOPE;
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

static __always_inline void query_outer(struct scratch *s, const struct fl_endpoint *ep)
{
	const struct fl_control *control = control_get();

	if (!control || !(control->routing & FL_ROUTING_TRANSPORT))
		return;
	s->outer.proto = IPPROTO_IPV6;
	s->outer.tos = outer_tos(ep, s->pkt.tos);
}

/*
 * An underlay that is a group: by which member an outer packet leaves, and so from which address, in s->outer. false: there is none that can
 * be used.
 */
GLOBAL int outer_by_member(struct scratch *s, __u32 endpoint)
{
	const struct fl_endpoint *ep = endpoint_get(endpoint);
	const struct fl_gateway *gateway;
	const struct fl_group *group;
	const struct fl_port *port;
	__u32 index;

	if (!s || !ep)
		return false;
	index = FL_GROUP_INDEX(s->pkt.set & 1, ep->group & (FL_GROUPS_MAX - 1), 0);
	group = bpf_map_lookup_elem(&fl_groups, &index);
	gateway = group && group->most ? gateway_get(s->pkt.set, group->most) : NULL;
	port = gateway && gateway->port ? port_get(s->pkt.set, gateway->port) : NULL;
	if (!port || !(ep->local || port->flags & FL_PORT_OWN4))
		return false;
	s->outer.ifindex = gateway->ifindex;
	if (!ep->local)
		addr_set4(&s->outer.src, port->addr4);
	if (!(gateway->flags & FL_GATEWAY_LINK))
		s->outer.dst = gateway->addr[0];
	return true;
}

/*
 * The hop to what s->outer has asked for: a neighbour on the member's link, also where the routing table says nothing of it or something
 * else. `told`: what fib_ask() has said.
 */
static __always_inline void hop_to_member(struct scratch *s, int told)
{
	struct hop *hop = &s->hop;

	if (told == STAGE_GO && hop->family == AF_INET && hop->ifindex == s->outer.ifindex &&
	    same_addr(&hop->addr, &s->outer.dst))
		return;
	hop->addr = s->outer.dst;
	hop->ifindex = s->outer.ifindex;
	hop->port = port_number(s->outer.set, s->outer.ifindex, 0);
	hop->mtu = 0xffff;
	hop->resolved = false;
	hop->family = AF_INET;
}

/*
 * The way out by s->hop: source translation, tunnel endpoint, the outer's own hop, MTU. s->query.dst is the translated
 * destination. Fills flow. Returns STAGE_GO, STAGE_ERROR or -FL_DROP_*.
 */
GLOBAL int route_egress(struct fl_ctx *ctx, struct scratch *s, struct fl_flow *flow)
{
	const struct fl_endpoint *ep;
	const struct fl_port *port;
	__u32 mtu, tunnel;
	union fl_addr src;
	int r;

	if (!s || !flow)
		return -FL_DROP_INTERNAL;
	mtu = s->hop.mtu;
	tunnel = s->hop.port;
	port = port_get(s->pkt.set, tunnel);
	if (!port)
		return -FL_DROP_INTERNAL;
	if ((port->flags & FL_PORT_NPT) && s->pkt.family == FL_INET6 && !s->by_state && !flow->npt_src &&
	    !is_link_local(&flow->src) && flow->dst.b[0] != 0xff) {
		src = flow->src;
		flow->npt_src = npt_find(s->pkt.set, FL_NPT_OUT, tunnel, &src);
		r = flow->npt_src ? npt_translate(&s->pkt, flow->npt_src, true, &src) : STAGE_GO;
		if (r)
			return r;
	}
	if (port->flags & FL_PORT_TUNNEL) {
		if (s->pkt.family != FL_INET6)
			return -FL_DROP_FOREIGN_EGRESS;
		flow->endpoint =
			port->flags & FL_PORT_BROKER ? client_find(s->pkt.set, tunnel, &s->query.dst) : port->endpoint;
		ep = flow->endpoint ? endpoint_get(flow->endpoint) : NULL;
		if (!ep || !ep->remote)
			return icmp_unreachable(&s->pkt, FL_DROP_UNREACHABLE);
		if (flow->endpoint == s->pkt.endpoint) /* RFC 4443 3.1: not back on a point-to-point link */
			return icmp_unreachable(&s->pkt, FL_DROP_P2P_LOOP);
		addr_set4(&s->outer.src, ep->local);
		addr_set4(&s->outer.dst, ep->remote);
		s->outer.ifindex = ep->underlay_ifindex;
		s->outer.family = FL_INET;
		s->outer.out = true;
		s->outer.set = s->pkt.set;
		if (ep->group && !outer_by_member(s, flow->endpoint)) {
			s->pkt.blame = tunnel;
			return icmp_unreachable(&s->pkt, FL_DROP_NO_UNDERLAY);
		}
		query_outer(s, ep);
		r = fib_ask(ctx, &s->outer, &s->hop);
		s->outer.tos = s->outer.proto = 0;
		if (r == -FL_DROP_HELD)
			return r;
		if (ep->group) {
			hop_to_member(s, r);
			r = STAGE_GO;
		}
		if (r) {
			s->pkt.blame = tunnel;
			return icmp_unreachable(&s->pkt, FL_DROP_NO_UNDERLAY);
		}
		if (!s->hop.port)
			return -FL_DROP_FOREIGN_EGRESS;
		port = port_get(s->pkt.set, s->hop.port);
		if (!(ep->flags & FL_EP_DYNAMIC_MTU) && port) /* RFC 4213 3.2.1: a set MTU listens to no path */
			s->hop.mtu = port->mtu;
		if (endpoint_mtu(flow->endpoint, ep) < mtu)
			mtu = endpoint_mtu(flow->endpoint, ep);
		if (s->hop.mtu < mtu + sizeof(struct iphdr))
			mtu = s->hop.mtu - sizeof(struct iphdr);
		if (mtu < 1280)
			mtu = 1280;
		if (port && port->mtu < mtu + sizeof(struct iphdr)) /* no link for IPv6: see too_big() */
			mtu = port->mtu - sizeof(struct iphdr);
	}
	flow->mtu = mtu > 0xffff ? 0xffff : mtu;
	flow->xmit |= port ? port_xmit(port) : 0;
	return STAGE_GO;
}

/* By which device the kernel would send a packet from the outside to `dst`; 0: it would not. s->outer and s->hop are scratch. */
static __always_inline __u32 route_device(struct fl_ctx *ctx, struct scratch *s, __u32 ifindex,
					  const union fl_addr *dst)
{
	s->outer.dst = *dst;
	s->outer.src = s->query.dst;
	s->outer.ifindex = ifindex;
	s->outer.family = s->pkt.family;
	s->outer.out = false;
	s->outer.set = s->pkt.set;
	return fib_ask(ctx, &s->outer, &s->hop) ? 0 : s->hop.ifindex;
}

/*
 * Whether a packet comes from a network of ours: by a port that leads nowhere else, and from a source that the routing table has there.
 * A default route that the system learned itself makes a port one that leads out, though no configuration says so.
 */
static __always_inline bool is_from_inside(struct fl_ctx *ctx, struct scratch *s, const struct fl_port *in)
{
	const union fl_addr anywhere = { .w = { bpf_htonl(0x20000000) } };

	return !(in->flags & (FL_PORT_OUTSIDE | FL_PORT_NPT | FL_PORT_TUNNEL)) &&
	       route_device(ctx, s, in->ifindex, &s->query.src) == in->ifindex &&
	       route_device(ctx, s, in->ifindex, &anywhere) != in->ifindex;
}

static __always_inline bool npt_has_internal(__u32 index, const union fl_addr *addr)
{
	const struct fl_npt *npt = npt_get(index);

	return npt && !((addr->q[0] ^ npt->internal.q[0]) & fl_prefix_mask(npt->internal_len));
}

/*
 * Translates s->query.dst if a translation has it: come in by its outside, or from inside to its outside (RFC 6296 4.3:
 * then the source too, if it is of the internal prefix). Returns STAGE_GO, STAGE_DELIVER, STAGE_ERROR or -FL_DROP_*.
 */
static __always_inline int route_translate_in(struct fl_ctx *ctx, struct scratch *s, struct fl_flow *flow,
					      const struct fl_port *in)
{
	union fl_addr src = s->query.src;
	__u32 index = 0;
	int r;

	if (in->flags & FL_PORT_NPT)
		index = npt_find(s->pkt.set, FL_NPT_IN, s->pkt.port, &s->query.dst);
	if (!index && !(in->flags & FL_PORT_ICMP)) {
		index = npt_find(s->pkt.set, FL_NPT_HAIRPIN, 0, &s->query.dst);
		if (!index)
			return STAGE_GO;
		s->hairpin = true;
		if (npt_has_internal(index, &src)) {
			flow->npt_src = index;
			r = npt_translate(&s->pkt, index, true, &src);
			if (r)
				return r;
		} else if (!is_from_inside(ctx, s, in)) {
			return STAGE_GO;
		}
	}
	if (!index)
		return STAGE_GO;
	flow->npt_dst = index;
	r = npt_translate(&s->pkt, index, false, &s->query.dst);
	if (r)
		return r;
	return is_local(&s->query.dst) ? STAGE_DELIVER : STAGE_GO;
}

/*
 * True where the source is an address of the router's, or one of a network on the link of another device. s->hop is
 * scratch.
 */
static __always_inline bool source_is_spoofed(struct fl_ctx *ctx, struct scratch *s, const struct fl_port *in)
{
	__u32 ifindex;

	if (is_local(&s->query.src))
		return true;
	ifindex = route_device(ctx, s, in->ifindex, &s->query.src);
	return ifindex && ifindex != in->ifindex && same_addr(&s->hop.addr, &s->query.src);
}

/* A host on the link that its packet came by: what is sent back needs no gateway. s->hop is scratch. */
static __always_inline bool source_is_neighbour(struct fl_ctx *ctx, struct scratch *s, const struct fl_port *in)
{
	return route_device(ctx, s, in->ifindex, &s->query.src) == in->ifindex &&
	       same_addr(&s->hop.addr, &s->query.src);
}

/*
 * The slow path's first half: whether a packet with the flow's addresses may come in here, and its destination as the inside sees it, in
 * s->query.dst. Returns STAGE_GO, STAGE_DELIVER (with npt_dst), STAGE_ERROR or -FL_DROP_*.
 */
GLOBAL int route_admit(struct fl_ctx *ctx, struct scratch *s, struct fl_flow *flow)
{
	const struct fl_port *in;
	int r;

	if (!s || !flow)
		return -FL_DROP_INTERNAL;
	s->query.src = flow->src;
	s->query.dst = flow->dst;
	s->query.family = s->pkt.family;
	s->query.out = false;
	s->query.set = s->pkt.set;
	s->hairpin = false;
	in = port_get(s->pkt.set, s->pkt.port);
	if (!in)
		return -FL_DROP_INTERNAL;
	r = s->pkt.family == FL_INET6 ? scope_check6(&s->query.src, &s->query.dst)
				      : scope_check4(&s->query.src, &s->query.dst);
	if (r < 0)
		return r;
	/* explain does not say by which client a packet comes: by the one that its source belongs to */
	if (fl_dry_run && (in->flags & FL_PORT_BROKER) && !s->pkt.endpoint) {
		s->pkt.endpoint = client_find(s->pkt.set, s->pkt.port, &s->query.src);
		if (!s->pkt.endpoint && !is_link_local(&s->query.src))
			return -FL_DROP_TUNNEL_CLIENT;
	}
	if (s->pkt.endpoint && (in->flags & FL_PORT_BROKER)) {
		__u32 owner = client_find(s->pkt.set, s->pkt.port, &s->query.src);

		if (owner != s->pkt.endpoint && (owner || !is_link_local(&flow->src)))
			return -FL_DROP_TUNNEL_CLIENT;
	}
	if ((in->flags & FL_PORT_ANTISPOOF) && !is_link_local(&s->query.src) &&
	    !is_group(&s->query.dst, s->pkt.family) && source_is_spoofed(ctx, s, in))
		return -FL_DROP_SPOOFED;
	if (in->gateway[s->pkt.family == FL_INET6] && source_is_neighbour(ctx, s, in))
		flow->xmit |= FL_FLOW_NEIGHBOUR;
	if (r)
		return r;
	/* of a connection that the state table knows: its addresses are the inside's already */
	if (s->pkt.family != FL_INET6 || s->by_state)
		return STAGE_GO;
	return route_translate_in(ctx, s, flow, in);
}

/*
 * What the kernel says of the neighbour that s->hop is to be: what the daemon has entered may be wrong when it is dead. False: it would not
 * send to it by that device.
 */
static __always_inline bool gateway_ask(struct fl_ctx *ctx, struct scratch *s, const struct fl_gateway *gateway)
{
	union fl_addr addr = s->hop.addr;

	__builtin_memset(&s->outer, 0, sizeof(s->outer));
	s->outer.dst = addr;
	s->outer.ifindex = gateway->ifindex;
	s->outer.family = s->pkt.family;
	s->outer.out = true;
	s->outer.set = s->pkt.set;
	return fib_ask(ctx, &s->outer, &s->hop) == STAGE_GO && s->hop.family && s->hop.ifindex == gateway->ifindex &&
	       same_addr(&s->hop.addr, &addr);
}

/* The hop to a gateway, whatever the routing table says. Returns STAGE_GO or -FL_DROP_*. */
static __always_inline int hop_by_gateway(struct fl_ctx *ctx, struct scratch *s, __u32 number)
{
	const struct fl_gateway *gateway = gateway_get(s->pkt.set, number);
	struct fl_nexthop_key key = {};
	const struct fl_port *port;
	const __u32 *index = NULL;

	if (!gateway || !(s->even_down || gateway_is_up(number, s->pkt.family)))
		return -FL_DROP_GATEWAY_DOWN;
	port = port_get(s->pkt.set, gateway->port);
	if (!gateway->port || !port)
		return -FL_DROP_GATEWAY_DOWN;
	key.ifindex = gateway->ifindex;
	key.addr = gateway->flags & FL_GATEWAY_LINK ? s->query.dst : gateway->addr[s->pkt.family == FL_INET6];
	s->hop.addr = key.addr;
	if (!gateway_ask(ctx, s, gateway)) {
		s->hop.addr = key.addr;
		s->hop.resolved = false;
		index = bpf_map_lookup_elem(&fl_nh_by_addr, &key);
	}
	if (index)
		hop_from_nexthop(&s->hop, *index);
	s->hop.port = gateway->port;
	s->hop.ifindex = gateway->ifindex;
	s->hop.mtu = s->pkt.family == FL_INET6 ? port->mtu6 : port->mtu;
	s->hop.family = s->pkt.family == FL_INET6 ? AF_INET6 : AF_INET;
	return STAGE_GO;
}

/*
 * The second half: the way of a packet to s->query.dst, by flow->gateway or by the kernel's tables, in the rest of flow and in s->hop.
 * Returns STAGE_GO, STAGE_DELIVER (the kernel's answer is best), STAGE_ERROR or -FL_DROP_*.
 */
GLOBAL int route_way(struct fl_ctx *ctx, struct scratch *s, struct fl_flow *flow)
{
	const struct fl_port *in;
	int r;

	if (!s || !flow)
		return -FL_DROP_INTERNAL;
	in = port_get(s->pkt.set, s->pkt.port);
	if (!in)
		return -FL_DROP_INTERNAL;
	s->query.ifindex = in->ifindex;
	query_transport(ctx, s);
	r = flow->gateway ? hop_by_gateway(ctx, s, flow->gateway) : fib_ask(ctx, &s->query, &s->hop);
	/* the kernel would quote the translated destination, which the sender does not know */
	if (r == STAGE_DELIVER && s->hairpin && flow->npt_dst)
		return icmp_unreachable(&s->pkt, FL_DROP_UNREACHABLE);
	if (r)
		return r;
	if (!s->hop.port)
		return -FL_DROP_FOREIGN_EGRESS;
	s->gateway = s->hop.addr;
	r = route_egress(ctx, s, flow);
	if (r)
		return r;
	if (s->hop.resolved)
		flow->nexthop = nexthop_confirm(&s->hop, bpf_jiffies64());
	return STAGE_GO;
}

/*
 * The router's own packet to the outside address of a host inside, about to leave by the port s->pkt.port: its way inside, and in
 * flow->npt_dst the translation. Returns STAGE_GO (npt_dst 0: it goes where the kernel sends it), STAGE_ERROR or -FL_DROP_*.
 */
static __always_inline int route_own_inside(struct fl_ctx *ctx, struct scratch *s, struct fl_flow *flow)
{
	const struct fl_port *out = port_get(s->pkt.set, s->pkt.port);
	__u32 index = npt_find(s->pkt.set, FL_NPT_HAIRPIN, 0, &s->query.dst);
	union fl_addr *dst = &s->outer.dst, *src = &s->outer.src; /* not on the stack, and free until route_egress() */
	int r;

	*dst = s->query.dst;
	*src = s->query.src;
	if (!index || !out || !(out->flags & FL_PORT_NPT))
		return STAGE_GO;
	r = npt_translate(&s->pkt, index, false, dst);
	if (r)
		return r;
	if (is_local(dst)) /* and what comes back by that way is translated */
		return STAGE_GO;
	if (npt_has_internal(index, src)) {
		flow->npt_src = index;
		r = npt_translate(&s->pkt, index, true, src);
		if (r)
			return r;
	}
	s->query.dst = *dst;
	s->query.family = FL_INET6;
	query_transport(ctx, s);
	s->query.ifindex = out->ifindex;
	s->query.out = false;
	s->query.set = s->pkt.set;
	flow->npt_dst = index;
	r = fib_ask(ctx, &s->query, &s->hop);
	if (r)
		return r < 0 ? r : icmp_unreachable(&s->pkt, FL_DROP_UNREACHABLE);
	return s->hop.port ? STAGE_GO : -FL_DROP_FOREIGN_EGRESS;
}

/*
 * The way of the router's own packet that leaves by the port s->pkt.port; the kernel has routed it. Translates its source,
 * and finds the tunnel's endpoint. Link-local and multicast stay as they are. Returns as route_egress().
 */
GLOBAL int route_own(struct fl_ctx *ctx, struct scratch *s, struct fl_flow *flow)
{
	int r;

	if (!s || !flow)
		return -FL_DROP_INTERNAL;
	if (is_held(&flow->dst))
		return -FL_DROP_HELD;
	s->query.src = flow->src;
	s->query.dst = flow->dst;
	r = route_own_inside(ctx, s, flow);
	if (r)
		return r;
	if (flow->npt_dst)
		return route_egress(ctx, s, flow);
	s->hop.port = s->pkt.port;
	s->hop.mtu = 0xffff;
	s->hop.resolved = false;
	return route_egress(ctx, s, flow);
}

/* The packet's flow: from the cache, or decided now. *out is NULL only with an error. */
static __always_inline int route(struct fl_ctx *ctx, struct scratch *s, const struct fl_control *control,
				 struct fl_flow **out)
{
	struct fl_flow *flow;
	struct fl_flow *key = &s->key;
	bool known;
	int r;

	*out = NULL;
	if (!flow_key(ctx, &s->pkt, s->pkt.l2_port, key))
		return -FL_DROP_MALFORMED;
	key->gateway = s->steer; /* an answer of our own has one */
	flow = flow_find(key, &known);
	*out = flow;
	if (!flow)
		return -FL_DROP_INTERNAL;
	if (known && flow_is_fresh(flow, key, control) && hop_from_nexthop(&s->hop, flow->nexthop))
		return STAGE_GO;
	flow_begin(flow, key);
	r = route_admit(ctx, s, flow);
	if (r == STAGE_GO)
		r = route_way(ctx, s, flow);
	if (r == STAGE_GO && flow->nexthop && !(control->routing & FL_ROUTING_TRANSPORT))
		flow->gen = key->gen; /* complete: from now on it may be used */
	return r;
}

/* The port that a packet of this flow leaves by: the tunnel's where it is encapsulated, else the hop's. */
static __always_inline __u32 flow_out_port(const struct fl_flow *flow, const struct hop *hop)
{
	const struct fl_endpoint *ep = flow->endpoint ? endpoint_get(flow->endpoint) : NULL;

	return ep ? ep->tunnel : hop->port;
}

/* Whether the longest configured route to s->subject.dst leads to a group: others' connections follow the routing table. */
static __always_inline bool is_group_routed(const struct scratch *s)
{
	struct fl_client_route_key key = { .prefixlen = 32 + 128, .set = s->pkt.set, .addr = s->subject.dst };
	const __u32 *by_group = bpf_map_lookup_elem(&fl_clients, &key);

	return by_group && *by_group;
}

/*
 * The member of a group, that routes lead to, by which a new connection leaves: by port `number`, in s->way and s->hop. It stays with
 * it, whatever the group uses later. 0: it is by no such one.
 */
GLOBAL __u32 routed_gateway(struct scratch *s, __u32 number)
{
	const struct fl_port *port = s ? port_get(s->pkt.set, number) : NULL;
	const struct fl_gateway *gateway;
	const struct fl_nexthop *nh;
	const union fl_addr *hop;
	__u32 at, six, nexthop;

	if (!s || !port || !(port->flags & FL_PORT_MEMBER) || !is_group_routed(s))
		return 0;
	six = s->pkt.family == FL_INET6;
	at = port->member[six];
	nexthop = s->way.nexthop; /* of a hop that the flow cache has given XDP knows no address */
	nh = nexthop ? bpf_map_lookup_elem(&fl_nh, &nexthop) : NULL;
	for (int i = 0; i < 8 && at; i++) {
		gateway = gateway_get(s->pkt.set, at);
		if (!gateway)
			return 0;
		/* a link's own route leads to the destination itself; one to a router on the link is another's */
		hop = gateway->flags & FL_GATEWAY_LINK ? &s->subject.dst : &gateway->addr[six];
		if (s->way.endpoint || same_addr(hop, nh ? &nh->addr : &s->hop.addr))
			return at;
		at = gateway->next[six];
	}
	return 0;
}
