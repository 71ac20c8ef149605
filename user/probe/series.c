// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "user/probe/probe.h"

#define RECEIVE_MAX 64 /* answers at a time */

/* ---- gaps ---- */

/* Of too many the shortest is left out. */
void probe_gap_add(struct probe_gaps *gaps, uint64_t at_ns, uint64_t ns)
{
	size_t shortest = 0;

	if (gaps->n < PROBE_GAPS_MAX) {
		gaps->all[gaps->n++] = (struct probe_gap){ at_ns, ns };
		return;
	}
	for (size_t i = 1; i < gaps->n; i++)
		if (gaps->all[i].ns < gaps->all[shortest].ns)
			shortest = i;
	if (gaps->all[shortest].ns < ns)
		gaps->all[shortest] = (struct probe_gap){ at_ns, ns };
}

static void gap_ends(struct probe_series *s, uint64_t until_ns)
{
	if (s->lost_since_ns)
		probe_gap_add(&s->gaps, s->lost_since_ns - s->run->start_ns, until_ns - s->lost_since_ns);
	s->lost_since_ns = 0;
}

/* In the order in which they were sent: an early one that is still waited for holds up those behind it, for as long as one waits. */
void probe_series_settle(struct probe_series *s)
{
	while (s->n_over < s->n_shots) {
		struct probe_shot *shot = &s->shots[s->n_over];

		if (!shot->over && s->run->now_ns - shot->sent_ns < PROBE_PATIENCE_NS)
			return;
		shot->over = true;
		if (shot->answered && !shot->late)
			gap_ends(s, shot->sent_ns);
		else if (!s->lost_since_ns)
			s->lost_since_ns = shot->sent_ns;
		s->n_over++;
	}
}

void probe_series_end(struct probe_series *s)
{
	for (size_t i = s->n_over; i < s->n_shots; i++)
		s->shots[i].over = true;
	probe_series_settle(s);
	gap_ends(s, s->run->end_ns);
}

size_t probe_lost(const struct probe_series *s)
{
	size_t lost = 0;

	for (size_t i = 0; i < s->n_shots; i++)
		lost += !s->shots[i].answered;
	return lost;
}

static void answered(struct probe_series *s, size_t i)
{
	struct probe_shot *shot = &s->shots[i];
	uint64_t waited = s->run->now_ns - shot->sent_ns;
	uint64_t rtt = waited > s->run->asleep_ns ? waited - s->run->asleep_ns : 1;

	if (shot->over)
		return;
	if (!s->fastest_ns || rtt < s->fastest_ns)
		s->fastest_ns = rtt;
	if (rtt > s->slowest_ns)
		s->slowest_ns = rtt;
	shot->over = shot->answered = true;
	shot->late = rtt > 2 * s->fastest_ns + PROBE_LATE_NS;
	s->late += shot->late;
}

static bool shot_add(struct probe_series *s)
{
	if (s->n_shots == s->shots_max)
		return false;
	s->shots[s->n_shots++] = (struct probe_shot){ .sent_ns = s->run->now_ns };
	return true;
}

/* ---- pings: the kernel puts identifier and checksum in ---- */

static void ping_send(struct probe_series *s)
{
	bool six = s->to.sa.sa_family == AF_INET6;
	uint16_t sequence = htons((uint16_t)s->n_shots);
	struct icmp6_hdr echo6 = { .icmp6_type = ICMP6_ECHO_REQUEST };
	struct icmphdr echo4 = { .type = ICMP_ECHO };

	if (!shot_add(s))
		return;
	echo6.icmp6_seq = sequence;
	echo4.un.echo.sequence = sequence;
	if (sendto(s->fd, six ? (void *)&echo6 : &echo4, sizeof(echo4), MSG_DONTWAIT, &s->to.sa, s->to_len) < 0)
		s->shots[s->n_shots - 1].over = true;
}

static bool is_answer(const struct probe_series *s, uint8_t type)
{
	return type == (s->to.sa.sa_family == AF_INET6 ? ICMP6_ECHO_REPLY : ICMP_ECHOREPLY);
}

/* 16 bits of it came back: the last one sent with them. */
static void ping_answered(struct probe_series *s, uint16_t sequence)
{
	size_t newest = s->n_shots - 1, back = (uint16_t)(newest - sequence);

	if (s->n_shots && back <= newest)
		answered(s, newest - back);
}

void probe_ping_receive(struct probe_series *s)
{
	struct icmphdr answer; /* type and sequence are where ICMPv6 has them */

	for (int i = 0; i < RECEIVE_MAX; i++) {
		if (recv(s->fd, &answer, sizeof(answer), MSG_DONTWAIT) != sizeof(answer))
			return;
		if (is_answer(s, answer.type))
			ping_answered(s, ntohs(answer.un.echo.sequence));
	}
}

/* ---- connections ---- */

static void connect_failed(struct probe_series *s, size_t i, int err)
{
	if (err == ECONNREFUSED && s->kind == PROBE_KNOCK) {
		answered(s, i);
		return;
	}
	s->refused += err == ECONNREFUSED;
	s->shots[i].over = true;
}

/* Closed by a reset: a connection that waits for a last packet would be in the way of the next one from its port. */
void probe_connected(struct probe_series *s, size_t shot, int fd)
{
	const struct linger none = { .l_onoff = 1 };
	socklen_t len = sizeof(int);
	int err = 0;

	getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len);
	if (err)
		connect_failed(s, shot, err);
	else
		answered(s, shot);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
	close(fd);
}

/*
 * In each of them only the first SYN counts: TCP sends the next one after a second. Then it is not waited for any more, which closing it when
 * it times out sees to.
 */
static void connect_send(struct probe_series *s)
{
	const unsigned int timeout_ms = PROBE_PATIENCE_NS / PROBE_MS;
	struct epoll_event e = { .events = EPOLLOUT | EPOLLONESHOT };
	int fd;

	if (!shot_add(s))
		return;
	fd = socket(s->to.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		s->shots[s->n_shots - 1].over = true;
		return;
	}
	setsockopt(fd, IPPROTO_TCP, 18 /* TCP_USER_TIMEOUT */, &timeout_ms, sizeof(timeout_ms));
	e.data.u64 = probe_tag(s - s->run->series, fd, s->n_shots - 1);
	if (connect(fd, &s->to.sa, s->to_len) && errno != EINPROGRESS) {
		connect_failed(s, s->n_shots - 1, errno);
		close(fd);
	} else if (epoll_ctl(s->run->epoll, EPOLL_CTL_ADD, fd, &e)) {
		s->shots[s->n_shots - 1].over = true;
		close(fd);
	}
}

void probe_series_send(struct probe_series *s)
{
	s->next_ns += s->every_ms * PROBE_MS;
	if (s->next_ns <= s->run->now_ns) /* late: what was missed is not made up for */
		s->next_ns = s->run->now_ns + s->every_ms * PROBE_MS;
	if (s->kind == PROBE_PING)
		ping_send(s);
	else
		connect_send(s);
}

/* ---- beginning ---- */

static int open_ping(struct probe_run *run, struct probe_series *s)
{
	struct epoll_event e = { .events = EPOLLIN, .data.u64 = probe_tag(s - run->series, 0, 0) };
	int protocol = s->to.sa.sa_family == AF_INET6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;

	s->fd = socket(s->to.sa.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
	if (s->fd < 0 || epoll_ctl(run->epoll, EPOLL_CTL_ADD, s->fd, &e))
		return -errno;
	return 0;
}

int probe_series_open(struct probe_run *run, struct probe_series *s)
{
	uint64_t ms = (run->end_ns - run->start_ns) / PROBE_MS;

	s->run = run;
	s->next_ns = run->start_ns;
	if (s->kind == PROBE_FLOW) {
		s->n_flows = s->every_ms;
		s->every_ms = PROBE_FLOW_EVERY_MS;
		for (size_t i = 0; i < s->n_flows; i++)
			s->flows[i] = (struct probe_flow){ .series = s, .fd = -1 };
		return 0;
	}
	s->shots_max = ms / s->every_ms + 2;
	s->shots = calloc(s->shots_max, sizeof(*s->shots));
	if (!s->shots)
		return -ENOMEM;
	return s->kind == PROBE_PING ? open_ping(run, s) : 0;
}
