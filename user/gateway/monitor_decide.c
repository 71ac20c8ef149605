// SPDX-License-Identifier: GPL-2.0-only
/* What a gateway is, because of what its targets are. */
#include <stdlib.h>
#include <string.h>

#include "user/gateway/monitor_internal.h"

#define SECOND 1000000000ull

#define ALERT_HOLD 10 /* alert intervals without, before it is over */
#define HOLD_WINDOW (60 * SECOND)
#define HOLD_DOUBLE_MOST 4 /* times: 16 times the configured one */

/* ---- loss and latency: those that `quorum` of the targets have at least ---- */

struct measured {
	struct quality_report loss, rtt;
	bool has_rtt;
};

static int by_loss(const void *a, const void *b)
{
	const struct quality_report *x = a, *y = b;

	if (!x->resolved != !y->resolved)
		return x->resolved ? -1 : 1;
	return (x->loss_pct > y->loss_pct) - (x->loss_pct < y->loss_pct);
}

static int by_rtt(const void *a, const void *b)
{
	const struct quality_report *x = a, *y = b;

	if (x->has_rtt != y->has_rtt)
		return x->has_rtt ? -1 : 1;
	return (x->rtt_us > y->rtt_us) - (x->rtt_us < y->rtt_us);
}

static void take_measure(struct monitor *m, uint64_t now_ns, struct measured *out)
{
	struct quality_report reports[MONITOR_TARGETS_MAX];
	unsigned int i;

	*out = (struct measured){ .has_rtt = false };
	if (!m->n_targets)
		return;
	for (i = 0; i < m->n_targets; i++)
		quality_report(&m->targets[i].quality, now_ns, &reports[i]);
	qsort(reports, m->n_targets, sizeof(*reports), by_loss);
	out->loss = reports[m->quorum - 1];
	qsort(reports, m->n_targets, sizeof(*reports), by_rtt);
	out->rtt = reports[m->quorum - 1];
	out->has_rtt = out->rtt.has_rtt;
}

static double latency_ms(const struct measured *is)
{
	return is->has_rtt ? is->rtt.rtt_us / 1000.0 : 0;
}

static void judge_measure(struct monitor *m, enum monitor_measure which, double value, uint64_t now_ns)
{
	enum monitor_level level;

	for (level = 0; level < LEVELS; level++) {
		struct monitor_alert *alert = &m->alerts[which][level];

		if (value > m->limits[which][level])
			*alert = (struct monitor_alert){ .on = true, .above_ns = now_ns };
		else if (now_ns - alert->above_ns >= ALERT_HOLD * m->alert_interval_ns)
			alert->on = false;
	}
}

static void judge_quality(struct monitor *m, uint64_t now_ns)
{
	struct measured is;

	if (now_ns < m->alert_ns)
		return;
	m->alert_ns += m->alert_interval_ns;
	if (m->alert_ns <= now_ns)
		m->alert_ns = now_ns + m->alert_interval_ns;
	take_measure(m, now_ns, &is);
	judge_measure(m, MEASURE_LOSS, is.loss.enough ? is.loss.loss_pct : 0, now_ns);
	judge_measure(m, MEASURE_LATENCY, is.rtt.enough ? latency_ms(&is) : 0, now_ns);
}

/* ---- up or down ---- */

static unsigned int count(const struct monitor *m, enum monitor_status status)
{
	unsigned int n = 0, i;

	for (i = 0; i < m->n_targets; i++)
		n += m->targets[i].status == status;
	return n;
}

/* While targets are unknown it stays what it was */
static enum monitor_status measure(const struct monitor *m)
{
	unsigned int up = count(m, MONITOR_UP);

	if (!m->monitored)
		return m->unreachable ? MONITOR_DOWN : MONITOR_UP;
	if (m->path != MONITOR_PATH_OK || m->unreachable)
		return MONITOR_DOWN;
	if (up >= m->quorum)
		return MONITOR_UP;
	return up + count(m, MONITOR_UNKNOWN) < m->quorum ? MONITOR_DOWN : m->measured;
}

static uint64_t hold_of(const struct monitor *m, uint32_t times)
{
	uint32_t doubled = times ? times - 1 : 0;

	return m->hold_ns << (doubled < HOLD_DOUBLE_MOST ? doubled : HOLD_DOUBLE_MOST);
}

/* One that goes down again soon after it has recovered stays down twice as long */
static void went_down(struct monitor *m, uint64_t now_ns)
{
	uint64_t window = 10 * hold_of(m, m->times_down);

	if (window < HOLD_WINDOW)
		window = HOLD_WINDOW;
	if (!m->times_down || now_ns - m->recovered_ns >= window) {
		m->times_down = 0;
		m->first_down_ns = now_ns;
	}
	m->times_down++;
	m->held_until_ns = now_ns + hold_of(m, m->times_down);
}

static bool failing(const struct monitor *m, enum monitor_level level)
{
	return m->alerts[MEASURE_LOSS][level].on || m->alerts[MEASURE_LATENCY][level].on;
}

enum monitor_status monitor_effective(const struct monitor *m)
{
	if (m->forced != MONITOR_AUTO)
		return m->forced == MONITOR_FORCED_UP ? MONITOR_UP : MONITOR_DOWN;
	if (m->measured == MONITOR_UP && (failing(m, LEVEL_WARN) || failing(m, LEVEL_FAIL)))
		return MONITOR_WARN;
	return m->measured;
}

static void set_measured(struct monitor *m, enum monitor_status is, uint64_t now_ns)
{
	if (is == m->measured)
		return;
	if (is == MONITOR_DOWN && m->measured == MONITOR_UP)
		went_down(m, now_ns);
	if (is == MONITOR_UP && m->measured == MONITOR_DOWN)
		m->recovered_ns = now_ns;
	m->measured = is;
}

void monitor_decide(struct monitor *m, uint64_t now_ns)
{
	enum monitor_status is = measure(m), was = m->status;

	m->held = is == MONITOR_UP && m->measured == MONITOR_DOWN && now_ns < m->held_until_ns;
	set_measured(m, m->held ? MONITOR_DOWN : is, now_ns);
	if (m->measured == MONITOR_UP)
		judge_quality(m, now_ns);
	else
		memset(m->alerts, 0, sizeof(m->alerts));
	m->status = monitor_effective(m);
	if (m->status != was)
		m->since_ns = now_ns;
}

/* ---- telling ---- */

void monitor_view_target(struct monitor *m, unsigned int target, uint64_t now_ns, struct monitor_target_view *v)
{
	struct monitor_target *t = &m->targets[target];
	struct quality_report q;

	quality_report(&t->quality, now_ns, &q);
	*v = (struct monitor_target_view){ .address = t->address,
					   .status = t->status,
					   .has_source = t->has_source,
					   .missed_row = monitor_missed_row(t),
					   .answered_row = t->answered_row,
					   .detail = t->detail,
					   .detail_arg = t->detail_arg,
					   .has_rtt = q.has_rtt && t->status != MONITOR_DOWN,
					   .rtt_us = q.rtt_us,
					   .stddev_us = q.stddev_us,
					   .loss_pct = t->can_send ? q.loss_pct : 100 };
}

static bool probed(const struct monitor *m)
{
	unsigned int i;

	for (i = 0; i < m->n_targets; i++)
		if (m->targets[i].judged)
			return true;
	return false;
}

static enum monitor_reason why_down(const struct monitor *m)
{
	unsigned int sending = 0, i;

	for (i = 0; i < m->n_targets; i++)
		sending += m->targets[i].can_send;
	if (m->path != MONITOR_PATH_OK)
		return MONITOR_PATH;
	if (m->unreachable)
		return MONITOR_NOT_LEARNED;
	if (!m->n_targets)
		return MONITOR_NO_TARGET;
	if (m->held)
		return MONITOR_HELD;
	if (sending < m->quorum)
		return MONITOR_NO_SOURCE;
	return probed(m) ? MONITOR_SILENT : MONITOR_NOT_PROBED;
}

/* Of what is above both limits, the higher one is told */
static enum monitor_reason why_warn(const struct monitor *m, struct monitor_view *v)
{
	static const struct {
		enum monitor_measure measure;
		enum monitor_level level;
		enum monitor_reason reason;
	} order[] = { { MEASURE_LOSS, LEVEL_FAIL, MONITOR_LOSS },
		      { MEASURE_LATENCY, LEVEL_FAIL, MONITOR_LATENCY },
		      { MEASURE_LOSS, LEVEL_WARN, MONITOR_LOSS },
		      { MEASURE_LATENCY, LEVEL_WARN, MONITOR_LATENCY } };
	unsigned int i;

	for (i = 0; i < sizeof(order) / sizeof(*order); i++) {
		const struct monitor_alert *alert = &m->alerts[order[i].measure][order[i].level];

		if (!alert->on)
			continue;
		v->limit = m->limits[order[i].measure][order[i].level];
		v->above_ns = alert->above_ns;
		return order[i].reason;
	}
	return MONITOR_ANSWERS;
}

static enum monitor_reason why(const struct monitor *m, struct monitor_view *v)
{
	if (m->forced != MONITOR_AUTO)
		return MONITOR_BY_HAND;
	if (!m->monitored)
		return m->unreachable ? MONITOR_NOT_LEARNED : MONITOR_NOT_MONITORED;
	if (m->status == MONITOR_WARN)
		return why_warn(m, v);
	if (m->status == MONITOR_UP)
		return probed(m) ? MONITOR_ANSWERS : MONITOR_NOT_PROBED;
	return why_down(m);
}

void monitor_view(struct monitor *m, uint64_t now_ns, struct monitor_view *v)
{
	struct measured is;

	take_measure(m, now_ns, &is);
	*v = (struct monitor_view){ .status = m->status,
				    .measured_up = m->measured == MONITOR_UP,
				    .forced = m->forced,
				    .path = m->path,
				    .since_ns = m->since_ns,
				    .idle = m->idle,
				    .has_rtt = is.has_rtt && m->measured != MONITOR_DOWN,
				    .rtt_us = is.rtt.rtt_us,
				    .stddev_us = is.rtt.stddev_us,
				    .loss_pct = m->n_targets && m->path != MONITOR_PATH_OK ? 100 : is.loss.loss_pct,
				    .held_until_ns = m->held_until_ns,
				    .first_down_ns = m->first_down_ns,
				    .times_down = m->times_down,
				    .quorum = m->quorum,
				    .up_after = m->up_after,
				    .n_up = count(m, MONITOR_UP),
				    .n_targets = m->n_targets };
	monitor_fails(m, &v->loss_fails, &v->latency_fails);
	if (m->n_targets)
		monitor_view_target(m, 0, now_ns, &v->first);
	v->reason = why(m, v);
}

enum monitor_status monitor_status(const struct monitor *m)
{
	return m->status;
}

void monitor_fails(const struct monitor *m, bool *loss, bool *latency)
{
	*loss = m->alerts[MEASURE_LOSS][LEVEL_FAIL].on;
	*latency = m->alerts[MEASURE_LATENCY][LEVEL_FAIL].on;
}
