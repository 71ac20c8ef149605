/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files of the state table share. */
#pragma once

#include "user/policy/states.h"

static inline __u64 *states_tag_at(const struct states *t, uint32_t slot)
{
	return &t->buckets[slot / FL_BUCKET_WAYS].tag[slot % FL_BUCKET_WAYS];
}

static inline uint64_t states_tag(const struct states *t, uint32_t slot)
{
	return __atomic_load_n(states_tag_at(t, slot), __ATOMIC_ACQUIRE);
}

static inline bool states_tag_swap(struct states *t, uint32_t slot, __u64 was, __u64 is)
{
	return __atomic_compare_exchange_n(states_tag_at(t, slot), &was, is, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

static inline bool states_is_state(uint64_t tag)
{
	return FL_TAG_KIND(tag) == FL_KIND_EMBRYONIC || FL_TAG_KIND(tag) == FL_KIND_ESTABLISHED;
}

static inline uint32_t states_slots(const struct states *t)
{
	return t->control->buckets * FL_BUCKET_WAYS;
}

/* Whether the state of a twin is still there, or being made. */
static inline bool states_twin_lives(const struct states *t, const struct fl_state *twin)
{
	uint64_t main;

	if (twin->twin >= states_slots(t))
		return false;
	main = states_tag(t, twin->twin);
	return FL_TAG_KIND(main) != FL_KIND_FREE && FL_TAG_SERIAL(main) == twin->made;
}

/* ---- states_place.c ---- */

struct fl_tuple states_key_of(const struct fl_state *st);

/* The published entry with the key, a state's or a twin's. */
bool states_find_key(const struct states *t, const struct fl_tuple *key, const struct fl_state_place *place,
		     uint32_t *slot);

/* A state to be made, and with FL_STATE_TRANSLATED its twin's key and flags. */
struct states_image {
	struct fl_state state, twin;
	uint8_t kind;
};

/*
 * Makes it; the caller has not found the key, and has entered it with its rules. 0; -ENOSPC: there is no place, or another one's translation has
 * the twin's key; -EEXIST: a program has made the same meanwhile, and this one has ended, also for its rules.
 */
int states_put(struct states *t, const struct states_image *image, uint32_t *slot, uint64_t *tag);

/* Programs may be at it: nothing goes back that they have written. */
void states_merge(struct fl_state *st, const struct fl_state *other);

/* ---- states.c ---- */

/* Adds to the daemon's counts and to those that the limits are held against. */
void states_count(struct states *t, int64_t states, int64_t embryonic);

/* As bpf/lib/state_log.h: peers are to hear of it. */
void states_log(struct states *t, uint32_t slot);

/* The rule has one state less. */
void states_rule_leave(struct states *t, const struct fl_state *st, uint16_t rule);

/* How many there are as the counters say, which an error may have made less than none. */
void states_sums(const struct states *t, int64_t *states, int64_t *embryonic);
