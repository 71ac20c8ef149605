/* SPDX-License-Identifier: GPL-2.0-only */
/* Between drill.c, which takes orders, and drill_fault.c. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

#define DRILL_ARGUMENTS_MAX 64
#define DRILL_ENDED_BEFORE "what was to undo it was ended before it had"

struct daemon;

/* *pid: of the process, where it has told that already, else 0; may be NULL */
bool drill_fault_runs(const struct daemon *d, pid_t *pid);
/* What it has told last, see FAULT_RESULT; NULL: nothing. The caller's */
json_t *drill_last_fault(const struct daemon *d);
/* Starts one of this project's own, which leaves at once. Its exit status, or -errno: it can't be started */
int drill_run_program(const char *name, char *const *argv);
/* It has begun, and is watched: 0; -errno: it can't be started; else its exit status */
int drill_start_program(struct daemon *d, char *const *argv);

/* ---- drill_checks.c ---- */

/* How many will run, so many ms from now on; -errno: they can't be started */
int drill_checks_start(struct daemon *d, const char *id, const char *scenario, long long after_ms);
/* See DRILL_CHECKS_RESULT; NULL: nothing, or not yet. The caller's */
json_t *drill_checks_found(const struct daemon *d);
