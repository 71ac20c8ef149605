/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One gateway: when its targets are probed, and what it is because of their answers.
 *
 * Each target is probed every interval. A probe that has no answer within its patience is missed; a missed one starts a burst of
 * quick ones, and the target is down when `down_after` are missed without an answer to any that was sent later. So a dead gateway
 * is found out soon, one that loses a packet now and then is not taken for dead, and a good line carries one probe an interval.
 * (Loss and latency are another matter, and have all of the loss interval: see quality.h.)
 *
 *	patience	what the round-trip times seen so far make likely, but at least the interval or 180 ms, whichever is less,
 *			and at most the loss interval; 1 s before the first answer
 *	quick probes	a sixth of the least patience apart (5 to 30 ms), until an answer comes or the verdict falls, so that one of
 *			several can still clear the row; each has two such gaps more of patience, since a moment of congestion
 *			meets them all. At most eight in the time of a patience: they are further apart where that is long
 *	from death	at most an interval, two patiences and, with `down_after` 3, three gaps to the verdict: 0.95 s by default, 75 ms with
 *			an interval of 20 ms
 *
 * Facts come in by monitor_answered(), monitor_path(), monitor_force() and monitor_idle(); monitor_run() sends and decides; monitor_view()
 * tells. Times are CLOCK_MONOTONIC in ns, given by the caller. Nothing here allocates, waits or logs.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "user/config/config.h"
#include "user/gateway/probe_packet.h"
#include "user/lib/addr.h"

#define MONITOR_TARGETS_MAX 16
#define MONITOR_NEVER UINT64_MAX

struct monitor;

enum monitor_status { MONITOR_UNKNOWN, MONITOR_UP, MONITOR_WARN, MONITOR_DOWN };
enum monitor_forced { MONITOR_AUTO, MONITOR_FORCED_DOWN, MONITOR_FORCED_UP };
enum monitor_path {
	MONITOR_PATH_OK,
	MONITOR_NO_DEVICE,
	MONITOR_LINK_DOWN,
	MONITOR_NO_MEMBER, /* of a tunnel over a group */
};

/* What is known of a probe that had no answer. */
enum monitor_detail {
	MONITOR_NO_DETAIL,
	MONITOR_REFUSED, /* TCP reset */
	MONITOR_RCODE,	 /* a DNS error; detail_arg: which */
	MONITOR_UNSENT,	 /* detail_arg: errno */
};

struct monitor_setup {
	const struct config_monitor *settings; /* but for its targets; read at once */
	const struct addr *targets;
	size_t n_targets; /* 0: nobody knows yet whom to probe */
	bool monitored;	  /* false: it counts as up, as soon as there is a way to it */
	bool metered;	  /* probed rarely while idle */
	bool unreachable; /* as monitor_reachable() has it */
	/* what an earlier daemon knew of it, MONITOR_UNKNOWN: nothing; and what was set by hand */
	enum monitor_status before;
	enum monitor_forced forced;
	uint32_t phase; /* of the interval, in 2^-32: when it is probed, so that not all are at once */
};

/* Memory for monitor_init(), which fills it. There is nothing to be undone. */
size_t monitor_size(const struct monitor_setup *setup);
struct monitor *monitor_init(void *memory, const struct monitor_setup *setup, uint64_t now_ns);

/*
 * The gateway's own past, for a monitor that was just made: what it is, by whose hand, and held down until when; of each target that
 * was probed before what it is and, if it is probed in the same way and as often, its probes. map[i]: the number
 * in `old` of target i, if its probes go on, else -1.
 */
void monitor_take_over(struct monitor *m, const struct monitor *old, bool same_probes, uint64_t now_ns,
		       int map[MONITOR_TARGETS_MAX]);

/* Facts. has[]: there is such an address to send from. All of them are to be followed by a monitor_run(). */
void monitor_path(struct monitor *m, enum monitor_path path, const bool has[PROBE_SOURCES], uint64_t now_ns);
/* Whether anything is known of the way to it: of an automatic gateway some family's next hop. To be followed by monitor_path(). */
void monitor_reachable(struct monitor *m, bool reachable);
/* That source is another one: answers to what is under way won't come. */
void monitor_source_changed(struct monitor *m, enum probe_source source, uint64_t now_ns);
void monitor_idle(struct monitor *m, bool idle, uint64_t now_ns);
void monitor_force(struct monitor *m, enum monitor_forced forced);
/* false: it is no answer to a probe that waits for one */
bool monitor_answered(struct monitor *m, unsigned int target, uint16_t sequence, uint64_t now_ns);
void monitor_detail(struct monitor *m, unsigned int target, enum monitor_detail detail, int arg);

/* Called for each probe that is to be sent now. May call monitor_detail(), and nothing else of here. */
typedef void monitor_send(void *arg, struct monitor *m, unsigned int target, uint16_t sequence);

/* Sends what is due and decides. Answers that have come must have been told before. */
void monitor_run(struct monitor *m, uint64_t now_ns, monitor_send *send_probe, void *arg);
/* When monitor_run() must be called at the latest; from `early` on it does some work already. */
uint64_t monitor_next(const struct monitor *m, uint64_t *early);

struct monitor_target_view {
	struct addr address;
	enum monitor_status status; /* never MONITOR_WARN */
	bool has_source;
	uint32_t missed_row, answered_row;
	enum monitor_detail detail; /* of the last probes, none once one was answered, or lost without a word */
	int detail_arg;
	bool has_rtt;
	uint32_t rtt_us, stddev_us;
	double loss_pct;
};

/* Why it is what it is. */
enum monitor_reason {
	MONITOR_ANSWERS,
	MONITOR_NOT_MONITORED,
	MONITOR_NOT_PROBED, /* yet; it may be up or down from an earlier daemon */
	MONITOR_BY_HAND,
	MONITOR_LOSS,
	MONITOR_LATENCY,
	MONITOR_PATH,	     /* device gone or link down: see path */
	MONITOR_NOT_LEARNED, /* its next hop: it is automatic */
	MONITOR_NO_TARGET,
	MONITOR_NO_SOURCE,
	MONITOR_SILENT, /* targets don't answer */
	MONITOR_HELD,	/* down */
};

struct monitor_view {
	enum monitor_status status;
	bool measured_up; /* what it would be without monitor_force() */
	enum monitor_forced forced;
	enum monitor_path path;
	enum monitor_reason reason;
	uint64_t since_ns; /* that status */
	bool loss_fails, latency_fails;
	bool idle;
	/* of the targets that answer best, the quorum-th */
	bool has_rtt;
	uint32_t rtt_us, stddev_us;
	double loss_pct;
	/* for the reason: */
	double limit;	   /* of loss in percent, of latency in ms: the one that it is, or was, above */
	uint64_t above_ns; /* when it was above that last */
	uint64_t held_until_ns;
	uint64_t first_down_ns; /* of those that the hold has grown for */
	uint32_t times_down;
	uint32_t quorum, up_after, n_up, n_targets;
	struct monitor_target_view first; /* of the targets */
};

void monitor_view(struct monitor *m, uint64_t now_ns, struct monitor_view *view);
void monitor_view_target(struct monitor *m, unsigned int target, uint64_t now_ns, struct monitor_target_view *view);

enum monitor_status monitor_status(const struct monitor *m);
void monitor_fails(const struct monitor *m, bool *loss, bool *latency); /* above the second threshold */

#define MONITOR_REASON_MAX 160

/* The reason as text; `where`: its interface or tunnel. Returns buf, of MONITOR_REASON_MAX. */
const char *monitor_reason_text(const struct monitor_view *view, const char *where, uint64_t now_ns, char *buf);
const char *monitor_status_text(enum monitor_status status);
