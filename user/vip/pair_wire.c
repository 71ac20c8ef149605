// SPDX-License-Identifier: GPL-2.0-only
#include "user/vip/pair_wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <linux/rtnetlink.h>
#include <netinet/icmp6.h>
#include <netinet/if_ether.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "user/vip/beat.h"

#define BATCH 32
#define CONTROL 0xc0 /* CS6 */
#define PRIORITY 7   /* TC_PRIO_CONTROL */

static const uint8_t virtual_mac[5] = { 0x00, 0x00, 0x5e, 0x00, 0x01 };

/* ---- opening ---- */

static int set(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) ? -errno : 0;
}

union name {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

static socklen_t name_of(const struct pair_wire *wire, const struct addr *addr, union name *name)
{
	*name = (union name){ .in6 = { 0 } };
	if (addr->family == AF_INET) {
		name->in = (struct sockaddr_in){ .sin_family = AF_INET,
						 .sin_port = htons(wire->port),
						 .sin_addr = addr->v4 };
		return sizeof(name->in);
	}
	name->in6 = (struct sockaddr_in6){ .sin6_family = AF_INET6,
					   .sin6_port = htons(wire->port),
					   .sin6_addr = addr->v6,
					   .sin6_scope_id = addr_is_link_local(addr) ? wire->ifindex : 0 };
	return sizeof(name->in6);
}

/* The address need not be there yet. */
static int beats_open(struct pair_wire *wire)
{
	bool six = wire->local.family == AF_INET6;
	int fd = socket(wire->local.family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), err;
	union name name;
	socklen_t len = name_of(wire, &wire->local, &name);

	if (fd < 0)
		return -errno;
	wire->fd[PAIR_BEATS] = fd;
	err = set(fd, SOL_SOCKET, SO_BINDTOIFINDEX, (int)wire->ifindex);
	err = err ?: set(fd, six ? IPPROTO_IPV6 : IPPROTO_IP, six ? IPV6_FREEBIND : IP_FREEBIND, 1);
	err = err ?: set(fd, six ? IPPROTO_IPV6 : IPPROTO_IP, six ? IPV6_TCLASS : IP_TOS, CONTROL);
	err = err ?: set(fd, SOL_SOCKET, SO_PRIORITY, PRIORITY);
	return err ?: bind(fd, &name.any, len) ? -errno : 0;
}

/* An ARP packet whose sender has a virtual MAC */
static int arp_open(struct pair_wire *wire)
{
	static struct sock_filter program[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct ether_arp, arp_sha)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x00005e00, 0, 3),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, offsetof(struct ether_arp, arp_sha) + 4),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x01, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, sizeof(struct ether_arp)),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog filter = { .len = sizeof(program) / sizeof(*program), .filter = program };
	struct sockaddr_ll name = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ARP) };
	int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	wire->fd[PAIR_ARP] = fd;
	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)) ||
	    bind(fd, (struct sockaddr *)&name, sizeof(name)))
		return -errno;
	return 0;
}

static int na_open(struct pair_wire *wire)
{
	int fd = socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_ICMPV6), err;
	struct icmp6_filter filter;

	if (fd < 0)
		return errno == EAFNOSUPPORT ? 0 : -errno;
	wire->fd[PAIR_NA] = fd;
	ICMP6_FILTER_SETBLOCKALL(&filter);
	ICMP6_FILTER_SETPASS(ND_NEIGHBOR_ADVERT, &filter);
	err = setsockopt(fd, IPPROTO_ICMPV6, ICMP6_FILTER, &filter, sizeof(filter)) ? -errno : 0;
	err = err ?: set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
	return err ?: set(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);
}

static void shut(struct pair_wire *wire, unsigned int which)
{
	if (wire->fd[which] >= 0)
		close(wire->fd[which]);
	wire->fd[which] = -1;
}

static int open_one(struct pair_wire *wire, unsigned int which)
{
	static int (*const opens[PAIR_EVENTS])(struct pair_wire *) = { beats_open, arp_open, na_open };
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = wire->first_event + which };
	int err;

	if (wire->fd[which] >= 0)
		return 0;
	err = opens[which](wire);
	if (!err && wire->fd[which] >= 0 && epoll_ctl(wire->epoll, EPOLL_CTL_ADD, wire->fd[which], &event))
		err = -errno;
	if (err)
		shut(wire, which);
	return err;
}

void pair_wire_init(struct pair_wire *wire, int epoll, uint64_t first_event)
{
	*wire = (struct pair_wire){ .epoll = epoll, .first_event = first_event, .fd = { -1, -1, -1 }, .stats = -1 };
}

void pair_wire_close(struct pair_wire *wire)
{
	for (unsigned int i = 0; i < PAIR_EVENTS; i++)
		shut(wire, i);
	if (wire->stats >= 0)
		close(wire->stats);
	wire->stats = -1;
}

int pair_wire_configure(struct pair_wire *wire, const struct pair_setup *setup)
{
	int err = 0;

	if (!setup->n_peers) {
		pair_wire_close(wire);
		return 0;
	}
	if (wire->ifindex != setup->ifindex || wire->port != setup->port || !addr_equal(&wire->local, &setup->local))
		shut(wire, PAIR_BEATS);
	wire->ifindex = setup->ifindex;
	wire->port = setup->port;
	wire->local = setup->local;
	if (wire->stats < 0)
		wire->stats = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	for (unsigned int i = setup->ifindex ? PAIR_BEATS : PAIR_ARP; i < PAIR_EVENTS; i++)
		err = open_one(wire, i) ?: err;
	return err;
}

/* ---- beats ---- */

int pair_wire_send(const struct pair_wire *wire, const struct addr *to, const void *data, size_t len)
{
	union name name;
	socklen_t name_len = name_of(wire, to, &name);

	if (wire->fd[PAIR_BEATS] < 0)
		return -ENODEV;
	return sendto(wire->fd[PAIR_BEATS], data, len, MSG_DONTWAIT, &name.any, name_len) < 0 ? -errno : 0;
}

void pair_wire_beats(const struct pair_wire *wire,
		     void (*each)(void *arg, const struct addr *from, const uint8_t *data, size_t len), void *arg)
{
	uint8_t data[BEAT_MAX + 1];

	for (int i = 0; i < BATCH; i++) {
		union name name = { .in6 = { 0 } };
		socklen_t len = sizeof(name);
		ssize_t n = recvfrom(wire->fd[PAIR_BEATS], data, sizeof(data), MSG_DONTWAIT, &name.any, &len);
		struct addr from = { .family = name.any.sa_family };

		if (n < 0)
			return;
		if (from.family == AF_INET6)
			from.v6 = name.in6.sin6_addr;
		else
			from.v4 = name.in.sin_addr;
		each(arg, &from, data, (size_t)n);
	}
}

/* ---- announcements ---- */

typedef void (*announced)(void *arg, uint32_t ifindex, uint8_t vhid, const struct addr *address);

/* true: there may be more */
static bool take_arp(int fd, announced each, void *arg)
{
	struct sockaddr_ll from = { .sll_family = AF_PACKET };
	socklen_t len = sizeof(from);
	struct ether_arp arp = { .arp_sha = { 0 } };
	ssize_t n = recvfrom(fd, &arp, sizeof(arp), MSG_DONTWAIT, (struct sockaddr *)&from, &len);
	struct addr address = { .family = AF_INET };

	if (n < 0)
		return false;
	if (n < (ssize_t)sizeof(arp) || arp.ea_hdr.ar_pro != htons(ETHERTYPE_IP) || arp.ea_hdr.ar_pln != 4 ||
	    memcmp(arp.arp_spa, arp.arp_tpa, 4) != 0)
		return true;
	memcpy(&address.v4, arp.arp_spa, 4);
	each(arg, (uint32_t)from.sll_ifindex, arp.arp_sha[5], &address);
	return true;
}

struct na {
	struct nd_neighbor_advert na;
	struct nd_opt_hdr option;
	uint8_t mac[ETH_ALEN];
} __attribute__((packed));

static void read_control(struct msghdr *message, uint32_t *ifindex, int *hops)
{
	struct in6_pktinfo info;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		if (c->cmsg_level != IPPROTO_IPV6)
			continue;
		if (c->cmsg_type == IPV6_HOPLIMIT)
			memcpy(hops, CMSG_DATA(c), sizeof(*hops));
		if (c->cmsg_type != IPV6_PKTINFO)
			continue;
		memcpy(&info, CMSG_DATA(c), sizeof(info));
		*ifindex = info.ipi6_ifindex;
	}
}

static bool take_na(int fd, announced each, void *arg)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(int))];
	} control;
	struct na na;
	struct iovec part = { .iov_base = &na, .iov_len = sizeof(na) };
	struct msghdr message = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
	};
	ssize_t n = recvmsg(fd, &message, MSG_DONTWAIT);
	struct addr address = { .family = AF_INET6 };
	uint32_t ifindex = 0;
	int hops = 0;

	if (n < 0)
		return false;
	read_control(&message, &ifindex, &hops);
	if (n < (ssize_t)sizeof(na) || hops != 255 || na.option.nd_opt_type != ND_OPT_TARGET_LINKADDR ||
	    memcmp(na.mac, virtual_mac, sizeof(virtual_mac)) != 0)
		return true;
	address.v6 = na.na.nd_na_target;
	each(arg, ifindex, na.mac[5], &address);
	return true;
}

void pair_wire_announcements(const struct pair_wire *wire, unsigned int event, announced each, void *arg)
{
	bool more = true;

	for (int i = 0; i < BATCH && more; i++)
		more = event == PAIR_ARP ? take_arp(wire->fd[PAIR_ARP], each, arg)
					 : take_na(wire->fd[PAIR_NA], each, arg);
}

/* ---- what a device has received ---- */

static bool find_count(const struct nlmsghdr *header, uint64_t *packets)
{
	const struct if_stats_msg *stats = NLMSG_DATA(header);
	int left = (int)header->nlmsg_len - (int)NLMSG_LENGTH(sizeof(*stats));
	const struct rtattr *a = (const void *)((const char *)stats + NLMSG_ALIGN(sizeof(*stats)));

	if (header->nlmsg_type != RTM_NEWSTATS)
		return false;
	for (; RTA_OK(a, left); a = RTA_NEXT(a, left)) {
		if (a->rta_type != IFLA_STATS_LINK_64 || RTA_PAYLOAD(a) < sizeof(*packets))
			continue;
		memcpy(packets, (const char *)RTA_DATA(a) + offsetof(struct rtnl_link_stats64, rx_packets),
		       sizeof(*packets));
		return true;
	}
	return false;
}

/* The kernel has answered before sendto() returns. */
bool pair_wire_received(const struct pair_wire *wire, uint32_t ifindex, uint64_t *packets)
{
	struct {
		struct nlmsghdr header;
		struct if_stats_msg stats;
	} ask = { .header = { .nlmsg_len = sizeof(ask), .nlmsg_type = RTM_GETSTATS, .nlmsg_flags = NLM_F_REQUEST },
		  .stats = { .ifindex = ifindex, .filter_mask = IFLA_STATS_FILTER_BIT(IFLA_STATS_LINK_64) } };
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	char answer[1024] __attribute__((aligned(NLMSG_ALIGNTO)));
	ssize_t n;

	if (sendto(wire->stats, &ask, sizeof(ask), MSG_DONTWAIT, (struct sockaddr *)&kernel, sizeof(kernel)) < 0)
		return false;
	n = recv(wire->stats, answer, sizeof(answer), MSG_DONTWAIT);
	return n > 0 && NLMSG_OK((struct nlmsghdr *)answer, n) && find_count((struct nlmsghdr *)answer, packets);
}
