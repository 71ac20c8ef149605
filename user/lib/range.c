// SPDX-License-Identifier: GPL-2.0-only
#include "user/lib/range.h"

#include <stdlib.h>

/* Where addr_bytes() only lets one read. */
static uint8_t *bytes_of(struct addr *a)
{
	return a->family == AF_INET ? (uint8_t *)&a->v4 : a->v6.s6_addr;
}

struct addr_range addr_range_of(const struct prefix *p)
{
	struct addr net = prefix_network(p);
	struct addr_range range = { .first = net, .last = net };
	uint8_t *last = bytes_of(&range.last);
	const uint8_t *bytes;
	unsigned int n = addr_bytes(&net, &bytes), i;

	for (i = p->len / 8; i < n; i++)
		last[i] |= i == p->len / 8 ? (uint8_t)(0xff >> p->len % 8) : 0xff;
	return range;
}

bool addr_range_contains(const struct addr_range *outer, const struct addr_range *inner)
{
	return addr_compare(&outer->first, &inner->first) <= 0 && addr_compare(&outer->last, &inner->last) >= 0;
}

/* false: there is none, `a` is the family's last. */
static bool next_address(const struct addr *a, struct addr *next)
{
	const uint8_t *bytes;
	unsigned int i = addr_bytes(a, &bytes);
	uint8_t *to;

	*next = *a;
	to = bytes_of(next);
	while (i-- > 0) {
		if (++to[i])
			return true;
	}
	return false;
}

static int by_first(const void *a, const void *b)
{
	const struct addr_range *x = a, *y = b;

	return addr_compare(&x->first, &y->first);
}

/* Whether `next`, which does not begin before `range`, overlaps it or goes on where it ends. */
static bool goes_on(const struct addr_range *range, const struct addr_range *next)
{
	struct addr behind;

	if (range->last.family != next->first.family)
		return false;
	return addr_compare(&next->first, &range->last) <= 0 ||
	       (next_address(&range->last, &behind) && addr_equal(&behind, &next->first));
}

size_t addr_ranges_merge(struct addr_range *ranges, size_t n)
{
	size_t last = 0, i;

	if (!n)
		return 0;
	qsort(ranges, n, sizeof(*ranges), by_first);
	for (i = 1; i < n; i++) {
		if (!goes_on(&ranges[last], &ranges[i]))
			ranges[++last] = ranges[i];
		else if (addr_compare(&ranges[i].last, &ranges[last].last) > 0)
			ranges[last].last = ranges[i].last;
	}
	return last + 1;
}

static int by_first_port(const void *a, const void *b)
{
	const struct port_range *x = a, *y = b;

	return x->first < y->first ? -1 : x->first > y->first;
}

size_t port_ranges_merge(struct port_range *ranges, size_t n)
{
	size_t last = 0, i;

	if (!n)
		return 0;
	qsort(ranges, n, sizeof(*ranges), by_first_port);
	for (i = 1; i < n; i++) {
		if (ranges[i].first > ranges[last].last + 1)
			ranges[++last] = ranges[i];
		else if (ranges[i].last > ranges[last].last)
			ranges[last].last = ranges[i].last;
	}
	return last + 1;
}
