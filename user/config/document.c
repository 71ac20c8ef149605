/* SPDX-License-Identifier: GPL-2.0-only */
#include "user/config/document.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* ---- memory ---- */

#define CHUNK_SIZE (1u << 20)
#define CHUNK_ALIGN 16u

struct chunk {
	struct chunk *next;
	size_t size, used;
};

struct document {
	struct chunk *chunks; /* the one that has room first */
	json_t *json;
};

/* Jansson's allocator has no argument: the document that is being read. */
static struct document *reading;

static size_t rounded(size_t n, size_t to)
{
	return (n + to - 1) / to * to;
}

static struct chunk *chunk_new(size_t room)
{
	size_t size = rounded(room + rounded(sizeof(struct chunk), CHUNK_ALIGN), CHUNK_SIZE);
	struct chunk *chunk =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (chunk == MAP_FAILED)
		return NULL;
	*chunk = (struct chunk){ .size = size, .used = rounded(sizeof(*chunk), CHUNK_ALIGN) };
	return chunk;
}

static void *take(size_t n)
{
	struct chunk *chunk = reading->chunks;
	void *at;

	n = rounded(n, CHUNK_ALIGN);
	if (!chunk || chunk->size - chunk->used < n) {
		chunk = chunk_new(n);
		if (!chunk)
			return NULL;
		chunk->next = reading->chunks;
		reading->chunks = chunk;
	}
	at = (char *)chunk + chunk->used;
	chunk->used += n;
	return at;
}

/* What Jansson drops while it reads goes with all the rest. */
static void leave(void *at)
{
	(void)at;
}

static void document_begin(struct document *document)
{
	reading = document;
	json_set_alloc_funcs(take, leave);
}

static void document_end(void)
{
	reading = NULL;
	json_set_alloc_funcs(malloc, free);
}

/* ---- reading what is usual ---- */

#define DEPTH_MAX 64
#define KEY_MAX 128
#define DIGITS_MAX 18 /* of an integer that fits surely */

struct reader {
	const char *at, *end;
};

static json_t *read_value(struct reader *r, int depth);

static char peek(const struct reader *r)
{
	return r->at < r->end ? *r->at : '\0';
}

static void skip_blanks(struct reader *r)
{
	while (r->at < r->end && (*r->at == ' ' || *r->at == '\n' || *r->at == '\t' || *r->at == '\r'))
		r->at++;
}

static bool skip(struct reader *r, char c)
{
	bool there = peek(r) == c;

	r->at += there;
	return there;
}

/* Bytes of ASCII that mean themselves in a string. */
static size_t plain_bytes(const struct reader *r)
{
	const char *at = r->at;

	while (at < r->end && *at != '"' && *at != '\\' && (unsigned char)*at >= 0x20 && (unsigned char)*at < 0x80)
		at++;
	return (size_t)(at - r->at);
}

/* A value that has no other in it, of n bytes, by Jansson. NULL: it does not take it. */
static json_t *ask_jansson(struct reader *r, size_t n)
{
	json_t *value = json_loadb(r->at, n, JSON_DECODE_ANY, NULL);

	r->at += n;
	return value;
}

/* With escapes, or other characters than ASCII. r->at is at the quote. */
static json_t *read_unusual_string(struct reader *r)
{
	const char *at = r->at + 1;

	while (at < r->end && *at != '"')
		at += 1 + (*at == '\\' && at + 1 < r->end);
	return at < r->end ? ask_jansson(r, (size_t)(at + 1 - r->at)) : NULL;
}

static json_t *read_string(struct reader *r)
{
	const char *quote = r->at;
	json_t *value;
	size_t n;

	r->at++;
	n = plain_bytes(r);
	if (r->at + n < r->end && r->at[n] == '"') {
		value = json_stringn_nocheck(r->at, n);
		r->at += n + 1;
		return value;
	}
	r->at = quote;
	return read_unusual_string(r);
}

/* An unusual one is not worth the trouble. */
static bool read_key(struct reader *r, char key[KEY_MAX])
{
	size_t n;

	if (!skip(r, '"'))
		return false;
	n = plain_bytes(r);
	if (n >= KEY_MAX)
		return false;
	memcpy(key, r->at, n);
	key[n] = '\0';
	r->at += n;
	return skip(r, '"');
}

static bool read_members(struct reader *r, json_t *object, int depth)
{
	size_t n = 0;

	do {
		char key[KEY_MAX];
		json_t *value;

		skip_blanks(r);
		if (!read_key(r, key))
			return false;
		skip_blanks(r);
		if (!skip(r, ':'))
			return false;
		value = read_value(r, depth);
		if (json_object_set_new_nocheck(object, key, value) || json_object_size(object) != ++n)
			return false; /* one key twice, among others */
		skip_blanks(r);
	} while (skip(r, ','));
	return skip(r, '}');
}

static bool read_elements(struct reader *r, json_t *array, int depth)
{
	do {
		if (json_array_append_new(array, read_value(r, depth)))
			return false;
		skip_blanks(r);
	} while (skip(r, ','));
	return skip(r, ']');
}

static json_t *read_nested(struct reader *r, int depth)
{
	bool object = *r->at++ == '{';
	json_t *value = object ? json_object() : json_array();
	bool ok;

	skip_blanks(r);
	if (skip(r, object ? '}' : ']'))
		return value;
	ok = value && (object ? read_members(r, value, depth) : read_elements(r, value, depth));
	if (ok)
		return value;
	json_decref(value);
	return NULL;
}

/* A number, or a word: Jansson knows them, but for an integer as they are written mostly. */
static json_t *read_other(struct reader *r)
{
	size_t n = 0, digits;
	json_int_t value = 0;

	while (r->at + n < r->end && !strchr(",]} \n\t\r:\"{[", r->at[n]))
		n++;
	for (digits = 0; digits < n && digits < DIGITS_MAX && r->at[digits] >= '0' && r->at[digits] <= '9'; digits++)
		value = 10 * value + (r->at[digits] - '0');
	if (digits < n || !n || n > DIGITS_MAX || (n > 1 && *r->at == '0'))
		return n ? ask_jansson(r, n) : NULL;
	r->at += n;
	return json_integer(value);
}

static json_t *read_value(struct reader *r, int depth)
{
	skip_blanks(r);
	switch (peek(r)) {
	case '{':
	case '[':
		return depth < DEPTH_MAX ? read_nested(r, depth + 1) : NULL;
	case '"':
		return read_string(r);
	default:
		return read_other(r);
	}
}

json_t *document_read_usual(const char *text, size_t len)
{
	struct reader r = { .at = text, .end = text + len };
	json_t *value = read_value(&r, 0);

	skip_blanks(&r);
	if (!value || r.at == r.end)
		return value;
	json_decref(value);
	return NULL;
}

/* ---- all of it ---- */

struct document *document_read(const char *text, size_t len, size_t flags, json_error_t *error)
{
	struct document *document = calloc(1, sizeof(*document));

	if (!document) {
		*error = (json_error_t){ .line = 0 };
		return NULL;
	}
	document_begin(document);
	document->json = document_read_usual(text, len);
	if (!document->json)
		document->json = json_loadb(text, len, flags | JSON_DECODE_ANY, error);
	document_end();
	if (document->json)
		return document;
	document_free(document);
	return NULL;
}

const json_t *document_json(const struct document *document)
{
	return document->json;
}

void document_free(struct document *document)
{
	struct chunk *chunk = document ? document->chunks : NULL, *next;

	for (; chunk; chunk = next) {
		next = chunk->next;
		munmap(chunk, chunk->size);
	}
	free(document);
}
