// SPDX-License-Identifier: GPL-2.0-only
/* From what was measured to what it is worth, and what to do about it. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/drill/drill.h"

#define FINE_MS 10 /* how often pings are sent */
#define TCP_MS 500
#define CLOCKS_MS 100 /* how well times of two nodes can be compared */
#define SEEN_MS 2000  /* announcements must have come everywhere by then */
#define SLOW_MS 500   /* answers that come so much later than the addresses have moved: something else is slow */

struct totals {
	json_int_t sent, lost, late, refused, held, reset, closed, gap_ms, stall_ms;
	const char *slowest;   /* whose gap that is; NULL: nobody's */
	json_int_t address_ms; /* longest gap of a shared address; -1: none was asked */
	json_int_t target_ms;  /* that of the target which was back first; -1: none was asked */
};

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static json_int_t number_of(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

static void say(json_t *to, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void say(json_t *to, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	json_array_append_new(to, json_string(text));
}

/* ---- what the probe saw ---- */

/* Of a failback only gaps that reach behind the fault's end count, and only that part of them. */
static json_int_t counted_ms(const struct drill_measured *m, json_int_t at, json_int_t ms)
{
	if (!(m->scenario->expects & DRILL_RETURN))
		return ms;
	if (at + ms <= m->probe_healed_ms)
		return 0;
	return at < m->probe_healed_ms ? 0 : ms;
}

static json_int_t longest_gap(const struct drill_measured *m, const json_t *series)
{
	json_int_t longest = 0;
	json_t *gap;
	size_t i;

	json_array_foreach(json_object_get(series, "gaps"), i, gap) {
		json_int_t ms = counted_ms(m, json_integer_value(json_array_get(gap, 0)),
					   json_integer_value(json_array_get(gap, 1)));

		longest = ms > longest ? ms : longest;
	}
	return longest;
}

/* With one each 100 ms a single one lost may be a gap of 1 ms as well as of 199. */
static json_int_t least_ms(const json_t *series, json_int_t gap)
{
	json_int_t more = number_of(series, "every_ms") - FINE_MS;

	return gap > more ? gap - (more > 0 ? more : 0) : 0;
}

/* To targets nothing may go while what they are reached by is blocked. */
static bool counts(const struct drill_measured *m, const json_t *series)
{
	return !(m->scenario->expects & DRILL_TARGETS_GONE) || !json_is_true(json_object_get(series, "target"));
}

/* Whom a gap has kept waiting tells where it comes from. */
static void add_gap(struct totals *t, const json_t *series, json_int_t gap)
{
	if (json_is_true(json_object_get(series, "target"))) {
		if (t->target_ms < 0 || gap < t->target_ms)
			t->target_ms = gap;
	} else if (gap > t->address_ms) {
		t->address_ms = gap;
	}
	if (gap <= t->gap_ms)
		return;
	t->gap_ms = gap;
	t->slowest = text_of(series, "to");
}

static void add_up(const struct drill_measured *m, struct totals *t)
{
	json_t *series;
	size_t i;

	json_array_foreach(json_object_get(m->probe, "series"), i, series) {
		json_int_t gap = least_ms(series, longest_gap(m, series));

		t->sent += number_of(series, "sent");
		t->lost += number_of(series, "lost");
		t->late += number_of(series, "late");
		t->refused += number_of(series, "refused");
		t->held += number_of(series, "held");
		t->reset += number_of(series, "reset");
		t->closed += number_of(series, "closed");
		json_object_set_new(series, "gap_ms", json_integer(gap));
		json_object_del(series, "gaps");
		if (!strcmp(text_of(series, "kind"), "flow"))
			t->stall_ms = gap > t->stall_ms ? gap : t->stall_ms;
		else if (counts(m, series))
			add_gap(t, series, gap);
	}
	if (!m->probe)
		t->gap_ms = m->scenario->expects & DRILL_RETURN ? m->owned.none_after_ms : m->owned.none_ms;
}

/* ---- limits ---- */

/* TCP waits twice as long before each time that it sends again what was lost, and half a second at first: more is no gap's doing. */
static json_int_t stall_of(json_int_t gap_ms)
{
	return 2 * gap_ms + TCP_MS;
}

static void judge_traffic(struct drill_measured *m, const struct totals *t)
{
	if (m->limits.max_gap_ms != CONFIG_NO_LIMIT && t->stall_ms > stall_of(m->limits.max_gap_ms) &&
	    !(m->scenario->expects & DRILL_FLOWS_END))
		say(m->reasons, "a connection stood still for %lld ms, longer than TCP does at a gap of %u ms",
		    t->stall_ms, m->limits.max_gap_ms);
	if (t->gap_ms > m->limits.max_gap_ms)
		say(m->reasons, "the gap of %lld ms is longer than the limit, %u ms", t->gap_ms, m->limits.max_gap_ms);
	if (t->reset > m->limits.max_lost_flows && !(m->scenario->expects & DRILL_FLOWS_END))
		say(m->reasons, "%lld connections were lost, the limit is %u", t->reset, m->limits.max_lost_flows);
	if (m->leaks < 0 && m->scenario->expects & DRILL_TARGETS_GONE)
		say(m->reasons, "nothing is known of leaks: that is no pass");
	if (m->leaks > 0)
		say(m->reasons, "%lld packets have left in clear text that belong in what was down", m->leaks);
}

static void judge_masters(struct drill_measured *m)
{
	bool wanted = m->scenario->expects & DRILL_TWO_MASTERS;
	long long two = wanted ? m->owned.two_after_ms : m->owned.two_ms;

	if (two > m->interval_ms + CLOCKS_MS)
		say(m->reasons, "an address had two masters for %lld ms%s; adverts come every %ld ms", two,
		    wanted ? " after both could hear each other again" : "", m->interval_ms);
	if (wanted && !m->owned.two_ms)
		say(m->reasons,
		    "no address had two masters: the split brain has not come about, and nothing was tested");
	if (wanted && m->owned.two_ms && !m->told_of_two)
		say(m->reasons, "no event names the split brain");
	if (!wanted && m->told_of_two)
		say(m->reasons, "an event tells of a split brain");
	if (m->scenario->expects & DRILL_MOVES && m->owned.taken_ms < 0)
		say(m->reasons, "not all addresses were taken over by the other node");
	if (m->scenario->expects & DRILL_PAIR && !(m->scenario->expects & (DRILL_MOVES | DRILL_TWO_MASTERS)) &&
	    m->owned.taken_ms >= 0)
		say(m->reasons, "addresses have moved, and had no reason to");
}

static void judge_announcements(struct drill_measured *m)
{
	if (!(m->scenario->expects & DRILL_SEEN))
		return;
	if (m->seen_ms > SEEN_MS)
		say(m->reasons, "the other node has seen where the addresses are only %lld ms after they had moved",
		    m->seen_ms);
	else if (m->seen_ms < 0)
		say(m->hints,
		    "the other node has not seen what a new master announces (gratuitous ARP, neighbour advertisements): is "
		    "there a switch that keeps such back?");
}

static void judge_rest(struct drill_measured *m)
{
	json_t *check;
	size_t i;

	json_array_foreach(m->checks, i, check) {
		if (strcmp(text_of(check, "result"), "ok"))
			say(m->reasons, "check \"%s\": %s (exit status %lld)", text_of(check, "check"),
			    *text_of(check, "finding") ? text_of(check, "finding") : "failed",
			    (long long)number_of(check, "status"));
	}
	for (i = 0; i < DRILL_NODES; i++)
		if (m->scenario->expects & DRILL_LOGGED && m->silent[i])
			say(m->reasons, "%s has no event of a change of role",
			    i == DRILL_SELF ? "this node" : "the other node");
	if (!m->restored)
		say(m->reasons, "not all is as it was before");
}

/* ---- hints ---- */

/*
 * A switch that has not learned where the addresses are holds back what asks for them, too. Where they answer, or another target does, it is
 * something on the way to the slow one.
 */
static void hint_slow(struct drill_measured *m, const struct totals *t, long long none)
{
	json_int_t others = t->address_ms >= 0 ? t->address_ms : t->target_ms;

	if (!m->probe || !(m->scenario->expects & DRILL_MOVES) || t->gap_ms <= none + SLOW_MS)
		return;
	if (others <= none + SLOW_MS)
		say(m->hints,
		    "%s did not answer for %lld ms, others did not wait longer than %lld ms: look at the way to that one: a VPN "
		    "that begins anew at the node that has taken over (the other end's dead peer detection), the gateway, its ARP "
		    "entry or the MAC table of the switch between",
		    t->slowest, (long long)t->gap_ms, (long long)others);
	else
		say(m->hints,
		    "an address was nobody's for %lld ms, and answers came only after %lld ms: look at announcements "
		    "(announce_repeat) and at the switch's MAC table: port security, a limit of MACs for each port, spanning "
		    "tree that holds a port back",
		    none, (long long)t->gap_ms);
}

static void hint(struct drill_measured *m, const struct totals *t)
{
	long long none = m->scenario->expects & DRILL_RETURN ? m->owned.none_after_ms : m->owned.none_ms;

	hint_slow(m, t, none);
	if (none > 3 * m->interval_ms && m->interval_ms >= 1000)
		say(m->hints,
		    "with an advert each %ld ms a dead master is missed after three of them; fast_ms, of nodes "
		    "that run fairlead, makes that milliseconds",
		    m->interval_ms);
	if ((t->reset || t->stall_ms > stall_of(t->gap_ms)) && m->scenario->expects & DRILL_MOVES)
		say(m->hints,
		    "connections that did not survive, or stood still for longer than new ones, had no state on the other node: `fairlead show sync`, and is "
		    "ha.sync_states on?");
	if (t->reset && m->scenario->expects & DRILL_FLOWS_END)
		say(m->hints,
		    "connections by a gateway that is down are ended, so that their clients begin new ones at once");
	if (m->scenario->expects & DRILL_RETURN && !m->preempt)
		say(m->hints, "preempt is off: the addresses stay where they are, so nothing returned");
	if (t->closed)
		say(m->hints,
		    "servers have closed %lld held connections themselves, as those do that wait for a request; "
		    "they don't count",
		    (long long)t->closed);
	if (!m->restored)
		say(m->hints,
		    "`fairlead status` and `fairlead show vips` on both nodes tell what differs; events tell why");
}

/* ---- all of it ---- */

static json_t *ms_json(long long ms)
{
	return ms < 0 ? json_null() : json_integer(ms);
}

json_t *drill_judge(struct drill_measured *m)
{
	struct totals t = { .address_ms = -1, .target_ms = -1 };
	json_t *series;

	add_up(m, &t);
	judge_traffic(m, &t);
	judge_masters(m);
	judge_announcements(m);
	judge_rest(m);
	hint(m, &t);
	if (!m->probe)
		say(m->notes,
		    "no traffic was measured: the gap is that between two masters, by the events of both nodes. "
		    "drill.from names a host that measures");
	if (m->scenario->expects & DRILL_MOVES && !m->preempt)
		say(m->notes, "preempt is off: the addresses stay with the node that has taken them over");
	series = json_object_get(m->probe, "series");
	return json_pack(
		"{s:s,s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:o,s:I,s:I,s:o,s:o,s:o,s:b,s:o,s:o,s:O,s:O,s:O,s:O,s:O?}",
		"scenario", m->scenario->name, "result", json_array_size(m->reasons) ? "failed" : "passed", "gap_ms",
		t.gap_ms, "sent", t.sent, "lost", t.lost, "late", t.late, "refused", t.refused, "flows_held", t.held,
		"flows_reset", t.reset, "flows_closed", t.closed, "stall_ms", t.stall_ms, "leaks",
		m->leaks < 0 ? json_null() : json_integer(m->leaks), "dual_master_ms", (json_int_t)m->owned.two_ms,
		"no_master_ms", (json_int_t)m->owned.none_ms, "taken_over_ms", ms_json(m->owned.taken_ms), "sync_ms",
		ms_json(m->sync_ms), "announced_ms", ms_json(m->seen_ms), "restored", m->restored, "max_gap_ms",
		m->limits.max_gap_ms == CONFIG_NO_LIMIT ? json_null() : json_integer(m->limits.max_gap_ms),
		"max_lost_flows",
		m->limits.max_lost_flows == CONFIG_NO_LIMIT ? json_null() : json_integer(m->limits.max_lost_flows),
		"reasons", m->reasons, "hints", m->hints, "notes", m->notes, "checks", m->checks, "series", series);
}
