/* SPDX-License-Identifier: GPL-2.0-only */
/* Results of drills, as both nodes keep them: for the next time that somebody asks when failover was last tried. */
#pragma once

#include <jansson.h>

/*
 * A file of the state directory, named by "time_ms" and "scenario" of the result. -EINVAL: that is none; else -errno of writing it.
 */
int drill_result_keep(const char *instance, const json_t *result);

/*
 * What the user's own checks have found at a node that has taken over, of the drill that has come last: { "id", "checks": [ { "check",
 * "result", "finding", "status" } ] }. A file of the state directory; written by the process that runs them, read by the daemon.
 */
#define DRILL_CHECKS_RESULT "drill/checks.json"
