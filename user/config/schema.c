/* SPDX-License-Identifier: GPL-2.0-only */
/* The walk: a document and the tables side by side. */
#include "user/config/schema.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/config/suggest.h"

#define FOUND_MAX 60 /* bytes of a wrong value that a message repeats */

void schema_error(struct schema_walk *walk, const struct path *path, const char *fmt, ...)
{
	char *pointer = pointer_of_path(path);
	va_list ap;

	if (!pointer)
		walk->err = -ENOMEM;
	va_start(ap, fmt);
	report_vadd(walk->report, false, pointer ? pointer : "", fmt, ap);
	va_end(ap);
	free(pointer);
}

/* What was found, as a person would say it; buf has room for FOUND_MAX bytes and what is around them. */
static const char *describe(const json_t *value, char *buf, size_t len)
{
	char *text;
	size_t cut = FOUND_MAX;

	if (json_is_object(value) || json_is_array(value))
		return json_is_object(value) ? "an object" : "an array";
	text = json_dumps(value, JSON_ENCODE_ANY);
	if (!text)
		return "something else";
	if (strlen(text) > cut) {
		while (((unsigned char)text[cut] & 0xc0) == 0x80)
			cut--;
		snprintf(buf, len, "%.*s…", (int)cut, text);
	} else {
		snprintf(buf, len, "%s", text);
	}
	free(text);
	return buf;
}

void schema_refuse(struct schema_walk *walk, const struct path *path, const json_t *found, const char *accepts)
{
	char buf[FOUND_MAX + 8];

	schema_error(walk, path, "found %s; accepted: %s", describe(found, buf, sizeof(buf)), accepts);
}

const struct schema_word *schema_find_word(const struct schema_word *words, const json_t *value)
{
	for (; words && words->word; words++) {
		if (words->literal ? json_is_false(value)
				   : json_is_string(value) && !strcmp(json_string_value(value), words->word))
			return words;
	}
	return NULL;
}

/* ---- objects ---- */

static const struct schema_key *find_key(const struct schema_object *object, const char *name)
{
	const struct schema_key *key;

	for (key = object->keys; key->key; key++) {
		if (!strcmp(key->key, name))
			return key;
	}
	return NULL;
}

/* Names the nearest key, or when none is near all of them. */
static void report_unknown(struct schema_walk *walk, const struct path *path, const struct schema_object *object)
{
	struct suggest s = { .given = path->key };
	const struct schema_key *key;
	char list[512];
	size_t used = 0;

	for (key = object->keys; key->key; key++) {
		suggest_offer(&s, key->key);
		if (key->kind != SCHEMA_LATER && used < sizeof(list))
			used += (size_t)snprintf(list + used, sizeof(list) - used, "%s\"%s\"", used ? ", " : "",
						 key->key);
	}
	if (s.best)
		schema_error(walk, path, "unknown key; did you mean \"%s\"?", s.best);
	else
		schema_error(walk, path, "unknown key; accepted: %s", list);
}

static schema_value_fn parse_single, parse_list, parse_object, parse_map, parse_array, parse_later;

static schema_value_fn *const parse_kind[] = {
	[SCHEMA_TEXT] = schema_parse_text,
	[SCHEMA_BOOL] = schema_parse_bool,
	[SCHEMA_WORD] = schema_parse_word,
	[SCHEMA_NUMBER] = schema_parse_number,
	[SCHEMA_STRING] = schema_parse_string,
	[SCHEMA_ADDRESS] = schema_parse_address,
	[SCHEMA_PREFIX] = schema_parse_prefix,
	[SCHEMA_VALUE] = parse_single,
	[SCHEMA_LIST] = parse_list,
	[SCHEMA_OBJECT] = parse_object,
	[SCHEMA_MAP] = parse_map,
	[SCHEMA_ARRAY] = parse_array,
	[SCHEMA_LATER] = parse_later,
};

static void parse_value(struct schema_walk *walk, const struct path *path, const json_t *value,
			const struct schema_key *key, void *item)
{
	parse_kind[key->kind](walk, path, value, key, item);
}

/* Read once: 10,000 rules have ten times as many defaults. */
static const json_t *fallback_value(struct schema_walk *walk, const char *text)
{
	json_t *value;

	if (!walk->fallbacks)
		walk->fallbacks = json_object();
	value = json_object_get(walk->fallbacks, text);
	if (value)
		return value;
	value = json_loads(text, JSON_DECODE_ANY, NULL);
	return json_object_set_new(walk->fallbacks, text, value) ? NULL : value;
}

/* The default goes the way of a value in the file. */
static void parse_fallback(struct schema_walk *walk, const struct path *path, const struct schema_key *key, void *item)
{
	const json_t *value = fallback_value(walk, key->fallback);

	if (value)
		parse_value(walk, path, value, key, item);
	else
		walk->err = -ENOMEM;
}

void schema_walk_free(struct schema_walk *walk)
{
	json_decref(walk->fallbacks);
	walk->fallbacks = NULL;
}

void schema_parse(struct schema_walk *walk, const struct path *path, const json_t *value,
		  const struct schema_object *object, void *item)
{
	const struct schema_key *key;
	struct path member = { .up = path };
	uint64_t seen = 0; /* of the table's keys, which are less than 64 */
	json_t *child;

	json_object_foreach((json_t *)value, member.key, child) {
		key = find_key(object, member.key);
		if (key) {
			seen |= 1ULL << (key - object->keys);
			parse_value(walk, &member, child, key, item);
		} else {
			report_unknown(walk, &member, object);
		}
	}
	for (key = object->keys; key->key; key++) {
		if (seen >> (key - object->keys) & 1)
			continue;
		member.key = key->key;
		if (key->flags & SCHEMA_REQUIRED)
			schema_error(walk, path, "the required key \"%s\" is missing%s%s", key->key,
				     key->accepts ? ": " : "", key->accepts ? key->accepts : "");
		else if (key->fallback)
			parse_fallback(walk, &member, key, item);
	}
	if (object->done)
		object->done(walk, path, value, item);
}

static void parse_object(struct schema_walk *walk, const struct path *path, const json_t *value,
			 const struct schema_key *key, void *item)
{
	if (json_is_object(value))
		schema_parse(walk, path, value, key->object, item);
	else if (!schema_find_word(key->words, value))
		schema_refuse(walk, path, value, key->accepts);
}

static void parse_later(struct schema_walk *walk, const struct path *path, const json_t *value,
			const struct schema_key *key, void *item)
{
	(void)value;
	(void)item;
	schema_error(walk, path, "not in this version: %s", key->accepts);
}

/* ---- values of all kinds, and lists of them ---- */

static void parse_single(struct schema_walk *walk, const struct path *path, const json_t *value,
			 const struct schema_key *key, void *item)
{
	key->element(walk, path, value, key, (char *)item + key->offset);
}

struct listed {
	const json_t *value;
	const void *element;
	size_t index;
};

/* As JSON Schema's uniqueItems: 80 and 80.0 are the same. Only of strings and numbers. */
static int compare_values(const json_t *a, const json_t *b)
{
	double x = json_number_value(a), y = json_number_value(b);

	if (json_is_string(a) != json_is_string(b))
		return json_is_string(a) ? 1 : -1;
	if (json_is_string(a))
		return strcmp(json_string_value(a), json_string_value(b));
	return x < y ? -1 : x > y;
}

static int compare_listed(const void *a, const void *b, void *arg)
{
	const struct listed *x = a, *y = b;
	const struct schema_key *key = arg;

	return key->compare ? key->compare(x->element, y->element) : compare_values(x->value, y->value);
}

static int by_listed(const void *a, const void *b, void *arg)
{
	const struct listed *x = a, *y = b;
	int c = compare_listed(a, b, arg);

	return c ? c : (x->index < y->index ? -1 : 1);
}

static void report_repeated(struct schema_walk *walk, const struct path *path, const struct schema_key *key,
			    struct listed *list, size_t n)
{
	struct path element = { .up = path };
	char buf[FOUND_MAX + 8];
	size_t i;

	qsort_r(list, n, sizeof(*list), by_listed, (void *)key);
	for (i = 1; i < n; i++) {
		if (compare_listed(&list[i - 1], &list[i], (void *)key))
			continue;
		element.index = list[i].index;
		schema_error(walk, &element, "%s is in this list already", describe(list[i].value, buf, sizeof(buf)));
	}
}

/* A wrong one keeps its place as zeros, so that later checks count elements as the file does. */
static void parse_elements(struct schema_walk *walk, const struct path *path, const json_t *value,
			   const struct schema_key *key, char *out)
{
	struct listed *list = calloc(json_array_size(value), sizeof(*list));
	struct path element = { .up = path };
	size_t used = 0, errors;
	json_t *child;

	if (!list) {
		walk->err = -ENOMEM;
		return;
	}
	json_array_foreach(value, element.index, child) {
		errors = walk->report->n_errors;
		key->element(walk, &element, child, key, out);
		if (errors == walk->report->n_errors)
			list[used++] = (struct listed){ child, out, element.index };
		out += key->size;
	}
	report_repeated(walk, path, key, list, used);
	free(list);
}

static void parse_list(struct schema_walk *walk, const struct path *path, const json_t *value,
		       const struct schema_key *key, void *item)
{
	size_t n = json_is_array(value) ? json_array_size(value) : 1;
	char text[256];
	void *out;

	if (!json_is_array(value) && !(key->flags & SCHEMA_ONE_OR_MANY)) {
		snprintf(text, sizeof(text), "an array, each element %s", key->accepts);
		schema_refuse(walk, path, value, text);
		return;
	}
	if (!n) {
		if (key->flags & (SCHEMA_ONE_OR_MANY | SCHEMA_NOT_EMPTY))
			schema_error(walk, path, "found an empty array; accepted: %s", key->accepts);
		return;
	}
	out = calloc(n, key->size);
	if (!out) {
		walk->err = -ENOMEM;
		return;
	}
	*(void **)((char *)item + key->offset) = out;
	*(size_t *)((char *)item + key->count_offset) = n;
	if (json_is_array(value))
		parse_elements(walk, path, value, key, out);
	else
		key->element(walk, path, value, key, out);
}

/* ---- lists of items ---- */

/* Room for n items, stored with its count where the key says. NULL also for n 0. */
static char *alloc_items(struct schema_walk *walk, const struct schema_key *key, void *item, size_t n)
{
	char *items = n ? calloc(n, key->object->size) : NULL;

	if (n && !items)
		walk->err = -ENOMEM;
	*(void **)((char *)item + key->offset) = items;
	*(size_t *)((char *)item + key->count_offset) = items ? n : 0;
	return items;
}

/* An item that is no object is refused, but stays in the list: what refers to it should not be refused too. */
static void parse_item(struct schema_walk *walk, const struct path *path, const json_t *value,
		       const struct schema_key *key, void *item)
{
	if (json_is_object(value))
		schema_parse(walk, path, value, key->object, item);
	else if (json_is_array(value) && key->object->array)
		parse_list(walk, path, value, key->object->array, item);
	else
		schema_refuse(walk, path, value, key->accepts);
}

static void parse_named(struct schema_walk *walk, const struct path *path, const json_t *value,
			const struct schema_key *key, char *item)
{
	const char *fault = key->object->name_fault(path->key);
	char *name = strdup(path->key);

	if (!name)
		walk->err = -ENOMEM;
	*(char **)(item + key->object->name_offset) = name;
	if (fault)
		schema_error(walk, path, "found the name \"%s\"; accepted: %s", path->key, fault);
	parse_item(walk, path, value, key, item);
}

/* "description" may stand among the items. */
static void parse_map(struct schema_walk *walk, const struct path *path, const json_t *value,
		      const struct schema_key *key, void *item)
{
	struct path member = { .up = path };
	json_t *child;
	char *items;
	size_t n;

	if (!json_is_object(value)) {
		schema_refuse(walk, path, value, "an object of items by name");
		return;
	}
	n = json_object_size(value) - (json_object_get(value, "description") ? 1 : 0);
	if (!n && (key->flags & SCHEMA_NOT_EMPTY))
		schema_error(walk, path, "found none; accepted: at least one, %s", key->accepts);
	items = alloc_items(walk, key, item, n);
	json_object_foreach((json_t *)value, member.key, child) {
		if (!strcmp(member.key, "description")) {
			schema_parse_text(walk, &member, child, key, item);
		} else if (items) {
			parse_named(walk, &member, child, key, items);
			items += key->object->size;
		}
	}
}

static void parse_array(struct schema_walk *walk, const struct path *path, const json_t *value,
			const struct schema_key *key, void *item)
{
	struct path element = { .up = path };
	json_t *child;
	char *items;

	if (!json_is_array(value)) {
		schema_refuse(walk, path, value, "an array of objects");
		return;
	}
	if (!json_array_size(value) && (key->flags & SCHEMA_NOT_EMPTY))
		schema_error(walk, path, "found none; accepted: at least one, %s", key->accepts);
	items = alloc_items(walk, key, item, json_array_size(value));
	if (!items)
		return;
	json_array_foreach(value, element.index, child) {
		parse_item(walk, &element, child, key, items + element.index * key->object->size);
	}
}

/* ---- the tables themselves ---- */

static void print_keys(const struct schema_object *object, const struct path *path, FILE *to)
{
	struct path member = { .up = path }, item = { .up = &member };
	const struct schema_key *key;
	char *pointer;

	for (key = object->keys; key->key; key++) {
		member.key = key->key;
		pointer = key->kind == SCHEMA_LATER ? NULL : pointer_of_path(&member);
		if (!pointer)
			continue;
		fprintf(to, "%s\t%s\t%s\n", pointer, key->flags & SCHEMA_REQUIRED ? "required" : "optional",
			key->fallback ? key->fallback : "");
		if (key->kind == SCHEMA_MAP)
			fprintf(to, "%s/description\toptional\t\n", pointer);
		free(pointer);
		item.key = key->kind == SCHEMA_MAP ? "NAME" : "N";
		if (key->object)
			print_keys(key->object, key->kind == SCHEMA_MAP || key->kind == SCHEMA_ARRAY ? &item : &member,
				   to);
	}
}

void schema_print_keys(const struct schema_object *object, FILE *to)
{
	print_keys(object, NULL, to);
}
