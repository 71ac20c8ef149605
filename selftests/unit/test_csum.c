// SPDX-License-Identifier: GPL-2.0-only
/* The programs' checksum arithmetic (bpf/lib/csum.h) against RFC 1071 on bytes, and the RFCs' own examples. */
#include <arpa/inet.h>
#include <bpf/bpf_endian.h>
#include <criterion/criterion.h>
#include <stdint.h>
#include <string.h>

#include "bpf/lib/csum.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

/* RFC 1071 on bytes, high byte first */
static uint16_t sum_bytes(const uint8_t *p, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum += i % 2 ? p[i] : p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* 0 and 0xffff are the same number in one's complement. */
static uint16_t as_number(uint16_t sum)
{
	return sum == 0xffff ? 0 : sum;
}

static __u64 words[64];

static void draw(__u64 *random)
{
	for (size_t i = 0; i < COUNT(words); i++) {
		*random ^= *random << 13;
		*random ^= *random >> 7;
		*random ^= *random << 17;
		words[i] = *random % 5 ? *random : *random % 2 ? ~0ULL : 0; /* carries, and none */
	}
}

/* RFC 1071 3 */
Test(csum, example)
{
	const uint8_t bytes[8] = { 0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7 };
	__u64 value;

	memcpy(&value, bytes, sizeof(value));
	cr_assert_eq(ntohs(csum_fold(csum_add(0, value))), 0xddf2);
}

Test(csum, folds_every_carry)
{
	cr_assert_eq(csum_fold(0), 0);
	cr_assert_eq(csum_fold(0xffff), 0xffff);
	cr_assert_eq(csum_fold(0x10000), 1);
	cr_assert_eq(csum_fold(0x1ffff), 1);
	cr_assert_eq(csum_fold(0xffffffff), 0xffff);
	cr_assert_eq(csum_fold(0x100000000), 1);
	cr_assert_eq(csum_fold(0xffff0001ffffffff), 1);
	cr_assert_eq(csum_fold(~0ULL), 0xffff);
}

Test(csum, sums)
{
	__u64 random = 1071, sum;

	for (int round = 0; round < 10000; round++) {
		size_t n = 1 + round % COUNT(words);

		draw(&random);
		sum = 0;
		for (size_t i = 0; i < n; i++)
			sum = csum_add(sum, words[i]);
		cr_assert_eq(ntohs(csum_fold(sum)), sum_bytes((uint8_t *)words, n * 8), "round %d", round);
	}
}

/* RFC 1624 4: with equation 3 the checksum becomes 0x0000, not 0xffff */
Test(csum, replaces_as_rfc_1624)
{
	cr_assert_eq(ntohs(csum_replace(htons(0xdd2f), htons(0x5555), htons(0x3285))), 0x0000);
}

/* The checksum of what was changed is that of what came of it. */
Test(csum, replaces)
{
	__u64 random = 1624;

	for (int round = 0; round < 10000; round++) {
		__u64 before, after;
		uint16_t check, at;

		draw(&random);
		check = htons(~sum_bytes((uint8_t *)words, sizeof(words)));
		at = random % (COUNT(words) - 1);
		before = csum_add(csum_add(0, words[at]), words[at + 1]);
		words[at] = words[(at + 7) % COUNT(words)] ^ random;
		words[at + 1] = round % 3 ? random * 5 : 0;
		after = csum_add(csum_add(0, words[at]), words[at + 1]);
		cr_assert_eq(as_number(ntohs(csum_replace(check, before, after))),
			     as_number(~sum_bytes((uint8_t *)words, sizeof(words))), "round %d", round);
	}
}

/* RFC 8200 8.1: addresses, length and next header, each as it lies there */
Test(csum, pseudo_header_of_ipv6)
{
	struct {
		uint8_t src[16], dst[16];
		uint32_t len;
		uint8_t zero[3], next;
	} pseudo = { .zero = { 0 } };
	__u64 random = 8200;

	for (int round = 0; round < 1000; round++) {
		uint32_t len = 1 + round * 65;

		draw(&random);
		memcpy(pseudo.src, words, 32);
		pseudo.len = htonl(len);
		pseudo.next = round;
		cr_assert_eq(ntohs(csum_fold(csum_pseudo6(&words[0], &words[2], len, round))),
			     sum_bytes((uint8_t *)&pseudo, sizeof(pseudo)), "round %d", round);
	}
}

/* RFC 9293 3.1 */
Test(csum, pseudo_header_of_ipv4)
{
	struct {
		uint32_t src, dst;
		uint8_t zero, proto;
		uint16_t len;
	} pseudo = { .zero = 0 };
	__u64 random = 793;

	for (int round = 0; round < 1000; round++) {
		uint16_t len = 1 + round * 65;

		draw(&random);
		pseudo.src = words[0];
		pseudo.dst = words[1];
		pseudo.proto = round;
		pseudo.len = htons(len);
		cr_assert_eq(ntohs(csum_fold(csum_pseudo4(pseudo.src, pseudo.dst, len, round))),
			     sum_bytes((uint8_t *)&pseudo, sizeof(pseudo)), "round %d", round);
	}
}
