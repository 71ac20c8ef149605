// SPDX-License-Identifier: GPL-2.0-only
/* The bytes of the table: rows, lines, and the trees that addresses are searched in. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/policy/compile.h"

/* `align`: a power of two, at most a segment. Offset 0 is the head, so that 0 says that there was no room. */
uint32_t table_reserve(struct builder *b, size_t bytes, size_t align)
{
	struct policy *p = b->policy;
	size_t offset = (p->table_bytes + align - 1) / align * align;
	size_t end = (offset + bytes + FL_LINE_SIZE - 1) / FL_LINE_SIZE * FL_LINE_SIZE;

	if (b->err)
		return 0;
	if (end > TABLE_MAX) {
		b->err = -ENOSPC;
		return 0;
	}
	if (end > b->cap_table) {
		size_t cap = end + end / 2;
		uint8_t *grown = realloc(p->table, cap);

		if (!grown) {
			b->err = -ENOMEM;
			return 0;
		}
		p->table = grown;
		b->cap_table = cap;
	}
	memset(p->table + p->table_bytes, 0, end - p->table_bytes);
	p->table_bytes = end;
	return (uint32_t)offset;
}

void *table_pointer(struct builder *b, uint32_t offset)
{
	return b->policy->table + offset;
}

void table_rows(struct builder *b)
{
	size_t stride = (size_t)1 << b->head.row_shift, bytes = row_bytes(b), i;
	enum fl_dim dim;

	for (dim = 0; dim < FL_DIMS; dim++) {
		const struct rows *rows = &b->rows[dim];
		uint32_t offset = table_reserve(b, rows->n * stride, stride);

		b->head.row[dim] = offset;
		for (i = 0; !b->err && i < rows->n; i++)
			memcpy((uint8_t *)table_pointer(b, offset) + i * stride, rows->bytes + i * bytes, bytes);
	}
}

void table_lines(struct builder *b)
{
	b->head.lines = table_reserve(b, b->n_numbers * FL_LINE_SIZE, FL_LINE_SIZE);
	if (!b->err)
		memcpy(table_pointer(b, b->head.lines), b->lines, b->n_numbers * FL_LINE_SIZE);
}

/* ---- trees ---- */

/* The sorted ends, and what their intervals are. */
struct leaves {
	uint64_t *ends;
	uint32_t *refs;
	size_t n;
};

static int leaves_init(struct leaves *leaves, size_t n)
{
	leaves->ends = calloc(n + 1, sizeof(*leaves->ends));
	leaves->refs = calloc(n + 1, sizeof(*leaves->refs));
	leaves->n = 0;
	return leaves->ends && leaves->refs ? 0 : -ENOMEM;
}

static void leaves_free(struct leaves *leaves)
{
	free(leaves->ends);
	free(leaves->refs);
}

/* An interval that begins there; the one before it ends there. */
static void leaves_add(struct leaves *leaves, uint64_t begin, uint32_t ref)
{
	if (leaves->n)
		leaves->ends[leaves->n - 1] = begin - 1;
	leaves->refs[leaves->n++] = ref;
}

static void write_end(void *line, size_t i, size_t width, uint64_t end)
{
	if (width == sizeof(uint32_t))
		((uint32_t *)line)[i] = (uint32_t)end;
	else
		((uint64_t *)line)[i] = end;
}

/* Every step-th end, the last one of each group of `step`. */
static uint32_t write_level(struct builder *b, const struct leaves *leaves, size_t step, size_t width)
{
	size_t n = (leaves->n + step - 1) / step, per_line = FL_LINE_SIZE / width, i;
	size_t all = (n + per_line - 1) / per_line * per_line;
	uint32_t offset = table_reserve(b, all * width, FL_LINE_SIZE);

	for (i = 0; !b->err && i < all; i++) {
		size_t at = (i + 1) * step - 1;

		write_end(table_pointer(b, offset), i, width, at < leaves->n ? leaves->ends[at] : UINT64_MAX);
	}
	return offset;
}

/* `width` of an end, in bytes. */
static void write_tree(struct builder *b, struct fl_tree *tree, struct leaves *leaves, size_t width)
{
	size_t per_line = FL_LINE_SIZE / width, reach = per_line, step = 1;
	uint32_t i;

	leaves->ends[leaves->n - 1] = UINT64_MAX;
	tree->levels = 1;
	for (; reach < leaves->n; reach *= per_line) {
		tree->levels++;
		step *= per_line;
	}
	for (i = 0; i < tree->levels; i++, step /= per_line)
		tree->level[i] = write_level(b, leaves, step, width);
	tree->refs = table_reserve(b, leaves->n * sizeof(uint32_t), FL_LINE_SIZE);
	if (!b->err)
		memcpy(table_pointer(b, tree->refs), leaves->refs, leaves->n * sizeof(uint32_t));
}

void tree_write4(struct builder *b, struct fl_tree *tree, const struct intervals *intervals)
{
	struct leaves leaves = {};
	size_t i;

	if (b->err || leaves_init(&leaves, intervals->n)) {
		b->err = b->err ? b->err : -ENOMEM;
		leaves_free(&leaves);
		return;
	}
	for (i = 0; i < intervals->n; i++)
		leaves_add(&leaves, intervals->list[i].lo, intervals->list[i].class);
	write_tree(b, tree, &leaves, sizeof(uint32_t));
	leaves_free(&leaves);
}

/* Behind the intervals from `i` on that begin in the same upper half. */
static size_t same_half(const struct intervals *intervals, size_t i)
{
	uint64_t hi = intervals->list[i].hi;

	while (i < intervals->n && intervals->list[i].hi == hi)
		i++;
	return i;
}

/* The lower halves of one upper half: a tree of its own. Returns the ref to it. */
static uint32_t write_child(struct builder *b, const struct intervals *intervals, size_t i, size_t end)
{
	struct fl_tree tree = {};
	struct leaves leaves = {};
	uint32_t offset;

	if (leaves_init(&leaves, end - i + 1))
		b->err = -ENOMEM;
	offset = table_reserve(b, sizeof(tree), FL_LINE_SIZE);
	if (!b->err) {
		if (intervals->list[i].lo)
			leaves_add(&leaves, 0, intervals->list[i - 1].class);
		for (; i < end; i++)
			leaves_add(&leaves, intervals->list[i].lo, intervals->list[i].class);
		write_tree(b, &tree, &leaves, sizeof(uint64_t));
	}
	if (!b->err)
		memcpy(table_pointer(b, offset), &tree, sizeof(tree));
	leaves_free(&leaves);
	return FL_REF_CHILD | offset / FL_LINE_SIZE;
}

/* Where no interval begins in the midst of an upper half, there is nothing to ask of the lower one. */
static void add_half(struct builder *b, struct leaves *leaves, const struct intervals *intervals, size_t i, size_t end)
{
	uint64_t hi = intervals->list[i].hi;
	uint32_t last = intervals->list[end - 1].class;

	if (end - i == 1 && !intervals->list[i].lo) {
		leaves_add(leaves, hi, last);
		return;
	}
	leaves_add(leaves, hi, write_child(b, intervals, i, end));
	if (hi < UINT64_MAX && (end == intervals->n || intervals->list[end].hi > hi + 1))
		leaves_add(leaves, hi + 1, last);
}

void tree_write6(struct builder *b, struct fl_tree *tree, const struct intervals *intervals)
{
	struct leaves leaves = {};
	size_t i = 0;

	if (b->err || leaves_init(&leaves, intervals->n * 2)) {
		b->err = b->err ? b->err : -ENOMEM;
		leaves_free(&leaves);
		return;
	}
	while (!b->err && i < intervals->n) {
		size_t end = same_half(intervals, i);

		add_half(b, &leaves, intervals, i, end);
		i = end;
	}
	if (!b->err)
		write_tree(b, tree, &leaves, sizeof(uint64_t));
	leaves_free(&leaves);
}
