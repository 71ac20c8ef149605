// SPDX-License-Identifier: GPL-2.0-only
/* The timekeeper's thread on a real kernel: groups, links, sources, other configurations. Needs root. */
#include "selftests/net/test_timekeeper.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

TestSuite(timekeeper, .init = near_open, .fini = near_close, .timeout = 60);

Test(timekeeper, one_that_falls_silent_is_replaced_within_100_ms)
{
	static const struct timekeeper_member members[] = { { 1, 1, 1 }, { 2, 2, 1 } };
	static const struct timekeeper_group group = {
		.name = "out", .index = 3, .failback = CONFIG_FAILBACK_MOVE, .members = members, .n_members = 2
	};
	uint64_t begin, ended;

	near_gateway("first", CONFIG_PROBE_ICMP, 0, "198.51.100.51");
	near_gateway("second", CONFIG_PROBE_TCP, 80, "198.51.100.52");
	near.gateways[0].settings.interval_ms = 20;
	near.plan.groups = &group;
	near.plan.n_groups = 1;
	near_configure();
	cr_assert_geq(near_until_up(1, true, 2000), 0);
	cr_assert_geq(near_until_up(2, true, 2000), 0);
	usleep(500000);
	cr_expect_eq(near.slot0[3], 1u);
	begin = near_now_ns();
	near_far("sysctl -qw net.ipv4.icmp_echo_ignore_all=1");
	ended = near_now_ns();
	cr_assert_geq(near_until_up(1, false, 2000), 0);
	cr_expect_eq(near.slot0[3], 2u);
	cr_expect_leq(near.slot0_ns[3] - near.up_ns[1], MS, "from decision to data plane");
	cr_expect_leq(near.slot0_ns[3] - begin, 100 * MS + (ended - begin),
		      "%llu us after it had begun, %llu after it had ended",
		      (unsigned long long)(near.slot0_ns[3] - begin) / 1000,
		      (unsigned long long)(near.slot0_ns[3] - ended) / 1000);
	near_far("sysctl -qw net.ipv4.icmp_echo_ignore_all=0");
	cr_assert_geq(near_until_up(1, true, 2000), 0);
	cr_expect_eq(near.slot0[3], 1u);
}

static void note_families(void *arg, const struct timekeeper_event *e)
{
	char *text = arg;

	if (e->is_group)
		sprintf(text + strlen(text), " %u:%u", e->families, e->tier);
}

Test(timekeeper, a_group_chooses_for_each_family)
{
	static const struct timekeeper_member members[] = { { 1, 1, 1 }, { 2, 1, 1 }, { 3, 2, 1 } };
	static const struct timekeeper_group group = {
		.name = "out", .index = 3, .failback = CONFIG_FAILBACK_MOVE, .members = members, .n_members = 3
	};
	static const unsigned int families[] = { FL_INET, FL_INET6, FL_BOTH };
	static const char *const names[] = { "four", "six", "link" };
	struct timekeeper_path paths[3];
	char text[256] = "";

	for (int i = 0; i < 3; i++) {
		near_gateway(names[i], CONFIG_PROBE_ICMP, 0, "198.51.100.51");
		near.plan_gateways[i].monitored = false;
		near.plan_gateways[i].path.families = families[i];
		paths[i] = near.plan_gateways[i].path;
	}
	near.plan.groups = &group;
	near.plan.n_groups = 1;
	near_configure();
	cr_expect(near.slot0[3] == 1 && near.slot6[3] == 2);
	timekeeper_force(near.tk, 1, MONITOR_FORCED_DOWN);
	cr_expect(near.slot0[3] == 3 && near.slot6[3] == 2, "the other family stays where it is");
	timekeeper_force(near.tk, 1, MONITOR_AUTO);
	cr_expect(near.slot0[3] == 1 && near.slot6[3] == 2);
	paths[1].families = 0;
	timekeeper_paths(near.tk, paths);
	cr_expect(!near.up[2] && near.slot0[3] == 1 && near.slot6[3] == 3, "it has lost its family");
	timekeeper_force(near.tk, 3, MONITOR_FORCED_DOWN);
	cr_expect(near.slot0[3] == 1 && near.slot6[3] == 0);
	paths[1].families = FL_INET6;
	timekeeper_paths(near.tk, paths);
	cr_expect(near.up[2] && near.slot0[3] == 1 && near.slot6[3] == 2);
	timekeeper_events(near.tk, note_families, text);
	cr_expect_str_eq(text, " 1:1 2:1 1:2 1:1 2:2 2:0 2:1");
}

struct noted {
	unsigned int n, groups;
	char text[16][MONITOR_REASON_MAX + 64];
};

static void note(void *arg, const struct timekeeper_event *e)
{
	struct noted *noted = arg;
	char buf[MONITOR_REASON_MAX];

	noted->groups += e->is_group;
	if (e->is_group || noted->n == 16)
		return;
	snprintf(noted->text[noted->n++], sizeof(noted->text[0]), "%s %s -> %s: %s", e->name,
		 monitor_status_text(e->before), monitor_status_text(e->view.status),
		 monitor_reason_text(&e->view, e->where, e->at_ns, buf));
}

Test(timekeeper, a_link_that_goes_down_is_down_at_once_and_comes_back)
{
	struct pollfd notify = { .fd = timekeeper_fd(near.tk), .events = POLLIN };
	struct noted noted = { 0 };
	uint64_t ended;

	near_gateway("gw", CONFIG_PROBE_ICMP, 0, "198.51.100.51");
	near_configure();
	cr_assert_geq(near_until_up(1, true, 2000), 0);
	for (int i = 0; i < 3; i++) {
		run("ip link set wan down");
		ended = near_now_ns();
		cr_assert_geq(near_until_up(1, false, 1000), 0);
		cr_expect_leq(near.up_ns[1], ended + 50 * MS);
		cr_expect_str_eq(near_reason("gw"), "link of wan down");
		run("ip link set wan up");
		cr_expect_geq(near_until_up(1, true, 3000), 0, "%s", near_reason("gw"));
	}
	cr_assert_eq(poll(&notify, 1, 0), 1);
	cr_expect_eq(timekeeper_events(near.tk, note, &noted), 0u);
	cr_expect_eq(noted.n, 7u);
	cr_expect_str_eq(noted.text[0], "gw unknown -> up: answers");
	cr_expect_str_eq(noted.text[1], "gw up -> down: link of wan down");
	cr_expect_str_eq(noted.text[2], "gw down -> up: answers");
	cr_assert_eq(poll(&notify, 1, 0), 0);
	run("ip link del wan");
	cr_assert_geq(near_until_up(1, false, 1000), 0);
	near.plan_gateways[0].path.probe.ifindex = 0;
	timekeeper_paths(near.tk, &near.plan_gateways[0].path);
	cr_expect_str_eq(near_reason("gw"), "the device of wan is not there");
}

/*
 * The kernel takes in what comes to it, from a work queue that waits for whoever changes devices anywhere, a while after `ip` is done: see
 * addrconf_dad_work() in net/ipv6/addrconf.c. Answers that come before are dropped, and counted as Ip6InAddrErrors.
 */
static void add_address(const char *address)
{
	run("ip addr add %s/64 dev wan nodad", address);
	run("for i in $(seq 200); do ip -6 route show table local dev wan | grep -q '^local %s ' && exit 0; "
	    "sleep 0.05; done; exit 1",
	    address);
}

Test(timekeeper, follows_its_source)
{
	near_gateway("gw", CONFIG_PROBE_ICMP, 0, "2001:db8:1::51");
	near.plan_gateways[0].path.probe.sources[1] = addr(NULL);
	near_configure();
	cr_expect_str_eq(near_reason("gw"), "no address to send from on wan");
	near.plan_gateways[0].path.probe.sources[1] = addr("2001:db8::1");
	timekeeper_paths(near.tk, &near.plan_gateways[0].path);
	cr_assert_geq(near_until_up(1, true, 2000), 0);
	add_address("2001:db8::7");
	near.plan_gateways[0].path.probe.sources[1] = addr("2001:db8::7");
	timekeeper_paths(near.tk, &near.plan_gateways[0].path);
	run("ip addr del 2001:db8::1/64 dev wan");
	cr_expect_eq(near_until_up(1, false, 1500), -1, "%s", near_reason("gw"));
	cr_expect_eq(near_view("gw").view.loss_pct, 0, "answers to the old one are not waited for");
}

Test(timekeeper, by_hand_and_a_new_configuration)
{
	unsigned int before;

	near_gateway("gw", CONFIG_PROBE_ICMP, 0, "198.51.100.51");
	near_gateway("other", CONFIG_PROBE_DNS, 0, "198.51.100.53");
	near_configure();
	cr_assert_geq(near_until_up(1, true, 2000), 0);
	cr_assert_geq(near_until_up(2, true, 2000), 0);
	cr_expect_eq(timekeeper_force(near.tk, 1, MONITOR_FORCED_DOWN), 0);
	cr_expect_not(near.up[1], "it is told before the call is over");
	cr_expect_eq(timekeeper_force(near.tk, 7, MONITOR_FORCED_DOWN), -ENOENT);
	before = near.changes;
	near.plan_gateways[0].name = "new";
	near.plan_gateways[1].name = "gw";
	near.gateways[1].settings = near.gateways[0].settings;
	near.gateways[1].targets[0] = near.gateways[0].targets[0];
	near_configure();
	cr_expect_gt(near.changes, before);
	cr_expect_not(near.up[2], "by its name it is what it was, with another number");
	cr_expect_str_eq(near_reason("gw"), "forced down by hand");
	cr_expect_eq(timekeeper_force(near.tk, 2, MONITOR_AUTO), 0);
	cr_expect(near.up[2]);
	cr_assert_geq(near_until_up(1, true, 2000), 0);
	for (int i = 0; i < 50; i++) {
		near_configure();
		usleep(10000);
	}
	cr_expect(near.up[1]);
	cr_expect(near.up[2]);
	cr_expect_eq(near_view("gw").view.loss_pct, 0, "answers that are under way during a reload are not lost");
	near.plan.n_gateways = 0;
	near_configure();
}
