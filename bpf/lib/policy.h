/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Who may pass, and as whom: the state of a known connection says it, or for a new one the rules and translations. Decides only; what it
 * has decided lies in scratch, and lib/policy_commit.h carries it out once nothing can pass the packet down any more.
 *
 * A connection has two tuples: as its first packet came in, which is the key of its state, and as it left, which is the twin's where that is
 * another one. A packet that matches one of them becomes the other.
 */
#pragma once

#include "lib/nat.h"
#include "lib/reject.h"
#include "lib/route.h"
#include "lib/transport.h"

/* No stages of a packet's, but between those of this file. */
#define STAGE_NEW 5   /* of no known connection */
#define STAGE_ROUTE 6 /* it passes; where it goes is to be found */

static __always_inline __u8 policy_flags(const struct scratch *s)
{
	const struct fl_control *control = control_get();

	return control ? control->policy[s->pkt.set & 1] : 0;
}

/* ---- ways: the flow of s->key, in s->way and s->hop ---- */

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

static __always_inline __u16 way_from(const struct pkt *pkt)
{
	return pkt->endpoint ? FL_FROM_ENDPOINT(pkt->endpoint) : pkt->port;
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

/* ---- known connections ---- */

/* The end that began it. */
static __always_inline __u32 state_starter(const struct fl_state *st)
{
	return st->flags & FL_STATE_STARTER ? 1 : 0;
}

/*
 * Of a translated connection each end has a tuple of its own: the one who began it that of the state, the other the twin's. A packet with
 * the other one's tuple is none of theirs.
 */
static __always_inline bool tuple_is_of_sender(const struct conn *c, const struct fl_state *st)
{
	return !c->translated || (c->slot == c->main) == (c->main_side == state_starter(st));
}

/* The gateway of what end `side` sends. */
static __always_inline __u16 state_gateway(const struct fl_state *st, __u32 side)
{
	return side == state_starter(st) ? st->gateway : st->reply_gateway;
}

/* So it goes by that. Answers also where it is down for new connections: they came in by it. */
static __always_inline void steer_by_state(struct scratch *s, const struct fl_state *st)
{
	s->steer = state_gateway(st, s->conn.main_side);
	s->even_down = s->conn.main_side != state_starter(st);
}

/* Of a packet that an error quotes: whether its sender could have sent that (pf: icmp errors are checked against the window). */
static __always_inline bool quote_fits(const struct scratch *s, const struct fl_state *st)
{
	const struct fl_end *end = &st->end[(s->conn.main_side & 1) ^ 1]; /* the error comes from the other */

	if (!s->quote.has_seq || (st->flags & FL_STATE_LOOSE))
		return true;
	return (__s32)(end->seq_hi - s->quote.seq) >= 0 && (__s32)(s->quote.seq - (end->seq_lo - (1 << 20))) >= 0;
}

/* The connection of the packet that an ICMP error quotes. STAGE_GO, STAGE_NEW or -FL_DROP_*. */
static __always_inline int error_connection(struct fl_ctx *ctx, struct scratch *s)
{
	const struct fl_npt *npt;
	const struct fl_state *st;
	struct conn *c = &s->conn;

	if (quote_read(ctx, &s->pkt, &s->quote))
		return STAGE_NEW;
	quote_tuple(c, &s->quote);
	if (!state_find(c))
		return STAGE_NEW;
	st = state_at(c->main);
	if (!st)
		return -FL_DROP_INTERNAL;
	if (!quote_fits(s, st))
		return -FL_DROP_STATE_WINDOW;
	s->doing = DOING_ERROR;
	steer_by_state(s, st);
	if (!c->translated)
		return STAGE_GO;
	if (nat_of_quote(&s->quoted, c))
		return -FL_DROP_INTERNAL;
	npt = st->nat & FL_STATE_NPT ? npt_get(st->nat & ~FL_STATE_NPT) : NULL;
	quote_outer(&s->subject.src, &s->quote, &s->quoted, npt, &s->x.to);
	s->translate = true;
	return STAGE_GO;
}

/* Of no known connection. Flags that no host sets are no rule's business (pf and conntrack drop them, too). */
static __always_inline int connection_unknown(const struct scratch *s)
{
	return is_segment(&s->pkt) && !tcp_flags_are_sane(s->seg.flags) ? -FL_DROP_MALFORMED : STAGE_NEW;
}

/*
 * Of ICMP only a query by the one who began, and an answer by the other: with identifier 0 a query of the other's has the same tuple, and
 * what has none too.
 */
static __always_inline bool message_fits(const struct scratch *s, const struct fl_state *st)
{
	if (!s->pkt.l4 || (st->proto != FL_PROTO_ICMP && st->proto != FL_PROTO_ICMPV6))
		return true;
	return s->message == (s->conn.main_side == state_starter(st) ? MESSAGE_QUERY : MESSAGE_ANSWER);
}

/*
 * Reads the packet, and lets its connection's state judge it. Returns STAGE_GO: it passes, and s->x.to is what it becomes; STAGE_NEW: no
 * state knows it; or -FL_DROP_*.
 */
GLOBAL int policy_connection(struct fl_ctx *ctx, struct scratch *s)
{
	const struct fl_state *st;
	struct subject *sub;
	struct conn *c;
	int r;

	if (!s)
		return -FL_DROP_INTERNAL;
	c = &s->conn;
	sub = &s->subject;
	r = transport_read(ctx, s);
	if (r)
		return r;
	s->x.to = (struct rewrite){ .src = sub->src, .dst = sub->dst, .sport = sub->sport, .dport = sub->dport };
	if (s->message == MESSAGE_ERROR) {
		r = error_connection(ctx, s);
		if (r != STAGE_NEW)
			return r;
	}
	tuple_of(c, &sub->src, &sub->dst, sub->sport, sub->dport, sub->proto);
	if (s->missed || !state_find(c))
		return connection_unknown(s);
	st = state_at(c->main);
	if (!st)
		return -FL_DROP_INTERNAL;
	if (!message_fits(s, st))
		return STAGE_NEW;
	r = state_check(c, s->pkt.l4 ? &s->seg : NULL);
	if (fl_dry_run && r == -FL_DROP_STATE_WINDOW) /* who asks explain knows no sequence numbers */
		r = 0;
	if (r)
		return r == STATE_MISS ? STAGE_NEW : r;
	s->doing = DOING_UPDATE;
	steer_by_state(s, st);
	s->rule[0] = st->rule[0];
	s->rule[1] = st->rule[1];
	s->translate = c->translated;
	return c->translated ? nat_of_conn(&s->x.to, c) : STAGE_GO;
}

/* The way of a known connection's packet that came in, as its end has it. Else STAGE_ROUTE, and as way_admit(). */
static __always_inline int policy_known(struct fl_ctx *ctx, struct scratch *s)
{
	const struct fl_state *st;
	const struct fl_end *end;
	int r;

	if (!s)
		return -FL_DROP_INTERNAL;
	st = state_at(s->conn.main);
	if (!st)
		return -FL_DROP_INTERNAL;
	if (s->doing == DOING_UPDATE && !tuple_is_of_sender(&s->conn, st))
		return -FL_DROP_STATE_WINDOW;
	end = &st->end[s->conn.main_side & 1];
	if (s->doing == DOING_UPDATE && end_is_fresh(&s->pkt, s->conn.now, end)) {
		s->local = !end->mtu;
		if (s->local)
			return STAGE_DELIVER;
		if (way_of_end(s, end))
			return STAGE_GO;
	}
	/* a mapping lives as long as its connections do */
	if (s->translate && !(st->nat & FL_STATE_NPT) && s->conn.main_side == state_starter(st))
		eim_keep(&s->x.to.src, s->x.to.sport, s->pkt.proto);
	s->by_state = true;
	if (!way_key(ctx, s, s->pkt.l2_port, s->steer))
		return -FL_DROP_MALFORMED;
	r = way_admit(ctx, s);
	s->local = r == STAGE_DELIVER;
	s->keep_way = s->doing == DOING_UPDATE && (r == STAGE_GO || s->local);
	return r == STAGE_GO ? STAGE_ROUTE : r;
}

/* ---- new ones ---- */

/*
 * Lets the list judge s->subject, on a port. `steers`: route_to counts. Returns STAGE_GO, and in s what the rule says of a state and of
 * gateways; STAGE_ERROR: it is rejected; or -FL_DROP_*.
 */
GLOBAL int rules_judge(struct scratch *s, __u32 list, __u32 port, bool steers)
{
	const struct fl_rule *rule;
	__u32 place, which;

	if (!s)
		return -FL_DROP_INTERNAL;
	s->subject.port = port;
	place = rules_match(&s->subject, list);
	rule = place ? rule_get(s->pkt.set, list, place) : NULL;
	if (!rule)
		return -FL_DROP_INTERNAL;
	which = list == FL_LIST_OUT;
	s->judged_out = which;
	s->decider = rule->id;
	s->route_to = steers && rule->route_to ? via_gateway(s, rule->route_to) : 0;
	s->reply = reply_via(s, rule->reply_to);
	if (rule->flags & FL_RULE_LOG)
		s->log |= 1u << which;
	if (!s->diverted || rule->action != FL_PASS) /* else the state is of the rule that has sent it here */
		s->rule[which] = rule->id;
	if (rule->action == FL_REJECT)
		return reject(&s->pkt, rule->reject);
	if (rule->action != FL_PASS)
		return -FL_DROP_RULE;
	if (steers && rule->route_to && !s->route_to) {
		if (!(rule->flags & FL_RULE_DOWN_REJECT))
			return -FL_DROP_GATEWAY_DOWN;
		reject(&s->pkt, FL_REJECT_AUTO);
		s->pkt.reason = FL_DROP_GATEWAY_DOWN;
		return STAGE_ERROR;
	}
	if (rule->keep > s->keep)
		s->keep = rule->keep;
	if (s->diverted)
		return STAGE_GO;
	s->conn.max_states[which] = rule->max_states;
	s->conn.max_states_per_source[which] = rule->max_states_per_source;
	return STAGE_GO;
}

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

/* Whether a packet that rules have passed begins something that answers will come to. */
static __always_inline bool begins_connection(const struct scratch *s)
{
	if (s->keep == FL_KEEP_NONE || is_group(&s->x.to.dst, s->pkt.family) || !s->pkt.l4)
		return false;
	if (s->pkt.proto == IPPROTO_ICMP || s->pkt.proto == IPPROTO_ICMPV6)
		return s->message == MESSAGE_QUERY;
	return !is_segment(&s->pkt) || !(s->seg.flags & TCP_RST);
}

/* The destination that the translation rules say. */
GLOBAL int translate_in(struct scratch *s)
{
	const struct fl_nat *nat;
	__u32 place;

	if (!s)
		return -FL_DROP_INTERNAL;
	s->subject.port = s->pkt.port;
	place = rules_match(&s->subject, FL_LIST_DNAT);
	nat = place ? nat_get(s->pkt.set, FL_LIST_DNAT, place) : NULL;
	if (!nat || nat->flags & FL_NAT_EXEMPT)
		return STAGE_GO;
	s->by_state = true;
	return nat_destination(&s->x, nat, port_get(s->pkt.set, s->pkt.port));
}

/* The source that the translation rules say, or else prefix translation. `port`: it leaves by. */
GLOBAL int translate_out(struct scratch *s, __u32 port)
{
	const struct fl_nat *nat;
	const struct fl_npt *npt;
	__u32 place = 0;

	if (!s)
		return -FL_DROP_INTERNAL;
	s->subject.port = port;
	if (policy_flags(s) & FL_POLICY_SNAT)
		place = rules_match(&s->subject, FL_LIST_SNAT);
	nat = place ? nat_get(s->pkt.set, FL_LIST_SNAT, place) : NULL;
	if (nat && !(nat->flags & FL_NAT_EXEMPT))
		return nat_source(&s->x, nat, port_get(s->pkt.set, port)) ?: nat_check(&s->x);
	npt = s->way.npt_src ? npt_get(s->way.npt_src) : NULL;
	if (npt)
		fl_npt_to_external(npt, &s->x.to.src);
	return s->x.dnat ? nat_check(&s->x) : STAGE_GO;
}

/* The id of the translation that the state names, by which it is counted. */
static __always_inline __u16 translation_of(const struct scratch *s)
{
	if (s->x.snat || s->x.dnat)
		return s->x.snat ?: s->x.dnat;
	return s->translate ? FL_STATE_NPT | (s->way.npt_src ?: s->way.npt_dst) : 0;
}

/* The gateway that answers go by: the rule's, or the one that the first packet came by, unless its sender is on the link itself. */
static __always_inline __u16 reply_gateway(const struct scratch *s)
{
	const struct fl_port *in = port_get(s->pkt.set, s->pkt.port);

	if (s->reply)
		return s->reply;
	if (!in || s->way.xmit & FL_FLOW_NEIGHBOUR)
		return 0;
	return in->gateway[s->pkt.family == FL_INET6];
}

/* The gateway that an answer of our own to the packet goes by, as those of its receiver do. */
static __always_inline __u16 own_answer_gateway(const struct scratch *s)
{
	const struct fl_state *st = s->doing == DOING_UPDATE ? state_at(s->conn.main) : NULL;

	if (!s->pkt.judged)
		return 0;
	return st ? state_gateway(st, (s->conn.main_side & 1) ^ 1) : reply_gateway(s);
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

/* Everything has passed the packet: it gets a state, or is counted on its rules. `own`: of the router. */
GLOBAL int policy_passed(struct scratch *s, bool own)
{
	struct fl_state *fresh;

	if (!s)
		return -FL_DROP_INTERNAL;
	fresh = &s->fresh;
	s->translate = nat_changes(&s->x);
	if ((s->x.snat || s->x.dnat) && s->keep == FL_KEEP_NONE) /* nothing else could turn the answers back */
		s->keep = FL_KEEP_LOOSE;
	if (!begins_connection(s)) {
		if (s->translate && (s->x.snat || s->x.dnat)) /* never out with an address that a rule hides */
			return -FL_DROP_NAT_STATELESS;
		s->doing = DOING_COUNT;
		s->translate = false; /* prefixes are, by s->way */
		return STAGE_GO;
	}
	__builtin_memset(fresh, 0, sizeof(*fresh));
	fresh->nat = translation_of(s);
	s->way.npt_src = s->way.npt_dst = 0;
	if (s->keep == FL_KEEP_LOOSE || (is_segment(&s->pkt) && (s->seg.flags & (TCP_SYN | TCP_ACK)) != TCP_SYN))
		fresh->flags |= FL_STATE_LOOSE;
	if (own)
		fresh->flags |= s->probe ? FL_STATE_OWN | FL_STATE_PROBE : FL_STATE_OWN;
	fresh->rule[0] = s->rule[0];
	fresh->rule[1] = s->rule[1];
	fresh->gateway = s->steer ?: s->routed;
	fresh->reply_gateway = s->reply;
	state_begin(&s->conn, &s->seg, fresh, s->pkt.len);
	if (!own && (s->local || s->way.nexthop))
		end_learn(s, &fresh->end[s->conn.side & 1]);
	else if (!own)
		end_note(s, &fresh->end[s->conn.side & 1]);
	if (s->translate)
		nat_twin(&s->conn, &s->twin, &s->x);
	s->doing = DOING_INSERT;
	return STAGE_GO;
}

/*
 * A new connection's packet on its way out by s->hop: `out` rules, source translation. Returns STAGE_GO, STAGE_ERROR or -FL_DROP_*; or
 * STAGE_ROUTE: a rule sends it another way, where it is judged again, as in pf.
 */
static __always_inline int policy_leave(struct scratch *s, bool again)
{
	__u32 port = flow_out_port(&s->way, &s->hop);
	__u16 reply = s->reply; /* the `in` rule's */
	int r = rules_judge(s, FL_LIST_OUT, port, !again);

	s->reply = reply;
	if (r == STAGE_GO && s->route_to && s->route_to != s->steer) {
		s->diverted = true;
		way_steer(s, s->route_to);
		return STAGE_ROUTE;
	}
	if (r == STAGE_GO)
		r = translate_out(s, port);
	if (r == STAGE_GO && !s->steer)
		s->routed = routed_gateway(s, port);
	return r == STAGE_GO ? policy_passed(s, false) : r;
}

/*
 * A packet that came in, of no known connection: destination translation, `in` rules, and the gateway that they say. Returns STAGE_ROUTE,
 * or as policy_forward().
 */
static __always_inline int policy_arrive(struct fl_ctx *ctx, struct scratch *s)
{
	int r = STAGE_GO;

	s->keep = FL_KEEP;
	nat_begin(&s->x, &s->conn, s->pkt.family);
	if (policy_flags(s) & FL_POLICY_DNAT)
		r = translate_in(s);
	if (r == STAGE_GO && !way_key(ctx, s, s->pkt.l2_port, 0))
		r = -FL_DROP_MALFORMED;
	if (r == STAGE_GO)
		r = way_admit(ctx, s);
	s->local = r == STAGE_DELIVER;
	if (r != STAGE_GO && r != STAGE_DELIVER)
		return r;
	s->subject.dst = s->x.to.dst;
	s->subject.dport = s->x.to.dport;
	if (s->local && is_unasked(ctx, s, false))
		return STAGE_DELIVER;
#ifdef CTX_IS_XDP
	if (is_offer(s)) /* tc knows to whom it goes */
		return STAGE_DELIVER;
#endif
	r = rules_judge(s, FL_LIST_IN, s->pkt.port, !s->local);
	if (r)
		return is_offer(s) ? offer_deliver(s) : r;
	s->reply = reply_gateway(s);
	if (s->local)
		return policy_passed(s, false) ?: STAGE_DELIVER;
	if (s->route_to)
		way_steer(s, s->route_to);
	return STAGE_ROUTE;
}

/*
 * Judges a packet that came in by s->pkt.port. Returns STAGE_GO: it goes by s->way and s->hop; STAGE_DELIVER: to the host, or to what
 * the kernel answers; STAGE_ERROR or -FL_DROP_*.
 */
static __always_inline int policy_forward(struct fl_ctx *ctx, struct scratch *s)
{
	int r = policy_connection(ctx, s);

#ifdef CTX_IS_XDP
	/* the first fragment may be on its way to tc: several frames pass here at once */
	if (r == -FL_DROP_FRAGMENT && !s->pkt.l4)
		return STAGE_PASS;
#endif
	/* one behind the other: calls may be eight deep */
	if (r == STAGE_GO)
		r = policy_known(ctx, s);
	else if (r == STAGE_NEW)
		r = policy_arrive(ctx, s);
	for (int again = 0; again < 2 && r == STAGE_ROUTE; again++) {
		r = way_route(ctx, s);
#ifdef CTX_IS_SKB
		/* nowhere else: no router is between two hosts of a link */
		if ((r == STAGE_DELIVER || (r == STAGE_GO && flow_out_port(&s->way, &s->hop) == s->pkt.l2_port)) &&
		    is_offer(s))
			return offer_deliver(s);
#endif
		if (r == STAGE_GO && s->doing == DOING_NOTHING)
			r = policy_leave(s, again);
	}
	return r;
}

#ifdef CTX_IS_SKB
/* ---- the router's own ---- */

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
#endif
