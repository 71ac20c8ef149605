/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Logged packets: the ring that the programs write is read on the event loop; the last events are kept, handed to those who follow, and
 * written to syslog if the configuration wants it. Whatever is too slow loses events, which are counted and told; nothing waits.
 */
#pragma once

#include <event2/event.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "fairlead/event.h"
#include "user/config/policy.h"
#include "user/control/control.h"
#include "user/lib/addr.h"
#include "user/observe/names.h"

#define OBSERVE_KEPT 4096	 /* of the last events */
#define OBSERVE_FOLLOWERS_MAX 16 /* more are refused */
#define OBSERVE_QUEUE (2u << 20) /* bytes that may wait for one of them; beyond, it loses events */
#define OBSERVE_BATCH 512	 /* events at a time; then the loop does other things for … */
#define OBSERVE_PAUSE_US 10000	 /* … so long: a flood of logged packets must not take all of the daemon's time */

/* An event, and the names of that moment; or (lost) that some are missing here. */
struct observed {
	long long time_us;	/* CLOCK_REALTIME */
	char *interface, *rule; /* malloc'ed; NULL: not known, or (rule) default_action or none */
	int rule_index;		/* -1: none */
	uint64_t lost;		/* this many, and nothing else is known */
	struct fl_event event;
};

/* ---- filter.c: which ones somebody wants ---- */

struct observe_filter {
	char *interface; /* NULL: of any. All malloc'ed */
	char *rule;	 /* its name, or its index as text */
	int verdict;	 /* enum fl_event_verdict; -1: any */
	struct prefix hosts[2];
	size_t n_hosts; /* 1: one end is of it; 2: between them */
};

/* Events of no known rule: of `default_action`. */
#define OBSERVE_DEFAULT "default_action"

/* Takes the keys rule, host (a text, or an array of two), interface, verdict. False: told by control_fail(). */
bool observe_filter_take(struct observe_filter *filter, const json_t *request, struct control_answer *answer);
void observe_filter_free(struct observe_filter *filter);
bool observe_filter_matches(const struct observe_filter *filter, const struct observed *o);

/* ---- event_json.c ---- */

/* What everybody is told of an event; data: its bytes too, in hexadecimal. NULL: out of memory. */
json_t *observed_json(const struct observed *o, bool data);
/* That events are missing: who lost them is "ring" or "reader". */
json_t *observe_lost_json(uint64_t lost, const char *by);

/* ---- packet_syslog.c: never waits, and writes so many lines at most ---- */

struct packet_syslog; /* opaque */

/* path: of the datagram socket, usually /dev/log. NULL: out of memory. */
struct packet_syslog *packet_syslog_open(const char *path, int facility);
void packet_syslog_close(struct packet_syslog *log); /* NULL is allowed */
void packet_syslog_write(struct packet_syslog *log, const json_t *event);
/* Once a second: what was too much is told. */
void packet_syslog_tick(struct packet_syslog *log);

/* ---- observe.c ---- */

struct observe; /* opaque */

/* ring, stats: fl_events and fl_event_stats, which the caller keeps open; -1: none, for tests. -errno. */
int observe_open(struct observe **out, struct event_base *base, int ring, int stats, const struct observe_names *names);
void observe_close(struct observe *observe); /* NULL is allowed; after all followers have gone */
/* What the configuration says of it from now on. */
void observe_configure(struct observe *observe, const struct config_log *config);
/* Once a second: what the programs have lost meanwhile. */
void observe_tick(struct observe *observe);

/* One event out of the ring. */
void observe_take(struct observe *observe, const void *event, size_t len);
/* That the programs have lost so many. */
void observe_lost(struct observe *observe, uint64_t lost);

/* The last n that match and are kept, the oldest first: an array. NULL: out of memory. */
json_t *observe_last(const struct observe *observe, const struct observe_filter *filter, size_t n, bool data);
/* Has the answer go on with events that match. Takes over filter. False: told by control_fail(). */
bool observe_follow(struct observe *observe, struct observe_filter *filter, bool data, struct control_answer *answer);
