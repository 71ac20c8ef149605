// SPDX-License-Identifier: GPL-2.0-only
#include "user/daemon/diff.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the text of values ---- */

/* Of a text that is valid JSON: end is behind the value. */
struct span {
	const char *at, *end;
};

static size_t span_len(struct span s)
{
	return (size_t)(s.end - s.at);
}

static bool span_same(struct span a, struct span b)
{
	return span_len(a) == span_len(b) && !memcmp(a.at, b.at, span_len(a));
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

static const char *skip_blanks(const char *at)
{
	while (is_blank(*at))
		at++;
	return at;
}

/* Behind the string that begins here. */
static const char *skip_string(const char *at)
{
	for (at++; *at != '"'; at++)
		at += *at == '\\';
	return at + 1;
}

/* What has a meaning between the strings of an object or array. */
static const int depth_of[256] = { ['{'] = 1, ['['] = 1, ['}'] = -1, [']'] = -1, ['"'] = 2 };

static const char *skip_nested(const char *at)
{
	int depth = 0;

	do {
		int step = depth_of[(unsigned char)*at];

		if (step == 2) {
			at = skip_string(at);
			continue;
		}
		depth += step;
		at++;
	} while (depth);
	return at;
}

/* The value that begins at or behind `at`. */
static struct span value_at(const char *at)
{
	struct span s = { .at = skip_blanks(at) };

	if (*s.at == '{' || *s.at == '[')
		s.end = skip_nested(s.at);
	else if (*s.at == '"')
		s.end = skip_string(s.at);
	else
		s.end = s.at + strcspn(s.at, ",]} \n\t\r");
	return s;
}

/* To the next element or member; *at is behind the bracket or the one before. false: there is none. */
static bool next(const char **at)
{
	*at = skip_blanks(*at);
	if (**at == ',')
		*at = skip_blanks(*at + 1);
	return **at != ']' && **at != '}';
}

/* ---- members ---- */

struct member {
	char *key; /* malloc'ed, without escapes */
	struct span value;
};

struct member_ref {
	const struct member *member;
};

struct members {
	struct member *list;
	struct member_ref *by_key;
	size_t n;
	bool failed;
};

static char *text_of_key(struct span s)
{
	json_t *string;
	char *text;

	if (!memchr(s.at, '\\', span_len(s)))
		return strndup(s.at + 1, span_len(s) - 2);
	string = json_loadb(s.at, span_len(s), JSON_DECODE_ANY, NULL);
	text = string ? strdup(json_string_value(string)) : NULL;
	json_decref(string);
	return text;
}

static void member_add(struct members *m, struct span key, struct span value)
{
	struct member *grown = m->list;

	if (!(m->n & (m->n - 1)))
		grown = reallocarray(m->list, m->n ? 2 * m->n : 1, sizeof(*grown));
	if (!grown) {
		m->failed = true;
		return;
	}
	m->list = grown;
	m->list[m->n] = (struct member){ text_of_key(key), value };
	if (m->list[m->n].key)
		m->n++;
	else
		m->failed = true;
}

static int by_key(const void *a, const void *b)
{
	const struct member_ref *x = a, *y = b;

	return strcmp(x->member->key, y->member->key);
}

static void members_of(struct span object, struct members *m)
{
	const char *at = object.at + 1;
	size_t i;

	*m = (struct members){ 0 };
	while (next(&at) && !m->failed) {
		struct span key = value_at(at), value = value_at(skip_blanks(key.end) + 1);

		member_add(m, key, value);
		at = value.end;
	}
	m->by_key = calloc(m->n + 1, sizeof(*m->by_key));
	if (!m->by_key) {
		m->failed = true;
		return;
	}
	for (i = 0; i < m->n; i++)
		m->by_key[i].member = &m->list[i];
	qsort(m->by_key, m->n, sizeof(*m->by_key), by_key);
}

static const struct member *member_find(const struct members *m, const struct member *like)
{
	const struct member_ref wanted = { like };
	const struct member_ref *found = bsearch(&wanted, m->by_key, m->n, sizeof(*m->by_key), by_key);

	return found ? found->member : NULL;
}

static void members_free(struct members *m)
{
	size_t i;

	for (i = 0; i < m->n; i++)
		free(m->list[i].key);
	free(m->list);
	free(m->by_key);
}

/* ---- the list ---- */

static bool diff_value(struct diff *out, const char *pointer, struct span from, struct span to);

static bool report(struct diff *out, const char *pointer, enum diff_kind kind)
{
	struct diff_change change = { kind, strdup(pointer) };

	if (change.pointer && out->n == out->cap) {
		size_t cap = out->cap ? 2 * out->cap : 16;
		struct diff_change *grown = reallocarray(out->list, cap, sizeof(*grown));

		if (!grown) {
			free(change.pointer);
			return false;
		}
		out->list = grown;
		out->cap = cap;
	}
	if (change.pointer)
		out->list[out->n++] = change;
	return change.pointer;
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

/* from or to is nothing: NULL in it */
static bool diff_member(struct diff *out, const char *pointer, const char *key, struct span from, struct span to)
{
	char *path;
	bool ok;

	if (from.at && to.at && span_same(from, to))
		return true;
	path = join(pointer, key);
	if (!path)
		return false;
	if (!from.at || !to.at)
		ok = report(out, path, from.at ? DIFF_REMOVED : DIFF_ADDED);
	else
		ok = diff_value(out, path, from, to);
	free(path);
	return ok;
}

static bool diff_members(struct diff *out, const char *pointer, const struct members *from, const struct members *to)
{
	const struct span nothing = { NULL, NULL };
	size_t i;

	for (i = 0; i < from->n; i++) {
		const struct member *m = &from->list[i], *other = member_find(to, m);

		if (!diff_member(out, pointer, m->key, m->value, other ? other->value : nothing))
			return false;
	}
	for (i = 0; i < to->n; i++) {
		const struct member *m = &to->list[i];

		if (!member_find(from, m) && !diff_member(out, pointer, m->key, nothing, m->value))
			return false;
	}
	return true;
}

static bool diff_objects(struct diff *out, const char *pointer, struct span from, struct span to)
{
	struct members a, b;
	bool ok;

	members_of(from, &a);
	members_of(to, &b);
	ok = !a.failed && !b.failed && diff_members(out, pointer, &a, &b);
	members_free(&a);
	members_free(&b);
	return ok;
}

/* The value at `at`, which mostly is the same as `like`: then its end need not be looked for. `end` is that of the text. */
static struct span value_like(const char *at, struct span like, const char *end)
{
	size_t n = span_len(like);

	if (like.at && (size_t)(end - at) > n && !memcmp(at, like.at, n) && strchr(",]} \n\t\r", at[n]))
		return (struct span){ at, at + n };
	return value_at(at);
}

/* Of an array of which *at is reached, and whose last byte is before `end`. */
static struct span next_element(const char **at, struct span like, const char *end)
{
	struct span s = { NULL, NULL };

	if (next(at)) {
		s = value_like(*at, like, end);
		*at = s.end;
	}
	return s;
}

static bool diff_arrays(struct diff *out, const char *pointer, struct span from, struct span to)
{
	const char *at_from = from.at + 1, *at_to = to.at + 1;
	size_t i;

	for (i = 0;; i++) {
		struct span a = next_element(&at_from, (struct span){ NULL, NULL }, from.end);
		struct span b = next_element(&at_to, a, to.end);
		char key[24];

		if (!a.at && !b.at)
			return true;
		if (a.at && b.at && span_same(a, b))
			continue;
		snprintf(key, sizeof(key), "%zu", i);
		if (!diff_member(out, pointer, key, a, b))
			return false;
	}
}

/* "a" and "\u0061" are the same. */
static bool same_value(struct span from, struct span to)
{
	json_t *a = json_loadb(from.at, span_len(from), JSON_DECODE_ANY, NULL);
	json_t *b = json_loadb(to.at, span_len(to), JSON_DECODE_ANY, NULL);
	bool same = a && b && json_equal(a, b);

	json_decref(a);
	json_decref(b);
	return same;
}

static bool diff_value(struct diff *out, const char *pointer, struct span from, struct span to)
{
	if (*from.at == '{' && *to.at == '{')
		return diff_objects(out, pointer, from, to);
	if (*from.at == '[' && *to.at == '[')
		return diff_arrays(out, pointer, from, to);
	return same_value(from, to) || report(out, pointer, DIFF_CHANGED);
}

struct diff *diff_texts(const char *from, size_t from_len, const char *to, size_t to_len)
{
	static const char nothing[] = "{}";
	struct diff *out = calloc(1, sizeof(*out));
	struct span a = { from, from + from_len }, b = { to, to + to_len };

	if (!from)
		a = (struct span){ nothing, nothing + 2 };
	a.at = skip_blanks(a.at);
	b.at = skip_blanks(b.at);
	if (out && !span_same(a, b) && !diff_value(out, "", a, b)) {
		diff_free(out);
		return NULL;
	}
	return out;
}

void diff_free(struct diff *diff)
{
	size_t i;

	for (i = 0; diff && i < diff->n; i++)
		free(diff->list[i].pointer);
	free(diff ? diff->list : NULL);
	free(diff);
}

static const char *const kind_words[] = {
	[DIFF_ADDED] = "added",
	[DIFF_CHANGED] = "changed",
	[DIFF_REMOVED] = "removed",
};

json_t *diff_json(const struct diff *diff)
{
	json_t *out = json_array();
	size_t i;

	for (i = 0; i < diff->n; i++) {
		const struct diff_change *change = &diff->list[i];

		if (json_array_append_new(out, json_pack("{s:s,s:s}", "pointer", change->pointer, "change",
							 kind_words[change->kind]))) {
			json_decref(out);
			return NULL;
		}
	}
	return out;
}

/* ---- one line ---- */

/* "/tunnels/he0/mtu" -> "tunnels/he0", so long it is; *whole tells that the item itself is meant */
static const char *item_of(const char *pointer, size_t *len, bool *whole)
{
	const char *end = *pointer ? strchr(pointer + 1, '/') : NULL;

	end = end ? strchr(end + 1, '/') : NULL;
	*whole = !end;
	if (!*pointer)
		pointer = "/everything";
	*len = end ? (size_t)(end - pointer - 1) : strlen(pointer + 1);
	return pointer + 1;
}

struct summary {
	char *text; /* DIFF_SUMMARY_MAX bytes and a 0 */
	size_t used, left_out;
	bool begun; /* an item of this kind is in it */
};

/* As long as there is room for ", and N more" too. */
static void summary_add(struct summary *s, const char *word, const char *item, size_t len)
{
	char before[16];
	size_t n = (size_t)snprintf(before, sizeof(before), "%s%s ", s->used ? "; " : "", word);

	if (s->begun)
		n = (size_t)sprintf(before, ", ");
	if (s->used + n + len > DIFF_SUMMARY_MAX - 32) {
		s->left_out++;
		return;
	}
	s->used += (size_t)sprintf(s->text + s->used, "%s%.*s", before, (int)len, item);
	s->begun = true;
}

/* The differences of one item follow each other, and are one. */
static void summary_of_kind(struct summary *s, const struct diff *diff, enum diff_kind kind)
{
	const char *last = NULL;
	size_t last_len = 0, i;

	s->begun = false;
	for (i = 0; i < diff->n; i++) {
		const struct diff_change *change = &diff->list[i];
		size_t len;
		bool whole, same;
		const char *item = item_of(change->pointer, &len, &whole);

		same = last && len == last_len && !memcmp(item, last, len);
		last = item;
		last_len = len;
		if (!same && (whole ? change->kind : DIFF_CHANGED) == kind)
			summary_add(s, kind_words[kind], item, len);
	}
}

char *diff_summary(const struct diff *diff)
{
	struct summary s = { .text = calloc(1, DIFF_SUMMARY_MAX + 1) };
	enum diff_kind kind;

	if (!s.text)
		return NULL;
	for (kind = DIFF_ADDED; kind <= DIFF_REMOVED; kind++)
		summary_of_kind(&s, diff, kind);
	if (s.left_out)
		sprintf(s.text + s.used, s.used ? ", and %zu more" : "changed %zu items", s.left_out);
	else if (!s.used)
		strcpy(s.text, "no difference in content");
	return s.text;
}
