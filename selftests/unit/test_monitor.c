// SPDX-License-Identifier: GPL-2.0-only
/* What a gateway is, under a clock of the tests' own: how soon a dead one is found out, and that lost packets alone kill none. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/gateway/monitor.h"

#define MS 1000000ull
#define SECOND (1000 * MS)
#define HOUR (3600 * SECOND)
#define FLIGHT_MAX 512
#define START (1000 * SECOND)

static const bool all_sources[PROBE_SOURCES] = { true, true, true };
static const bool ipv6_only[PROBE_SOURCES] = { false, true, true };
static const bool ipv4_only[PROBE_SOURCES] = { true, false, false };
static const bool no_source[PROBE_SOURCES];

/* What lies between the prober and a target. */
struct line {
	uint64_t rtt_ns, jitter_ns;
	double loss;		   /* of probe or answer */
	double late;		   /* of the answers, that come … */
	uint64_t late_ns;	   /* … up to so much later */
	uint64_t dies_ns, back_ns; /* nothing gets through in between */
};

struct answer {
	uint64_t at_ns;
	unsigned int target;
	uint16_t sequence;
};

struct world {
	struct monitor *m;
	struct config_monitor settings;
	struct addr targets[MONITOR_TARGETS_MAX];
	struct line lines[MONITOR_TARGETS_MAX];
	struct answer flight[FLIGHT_MAX];
	unsigned int in_flight;
	uint64_t now, sent;
	uint64_t random;
	enum monitor_status last;
	unsigned int downs, ups; /* changes to them */
	uint64_t down_ns, up_ns; /* the last ones */
};

static double chance(struct world *w)
{
	w->random ^= w->random << 13;
	w->random ^= w->random >> 7;
	w->random ^= w->random << 17;
	return (double)(w->random >> 11) / (double)(1ull << 53);
}

static void send_probe(void *arg, struct monitor *m, unsigned int target, uint16_t sequence)
{
	struct world *w = arg;
	const struct line *l = &w->lines[target];
	uint64_t rtt = l->rtt_ns + (uint64_t)(chance(w) * l->jitter_ns), there = w->now + rtt / 2;

	cr_assert_eq(m, w->m);
	w->sent++;
	if (chance(w) < l->late)
		rtt += (uint64_t)(chance(w) * l->late_ns);
	if (chance(w) < l->loss || (there >= l->dies_ns && there < l->back_ns))
		return;
	cr_assert_lt(w->in_flight, FLIGHT_MAX);
	w->flight[w->in_flight++] = (struct answer){ .at_ns = w->now + rtt, .target = target, .sequence = sequence };
}

static uint64_t first_answer(const struct world *w)
{
	uint64_t first = MONITOR_NEVER;
	unsigned int i;

	for (i = 0; i < w->in_flight; i++)
		if (w->flight[i].at_ns < first)
			first = w->flight[i].at_ns;
	return first;
}

static void deliver(struct world *w)
{
	unsigned int i = 0;

	while (i < w->in_flight) {
		struct answer a = w->flight[i];

		if (a.at_ns > w->now) {
			i++;
			continue;
		}
		w->flight[i] = w->flight[--w->in_flight];
		monitor_answered(w->m, a.target, a.sequence, w->now);
	}
}

static bool is_up(enum monitor_status status)
{
	return status == MONITOR_UP || status == MONITOR_WARN;
}

static void note(struct world *w)
{
	enum monitor_status status = monitor_status(w->m);

	if (status == MONITOR_DOWN && w->last != MONITOR_DOWN) {
		w->downs++;
		w->down_ns = w->now;
	}
	if (is_up(status) && !is_up(w->last)) {
		w->ups++;
		w->up_ns = w->now;
	}
	w->last = status;
}

static void run_now(struct world *w)
{
	monitor_run(w->m, w->now, send_probe, w);
	note(w);
}

/* Up to that time, or to the first change of the status if `change` */
static void run(struct world *w, uint64_t until, bool change)
{
	enum monitor_status was = w->last;
	uint64_t next, early;

	run_now(w);
	while (!change || w->last == was) {
		next = monitor_next(w->m, &early);
		cr_assert_leq(early, next);
		cr_assert_gt(next, w->now, "it wants to run again without an end");
		if (first_answer(w) < next)
			next = first_answer(w);
		if (next > until)
			break;
		w->now = next;
		deliver(w);
		run_now(w);
	}
	if (!change)
		w->now = until;
}

static struct addr documentation(unsigned int i)
{
	struct addr a = { .family = AF_INET };

	a.v4.s_addr = htonl(0xc0000201 + i);
	return a;
}

static void make(struct world *w, unsigned int n_targets, uint64_t seed)
{
	unsigned int i;

	*w = (struct world){ .now = START, .random = seed * 0x9e3779b97f4a7c15ull + 1 };
	w->settings = (struct config_monitor){ .n_targets = n_targets,
					       .interval_ms = 500,
					       .loss_interval_ms = 2000,
					       .period_ms = 60000,
					       .alert_interval_ms = 1000,
					       .latency_ms = { 200, 500 },
					       .loss_pct = { 10, 20 },
					       .down_after = 3,
					       .up_after = 5,
					       .quorum = 1,
					       .idle_interval_ms = 10000 };
	for (i = 0; i < n_targets; i++) {
		w->targets[i] = documentation(i);
		w->lines[i] = (struct line){ .rtt_ns = 20 * MS, .dies_ns = MONITOR_NEVER, .back_ns = MONITOR_NEVER };
	}
}

static struct monitor_setup setup_of(const struct world *w)
{
	return (struct monitor_setup){
		.settings = &w->settings, .targets = w->targets, .n_targets = w->settings.n_targets, .monitored = true
	};
}

static struct monitor *start(struct world *w, const struct monitor_setup *setup)
{
	w->m = monitor_init(malloc(monitor_size(setup)), setup, w->now);
	w->last = monitor_status(w->m);
	return w->m;
}

static void start_plain(struct world *w)
{
	struct monitor_setup setup = setup_of(w);

	start(w, &setup);
}

static void finish(struct world *w)
{
	free(w->m);
}

static const char *reason(struct world *w)
{
	static char text[MONITOR_REASON_MAX];
	struct monitor_view v;

	monitor_view(w->m, w->now, &v);
	return monitor_reason_text(&v, "wan", w->now, text);
}

static void dies_at(struct world *w, uint64_t ns)
{
	unsigned int i;

	for (i = 0; i < w->settings.n_targets; i++)
		w->lines[i].dies_ns = ns;
}

static void back_at(struct world *w, uint64_t ns)
{
	unsigned int i;

	for (i = 0; i < w->settings.n_targets; i++)
		w->lines[i].back_ns = ns;
}

/* ---- how soon ---- */

/* From death to verdict, over all moments of death between two probes; the worst, in ns. */
static uint64_t worst(unsigned int interval_ms, uint64_t rtt_ns, uint64_t jitter_ns, unsigned int n_targets,
		      unsigned int phases)
{
	uint64_t most = 0;
	unsigned int phase;

	for (phase = 0; phase < phases; phase++) {
		struct world w;

		make(&w, n_targets, phase + 1);
		w.settings.interval_ms = interval_ms;
		w.lines[0].rtt_ns = rtt_ns;
		w.lines[0].jitter_ns = jitter_ns;
		dies_at(&w, START + 20 * SECOND + interval_ms * MS * phase / phases);
		start_plain(&w);
		run(&w, START + 40 * SECOND, false);
		cr_assert_eq(w.downs, 1u, "%u downs, %u ups at phase %u", w.downs, w.ups, phase);
		cr_assert_eq(w.last, MONITOR_DOWN);
		if (w.down_ns - w.lines[0].dies_ns > most)
			most = w.down_ns - w.lines[0].dies_ns;
		finish(&w);
	}
	return most;
}

Test(monitor, a_dead_one_is_down_within_1300_ms_by_default)
{
	static const unsigned int rtts_us[] = { 100, 1000, 10000, 20000, 50000, 80000, 100000 };
	unsigned int i;

	for (i = 0; i < sizeof(rtts_us) / sizeof(*rtts_us); i++)
		cr_expect_leq(worst(500, rtts_us[i] * 1000ull, 0, 1, 500), 1300 * MS);
	cr_expect_leq(worst(500, 20 * MS, 20 * MS, 1, 500), 1300 * MS);
	cr_expect_leq(worst(500, 80 * MS, 20 * MS, 1, 500), 1300 * MS);
	cr_expect_leq(worst(500, 20 * MS, 0, 3, 500), 1300 * MS);
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

		make(&w, 1, seed);
		w.lines[0].loss = 0.1;
		dies_at(&w, START + 20 * SECOND + seed * 7 * MS);
		start_plain(&w);
		run(&w, START + 40 * SECOND, false);
		cr_expect_eq(w.last, MONITOR_DOWN);
		if (w.down_ns > w.lines[0].dies_ns && w.down_ns - w.lines[0].dies_ns > most)
			most = w.down_ns - w.lines[0].dies_ns;
		finish(&w);
	}
	cr_expect_leq(most, 1300 * MS, "%llu ms", (unsigned long long)(most / MS));
}

Test(monitor, a_dead_one_of_one_miss_is_down_at_once)
{
	struct world w;

	make(&w, 1, 1);
	w.settings.down_after = 1;
	dies_at(&w, START + 10 * SECOND);
	start_plain(&w);
	run(&w, START + 9 * SECOND, false);
	run(&w, START + 20 * SECOND, true);
	cr_expect_eq(w.last, MONITOR_DOWN);
	cr_expect_eq(w.now, START + 10 * SECOND + 250 * MS);
	cr_expect_str_eq(reason(&w), "1 probe lost in a row");
	cr_expect_eq(w.sent, 21u, "%llu: no burst", (unsigned long long)w.sent);
	finish(&w);
}

/* ---- how sure ---- */

static void ten_hours(double loss, double late, uint64_t late_ns, bool idle, uint64_t jitter_ns)
{
	uint64_t seed;

	for (seed = 1; seed <= 20; seed++) {
		struct monitor_setup setup;
		struct world w;

		make(&w, 1, seed);
		w.lines[0].loss = loss;
		w.lines[0].late = late;
		w.lines[0].late_ns = late_ns;
		w.lines[0].jitter_ns = jitter_ns;
		setup = setup_of(&w);
		setup.metered = idle;
		start(&w, &setup);
		monitor_idle(w.m, idle, w.now);
		run(&w, START + 10 * HOUR, false);
		cr_expect_eq(w.downs, 0u, "seed %llu: down %u times", (unsigned long long)seed, w.downs);
		cr_expect_eq(w.ups, 1u);
		cr_expect_gt(w.sent, idle ? 3500u : 71000u);
		cr_expect_lt(w.sent, idle ? 4500u : 100000u);
		finish(&w);
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

		make(&w, 1, i + 1);
		w.settings.interval_ms = intervals_ms[i];
		w.settings.period_ms = 10000;
		w.lines[0].rtt_ns = 3 * MS;
		w.lines[0].loss = 0.05;
		start_plain(&w);
		run(&w, START + HOUR / 20 * intervals_ms[i], false);
		cr_expect_eq(w.downs, 0u, "%u ms: down %u times", intervals_ms[i], w.downs);
		dies_at(&w, w.now);
		run(&w, w.now + SECOND, true);
		cr_expect_eq(w.last, MONITOR_DOWN);
		cr_expect_leq(w.now - w.lines[0].dies_ns, 100 * MS);
		finish(&w);
	}
}

/* Probes a normal interval, at 20 % loss: a burst ends with the first answer */
Test(monitor, much_loss_makes_no_storm)
{
	struct world w;

	make(&w, 1, 3);
	w.lines[0].loss = 0.2;
	start_plain(&w);
	run(&w, START + HOUR, false);
	cr_expect_lt(w.sent, 7200u * 3 / 2, "%llu probes", (unsigned long long)w.sent);
	finish(&w);
	make(&w, 1, 4);
	w.lines[0].loss = 0.2;
	w.lines[0].rtt_ns = 600 * MS; /* where the answer to a burst takes long */
	start_plain(&w);
	run(&w, START + HOUR, false);
	cr_expect_lt(w.sent, 7200u * 3, "%llu probes", (unsigned long long)w.sent);
	finish(&w);
}

/* A download fills the line: from 20 ms to 500 within a moment */
Test(monitor, a_line_that_gets_slow_at_once_is_not_dead)
{
	struct world w;

	make(&w, 1, 1);
	start_plain(&w);
	run(&w, START + 20 * SECOND + 100 * MS, false);
	w.lines[0].rtt_ns = 650 * MS;
	run(&w, START + 60 * SECOND, false);
	w.lines[0].rtt_ns = 20 * MS;
	run(&w, START + 90 * SECOND, false);
	cr_expect_eq(w.downs, 0u);
	finish(&w);
}

Test(monitor, a_slow_one_is_up_as_well)
{
	struct world w;

	make(&w, 1, 1);
	w.lines[0].rtt_ns = 700 * MS;
	start_plain(&w);
	run(&w, START + 60 * SECOND, false);
	cr_expect_eq(w.ups, 1u);
	cr_expect_eq(w.downs, 0u);
	cr_expect_eq(w.up_ns, START + 700 * MS);
	cr_expect_str_eq(reason(&w), "latency 700 ms above 500 ms");
	finish(&w);
}

/* ---- coming back ---- */

Test(monitor, unknown_until_the_first_answer)
{
	struct world w;

	make(&w, 1, 1);
	start_plain(&w);
	run_now(&w);
	cr_expect_eq(w.last, MONITOR_UNKNOWN);
	cr_expect_str_eq(reason(&w), "not probed yet");
	run(&w, START + 10 * SECOND, true);
	cr_expect_eq(w.last, MONITOR_UP);
	cr_expect_eq(w.now, START + 20 * MS);
	cr_expect_str_eq(reason(&w), "answers");
	finish(&w);
}

Test(monitor, unknown_and_silent_is_down)
{
	struct world w;

	make(&w, 1, 1);
	dies_at(&w, 0);
	start_plain(&w);
	run(&w, START + 10 * SECOND, true);
	cr_expect_eq(w.last, MONITOR_DOWN);
	cr_expect_leq(w.now, START + 2500 * MS);
	cr_expect_str_eq(reason(&w), "4 probes lost in a row");
	finish(&w);
}

Test(monitor, up_again_after_answers_in_a_row)
{
	struct world w;

	make(&w, 1, 1);
	dies_at(&w, START + 10 * SECOND);
	back_at(&w, START + 40 * SECOND + 100 * MS);
	start_plain(&w);
	run(&w, START + 42 * SECOND, false);
	cr_expect_eq(w.last, MONITOR_DOWN);
	cr_expect_str_eq(reason(&w), "answers again: 3 in a row, 5 must be");
	run(&w, START + 60 * SECOND, true);
	cr_expect_eq(w.last, MONITOR_UP);
	cr_expect_eq(w.now, START + 42500 * MS + 20 * MS);
	run(&w, START + 50 * SECOND, false);
	cr_expect_str_eq(reason(&w), "answers", "what was lost while it was down is not its loss now");
	finish(&w);
}

Test(monitor, one_loss_starts_the_row_anew)
{
	struct world w;

	make(&w, 1, 1);
	dies_at(&w, START + 10 * SECOND);
	back_at(&w, START + 40 * SECOND + 100 * MS);
	start_plain(&w);
	run(&w, START + 42200 * MS, false); /* four answers */
	w.lines[0].loss = 1;
	run(&w, START + 42700 * MS, false);
	w.lines[0].loss = 0;
	run(&w, START + 60 * SECOND, true);
	cr_expect_eq(w.now, START + 43000 * MS + 4 * 500 * MS + 20 * MS);
	finish(&w);
}

/* An answer that is later than its patience is one to latency and to the round-trip time, not to the row */
Test(monitor, late_answers_are_not_counted_up)
{
	struct world w;

	make(&w, 1, 1);
	w.settings.loss_interval_ms = 400;
	dies_at(&w, START + 10 * SECOND);
	back_at(&w, START + 20 * SECOND);
	start_plain(&w);
	run(&w, START + 19 * SECOND, false);
	cr_expect_eq(w.last, MONITOR_DOWN);
	w.lines[0].rtt_ns = 450 * MS;
	run(&w, START + 60 * SECOND, false);
	cr_expect_eq(w.ups, 1u);
	cr_expect_eq(w.last, MONITOR_DOWN);
	finish(&w);
}

/* ---- link, device and addresses ---- */

Test(monitor, link_down_is_down_at_once_and_back_soon)
{
	struct monitor_view v;
	struct world w;
	int times;

	make(&w, 1, 1);
	start_plain(&w);
	run(&w, START + 10 * SECOND + 300 * MS, false);
	for (times = 0; times < 20; times++) {
		uint64_t sent, back;

		monitor_path(w.m, MONITOR_LINK_DOWN, all_sources, w.now);
		run_now(&w);
		cr_assert_eq(w.last, MONITOR_DOWN);
		cr_expect_eq(w.down_ns, w.now);
		cr_expect_str_eq(reason(&w), "link of wan down");
		monitor_view(w.m, w.now, &v);
		cr_expect_eq(v.loss_pct, 100);
		cr_expect_not(v.has_rtt);
		sent = w.sent;
		run(&w, w.now + 5 * SECOND, false);
		cr_expect_eq(w.sent, sent, "it probes without a link");
		monitor_path(w.m, MONITOR_PATH_OK, all_sources, w.now);
		back = w.now;
		run(&w, w.now + 10 * SECOND, false);
		cr_assert_eq(w.last, MONITOR_UP);
		cr_expect_leq(w.up_ns - back, 1300 * MS);
		cr_expect_str_eq(reason(&w), "answers");
	}
	monitor_path(w.m, MONITOR_NO_DEVICE, no_source, w.now);
	run_now(&w);
	cr_expect_str_eq(reason(&w), "the device of wan is not there");
	finish(&w);
}

Test(monitor, without_a_source_of_the_family_it_is_down)
{
	struct world w;

	make(&w, 1, 1);
	start_plain(&w);
	run(&w, START + 10 * SECOND, false);
	monitor_path(w.m, MONITOR_PATH_OK, ipv6_only, w.now);
	run_now(&w);
	cr_expect_eq(w.last, MONITOR_DOWN);
	cr_expect_str_eq(reason(&w), "no address to send from on wan");
	monitor_path(w.m, MONITOR_PATH_OK, all_sources, w.now);
	run_now(&w);
	cr_expect_str_eq(reason(&w), "not answered yet");
	run(&w, w.now + 1300 * MS, false);
	cr_expect_eq(w.last, MONITOR_UP);
	finish(&w);
}

/* What was sent from the old address gets no answer, and is no loss */
Test(monitor, another_source_is_no_loss)
{
	struct monitor_view v;
	struct world w;

	make(&w, 1, 1);
	w.lines[0].rtt_ns = 100 * MS;
	start_plain(&w);
	run(&w, START + 30 * SECOND + 50 * MS, false);
	monitor_source_changed(w.m, PROBE_SOURCE4, w.now);
	w.in_flight = 0;
	run(&w, START + 60 * SECOND, false);
	monitor_view(w.m, w.now, &v);
	cr_expect_eq(v.loss_pct, 0);
	cr_expect_eq(w.downs, 0u);
	finish(&w);
}

Test(monitor, nobody_to_probe)
{
	struct world w;

	make(&w, 0, 1);
	start_plain(&w);
	run(&w, START + 10 * SECOND, false);
	cr_expect_eq(w.last, MONITOR_DOWN);
	cr_expect_str_eq(reason(&w), "its address is not known yet");
	finish(&w);
}

/* ---- several targets ---- */

Test(monitor, quorum)
{
	struct monitor_target_view third;
	struct monitor_view v;
	struct world w;

	make(&w, 3, 1);
	w.settings.quorum = 2;
	w.lines[0].rtt_ns = 10 * MS;
	w.lines[1].rtt_ns = 30 * MS;
	w.lines[2].rtt_ns = 80 * MS;
	w.lines[2].dies_ns = START + 20 * SECOND;
	w.lines[1].dies_ns = START + 40 * SECOND;
	start_plain(&w);
	run(&w, START + 19 * SECOND, false);
	cr_expect_str_eq(reason(&w), "3 of 3 targets answer");
	monitor_view(w.m, w.now, &v);
	cr_expect_eq(v.rtt_us, 30000u, "the second best of three");
	run(&w, START + 39 * SECOND, false);
	cr_expect_eq(w.last, MONITOR_UP);
	cr_expect_str_eq(reason(&w), "2 of 3 targets answer");
	monitor_view(w.m, w.now, &v);
	cr_expect_eq(v.loss_pct, 0);
	monitor_view_target(w.m, 2, w.now, &third);
	cr_expect_eq(third.status, MONITOR_DOWN);
	run(&w, START + 60 * SECOND, true);
	cr_expect_eq(w.last, MONITOR_DOWN);
	cr_expect_leq(w.now, START + 41300 * MS);
	cr_expect_str_eq(reason(&w), "1 of 3 targets answers, 2 must");
	finish(&w);
}

Test(monitor, targets_are_not_probed_at_the_same_moment)
{
	struct world w;
	uint64_t early, last = 0;
	unsigned int i;

	make(&w, 3, 1);
	start_plain(&w);
	run(&w, START + 10 * SECOND, false);
	for (i = 0; i < 12; i++) {
		uint64_t sent = w.sent, next = monitor_next(w.m, &early);

		w.now = first_answer(&w) < next ? first_answer(&w) : next;
		deliver(&w);
		run_now(&w);
		if (w.sent == sent)
			continue;
		cr_expect_eq(w.sent, sent + 1);
		cr_expect_gt(w.now - last, 50 * MS);
		last = w.now;
	}
	finish(&w);
}

/* ---- loss and latency ---- */

Test(monitor, warns_of_loss_and_goes_on_for_ten_alert_intervals)
{
	uint64_t over = 0;
	bool loss, latency;
	struct world w;

	make(&w, 1, 5);
	w.settings.down_after = 50;
	start_plain(&w);
	run(&w, START + 60 * SECOND, false);
	w.lines[0].loss = 0.3;
	run(&w, START + 120 * SECOND, true);
	cr_expect_eq(w.last, MONITOR_WARN);
	cr_expect_eq(strncmp(reason(&w), "loss 10.", 8), 0, "%s", reason(&w));
	cr_expect(strstr(reason(&w), " % above 10 %"));
	run(&w, START + 120 * SECOND, false);
	monitor_fails(w.m, &loss, &latency);
	cr_expect(loss);
	cr_expect_not(latency);
	cr_expect(strstr(reason(&w), " % above 20 %"), "%s", reason(&w));
	w.lines[0].loss = 0;
	while (w.last == MONITOR_WARN && w.now < START + 300 * SECOND) {
		struct monitor_view v;

		run(&w, w.now + 500 * MS, false);
		monitor_view(w.m, w.now, &v);
		if (v.loss_pct > 10)
			over = w.now;
	}
	cr_expect_eq(w.last, MONITOR_UP);
	cr_expect_geq(w.now - over, 9 * SECOND);
	cr_expect_leq(w.now - over, 12 * SECOND);
	finish(&w);
}

Test(monitor, a_threshold_is_kept_as_long_as_it_is_not_passed)
{
	struct world w;

	make(&w, 1, 1);
	w.lines[0].rtt_ns = 200 * MS;
	start_plain(&w);
	run(&w, START + 60 * SECOND, false);
	cr_expect_eq(w.last, MONITOR_UP);
	w.lines[0].rtt_ns = 210 * MS;
	run(&w, START + 120 * SECOND, false);
	cr_expect_eq(w.last, MONITOR_WARN);
	cr_expect_str_eq(reason(&w), "latency 210 ms above 200 ms");
	w.lines[0].rtt_ns = 30 * MS;
	run(&w, w.now + 8 * SECOND, false);
	cr_expect(strstr(reason(&w), " ms, above 200 ms until "), "%s", reason(&w));
	finish(&w);
}

/* The other one could not even be asked */
Test(monitor, a_target_that_is_not_probed_has_no_good_loss)
{
	bool loss, latency;
	struct world w;

	make(&w, 2, 5);
	w.settings.down_after = 50;
	cr_assert_eq(addr_parse("2001:db8::7", &w.targets[1]), 0);
	w.lines[0].loss = 0.3;
	start_plain(&w);
	monitor_path(w.m, MONITOR_PATH_OK, ipv4_only, w.now);
	run(&w, START + 120 * SECOND, false);
	monitor_fails(w.m, &loss, &latency);
	cr_expect(loss);
	finish(&w);
}

/* ---- holding down ---- */

Test(monitor, held_down_longer_each_time)
{
	static const unsigned int held_s[] = { 10, 20, 40, 80, 160, 160 };
	struct world w;
	unsigned int i;

	make(&w, 1, 1);
	w.settings.hold_down_s = 10;
	start_plain(&w);
	run(&w, START + 10 * SECOND, false);
	for (i = 0; i < sizeof(held_s) / sizeof(*held_s); i++) {
		monitor_path(w.m, MONITOR_LINK_DOWN, all_sources, w.now);
		run(&w, w.now + SECOND, false);
		monitor_path(w.m, MONITOR_PATH_OK, all_sources, w.now);
		run(&w, w.now + 5 * SECOND, false);
		cr_expect_eq(w.last, MONITOR_DOWN);
		if (i == 2)
			cr_expect_str_eq(reason(&w),
					 "answers, but is held down for 34 s more: down the 3rd time in 56 s");
		run(&w, w.now + 1000 * SECOND, true);
		cr_expect_eq(w.last, MONITOR_UP);
		cr_expect_eq(w.up_ns - w.down_ns, held_s[i] * SECOND, "%u: %llu", i,
			     (unsigned long long)((w.up_ns - w.down_ns) / MS));
		run(&w, w.now + 10 * SECOND, false);
	}
	run(&w, w.now + 2000 * SECOND, false); /* a good time */
	monitor_path(w.m, MONITOR_LINK_DOWN, all_sources, w.now);
	run(&w, w.now + SECOND, false);
	monitor_path(w.m, MONITOR_PATH_OK, all_sources, w.now);
	run(&w, w.now + 100 * SECOND, true);
	cr_expect_eq(w.up_ns - w.down_ns, 10 * SECOND);
	finish(&w);
}

/* ---- by hand, and not at all ---- */

Test(monitor, forced_by_hand)
{
	struct world w;

	make(&w, 1, 1);
	w.settings.hold_down_s = 60;
	start_plain(&w);
	run(&w, START + 10 * SECOND, false);
	monitor_force(w.m, MONITOR_FORCED_DOWN);
	run_now(&w);
	cr_expect_eq(w.last, MONITOR_DOWN);
	cr_expect_str_eq(reason(&w), "forced down by hand");
	run(&w, w.now + 10 * SECOND, false);
	monitor_force(w.m, MONITOR_AUTO);
	run_now(&w);
	cr_expect_eq(w.last, MONITOR_UP, "it has answered all the while");
	dies_at(&w, 0);
	monitor_force(w.m, MONITOR_FORCED_UP);
	run(&w, w.now + 10 * SECOND, false);
	cr_expect_eq(w.last, MONITOR_UP);
	cr_expect_str_eq(reason(&w), "forced up by hand");
	finish(&w);
}

Test(monitor, not_monitored_is_up)
{
	struct monitor_setup setup;
	struct world w;
	uint64_t early;

	make(&w, 1, 1);
	setup = setup_of(&w);
	setup.monitored = false;
	start(&w, &setup);
	monitor_path(w.m, MONITOR_LINK_DOWN, no_source, w.now);
	run_now(&w);
	cr_expect_eq(w.last, MONITOR_UP);
	cr_expect_str_eq(reason(&w), "not monitored");
	cr_expect_eq(monitor_next(w.m, &early), MONITOR_NEVER);
	cr_expect_eq(w.sent, 0u);
	finish(&w);
}

/* ---- metered ones ---- */

Test(monitor, an_idle_one_is_probed_rarely_until_it_is_needed)
{
	struct monitor_setup setup;
	struct world w;
	uint64_t sent, back;

	make(&w, 1, 1);
	setup = setup_of(&w);
	setup.metered = true;
	start(&w, &setup);
	monitor_idle(w.m, true, w.now);
	run(&w, START + 1000 * SECOND, false);
	cr_expect_leq(w.sent, 103u);
	cr_expect_eq(w.last, MONITOR_UP);
	monitor_idle(w.m, false, w.now);
	sent = w.sent;
	run(&w, w.now + 10 * SECOND, false);
	cr_expect_geq(w.sent - sent, 19u);
	monitor_idle(w.m, true, w.now);
	back = w.now + 100 * SECOND;
	dies_at(&w, w.now + 30 * SECOND);
	back_at(&w, back);
	run(&w, w.now + 60 * SECOND, true);
	cr_expect_eq(w.last, MONITOR_DOWN);
	cr_expect_leq(w.now, w.lines[0].dies_ns + 10 * SECOND + 1300 * MS);
	sent = w.sent;
	run(&w, back, false);
	cr_expect_leq(w.sent - sent, 8u, "%llu", (unsigned long long)(w.sent - sent));
	run(&w, w.now + 60 * SECOND, true);
	cr_expect_eq(w.last, MONITOR_UP);
	cr_expect_leq(w.now, back + 10 * SECOND + 2500 * MS);
	finish(&w);
}

/* ---- restarts and reloads ---- */

Test(monitor, starts_with_what_was_known)
{
	struct monitor_setup setup;
	struct world w;

	make(&w, 1, 1);
	setup = setup_of(&w);
	setup.before = MONITOR_WARN;
	w.lines[0].rtt_ns = 700 * MS;
	start(&w, &setup);
	cr_expect_eq(w.last, MONITOR_UP);
	cr_expect_str_eq(reason(&w), "as it was before, not probed again yet");
	run(&w, START + 5 * SECOND, false);
	cr_expect_eq(w.downs, 0u);
	finish(&w);
	make(&w, 1, 1);
	setup = setup_of(&w);
	setup.before = MONITOR_DOWN;
	start(&w, &setup);
	cr_expect_eq(w.last, MONITOR_DOWN);
	run(&w, START + 10 * SECOND, true);
	cr_expect_eq(w.now, START + 2020 * MS, "after five answers");
	finish(&w);
}

Test(monitor, starts_as_it_was_forced)
{
	struct monitor_setup setup;
	struct world w;

	make(&w, 1, 1);
	setup = setup_of(&w);
	setup.forced = MONITOR_FORCED_DOWN;
	start(&w, &setup);
	cr_expect_eq(w.last, MONITOR_DOWN, "before anything is decided");
	run(&w, START + 5 * SECOND, true);
	cr_expect_eq(w.now, START + 5 * SECOND, "an answer does not change it");
	cr_expect_str_eq(reason(&w), "forced down by hand");
	monitor_force(w.m, MONITOR_AUTO);
	run_now(&w);
	cr_expect_eq(w.last, MONITOR_UP, "it has answered all the while");
	finish(&w);
}

/* Puts another monitor in the place of the first one, with its probes in flight */
static void reload(struct world *w, bool same_probes, int map[MONITOR_TARGETS_MAX])
{
	struct monitor_setup setup = setup_of(w);
	struct monitor *old = w->m;

	w->m = monitor_init(malloc(monitor_size(&setup)), &setup, w->now);
	monitor_take_over(w->m, old, same_probes, w->now, map);
	free(old);
	monitor_path(w->m, MONITOR_PATH_OK, all_sources, w->now);
}

Test(monitor, a_reload_keeps_the_history)
{
	int map[MONITOR_TARGETS_MAX];
	struct monitor_view v;
	struct world w;

	make(&w, 1, 1);
	w.lines[0].loss = 0.05;
	start_plain(&w);
	run(&w, START + 60 * SECOND + 10 * MS, false);
	w.lines[0].loss = 0;
	cr_expect_eq(w.in_flight, 1u);
	reload(&w, true, map);
	cr_expect_eq(map[0], 0);
	run(&w, START + 61 * SECOND, false);
	monitor_view(w.m, w.now, &v);
	cr_expect_gt(v.loss_pct, 0);
	cr_expect_lt(v.loss_pct, 12);
	cr_expect_leq(v.since_ns, START + SECOND);
	cr_expect_eq(w.downs, 0u);
	w.settings.interval_ms = 100; /* another window: the status stays, the probes don't */
	reload(&w, true, map);
	w.in_flight = 0;
	monitor_view(w.m, w.now, &v);
	cr_expect_eq(v.loss_pct, 0);
	cr_expect_eq(v.status, MONITOR_UP);
	dies_at(&w, w.now + 5 * SECOND);
	run(&w, w.now + 10 * SECOND, true);
	cr_expect_eq(w.last, MONITOR_DOWN);
	cr_expect_leq(w.now, w.lines[0].dies_ns + 500 * MS);
	finish(&w);
}

Test(monitor, other_targets_do_not_end_what_it_is)
{
	int map[MONITOR_TARGETS_MAX];
	struct world w;

	make(&w, 2, 1);
	start_plain(&w);
	run(&w, START + 30 * SECOND, false);
	w.targets[0] = documentation(7);
	w.targets[1] = documentation(8);
	w.in_flight = 0;
	reload(&w, true, map);
	cr_expect_eq(map[0], -1);
	run_now(&w);
	cr_expect_eq(w.last, MONITOR_UP);
	dies_at(&w, 0);
	run(&w, w.now + 10 * SECOND, true);
	cr_expect_eq(w.last, MONITOR_DOWN);
	w.targets[0] = documentation(9);
	dies_at(&w, MONITOR_NEVER);
	reload(&w, true, map);
	cr_expect_eq(map[1], 1);
	run(&w, w.now + 10 * SECOND, true);
	cr_expect_eq(w.last, MONITOR_UP);
	finish(&w);
}

/* The daemon was not run for a while, as on a machine that was suspended: the answers that wait are read first */
Test(monitor, a_pause_of_the_daemon_kills_none)
{
	struct world w;

	make(&w, 1, 1);
	start_plain(&w);
	run(&w, START + 30 * SECOND + 5 * MS, false);
	w.now += 100 * SECOND;
	deliver(&w);
	run(&w, w.now + 30 * SECOND, false);
	cr_expect_eq(w.downs, 0u);
	finish(&w);
}

Test(monitor, what_is_known_of_the_lost_probes_is_told)
{
	struct world w;

	make(&w, 1, 1);
	dies_at(&w, 0);
	start_plain(&w);
	run(&w, START + 10 * SECOND, true);
	monitor_detail(w.m, 0, MONITOR_REFUSED, 0);
	cr_expect_str_eq(reason(&w), "4 probes lost in a row: the connection was refused");
	monitor_detail(w.m, 0, MONITOR_RCODE, 5);
	cr_expect_str_eq(reason(&w), "4 probes lost in a row: answered with DNS error 5");
	monitor_detail(w.m, 0, MONITOR_UNSENT, ENETUNREACH);
	cr_expect_str_eq(reason(&w), "4 probes lost in a row: can't send, Network is unreachable");
	finish(&w);
}

/* As many as there may be: no moment has much more to send than another */
Test(monitor, many_gateways_are_spread)
{
	enum { GATEWAYS = 256, SLICES = 50 };
	static struct world worlds[GATEWAYS];
	unsigned int sent[SLICES] = { 0 }, i, k;

	for (i = 0; i < GATEWAYS; i++) {
		struct monitor_setup setup;

		make(&worlds[i], 1, i);
		setup = setup_of(&worlds[i]);
		setup.phase = i * 2654435769u;
		start(&worlds[i], &setup);
		run(&worlds[i], START + 2 * SECOND - 1, false); /* the very first ones are sent at once */
		for (k = 0; k < SLICES; k++) {
			uint64_t before = worlds[i].sent;

			run(&worlds[i], START + 2 * SECOND + (k + 1) * 10 * MS - 1, false);
			sent[k] += worlds[i].sent - before;
		}
		finish(&worlds[i]);
	}
	for (k = 0; k < SLICES; k++)
		cr_expect(sent[k] >= 3 && sent[k] <= 8, "%u in 10 ms", sent[k]); /* 5.1 on average */
}

Test(monitor, a_link_local_target_needs_a_link_local_source)
{
	static const bool global_only[PROBE_SOURCES] = { true, true, false };
	struct world w;

	make(&w, 1, 1);
	cr_assert_eq(addr_parse("fe80::1", &w.targets[0]), 0);
	start_plain(&w);
	monitor_path(w.m, MONITOR_PATH_OK, global_only, w.now);
	run_now(&w);
	cr_expect_str_eq(reason(&w), "no address to send from on wan");
	monitor_path(w.m, MONITOR_PATH_OK, all_sources, w.now);
	run(&w, w.now + 2 * SECOND, false);
	cr_expect_eq(w.last, MONITOR_UP);
	finish(&w);
}
