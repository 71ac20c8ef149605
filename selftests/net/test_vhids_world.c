// SPDX-License-Identifier: GPL-2.0-only
#include "selftests/net/test_vhids.h"

#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <arpa/inet.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "selftests/net/test_system.h"

struct lan lan = { .node.ready = true };
pid_t far_process, ucarp;
static int epoll, notify, wire = -1, ucarp_log = -1;

uint64_t lan_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * SECOND + (uint64_t)ts.tv_nsec;
}

static void on_lease(void *arg, uint16_t lease, uint64_t until_ns)
{
	(void)arg;
	lan.leases[lease] = until_ns;
}

/* ---- the far end ---- */

static void far_run(const char *const *argv)
{
	char path[64];
	int fd;

	ucarp_log = memfd_create("ucarp", MFD_CLOEXEC);
	ucarp = fork();
	if (ucarp)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)far_process);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET) || dup2(ucarp_log, STDOUT_FILENO) < 0 ||
	    dup2(ucarp_log, STDERR_FILENO) < 0)
		_exit(2);
	execvp(argv[0], (char *const *)argv);
	_exit(3);
}

void ucarp_start(const char *skew, const char *password, bool preempt)
{
	const char *argv[] = { "ucarp",	      "-i",	   "far", "-s",	       "192.0.2.2",
			       "-v",	      "42",	   "-p",  password,    "-a",
			       "192.0.2.100", "-b",	   "1",	  "-k",	       skew,
			       "-u",	      "/bin/true", "-d",  "/bin/true", preempt ? "-P" : NULL,
			       NULL };

	far_run(argv);
}

bool ucarp_has_told(const char *text)
{
	char log[1 << 16] = "";

	cr_assert_geq(pread(ucarp_log, log, sizeof(log) - 1, 0), 0);
	return strstr(log, text);
}

void set_up_lan(void)
{
	static const struct vhids_plane plane = { on_lease, NULL };

	if (geteuid())
		cr_skip_test("needs root");
	cr_assert_eq(unshare(CLONE_NEWNET), 0);
	far_process = far_namespace();
	run("sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0");
	run("ip link set lo up");
	run("ip link add lan address 02:00:00:00:00:01 type veth peer name far address 02:00:00:00:00:02 netns %d",
	    (int)far_process);
	run("ip addr add 192.0.2.1/24 dev lan && ip addr add fe80::1/64 dev lan nodad && ip link set lan up");
	run("nsenter --net=/proc/%d/ns/net sh -c 'ip addr add 192.0.2.2/24 dev far; ip link set far up; ip link set lo up'",
	    (int)far_process);
	run("for i in $(seq 100); do ip link show lan | grep -q 'state UP' && exit 0; sleep 0.05; done; exit 1");
	run("for i in $(seq 100); do nsenter --net=/proc/%d/ns/net ip link show far | grep -q 'state UP' && exit 0; "
	    "sleep 0.05; done; exit 1",
	    (int)far_process);
	epoll = epoll_create1(EPOLL_CLOEXEC);
	notify = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	cr_assert_eq(vhids_open(&lan.v, epoll, 0, notify, &plane), 0);
	addr_parse("192.0.2.100", &lan.addresses[0].addr);
	lan.addresses[0].len = 24;
	addr_parse("192.0.2.1", &lan.facts.sources[0]);
	addr_parse("fe80::1", &lan.facts.sources[1]);
	lan.setup = (struct vhid_setup){ .name = "lan_vip",
					 .lease = 1,
					 .ifindex = if_nametoindex("lan"),
					 .vhid = VHID,
					 .set = { .advbase_s = 1, .advskew = 100 },
					 .key = &lan.key,
					 .addresses = lan.addresses,
					 .n_addresses = 1,
					 .announce_repeat = 1 };
}

void tear_down_lan(void)
{
	if (lan.v)
		vhids_close(lan.v, lan_now());
	if (ucarp > 0)
		kill(ucarp, SIGKILL);
	if (far_process > 0)
		kill(far_process, SIGKILL);
}

/* ---- running ---- */

void lan_begin(const char *password)
{
	carp_key_make(&lan.key, VHID, password, strlen(password), lan.addresses, lan.setup.n_addresses);
	cr_assert_eq(vhids_configure(lan.v, &lan.setup, 1, lan_now()), 0);
	vhids_link(lan.v, lan.setup.ifindex, true, lan_now());
	vhids_facts(lan.v, &lan.facts, &lan.node, lan_now());
}

struct vhid_view lan_shown(void)
{
	struct vhid_view view;

	cr_assert_geq(vhids_show(lan.v, &view, 1), 1u);
	return view;
}

long lan_until(enum carp_role role, long ms)
{
	uint64_t start = lan_now(), end = start + (uint64_t)ms * MS;

	while (lan_now() < end) {
		struct epoll_event event;
		uint64_t next = vhids_next(lan.v), now = lan_now();
		int wait = next <= now ? 0 : next - now > 10 * MS ? 10 : 1;

		if (epoll_wait(epoll, &event, 1, wait) == 1)
			vhids_receive(lan.v, event.data.u64, lan_now());
		vhids_run(lan.v, lan_now());
		if (lan_shown().carp.role == role)
			return (long)((lan_now() - start) / MS);
	}
	return -1;
}

/* ---- what is on the wire ---- */

void lan_watch(void)
{
	struct sockaddr_ll name = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };

	wire = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	name.sll_ifindex = (int)if_nametoindex("lan");
	cr_assert_eq(bind(wire, (struct sockaddr *)&name, sizeof(name)), 0);
}

void lan_rewatch(void)
{
	close(wire);
	lan_watch();
}

size_t lan_sent(uint16_t type, uint8_t frame[256])
{
	struct sockaddr_ll from;
	socklen_t len = sizeof(from);
	ssize_t n;

	while ((n = recvfrom(wire, frame, 256, 0, (struct sockaddr *)&from, &len)) > 0)
		if (from.sll_pkttype == PACKET_OUTGOING && (frame[12] << 8 | frame[13]) == type &&
		    (type != ETH_P_IP || frame[23] == CARP_PROTO) && (type != ETH_P_IPV6 || frame[20] == CARP_PROTO))
			return (size_t)n;
	return 0;
}

bool ucarp_advertises(long ms)
{
	uint64_t end = lan_now() + (uint64_t)ms * MS;
	struct sockaddr_ll from;
	uint8_t frame[256];

	while (lan_now() < end) {
		socklen_t len = sizeof(from);

		lan_until(CARP_INIT, 20);
		while (recvfrom(wire, frame, sizeof(frame), 0, (struct sockaddr *)&from, &len) > 0)
			if (from.sll_pkttype != PACKET_OUTGOING && frame[23] == CARP_PROTO && frame[12] == 8)
				return true;
	}
	return false;
}
