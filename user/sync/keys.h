/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The keys that the nodes of a pair share. A file has one a line: 64 hexadecimal digits. The second line, if there is one, is the key
 * before this one, while nodes change over one after the other. What is used is derived from it (HKDF-SHA256), by what it is used for.
 */
#pragma once

#include <stdint.h>

#define SYNC_KEY_BYTES 32
#define SYNC_KEY_DIGITS (2 * SYNC_KEY_BYTES)
#define SYNC_KEY_ID_DIGITS 16

struct sync_key {
	uint8_t id[8];	    /* tells which key it is; it is no secret */
	uint8_t psk[32];    /* of TLS */
	uint8_t advert[32]; /* signs adverts and beats */
};

struct sync_keys {
	struct sync_key key[2]; /* the first is that of the first line */
	unsigned int n;
};

/* 0, or -EINVAL and *why (a literal): *keys is empty then. To be cleared by sync_keys_clear(). */
int sync_keys_read(const char *path, struct sync_keys *keys, const char **why);
void sync_keys_clear(struct sync_keys *keys);

/* 0 or -EIO */
int sync_key_derive(const uint8_t secret[SYNC_KEY_BYTES], struct sync_key *key);

/* The key's id in hexadecimal; NULL: none of them has that id. */
const char *sync_key_id_text(const struct sync_key *key, char text[SYNC_KEY_ID_DIGITS + 1]);
const struct sync_key *sync_keys_find(const struct sync_keys *keys, const uint8_t id[8]);
