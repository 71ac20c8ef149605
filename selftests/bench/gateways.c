// SPDX-License-Identifier: GPL-2.0-only
/*
 * How soon a dead gateway is found out and replaced, and what probing many costs. The peer is one dpinger for each gateway, or `pinger`, which does
 * the same; see docs/benchmarks.md. `run` has made the namespaces:
 *
 *	probes	r2, r3	----	f0, f1	far	answers for all of 2001:db8:c0::1:0/112 and 2001:db8:c1::1:0/112
 *	pings	p0	----	f2	far	likewise 2001:db8:c2::1:0/112
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fairlead/gateway.h"
#include "selftests/bench/bench.h"

#define MANY 256
#define TURNS 7
#define STREAM_NS 50000 /* between two packets */
#define PEER_LOSS 20	/* percent: pfSense takes a gateway with more for dead */
#define PEER_FULL 62	/* seconds until its window is full */

static pid_t peers[MANY];
static int peer_lines = -1; /* of the first */
static uint64_t peer_began;

/* Where all targets are: one of them answers no more, or again */
static void far_ip(struct run *r, const char *what, const char *target)
{
	char command[256];

	snprintf(command, sizeof(command), "ip -n %s-far -6 route %s blackhole %s/128 table local", r->prefix, what,
		 target);
	if (system(command))
		complain(r, "\"%s\" fails", command);
}

/* ---- the peer ---- */

static pid_t peer_spawn(const struct run *r, const char *target, int lines)
{
	const char *dpinger = getenv("BENCH_DPINGER");
	char program[512];
	pid_t pid = forked();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(program, sizeof(program), "%s/pinger", r->build);
	dup2(lines, STDOUT_FILENO);
	pin_to_cpu(!r->cpu);
	netns_enter(r, "pings");
	if (dpinger)
		execl(dpinger, dpinger, "-f", "-B", "2001:db8:c2::1", target, NULL);
	else
		execl(program, program, target, NULL);
	_exit(127);
}

void gateways_peer_start(struct run *r)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC))
		die("no pipe");
	peers[0] = peer_spawn(r, "2001:db8:c2::1:0", ends[1]);
	close(ends[1]);
	peer_lines = ends[0];
	peer_began = now_ns();
}

/* Until it says that more was lost than pfSense bears; milliseconds */
static double peer_detects(struct run *r)
{
	FILE *lines = fdopen(dup(peer_lines), "r");
	uint64_t dead;
	double loss = 0;
	char line[128];

	while (now_ns() - peer_began < PEER_FULL * 1000000000ull)
		usleep(100000);
	while (fcntl(peer_lines, F_SETFL, O_NONBLOCK) == 0 && fgets(line, sizeof(line), lines))
		;
	clearerr(lines);
	fcntl(peer_lines, F_SETFL, 0);
	dead = now_ns();
	far_ip(r, "add", "2001:db8:c2::1:0");
	while (loss <= PEER_LOSS && now_ns() - dead < 60 * 1000000000ull && fgets(line, sizeof(line), lines))
		sscanf(line, "%*s %*s %lf", &loss);
	fclose(lines);
	far_ip(r, "del", "2001:db8:c2::1:0");
	return loss > PEER_LOSS ? (now_ns() - dead) / 1e6 : NAN;
}

/* ---- from death to the new way ---- */

struct watch {
	const uint32_t *health; /* by number of a gateway, as the programs see it */
	int in, out;		/* packet sockets: before r0, and behind r3 */
};

static const uint32_t *health_map(const struct run *r)
{
	char pin[256];
	void *map;
	int fd;

	snprintf(pin, sizeof(pin), "/sys/fs/bpf/fairlead/%s-%s/fl_health", r->prefix, duts[DUT_PROBES].name);
	fd = bpf_obj_get(pin);
	map = fd < 0 ? MAP_FAILED : mmap(NULL, FL_GATEWAYS_MAX * sizeof(uint64_t), PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		die("cannot look at %s: %s", pin, strerror(errno));
	close(fd);
	return map;
}

/* An array's elements lie eight bytes apart */
static bool is_up(const struct watch *w, unsigned int number)
{
	return ((const volatile uint32_t *)w->health)[2 * number] & FL_HEALTH_UP;
}

static int packet_socket(const struct run *r, const char *ns, const char *device)
{
	struct sockaddr_ll address = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IPV6) };
	int fd;

	netns_enter(r, ns);
	address.sll_ifindex = ifindex_of("%s", device);
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)))
		die("cannot open a packet socket on %s: %s", device, strerror(errno));
	return fd;
}

/* One of the stream's, not one of the daemon's probes */
static bool arrives(const struct watch *w, unsigned int len)
{
	uint8_t frame[256];
	ssize_t n;

	while ((n = recv(w->out, frame, sizeof(frame), 0)) > 0)
		if (n == (ssize_t)len && frame[ETH_HLEN + 6] == IPPROTO_UDP)
			return true;
	return false;
}

static bool becomes(const struct watch *w, unsigned int number, bool up, double seconds)
{
	uint64_t end = now_ns() + seconds * 1e9;

	while (is_up(w, number) != up && now_ns() < end)
		usleep(1000);
	return is_up(w, number) == up;
}

/* Kills it in the midst of a stream of new connections. When its word in the data plane changes, and when the first packet comes by another one */
static bool kill_one(struct run *r, const struct watch *w, enum path_id path, unsigned int number, const char *target,
		     double *down_ms, double *moved_us)
{
	uint64_t dead, down = 0, moved = 0, next;
	static uint32_t flow; /* a connection of the turn before would go where its state says */
	uint8_t frame[BENCH_WORDS * 8];
	struct bench_expected expected;
	struct bench_traffic traffic;

	path_traffic(&paths[path], &traffic, &expected);
	traffic.net_shift = 16; /* behind 65,536 of them */
	traffic.net_mask = 0xff;
	arrives(w, traffic.len);
	dead = now_ns();
	far_ip(r, "add", target);
	while (!moved && now_ns() - dead < 5000000000ull) {
		path_frame(&traffic, flow++, frame);
		if (send(w->in, frame, traffic.len, 0) < 0)
			die("cannot send: %s", strerror(errno));
		for (next = now_ns() + STREAM_NS; now_ns() < next;) {
			if (!down && !is_up(w, number))
				down = now_ns();
			if (!moved && arrives(w, traffic.len))
				moved = now_ns();
		}
	}
	far_ip(r, "del", target);
	*down_ms = (down - dead) / 1e6;
	*moved_us = moved > down ? (moved - down) / 1e3 : 0;
	return down && moved;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

struct deaths {
	double down_ms[TURNS], moved_us[TURNS];
	int n;
};

static void deaths_of(struct run *r, const struct watch *w, enum path_id path, unsigned int number, const char *target,
		      struct deaths *d)
{
	const int turns = r->brief ? 1 : TURNS;

	for (d->n = 0; d->n < turns; d->n++) {
		if (!becomes(w, number, true, 10)) {
			complain(r, "the gateway %s is not up", target);
			return;
		}
		usleep(r->brief ? 100000
				: 1500000 + 500000 * d->n / turns); /* another moment between two probes each time */
		if (!kill_one(r, w, path, number, target, &d->down_ms[d->n], &d->moved_us[d->n])) {
			complain(r, "the gateway %s died, and nobody took its place", target);
			return;
		}
	}
	qsort(d->down_ms, d->n, sizeof(double), compare);
	qsort(d->moved_us, d->n, sizeof(double), compare);
}

static double larger(double a, double b)
{
	return a > b ? a : b;
}

static void detection_measured(struct run *r, const char *file)
{
	struct deaths slow = { 0 }, fast = { 0 };
	struct watch w;

	config_write_gateways(0, file);
	if (daemon_ask(r, DUT_PROBES, "apply", file, NULL))
		complain(r, "\"fairlead apply %s\" fails", file);
	w.health = health_map(r);
	w.in = packet_socket(r, "gen", "g-probes");
	w.out = packet_socket(r, "far", "f1");
	if (!becomes(&w, GATEWAY_THIRD, true, 10))
		complain(r, "the gateway that is to take over is not up");
	deaths_of(r, &w, PATH_PLAIN, GATEWAY_SLOW, "2001:db8:c0::1:1", &slow);
	deaths_of(r, &w, PATH_NPT, GATEWAY_FAST, "2001:db8:c0::1:2", &fast);
	close(w.in);
	close(w.out);
	if (!slow.n || !fast.n)
		return;
	fact(r, "gateway_down_ms", slow.down_ms[slow.n / 2]);
	fact(r, "gateway_down_worst_ms", slow.down_ms[slow.n - 1]);
	fact(r, "gateway_down_fast_ms", fast.down_ms[fast.n - 1]);
	fact(r, "gateway_moved_us", larger(slow.moved_us[slow.n - 1], fast.moved_us[fast.n - 1]));
}

/* ---- many ---- */

static uint64_t peers_cpu_ns(void)
{
	uint64_t sum = 0;

	for (int i = 0; i < MANY; i++)
		sum += process_cpu_ns(peers[i]);
	return sum;
}

static double peers_memory_mb(void)
{
	unsigned long pages, sum = 0;
	char path[64];

	for (int i = 0; i < MANY; i++) {
		FILE *file;

		snprintf(path, sizeof(path), "/proc/%d/statm", (int)peers[i]);
		file = fopen(path, "r");
		if (file && fscanf(file, "%*s %lu", &pages) == 1)
			sum += pages;
		if (file)
			fclose(file);
	}
	return sum * (double)sysconf(_SC_PAGESIZE) / 1048576;
}

static bool all_up(const uint32_t *health)
{
	const struct watch w = { .health = health };
	int up = 0;

	for (int i = 1; i < FL_GATEWAYS_MAX; i++)
		up += is_up(&w, i);
	return up >= MANY;
}

/* Both at once, over the same seconds */
static void many_measured(struct run *r, const char *file)
{
	const uint32_t *health = health_map(r);
	uint64_t begin, ours, theirs, end;
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	char target[64];

	config_write_gateways(MANY, file);
	if (daemon_ask(r, DUT_PROBES, "apply", file, NULL))
		complain(r, "\"fairlead apply %s\" fails", file);
	for (int i = !!peers[0]; i < MANY; i++) {
		snprintf(target, sizeof(target), "2001:db8:c2::1:%x", i);
		peers[i] = peer_spawn(r, target, null);
	}
	close(null);
	for (end = now_ns() + 10000000000ull; !all_up(health) && now_ns() < end;)
		usleep(10000);
	if (!all_up(health))
		complain(r, "of %d gateways not all are up", MANY);
	usleep(r->brief ? 500000 : 5000000); /* all of them have started */
	begin = now_ns();
	ours = process_cpu_ns(r->daemons[DUT_PROBES]);
	theirs = peers_cpu_ns();
	usleep(r->brief ? 1000000 : 20000000);
	ours = process_cpu_ns(r->daemons[DUT_PROBES]) - ours;
	theirs = peers_cpu_ns() - theirs;
	fact(r, "probing_cpu_pct", ours * 100.0 / (now_ns() - begin));
	fact(r, "probing_peer_cpu_pct", theirs * 100.0 / (now_ns() - begin));
	daemon_memory(r, DUT_PROBES, "probing_mb");
	fact(r, "probing_peer_mb", peers_memory_mb());
}

static void peers_stop(struct run *r)
{
	int ended = 0;

	for (int i = 0; i < MANY; i++) {
		if (!peers[i])
			continue;
		if (waitpid(peers[i], NULL, WNOHANG) == peers[i]) {
			ended++;
			continue;
		}
		kill(peers[i], SIGKILL);
		waitpid(peers[i], NULL, 0);
	}
	if (ended)
		complain(r, "%d processes of the peer have ended by themselves", ended);
}

void gateways_measured(struct run *r)
{
	char file[512];

	snprintf(file, sizeof(file), "%s/probing.json", r->work);
	detection_measured(r, file);
	if (!r->brief)
		fact(r, "gateway_down_peer_ms", peer_detects(r));
	many_measured(r, file);
	peers_stop(r);
}
