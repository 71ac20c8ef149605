/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A flat array with a hash index: items of one size, found by their leading key_size bytes. Items are compared as bytes,
 * so whoever makes one clears it first. Adding and removing cost the same however many there are; removing moves the last
 * item into the gap.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct table {
	size_t item_size;
	size_t key_size;
	unsigned char *items;
	size_t n;
	size_t capacity;   /* a power of two, or 0 */
	uint32_t *buckets; /* capacity of them: the first item's number + 1; 0: none */
	uint32_t *next;	   /* of each item: the one after it in its bucket, likewise */
};

void table_init(struct table *t, size_t item_size, size_t key_size);
void table_free(struct table *t);

/* The item with that key, or NULL; valid until the next put or remove. */
void *table_get(const struct table *t, const void *key);
/* NULL past the end. */
void *table_at(const struct table *t, size_t i);

/* Adds the item or overwrites the one with its key. 0 or -ENOMEM, then nothing changed. */
int table_put(struct table *t, const void *item);
/* The same; 1 when the item is new or different, 0 when it was there as it is. */
int table_put_if_new(struct table *t, const void *item);
/* Removes the i-th; the last one takes its place. */
void table_remove_at(struct table *t, size_t i);
/* The same for an item that table_get() gave. */
void table_remove(struct table *t, const void *item);
