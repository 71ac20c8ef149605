// SPDX-License-Identifier: GPL-2.0-only
/* Adverts, against bytes that an independent HMAC made. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "user/vip/carp_packet.h"

#define COUNTER 0x0102030405060708

static void to_hex(const uint8_t *bytes, size_t n, char *text)
{
	for (size_t i = 0; i < n; i++)
		sprintf(text + 2 * i, "%02x", bytes[i]);
}

static size_t addresses_of(const char *const *texts, struct prefix *to)
{
	size_t n = 0;

	for (; texts[n]; n++)
		cr_assert_eq(addr_parse(texts[n], &to[n].addr), 0, "%s", texts[n]);
	return n;
}

static void key_of(struct carp_key *key, const char *const *texts)
{
	struct prefix addresses[8];

	carp_key_make(key, 42, "love", 4, addresses, addresses_of(texts, addresses));
}

#define ADDRESSES(...) ((const char *const[]){ __VA_ARGS__, NULL })

static const struct vector {
	const char *addresses[3];
	uint8_t advskew;
	const char *hex;
} vectors[] = {
	{ { "10.1.1.252" }, 0, "212a00070001490501020304050607082fa27458019cf0f5b3213320729727a7c3a7aaff" },
	{ { "10.1.1.252", "10.1.1.3" },
	  100,
	  "212a640700019bd70102030405060708940b18b146c24369aa3c225f895d5b6f65b680da" },
	{ { "2001:db8::100" }, 0, "212a00070001bd030102030405060708d0e6d8ee123e3cb75c47b085eafb3c551843cc89" },
	{ { "2001:db8::100", "10.1.1.252" },
	  0,
	  "212a00070001baa601020304050607081d458200a718d807ca105a3bff9f030f31349d7d" },
};

Test(carp_packet, is_as_others_send_it)
{
	for (size_t i = 0; i < sizeof(vectors) / sizeof(*vectors); i++) {
		const struct carp_advert advert = {
			.vhid = 42, .advskew = vectors[i].advskew, .advbase_s = 1, .counter = COUNTER
		};
		char hex[2 * CARP_LEN + 1];
		uint8_t packet[CARP_LEN];
		struct carp_advert got;
		struct carp_key key;

		key_of(&key, vectors[i].addresses);
		carp_put(packet, &advert, &key, CARP_WITH_LINK_LOCAL);
		to_hex(packet, sizeof(packet), hex);
		cr_expect_str_eq(hex, vectors[i].hex);
		cr_expect_eq(carp_get(packet, sizeof(packet), &key, &got), CARP_OK);
		cr_expect(got.vhid == 42 && got.advskew == vectors[i].advskew && got.advbase_s == 1 && !got.demotion);
		cr_expect_eq(got.counter, COUNTER);
	}
}

/* OpenBSD's own do not count link-local addresses, FreeBSD's do: both are right. */
Test(carp_packet, link_local_addresses_may_count_or_not)
{
	const struct carp_advert advert = { .vhid = 42, .advbase_s = 1, .counter = COUNTER };
	struct carp_key both, without;
	uint8_t packet[CARP_LEN], plain[CARP_LEN];
	struct carp_advert got;

	key_of(&both, ADDRESSES("2001:db8::100", "fe80::1"));
	key_of(&without, ADDRESSES("2001:db8::100"));
	carp_put(plain, &advert, &without, CARP_WITH_LINK_LOCAL);
	carp_put(packet, &advert, &both, CARP_WITHOUT_LINK_LOCAL);
	cr_expect_eq(memcmp(packet, plain, sizeof(packet)), 0);
	cr_expect_eq(carp_get(packet, sizeof(packet), &both, &got), CARP_OK);
	carp_put(packet, &advert, &both, CARP_WITH_LINK_LOCAL);
	cr_expect_neq(memcmp(packet, plain, sizeof(packet)), 0);
	cr_expect_eq(carp_get(packet, sizeof(packet), &both, &got), CARP_OK);
	cr_expect_eq(carp_get(packet, sizeof(packet), &without, &got), CARP_DIGEST);
}

/* IPv4's own link-local addresses are addresses like others. */
Test(carp_packet, ipv4_link_local_always_counts)
{
	const struct carp_advert advert = { .vhid = 42, .advbase_s = 1, .counter = COUNTER };
	uint8_t with[CARP_LEN], without[CARP_LEN];
	struct carp_key key;

	key_of(&key, ADDRESSES("169.254.1.1"));
	carp_put(with, &advert, &key, CARP_WITH_LINK_LOCAL);
	carp_put(without, &advert, &key, CARP_WITHOUT_LINK_LOCAL);
	cr_expect_eq(memcmp(with, without, sizeof(with)), 0);
}

static enum carp_fault changed(size_t byte, uint8_t bits, size_t len)
{
	const struct carp_advert advert = { .vhid = 42, .advbase_s = 1, .counter = COUNTER };
	struct carp_advert got;
	uint8_t packet[CARP_LEN + 40] = { 0 };
	struct carp_key key;

	key_of(&key, ADDRESSES("10.1.1.252"));
	carp_put(packet, &advert, &key, CARP_WITH_LINK_LOCAL);
	packet[byte] ^= bits;
	return carp_get(packet, len, &key, &got);
}

Test(carp_packet, what_is_wrong_is_told)
{
	cr_expect_eq(changed(0, 0, CARP_LEN - 1), CARP_SHORT);
	cr_expect_eq(changed(0, 0x10, CARP_LEN), CARP_VERSION);
	cr_expect_eq(changed(0, 0x10, 12), CARP_VERSION, "VRRP version 3 with one address");
	cr_expect_eq(changed(0, 0, 0), CARP_SHORT);
	cr_expect_eq(changed(3, 1, CARP_LEN), CARP_FORM);
	cr_expect_eq(changed(2, 1, CARP_LEN), CARP_CHECKSUM);
	cr_expect_eq(changed(35, 1, CARP_LEN), CARP_CHECKSUM);
	cr_expect_eq(changed(0, 0, CARP_LEN + 40), CARP_OK, "what follows is for those who know it");
}

/* What a wrong password or another list of addresses makes. */
Test(carp_packet, a_wrong_digest_is_told_from_a_broken_packet)
{
	const struct carp_advert advert = { .vhid = 42, .advbase_s = 1, .counter = COUNTER };
	struct carp_key theirs, ours, other;
	struct prefix address = { 0 };
	struct carp_advert got;
	uint8_t packet[CARP_LEN];

	cr_assert_eq(addr_parse("10.1.1.252", &address.addr), 0);
	carp_key_make(&theirs, 42, "lover", 5, &address, 1);
	carp_key_make(&ours, 42, "love", 4, &address, 1);
	carp_key_make(&other, 43, "love", 4, &address, 1);
	carp_put(packet, &advert, &theirs, CARP_WITH_LINK_LOCAL);
	cr_expect_eq(carp_get(packet, sizeof(packet), &ours, &got), CARP_DIGEST);
	cr_expect_eq(got.counter, COUNTER);
	cr_expect_eq(carp_get(packet, sizeof(packet), &other, &got), CARP_OTHER);
}
