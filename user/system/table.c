/* SPDX-License-Identifier: GPL-2.0-only */
/* A flat array with a hash index. */
#include "user/system/table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TABLE_MIN 64

void table_init(struct table *t, size_t item_size, size_t key_size)
{
	*t = (struct table){ .item_size = item_size, .key_size = key_size };
}

void table_free(struct table *t)
{
	free(t->items);
	free(t->buckets);
	free(t->next);
	table_init(t, t->item_size, t->key_size);
}

/* FNV-1a; its high bits are the better mixed ones. */
static size_t bucket_of(const struct table *t, const void *key)
{
	const unsigned char *bytes = key;
	uint64_t hash = 0xcbf29ce484222325;

	for (size_t i = 0; i < t->key_size; i++)
		hash = (hash ^ bytes[i]) * 0x100000001b3;
	return (hash ^ hash >> 32) & (t->capacity - 1);
}

void *table_at(const struct table *t, size_t i)
{
	return i < t->n ? t->items + i * t->item_size : NULL;
}

void *table_get(const struct table *t, const void *key)
{
	if (!t->n)
		return NULL;
	for (uint32_t i = t->buckets[bucket_of(t, key)]; i; i = t->next[i - 1]) {
		void *item = table_at(t, i - 1);

		if (!memcmp(item, key, t->key_size))
			return item;
	}
	return NULL;
}

static void link_item(struct table *t, size_t i)
{
	uint32_t *bucket = &t->buckets[bucket_of(t, table_at(t, i))];

	t->next[i] = *bucket;
	*bucket = (uint32_t)i + 1;
}

/* The word (bucket or next) that names the i-th item. */
static uint32_t *link_to(struct table *t, size_t i)
{
	uint32_t *at = &t->buckets[bucket_of(t, table_at(t, i))];

	while (*at != i + 1)
		at = &t->next[*at - 1];
	return at;
}

static int table_grow(struct table *t)
{
	size_t capacity = t->capacity ? t->capacity * 2 : TABLE_MIN;
	unsigned char *items = malloc(capacity * t->item_size);
	uint32_t *buckets = calloc(capacity, sizeof(*buckets));
	uint32_t *next = malloc(capacity * sizeof(*next));

	if (!items || !buckets || !next || capacity > UINT32_MAX / 2) {
		free(items);
		free(buckets);
		free(next);
		return -ENOMEM;
	}
	if (t->n)
		memcpy(items, t->items, t->n * t->item_size);
	free(t->items);
	free(t->buckets);
	free(t->next);
	t->items = items;
	t->buckets = buckets;
	t->next = next;
	t->capacity = capacity;
	for (size_t i = 0; i < t->n; i++)
		link_item(t, i);
	return 0;
}

int table_put(struct table *t, const void *item)
{
	void *old = table_get(t, item);

	if (old) {
		memcpy(old, item, t->item_size);
		return 0;
	}
	if (t->n == t->capacity && table_grow(t))
		return -ENOMEM;
	memcpy(t->items + t->n * t->item_size, item, t->item_size);
	link_item(t, t->n++);
	return 0;
}

void table_remove_at(struct table *t, size_t i)
{
	size_t last = t->n - 1;

	*link_to(t, i) = t->next[i];
	if (i != last) {
		*link_to(t, last) = t->next[last];
		memcpy(table_at(t, i), table_at(t, last), t->item_size);
		link_item(t, i);
	}
	t->n--;
}

void table_remove(struct table *t, const void *item)
{
	table_remove_at(t, (size_t)((const unsigned char *)item - t->items) / t->item_size);
}

int table_put_if_new(struct table *t, const void *item)
{
	const void *old = table_get(t, item);

	if (old && !memcmp(old, item, t->item_size))
		return 0;
	return table_put(t, item) ? -ENOMEM : 1;
}
