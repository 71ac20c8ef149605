// SPDX-License-Identifier: GPL-2.0-only
#include "user/lib/drill_result.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "user/lib/file.h"
#include "user/lib/instance.h"

#define SCENARIO_MAX 32

/* NULL: the result is none. It may be another node's, and becomes the name of a file. */
static const char *scenario_of(const json_t *result)
{
	const char *name = json_string_value(json_object_get(result, "scenario"));
	size_t len = name ? strlen(name) : 0;

	return len && len <= SCENARIO_MAX && strspn(name, "abcdefghijklmnopqrstuvwxyz-") == len ? name : NULL;
}

/* Both malloc'ed; false: out of memory */
static bool name_file(const char *instance, const json_t *result, char **dir, char **path)
{
	time_t when = json_integer_value(json_object_get(result, "time_ms")) / 1000;
	char *state = instance_state_dir(instance), text[32];
	struct tm tm;

	if (!state || !gmtime_r(&when, &tm) || !strftime(text, sizeof(text), "%Y%m%dT%H%M%SZ", &tm) ||
	    asprintf(dir, "%s/drill", state) < 0)
		*dir = NULL;
	if (!*dir || asprintf(path, "%s/%s-%s.json", *dir, text, scenario_of(result)) < 0)
		*path = NULL;
	free(state);
	return *dir && *path;
}

int drill_result_keep(const char *instance, const json_t *result)
{
	char *text = json_dumps(result, JSON_INDENT(2)), *dir = NULL, *path = NULL;
	int err = -EINVAL;

	if (text && scenario_of(result))
		err = name_file(instance, result, &dir, &path) ? file_make_dirs(dir, 0700) : -ENOMEM;
	if (!err)
		err = file_replace(path, text, strlen(text), 0600);
	free(path);
	free(dir);
	free(text);
	return err;
}
