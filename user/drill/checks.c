// SPDX-License-Identifier: GPL-2.0-only
/*
 * Checks of the user's own run while the other node has taken over, at that node, which is what they are to look at. It does not matter which
 * node the drill was begun at: that may be the one that is cut off.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "user/doctor/own.h"
#include "user/drill/private.h"
#include "user/lib/clock.h"
#include "user/lib/drill_result.h"
#include "user/lib/file.h"
#include "user/lib/instance.h"

#define CHECKS_POLL_MS 200
#define CHECKS_BEGIN_MS 1000 /* until the first of them runs, where the machine is busy */

/* ---- at the node that has taken over ---- */

static void run_them(const struct config *config, const char *scenario, const char *instance, json_t *checks)
{
	struct own_result result;

	for (size_t i = 0; i < config->n_checks; i++) {
		const struct config_check *check = &config->checks[i];
		const char *text;

		if (!(check->when & CONFIG_CHECK_DRILL))
			continue;
		own_run_check(check, "drill", scenario, instance, config->node, &result);
		text = result.text ? result.text : "";
		json_array_append_new(checks,
				      json_pack("{s:s,s:s,s:o?,s:i}", "check", check->name, "result",
						result.passed ? "ok" : "fail", "finding",
						result.why ? json_sprintf("%s%s%s", result.why, *text ? ": " : "", text)
							   : json_sprintf("%s", text),
						"status", result.status));
		own_result_free(&result);
	}
}

static int keep(const char *instance, const char *id, json_t *checks)
{
	char *dir = instance_state_dir(instance), *path = NULL, *text;
	json_t *found = json_pack("{s:s,s:o}", "id", id, "checks", checks);
	int err = -ENOMEM;

	text = found ? json_dumps(found, JSON_COMPACT) : NULL;
	if (text && dir && asprintf(&path, "%s/" DRILL_CHECKS_RESULT, dir) > 0) {
		*strrchr(path, '/') = '\0';
		err = file_make_dirs(path, 0700);
		path[strlen(path)] = '/';
		err = err ?: file_replace_soon(path, text, strlen(text), 0600);
	}
	json_decref(found);
	free(text);
	free(path);
	free(dir);
	return err;
}

int drill_checks_here(const struct drill_world *world, const char *id, const char *scenario, long after_ms)
{
	struct config *config = NULL;
	json_t *checks = json_array();
	pid_t pid = fork();
	int err;

	if (pid) /* who has started this does not wait */
		return pid < 0 ? -errno : 0;
	run_pause(after_ms);
	config = drill_config(world, NULL);
	if (config)
		run_them(config, scenario, world->instance, checks);
	err = keep(world->instance, id, checks);
	config_free(config);
	_exit(err ? EXIT_FAILURE : EXIT_SUCCESS);
}

/* ---- where the drill was begun ---- */

unsigned int run_own_checks(const struct run *r)
{
	unsigned int n = 0;

	for (size_t i = 0; r->scenario->expects & DRILL_MOVES && i < r->config->n_checks; i++)
		n += r->config->checks[i].when & CONFIG_CHECK_DRILL ? 1 : 0;
	return n;
}

bool run_order_checks(struct run *r)
{
	json_t *answer;

	if (!(r->scenario->expects & DRILL_MOVES))
		return true;
	answer = run_order(r, !r->victim, "checks",
			   json_pack("{s:I,s:s}", "after_ms", (json_int_t)r->hold_ms, "scenario", r->scenario->name));
	r->n_checks = (unsigned int)run_number(answer, "checks");
	json_decref(answer);
	return answer != NULL;
}

/* NULL: not yet, or that node can't be asked. The caller's */
static json_t *found(struct run *r)
{
	json_t *answer = run_look(r, !r->victim), *its = json_incref(json_object_get(answer, "checks"));

	json_decref(answer);
	if (!strcmp(run_text(its, "id"), r->id))
		return its;
	json_decref(its);
	return NULL;
}

void run_wait_for_checks(struct run *r)
{
	long long until = clock_ms(CLOCK_MONOTONIC) + CHECKS_BEGIN_MS + CHECK_S * 1000ll * r->n_checks;
	json_t *its = NULL;

	while (r->n_checks && !its && !run_called_off() && clock_ms(CLOCK_MONOTONIC) < until) {
		its = found(r);
		if (!its)
			run_pause(CHECKS_POLL_MS);
	}
	json_decref(its);
}

void run_take_checks(struct run *r)
{
	json_t *its = r->n_checks ? found(r) : NULL;

	if (its)
		json_array_extend(r->checks, json_object_get(its, "checks"));
	if (json_array_size(r->checks) < r->n_checks && !r->called_off)
		run_say(r->reasons, "%s does not tell what its checks have found", r->names[!r->victim]);
	json_decref(its);
}
