// SPDX-License-Identifier: GPL-2.0-only
#include "user/sync/config_part.h"

#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/config/config.h"
#include "user/config/words.h"

/* 15 digits, so that 0.1 stays 0.1, and what was written and read again is the same. */
#define DUMP (JSON_ENCODE_ANY | JSON_REAL_PRECISION(15))

/* Shared by both nodes; what differs in it belongs to the node. */
static const char own_key[] = "advskew";

static bool is_local(const json_t *item)
{
	return json_is_false(json_object_get(item, "sync"));
}

/* Without items, as one that is not there. */
static bool is_empty(const json_t *section)
{
	return (json_is_object(section) && !json_object_size(section)) ||
	       (json_is_array(section) && !json_array_size(section));
}

/* ---- from a document ---- */

/* NULL: out of memory */
static json_t *item_pushed(const char *section, json_t *item)
{
	json_t *copy;

	if (strcmp(section, "vips") || !json_object_get(item, own_key))
		return json_incref(item);
	copy = json_copy(item);
	json_object_del(copy, own_key);
	return copy;
}

static json_t *map_pushed(const char *section, const json_t *map)
{
	json_t *out = json_object(), *item;
	const char *name;

	json_object_foreach((json_t *)map, name, item) {
		if (is_local(item) || !json_object_set_new_nocheck(out, name, item_pushed(section, item)))
			continue;
		json_decref(out);
		return NULL;
	}
	return out;
}

static json_t *array_pushed(const json_t *array)
{
	json_t *out = json_array(), *item;
	size_t i;

	json_array_foreach(array, i, item) {
		if (is_local(item) || !json_array_append(out, item))
			continue;
		json_decref(out);
		return NULL;
	}
	return out;
}

static json_t *section_pushed(const char *name, json_t *section)
{
	if (json_is_object(section))
		return map_pushed(name, section);
	return json_is_array(section) ? array_pushed(section) : json_incref(section);
}

json_t *config_part_of(const json_t *document, uint32_t sections)
{
	json_t *part = json_pack("{s:[],s:{}}", "sections", "config");
	json_t *names = json_object_get(part, "sections"), *config = json_object_get(part, "config");
	const struct schema_word *word;
	int err = part ? 0 : -1;

	for (word = words_sections; word->word && !err; word++) {
		json_t *section = json_object_get(document, word->word), *pushed;

		if (!(sections >> word->value & 1))
			continue;
		err = json_array_append_new(names, json_string(word->word));
		pushed = section ? section_pushed(word->word, section) : NULL;
		err = err ? err : section && !pushed;
		if (pushed && !is_empty(pushed))
			err = err ? err : json_object_set(config, word->word, pushed);
		json_decref(pushed);
	}
	if (!err)
		return part;
	json_decref(part);
	return NULL;
}

/* ---- what was received ---- */

static const struct schema_word *find_section(const char *name)
{
	const struct schema_word *word = words_sections;

	while (word->word && strcmp(word->word, name))
		word++;
	return word->word ? word : NULL;
}

uint32_t config_part_sections(const json_t *part)
{
	uint32_t sections = 0;
	json_t *name;
	size_t i;

	json_array_foreach(json_object_get(part, "sections"), i, name) {
		const struct schema_word *word = json_is_string(name) ? find_section(json_string_value(name)) : NULL;

		sections |= word ? 1u << word->value : 0;
	}
	return sections;
}

const char *config_part_fault(const json_t *part)
{
	const json_t *names = json_object_get(part, "sections"), *config = json_object_get(part, "config");
	uint32_t sections = config_part_sections(part);
	const char *name;
	json_t *value;
	size_t i;

	if (!json_is_array(names) || !json_is_object(config))
		return "no configuration is in it";
	json_array_foreach(names, i, value) {
		if (!json_is_string(value) || !find_section(json_string_value(value)))
			return "it has a section that this node's version does not know: update this node first";
	}
	json_object_foreach((json_t *)config, name, value) {
		const struct schema_word *word = find_section(name);

		if (!word || !(sections >> word->value & 1))
			return "it has a section that it does not name";
	}
	return NULL;
}

/* ---- the hash ---- */

static int feed(const char *text, size_t len, void *arg)
{
	sha256_update(arg, len, (const uint8_t *)text);
	return 0;
}

static void feed_value(struct sha256_ctx *hash, const json_t *value)
{
	json_dump_callback(value, feed, hash, DUMP | JSON_COMPACT | JSON_SORT_KEYS);
}

static void feed_key(struct sha256_ctx *hash, const char *key)
{
	json_t *string = json_string(key);

	feed_value(hash, string);
	feed(":", 1, hash);
	json_decref(string);
}

/* Its members as they stand; what is in them is sorted. */
static void feed_members(struct sha256_ctx *hash, const json_t *object)
{
	const char *key;
	json_t *value;

	feed("{", 1, hash);
	json_object_foreach((json_t *)object, key, value) {
		feed_key(hash, key);
		feed_value(hash, value);
		feed(",", 1, hash);
	}
	feed("}", 1, hash);
}

void config_part_hash(const json_t *part, char text[CONFIG_PART_HASH])
{
	const json_t *config = json_object_get(part, "config");
	uint32_t sections = config_part_sections(part);
	uint8_t digest[SHA256_DIGEST_SIZE];
	const struct schema_word *word;
	struct sha256_ctx hash;
	size_t i;

	sha256_init(&hash);
	for (word = words_sections; word->word; word++) {
		const json_t *section = json_object_get(config, word->word);

		if (!(sections >> word->value & 1))
			continue;
		feed_key(&hash, word->word);
		if (json_is_object(section))
			feed_members(&hash, section);
		else if (section)
			feed_value(&hash, section);
	}
	sha256_digest(&hash, sizeof(digest), digest);
	for (i = 0; i < sizeof(digest); i++)
		snprintf(text + 2 * i, 3, "%02x", digest[i]);
}

/* ---- merging ---- */

/* A section as a row of items: members of an object, or elements of an array. */
struct row {
	const char *name; /* NULL: it has none */
	json_t *value;
	bool stays;    /* of the receiver's own: not pushed, and no pushed one has its name */
	size_t behind; /* then: how many pushed ones come before it */
};

struct rows {
	struct row *list;
	size_t n;
};

static int rows_of(const json_t *section, struct rows *rows)
{
	size_t n = json_object_size(section) + json_array_size(section), i;
	const char *name;
	json_t *value;

	*rows = (struct rows){ .list = calloc(n + 1, sizeof(*rows->list)) };
	if (!rows->list)
		return -1;
	json_object_foreach((json_t *)section, name, value)
		rows->list[rows->n++] = (struct row){ .name = name, .value = value };
	json_array_foreach(section, i, value)
		rows->list[rows->n++] =
			(struct row){ .name = json_string_value(json_object_get(value, "name")), .value = value };
	return 0;
}

/* Its place among the rows, from 1 on; 0: it is not there. names: of those that have one. */
static size_t find_row(const struct rows *rows, const json_t *names, const struct row *like)
{
	size_t i;

	if (like->name)
		return (size_t)json_integer_value(json_object_get(names, like->name));
	for (i = 0; i < rows->n; i++) {
		if (!rows->list[i].name && json_equal(rows->list[i].value, like->value))
			return i + 1;
	}
	return 0;
}

/* Which of the receiver's items stay, and where. */
static void place(struct rows *own, const struct rows *pushed, const json_t *names)
{
	size_t i, j;

	for (i = 0; i < own->n; i++) {
		struct row *row = &own->list[i];

		row->stays = is_local(row->value) && !find_row(pushed, names, row);
		for (j = i; row->stays && j-- > 0 && !row->behind;)
			row->behind = own->list[j].stays ? own->list[j].behind : find_row(pushed, names, &own->list[j]);
	}
}

/* The value of a pushed item at the receiver. NULL: out of memory */
static json_t *item_received(const char *section, json_t *pushed, const json_t *own)
{
	json_t *advskew = json_object_get(own, own_key), *copy;

	if (is_local(own))
		return json_incref((json_t *)own);
	if (strcmp(section, "vips") || !advskew || !json_is_object(pushed))
		return json_incref(pushed);
	copy = json_copy(pushed);
	json_object_set(copy, own_key, advskew);
	return copy;
}

/* of: the section as the receiver has it, by names */
static int put(json_t *out, const char *section, const struct row *row, const json_t *of)
{
	const json_t *own = row->name ? json_object_get(of, row->name) : NULL;
	json_t *value = item_received(section, row->value, own);

	return json_is_object(out) ? json_object_set_new_nocheck(out, row->name, value)
				   : json_array_append_new(out, value);
}

static int put_staying(json_t *out, const char *section, const struct rows *own, size_t behind)
{
	size_t i;
	int err = 0;

	for (i = 0; i < own->n && !err; i++) {
		if (own->list[i].stays && own->list[i].behind == behind)
			err = put(out, section, &own->list[i], NULL);
	}
	return err;
}

static bool any_stays(const struct rows *own)
{
	size_t i;

	for (i = 0; i < own->n && !own->list[i].stays; i++)
		;
	return i < own->n;
}

/* Places by name, or with `values` the values themselves. */
static json_t *names_of(const struct rows *rows, bool values)
{
	json_t *names = json_object();
	size_t i;
	int err = 0;

	for (i = 0; i < rows->n && !err; i++) {
		const struct row *row = &rows->list[i];

		if (!row->name)
			continue;
		err = values ? json_object_set_nocheck(names, row->name, row->value)
			     : json_object_set_new_nocheck(names, row->name, json_integer((json_int_t)i + 1));
	}
	if (!err)
		return names;
	json_decref(names);
	return NULL;
}

static int put_rows(json_t *out, const char *section, const struct rows *own, const struct rows *pushed,
		    const json_t *of)
{
	bool staying = any_stays(own);
	int err = staying ? put_staying(out, section, own, 0) : 0;
	size_t i;

	for (i = 0; i < pushed->n && !err; i++) {
		err = put(out, section, &pushed->list[i], of);
		if (staying && !err)
			err = put_staying(out, section, own, i + 1);
	}
	return err;
}

/* Of two sections that are both objects or both arrays, or one of them is nothing. NULL: out of memory */
static json_t *merge_items(const char *section, const json_t *own, const json_t *pushed)
{
	json_t *out = json_is_object(own ? own : pushed) ? json_object() : json_array();
	struct rows a = { NULL }, b = { NULL };
	json_t *names, *of;
	int err = rows_of(own, &a) || rows_of(pushed, &b);

	names = err ? NULL : names_of(&b, false);
	of = err ? NULL : names_of(&a, true);
	err = err || !out || !names || !of;
	if (!err) {
		place(&a, &b, names);
		err = put_rows(out, section, &a, &b, of);
	}
	json_decref(names);
	json_decref(of);
	free(a.list);
	free(b.list);
	if (!err)
		return out;
	json_decref(out);
	return NULL;
}

static bool are_items(const json_t *one, const json_t *other)
{
	if (json_is_object(one))
		return !other || json_is_object(other);
	if (json_is_array(one))
		return !other || json_is_array(other);
	return !one && (json_is_object(other) || json_is_array(other));
}

static int merge_section(json_t *out, const char *name, json_t *pushed)
{
	json_t *own = json_object_get(out, name), *merged;
	int err;

	if (!own && !pushed)
		return 0;
	if (!are_items(own, pushed))
		return pushed ? json_object_set_nocheck(out, name, pushed) : json_object_del(out, name);
	merged = merge_items(name, own, pushed);
	if (!merged)
		return -1;
	err = !is_empty(merged) ? json_object_set_nocheck(out, name, merged) : own ? json_object_del(out, name) : 0;
	json_decref(merged);
	return err;
}

json_t *config_part_merge(const json_t *own, const json_t *part)
{
	const json_t *config = json_object_get(part, "config");
	json_t *out = json_copy((json_t *)own);
	int err = out ? 0 : -1;
	json_t *name;
	size_t i;

	json_array_foreach(json_object_get(part, "sections"), i, name) {
		const char *section = json_string_value(name);

		err = err ? err : merge_section(out, section, json_object_get(config, section));
	}
	if (!err)
		return out;
	json_decref(out);
	return NULL;
}

/* Items with "sync": false too; those are the same in both. */
static void hash_whole(const json_t *document, uint32_t sections, char hash[CONFIG_PART_HASH])
{
	const struct schema_word *word;
	json_t *part = json_pack("{s:[],s:O}", "sections", "config", document);

	for (word = words_sections; word->word; word++) {
		if (sections >> word->value & 1 && json_object_get(document, word->word))
			json_array_append_new(json_object_get(part, "sections"), json_string(word->word));
	}
	config_part_hash(part, hash);
	json_decref(part);
}

static bool is_part_of(const json_t *own, const json_t *part)
{
	json_t *now = config_part_of(own, config_part_sections(part));
	char is[CONFIG_PART_HASH], want[CONFIG_PART_HASH];

	config_part_hash(now, is);
	config_part_hash(part, want);
	json_decref(now);
	return !strcmp(is, want);
}

/* What is the same in the first place need not be merged; else own items may stand in the place of pushed ones. */
bool config_part_is_in(const json_t *own, const json_t *part)
{
	uint32_t sections = config_part_sections(part);
	char now[CONFIG_PART_HASH], then[CONFIG_PART_HASH];
	json_t *merged;

	if (is_part_of(own, part))
		return true;
	merged = config_part_merge(own, part);
	hash_whole(own, sections, now);
	hash_whole(merged, sections, then);
	json_decref(merged);
	return !strcmp(now, then);
}

/* ---- pointers ---- */

static bool find_item(const json_t *array, const json_t *item, size_t *at)
{
	for (*at = 0; *at < json_array_size(array); ++*at) {
		if (json_array_get(array, *at) == item)
			return true;
	}
	return false;
}

char *config_part_pointer(const char *pointer, const json_t *from, const json_t *to)
{
	char section[64], *out, *end;
	const json_t *array;
	size_t n, at;

	if (sscanf(pointer, "/%63[a-z_]/%zu", section, &n) != 2 ||
	    !json_is_array(array = json_object_get(from, section)))
		return strdup(pointer);
	end = strchr(strchr(pointer + 1, '/') + 1, '/');
	if (!json_array_get(array, n) || !find_item(json_object_get(to, section), json_array_get(array, n), &at) ||
	    asprintf(&out, "/%s/%zu%s", section, at, end ? end : "") < 0)
		return NULL;
	return out;
}

/* ---- text ---- */

static void print_value(FILE *to, const json_t *value)
{
	json_dumpf(value, to, DUMP);
}

static void print_key(FILE *to, const char *key)
{
	json_t *string = json_string(key);

	print_value(to, string);
	fputs(": ", to);
	json_decref(string);
}

/* Objects of objects and arrays of objects have a line for each item. */
static bool in_lines(const json_t *value)
{
	json_t *item = json_array_get(value, 0);
	const char *name;

	if (json_is_array(value))
		return json_is_object(item);
	json_object_foreach((json_t *)value, name, item) {
		if (json_is_object(item))
			return true;
	}
	return false;
}

static void print_section(FILE *to, const json_t *value)
{
	const char *name, *before = "";
	json_t *item;
	size_t i;

	if (!in_lines(value)) {
		print_value(to, value);
		return;
	}
	fputs(json_is_array(value) ? "[" : "{", to);
	json_object_foreach((json_t *)value, name, item) {
		fprintf(to, "%s\n    ", before);
		print_key(to, name);
		print_value(to, item);
		before = ",";
	}
	json_array_foreach(value, i, item) {
		fprintf(to, "%s\n    ", before);
		print_value(to, item);
		before = ",";
	}
	fputs(json_is_array(value) ? "\n  ]" : "\n  }", to);
}

char *config_part_text(const json_t *document)
{
	const char *name, *before = "";
	char *text = NULL;
	json_t *section;
	size_t len;
	FILE *to = open_memstream(&text, &len);

	if (!to)
		return NULL;
	fputs("{", to);
	json_object_foreach((json_t *)document, name, section) {
		fprintf(to, "%s\n  ", before);
		print_key(to, name);
		print_section(to, section);
		before = ",";
	}
	fputs("\n}\n", to);
	if (!fclose(to))
		return text;
	free(text);
	return NULL;
}
