// SPDX-License-Identifier: GPL-2.0-only
/* Start, and a restart after kill -9, under a steady stream of packets: when the first comes through, and whether one is lost. */
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "selftests/bench/bench.h"

#define TICK_NS 1000000
#define PER_TICK 20 /* packets; so 20,000 a second */
#define START_SECONDS 30

/* Frames sent by a packet socket: unlike the generator's, a few at a time. */
struct stream {
	int socket;
	struct bench_traffic traffic;
	uint64_t next; /* when the next tick is due */
	uint64_t sent;
};

static void stream_open(struct run *r, struct stream *s, enum path_id path)
{
	struct sockaddr_ll address = { .sll_family = AF_PACKET };
	struct bench_expected expected;

	*s = (struct stream){};
	live_select(r, path);
	path_traffic(&paths[path], &s->traffic, &expected);
	netns_enter(r, "gen");
	address.sll_ifindex = ifindex_of("g-%s", duts[paths[path].dut].name);
	s->socket = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (s->socket < 0 || bind(s->socket, (struct sockaddr *)&address, sizeof(address)))
		die("cannot open a packet socket: %s", strerror(errno));
	s->next = now_ns();
}

static void stream_tick(struct stream *s)
{
	uint8_t frame[BENCH_WORDS * 8];
	struct timespec ts;

	for (int i = 0; i < PER_TICK; i++) {
		path_frame(&s->traffic, s->sent % s->traffic.flows, frame);
		if (send(s->socket, frame, s->traffic.len, 0) == (ssize_t)s->traffic.len)
			s->sent++;
	}
	s->next += TICK_NS;
	ts = (struct timespec){ s->next / 1000000000, s->next % 1000000000 };
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
}

static void stream_for(struct stream *s, double seconds)
{
	uint64_t end = now_ns() + seconds * 1e9;

	while (now_ns() < end)
		stream_tick(s);
}

void start_measured(struct run *r, enum dut_id dut, enum path_id path, const char *fact_name)
{
	struct stream s;
	uint64_t begin;

	stream_open(r, &s, path);
	stream_for(&s, 0.05);
	if (live_received(r))
		complain(r, "%s: packets come through before the start", duts[dut].name);
	live_select(r, path);
	begin = now_ns();
	daemon_spawn(r, dut);
	while (!live_received(r) && now_ns() - begin < START_SECONDS * 1000000000ULL)
		stream_tick(&s);
	if (live_received(r))
		fact(r, fact_name, (now_ns() - begin) / 1e6);
	else
		complain(r, "%s: no packet came through within %d s of the start; see %s/%s.log", duts[dut].name,
			 START_SECONDS, r->work, duts[dut].name);
	close(s.socket);
	daemon_wait(r, dut, START_SECONDS);
}

/* A process that ends when the daemon answers. */
static pid_t watch(const struct run *r, enum dut_id dut)
{
	pid_t pid = forked();

	if (pid)
		return pid;
	leave_packets_cpu(r);
	while (!daemon_answers(r, dut))
		usleep(10000);
	_exit(0);
}

void restart_measured(struct run *r, enum dut_id dut, enum path_id path)
{
	const double pause = r->brief ? 0.2 : 1;
	struct stream s;
	uint64_t spawned;
	pid_t watcher;

	stream_open(r, &s, path);
	stream_for(&s, pause);
	daemon_kill(r, dut, SIGKILL);
	stream_for(&s, pause);
	spawned = now_ns();
	daemon_spawn(r, dut);
	watcher = watch(r, dut);
	while (waitpid(watcher, NULL, WNOHANG) == 0 && now_ns() - spawned < START_SECONDS * 1000000000ULL)
		stream_tick(&s);
	fact(r, "restart_ready_ms", (now_ns() - spawned) / 1e6);
	kill(watcher, SIGKILL);
	waitpid(watcher, NULL, WNOHANG);
	stream_for(&s, pause);
	close(s.socket);
	fact(r, "restart_sent", s.sent);
	fact(r, "restart_lost", (double)s.sent - live_received(r));
	if (s.sent != live_received(r))
		complain(r, "restart: %llu packets sent, %llu received", (unsigned long long)s.sent,
			 (unsigned long long)live_received(r));
	daemon_wait(r, dut, START_SECONDS);
}

int stream_while(struct run *r, enum path_id path, pid_t pid, const char *sent, const char *lost)
{
	struct stream s;
	int status = -1;

	stream_open(r, &s, path);
	do
		stream_tick(&s);
	while (waitpid(pid, &status, WNOHANG) == 0);
	stream_for(&s, 0.2);
	close(s.socket);
	fact(r, sent, s.sent);
	fact(r, lost, (double)s.sent - live_received(r));
	return status;
}
