/* SPDX-License-Identifier: GPL-2.0-only */
/* States that a peer tells of, in this node's table. Programs are at work on it meanwhile: the rules of user/policy/states.h hold. */
#pragma once

#include "user/policy/states.h"

/* A connection as this node's table would have it: numbers of its own rules and gateways, times of its own clock. */
struct states_news {
	struct fl_state state; /* the key's ends in order; no ways, no twin */
	union fl_addr addr[2]; /* with FL_STATE_TRANSLATED: of each end, as the other side sees them */
	__be16 port[2];
	uint8_t kind; /* FL_KIND_EMBRYONIC, FL_KIND_ESTABLISHED */
	bool mapped;  /* its translation keeps endpoint-independent mappings */
};

enum states_took { STATES_MADE, STATES_MERGED, STATES_NO_ROOM, STATES_OTHERS };

/*
 * Makes it, or tells the entry that is there already: of that the later phases and the higher numbers count, and FL_STATE_PEER is set if
 * the news is newer than its last packet, and knows of all that has come here. FL_STATE_LOOSE where both nodes forward a direction each. *tag: of the entry. STATES_OTHERS: a
 * connection of this node's has one of its two tuples; STATES_NO_ROOM: no place for it.
 */
enum states_took states_take(struct states *t, const struct states_news *news, uint32_t now, uint32_t *slot,
			     uint64_t *tag);

/*
 * After states_take() has had it: its inside endpoint has its outside one for whatever else it talks to, as at the peer, for as long as there
 * since the last packet.
 */
void states_map(struct states *t, const struct states_news *news, uint32_t now);

/* The tuple of a packet, its ends in order. Returns which of them is `src`. */
unsigned int states_tuple(struct fl_tuple *tuple, const union fl_addr *src, const union fl_addr *dst, __be16 sport,
			  __be16 dport, uint8_t proto);

#define STATES_EXPECT_MAX 32

/*
 * Memory that will be looked at for the tuples, or for the state in a slot, is asked for without waiting. All at once, so that the CPU waits for
 * many lines, and for where they are, at a time. slots: where they would be put.
 */
void states_expect(const struct states *t, const struct fl_tuple *tuples, unsigned int n,
		   uint32_t slots[STATES_EXPECT_MAX]);
void states_expect_at(const struct states *t, uint32_t slot);

/* The state that a packet with the tuple belongs to, as either side sees it. False: none that has not run out. */
bool states_find(const struct states *t, const struct fl_tuple *tuple, uint32_t now, struct states_entry *entry);
/* The state in the slot, if there is one. */
bool states_at(const struct states *t, uint32_t slot, struct states_entry *entry);

/*
 * This node takes over from one that may have forwarded any of these connections, and had no time to tell: of those in `n` slots from `begin`
 * sequence numbers are taken as they come, as of what a peer has told.
 */
void states_taken_over(struct states *t, uint32_t begin, uint32_t n);

/* Whether the slot still has the state with that serial. */
bool states_is_at(const struct states *t, uint32_t slot, uint32_t serial);
/* Ends it if it still is the one, and no packet of it has come here since the peer's last news. */
bool states_drop(struct states *t, uint32_t slot, uint32_t serial);
/* It is this node's from now on, if it is still the one. */
void states_own(struct states *t, uint32_t slot, uint32_t serial);
/*
 * A packet of it has come to a peer. If this node has forwarded some, too, a moment ago, each has a direction, and sequence numbers that the other
 * lets pass nobody here knows: they are not looked at any more.
 */
void states_part(struct states *t, const struct states_entry *entry, uint32_t now);
/*
 * Of connections of which packets have come to both nodes within a second: if more come here, though a while ago the peer forwarded some, each has
 * a direction, as above. If none do it has gone over to the peer, as long as that claims it. Every few milliseconds.
 */
void states_judge_contested(struct states *t, uint32_t now, bool (*is_claimed)(const void *arg, uint32_t slot),
			    const void *arg);
