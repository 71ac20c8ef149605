// SPDX-License-Identifier: GPL-2.0-only
#include "user/daemon/diff.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the list ---- */

static bool diff_value(json_t *out, const char *pointer, const json_t *from, const json_t *to);

static bool report(json_t *out, const char *pointer, const char *change)
{
	return !json_array_append_new(out, json_pack("{s:s,s:s}", "pointer", pointer, "change", change));
}

/* pointer + "/" + key, with ~ and / escaped (RFC 6901 section 3). Malloc'ed */
static char *join(const char *pointer, const char *key)
{
	char *out = malloc(strlen(pointer) + 2 * strlen(key) + 2);
	char *p;

	if (!out)
		return NULL;
	p = stpcpy(stpcpy(out, pointer), "/");
	for (; *key; key++) {
		if (*key == '~' || *key == '/') {
			*p++ = '~';
			*p++ = *key == '~' ? '0' : '1';
		} else {
			*p++ = *key;
		}
	}
	*p = '\0';
	return out;
}

static bool diff_member(json_t *out, const char *pointer, const char *key, const json_t *from, const json_t *to)
{
	char *path = join(pointer, key);
	bool ok;

	if (!path)
		return false;
	if (!from || !to)
		ok = report(out, path, from ? "removed" : "added");
	else
		ok = diff_value(out, path, from, to);
	free(path);
	return ok;
}

static bool diff_objects(json_t *out, const char *pointer, const json_t *from, const json_t *to)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)from, key, value) {
		if (!diff_member(out, pointer, key, value, json_object_get(to, key)))
			return false;
	}
	json_object_foreach((json_t *)to, key, value) {
		if (!json_object_get(from, key) && !diff_member(out, pointer, key, NULL, value))
			return false;
	}
	return true;
}

static bool diff_arrays(json_t *out, const char *pointer, const json_t *from, const json_t *to)
{
	size_t n_from = json_array_size(from), n_to = json_array_size(to);

	for (size_t i = 0; i < n_from || i < n_to; i++) {
		char key[24];

		snprintf(key, sizeof(key), "%zu", i);
		if (!diff_member(out, pointer, key, json_array_get(from, i), json_array_get(to, i)))
			return false;
	}
	return true;
}

static bool diff_value(json_t *out, const char *pointer, const json_t *from, const json_t *to)
{
	if (json_is_object(from) && json_is_object(to))
		return diff_objects(out, pointer, from, to);
	if (json_is_array(from) && json_is_array(to))
		return diff_arrays(out, pointer, from, to);
	return json_equal(from, to) || report(out, pointer, "changed");
}

json_t *diff_json(const json_t *from, const json_t *to)
{
	json_t *out = json_array();
	json_t *nothing = json_object();
	bool ok = out && nothing && diff_value(out, "", from ? from : nothing, to);

	json_decref(nothing);
	if (!ok) {
		json_decref(out);
		return NULL;
	}
	return out;
}

/* ---- one line ---- */

/* "/tunnels/he0/mtu" -> "tunnels/he0"; *whole tells that the item itself is meant */
static char *item_of(const char *pointer, bool *whole)
{
	const char *end = *pointer ? strchr(pointer + 1, '/') : NULL;

	end = end ? strchr(end + 1, '/') : NULL;
	*whole = !end;
	return end ? strndup(pointer + 1, end - pointer - 1) : strdup(*pointer ? pointer + 1 : "everything");
}

static json_t *items_by_change(const json_t *changes)
{
	json_t *by = json_pack("{s:[],s:[],s:[]}", "added", "changed", "removed");
	const char *last = NULL;
	json_t *entry;
	size_t i;

	json_array_foreach((json_t *)changes, i, entry) {
		bool whole;
		char *item = item_of(json_string_value(json_object_get(entry, "pointer")), &whole);
		const char *change = json_string_value(json_object_get(entry, "change"));
		json_t *list = json_object_get(by, whole ? change : "changed");

		/* the differences of one item follow each other */
		if (item && (!last || strcmp(item, last))) {
			json_array_append_new(list, json_string(item));
			last = json_string_value(json_array_get(list, json_array_size(list) - 1));
		}
		free(item);
	}
	return by;
}

char *diff_summary(const json_t *changes)
{
	json_t *by = items_by_change(changes);
	char *text = calloc(1, DIFF_SUMMARY_MAX + 1);
	const char *change, *last = NULL;
	size_t used = 0, left_out = 0, i;
	json_t *list, *item;

	if (!text)
		goto out;
	json_object_foreach(by, change, list) {
		json_array_foreach(list, i, item) {
			const char *name = json_string_value(item);
			char part[DIFF_SUMMARY_MAX];
			int n;

			if (change == last)
				n = snprintf(part, sizeof(part), ", %s", name);
			else
				n = snprintf(part, sizeof(part), "%s%s %s", used ? "; " : "", change, name);
			/* room for ", and N more" */
			if (used + n > DIFF_SUMMARY_MAX - 32) {
				left_out++;
				continue;
			}
			strcpy(text + used, part);
			used += n;
			last = change;
		}
	}
	if (left_out)
		sprintf(text + used, used ? ", and %zu more" : "changed %zu items", left_out);
	else if (!used)
		strcpy(text, "no difference in content");
out:
	json_decref(by);
	return text;
}
