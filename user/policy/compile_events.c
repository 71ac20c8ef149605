// SPDX-License-Identifier: GPL-2.0-only
/* Where on a line of numbers rules begin and cease to fit, and what lies between. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/policy/compile.h"

int events_add(struct events *events, uint64_t hi, uint64_t lo, uint32_t atom)
{
	if (grow((void **)&events->list, &events->cap, events->n, sizeof(*events->list)))
		return -ENOMEM;
	events->list[events->n++] = (struct event){ hi, lo, atom };
	return 0;
}

#define KEY_BYTES 16

static unsigned int byte_of(const struct event *event, unsigned int byte)
{
	return (byte < 8 ? event->lo : event->hi) >> byte % 8 * 8 & 0xff;
}

/* One pass by one byte, from the lowest on. */
static void sort_by(const struct event *from, struct event *to, size_t n, unsigned int byte)
{
	size_t at[256] = {}, sum = 0, i;

	for (i = 0; i < n; i++)
		at[byte_of(&from[i], byte)]++;
	for (i = 0; i < 256; i++) {
		size_t count = at[i];

		at[i] = sum;
		sum += count;
	}
	for (i = 0; i < n; i++)
		to[at[byte_of(&from[i], byte)]++] = from[i];
}

/* The bits in which they differ. */
static struct event differences(const struct events *events)
{
	struct event all = { .hi = 0 };
	size_t i;

	for (i = 0; i < events->n; i++) {
		all.hi |= events->list[i].hi ^ events->list[0].hi;
		all.lo |= events->list[i].lo ^ events->list[0].lo;
	}
	return all;
}

int events_sort(struct events *events)
{
	const struct event all = differences(events);
	struct event *from = events->list, *to;
	unsigned int byte;

	if (events->n < 2)
		return 0;
	to = malloc(events->n * sizeof(*to));
	if (!to)
		return -ENOMEM;
	for (byte = 0; byte < KEY_BYTES; byte++) {
		struct event *swap = from;

		if (!byte_of(&all, byte))
			continue;
		sort_by(from, to, events->n, byte);
		from = to;
		to = swap;
	}
	if (from != events->list)
		events->cap = events->n;
	events->list = from;
	free(to);
	return 0;
}

static int intervals_add(struct intervals *out, uint64_t hi, uint64_t lo, uint32_t class)
{
	if (out->n && out->list[out->n - 1].class == class)
		return 0;
	if (grow((void **)&out->list, &out->cap, out->n, sizeof(*out->list)))
		return -ENOMEM;
	out->list[out->n++] = (struct interval){ hi, lo, class };
	return 0;
}

void events_sweep(struct events *events, struct sweep *sweep, struct intervals *out)
{
	struct builder *b = sweep->b;
	uint64_t hi = 0, lo = 0;
	size_t i = 0;

	if (!b->err)
		b->err = events_sort(events);
	while (!b->err) {
		for (; i < events->n && events->list[i].hi == hi && events->list[i].lo == lo; i++)
			sweep_toggle(sweep, events->list[i].atom);
		if (intervals_add(out, hi, lo, sweep_class(sweep)))
			b->err = -ENOMEM;
		if (i == events->n)
			break;
		hi = events->list[i].hi;
		lo = events->list[i].lo;
	}
}
