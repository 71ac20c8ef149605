// SPDX-License-Identifier: GPL-2.0-only
/*
 * The user's own checks, of this node's configuration, when it has taken over. They are ordered before the fault that cuts this node off from who
 * has ordered it, and are run by a process of their own after a time: each may take seconds, and this one must not wait.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "user/daemon/daemon.h"
#include "user/daemon/drill_internal.h"
#include "user/lib/drill_result.h"
#include "user/lib/instance.h"

#define CLIENT "fairlead"

/* malloc'ed; NULL: no memory */
static char *result_path(const struct daemon *d)
{
	char *dir = instance_state_dir(d->options.instance), *path = NULL;

	if (!dir || asprintf(&path, "%s/" DRILL_CHECKS_RESULT, dir) < 0)
		path = NULL;
	free(dir);
	return path;
}

json_t *drill_checks_found(const struct daemon *d)
{
	char *path = result_path(d);
	json_t *found = path ? json_load_file(path, 0, NULL) : NULL;

	free(path);
	return found;
}

static unsigned int count(const struct config *config)
{
	unsigned int n = 0;

	for (size_t i = 0; i < config->n_checks; i++)
		n += config->checks[i].when & CONFIG_CHECK_DRILL ? 1 : 0;
	return n;
}

int drill_checks_start(struct daemon *d, const char *id, const char *scenario, long long after_ms)
{
	char after[24], *path = result_path(d);
	const char *argv[] = {
		CLIENT, "--instance", d->options.instance,	   "drill", "--checks-of", id, "--after-ms",
		after,	"--",	      *scenario ? scenario : NULL, NULL
	};
	unsigned int n = count(d->apply.running);
	int status;

	if (!path)
		return -ENOMEM;
	unlink(path);
	free(path);
	snprintf(after, sizeof(after), "%lld", after_ms);
	status = n ? drill_run_program(CLIENT, (char *const *)argv) : 0;
	return status > 0 ? -EIO : status < 0 ? status : (int)n;
}
