/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Scripts that the configuration has run when something happens. Each is a child process in a session of its own; nothing waits for it.
 * To be called by the event loop's thread only.
 *
 * Of a script at most one runs at a time; what happens meanwhile waits in order. Its output goes to the log. One that takes longer than
 * HOOK_TIMEOUT_S is ended with its process group, first by SIGTERM, then by SIGKILL. When it has ended, so has its group: what it
 * leaves in the background must begin a session of its own (setsid(1)).
 */
#pragma once

#include <event2/event.h>
#include <stddef.h>

#include "user/observe/journal.h"

#define HOOK_TIMEOUT_S 10
#define HOOK_GRACE_S 2 /* from SIGTERM to SIGKILL */
#define HOOK_QUEUE 256 /* events that wait for a script; beyond, some are dropped, counted and told: see hooks_run() */
#define HOOK_LINES 100 /* of output that a run may log */
#define HOOK_LINE_MAX 1024 /* bytes of each */

struct hooks; /* opaque */

struct hook_variable {
	const char *name; /* FAIRLEAD_ is put before it */
	const char *value;
};

/*
 * event: what these scripts are for ("gateway"), their FAIRLEAD_EVENT; a literal. instance: FAIRLEAD_INSTANCE; lives as long as hooks does.
 * journal may be NULL. NULL: out of memory.
 */
struct hooks *hooks_open(struct event_base *base, struct journal *journal, const char *event, const char *instance);
/* Ends what runs: it has a second to follow SIGTERM. NULL is allowed. */
void hooks_close(struct hooks *hooks);

/* Before the daemon ends: what runs and waits has so long at most. The event loop does not go on meanwhile. */
void hooks_finish(struct hooks *hooks, unsigned int ms);

/*
 * From now on these scripts (absolute paths, copied), and this FAIRLEAD_NODE. One that was there before goes on with what waits for it; one
 * that is gone is not run again.
 */
void hooks_configure(struct hooks *hooks, const char *node, char *const *paths, size_t n);

/*
 * Something has happened: each script is run with these variables, and FAIRLEAD_EVENT, _INSTANCE, _NODE and _TIME_MS. The first one says of
 * what: of too many that wait those go first of which there is a newer one, so that a script always learns the last state of each thing.
 */
void hooks_run(struct hooks *hooks, const struct hook_variable *variables, size_t n);
