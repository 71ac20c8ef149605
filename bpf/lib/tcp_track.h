/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * TCP of a state: whether a segment fits, and what it changes. The rules are pf's, which are Guido van Rooij's ("Real stateful TCP packet
 * filtering in IP Filter"): of each end are known the next that it will send (seq_lo), the most that the other allows (seq_hi), and its
 * biggest window. A segment must end below the most, begin no more than a window back, and acknowledge about what was sent.
 *
 * Nothing is dropped that a host needs to get out of a connection that only one of the two still knows: see tcp_is_held().
 */
#pragma once

#include <linux/types.h>

#include "fairlead/state.h"

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

#define MAX_ACK_WINDOW (0xffff + 1500) /* pf's: an acknowledgement may be off by so much */

/* What the pipeline has read of a TCP header; host byte order. */
struct segment {
	__u32 seq, ack;
	__u32 len; /* of the payload, without SYN and FIN */
	__u16 win; /* as it stands there */
	__u8 flags;
	__u8 wscale; /* a SYN's option, 0 to FL_WSCALE_MAX; FL_WSCALE_NONE: it has none */
};

/* What a segment makes of a state. By end of the entry with the state. */
struct tcp_next {
	__u32 seq_lo[2], seq_hi[2];
	__u16 max_win[2];
	__u8 phase[2];
	__u8 wscale;
	bool held;    /* it passes, and changes nothing */
	bool late;    /* it does not make the state live longer */
	bool agreed;  /* it is an end's SYN: scales, and the windows in them, are as here */
	__u8 taken;   /* ends, a bit each, whose numbers are as here, whatever they were */
	__u8 doubted; /* as taken: what the other end has said does not go with it, so that it is to be seen anew */
};

/* A segment as it is compared. */
struct tcp_range {
	__u32 seq, end, ack;
	__u32 win; /* in bytes */
};

static __always_inline bool seq_is_behind(__u32 a, __u32 b)
{
	return (__s32)(a - b) > 0;
}

/* No host sends others, and what they would do to one that gets them, nobody knows. */
static __always_inline bool tcp_flags_are_sane(__u8 flags)
{
	return flags & TCP_SYN ? !(flags & (TCP_FIN | TCP_RST)) : flags & (TCP_ACK | TCP_RST);
}

static __always_inline bool tcp_is_opening(__u8 flags)
{
	return (flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}

static __always_inline __u32 tcp_scale(const struct tcp_next *n, __u32 end)
{
	__u32 scale = FL_NIBBLE(n->wscale, end);

	return scale == FL_WSCALE_NONE ? 0 : scale;
}

/* The biggest window of an end, in bytes. It is kept in units of the end's scale, that of a SYN too. */
static __always_inline __u32 tcp_window(const struct tcp_next *n, __u32 end)
{
	return (__u32)n->max_win[end & 1] << tcp_scale(n, end);
}

static __always_inline void tcp_note_window(struct tcp_next *n, __u32 end, __u32 bytes)
{
	__u32 scale = tcp_scale(n, end), units = (bytes + (1u << scale) - 1) >> scale;

	if (units > 0xffff)
		units = 0xffff;
	if (units > n->max_win[end & 1])
		n->max_win[end & 1] = units;
}

static __always_inline __u8 tcp_with_scale(__u8 wscale, __u32 end, __u8 scale)
{
	return (wscale & (end & 1 ? 0x0f : 0xf0)) | (scale & 15) << 4 * (end & 1);
}

/* The second SYN says whether there are scales: both ends have one, or neither (RFC 7323 2.2). */
static __always_inline void tcp_agree_on_scale(struct tcp_next *n, __u32 me, __u8 scale)
{
	__u32 you = me ^ 1, win;

	if (FL_NIBBLE(n->wscale, you) != FL_WSCALE_NONE && scale != FL_WSCALE_NONE) {
		n->wscale = tcp_with_scale(n->wscale, me, scale);
		return;
	}
	win = tcp_window(n, you);
	n->max_win[you & 1] = win < 0xffff ? win : 0xffff;
	n->wscale = FL_WSCALE_NONE << 4 | FL_WSCALE_NONE;
}

static __always_inline __u32 at_least_one(__u32 n)
{
	return n ? n : 1;
}

/* The first segment of an end. */
static __always_inline void tcp_first(struct tcp_next *n, __u32 me, const struct segment *seg, __u32 end)
{
	__u32 you = me ^ 1, most;

	n->agreed = seg->flags & TCP_SYN;
	if (n->agreed)
		tcp_agree_on_scale(n, me, seg->wscale);
	n->seq_lo[me & 1] = seg->seq;
	if (n->phase[me & 1] < FL_PHASE_SYN_SENT)
		n->phase[me & 1] = FL_PHASE_SYN_SENT;
	most = end + at_least_one(tcp_window(n, you));
	if (n->seq_hi[me & 1] == 1 || !seq_is_behind(n->seq_hi[me & 1], most))
		n->seq_hi[me & 1] = most;
}

/* Where the segment lies, as far as it counts. */
static __always_inline void tcp_range_of(const struct tcp_next *n, __u32 me, const struct segment *seg,
					 struct tcp_range *r)
{
	__u32 you = me ^ 1;
	bool scaled = !(seg->flags & TCP_SYN) && FL_NIBBLE(n->wscale, 0) != FL_WSCALE_NONE &&
		      FL_NIBBLE(n->wscale, 1) != FL_WSCALE_NONE;

	r->win = (__u32)seg->win << (scaled ? tcp_scale(n, me) : 0);
	/* a refusal may acknowledge nothing, as may anything where the other end has not spoken */
	r->ack = !(seg->flags & TCP_ACK) || (seg->flags & TCP_RST && seg->ack == 0) ||
				 n->phase[you & 1] < FL_PHASE_SYN_SENT
			 ? n->seq_lo[you & 1]
			 : seg->ack;
	r->seq = seg->seq;
	if (r->seq == r->end && !(seg->flags & TCP_RST)) /* without data, its place matters little: keepalives */
		r->seq = r->end = n->seq_lo[me & 1];
}

static __always_inline bool tcp_ack_fits(const struct tcp_next *n, __u32 me, __u32 ack)
{
	__s32 skew = n->seq_lo[(me ^ 1) & 1] - ack;

	return skew >= -MAX_ACK_WINDOW && skew <= (__s32)((__u32)MAX_ACK_WINDOW << tcp_scale(n, me));
}

/* Within the windows. A reset without data, too: pf would have it exact, which those in answer to what crossed are not. */
static __always_inline bool tcp_fits(const struct tcp_next *n, __u32 me, const struct segment *seg,
				     const struct tcp_range *r)
{
	__u32 you = me ^ 1;

	return !seq_is_behind(r->end, n->seq_hi[me & 1]) &&
	       !seq_is_behind(n->seq_lo[me & 1] - tcp_window(n, you), r->seq) && tcp_ack_fits(n, me, r->ack);
}

/* Less will do before the other end has spoken (retransmitted SYNs with data) and after the end (what was on its way). */
static __always_inline bool tcp_fits_loosely(const struct tcp_next *n, __u32 me, const struct tcp_range *r)
{
	__u32 you = me ^ 1;

	return (n->phase[you & 1] < FL_PHASE_SYN_SENT || n->phase[you & 1] >= FL_PHASE_FIN_ACKED ||
		n->phase[me & 1] >= FL_PHASE_FIN_ACKED) &&
	       !seq_is_behind(r->end, n->seq_hi[me & 1] + MAX_ACK_WINDOW) &&
	       !seq_is_behind(n->seq_lo[me & 1] - MAX_ACK_WINDOW, r->seq);
}

/* The windows move. */
static __always_inline void tcp_advance(struct tcp_next *n, __u32 me, const struct tcp_range *r)
{
	__u32 you = me ^ 1;

	tcp_note_window(n, me, r->win);
	if (seq_is_behind(r->end, n->seq_lo[me & 1]))
		n->seq_lo[me & 1] = r->end;
	if (n->phase[you & 1] >= FL_PHASE_SYN_SENT && !seq_is_behind(n->seq_hi[you & 1], r->ack + r->win))
		n->seq_hi[you & 1] = r->ack + at_least_one(r->win);
}

static __always_inline void tcp_set_closing(struct tcp_next *n, __u32 me)
{
	if (n->phase[me & 1] < FL_PHASE_CLOSING)
		n->phase[me & 1] = FL_PHASE_CLOSING;
}

static __always_inline void tcp_acknowledge(struct tcp_next *n, __u32 you)
{
	if (n->phase[you & 1] == FL_PHASE_SYN_SENT)
		n->phase[you & 1] = FL_PHASE_ESTABLISHED;
	else if (n->phase[you & 1] == FL_PHASE_CLOSING)
		n->phase[you & 1] = FL_PHASE_FIN_ACKED;
}

/* Of a connection that a peer has told of, until both ends have been seen here since: anybody may have sent what its numbers are from. */
static __always_inline bool tcp_is_unsure(const struct fl_state *st)
{
	return st->flags & FL_STATE_MOVED && !(st->end[0].from && st->end[1].from);
}

/*
 * A reset that is exact ends the state. One that only lies in the window may be a guess, which a host of RFC 5961 answers with a
 * question: a connection that lives outlasts it, one that does not is gone in minutes.
 */
static __always_inline void tcp_reset(const struct fl_state *st, struct tcp_next *n, __u32 me, __u32 seq,
				      __u32 expected)
{
	if (seq - expected + 1 <= 2 && !tcp_is_unsure(st))
		n->phase[0] = n->phase[1] = FL_PHASE_CLOSED;
	else
		tcp_set_closing(n, me);
}

/*
 * What fits nothing, but may be how two hosts find out that only one of them still knows the connection (RFC 9293 3.5.1, RFC 5961 4): a
 * SYN for what is established, the acknowledgement that an old connection answers a SYN with, and the reset in answer to that. pf
 * sends a reset of its own; conntrack lets them pass, too. They change nothing: the exact reset at last does.
 */
static __always_inline bool tcp_is_held(const struct fl_state *st, __u32 me, const struct segment *seg)
{
	__u8 mine = st->phase[me & 1], yours = st->phase[(me ^ 1) & 1];

	if (tcp_is_opening(seg->flags))
		return mine >= FL_PHASE_ESTABLISHED && yours >= FL_PHASE_ESTABLISHED;
	if (seg->flags & TCP_RST)
		return mine == FL_PHASE_SYN_SENT && yours == FL_PHASE_NONE;
	return mine == FL_PHASE_NONE && yours == FL_PHASE_SYN_SENT && !(seg->flags & (TCP_SYN | TCP_FIN)) && !seg->len;
}

/*
 * A reset by an end that has not spoken yet refuses the other's SYN, so it must acknowledge that (RFC 9293 3.10.7.3): its sender does not
 * believe another one, which anybody may have guessed. seq_lo: the SYN's own number, or the one behind it where it was sent again.
 */
static __always_inline bool tcp_refuses_nothing(const struct fl_state *st, const struct tcp_next *n, __u32 me,
						const struct segment *seg)
{
	__u32 you = me ^ 1, first = n->seq_lo[you & 1];

	if (!(seg->flags & TCP_RST) || st->phase[me & 1] != FL_PHASE_NONE || st->phase[you & 1] != FL_PHASE_SYN_SENT)
		return false;
	return !(seg->flags & TCP_ACK) || seg->ack - first > n->seq_hi[you & 1] - 1 - first;
}

/* With windows. n: the state's values, which become those behind the segment. 0, or -FL_DROP_STATE_WINDOW. */
static __always_inline int tcp_check_windows(const struct fl_state *st, struct tcp_next *n, __u32 me,
					     const struct segment *seg)
{
	struct tcp_range r = { .end = seg->seq + seg->len + !!(seg->flags & TCP_SYN) + !!(seg->flags & TCP_FIN) };
	__u32 expected;
	bool fits;

	if (tcp_refuses_nothing(st, n, me, seg))
		return -FL_DROP_STATE_WINDOW;
	if (n->seq_lo[me & 1] == 0)
		tcp_first(n, me, seg, r.end);
	tcp_range_of(n, me, seg, &r);
	expected = n->seq_lo[me & 1];
	fits = tcp_fits(n, me, seg, &r);
	if (!fits && !tcp_fits_loosely(n, me, &r)) {
		n->held = tcp_is_held(st, me, seg);
		return n->held ? 0 : -FL_DROP_STATE_WINDOW;
	}
	n->late = !fits;
	if (!(seg->flags & TCP_RST)) /* a guess is no measure of what was sent */
		tcp_advance(n, me, &r);
	if (seg->flags & TCP_FIN)
		tcp_set_closing(n, me);
	if (fits && seg->flags & TCP_ACK)
		tcp_acknowledge(n, me ^ 1);
	if (seg->flags & TCP_RST)
		tcp_reset(st, n, me, seg->seq, expected);
	return 0;
}

/*
 * While the table gets another size, each hook has one of its own for a moment, and each sees a part of the packets. So what fits no window
 * of an established connection is not dropped then: the window has not seen what came before, and moves. n: as after tcp_check_windows().
 */
static __always_inline bool tcp_learn(const struct fl_state *st, struct tcp_next *n, __u32 me,
				      const struct segment *seg)
{
	__u32 you = me ^ 1, end = seg->seq + seg->len + !!(seg->flags & TCP_FIN);
	struct tcp_range r;

	if (seg->flags & (TCP_SYN | TCP_RST) || st->phase[0] < FL_PHASE_SYN_SENT || st->phase[1] < FL_PHASE_SYN_SENT)
		return false;
	if (seg->flags & TCP_ACK && seq_is_behind(seg->ack, n->seq_lo[you & 1]))
		n->seq_lo[you & 1] = seg->ack;
	if (seq_is_behind(end, n->seq_hi[me & 1]))
		n->seq_hi[me & 1] = end;
	r.end = end;
	tcp_range_of(n, me, seg, &r);
	tcp_advance(n, me, &r);
	if (seg->flags & TCP_FIN)
		tcp_set_closing(n, me);
	if (seg->flags & TCP_ACK)
		tcp_acknowledge(n, you);
	return true;
}

/*
 * What fits no window of a connection that a peer has told of: what the peer has forwarded since nobody knows, so numbers are taken as they
 * come, until both ends have been seen here and what each acknowledges is what the other has sent. Before that a segment proves nothing, for
 * anybody may have guessed the addresses: the next one is taken as well, and changes no phase. What an end has said that the other one
 * contradicts is forgotten. What ends or begins a connection at once must fit: false.
 */
static __always_inline bool tcp_take(const struct fl_state *st, struct tcp_next *n, __u32 me, const struct segment *seg)
{
	__u32 you = me ^ 1, end = seg->seq + seg->len + !!(seg->flags & TCP_FIN), most, win;
	bool seen = st->end[you & 1].from, agrees = seen && tcp_ack_fits(n, me, seg->ack);

	if (!tcp_is_unsure(st) || (seg->flags & (TCP_SYN | TCP_RST | TCP_ACK)) != TCP_ACK ||
	    st->phase[0] < FL_PHASE_ESTABLISHED || st->phase[1] < FL_PHASE_ESTABLISHED)
		return false;
	n->taken = agrees ? 1 << (me & 1) : 3;
	n->doubted = seen && !agrees ? 1 << (you & 1) : 0;
	win = (__u32)seg->win << tcp_scale(n, me);
	most = seg->ack + at_least_one(win);
	tcp_note_window(n, me, win);
	if (!agrees || seq_is_behind(seg->ack, n->seq_lo[you & 1]))
		n->seq_lo[you & 1] = seg->ack;
	if (!agrees || seq_is_behind(most, n->seq_hi[you & 1]))
		n->seq_hi[you & 1] = most;
	n->seq_lo[me & 1] = end;
	n->seq_hi[me & 1] = end + at_least_one(tcp_window(n, you));
	if (!agrees)
		return true;
	if (seg->flags & TCP_FIN)
		tcp_set_closing(n, me);
	tcp_acknowledge(n, you);
	return true;
}

/*
 * Without windows: phases only. Where one direction passes by another way, two segments of the other are enough, if the first was taken
 * for a SYN (tcp_begin()).
 */
static __always_inline void tcp_check_loosely(struct tcp_next *n, __u32 me, const struct segment *seg, bool answered)
{
	__u32 you = me ^ 1;

	if (n->phase[me & 1] < FL_PHASE_SYN_SENT)
		n->phase[me & 1] = FL_PHASE_SYN_SENT;
	if (seg->flags & TCP_FIN)
		tcp_set_closing(n, me);
	if (seg->flags & TCP_ACK) {
		if (n->phase[me & 1] == FL_PHASE_SYN_SENT && n->phase[you & 1] == FL_PHASE_NONE)
			n->phase[me & 1] = n->phase[you & 1] = FL_PHASE_ESTABLISHED;
		else if (n->phase[me & 1] == FL_PHASE_CLOSING && !answered && n->phase[you & 1] == FL_PHASE_ESTABLISHED)
			n->phase[you & 1] = FL_PHASE_CLOSING;
		else
			tcp_acknowledge(n, you);
	}
	if (seg->flags & TCP_RST)
		n->phase[0] = n->phase[1] = FL_PHASE_CLOSED;
}

static __always_inline void tcp_next_begin(const struct fl_state *st, struct tcp_next *n)
{
#pragma unroll
	for (int i = 0; i < 2; i++) {
		n->seq_lo[i] = st->end[i].seq_lo;
		n->seq_hi[i] = st->end[i].seq_hi;
		n->max_win[i] = st->end[i].max_win;
	}
	n->wscale = st->wscale;
}

/*
 * Whether the SYN begins another connection: of the old one both ends have said their last, or nobody has answered its SYN, and this one
 * has a later number (RFC 6528 3: as each new attempt from one port has). pf would drop it until the old state has run out.
 */
static __always_inline bool tcp_is_reuse(const struct fl_state *st, const struct tcp_next *n, __u32 me,
					 const struct segment *seg)
{
	if (!tcp_is_opening(seg->flags))
		return false;
	if (n->phase[0] >= FL_PHASE_CLOSING && n->phase[1] >= FL_PHASE_CLOSING)
		return true;
	return n->phase[me & 1] == FL_PHASE_SYN_SENT && n->phase[(me ^ 1) & 1] == FL_PHASE_NONE &&
	       seq_is_behind(seg->seq, st->end[me & 1].seq_hi);
}

/*
 * A state's first segment. In the middle of a connection nobody knows what came before: without windows then, and the one who sent it counts
 * as established, so that the other one must answer before the state does.
 */
static __always_inline void tcp_begin(struct fl_state *st, __u32 me, const struct segment *seg)
{
	struct fl_end *end = &st->end[me & 1], *other = &st->end[(me ^ 1) & 1];
	bool opening = tcp_is_opening(seg->flags);
	__u32 scale = seg->wscale == FL_WSCALE_NONE ? 0 : seg->wscale & 15;

	st->phase[me & 1] = opening || st->flags & FL_STATE_LOOSE ? FL_PHASE_SYN_SENT : FL_PHASE_ESTABLISHED;
	if (seg->flags & TCP_FIN)
		st->phase[me & 1] = FL_PHASE_CLOSING;
	if (seg->flags & TCP_RST)
		st->phase[0] = st->phase[1] = FL_PHASE_CLOSED;
	if (!opening)
		st->flags |= FL_STATE_LOOSE;
	st->wscale = tcp_with_scale(FL_WSCALE_NONE << 4 | FL_WSCALE_NONE, me, opening ? seg->wscale : FL_WSCALE_NONE);
	end->seq_lo = seg->seq;
	end->seq_hi = seg->seq + seg->len + 2; /* SYN, and one more */
	end->max_win = at_least_one(((__u32)seg->win + (1u << scale) - 1) >> scale);
	other->seq_hi = other->max_win = 1;
}
