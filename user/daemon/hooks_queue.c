// SPDX-License-Identifier: GPL-2.0-only
#include "user/daemon/hooks_queue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/lib/clock.h"

#define PATH_VARIABLE "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define COMMON_VARIABLES 6 /* that one, HOME, and what struct hook_about has */

void hook_run_free(struct hook_run *run)
{
	for (size_t i = 0; i < run->n; i++)
		free(run->env[i]);
	free(run);
}

void hook_queue_init(struct hook_queue *q)
{
	*q = (struct hook_queue){ .n = 0 };
	STAILQ_INIT(&q->runs);
}

struct hook_run *hook_queue_first(struct hook_queue *q)
{
	struct hook_run *run = STAILQ_FIRST(&q->runs);

	if (run) {
		STAILQ_REMOVE_HEAD(&q->runs, entry);
		q->n--;
	}
	return run;
}

static bool add_variable(struct hook_run *run, const char *name, const char *value)
{
	if (asprintf(&run->env[run->n], "FAIRLEAD_%s=%s", name, value) < 0)
		return false;
	run->n++;
	return true;
}

static bool add_common(struct hook_run *run, const struct hook_about *about)
{
	char time[32];

	snprintf(time, sizeof(time), "%lld", clock_ms(CLOCK_REALTIME));
	run->env[0] = strdup(PATH_VARIABLE);
	run->n += run->env[0] != NULL;
	if (run->n)
		run->env[1] = strdup("HOME=/");
	run->n += run->n && run->env[1];
	return run->n == 2 && add_variable(run, "EVENT", about->event) &&
	       add_variable(run, "INSTANCE", about->instance) && add_variable(run, "NODE", about->node) &&
	       add_variable(run, "TIME_MS", time);
}

/* FNV-1a */
static uint32_t hash_of(const char *text)
{
	uint32_t hash = 2166136261u;

	for (; *text; text++)
		hash = (hash ^ (unsigned char)*text) * 16777619u;
	return hash;
}

static struct hook_run *new_run(const struct hook_about *about, const struct hook_variable *variables, size_t n)
{
	struct hook_run *run = calloc(1, sizeof(*run) + (COMMON_VARIABLES + n + 1) * sizeof(*run->env));
	bool done = run && add_common(run, about);

	for (size_t i = 0; done && i < n; i++)
		done = add_variable(run, variables[i].name, variables[i].value ? variables[i].value : "");
	if (done && n)
		run->about = hash_of(run->env[COMMON_VARIABLES]);
	if (done)
		return run;
	if (run)
		hook_run_free(run);
	return NULL;
}

static bool is_outdated(const struct hook_run *run)
{
	for (const struct hook_run *later = run; (later = STAILQ_NEXT(later, entry));)
		if (later->about == run->about && !strcmp(later->env[COMMON_VARIABLES], run->env[COMMON_VARIABLES]))
			return true;
	return false;
}

/* The last state of each thing is what a script must learn: the oldest goes of which there is a newer one. */
static void drop_one(struct hook_queue *q)
{
	struct hook_run *run;

	STAILQ_FOREACH(run, &q->runs, entry)
	{
		if (is_outdated(run))
			break;
	}
	if (!run)
		run = STAILQ_FIRST(&q->runs);
	STAILQ_REMOVE(&q->runs, run, hook_run, entry);
	q->n--;
	q->dropped++;
	hook_run_free(run);
}

void hook_queue_add(struct hook_queue *q, const struct hook_about *about, const struct hook_variable *variables,
		    size_t n)
{
	struct hook_run *run = new_run(about, variables, n);

	if (run) {
		STAILQ_INSERT_TAIL(&q->runs, run, entry);
		q->n++;
	}
	if (!run)
		q->dropped++;
	if (q->n > HOOK_QUEUE)
		drop_one(q);
}

void hook_queue_clear(struct hook_queue *q)
{
	struct hook_run *run;

	while ((run = hook_queue_first(q)))
		hook_run_free(run);
}
