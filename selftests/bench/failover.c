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
#include <errno.h>
#include <math.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "selftests/bench/failover.h"

#define LIMIT_NS 10000000000ull /* until somebody answers again */
#define SHORT_MS 200		/* between two adverts in a short run, so that a busy machine fails no test */
#define TURNS 5
#define SOAK_SECONDS 600

struct world worlds[WORLDS] = {
	{ .name = "fast", .software = FAIRLEAD, .fast_ms = 10 },
	{ .name = "vrrp", .software = KEEPALIVED, .fast_ms = 10 },
	{ .name = "classic", .software = FAIRLEAD },
	{ .name = "ucarp", .software = UCARP },
};

static void fact_name(char name[64], const struct world *w, const char *what)
{
	snprintf(name, 64, "failover_%s_%s", w->name, what);
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
		for (next += EVERY_NS; now_ns() < next; ping_wait(w, next))
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

/* ---- does a busy machine take a living master for dead? (BENCH_SOAK=1) ---- */

static pid_t burner(int cpu)
{
	pid_t pid = forked();

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
	fact(r, "soak_stall_ms", watch_worst_ms());
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
