/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The keys that the nodes of a pair share. A file has one a line: 64 hexadecimal digits. The second line, if there is one, is the key
 * before this one, while nodes change over one after the other. What is used is derived from it (HKDF-SHA256), by what it is used for.
 *
 * What is no more in the file and a peer still needs is kept for a while: who takes a key out too soon would cut both nodes off each other.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define SYNC_KEY_BYTES 32
#define SYNC_KEY_DIGITS (2 * SYNC_KEY_BYTES)
#define SYNC_KEY_ID_DIGITS 16
#define SYNC_KEYS_MAX 4		  /* two of the file, and as many that are kept */
#define SYNC_KEY_KEPT_MS 600000LL /* at most, so that a stolen one ends */

struct sync_key {
	uint8_t id[8];	    /* tells which key it is; it is no secret */
	uint8_t psk[32];    /* of TLS */
	uint8_t advert[32]; /* signs adverts and beats */
};

struct sync_keys {
	struct sync_key key[SYNC_KEYS_MAX]; /* the file's, in its order, then those that are kept */
	unsigned int n, n_kept;
	long long until_ms[SYNC_KEYS_MAX]; /* of one that is kept */
};

/* 0, or -EINVAL and *why (a literal): *keys is empty then. To be cleared by sync_keys_clear(). */
int sync_keys_read(const char *path, struct sync_keys *keys, const char **why);
void sync_keys_clear(struct sync_keys *keys);

/* All but those that are kept. */
void sync_keys_of_file(const struct sync_keys *keys, struct sync_keys *its);
/* Those of `before` that are not in `keys`, and are needed, are kept until they have been for SYNC_KEY_KEPT_MS. */
void sync_keys_keep(struct sync_keys *keys, const struct sync_keys *before, long long now_ms,
		    bool (*needed)(void *arg, const struct sync_key *key), void *arg);
/* Whether what is kept is to be kept still. */
bool sync_keys_hold(const struct sync_keys *keys, long long now_ms,
		    bool (*needed)(void *arg, const struct sync_key *key), void *arg);

/* 0 or -EIO */
int sync_key_derive(const uint8_t secret[SYNC_KEY_BYTES], struct sync_key *key);

/* The key's id in hexadecimal; NULL: none of them has that id. */
const char *sync_key_id_text(const struct sync_key *key, char text[SYNC_KEY_ID_DIGITS + 1]);
const struct sync_key *sync_keys_find(const struct sync_keys *keys, const uint8_t id[8]);
