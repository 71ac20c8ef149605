/* SPDX-License-Identifier: GPL-2.0-only */
/* What differs between two configurations, as people read it. */
#pragma once

#include <jansson.h>

/*
 * Array of { "pointer", "change": "added" | "removed" | "changed" } that leads from one to the other; objects are compared
 * key by key, arrays element by element. from may be NULL. NULL when memory is out.
 */
json_t *diff_json(const json_t *from, const json_t *to);

/* "added tunnels/he0; changed interfaces/lan": sections and items only, at most DIFF_SUMMARY_MAX bytes. Malloc'ed. */
#define DIFF_SUMMARY_MAX 160
char *diff_summary(const json_t *changes);
