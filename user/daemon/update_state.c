// SPDX-License-Identifier: GPL-2.0-only
#include "user/daemon/update_state.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* ---- when ---- */

static long long pause_s(const struct update_state *state)
{
	const bool unsent = state->last == UPDATE_UNSENT;
	const long long max = unsent ? UPDATE_UNSENT_MAX_S : UPDATE_RETRY_MAX_S;
	long long s = unsent ? UPDATE_UNSENT_S : UPDATE_RETRY_S;

	for (unsigned int i = 1; i < state->failures && s < max; i++)
		s *= 2;
	return s < max ? s : max;
}

/* Since a moment that a clock which was set back has still to come to, no time has passed. */
static long long after(long long since_ms, long long seconds, long long now_ms)
{
	return (since_ms < now_ms ? since_ms : now_ms) + seconds * 1000;
}

long long update_due(const struct update_state *state, uint32_t min_interval_s, long long now_ms)
{
	const long long asked_ms = state->open_ms ? state->open_ms : state->answered_ms;
	long long due = 0, retry;

	if (state->asking || state->refused || state->want.family == AF_UNSPEC ||
	    addr_equal(&state->want, &state->told))
		return UPDATE_NEVER;
	if (asked_ms)
		due = after(asked_ms, min_interval_s, now_ms);
	if (state->failures) {
		retry = after(state->ended_ms, pause_s(state), now_ms);
		due = retry > due ? retry : due;
	}
	return due;
}

bool update_want(struct update_state *state, const struct addr *address)
{
	if (addr_equal(&state->want, address))
		return false;
	state->want = *address;
	state->failures = 0;
	if (state->asking) /* who knows whether the broker has got it */
		state->told = (struct addr){ 0 };
	state->asking = false;
	return true;
}

void update_begin(struct update_state *state)
{
	state->asking = true;
}

void update_sent(struct update_state *state, long long now_ms)
{
	state->open_ms = now_ms;
}

void update_end(struct update_state *state, enum update_outcome outcome, long long now_ms)
{
	state->asking = false;
	if (outcome != UPDATE_UNSENT)
		state->open_ms = 0;
	state->last = outcome;
	state->ended_ms = now_ms;
	if (outcome == UPDATE_TOLD || outcome == UPDATE_LATER || outcome == UPDATE_REFUSED)
		state->answered_ms = now_ms;
	state->refused = outcome == UPDATE_REFUSED;
	if (outcome == UPDATE_TOLD) {
		state->told = state->want;
		state->failures = 0;
		return;
	}
	state->failures++;
	if (outcome == UPDATE_SILENT) /* it may have been taken, though the answer is lost */
		state->told = (struct addr){ 0 };
}

/* ---- what an answer means ---- */

/*
 * The words of dyndns2, which Hurricane Electric and many others use, and what that one says besides. Compared with the beginning of the
 * answer, without regard to case; the first that fits.
 */
static const struct {
	const char *begins;
	enum update_outcome outcome;
} answers[] = {
	{ "good", UPDATE_TOLD },
	{ "nochg", UPDATE_TOLD },
	{ "ok", UPDATE_TOLD },
	{ "badauth", UPDATE_REFUSED },
	{ "badagent", UPDATE_REFUSED },
	{ "abuse", UPDATE_REFUSED },
	{ "nohost", UPDATE_REFUSED },
	{ "notfqdn", UPDATE_REFUSED },
	{ "numhost", UPDATE_REFUSED },
	{ "!yours", UPDATE_REFUSED },
	{ "!donator", UPDATE_REFUSED },
	{ "!active", UPDATE_REFUSED },
	{ "blocked", UPDATE_REFUSED },
	{ "-error: this tunnel is already associated with this ip", UPDATE_TOLD },
	{ "-error: invalid api key", UPDATE_REFUSED },
	{ "-error: invalid username", UPDATE_REFUSED },
};

#define N_ANSWERS (sizeof(answers) / sizeof(answers[0]))

static enum update_outcome outcome_of(long http_status, const char *body)
{
	for (size_t i = 0; i < N_ANSWERS; i++)
		if (!strncasecmp(body, answers[i].begins, strlen(answers[i].begins)))
			return http_status == 200 || answers[i].outcome == UPDATE_REFUSED ? answers[i].outcome
											  : UPDATE_LATER;
	if (http_status == 200 || http_status == 408 || http_status == 425 || http_status == 429)
		return *body || http_status != 200 ? UPDATE_LATER : UPDATE_TOLD;
	/* elsewhere it would be (3xx), or not so (4xx): only another configuration helps */
	return http_status >= 300 && http_status < 500 ? UPDATE_REFUSED : UPDATE_LATER;
}

/* The address behind the first word; false: there is none. */
static bool address_in(const char *body, struct addr *address)
{
	char word[ADDR_STRLEN] = "";

	return sscanf(body, "%*s %45s", word) == 1 && !addr_parse(word, address);
}

static void show(const char *body, long http_status, char *text)
{
	size_t n = 0;

	if (http_status != 200)
		n = snprintf(text, UPDATE_TEXT_MAX, "HTTP status %ld%s", http_status, *body ? ": " : "");
	for (; *body && *body != '\n' && *body != '\r' && n < UPDATE_TEXT_MAX - 1; body++)
		text[n++] = *body < ' ' || *body > '~' ? '?' : *body;
	text[n] = '\0';
	if (!n)
		snprintf(text, UPDATE_TEXT_MAX, "an empty answer");
}

enum update_outcome update_judge(long http_status, const char *body, const struct addr *sent, char *text)
{
	enum update_outcome outcome;
	struct addr taken;

	body += strspn(body, " \t\r\n");
	outcome = outcome_of(http_status, body);
	show(body, http_status, text);
	/* it has taken what it saw, or, as some answer to whom they have shut out, 127.0.0.1 */
	if (outcome == UPDATE_TOLD && sent->family && address_in(body, &taken) && !addr_equal(&taken, sent))
		return UPDATE_LATER;
	return outcome;
}

bool update_is_public(const struct addr *address)
{
	static const struct {
		uint32_t net, mask;
	} hidden[] = {
		{ 0x0a000000, 0xff000000 }, /* RFC 1918 */
		{ 0xac100000, 0xfff00000 }, { 0xc0a80000, 0xffff0000 },
		{ 0x64400000, 0xffc00000 }, /* RFC 6598: a provider's NAT */
		{ 0xa9fe0000, 0xffff0000 }, /* link-local */
	};

	if (address->family != AF_INET)
		return false;
	for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++)
		if ((ntohl(address->v4.s_addr) & hidden[i].mask) == hidden[i].net)
			return false;
	return true;
}
