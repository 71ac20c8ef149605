/* SPDX-License-Identifier: GPL-2.0-only */
/* What the parts of the parser share about findings: JSON pointers (RFC 6901) and their order. */
#pragma once

#include <stdarg.h>
#include <stddef.h>

#include "user/config/config.h"

/* Where in the document: a chain from the inside to the outside, usually on the stack of those who walk it. */
struct path {
	const struct path *up; /* NULL: the document itself */
	const char *key;       /* member of an object, unescaped; NULL: element `index` of an array */
	size_t index;
};

/* The pointer of a path, or of a list of unescaped parts ended by NULL. malloc'ed; NULL when memory is out. */
char *pointer_of_path(const struct path *path);
char *pointer_of_parts(const char *const *parts);

void report_vadd(struct config_report *report, bool warning, const char *pointer, const char *fmt, va_list ap);

/* Puts the findings in the order in which `document` has what they point at. */
void report_sort(struct config_report *report, const json_t *document);
