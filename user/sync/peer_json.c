// SPDX-License-Identifier: GPL-2.0-only
#include "user/sync/peer_json.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Bytes of the control character that the text begins with; 0: it begins with another. In UTF-8, as Jansson has all texts */
static size_t control_at(const char *text)
{
	const unsigned char *c = (const unsigned char *)text;

	if (*c < 0x20 || *c == 0x7f)
		return 1;
	return c[0] == 0xc2 && c[1] <= 0x9f ? 2 : 0;
}

static bool has_control(const char *text)
{
	while (*text && !control_at(text))
		text++;
	return *text;
}

static void clean_text(json_t *json)
{
	const char *text = json_string_value(json);
	char *clean = has_control(text) ? malloc(strlen(text) + 1) : NULL;
	size_t n = 0;

	for (; clean && *text; n++) {
		size_t control = control_at(text);

		clean[n] = control ? '?' : *text;
		text += control ?: 1;
	}
	if (clean)
		clean[n] = 0;
	if (has_control(json_string_value(json)))
		json_string_set_nocheck(json, clean ? clean : "?");
	free(clean);
}

static void clean_object(json_t *object, const char *but)
{
	const char *key;
	json_t *value;
	void *next;

	json_object_foreach_safe(object, next, key, value) {
		if (has_control(key))
			json_object_del(object, key);
		else if (strcmp(key, but) != 0)
			peer_json_clean(value, "");
	}
}

/* As deep as Jansson reads: 2,048 levels. */
void peer_json_clean(json_t *json, const char *but)
{
	json_t *value;
	size_t i;

	if (json_is_string(json))
		clean_text(json);
	else if (json_is_object(json))
		clean_object(json, but);
	json_array_foreach(json, i, value) {
		peer_json_clean(value, "");
	}
}

json_t *peer_json(const uint8_t *data, size_t len)
{
	json_t *json = json_loadb((const char *)data, len, 0, NULL);

	peer_json_clean(json, "");
	return json;
}
