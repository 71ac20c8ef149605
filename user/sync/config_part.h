/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What of a configuration is pushed to the other nodes of a pair, and what becomes of theirs: pure work on JSON.
 *
 * The pushed part is `{ "sections": [names], "config": { section: value } }`. It has of each section what the file has, but for items with
 * `"sync": false`; a vip's `advskew` is the node's own. A section that is named and not in "config" is empty. Its version is known by a
 * SHA-256 of it: keys of items are sorted for that, while items keep their order, which for rules decides and for gateways may.
 *
 * The receiver's own items with `"sync": false` stay. One that has the name of a pushed one (rules and checks have names, too) stays in its
 * place; any other stays behind the one that it stood behind, or before all of them if it stood there.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define CONFIG_PART_HASH 65 /* hex digits of a SHA-256, and a 0 */

/* sections: bits of enum config_section. Items are shared with the document. NULL: out of memory */
json_t *config_part_of(const json_t *document, uint32_t sections);
/* What was received is one, with sections that this version knows: else why not, for people. NULL: it is. */
const char *config_part_fault(const json_t *part);
uint32_t config_part_sections(const json_t *part);

void config_part_hash(const json_t *part, char hash[CONFIG_PART_HASH]);

/* A document: own, with the sections of the part as that has them. Items are shared with both. NULL: out of memory */
json_t *config_part_merge(const json_t *own, const json_t *part);
/* Whether merging it would change nothing. */
bool config_part_is_in(const json_t *own, const json_t *part);

/*
 * Of `/SECTION/N/…` in one document: the pointer of the same item in another one that shares it. Malloc'ed. NULL: it is not in that one,
 * or memory is out.
 */
char *config_part_pointer(const char *pointer, const json_t *from, const json_t *to);

/* As a file: a line for each item. Malloc'ed */
char *config_part_text(const json_t *document);
