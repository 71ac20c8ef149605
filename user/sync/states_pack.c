// SPDX-License-Identifier: GPL-2.0-only
#include "user/sync/states_pack.h"

#include <string.h>

#define WORD STATES_PACK_WORD

/* Without a branch for each word, which nobody could foresee: it is written in any case, and counts or is written over. */
size_t states_pack(uint8_t *to, const uint8_t *record, const uint8_t *before, size_t size)
{
	uint8_t *bits = to, *at = to + STATES_PACK_BITS(size);

	memset(bits, 0, STATES_PACK_BITS(size));
	for (size_t i = 0; i < size / WORD; i++) {
		uint32_t is, was;
		unsigned int differs;

		memcpy(&is, record + i * WORD, WORD);
		memcpy(&was, before + i * WORD, WORD);
		differs = is != was;
		bits[i / 8] |= differs << i % 8;
		memcpy(at, &is, WORD);
		at += differs * WORD;
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
			size_t word = i * 8 + __builtin_ctz(bits);

			if (word >= size / WORD || end - at < WORD)
				return 0;
			memcpy(record + word * WORD, at, WORD);
			at += WORD;
		}
	return at - from;
}
