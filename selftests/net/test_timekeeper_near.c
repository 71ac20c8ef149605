// SPDX-License-Identifier: GPL-2.0-only
#include "selftests/net/test_timekeeper.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "selftests/monitor_defaults.h"

struct near near;
static pid_t far_process;
static int far_pipe = -1; /* what is written to it the far process runs, and answers with a byte */

uint64_t near_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 * MS + (uint64_t)ts.tv_nsec;
}

static void on_gateway(void *arg, uint16_t number, unsigned int families)
{
	(void)arg;
	near.up_ns[number] = near_now_ns();
	near.up[number] = families;
}

static void on_slots(void *arg, uint32_t index, enum fl_family family, const uint16_t slots[GROUP_SLOTS])
{
	(void)arg;
	if (family == FL_INET6) {
		near.slot6[index] = slots[0];
		return;
	}
	near.slot0_ns[index] = near_now_ns();
	near.slot0[index] = slots[0];
}

static void on_change(void *arg)
{
	(void)arg;
	near.changes++;
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

void near_far(const char *command)
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

void near_open(void)
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
	near_far("ip addr add 192.0.2.2/24 dev far && ip addr add 2001:db8::2/64 dev far nodad && "
		 "ip addr add fe80::1:2/64 dev far nodad && ip link set far up && "
		 "ip neigh add 192.0.2.1 lladdr 02:00:00:00:00:01 dev far && "
		 "ip neigh add 2001:db8::1 lladdr 02:00:00:00:00:01 dev far && "
		 "ip neigh add fe80::1:1 lladdr 02:00:00:00:00:01 dev far && "
		 "ip neigh add 2001:db8::7 lladdr 02:00:00:00:00:01 dev far");
	/* the kernel tells of carriers once a second (net/core/link_watch.c) */
	run("for i in $(seq 100); do ip link show wan | grep -q 'state UP' && exit 0; sleep 0.05; done; exit 1");
	cr_assert_eq(timekeeper_start(&near.tk, &plane), 0);
}

void near_close(void)
{
	if (near.tk)
		timekeeper_stop(near.tk);
	if (far_process > 0)
		kill(far_process, SIGKILL);
}

void near_gateway(const char *name, enum config_probe type, uint16_t port, const char *target)
{
	size_t i = near.plan.n_gateways++;
	struct near_gateway *g = &near.gateways[i];

	g->targets[0] = addr(target);
	g->settings = monitor_defaults();
	g->settings.interval_ms = 100;
	g->settings.loss_interval_ms = 1000;
	g->settings.period_ms = 10000;
	g->settings.type = type;
	g->settings.port = port;
	g->settings.dns_name = type == CONFIG_PROBE_DNS ? "www.example.net" : NULL;
	near.plan_gateways[i] = (struct timekeeper_gateway){
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
	near.plan.gateways = near.plan_gateways;
}

void near_configure(void)
{
	cr_assert_eq(timekeeper_configure(near.tk, &near.plan), 0);
}

long near_until_up(unsigned int number, bool wanted, unsigned int ms)
{
	uint64_t begin = near_now_ns();

	while (near.up[number] != wanted && near_now_ns() - begin < ms * MS)
		usleep(500);
	return near.up[number] == wanted ? (long)((near_now_ns() - begin) / MS) : -1;
}

struct timekeeper_gateway_view near_view(const char *name)
{
	struct timekeeper_snapshot *s = timekeeper_show(near.tk);
	struct timekeeper_gateway_view view = { .number = 0 };

	for (size_t i = 0; i < s->n_gateways; i++)
		if (!strcmp(s->gateways[i].name, name))
			view = s->gateways[i];
	timekeeper_snapshot_free(s);
	return view;
}

const char *near_reason(const char *name)
{
	static char text_of[MONITOR_REASON_MAX];
	struct timekeeper_gateway_view view = near_view(name);

	return monitor_reason_text(&view.view, view.where, near_now_ns(), text_of);
}

bool near_reason_has(const char *name, const char *what, unsigned int ms)
{
	uint64_t begin = near_now_ns();

	while (!strstr(near_reason(name), what) && near_now_ns() - begin < ms * MS)
		usleep(2000);
	return strstr(near_reason(name), what) != NULL;
}
