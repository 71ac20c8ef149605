/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the nodes of a pair sign adverts and beats with: HMAC-SHA256 by the key that they share, and while it is changed by either of two.
 * Marks keep out what has been heard before. Nothing allocates.
 */
#pragma once

#include <nettle/hmac.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIGN_MAC 32
#define SIGN_ID 8
#define SIGN_KEYS 4 /* the file's, and those that are kept: user/sync/keys.h */

enum sign_what { SIGN_EXT, SIGN_BEAT, SIGN_KINDS }; /* one can't be taken for the other */

struct sign_key {
	uint8_t id[SIGN_ID];
	struct hmac_sha256_ctx begun[SIGN_KINDS];
};

struct sign_keys {
	struct sign_key key[SIGN_KEYS]; /* the first is the new one */
	unsigned int n;
};

void sign_key_make(struct sign_key *key, const uint8_t id[SIGN_ID], const uint8_t secret[32]);
void sign(const struct sign_key *key, enum sign_what what, const void *first, size_t first_len, const void *then,
	  size_t then_len, uint8_t mac[SIGN_MAC]);
/* Compares in constant time. */
bool sign_is(const struct sign_key *key, enum sign_what what, const void *first, size_t first_len, const void *then,
	     size_t then_len, const uint8_t mac[SIGN_MAC]);
/* Its place in `keys`, or -1. */
int sign_find(const struct sign_keys *keys, const uint8_t id[SIGN_ID]);

/* How far a sender has come: the epoch is a start of its daemon, the sequence grows with all that it sends. */
struct sign_mark {
	uint64_t epoch, sequence;
};

bool sign_is_newer(const struct sign_mark *than, const struct sign_mark *mark);
/*
 * Whether a daemon's start can have it: nanoseconds since 1970, a century ahead of this node's clock at most, which may be behind. Who was
 * heard with a higher one could not be gone beyond, and the node that has it by right would be refused for good.
 */
bool sign_epoch_fits(uint64_t epoch);
/* That one at least every other node takes. */
#define SIGN_EPOCH_SURE (SIGN_EPOCH_2026 + SIGN_CENTURY)
#define SIGN_EPOCH_2026 1767225600000000000ull
#define SIGN_CENTURY 3155760000000000000ull
