/* SPDX-License-Identifier: GPL-2.0-only */
/* Carries out what lib/policy.h has decided, for a packet that is sure to leave, or to stay here. */
#pragma once

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

static __always_inline void npt_commit(const struct scratch *s, const struct fl_state *st)
{
	const struct conn *c = &s->conn;

	if (s->translate && st->nat & FL_STATE_NPT)
		npt_count(st->nat & ~FL_STATE_NPT, !same_addr(&s->x.to.src, &c->key.addr[c->side & 1]), s->pkt.len);
}

/* Returns STAGE_GO or -FL_DROP_*: there is no room for another state. */
static __always_inline int policy_commit(struct scratch *s)
{
	struct fl_state *st;
	int r;

	if (!s)
		return -FL_DROP_INTERNAL;
	if (s->pkt.fragment && s->doing != DOING_ERROR)
		fragment_commit(s);
	switch (s->doing) {
	case DOING_UPDATE:
		state_update(&s->conn, s->pkt.len);
		break;
	case DOING_INSERT:
		if (nat_commit(&s->x))
			return -FL_DROP_NAT_PORTS;
		r = state_insert(&s->conn, &s->fresh, s->translate ? &s->twin : NULL);
		if (r < 0)
			return r;
		break;
	case DOING_COUNT:
		rules_count(s, s->pkt.len);
		return STAGE_GO;
	default:
		return STAGE_GO;
	}
	st = state_at(s->conn.main);
	if (!st || fl_dry_run)
		return STAGE_GO;
	if (s->keep_way && (s->local || s->way.nexthop))
		end_learn(s, &st->end[s->conn.main_side & 1]);
	npt_commit(s, st);
	return STAGE_GO;
}

/* What the headers become, and what an ICMP error quotes. The transport header is at l4; 0: there is none. */
GLOBAL int policy_rewrite(struct fl_ctx *ctx, struct pkt *pkt, __u32 l3, __u32 l4)
{
	struct scratch *s = scratch_at();
	int r = STAGE_GO;

	if (!s || !pkt || !s->translate)
		return STAGE_GO;
	if (s->doing == DOING_ERROR)
		r = quote_rewrite(ctx, pkt, l4, &s->quote, &s->quoted);
	return r ?: nat_rewrite(ctx, pkt, l3, l4, &s->x.to);
}

/* A packet that a rule does not let pass: that counts it. */
static __always_inline void policy_dropped(const struct scratch *s, __u32 reason)
{
	if (!fl_dry_run && (reason == FL_DROP_RULE || reason == FL_DROP_REJECTED || reason == FL_DROP_GATEWAY_DOWN))
		rule_account(s->decider, 1, s->pkt.len);
}
