/* SPDX-License-Identifier: GPL-2.0-only */
/* What failover*.c and stalls.c share: addresses that two nodes have in turn. failover.c says what `run` has made for them. */
#pragma once

#include "selftests/bench/bench.h"

#define EVERY_NS 1000000 /* the host asks */
#define TTL_RIGHT 65
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

/* The first two are all of a short run: the others take seconds for everything. */
#define QUICK 2
#define WORLDS 4
extern struct world worlds[WORLDS]; /* failover.c */

/* ---- failover_nodes.c: two nodes, and who of them answers ---- */
#define ADDRESS "192.0.2.100"

const char *node_name(const struct world *w, int node);
bool node_start(struct run *r, struct world *w, int node); /* false: it is not installed */
/*
 * It need not be dead when this returns: of a daemon that has many sockets and maps the kernel takes 50 ms to close all, and it does nothing any
 * more.
 */
void node_signal(const struct world *w, int node, int sig);
void node_end(struct world *w, int node, int sig);

void ping_open(const struct run *r, struct world *w);
void ping_send(struct world *w);
int ping_answer(const struct world *w); /* the hop limit of an answer; 0: none came */
void ping_wait(const struct world *w, uint64_t until);
/* Left answers, for a while without a break; the other is ready to follow it */
bool settled(struct run *r, struct world *w);

/* ---- stalls.c: whether the machine itself stood still ---- */

/* What is measured while it stands still for half an advert's interval says nothing. */
#define STALL_NS 5000000ull

/* By CPU: how late a real-time thread was at worst, and how often by more than STALL_NS. Written by the watchers */
struct stalls {
	uint64_t worst_ns;
	uint64_t n;
};

extern volatile struct stalls *stalls; /* of left's CPU and right's */

void watch_start(const struct run *r);
void watch_end(void);
void watch_anew(void);
double watch_worst_ms(void);

/* ---- failover_handover.c: a planned change (G14) ---- */
void handover_measured(struct run *r);
