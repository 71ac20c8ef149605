// SPDX-License-Identifier: GPL-2.0-only
/*
 * The timekeeper's thread and its probes on a real kernel: a network namespace of the test's own, a veth pair, and a process at the
 * other end that answers. Needs root; none of fairlead's programs is there, so the gateways' paths name the other end's MAC.
 *
 *	test: wan 192.0.2.1, 2001:db8::1	----	far process: 192.0.2.2, 2001:db8::2, and the targets on its lo
 *	no route leads to the targets		TCP port 80 listens, port 81 does not; DNS answers, on .54 with REFUSED
 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "selftests/net/test_system.h"
#include "user/gateway/timekeeper.h"

#define MS 1000000ull
#define GATEWAYS_MAX 10
#define MARK(number) (0xfa170000u | (number))

static struct timekeeper *tk;
static pid_t far_process;
static int far_pipe = -1; /* what is written to it the far process runs, and answers with a byte */

/* What the plane was told; written in both threads, under the timekeeper's mutex, and read here */
static volatile bool up[GATEWAYS_MAX + 1];
static volatile uint64_t up_ns[GATEWAYS_MAX + 1];
static volatile uint16_t slot0[4], slot6[4]; /* the first for IPv4, for IPv6 */
static volatile uint64_t slot0_ns[4];
static volatile unsigned int changes;

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 * MS + (uint64_t)ts.tv_nsec;
}

static void on_gateway(void *arg, uint16_t number, unsigned int families)
{
	(void)arg;
	up_ns[number] = now_ns();
	up[number] = families;
}

static void on_slots(void *arg, uint32_t index, enum fl_family family, const uint16_t slots[GROUP_SLOTS])
{
	(void)arg;
	if (family == FL_INET6) {
		slot6[index] = slots[0];
		return;
	}
	slot0_ns[index] = now_ns();
	slot0[index] = slots[0];
}

static void on_change(void *arg)
{
	(void)arg;
	changes++;
}

static void on_lease(void *arg, uint16_t lease, uint64_t until_ns)
{
	(void)arg, (void)lease, (void)until_ns;
	cr_expect(false, "there are no vhids");
}

/* ---- the far process ---- */

static int serve(int family, int type, int port, const char *address)
{
	struct sockaddr_storage name = { .ss_family = family };
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&name;
	struct sockaddr_in *in = (struct sockaddr_in *)&name;
	int fd = socket(family, type, 0), one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (family == AF_INET6) {
		in6->sin6_port = htons(port);
		inet_pton(family, address, &in6->sin6_addr);
	} else {
		in->sin_port = htons(port);
		inet_pton(family, address, &in->sin_addr);
	}
	if (bind(fd, (struct sockaddr *)&name, family == AF_INET6 ? sizeof(*in6) : sizeof(*in)) ||
	    (type == SOCK_STREAM && listen(fd, 64)))
		_exit(3);
	return fd;
}

static void answer_dns(int fd, int rcode)
{
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);
	uint8_t data[512];
	ssize_t n = recvfrom(fd, data, sizeof(data), 0, (struct sockaddr *)&from, &len);

	if (n < 12)
		return;
	data[2] |= 0x80;
	data[3] = (uint8_t)rcode;
	sendto(fd, data, (size_t)n, 0, (struct sockaddr *)&from, len);
}

static void obey(int commands)
{
	char command[1024];
	ssize_t n = read(commands, command, sizeof(command) - 1);

	if (n <= 0)
		_exit(0);
	command[n] = '\0';
	if (system(command) || write(commands, "", 1) != 1)
		_exit(4);
}

static void be_far(int commands)
{
	struct pollfd fds[6];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (unshare(CLONE_NEWNET) || system("ip link set lo up && sysctl -qw net.ipv4.icmp_ratelimit=0 "
					    "net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0 && "
					    "for n in 51 52 53 54; do ip addr add 198.51.100.$n/32 dev lo && "
					    "ip addr add 2001:db8:1::$n/128 dev lo nodad || exit 1; done"))
		_exit(2);
	fds[0].fd = commands;
	fds[1].fd = serve(AF_INET, SOCK_DGRAM, 53, "198.51.100.53");
	fds[2].fd = serve(AF_INET6, SOCK_DGRAM, 53, "2001:db8:1::53");
	fds[3].fd = serve(AF_INET, SOCK_DGRAM, 53, "198.51.100.54");
	fds[4].fd = serve(AF_INET, SOCK_STREAM, 80, "0.0.0.0");
	fds[5].fd = serve(AF_INET6, SOCK_STREAM, 80, "2001:db8:1::52");
	if (write(commands, "", 1) != 1)
		_exit(2);
	for (int i = 0; i < 6; i++)
		fds[i].events = POLLIN;
	while (poll(fds, 6, -1) > 0) {
		if (fds[0].revents)
			obey(commands);
		for (int i = 1; i < 4; i++)
			if (fds[i].revents)
				answer_dns(fds[i].fd, i == 3 ? 5 : 0);
		for (int i = 4; i < 6; i++)
			if (fds[i].revents)
				close(accept(fds[i].fd, NULL, NULL));
	}
	_exit(0);
}

/* Runs a command at the far end, and comes back when it is done */
static void far(const char *command)
{
	char byte;

	cr_assert_eq(write(far_pipe, command, strlen(command)), (ssize_t)strlen(command));
	cr_assert_eq(read(far_pipe, &byte, 1), 1, "at the far end failed: %s", command);
}

static void start_far(void)
{
	int pair[2];
	char byte;

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	far_process = fork();
	if (!far_process) {
		close(pair[0]);
		be_far(pair[1]);
	}
	close(pair[1]);
	far_pipe = pair[0];
	cr_assert_eq(read(far_pipe, &byte, 1), 1, "the far end can't start");
}

static void set_up_near(void)
{
	static const struct timekeeper_plane plane = { on_gateway, on_slots, on_change, on_lease, NULL };

	if (geteuid())
		cr_skip_test("needs root");
	cr_assert_eq(unshare(CLONE_NEWNET), 0);
	start_far();
	run("sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0 "
	    "net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0");
	run("ip link set lo up");
	run("ip link add wan address 02:00:00:00:00:01 type veth peer name far address 02:00:00:00:00:02 netns %d",
	    (int)far_process);
	run("ip addr add 192.0.2.1/24 dev wan && ip addr add 2001:db8::1/64 dev wan nodad && "
	    "ip addr add fe80::1:1/64 dev wan nodad && ip link set wan up");
	far("ip addr add 192.0.2.2/24 dev far && ip addr add 2001:db8::2/64 dev far nodad && "
	    "ip addr add fe80::1:2/64 dev far nodad && ip link set far up && "
	    "ip neigh add 192.0.2.1 lladdr 02:00:00:00:00:01 dev far && "
	    "ip neigh add 2001:db8::1 lladdr 02:00:00:00:00:01 dev far && "
	    "ip neigh add fe80::1:1 lladdr 02:00:00:00:00:01 dev far && "
	    "ip neigh add 2001:db8::7 lladdr 02:00:00:00:00:01 dev far");
	/* the kernel tells of carriers once a second (net/core/link_watch.c) */
	run("for i in $(seq 100); do ip link show wan | grep -q 'state UP' && exit 0; sleep 0.05; done; exit 1");
	cr_assert_eq(timekeeper_start(&tk, &plane), 0);
}

static void tear_down_near(void)
{
	if (tk)
		timekeeper_stop(tk);
	if (far_process > 0)
		kill(far_process, SIGKILL);
}

TestSuite(timekeeper, .init = set_up_near, .fini = tear_down_near, .timeout = 60);

/* ---- what is configured ---- */

struct gateway {
	struct config_monitor settings;
	struct addr targets[2];
};

static struct gateway gateways[GATEWAYS_MAX];
static struct timekeeper_gateway plan_gateways[GATEWAYS_MAX];
static struct timekeeper_plan plan;

static void add_gateway(const char *name, enum config_probe type, uint16_t port, const char *target)
{
	size_t i = plan.n_gateways++;
	struct gateway *g = &gateways[i];

	g->targets[0] = addr(target);
	g->settings = (struct config_monitor){ .interval_ms = 100,
					       .loss_interval_ms = 1000,
					       .period_ms = 10000,
					       .alert_interval_ms = 1000,
					       .latency_ms = { 200, 500 },
					       .loss_pct = { 10, 20 },
					       .down_after = 3,
					       .up_after = 5,
					       .quorum = 1,
					       .idle_interval_ms = 10000,
					       .type = type,
					       .port = port,
					       .dns_name = type == CONFIG_PROBE_DNS ? "www.example.net" : NULL };
	plan_gateways[i] = (struct timekeeper_gateway){
		.name = name,
		.number = i + 1,
		.monitored = true,
		.settings = &g->settings,
		.targets = g->targets,
		.n_targets = 1,
		.path = { .probe = { .ifindex = if_nametoindex("wan"),
				     .mark = MARK(i + 1),
				     .sources = { addr("192.0.2.1"), addr("2001:db8::1"), addr("fe80::1:1") },
				     .mac = { 2, 0, 0, 0, 0, 2 } },
			  .families = FL_BOTH,
			  .where = "wan" },
	};
	plan.gateways = plan_gateways;
}

static void configure(void)
{
	cr_assert_eq(timekeeper_configure(tk, &plan), 0);
}

/* In ms, or -1: not within that time */
static long until_up(unsigned int number, bool wanted, unsigned int ms)
{
	uint64_t begin = now_ns();

	while (up[number] != wanted && now_ns() - begin < ms * MS)
		usleep(500);
	return up[number] == wanted ? (long)((now_ns() - begin) / MS) : -1;
}

static struct timekeeper_gateway_view shown(const char *name)
{
	struct timekeeper_snapshot *s = timekeeper_show(tk);
	struct timekeeper_gateway_view view = { .number = 0 };

	for (size_t i = 0; i < s->n_gateways; i++)
		if (!strcmp(s->gateways[i].name, name))
			view = s->gateways[i];
	timekeeper_snapshot_free(s);
	return view;
}

static const char *reason(const char *name)
{
	static char text_of[MONITOR_REASON_MAX];
	struct timekeeper_gateway_view view = shown(name);

	return monitor_reason_text(&view.view, view.where, now_ns(), text_of);
}

static bool reason_has(const char *name, const char *what, unsigned int ms)
{
	uint64_t begin = now_ns();

	while (!strstr(reason(name), what) && now_ns() - begin < ms * MS)
		usleep(2000);
	return strstr(reason(name), what) != NULL;
}

/* ---- tests ---- */

Test(timekeeper, all_kinds_of_probes_are_answered_without_a_route)
{
	static const struct {
		const char *name;
		enum config_probe type;
		uint16_t port;
		const char *target;
	} kinds[] = {
		{ "echo4", CONFIG_PROBE_ICMP, 0, "198.51.100.51" }, { "echo6", CONFIG_PROBE_ICMP, 0, "2001:db8:1::51" },
		{ "tcp4", CONFIG_PROBE_TCP, 80, "198.51.100.52" },  { "tcp6", CONFIG_PROBE_TCP, 80, "2001:db8:1::52" },
		{ "dns4", CONFIG_PROBE_DNS, 0, "198.51.100.53" },   { "dns6", CONFIG_PROBE_DNS, 0, "2001:db8:1::53" },
		{ "local", CONFIG_PROBE_ICMP, 0, "fe80::1:2" },	    { "same", CONFIG_PROBE_TCP, 80, "198.51.100.52" },
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		add_gateway(kinds[i].name, kinds[i].type, kinds[i].port, kinds[i].target);
	configure();
	cr_expect(timekeeper_is_locked(tk));
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		cr_expect_geq(until_up(i + 1, true, 2000), 0, "%s: %s", kinds[i].name, reason(kinds[i].name));
	usleep(1500000);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		struct timekeeper_gateway_view view = shown(kinds[i].name);

		cr_expect_eq(view.view.status, MONITOR_UP, "%s: %s", kinds[i].name, reason(kinds[i].name));
		cr_expect_eq(view.view.loss_pct, 0, "%s: %f %%", kinds[i].name, view.view.loss_pct);
		cr_expect(view.view.has_rtt);
		cr_expect_lt(view.view.rtt_us, 20000u, "%s: %u us", kinds[i].name, view.view.rtt_us);
	}
}

Test(timekeeper, a_refusal_is_no_answer)
{
	add_gateway("refused", CONFIG_PROBE_TCP, 81, "198.51.100.52");
	add_gateway("rcode", CONFIG_PROBE_DNS, 0, "198.51.100.54");
	configure();
	cr_expect(reason_has("refused", "lost in a row: the connection was refused", 4000), "%s", reason("refused"));
	cr_expect(reason_has("rcode", "lost in a row: answered with DNS error 5", 4000), "%s", reason("rcode"));
	cr_expect_not(up[1]);
	cr_expect_not(up[2]);
}

Test(timekeeper, one_that_falls_silent_is_replaced_within_100_ms)
{
	static const struct timekeeper_member members[] = { { 1, 1, 1 }, { 2, 2, 1 } };
	static const struct timekeeper_group group = {
		.name = "out", .index = 3, .failback = CONFIG_FAILBACK_MOVE, .members = members, .n_members = 2
	};
	uint64_t begin, ended;

	add_gateway("first", CONFIG_PROBE_ICMP, 0, "198.51.100.51");
	add_gateway("second", CONFIG_PROBE_TCP, 80, "198.51.100.52");
	gateways[0].settings.interval_ms = 20;
	plan.groups = &group;
	plan.n_groups = 1;
	configure();
	cr_assert_geq(until_up(1, true, 2000), 0);
	cr_assert_geq(until_up(2, true, 2000), 0);
	usleep(500000);
	cr_expect_eq(slot0[3], 1u);
	begin = now_ns();
	far("sysctl -qw net.ipv4.icmp_echo_ignore_all=1");
	ended = now_ns();
	cr_assert_geq(until_up(1, false, 2000), 0);
	cr_expect_eq(slot0[3], 2u);
	cr_expect_leq(slot0_ns[3] - up_ns[1], MS, "from decision to data plane");
	cr_expect_leq(
		slot0_ns[3] - begin, 100 * MS + (ended - begin), "%llu us after it had begun, %llu after it had ended",
		(unsigned long long)(slot0_ns[3] - begin) / 1000, (unsigned long long)(slot0_ns[3] - ended) / 1000);
	far("sysctl -qw net.ipv4.icmp_echo_ignore_all=0");
	cr_assert_geq(until_up(1, true, 2000), 0);
	cr_expect_eq(slot0[3], 1u);
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
		add_gateway(names[i], CONFIG_PROBE_ICMP, 0, "198.51.100.51");
		plan_gateways[i].monitored = false;
		plan_gateways[i].path.families = families[i];
		paths[i] = plan_gateways[i].path;
	}
	plan.groups = &group;
	plan.n_groups = 1;
	configure();
	cr_expect(slot0[3] == 1 && slot6[3] == 2);
	timekeeper_force(tk, 1, MONITOR_FORCED_DOWN);
	cr_expect(slot0[3] == 3 && slot6[3] == 2, "the other family stays where it is");
	timekeeper_force(tk, 1, MONITOR_AUTO);
	cr_expect(slot0[3] == 1 && slot6[3] == 2);
	paths[1].families = 0;
	timekeeper_paths(tk, paths);
	cr_expect(!up[2] && slot0[3] == 1 && slot6[3] == 3, "it has lost its family");
	timekeeper_force(tk, 3, MONITOR_FORCED_DOWN);
	cr_expect(slot0[3] == 1 && slot6[3] == 0);
	paths[1].families = FL_INET6;
	timekeeper_paths(tk, paths);
	cr_expect(up[2] && slot0[3] == 1 && slot6[3] == 2);
	timekeeper_events(tk, note_families, text);
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
	struct pollfd notify = { .fd = timekeeper_fd(tk), .events = POLLIN };
	struct noted noted = { 0 };
	uint64_t ended;

	add_gateway("gw", CONFIG_PROBE_ICMP, 0, "198.51.100.51");
	configure();
	cr_assert_geq(until_up(1, true, 2000), 0);
	for (int i = 0; i < 3; i++) {
		run("ip link set wan down");
		ended = now_ns();
		cr_assert_geq(until_up(1, false, 1000), 0);
		cr_expect_leq(up_ns[1], ended + 50 * MS);
		cr_expect_str_eq(reason("gw"), "link of wan down");
		run("ip link set wan up");
		cr_expect_geq(until_up(1, true, 3000), 0, "%s", reason("gw"));
	}
	cr_assert_eq(poll(&notify, 1, 0), 1);
	cr_expect_eq(timekeeper_events(tk, note, &noted), 0u);
	cr_expect_eq(noted.n, 7u);
	cr_expect_str_eq(noted.text[0], "gw unknown -> up: answers");
	cr_expect_str_eq(noted.text[1], "gw up -> down: link of wan down");
	cr_expect_str_eq(noted.text[2], "gw down -> up: answers");
	cr_assert_eq(poll(&notify, 1, 0), 0);
	run("ip link del wan");
	cr_assert_geq(until_up(1, false, 1000), 0);
	plan_gateways[0].path.probe.ifindex = 0;
	timekeeper_paths(tk, &plan_gateways[0].path);
	cr_expect_str_eq(reason("gw"), "the device of wan is not there");
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
	add_gateway("gw", CONFIG_PROBE_ICMP, 0, "2001:db8:1::51");
	plan_gateways[0].path.probe.sources[1] = addr(NULL);
	configure();
	cr_expect_str_eq(reason("gw"), "no address to send from on wan");
	plan_gateways[0].path.probe.sources[1] = addr("2001:db8::1");
	timekeeper_paths(tk, &plan_gateways[0].path);
	cr_assert_geq(until_up(1, true, 2000), 0);
	add_address("2001:db8::7");
	plan_gateways[0].path.probe.sources[1] = addr("2001:db8::7");
	timekeeper_paths(tk, &plan_gateways[0].path);
	run("ip addr del 2001:db8::1/64 dev wan");
	cr_expect_eq(until_up(1, false, 1500), -1, "%s", reason("gw"));
	cr_expect_eq(shown("gw").view.loss_pct, 0, "answers to the old one are not waited for");
}

Test(timekeeper, by_hand_and_a_new_configuration)
{
	unsigned int before;

	add_gateway("gw", CONFIG_PROBE_ICMP, 0, "198.51.100.51");
	add_gateway("other", CONFIG_PROBE_DNS, 0, "198.51.100.53");
	configure();
	cr_assert_geq(until_up(1, true, 2000), 0);
	cr_assert_geq(until_up(2, true, 2000), 0);
	cr_expect_eq(timekeeper_force(tk, 1, MONITOR_FORCED_DOWN), 0);
	cr_expect_not(up[1], "it is told before the call is over");
	cr_expect_eq(timekeeper_force(tk, 7, MONITOR_FORCED_DOWN), -ENOENT);
	before = changes;
	plan_gateways[0].name = "new";
	plan_gateways[1].name = "gw";
	gateways[1].settings = gateways[0].settings;
	gateways[1].targets[0] = gateways[0].targets[0];
	configure();
	cr_expect_gt(changes, before);
	cr_expect_not(up[2], "by its name it is what it was, with another number");
	cr_expect_str_eq(reason("gw"), "forced down by hand");
	cr_expect_eq(timekeeper_force(tk, 2, MONITOR_AUTO), 0);
	cr_expect(up[2]);
	cr_assert_geq(until_up(1, true, 2000), 0);
	for (int i = 0; i < 50; i++) {
		configure();
		usleep(10000);
	}
	cr_expect(up[1]);
	cr_expect(up[2]);
	cr_expect_eq(shown("gw").view.loss_pct, 0, "answers that are under way during a reload are not lost");
	plan.n_gateways = 0;
	configure();
}

/* As the programs at the egress see it */
Test(timekeeper, probes_bear_their_mark)
{
	struct sockaddr_ll name = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP) };
	int fd = socket(AF_PACKET, SOCK_DGRAM, 0), one = 1;
	bool seen = false;

	name.sll_ifindex = (int)if_nametoindex("wan");
	cr_assert_eq(bind(fd, (struct sockaddr *)&name, sizeof(name)), 0);
	name.sll_protocol = htons(ETH_P_ALL);
	cr_assert_eq(bind(fd, (struct sockaddr *)&name, sizeof(name)), 0);
	cr_assert_eq(setsockopt(fd, SOL_SOCKET, 75 /* SO_RCVMARK */, &one, sizeof(one)), 0);
	add_gateway("unused", CONFIG_PROBE_ICMP, 0, "2001:db8:1::51");
	add_gateway("gw", CONFIG_PROBE_ICMP, 0, "198.51.100.51");
	configure();
	for (int i = 0; i < 50 && !seen; i++) {
		char data[128], control[64];
		struct iovec part = { data, sizeof(data) };
		struct msghdr message = { .msg_name = &name,
					  .msg_namelen = sizeof(name),
					  .msg_iov = &part,
					  .msg_iovlen = 1,
					  .msg_control = control,
					  .msg_controllen = sizeof(control) };
		ssize_t n = recvmsg(fd, &message, 0);
		struct cmsghdr *c = CMSG_FIRSTHDR(&message);
		uint32_t mark;

		if (n < 20 || name.sll_pkttype != PACKET_OUTGOING || (data[0] & 0xf0) != 0x40 || !c)
			continue;
		memcpy(&mark, CMSG_DATA(c), sizeof(mark));
		cr_expect_eq(mark, MARK(2), "%x", mark);
		seen = true;
	}
	cr_expect(seen);
	close(fd);
}

/* The next TCP header that leaves by a packet socket's device */
static struct tcphdr next_tcp(int fd)
{
	struct sockaddr_ll from = { 0 };
	socklen_t len = sizeof(from);
	struct tcphdr tcp = { 0 };
	uint8_t data[128] = { 0 };
	ssize_t n;

	while ((n = recvfrom(fd, data, sizeof(data), 0, (struct sockaddr *)&from, &len)) > 0)
		if (from.sll_pkttype == PACKET_OUTGOING && n >= 40 && data[0] == 0x45 && data[9] == IPPROTO_TCP) {
			memcpy(&tcp, data + 20, sizeof(tcp));
			return tcp;
		}
	cr_assert(false, "no packet: %s", strerror(errno));
	return tcp;
}

/* A host takes a second SYN of one address and port for a part of the first connection until the reset has come */
Test(timekeeper, tcp_probes_to_one_target_come_from_other_ports)
{
	struct sockaddr_ll name = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
	struct timeval patience = { .tv_sec = 5 };
	int fd = socket(AF_PACKET, SOCK_DGRAM, 0), resets = 0;
	struct tcphdr seen[40];

	name.sll_ifindex = (int)if_nametoindex("wan");
	cr_assert_eq(bind(fd, (struct sockaddr *)&name, sizeof(name)), 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	add_gateway("one", CONFIG_PROBE_TCP, 80, "198.51.100.52");
	add_gateway("two", CONFIG_PROBE_TCP, 80, "198.51.100.52");
	configure();
	for (int n = 0; n < 40;) {
		struct tcphdr tcp = next_tcp(fd);

		if (!tcp.rst) {
			seen[n++] = tcp;
			continue;
		}
		for (int i = 0; i < n; i++)
			if (ntohl(seen[i].seq) + 1 == ntohl(tcp.seq) && ++resets)
				cr_expect_eq(seen[i].source, tcp.source, "the reset is of that connection");
	}
	cr_expect_geq(resets, 38);
	for (int i = 0; i < 40; i++)
		for (int j = i + 1; j < 40; j++) {
			bool same_gateway = ntohl(seen[i].seq) >> 16 == ntohl(seen[j].seq) >> 16;

			if (!same_gateway || (uint16_t)(ntohl(seen[j].seq) - ntohl(seen[i].seq)) < 8)
				cr_expect_neq(seen[i].source, seen[j].source, "SYN %d and SYN %d", i, j);
		}
	close(fd);
}

/* ---- devices of every kind ---- */

static const struct kind {
	const char *type, *near, *far; /* as ip-link(8) has them; an IPv6 target if `v6` */
	bool v6;
} kinds[] = {
	{ "vlan", "link wan name k%d type vlan id 5", "link far name k%d address 02:00:00:00:00:02 type vlan id 5",
	  false },
	{ "vxlan", "name k%d type vxlan id 7 dstport 4789 local 192.0.2.1 remote 192.0.2.2",
	  "name k%d address 02:00:00:00:00:02 type vxlan id 7 dstport 4789 local 192.0.2.2 remote 192.0.2.1", false },
	{ "ipip", "name k%d type ipip local 192.0.2.1 remote 192.0.2.2",
	  "name k%d type ipip local 192.0.2.2 remote 192.0.2.1", false },
	{ "sit", "name k%d type sit local 192.0.2.1 remote 192.0.2.2",
	  "name k%d type sit local 192.0.2.2 remote 192.0.2.1", true },
	{ "gre", "name k%d type gre local 192.0.2.1 remote 192.0.2.2",
	  "name k%d type gre local 192.0.2.2 remote 192.0.2.1", false },
	{ "ip6tnl", "name k%d type ip6tnl mode any local 2001:db8::1 remote 2001:db8::2",
	  "name k%d type ip6tnl mode any local 2001:db8::2 remote 2001:db8::1", true },
};

/* false: not in this kernel */
static bool add_kind(const struct kind *kind, int i)
{
	char command[512], device[128];

	snprintf(device, sizeof(device), kind->near, i);
	snprintf(command, sizeof(command), "ip link add %s 2> /dev/null", device);
	if (system(command))
		return false;
	snprintf(device, sizeof(device), kind->far, i);
	run("ip link set k%d up && ip addr add dev k%d %s", i, i, kind->v6 ? "2001:db8:9::1/64 nodad" : "10.99.0.1/24");
	snprintf(command, sizeof(command), "ip link add %s && ip link set k%d up && ip addr add dev k%d %s", device, i,
		 i, kind->v6 ? "2001:db8:9::2/64 nodad" : "10.99.0.2/24");
	far(command);
	return true;
}

Test(timekeeper, devices_of_every_kind)
{
	char command[64], name[16];
	int tried = 0;

	for (int i = 0; i < (int)(sizeof(kinds) / sizeof(*kinds)); i++) {
		if (!add_kind(&kinds[i], i))
			continue;
		tried++;
		plan.n_gateways = 0;
		add_gateway(kinds[i].type, CONFIG_PROBE_ICMP, 0, kinds[i].v6 ? "2001:db8:9::2" : "10.99.0.2");
		snprintf(name, sizeof(name), "k%d", i);
		plan_gateways[0].path.probe.ifindex = if_nametoindex(name);
		plan_gateways[0].path.probe.sources[0] = addr("10.99.0.1");
		plan_gateways[0].path.probe.sources[1] = addr("2001:db8:9::1");
		configure();
		cr_expect_geq(until_up(1, true, 3000), 0, "%s: %s", kinds[i].type, reason(kinds[i].type));
		run("ip link del k%d", i);
		snprintf(command, sizeof(command), "ip link del k%d", i);
		far(command);
		cr_expect_geq(until_up(1, false, 1000), 0);
	}
	if (!tried)
		cr_skip_test("none of these devices is in this kernel");
}

/* ---- a device without an Ethernet header ---- */

/* Turns an echo request round, in place; the sums stay right but for the type's change from 8 to 0 */
static void turn_round(uint8_t *data)
{
	struct iphdr *ip_header = (struct iphdr *)data;
	struct icmphdr *icmp = (struct icmphdr *)(data + sizeof(*ip_header));
	uint32_t swap = ip_header->saddr, sum;

	ip_header->saddr = ip_header->daddr;
	ip_header->daddr = swap;
	icmp->type = ICMP_ECHOREPLY;
	sum = ntohs(icmp->checksum) + (ICMP_ECHO << 8);
	icmp->checksum = htons((uint16_t)(sum + (sum >> 16)));
}

static int open_tun(const char *name)
{
	struct ifreq request = { .ifr_flags = IFF_TUN | IFF_NO_PI };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &request))
		cr_skip_test("no tun devices here");
	return fd;
}

enum spoil { NOTHING, COOKIE, SOURCE };

static void spoil_answer(uint8_t *data, enum spoil what)
{
	struct iphdr *ip_header = (struct iphdr *)data;

	if (what == COOKIE) /* raw sockets have it before the kernel looks at its checksum */
		data[35] ^= 1;
	if (what == SOURCE) {
		ip_header->saddr = htonl(ntohl(ip_header->saddr) - 1);
		ip_header->check = htons((uint16_t)(ntohs(ip_header->check) + 1));
	}
}

/* For so long; returns how many there were */
static unsigned int answer_tun(int fd, unsigned int ms, enum spoil what)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint64_t begin = now_ns();
	unsigned int seen = 0;
	uint8_t data[256];
	ssize_t n;

	while (now_ns() - begin < ms * MS) {
		if (poll(&p, 1, 5) <= 0)
			continue;
		n = read(fd, data, sizeof(data));
		if (n != 36 || data[0] != 0x45 || data[9] != IPPROTO_ICMP)
			continue;
		seen++;
		turn_round(data);
		spoil_answer(data, what);
		cr_expect_eq(write(fd, data, (size_t)n), n);
	}
	return seen;
}

static int tun_gateway(void)
{
	int fd = open_tun("tun0");

	run("ip addr add 203.0.113.1/32 dev tun0 && ip link set tun0 up");
	add_gateway("gw", CONFIG_PROBE_ICMP, 0, "203.0.113.9");
	plan_gateways[0].path.probe.ifindex = if_nametoindex("tun0");
	plan_gateways[0].path.probe.sources[0] = addr("203.0.113.1");
	configure();
	return fd;
}

Test(timekeeper, a_device_without_ethernet_header)
{
	int fd = tun_gateway();

	cr_expect_gt(answer_tun(fd, 500, NOTHING), 2u);
	cr_expect(up[1], "%s", reason("gw"));
	close(fd);
}

Test(timekeeper, answers_of_others_are_none)
{
	int fd = tun_gateway();

	cr_expect_gt(answer_tun(fd, 600, COOKIE), 2u);
	cr_expect_gt(answer_tun(fd, 600, SOURCE), 2u);
	cr_expect_not(up[1]);
	answer_tun(fd, 2000, NOTHING);
	cr_expect(up[1], "%s", reason("gw"));
	close(fd);
}

/* Turns a SYN into the answer to it, in place; `spoil` is added to its checksum */
static void answer_syn(struct ip6_hdr *ip6, uint16_t spoil)
{
	struct tcphdr *tcp = (struct tcphdr *)(ip6 + 1);
	uint32_t ack = ntohl(tcp->seq) + 1, added = (ack >> 16) + (ack & 0xffff) + 0x10 /* of the flags */, sum;
	struct in6_addr source = ip6->ip6_src;
	uint16_t port = tcp->source;

	ip6->ip6_src = ip6->ip6_dst;
	ip6->ip6_dst = source;
	tcp->source = tcp->dest;
	tcp->dest = port;
	tcp->ack_seq = htonl(ack);
	tcp->ack = 1;
	for (sum = (uint16_t)~ntohs(tcp->check) + added; sum >> 16;)
		sum = (sum & 0xffff) + (sum >> 16);
	tcp->check = htons((uint16_t)(~sum + spoil));
}

static unsigned int answer_syns(int fd, unsigned int ms, uint16_t spoil)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	_Alignas(struct ip6_hdr) uint8_t data[256];
	uint64_t begin = now_ns();
	unsigned int seen = 0;

	while (now_ns() - begin < ms * MS) {
		if (poll(&p, 1, 5) <= 0 || read(fd, data, sizeof(data)) != 60 || data[6] != IPPROTO_TCP ||
		    data[53] != TH_SYN)
			continue;
		seen++;
		answer_syn((struct ip6_hdr *)data, spoil);
		cr_expect_eq(write(fd, data, 60), 60);
	}
	return seen;
}

/* Of IPv4 it is a test of probe_packet; of IPv6 the kernel looks */
Test(timekeeper, tcp6_answers_with_a_wrong_checksum_are_none)
{
	int fd = open_tun("tun0");

	run("ip addr add 2001:db8:9::1/64 dev tun0 nodad && ip link set tun0 up");
	add_gateway("gw", CONFIG_PROBE_TCP, 80, "2001:db8:9::2");
	plan_gateways[0].path.probe.ifindex = if_nametoindex("tun0");
	plan_gateways[0].path.probe.sources[1] = addr("2001:db8:9::1");
	configure();
	cr_expect_gt(answer_syns(fd, 500, 1), 2u);
	cr_expect_not(up[1]);
	cr_expect_gt(answer_syns(fd, 1000, 0), 2u);
	cr_expect(up[1], "%s", reason("gw"));
	close(fd);
}
