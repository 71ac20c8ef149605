/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * fairlead-fault: does one thing to this node that `fairlead drill` wants to see survived, and undoes it: when its time is over, when it is told
 * to by a signal, whatever happens to the daemon that has started it or to who has ordered it.
 *
 * At most one runs an instance: it holds the lock on FAULT_LOCK, which has its process ID. What it did it tells in FAULT_RESULT:
 *
 *	{ "id", "fault", "targets": [], "begun_ms", "done_ms", "ending_ms", "undone_ms", "left", "errors": [] }
 *
 * with times of CLOCK_REALTIME; undone_ms is null until all is as it was, and where it can't be made so, which `left` says. Is it killed before, the daemon sees that and undoes what it did, or
 * starts it with --undo.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "user/lib/instance.h"

#define FAULT_PROGRAM "fairlead-fault"
/* node, seconds */
#define DRILL_RESERVED "another drill is under way at %s, or was killed: it has the node for %lld s more at most"
#define FAULT_LOCK INSTANCE_RUN_DIR "/%s.fault.lock"
#define FAULT_SAVED INSTANCE_RUN_DIR "/%s.fault.saved" /* what links lose, until they have it again */
#define FAULT_RESULT "drill/fault.json"		       /* under the instance's state directory */
/* systemd waits 90 s for what is left of a service whose main process has died, and then kills it: which would undo nothing */
#define FAULT_SECONDS_MAX 60

#define FAULT_NAMES \
	{ \
		"maintenance", "kill", "power", "links", "gateway", "mute" \
	}

struct fault {
	const char *instance, *id, *name;
	const char **targets; /* devices, gateways, addresses: what the fault takes */
	size_t n_targets;
	long seconds;
	pid_t daemon;	 /* that is to be killed; 0: none */
	bool supervised; /* somebody starts it again */
	bool undo;	 /* what another one has begun */
	json_t *errors;
	void *saved;
};

struct fault_kind {
	const char *name;
	int (*begin)(struct fault *f); /* -errno: it was not done, and what was done of it is undone; told in errors */
	void (*undo)(struct fault *f);
	/* What another process of this program has begun, and was killed: what `saved` has is to be undone. NULL: the daemon itself undoes it */
	int (*resume)(struct fault *f);
};

void fault_error(struct fault *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* ask.c: a request to this instance's daemon. Its status, or -errno: none answers */
int fault_ask(const struct fault *f, json_t *request);

/* links.c */
int links_begin(struct fault *f);
void links_undo(struct fault *f);
int links_resume(struct fault *f); /* has what links_begin() has saved */

/* process.c */
int process_begin(struct fault *f); /* remembers how it was started, and ends it */
int process_stop(struct fault *f);  /* remembers, and has it stand still */
int process_kill(struct fault *f);
void process_undo(struct fault *f);
