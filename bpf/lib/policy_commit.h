/* SPDX-License-Identifier: GPL-2.0-only */
/* Carries out what lib/policy.h has decided, for a packet that is sure to leave, or to stay here. */
#pragma once

#include "lib/event.h"
#include "lib/policy.h"

static __always_inline void rules_count(const struct scratch *s, __u32 bytes)
{
	if (fl_dry_run)
		return;
	rule_account(s->rule[0], 1, bytes);
	if (s->rule[1] != s->rule[0])
		rule_account(s->rule[1], 1, bytes);
}

/* The connection's first packet shows the ports to those behind it. */
static __always_inline void fragment_commit(struct scratch *s)
{
	struct conn *c = &s->conn;
	__u32 side = c->side & 1;
	union fl_addr src = c->key.addr[side], dst = c->key.addr[side ^ 1];

	fragment_remember(&s->pkt, &src, &dst, c->key.port[side], c->key.port[side ^ 1]);
}

static __always_inline void npt_commit(const struct scratch *s, const struct fl_state *st, __u32 bytes)
{
	const struct conn *c = &s->conn;

	if (s->translate && st->nat & FL_STATE_NPT)
		npt_count(st->nat & ~FL_STATE_NPT, !same_addr(&s->x.to.src, &c->key.addr[c->side & 1]), bytes);
}

/* What a rule has to do with it that a packet is dropped (reason; 0: it is not): one that let it in passed what an `out` rule blocks. */
static __always_inline __u8 verdict_of(const struct scratch *s, bool out, __u32 reason)
{
	bool by_rule = reason == FL_DROP_RULE || reason == FL_DROP_REJECTED;

	if (!reason || (by_rule && out != s->judged_out))
		return FL_EVENT_PASS;
	if (!by_rule)
		return FL_EVENT_DROP;
	return reason == FL_DROP_RULE ? FL_EVENT_BLOCK : FL_EVENT_REJECT;
}

/* Tells of a packet that a rule with `log` has decided about, in one direction. Before it is changed. reason: enum fl_drop; 0: it passes. */
GLOBAL int policy_log(struct fl_ctx *ctx, struct scratch *s, __u32 out, __u32 reason)
{
	struct fl_event *e = event_begin();

	hide(out);
	out &= 1;
	if (!e || !s || !(s->log & 1u << out))
		return 0;
	e->src = s->subject.src;
	e->dst = s->subject.dst;
	e->sport = s->subject.sport;
	e->dport = s->subject.dport;
	e->port = out ? s->subject.port : s->pkt.port;
	e->rule = s->rule[out];
	e->flags = out ? FL_EVENT_OUT : 0;
	e->verdict = verdict_of(s, out, reason);
	e->reason = e->verdict == FL_EVENT_PASS ? 0 : reason;
	return event_log(ctx, &s->pkt);
}

static __always_inline void policy_log_both(struct fl_ctx *ctx, struct scratch *s, __u32 reason)
{
	if (!s->log)
		return;
	policy_log(ctx, s, 0, reason);
	policy_log(ctx, s, 1, reason);
}

/* What follows when nothing can fail any more: counting, logging, and what the state learns of the packet and its way. */
GLOBAL int policy_settle(struct fl_ctx *ctx, struct scratch *s)
{
	struct fl_state *st;

	if (!s || fl_dry_run)
		return STAGE_GO;
	if (s->pkt.fragment && s->doing != DOING_ERROR)
		fragment_commit(s);
	switch (s->doing) {
	case DOING_UPDATE:
		state_update(&s->conn, s->pkt.len);
		break;
	case DOING_INSERT:
		policy_log_both(ctx, s, 0);
		break;
	case DOING_COUNT:
		rules_count(s, s->pkt.len);
		policy_log_both(ctx, s, 0);
		return STAGE_GO;
	case DOING_ERROR:
		state_error(&s->conn);
		return STAGE_GO;
	default:
		return STAGE_GO;
	}
	st = state_at(s->conn.main);
	if (!st)
		return STAGE_GO;
	if (s->keep_way && (s->local || s->way.nexthop))
		end_learn(s, &st->end[s->conn.main_side & 1]);
	else if (s->keep_way && !st->end[s->conn.main_side & 1].from)
		end_note(s, &st->end[s->conn.main_side & 1]);
	npt_commit(s, st, s->pkt.len);
	return STAGE_GO;
}

/* Another CPU has made the state meanwhile: the packet is one more of the same, and leaves by the port that was chosen there. */
static __always_inline int policy_follow(struct fl_ctx *ctx, struct scratch *s)
{
	int r = s->translate && s->conn.translated ? nat_of_conn(&s->x.to, &s->conn) : STAGE_GO;

	if (r < 0)
		return r;
	policy_log_both(ctx, s, 0);
	s->doing = DOING_UPDATE;
	s->conn.next.held = true; /* state_check() has not seen it */
	s->keep_way = false;
	return STAGE_GO;
}

/* Returns STAGE_GO or -FL_DROP_*: there is no room for another state. */
static __always_inline int policy_commit(struct fl_ctx *ctx, struct scratch *s)
{
	int r = STAGE_GO;

	if (!s)
		return -FL_DROP_INTERNAL;
	if (s->doing == DOING_INSERT)
		r = nat_commit(&s->x);
	if (r == NAT_FOLLOWS) {
		nat_twin(&s->conn, &s->twin, &s->x);
		r = STAGE_GO;
	}
	if (r == STAGE_GO && s->doing == DOING_INSERT)
		r = state_insert(&s->conn, &s->fresh, s->translate ? &s->twin : NULL);
	if (r == STATE_EXISTS)
		r = policy_follow(ctx, s);
	if (r < 0) {
		policy_log_both(ctx, s, -r);
		return r;
	}
	return policy_settle(ctx, s);
}

/* The same for a packet of a connection whose state has the way. */
static __always_inline void policy_commit_known(struct scratch *s, __u32 bytes)
{
	const struct fl_state *st = s ? state_at(s->conn.main) : NULL;

	if (!st)
		return;
	state_update(&s->conn, bytes);
	npt_commit(s, st, bytes);
}

/* What the headers become, and what an ICMP error quotes. The transport header is at l4; 0: there is none. */
GLOBAL int policy_rewrite(struct fl_ctx *ctx, __u32 l3, __u32 l4)
{
	struct scratch *s = scratch_at();
	int r = STAGE_GO;

	if (!s || !s->translate)
		return STAGE_GO;
	if (s->doing == DOING_ERROR)
		r = quote_rewrite(ctx, &s->pkt, l4, &s->quote, &s->quoted);
	return r ?: nat_rewrite(ctx, &s->pkt, l3, l4, &s->x.to);
}

/* A judged packet that is dropped: it is logged, and a rule that does not let it pass counts it. */
static __always_inline void policy_dropped(struct fl_ctx *ctx, struct scratch *s, __u32 reason)
{
	policy_log_both(ctx, s, reason);
	if (!fl_dry_run && (reason == FL_DROP_RULE || reason == FL_DROP_REJECTED || reason == FL_DROP_GATEWAY_DOWN))
		rule_account(s->decider, 1, s->pkt.len);
}
