// SPDX-License-Identifier: GPL-2.0-only
/* Small helpers of the data plane: clock, errors, undo. */

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "user/datapath/private.h"
#include "user/lib/log.h"

struct undo_step {
	undo_fn *fn;
	void *data;
};

uint64_t monotonic_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

uint64_t monotonic_ms(void)
{
	return monotonic_ns() / 1000000;
}

int fail(char **why, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (why && !*why && vasprintf(why, fmt, ap) < 0)
		*why = NULL;
	va_end(ap);
	return err < 0 ? err : -err;
}

void undo_push(struct undo *undo, undo_fn *fn, const void *data, size_t len)
{
	struct undo_step *step;
	void *copy;

	if (!undo)
		return;
	if (undo->n == undo->cap) {
		size_t cap = undo->cap ? undo->cap * 2 : 64;
		struct undo_step *steps = reallocarray(undo->steps, cap, sizeof(*steps));

		if (!steps)
			goto lost;
		undo->steps = steps;
		undo->cap = cap;
	}
	copy = malloc(len ? len : 1);
	if (!copy)
		goto lost;
	if (len)
		memcpy(copy, data, len);
	step = &undo->steps[undo->n++];
	step->fn = fn;
	step->data = copy;
	return;
lost:
	log_warnx("out of memory: one change could not be taken back if this apply failed");
}

void undo_drop(struct undo *undo)
{
	if (undo->n)
		free(undo->steps[--undo->n].data);
}

void undo_run(struct undo *undo, struct datapath *dp)
{
	while (undo->n) {
		struct undo_step *step = &undo->steps[--undo->n];

		step->fn(dp, step->data);
		free(step->data);
	}
	undo_free(undo);
}

void undo_free(struct undo *undo)
{
	for (size_t i = 0; i < undo->n; i++)
		free(undo->steps[i].data);
	free(undo->steps);
	memset(undo, 0, sizeof(*undo));
}
