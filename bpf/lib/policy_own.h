/* SPDX-License-Identifier: GPL-2.0-only */
/* What the router itself sends: whether it may, and its way where that is not the kernel's. For tc, which sees it. */
#pragma once

#include "lib/policy_known.h"
#include "lib/policy_new.h"
#include "lib/vip_host.h"

/*
 * The way of what the router sends by s->pkt.port: by a gateway, into a tunnel, or to the inside again. Otherwise the kernel has found
 * it. As route_own().
 */
static __always_inline int own_way(struct fl_ctx *ctx, struct scratch *s)
{
	if (!way_key(ctx, s, s->pkt.port | FL_FLOW_OWN, s->steer))
		return -FL_DROP_MALFORMED;
	s->hairpin = false;
	s->way_known = false;
	flow_begin(&s->way, &s->key);
	if (!s->steer && !(s->by_state && destination_changes(s)))
		return route_own(ctx, s, &s->way);
	way_ask(s);
	return route_way(ctx, s, &s->way);
}

/* Whether that is asked at all. */
static __always_inline bool own_has_way(const struct scratch *s)
{
	const struct fl_port *out = port_get(s->pkt.set, s->pkt.port);

	return s->steer || (out && s->pkt.family == FL_INET6 && out->flags & (FL_PORT_NPT | FL_PORT_TUNNEL));
}

/* A probe of the daemon's tells of its gateway, so it goes by that one. */
static __always_inline void own_probes(struct scratch *s)
{
	s->steer = s->probe;
	s->even_down = true;
}

/*
 * What leaves by port `number` as the kernel sends it, or into a tunnel: the member of a group that it is routed by, in s->routed. The kernel
 * does not say which router it has chosen, so its tables are asked once more.
 */
static __always_inline void own_routed(struct fl_ctx *ctx, struct scratch *s, __u32 number)
{
	const struct fl_port *port = port_get(s->pkt.set, number);

	if (!port || !(port->flags & FL_PORT_MEMBER))
		return;
	if (!s->way.endpoint) {
		s->query.src = s->subject.src;
		s->query.dst = s->subject.dst;
		s->query.family = s->pkt.family;
		s->query.ifindex = port->ifindex;
		s->query.out = true;
		s->query.set = s->pkt.set;
		query_transport(ctx, s);
		if (fib_ask(ctx, &s->query, &s->hop) != STAGE_GO || !s->hop.family)
			return;
	}
	s->routed = routed_gateway(s, number);
}

/* Translated to a shared address that another node has, nothing that this one begins would be answered here: it keeps its own. */
static __always_inline void own_keeps_address(struct nat *n)
{
	__u8 vhid;

	if (!n->snat || vip_judge(&n->to.src, 0, &vhid) != VIP_ANOTHERS)
		return;
	n->to.src = n->from.src;
	n->to.sport = n->from.sport;
	n->snat = 0;
	n->mapped = false;
}

static __always_inline int own_new(struct fl_ctx *ctx, struct scratch *s)
{
	const struct fl_npt *npt;
	__u32 port = s->pkt.port;
	bool unasked;
	int r;

	s->keep = FL_KEEP;
	nat_begin(&s->x, &s->conn, s->pkt.family);
	unasked = s->probe || is_unasked(ctx, s, true);
	if (s->probe) {
		own_probes(s);
	} else if (unasked) {
		s->keep = FL_KEEP_NONE;
	} else {
		r = rules_judge(s, FL_LIST_OUT, port, true);
		if (r)
			return r;
		s->steer = s->route_to;
	}
	if (own_has_way(s)) {
		r = own_way(ctx, s);
		if (r)
			return r;
		port = flow_out_port(&s->way, &s->hop);
	}
	if (!unasked && s->steer && port != s->pkt.port) {
		s->diverted = true;
		r = rules_judge(s, FL_LIST_OUT, port, false);
		if (r)
			return r;
	}
	npt = s->way.npt_dst ? npt_get(s->way.npt_dst) : NULL;
	if (npt)
		fl_npt_to_internal(npt, &s->x.to.dst);
	s->sends = s->steer || npt;
	r = unasked ? STAGE_GO : translate_out(s, port);
	if (r)
		return r;
	own_keeps_address(&s->x);
	if (!unasked && !s->sends)
		own_routed(ctx, s, port);
	return policy_passed(s, true);
}

/*
 * A packet as if from an end of a connection through the router (the daemon's resets), to an end whose own address is translated: as the
 * answers look when they have been.
 */
static __always_inline bool own_is_forged(const struct scratch *s)
{
	const struct fl_state *st = state_at(s->conn.main);

	return s->doing == DOING_UPDATE && s->translate && st && !(st->flags & FL_STATE_OWN) &&
	       (!same_addr(&s->x.to.dst, &s->subject.dst) || s->x.to.dport != s->subject.dport);
}

/* It has the address and port that a host inside is translated to, for the same destination: an answer would be that one's. */
static __always_inline bool own_is_taken(const struct scratch *s)
{
	const struct fl_state *st = state_at(s->conn.main);

	return s->doing == DOING_UPDATE && st && !tuple_is_of_sender(&s->conn, st);
}

/*
 * Judges what the router itself sends by s->pkt.port. Returns STAGE_GO: it leaves as the kernel sends it, or (s->sends) by s->way;
 * STAGE_ERROR or -FL_DROP_*.
 */
static __always_inline int policy_own(struct fl_ctx *ctx, struct scratch *s)
{
	int r;

	__builtin_memset(&s->way, 0, sizeof(s->way));
	s->way.mtu = 0xffff;
	r = policy_connection(ctx, s);
	if (r == STAGE_NEW)
		return own_new(ctx, s);
	if (r != STAGE_GO)
		return r;
	if (own_is_forged(s)) {
		s->x.to.src = s->subject.src;
		s->x.to.dst = s->subject.dst;
		s->translate = false;
	} else if (own_is_taken(s)) {
		return -FL_DROP_NAT_PORTS;
	}
	if (s->probe)
		own_probes(s);
	s->by_state = true;
	s->sends = s->steer || destination_changes(s);
	return s->sends || own_has_way(s) ? own_way(ctx, s) : STAGE_GO;
}

/* The way of a probe where nothing is judged. As route_way(). */
static __always_inline int probe_way(struct fl_ctx *ctx, struct scratch *s)
{
	if (!flow_key(ctx, &s->pkt, s->pkt.port | FL_FLOW_OWN, &s->key))
		return -FL_DROP_MALFORMED;
	own_probes(s);
	s->hairpin = false;
	s->key.gateway = s->steer;
	s->x.to.dst = s->key.dst;
	flow_begin(&s->way, &s->key);
	way_ask(s);
	s->sends = true;
	return route_way(ctx, s, &s->way);
}
