// SPDX-License-Identifier: GPL-2.0-only
/* What a gateway is after a restart of the daemon, and after a reload. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "selftests/unit/monitor_world.h"

/* ---- restarts and reloads ---- */

Test(monitor, starts_with_what_was_known)
{
	struct monitor_setup setup;
	struct world w;

	world_make(&w, 1, 1);
	setup = world_setup(&w);
	setup.before = MONITOR_WARN;
	w.lines[0].rtt_ns = 700 * MS;
	world_start(&w, &setup);
	cr_expect_eq(w.last, MONITOR_UP);
	cr_expect_str_eq(world_reason(&w), "as it was before, not probed again yet");
	world_run(&w, START + 5 * SECOND, false);
	cr_expect_eq(w.downs, 0u);
	world_finish(&w);
	world_make(&w, 1, 1);
	setup = world_setup(&w);
	setup.before = MONITOR_DOWN;
	world_start(&w, &setup);
	cr_expect_eq(w.last, MONITOR_DOWN);
	world_run(&w, START + 10 * SECOND, true);
	cr_expect_eq(w.now, START + 2020 * MS, "after five answers");
	world_finish(&w);
}

Test(monitor, starts_as_it_was_forced)
{
	struct monitor_setup setup;
	struct world w;

	world_make(&w, 1, 1);
	setup = world_setup(&w);
	setup.forced = MONITOR_FORCED_DOWN;
	world_start(&w, &setup);
	cr_expect_eq(w.last, MONITOR_DOWN, "before anything is decided");
	world_run(&w, START + 5 * SECOND, true);
	cr_expect_eq(w.now, START + 5 * SECOND, "an answer does not change it");
	cr_expect_str_eq(world_reason(&w), "forced down by hand");
	monitor_force(w.m, MONITOR_AUTO);
	world_run_now(&w);
	cr_expect_eq(w.last, MONITOR_UP, "it has answered all the while");
	world_finish(&w);
}

/* Puts another monitor in the place of the first one, with its probes in flight */
static void reload(struct world *w, bool same_probes, int map[MONITOR_TARGETS_MAX])
{
	struct monitor_setup setup = world_setup(w);
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

	world_make(&w, 1, 1);
	w.lines[0].loss = 0.05;
	world_start_plain(&w);
	world_run(&w, START + 60 * SECOND + 10 * MS, false);
	w.lines[0].loss = 0;
	cr_expect_eq(w.in_flight, 1u);
	reload(&w, true, map);
	cr_expect_eq(map[0], 0);
	world_run(&w, START + 61 * SECOND, false);
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
	world_dies_at(&w, w.now + 5 * SECOND);
	world_run(&w, w.now + 10 * SECOND, true);
	cr_expect_eq(w.last, MONITOR_DOWN);
	cr_expect_leq(w.now, w.lines[0].dies_ns + 500 * MS);
	world_finish(&w);
}

Test(monitor, other_targets_do_not_end_what_it_is)
{
	int map[MONITOR_TARGETS_MAX];
	struct world w;

	world_make(&w, 2, 1);
	world_start_plain(&w);
	world_run(&w, START + 30 * SECOND, false);
	w.targets[0] = world_target(7);
	w.targets[1] = world_target(8);
	w.in_flight = 0;
	reload(&w, true, map);
	cr_expect_eq(map[0], -1);
	world_run_now(&w);
	cr_expect_eq(w.last, MONITOR_UP);
	world_dies_at(&w, 0);
	world_run(&w, w.now + 10 * SECOND, true);
	cr_expect_eq(w.last, MONITOR_DOWN);
	w.targets[0] = world_target(9);
	world_dies_at(&w, MONITOR_NEVER);
	reload(&w, true, map);
	cr_expect_eq(map[1], 1);
	world_run(&w, w.now + 10 * SECOND, true);
	cr_expect_eq(w.last, MONITOR_UP);
	world_finish(&w);
}

/* The daemon was not run for a while, as on a machine that was suspended: the answers that wait are read first */
/* As many as there may be: no moment has much more to send than another */
