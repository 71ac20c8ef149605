/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A configuration's text as JSON values, quickly: a document of 10,000 rules is 200,000 values, which are made one after the other
 * and go all at once. They lie in memory of their own, which leaves the heap as it was, and are not counted.
 */
#pragma once

#include <jansson.h>
#include <stddef.h>

struct document; /* opaque */

/*
 * The same values as json_loadb(), and the same errors: what is in any way unusual (wrong, above all) Jansson reads. NULL: no JSON,
 * or no memory; error says which.
 */
struct document *document_read(const char *text, size_t len, size_t flags, json_error_t *error);
/* Its values are borrowed: no reference to one may be kept. */
const json_t *document_json(const struct document *document);
void document_free(struct document *document); /* NULL is allowed */

/* Half of document_read(), for tests: NULL where Jansson has to be asked. To be released with json_decref(). */
json_t *document_read_usual(const char *text, size_t len);
