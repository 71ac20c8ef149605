// SPDX-License-Identifier: GPL-2.0-only
/* Rows of bits, made from one another. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/policy/compile.h"

struct sweep_seen {
	uint64_t mark[2];
	uint32_t class;
};

struct sweep_ref {
	uint32_t atom, ref;
};

/* ---- lines ---- */

struct line_wanted {
	const struct builder *b;
	const uint64_t *words;
};

static bool same_line(const void *arg, uint32_t number)
{
	const struct line_wanted *wanted = arg;

	return !memcmp(wanted->b->lines[number], wanted->words, FL_LINE_SIZE);
}

static bool is_empty(const uint64_t words[8])
{
	return !(words[0] | words[1] | words[2] | words[3] | words[4] | words[5] | words[6] | words[7]);
}

static uint32_t line_number(struct builder *b, const uint64_t words[8])
{
	const struct line_wanted wanted = { b, words };
	uint64_t value;
	uint32_t number;

	if (is_empty(words))
		return 0;
	value = hash_bytes(words, FL_LINE_SIZE);
	number = hash_find(&b->numbers, value, same_line, &wanted);
	if (number != HASH_NONE)
		return number;
	if (grow((void **)&b->lines, &b->cap_lines, b->n_numbers, FL_LINE_SIZE) ||
	    hash_add(&b->numbers, value, (uint32_t)b->n_numbers)) {
		b->err = -ENOMEM;
		return 0;
	}
	memcpy(b->lines[b->n_numbers], words, FL_LINE_SIZE);
	return (uint32_t)b->n_numbers++;
}

/* ---- rows ---- */

size_t row_bytes(const struct builder *b)
{
	return sizeof(struct fl_row) + b->n_lines * sizeof(uint32_t);
}

void rows_free(struct rows *rows)
{
	free(rows->bytes);
	hash_free(&rows->hash);
}

struct row_wanted {
	const struct sweep *s;
	size_t bytes;
};

static bool same_row(const void *arg, uint32_t index)
{
	const struct row_wanted *wanted = arg;

	return !memcmp(wanted->s->rows->bytes + index * wanted->bytes, wanted->s->row, wanted->bytes);
}

static uint32_t row_class(struct sweep *s)
{
	const struct row_wanted wanted = { s, row_bytes(s->b) };
	struct rows *rows = s->rows;
	uint64_t value = hash_mix(s->row_hash);
	uint32_t class = hash_find(&rows->hash, value, same_row, &wanted);

	if (class != HASH_NONE)
		return class;
	if (grow((void **)&rows->bytes, &rows->cap, rows->n, wanted.bytes) ||
	    hash_add(&rows->hash, value, (uint32_t)rows->n)) {
		s->b->err = -ENOMEM;
		return 0;
	}
	memcpy(rows->bytes + rows->n * wanted.bytes, s->row, wanted.bytes);
	return (uint32_t)rows->n++;
}

static uint64_t part_of_hash(uint32_t line, uint32_t number)
{
	return hash_mix((uint64_t)line << 32 | number);
}

/* A list's line, of all lists' lines. */
static enum fl_list list_of(const struct builder *b, uint32_t line)
{
	enum fl_list list = FL_LISTS - 1;

	while (list > 0 && b->list[list].first > line)
		list--;
	return list;
}

static void write_line(struct sweep *s, uint32_t line)
{
	uint32_t number = line_number(s->b, s->bits[line]);
	enum fl_list list = list_of(s->b, line);
	uint32_t bit = 1u << (line - s->b->list[list].first);

	s->row_hash += part_of_hash(line, number) - part_of_hash(line, s->row->line[line]);
	s->row->line[line] = number;
	s->row->some[list] = number ? s->row->some[list] | bit : s->row->some[list] & ~bit;
	s->dirty[line] = false;
}

/* ---- what is on ---- */

int sweep_init(struct sweep *s, struct builder *b, struct rows *rows)
{
	*s = (struct sweep){ .b = b, .rows = rows };
	s->fits = calloc(b->n_items + 1, sizeof(*s->fits));
	s->hinders = calloc(b->n_items + 1, sizeof(*s->hinders));
	s->asks = calloc(b->n_items + 1, sizeof(*s->asks));
	s->may = calloc(b->n_items + 1, sizeof(*s->may));
	s->bits = calloc(b->n_lines + 1, sizeof(*s->bits));
	s->dirty = calloc(b->n_lines + 1, sizeof(*s->dirty));
	s->dirty_lines = calloc(b->n_lines + 1, sizeof(*s->dirty_lines));
	s->row = calloc(1, row_bytes(b));
	if (!s->fits || !s->hinders || !s->asks || !s->may || !s->bits || !s->dirty || !s->dirty_lines || !s->row)
		b->err = -ENOMEM;
	return b->err;
}

void sweep_free(struct sweep *s)
{
	free(s->atoms);
	free(s->pairs);
	free(s->refs);
	free(s->fits);
	free(s->hinders);
	free(s->asks);
	free(s->may);
	free(s->bits);
	free(s->dirty);
	free(s->dirty_lines);
	free(s->row);
	free(s->pending);
	hash_free(&s->seen);
	free(s->known);
}

uint32_t sweep_atom(struct sweep *s)
{
	struct atom *atom;

	if (grow((void **)&s->atoms, &s->cap_atoms, s->n_atoms, sizeof(*s->atoms))) {
		s->b->err = -ENOMEM;
		return 0;
	}
	atom = &s->atoms[s->n_atoms];
	*atom = (struct atom){ .n_refs = 0 };
	atom->mark[0] = hash_mix(2 * s->n_atoms + 1);
	atom->mark[1] = hash_mix(atom->mark[0] + s->n_atoms);
	return (uint32_t)s->n_atoms++;
}

void sweep_ref(struct sweep *s, uint32_t atom, size_t item, bool negated)
{
	if (s->b->err || grow((void **)&s->pairs, &s->cap_pairs, s->n_pairs, sizeof(*s->pairs))) {
		s->b->err = s->b->err ? s->b->err : -ENOMEM;
		return;
	}
	s->pairs[s->n_pairs++] = (struct sweep_ref){ atom, (uint32_t)item << 1 | negated };
	s->atoms[atom].n_refs++;
	if (!negated)
		s->asks[item] = true;
}

/* The pairs by atom. */
static int sort_refs(struct sweep *s)
{
	uint32_t at = 0;
	size_t i;

	s->refs = calloc(s->n_pairs + 1, sizeof(*s->refs));
	s->pending = calloc(s->n_atoms + 1, sizeof(*s->pending));
	if (!s->refs || !s->pending)
		return -ENOMEM;
	for (i = 0; i < s->n_atoms; i++) {
		s->atoms[i].refs = at;
		at += s->atoms[i].n_refs;
		s->atoms[i].n_refs = 0;
	}
	for (i = 0; i < s->n_pairs; i++) {
		struct atom *atom = &s->atoms[s->pairs[i].atom];

		s->refs[atom->refs + atom->n_refs++] = s->pairs[i].ref;
	}
	return 0;
}

static void flip(struct sweep *s, uint32_t bit)
{
	uint32_t line = bit / FL_LINE_BITS;

	if (!bit)
		return;
	s->bits[line][bit / 64 % 8] ^= 1ULL << bit % 64;
	if (!s->dirty[line]) {
		s->dirty[line] = true;
		s->dirty_lines[s->n_dirty++] = line;
	}
}

static void judge_item(struct sweep *s, size_t i)
{
	const struct item *item = &s->b->items[i];
	uint32_t bit = item->bits[0] ? item->bits[0] : item->bits[1];
	bool is = s->bits[bit / FL_LINE_BITS][bit / 64 % 8] >> bit % 64 & 1;
	bool shall = s->may[i] && (s->fits[i] || !s->asks[i]) && !s->hinders[i];

	if (is == shall)
		return;
	flip(s, item->bits[0]);
	flip(s, item->bits[1]);
}

void sweep_begin(struct sweep *s, unsigned int families)
{
	size_t i;

	if (!s->b->err && !s->refs)
		s->b->err = sort_refs(s);
	if (s->b->err)
		return;
	for (i = 0; i < s->n_atoms; i++)
		s->atoms[i].on = s->atoms[i].pending = s->atoms[i].listed = false;
	s->n_pending = 0;
	s->mark[0] = families;
	s->mark[1] = 0;
	for (i = 0; i < s->b->n_items; i++) {
		s->fits[i] = s->hinders[i] = 0;
		s->may[i] = s->b->items[i].families & families;
		judge_item(s, i);
	}
}

void sweep_toggle(struct sweep *s, uint32_t index)
{
	struct atom *atom = &s->atoms[index];

	/* on and off at once: whichever it is, the marks of both are the same number apart */
	atom->pending = !atom->pending;
	s->mark[0] ^= atom->mark[0];
	s->mark[1] ^= atom->mark[1];
	if (!atom->listed) {
		atom->listed = true;
		s->pending[s->n_pending++] = index;
	}
}

static void apply_atom(struct sweep *s, struct atom *atom)
{
	uint32_t change = atom->on ? (uint32_t)-1 : 1;
	uint32_t i;

	atom->on = !atom->on;
	for (i = 0; i < atom->n_refs; i++) {
		uint32_t ref = s->refs[atom->refs + i];

		if (ref & 1)
			s->hinders[ref >> 1] += change;
		else
			s->fits[ref >> 1] += change;
		judge_item(s, ref >> 1);
	}
}

static uint32_t make_row(struct sweep *s)
{
	size_t i;

	for (i = 0; i < s->n_pending; i++) {
		struct atom *atom = &s->atoms[s->pending[i]];

		if (atom->pending)
			apply_atom(s, atom);
		atom->pending = atom->listed = false;
	}
	s->n_pending = 0;
	for (i = 0; i < s->n_dirty; i++)
		write_line(s, s->dirty_lines[i]);
	s->n_dirty = 0;
	return row_class(s);
}

static bool same_mark(const void *arg, uint32_t index)
{
	const struct sweep *s = arg;

	return s->known[index].mark[0] == s->mark[0] && s->known[index].mark[1] == s->mark[1];
}

uint32_t sweep_class(struct sweep *s)
{
	uint64_t value;
	uint32_t index;

	if (s->b->err)
		return 0;
	value = hash_mix(s->mark[0]);
	index = hash_find(&s->seen, value, same_mark, s);
	if (index != HASH_NONE)
		return s->known[index].class;
	if (grow((void **)&s->known, &s->cap_known, s->n_known, sizeof(*s->known)) ||
	    hash_add(&s->seen, value, (uint32_t)s->n_known)) {
		s->b->err = -ENOMEM;
		return 0;
	}
	s->known[s->n_known] = (struct sweep_seen){ { s->mark[0], s->mark[1] }, make_row(s) };
	return s->known[s->n_known++].class;
}
