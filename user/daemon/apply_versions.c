// SPDX-License-Identifier: GPL-2.0-only
/* Versions of the history that are applied again, and the end of a trial by hand. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/daemon/apply_internal.h"

/* entry: its line of the history */
static void version_fails(struct apply *apply, const json_t *entry, int status, const char *why,
			  struct apply_result *result)
{
	long long version = json_integer_value(json_object_get(entry, "version"));
	char *path = store_version_path(&apply->store, version);

	apply_fail(result, status, "version %lld, %s: %s; nothing was changed", version,
		   path ? path : "a file of the history", why);
	free(path);
}

/* 0 or -errno; *entry as that of store_read_version() */
static int read_version(const struct apply *apply, size_t back, struct apply_request *request, const json_t **entry)
{
	char *text, *note;
	int err = store_read_version(&apply->store, back, &text, &request->len, entry);

	if (err)
		return err;
	if (asprintf(&note, "rollback to version %lld", json_integer_value(json_object_get(*entry, "version"))) < 0)
		note = NULL;
	request->text = text;
	request->note = note;
	request->changes = true;
	return 0;
}

void apply_version_free(struct apply_request *request)
{
	free((char *)request->text);
	free((char *)request->note);
}

bool apply_version(const struct apply *apply, size_t back, struct apply_request *request)
{
	const json_t *entry;

	*request = (struct apply_request){ 0 };
	return !read_version(apply, back, request, &entry);
}

static void rollback_to(struct apply *apply, size_t back, struct apply_result *result)
{
	struct apply_request request = { 0 };
	const json_t *entry;
	int err = read_version(apply, back, &request, &entry);

	if (err == -ERANGE) {
		apply_fail(result, 1, "no version is %zu back; `fairlead show history` lists them", back);
		return;
	}
	if (err) {
		version_fails(apply, entry, 1, strerror(-err), result);
		return;
	}
	apply_text(apply, &request, result);
	if (result->status == 2)
		version_fails(apply, entry, 2, "it has errors", result);
	apply_version_free(&request);
}

void apply_rollback(struct apply *apply, size_t back, struct apply_result *result)
{
	*result = (struct apply_result){ 0 };
	if (!apply->before) {
		rollback_to(apply, back ? back : 1, result);
	} else if (back) {
		apply_fail(
			result, 1,
			"a configuration waits for `fairlead confirm`; `fairlead rollback` without a number ends it");
	} else if (apply_undo(apply)) {
		apply_fail(result, 1, "the configuration before could not be put back; the daemon's log says why");
	} else {
		result->state = "applied";
		if (asprintf(&result->summary, "the configuration on trial is undone; its text is in %s/undone.json",
			     apply->store.dir) < 0)
			result->summary = NULL;
	}
}
