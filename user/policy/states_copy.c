// SPDX-License-Identifier: GPL-2.0-only
/* The state table: from one table into another of a different size. The other may be in use already: its rules are kept (bpf/lib/state.h). */
#include <string.h>

#include "user/policy/states_private.h"

static struct fl_tuple tuple_of(const struct fl_state *st)
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

static bool find(const struct states *t, const struct fl_tuple *key, const struct fl_state_place *place, uint32_t *slot)
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
	uint32_t used[2] = {}, first;

	for (uint32_t way = 0; way < 2 * FL_BUCKET_WAYS; way++)
		used[way / FL_BUCKET_WAYS] += FL_TAG_KIND(states_tag(t, slot_of(place, way))) != FL_KIND_FREE;
	first = used[0] > used[1] + 1 ? FL_BUCKET_WAYS : 0;
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

/* A program may have made the same meanwhile: it sees ours when it looks again, or we see its. */
static bool is_twice(const struct states *t, const struct fl_tuple *key, const struct fl_state_place *place,
		     uint32_t mine)
{
	for (uint32_t way = 0; way < 2 * FL_BUCKET_WAYS; way++) {
		uint32_t slot = slot_of(place, way);
		uint64_t tag = states_tag(t, slot);

		if (slot != mine && FL_TAG_HASH(tag) == place->hash && FL_TAG_KIND(tag) > FL_KIND_CLAIMED &&
		    has_key(&t->entries[slot], key))
			return true;
	}
	return false;
}

/* The twin for the element `main`, which has been claimed with that tag. */
static bool twin_copy(struct states *to, const struct states *from, const struct fl_state *st, uint32_t main,
		      uint64_t main_claimed, uint32_t *slot)
{
	struct fl_state copy = from->entries[st->twin % states_slots(from)];
	struct fl_tuple key = tuple_of(&copy);
	struct fl_state_place place = fl_state_hash(&key, to->control->key, to->control->buckets);
	struct fl_state *twin;
	uint64_t claimed;

	if (FL_TAG_KIND(states_tag(from, st->twin % states_slots(from))) != FL_KIND_TWIN ||
	    find(to, &key, &place, slot) || !claim(to, &place, slot, &claimed))
		return false;
	twin = &to->entries[*slot];
	*twin = copy;
	twin->twin = main;
	twin->made = FL_TAG_SERIAL(main_claimed);
	publish(to, *slot, FL_TAG(place.hash, FL_TAG_SERIAL(claimed), FL_KIND_TWIN));
	if (!is_twice(to, &key, &place, *slot))
		return true;
	publish(to, *slot, FL_TAG(0, FL_TAG_SERIAL(claimed) + 1, FL_KIND_FREE));
	return false;
}

static bool is_later(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) > 0;
}

/* Each direction may have gone on in another one of the two: of numbers that only grow the higher ones count. */
static void merge(struct fl_state *st, const struct fl_state *other)
{
	for (int i = 0; i < 2; i++) {
		struct fl_end *end = &st->end[i];
		const struct fl_end *o = &other->end[i];

		if (!end->seq_lo || (o->seq_lo && is_later(o->seq_lo, end->seq_lo)))
			end->seq_lo = o->seq_lo;
		if (is_later(o->seq_hi, end->seq_hi))
			end->seq_hi = o->seq_hi;
		if (o->max_win > end->max_win)
			end->max_win = o->max_win;
		if (other->phase[i] > st->phase[i])
			st->phase[i] = other->phase[i];
	}
}

/* The one that is there already learns what has come since the first copy. */
static void refresh(struct states *to, const struct fl_state *from, uint32_t slot)
{
	struct fl_state *st = &to->entries[slot], was = *st;
	uint64_t tag = states_tag(to, slot);

	if (!states_is_state(tag) || st->made != from->made)
		return;
	if (is_later(from->seen, st->seen)) {
		*st = *from;
		st->twin = was.twin;
		merge(st, &was);
	} else {
		merge(st, from);
	}
}

static bool state_copy(struct states *to, const struct states *from, const struct fl_state *st, uint8_t kind)
{
	struct fl_tuple key = tuple_of(st);
	struct fl_state_place place = fl_state_hash(&key, to->control->key, to->control->buckets);
	uint32_t slot, twin = 0;
	uint64_t claimed, tag;

	if (find(to, &key, &place, &slot)) {
		refresh(to, st, slot);
		return true;
	}
	if (!claim(to, &place, &slot, &claimed))
		return false;
	if (st->flags & FL_STATE_TRANSLATED && !twin_copy(to, from, st, slot, claimed, &twin)) {
		give_back(to, slot, claimed);
		return false;
	}
	to->entries[slot] = *st;
	to->entries[slot].twin = twin;
	states_count(to, 1, kind == FL_KIND_EMBRYONIC);
	tag = FL_TAG(place.hash, FL_TAG_SERIAL(claimed), kind);
	publish(to, slot, tag);
	if (is_twice(to, &key, &place, slot))
		states_remove(to, slot, tag);
	return true;
}

uint32_t states_copy(const struct states *from, struct states *to)
{
	static const uint8_t kinds[] = { FL_KIND_ESTABLISHED, FL_KIND_EMBRYONIC };
	uint32_t n = 0;

	for (size_t i = 0; i < sizeof(kinds); i++)
		for (uint32_t slot = 0; slot < states_slots(from); slot++) {
			uint64_t tag = states_tag(from, slot);
			struct fl_state st = from->entries[slot];

			if (FL_TAG_KIND(tag) == kinds[i] && states_tag(from, slot) == tag)
				n += state_copy(to, from, &st, kinds[i]);
		}
	return n;
}
