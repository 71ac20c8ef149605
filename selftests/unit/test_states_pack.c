// SPDX-License-Identifier: GPL-2.0-only
/* Records as what differs from the one before. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "user/sync/states_pack.h"
#include "user/sync/states_record.h"

#define MANY 300

static const uint8_t none[STATES_RECORD_MAX];

/* The bytes on the wire, as another implementation would read them. */
Test(states_pack, format)
{
	uint8_t before[128] = { [0] = 1, [4] = 2, [40] = 3 }, record[128], packed[STATES_PACK_MAX(128)];
	const uint8_t expected[] = { 0x02, 0x04, 0x00, 0x80, /* words 1, 10, 31 */
				     9,	   0,	 0,    0,    0, 0, 0, 0, 0, 0, 0, 7 };

	memcpy(record, before, sizeof(record));
	record[4] = 9;
	record[40] = 0;
	record[127] = 7;
	cr_assert_eq(states_pack(packed, record, before, 128), sizeof(expected));
	cr_expect_arr_eq(packed, expected, sizeof(expected));
	cr_assert_eq(states_unpack(before, 128, packed, sizeof(expected)), sizeof(expected));
	cr_expect_arr_eq(before, record, sizeof(record));
}

static void fill(uint8_t *record, size_t size, const uint8_t *before, unsigned int one_of)
{
	memcpy(record, before, size);
	for (size_t i = 0; i < size; i++)
		if (rand() % one_of == 0)
			record[i] = rand();
}

static void there_and_back(size_t size, unsigned int one_of)
{
	uint8_t *packed = malloc(MANY * STATES_PACK_MAX(size)), *records = malloc(MANY * size);
	uint8_t record[STATES_RECORD_MAX] = { 0 };
	const uint8_t *before = none;
	size_t len = 0, at = 0;

	for (size_t i = 0; i < MANY; i++, before = records + (i - 1) * size) {
		fill(records + i * size, size, before, one_of);
		len += states_pack(packed + len, records + i * size, before, size);
	}
	for (size_t i = 0; i < MANY; i++) {
		size_t took = states_unpack(record, size, packed + at, len - at);

		cr_assert_gt(took, 0);
		at += took;
		cr_assert_arr_eq(record, records + i * size, size, "record %zu of %zu bytes", i, size);
	}
	cr_expect_eq(at, len);
	free(packed);
	free(records);
}

Test(states_pack, there_and_back)
{
	static const size_t sizes[] = { STATES_RECORD_MIN, STATES_RECORD_MIN + 4, STATES_RECORD, STATES_RECORD_MAX };

	srand(1);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
		for (unsigned int one_of = 1; one_of < 100000; one_of *= 10)
			there_and_back(sizes[i], one_of);
}

/* However it is cut that is found. */
Test(states_pack, cut)
{
	uint8_t record[STATES_RECORD], packed[STATES_PACK_MAX(STATES_RECORD)], to[STATES_RECORD];
	size_t len;

	srand(2);
	fill(record, sizeof(record), none, 2);
	len = states_pack(packed, record, none, sizeof(record));
	for (size_t n = 0; n < len; n++) {
		uint8_t *cut = malloc(n ?: 1);

		memcpy(cut, packed, n);
		cr_expect_eq(states_unpack(to, sizeof(to), cut, n), 0, "%zu of %zu bytes", n, len);
		free(cut);
	}
}

/* A record of 132 bytes has 33 words, and 40 bits are sent. */
Test(states_pack, words_that_are_none)
{
	uint8_t packed[5 + 4] = { 0 }, record[132 + 4] = { 0 };

	packed[4] = 1;
	cr_expect_eq(states_unpack(record, 132, packed, sizeof(packed)), sizeof(packed));
	for (unsigned int bit = 1; bit < 8; bit++) {
		packed[4] = 1 << bit;
		cr_expect_eq(states_unpack(record, 132, packed, sizeof(packed)), 0, "word %u", 32 + bit);
	}
}

static size_t bytes_of(const struct states_entry *e, const struct states_entry *before)
{
	const struct states_clock clock = { .now = 1000000, .hz = 250 };
	uint8_t record[STATES_RECORD], last[STATES_RECORD], packed[STATES_PACK_MAX(STATES_RECORD)];

	states_record_put(record, e, &clock);
	states_record_put(last, before, &clock);
	return states_pack(packed, record, last, sizeof(record));
}

static union fl_addr inet(uint32_t number)
{
	return (union fl_addr){ .w = { 0, 0, htonl(0xffff), htonl(number) } };
}

/* All that differs between two connections of hosts behind one address differs. */
static struct states_entry one_of_an_office(uint32_t n)
{
	struct states_entry e = {
		.slot = n * 7919,
		.tag = FL_TAG(n, n, FL_KIND_ESTABLISHED),
		.translated = true,
		.addr = { inet(0xcb007105), inet(0x50000000 + n) },
		.port = { htons(n), htons(443) },
		.state = { .addr = { inet(0x0a000000 + n % 100), inet(0x50000000 + n) },
			   .port = { htons(n + 1), htons(443) },
			   .proto = FL_PROTO_TCP,
			   .flags = FL_STATE_TRANSLATED,
			   .phase = { FL_PHASE_ESTABLISHED, FL_PHASE_ESTABLISHED },
			   .wscale = 0x77,
			   .made = 1000000 - n * 250,
			   .seen = 1000000 - n,
			   .rule = { 1, 1 },
			   .nat = 2 },
	};

	for (int i = 0; i < 2; i++)
		e.state.end[i] = (struct fl_end){ .seq_lo = n * 65537 + i,
						  .seq_hi = n * 65599 + i,
						  .max_win = n,
						  .packets = n,
						  .bytes_lo = n * 100 };
	return e;
}

/* 160 bytes where nothing is left out. */
Test(states_pack, size_of_a_state)
{
	struct states_entry a = one_of_an_office(1000), b = one_of_an_office(2001), burst = a;

	cr_expect_eq(bytes_of(&b, &a), 5 + 4 * 19);
	burst.slot++;
	burst.state.addr[0].w[3]++;
	cr_expect_eq(bytes_of(&burst, &a), 5 + 4 * 2);
}
