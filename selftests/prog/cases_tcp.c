// SPDX-License-Identifier: GPL-2.0-only
/*
 * TCP of the state table: connections as lists of segments, the verdict of each, and the phases behind it. A is who begins. Sequence numbers
 * count from each end's first one, which lies just below 2^32, so that every connection wraps.
 */
#include <arpa/inet.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "selftests/prog/check.h"
#include "selftests/prog/state_table.h"

#define FIN 0x01
#define SYN 0x02
#define RST 0x04
#define PSH 0x08
#define ACK 0x10

#define A_ISN 0xfffffff0u
#define B_ISN 0xffffff80u
#define NONE FL_WSCALE_NONE

enum says { PASS_ = 1, NEW, BAD };

enum end { A, B };

struct step {
	enum end from;
	int flags;
	__s64 seq, ack; /* from the first of the sender, and of the other */
	int len, win, wscale;
	enum says says;
	__u8 a, b; /* phases behind it, if it passes */
};

#define N FL_PHASE_NONE
#define S FL_PHASE_SYN_SENT
#define E FL_PHASE_ESTABLISHED
#define C FL_PHASE_CLOSING
#define F FL_PHASE_FIN_ACKED
#define R FL_PHASE_CLOSED

#define HANDSHAKE \
	{ A, SYN, 0, 0, 0, 64240, NONE, NEW, S, N }, { B, SYN | ACK, 0, 1, 0, 65160, NONE, PASS_, E, S }, \
	{ \
		A, ACK, 1, 1, 0, 64240, NONE, PASS_, E, E \
	}

#define HANDSHAKE_SCALED \
	{ A, SYN, 0, 0, 0, 64240, 7, NEW, S, N }, { B, SYN | ACK, 0, 1, 0, 65160, 8, PASS_, E, S }, \
	{ \
		A, ACK, 1, 1, 0, 502, NONE, PASS_, E, E \
	}

static const struct step normal_close[] = {
	HANDSHAKE,
	{ A, PSH | ACK, 1, 1, 100, 64240, NONE, PASS_, E, E },
	{ B, ACK, 1, 101, 1000, 65160, NONE, PASS_, E, E },
	{ A, FIN | ACK, 101, 1001, 0, 64240, NONE, PASS_, C, E },
	/* no new connection while one end still speaks */
	{ A, SYN, 5000000, 0, 0, 64240, NONE, PASS_, C, E },
	{ B, ACK, 1001, 102, 0, 65160, NONE, PASS_, F, E },
	{ B, PSH | ACK, 1001, 102, 500, 65160, NONE, PASS_, F, E },
	/* on its way for long: more than a window back */
	{ A, PSH | ACK, 102 - 65500, 1501, 100, 64240, NONE, PASS_, F, E },
	{ B, FIN | ACK, 1501, 102, 0, 65160, NONE, PASS_, F, C },
	{ A, ACK, 102, 1502, 0, 64240, NONE, PASS_, F, F },
	/* the last one again */
	{ B, FIN | ACK, 1501, 102, 0, 65160, NONE, PASS_, F, F },
	{ A, ACK, 102, 1502, 0, 64240, NONE, PASS_, F, F },
};

static const struct step simultaneous_close[] = {
	HANDSHAKE,
	{ A, FIN | ACK, 1, 1, 0, 64240, NONE, PASS_, C, E },
	{ B, FIN | ACK, 1, 1, 0, 65160, NONE, PASS_, F, C },
	{ A, ACK, 2, 2, 0, 64240, NONE, PASS_, F, F },
	{ B, ACK, 2, 2, 0, 65160, NONE, PASS_, F, F },
};

static const struct step reset[] = {
	HANDSHAKE,
	{ A, PSH | ACK, 1, 1, 100, 64240, NONE, PASS_, E, E },
	{ B, RST, 1, 0, 0, 0, NONE, PASS_, R, R },
};

static const struct step refused[] = {
	{ A, SYN, 0, 0, 0, 64240, 7, NEW, S, N },
	{ B, RST | ACK, -(__s64)B_ISN, 1, 0, 0, NONE, PASS_, R, R },
	/* another try from the same port */
	{ A, SYN, 70000, 0, 0, 64240, 7, NEW, S, N },
};

/* A believes only what acknowledges its SYN */
static const struct step refused_blindly[] = {
	{ A, SYN, 0, 0, 0, 64240, 7, NEW, S, N },
	{ B, RST, 777, 0, 0, 0, NONE, BAD, 0, 0 },
	{ B, RST | ACK, -(__s64)B_ISN, 777, 0, 0, NONE, BAD, 0, 0 },
	{ B, RST | ACK, -(__s64)B_ISN, 2, 0, 0, NONE, BAD, 0, 0 },
	{ B, RST | ACK, -(__s64)B_ISN, -1, 0, 0, NONE, BAD, 0, 0 },
	{ B, RST | ACK, -(__s64)B_ISN, -(__s64)A_ISN, 0, 0, NONE, BAD, 0, 0 },
	{ A, SYN, 0, 0, 0, 64240, 7, PASS_, S, N },
	{ B, RST | ACK, -(__s64)B_ISN, 2, 0, 0, NONE, BAD, 0, 0 },
	{ B, RST | ACK, -(__s64)B_ISN, 0, 0, 0, NONE, BAD, 0, 0 },
	{ B, RST | ACK, -(__s64)B_ISN, 1, 0, 0, NONE, PASS_, R, R },
};

/* The SYN had data: first it is refused with that, then without */
static const struct step refused_with_data[] = {
	{ A, SYN, 0, 0, 500, 64240, 7, NEW, S, N },
	{ B, RST | ACK, -(__s64)B_ISN, 502, 0, 0, NONE, BAD, 0, 0 },
	{ B, RST | ACK, -(__s64)B_ISN, 501, 0, 0, NONE, PASS_, R, R },
	{ A, SYN, 70000, 0, 500, 64240, 7, NEW, S, N },
	{ A, SYN, 70000, 0, 0, 64240, 7, PASS_, S, N },
	{ B, RST | ACK, -(__s64)B_ISN, 70001, 0, 0, NONE, PASS_, R, R },
};

static const struct step reset_blind[] = {
	HANDSHAKE,
	{ B, RST, 200000, 0, 0, 0, NONE, BAD, 0, 0 },
	{ B, RST, -200000, 0, 0, 0, NONE, BAD, 0, 0 },
	{ A, RST | ACK, 100000, 1, 0, 0, NONE, BAD, 0, 0 },
	/* in the window, but not exact: passed on, and believed by halves */
	{ B, RST, 3, 0, 0, 0, NONE, PASS_, E, C },
	{ B, RST, -1, 0, 0, 0, NONE, PASS_, E, C },
	{ B, RST, 30000, 0, 0, 0, NONE, PASS_, E, C },
	{ A, PSH | ACK, 1, 1, 100, 64240, NONE, PASS_, E, F },
	{ B, PSH | ACK, 1, 101, 100, 64240, NONE, PASS_, E, F },
	/* and it does not make the right one look like another guess */
	{ B, RST, 101, 0, 0, 0, NONE, PASS_, R, R },
};

/* A's process is gone while B's data was on its way: the reset begins where B's acknowledgement said */
static const struct step reset_crossed[] = {
	HANDSHAKE,
	{ A, PSH | ACK, 1, 1, 1000, 64240, NONE, PASS_, E, E },
	{ A, PSH | ACK, 1001, 1, 1000, 64240, NONE, PASS_, E, E },
	{ A, RST, 1001, 0, 0, 0, NONE, PASS_, C, E },
};

static const struct step syn_again[] = {
	{ A, SYN, 0, 0, 0, 64240, 7, NEW, S, N },
	{ A, SYN, 0, 0, 0, 64240, 7, PASS_, S, N },
	{ A, SYN, 0, 0, 0, 64240, 7, PASS_, S, N },
	{ B, SYN | ACK, 0, 1, 0, 65160, 8, PASS_, E, S },
	{ B, SYN | ACK, 0, 1, 0, 65160, 8, PASS_, E, S },
	{ A, ACK, 1, 1, 0, 502, NONE, PASS_, E, E },
	{ B, SYN | ACK, 0, 1, 0, 65160, 8, PASS_, E, E },
	{ A, ACK, 1, 1, 0, 502, NONE, PASS_, E, E },
	{ A, PSH | ACK, 1, 1, 1000, 502, NONE, PASS_, E, E },
};

static const struct step retransmits[] = {
	HANDSHAKE,
	{ A, PSH | ACK, 1, 1, 1000, 64240, NONE, PASS_, E, E },
	{ A, PSH | ACK, 1001, 1, 1000, 64240, NONE, PASS_, E, E },
	{ A, PSH | ACK, 1, 1, 1000, 64240, NONE, PASS_, E, E },
	{ B, ACK, 1, 2001, 0, 65160, NONE, PASS_, E, E },
	{ A, PSH | ACK, 1, 1, 1000, 64240, NONE, PASS_, E, E },
	/* out of order: the hole is filled later */
	{ A, PSH | ACK, 4001, 1, 1000, 64240, NONE, PASS_, E, E },
	{ A, PSH | ACK, 2001, 1, 2000, 64240, NONE, PASS_, E, E },
	{ B, ACK, 1, 5001, 0, 65160, NONE, PASS_, E, E },
};

static const struct step out_of_window[] = {
	HANDSHAKE,
	/* B allows 65160 from 1 on */
	{ A, PSH | ACK, 65061, 1, 100, 64240, NONE, PASS_, E, E },
	{ A, PSH | ACK, 65161, 1, 1, 64240, NONE, BAD, 0, 0 },
	{ A, PSH | ACK, 200001, 1, 100, 64240, NONE, BAD, 0, 0 },
	/* more than a window back: of 65161 */
	{ A, PSH | ACK, 1 - 100, 1, 100, 64240, NONE, BAD, 0, 0 },
	{ A, PSH | ACK, 1, 1, 100, 64240, NONE, PASS_, E, E },
	/* acknowledges what was never sent, or what is long gone */
	{ A, ACK, 65161, 70000, 0, 64240, NONE, BAD, 0, 0 },
	{ A, ACK, 65161, -70000, 0, 64240, NONE, BAD, 0, 0 },
	{ A, FIN | ACK, 400000, 1, 0, 64240, NONE, BAD, 0, 0 },
	{ B, ACK, 1, 65161, 0, 65160, NONE, PASS_, E, E },
	{ A, PSH | ACK, 65161, 1, 100, 64240, NONE, PASS_, E, E },
};

static const struct step flags[] = {
	HANDSHAKE,
	{ A, 0, 1, 1, 0, 64240, NONE, BAD, 0, 0 },
	{ A, FIN, 1, 0, 0, 64240, NONE, BAD, 0, 0 },
	{ A, PSH, 1, 0, 10, 64240, NONE, BAD, 0, 0 },
	{ A, FIN | PSH | 0x20, 1, 0, 0, 64240, NONE, BAD, 0, 0 },
	{ A, SYN | FIN, 1, 0, 0, 64240, NONE, BAD, 0, 0 },
	{ A, SYN | RST, 1, 0, 0, 64240, NONE, BAD, 0, 0 },
	{ A, ACK, 1, 1, 0, 64240, NONE, PASS_, E, E },
};

static const struct step simultaneous_open[] = {
	{ A, SYN, 0, 0, 0, 64240, 7, NEW, S, N },
	{ B, SYN, 0, 0, 0, 65160, 8, PASS_, S, S },
	{ A, SYN | ACK, 0, 1, 0, 64240, 7, PASS_, S, E },
	{ B, SYN | ACK, 0, 1, 0, 65160, 8, PASS_, E, E },
	{ A, PSH | ACK, 1, 1, 1000, 502, NONE, PASS_, E, E },
	{ B, PSH | ACK, 1, 1001, 1000, 255, NONE, PASS_, E, E },
};

/* With scales 7 and 8 the windows are 64256 and, after the SYN, 65280 bytes; then they grow */
static const struct step scaling[] = {
	HANDSHAKE_SCALED,
	{ A, PSH | ACK, 65001, 1, 161, 502, NONE, BAD, 0, 0 },
	{ B, ACK, 1, 1, 0, 4000, NONE, PASS_, E, E }, /* 1,024,000 */
	{ A, PSH | ACK, 1000001, 1, 1000, 502, NONE, PASS_, E, E },
	{ A, PSH | ACK, 1024001, 1, 1, 502, NONE, BAD, 0, 0 },
	{ A, PSH | ACK, 1, 1, 1000, 502, NONE, PASS_, E, E },
	{ B, ACK, 1, 1001001, 0, 4000, NONE, PASS_, E, E },
	/* overtaken by the one before: as far back as a scaled window may be */
	{ B, ACK, 1, 501001, 0, 4000, NONE, PASS_, E, E },
	{ A, ACK, 1001001, 1, 0, 30000, NONE, PASS_, E, E }, /* 3,840,000 */
	{ B, PSH | ACK, 3800001, 1001001, 1000, 4000, NONE, PASS_, E, E },
	{ B, PSH | ACK, 3840001, 1001001, 1, 4000, NONE, BAD, 0, 0 },
};

/* B knows no scales: A's window is what its SYN said */
static const struct step scaling_refused[] = {
	{ A, SYN, 0, 0, 0, 60000, 7, NEW, S, N },
	{ B, SYN | ACK, 0, 1, 0, 8192, NONE, PASS_, E, S },
	{ A, ACK, 1, 1, 0, 60000, NONE, PASS_, E, E },
	{ B, PSH | ACK, 59001, 1, 1000, 8192, NONE, PASS_, E, E },
	{ B, PSH | ACK, 60129, 1, 1, 8192, NONE, BAD, 0, 0 },
	{ A, PSH | ACK, 8193, 1, 1, 60000, NONE, BAD, 0, 0 },
	{ A, PSH | ACK, 8001, 1, 192, 60000, NONE, PASS_, E, E },
};

static const struct step zero_window[] = {
	HANDSHAKE,
	{ A, PSH | ACK, 1, 1, 65160, 64240, NONE, PASS_, E, E },
	{ B, ACK, 1, 65161, 0, 0, NONE, PASS_, E, E },
	/* the probe: one byte more than there is room for */
	{ A, ACK, 65161, 1, 1, 64240, NONE, PASS_, E, E },
	{ A, PSH | ACK, 65162, 1, 1000, 64240, NONE, BAD, 0, 0 },
	{ B, ACK, 1, 65161, 0, 0, NONE, PASS_, E, E },
	{ B, ACK, 1, 65161, 0, 2000, NONE, PASS_, E, E },
	{ A, PSH | ACK, 65161, 1, 1000, 64240, NONE, PASS_, E, E },
};

static const struct step keepalive[] = {
	HANDSHAKE,
	{ A, PSH | ACK, 1, 1, 100, 64240, NONE, PASS_, E, E },
	{ B, ACK, 1, 101, 0, 65160, NONE, PASS_, E, E },
	{ A, ACK, 100, 1, 0, 64240, NONE, PASS_, E, E },
	{ A, ACK, 100, 1, 1, 64240, NONE, PASS_, E, E },
	{ B, ACK, 1, 101, 0, 65160, NONE, PASS_, E, E },
};

/* TCP Fast Open (RFC 7413), and a server that answers at once */
static const struct step data_on_syn[] = {
	{ A, SYN, 0, 0, 500, 64240, 7, NEW, S, N },
	{ B, SYN | ACK, 0, 501, 0, 65160, 8, PASS_, E, S },
	{ B, PSH | ACK, 1, 501, 1000, 255, NONE, PASS_, E, S },
	{ A, ACK, 501, 1001, 0, 502, NONE, PASS_, E, E },
	{ A, PSH | ACK, 501, 1001, 100, 502, NONE, PASS_, E, E },
};

static const struct step reuse[] = {
	HANDSHAKE,
	{ A, FIN | ACK, 1, 1, 0, 64240, NONE, PASS_, C, E },
	{ B, FIN | ACK, 1, 2, 0, 65160, NONE, PASS_, F, C },
	{ A, ACK, 2, 2, 0, 64240, NONE, PASS_, F, F },
	/* another connection between the same ports */
	{ A, SYN, 5000000, 0, 0, 64240, NONE, NEW, S, N },
	{ B, SYN | ACK, 9000000, 5000001, 0, 65160, NONE, PASS_, E, S },
	{ A, ACK, 5000001, 9000001, 0, 64240, NONE, PASS_, E, E },
};

/* A has forgotten the connection and opens it anew: B asks (RFC 5961 4), A resets, and then it works */
static const struct step half_open[] = {
	HANDSHAKE,
	{ A, PSH | ACK, 1, 1, 100, 64240, NONE, PASS_, E, E },
	{ A, SYN, 3000000, 0, 0, 64240, NONE, PASS_, E, E },
	{ B, ACK, 1, 101, 0, 65160, NONE, PASS_, E, E },
	{ A, RST, 101, 0, 0, 0, NONE, PASS_, R, R },
	{ A, SYN, 3000000, 0, 0, 64240, NONE, NEW, S, N },
};

/* The same where the state is gone, too: only B still knows */
static const struct step half_open_unknown[] = {
	{ A, SYN, 0, 0, 0, 64240, 7, NEW, S, N },
	{ B, ACK, 12345678, 87654321, 0, 65160, NONE, PASS_, S, N },
	{ A, RST, 87654321, 0, 0, 0, NONE, PASS_, S, N },
	{ B, PSH | ACK, 12345678, 87654321, 100, 65160, NONE, BAD, 0, 0 },
	{ A, SYN, 0, 0, 0, 64240, 7, PASS_, S, N },
	{ B, SYN | ACK, 0, 1, 0, 65160, 8, PASS_, E, S },
	{ A, ACK, 1, 1, 0, 502, NONE, PASS_, E, E },
};

/* Another attempt from the same port: the answer to the first comes too late */
static const struct step tried_again[] = {
	{ A, SYN, 0, 0, 0, 64240, 7, NEW, S, N },	    { A, SYN, 30000000, 0, 0, 64240, 7, NEW, S, N },
	{ B, SYN | ACK, 0, 1, 0, 65160, 8, BAD, 0, 0 },	    { A, SYN, 0, 0, 0, 64240, 7, BAD, 0, 0 },
	{ A, SYN, 30000000, 0, 0, 64240, 7, PASS_, S, N },  { B, SYN | ACK, 0, 30000001, 0, 65160, 8, PASS_, E, S },
	{ A, ACK, 30000001, 1, 0, 502, NONE, PASS_, E, E },
};

static const struct step wrong_answer[] = {
	{ A, SYN, 0, 0, 0, 64240, 7, NEW, S, N },
	{ B, SYN | ACK, 0, 1000000, 0, 65160, 8, BAD, 0, 0 },
	{ B, RST | ACK, 0, 1000000, 0, 0, NONE, BAD, 0, 0 },
	{ B, SYN | ACK, 0, 1, 0, 65160, 8, PASS_, E, S },
};

/* From the middle: nobody knows the windows, and A alone makes nothing established */
static const struct step picked_up[] = {
	{ A, PSH | ACK, 1000, 2000, 100, 500, NONE, NEW, E, N },
	{ A, PSH | ACK, 1100, 2000, 100, 500, NONE, PASS_, E, N },
	{ B, ACK, 900000000, 5, 100, 500, NONE, PASS_, E, S },
	{ A, ACK, 5, 5, 0, 500, NONE, PASS_, E, E },
	{ A, FIN | ACK, 5, 5, 0, 500, NONE, PASS_, C, E },
	{ B, FIN | ACK, 5, 5, 0, 500, NONE, PASS_, F, C },
	{ A, ACK, 5, 5, 0, 500, NONE, PASS_, F, F },
};

/* With `state: loose`, of an asymmetric path: B goes another way */
static const struct step one_direction[] = {
	{ A, SYN, 0, 0, 0, 64240, 7, NEW, S, N },
	{ A, ACK, 1, 1, 0, 502, NONE, PASS_, E, E },
	{ A, ACK, 900000, 900000, 100, 502, NONE, PASS_, E, E },
	{ A, FIN | ACK, 900100, 900000, 0, 502, NONE, PASS_, C, C },
	{ A, ACK, 900101, 900001, 0, 502, NONE, PASS_, C, F },
};

static const struct step loose_reset[] = {
	{ A, SYN, 0, 0, 0, 64240, 7, NEW, S, N },    { B, SYN | ACK, 0, 1, 0, 65160, 8, PASS_, E, S },
	{ A, ACK, 1, 1, 0, 502, NONE, PASS_, E, E }, { A, SYN | FIN, 1, 1, 0, 502, NONE, BAD, 0, 0 },
	{ B, RST, 55, 0, 0, 0, NONE, PASS_, R, R },  { A, SYN, 70000, 0, 0, 64240, 7, NEW, S, N },
};

#define TRACKED(name, steps) \
	{ \
		name, steps, sizeof(steps) / sizeof(*(steps)), false \
	}
#define LOOSE(name, steps) \
	{ \
		name, steps, sizeof(steps) / sizeof(*(steps)), true \
	}

struct connection {
	const char *name;
	const struct step *steps;
	size_t count;
	bool loose;
};

static const struct connection connections[] = {
	TRACKED("normal close", normal_close),
	TRACKED("simultaneous close", simultaneous_close),
	TRACKED("reset", reset),
	TRACKED("refused", refused),
	TRACKED("refused by guess", refused_blindly),
	TRACKED("refused with data", refused_with_data),
	TRACKED("resets by guess", reset_blind),
	TRACKED("reset that crossed data", reset_crossed),
	TRACKED("SYN again", syn_again),
	TRACKED("retransmits", retransmits),
	TRACKED("out of the window", out_of_window),
	TRACKED("impossible flags", flags),
	TRACKED("simultaneous open", simultaneous_open),
	TRACKED("scaling", scaling),
	TRACKED("scaling refused", scaling_refused),
	TRACKED("zero window", zero_window),
	TRACKED("keepalive", keepalive),
	TRACKED("data on the SYN", data_on_syn),
	TRACKED("SYN after the end", reuse),
	TRACKED("half open", half_open),
	TRACKED("half open, no state", half_open_unknown),
	TRACKED("tried again", tried_again),
	TRACKED("answer to another SYN", wrong_answer),
	TRACKED("picked up", picked_up),
	LOOSE("one direction", one_direction),
	LOOSE("loose, reset", loose_reset),
};

static void segment_of(const struct step *s, bool loose, struct states_request *q)
{
	state_table_udp(q, s->from == A ? 7 : 3, s->from == A ? 3 : 7);
	q->proto = IPPROTO_TCP;
	q->state_flags = loose ? FL_STATE_LOOSE : 0;
	q->segment.seq = (s->from == A ? A_ISN : B_ISN) + s->seq;
	q->segment.ack = s->flags & ACK ? (s->from == A ? B_ISN : A_ISN) + s->ack : 0;
	q->segment.len = s->len;
	q->segment.win = s->win;
	q->segment.flags = s->flags;
	q->segment.wscale = s->wscale;
}

/* Whether the kind of tag says whether it may give way. */
static bool kind_fits(const struct state_table *t, const struct states_answer *a)
{
	const __u8 *phase = t->states[a->main].phase;
	bool closed = phase[0] == R || phase[1] == R, done = phase[0] >= E && phase[1] >= E;
	__u8 kind = FL_TAG_KIND(state_table_tag(t, a->main));

	return closed || (done ? kind == FL_KIND_ESTABLISHED : kind == FL_KIND_EMBRYONIC);
}

static void run_step(struct env *env, struct state_table *t, const struct connection *c, size_t i)
{
	const struct step *s = &c->steps[i];
	struct states_request q;
	struct states_answer a;
	enum says says;
	const __u8 *phase;

	segment_of(s, c->loose, &q);
	state_table_packet(t, &q, &a);
	says = a.result == -FL_DROP_STATE_WINDOW ? BAD : a.result ? 0 : a.found ? PASS_ : NEW;
	if (says != s->says) {
		fail(env, "  %s, segment %zu: result %d, found %u\n", c->name, i, a.result, a.found);
		return;
	}
	phase = t->states[a.main].phase; /* A is end 1: the greater address */
	if (says != BAD && (phase[1] != s->a || phase[0] != s->b))
		fail(env, "  %s, segment %zu: phases %d:%d instead of %d:%d\n", c->name, i, phase[1], phase[0], s->a,
		     s->b);
	if (says != BAD && !kind_fits(t, &a))
		fail(env, "  %s, segment %zu: kind %d\n", c->name, i, FL_TAG_KIND(state_table_tag(t, a.main)));
}

static void each_connection(struct env *env)
{
	struct state_table t;

	for (size_t i = 0; i < sizeof(connections) / sizeof(*connections); i++) {
		if (state_table_open(&t, 4))
			return fail(env, "  no table\n");
		for (size_t n = 0; n < connections[i].count; n++)
			run_step(env, &t, &connections[i], n);
		if (state_table_published(&t, false) != 1 || state_table_count(&t) != 1)
			fail(env, "  %s: %u states, counted %lld\n", connections[i].name,
			     state_table_published(&t, false), (long long)state_table_count(&t));
		state_table_close(&t);
	}
}

/* Another table has had packets of the connection: the windows move, while that may be; but not for a reset or a SYN. */
static const struct step apart[] = {
	HANDSHAKE_SCALED,
	{ A, ACK, 5000000, 1, 1000, 502, NONE, BAD, 0, 0 },
	{ B, ACK, 1, 5001001, 0, 509, NONE, BAD, 0, 0 },
};
static const struct step together[] = {
	{ B, ACK, 1, 5001001, 0, 509, NONE, PASS_, E, E },
	{ A, ACK, 5001001, 1, 1000, 502, NONE, PASS_, E, E },
	{ A, ACK, 8000000, 1, 1000, 502, NONE, PASS_, E, E },
	{ B, RST | ACK, 9000000, 8001000, 0, 0, NONE, BAD, 0, 0 },
	{ B, SYN | ACK, 9000000, 8001000, 0, 502, NONE, BAD, 0, 0 },
};
static const struct step again[] = {
	{ B, ACK, 1, 8001000, 100, 509, NONE, PASS_, E, E },
	{ A, ACK, 8001000, 101, 1000, 502, NONE, PASS_, E, E },
	{ A, ACK, 18000000, 101, 1000, 502, NONE, BAD, 0, 0 },
};

static __u32 jiffies(struct state_table *t)
{
	struct states_request q;
	struct states_answer a;

	state_table_udp(&q, 50, 51);
	q.flags = STATES_NO_INSERT;
	state_table_packet(t, &q, &a);
	return a.now;
}

static void learning(struct env *env)
{
	static const struct connection parts[] = { TRACKED("apart", apart), TRACKED("together", together),
						   TRACKED("again", again) };
	struct state_table t;

	if (state_table_open(&t, 4))
		return fail(env, "  no table\n");
	for (size_t p = 0; p < sizeof(parts) / sizeof(*parts); p++) {
		for (size_t n = 0; n < parts[p].count; n++)
			run_step(env, &t, &parts[p], n);
		t.control->learn_until = jiffies(&t) + (p ? 0 : 100 * t.hz);
	}
	state_table_close(&t);
}

/* What comes late passes, and does not make the state live longer. */
static void late(struct env *env)
{
	static const struct step steps[] = {
		HANDSHAKE,
		{ A, FIN | ACK, 1, 1, 0, 64240, NONE, PASS_, C, E },
		{ B, ACK, 1, 2, 0, 65160, NONE, PASS_, F, E },
		{ A, PSH | ACK, 2 - 65500, 1, 100, 64240, NONE, PASS_, F, E },
		{ B, PSH | ACK, 1, 2, 100, 65160, NONE, PASS_, F, E },
	};
	static const struct connection c = TRACKED("late", steps);
	struct state_table t;
	__u32 slot = 0, seen = 0;

	if (state_table_open(&t, 4))
		return fail(env, "  no table\n");
	for (size_t i = 0; i < c.count; i++) {
		run_step(env, &t, &c, i);
		while (i == 4 && FL_TAG_KIND(state_table_tag(&t, slot)) != FL_KIND_ESTABLISHED && slot + 1 < t.slots)
			slot++;
		if (i == 5 && t.states[slot].seen != seen)
			fail(env, "  what is late makes it live longer\n");
		if (i == 6 && t.states[slot].seen == seen)
			fail(env, "  what is not late does not\n");
		state_table_age(&t, slot, i == 4);
		seen = t.states[slot].seen;
	}
	state_table_close(&t);
}

const struct procedure tcp_procedures[] = {
	{ "states/late", late },
	{ "states/tcp", each_connection },
	{ "states/learning", learning },
	{},
};
