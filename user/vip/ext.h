/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What stands behind the 36 bytes of an advert between nodes of a pair, and which others don't look at: who is better, signed. All of the
 * advert is covered. Big endian:
 *
 *	0  "FLx", 1 (version)		8  node		32 interval, us		48 HMAC-SHA256
 *	4  length of all of it, u16	16 epoch	36 demotion
 *	6  flags, then 0		24 sequence	40 id of the key
 *
 * A newer version may have more before the HMAC, which always comes last. Behind it is what makes the RFC 1071 sum of all of it 0: so the
 * advert's checksum is right as well to who sums up the whole packet, and not the 36 bytes alone.
 */
#pragma once

#include "user/vip/carp_packet.h"
#include "user/vip/sign.h"

#define EXT_LEN 80
#define EXT_SENT (EXT_LEN + 2)

enum ext_flags {
	EXT_READY = 1 << 0,  /* it would take over */
	EXT_LEAVES = 1 << 1, /* gives the addresses up */
	EXT_MASTER = 1 << 2,
	EXT_NEW = 1 << 3,      /* it is master since less than two intervals */
	EXT_SIX = 1 << 4,      /* sent by IPv6, which nothing else in it tells */
	EXT_TOGETHER = 1 << 5, /* `demotion` is that of all the node's vhids that move together, of which this is one */
};

struct ext {
	uint8_t flags;
	uint64_t node; /* the sender's number */
	struct sign_mark mark;
	uint32_t interval_us, demotion;
};

void ext_put(uint8_t to[EXT_SENT], const uint8_t advert[CARP_LEN], const struct ext *ext, const struct sign_key *key);

/* CARP_OK, CARP_UNSIGNED, CARP_STRANGE_KEY or CARP_FORGED. *key: by which of them it was signed. The marks are the caller's to look at. */
enum carp_fault ext_get(const uint8_t *packet, size_t len, const struct sign_keys *keys, struct ext *ext,
			unsigned int *key);
