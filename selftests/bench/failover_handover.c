// SPDX-License-Identifier: GPL-2.0-only
/* Whether a planned change loses anything: packets from host to server through the first world, while its nodes are changed to and fro. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "selftests/bench/failover.h"

#define HANDOVER_PACKETS 1050000
#define HANDOVER_TIMES 10
#define HANDOVER_PER_TICK 20 /* 20,000 a second */
#define STALL_LEASE_MS 10    /* of a master's 20 that it may be late, with fast_ms 10 */

struct flow {
	int out, in;	     /* UDP: host, server */
	int tcp, tcp_server; /* of one connection */
	uint64_t sent, received, tcp_sent, tcp_came;
	bool broken;
};

static int socket_in(const struct run *r, const char *ns, int type)
{
	int fd, huge = 16 << 20;

	netns_enter(r, ns);
	fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		die("no socket: %s", strerror(errno));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &huge, sizeof(huge));
	return fd;
}

static bool flow_open(const struct run *r, struct flow *f)
{
	struct sockaddr_in server = { .sin_family = AF_INET, .sin_port = htons(5001) };
	struct pollfd ready = { .events = POLLOUT };
	int listener = socket_in(r, "fast-server", SOCK_STREAM);

	*f = (struct flow){ .in = socket_in(r, "fast-server", SOCK_DGRAM), .tcp_server = -1 };
	inet_pton(AF_INET, "198.51.100.99", &server.sin_addr);
	f->out = socket_in(r, "fast-host", SOCK_DGRAM);
	f->tcp = socket_in(r, "fast-host", SOCK_STREAM);
	if (bind(f->in, (struct sockaddr *)&server, sizeof(server)) ||
	    bind(listener, (struct sockaddr *)&server, sizeof(server)) || listen(listener, 1) ||
	    connect(f->out, (struct sockaddr *)&server, sizeof(server)))
		die("no flow from host to server: %s", strerror(errno));
	connect(f->tcp, (struct sockaddr *)&server, sizeof(server));
	ready.fd = f->tcp;
	if (poll(&ready, 1, 5000) == 1)
		f->tcp_server = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	close(listener);
	return f->tcp_server >= 0;
}

static void flow_close(struct flow *f)
{
	close(f->in);
	close(f->out);
	close(f->tcp);
	close(f->tcp_server);
}

static void flow_receive(struct flow *f)
{
	char data[4096];
	ssize_t n;

	while (recv(f->in, data, sizeof(data), 0) > 0)
		f->received++;
	while ((n = recv(f->tcp_server, data, sizeof(data), 0)) > 0)
		if (send(f->tcp_server, data, n, MSG_NOSIGNAL) != n)
			f->broken = true;
	while ((n = recv(f->tcp, data, sizeof(data), 0)) > 0)
		f->tcp_came += n;
	if (n == 0 || (errno != EAGAIN && errno != EINTR))
		f->broken = true;
}

/* A millisecond's packets; ten bytes a second by TCP are as good as more */
static void flow_tick(struct flow *f, uint64_t *next)
{
	struct timespec until;
	char payload[18] = {};

	for (int i = 0; i < HANDOVER_PER_TICK; i++)
		f->sent += send(f->out, payload, sizeof(payload), 0) == sizeof(payload);
	if (f->sent / HANDOVER_PER_TICK % 10 == 0 && send(f->tcp, payload, 8, MSG_NOSIGNAL) == 8)
		f->tcp_sent += 8;
	flow_receive(f);
	*next += EVERY_NS;
	until = (struct timespec){ *next / 1000000000, *next % 1000000000 };
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

static bool becomes(const struct run *r, const char *node, const char *role)
{
	for (int i = 0; i < 200; i++) {
		json_t *vips = node_tell(r, node, "--json", "show", "vips", NULL), *one;
		size_t n, fit = 0;

		json_array_foreach(vips, n, one) {
			const char *now = json_string_value(json_object_get(one, "role"));

			fit += now && !strcasecmp(now, role);
		}
		json_decref(vips);
		if (n && fit == n)
			return true;
		usleep(20000);
	}
	return false;
}

/* In a process of its own: to the other node and back, so many times */
static pid_t hand_over(const struct run *r, int times, useconds_t pause)
{
	pid_t pid = forked();

	if (pid)
		return pid;
	leave_packets_cpu(r);
	for (int i = 0; i < times; i++) {
		usleep(pause);
		if (node_ask(r, "fast-left", "vip", "maintenance", "on", NULL) || !becomes(r, "fast-right", "master"))
			_exit(1);
		usleep(pause);
		if (node_ask(r, "fast-left", "vip", "maintenance", "off", NULL) || !becomes(r, "fast-left", "master"))
			_exit(1);
	}
	usleep(pause);
	_exit(0);
}

static int handed_over(struct run *r, struct flow *f)
{
	const uint64_t least = r->brief ? 10000 : HANDOVER_PACKETS;
	pid_t changes = hand_over(r, r->brief ? 1 : HANDOVER_TIMES, r->brief ? 100000 : 2000000);
	uint64_t next = now_ns();
	bool over = false;
	int status = -1;

	while (!over || f->sent < least) {
		flow_tick(f, &next);
		over = over || waitpid(changes, &status, WNOHANG) == changes;
	}
	for (int i = 0; i < 50; i++) {
		usleep(10000);
		flow_receive(f);
	}
	return status;
}

static void handover_tell(struct run *r, const struct flow *f)
{
	bool broken = f->broken || f->tcp_came != f->tcp_sent;

	fact(r, "handover_changes", 2 * (r->brief ? 1 : HANDOVER_TIMES));
	fact(r, "handover_sent", f->sent);
	fact(r, "handover_lost", (double)f->sent - f->received);
	fact(r, "handover_tcp_broken", broken);
	if (f->sent != f->received || broken)
		complain(r, "planned changes: %llu packets sent, %llu received; by TCP %llu bytes, %llu came back",
			 (unsigned long long)f->sent, (unsigned long long)f->received, (unsigned long long)f->tcp_sent,
			 (unsigned long long)f->tcp_came);
}

/* Again when the machine stood still, since that is no planned change: a master that is late has lost its addresses then */
void handover_measured(struct run *r)
{
	struct flow f;
	int try = 0;

	do {
		if (!worlds[0].runs || !settled(r, &worlds[0]))
			return;
		if (!flow_open(r, &f)) {
			complain(r, "no TCP connection through the pair");
			return;
		}
		watch_anew();
		if (handed_over(r, &f))
			complain(r, "a planned change did not take place");
		flow_close(&f);
		fact(r, "handover_stall_ms", watch_worst_ms());
	} while (f.sent != f.received && fact_get(r, "handover_stall_ms") > STALL_LEASE_MS && ++try < TRIES);
	handover_tell(r, &f);
}
