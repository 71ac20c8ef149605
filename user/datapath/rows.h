/* SPDX-License-Identifier: GPL-2.0-only */
/* What a map has or shall have: records of key and value, sorted by key. As `entries` of tables.h, but with any value. */
#pragma once

#include "user/datapath/private.h"

struct rows {
	enum dp_map_id map;
	size_t key_size, value_size, n, cap;
	uint8_t *records; /* of whoever has the rows, to be freed */
};

uint8_t *row_at(const struct rows *rows, size_t i);		     /* the key; its value is behind it */
int rows_put(struct rows *rows, const void *key, const void *value); /* at the end, unsorted. 0 or -ENOMEM */
void rows_sort(struct rows *rows);				     /* of those with the same key one stays */
void *rows_find(const struct rows *rows, const void *key);	     /* the value; NULL: there is none */
int rows_read(struct datapath *dp, struct rows *rows);		     /* adds what the map has. 0 or -errno */
