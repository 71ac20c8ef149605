/* SPDX-License-Identifier: GPL-2.0-only */
/* The way of a packet that is judged, in s->way and s->hop: the flow of s->key, or as the connection's state has it. */
#pragma once

#include "lib/route.h"
#include "lib/state.h"

static __always_inline bool way_key(struct fl_ctx *ctx, struct scratch *s, __u16 from, __u16 gateway)
{
	if (!flow_key(ctx, &s->pkt, s->by_state ? from | FL_FLOW_BY_STATE : from, &s->key))
		return false;
	s->key.dst = s->x.to.dst;
	s->key.gateway = gateway;
	return true;
}

static __always_inline bool way_known(struct scratch *s)
{
	const struct fl_control *control = control_get();
	const struct fl_flow *flow = fl_dry_run ? NULL : flow_find_known(&s->key);

	s->way_known =
		control && flow && flow_is_fresh(flow, &s->key, control) && hop_from_nexthop(&s->hop, flow->nexthop);
	if (s->way_known)
		s->way = *flow;
	return s->way_known;
}

/*
 * Whether the packet may come in here, and its destination as the inside sees it: s->x.to.dst. As route_admit(); with STAGE_DELIVER it is for
 * the host itself.
 */
GLOBAL int way_admit(struct fl_ctx *ctx, struct scratch *s)
{
	const struct fl_npt *npt;
	int r;

	if (!s)
		return -FL_DROP_INTERNAL;
	if (way_known(s)) {
		npt = s->way.npt_dst ? npt_get(s->way.npt_dst) : NULL;
		if (npt)
			fl_npt_to_internal(npt, &s->x.to.dst);
		return STAGE_GO;
	}
	flow_begin(&s->way, &s->key);
	r = route_admit(ctx, s, &s->way);
	s->x.to.dst = s->query.dst;
	return r;
}

/* Where it goes. As route_way(). */
static __always_inline int way_route(struct fl_ctx *ctx, struct scratch *s)
{
	const struct fl_control *control = control_get();
	int r;

	if (!control)
		return -FL_DROP_INTERNAL;
	if (s->way_known)
		return STAGE_GO;
	r = route_way(ctx, s, &s->way);
	if (r == STAGE_GO && s->way.nexthop && !(control->routing & FL_ROUTING_TRANSPORT))
		flow_store(&s->way, &s->key);
	/* who sent it does not know the address that the kernel would quote */
	return r == STAGE_DELIVER && s->translate ? icmp_unreachable(&s->pkt, FL_DROP_UNREACHABLE) : r;
}

/* What route_way() is to find. */
static __always_inline void way_ask(struct scratch *s)
{
	s->query.src = s->way.src;
	s->query.dst = s->x.to.dst;
	s->query.family = s->pkt.family;
	s->query.out = false;
	s->query.set = s->pkt.set;
}

/* By a rule's gateway instead. */
static __always_inline void way_steer(struct scratch *s, __u16 gateway)
{
	s->steer = gateway;
	s->key.gateway = gateway;
	if (way_known(s))
		return;
	s->way.gateway = gateway;
	s->way.nexthop = s->way.endpoint = s->way.mtu = 0;
	s->way.xmit &= FL_FLOW_NEIGHBOUR;
	if (!s->hairpin)
		s->way.npt_src = 0;
	way_ask(s);
}

/* Of a packet that is translated. */
static __always_inline bool source_changes(const struct scratch *s)
{
	return !same_addr(&s->x.to.src, &s->conn.key.addr[s->conn.side & 1]);
}

static __always_inline bool destination_changes(const struct scratch *s)
{
	return !same_addr(&s->x.to.dst, &s->conn.key.addr[(s->conn.side & 1) ^ 1]);
}

static __always_inline __u16 way_from(const struct pkt *pkt)
{
	return pkt->endpoint ? FL_FROM_ENDPOINT(pkt->endpoint) : pkt->port;
}

/* How a state's end knows its way: as fresh as the flow cache's, and for packets that come as those before. */
static __always_inline bool end_is_fresh(const struct pkt *pkt, __u32 now, const struct fl_end *end)
{
	__u16 age = FL_STAMP(now) - end->stamp;

	return end->from == way_from(pkt) && end->gen == (__u16)control_generation(pkt->gen) &&
	       age < flow_age_max(control_get(), now);
}

static __always_inline bool way_of_end(struct scratch *s, const struct fl_end *end)
{
	const struct fl_port *port;

	if (!hop_from_nexthop(&s->hop, end->nexthop))
		return false;
	port = port_get(s->pkt.set, s->hop.port);
	if (!port)
		return false;
	s->way.in_endpoint = s->pkt.endpoint;
	s->way.endpoint = end->endpoint;
	s->way.nexthop = end->nexthop;
	s->way.mtu = end->mtu;
	s->way.xmit = port_xmit(port);
	s->way.npt_src = s->way.npt_dst = 0;
	return true;
}

/* What the first packet's end learns of its way; from: 0 if none (the router's own). */
static __always_inline void end_learn(const struct scratch *s, struct fl_end *end)
{
	end->from = way_from(&s->pkt);
	end->nexthop = s->local ? 0 : s->way.nexthop;
	end->endpoint = s->way.endpoint;
	end->mtu = s->local ? 0 : s->way.mtu;
	end->gen = control_generation(s->pkt.gen);
	end->stamp = FL_STAMP(s->conn.now);
}

/* The same where there is none to be known yet: by which port it came, into which tunnel it goes, and what is never fresh. */
static __always_inline void end_note(const struct scratch *s, struct fl_end *end)
{
	end->from = way_from(&s->pkt);
	end->endpoint = s->way.endpoint;
	end->gen = control_generation(s->pkt.gen) - 1;
}
