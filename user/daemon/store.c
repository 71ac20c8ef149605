// SPDX-License-Identifier: GPL-2.0-only
#include "user/daemon/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "user/lib/clock.h"
#include "user/lib/log.h"

#define CONFIG_MODE 0644
#define HISTORY_MODE 0600

static char *in_dir(const struct store *store, const char *name)
{
	char *path;

	return asprintf(&path, "%s/%s", store->dir, name) < 0 ? NULL : path;
}

char *store_version_path(const struct store *store, long long version)
{
	char *path;

	return asprintf(&path, "%s/history/%lld.json", store->dir, version) < 0 ? NULL : path;
}

static long long number_of(const json_t *entry)
{
	return json_integer_value(json_object_get(entry, "version"));
}

/* ---- the index ---- */

static bool entry_usable(const struct store *store, const json_t *entry)
{
	char *path = store_version_path(store, number_of(entry));
	bool usable = path && number_of(entry) > 0 && json_is_string(json_object_get(entry, "summary")) &&
		      json_is_integer(json_object_get(entry, "time_ms")) && !access(path, R_OK);

	free(path);
	return usable;
}

static void read_index(struct store *store)
{
	char *path = in_dir(store, "history/index.json");
	json_t *index = path ? json_load_file(path, 0, NULL) : NULL;
	json_t *entry;
	size_t i;

	if (!index && path && !access(path, F_OK))
		log_warnx("%s is damaged: the history starts anew", path);
	json_array_foreach(json_object_get(index, "versions"), i, entry) {
		if (entry_usable(store, entry))
			json_array_append(store->versions, entry);
	}
	json_decref(index);
	free(path);
}

static int write_index(const struct store *store)
{
	char *path = in_dir(store, "history/index.json");
	json_t *index = json_pack("{s:O}", "versions", store->versions);
	char *text = index ? json_dumps(index, JSON_INDENT(2)) : NULL;
	int err = path && text ? file_replace(path, text, strlen(text), HISTORY_MODE) : -ENOMEM;

	free(text);
	json_decref(index);
	free(path);
	return err;
}

static int make_dirs(struct store *store)
{
	char *history = in_dir(store, "history");

	store->history_err = history ? file_make_dirs(history, 0700) : -ENOMEM;
	free(history);
	return store->history_err;
}

int store_open(struct store *store, const char *file, const char *dir)
{
	int err = 0;

	*store = (struct store){ .file = strdup(file), .dir = strdup(dir), .versions = json_array() };
	if (!store->file || !store->dir || !store->versions)
		err = -ENOMEM;
	if (!err) {
		make_dirs(store);
		read_index(store);
	} else {
		store_close(store);
	}
	return err;
}

int store_trouble(const struct store *store)
{
	char *history = in_dir(store, "history");
	int err = !history ? -ENOMEM : access(history, W_OK) ? -errno : store->history_err;

	free(history);
	return err;
}

void store_close(struct store *store)
{
	store_settle(store);
	free(store->file);
	free(store->dir);
	json_decref(store->versions);
	*store = (struct store){ 0 };
}

/* ---- a new version ---- */

static bool file_has(const char *path, const char *text, size_t len)
{
	char *old;
	size_t old_len;
	bool same;

	if (file_read_regular(path, &old, &old_len))
		return false;
	same = old_len == len && !memcmp(old, text, len);
	free(old);
	return same;
}

static bool newest_has(const struct store *store, const char *text, size_t len)
{
	char *path = store_newest(store) ? store_version_path(store, store_newest(store)) : NULL;
	bool same = path && file_has(path, text, len);

	free(path);
	return same;
}

/* Into a directory that somebody may have removed since. */
static int write_in_state(struct store *store, const char *path, const char *text, size_t len,
			  int (*replace)(const char *path, const char *text, size_t len, mode_t mode))
{
	int err = replace(path, text, len, HISTORY_MODE);

	if (err == -ENOENT)
		err = make_dirs(store) ?: replace(path, text, len, HISTORY_MODE);
	return err;
}

static int write_version(struct store *store, const char *path, const char *text, size_t len)
{
	int err = store->history_err ? make_dirs(store) : 0; /* what could not be then may be possible now */

	err = err ?: write_in_state(store, path, text, len, file_replace_soon);
	store->history_err = err;
	return err;
}

int store_prepare(struct store *store, const char *text, size_t len, struct store_change *change, const char **why)
{
	int err;

	store_settle(store); /* one at a time */
	*change = (struct store_change){ .version = store_newest(store) + 1 };
	if (!file_has(store->file, text, len)) {
		*why = store->file;
		err = file_prepare(&change->own, store->file, text, len, CONFIG_MODE);
		if (err)
			return err;
	}
	if (!newest_has(store, text, len)) {
		*why = store->dir;
		change->version_path = store_version_path(store, change->version);
		err = change->version_path ? write_version(store, change->version_path, text, len) : -ENOMEM;
		if (err) {
			store_discard(change);
			return err;
		}
	}
	return 0;
}

static void forget_oldest(struct store *store)
{
	while (json_array_size(store->versions) > STORE_EARLIER + 1) {
		char *path = store_version_path(store, number_of(json_array_get(store->versions, 0)));

		if (path)
			unlink(path);
		free(path);
		json_array_remove(store->versions, 0);
	}
}

int store_commit(struct store *store, struct store_change *change, const char *summary)
{
	int err;

	if (change->own.temp) {
		err = file_commit(&change->own);
		if (err) {
			store_discard(change);
			return err;
		}
	}
	if (change->version_path) {
		json_array_append_new(store->versions, json_pack("{s:I,s:I,s:s}", "version", change->version, "time_ms",
								 clock_ms(CLOCK_REALTIME), "summary", summary));
		forget_oldest(store);
		store->unsettled = true;
	}
	free(change->version_path);
	*change = (struct store_change){ 0 };
	return 0;
}

/* An index that can't be written loses a line of history, no more. */
void store_settle(struct store *store)
{
	char *path;
	int err;

	if (!store->unsettled)
		return;
	store->unsettled = false;
	path = store_version_path(store, store_newest(store));
	err = path ? file_sync(path) : -ENOMEM;
	err = err ?: write_index(store);
	store->history_err = err;
	if (err)
		log_ret(err, "%s/history/index.json: version %lld is not in it", store->dir, store_newest(store));
	free(path);
}

void store_discard(struct store_change *change)
{
	file_discard(&change->own);
	if (change->version_path)
		unlink(change->version_path);
	free(change->version_path);
	*change = (struct store_change){ 0 };
}

/* ---- looking back ---- */

int store_read_version(const struct store *store, size_t back, char **text, size_t *len, const json_t **entry)
{
	size_t n = json_array_size(store->versions);
	char *path;
	int err;

	if (back >= n)
		return -ERANGE;
	*entry = json_array_get(store->versions, n - 1 - back);
	path = store_version_path(store, number_of(*entry));
	err = path ? file_read_regular(path, text, len) : -ENOMEM;
	free(path);
	return err;
}

json_t *store_history(const struct store *store)
{
	json_t *out = json_array();
	size_t n = json_array_size(store->versions);

	for (size_t back = 0; back < n; back++) {
		json_t *row = json_pack("{s:I}", "back", (json_int_t)back);

		json_object_update(row, json_array_get(store->versions, n - 1 - back));
		json_array_append_new(out, row);
	}
	return out;
}

long long store_newest(const struct store *store)
{
	size_t n = json_array_size(store->versions);

	return n ? number_of(json_array_get(store->versions, n - 1)) : 0;
}

/* ---- on trial ---- */

int store_pending_write(struct store *store, const char *text, size_t len)
{
	char *path = in_dir(store, "pending.json");
	int err = path ? write_in_state(store, path, text, len, file_replace) : -ENOMEM;

	free(path);
	return err;
}

int store_pending_read(const struct store *store, char **text, size_t *len)
{
	char *path = in_dir(store, "pending.json");
	int err = path ? file_read_regular(path, text, len) : -ENOMEM;

	free(path);
	return err;
}

bool store_pending_is(const struct store *store, const char *text, size_t len)
{
	char *path = in_dir(store, "pending.json");
	bool same = path && file_has(path, text, len);

	free(path);
	return same;
}

void store_pending_remove(const struct store *store)
{
	char *path = in_dir(store, "pending.json");

	if (path)
		unlink(path);
	free(path);
}

bool store_pending_set_aside(const struct store *store)
{
	char *path = in_dir(store, "pending.json"), *aside = in_dir(store, "undone.json");
	bool was = path && aside && !rename(path, aside);

	free(aside);
	free(path);
	return was;
}

bool store_own_is(const struct store *store, const char *text, size_t len)
{
	return file_has(store->file, text, len);
}

int store_own_keep(struct store *store)
{
	char *path = in_dir(store, "unapplied.json"), *text = NULL;
	size_t len;
	int err = path ? file_read_regular(store->file, &text, &len) : -ENOMEM;

	err = err ?: write_in_state(store, path, text, len, file_replace);
	free(text);
	free(path);
	return err;
}

int store_own_prepare(const struct store *store, const char *text, size_t len, struct file_change *change)
{
	return file_prepare(change, store->file, text, len, CONFIG_MODE);
}
