// SPDX-License-Identifier: GPL-2.0-only
/* What nodes of a pair sign, against bytes that Python's hmac made; and all that is not as it was signed. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/lib/be.h"
#include "user/vip/beat.h"
#include "user/vip/ext.h"

#define NODE 0xac10ff01
#define EPOCH 0x1122334455667788

static const uint8_t advert[CARP_LEN] = { 0x21, 0x2a, 0x00, 0x07, 0x00, 0x01, 0x49, 0x05, 0x01, 0x02, 0x03, 0x04,
					  0x05, 0x06, 0x07, 0x08, 0x2f, 0xa2, 0x74, 0x58, 0x01, 0x9c, 0xf0, 0xf5,
					  0xb3, 0x21, 0x33, 0x20, 0x72, 0x97, 0x27, 0xa7, 0xc3, 0xa7, 0xaa, 0xff };

static const struct ext ext_said = {
	.flags = EXT_READY | EXT_MASTER, .node = NODE, .mark = { EPOCH, 42 }, .interval_us = 1390625, .demotion = 240
};

static const struct beat beat_said = {
	.flags = BEAT_READY, .node = NODE, .mark = { EPOCH, 43 }, .interval_us = 250000, .n = 1
};

static const struct beat_entry entry_said = { .vhid = 42,
					      .role = 2,
					      .flags = BEAT_HEARD | BEAT_RX,
					      .interval_us = 1000000,
					      .demotion = 240,
					      .since_ms = 5000,
					      .seen_us = 120 };

static struct sign_keys keys;

/* The second key differs in all bytes. */
static void make_keys(void)
{
	uint8_t secret[32], id[SIGN_ID];

	for (unsigned int i = 0; i < 2; i++) {
		for (unsigned int j = 0; j < 32; j++)
			secret[j] = (uint8_t)(j + 100 * i);
		for (unsigned int j = 0; j < SIGN_ID; j++)
			id[j] = (uint8_t)(0x80 + j + 16 * i);
		sign_key_make(&keys.key[i], id, secret);
	}
	keys.n = 2;
}

TestSuite(pair_wire, .init = make_keys);

static void expect_hex(const uint8_t *bytes, size_t n, const char *hex)
{
	char text[2 * BEAT_MAX + 1] = "";

	for (size_t i = 0; i < n; i++)
		sprintf(text + 2 * i, "%02x", bytes[i]);
	cr_expect_str_eq(text, hex);
}

static void expect_ext(const struct ext *got)
{
	cr_expect(got->flags == ext_said.flags && got->node == NODE && got->interval_us == ext_said.interval_us &&
		  got->demotion == 240);
	cr_expect(got->mark.epoch == EPOCH && got->mark.sequence == 42);
}

static void expect_beat(const struct beat *got, const struct beat_entry *entry)
{
	cr_expect(got->flags == BEAT_READY && got->node == NODE && got->interval_us == 250000 && got->n == 1);
	cr_expect(got->mark.epoch == EPOCH && got->mark.sequence == 43);
	cr_expect(entry->interface == beat_interface("lan") && entry->vhid == 42 && entry->role == 2 &&
		  entry->flags == (BEAT_HEARD | BEAT_RX));
	cr_expect(entry->interval_us == 1000000 && entry->demotion == 240 && entry->since_ms == 5000 &&
		  entry->seen_us == 120);
}

static void extended(uint8_t packet[CARP_LEN + EXT_SENT], const struct sign_key *key)
{
	memcpy(packet, advert, CARP_LEN);
	ext_put(packet + CARP_LEN, packet, &ext_said, key);
}

Test(pair_wire, an_extension)
{
	uint8_t packet[CARP_LEN + EXT_SENT];
	unsigned int key = 9;
	struct ext got;

	extended(packet, &keys.key[0]);
	expect_hex(packet + CARP_LEN, EXT_LEN,
		   "464c78010050050000000000ac10ff011122334455667788000000000000002a00153821000000f08081828384858687"
		   "0e6463c9084f7b60a950459140febe1efbe59fc9e95afcc2aa84ce1a2d981a3f");
	cr_expect_eq(ext_get(packet, sizeof(packet), &keys, &got, &key), CARP_OK);
	cr_expect_eq(key, 0u);
	expect_ext(&got);
}

Test(pair_wire, a_beat)
{
	struct beat_entry entry = entry_said, got_entries[BEAT_ENTRIES_MAX];
	uint8_t data[BEAT_MAX];
	unsigned int key = 9;
	struct beat got;
	size_t len;

	entry.interface = beat_interface("lan");
	len = beat_put(data, &beat_said, &entry, &keys.key[0]);
	expect_hex(data, len,
		   "464c62010070010100000000ac10ff011122334455667788000000000000002b0003d090808182838485868720000000"
		   "12658a191dc1d7502a020003000f4240000000f000001388000000780000000"
		   "04e42645ad85315471562b976e2b6bc67b154c9b7efb92f6d2dd5f188ca749400");
	cr_expect_eq(beat_get(data, len, &keys, &got, got_entries, &key), CARP_OK);
	expect_beat(&got, got_entries);
}

Test(pair_wire, both_keys_hold_while_one_is_changed)
{
	uint8_t packet[CARP_LEN + EXT_SENT], data[BEAT_MAX];
	struct beat_entry entries[BEAT_ENTRIES_MAX];
	unsigned int key = 9;
	struct beat beat;
	struct ext got;
	size_t len;

	extended(packet, &keys.key[1]);
	cr_expect_eq(ext_get(packet, sizeof(packet), &keys, &got, &key), CARP_OK);
	cr_expect_eq(key, 1u);
	len = beat_put(data, &beat_said, &entry_said, &keys.key[1]);
	cr_expect_eq(beat_get(data, len, &keys, &beat, entries, &key), CARP_OK);
	keys.n = 1;
	cr_expect_eq(ext_get(packet, sizeof(packet), &keys, &got, &key), CARP_STRANGE_KEY);
	cr_expect_eq(beat_get(data, len, &keys, &beat, entries, &key), CARP_STRANGE_KEY);
	memcpy(keys.key[0].id, keys.key[1].id, SIGN_ID);
	cr_expect_eq(ext_get(packet, sizeof(packet), &keys, &got, &key), CARP_FORGED);
	cr_expect_eq(beat_get(data, len, &keys, &beat, entries, &key), CARP_FORGED);
}

/* Every length, in memory that ends there. */
Test(pair_wire, what_is_cut_off)
{
	uint8_t packet[CARP_LEN + EXT_SENT], data[BEAT_MAX], *cut;
	struct beat_entry entries[BEAT_ENTRIES_MAX];
	struct beat beat;
	unsigned int key;
	struct ext got;
	size_t len;

	extended(packet, &keys.key[0]);
	for (len = CARP_LEN; len < CARP_LEN + EXT_LEN; len++) {
		cut = malloc(len);
		memcpy(cut, packet, len);
		cr_expect_eq(ext_get(cut, len, &keys, &got, &key), len < CARP_LEN + 3 ? CARP_UNSIGNED : CARP_FORGED,
			     "%zu", len);
		free(cut);
	}
	len = beat_put(data, &beat_said, &entry_said, &keys.key[0]);
	for (size_t i = 0; i < len; i++) {
		cut = malloc(i + 1);
		memcpy(cut, data, i);
		cr_expect_eq(beat_get(cut, i, &keys, &beat, entries, &key), i < 3 ? CARP_UNSIGNED : CARP_FORGED, "%zu",
			     i);
		free(cut);
	}
}

/* Every bit, of the advert before it too: that says who is better to those who know of no extension. What is behind it says nothing. */
Test(pair_wire, what_is_altered)
{
	uint8_t packet[CARP_LEN + EXT_SENT], data[BEAT_MAX];
	struct beat_entry entries[BEAT_ENTRIES_MAX];
	struct beat beat;
	unsigned int key;
	struct ext got;
	size_t len;

	extended(packet, &keys.key[0]);
	for (size_t bit = 0; bit < 8 * (CARP_LEN + EXT_LEN); bit++) {
		packet[bit / 8] ^= 1 << bit % 8;
		cr_expect_neq(ext_get(packet, sizeof(packet), &keys, &got, &key), CARP_OK, "%zu", bit);
		packet[bit / 8] ^= 1 << bit % 8;
	}
	len = beat_put(data, &beat_said, &entry_said, &keys.key[0]);
	for (size_t bit = 0; bit < 8 * len; bit++) {
		data[bit / 8] ^= 1 << bit % 8;
		cr_expect_neq(beat_get(data, len, &keys, &beat, entries, &key), CARP_OK, "%zu", bit);
		data[bit / 8] ^= 1 << bit % 8;
	}
}

/* Bytes by chance, behind what says what they claim to be: nothing is read beyond them, and nothing passes. */
Test(pair_wire, what_makes_no_sense)
{
	struct beat_entry entries[BEAT_ENTRIES_MAX];
	struct beat beat;
	unsigned int key;
	struct ext got;

	srand(7);
	for (int i = 0; i < 20000; i++) {
		size_t len = CARP_LEN + (size_t)(rand() % 300);
		uint8_t *data = malloc(len);

		for (size_t j = 0; j < len; j++)
			data[j] = (uint8_t)rand();
		if (len >= CARP_LEN + 4)
			memcpy(data + CARP_LEN, "FLx\1", 4);
		if (len >= CARP_LEN + 6 && rand() & 1)
			put_be16(data + CARP_LEN + 4, (uint16_t)(rand() % 300));
		if (len >= CARP_LEN + 48 && rand() & 1)
			memcpy(data + CARP_LEN + 40, keys.key[0].id, SIGN_ID);
		cr_assert_neq(ext_get(data, len, &keys, &got, &key), CARP_OK);
		memcpy(data, "FLb\1", 4);
		put_be16(data + 4, (uint16_t)len);
		cr_assert_neq(beat_get(data, len, &keys, &beat, entries, &key), CARP_OK);
		free(data);
	}
}

/* Signed, but of an epoch that nobody could go beyond: who had the key for a moment would shut the node out that has it by right. */
Test(pair_wire, epochs_that_are_none)
{
	static const struct {
		uint64_t epoch;
		enum carp_fault fault;
	} epochs[] = { { 1, CARP_OK },
		       { SIGN_EPOCH_SURE, CARP_OK },
		       { SIGN_EPOCH_SURE + SIGN_CENTURY, CARP_FORGED },
		       { INT64_MAX, CARP_FORGED },
		       { UINT64_MAX, CARP_FORGED } };

	for (size_t i = 0; i < sizeof(epochs) / sizeof(*epochs); i++) {
		uint8_t packet[CARP_LEN + EXT_SENT], data[BEAT_MAX];
		struct ext said = { .node = NODE, .mark = { epochs[i].epoch, 1 } }, got;
		struct beat beat = { .node = NODE, .mark = { epochs[i].epoch, 1 } };
		struct beat_entry entries[BEAT_ENTRIES_MAX];
		unsigned int key;

		memcpy(packet, advert, CARP_LEN);
		ext_put(packet + CARP_LEN, packet, &said, &keys.key[0]);
		cr_expect_eq(ext_get(packet, sizeof(packet), &keys, &got, &key), epochs[i].fault, "%zu", i);
		cr_expect_eq(beat_get(data, beat_put(data, &beat, entries, &keys.key[0]), &keys, &beat, entries, &key),
			     epochs[i].fault, "%zu", i);
	}
}

/* One that says more than this one understands: what it knows holds, and all is signed. */
Test(pair_wire, a_later_version_may_say_more)
{
	uint8_t packet[CARP_LEN + EXT_SENT + 8] = { 0 }, *at = packet + CARP_LEN;
	unsigned int key;
	struct ext got;

	extended(packet, &keys.key[0]);
	at[3] = 2;
	put_be16(at + 4, EXT_LEN + 8);
	put_be64(at + EXT_LEN - SIGN_MAC, 12345);
	sign(&keys.key[0], SIGN_EXT, packet, CARP_LEN, at, EXT_LEN + 8 - SIGN_MAC, at + EXT_LEN + 8 - SIGN_MAC);
	cr_expect_eq(ext_get(packet, sizeof(packet), &keys, &got, &key), CARP_OK);
	expect_ext(&got);
	at[EXT_LEN - SIGN_MAC] ^= 1;
	cr_expect_eq(ext_get(packet, sizeof(packet), &keys, &got, &key), CARP_FORGED);
}

Test(pair_wire, marks_only_grow)
{
	const struct sign_mark now = { 5, 100 };

	cr_expect(sign_is_newer(&now, &(struct sign_mark){ 5, 101 }));
	cr_expect(sign_is_newer(&now, &(struct sign_mark){ 6, 1 }));
	cr_expect(!sign_is_newer(&now, &now));
	cr_expect(!sign_is_newer(&now, &(struct sign_mark){ 5, 99 }));
	cr_expect(!sign_is_newer(&now, &(struct sign_mark){ 4, 1000 }));
}
