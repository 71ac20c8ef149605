// SPDX-License-Identifier: GPL-2.0-only
/*
 * The lower floor. fl_tc_in: ingress of every port, of tunnel devices and their hidden ends, and of fl-icmp-rx. fl_tc_out:
 * egress of every port and tunnel device; the guard that makes the kernel's own forwarding fail closed.
 */
#include "ctx/skb.h"

#include "ctx/skb_transmit.h"
#include "lib/pmtu.h"
#include "lib/policy_own.h"
#include "lib/silence.h"
#include "lib/stray.h"
#include "lib/vip_host.h"
#include "lib/waiting.h"

char _license[] SEC("license") = "GPL";

/* linux/if_packet.h */
#define PACKET_HOST 0
#define PACKET_BROADCAST 1
#define PACKET_MULTICAST 2
#define PACKET_OTHERHOST 3
#define PULL 256 /* bytes of headers that are looked at */

/* Starts a run: the port by the device, and the offset of the IP header. NULL: not ours. */
static __always_inline const struct fl_port *begin(struct fl_ctx *ctx, struct scratch *s,
						   const struct fl_control *control)
{
	const struct fl_port *port;
	__u32 number;

	s->pkt.gen = control_gen(control);
	s->pkt.set = FL_GEN_SET(s->pkt.gen);
	number = port_number(s->pkt.set, ctx_ifindex(ctx), 0);
	s->pkt.hidden = number & FL_NUMBER_HIDDEN;
	s->pkt.port = s->pkt.l2_port = number & ~FL_NUMBER_HIDDEN;
	port = s->pkt.port ? port_get(s->pkt.set, s->pkt.port) : NULL;
	if (!port)
		return NULL;
	/* test runs bring an Ethernet header */
	s->pkt.outer = port->flags & FL_PORT_L3 && !fl_dry_run ? 0 : ETH_HLEN;
	ctx_pull(ctx, PULL);
	return port;
}

/* The same for one that has been parsed, where packets are judged. */
static __always_inline int own_judge(struct fl_ctx *ctx, struct scratch *s, struct fl_flow **flow)
{
	int r;

	s->pkt.judged = true;
	*flow = &s->way;
	r = policy_own(ctx, s);
	return r == STAGE_GO && segment_len(ctx, &s->pkt) > s->way.mtu ? too_big(&s->pkt, &s->way) : r;
}

static __always_inline int own_route4(struct fl_ctx *ctx, struct scratch *s, const struct fl_control *control,
				      struct fl_flow **flow)
{
	int r;

	s->pkt.l3 = s->pkt.outer;
	r = ipv4_parse(ctx, &s->pkt, ctx_len(ctx) - s->pkt.outer, true);
	if (r) /* the kernel's own, whose checksum is not made yet */
		return r;
	if (control->policy[s->pkt.set & 1])
		return own_judge(ctx, s, flow);
	*flow = &s->way;
	return probe_way(ctx, s);
}

/* The way of the router's own IPv6 packet, which the kernel has sent out by the port. Returns a stage. */
static __always_inline int own_route(struct fl_ctx *ctx, struct scratch *s, const struct fl_control *control,
				     struct fl_flow **flow)
{
	bool known;
	int r;

	s->pkt.l3 = s->pkt.outer;
	r = ipv6_parse(ctx, &s->pkt, ctx_len(ctx) - s->pkt.outer);
	if (r)
		return r;
	if (control->policy[s->pkt.set & 1])
		return own_judge(ctx, s, flow);
	if (s->probe) {
		*flow = &s->way;
		return probe_way(ctx, s);
	}
	if (!flow_key(ctx, &s->pkt, s->pkt.port | FL_FLOW_OWN, &s->key))
		return -FL_DROP_MALFORMED;
	*flow = flow_find(&s->key, &known);
	if (!*flow)
		return -FL_DROP_INTERNAL;
	flow_begin(*flow, &s->key);
	r = route_own(ctx, s, *flow);
	if (r == STAGE_GO && segment_len(ctx, &s->pkt) > (*flow)->mtu)
		r = too_big(&s->pkt, *flow);
	return r;
}

/*
 * What the router itself sends into a tunnel, at the hidden end of the tunnel's device: past the device's own egress, so that
 * tcpdump sees it there.
 */
static __always_inline int own_encapsulate(struct fl_ctx *ctx, struct scratch *s, const struct fl_control *control,
					   const struct fl_port *port)
{
	struct fl_flow *flow = NULL;
	int r;

	if (ctx->protocol != bpf_htons(ETH_P_IPV6))
		return CTX_DROP; /* ARP and IPv4 have no business there */
	s->probe = FL_PROBE_GATEWAY(ctx->mark);
	r = own_route(ctx, s, control, &flow);
	if (r == STAGE_GO && hop_has_failed(&s->hop))
		r = icmp_unreachable(&s->pkt, FL_DROP_UNREACHABLE);
	if (fl_dry_run) {
		explain(s, flow, r);
		return CTX_DROP;
	}
	/* what the kernel sends to a group it sends by every device; a broker's has no one to take it */
	if (r == STAGE_ERROR && flow && flow->dst.b[0] == 0xff && (port->flags & FL_PORT_BROKER))
		return CTX_DROP;
	if (r)
		policy_dropped(ctx, s, r < 0 ? -r : s->pkt.reason);
	if (r < 0)
		return drop(ctx, &s->pkt, -r);
	if (r == STAGE_ERROR)
		return answer(ctx, s, control);
	return r == STAGE_GO && flow ? transmit(ctx, s, flow, 0) : CTX_DROP;
}

/* A frame to all on the link or to a group there is the host's; one to another host the kernel drops. */
static __always_inline int to_many(struct fl_ctx *ctx, struct scratch *s)
{
	__u32 tunnel = 0;

	if (ctx->protocol == bpf_htons(ETH_P_IP) &&
	    (ctx->pkt_type == PACKET_BROADCAST || ctx->pkt_type == PACKET_MULTICAST))
		tunnel = tunnel_of_outer(ctx, s->pkt.set, s->pkt.outer);
	if (!tunnel)
		return CTX_PASS;
	s->pkt.port = tunnel;
	port_count_rx(s->pkt.l2_port, ctx_len(ctx));
	return drop(ctx, &s->pkt, FL_DROP_MARTIAN);
}

/* The same where packets are judged: the host gets what rules let it have, whatever the address that the packet in it bears. */
static __always_inline int to_many_judged(struct fl_ctx *ctx, struct scratch *s, const struct fl_control *control,
					  const struct fl_port *port)
{
	int r = parse(ctx, &s->pkt, port, ctx->protocol);

	if (r == STAGE_PASS)
		return CTX_PASS;
	if (r == STAGE_GO)
		r = decide(ctx, s, control, port);
	if (r == STAGE_DELIVER)
		return deliver(ctx, s, &s->way);
	port_count_rx(s->pkt.l2_port, ctx_len(ctx));
	if (r == STAGE_GO) /* no router forwards such */
		r = -FL_DROP_MARTIAN;
	policy_dropped(ctx, s, r < 0 ? -r : s->pkt.reason);
	return drop(ctx, &s->pkt, r < 0 ? -r : s->pkt.reason); /* nobody answers to many (RFC 1122 3.2.2) */
}

SEC("tc")
int fl_tc_in(struct fl_ctx *ctx)
{
	const struct fl_control *control = control_get();
	struct scratch *s = scratch_get();
	const struct fl_port *port;
	struct fl_flow *flow = NULL;
	int r;

	if (!control || !s)
		return CTX_DROP;
	port = begin(ctx, s, control);
	if (!port)
		return CTX_PASS;
	if (s->pkt.hidden)
		return own_encapsulate(ctx, s, control, port);
	if (ctx->tc_index == SKB_TAG && (port->flags & FL_PORT_TUNNEL)) { /* decapsulated for the host */
		ctx->tc_index = 0;
		return CTX_PASS;
	}
	ctx->tc_index = 0;
	if (port->flags & FL_PORT_ICMP) /* veth judged the address before our program there wrote it */
		bpf_skb_change_type(ctx, PACKET_HOST);
	/* a tagged frame is the VLAN device's, where this program runs too */
	if (ctx->vlan_present && ctx->vlan_tci & 0xfff)
		return CTX_PASS;
	/* a priority tag, and another tag in it: the kernel would look below both */
	if (ctx->vlan_present &&
	    (ctx->protocol == bpf_htons(ETH_P_8021Q) || ctx->protocol == bpf_htons(ETH_P_8021AD))) {
		port_count_rx(s->pkt.l2_port, ctx_len(ctx));
		return drop(ctx, &s->pkt, FL_DROP_MALFORMED);
	}
	/* to a virtual MAC; or what veth took for such before XDP there made it the device's own */
	if (ctx->pkt_type == PACKET_OTHERHOST && port->flags & FL_PORT_VIP &&
	    (ethernet_is_for(ctx, port) || vmac_comes(ctx, port->ifindex)))
		bpf_skb_change_type(ctx, PACKET_HOST);
	if (ctx->pkt_type != PACKET_HOST) {
		r = to_many(ctx, s);
		if (r != CTX_PASS || !control->policy[s->pkt.set & 1] || ctx->pkt_type == PACKET_OTHERHOST)
			return r;
		return to_many_judged(ctx, s, control, port);
	}
	r = parse(ctx, &s->pkt, port, ctx->protocol);
	if (r == STAGE_GO) {
		r = decide(ctx, s, control, port);
		flow = &s->way;
	}
	if (stray_or(r) == STAGE_STRAY && stray_offer(ctx, s))
		return CTX_DROP;
	if (r == STAGE_GO)
		r = forward_check(ctx, &s->pkt, control, &s->way);
	if (r == STAGE_GO && hop_has_failed(&s->hop))
		r = icmp_unreachable(&s->pkt, FL_DROP_UNREACHABLE);
	if (fl_dry_run) {
		explain(s, flow, r);
		return CTX_DROP;
	}
	if (r == -FL_DROP_FRAGMENT && fragment_wait(ctx, s))
		return CTX_DROP;
	if (r < 0 || r == STAGE_ERROR) {
		port_count_rx(s->pkt.l2_port, ctx_len(ctx));
		policy_dropped(ctx, s, r < 0 ? -r : s->pkt.reason);
	}
	if (r < 0)
		return drop(ctx, &s->pkt, -r);
	if ((r == STAGE_DELIVER || r == STAGE_PASS) && control->vips && !vip_may_come(ctx, &s->pkt, port))
		return refuse(ctx, &s->pkt, FL_DROP_NOT_OWNER);
	if (ctx->vlan_present && (r == STAGE_GO || r == STAGE_ERROR)) /* a priority tag ends here */
		bpf_skb_vlan_pop(ctx);
	switch (r) {
	case STAGE_GO:
		return transmit(ctx, s, &s->way, 1);
	case STAGE_DELIVER:
		/* to an address of ours that no tunnel uses; the kernel's answer would say what is here */
		if (s->pkt.family == FL_INET && s->pkt.proto == IPPROTO_IPV6) {
			port_count_rx(s->pkt.l2_port, ctx_len(ctx));
			return drop(ctx, &s->pkt, FL_DROP_TUNNEL_STRANGER);
		}
		pmtu_learn(ctx, &s->pkt);
		if (s->offered) /* packet sockets have it, and the kernel neither forwards nor answers it */
			bpf_skb_change_type(ctx, PACKET_OTHERHOST);
		return deliver(ctx, s, &s->way);
	case STAGE_ERROR:
		return answer(ctx, s, control);
	case STAGE_FRAGMENT:
		return hand_to_kernel(ctx, s);
	default:
		pmtu_learn(ctx, &s->pkt); /* also where IPv4 is left to the host */
		return CTX_PASS;
	}
}

SEC("tc")
int fl_tc_out(struct fl_ctx *ctx)
{
	const struct fl_control *control = control_get();
	struct scratch *s = scratch_get();
	const struct fl_port *port;
	struct fl_flow *flow = NULL;
	__u32 tunnel = 0;
	int r = STAGE_PASS;
	bool judges; /* or steers, a probe */

	if (!control || !s)
		return CTX_DROP;
	port = begin(ctx, s, control);
	if (!port)
		return CTX_PASS;
	if (ctx->tc_index == SKB_TAG) {
		ctx->tc_index = 0;
		return CTX_PASS;
	}
	if (ctx->tc_index == SKB_TAG_SOURCE) {
		ctx->tc_index = 0;
		return source_translate(ctx, s);
	}
	/* on its way through the parent of its VLAN device, where the guard has seen it if the device is ours */
	if (ctx->vlan_present && ctx->vlan_tci & 0xfff)
		return CTX_PASS;
	if (control->vips && !fl_dry_run && !vip_may_leave(ctx, port, s->pkt.outer))
		return drop(ctx, &s->pkt, FL_DROP_NOT_OWNER);
	if (ctx->ingress_ifindex && !fl_dry_run) {
		if ((ctx->protocol == bpf_htons(ETH_P_IPV6) && (port->family & FL_INET6)) ||
		    (ctx->protocol == bpf_htons(ETH_P_IP) && (port->family & FL_INET)))
			return drop(ctx, &s->pkt, FL_DROP_UNTAGGED);
		return CTX_PASS;
	}
	if (port->flags & FL_PORT_TUNNEL) /* on to the hidden end; ARP and IPv4 have no business there */
		return ctx->protocol == bpf_htons(ETH_P_IPV6) ? CTX_PASS : CTX_DROP;
	if (ctx->protocol == bpf_htons(ETH_P_IP))
		tunnel = tells_of_tunnel(ctx, &s->pkt);
	s->probe = FL_PROBE_GATEWAY(ctx->mark);
	judges = control->policy[s->pkt.set & 1] || s->probe;
	if (tunnel) {
		s->pkt.port = tunnel;
		r = -FL_DROP_TUNNEL_FRAGMENT;
	} else if (ctx->protocol == bpf_htons(ETH_P_IPV6) &&
		   ((port->flags & FL_PORT_NPT) || (judges && port->family & FL_INET6))) {
		r = own_route(ctx, s, control, &flow);
	} else if (ctx->protocol == bpf_htons(ETH_P_IP) && judges && port->family & FL_INET) {
		r = own_route4(ctx, s, control, &flow);
	}
	if (fl_dry_run) {
		explain(s, flow, r);
		return CTX_DROP;
	}
	if (r)
		policy_dropped(ctx, s, r < 0 ? -r : s->pkt.reason);
	if (r < 0)
		return drop(ctx, &s->pkt, -r);
	if (r == STAGE_ERROR)
		return answer(ctx, s, control);
	if (r != STAGE_GO || !flow)
		return CTX_PASS;
	if (flow->npt_dst || s->sends)
		return transmit(ctx, s, flow, 0);
	r = commit(ctx, &s->pkt);
	if (r)
		return drop(ctx, &s->pkt, -r);
	rewrite(ctx, &s->pkt, s->pkt.l3, s->pkt.l4, 0, flow);
	rewrite_payload(ctx, &s->pkt, s->pkt.l4, flow, &s->hop);
	return CTX_PASS;
}
