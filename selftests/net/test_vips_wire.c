// SPDX-License-Identifier: GPL-2.0-only
#include "selftests/net/test_vips.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "selftests/unit/config_of.h"

static const uint8_t far_mac[6] = { 2, 0, 0, 0, 0, 2 };

struct vips_lab lab;

static pid_t far_process;

/* ---- the two ends ---- */

static int wire_of(const char *device)
{
	struct sockaddr_ll name = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	name.sll_ifindex = (int)if_nametoindex(device);
	cr_assert(fd >= 0 && name.sll_ifindex && bind(fd, (struct sockaddr *)&name, sizeof(name)) == 0);
	return fd;
}

void vips_far_wires(void)
{
	int here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), there;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)far_process);
	there = open(path, O_RDONLY | O_CLOEXEC);
	cr_assert_eq(setns(there, CLONE_NEWNET), 0);
	run("ip link set far arp off up && ip link set net arp off up");
	lab.far = wire_of("far");
	lab.net = wire_of("net");
	if (!lab.vlans) {
		run("ip link set far7 arp off up");
		lab.far7 = wire_of("far7");
	}
	cr_assert_eq(setns(here, CLONE_NEWNET), 0);
	close(here);
	close(there);
}

void vips_apply(const char *text)
{
	struct config_report report = {};
	struct config *next = config_of(text);
	char *why = NULL;

	settle();
	cr_assert_eq(datapath_apply(lab.dp, next, &report, &why), 0, "%s", why);
	config_report_free(&report);
	config_free(lab.config);
	lab.config = next;
	datapath_refresh(lab.dp, settle());
}

void vips_add_lan7(void)
{
	if (lab.vlans)
		run("ip link add link lan name lan.7 type vlan id 7");
	else
		run("ip link add lan.7 type veth peer name far7 netns %d", (int)far_process);
}

void set_up_vips(void)
{
	set_up();
	snprintf(lab.instance, sizeof(lab.instance), "vips-test-%d", (int)getpid());
	cr_assert_eq(sysctl_set("net.ipv6.conf.default.disable_ipv6", "0"), 0);
	far_process = far_namespace();
	run("ip link add lan address 02:00:00:00:00:01 type veth peer name far address 02:00:00:00:00:02 netns %d",
	    (int)far_process);
	run("ip link add wan address 02:00:00:00:01:01 type veth peer name net address 02:00:00:00:01:02 netns %d",
	    (int)far_process);
	lab.vlans = system("ip link add link lan name lan.7 type vlan id 7 2>/dev/null") == 0;
	if (!lab.vlans)
		vips_add_lan7();
	run("ip link set lan up; ip link set lan.7 up; ip link set wan up");
	run("ip addr add 192.0.2.1/24 dev lan; ip addr add 2001:db8:2::1/64 dev lan nodad; "
	    "ip addr add 198.51.100.1/24 dev lan.7; ip addr add 203.0.113.1/24 dev wan");
	run("ip neigh add 203.0.113.9 lladdr 02:00:00:00:01:02 dev wan; ip neigh add 192.0.2.9 lladdr 02:00:00:00:00:02 dev lan");
	vips_far_wires();
	settle();
	cr_assert_eq(datapath_open(&lab.dp, lab.instance, sys, NULL), 0);
}

void tear_down_vips(void)
{
	if (lab.dp) {
		datapath_unload(lab.dp);
		datapath_close(lab.dp);
	}
	config_free(lab.config);
	if (far_process > 0)
		kill(far_process, SIGKILL);
	tear_down();
}

/* ---- frames ---- */

static uint16_t sum(const uint8_t *p, size_t n, uint32_t s)
{
	for (size_t i = 0; i + 1 < n; i += 2)
		s += (uint32_t)(p[i] << 8 | p[i + 1]);
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return (uint16_t)~s;
}

static void put16(uint8_t *p, unsigned int v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

/* Ethernet, with a tag if vid; where the rest goes. */
static uint8_t *ether(struct frame *f, const uint8_t *to, uint16_t type, unsigned int vid)
{
	size_t n = 12;

	memset(f, 0, sizeof(*f));
	memcpy(f->b, to, 6);
	memcpy(f->b + 6, far_mac, 6);
	if (vid) {
		put16(f->b + n, ETH_P_8021Q);
		put16(f->b + n + 2, vid);
		n += 4;
	}
	put16(f->b + n, type);
	f->n = n + 2;
	return f->b + f->n;
}

static void send_frame(int wire, const struct frame *f)
{
	cr_assert_eq(send(wire, f->b, f->n, 0), (ssize_t)f->n);
}

void send_ip(const uint8_t *mac, unsigned int vid, const char *src, const char *dst, uint8_t protocol, uint16_t mark)
{
	struct frame f;
	uint8_t *ip = ether(&f, mac, ETH_P_IP, lab.vlans ? vid : 0);

	memcpy(ip, (uint8_t[]){ 0x45, 0, 0, 28, 0, 0, 0, 0, 64, protocol }, 10);
	put16(ip + 4, mark);
	inet_pton(AF_INET, src, ip + 12);
	inet_pton(AF_INET, dst, ip + 16);
	put16(ip + 10, sum(ip, 20, 0));
	if (protocol == 1) {
		ip[20] = 8;
		put16(ip + 26, mark);
		put16(ip + 22, sum(ip + 20, 8, 0));
	} else {
		put16(ip + 20, mark);
		put16(ip + 22, mark);
		put16(ip + 24, 8);
	}
	f.n += 28;
	send_frame(vid && !lab.vlans ? lab.far7 : lab.far, &f);
}

void send_arp(const char *target)
{
	struct frame f;
	uint8_t *arp = ether(&f, (uint8_t[]){ 255, 255, 255, 255, 255, 255 }, ETH_P_ARP, 0);

	memcpy(arp, (uint8_t[]){ 0, 1, 8, 0, 6, 4, 0, 1 }, 8);
	memcpy(arp + 8, far_mac, 6);
	inet_pton(AF_INET, "192.0.2.9", arp + 14);
	inet_pton(AF_INET, target, arp + 24);
	f.n += 28;
	send_frame(lab.far, &f);
}

uint16_t icmp6_sum(const uint8_t *ip, size_t n)
{
	return sum(ip + 40, n, (uint32_t)(uint16_t)~sum(ip + 8, 32, (uint32_t)n + 58));
}

void send_solicitation(const char *target)
{
	uint8_t to[6] = { 0x33, 0x33, 0xff }, address[16];
	struct frame f;
	uint8_t *ip;

	inet_pton(AF_INET6, target, address);
	memcpy(to + 3, address + 13, 3);
	ip = ether(&f, to, ETH_P_IPV6, 0);
	memcpy(ip, (uint8_t[]){ 0x60, 0, 0, 0, 0, 32, 58, 255 }, 8);
	inet_pton(AF_INET6, "fe80::9", ip + 8);
	inet_pton(AF_INET6, "ff02::1:ff00:0", ip + 24);
	memcpy(ip + 37, address + 13, 3);
	ip[40] = 135;
	memcpy(ip + 48, address, 16);
	memcpy(ip + 64, (uint8_t[]){ 1, 1 }, 2);
	memcpy(ip + 66, far_mac, 6);
	put16(ip + 42, icmp6_sum(ip, 32));
	f.n += 72;
	send_frame(lab.far, &f);
}

void send_datagram(const char *src, const char *dst, uint16_t mark)
{
	static const uint8_t wan_mac[6] = { 2, 0, 0, 0, 1, 1 };
	struct frame f;
	uint8_t *ip = ether(&f, wan_mac, ETH_P_IP, 0);

	memcpy(ip, (uint8_t[]){ 0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17 }, 10);
	inet_pton(AF_INET, src, ip + 12);
	inet_pton(AF_INET, dst, ip + 16);
	put16(ip + 10, sum(ip, 20, 0));
	put16(ip + 20, mark);
	put16(ip + 22, PORT);
	put16(ip + 24, 8);
	f.n += 28;
	send_frame(lab.net, &f);
}

bool comes(int wire, wanted_fn *wanted, const void *arg, wanted_fn *last, const void *last_arg, struct frame *f)
{
	struct pollfd p = { .fd = wire, .events = POLLIN };
	struct sockaddr_ll from;

	while (poll(&p, 1, PATIENCE_MS) == 1) {
		socklen_t len = sizeof(from);
		ssize_t n = recvfrom(wire, f->b, sizeof(f->b), 0, (struct sockaddr *)&from, &len);

		if (n <= 0 || from.sll_pkttype == PACKET_OUTGOING)
			continue;
		f->n = (size_t)n;
		if (wanted(f, arg))
			return true;
		if (last && last(f, last_arg))
			return false;
	}
	cr_assert(!last, "nothing came");
	return false;
}

bool has_mark(const struct frame *f, const void *mark)
{
	return f->b[12] == 8 && f->b[13] == 0 && (f->b[18] << 8 | f->b[19]) == *(const uint16_t *)mark;
}

bool is_arp_from(const struct frame *f, const void *address)
{
	uint8_t sender[4];

	inet_pton(AF_INET, address, sender);
	return f->b[12] == 8 && f->b[13] == 6 && memcmp(f->b + 28, sender, 4) == 0;
}

bool is_advert_of(const struct frame *f, const void *address)
{
	uint8_t target[16];

	inet_pton(AF_INET6, address, target);
	return f->b[12] == 0x86 && f->b[13] == 0xdd && f->b[20] == 58 && f->b[54] == 136 &&
	       memcmp(f->b + 62, target, 16) == 0;
}

bool is_ip_from(const struct frame *f, const void *address)
{
	uint8_t source[4];

	inet_pton(AF_INET, address, source);
	return f->b[12] == 8 && f->b[13] == 0 && memcmp(f->b + 26, source, 4) == 0;
}

/* ---- leases ---- */

uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

int lease_of(const char *vip)
{
	return datapath_vip_lease(lab.dp, config_find_vip(lab.config, vip));
}

void lease(const char *vip, uint64_t until)
{
	datapath_leases(lab.dp)[lease_of(vip)] = until;
}

void own(const char *vip, bool on)
{
	cr_assert_eq(datapath_vip_own(lab.dp, config_find_vip(lab.config, vip), on), 0);
	datapath_refresh(lab.dp, settle());
}

long long not_owners(void)
{
	json_t *drops = datapath_show_drops(lab.dp), *drop;
	long long n = 0;
	size_t i;

	json_array_foreach(drops, i, drop)
		if (!strcmp(text(drop, "reason"), "not-owner"))
			n += number(drop, "packets");
	json_decref(drops);
	return n;
}
