// SPDX-License-Identifier: GPL-2.0-only
/* The upper floor. fl_xdp, fl_xdp_generic: ingress of every port; fl_icmp: where ICMP errors are made (lib/icmp.h). */
#include "ctx/xdp.h"

#include "ctx/xdp_short.h"
#include "ctx/xdp_vip.h"
#include "lib/icmp_build.h"
#include "lib/stray.h"

char _license[] SEC("license") = "GPL";

static __always_inline int long_way(struct fl_ctx *ctx, bool generic)
{
	const struct fl_control *control = control_get();
	struct scratch *s = scratch_get();
	const struct fl_port *port;
	__be16 proto;
	__u16 vid;
	int r;

	r = ethernet_parse(ctx, &vid, &proto);
	if (r < 0 || !control || !s)
		return XDP_PASS;
	s->pkt.outer = r;
	s->pkt.gen = control_gen(control);
	s->pkt.set = FL_GEN_SET(s->pkt.gen);
	s->pkt.port = s->pkt.l2_port = port_number(s->pkt.set, ctx_ifindex(ctx), vid);
	port = s->pkt.port ? port_get(s->pkt.set, s->pkt.port) : NULL;
	if (!port || !ethernet_is_for(ctx, port))
		return XDP_PASS;
	r = parse(ctx, &s->pkt, port, proto);
	if (r == STAGE_GO)
		r = decide(ctx, s, control, port);
	r = stray_or(r); /* tc hands such up */
	if (r == STAGE_GO)
		r = forward_check(ctx, &s->pkt, control, &s->way);
	if (r < 0) {
		port_count_rx(s->pkt.l2_port, ctx_len(ctx));
		policy_dropped(ctx, s, -r);
		return drop(ctx, &s->pkt, -r);
	}
	if (r != STAGE_GO)
		return XDP_PASS; /* for the host, or for tc to answer */
	return transmit(ctx, &s->pkt, generic, false, &s->way, &s->hop);
}

static __always_inline int ingress(struct fl_ctx *ctx, bool generic)
{
	struct scratch *s;
	int r;

	virtual_mac(ctx);
	/* generic XDP is not what anybody has for speed: it has one way, which costs the verifier less */
	r = generic ? LONG_WAY : short_way(ctx, generic);
	if (r >= 0)
		return r;
	s = scratch_at();
	if (s)
		s->missed = r == LONG_WAY_NEW;
	return long_way(ctx, generic);
}

SEC("xdp.frags")
int fl_xdp(struct fl_ctx *ctx)
{
	return ingress(ctx, false);
}

/*
 * Generic XDP runs a program that takes fragments on a copy of the packet (Linux 6.9), and the copy forgets where its Ethernet
 * header ends: tc behind it would find none. For a program that does not, the kernel makes the packet linear.
 */
SEC("xdp")
int fl_xdp_generic(struct fl_ctx *ctx)
{
	return ingress(ctx, true);
}

SEC("xdp.frags")
int fl_icmp(struct fl_ctx *ctx)
{
	return icmp_build(ctx);
}
