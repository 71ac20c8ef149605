/* SPDX-License-Identifier: GPL-2.0-only */
/* The state table: making entries and ending them, and the counters that go with it. */
#pragma once

#include "lib/state_log.h"
#include "lib/state_map.h"

/* ---- counting ---- */

/* Adds to how many there are, and tells the others now and then. */
static __always_inline void state_count(int states, int embryonic)
{
	struct fl_state_counts *mine = state_counts(FL_STATE_COUNTS_CPU(bpf_get_smp_processor_id()));
	struct fl_state_counts *shared = state_counts(FL_STATE_COUNTS_SHARED);
	const struct fl_state_control *control = state_control();
	__s32 batch;

	if (!mine || !shared || !control)
		return;
	batch = control->batch;
	mine->states += states;
	mine->embryonic += embryonic;
	mine->new_states += states;
	mine->new_embryonic += embryonic;
	if (mine->new_states >= batch || mine->new_states <= -batch) {
		__sync_fetch_and_add(&shared->states, mine->new_states);
		mine->new_states = 0;
	}
	if (mine->new_embryonic >= batch || mine->new_embryonic <= -batch) {
		__sync_fetch_and_add(&shared->embryonic, mine->new_embryonic);
		mine->new_embryonic = 0;
	}
}

static __always_inline __u32 *rule_states(__u16 rule)
{
	__u32 id = rule;

	return rule ? bpf_map_lookup_elem(&fl_rule_states, &id) : NULL;
}

/* The rules of a state, each once: number 1 is 0 where both are the same. */
static __always_inline __u16 state_rule(const struct fl_state *st, int number)
{
	return number && st->rule[1] == st->rule[0] ? 0 : st->rule[number & 1];
}

/* Who began it. */
static __always_inline const union fl_addr *state_source(const struct fl_state *st)
{
	return &st->addr[st->flags & FL_STATE_STARTER ? 1 : 0];
}

static __always_inline void source_leave(const struct fl_state *st, __u16 rule)
{
	struct fl_rule_source key = { .addr = *state_source(st), .rule = rule };
	__u32 *states = bpf_map_lookup_elem(&fl_rule_sources, &key);

	if (states && *states)
		__sync_fetch_and_add(states, -1);
}

static __always_inline void rule_leave(const struct fl_state *st, __u16 rule)
{
	__u32 *states = rule_states(rule);

	if (!states)
		return;
	__sync_fetch_and_add(states, -1);
	if (st->flags & FL_STATE_COUNTED)
		source_leave(st, rule);
}

/* For each rule of a state that ends: what it has counted. */
static __always_inline void rule_account(__u16 rule, __u64 packets, __u64 bytes)
{
	__u32 index = FL_RULE_STATS_INDEX(bpf_get_smp_processor_id(), rule);
	struct fl_rule_stats *stats = rule ? bpf_map_lookup_elem(&fl_rule_stats, &index) : NULL;

	if (!stats)
		return;
	stats->packets += packets;
	stats->bytes += bytes;
}

/* ---- ending ---- */

/* Takes away the twin of the entry `main`, which has been claimed over its tag `was`. */
static __always_inline void twin_remove(__u32 slot, __u32 main, __u64 was)
{
	volatile __u64 *tag = tag_at(slot);
	const struct fl_state *twin = state_at(slot);
	__u64 now = tag ? *tag : 0;

	if (!tag || !twin || FL_TAG_KIND(now) != FL_KIND_TWIN || twin->twin != main || twin->made != FL_TAG_SERIAL(was))
		return;
	__sync_val_compare_and_swap(tag, now, FL_TAG(0, FL_TAG_SERIAL(now), FL_KIND_FREE));
}

/*
 * Claims the element `slot` if its tag still is `was`, and ends the state that was there, its twin too. Returns 1 if so: then the
 * caller stores the next tag.
 */
GLOBAL int state_claim(__u32 slot, __u64 was)
{
	volatile __u64 *tag = tag_at(slot);
	struct fl_state *st = state_at(slot);
	__u64 packets, bytes;

	if (!tag || !st || __sync_val_compare_and_swap(tag, was, FL_TAG_CLAIM(was)) != was)
		return 0;
	if (!kind_is_state(was))
		return 1;
	packets = fl_state_packets(st, 0) + fl_state_packets(st, 1);
	bytes = fl_state_bytes(st, 0) + fl_state_bytes(st, 1);
#pragma unroll
	for (int i = 0; i < 2; i++) {
		rule_account(state_rule(st, i), packets, bytes);
		rule_leave(st, state_rule(st, i));
	}
	rule_account(st->nat & FL_STATE_NPT ? 0 : st->nat, packets, bytes);
	if (st->flags & FL_STATE_TRANSLATED)
		twin_remove(st->twin, slot, was);
	state_count(-1, FL_TAG_KIND(was) == FL_KIND_EMBRYONIC ? -1 : 0);
	if (FL_TAG_KIND(was) == FL_KIND_ESTABLISHED)
		state_log(slot);
	return 1;
}

/* Frees an element that the caller has claimed over the tag `was`. */
static __always_inline void state_free(__u32 slot, __u64 was)
{
	volatile __u64 *tag = tag_at(slot);

	if (tag)
		*tag = FL_TAG(0, FL_TAG_SERIAL(was) + 1, FL_KIND_FREE);
}

/* Ends the state in `slot`, if it still is the one with that tag. Returns 1 if so. */
static __always_inline int state_remove(__u32 slot, __u64 tag)
{
	if (!state_claim(slot, tag))
		return 0;
	state_free(slot, tag);
	return 1;
}

/* ---- making ---- */

/*
 * How willingly an entry gives way: 0 never, ~0 at once (it has run out), between the two an embryonic one by its age. A twin as its state, and at
 * once if that is gone.
 */
GLOBAL __u32 state_age(__u32 slot, __u64 tag, __u32 now)
{
	const struct fl_state_control *control = state_control();
	const struct fl_state *st = state_at(slot);
	const volatile __u64 *main;

	if (!st || !control || FL_TAG_KIND(tag) <= FL_KIND_CLAIMED)
		return 0;
	if (FL_TAG_KIND(tag) == FL_KIND_TWIN) {
		main = tag_at(st->twin);
		if (!main || FL_TAG_KIND(*main) == FL_KIND_FREE || FL_TAG_SERIAL(*main) != st->made)
			return ~0u;
		tag = *main;
		st = state_at(st->twin);
		if (!st || !kind_is_state(tag))
			return 0;
	}
	if (fl_state_is_expired(st, control, now))
		return ~0u;
	if (FL_TAG_KIND(tag) != FL_KIND_EMBRYONIC)
		return 0;
	return ((now - st->made) & 0x3fffffff) + 1;
}

/* Free ways of a bucket, a bit each. */
static __always_inline __u32 bucket_free(const struct fl_bucket *bucket)
{
	__u64 found = 0;

#pragma unroll
	for (int i = 0; i < FL_BUCKET_WAYS; i++) {
		__u64 kind = FL_TAG_KIND(*(const volatile __u64 *)&bucket->tag[i]);

		hide(kind);
		found |= (kind - 1) >> 63 << i;
	}
	return found;
}

static __always_inline __u32 bits_of_eight(__u32 x)
{
	x -= x >> 1 & 0x55;
	x = (x & 0x33) + (x >> 2 & 0x33);
	return (x + (x >> 4)) & 0xf;
}

/*
 * A place in one of the two buckets: a free one, or whoever gives way first. Of a free bucket, that of FL_STATE_FIRST(), and
 * there the way that state_expect() looks at. 0: none; 1: room has it.
 */
GLOBAL int room_find(struct conn *c, struct fl_state_place *at, struct state_room *room)
{
	__u32 best = 0, age, way, free[2];
	const struct fl_bucket *first, *second;
	const volatile __u64 *tag;

	if (!c || !at || !room)
		return 0;
	first = bucket_at(at->bucket[0]);
	second = bucket_at(at->bucket[1]);
	if (!first || !second)
		return 0;
	room->gives_way = false;
	free[0] = bucket_free(first);
	free[1] = bucket_free(second);
	if (free[0] | free[1]) {
		age = bits_of_eight(free[0]);
		way = FL_STATE_FIRST(age, bits_of_eight(free[1])) ? 0 : FL_BUCKET_WAYS;
		age = way ? free[1] : free[0];
		way += age & 1u << FL_STATE_HOME(at) ? FL_STATE_HOME(at) : lowest_bit(age);
		room->slot = place_slot(at, way);
		tag = tag_at(room->slot);
		room->tag = tag ? *tag : 0;
		return 1;
	}
	for (way = 0; way < 2 * FL_BUCKET_WAYS; way++) {
		__u32 slot = place_slot(at, way);
		__u64 now;

		tag = tag_at(slot);
		now = tag ? *tag : 0;
		age = state_age(slot, now, c->now);
		if (age > best) {
			best = age;
			room->slot = slot;
			room->tag = now;
		}
	}
	room->gives_way = true;
	return best != 0;
}

static __always_inline struct fl_state_counts *state_counts_mine(void)
{
	return state_counts(FL_STATE_COUNTS_CPU(bpf_get_smp_processor_id()));
}

/* Ends the state of a twin, and so the twin, if it still gives way. False: it has none, so that the twin's place is free. */
static __always_inline bool twin_evict(__u32 slot, __u64 tag, __u32 now, struct fl_state_counts *mine)
{
	const struct fl_state *twin = state_at(slot);
	const volatile __u64 *main;
	__u64 is;

	if (!twin || FL_TAG_KIND(tag) != FL_KIND_TWIN)
		return false;
	main = tag_at(twin->twin);
	is = main ? *main : 0;
	if (!kind_is_state(is) || FL_TAG_SERIAL(is) != twin->made)
		return false;
	if (state_age(twin->twin, is, now) && state_remove(twin->twin, is))
		mine->evicted += FL_TAG_KIND(is) == FL_KIND_EMBRYONIC;
	return true;
}

#define CLAIM_TRIES 8 /* others may be faster */

/* Claims a place. 1: room has it, and the tag that it had. */
GLOBAL int room_claim(struct conn *c, struct fl_state_place *at, struct state_room *room)
{
	struct fl_state_counts *mine = state_counts_mine();

	if (!c || !mine || !room)
		return 0;
	for (int i = 0; i < CLAIM_TRIES; i++) {
		if (!room_find(c, at, room))
			break;
		if (!room->gives_way && FL_TAG_KIND(room->tag) != FL_KIND_FREE)
			continue; /* was free a moment ago: who took it does not give way */
		if (twin_evict(room->slot, room->tag, c->now, mine))
			continue;
		if (!state_claim(room->slot, room->tag))
			continue;
		mine->evicted += FL_TAG_KIND(room->tag) == FL_KIND_EMBRYONIC;
		return 1;
	}
	mine->refused_place++;
	return 0;
}

/* Ends whoever gives way first in a bucket: an embryonic one, or (over) also one that has run out. Returns 1 if there was one. */
GLOBAL int bucket_evict(__u32 index, __u32 now, bool over)
{
	__u32 best = 0, slot = index * FL_BUCKET_WAYS, chosen = 0;
	__u64 chosen_tag = 0;

	for (int i = 0; i < FL_BUCKET_WAYS; i++, slot++) {
		const volatile __u64 *tag = tag_at(slot);
		__u64 is = tag ? *tag : 0;
		__u32 age;

		if (FL_TAG_KIND(is) != FL_KIND_EMBRYONIC && (!over || FL_TAG_KIND(is) == FL_KIND_TWIN))
			continue;
		age = state_age(slot, is, now);
		if (age > best) {
			best = age;
			chosen = slot;
			chosen_tag = is;
		}
	}
	return best && state_remove(chosen, chosen_tag);
}

/*
 * That are looked at for one that gives way: with a quarter of the limit embryonic there is one in each, but a table that keeps more
 * established ones than its limit is as much emptier.
 */
#define EVICT_BUCKETS 64

/* Ends one that gives way, where the hand finds it: each CPU's goes round the table, so that all have about the same time. */
GLOBAL int state_evict(__u32 now, bool over)
{
	struct fl_state_counts *mine = state_counts_mine();
	const struct fl_state_control *control = state_control();

	if (!mine || !control)
		return 0;
	for (int i = 0; i < EVICT_BUCKETS; i++) {
		__u32 hand = mine->hand + 1;

		mine->hand = hand < control->buckets ? hand : 0;
		if (bucket_evict(mine->hand, now, over)) {
			mine->evicted++;
			return 1;
		}
	}
	return 0;
}

/* Ends what has run out in a bucket. */
GLOBAL int bucket_sweep(__u32 index, __u32 now)
{
	__u32 slot = index * FL_BUCKET_WAYS;

	for (int i = 0; i < FL_BUCKET_WAYS; i++, slot++) {
		const volatile __u64 *tag = tag_at(slot);
		__u64 is = tag ? *tag : 0;

		if (state_age(slot, is, now) == ~0u)
			state_remove(slot, is);
	}
	return 0;
}

#define SWEEP_BUCKETS 512 /* some 10 us; the round of the default limit in a few dozen */

/* Else what has run out would count for its rules' limits for good: it is ended where the hand finds it. */
GLOBAL int table_sweep(__u32 now)
{
	struct fl_state_counts *mine = state_counts_mine();
	const struct fl_state_control *control = state_control();

	if (!mine || !control || daemon_is_alive(now))
		return 0;
	for (int i = 0; i < SWEEP_BUCKETS; i++) {
		__u32 hand = mine->hand + 1;

		mine->hand = hand < control->buckets ? hand : 0;
		bucket_sweep(mine->hand, now);
	}
	return 0;
}

/*
 * Whether there may be one more. Too many embryonic ones, or states in all: one of those gives way, never an established one. Where no
 * daemon sweeps, those that have run out as well. Below the limit of all nobody is refused: where too many embryonic ones are so few
 * that the hand meets none, there may be one more until it does.
 */
GLOBAL int table_admit(__u32 now)
{
	const struct fl_state_counts *shared = state_counts(FL_STATE_COUNTS_SHARED), *mine = state_counts_mine();
	const struct fl_state_control *control = state_control();
	__s64 states, embryonic;

	if (!shared || !mine || !control)
		return 0;
	states = shared->states + mine->new_states;
	embryonic = shared->embryonic + mine->new_embryonic;
	if (states < control->limit && embryonic < control->embryonic_limit)
		return 1;
	if ((embryonic > 0 && state_evict(now, false)) || states < control->limit)
		return 1;
	return daemon_is_alive(now) ? 0 : state_evict(now, true);
}

/* Adds a state to those of a source. False: it has as many as it may. What LRU forgets, the daemon puts right. */
static __always_inline bool source_enter(const struct fl_state *st, __u16 rule, __u32 max)
{
	struct fl_rule_source key = { .addr = *state_source(st), .rule = rule };
	__u32 none = 0, *states;

	if (!rule || !max)
		return true;
	states = bpf_map_lookup_elem(&fl_rule_sources, &key);
	if (!states) {
		bpf_map_update_elem(&fl_rule_sources, &key, &none, BPF_NOEXIST);
		states = bpf_map_lookup_elem(&fl_rule_sources, &key);
	}
	return !states || (__s32)__sync_fetch_and_add(states, 1) < (__s32)max;
}

static __always_inline bool rule_enter(const struct fl_state *st, __u16 rule, __u32 max)
{
	__u32 *states = rule_states(rule);

	return !states || (__s32)__sync_fetch_and_add(states, 1) < (__s32)max || !max;
}

/* The state's rules have one more; 0, and they have not, where one may have no more. */
GLOBAL int rules_enter(struct conn *c, struct fl_state *fresh)
{
	bool ok = true;

	if (!c || !fresh)
		return 0;
	if (c->max_states_per_source[0] | c->max_states_per_source[1])
		fresh->flags |= FL_STATE_COUNTED;
#pragma unroll
	for (int i = 0; i < 2; i++) {
		__u16 rule = state_rule(fresh, i);

		ok &= rule_enter(fresh, rule, c->max_states[i]);
		ok &= source_enter(fresh, rule, c->max_states_per_source[i]);
	}
	if (ok)
		return 1;
	rule_leave(fresh, state_rule(fresh, 0));
	rule_leave(fresh, state_rule(fresh, 1));
	return 0;
}

/*
 * Another entry with the key than that in `slot`, be it published or about to be: 1, and c->other_room has it. Twins of the same connection do
 * not count: which one stays is settled by the states.
 */
GLOBAL int key_other(struct conn *c, struct fl_tuple *key, struct fl_state_place *place, __u32 slot)
{
	const struct fl_bucket *first, *second;
	struct state_room *other;
	__u32 found;

	if (!c || !key || !place)
		return 0;
	other = &c->other_room;
	first = bucket_at(place->bucket[0]);
	second = bucket_at(place->bucket[1]);
	if (!first || !second)
		return 0;
	found = bucket_match(first, place->hash) | bucket_match(second, place->hash) << FL_BUCKET_WAYS;
	for (int i = 0; i < 2 * FL_BUCKET_WAYS; i++) {
		const volatile __u64 *tag;
		const struct fl_state *st;

		if (!found)
			return 0;
		other->slot = place_slot(place, lowest_bit(found));
		found &= found - 1;
		tag = tag_at(other->slot);
		st = state_at(other->slot);
		if (!tag || !st)
			return 0;
		other->tag = *tag;
		if (other->slot != slot && FL_TAG_HASH(other->tag) == place->hash &&
		    FL_TAG_KIND(other->tag) != FL_KIND_FREE && state_has_key(st, key) &&
		    !twin_is_of(other->slot, other->tag, &c->key))
			return 1;
	}
	return 0;
}

static __always_inline bool tag_swap(__u32 slot, __u64 was, __u64 is)
{
	volatile __u64 *tag = tag_at(slot);

	return tag && __sync_val_compare_and_swap(tag, was, is) == was;
}

/*
 * Whether the entry in c->other_room stays, rather than ours in `slot`, which is not published: one whose state is, since its packet may have
 * left; of two that are not, the one in the lower slot. Else it never will be, if it is not by now: it is to be looked for again.
 */
GLOBAL int other_stays(struct conn *c, __u32 slot)
{
	const volatile __u64 *main;
	const struct fl_state *st;
	struct state_room *other;
	bool is_twin;
	__u32 at;
	__u64 is;

	if (!c)
		return 0;
	other = &c->other_room;
	st = state_at(other->slot);
	if (!st)
		return 0;
	is_twin = FL_TAG_KIND(other->tag) == FL_KIND_TWIN;
	at = is_twin ? st->twin : other->slot;
	main = tag_at(at);
	if (!main)
		return 0;
	is = is_twin ? *main : other->tag;
	if (!is_twin || (FL_TAG_KIND(is) != FL_KIND_FREE && FL_TAG_SERIAL(is) == st->made)) {
		if (kind_is_state(is) || other->slot < slot)
			return 1;
		if (!tag_swap(at, is, FL_TAG_CLAIM(is)))
			return 0;
	}
	if (is_twin)
		tag_swap(other->slot, other->tag, FL_TAG(0, FL_TAG_SERIAL(other->tag), FL_KIND_FREE));
	else if (st->flags & FL_STATE_TRANSLATED)
		twin_remove(st->twin, at, is);
	return 0;
}

/*
 * Two CPUs may make an entry for the same key, each before it sees the other's. Each shows that it is about to, and then looks who else is: at
 * least one sees both. 1: nobody else has it; 0: the one in c->other_room stays.
 */
GLOBAL int key_settle(struct conn *c, struct fl_tuple *key, struct fl_state_place *place, __u32 slot)
{
	for (int i = 0; i < 4; i++) { /* more than a few there never are */
		if (!key_other(c, key, place, slot))
			return 1;
		if (other_stays(c, slot))
			break;
	}
	return 0;
}

static __always_inline void state_set_key(struct fl_state *st, const struct fl_tuple *key)
{
	st->addr[0] = key->addr[0];
	st->addr[1] = key->addr[1];
	st->port[0] = key->port[0];
	st->port[1] = key->port[1];
	st->proto = key->proto;
}

/* The caller stores nothing behind it that others may see before: the exchange is a barrier. */
static __always_inline void tag_publish(__u32 slot, __u64 tag)
{
	volatile __u64 *place = tag_at(slot);

	if (place)
		__sync_lock_test_and_set(place, tag);
}

/* Whether a new twin's key is free: 0, STATE_EXISTS or -FL_DROP_NAT_PORTS. What is over there goes. */
static __always_inline int twin_check(struct conn *c, const struct fl_tuple *key, const struct fl_state_place *at)
{
	const volatile __u64 *main;
	const struct fl_state *twin;
	__u32 slot;
	__u64 tag;

	if (!key_find(key, at, &slot, &tag) || (state_age(slot, tag, c->now) == ~0u && state_remove(slot, tag)))
		return 0;
	if (!twin_is_of(slot, tag, &c->key))
		return -FL_DROP_NAT_PORTS;
	twin = state_at(slot);
	main = twin ? tag_at(twin->twin) : NULL;
	if (!main)
		return -FL_DROP_INTERNAL;
	c->other_room.slot = twin->twin;
	c->other_room.tag = *main;
	return STATE_EXISTS;
}

/* Makes the twin of the entry that c->slot and c->tag have claimed. 0, and c->other; STATE_EXISTS, or -FL_DROP_*. */
GLOBAL int twin_insert(struct conn *c, struct fl_tuple *key)
{
	const struct fl_state_control *control = state_control();
	struct fl_state *st;
	int r;

	if (!c || !key || !control)
		return -FL_DROP_INTERNAL;
	c->twin_place = fl_state_hash(key, control->key, control->buckets);
	r = twin_check(c, key, &c->twin_place);
	if (r)
		return r;
	if (!room_claim(c, &c->twin_place, &c->twin_room))
		return -FL_DROP_STATE_FULL;
	st = state_at(c->twin_room.slot);
	if (!st)
		return -FL_DROP_INTERNAL;
	state_set_key(st, key);
	st->flags = c->side == c->twin_side ? 0 : FL_STATE_TURNED;
	st->twin = c->slot;
	st->made = FL_TAG_SERIAL(c->tag);
	c->other = c->twin_room.slot;
	st = state_at(c->slot);
	if (!st)
		return -FL_DROP_INTERNAL;
	st->twin = c->other;
	st->flags |= FL_STATE_TRANSLATED;
	c->translated = true;
	tag_publish(c->twin_room.slot, FL_TAG(c->twin_place.hash, FL_TAG_SERIAL(c->twin_room.tag) + 1, FL_KIND_TWIN));
	return 0;
}

/* Claims a place for the entry, and fills it: as `fresh`. 0 or -FL_DROP_*. */
GLOBAL int entry_begin(struct conn *c, struct fl_state *fresh)
{
	struct fl_state *st;

	if (!c || !fresh)
		return -FL_DROP_INTERNAL;
	if (!room_claim(c, &c->place, &c->room))
		return -FL_DROP_STATE_FULL;
	st = state_at(c->room.slot);
	if (!st)
		return -FL_DROP_INTERNAL;
	c->slot = c->main = c->room.slot;
	c->tag = FL_TAG(c->place.hash, FL_TAG_SERIAL(c->room.tag) + 1, FL_KIND_EMBRYONIC);
	c->main_side = c->side;
	c->translated = false;
	*st = *fresh;
	return 0;
}

/* The entry goes again, and its twin. */
static __always_inline void entry_withdraw(struct conn *c)
{
	if (c->translated)
		twin_remove(c->other, c->slot, c->tag);
	state_free(c->slot, c->tag);
}

/* The twin's tuple is another connection's. */
static __always_inline int entry_crowded_out(struct conn *c)
{
	entry_withdraw(c);
	return -FL_DROP_NAT_PORTS;
}

/*
 * Lets others see the entry, unless one of the same connection stays: STATE_EXISTS. Both of its steps fail where another one has decided that
 * it is not to be (other_stays()).
 */
GLOBAL int entry_publish(struct conn *c)
{
	__u64 claimed, shown;

	if (!c)
		return -FL_DROP_INTERNAL;
	claimed = FL_TAG(0, FL_TAG_SERIAL(c->tag), FL_KIND_CLAIMED);
	shown = FL_TAG_AS(c->tag, FL_KIND_CLAIMED);
	if (tag_swap(c->slot, claimed, shown) && key_settle(c, &c->key, &c->place, c->slot) &&
	    tag_swap(c->slot, shown, c->tag)) {
		state_count(1, 1);
		return 0;
	}
	entry_withdraw(c);
	if (key_other(c, &c->key, &c->place, ~0u))
		return STATE_EXISTS;
	return c->translated ? -FL_DROP_NAT_PORTS : -FL_DROP_STATE_FULL;
}

/* What was found to be over goes; whether limits allow a new one. 0 or -FL_DROP_*. */
GLOBAL int entry_admit(struct conn *c, struct fl_state *fresh)
{
	struct fl_state_counts *mine = state_counts_mine();

	if (!c || !fresh || !mine)
		return -FL_DROP_INTERNAL;
	if (c->over)
		state_remove(c->over_slot, c->over_tag);
	c->over = false;
	if (rules_enter(c, fresh))
		return 0;
	mine->refused_rule++;
	return -FL_DROP_STATE_LIMIT;
}

static __always_inline void entry_refused(const struct fl_state *fresh, int why)
{
	struct fl_state_counts *mine = state_counts_mine();

	if (mine)
		mine->refused_full += why == -FL_DROP_STATE_FULL;
	rule_leave(fresh, state_rule(fresh, 0));
	rule_leave(fresh, state_rule(fresh, 1));
}

/* The entry in c->other_room, which stays instead of ours, is the packet's. It may not be published yet. */
GLOBAL int conn_follow(struct conn *c)
{
	const struct fl_state *st;

	if (!c)
		return 0;
	st = state_at(c->other_room.slot);
	if (!st)
		return 0;
	c->slot = c->main = c->other_room.slot;
	c->tag = c->other_room.tag;
	c->main_side = c->side;
	c->translated = false;
	if (FL_TAG_KIND(c->tag) == FL_KIND_TWIN) {
		twin_follow(c, st);
	} else if (st->flags & FL_STATE_TRANSLATED) {
		c->other = st->twin;
		c->translated = true;
	}
	return 0;
}

/*
 * Makes a state of what state_find() did not find. `fresh`: what state_begin() has filled, and what the caller knows of rules,
 * translation and ways. `twin`: the translated tuple, which twin_of() has normalised; NULL: no translation. What state_find() found to
 * be over is removed. Returns 0, or STATE_EXISTS, or -FL_DROP_STATE_FULL, -FL_DROP_STATE_LIMIT, -FL_DROP_NAT_PORTS (the twin's tuple
 * is another's). One call behind the other, not in each other: there are 512 bytes of stack for all.
 */
static __always_inline int state_insert(struct conn *c, struct fl_state *fresh, struct fl_tuple *twin)
{
	const struct fl_state_control *control = state_control();
	struct fl_state_counts *mine = state_counts_mine();
	int r;

	if (!control || !mine)
		return -FL_DROP_INTERNAL;
	if (fl_dry_run)
		return 0;
	r = entry_admit(c, fresh);
	if (r) {
		table_sweep(c->now);
		return r;
	}
	r = table_admit(c->now) ? entry_begin(c, fresh) : -FL_DROP_STATE_FULL;
	if (!r && twin) {
		r = twin_insert(c, twin);
		if (r)
			state_free(c->slot, c->tag);
		else if (!key_settle(c, twin, &c->twin_place, c->other))
			r = entry_crowded_out(c);
	}
	if (!r)
		r = entry_publish(c);
	mine->made += !r;
	if (r)
		entry_refused(fresh, r);
	if (r == STATE_EXISTS)
		conn_follow(c);
	return r;
}

/* The translated tuple, for state_insert(): as tuple_of(), its `src` being what that one's becomes. */
static __always_inline void twin_of(struct conn *c, struct fl_tuple *twin, const union fl_addr *src,
				    const union fl_addr *dst, __be16 sport, __be16 dport)
{
	c->twin_side = tuple_set(twin, src, dst, sport, dport, c->key.proto);
}
