/* SPDX-License-Identifier: GPL-2.0-only */
/* JSON pointers (RFC 6901), and findings put in the order of what they point at. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "user/config/report.h"

/* Section 3: "~" is written "~0", "/" is written "~1". */
static void write_escaped(FILE *to, const char *key)
{
	for (; *key; key++) {
		if (*key == '~')
			fputs("~0", to);
		else if (*key == '/')
			fputs("~1", to);
		else
			fputc(*key, to);
	}
}

/* At most as deep as the tables nest. */
static void write_path(FILE *to, const struct path *path)
{
	if (!path)
		return;
	write_path(to, path->up);
	fputc('/', to);
	if (path->key)
		write_escaped(to, path->key);
	else
		fprintf(to, "%zu", path->index);
}

static char *finish(FILE *stream, char **text)
{
	bool failed = ferror(stream);

	if (fclose(stream) || failed) {
		free(*text);
		return NULL;
	}
	return *text;
}

char *pointer_of_path(const struct path *path)
{
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	if (!stream)
		return NULL;
	write_path(stream, path);
	return finish(stream, &text);
}

char *pointer_of_parts(const char *const *parts)
{
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	if (!stream)
		return NULL;
	for (; *parts; parts++) {
		fputc('/', stream);
		write_escaped(stream, *parts);
	}
	return finish(stream, &text);
}

/*
 * Order. The document is walked once and every value gets its number; findings are looked up in between by a hash of
 * the pointer, so that a pointer need not be built for each value. Two pointers with one hash would only swap lines.
 */
#define ORDER_DEPTH 8 /* no finding points deeper: /tunnels/NAME/clients/NAME/routes/N */

struct ranked {
	uint64_t hash;
	size_t rank;  /* of the value; 0 is the document, and what points nowhere in it */
	size_t order; /* in which it was found */
	struct config_finding finding;
};

struct order {
	struct ranked *items; /* by hash */
	size_t n;
	size_t next; /* number of the next value */
};

/* FNV-1a, going on from `hash`. */
static uint64_t hash_byte(uint64_t hash, char c)
{
	return (hash ^ (unsigned char)c) * 0x100000001b3ULL;
}

static uint64_t hash_text(uint64_t hash, const char *text)
{
	for (; *text; text++)
		hash = hash_byte(hash, *text);
	return hash;
}

static uint64_t hash_member(uint64_t hash, const char *key)
{
	hash = hash_byte(hash, '/');
	for (; *key; key++) {
		if (*key == '~' || *key == '/')
			hash = hash_text(hash, *key == '~' ? "~0" : "~1");
		else
			hash = hash_byte(hash, *key);
	}
	return hash;
}

static int by_hash(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;

	return x->hash < y->hash ? -1 : x->hash > y->hash;
}

static int by_rank(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;

	if (x->rank != y->rank)
		return x->rank < y->rank ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

/* Gives all findings at this value its number. */
static void order_mark(struct order *o, uint64_t hash)
{
	const struct ranked want = { .hash = hash };
	struct ranked *found = bsearch(&want, o->items, o->n, sizeof(*o->items), by_hash);
	size_t rank = o->next++;

	if (!found)
		return;
	while (found > o->items && found[-1].hash == hash)
		found--;
	for (; found < o->items + o->n && found->hash == hash; found++)
		found->rank = rank;
}

static void order_walk(struct order *o, const json_t *value, uint64_t hash, int depth)
{
	char number[24];
	const char *key;
	json_t *child;
	size_t i;

	order_mark(o, hash);
	if (depth == ORDER_DEPTH)
		return;
	json_object_foreach((json_t *)value, key, child) {
		order_walk(o, child, hash_member(hash, key), depth + 1);
	}
	json_array_foreach(value, i, child) {
		snprintf(number, sizeof(number), "%zu", i);
		order_walk(o, child, hash_member(hash, number), depth + 1);
	}
}

void report_sort(struct config_report *report, const json_t *document)
{
	const uint64_t start = 0xcbf29ce484222325ULL;
	struct order o = { .n = report->n_findings };
	size_t i;

	if (o.n < 2)
		return;
	o.items = calloc(o.n, sizeof(*o.items));
	if (!o.items)
		return; /* unsorted is no less true */
	for (i = 0; i < o.n; i++) {
		o.items[i].finding = report->findings[i];
		o.items[i].order = i;
		o.items[i].hash = hash_text(start, report->findings[i].pointer);
	}
	qsort(o.items, o.n, sizeof(*o.items), by_hash);
	order_walk(&o, document, start, 0);
	qsort(o.items, o.n, sizeof(*o.items), by_rank);
	for (i = 0; i < o.n; i++)
		report->findings[i] = o.items[i].finding;
	free(o.items);
}
