/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * fairlead-probe: measures a path while something happens to it. It runs on a host beside the routers, is sent there by `fairlead drill`,
 * needs neither root nor anything installed, and no connection to whoever started it.
 *
 * A series sends to one destination at an interval. What is not answered within PROBE_PATIENCE_NS is lost, and what takes PROBE_LATE_NS longer
 * than twice the fastest was held up somewhere. A gap is from the sending of the first of such to the sending of the next that was answered in
 * time; so a probe that is late by its own host's doing makes no gap.
 *
 *	ping	 an ICMP echo, by the socket that unprivileged programs may have
 *	knock	 a TCP connection that nobody need accept: a reset is an answer too. For hosts where ping may not
 *	connect	 a TCP connection that must be accepted; it is closed at once
 *	flow	 a TCP connection that is held, and bytes in it that the other end's kernel acknowledges
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define PROBE_MS ((uint64_t)1000000) /* in ns */
#define PROBE_PATIENCE_NS (1000 * PROBE_MS)
#define PROBE_LATE_NS (100 * PROBE_MS)
#define PROBE_FLOW_EVERY_MS 10
#define PROBE_GAPS_MAX 64
#define PROBE_SERIES_MAX 64
#define PROBE_FLOWS_MAX 32

enum probe_kind { PROBE_PING, PROBE_KNOCK, PROBE_CONNECT, PROBE_FLOW, PROBE_KINDS };

extern const char *const probe_kinds[PROBE_KINDS];

/* Both since the start. */
struct probe_gap {
	uint64_t at_ns, ns;
};

/* The longest ones. */
struct probe_gaps {
	struct probe_gap all[PROBE_GAPS_MAX];
	size_t n;
};

/* One that was sent. */
struct probe_shot {
	uint64_t sent_ns;
	bool answered, late, over; /* over: nothing is waited for */
};

struct probe_series;
struct probe_run;

struct probe_flow {
	struct probe_series *series;
	int fd;		      /* -1: none */
	bool open;	      /* is established */
	bool quiet;	      /* its server does not like what is sent: nothing is */
	bool dead;	      /* was reset or refused: no new one takes its place */
	uint64_t sent, acked; /* bytes */
	uint64_t progress_ns; /* when something was acknowledged or came last */
	uint64_t opened_ns;
};

struct probe_series {
	struct probe_run *run;
	enum probe_kind kind;
	const char *name; /* as it was given */
	union {
		struct sockaddr sa;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} to;
	socklen_t to_len;
	unsigned int every_ms; /* of a flow: how many */
	int fd;		       /* of pings; -1 */
	struct probe_shot *shots;
	size_t n_shots, n_over, shots_max;
	uint64_t next_ns;
	uint64_t refused, resets, closed;
	uint64_t lost_since_ns;		 /* the first without an answer in a row; 0: the last was answered */
	uint64_t fastest_ns, slowest_ns; /* round trips; fastest 0: none yet */
	uint64_t late;
	struct probe_gaps gaps;
	struct probe_flow flows[PROBE_FLOWS_MAX];
	size_t n_flows;
};

struct probe_run {
	int epoll, timer;
	uint64_t start_ns, now_ns, end_ns; /* CLOCK_MONOTONIC */
	uint64_t asleep_ns;		   /* before now_ns nothing was looked at for so long */
	bool ending;			   /* nothing new is sent */
	struct probe_series series[PROBE_SERIES_MAX];
	size_t n;
};

uint64_t probe_now(void);
void probe_gap_add(struct probe_gaps *gaps, uint64_t at_ns, uint64_t ns);

/* parse.c. "ping=192.0.2.1", "connect=[2001:db8::1]:443@100": false, and it was told */
bool probe_series_parse(struct probe_series *s, const char *text);

/* series.c */
int probe_series_open(struct probe_run *run, struct probe_series *s);
void probe_series_send(struct probe_series *s);
void probe_series_settle(struct probe_series *s); /* what has waited for long enough is lost */
void probe_series_end(struct probe_series *s);
size_t probe_lost(const struct probe_series *s);
void probe_ping_receive(struct probe_series *s);
void probe_connected(struct probe_series *s, size_t shot, int fd);

/* flow.c */
void probe_flow_send(struct probe_flow *f);
void probe_flow_event(struct probe_flow *f);
bool probe_flow_held(const struct probe_flow *f);

/* result.c */
void probe_print(const struct probe_run *run, FILE *to);

/* What an epoll event is of: the series, and of connections which. */
static inline uint64_t probe_tag(size_t series, int fd, size_t shot)
{
	return (uint64_t)series << 56 | (uint64_t)(fd & 0xffffff) << 32 | (uint32_t)shot;
}
