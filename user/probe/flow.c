// SPDX-License-Identifier: GPL-2.0-only
/*
 * A connection that is held. A byte each interval is sent in it, which the other end's kernel acknowledges whatever its program thinks of
 * it: a TLS record, or a line of an HTTP header, that does not end soon. An echo comes back as it is.
 */
#include <errno.h>
#include <linux/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "user/probe/probe.h"

#define QUIET_ALIVE_S 1 /* of a quiet one: the kernel asks the other end so often */

static const uint16_t tls_ports[] = { 443, 465, 636, 853, 989, 990, 993, 995, 5223, 8443 };

/* A record of a handshake, with a ClientHello that is as long as can be. */
static const uint8_t tls[] = { 22, 3, 1, 0x40, 0, 1, 0, 0x3f, 0xfc, 3, 3 };
static const char http[] = "GET / HTTP/1.1\r\nHost: fairlead-probe\r\nX-Probe: ";

static bool is_tls(const struct probe_series *s)
{
	uint16_t port = ntohs(s->to.v4.sin_port); /* sin6_port is at the same place */

	for (size_t i = 0; i < sizeof(tls_ports) / sizeof(tls_ports[0]); i++)
		if (tls_ports[i] == port)
			return true;
	return false;
}

static char byte_at(const struct probe_flow *f)
{
	if (is_tls(f->series))
		return f->sent < sizeof(tls) ? (char)tls[f->sent] : 'x';
	return f->sent < sizeof(http) - 1 ? http[f->sent] : 'x';
}

/* ---- beginning and end ---- */

static void ends(struct probe_flow *f)
{
	close(f->fd);
	f->fd = -1;
	f->open = false;
}

static void lost(struct probe_flow *f)
{
	f->series->resets++;
	f->dead = true;
	ends(f);
}

/* Its server has closed it, as servers do that wait for the rest of a request: no loss. The next one sends nothing. */
static void closed(struct probe_flow *f)
{
	f->series->closed++;
	f->quiet = true;
	ends(f);
}

static void begin(struct probe_flow *f)
{
	struct probe_series *s = f->series;
	const size_t which = f - s->flows;
	struct epoll_event e = { .events = EPOLLIN | EPOLLOUT | EPOLLET };
	const int on = 1, alive = QUIET_ALIVE_S;

	f->fd = socket(s->to.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (f->fd < 0)
		return;
	setsockopt(f->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(f->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(f->fd, IPPROTO_TCP, TCP_KEEPIDLE, &alive, sizeof(alive));
	setsockopt(f->fd, IPPROTO_TCP, TCP_KEEPINTVL, &alive, sizeof(alive));
	setsockopt(f->fd, IPPROTO_TCP, TCP_KEEPCNT, &(int){ 120 }, sizeof(int));
	f->sent = f->acked = 0;
	f->opened_ns = f->progress_ns = s->run->now_ns;
	e.data.u64 = probe_tag(s - s->run->series, 0, which);
	if ((connect(f->fd, &s->to.sa, s->to_len) && errno != EINPROGRESS) ||
	    epoll_ctl(s->run->epoll, EPOLL_CTL_ADD, f->fd, &e))
		ends(f);
}

/* ---- bytes ---- */

static void progress(struct probe_flow *f)
{
	struct probe_series *s = f->series;
	uint64_t ns = s->run->now_ns - f->progress_ns;

	if (ns > 2 * PROBE_FLOW_EVERY_MS * PROBE_MS)
		probe_gap_add(&s->gaps, f->progress_ns - s->run->start_ns, ns);
	f->progress_ns = s->run->now_ns;
}

/* What the kernel knows of it: is anything new acknowledged? Of a quiet one: when something came last. */
static void look(struct probe_flow *f)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	if (getsockopt(f->fd, IPPROTO_TCP, TCP_INFO, &info, &len))
		return;
	if (f->quiet ? info.tcpi_last_ack_recv < 2000 * QUIET_ALIVE_S : info.tcpi_bytes_acked > f->acked)
		progress(f);
	f->acked = info.tcpi_bytes_acked;
}

static void receive(struct probe_flow *f)
{
	char buf[4096];
	ssize_t n;

	for (int i = 0; i < 16; i++) {
		n = recv(f->fd, buf, sizeof(buf), 0);
		if (n > 0) {
			progress(f);
			continue;
		}
		if (n == 0)
			closed(f);
		else if (errno != EAGAIN)
			lost(f);
		return;
	}
}

void probe_flow_event(struct probe_flow *f)
{
	socklen_t len = sizeof(int);
	int err = 0;

	if (f->fd < 0)
		return;
	getsockopt(f->fd, SOL_SOCKET, SO_ERROR, &err, &len);
	if (err) {
		lost(f);
		return;
	}
	if (!f->open) { /* the handshake may have taken long: that is the business of the other kinds */
		f->open = true;
		f->progress_ns = f->series->run->now_ns;
	}
	receive(f);
}

void probe_flow_send(struct probe_flow *f)
{
	char byte;

	if (f->dead)
		return;
	if (f->fd < 0) {
		if (!f->series->run->ending)
			begin(f);
		return;
	}
	if (!f->open)
		return;
	look(f);
	byte = byte_at(f);
	if (!f->quiet && !f->series->run->ending && send(f->fd, &byte, 1, MSG_NOSIGNAL) == 1)
		f->sent++;
}

/* Of what was sent nothing waits to be acknowledged; bytes_acked counts the SYN too. */
bool probe_flow_held(const struct probe_flow *f)
{
	if (f->quiet)
		return f->open && f->series->run->now_ns - f->progress_ns < 3000 * QUIET_ALIVE_S * PROBE_MS;
	return f->open && f->acked > f->sent;
}
