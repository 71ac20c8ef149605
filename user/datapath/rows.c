// SPDX-License-Identifier: GPL-2.0-only
#include "user/datapath/rows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static size_t row_size(const struct rows *rows)
{
	return rows->key_size + rows->value_size;
}

uint8_t *row_at(const struct rows *rows, size_t i)
{
	return rows->records + i * row_size(rows);
}

int rows_put(struct rows *rows, const void *key, const void *value)
{
	if (rows->n == rows->cap) {
		size_t cap = rows->cap ? 2 * rows->cap : 16;
		uint8_t *grown = reallocarray(rows->records, cap, row_size(rows));

		if (!grown)
			return -ENOMEM;
		rows->records = grown;
		rows->cap = cap;
	}
	memcpy(row_at(rows, rows->n), key, rows->key_size);
	memcpy(row_at(rows, rows->n) + rows->key_size, value, rows->value_size);
	rows->n++;
	return 0;
}

static int compare_keys(const void *a, const void *b, void *size)
{
	return memcmp(a, b, *(const size_t *)size);
}

void rows_sort(struct rows *rows)
{
	size_t n = 0;

	if (rows->n)
		qsort_r(rows->records, rows->n, row_size(rows), compare_keys, &rows->key_size);
	for (size_t i = 0; i < rows->n; i++)
		if (!n || memcmp(row_at(rows, n - 1), row_at(rows, i), rows->key_size) != 0)
			memmove(row_at(rows, n++), row_at(rows, i), row_size(rows));
	rows->n = n;
}

void *rows_find(const struct rows *rows, const void *key)
{
	size_t low = 0, high = rows->n;

	while (low < high) {
		size_t middle = (low + high) / 2;
		int order = memcmp(key, row_at(rows, middle), rows->key_size);

		if (order == 0)
			return row_at(rows, middle) + rows->key_size;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

struct reading {
	struct rows *rows;
	int err;
};

static void read_row(void *arg, const void *key, const void *value)
{
	struct reading *reading = arg;

	reading->err = reading->err ?: rows_put(reading->rows, key, value);
}

int rows_read(struct datapath *dp, struct rows *rows)
{
	struct reading reading = { rows, 0 };
	int err;

	err = map_walk(dp, rows->map, read_row, &reading);
	rows_sort(rows);
	return err ?: reading.err;
}
