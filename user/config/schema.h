/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The generic half of the parser: objects of the file described by tables, a table per object, and the walk that fills
 * structs from them. tables.c has the tables.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "user/config/report.h"

enum schema_kind {
	SCHEMA_TEXT,	/* a string for people; not stored */
	SCHEMA_BOOL,	/* -> bool */
	SCHEMA_WORD,	/* one of `words` -> unsigned integer of `size` bytes */
	SCHEMA_NUMBER,	/* whole number min..max, or one of `words` -> unsigned integer of `size` bytes */
	SCHEMA_STRING,	/* a string that `fault` finds none with -> char * */
	SCHEMA_ADDRESS, /* -> struct addr; one of `words`: AF_UNSPEC */
	SCHEMA_PREFIX,	/* length min..max -> struct prefix; or, with `object`, that object */
	SCHEMA_VALUE,	/* what `element` takes */
	SCHEMA_LIST,	/* array of what `element` takes -> array of `size` bytes each, and size_t at `count_offset` */
	SCHEMA_OBJECT,	/* an object of one's own -> its members into the same struct; one of `words`: none */
	SCHEMA_MAP,	/* object of named items -> array of structs and size_t at `count_offset` */
	SCHEMA_ARRAY,	/* array of items -> the same */
	SCHEMA_LATER,	/* known, and refused in this version; `accepts` says what to do */
};

enum schema_flags {
	SCHEMA_INET = 1 << 0, /* addresses and prefixes: the families that do */
	SCHEMA_INET6 = 1 << 1,
	SCHEMA_UNICAST = 1 << 2,     /* an address that a host can have */
	SCHEMA_ROUTABLE = 1 << 3,    /* prefixes: neither multicast nor link-local */
	SCHEMA_NETWORK = 1 << 4,     /* prefixes: without host bits */
	SCHEMA_ONE_OR_MANY = 1 << 5, /* SCHEMA_LIST: a single one may stand without brackets, and none may not */
	SCHEMA_REQUIRED = 1 << 6,    /* the key must be there */
	SCHEMA_NOT_EMPTY = 1 << 7,   /* maps, arrays and lists: at least one item */
};

#define SCHEMA_NOWHERE ((size_t)-1) /* offset of what is checked and not stored */

/* A word that may stand in place of a number, an address, an object. A list ends with word NULL. */
struct schema_word {
	const char *word;
	unsigned int value;
	bool literal; /* JSON's false, not the string */
};

struct schema_object;
struct schema_key;

struct schema_walk {
	struct config_report *report;
	int err;	   /* -ENOMEM: memory was short somewhere, the result is worth nothing */
	json_t *fallbacks; /* the values of defaults that were met, by their text; NULL: none yet */
};

void schema_walk_free(struct schema_walk *walk);

/* Takes `value` over into `item`; what is wrong with it goes into the report. */
typedef void schema_value_fn(struct schema_walk *walk, const struct path *path, const json_t *value,
			     const struct schema_key *key, void *item);

struct schema_key {
	const char *key; /* NULL ends a table */
	enum schema_kind kind;
	unsigned int flags;
	size_t offset;	     /* in the struct of the object */
	size_t count_offset; /* lists: of their length */
	size_t size;	     /* numbers and words: 1, 2 or 4 bytes; lists: of one element */
	unsigned int min, max;
	const char *fallback; /* the default, as JSON text */
	const char *accepts;  /* for people: what would do. Numbers and words say it themselves */
	const struct schema_word *words;
	const struct schema_object *object;	/* of the value, or of each item */
	const char *(*fault)(const char *text); /* what would do, when `text` doesn't; else NULL */
	schema_value_fn *element; /* values and elements of lists: fills the one at `item`; zeros when it is refused */
	/* lists: of two elements, 0 when they are the same; NULL: those that are written the same */
	int (*compare)(const void *, const void *);
};

struct schema_object {
	const struct schema_key *keys;
	size_t size;				     /* maps and arrays: of one item's struct */
	size_t name_offset;			     /* maps: char * of the item's name */
	const char *(*name_fault)(const char *name); /* maps: as schema_key.fault */
	const struct schema_key *array;		     /* an item may be this list instead of an object */
	/* what is beyond single keys, after all of them */
	void (*done)(struct schema_walk *walk, const struct path *path, const json_t *value, void *item);
};

/*
 * Fills `item` from `value`; what is wrong goes into the report and leaves zeros or the default. What is absent gets its
 * default. Strings and arrays are malloc'ed and belong to `item`.
 */
void schema_parse(struct schema_walk *walk, const struct path *path, const json_t *value,
		  const struct schema_object *object, void *item);

/* Every key that this version accepts: "POINTER\trequired|optional\tDEFAULT", items of maps as NAME, of arrays as N. */
void schema_print_keys(const struct schema_object *object, FILE *to);

/* For the parts of the walk, and for done(). */
void schema_error(struct schema_walk *walk, const struct path *path, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void schema_refuse(struct schema_walk *walk, const struct path *path, const json_t *found, const char *accepts);
/* The same, and the nearest of some words. */
void schema_refuse_word(struct schema_walk *walk, const struct path *path, const json_t *value,
			const struct schema_word *words, const char *accepts);
void schema_refuse_words(struct schema_walk *walk, const struct path *path, const json_t *value,
			 const struct schema_word *words, const struct schema_word *others, const char *accepts);
/* 1480, and as JSON Schema has it 1480.0 and 1.48e3 too. */
bool schema_whole_number(const json_t *value, unsigned int min, unsigned int max, uint32_t *out);
const struct schema_word *schema_find_word(const struct schema_word *words, const json_t *value);

/* values.c: one function for each kind of value that holds no other. */
schema_value_fn schema_parse_text, schema_parse_bool, schema_parse_word, schema_parse_number, schema_parse_string,
	schema_parse_address, schema_parse_prefix;

/* Elements of lists. */
schema_value_fn schema_element_address, schema_element_prefix;
int schema_compare_addresses(const void *a, const void *b);
int schema_compare_prefixes(const void *a, const void *b);
