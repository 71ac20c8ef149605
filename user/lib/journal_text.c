// SPDX-License-Identifier: GPL-2.0-only
#include "user/lib/journal_text.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_control(char c)
{
	return (unsigned char)c < ' ' || c == 0x7f;
}

static void put_plain(FILE *to, const char *text)
{
	for (; *text; text++)
		putc(is_control(*text) ? '?' : *text, to);
}

static void put_value(FILE *to, const char *text)
{
	if (*text && !strpbrk(text, " \"=\\")) {
		put_plain(to, text);
		return;
	}
	putc('"', to);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			putc('\\', to);
		putc(is_control(*text) ? '?' : *text, to);
	}
	putc('"', to);
}

static const char *text_of(const json_t *event, const char *key)
{
	const char *text = json_string_value(json_object_get(event, key));

	return text ? text : "";
}

/* A text as it is, a list with commas, everything else as in JSON. */
static void put_json(FILE *to, const json_t *value)
{
	const char *text = json_string_value(value);
	char *json = NULL;
	json_t *item;
	size_t i;

	if (!json_is_array(value)) {
		json = text ? NULL : json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
		fputs(text ? text : json ? json : "", to);
		free(json);
		return;
	}
	json_array_foreach((json_t *)value, i, item) {
		if (i)
			putc(',', to);
		put_json(to, item);
	}
}

static void put_detail(FILE *to, const char *key, const json_t *value)
{
	char *text = NULL;
	size_t len = 0;
	FILE *memory = open_memstream(&text, &len);

	if (!memory)
		return;
	put_json(memory, value);
	fprintf(to, " %s=", key);
	if (!fclose(memory))
		put_value(to, text);
	free(text);
}

char *journal_text(const json_t *event)
{
	const char *reason = text_of(event, "reason"), *key;
	char *text = NULL;
	size_t len = 0;
	FILE *to = open_memstream(&text, &len);
	json_t *value;

	if (!to)
		return NULL;
	put_plain(to, text_of(event, "kind"));
	putc(' ', to);
	put_value(to, text_of(event, "name"));
	fputs(": ", to);
	put_plain(to, text_of(event, "event"));
	if (*reason) {
		fputs(": ", to);
		put_plain(to, reason);
	}
	json_object_foreach(json_object_get(event, "details"), key, value) {
		put_detail(to, key, value);
	}
	if (!fclose(to))
		return text;
	free(text);
	return NULL;
}
