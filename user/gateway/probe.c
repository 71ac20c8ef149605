// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "user/gateway/probe.h"
#include "user/lib/log.h"

#define BATCH 32
#define ANSWER_MAX 640 /* bytes of one that are looked at */
#define DNS_PORT 53
#define LINK_ADDR_MAX 32 /* of any kind of device: the kernel wants a name that would hold its address */
#define RECEIVE_BUFFER (1 << 20)
/* What waits for the MAC of a next hop that is not there, up to 208 KB each, may not keep the others' probes back */
#define SEND_BUFFER (128 << 20)
#define ROUNDS 4 /* batches of one socket, before others have their turn */
/*
 * Ports of TCP probes. A host that has sent a SYN-ACK takes a second SYN from the same address and port for a part of that connection, until
 * the reset has come: so a probe has another port than the ones before it, and than the probes of others to the same target.
 */
#define PORTS_OF_SLOT 8
#define PORT_RANKS 4 /* slots with the same target that do not disturb each other */
#define PORTS (PORTS_OF_SLOT * PORT_RANKS)

enum { SOCKET_ECHO4, SOCKET_ECHO6, SOCKET_TCP4, SOCKET_TCP6, SOCKETS };

struct slot {
	bool used;
	enum config_probe type;
	struct addr target;
	uint16_t port;	      /* of the target */
	uint16_t source_port; /* of DNS */
	uint8_t rank;	      /* of TCP: among those with the same target */
	uint16_t offset;      /* of sequence numbers: nobody else knows where they begin */
	uint64_t cookie;
	int sock; /* of DNS, else -1 */
	uint16_t query_len;
	uint8_t query[PROBE_QUERY_MAX / 2 + 32]; /* a name has 255 bytes at most */
};

struct prober {
	int epoll, out;
	int sockets[SOCKETS];
	int port_holders[2][PORTS]; /* sockets that are bound, so that nobody else has the ports */
	uint16_t ports[2][PORTS];   /* of TCP, for IPv4 and IPv6 */
	uint16_t first_id;	    /* of slot 0 */
	struct mmsghdr messages[BATCH];
	struct iovec parts[BATCH];
	struct sockaddr_storage from[BATCH];
	uint8_t answers[BATCH][ANSWER_MAX];
	unsigned int last_slot; /* that was given */
	struct slot slots[PROBE_SLOTS];
};

/* ---- sockets ---- */

static const int families[2] = { AF_INET, AF_INET6 };

static int attach(int fd, struct sock_filter *code, unsigned short len)
{
	struct sock_fprog filter = { .len = len, .filter = code };

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)) ? -errno : 0;
}
#define ATTACH(fd, code) attach(fd, code, sizeof(code) / sizeof(*(code)))

/* X: where the payload begins. A raw IPv4 socket's filter sees the IP header, a raw IPv6 socket's does not */
#define PAYLOAD_OF(family) \
	(family) == AF_INET ? (struct sock_filter)BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0) \
			    : (struct sock_filter)BPF_STMT(BPF_LDX | BPF_W | BPF_IMM, 0)

static int filter_echo(const struct prober *p, int fd, int family)
{
	struct sock_filter code[] = {
		PAYLOAD_OF(family),
		BPF_STMT(BPF_LD | BPF_B | BPF_IND, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, family == AF_INET ? ICMP_ECHOREPLY : ICMP6_ECHO_REPLY, 0, 5),
		BPF_STMT(BPF_LD | BPF_H | BPF_IND, offsetof(struct icmphdr, un.echo.id)),
		BPF_STMT(BPF_ALU | BPF_SUB | BPF_K, p->first_id),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xffff),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, PROBE_SLOTS, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, ANSWER_MAX),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};

	return ATTACH(fd, code);
}

/* The kernel drops what has a wrong one: for a raw IPv6 socket it looks, when it is told where */
static int check_tcp_sums(int fd)
{
	int offset = offsetof(struct tcphdr, check);

	return setsockopt(fd, IPPROTO_IPV6, IPV6_CHECKSUM, &offset, sizeof(offset)) ? -errno : 0;
}

static int filter_tcp(const struct prober *p, int fd, int family)
{
	const uint16_t *ports = p->ports[family == AF_INET6];
	struct sock_filter code[PORTS + 4] = { PAYLOAD_OF(family), BPF_STMT(BPF_LD | BPF_H | BPF_IND, 2) };
	unsigned int i;
	int err;

	for (i = 0; i < PORTS; i++)
		code[2 + i] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ports[i], PORTS - i, 0);
	code[2 + PORTS] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 0);
	code[3 + PORTS] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, ANSWER_MAX);
	err = ATTACH(fd, code);
	return err || family == AF_INET ? err : check_tcp_sums(fd);
}

static int watch(const struct prober *p, int fd, uint32_t event)
{
	struct epoll_event e = { .events = EPOLLIN, .data.u64 = event };

	return epoll_ctl(p->epoll, EPOLL_CTL_ADD, fd, &e) ? -errno : 0;
}

/* What came before the filter was there is thrown away */
static void drain(int fd)
{
	char byte;

	while (recv(fd, &byte, 1, MSG_DONTWAIT) >= 0 || errno == EINTR)
		;
}

static int open_raw(struct prober *p, unsigned int i, int family, int protocol,
		    int (*filter)(const struct prober *, int, int))
{
	int fd = socket(family, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
	int size = RECEIVE_BUFFER, err;

	if (fd < 0)
		return log_ret(errno, "gateways: raw socket of protocol %d", protocol);
	p->sockets[i] = fd;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	err = filter(p, fd, family);
	drain(fd);
	err = err ? err : watch(p, fd, PROBE_SLOTS + i);
	return err ? log_ret(err, "gateways: raw socket of protocol %d", protocol) : 0;
}

union name {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

/* The port that a socket is bound to, or -errno */
static int own_port(int fd)
{
	union name name = { .in6 = { 0 } };
	socklen_t len = sizeof(name);

	if (getsockname(fd, &name.any, &len))
		return -errno;
	return ntohs(name.any.sa_family == AF_INET6 ? name.in6.sin6_port : name.in.sin_port);
}

/* Binds to a port that the kernel chooses; the port, or -errno */
static int bind_any(int fd, int family)
{
	union name name = { .in6 = { .sin6_family = family } };
	int one = 1;

	if (family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	return bind(fd, &name.any, family == AF_INET6 ? sizeof(name.in6) : sizeof(name.in)) ? -errno : own_port(fd);
}

/* Ports that are bound but do not listen: the kernel resets what comes to them, and gives them to nobody */
static int reserve_ports(struct prober *p, unsigned int family)
{
	unsigned int i;
	int fd, port;

	for (i = 0; i < PORTS; i++) {
		fd = socket(families[family], SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fd < 0)
			return -errno;
		p->port_holders[family][i] = fd;
		port = bind_any(fd, families[family]);
		if (port < 0)
			return port;
		p->ports[family][i] = port;
	}
	return 0;
}

/* A kernel without IPv6 has no use for its sockets */
static int open_family(struct prober *p, unsigned int i)
{
	int family = families[i], err = reserve_ports(p, i);

	if (err == -EAFNOSUPPORT)
		return 0;
	if (err)
		return log_ret(err, "gateways: ports for TCP probes");
	err = open_raw(p, SOCKET_ECHO4 + i, family, family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6, filter_echo);
	return err ? err : open_raw(p, SOCKET_TCP4 + i, family, IPPROTO_TCP, filter_tcp);
}

static int open_sockets(struct prober *p)
{
	int size = SEND_BUFFER, err;

	if (getrandom(&p->first_id, sizeof(p->first_id), 0) != sizeof(p->first_id))
		return log_ret(errno, "gateways: random numbers");
	p->out = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (p->out < 0)
		return log_ret(errno, "gateways: packet socket");
	setsockopt(p->out, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	err = open_family(p, 0);
	return err ? err : open_family(p, 1);
}

static void close_if(int fd)
{
	if (fd >= 0)
		close(fd);
}

int prober_open(struct prober **out, int epoll, bool *locked)
{
	struct prober *p = mmap(NULL, sizeof(*p), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned int i;
	int err;

	if (p == MAP_FAILED)
		return -errno;
	p->epoll = epoll;
	p->out = -1;
	memset(p->sockets, 0xff, sizeof(p->sockets));
	memset(p->port_holders, 0xff, sizeof(p->port_holders));
	for (i = 0; i < BATCH; i++) {
		p->parts[i] = (struct iovec){ .iov_base = p->answers[i], .iov_len = ANSWER_MAX };
		p->messages[i].msg_hdr =
			(struct msghdr){ .msg_name = &p->from[i], .msg_iov = &p->parts[i], .msg_iovlen = 1 };
	}
	err = open_sockets(p);
	if (err) {
		prober_close(p);
		return err;
	}
	if (mlock(p, sizeof(*p)))
		*locked = false;
	*out = p;
	return 0;
}

void prober_close(struct prober *p)
{
	unsigned int i;

	for (i = 0; i < PROBE_SLOTS; i++)
		if (p->slots[i].used)
			prober_remove(p, i);
	for (i = 0; i < SOCKETS; i++)
		close_if(p->sockets[i]);
	for (i = 0; i < PORTS; i++) {
		close_if(p->port_holders[0][i]);
		close_if(p->port_holders[1][i]);
	}
	close_if(p->out);
	munmap(p, sizeof(*p));
}

/* ---- slots ---- */

int prober_socket(const struct probe_setup *setup)
{
	int fd, err;

	if (setup->type != CONFIG_PROBE_DNS)
		return PROBE_NO_SOCKET;
	fd = socket(setup->target.family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	err = bind_any(fd, setup->target.family);
	if (err >= 0)
		return fd;
	close(fd);
	return err;
}

/* The next one round the table: an answer that is still under way to one that was just removed finds nobody */
static int free_slot(struct prober *p)
{
	unsigned int i;

	for (i = 0; i < PROBE_SLOTS; i++) {
		p->last_slot = (p->last_slot + 1) % PROBE_SLOTS;
		if (!p->slots[p->last_slot].used)
			return (int)p->last_slot;
	}
	return -ENOSPC;
}

static bool is_same_target(const struct slot *s, const struct probe_setup *setup)
{
	return s->used && s->type == setup->type && s->port == setup->port && addr_equal(&s->target, &setup->target);
}

/* One that none of them has; PORT_RANKS and more have them twice */
static uint8_t free_rank(const struct prober *p, const struct probe_setup *setup)
{
	unsigned int taken[PORT_RANKS] = { 0 }, i, best = 0;

	for (i = 0; i < PROBE_SLOTS; i++)
		if (is_same_target(&p->slots[i], setup))
			taken[p->slots[i].rank]++;
	for (i = 1; i < PORT_RANKS; i++)
		if (taken[i] < taken[best])
			best = i;
	return best;
}

static int fill(struct prober *p, unsigned int i, const struct probe_setup *setup, int sock)
{
	uint8_t query[PROBE_QUERY_MAX];
	struct slot *s = &p->slots[i];
	int len;

	*s = (struct slot){ .type = setup->type,
			    .target = setup->target,
			    .port = setup->port,
			    .rank = setup->type == CONFIG_PROBE_TCP ? free_rank(p, setup) : 0,
			    .sock = -1 };
	if (getrandom(&s->cookie, sizeof(s->cookie), 0) != sizeof(s->cookie) ||
	    getrandom(&s->offset, sizeof(s->offset), 0) != sizeof(s->offset))
		return -errno;
	if (setup->type != CONFIG_PROBE_DNS)
		return 0;
	len = probe_packet_query(setup->dns_name, query);
	if (len < 0 || (size_t)len > sizeof(s->query))
		return -EINVAL;
	memcpy(s->query, query, (size_t)len);
	s->query_len = len;
	s->port = DNS_PORT;
	s->source_port = own_port(sock);
	return watch(p, sock, i);
}

int prober_add(struct prober *p, const struct probe_setup *setup, int sock)
{
	int slot = free_slot(p), err = slot < 0 ? slot : fill(p, slot, setup, sock);

	if (err < 0) {
		close_if(sock);
		return err;
	}
	p->slots[slot].sock = sock >= 0 ? sock : -1;
	p->slots[slot].used = true;
	return slot;
}

void prober_remove(struct prober *p, unsigned int slot)
{
	close_if(p->slots[slot].sock); /* epoll forgets it */
	p->slots[slot].used = false;
}

/* ---- sending ---- */

/* Of TCP by the sequence number: an answer says which */
static uint16_t source_port(const struct prober *p, const struct slot *s, uint16_t sequence)
{
	if (s->type == CONFIG_PROBE_DNS)
		return s->source_port;
	return p->ports[s->target.family == AF_INET6][s->rank * PORTS_OF_SLOT + sequence % PORTS_OF_SLOT];
}

static struct probe_packet packet_of(const struct prober *p, unsigned int i, const struct probe_path *path,
				     uint16_t sequence)
{
	const struct slot *s = &p->slots[i];

	return (struct probe_packet){ .type = s->type,
				      .source = path->sources[probe_source_of(&s->target)],
				      .target = s->target,
				      .source_port = source_port(p, s, sequence),
				      .port = s->port,
				      .id = p->first_id + i,
				      .sequence = sequence,
				      .cookie = s->cookie,
				      .query = s->query,
				      .query_len = s->query_len };
}

static int transmit(const struct prober *p, const struct probe_path *path, int family, void *data, size_t len)
{
	union {
		struct sockaddr_ll ll;
		char room[offsetof(struct sockaddr_ll, sll_addr) + LINK_ADDR_MAX];
	} to = { .ll = { .sll_family = AF_PACKET,
			 .sll_protocol = htons(family == AF_INET6 ? ETH_P_IPV6 : ETH_P_IP),
			 .sll_ifindex = (int)path->ifindex,
			 .sll_halen = sizeof(path->mac) } };
	struct iovec part = { .iov_base = data, .iov_len = len };
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(path->mark))];
	} mark = { .header = {
			   .cmsg_len = CMSG_LEN(sizeof(path->mark)), .cmsg_level = SOL_SOCKET, .cmsg_type = SO_MARK } };
	struct msghdr message = { .msg_name = &to,
				  .msg_namelen = sizeof(to),
				  .msg_iov = &part,
				  .msg_iovlen = 1,
				  .msg_control = &mark,
				  .msg_controllen = sizeof(mark) };

	memcpy(to.ll.sll_addr, path->mac, sizeof(path->mac));
	memcpy(CMSG_DATA(&mark.header), &path->mark, sizeof(path->mark));
	return sendmsg(p->out, &message, MSG_DONTWAIT) < 0 ? -errno : 0;
}

int prober_send(struct prober *p, unsigned int slot, const struct probe_path *path, uint16_t sequence)
{
	struct probe_packet packet = packet_of(p, slot, path, sequence + p->slots[slot].offset);
	_Alignas(uint32_t) uint8_t data[PROBE_PACKET_MAX];

	if (packet.source.family != packet.target.family)
		return -EADDRNOTAVAIL;
	return transmit(p, path, packet.target.family, data, probe_packet_build(&packet, data));
}

/* The kernel's own reset would go by the routing table, maybe by another gateway */
static void reset(const struct prober *p, unsigned int slot, const struct probe_path *path,
		  const struct probe_answer *answer)
{
	struct probe_packet packet;
	_Alignas(uint32_t) uint8_t data[PROBE_PACKET_MAX];

	if (!path)
		return;
	packet = packet_of(p, slot, path, answer->sequence);
	if (packet.source.family == packet.target.family)
		transmit(p, path, packet.target.family, data, probe_packet_reset(&packet, answer->acknowledged, data));
}

/* ---- receiving ---- */

static bool is_from(const struct sockaddr_storage *from, const struct slot *s, uint16_t *port)
{
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)from;
	const struct sockaddr_in *in = (const struct sockaddr_in *)from;

	if (from->ss_family != s->target.family)
		return false;
	*port = ntohs(from->ss_family == AF_INET6 ? in6->sin6_port : in->sin_port);
	return from->ss_family == AF_INET6 ? !memcmp(&in6->sin6_addr, &s->target.v6, sizeof(s->target.v6))
					   : in->sin_addr.s_addr == s->target.v4.s_addr;
}

static int slot_of(const struct prober *p, uint16_t id, enum config_probe type)
{
	uint16_t i = id - p->first_id;

	return i < PROBE_SLOTS && p->slots[i].used && p->slots[i].type == type ? i : -1;
}

static void tell(const struct prober *p, unsigned int i, struct probe_answer *answer, const struct prober_sink *sink)
{
	answer->sequence -= p->slots[i].offset;
	sink->answer(sink->arg, i, answer);
}

static void take_echo(const struct prober *p, int family, unsigned int n, size_t len, const struct prober_sink *sink)
{
	struct probe_answer answer;
	uint16_t unused;
	int i;

	probe_packet_echo(family, p->answers[n], len, &answer);
	if (answer.verdict == PROBE_STRANGE)
		return;
	i = slot_of(p, answer.id, CONFIG_PROBE_ICMP);
	if (i >= 0 && answer.cookie == p->slots[i].cookie && is_from(&p->from[n], &p->slots[i], &unused))
		tell(p, i, &answer, sink);
}

static void take_tcp(const struct prober *p, int family, unsigned int n, size_t len, const struct prober_sink *sink)
{
	struct probe_answer answer;
	const struct slot *s;
	uint16_t unused;
	int i;

	probe_packet_tcp(family, p->answers[n], len, &answer);
	if (answer.verdict == PROBE_STRANGE)
		return;
	i = slot_of(p, answer.id, CONFIG_PROBE_TCP);
	s = &p->slots[i < 0 ? 0 : i];
	if (i < 0 || answer.port != s->port || answer.our_port != source_port(p, s, answer.sequence) ||
	    !is_from(&p->from[n], s, &unused))
		return;
	if (answer.verdict == PROBE_ANSWERED)
		reset(p, i, sink->path(sink->arg, i), &answer);
	tell(p, i, &answer, sink);
}

static void take_dns(const struct prober *p, unsigned int i, unsigned int n, size_t len, const struct prober_sink *sink)
{
	const struct slot *s = &p->slots[i];
	struct probe_answer answer;
	uint16_t port;

	if (!is_from(&p->from[n], s, &port) || port != s->port)
		return;
	probe_packet_dns(p->answers[n], len, s->query, s->query_len, &answer);
	if (answer.verdict != PROBE_STRANGE)
		tell(p, i, &answer, sink);
}

static void take(const struct prober *p, uint64_t event, unsigned int n, size_t len, const struct prober_sink *sink)
{
	unsigned int i = event - PROBE_SLOTS;

	if (event < PROBE_SLOTS)
		take_dns(p, event, n, len, sink);
	else if (i <= SOCKET_ECHO6)
		take_echo(p, families[i - SOCKET_ECHO4], n, len, sink);
	else
		take_tcp(p, families[i - SOCKET_TCP4], n, len, sink);
}

static int receive_batch(struct prober *p, int fd)
{
	unsigned int i;
	int n;

	for (i = 0; i < BATCH; i++)
		p->messages[i].msg_hdr.msg_namelen = sizeof(p->from[i]);
	n = recvmmsg(fd, p->messages, BATCH, MSG_DONTWAIT, NULL);
	return n < 0 ? 0 : n;
}

void prober_receive(struct prober *p, uint64_t event, const struct prober_sink *sink)
{
	int fd = event < PROBE_SLOTS ? p->slots[event].sock : p->sockets[event - PROBE_SLOTS];
	int rounds, n, i;

	if (event < PROBE_SLOTS && !p->slots[event].used)
		return;
	for (rounds = 0; rounds < ROUNDS; rounds++) {
		n = receive_batch(p, fd);
		for (i = 0; i < n; i++)
			take(p, event, i, p->messages[i].msg_len, sink);
		if (n < BATCH)
			return;
	}
}
