// SPDX-License-Identifier: GPL-2.0-only
#include <string.h>

#include "user/gateway/monitor_internal.h"

#define MS 1000000ull
#define SECOND (1000 * MS)

#define FIRST_WITHIN (20 * MS)
#define PATIENCE_LEAST (20 * MS) /* where the interval is shorter */
#define PATIENCE_MOST (180 * MS) /* of the least patience */
#define PATIENCE_FIRST SECOND	 /* nothing is known of the round-trip time yet */
#define GAP_LEAST (5 * MS)
#define GAPS 6	     /* in the least patience */
#define GAPS_MORE 2  /* of patience with a quick probe */
#define QUICK_MOST 8 /* in the time of a patience */
#define SLACK_MOST (8 * MS)
#define SETTLES SECOND /* a device that was just made gets its addresses in this time */
#define HURRY \
	(10 * \
	 SECOND) /* so long after a link has come back the probes of a gateway that is down are close to each other */

static uint64_t clamp(uint64_t value, uint64_t least, uint64_t most)
{
	return value < least ? least : value > most ? most : value;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* ---- making one ---- */

static size_t ring_size(const struct config_monitor *settings, size_t n_targets)
{
	if (!n_targets)
		return 0; /* where nothing is probed there are no settings either */
	return quality_ring_size(settings->interval_ms * MS, settings->period_ms * MS, settings->loss_interval_ms * MS);
}

static size_t targets_of(const struct monitor_setup *setup)
{
	if (!setup->monitored)
		return 0;
	return setup->n_targets < MONITOR_TARGETS_MAX ? setup->n_targets : MONITOR_TARGETS_MAX;
}

size_t monitor_size(const struct monitor_setup *setup)
{
	size_t n = targets_of(setup);

	return sizeof(struct monitor) + n * sizeof(struct monitor_target) +
	       n * ring_size(setup->settings, n) * sizeof(struct quality_probe);
}

static void take_settings(struct monitor *m, const struct config_monitor *s)
{
	m->interval_ns = s->interval_ms * MS;
	m->idle_interval_ns = s->idle_interval_ms * MS;
	m->loss_interval_ns = s->loss_interval_ms * MS;
	m->period_ns = s->period_ms * MS;
	m->alert_interval_ns = s->alert_interval_ms * MS;
	m->least_patience_ns = earlier(clamp(m->interval_ns, PATIENCE_LEAST, PATIENCE_MOST), m->loss_interval_ns);
	m->gap_ns = later(m->least_patience_ns / GAPS, GAP_LEAST);
	m->slack_ns = earlier(m->interval_ns / 64, SLACK_MOST);
	m->hold_ns = s->hold_down_s * SECOND;
	m->down_after = s->down_after;
	m->up_after = s->up_after;
	m->quorum = s->quorum;
	memcpy(m->limits[MEASURE_LATENCY], s->latency_ms, sizeof(s->latency_ms));
	memcpy(m->limits[MEASURE_LOSS], s->loss_pct, sizeof(s->loss_pct));
}

static enum monitor_status up_or_down(enum monitor_status status)
{
	return status == MONITOR_WARN ? MONITOR_UP : status;
}

/* Of the fraction of a circle that keeps any number of points apart: the golden ratio's */
static uint64_t phase_ns(const struct monitor *m, unsigned int target, uint64_t of_ns)
{
	uint32_t phase = m->phase + target * 2654435769u;

	return (unsigned __int128)of_ns * phase >> 32;
}

/* Of one that nobody knows yet the first probe is sent soon, and only the next ones when its turn is. */
static void target_init(struct monitor *m, unsigned int i, struct quality_probe *ring, const struct addr *address,
			uint64_t now_ns)
{
	struct monitor_target *t = &m->targets[i];
	bool soon = m->measured == MONITOR_UNKNOWN;

	*t = (struct monitor_target){
		.address = *address, .status = m->measured, .has_source = true, .can_send = true
	};
	t->turn_ns = now_ns + phase_ns(m, i, m->interval_ns);
	t->next_ns = soon ? now_ns + phase_ns(m, i, earlier(m->interval_ns, FIRST_WITHIN)) : t->turn_ns;
	quality_init(&t->quality, ring, m->interval_ns, m->period_ns, m->loss_interval_ns);
}

struct monitor *monitor_init(void *memory, const struct monitor_setup *setup, uint64_t now_ns)
{
	struct monitor *m = memory;
	size_t n = targets_of(setup);
	struct quality_probe *rings;
	unsigned int i;

	memset(m, 0, sizeof(*m));
	take_settings(m, setup->settings);
	m->monitored = setup->monitored;
	m->metered = setup->metered;
	m->phase = setup->phase;
	m->ring_size = ring_size(setup->settings, n);
	m->n_targets = n;
	m->quorum = clamp(m->quorum, 1, n ? n : 1);
	m->unreachable = setup->unreachable;
	m->settled_ns = now_ns + SETTLES;
	m->measured = m->monitored ? up_or_down(setup->before) : m->unreachable ? MONITOR_UNKNOWN : MONITOR_UP;
	m->forced = setup->forced;
	m->status = monitor_effective(m);
	m->since_ns = now_ns;
	m->alert_ns = now_ns + phase_ns(m, 0, m->interval_ns);
	rings = (struct quality_probe *)&m->targets[n];
	for (i = 0; i < n; i++)
		target_init(m, i, rings + i * m->ring_size, &setup->targets[i], now_ns);
	return m;
}

/* ---- interval and patience ---- */

/* A metered gateway is probed rarely while nothing depends on the answer: not before it is known, nor while it comes back */
static uint64_t interval(const struct monitor *m, const struct monitor_target *t, uint64_t now_ns)
{
	bool down = t->status == MONITOR_DOWN;

	if (down && now_ns < m->hurry_until_ns)
		return m->least_patience_ns;
	if (!m->metered || !m->idle || t->status == MONITOR_UNKNOWN || (down && t->answered_row))
		return m->interval_ns;
	return m->idle_interval_ns > m->interval_ns ? m->idle_interval_ns : m->interval_ns;
}

static uint64_t patience(const struct monitor *m, const struct monitor_target *t)
{
	uint64_t margin = later(4 * t->rttvar_ns, m->least_patience_ns / 4);

	return clamp(t->srtt_ns ? t->srtt_ns + margin : PATIENCE_FIRST, m->least_patience_ns, m->loss_interval_ns);
}

static uint64_t gap(const struct monitor *m, const struct monitor_target *t)
{
	return later(m->gap_ns, patience(m, t) / QUICK_MOST);
}

static uint64_t deadline(const struct monitor *m, const struct monitor_target *t, uint64_t number)
{
	const struct quality_probe *p = quality_probe(&t->quality, number);

	return p->sent_ns + patience(m, t) + (p->quick ? GAPS_MORE * gap(m, t) : 0);
}

/* As RFC 6298 does */
static void learn_rtt(struct monitor_target *t, uint64_t rtt_ns)
{
	uint64_t off = t->srtt_ns > rtt_ns ? t->srtt_ns - rtt_ns : rtt_ns - t->srtt_ns;

	if (!rtt_ns)
		rtt_ns = 1;
	if (!t->srtt_ns) {
		t->srtt_ns = rtt_ns;
		t->rttvar_ns = rtt_ns / 2;
		return;
	}
	t->rttvar_ns = (3 * t->rttvar_ns + off) / 4;
	t->srtt_ns = (7 * t->srtt_ns + rtt_ns) / 8;
}

/* ---- a target ---- */

uint32_t monitor_missed_row(const struct monitor_target *t)
{
	return t->judged - t->open;
}

/* Nothing that is under way is waited for any more */
static void forget_under_way(struct monitor_target *t)
{
	t->open = t->judged = t->quality.next;
	t->answered_row = 0;
	t->burst = false;
	quality_forgive(&t->quality);
}

static void missed(struct monitor *m, struct monitor_target *t, bool quick, uint64_t now_ns)
{
	t->answered_row = 0;
	if (t->status == MONITOR_DOWN)
		return;
	if (monitor_missed_row(t) >= m->down_after) {
		t->status = MONITOR_DOWN;
		t->burst = false;
	} else if (!quick && !t->burst) {
		t->burst = true;
		t->quick_ns = now_ns;
	}
}

/* In the order in which they were sent */
static void judge(struct monitor *m, struct monitor_target *t, uint64_t now_ns)
{
	while (t->judged < t->quality.next && now_ns >= deadline(m, t, t->judged)) {
		bool quick = quality_probe(&t->quality, t->judged)->quick;

		if (t->judged >= t->detail_until)
			t->detail = MONITOR_NO_DETAIL;
		t->judged++;
		missed(m, t, quick, now_ns);
	}
}

/*
 * It ends a burst, and the rest of that is not waited for: else a few of its probes, missed later on, and one more would be a row that
 * no new burst could clear in time.
 */
static void answered_in_order(struct monitor *m, struct monitor_target *t, uint64_t number, bool late)
{
	t->answered_row = late ? 0 : number == t->open ? t->answered_row + 1 : 1;
	t->open = t->burst ? t->quality.next : number + 1;
	t->burst = false;
	if (t->judged < t->open)
		t->judged = t->open;
	if (t->status == MONITOR_UP || (t->status == MONITOR_DOWN && t->answered_row < m->up_after))
		return;
	t->status = MONITOR_UP;
	quality_forgive(&t->quality);
}

bool monitor_answered(struct monitor *m, unsigned int target, uint16_t sequence, uint64_t now_ns)
{
	struct monitor_target *t = &m->targets[target];
	uint64_t number, took;
	bool late;

	if (!quality_find(&t->quality, sequence, &number))
		return false;
	took = now_ns - quality_probe(&t->quality, number)->sent_ns;
	late = now_ns >= deadline(m, t, number);
	if (!quality_answered(&t->quality, number, now_ns))
		return false;
	if (took <= m->loss_interval_ns)
		learn_rtt(t, took);
	if (number < t->open || !t->can_send)
		return true;
	t->detail = MONITOR_NO_DETAIL;
	answered_in_order(m, t, number, late);
	t->next_ns = earlier(t->next_ns, now_ns + interval(m, t, now_ns) * 3 / 2); /* so far its first turn may be */
	return true;
}

void monitor_detail(struct monitor *m, unsigned int target, enum monitor_detail detail, int arg)
{
	struct monitor_target *t = &m->targets[target];

	t->detail = detail;
	t->detail_arg = arg;
	t->detail_until = t->quality.next;
}

/* ---- sending ---- */

static void send_normal(struct monitor *m, unsigned int i, uint64_t now_ns, monitor_send *send_probe, void *arg)
{
	struct monitor_target *t = &m->targets[i];

	if (t->next_ns < t->turn_ns) /* the first one, before its turn */
		t->next_ns = t->turn_ns - now_ns < m->interval_ns / 2 ? t->turn_ns : t->turn_ns - m->interval_ns;
	t->next_ns += interval(m, t, now_ns);
	if (t->next_ns <= now_ns) /* late by more than an interval */
		t->next_ns = now_ns + interval(m, t, now_ns);
	send_probe(arg, m, i, (uint16_t)quality_sent(&t->quality, false, now_ns));
}

static void send_quick(struct monitor *m, unsigned int i, uint64_t now_ns, monitor_send *send_probe, void *arg)
{
	struct monitor_target *t = &m->targets[i];

	t->quick_ns = now_ns + gap(m, t);
	send_probe(arg, m, i, (uint16_t)quality_sent(&t->quality, true, now_ns));
}

/* Nothing but its source is missing, which a new device has in a moment: it is neither down nor up before. */
static bool settles(const struct monitor *m, const struct monitor_target *t, uint64_t now_ns)
{
	return !t->can_send && t->status == MONITOR_UNKNOWN && m->path == MONITOR_PATH_OK && !m->unreachable &&
	       now_ns < m->settled_ns;
}

static void run_target(struct monitor *m, unsigned int i, uint64_t now_ns, monitor_send *send_probe, void *arg)
{
	struct monitor_target *t = &m->targets[i];

	if (!t->can_send) {
		if (!settles(m, t, now_ns))
			t->status = MONITOR_DOWN;
		return;
	}
	judge(m, t, now_ns);
	if (t->burst && t->quick_ns <= now_ns)
		send_quick(m, i, now_ns, send_probe, arg);
	if (t->next_ns <= now_ns + m->slack_ns)
		send_normal(m, i, now_ns, send_probe, arg);
}

/* ---- facts ---- */

static void target_path(struct monitor *m, unsigned int i, bool can_send, uint64_t now_ns)
{
	struct monitor_target *t = &m->targets[i];
	bool same = t->can_send == can_send;

	t->can_send = can_send;
	if (!can_send && !settles(m, t, now_ns))
		t->status = MONITOR_DOWN;
	if (same)
		return;
	forget_under_way(t);
	if (!can_send)
		return;
	t->next_ns = now_ns + phase_ns(m, i, m->least_patience_ns);
	m->hurry_until_ns = now_ns + HURRY;
}

void monitor_path(struct monitor *m, enum monitor_path path, const bool has[PROBE_SOURCES], uint64_t now_ns)
{
	unsigned int i;

	m->path = path;
	for (i = 0; i < m->n_targets; i++) {
		bool source = has[probe_source_of(&m->targets[i].address)];

		m->targets[i].has_source = source;
		target_path(m, i, source && path == MONITOR_PATH_OK && !m->unreachable, now_ns);
	}
}

void monitor_reachable(struct monitor *m, bool reachable)
{
	m->unreachable = !reachable;
}

void monitor_source_changed(struct monitor *m, enum probe_source source, uint64_t now_ns)
{
	unsigned int i;

	for (i = 0; i < m->n_targets; i++) {
		struct monitor_target *t = &m->targets[i];

		if (probe_source_of(&t->address) != source || !t->can_send)
			continue;
		forget_under_way(t);
		t->next_ns = now_ns;
	}
	m->hurry_until_ns = now_ns + HURRY;
}

void monitor_idle(struct monitor *m, bool idle, uint64_t now_ns)
{
	unsigned int i;

	m->idle = idle;
	for (i = 0; i < m->n_targets; i++)
		m->targets[i].next_ns = earlier(m->targets[i].next_ns, now_ns + interval(m, &m->targets[i], now_ns));
}

void monitor_force(struct monitor *m, enum monitor_forced forced)
{
	m->forced = forced;
}

/* ---- running ---- */

void monitor_run(struct monitor *m, uint64_t now_ns, monitor_send *send_probe, void *arg)
{
	unsigned int i;

	for (i = 0; i < m->n_targets; i++)
		run_target(m, i, now_ns, send_probe, arg);
	monitor_decide(m, now_ns);
}

static uint64_t target_next(const struct monitor *m, const struct monitor_target *t, uint64_t *early)
{
	uint64_t next = t->burst ? t->quick_ns : MONITOR_NEVER;

	if (!t->can_send)
		return t->status == MONITOR_UNKNOWN ? m->settled_ns : MONITOR_NEVER;
	if (t->judged < t->quality.next)
		next = earlier(next, deadline(m, t, t->judged));
	*early = earlier(*early, earlier(next, t->next_ns - m->slack_ns));
	return earlier(next, t->next_ns);
}

/* Loss and latency are judged together with the next probe, if that is soon */
uint64_t monitor_next(const struct monitor *m, uint64_t *early)
{
	uint64_t next = MONITOR_NEVER;
	unsigned int i;

	*early = MONITOR_NEVER;
	for (i = 0; i < m->n_targets; i++)
		next = earlier(next, target_next(m, &m->targets[i], early));
	if (m->held)
		next = earlier(next, m->held_until_ns);
	if (m->measured == MONITOR_UP && m->n_targets)
		next = earlier(next, m->alert_ns + m->interval_ns);
	*early = earlier(*early, next);
	return next;
}

/* ---- a new configuration ---- */

static bool same_window(const struct monitor *m, const struct monitor *old)
{
	return m->interval_ns == old->interval_ns && m->period_ns == old->period_ns &&
	       m->loss_interval_ns == old->loss_interval_ns;
}

static void take_target(struct monitor *m, struct monitor_target *t, const struct monitor_target *old, bool with_probes,
			uint64_t now_ns)
{
	struct quality quality = t->quality;

	*t = *old;
	t->next_ns = earlier(old->next_ns, now_ns + m->interval_ns);
	t->quality = quality;
	if (with_probes) {
		quality_take_over(&t->quality, &old->quality);
		return;
	}
	t->open = t->judged = 0;
	t->answered_row = 0;
	t->burst = false;
}

static int find_target(const struct monitor *m, const struct addr *address)
{
	unsigned int i;

	for (i = 0; i < m->n_targets; i++)
		if (addr_equal(&m->targets[i].address, address))
			return (int)i;
	return -1;
}

static void take_decisions(struct monitor *m, const struct monitor *old)
{
	m->path = old->path;
	m->settled_ns = old->settled_ns;
	m->forced = old->forced;
	m->idle = old->idle;
	m->hurry_until_ns = old->hurry_until_ns;
	m->status = old->status;
	m->since_ns = old->since_ns;
	m->recovered_ns = old->recovered_ns;
	m->first_down_ns = old->first_down_ns;
	m->times_down = old->times_down;
	if (m->hold_ns == old->hold_ns)
		m->held_until_ns = old->held_until_ns;
	if (m->monitored)
		m->measured = old->measured;
	memcpy(m->alerts, old->alerts, sizeof(m->alerts));
}

void monitor_take_over(struct monitor *m, const struct monitor *old, bool same_probes, uint64_t now_ns,
		       int map[MONITOR_TARGETS_MAX])
{
	bool keep = same_probes && same_window(m, old);
	unsigned int i;

	take_decisions(m, old);
	for (i = 0; i < m->n_targets; i++) {
		struct monitor_target *t = &m->targets[i];

		int from = find_target(old, &t->address);

		t->status = MONITOR_UNKNOWN;
		t->can_send = m->path == MONITOR_PATH_OK;
		if (from >= 0)
			take_target(m, t, &old->targets[from], keep, now_ns);
		map[i] = keep ? from : -1;
	}
}
