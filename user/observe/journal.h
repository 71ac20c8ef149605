/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What happened: events are kept on disk over restarts, and go to syslog at the same moment if the configuration wants it.
 *
 * DIR/events.log has a JSON object a line, the newest last:
 *
 *   {"time_ms":N,"kind":"gateway","name":"he_gw","event":"up -> down","reason":"…","level":"warning","details":{…}}
 *
 * time_ms is CLOCK_REALTIME; reason and details may be missing. When it would grow beyond JOURNAL_FILE_MAX it becomes
 * DIR/events.log.1 in that one's place. What can't be written is counted and told; nothing waits for a disk to have room again.
 * To be called by the event loop's thread only.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "user/config/policy.h"

#define JOURNAL_FILE_MAX (16u << 20) /* bytes; two of these */
#define JOURNAL_LINE_MAX 8192	     /* bytes of an event; of a bigger one the details are left out */
#define JOURNAL_REASON_MAX 1024	     /* the rest is cut off */

enum journal_kind {
	JOURNAL_DAEMON,
	JOURNAL_APPLY,
	JOURNAL_ALIAS,
	JOURNAL_STATES,
	JOURNAL_NAT,
	JOURNAL_INTERFACE,
	JOURNAL_GATEWAY,
	JOURNAL_GROUP,
	JOURNAL_TUNNEL,
	JOURNAL_NAME,
	JOURNAL_HOOK,
	JOURNAL_VIP,
	JOURNAL_SYNC,
	JOURNAL_DRILL,
	JOURNAL_KINDS
};

extern const char *const journal_kinds[JOURNAL_KINDS]; /* as in the file */

enum journal_level { JOURNAL_NOTICE, JOURNAL_WARNING, JOURNAL_ALERT }; /* syslog's of the same name */

struct journal; /* opaque */

/* What can't be opened is no reason to fail: journal_trouble() tells it, and it is tried again. NULL: out of memory. */
struct journal *journal_open(const char *dir);
void journal_close(struct journal *journal); /* NULL is allowed */
/* What the configuration says of it from now on. */
void journal_configure(struct journal *journal, const struct config_log *config);
/* The same; path: of the datagram socket, NULL: not to syslog. */
void journal_syslog(struct journal *journal, const char *path, int facility);
/* Once a second. */
void journal_tick(struct journal *journal);

/*
 * An event of now. name: of the gateway, alias, …; event: in a few fixed words ("up -> down"), by which a script may tell events apart;
 * reason: why, for people; NULL: none. details: an object of names and values, taken over; may be NULL. A journal that is NULL only has it
 * logged: a test, or a daemon that has none yet.
 */
void journal_write(struct journal *journal, enum journal_level level, enum journal_kind kind, const char *name,
		   const char *event, json_t *details, const char *reason, ...) __attribute__((format(printf, 7, 8)));

/* A line for the log alone, in a form that others read: it is no event. */
void journal_say(struct journal *journal, enum journal_level level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Why the last event could not be kept: 0 or -errno. */
int journal_trouble(const struct journal *journal);
uint64_t journal_lost(const struct journal *journal); /* that are not on disk, since the daemon's start */
const char *journal_path(const struct journal *journal);

/* ---- journal_read.c ---- */

struct journal_query {
	long long since_ms; /* CLOCK_REALTIME; 0: all */
	const char *kind;   /* NULL: any */
	const char *name;   /* NULL: any */
};

struct journal_cursor; /* opaque */

/* Reads what is there at this moment. -errno. */
int journal_read_open(struct journal_cursor **out, const char *path, const struct journal_query *query);
void journal_read_close(struct journal_cursor *cursor); /* NULL is allowed */
/*
 * Goes on, some milliseconds at most. *lines: what was found, lines with a newline between them, "" if nothing; good until the next call.
 * 1: there is more; 0: that was all; -errno. Lines that are damaged are left out.
 */
int journal_read_go(struct journal_cursor *cursor, const char **lines);
uint64_t journal_read_found(const struct journal_cursor *cursor); /* lines so far */
