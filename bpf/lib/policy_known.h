/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Packets of known connections, which their states judge.
 *
 * A connection has two tuples: as its first packet came in, which is the key of its state, and as it left, which is the twin's where that is
 * another one. A packet that matches one of them becomes the other.
 */
#pragma once

#include "lib/nat.h"
#include "lib/transport.h"
#include "lib/way.h"

/* No stages of a packet's, but between the functions that judge it. */
#define STAGE_NEW 5   /* of no known connection */
#define STAGE_ROUTE 6 /* it passes; where it goes is to be found */

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
	if (r == -FL_DROP_STATE_WINDOW && s->pkt.l4)
		r = state_moves(c, &s->seg);
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
