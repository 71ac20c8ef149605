/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Keys that an object has twice. Jansson stops at the first; this finds the rest, with line and column, in a text of
 * which Jansson has already said that it is otherwise well-formed and at most 2,048 levels deep.
 */
#include "user/config/duplicate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/config/report.h"

struct scan {
	const char *at, *end;
	const char *counted; /* how far columns of this line have been counted, and how many */
	unsigned int line, column;
	struct config_report *report;
};

static int scan_value(struct scan *s, const struct path *path);

static void skip_space(struct scan *s)
{
	for (; s->at < s->end && strchr(" \t\r\n", *s->at); s->at++) {
		if (*s->at == '\n') {
			s->line++;
			s->column = 0;
			s->counted = s->at + 1;
		}
	}
}

/* Columns count characters, as Jansson's: bytes that don't continue a UTF-8 sequence. */
static unsigned int column(struct scan *s, const char *at)
{
	for (; s->counted < at; s->counted++)
		s->column += ((unsigned char)*s->counted & 0xc0) != 0x80;
	return s->column + 1;
}

/* Over a string; well-formed, so a quote that is not behind a backslash ends it. */
static void skip_string(struct scan *s)
{
	for (s->at++; s->at < s->end && *s->at != '"'; s->at++) {
		if (*s->at == '\\')
			s->at++;
	}
	s->at++;
}

/* One member of an object: the key against those seen before, then the value. */
static int scan_member(struct scan *s, const struct path *path, json_t *seen)
{
	const char *start = s->at;
	struct path member = { .up = path };
	int err = -ENOMEM;
	char *pointer;
	json_t *key;

	skip_string(s);
	key = json_loadb(start, (size_t)(s->at - start), JSON_DECODE_ANY, NULL);
	if (!key)
		return -ENOMEM;
	member.key = json_string_value(key);
	if (json_object_get(seen, member.key)) {
		pointer = pointer_of_path(&member);
		if (!pointer)
			goto out;
		config_report_add(s->report, false, pointer,
				  "this key is there again at line %u, column %u; one of the two must go", s->line,
				  column(s, start));
		free(pointer);
	} else if (json_object_set_new(seen, member.key, json_true())) {
		goto out;
	}
	skip_space(s);
	s->at++; /* the colon */
	err = scan_value(s, &member);
out:
	json_decref(key);
	return err;
}

static int scan_object(struct scan *s, const struct path *path)
{
	json_t *seen = json_object();
	int err = seen ? 0 : -ENOMEM;

	s->at++;
	skip_space(s);
	while (!err && s->at < s->end && *s->at != '}') {
		err = scan_member(s, path, seen);
		skip_space(s);
		if (s->at < s->end && *s->at == ',')
			s->at++;
		skip_space(s);
	}
	s->at++;
	json_decref(seen);
	return err;
}

static int scan_array(struct scan *s, const struct path *path)
{
	struct path element = { .up = path };
	int err = 0;

	s->at++;
	skip_space(s);
	while (!err && s->at < s->end && *s->at != ']') {
		err = scan_value(s, &element);
		element.index++;
		skip_space(s);
		if (s->at < s->end && *s->at == ',')
			s->at++;
		skip_space(s);
	}
	s->at++;
	return err;
}

static int scan_value(struct scan *s, const struct path *path)
{
	skip_space(s);
	if (s->at >= s->end)
		return 0;
	switch (*s->at) {
	case '{':
		return scan_object(s, path);
	case '[':
		return scan_array(s, path);
	case '"':
		skip_string(s);
		return 0;
	default: /* number, true, false, null */
		while (s->at < s->end && !strchr(" \t\r\n,]}", *s->at))
			s->at++;
		return 0;
	}
}

int duplicate_report(const char *text, size_t len, struct config_report *report)
{
	struct scan s = { .at = text, .end = text + len, .counted = text, .line = 1, .report = report };

	return scan_value(&s, NULL);
}
