/* SPDX-License-Identifier: GPL-2.0-only */
/* Packets of no known connection, which rules judge and translations change, and the state that such a one gets. */
#pragma once

#include "lib/nat.h"
#include "lib/policy_known.h"
#include "lib/reject.h"
#include "lib/rules.h"
#include "lib/unasked.h"
#include "lib/way.h"

static __always_inline __u8 policy_flags(const struct scratch *s)
{
	const struct fl_control *control = control_get();

	return control ? control->policy[s->pkt.set & 1] : 0;
}

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
	s->stranger = true;
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
