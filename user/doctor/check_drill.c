// SPDX-License-Identifier: GPL-2.0-only
/* When was it last seen to work? Drills keep their results in the state directory. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/doctor/judge.h"
#include "user/lib/clock.h"

#define DAY_MS 86400000ll

const char *const doctor_takeovers[] = { "maintenance", "kill-daemon", "power", "lan-link",
					 "wan-link",	"failback",    "alert", NULL };

static int is_result(const struct dirent *e)
{
	size_t len = strlen(e->d_name);

	return len > 5 && !strcmp(e->d_name + len - 5, ".json");
}

/* NULL: that is none */
static json_t *load_result(const char *dir, const char *name)
{
	char path[512];
	json_t *result;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	result = json_load_file(path, 0, NULL);
	if (json_is_integer(json_object_get(result, "time_ms")) && *doctor_string(result, "scenario"))
		return result;
	json_decref(result);
	return NULL;
}

static void keep_newer(json_t *newest, json_t *result)
{
	const char *scenario = doctor_string(result, "scenario");

	if (doctor_number(result, "time_ms") > doctor_number(json_object_get(newest, scenario), "time_ms"))
		json_object_set(newest, scenario, result);
}

json_t *doctor_drills(const char *dir)
{
	json_t *newest = json_object(), *result;
	struct dirent **entries;
	int n = scandir(dir, &entries, is_result, alphasort);

	for (int i = 0; i < n; i++) {
		result = load_result(dir, entries[i]->d_name);
		if (result)
			keep_newer(newest, result);
		json_decref(result);
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
	return newest;
}

bool doctor_is_fresh(const json_t *result, long long now_ms)
{
	return result && now_ms - doctor_number(result, "time_ms") <= DOCTOR_DRILL_DAYS * DAY_MS;
}

static void judge_newest(struct doctor *d, const char *scenario, const json_t *result, long long now_ms)
{
	const char *its = doctor_string(result, "result");
	long long days = (now_ms - doctor_number(result, "time_ms")) / DAY_MS;

	if (!strncmp(its, "fail", 4))
		doctor_fail(d, doctor_text(d, "fairlead drill %s tells what was wrong", scenario),
			    "%s failed when it was last tried, %lld days ago", scenario, days);
	else if (!doctor_is_fresh(result, now_ms))
		doctor_warn(
			d,
			doctor_text(
				d,
				"fairlead drill %s; fairlead-drill.timer, enabled on one of the nodes, can do it every "
				"month",
				scenario),
			"%s was last tried %lld days ago", scenario, days);
	else
		doctor_ok(d, "%s: %s, %lld days ago", scenario, *its ? its : "done", days);
}

/* That both nodes can do it alone only such a drill shows. */
static bool has_taken_over(const json_t *newest)
{
	for (size_t i = 0; doctor_takeovers[i]; i++)
		if (json_object_get(newest, doctor_takeovers[i]))
			return true;
	return false;
}

void judge_drills(struct doctor *d, const char *dir, long long now_ms)
{
	json_t *newest = doctor_drills(dir), *result;
	const char *scenario;

	json_object_foreach(newest, scenario, result) {
		judge_newest(d, scenario, result, now_ms);
	}
	if (!json_object_size(newest))
		doctor_warn(
			d,
			"fairlead drill --list, and then each scenario once; fairlead-drill.timer, enabled on one of the nodes, can do it every month",
			"failover has never been tried here");
	else if (!has_taken_over(newest))
		doctor_warn(d, "fairlead drill maintenance, then kill-daemon and power",
			    "no drill was ever tried in which the other node takes over");
	json_decref(newest);
}

void check_drill(struct doctor *d)
{
	char dir[512];

	if (!d->config || !d->config->ha.interface) {
		doctor_skip(d, "there is no pair");
		return;
	}
	snprintf(dir, sizeof(dir), "%s/drill", d->state_dir);
	judge_drills(d, dir, clock_ms(CLOCK_REALTIME));
}
