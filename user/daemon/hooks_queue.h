/* SPDX-License-Identifier: GPL-2.0-only */
/* What waits for a script of hooks.h: events, in order, each as the environment that the script gets. */
#pragma once

#include <sys/queue.h>

#include "user/daemon/hooks.h"

struct hook_run {
	STAILQ_ENTRY(hook_run) entry;
	uint32_t about; /* a hash of what says what it is about; runs of the same thing have the same */
	size_t n;
	char *env[]; /* n of them, malloc'ed, and a NULL */
};

struct hook_queue {
	STAILQ_HEAD(, hook_run) runs;
	size_t n;
	unsigned long long dropped; /* since that was told, by whoever tells it: he sets it to 0 */
};

/* What all events of a hook have. */
struct hook_about {
	const char *event, *instance, *node;
};

void hook_queue_init(struct hook_queue *q);
void hook_queue_clear(struct hook_queue *q);

/* Behind all others, with FAIRLEAD_EVENT, _INSTANCE, _NODE and _TIME_MS. Beyond HOOK_QUEUE one is dropped, as hooks_run() says. */
void hook_queue_add(struct hook_queue *q, const struct hook_about *about, const struct hook_variable *variables,
		    size_t n);
/* Out of the queue, the caller's; NULL: nothing waits. */
struct hook_run *hook_queue_first(struct hook_queue *q);
void hook_run_free(struct hook_run *run);
