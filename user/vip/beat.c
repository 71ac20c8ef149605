// SPDX-License-Identifier: GPL-2.0-only
#include "user/vip/beat.h"

#include <string.h>

#include "user/lib/be.h"

#define VERSION 1

enum offset {
	AT_VERSION = 3,
	AT_LENGTH,
	AT_FLAGS = 6,
	AT_N,
	AT_NODE,
	AT_EPOCH = 16,
	AT_SEQUENCE = 24,
	AT_INTERVAL = 32,
	AT_KEY = 36,
	AT_ENTRY_LEN = 44
};

enum entry_offset {
	IN_INTERFACE,
	IN_VHID = 8,
	IN_ROLE,
	IN_FLAGS,
	IN_INTERVAL = 12,
	IN_DEMOTION = 16,
	IN_SINCE = 20,
	IN_SEEN = 24
};

static const uint8_t magic[3] = { 'F', 'L', 'b' };

uint64_t beat_interface(const char *name)
{
	uint64_t hash = 0xcbf29ce484222325;

	for (; *name; name++)
		hash = (hash ^ (uint8_t)*name) * 0x100000001b3;
	return hash;
}

static void put_entry(uint8_t *at, const struct beat_entry *e)
{
	put_be64(at + IN_INTERFACE, e->interface);
	at[IN_VHID] = e->vhid;
	at[IN_ROLE] = e->role;
	put_be16(at + IN_FLAGS, e->flags);
	put_be32(at + IN_INTERVAL, e->interval_us);
	put_be32(at + IN_DEMOTION, e->demotion);
	put_be32(at + IN_SINCE, e->since_ms);
	put_be32(at + IN_SEEN, e->seen_us);
}

static void get_entry(const uint8_t *at, struct beat_entry *e)
{
	*e = (struct beat_entry){ .interface = get_be64(at + IN_INTERFACE),
				  .vhid = at[IN_VHID],
				  .role = at[IN_ROLE],
				  .flags = get_be16(at + IN_FLAGS),
				  .interval_us = get_be32(at + IN_INTERVAL),
				  .demotion = get_be32(at + IN_DEMOTION),
				  .since_ms = get_be32(at + IN_SINCE),
				  .seen_us = get_be32(at + IN_SEEN) };
}

size_t beat_put(uint8_t to[BEAT_MAX], const struct beat *beat, const struct beat_entry *entries,
		const struct sign_key *key)
{
	size_t len = BEAT_HEADER + beat->n * BEAT_ENTRY;

	memset(to, 0, len);
	memcpy(to, magic, sizeof(magic));
	to[AT_VERSION] = VERSION;
	put_be16(to + AT_LENGTH, (uint16_t)(len + SIGN_MAC));
	to[AT_FLAGS] = beat->flags;
	to[AT_N] = (uint8_t)beat->n;
	put_be64(to + AT_NODE, beat->node);
	put_be64(to + AT_EPOCH, beat->mark.epoch);
	put_be64(to + AT_SEQUENCE, beat->mark.sequence);
	put_be32(to + AT_INTERVAL, beat->interval_us);
	memcpy(to + AT_KEY, key->id, SIGN_ID);
	to[AT_ENTRY_LEN] = BEAT_ENTRY;
	for (unsigned int i = 0; i < beat->n; i++)
		put_entry(to + BEAT_HEADER + i * BEAT_ENTRY, &entries[i]);
	sign(key, SIGN_BEAT, to, len, NULL, 0, to + len);
	return len + SIGN_MAC;
}

static bool has_form(const uint8_t *data, size_t len)
{
	size_t entries = (size_t)data[AT_N] * data[AT_ENTRY_LEN];

	return data[AT_VERSION] && get_be16(data + AT_LENGTH) == len && data[AT_N] <= BEAT_ENTRIES_MAX &&
	       data[AT_ENTRY_LEN] >= BEAT_ENTRY && BEAT_HEADER + entries + SIGN_MAC <= len;
}

enum carp_fault beat_get(const uint8_t *data, size_t len, const struct sign_keys *keys, struct beat *beat,
			 struct beat_entry entries[BEAT_ENTRIES_MAX], unsigned int *key)
{
	int which;

	if (len < sizeof(magic) || memcmp(data, magic, sizeof(magic)))
		return CARP_UNSIGNED;
	if (len < BEAT_HEADER + SIGN_MAC || !has_form(data, len))
		return CARP_FORGED;
	which = sign_find(keys, data + AT_KEY);
	if (which < 0)
		return CARP_STRANGE_KEY;
	if (!sign_is(&keys->key[which], SIGN_BEAT, data, len - SIGN_MAC, NULL, 0, data + len - SIGN_MAC) ||
	    !sign_epoch_fits(get_be64(data + AT_EPOCH)))
		return CARP_FORGED;
	*key = (unsigned int)which;
	*beat = (struct beat){ .flags = data[AT_FLAGS],
			       .node = get_be64(data + AT_NODE),
			       .mark = { get_be64(data + AT_EPOCH), get_be64(data + AT_SEQUENCE) },
			       .interval_us = get_be32(data + AT_INTERVAL),
			       .n = data[AT_N] };
	for (unsigned int i = 0; i < beat->n; i++)
		get_entry(data + BEAT_HEADER + i * data[AT_ENTRY_LEN], &entries[i]);
	return CARP_OK;
}
