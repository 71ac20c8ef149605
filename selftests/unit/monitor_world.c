// SPDX-License-Identifier: GPL-2.0-only
#include <criterion/criterion.h>
#include <stdlib.h>

#include "selftests/monitor_defaults.h"
#include "selftests/unit/monitor_world.h"

const bool all_sources[PROBE_SOURCES] = { true, true, true };

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

uint64_t world_first_answer(const struct world *w)
{
	uint64_t first = MONITOR_NEVER;
	unsigned int i;

	for (i = 0; i < w->in_flight; i++)
		if (w->flight[i].at_ns < first)
			first = w->flight[i].at_ns;
	return first;
}

void world_deliver(struct world *w)
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

void world_run_now(struct world *w)
{
	monitor_run(w->m, w->now, send_probe, w);
	note(w);
}

void world_run(struct world *w, uint64_t until, bool change)
{
	enum monitor_status was = w->last;
	uint64_t next, early;

	world_run_now(w);
	while (!change || w->last == was) {
		next = monitor_next(w->m, &early);
		cr_assert_leq(early, next);
		cr_assert_gt(next, w->now, "it wants to run again without an end");
		if (world_first_answer(w) < next)
			next = world_first_answer(w);
		if (next > until)
			break;
		w->now = next;
		world_deliver(w);
		world_run_now(w);
	}
	if (!change)
		w->now = until;
}

struct addr world_target(unsigned int i)
{
	struct addr a = { .family = AF_INET };

	a.v4.s_addr = htonl(0xc0000201 + i);
	return a;
}

void world_make(struct world *w, unsigned int n_targets, uint64_t seed)
{
	unsigned int i;

	*w = (struct world){ .now = START, .random = seed * 0x9e3779b97f4a7c15ull + 1 };
	w->settings = monitor_defaults();
	w->settings.n_targets = n_targets;
	for (i = 0; i < n_targets; i++) {
		w->targets[i] = world_target(i);
		w->lines[i] = (struct line){ .rtt_ns = 20 * MS, .dies_ns = MONITOR_NEVER, .back_ns = MONITOR_NEVER };
	}
}

struct monitor_setup world_setup(const struct world *w)
{
	return (struct monitor_setup){
		.settings = &w->settings, .targets = w->targets, .n_targets = w->settings.n_targets, .monitored = true
	};
}

struct monitor *world_start(struct world *w, const struct monitor_setup *setup)
{
	w->m = monitor_init(malloc(monitor_size(setup)), setup, w->now);
	w->last = monitor_status(w->m);
	return w->m;
}

void world_start_plain(struct world *w)
{
	struct monitor_setup setup = world_setup(w);

	world_start(w, &setup);
}

void world_finish(struct world *w)
{
	free(w->m);
}

const char *world_reason(struct world *w)
{
	static char text[MONITOR_REASON_MAX];
	struct monitor_view v;

	monitor_view(w->m, w->now, &v);
	return monitor_reason_text(&v, "wan", w->now, text);
}

void world_dies_at(struct world *w, uint64_t ns)
{
	unsigned int i;

	for (i = 0; i < w->settings.n_targets; i++)
		w->lines[i].dies_ns = ns;
}

void world_back_at(struct world *w, uint64_t ns)
{
	unsigned int i;

	for (i = 0; i < w->settings.n_targets; i++)
		w->lines[i].back_ns = ns;
}
