// SPDX-License-Identifier: GPL-2.0-only
/* A hash of indices, open addressing. Nothing is ever taken out. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/policy/compile.h"

struct hash_slot {
	uint64_t value;
	uint32_t next; /* index + 1; 0: empty */
};

uint64_t hash_mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

/* Words one by one would wait for each other. */
uint64_t hash_bytes(const void *bytes, size_t n)
{
	uint64_t sum = n, factor = 0x9e3779b97f4a7c15ULL, word;
	size_t i;

	for (i = 0; i < n; i += sizeof(word), factor += 0xd1342543de82ef96ULL) {
		word = 0;
		memcpy(&word, (const uint8_t *)bytes + i, n - i < sizeof(word) ? n - i : sizeof(word));
		sum += (word ^ word >> 29) * factor;
	}
	return hash_mix(sum);
}

uint32_t hash_find(const struct hash *hash, uint64_t value, hash_same_fn *same, const void *arg)
{
	size_t i;

	if (!hash->slots)
		return HASH_NONE;
	for (i = value & hash->mask; hash->slots[i].next; i = (i + 1) & hash->mask) {
		if (hash->slots[i].value == value && same(arg, hash->slots[i].next - 1))
			return hash->slots[i].next - 1;
	}
	return HASH_NONE;
}

static void put(struct hash *hash, uint64_t value, uint32_t next)
{
	size_t i = value & hash->mask;

	while (hash->slots[i].next)
		i = (i + 1) & hash->mask;
	hash->slots[i] = (struct hash_slot){ value, next };
}

static int enlarge(struct hash *hash)
{
	struct hash bigger = { .mask = hash->slots ? hash->mask * 2 + 1 : 63 };
	size_t i;

	bigger.slots = calloc(bigger.mask + 1, sizeof(*bigger.slots));
	if (!bigger.slots)
		return -ENOMEM;
	for (i = 0; hash->slots && i <= hash->mask; i++) {
		if (hash->slots[i].next)
			put(&bigger, hash->slots[i].value, hash->slots[i].next);
	}
	free(hash->slots);
	hash->slots = bigger.slots;
	hash->mask = bigger.mask;
	return 0;
}

int hash_add(struct hash *hash, uint64_t value, uint32_t index)
{
	if ((!hash->slots || hash->n >= hash->mask / 2) && enlarge(hash))
		return -ENOMEM;
	put(hash, value, index + 1);
	hash->n++;
	return 0;
}

void hash_free(struct hash *hash)
{
	free(hash->slots);
	*hash = (struct hash){ .slots = NULL };
}

int grow(void **array, size_t *cap, size_t n, size_t size)
{
	size_t bigger = *cap ? *cap * 2 : 64;
	void *grown;

	if (n < *cap)
		return 0;
	grown = reallocarray(*array, bigger, size);
	if (!grown)
		return -ENOMEM;
	*array = grown;
	*cap = bigger;
	return 0;
}
