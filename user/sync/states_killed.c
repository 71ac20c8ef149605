// SPDX-License-Identifier: GPL-2.0-only
#include "user/sync/states_killed.h"

#include <stdlib.h>
#include <string.h>

#include "user/policy/states.h"

#define SIZE_FIRST 64

static uint32_t hash_of(const struct fl_tuple *tuple)
{
	uint64_t x = (uint64_t)tuple->proto << 32 | (uint32_t)tuple->port[0] << 16 | tuple->port[1];

	for (int i = 0; i < 4; i++) {
		x = (x ^ tuple->addr[i / 2].q[i % 2]) * 0xbf58476d1ce4e5b9ULL;
		x ^= x >> 31;
	}
	return (uint32_t)(x >> 16);
}

/* Where it is, or would be. There is room. */
static struct killed_one *place_of(const struct killed *k, const struct fl_tuple *tuple)
{
	uint32_t i = hash_of(tuple) & (k->size - 1);

	while (k->all[i].is && !states_same_tuple(&k->all[i].tuple, tuple))
		i = (i + 1) & (k->size - 1);
	return &k->all[i];
}

static bool grow(struct killed *k)
{
	struct killed bigger = { .size = k->size ? 2 * k->size : SIZE_FIRST, .n = k->n, .last = k->last };

	bigger.all = calloc(bigger.size, sizeof(*bigger.all));
	if (!bigger.all)
		return false;
	for (uint32_t i = 0; i < k->size; i++)
		if (k->all[i].is)
			*place_of(&bigger, &k->all[i].tuple) = k->all[i];
	free(k->all);
	*k = bigger;
	return true;
}

void killed_add(struct killed *k, const struct fl_tuple *tuple, uint32_t now, bool reset, uint32_t most)
{
	struct killed_one *one = k->size ? place_of(k, tuple) : NULL;

	if (!one || !one->is) {
		if (k->n >= most || (2 * k->n >= k->size && !grow(k)))
			return;
		one = place_of(k, tuple);
		k->n++;
	}
	*one = (struct killed_one){ .tuple = *tuple, .at = now, .is = true, .reset = reset };
	k->last = now;
}

const struct killed_one *killed_find(const struct killed *k, const struct fl_tuple *tuple, uint32_t made)
{
	const struct killed_one *one = k->n ? place_of(k, tuple) : NULL;

	return one && one->is && (int32_t)(made - one->at) < 0 ? one : NULL;
}

void killed_free(struct killed *k)
{
	free(k->all);
	*k = (struct killed){ 0 };
}
