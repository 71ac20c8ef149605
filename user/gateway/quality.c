// SPDX-License-Identifier: GPL-2.0-only
#include <string.h>

#include "user/gateway/quality.h"

#define RING_LEAST 64
#define RING_MOST 32768
#define LEAST_MOST 20 /* probes of the window, or the period's if those are fewer */

static struct quality_probe *slot(const struct quality *q, uint64_t number)
{
	return &q->ring[number & (q->size - 1)];
}

/* Twice the probes of the period: the rest is for those of bursts */
size_t quality_ring_size(uint64_t interval_ns, uint64_t period_ns, uint64_t loss_interval_ns)
{
	uint64_t span = period_ns > loss_interval_ns ? period_ns : loss_interval_ns;
	size_t size = RING_LEAST;

	while (size < RING_MOST && size / 2 < span / interval_ns + 1)
		size *= 2;
	return size;
}

void quality_init(struct quality *q, struct quality_probe *ring, uint64_t interval_ns, uint64_t period_ns,
		  uint64_t loss_interval_ns)
{
	uint64_t usual = period_ns / interval_ns;

	*q = (struct quality){ .period_ns = period_ns,
			       .loss_interval_ns = loss_interval_ns,
			       .least = usual < LEAST_MOST ? usual : LEAST_MOST,
			       .ring = ring,
			       .size = quality_ring_size(interval_ns, period_ns, loss_interval_ns) };
}

void quality_take_over(struct quality *q, const struct quality *from)
{
	struct quality_probe *ring = q->ring;
	uint64_t i;

	*q = *from;
	q->ring = ring;
	for (i = from->first; i < from->next; i++)
		*slot(q, i) = *slot(from, i);
}

static void uncount(struct quality *q, struct quality_probe *p)
{
	if (!p->counted)
		return;
	p->counted = false;
	q->n_counted--;
	if (p->latency_us == QUALITY_UNANSWERED)
		return;
	q->n_answered--;
	q->sum_us -= p->latency_us;
	q->sum_squares -= (uint64_t)p->latency_us * p->latency_us;
}

static void drop_first(struct quality *q)
{
	uncount(q, slot(q, q->first));
	q->first++;
}

/* A gateway that is hardly ever probed has few probes in a period: then one that is lost would be much */
static bool is_over(const struct quality *q, uint64_t now_ns)
{
	const struct quality_probe *p = slot(q, q->first);

	return now_ns - p->sent_ns >= q->period_ns && (!p->counted || q->n_counted > q->least);
}

static void expire(struct quality *q, uint64_t now_ns)
{
	while (q->first < q->next && is_over(q, now_ns))
		drop_first(q);
}

uint64_t quality_sent(struct quality *q, bool quick, uint64_t now_ns)
{
	struct quality_probe *p = slot(q, q->next);

	expire(q, now_ns);
	if (q->next - q->first == q->size)
		drop_first(q);
	*p = (struct quality_probe){
		.sent_ns = now_ns, .latency_us = QUALITY_UNANSWERED, .quick = quick, .counted = !quick
	};
	q->n_counted += !quick;
	return q->next++;
}

bool quality_find(const struct quality *q, uint16_t sequence, uint64_t *number)
{
	uint16_t back = (uint16_t)(q->next - 1) - sequence;

	if (back >= q->next || back >= q->size)
		return false;
	*number = q->next - 1 - back;
	return true;
}

const struct quality_probe *quality_probe(const struct quality *q, uint64_t number)
{
	return slot(q, number);
}

bool quality_answered(struct quality *q, uint64_t number, uint64_t now_ns)
{
	struct quality_probe *p = slot(q, number);
	uint64_t us = (now_ns - p->sent_ns) / 1000;

	if (p->latency_us != QUALITY_UNANSWERED)
		return false;
	p->latency_us = us < QUALITY_UNANSWERED ? us : QUALITY_UNANSWERED - 1;
	if (p->counted) {
		q->n_answered++;
		q->sum_us += p->latency_us;
		q->sum_squares += (uint64_t)p->latency_us * p->latency_us;
	}
	return true;
}

void quality_forgive(struct quality *q)
{
	uint64_t i;

	for (i = q->first; i < q->next; i++)
		if (slot(q, i)->latency_us == QUALITY_UNANSWERED)
			uncount(q, slot(q, i));
}

static uint64_t too_young(const struct quality *q, uint64_t now_ns)
{
	uint64_t n = 0, i;

	for (i = q->next; i > q->first && now_ns - slot(q, i - 1)->sent_ns < q->loss_interval_ns; i--)
		n += slot(q, i - 1)->counted && slot(q, i - 1)->latency_us == QUALITY_UNANSWERED;
	return n;
}

static uint64_t square_root(uint64_t n)
{
	uint64_t root = 0, bit;

	for (bit = 1ull << 31; bit; bit >>= 1)
		if ((root + bit) * (root + bit) <= n)
			root += bit;
	return root;
}

/* n times the sum of squares less the square of the sum is never negative */
static uint32_t deviation(const struct quality *q)
{
	unsigned __int128 n = q->n_answered, spread = n * q->sum_squares - (unsigned __int128)q->sum_us * q->sum_us;

	return square_root((uint64_t)(spread / (n * n)));
}

void quality_report(struct quality *q, uint64_t now_ns, struct quality_report *report)
{
	expire(q, now_ns);
	*report = (struct quality_report){ .resolved = q->n_counted - too_young(q, now_ns) };
	report->lost = report->resolved - q->n_answered;
	if (report->resolved)
		report->loss_pct = 100.0 * report->lost / report->resolved;
	report->enough = report->resolved >= (q->least + 1) / 2;
	report->has_rtt = q->n_answered > 0;
	if (!report->has_rtt)
		return;
	report->rtt_us = q->sum_us / q->n_answered;
	report->stddev_us = deviation(q);
}
