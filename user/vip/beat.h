/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Beats: what a node of a pair tells the others over the sync link, by UDP, of itself and of all its vhids. Big endian:
 *
 *	0  "FLb", 1 (version)		8  node		32 interval of beats, us
 *	4  length of all of it, u16	16 epoch	36 id of the key
 *	6  flags, number of entries	24 sequence	44 length of an entry, 3 x 0
 *	then the entries, then HMAC-SHA256. An entry:
 *	0  interface (FNV-1a of its name)	8  vhid, role	10 flags, u16	12 interval, us		16 demotion
 *	20 ms since it has that role		24 us since it has seen an announcement of the addresses; all ones: none
 *	28 0
 *
 * A newer version may have longer entries. Nothing allocates.
 */
#pragma once

#include "user/vip/carp_packet.h"
#include "user/vip/sign.h"

#define BEAT_HEADER 48
#define BEAT_ENTRY 32
#define BEAT_ENTRIES_MAX 40 /* of a datagram; of more vhids there are more datagrams */
#define BEAT_MAX (BEAT_HEADER + BEAT_ENTRIES_MAX * BEAT_ENTRY + SIGN_MAC)
#define BEAT_UNSEEN UINT32_MAX

enum beat_flags {
	BEAT_READY = 1 << 0,  /* it would take over */
	BEAT_ENDING = 1 << 1, /* it bows out: this is its last one */
	BEAT_MAINTENANCE = 1 << 2,
};

enum beat_entry_flags {
	BEAT_HEARD = 1 << 0,   /* it has heard the receiver's adverts on this segment of late */
	BEAT_RX = 1 << 1,      /* frames come in there */
	BEAT_LEAVES = 1 << 2,  /* it has given the addresses up */
	BEAT_UNABLE = 1 << 3,  /* no frame comes in there, or after a lost link a gateway there is not up yet */
	BEAT_REFUSES = 1 << 4, /* adverts of it come there, and are not believed */
};

struct beat {
	uint8_t flags;
	uint64_t node;
	struct sign_mark mark;
	uint32_t interval_us;
	unsigned int n; /* entries */
};

struct beat_entry {
	uint64_t interface;
	uint8_t vhid, role; /* enum carp_role */
	uint16_t flags;
	uint32_t interval_us, demotion, since_ms, seen_us;
};

/* The datagram's length. beat->n is at most BEAT_ENTRIES_MAX. */
size_t beat_put(uint8_t to[BEAT_MAX], const struct beat *beat, const struct beat_entry *entries,
		const struct sign_key *key);

/* As ext_get(); CARP_UNSIGNED: no beat at all. */
enum carp_fault beat_get(const uint8_t *data, size_t len, const struct sign_keys *keys, struct beat *beat,
			 struct beat_entry entries[BEAT_ENTRIES_MAX], unsigned int *key);

/* FNV-1a of 64 bits */
uint64_t beat_interface(const char *name);
