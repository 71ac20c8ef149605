/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The state table (include/fairlead/state.h says how it lies in memory): find, make, update, end.
 *
 * state_find() and state_check() decide and write nothing; state_insert() and state_update() commit, with the packet's transmission.
 * A finder reads tag, element, and no more: whoever commits compares the tag again, whose serial tells that the element has not been
 * used for another state meanwhile.
 */
#pragma once

#include "lib/state_make.h"

static __always_inline void end_count(struct fl_state *st, __u32 side, __u32 bytes)
{
	struct fl_end *end = &st->end[side & 1];
	__u32 lo = end->bytes_lo + bytes;

	end->bytes_hi += lo < bytes;
	end->bytes_lo = lo;
	if (++end->packets == 0) {
		__u8 hi = FL_NIBBLE(st->packets_hi, side & 1) + 1;

		st->packets_hi = (st->packets_hi & (side & 1 ? 0x0f : 0xf0)) | (hi & 15) << 4 * (side & 1);
	}
}

/* Phases of what has no handshake, as pf's: who has been answered, has sent many. */
static __always_inline void plain_check(struct conn *c)
{
	__u32 me = c->main_side & 1, you = me ^ 1;

	if (c->next.phase[me] < FL_PHASE_SINGLE)
		c->next.phase[me] = FL_PHASE_SINGLE;
	if (c->next.phase[you] == FL_PHASE_SINGLE)
		c->next.phase[you] = FL_PHASE_MULTIPLE;
}

static __always_inline bool state_learns(const struct conn *c)
{
	const struct fl_state_control *control = state_control();

	return control && control->learn_until && (__s32)(control->learn_until - c->now) > 0;
}

/*
 * Whether the packet fits its state: 0, STATE_MISS or -FL_DROP_STATE_WINDOW. Writes nothing to the table. seg: of TCP what has been
 * read of the header; NULL: it is in another fragment, which has been judged.
 */
GLOBAL int state_check(struct conn *c, struct segment *seg)
{
	const struct fl_state *st;

	if (!c)
		return -FL_DROP_INTERNAL;
	st = state_at(c->main);
	if (!st)
		return -FL_DROP_INTERNAL;
	c->next.phase[0] = st->phase[0];
	c->next.phase[1] = st->phase[1];
	c->next.held = c->next.late = c->next.agreed = false;
	c->next.taken = c->next.doubted = 0;
	if (st->proto != FL_PROTO_TCP) {
		plain_check(c);
		return 0;
	}
	if (!seg) { /* c->next is another packet's */
		c->next.held = true;
		return 0;
	}
	if (!tcp_flags_are_sane(seg->flags))
		return -FL_DROP_STATE_WINDOW;
	c->over = tcp_is_reuse(st, &c->next, c->main_side, seg);
	if (c->over)
		return STATE_MISS;
	if (!(st->flags & FL_STATE_LOOSE)) {
		tcp_next_begin(st, &c->next);
		return tcp_check_windows(st, &c->next, c->main_side & 1, seg);
	}
	tcp_check_loosely(&c->next, c->main_side & 1, seg, st->end[(c->main_side ^ 1) & 1].packets);
	return 0;
}

/*
 * What state_check() has found to fit no window, just now: 0 if the windows move to where it is. Linux 6.1 has no more room on the stack for
 * both in one function.
 */
GLOBAL int state_moves(struct conn *c, struct segment *seg)
{
	const struct fl_state *st;

	if (!c || !seg)
		return -FL_DROP_STATE_WINDOW;
	st = state_at(c->main);
	if (!st || st->proto != FL_PROTO_TCP || st->flags & FL_STATE_LOOSE || !tcp_flags_are_sane(seg->flags))
		return -FL_DROP_STATE_WINDOW;
	if (tcp_take(st, &c->next, c->main_side & 1, seg))
		return 0;
	return state_learns(c) && tcp_learn(st, &c->next, c->main_side & 1, seg) ? 0 : -FL_DROP_STATE_WINDOW;
}

/* Both ends have spoken, TCP's handshake is done: it gives way to no one any more. */
static __always_inline void state_promote(struct conn *c)
{
	volatile __u64 *tag = tag_at(c->main);
	__u64 next = FL_TAG_AS(c->tag, FL_KIND_ESTABLISHED);

	if (!tag || __sync_val_compare_and_swap(tag, c->tag, next) != c->tag)
		return;
	c->tag = next;
	state_count(0, -1);
}

static __always_inline bool is_established(const struct fl_state *st, const struct tcp_next *next)
{
	__u8 least = st->proto == FL_PROTO_TCP ? FL_PHASE_ESTABLISHED : FL_PHASE_SINGLE;

	/* refused is not established */
	return next->phase[0] >= least && next->phase[1] >= least && next->phase[0] != FL_PHASE_CLOSED &&
	       next->phase[1] != FL_PHASE_CLOSED;
}

/*
 * Stores what has grown. The other direction's packets may be at it on another CPU: what they have written meanwhile is not in `n`, and must
 * not go back. An end that had not spoken has no numbers yet.
 */
static __always_inline void tcp_write(struct fl_state *st, const struct tcp_next *n)
{
#pragma unroll
	for (int i = 0; i < 2; i++) {
		struct fl_end *end = &st->end[i];
		bool first = (!end->seq_lo && n->seq_lo[i]) || n->taken & 1 << i;

		if (first || seq_is_behind(n->seq_hi[i], end->seq_hi))
			end->seq_hi = n->seq_hi[i];
		if (first || seq_is_behind(n->seq_lo[i], end->seq_lo))
			end->seq_lo = n->seq_lo[i];
		if (n->max_win[i] > end->max_win || (n->agreed && n->max_win[i] != end->max_win))
			end->max_win = n->max_win[i];
		if (n->doubted & 1 << i)
			end->from = 0;
	}
	if (n->agreed && st->wscale != n->wscale)
		st->wscale = n->wscale;
}

/* The same of phases. Returns whether one has. */
static __always_inline bool phases_write(struct fl_state *st, const struct tcp_next *n)
{
	bool grown = false;

#pragma unroll
	for (int i = 0; i < 2; i++)
		if (n->phase[i] > st->phase[i]) {
			st->phase[i] = n->phase[i];
			grown = true;
		}
	return grown;
}

/* It is ours from now on. Other CPUs write phases meanwhile, which are in the same word. */
static __always_inline void state_adopt(struct fl_state *st)
{
	_Static_assert(__builtin_offsetof(struct fl_state, flags) == __builtin_offsetof(struct fl_state, proto) + 1 &&
			       __builtin_offsetof(struct fl_state, proto) % 4 == 0,
		       "flags are the second byte of a word");
	__sync_fetch_and_and((__u32 *)&st->proto, ~bpf_htonl(FL_STATE_PEER << 16));
}

/* What makes of a state another one than it was: peers are told. */
GLOBAL int state_changes(struct conn *c)
{
	struct fl_state *st = c ? state_at(c->main) : NULL;
	bool news;

	if (!st)
		return 0;
	news = phases_write(st, &c->next);
	if (FL_TAG_KIND(c->tag) == FL_KIND_EMBRYONIC) {
		news = is_established(st, &c->next);
		if (news)
			state_promote(c);
	}
	if (st->flags & FL_STATE_PEER) {
		state_adopt(st);
		news = true;
	}
	if (news)
		state_log(c->main);
	return news;
}

/* Writes what state_check() found, and counts the packet; `bytes`: of the IP packet. */
static __always_inline void state_update(struct conn *c, __u32 bytes)
{
	const volatile __u64 *tag = tag_at(c->main);
	struct fl_state *st = state_at(c->main);

	if (!tag || !st || fl_dry_run || FL_TAG_SERIAL(*tag) != FL_TAG_SERIAL(c->tag))
		return;
	end_count(st, c->main_side, bytes);
	if (c->next.held)
		return;
	if (st->seen != c->now && !c->next.late)
		st->seen = c->now;
	if (st->proto == FL_PROTO_TCP && !(st->flags & FL_STATE_LOOSE))
		tcp_write(st, &c->next);
	/* one branch for what few packets do */
	if ((c->next.phase[0] > st->phase[0]) | (c->next.phase[1] > st->phase[1]) |
	    (FL_TAG_KIND(c->tag) == FL_KIND_EMBRYONIC) | !!(st->flags & FL_STATE_PEER))
		state_changes(c);
}

/* An ICMP error that quotes a packet of the state has passed: a query waits no longer for its answer. */
static __always_inline void state_error(const struct conn *c)
{
	struct fl_state *st = state_at(c->main);

	if (!st || fl_dry_run || (st->proto != FL_PROTO_ICMP && st->proto != FL_PROTO_ICMPV6))
		return;
	if (!(st->flags & FL_STATE_ERROR))
		st->flags |= FL_STATE_ERROR;
}

/*
 * Fills what the table itself knows of a new state: the key, and the first packet, of `bytes`. seg: as for state_check(). The caller has
 * cleared *fresh, and says in its flags what is more to say.
 */
static __always_inline void state_begin(struct conn *c, const struct segment *seg, struct fl_state *fresh, __u32 bytes)
{
	state_set_key(fresh, &c->key);
	if (c->side)
		fresh->flags |= FL_STATE_STARTER;
	fresh->made = fresh->seen = c->now;
	fresh->end[c->side & 1].packets = 1;
	fresh->end[c->side & 1].bytes_lo = bytes;
	if (c->key.proto != FL_PROTO_TCP)
		fresh->phase[c->side & 1] = FL_PHASE_SINGLE;
	else if (seg)
		tcp_begin(fresh, c->side, seg);
}
