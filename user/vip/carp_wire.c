// SPDX-License-Identifier: GPL-2.0-only
#include "user/vip/carp_wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "user/lib/log.h"
#include "user/vip/carp_packet.h"
#include "user/lib/inet_sum.h"

#define BATCH 32
#define DATA_MAX 512 /* bytes of a packet that are looked at */
#define TTL 255
#define TOS 0x10 /* low delay, as all of them send it */

struct carp_wire {
	uint64_t first_event;
	int raw[2]; /* IPv4, IPv6; -1: this kernel has none */
	int out;
	uint8_t data[DATA_MAX];
};

static const int families[2] = { AF_INET, AF_INET6 };
static const struct in6_addr group6 = { .s6_addr = { 0xff, 0x02, [15] = 0x12 } };

/* ---- sockets ---- */

static int set(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) ? -errno : 0;
}

static const struct option {
	int family, level, option, value;
} options[] = {
	{ AF_INET, IPPROTO_IP, IP_TTL, TTL },
	{ AF_INET, IPPROTO_IP, IP_TOS, TOS },
	{ AF_INET, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO }, /* don't fragment */
	{ AF_INET, IPPROTO_IP, IP_PKTINFO, 1 },
	{ AF_INET, IPPROTO_IP, IP_RECVTTL, 1 },
	{ AF_INET, IPPROTO_IP, IP_MULTICAST_ALL, 0 },
	{ AF_INET6, IPPROTO_IPV6, IPV6_UNICAST_HOPS, TTL },
	{ AF_INET6, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1 },
	{ AF_INET6, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1 },
	{ AF_INET6, IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0 },
};

static int prepare(int fd, int family)
{
	int err = 0;

	for (size_t i = 0; i < sizeof(options) / sizeof(*options) && !err; i++)
		if (options[i].family == family)
			err = set(fd, options[i].level, options[i].option, options[i].value);
	return err;
}

static int open_raw(struct carp_wire *wire, unsigned int i, int epoll)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = wire->first_event + i };
	int fd = socket(families[i], SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, CARP_PROTO), err;

	if (fd < 0)
		return errno == EAFNOSUPPORT ? 0 : log_ret(errno, "vips: raw socket");
	wire->raw[i] = fd;
	err = prepare(fd, families[i]);
	if (!err && epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
		err = -errno;
	return err ? log_ret(err, "vips: raw socket") : 0;
}

int carp_wire_open(struct carp_wire **out, int epoll, uint64_t first_event)
{
	struct carp_wire *wire = calloc(1, sizeof(*wire));
	int err;

	if (!wire)
		return log_ret(ENOMEM, "vips");
	*wire = (struct carp_wire){ .first_event = first_event, .raw = { -1, -1 } };
	wire->out = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	err = wire->out < 0 ? log_ret(errno, "vips: packet socket") : open_raw(wire, 0, epoll);
	err = err ? err : open_raw(wire, 1, epoll);
	if (err) {
		carp_wire_close(wire);
		return err;
	}
	*out = wire;
	return 0;
}

void carp_wire_close(struct carp_wire *wire)
{
	if (!wire)
		return;
	for (unsigned int i = 0; i < 2; i++)
		if (wire->raw[i] >= 0)
			close(wire->raw[i]);
	if (wire->out >= 0)
		close(wire->out);
	free(wire);
}

/* The kernel joins with the device's own address, which need not be there yet. */
static int membership(struct carp_wire *wire, uint32_t ifindex, bool join)
{
	struct ip_mreqn group4 = { .imr_multiaddr.s_addr = htonl(0xe0000012), .imr_ifindex = (int)ifindex };
	struct ipv6_mreq group = { .ipv6mr_multiaddr = group6, .ipv6mr_interface = ifindex };
	int err = 0;

	if (wire->raw[0] >= 0 && setsockopt(wire->raw[0], IPPROTO_IP, join ? IP_ADD_MEMBERSHIP : IP_DROP_MEMBERSHIP,
					    &group4, sizeof(group4)))
		err = -errno;
	if (wire->raw[1] >= 0 &&
	    setsockopt(wire->raw[1], IPPROTO_IPV6, join ? IPV6_JOIN_GROUP : IPV6_LEAVE_GROUP, &group, sizeof(group)))
		err = err ? err : -errno;
	return err;
}

int carp_wire_join(struct carp_wire *wire, uint32_t ifindex)
{
	return membership(wire, ifindex, true);
}

void carp_wire_leave(struct carp_wire *wire, uint32_t ifindex)
{
	membership(wire, ifindex, false);
}

/* ---- sending ---- */

struct frame {
	struct ether_header eth;
	union {
		struct {
			struct ip ip;
			uint8_t data[DATA_MAX];
		} v4;
		struct {
			struct ip6_hdr ip;
			uint8_t data[DATA_MAX];
		} v6;
	};
} __attribute__((packed));

static size_t frame4(struct frame *f, const struct carp_path *path, const void *advert, size_t len)
{
	static const uint8_t to[6] = { 0x01, 0x00, 0x5e, 0x00, 0x00, 0x12 };

	memcpy(f->eth.ether_dhost, to, sizeof(to));
	f->eth.ether_type = htons(ETHERTYPE_IP);
	f->v4.ip = (struct ip){ .ip_v = 4,
				.ip_hl = sizeof(f->v4.ip) / 4,
				.ip_tos = TOS,
				.ip_len = htons((uint16_t)(sizeof(f->v4.ip) + len)),
				.ip_off = htons(IP_DF),
				.ip_ttl = TTL,
				.ip_p = CARP_PROTO,
				.ip_src = path->source.v4,
				.ip_dst.s_addr = htonl(0xe0000012) };
	f->v4.ip.ip_sum = inet_checksum(inet_sum(&f->v4.ip, sizeof(struct ip), 0));
	memcpy(f->v4.data, advert, len);
	return sizeof(f->eth) + sizeof(f->v4.ip) + len;
}

static size_t frame6(struct frame *f, const struct carp_path *path, const void *advert, size_t len)
{
	static const uint8_t to[6] = { 0x33, 0x33, 0x00, 0x00, 0x00, 0x12 };

	memcpy(f->eth.ether_dhost, to, sizeof(to));
	f->eth.ether_type = htons(ETHERTYPE_IPV6);
	f->v6.ip = (struct ip6_hdr){ .ip6_ctlun.ip6_un1 = { .ip6_un1_flow = htonl(6u << 28 | TOS << 20),
							    .ip6_un1_plen = htons((uint16_t)len),
							    .ip6_un1_nxt = CARP_PROTO,
							    .ip6_un1_hlim = TTL },
				     .ip6_src = path->source.v6,
				     .ip6_dst = group6 };
	memcpy(f->v6.data, advert, len);
	return sizeof(f->eth) + sizeof(f->v6.ip) + len;
}

int carp_wire_frame(struct carp_wire *wire, uint32_t ifindex, const void *frame, size_t len)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_ifindex = (int)ifindex };

	return sendto(wire->out, frame, len, MSG_DONTWAIT, (struct sockaddr *)&to, sizeof(to)) < 0 ? -errno : 0;
}

static int send_to_group(struct carp_wire *wire, const struct carp_path *path, const void *advert, size_t len)
{
	struct frame f;
	size_t n = path->source.family == AF_INET ? frame4(&f, path, advert, len) : frame6(&f, path, advert, len);

	memcpy(f.eth.ether_shost, (const uint8_t[]){ 0x00, 0x00, 0x5e, 0x00, 0x01, path->vhid }, ETH_ALEN);
	return carp_wire_frame(wire, path->ifindex, &f, n);
}

static int send_to_peer(const struct carp_wire *wire, const struct carp_path *path, const void *advert, size_t len)
{
	bool v6 = path->peer.family == AF_INET6;
	struct sockaddr_in6 to6 = { .sin6_family = AF_INET6,
				    .sin6_addr = path->peer.v6,
				    .sin6_scope_id = path->ifindex };
	struct sockaddr_in to4 = { .sin_family = AF_INET, .sin_addr = path->peer.v4 };
	struct in_pktinfo info4 = { .ipi_ifindex = (int)path->ifindex, .ipi_spec_dst = path->source.v4 };
	struct in6_pktinfo info6 = { .ipi6_addr = path->source.v6, .ipi6_ifindex = path->ifindex };
	struct iovec part = { .iov_base = (void *)advert, .iov_len = len };
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(info6))];
	} control = { .header = { .cmsg_len = CMSG_LEN(v6 ? sizeof(info6) : sizeof(info4)),
				  .cmsg_level = v6 ? IPPROTO_IPV6 : IPPROTO_IP,
				  .cmsg_type = v6 ? IPV6_PKTINFO : IP_PKTINFO } };
	struct msghdr message = { .msg_name = v6 ? (void *)&to6 : (void *)&to4,
				  .msg_namelen = v6 ? sizeof(to6) : sizeof(to4),
				  .msg_iov = &part,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = v6 ? CMSG_SPACE(sizeof(info6)) : CMSG_SPACE(sizeof(info4)) };

	memcpy(CMSG_DATA(&control.header), v6 ? (void *)&info6 : (void *)&info4, v6 ? sizeof(info6) : sizeof(info4));
	return sendmsg(wire->raw[v6], &message, MSG_DONTWAIT) < 0 ? -errno : 0;
}

int carp_wire_send(struct carp_wire *wire, const struct carp_path *path, const void *advert, size_t len)
{
	if (len > DATA_MAX)
		return -EMSGSIZE;
	if (path->source.family != AF_INET && path->source.family != AF_INET6)
		return -EADDRNOTAVAIL;
	if (path->peer.family == AF_UNSPEC)
		return send_to_group(wire, path, advert, len);
	if (path->peer.family != path->source.family || wire->raw[path->peer.family == AF_INET6] < 0)
		return -EAFNOSUPPORT;
	return send_to_peer(wire, path, advert, len);
}

/* ---- hearing ---- */

union name {
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

static void read_control(struct msghdr *message, struct carp_heard *heard)
{
	struct in6_pktinfo info6;
	struct in_pktinfo info;
	int ttl;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			memcpy(&info, CMSG_DATA(c), sizeof(info));
			heard->ifindex = (uint32_t)info.ipi_ifindex;
			heard->multicast = IN_MULTICAST(ntohl(info.ipi_addr.s_addr));
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			memcpy(&info6, CMSG_DATA(c), sizeof(info6));
			heard->ifindex = info6.ipi6_ifindex;
			heard->multicast = IN6_IS_ADDR_MULTICAST(&info6.ipi6_addr);
		} else if ((c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TTL) ||
			   (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_HOPLIMIT)) {
			memcpy(&ttl, CMSG_DATA(c), sizeof(ttl));
			heard->ttl = (uint8_t)ttl;
		}
	}
}

/* What follows the IP header: a raw IPv4 socket gives that, too. */
static bool payload(bool v6, struct carp_heard *heard)
{
	size_t header = v6 || !heard->len ? 0 : (heard->data[0] & 0x0fu) * 4;

	if (!heard->len || header > heard->len)
		return false;
	heard->data += header;
	heard->len -= header;
	return true;
}

static bool receive_one(struct carp_wire *wire, bool v6, struct carp_heard *heard)
{
	union {
		struct cmsghdr header;
		char room[256];
	} control;
	union name from = { .in6 = { 0 } };
	struct iovec part = { .iov_base = wire->data, .iov_len = sizeof(wire->data) };
	struct msghdr message = { .msg_name = &from,
				  .msg_namelen = sizeof(from),
				  .msg_iov = &part,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(wire->raw[v6], &message, MSG_DONTWAIT);

	if (n < 0)
		return false;
	*heard = (struct carp_heard){ .data = wire->data, .len = (size_t)n };
	heard->from.family = v6 ? AF_INET6 : AF_INET;
	if (v6)
		heard->from.v6 = from.in6.sin6_addr;
	else
		heard->from.v4 = from.in.sin_addr;
	read_control(&message, heard);
	return true;
}

void carp_wire_receive(struct carp_wire *wire, uint64_t event, void (*each)(void *arg, const struct carp_heard *heard),
		       void *arg)
{
	bool v6 = event - wire->first_event;
	struct carp_heard heard;

	for (int i = 0; i < BATCH && receive_one(wire, v6, &heard); i++)
		if (payload(v6, &heard))
			each(arg, &heard);
}
