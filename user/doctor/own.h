/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Checks of the user's own (`checks` in the configuration), and other programs whose output is wanted. Each runs in a session of its own
 * with an environment of its own, for so long at most; what it leaves in its process group ends with it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "user/config/config.h"

#define OWN_TIMEOUT_MS 10000
#define OWN_FINDING_MAX 1000 /* bytes */

struct own_result {
	bool passed;
	char *text;	 /* its standard output, trimmed; malloc'ed. "" where there is none, NULL without memory */
	const char *why; /* a literal: it did not run, or not to its end; NULL: it did */
	int status;	 /* its exit status, or 128 and the signal that ended it */
};

struct own_run {
	char *const *argv; /* ends with NULL; argv[0] is looked for in OWN_PATH if it has no slash */
	char *const *env;  /* ends with NULL */
	int timeout_ms;
	size_t max; /* bytes of output, more is read and forgotten */
};

#define OWN_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

void own_run(const struct own_run *run, struct own_result *result);

/* when: "doctor" or "drill", its FAIRLEAD_EVENT. scenario: the drill's, its FAIRLEAD_SCENARIO; NULL: none. */
void own_run_check(const struct config_check *check, const char *when, const char *scenario, const char *instance,
		   const char *node, struct own_result *result);
void own_result_free(struct own_result *result);
