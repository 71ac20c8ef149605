// SPDX-License-Identifier: GPL-2.0-only
/* How soon a dead gateway is found out, and that lost packets alone kill none; when probes are sent. */
#include <criterion/criterion.h>

#include "selftests/unit/monitor_world.h"

/* ---- how soon ---- */

/* From death to verdict, over all moments of death between two probes; the worst, in ns. */
static uint64_t worst(unsigned int interval_ms, uint64_t rtt_ns, uint64_t jitter_ns, unsigned int n_targets,
		      unsigned int phases)
{
	uint64_t most = 0;
	unsigned int phase;

	for (phase = 0; phase < phases; phase++) {
		struct world w;

		world_make(&w, n_targets, phase + 1);
		w.settings.interval_ms = interval_ms;
		w.lines[0].rtt_ns = rtt_ns;
		w.lines[0].jitter_ns = jitter_ns;
		world_dies_at(&w, START + 20 * SECOND + interval_ms * MS * phase / phases);
		world_start_plain(&w);
		world_run(&w, START + 40 * SECOND, false);
		cr_assert_eq(w.downs, 1u, "%u downs, %u ups at phase %u", w.downs, w.ups, phase);
		cr_assert_eq(w.last, MONITOR_DOWN);
		if (w.down_ns - w.lines[0].dies_ns > most)
			most = w.down_ns - w.lines[0].dies_ns;
		world_finish(&w);
	}
	return most;
}

/* Within 1.3 s would do; but who asks a name server, and once more a second later, is to have his answer then */
Test(monitor, a_dead_one_is_down_within_a_second_by_default)
{
	static const unsigned int rtts_us[] = { 100, 1000, 10000, 20000, 50000, 80000, 100000 };
	unsigned int i;

	for (i = 0; i < sizeof(rtts_us) / sizeof(*rtts_us); i++)
		cr_expect_leq(worst(500, rtts_us[i] * 1000ull, 0, 1, 500), 960 * MS);
	cr_expect_leq(worst(500, 20 * MS, 20 * MS, 1, 500), 960 * MS);
	cr_expect_leq(worst(500, 80 * MS, 20 * MS, 1, 500), 960 * MS);
	cr_expect_leq(worst(500, 20 * MS, 0, 3, 500), 960 * MS);
}

Test(monitor, a_dead_one_is_down_within_100_ms_with_20_ms)
{
	static const unsigned int rtts_us[] = { 50, 100, 1000, 5000, 10000, 20000 };
	unsigned int i;

	for (i = 0; i < sizeof(rtts_us) / sizeof(*rtts_us); i++)
		cr_expect_leq(worst(20, rtts_us[i] * 1000ull, 0, 1, 200), 100 * MS);
	cr_expect_leq(worst(20, MS, 4 * MS, 1, 200), 100 * MS);
}

/* In the middle of a burst, too, that another loss has begun */
Test(monitor, a_dead_one_is_down_as_soon_on_a_line_that_loses)
{
	uint64_t most = 0, seed;

	for (seed = 1; seed <= 400; seed++) {
		struct world w;

		world_make(&w, 1, seed);
		w.lines[0].loss = 0.1;
		world_dies_at(&w, START + 20 * SECOND + seed * 7 * MS);
		world_start_plain(&w);
		world_run(&w, START + 40 * SECOND, false);
		cr_expect_eq(w.last, MONITOR_DOWN);
		if (w.down_ns > w.lines[0].dies_ns && w.down_ns - w.lines[0].dies_ns > most)
			most = w.down_ns - w.lines[0].dies_ns;
		world_finish(&w);
	}
	cr_expect_leq(most, 960 * MS, "%llu ms", (unsigned long long)(most / MS));
}

Test(monitor, a_dead_one_of_one_miss_is_down_at_once)
{
	struct world w;

	world_make(&w, 1, 1);
	w.settings.down_after = 1;
	world_dies_at(&w, START + 10 * SECOND);
	world_start_plain(&w);
	world_run(&w, START + 9 * SECOND, false);
	world_run(&w, START + 20 * SECOND, true);
	cr_expect_eq(w.last, MONITOR_DOWN);
	cr_expect_eq(w.now, START + 10 * SECOND + 180 * MS);
	cr_expect_str_eq(world_reason(&w), "1 probe lost in a row");
	cr_expect_eq(w.sent, 21u, "%llu: no burst", (unsigned long long)w.sent);
	world_finish(&w);
}

/* ---- how sure ---- */

static void ten_hours(double loss, double late, uint64_t late_ns, bool idle, uint64_t jitter_ns)
{
	uint64_t seed;

	for (seed = 1; seed <= 20; seed++) {
		struct monitor_setup setup;
		struct world w;

		world_make(&w, 1, seed);
		w.lines[0].loss = loss;
		w.lines[0].late = late;
		w.lines[0].late_ns = late_ns;
		w.lines[0].jitter_ns = jitter_ns;
		setup = world_setup(&w);
		setup.metered = idle;
		world_start(&w, &setup);
		monitor_idle(w.m, idle, w.now);
		world_run(&w, START + 10 * HOUR, false);
		cr_expect_eq(w.downs, 0u, "seed %llu: down %u times", (unsigned long long)seed, w.downs);
		cr_expect_eq(w.ups, 1u);
		cr_expect_gt(w.sent, idle ? 3500u : 71000u);
		cr_expect_lt(w.sent, idle ? 4500u : 100000u);
		world_finish(&w);
	}
}

Test(monitor, one_percent_of_loss_kills_none)
{
	ten_hours(0.01, 0, 0, false, 0);
}

Test(monitor, one_percent_of_loss_and_late_answers_kill_none)
{
	ten_hours(0.01, 0.1, 1500 * MS, false, 10 * MS);
}

Test(monitor, late_answers_beyond_the_loss_interval_kill_none)
{
	ten_hours(0.01, 0.1, 6000 * MS, false, 10 * MS);
}

Test(monitor, one_percent_of_loss_kills_no_idle_one)
{
	ten_hours(0.01, 0.1, 1500 * MS, true, 10 * MS);
}

/* Where the interval is much shorter than the patience: three in a row are lost every few seconds there, at 5 % */
Test(monitor, loss_kills_none_that_is_probed_fast)
{
	static const unsigned int intervals_ms[] = { 20, 10, 5, 2, 1 };
	unsigned int i;

	for (i = 0; i < 5; i++) {
		struct world w;

		world_make(&w, 1, i + 1);
		w.settings.interval_ms = intervals_ms[i];
		w.settings.period_ms = 10000;
		w.lines[0].rtt_ns = 3 * MS;
		w.lines[0].loss = 0.05;
		world_start_plain(&w);
		world_run(&w, START + HOUR / 20 * intervals_ms[i], false);
		cr_expect_eq(w.downs, 0u, "%u ms: down %u times", intervals_ms[i], w.downs);
		world_dies_at(&w, w.now);
		world_run(&w, w.now + SECOND, true);
		cr_expect_eq(w.last, MONITOR_DOWN);
		cr_expect_leq(w.now - w.lines[0].dies_ns, 100 * MS);
		world_finish(&w);
	}
}

/* Probes a normal interval, at 20 % loss: a burst ends with the first answer */
Test(monitor, much_loss_makes_no_storm)
{
	struct world w;

	world_make(&w, 1, 3);
	w.lines[0].loss = 0.2;
	world_start_plain(&w);
	world_run(&w, START + HOUR, false);
	cr_expect_lt(w.sent, 7200u * 3 / 2, "%llu probes", (unsigned long long)w.sent);
	world_finish(&w);
	world_make(&w, 1, 4);
	w.lines[0].loss = 0.2;
	w.lines[0].rtt_ns = 600 * MS; /* where the answer to a burst takes long */
	world_start_plain(&w);
	world_run(&w, START + HOUR, false);
	cr_expect_lt(w.sent, 7200u * 3, "%llu probes", (unsigned long long)w.sent);
	world_finish(&w);
}

/* A download fills the line: from 20 ms to 430 within a moment */
Test(monitor, a_line_that_gets_slow_at_once_is_not_dead)
{
	struct world w;

	world_make(&w, 1, 1);
	world_start_plain(&w);
	world_run(&w, START + 20 * SECOND + 100 * MS, false);
	w.lines[0].rtt_ns = 430 * MS;
	world_run(&w, START + 60 * SECOND, false);
	w.lines[0].rtt_ns = 20 * MS;
	world_run(&w, START + 90 * SECOND, false);
	cr_expect_eq(w.downs, 0u);
	world_finish(&w);
}

Test(monitor, a_slow_one_is_up_as_well)
{
	struct world w;

	world_make(&w, 1, 1);
	w.lines[0].rtt_ns = 700 * MS;
	world_start_plain(&w);
	world_run(&w, START + 60 * SECOND, false);
	cr_expect_eq(w.ups, 1u);
	cr_expect_eq(w.downs, 0u);
	cr_expect_eq(w.up_ns, START + 700 * MS);
	cr_expect_str_eq(world_reason(&w), "latency 700 ms above 500 ms");
	world_finish(&w);
}

Test(monitor, a_pause_of_the_daemon_kills_none)
{
	struct world w;

	world_make(&w, 1, 1);
	world_start_plain(&w);
	world_run(&w, START + 30 * SECOND + 5 * MS, false);
	w.now += 100 * SECOND;
	world_deliver(&w);
	world_run(&w, w.now + 30 * SECOND, false);
	cr_expect_eq(w.downs, 0u);
	world_finish(&w);
}

/* ---- many at once ---- */

Test(monitor, many_gateways_are_spread)
{
	enum { GATEWAYS = 256, SLICES = 50 };
	static struct world worlds[GATEWAYS];
	unsigned int sent[SLICES] = { 0 }, i, k;

	for (i = 0; i < GATEWAYS; i++) {
		struct monitor_setup setup;

		world_make(&worlds[i], 1, i);
		setup = world_setup(&worlds[i]);
		setup.phase = i * 2654435769u;
		world_start(&worlds[i], &setup);
		world_run(&worlds[i], START + 2 * SECOND - 1, false); /* the very first ones are sent at once */
		for (k = 0; k < SLICES; k++) {
			uint64_t before = worlds[i].sent;

			world_run(&worlds[i], START + 2 * SECOND + (k + 1) * 10 * MS - 1, false);
			sent[k] += worlds[i].sent - before;
		}
		world_finish(&worlds[i]);
	}
	for (k = 0; k < SLICES; k++)
		cr_expect(sent[k] >= 3 && sent[k] <= 8, "%u in 10 ms", sent[k]); /* 5.1 on average */
}
