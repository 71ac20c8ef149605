/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What differs between two configurations, as people read it. It is found in their texts: to look over megabytes for what is
 * byte by byte the same costs a tenth of making JSON values of them.
 */
#pragma once

#include <jansson.h>
#include <stddef.h>

enum diff_kind { DIFF_ADDED, DIFF_CHANGED, DIFF_REMOVED };

struct diff_change {
	enum diff_kind kind;
	char *pointer;
};

struct diff {
	struct diff_change *list;
	size_t n, cap;
};

/*
 * What leads from one to the other; objects are compared key by key, arrays element by element. Both are valid JSON without
 * duplicate keys, and objects; from may be NULL. NULL when memory is out.
 */
struct diff *diff_texts(const char *from, size_t from_len, const char *to, size_t to_len);
void diff_free(struct diff *diff);

/* Array of { "pointer", "change": "added" | "removed" | "changed" }; NULL when memory is out. */
json_t *diff_json(const struct diff *diff);

/* "added tunnels/he0; changed interfaces/lan": sections and items only, at most DIFF_SUMMARY_MAX bytes. Malloc'ed. */
#define DIFF_SUMMARY_MAX 160
char *diff_summary(const struct diff *diff);
