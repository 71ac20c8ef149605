/* SPDX-License-Identifier: GPL-2.0-only */
/* When a broker is to be told where a tunnel's end is, and what its answer means. Pure: no clock, no network. */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "user/lib/addr.h"

#define UPDATE_NEVER LLONG_MAX
#define UPDATE_RETRY_S 10	/* after a failure; then twice as long each time, up to … */
#define UPDATE_RETRY_MAX_S 3600 /* … this */
#define UPDATE_UNSENT_S 5	/* the same where nothing was sent */
#define UPDATE_UNSENT_MAX_S 60

enum update_outcome {
	UPDATE_TOLD,	/* the broker knows */
	UPDATE_LATER,	/* it has answered, and may take it another time */
	UPDATE_SILENT,	/* it has not answered */
	UPDATE_UNSENT,	/* there was no way to ask it */
	UPDATE_REFUSED, /* it never will: until the configuration changes */
};

/* Times in ms of one clock, which may be set back. */
struct update_state {
	struct addr want;      /* the end's address; AF_UNSPEC: it has none */
	struct addr told;      /* what the broker knows; AF_UNSPEC: that is not known */
	bool asking;	       /* a request is on its way */
	bool refused;	       /* nothing is sent any more */
	unsigned int failures; /* in a row */
	enum update_outcome last;
	long long ended_ms;    /* the last request; 0: there was none */
	long long answered_ms; /* the last one that was answered; 0 */
	long long open_ms;     /* one that may have been taken, but has no end: it is under way, or was called off; 0 */
};

/* When the next request is due, in ms of that clock: 0 at once, UPDATE_NEVER. */
long long update_due(const struct update_state *state, uint32_t min_interval_s, long long now_ms);
/* A new address: true, and the request that is on its way is good for nothing. */
bool update_want(struct update_state *state, const struct addr *address);
void update_begin(struct update_state *state);
/* It leaves. */
void update_sent(struct update_state *state, long long now_ms);
/* Of the request for state->want. */
void update_end(struct update_state *state, enum update_outcome outcome, long long now_ms);

/*
 * What an answer means. sent: the address that the request named; AF_UNSPEC: it named none. text: what to show of it, without control
 * characters; UPDATE_TEXT_MAX bytes.
 */
#define UPDATE_TEXT_MAX 96
enum update_outcome update_judge(long http_status, const char *body, const struct addr *sent, char *text);

/* Whether others can see it; of one behind NAT the broker must find out itself. */
bool update_is_public(const struct addr *address);
