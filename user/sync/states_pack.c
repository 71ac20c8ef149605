// SPDX-License-Identifier: GPL-2.0-only
#include "user/sync/states_pack.h"

#include <string.h>

#define WORD STATES_PACK_WORD

#define GROUP 8 /* words: a byte of bits */

static unsigned int differing(const uint8_t *record, const uint8_t *before, size_t words)
{
	unsigned int bits = 0;

	if (!memcmp(record, before, words * WORD)) /* as a rule */
		return 0;
	for (size_t i = 0; i < words; i++)
		bits |= !!memcmp(record + i * WORD, before + i * WORD, WORD) << i;
	return bits;
}

size_t states_pack(uint8_t *to, const uint8_t *record, const uint8_t *before, size_t size)
{
	uint8_t *at = to + STATES_PACK_BITS(size);

	for (size_t i = 0; i < size / WORD; i += GROUP) {
		size_t left = size / WORD - i;
		unsigned int bits = differing(record + i * WORD, before + i * WORD, left < GROUP ? left : GROUP);

		to[i / GROUP] = bits;
		for (; bits; bits &= bits - 1, at += WORD)
			memcpy(at, record + (i + __builtin_ctz(bits)) * WORD, WORD);
	}
	return at - to;
}

size_t states_unpack(uint8_t *record, size_t size, const uint8_t *from, size_t len)
{
	const uint8_t *at = from + STATES_PACK_BITS(size), *end = from + len;

	if (len < STATES_PACK_BITS(size))
		return 0;
	for (size_t i = 0; i < STATES_PACK_BITS(size); i++)
		for (unsigned int bits = from[i]; bits; bits &= bits - 1) {
			size_t word = i * GROUP + __builtin_ctz(bits);

			if (word >= size / WORD || end - at < WORD)
				return 0;
			memcpy(record + word * WORD, at, WORD);
			at += WORD;
		}
	return at - from;
}
