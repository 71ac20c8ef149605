// SPDX-License-Identifier: GPL-2.0-only
/* The state table: finding a key, and making an entry besides the programs, by their rules (bpf/lib/state_make.h). */
#include <errno.h>
#include <string.h>

#include "user/policy/states_private.h"

struct fl_tuple states_key_of(const struct fl_state *st)
{
	struct fl_tuple tuple = { .proto = st->proto };

	memcpy(tuple.addr, st->addr, sizeof(tuple.addr));
	memcpy(tuple.port, st->port, sizeof(tuple.port));
	return tuple;
}

static bool has_key(const struct fl_state *st, const struct fl_tuple *key)
{
	return !memcmp(st->addr, key->addr, sizeof(st->addr)) && !memcmp(st->port, key->port, sizeof(st->port)) &&
	       st->proto == key->proto;
}

static uint32_t slot_of(const struct fl_state_place *place, uint32_t way)
{
	return place->bucket[way / FL_BUCKET_WAYS] * FL_BUCKET_WAYS + way % FL_BUCKET_WAYS;
}

bool states_find_key(const struct states *t, const struct fl_tuple *key, const struct fl_state_place *place,
		     uint32_t *slot)
{
	for (uint32_t way = 0; way < 2 * FL_BUCKET_WAYS; way++) {
		uint64_t tag;

		*slot = slot_of(place, way);
		tag = states_tag(t, *slot);
		if (FL_TAG_HASH(tag) == place->hash && FL_TAG_KIND(tag) > FL_KIND_CLAIMED &&
		    has_key(&t->entries[*slot], key))
			return true;
	}
	return false;
}

/* Claims a free element, as room_find() of bpf/lib/state_make.h chooses it. */
static bool claim(struct states *t, const struct fl_state_place *place, uint32_t *slot, uint64_t *claimed)
{
	uint32_t free[2] = {}, first;

	for (uint32_t way = 0; way < 2 * FL_BUCKET_WAYS; way++)
		free[way / FL_BUCKET_WAYS] += FL_TAG_KIND(states_tag(t, slot_of(place, way))) == FL_KIND_FREE;
	first = FL_STATE_FIRST(free[0], free[1]) ? 0 : FL_BUCKET_WAYS;
	for (uint32_t i = 0; i < 2 * FL_BUCKET_WAYS; i++) {
		uint64_t tag;

		*slot = slot_of(place, (first + i) / FL_BUCKET_WAYS % 2 * FL_BUCKET_WAYS +
					       (FL_STATE_HOME(place) + i) % FL_BUCKET_WAYS);
		tag = states_tag(t, *slot);
		*claimed = FL_TAG_CLAIM(tag);
		if (FL_TAG_KIND(tag) == FL_KIND_FREE && states_tag_swap(t, *slot, tag, *claimed))
			return true;
	}
	return false;
}

static void publish(struct states *t, uint32_t slot, uint64_t tag)
{
	__atomic_store_n(states_tag_at(t, slot), tag, __ATOMIC_SEQ_CST);
}

static void give_back(struct states *t, uint32_t slot, uint64_t claimed)
{
	publish(t, slot, FL_TAG_AS(claimed, FL_KIND_FREE));
}

/* About to be published by a program: it learns that it is not to be, looks again, and finds ours. */
static bool is_stopped(struct states *t, uint32_t slot, uint64_t tag)
{
	return FL_TAG_KIND(tag) == FL_KIND_CLAIMED && states_tag_swap(t, slot, tag, FL_TAG_CLAIM(tag));
}

/* A program may have made the same meanwhile: it sees ours when it looks again, or we see its. */
static bool is_twice(struct states *t, const struct fl_tuple *key, const struct fl_state_place *place, uint32_t mine)
{
	for (uint32_t way = 0; way < 2 * FL_BUCKET_WAYS; way++) {
		uint32_t slot = slot_of(place, way);
		uint64_t tag = states_tag(t, slot);

		if (slot != mine && FL_TAG_HASH(tag) == place->hash && FL_TAG_KIND(tag) != FL_KIND_FREE &&
		    has_key(&t->entries[slot], key) && !is_stopped(t, slot, tag))
			return true;
	}
	return false;
}

/* The twin of the element `main`, which has been claimed with that tag: by the key and the flags of `image`. */
static bool twin_make(struct states *t, const struct fl_state *image, uint32_t main, uint64_t main_claimed,
		      uint32_t *slot)
{
	struct fl_tuple key = states_key_of(image);
	struct fl_state_place place = fl_state_hash(&key, t->control->key, t->control->buckets);
	struct fl_state *twin;
	uint64_t claimed;

	if (states_find_key(t, &key, &place, slot) || !claim(t, &place, slot, &claimed))
		return false;
	twin = &t->entries[*slot];
	*twin = *image;
	twin->twin = main;
	twin->made = FL_TAG_SERIAL(main_claimed);
	publish(t, *slot, FL_TAG(place.hash, FL_TAG_SERIAL(claimed), FL_KIND_TWIN));
	if (!is_twice(t, &key, &place, *slot))
		return true;
	publish(t, *slot, FL_TAG(0, FL_TAG_SERIAL(claimed) + 1, FL_KIND_FREE));
	return false;
}

int states_put(struct states *t, const struct states_image *image, uint32_t *slot, uint64_t *tag)
{
	struct fl_tuple key = states_key_of(&image->state);
	struct fl_state_place place = fl_state_hash(&key, t->control->key, t->control->buckets);
	uint64_t claimed;
	uint32_t twin = 0;

	if (!claim(t, &place, slot, &claimed))
		return -ENOSPC;
	if (image->state.flags & FL_STATE_TRANSLATED && !twin_make(t, &image->twin, *slot, claimed, &twin)) {
		give_back(t, *slot, claimed);
		return -ENOSPC;
	}
	t->entries[*slot] = image->state;
	t->entries[*slot].twin = twin;
	*tag = FL_TAG(place.hash, FL_TAG_SERIAL(claimed), image->kind);
	if (!states_tag_swap(t, *slot, claimed, *tag)) { /* a program has made a state with our twin's tuple */
		publish(t, *slot, FL_TAG(0, FL_TAG_SERIAL(claimed) + 1, FL_KIND_FREE));
		return -ENOSPC;
	}
	states_count(t, 1, image->kind == FL_KIND_EMBRYONIC);
	if (!is_twice(t, &key, &place, *slot))
		return 0;
	states_remove(t, *slot, *tag);
	return -EEXIST;
}

static bool is_later(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) > 0;
}

/*
 * Each direction may have gone on in another one of the two: of numbers that only grow the higher ones count, but what an end has that has
 * not sent anything yet is no number of its own.
 */
static void merge_end(struct fl_end *end, const struct fl_end *other)
{
	bool silent = !end->seq_lo;

	if (other->seq_lo && (silent || is_later(other->seq_lo, end->seq_lo)))
		end->seq_lo = other->seq_lo;
	if (other->seq_lo && (silent || is_later(other->seq_hi, end->seq_hi)))
		end->seq_hi = other->seq_hi;
	if (other->max_win > end->max_win)
		end->max_win = other->max_win;
	if (other->packets > end->packets)
		end->packets = other->packets;
	if (other->bytes_hi >= end->bytes_hi && (other->bytes_hi > end->bytes_hi || other->bytes_lo > end->bytes_lo)) {
		end->bytes_hi = other->bytes_hi;
		end->bytes_lo = other->bytes_lo;
	}
}

void states_merge(struct fl_state *st, const struct fl_state *other)
{
	for (int i = 0; i < 2; i++) {
		merge_end(&st->end[i], &other->end[i]);
		if (other->phase[i] > st->phase[i])
			st->phase[i] = other->phase[i];
	}
	if (FL_NIBBLE(other->wscale, 0) != FL_WSCALE_NONE && FL_NIBBLE(other->wscale, 1) != FL_WSCALE_NONE)
		st->wscale = other->wscale; /* has seen both SYNs */
	if (is_later(other->seen, st->seen))
		st->seen = other->seen;
}
