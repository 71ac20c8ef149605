/* SPDX-License-Identifier: GPL-2.0-only */
/* Results of drills, as both nodes keep them: for the next time that somebody asks when failover was last tried. */
#pragma once

#include <jansson.h>

/*
 * A file of the state directory, named by "time_ms" and "scenario" of the result. -EINVAL: that is none; else -errno of writing it.
 */
int drill_result_keep(const char *instance, const json_t *result);
