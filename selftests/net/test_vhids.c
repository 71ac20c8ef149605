// SPDX-License-Identifier: GPL-2.0-only
/*
 * vhids on a real wire, with Debian's ucarp at the other end: a network namespace of the test's own, a veth pair, and a process that runs ucarp.
 *
 *	test: lan 192.0.2.1, fe80::1	----	far 192.0.2.2: ucarp
 *	the vhid's address is 192.0.2.100
 */
#include <criterion/criterion.h>
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
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "selftests/net/test_system.h"
#include "user/lib/inet_sum.h"
#include "user/vip/ext.h"
#include "user/vip/vhids.h"

#define MS 1000000ull
#define SECOND (1000 * MS)
#define VHID 42

static struct vhids *v;
static int epoll, notify, wire = -1;
static pid_t far_process, ucarp;
static uint64_t leases[4];
static struct prefix addresses[4];
static struct vhid_setup setup;
static struct vhid_facts facts;
static struct vhid_node node = { .ready = true };
static struct carp_key key;

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * SECOND + (uint64_t)ts.tv_nsec;
}

static void on_lease(void *arg, uint16_t lease, uint64_t until_ns)
{
	(void)arg;
	leases[lease] = until_ns;
}

/* ---- the far end ---- */

static void far_run(const char *const *argv)
{
	char path[64];
	int fd;

	ucarp = fork();
	if (ucarp)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)far_process);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET))
		_exit(2);
	execvp(argv[0], (char *const *)argv);
	_exit(3);
}

static void ucarp_start(const char *skew, const char *password, bool preempt)
{
	const char *argv[] = { "ucarp",	      "-i",	   "far", "-s",	       "192.0.2.2",
			       "-v",	      "42",	   "-p",  password,    "-a",
			       "192.0.2.100", "-b",	   "1",	  "-k",	       skew,
			       "-u",	      "/bin/true", "-d",  "/bin/true", preempt ? "-P" : NULL,
			       NULL };

	far_run(argv);
}

static void set_up_lan(void)
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
	cr_assert_eq(vhids_open(&v, epoll, 0, notify, &plane), 0);
	addr_parse("192.0.2.100", &addresses[0].addr);
	addresses[0].len = 24;
	addr_parse("192.0.2.1", &facts.sources[0]);
	addr_parse("fe80::1", &facts.sources[1]);
	setup = (struct vhid_setup){ .name = "lan_vip",
				     .lease = 1,
				     .ifindex = if_nametoindex("lan"),
				     .vhid = VHID,
				     .set = { .advbase_s = 1, .advskew = 100 },
				     .key = &key,
				     .addresses = addresses,
				     .n_addresses = 1,
				     .announce_repeat = 1 };
}

static void tear_down_lan(void)
{
	if (v)
		vhids_close(v, now_ns());
	if (ucarp > 0)
		kill(ucarp, SIGKILL);
	if (far_process > 0)
		kill(far_process, SIGKILL);
}

TestSuite(vhids, .init = set_up_lan, .fini = tear_down_lan, .timeout = 60);

/* ---- running ---- */

static void begin(const char *password)
{
	carp_key_make(&key, VHID, password, strlen(password), addresses, setup.n_addresses);
	cr_assert_eq(vhids_configure(v, &setup, 1, now_ns()), 0);
	vhids_link(v, setup.ifindex, true, now_ns());
	vhids_facts(v, &facts, &node, now_ns());
}

static struct vhid_view shown(void)
{
	struct vhid_view view;

	cr_assert_geq(vhids_show(v, &view, 1), 1u);
	return view;
}

/* The loop of the timekeeper's thread. -1: the role was not reached within ms; else after how many */
static long until(enum carp_role role, long ms)
{
	uint64_t start = now_ns(), end = start + (uint64_t)ms * MS;

	while (now_ns() < end) {
		struct epoll_event event;
		uint64_t next = vhids_next(v), now = now_ns();
		int wait = next <= now ? 0 : next - now > 10 * MS ? 10 : 1;

		if (epoll_wait(epoll, &event, 1, wait) == 1)
			vhids_receive(v, event.data.u64, now_ns());
		vhids_run(v, now_ns());
		if (shown().carp.role == role)
			return (long)((now_ns() - start) / MS);
	}
	return -1;
}

/* ---- what is on the wire ---- */

static void watch(void)
{
	struct sockaddr_ll name = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };

	wire = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	name.sll_ifindex = (int)if_nametoindex("lan");
	cr_assert_eq(bind(wire, (struct sockaddr *)&name, sizeof(name)), 0);
}

static void rewatch(void)
{
	close(wire);
	watch();
}

/* The next frame that was sent, of an EtherType and, of IP, of CARP; its length, 0: none */
static size_t sent(uint16_t type, uint8_t frame[256])
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

Test(vhids, what_is_sent)
{
	static const uint8_t vmac[6] = { 0, 0, 0x5e, 0, 1, VHID };
	uint8_t frame[256];

	addr_parse("2001:db8::100", &addresses[1].addr);
	setup.n_addresses = 2;
	watch();
	begin("love");
	cr_expect_geq(until(CARP_MASTER, 6000), 3300);
	cr_expect_eq(sent(ETH_P_IP, frame), 14u + 20 + 36);
	cr_expect_arr_eq(frame, ((uint8_t[]){ 0x01, 0x00, 0x5e, 0x00, 0x00, 0x12 }), 6);
	cr_expect_arr_eq(frame + 6, vmac, 6);
	cr_expect_arr_eq(frame + 14, ((uint8_t[]){ 0x45, 0x10, 0, 56, 0, 0, 0x40, 0, 255, 112 }), 10);
	cr_expect_arr_eq(frame + 26, ((uint8_t[]){ 192, 0, 2, 1, 224, 0, 0, 18 }), 8);
	cr_expect_arr_eq(frame + 34, ((uint8_t[]){ 0x21, VHID, 100, 7, 0, 1 }), 6);
	cr_expect_eq(sent(ETH_P_IPV6, frame), 14u + 40 + 36);
	cr_expect_arr_eq(frame, ((uint8_t[]){ 0x33, 0x33, 0x00, 0x00, 0x00, 0x12 }), 6);
	cr_expect_arr_eq(frame + 6, vmac, 6);
	cr_expect_arr_eq(frame + 18, ((uint8_t[]){ 0, 36, 112, 255, 0xfe, 0x80 }), 6);
	cr_expect_arr_eq(frame + 38, ((uint8_t[]){ 0xff, 0x02 }), 2);
	cr_expect_eq(leases[1], UINT64_MAX);
}

/* A peer is named by an address of the LAN, of a wider scope than the link-local one, or by that: from such a one it hears of this node. */
Test(vhids, unicast_comes_from_an_address_like_the_peers)
{
	static const char *const ours[] = { "192.0.2.1", "2001:db8::1", "fe80::1" };
	static const char *const theirs[] = { "192.0.2.2", "2001:db8::2", "fe80::2" };
	static struct addr peers[3];
	struct addr own;
	uint8_t frame[256];

	run("ip addr add 2001:db8::1/64 dev lan nodad");
	run("nsenter --net=/proc/%d/ns/net sh -c 'ip addr add 2001:db8::2/64 dev far nodad; ip addr add fe80::2/64 dev far nodad'",
	    (int)far_process);
	for (int i = 0; i < 3; i++)
		addr_parse(theirs[i], &peers[i]);
	addr_parse("2001:db8::100", &addresses[1].addr);
	addr_parse("2001:db8::1", &facts.wide);
	setup.n_addresses = 2;
	setup.peers = peers;
	setup.n_peers = 3;
	watch();
	begin("love");
	cr_assert_geq(until(CARP_MASTER, 6000), 0);
	until(CARP_INIT, 1500); /* the next one, and what finding neighbours takes */
	cr_assert_eq(sent(ETH_P_IP, frame), 14u + 20 + 36);
	addr_parse(ours[0], &own);
	cr_expect_arr_eq(frame + 26, &own.v4, 4);
	cr_expect_arr_eq(frame + 30, &peers[0].v4, 4);
	cr_expect_arr_eq(frame + 6, ((uint8_t[]){ 2, 0, 0, 0, 0, 1 }), 6, "its own MAC");
	rewatch();
	until(CARP_INIT, 1500);
	for (int i = 1; i < 3; i++) {
		cr_assert_eq(sent(ETH_P_IPV6, frame), 14u + 40 + 36);
		addr_parse(ours[i], &own);
		cr_expect_arr_eq(frame + 22, &own.v6, 16, "%s", ours[i]);
		cr_expect_arr_eq(frame + 38, &peers[i].v6, 16);
		cr_expect_eq(frame[21], 255);
	}
}

Test(vhids, yields_to_a_better_ucarp_and_takes_over_when_it_dies)
{
	struct vhid_event event;
	unsigned int lost, roles = 0;

	ucarp_start("0", "love", false);
	begin("love");
	cr_expect_eq(until(CARP_MASTER, 6000), -1, "ucarp is better");
	cr_expect(shown().received >= 2);
	cr_expect_eq(shown().bad, 0u);
	cr_expect_eq(shown().master.v4.s_addr, htonl(0xc0000202));
	cr_expect_eq(leases[1], 0u);
	kill(ucarp, SIGKILL);
	cr_expect_geq(until(CARP_MASTER, 5000), 2000);
	cr_expect_eq(leases[1], UINT64_MAX);
	while (vhids_event(v, &event, &lost))
		roles += event.kind == VHID_ROLE;
	cr_expect_eq(roles, 2u);
}

Test(vhids, a_worse_ucarp_yields)
{
	setup.set.advskew = 0;
	setup.set.preempt = true;
	ucarp_start("100", "love", false);
	begin("love");
	cr_expect_geq(until(CARP_MASTER, 8000), 0);
	cr_expect_eq(until(CARP_BACKUP, 5000), -1, "it stays");
	kill(ucarp, SIGKILL);
}

Test(vhids, one_with_another_password_is_ignored)
{
	struct vhid_event event;
	unsigned int lost, faults = 0;

	ucarp_start("0", "hate", false);
	begin("love");
	cr_expect_geq(until(CARP_MASTER, 6000), 0);
	cr_expect_eq(until(CARP_BACKUP, 3000), -1);
	cr_expect(shown().bad >= 2);
	cr_expect_eq(shown().received, 0u);
	while (vhids_event(v, &event, &lost))
		if (event.kind == VHID_FAULT) {
			faults++;
			cr_expect_eq(event.fault, CARP_DIGEST);
			cr_expect_eq(event.from.v4.s_addr, htonl(0xc0000202));
		}
	cr_expect_eq(faults, 1u, "told once a minute");
}

/* ---- as a node of a pair, with a plain one beside it ---- */

static void pair_up(void)
{
	static const uint8_t id[SIGN_ID] = { 1 }, secret[32] = { 2 };
	static struct pair_setup_peer peer;
	static struct sign_keys keys;
	struct pair_setup pair = { .epoch = 1, .port = 7241, .peers = &peer, .n_peers = 1, .keys = &keys };

	sign_key_make(&keys.key[0], id, secret);
	keys.n = 1;
	addr_parse("172.16.255.1", &pair.local);
	addr_parse("172.16.255.2", &peer.addr);
	pair.node = pair_node(&pair.local);
	cr_assert_eq(vhids_pair(v, &pair, now_ns()), 0);
}

/* One that ucarp has sent, within ms */
static bool ucarp_advertises(long ms)
{
	uint64_t end = now_ns() + (uint64_t)ms * MS;
	struct sockaddr_ll from;
	uint8_t frame[256];

	while (now_ns() < end) {
		socklen_t len = sizeof(from);

		until(CARP_INIT, 20);
		while (recvfrom(wire, frame, sizeof(frame), 0, (struct sockaddr *)&from, &len) > 0)
			if (from.sll_pkttype != PACKET_OUTGOING && frame[23] == CARP_PROTO && frame[12] == 8)
				return true;
	}
	return false;
}

Test(vhids, a_plain_node_understands_those_of_a_pair)
{
	uint8_t frame[256];
	size_t len;

	pair_up();
	setup.set.advskew = 0;
	begin("love");
	cr_expect_geq(until(CARP_MASTER, 6000), 0);
	watch();
	until(CARP_INIT, 1500);
	len = sent(ETH_P_IP, frame);
	cr_expect_eq(len, 14u + 20 + 36 + EXT_SENT);
	cr_expect_eq(inet_checksum(inet_sum(frame + 34, CARP_LEN, 0)), 0, "that of the advert");
	cr_expect_eq(inet_checksum(inet_sum(frame + 34, len - 34, 0)), 0, "that of the whole, to who takes that");
	ucarp_start("100", "love", false);
	cr_expect(!ucarp_advertises(6000), "it hears that there is a master");
	facts.disabled = true;
	vhids_facts(v, &facts, &node, now_ns());
	cr_expect(ucarp_advertises(6000), "it takes over");
}

Test(vhids, a_node_of_a_pair_yields_to_a_plain_one_if_that_is_wanted)
{
	pair_up();
	setup.plain_peers = true;
	ucarp_start("0", "love", false);
	begin("love");
	cr_expect_eq(until(CARP_MASTER, 6000), -1);
	cr_expect(shown().received >= 2 && !shown().bad);
}

Test(vhids, a_node_of_a_pair_does_not_believe_a_plain_one)
{
	pair_up();
	ucarp_start("0", "love", false);
	begin("love");
	cr_expect_geq(until(CARP_MASTER, 6000), 0);
	cr_expect_eq(until(CARP_BACKUP, 3000), -1);
	cr_expect(shown().bad >= 2 && !shown().received);
}

/* ---- */

/* Of 192.0.2.LAST */
static unsigned int announced(uint8_t last)
{
	uint8_t frame[256];
	unsigned int n = 0;

	while (sent(ETH_P_ARP, frame))
		n += frame[31] == last && frame[41] == last;
	return n;
}

Test(vhids, a_master_announces_what_it_gets)
{
	setup.set.fast_ms = 50;
	setup.announce_repeat = 0;
	begin("love");
	cr_expect_geq(until(CARP_MASTER, 3000), 0);
	watch();
	addr_parse("192.0.2.101", &addresses[1].addr);
	setup.n_addresses = 2;
	begin("love");
	cr_expect_eq(announced(101), 1u);
	begin("love");
	cr_expect_eq(announced(101), 0u, "nothing is new");
	setup.announce_refresh_s = 1;
	begin("love");
	cr_expect_eq(announced(100), 1u);
	until(CARP_INIT, 1200);
	cr_expect_geq(announced(100), 1u, "refreshed");
}

Test(vhids, bows_out)
{
	uint8_t frame[256], last[256] = { 0 };

	setup.set.advbase_s = 1;
	setup.set.fast_ms = 50;
	begin("love");
	cr_expect_geq(until(CARP_MASTER, 3000), 0);
	watch();
	facts.disabled = true;
	vhids_facts(v, &facts, &node, now_ns());
	cr_expect_eq(shown().carp.role, CARP_DISABLED);
	cr_expect_eq(leases[1], 0u);
	while (sent(ETH_P_IP, frame))
		memcpy(last, frame, sizeof(last));
	cr_expect_arr_eq(last + 34, ((uint8_t[]){ 0x21, VHID, 255, 7, 0, 255 }), 6);
}

Test(vhids, a_dead_daemons_lease_goes_on_until_a_master_is_heard)
{
	leases[1] = UINT64_MAX;
	setup.leased = true;
	ucarp_start("0", "love", false);
	begin("love");
	cr_expect_eq(shown().carp.role, CARP_BACKUP);
	cr_expect(shown().owns);
	cr_expect_eq(leases[1], UINT64_MAX);
	cr_expect_eq(until(CARP_MASTER, 5000), -1);
	cr_expect(!shown().owns);
	cr_expect_eq(leases[1], 0u);
}

Test(vhids, all_go_together)
{
	struct vhid_setup both[2] = { setup, setup };
	struct vhid_facts their[2] = { facts, facts };
	struct vhid_view views[2];

	run("ip link add dmz type veth peer name dmz1 && ip addr add 198.51.100.1/24 dev dmz && ip link set dmz up");
	carp_key_make(&key, VHID, "love", 4, addresses, 1);
	both[0].set = both[1].set = (struct carp_settings){ .fast_ms = 20 };
	both[1].ifindex = if_nametoindex("dmz");
	both[1].lease = 2;
	cr_assert_eq(vhids_configure(v, both, 2, now_ns()), 0);
	cr_expect_eq(vhids_device(v, 0), both[0].ifindex);
	cr_expect_eq(vhids_device(v, 1), both[1].ifindex);
	cr_expect_eq(vhids_device(v, 2), 0u);
	vhids_link(v, both[0].ifindex, true, now_ns());
	vhids_link(v, both[1].ifindex, true, now_ns());
	vhids_facts(v, their, &node, now_ns());
	cr_expect_geq(until(CARP_MASTER, 1000), 0);
	until(CARP_INIT, 100);
	vhids_link(v, both[1].ifindex, false, now_ns());
	cr_expect_eq(vhids_show(v, views, 2), 2u);
	cr_expect(views[0].carp.role == CARP_MASTER && views[0].carp.demotion == VHID_DEMOTION);
	cr_expect(views[1].carp.role == CARP_INIT && leases[2] == 0);
	vhids_link(v, both[1].ifindex, true, now_ns());
	vhids_show(v, views, 2);
	cr_expect(views[0].carp.demotion == 0 && views[1].carp.role == CARP_BACKUP);
	their[1] = (struct vhid_facts){ .disabled = false };
	vhids_facts(v, their, &node, now_ns());
	vhids_show(v, views, 2);
	cr_expect(views[0].demotions.held == VHID_DEMOTION && views[1].carp.role == CARP_INIT);
	their[1].disabled = true;
	vhids_facts(v, their, &node, now_ns());
	vhids_show(v, views, 2);
	cr_expect_eq(views[0].carp.demotion, 0u, "people have said so of that one alone");
}
