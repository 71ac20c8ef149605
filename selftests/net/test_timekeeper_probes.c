// SPDX-License-Identifier: GPL-2.0-only
/* The timekeeper's probes on a real kernel: all kinds, what they bear, by devices of every kind. Needs root. */
#include "selftests/net/test_timekeeper.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

TestSuite(timekeeper_probes, .init = near_open, .fini = near_close, .timeout = 60);

Test(timekeeper_probes, all_kinds_of_probes_are_answered_without_a_route)
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
		near_gateway(kinds[i].name, kinds[i].type, kinds[i].port, kinds[i].target);
	near_configure();
	cr_expect(timekeeper_is_locked(near.tk));
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		cr_expect_geq(near_until_up(i + 1, true, 2000), 0, "%s: %s", kinds[i].name, near_reason(kinds[i].name));
	usleep(1500000);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		struct timekeeper_gateway_view view = near_view(kinds[i].name);

		cr_expect_eq(view.view.status, MONITOR_UP, "%s: %s", kinds[i].name, near_reason(kinds[i].name));
		cr_expect_eq(view.view.loss_pct, 0, "%s: %f %%", kinds[i].name, view.view.loss_pct);
		cr_expect(view.view.has_rtt);
		cr_expect_lt(view.view.rtt_us, 20000u, "%s: %u us", kinds[i].name, view.view.rtt_us);
	}
}

Test(timekeeper_probes, a_refusal_is_no_answer)
{
	near_gateway("refused", CONFIG_PROBE_TCP, 81, "198.51.100.52");
	near_gateway("rcode", CONFIG_PROBE_DNS, 0, "198.51.100.54");
	near_configure();
	cr_expect(near_reason_has("refused", "lost in a row: the connection was refused", 4000), "%s",
		  near_reason("refused"));
	cr_expect(near_reason_has("rcode", "lost in a row: answered with DNS error 5", 4000), "%s",
		  near_reason("rcode"));
	cr_expect_not(near.up[1]);
	cr_expect_not(near.up[2]);
}

/* As the programs at the egress see it */
Test(timekeeper_probes, probes_bear_their_mark)
{
	struct sockaddr_ll name = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP) };
	int fd = socket(AF_PACKET, SOCK_DGRAM, 0), one = 1;
	bool seen = false;

	name.sll_ifindex = (int)if_nametoindex("wan");
	cr_assert_eq(bind(fd, (struct sockaddr *)&name, sizeof(name)), 0);
	name.sll_protocol = htons(ETH_P_ALL);
	cr_assert_eq(bind(fd, (struct sockaddr *)&name, sizeof(name)), 0);
	cr_assert_eq(setsockopt(fd, SOL_SOCKET, 75 /* SO_RCVMARK */, &one, sizeof(one)), 0);
	near_gateway("unused", CONFIG_PROBE_ICMP, 0, "2001:db8:1::51");
	near_gateway("gw", CONFIG_PROBE_ICMP, 0, "198.51.100.51");
	near_configure();
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
Test(timekeeper_probes, tcp_probes_to_one_target_come_from_other_ports)
{
	struct sockaddr_ll name = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
	struct timeval patience = { .tv_sec = 5 };
	int fd = socket(AF_PACKET, SOCK_DGRAM, 0), resets = 0;
	struct tcphdr seen[40];

	name.sll_ifindex = (int)if_nametoindex("wan");
	cr_assert_eq(bind(fd, (struct sockaddr *)&name, sizeof(name)), 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	near_gateway("one", CONFIG_PROBE_TCP, 80, "198.51.100.52");
	near_gateway("two", CONFIG_PROBE_TCP, 80, "198.51.100.52");
	near_configure();
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
	near_far(command);
	return true;
}

Test(timekeeper_probes, devices_of_every_kind)
{
	char command[64], name[16];
	int tried = 0;

	for (int i = 0; i < (int)(sizeof(kinds) / sizeof(*kinds)); i++) {
		if (!add_kind(&kinds[i], i))
			continue;
		tried++;
		near.plan.n_gateways = 0;
		near_gateway(kinds[i].type, CONFIG_PROBE_ICMP, 0, kinds[i].v6 ? "2001:db8:9::2" : "10.99.0.2");
		snprintf(name, sizeof(name), "k%d", i);
		near.plan_gateways[0].path.probe.ifindex = if_nametoindex(name);
		near.plan_gateways[0].path.probe.sources[0] = addr("10.99.0.1");
		near.plan_gateways[0].path.probe.sources[1] = addr("2001:db8:9::1");
		near_configure();
		cr_expect_geq(near_until_up(1, true, 3000), 0, "%s: %s", kinds[i].type, near_reason(kinds[i].type));
		run("ip link del k%d", i);
		snprintf(command, sizeof(command), "ip link del k%d", i);
		near_far(command);
		cr_expect_geq(near_until_up(1, false, 1000), 0);
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
	uint64_t begin = near_now_ns();
	unsigned int seen = 0;
	uint8_t data[256];
	ssize_t n;

	while (near_now_ns() - begin < ms * MS) {
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
	near_gateway("gw", CONFIG_PROBE_ICMP, 0, "203.0.113.9");
	near.plan_gateways[0].path.probe.ifindex = if_nametoindex("tun0");
	near.plan_gateways[0].path.probe.sources[0] = addr("203.0.113.1");
	near_configure();
	return fd;
}

Test(timekeeper_probes, a_device_without_ethernet_header)
{
	int fd = tun_gateway();

	cr_expect_gt(answer_tun(fd, 500, NOTHING), 2u);
	cr_expect(near.up[1], "%s", near_reason("gw"));
	close(fd);
}

Test(timekeeper_probes, answers_of_others_are_none)
{
	int fd = tun_gateway();

	cr_expect_gt(answer_tun(fd, 600, COOKIE), 2u);
	cr_expect_gt(answer_tun(fd, 600, SOURCE), 2u);
	cr_expect_not(near.up[1]);
	answer_tun(fd, 2000, NOTHING);
	cr_expect(near.up[1], "%s", near_reason("gw"));
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
	uint64_t begin = near_now_ns();
	unsigned int seen = 0;

	while (near_now_ns() - begin < ms * MS) {
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
Test(timekeeper_probes, tcp6_answers_with_a_wrong_checksum_are_none)
{
	int fd = open_tun("tun0");

	run("ip addr add 2001:db8:9::1/64 dev tun0 nodad && ip link set tun0 up");
	near_gateway("gw", CONFIG_PROBE_TCP, 80, "2001:db8:9::2");
	near.plan_gateways[0].path.probe.ifindex = if_nametoindex("tun0");
	near.plan_gateways[0].path.probe.sources[1] = addr("2001:db8:9::1");
	near_configure();
	cr_expect_gt(answer_syns(fd, 500, 1), 2u);
	cr_expect_not(near.up[1]);
	cr_expect_gt(answer_syns(fd, 1000, 0), 2u);
	cr_expect(near.up[1], "%s", near_reason("gw"));
	close(fd);
}
