// SPDX-License-Identifier: GPL-2.0-only
#include "user/vip/ext.h"
#include "user/lib/be.h"
#include "user/lib/inet_sum.h"

#include <string.h>

#define VERSION 1
#define SIGNED (EXT_LEN - SIGN_MAC)

enum offset {
	AT_VERSION = 3,
	AT_LENGTH,
	AT_FLAGS = 6,
	AT_NODE = 8,
	AT_EPOCH = 16,
	AT_SEQUENCE = 24,
	AT_INTERVAL = 32,
	AT_DEMOTION = 36,
	AT_KEY = 40
};

static const uint8_t magic[3] = { 'F', 'L', 'x' };

void ext_put(uint8_t to[EXT_SENT], const uint8_t advert[CARP_LEN], const struct ext *ext, const struct sign_key *key)
{
	uint16_t sum;

	memset(to, 0, EXT_LEN);
	memcpy(to, magic, sizeof(magic));
	to[AT_VERSION] = VERSION;
	put_be16(to + AT_LENGTH, EXT_LEN);
	to[AT_FLAGS] = ext->flags;
	put_be64(to + AT_NODE, ext->node);
	put_be64(to + AT_EPOCH, ext->mark.epoch);
	put_be64(to + AT_SEQUENCE, ext->mark.sequence);
	put_be32(to + AT_INTERVAL, ext->interval_us);
	put_be32(to + AT_DEMOTION, ext->demotion);
	memcpy(to + AT_KEY, key->id, SIGN_ID);
	sign(key, SIGN_EXT, advert, CARP_LEN, to, SIGNED, to + SIGNED);
	sum = inet_checksum(inet_sum(to, EXT_LEN, 0));
	memcpy(to + EXT_LEN, &sum, sizeof(sum));
}

/* What does not even claim to be one may be a plain node's. */
static bool is_one(const uint8_t *at, size_t len)
{
	return len >= sizeof(magic) && !memcmp(at, magic, sizeof(magic));
}

enum carp_fault ext_get(const uint8_t *packet, size_t len, const struct sign_keys *keys, struct ext *ext,
			unsigned int *key)
{
	const uint8_t *at = packet + CARP_LEN;
	size_t rest = len < CARP_LEN ? 0 : len - CARP_LEN, whole;
	int which;

	if (!is_one(at, rest))
		return CARP_UNSIGNED;
	if (rest < EXT_LEN)
		return CARP_FORGED;
	whole = get_be16(at + AT_LENGTH);
	if (!at[AT_VERSION] || whole < EXT_LEN || whole > rest)
		return CARP_FORGED;
	which = sign_find(keys, at + AT_KEY);
	if (which < 0)
		return CARP_STRANGE_KEY;
	if (!sign_is(&keys->key[which], SIGN_EXT, packet, CARP_LEN, at, whole - SIGN_MAC, at + whole - SIGN_MAC) ||
	    !sign_epoch_fits(get_be64(at + AT_EPOCH)))
		return CARP_FORGED;
	*key = (unsigned int)which;
	*ext = (struct ext){ .flags = at[AT_FLAGS],
			     .node = get_be64(at + AT_NODE),
			     .mark = { get_be64(at + AT_EPOCH), get_be64(at + AT_SEQUENCE) },
			     .interval_us = get_be32(at + AT_INTERVAL),
			     .demotion = get_be32(at + AT_DEMOTION) };
	return CARP_OK;
}
