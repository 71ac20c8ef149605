// SPDX-License-Identifier: GPL-2.0-only
#include <criterion/criterion.h>

#include "user/gateway/quality.h"

#define MS 1000000ull

static struct quality_probe ring[32768];

static struct quality window(uint64_t interval_ms, uint64_t period_ms)
{
	struct quality q;

	cr_assert_leq(quality_ring_size(interval_ms * MS, period_ms * MS, 2000 * MS), sizeof(ring) / sizeof(*ring));
	quality_init(&q, ring, interval_ms * MS, period_ms * MS, 2000 * MS);
	return q;
}

static struct quality_report report_at(struct quality *q, uint64_t ms)
{
	struct quality_report r;

	quality_report(q, ms * MS, &r);
	return r;
}

Test(quality, latency_and_deviation_are_those_of_the_population)
{
	static const unsigned int us[] = { 2000, 4000, 4000, 4000, 5000, 5000, 7000, 9000 }; /* mean 5, deviation 2 */
	struct quality q = window(500, 60000);
	struct quality_report r = report_at(&q, 0);
	unsigned int i;

	cr_expect_not(r.has_rtt);
	cr_expect_eq(r.resolved, 0u);
	for (i = 0; i < 8; i++) {
		uint64_t n = quality_sent(&q, false, i * 500 * MS);

		cr_expect(quality_answered(&q, n, i * 500 * MS + us[i] * 1000));
		cr_expect_not(quality_answered(&q, n, i * 500 * MS + 9 * MS), "a second answer counts");
	}
	r = report_at(&q, 4000);
	cr_expect(r.has_rtt);
	cr_expect_eq(r.rtt_us, 5000u);
	cr_expect_eq(r.stddev_us, 2000u);
	cr_expect_eq(r.resolved, 8u);
	cr_expect_eq(r.lost, 0u);
}

Test(quality, lost_after_the_loss_interval_and_found_again)
{
	struct quality q = window(500, 60000);
	uint64_t first = quality_sent(&q, false, 0), number;
	struct quality_report r = report_at(&q, 1999);

	cr_expect_eq(r.resolved, 0u, "it is too young to be lost");
	quality_answered(&q, quality_sent(&q, false, 500 * MS), 510 * MS);
	r = report_at(&q, 2000);
	cr_expect_eq(r.resolved, 2u);
	cr_expect_eq(r.lost, 1u);
	cr_expect_float_eq(r.loss_pct, 50, 1e-9);
	cr_assert(quality_find(&q, (uint16_t)first, &number));
	cr_expect_eq(number, first);
	quality_answered(&q, number, 2500 * MS);
	r = report_at(&q, 2500);
	cr_expect_eq(r.lost, 0u);
	cr_expect_eq(r.rtt_us, (2500000u + 10000) / 2);
}

Test(quality, a_burst_counts_for_nothing)
{
	struct quality q = window(500, 60000);
	struct quality_report r;
	unsigned int i;

	quality_answered(&q, quality_sent(&q, false, 0), 10 * MS);
	for (i = 0; i < 5; i++)
		quality_sent(&q, true, 250 * MS);
	quality_answered(&q, quality_sent(&q, true, 300 * MS), 900 * MS);
	r = report_at(&q, 5000);
	cr_expect_eq(r.resolved, 1u);
	cr_expect_eq(r.lost, 0u);
	cr_expect_eq(r.rtt_us, 10000u);
}

Test(quality, the_window_slides)
{
	struct quality q = window(500, 60000);
	struct quality_report r;
	uint64_t t;

	for (t = 0; t < 60000; t += 500)
		quality_sent(&q, false, t * MS); /* all lost */
	for (; t < 90000; t += 500)
		quality_answered(&q, quality_sent(&q, false, t * MS), (t + 20) * MS);
	r = report_at(&q, t);
	cr_expect_eq(r.resolved, 119u);
	cr_expect_eq(r.lost, 59u);
	for (; t < 130000; t += 500)
		quality_answered(&q, quality_sent(&q, false, t * MS), (t + 30) * MS);
	r = report_at(&q, t);
	cr_expect_eq(r.lost, 0u);
	cr_expect_eq(r.rtt_us, (30000u * 80 + 20000u * 39) / 119);
}

Test(quality, of_rare_probes_so_many_that_one_is_not_much)
{
	struct quality q = window(500, 60000);
	struct quality_report r;
	unsigned int i;

	for (i = 0; i < 100; i++) { /* every 10 s: six in a period */
		uint64_t n = quality_sent(&q, false, i * 10000 * MS);

		if (i != 90)
			quality_answered(&q, n, (i * 10000 + 20) * MS);
	}
	r = report_at(&q, 99 * 10000 + 5000);
	cr_expect_eq(r.resolved, 20u);
	cr_expect_float_eq(r.loss_pct, 5, 1e-9);
	cr_expect(r.enough);
}

Test(quality, forgiven_probes_do_not_count)
{
	struct quality q = window(500, 60000);
	struct quality_report r;
	uint64_t first = quality_sent(&q, false, 0);

	quality_sent(&q, false, 500 * MS);
	quality_answered(&q, first, 10 * MS);
	quality_forgive(&q);
	r = report_at(&q, 5000);
	cr_expect_eq(r.resolved, 1u);
	cr_expect_eq(r.lost, 0u);
	cr_expect_eq(r.rtt_us, 10000u);
}

Test(quality, an_answer_is_known_when_its_probe_has_left_the_window)
{
	struct quality q = window(500, 1000);
	struct quality_report r;
	uint64_t number;
	unsigned int i;

	for (i = 0; i < 8; i++)
		quality_sent(&q, false, i * 500 * MS);
	r = report_at(&q, 3600);
	cr_assert(quality_find(&q, 1, &number));
	cr_expect(quality_answered(&q, number, 3600 * MS));
	cr_expect_not(report_at(&q, 3600).has_rtt);
	cr_expect_eq(report_at(&q, 3600).resolved, r.resolved);
}

/* More probes than slots, more slots than the wire's 16 bits tell apart twice: what counts is right all the same */
Test(quality, sequence_numbers_come_round)
{
	struct quality q = window(1, 60000);
	struct quality_report r;
	uint64_t i, number;

	for (i = 0; i < 200000; i++) {
		uint64_t n = quality_sent(&q, false, i * MS);

		cr_assert_eq(n, i);
		cr_assert(quality_find(&q, (uint16_t)i, &number));
		cr_assert_eq(number, i);
		if (i % 4)
			quality_answered(&q, number, i * MS + 100000);
	}
	r = report_at(&q, i + 2000);
	cr_expect_eq(r.resolved, 32768u);
	cr_expect_float_eq(r.loss_pct, 25, 1e-9);
	cr_expect_eq(r.rtt_us, 100u);
	cr_expect_eq(r.stddev_us, 0u);
	cr_expect_not(quality_find(&q, (uint16_t)(i + 1), &number), "one that was never sent is found");
	cr_expect(quality_find(&q, (uint16_t)(i - 32768), &number));
	cr_expect_not(quality_find(&q, (uint16_t)(i - 32769), &number), "one that is not in the window is found");
}

/* Against the same computed from all probes, with losses, late answers and bursts in between */
Test(quality, as_dpinger_computes_it)
{
	struct quality q = window(500, 60000);
	double latency[2000], sum, squares, mean;
	unsigned int i, k, n, lost;
	struct quality_report r;

	srandom(7);
	for (i = 0; i < 2000; i++) {
		uint64_t number = quality_sent(&q, false, i * 500 * MS);

		latency[i] = random() % 10 ? 1000 + random() % 90000 : -1;
		if (latency[i] >= 0)
			quality_answered(&q, number, i * 500 * MS + (uint64_t)latency[i] * 1000);
		if (random() % 5 == 0)
			quality_sent(&q, true, (i * 500 + 250) * MS);
		r = report_at(&q, i * 500 + 400);
		sum = squares = n = lost = 0;
		for (k = i > 119 ? i - 119 : 0; k <= i; k++) {
			if (latency[k] >= 0) {
				sum += latency[k];
				squares += latency[k] * latency[k];
				n++;
			} else if ((i - k) * 500 + 400 >= 2000) {
				lost++;
			}
		}
		cr_assert_eq(r.lost, lost, "probe %u: %u, not %u", i, r.lost, lost);
		cr_assert_eq(r.resolved, n + lost);
		if (!n)
			continue;
		mean = sum / n;
		cr_assert_float_eq(r.rtt_us, mean, 1);
		cr_assert_float_eq((double)r.stddev_us * r.stddev_us, squares / n - mean * mean, 3.0 * r.stddev_us + 3);
	}
}
