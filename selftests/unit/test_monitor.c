// SPDX-License-Identifier: GPL-2.0-only
/* What a gateway is, and why. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "selftests/unit/monitor_world.h"

static const bool ipv6_only[PROBE_SOURCES] = { false, true, true };
static const bool ipv4_only[PROBE_SOURCES] = { true, false, false };
static const bool no_source[PROBE_SOURCES];

/* ---- coming back ---- */

Test(monitor, unknown_until_the_first_answer)
{
	struct world w;

	world_make(&w, 1, 1);
	world_start_plain(&w);
	world_run_now(&w);
	cr_expect_eq(w.last, MONITOR_UNKNOWN);
	cr_expect_str_eq(world_reason(&w), "not probed yet");
	world_run(&w, START + 10 * SECOND, true);
	cr_expect_eq(w.last, MONITOR_UP);
	cr_expect_eq(w.now, START + 20 * MS);
	cr_expect_str_eq(world_reason(&w), "answers");
	world_finish(&w);
}

Test(monitor, unknown_and_silent_is_down)
{
	struct world w;

	world_make(&w, 1, 1);
	world_dies_at(&w, 0);
	world_start_plain(&w);
	world_run(&w, START + 10 * SECOND, true);
	cr_expect_eq(w.last, MONITOR_DOWN);
	cr_expect_leq(w.now, START + 2500 * MS);
	cr_expect_str_eq(world_reason(&w), "4 probes lost in a row");
	world_finish(&w);
}

Test(monitor, up_again_after_answers_in_a_row)
{
	struct world w;

	world_make(&w, 1, 1);
	world_dies_at(&w, START + 10 * SECOND);
	world_back_at(&w, START + 40 * SECOND + 100 * MS);
	world_start_plain(&w);
	world_run(&w, START + 42 * SECOND, false);
	cr_expect_eq(w.last, MONITOR_DOWN);
	cr_expect_str_eq(world_reason(&w), "answers again: 3 in a row, 5 must be");
	world_run(&w, START + 60 * SECOND, true);
	cr_expect_eq(w.last, MONITOR_UP);
	cr_expect_eq(w.now, START + 42500 * MS + 20 * MS);
	world_run(&w, START + 50 * SECOND, false);
	cr_expect_str_eq(world_reason(&w), "answers", "what was lost while it was down is not its loss now");
	world_finish(&w);
}

Test(monitor, one_loss_starts_the_row_anew)
{
	struct world w;

	world_make(&w, 1, 1);
	world_dies_at(&w, START + 10 * SECOND);
	world_back_at(&w, START + 40 * SECOND + 100 * MS);
	world_start_plain(&w);
	world_run(&w, START + 42200 * MS, false); /* four answers */
	w.lines[0].loss = 1;
	world_run(&w, START + 42700 * MS, false);
	w.lines[0].loss = 0;
	world_run(&w, START + 60 * SECOND, true);
	cr_expect_eq(w.now, START + 43000 * MS + 4 * 500 * MS + 20 * MS);
	world_finish(&w);
}

/* An answer that is later than its patience is one to latency and to the round-trip time, not to the row */
Test(monitor, late_answers_are_not_counted_up)
{
	struct world w;

	world_make(&w, 1, 1);
	w.settings.loss_interval_ms = 400;
	world_dies_at(&w, START + 10 * SECOND);
	world_back_at(&w, START + 20 * SECOND);
	world_start_plain(&w);
	world_run(&w, START + 19 * SECOND, false);
	cr_expect_eq(w.last, MONITOR_DOWN);
	w.lines[0].rtt_ns = 450 * MS;
	world_run(&w, START + 60 * SECOND, false);
	cr_expect_eq(w.ups, 1u);
	cr_expect_eq(w.last, MONITOR_DOWN);
	world_finish(&w);
}

Test(monitor, what_is_known_of_the_lost_probes_is_told)
{
	struct world w;

	world_make(&w, 1, 1);
	world_dies_at(&w, 0);
	world_start_plain(&w);
	world_run(&w, START + 10 * SECOND, true);
	monitor_detail(w.m, 0, MONITOR_REFUSED, 0);
	cr_expect_str_eq(world_reason(&w), "4 probes lost in a row: the connection was refused");
	monitor_detail(w.m, 0, MONITOR_RCODE, 5);
	cr_expect_str_eq(world_reason(&w), "4 probes lost in a row: answered with DNS error 5");
	monitor_detail(w.m, 0, MONITOR_UNSENT, ENETUNREACH);
	cr_expect_str_eq(world_reason(&w), "4 probes lost in a row: can't send, Network is unreachable");
	world_finish(&w);
}

/* First somebody says no, later nobody says anything. */
Test(monitor, what_was_known_of_earlier_probes_is_not_told_of_later_ones)
{
	struct world w;

	world_make(&w, 1, 1);
	world_dies_at(&w, 0);
	world_start_plain(&w);
	world_run(&w, START + 10 * SECOND, true);
	monitor_detail(w.m, 0, MONITOR_REFUSED, 0);
	world_run(&w, w.now + 100 * MS, false);
	cr_expect_str_eq(world_reason(&w), "4 probes lost in a row: the connection was refused");
	world_run(&w, w.now + 5 * SECOND, false);
	cr_expect_null(strchr(world_reason(&w), ':'), "%s", world_reason(&w));
	world_finish(&w);
}

/* ---- link, device and addresses ---- */

Test(monitor, link_down_is_down_at_once_and_back_soon)
{
	struct monitor_view v;
	struct world w;
	int times;

	world_make(&w, 1, 1);
	world_start_plain(&w);
	world_run(&w, START + 10 * SECOND + 300 * MS, false);
	for (times = 0; times < 20; times++) {
		uint64_t sent, back;

		monitor_path(w.m, MONITOR_LINK_DOWN, all_sources, w.now);
		world_run_now(&w);
		cr_assert_eq(w.last, MONITOR_DOWN);
		cr_expect_eq(w.down_ns, w.now);
		cr_expect_str_eq(world_reason(&w), "link of wan down");
		monitor_view(w.m, w.now, &v);
		cr_expect_eq(v.loss_pct, 100);
		cr_expect_not(v.has_rtt);
		sent = w.sent;
		world_run(&w, w.now + 5 * SECOND, false);
		cr_expect_eq(w.sent, sent, "it probes without a link");
		monitor_path(w.m, MONITOR_PATH_OK, all_sources, w.now);
		back = w.now;
		world_run(&w, w.now + 10 * SECOND, false);
		cr_assert_eq(w.last, MONITOR_UP);
		cr_expect_leq(w.up_ns - back, 1300 * MS);
		cr_expect_str_eq(world_reason(&w), "answers");
	}
	monitor_path(w.m, MONITOR_NO_DEVICE, no_source, w.now);
	world_run_now(&w);
	cr_expect_str_eq(world_reason(&w), "the device of wan is not there");
	world_finish(&w);
}

Test(monitor, without_a_source_of_the_family_it_is_down)
{
	struct world w;

	world_make(&w, 1, 1);
	world_start_plain(&w);
	world_run(&w, START + 10 * SECOND, false);
	monitor_path(w.m, MONITOR_PATH_OK, ipv6_only, w.now);
	world_run_now(&w);
	cr_expect_eq(w.last, MONITOR_DOWN);
	cr_expect_str_eq(world_reason(&w), "no address to send from on wan");
	monitor_path(w.m, MONITOR_PATH_OK, all_sources, w.now);
	world_run_now(&w);
	cr_expect_str_eq(world_reason(&w), "not answered yet");
	world_run(&w, w.now + 1300 * MS, false);
	cr_expect_eq(w.last, MONITOR_UP);
	world_finish(&w);
}

/* A device that was just made gets its address in a moment: nobody is told before that it is down, unless it takes too long. */
Test(monitor, a_new_device_has_a_moment_to_get_its_source)
{
	struct world w;

	world_make(&w, 1, 1);
	world_start_plain(&w);
	monitor_path(w.m, MONITOR_PATH_OK, ipv6_only, w.now);
	world_run(&w, START + 900 * MS, false);
	cr_expect_eq(w.last, MONITOR_UNKNOWN);
	cr_expect_str_eq(world_reason(&w), "no address to send from on wan");
	world_run(&w, START + 1100 * MS, false);
	cr_expect_eq(w.last, MONITOR_DOWN);
	world_finish(&w);

	world_make(&w, 1, 1);
	world_start_plain(&w);
	monitor_path(w.m, MONITOR_PATH_OK, ipv6_only, w.now);
	world_run(&w, START + 300 * MS, false);
	monitor_path(w.m, MONITOR_PATH_OK, all_sources, w.now);
	world_run(&w, START + 3 * SECOND, false);
	cr_expect_eq(w.last, MONITOR_UP);
	cr_expect_eq(w.downs, 0u);
	world_finish(&w);
}

static void nothing_is_learned(bool monitored)
{
	struct monitor_setup setup;
	struct world w;

	world_make(&w, 0, 1);
	setup = world_setup(&w);
	setup.monitored = monitored;
	setup.unreachable = true;
	world_start(&w, &setup);
	cr_expect_eq(monitor_status(w.m), MONITOR_UNKNOWN);
	world_run_now(&w);
	cr_expect_eq(w.last, MONITOR_DOWN);
	cr_expect_str_eq(world_reason(&w), "nothing learned by DHCP, router advertisement or PPP on wan");
	monitor_path(w.m, MONITOR_NO_DEVICE, all_sources, w.now);
	world_run_now(&w);
	cr_expect_eq(w.last, MONITOR_DOWN);
	monitor_reachable(w.m, true);
	monitor_path(w.m, MONITOR_PATH_OK, all_sources, w.now);
	world_run_now(&w);
	cr_expect_eq(w.last, monitored ? MONITOR_DOWN : MONITOR_UP); /* nobody to be probed */
	world_finish(&w);
}

Test(monitor, of_an_automatic_one_nothing_is_learned)
{
	nothing_is_learned(true);
	nothing_is_learned(false);
}

/* What was sent from the old address gets no answer, and is no loss */
Test(monitor, another_source_is_no_loss)
{
	struct monitor_view v;
	struct world w;

	world_make(&w, 1, 1);
	w.lines[0].rtt_ns = 100 * MS;
	world_start_plain(&w);
	world_run(&w, START + 30 * SECOND + 50 * MS, false);
	monitor_source_changed(w.m, PROBE_SOURCE4, w.now);
	w.in_flight = 0;
	world_run(&w, START + 60 * SECOND, false);
	monitor_view(w.m, w.now, &v);
	cr_expect_eq(v.loss_pct, 0);
	cr_expect_eq(w.downs, 0u);
	world_finish(&w);
}

Test(monitor, nobody_to_probe)
{
	struct world w;

	world_make(&w, 0, 1);
	world_start_plain(&w);
	world_run(&w, START + 10 * SECOND, false);
	cr_expect_eq(w.last, MONITOR_DOWN);
	cr_expect_str_eq(world_reason(&w), "the address of the other end of wan is not known: give \"targets\"");
	world_finish(&w);
}

Test(monitor, a_link_local_target_needs_a_link_local_source)
{
	static const bool global_only[PROBE_SOURCES] = { true, true, false };
	struct world w;

	world_make(&w, 1, 1);
	cr_assert_eq(addr_parse("fe80::1", &w.targets[0]), 0);
	world_start_plain(&w);
	monitor_path(w.m, MONITOR_PATH_OK, global_only, w.now);
	world_run_now(&w);
	cr_expect_str_eq(world_reason(&w), "no address to send from on wan");
	monitor_path(w.m, MONITOR_PATH_OK, all_sources, w.now);
	world_run(&w, w.now + 2 * SECOND, false);
	cr_expect_eq(w.last, MONITOR_UP);
	world_finish(&w);
}

/* ---- several targets ---- */

Test(monitor, quorum)
{
	struct monitor_target_view third;
	struct monitor_view v;
	struct world w;

	world_make(&w, 3, 1);
	w.settings.quorum = 2;
	w.lines[0].rtt_ns = 10 * MS;
	w.lines[1].rtt_ns = 30 * MS;
	w.lines[2].rtt_ns = 80 * MS;
	w.lines[2].dies_ns = START + 20 * SECOND;
	w.lines[1].dies_ns = START + 40 * SECOND;
	world_start_plain(&w);
	world_run(&w, START + 19 * SECOND, false);
	cr_expect_str_eq(world_reason(&w), "3 of 3 targets answer");
	monitor_view(w.m, w.now, &v);
	cr_expect_eq(v.rtt_us, 30000u, "the second best of three");
	world_run(&w, START + 39 * SECOND, false);
	cr_expect_eq(w.last, MONITOR_UP);
	cr_expect_str_eq(world_reason(&w), "2 of 3 targets answer");
	monitor_view(w.m, w.now, &v);
	cr_expect_eq(v.loss_pct, 0);
	monitor_view_target(w.m, 2, w.now, &third);
	cr_expect_eq(third.status, MONITOR_DOWN);
	world_run(&w, START + 60 * SECOND, true);
	cr_expect_eq(w.last, MONITOR_DOWN);
	cr_expect_leq(w.now, START + 41300 * MS);
	cr_expect_str_eq(world_reason(&w), "1 of 3 targets answers, 2 must");
	world_finish(&w);
}

Test(monitor, targets_are_not_probed_at_the_same_moment)
{
	struct world w;
	uint64_t early, last = 0;
	unsigned int i;

	world_make(&w, 3, 1);
	world_start_plain(&w);
	world_run(&w, START + 10 * SECOND, false);
	for (i = 0; i < 12; i++) {
		uint64_t sent = w.sent, next = monitor_next(w.m, &early);

		w.now = world_first_answer(&w) < next ? world_first_answer(&w) : next;
		world_deliver(&w);
		world_run_now(&w);
		if (w.sent == sent)
			continue;
		cr_expect_eq(w.sent, sent + 1);
		cr_expect_gt(w.now - last, 50 * MS);
		last = w.now;
	}
	world_finish(&w);
}

/* ---- loss and latency ---- */

Test(monitor, warns_of_loss_and_goes_on_for_ten_alert_intervals)
{
	uint64_t over = 0;
	bool loss, latency;
	struct world w;

	world_make(&w, 1, 5);
	w.settings.down_after = 50;
	world_start_plain(&w);
	world_run(&w, START + 60 * SECOND, false);
	w.lines[0].loss = 0.3;
	world_run(&w, START + 120 * SECOND, true);
	cr_expect_eq(w.last, MONITOR_WARN);
	cr_expect_eq(strncmp(world_reason(&w), "loss 10.", 8), 0, "%s", world_reason(&w));
	cr_expect(strstr(world_reason(&w), " % above 10 %"));
	world_run(&w, START + 120 * SECOND, false);
	monitor_fails(w.m, &loss, &latency);
	cr_expect(loss);
	cr_expect_not(latency);
	cr_expect(strstr(world_reason(&w), " % above 20 %"), "%s", world_reason(&w));
	w.lines[0].loss = 0;
	while (w.last == MONITOR_WARN && w.now < START + 300 * SECOND) {
		struct monitor_view v;

		world_run(&w, w.now + 500 * MS, false);
		monitor_view(w.m, w.now, &v);
		if (v.loss_pct > 10)
			over = w.now;
	}
	cr_expect_eq(w.last, MONITOR_UP);
	cr_expect_geq(w.now - over, 9 * SECOND);
	cr_expect_leq(w.now - over, 12 * SECOND);
	world_finish(&w);
}

Test(monitor, a_threshold_is_kept_as_long_as_it_is_not_passed)
{
	struct world w;

	world_make(&w, 1, 1);
	w.lines[0].rtt_ns = 200 * MS;
	world_start_plain(&w);
	world_run(&w, START + 60 * SECOND, false);
	cr_expect_eq(w.last, MONITOR_UP);
	w.lines[0].rtt_ns = 210 * MS;
	world_run(&w, START + 120 * SECOND, false);
	cr_expect_eq(w.last, MONITOR_WARN);
	cr_expect_str_eq(world_reason(&w), "latency 210 ms above 200 ms");
	w.lines[0].rtt_ns = 30 * MS;
	world_run(&w, w.now + 8 * SECOND, false);
	cr_expect(strstr(world_reason(&w), " ms, above 200 ms until "), "%s", world_reason(&w));
	world_finish(&w);
}

/* The other one could not even be asked */
Test(monitor, a_target_that_is_not_probed_has_no_good_loss)
{
	bool loss, latency;
	struct world w;

	world_make(&w, 2, 5);
	w.settings.down_after = 50;
	cr_assert_eq(addr_parse("2001:db8::7", &w.targets[1]), 0);
	w.lines[0].loss = 0.3;
	world_start_plain(&w);
	monitor_path(w.m, MONITOR_PATH_OK, ipv4_only, w.now);
	world_run(&w, START + 120 * SECOND, false);
	monitor_fails(w.m, &loss, &latency);
	cr_expect(loss);
	world_finish(&w);
}

/* ---- holding down ---- */

Test(monitor, held_down_longer_each_time)
{
	static const unsigned int held_s[] = { 10, 20, 40, 80, 160, 160 };
	struct world w;
	unsigned int i;

	world_make(&w, 1, 1);
	w.settings.hold_down_s = 10;
	world_start_plain(&w);
	world_run(&w, START + 10 * SECOND, false);
	for (i = 0; i < sizeof(held_s) / sizeof(*held_s); i++) {
		monitor_path(w.m, MONITOR_LINK_DOWN, all_sources, w.now);
		world_run(&w, w.now + SECOND, false);
		monitor_path(w.m, MONITOR_PATH_OK, all_sources, w.now);
		world_run(&w, w.now + 5 * SECOND, false);
		cr_expect_eq(w.last, MONITOR_DOWN);
		if (i == 2)
			cr_expect_str_eq(world_reason(&w),
					 "answers, but is held down for 34 s more: down the 3rd time in 56 s");
		world_run(&w, w.now + 1000 * SECOND, true);
		cr_expect_eq(w.last, MONITOR_UP);
		cr_expect_eq(w.up_ns - w.down_ns, held_s[i] * SECOND, "%u: %llu", i,
			     (unsigned long long)((w.up_ns - w.down_ns) / MS));
		world_run(&w, w.now + 10 * SECOND, false);
	}
	world_run(&w, w.now + 2000 * SECOND, false); /* a good time */
	monitor_path(w.m, MONITOR_LINK_DOWN, all_sources, w.now);
	world_run(&w, w.now + SECOND, false);
	monitor_path(w.m, MONITOR_PATH_OK, all_sources, w.now);
	world_run(&w, w.now + 100 * SECOND, true);
	cr_expect_eq(w.up_ns - w.down_ns, 10 * SECOND);
	world_finish(&w);
}

/* What it was before it first answered is no time that it was down */
Test(monitor, held_down_by_one_that_was_not_there_at_first)
{
	struct world w;

	world_make(&w, 1, 1);
	w.settings.hold_down_s = 10;
	w.lines[0].dies_ns = 0;
	world_back_at(&w, START + 5 * SECOND);
	world_start_plain(&w);
	world_run(&w, START + 20 * SECOND, false);
	cr_expect_eq(w.last, MONITOR_UP);
	for (int i = 0; i < 2; i++) {
		monitor_path(w.m, MONITOR_LINK_DOWN, all_sources, w.now);
		world_run(&w, w.now + SECOND, false);
		monitor_path(w.m, MONITOR_PATH_OK, all_sources, w.now);
		if (!i)
			world_run(&w, w.now + 30 * SECOND, true);
	}
	world_run(&w, w.now + 5 * SECOND, false);
	cr_expect_str_eq(world_reason(&w), "answers, but is held down for 14 s more: down the 2nd time in 16 s");
	world_finish(&w);
}

/* ---- by hand, and not at all ---- */

Test(monitor, forced_by_hand)
{
	struct world w;

	world_make(&w, 1, 1);
	w.settings.hold_down_s = 60;
	world_start_plain(&w);
	world_run(&w, START + 10 * SECOND, false);
	monitor_force(w.m, MONITOR_FORCED_DOWN);
	world_run_now(&w);
	cr_expect_eq(w.last, MONITOR_DOWN);
	cr_expect_str_eq(world_reason(&w), "forced down by hand");
	world_run(&w, w.now + 10 * SECOND, false);
	monitor_force(w.m, MONITOR_AUTO);
	world_run_now(&w);
	cr_expect_eq(w.last, MONITOR_UP, "it has answered all the while");
	world_dies_at(&w, 0);
	monitor_force(w.m, MONITOR_FORCED_UP);
	world_run(&w, w.now + 10 * SECOND, false);
	cr_expect_eq(w.last, MONITOR_UP);
	cr_expect_str_eq(world_reason(&w), "forced up by hand");
	world_finish(&w);
}

Test(monitor, not_monitored_is_up)
{
	struct monitor_setup setup;
	struct world w;
	uint64_t early;

	world_make(&w, 1, 1);
	setup = world_setup(&w);
	setup.monitored = false;
	world_start(&w, &setup);
	monitor_path(w.m, MONITOR_LINK_DOWN, no_source, w.now);
	world_run_now(&w);
	cr_expect_eq(w.last, MONITOR_UP);
	cr_expect_str_eq(world_reason(&w), "not monitored");
	cr_expect_eq(monitor_next(w.m, &early), MONITOR_NEVER);
	cr_expect_eq(w.sent, 0u);
	world_finish(&w);
}

/* ---- metered ones ---- */

Test(monitor, an_idle_one_is_probed_rarely_until_it_is_needed)
{
	struct monitor_setup setup;
	struct world w;
	uint64_t sent, back;

	world_make(&w, 1, 1);
	setup = world_setup(&w);
	setup.metered = true;
	world_start(&w, &setup);
	monitor_idle(w.m, true, w.now);
	world_run(&w, START + 1000 * SECOND, false);
	cr_expect_leq(w.sent, 103u);
	cr_expect_eq(w.last, MONITOR_UP);
	monitor_idle(w.m, false, w.now);
	sent = w.sent;
	world_run(&w, w.now + 10 * SECOND, false);
	cr_expect_geq(w.sent - sent, 19u);
	monitor_idle(w.m, true, w.now);
	back = w.now + 100 * SECOND;
	world_dies_at(&w, w.now + 30 * SECOND);
	world_back_at(&w, back);
	world_run(&w, w.now + 60 * SECOND, true);
	cr_expect_eq(w.last, MONITOR_DOWN);
	cr_expect_leq(w.now, w.lines[0].dies_ns + 10 * SECOND + 1300 * MS);
	sent = w.sent;
	world_run(&w, back, false);
	cr_expect_leq(w.sent - sent, 8u, "%llu", (unsigned long long)(w.sent - sent));
	world_run(&w, w.now + 60 * SECOND, true);
	cr_expect_eq(w.last, MONITOR_UP);
	cr_expect_leq(w.now, back + 10 * SECOND + 2500 * MS);
	world_finish(&w);
}
