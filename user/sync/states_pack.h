/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Records (states_record.h) one behind the other, each as what differs from the one before: a bit for each of its words of four bytes, the lowest of the
 * first byte for the first one, and the words that have one. The first record is compared with zeros. Two states have much in common, above all
 * those of a burst: 20 to 100 bytes in place of 160.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define STATES_PACK_WORD 4 /* sizes of records are multiples of it */
#define STATES_PACK_BITS(size) (((size) / STATES_PACK_WORD + 7) / 8)
#define STATES_PACK_MAX(size) (STATES_PACK_BITS(size) + (size))

/* Returns how many bytes it was: STATES_PACK_MAX(size) at most. before: the one before, or zeros */
size_t states_pack(uint8_t *to, const uint8_t *record, const uint8_t *before, size_t size);

/*
 * `record` has the one before, and then the next one. Returns how many bytes that took; 0: there are not so many, or words that a record
 * does not have.
 */
size_t states_unpack(uint8_t *record, size_t size, const uint8_t *from, size_t len);
