// SPDX-License-Identifier: GPL-2.0-only
#include "user/vip/sign.h"

#include <nettle/memops.h>
#include <string.h>

#include "user/lib/clock.h"

void sign_key_make(struct sign_key *key, const uint8_t id[SIGN_ID], const uint8_t secret[32])
{
	static const char *const begins[] = { [SIGN_EXT] = "ext", [SIGN_BEAT] = "beat" };

	memcpy(key->id, id, SIGN_ID);
	for (unsigned int what = 0; what < SIGN_KINDS; what++) {
		hmac_sha256_set_key(&key->begun[what], 32, secret);
		hmac_sha256_update(&key->begun[what], strlen(begins[what]), (const uint8_t *)begins[what]);
	}
}

void sign(const struct sign_key *key, enum sign_what what, const void *first, size_t first_len, const void *then,
	  size_t then_len, uint8_t mac[SIGN_MAC])
{
	struct hmac_sha256_ctx hmac = key->begun[what];

	hmac_sha256_update(&hmac, first_len, first);
	hmac_sha256_update(&hmac, then_len, then);
	hmac_sha256_digest(&hmac, SIGN_MAC, mac);
}

bool sign_is(const struct sign_key *key, enum sign_what what, const void *first, size_t first_len, const void *then,
	     size_t then_len, const uint8_t mac[SIGN_MAC])
{
	uint8_t right[SIGN_MAC];

	sign(key, what, first, first_len, then, then_len, right);
	return memeql_sec(right, mac, SIGN_MAC);
}

int sign_find(const struct sign_keys *keys, const uint8_t id[SIGN_ID])
{
	for (unsigned int i = 0; i < keys->n; i++)
		if (!memcmp(keys->key[i].id, id, SIGN_ID))
			return (int)i;
	return -1;
}

bool sign_is_newer(const struct sign_mark *than, const struct sign_mark *mark)
{
	return mark->epoch != than->epoch ? mark->epoch > than->epoch : mark->sequence > than->sequence;
}

bool sign_epoch_fits(uint64_t epoch)
{
	uint64_t now = clock_us(CLOCK_REALTIME) * 1000;

	return epoch <= (now > SIGN_EPOCH_2026 ? now : SIGN_EPOCH_2026) + SIGN_CENTURY;
}
