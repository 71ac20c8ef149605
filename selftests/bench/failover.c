// SPDX-License-Identifier: GPL-2.0-only
/*
 * How long an address is nobody's when the node that has it dies or loses its link, and whether a planned change loses anything. `run` has made
 * the namespaces, for each of the worlds below, of which all run at once:
 *
 *	W-left  lan ---- left   W-switch		W-left 172.16.255.1 sync ---- sync 172.16.255.2 W-right
 *	W-right lan ---- right  (bridge)
 *	W-host  lan ---- host
 *
 * The first one has such a switch between both nodes' wan and W-server too. What left itself sends has a hop limit of 64, what right sends 65: so the
 * host sees who answers.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "selftests/bench/bench.h"

#define ADDRESS "192.0.2.100"
#define EVERY_NS 1000000	/* the host asks */
#define LIMIT_NS 10000000000ull /* until somebody answers again */
#define TTL_RIGHT 65
#define SHORT_MS 200 /* between two adverts in a short run, so that a busy machine fails no test */
#define TURNS 5
#define HANDOVER_PACKETS 1050000
#define HANDOVER_TIMES 10
#define HANDOVER_PER_TICK 20 /* 20,000 a second */
#define SOAK_SECONDS 600
#define STALL_NS \
	5000000ull /* half an advert's interval: nothing that is measured while the machine stands still says anything */
#define STALL_LEASE_MS 10 /* of a master's 20 that it may be late, with fast_ms 10 */
#define TRIES 4

enum software { FAIRLEAD, KEEPALIVED, UCARP };

struct world {
	const char *name;
	enum software software;
	int fast_ms; /* 0: adverts each second */
	struct peer peers[2];
	pid_t nodes[2];
	int ping, bridge; /* sockets of host and switch */
	uint16_t sequence;
	bool runs;
};

static struct world worlds[] = {
	{ .name = "fast", .software = FAIRLEAD, .fast_ms = 10 },
	{ .name = "vrrp", .software = KEEPALIVED, .fast_ms = 10 },
	{ .name = "classic",
	  .software = FAIRLEAD }, /* from here on not in a short run: they take seconds for everything */
	{ .name = "ucarp", .software = UCARP },
};
#define QUICK 2
#define WORLDS (sizeof(worlds) / sizeof(worlds[0]))

static const char *const sides[2] = { "left", "right" };

static const char *node_name(const struct world *w, int node)
{
	static char names[2][32];

	snprintf(names[node], sizeof(names[node]), "%s-%s", w->name, sides[node]);
	return names[node];
}

static void fact_name(char name[64], const struct world *w, const char *what)
{
	snprintf(name, 64, "failover_%s_%s", w->name, what);
}

/* ---- the nodes ---- */

static bool keepalived_start(struct run *r, struct world *w, int node)
{
	char config[512], pid[512], vrrp[512];
	char *argv[] = { "/usr/sbin/keepalived", "-n", "-P", "-l", "-D", "-f", config, "-p", pid, "-r", vrrp, NULL };

	snprintf(config, sizeof(config), "%s/%s.conf", r->work, node_name(w, node));
	snprintf(pid, sizeof(pid), "%s/%s.pid", r->work, node_name(w, node));
	snprintf(vrrp, sizeof(vrrp), "%s/%s.vrrp.pid", r->work, node_name(w, node));
	unlink(pid); /* of one that was killed: nobody here may have waited for it yet, and so it is taken for a living one */
	unlink(vrrp);
	peers_write(config, 0600,
		    "global_defs {\n router_id %s\n vrrp_version 3\n vrrp_rt_priority 50\n vrrp_no_swap\n}\n"
		    "vrrp_instance lan {\n state BACKUP\n interface lan\n virtual_router_id 7\n priority %d\n"
		    " advert_int %.2f\n virtual_ipaddress {\n  %s/24 dev lan\n }\n}\n",
		    sides[node], node ? 100 : 150, w->fast_ms / 1000.0, ADDRESS);
	return peer_start(r, &w->peers[node], node_name(w, node), argv);
}

static bool ucarp_start(struct run *r, struct world *w, int node)
{
	char up[512], down[512], own[32], skew[8];
	char *argv[] = { "/usr/sbin/ucarp",
			 "-i",
			 "lan",
			 "-s",
			 own,
			 "-v",
			 "7",
			 "-p",
			 "love",
			 "-a",
			 ADDRESS,
			 "-b",
			 "1",
			 "-k",
			 skew,
			 "-P",
			 "-u",
			 up,
			 "-d",
			 down,
			 NULL };

	snprintf(own, sizeof(own), "192.0.2.%d", 1 + node);
	snprintf(skew, sizeof(skew), "%d", 10 * node);
	snprintf(up, sizeof(up), "%s/ucarp-up", r->work);
	snprintf(down, sizeof(down), "%s/ucarp-down", r->work);
	peers_write(up, 0700, "#!/bin/sh\nexec ip addr add %s/24 dev lan\n", ADDRESS);
	peers_write(down, 0700, "#!/bin/sh\nexec ip addr del %s/24 dev lan\n", ADDRESS);
	return peer_start(r, &w->peers[node], node_name(w, node), argv);
}

static bool node_spawned(struct run *r, struct world *w, int node)
{
	switch (w->software) {
	case FAIRLEAD:
		w->nodes[node] = node_spawn(r, node_name(w, node));
		return true;
	case KEEPALIVED:
		return keepalived_start(r, w, node);
	case UCARP:
		return ucarp_start(r, w, node);
	}
	return false;
}

/* As on machines of their own: the one that dies gives back its memory in the kernel, which lets nobody else run there meanwhile */
static bool node_start(struct run *r, struct world *w, int node)
{
	bool started;

	r->beside = node ? r->cpu : !r->cpu;
	started = node_spawned(r, w, node);
	r->beside = !r->cpu;
	return started;
}

/* It need not be dead when this returns: of a daemon that has many sockets and maps the kernel takes 50 ms to close all, and it does nothing any more. */
static void node_signal(const struct world *w, int node, int sig)
{
	peer_signal(&w->peers[node], sig);
	if (w->nodes[node])
		kill(w->nodes[node], sig);
}

static void node_end(struct world *w, int node, int sig)
{
	node_signal(w, node, sig);
	peer_end(&w->peers[node], sig);
	if (!w->nodes[node])
		return;
	waitpid(w->nodes[node], NULL, 0);
	w->nodes[node] = 0;
}

/* ---- who answers ---- */

static void ping_open(const struct run *r, struct world *w)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	char ns[32];

	snprintf(ns, sizeof(ns), "%s-host", w->name);
	netns_enter(r, ns);
	inet_pton(AF_INET, ADDRESS, &to.sin_addr);
	w->ping = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_ICMP);
	if (w->ping < 0 || connect(w->ping, (struct sockaddr *)&to, sizeof(to)))
		die("%s cannot ping: %s", ns, strerror(errno));
	snprintf(ns, sizeof(ns), "%s-switch", w->name);
	netns_enter(r, ns);
	w->bridge = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

static void ping_send(struct world *w)
{
	struct icmphdr echo = { .type = ICMP_ECHO };
	uint32_t sum;

	echo.un.echo.id = htons(4711);
	echo.un.echo.sequence = htons(w->sequence++);
	sum = echo.type + echo.un.echo.id + echo.un.echo.sequence;
	echo.checksum = ~((sum & 0xffff) + (sum >> 16));
	send(w->ping, &echo, sizeof(echo), 0); /* no neighbour: as lost */
}

/* The hop limit of an answer; 0: none came */
static int ping_answer(const struct world *w)
{
	uint8_t packet[128];
	ssize_t n;

	while ((n = recv(w->ping, packet, sizeof(packet), 0)) >= 0) {
		const struct icmphdr *icmp = (const void *)(packet + sizeof(struct iphdr));

		if (n >= (ssize_t)(sizeof(struct iphdr) + sizeof(*icmp)) && icmp->type == ICMP_ECHOREPLY)
			return packet[8];
	}
	return 0;
}

static void wait_answer(const struct world *w, uint64_t until)
{
	struct pollfd fd = { .fd = w->ping, .events = POLLIN };
	uint64_t now = now_ns();
	struct timespec left = { 0, now < until ? (long)(until - now) : 0 };

	ppoll(&fd, 1, &left, NULL);
}

/* Left answers, for a while without a break; the other is ready to follow it */
static bool settled(struct run *r, struct world *w)
{
	uint64_t end = now_ns() + 30000000000ull;
	int good = 0;

	while (good < 50 && now_ns() < end) {
		int ttl, seen = 0;

		ping_send(w);
		usleep(10000);
		while ((ttl = ping_answer(w)))
			seen = ttl;
		good = seen && seen != TTL_RIGHT ? good + 1 : 0;
	}
	while (good && w->software == FAIRLEAD && now_ns() < end) {
		json_t *vips = node_tell(r, node_name(w, 1), "--json", "show", "vips", NULL);
		const char *role = json_string_value(json_object_get(json_array_get(vips, 0), "role"));
		const char *lacks = json_string_value(json_object_get(json_array_get(vips, 0), "not_ready"));
		bool ready = role && lacks && !strcasecmp(role, "backup") && !*lacks;

		json_decref(vips);
		if (ready)
			break;
		usleep(20000);
	}
	return good && now_ns() < end;
}

/* ---- whether the machine itself stood still ---- */

#define WATCHED 2

/* By CPU: how late a real-time thread was at worst, and how often by more than STALL_NS. Written by the watchers */
struct stalls {
	uint64_t worst_ns;
	uint64_t n;
};

static volatile struct stalls *stalls; /* of left's CPU and right's */
static pid_t watchers[WATCHED];

static void watch(volatile struct stalls *s, int cpu)
{
	const struct sched_param param = { .sched_priority = 60 };
	uint64_t next = now_ns(), late;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	pin_to_cpu(cpu);
	sched_setscheduler(0, SCHED_FIFO, &param);
	for (;;) {
		struct timespec until;

		next += EVERY_NS;
		until = (struct timespec){ next / 1000000000, next % 1000000000 };
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
		late = now_ns() - next;
		if (late > s->worst_ns)
			s->worst_ns = late;
		s->n += late > STALL_NS;
		if (late > EVERY_NS)
			next += late;
	}
}

static void watch_start(const struct run *r)
{
	void *shared = mmap(NULL, WATCHED * sizeof(*stalls), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (shared == MAP_FAILED)
		die("no memory");
	stalls = shared;
	for (int i = 0; i < WATCHED && !r->brief; i++) {
		watchers[i] = fork();
		if (watchers[i] < 0)
			die("cannot fork: %s", strerror(errno));
		if (!watchers[i])
			watch(&stalls[i], i ? r->cpu : !r->cpu);
	}
}

static void watch_end(void)
{
	for (int i = 0; i < WATCHED; i++)
		if (watchers[i]) {
			kill(watchers[i], SIGKILL);
			waitpid(watchers[i], NULL, 0);
		}
}

static void watch_anew(void)
{
	for (int i = 0; i < WATCHED; i++)
		stalls[i].worst_ns = stalls[i].n = 0;
}

/* ---- what happens to left ---- */

enum blow { KILLED, CUT, BLOWS };

static const char *const blow_names[BLOWS] = { "kill", "cut" };

static void link_set(const struct world *w, bool up)
{
	struct ifreq request = { .ifr_name = "left" };

	if (ioctl(w->bridge, SIOCGIFFLAGS, &request))
		die("no port left in %s-switch: %s", w->name, strerror(errno));
	request.ifr_flags = up ? request.ifr_flags | IFF_UP : request.ifr_flags & ~IFF_UP;
	if (ioctl(w->bridge, SIOCSIFFLAGS, &request))
		die("the port left in %s-switch does not change: %s", w->name, strerror(errno));
}

static void strike(struct world *w, enum blow blow)
{
	if (blow == KILLED)
		node_signal(w, 0, SIGKILL);
	else
		link_set(w, false);
}

static void recover(struct run *r, struct world *w, enum blow blow)
{
	char command[256];

	if (blow == CUT) {
		link_set(w, true);
		return;
	}
	node_end(w, 0, SIGKILL);
	if (w->software != FAIRLEAD) { /* a dead daemon's address stays */
		snprintf(command, sizeof(command), "ip -n %s-%s addr del %s/24 dev lan 2>/dev/null", r->prefix,
			 node_name(w, 0), ADDRESS);
		if (system(command))
			fprintf(stderr, "bench: %s has lost its address already\n", node_name(w, 0));
	}
	node_start(r, w, 0);
}

struct outage {
	double gap_ms;	    /* the longest time between two answers */
	double takeover_ms; /* from the blow to right's first answer */
};

/* The host asks before and meanwhile, and for 0.2 s after right has taken over */
static bool outage(struct world *w, enum blow blow, struct outage *o)
{
	uint64_t begin = now_ns(), next = begin, struck = 0, last = 0, taken = 0, longest = 0, now;

	while (ping_answer(w))
		;
	do {
		int ttl;

		if (!struck && now_ns() - begin > 50000000) {
			struck = now_ns();
			strike(w, blow);
		}
		ping_send(w);
		for (next += EVERY_NS; now_ns() < next; wait_answer(w, next))
			while ((ttl = ping_answer(w))) {
				now = now_ns();
				if (last && now - last > longest)
					longest = now - last;
				last = now;
				if (struck && !taken && ttl == TTL_RIGHT)
					taken = now;
			}
		now = now_ns();
	} while (now - begin < LIMIT_NS && (!taken || now - taken < 200000000));
	o->gap_ms = longest / 1e6;
	o->takeover_ms = (taken - struck) / 1e6;
	return taken;
}

static void outage_tell(struct run *r, const struct world *w, enum blow blow, const struct outage *o)
{
	char name[64], what[32];

	snprintf(what, sizeof(what), "%s_ms", blow_names[blow]);
	fact_name(name, w, what);
	fact_add(r, name, o->takeover_ms);
	snprintf(what, sizeof(what), "%s_gap_ms", blow_names[blow]);
	fact_name(name, w, what);
	fact_add(r, name, o->gap_ms);
}

/* False: not measured, since the machine stood still */
static bool strike_once(struct run *r, struct world *w, enum blow blow, int turn, int turns)
{
	const uint64_t interval_us = w->fast_ms ? w->fast_ms * 1000 : 1000000;
	struct outage o;
	bool quiet;

	if (!settled(r, w)) {
		complain(r, "%s: left does not have the address, or right is not ready", w->name);
		w->runs = false;
		return true;
	}
	if (!r->brief)
		usleep(500000 + interval_us * turn / turns); /* another moment between two adverts each time */
	watch_anew();
	if (!outage(w, blow, &o)) {
		complain(r, "%s, %s: nobody has taken over", w->name, blow_names[blow]);
		quiet = true;
	} else {
		quiet = !w->fast_ms || !stalls[1].n;
		if (quiet)
			outage_tell(r, w, blow, &o);
	}
	if (!r->brief || blow == CUT)
		recover(r, w, blow);
	return quiet;
}

static void strike_measured(struct run *r, struct world *w, enum blow blow, int turn, int turns)
{
	int try = 0;

	while (w->runs && !strike_once(r, w, blow, turn, turns) && ++try < TRIES)
		fact(r, "failover_discarded",
		     (isnan(fact_get(r, "failover_discarded")) ? 0 : fact_get(r, "failover_discarded")) + 1);
}

/* ---- a planned change (G14) ---- */

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
	pid_t pid = fork();

	if (pid < 0)
		die("cannot fork: %s", strerror(errno));
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
static void handover_measured(struct run *r)
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
		fact(r, "handover_stall_ms",
		     (stalls[0].worst_ns > stalls[1].worst_ns ? stalls[0] : stalls[1]).worst_ns / 1e6);
	} while (f.sent != f.received && fact_get(r, "handover_stall_ms") > STALL_LEASE_MS && ++try < TRIES);
	handover_tell(r, &f);
}

/* ---- does a busy machine take a living master for dead? (BENCH_SOAK=1) ---- */

static pid_t burner(int cpu)
{
	pid_t pid = fork();

	if (pid < 0)
		die("cannot fork: %s", strerror(errno));
	if (pid)
		return pid;
	pin_to_cpu(cpu);
	for (volatile uint64_t i = 0;; i++)
		;
}

/* Each time that right answers after left did, it has taken over from a master that lived */
static void soak_look(struct world *w, bool *by_right, uint64_t *false_takeovers)
{
	int ttl;

	ping_send(w);
	while ((ttl = ping_answer(w))) {
		*false_takeovers += !*by_right && ttl == TTL_RIGHT;
		*by_right = ttl == TTL_RIGHT;
	}
}

static void soak_measured(struct run *r)
{
	const char *wanted = getenv("BENCH_SOAK");
	int seconds = wanted ? atoi(wanted) : 0, cpus = sysconf(_SC_NPROCESSORS_ONLN);
	bool by_right[QUICK] = {};
	uint64_t count[QUICK] = {}, end;
	pid_t burners[cpus];
	char name[64];

	if (seconds <= 0)
		return;
	seconds = seconds == 1 ? SOAK_SECONDS : seconds;
	for (size_t i = 0; i < QUICK; i++)
		if (worlds[i].runs && !settled(r, &worlds[i]))
			worlds[i].runs = false;
	for (int i = 0; i < cpus; i++)
		burners[i] = burner(i);
	watch_anew();
	for (end = now_ns() + seconds * 1000000000ull; now_ns() < end; usleep(1000))
		for (size_t i = 0; i < QUICK; i++)
			if (worlds[i].runs)
				soak_look(&worlds[i], &by_right[i], &count[i]);
	for (int i = 0; i < cpus; i++) {
		kill(burners[i], SIGKILL);
		waitpid(burners[i], NULL, 0);
	}
	fact(r, "soak_seconds", seconds);
	fact(r, "soak_stalls", stalls[0].n + stalls[1].n);
	fact(r, "soak_stall_ms", (stalls[0].worst_ns > stalls[1].worst_ns ? stalls[0] : stalls[1]).worst_ns / 1e6);
	for (size_t i = 0; i < QUICK; i++)
		if (worlds[i].runs) {
			fact_name(name, &worlds[i], "false");
			fact(r, name, count[i]);
		}
}

/* ---- all ---- */

static void world_start(struct run *r, struct world *w)
{
	static const char *const programs[] = { "fairlead", "keepalived", "ucarp" };
	char name[64], line[256];

	ping_open(r, w);
	for (int node = 0; node < 2; node++) {
		if (w->software == FAIRLEAD)
			config_write_node(r->work, node_name(w, node), node, w->fast_ms, w == &worlds[0]);
		w->runs = node_start(r, w, node);
		if (!w->runs) {
			fact_name(name, w, "");
			fact_missing(r, name, "%s is not installed", programs[w->software]);
			return;
		}
	}
	usleep(100000);
	for (int node = 0; node < 2; node++)
		if (w->software != FAIRLEAD && !peer_lives(&w->peers[node])) {
			fact_name(name, w, "");
			fact_missing(r, name, "%s does not run here: %s", programs[w->software],
				     peer_last_words(&w->peers[node], line, sizeof(line)));
			w->runs = false;
		}
}

static void strikes(struct run *r, enum blow blow, size_t n, int turn, int turns)
{
	for (size_t i = 0; i < n; i++)
		strike_measured(r, &worlds[i], blow, turn, turns);
}

void failover_measured(struct run *r)
{
	const int turns = r->rounds < TURNS ? r->rounds : TURNS;
	const size_t n = r->brief ? QUICK : WORLDS;

	for (size_t i = 0; i < n; i++) {
		if (r->brief)
			worlds[i].fast_ms = SHORT_MS;
		world_start(r, &worlds[i]);
	}
	watch_start(r);
	for (int turn = 0; turn < turns && !r->brief; turn++)
		for (int blow = 0; blow < BLOWS; blow++)
			strikes(r, blow, n, turn, turns);
	if (r->brief)
		strikes(r, CUT, n, 0, 1);
	handover_measured(r);
	if (r->brief)
		strikes(r, KILLED, n, 0, 1);
	soak_measured(r);
	watch_end();
	for (size_t i = 0; i < n; i++)
		for (int node = 0; node < 2; node++)
			node_end(&worlds[i], node, SIGTERM);
}
