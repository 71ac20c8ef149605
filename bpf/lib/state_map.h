/* SPDX-License-Identifier: GPL-2.0-only */
/* The state table: its maps, and finding what is in them. */
#pragma once

#include "fairlead/rules.h"
#include "fairlead/state.h"
#include "lib/control.h"
#include "lib/tcp_track.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FL_STATE_BUCKETS); /* the daemon sets it */
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct fl_bucket);
} fl_buckets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FL_STATE_BUCKETS *FL_BUCKET_WAYS); /* the daemon sets it */
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct fl_state);
} fl_states SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct fl_state_control);
} fl_state_control SEC(".maps"); /* Daemon writes */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FL_STATE_COUNTS_CPU(1)); /* for all CPUs: the daemon sets it */
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct fl_state_counts);
} fl_state_counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FL_RULE_STATS_INDEX(2, 0)); /* for all CPUs and the daemon: it sets it */
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct fl_rule_stats);
} fl_rule_stats SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FL_RULE_IDS_MAX);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, __u32);
} fl_rule_states SEC(".maps"); /* programs and daemon */

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, FL_STATE_SOURCES_MAX);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct fl_rule_source);
	__type(value, __u32);
} fl_rule_sources SEC(".maps"); /* programs and daemon */

/* A place for a new entry. */
struct state_room {
	__u32 slot;
	bool gives_way; /* somebody is there */
	__u64 tag;	/* what it has: the claim replaces it */
};

/* What the pipeline knows of a packet's connection. Lies in per-CPU scratch. */
struct conn {
	struct fl_tuple key;
	__u8 side; /* the end of key that sent the packet */
	/* found */
	__u8 main_side;	 /* the same, of the entry with the state */
	__u8 twin_side;	 /* for state_insert(): the end of the twin's tuple that `side` becomes */
	bool translated; /* the entry has a twin, or is one */
	__u32 slot;	 /* the entry that has the key … */
	__u32 main;	 /* … and the one with the state: the same, or a twin's */
	__u32 other;	 /* with `translated`: the entry with the tuple that the other side sees */
	__u64 tag;	 /* of `main`, as it was found */
	/* one under the key that is over: state_insert() removes it */
	__u32 over_slot;
	bool over;
	__u64 over_tag;
	/* how to find it */
	struct fl_state_place place;
	__u32 now; /* low word of jiffies64 */
	/* for state_insert(): of the rules that fresh->rule names; 0: any number */
	__u32 max_states[2], max_states_per_source[2];
	struct tcp_next next; /* what state_check() found, for state_update() to write */
	/* state_insert()'s own, here since stacks are small */
	struct state_room room, twin_room, other_room;
	struct fl_state_place twin_place;
};

#define STATE_EXISTS 1 /* state_insert(): another CPU was first, and c has what it made, or is about to */
#define STATE_MISS 1   /* state_check(): begins another connection, as if state_find() had found none */

static __always_inline const struct fl_state_control *state_control(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&fl_state_control, &zero);
}

static __always_inline struct fl_state_counts *state_counts(__u32 line)
{
	return bpf_map_lookup_elem(&fl_state_counts, &line);
}

static __always_inline struct fl_bucket *bucket_at(__u32 index)
{
	return bpf_map_lookup_elem(&fl_buckets, &index);
}

static __always_inline struct fl_state *state_at(__u32 slot)
{
	return bpf_map_lookup_elem(&fl_states, &slot);
}

static __always_inline volatile __u64 *tag_at(__u32 slot)
{
	struct fl_bucket *bucket = bucket_at(slot / FL_BUCKET_WAYS);

	return bucket ? &bucket->tag[slot % FL_BUCKET_WAYS] : NULL;
}

static __always_inline bool kind_is_state(__u64 tag)
{
	return FL_TAG_KIND(tag) == FL_KIND_EMBRYONIC || FL_TAG_KIND(tag) == FL_KIND_ESTABLISHED;
}

/* Whether a sorts behind b, as bytes. */
static __always_inline bool addr_is_behind(const union fl_addr *a, const union fl_addr *b)
{
	if (a->q[0] != b->q[0])
		return bpf_be64_to_cpu(a->q[0]) > bpf_be64_to_cpu(b->q[0]);
	return bpf_be64_to_cpu(a->q[1]) > bpf_be64_to_cpu(b->q[1]);
}

/* A tuple of the two ends, and which one of its ends is `src`. */
static __always_inline __u8 tuple_set(struct fl_tuple *key, const union fl_addr *src, const union fl_addr *dst,
				      __be16 sport, __be16 dport, __u8 proto)
{
	__u8 side;

	if (src->q[0] == dst->q[0] && src->q[1] == dst->q[1])
		side = bpf_ntohs(sport) > bpf_ntohs(dport);
	else
		side = addr_is_behind(src, dst);
	key->addr[0] = side ? *dst : *src;
	key->addr[1] = side ? *src : *dst;
	key->port[0] = side ? dport : sport;
	key->port[1] = side ? sport : dport;
	key->proto = proto;
	return side;
}

/* Starts with a packet: for state_find(). */
static __always_inline void tuple_of(struct conn *c, const union fl_addr *src, const union fl_addr *dst, __be16 sport,
				     __be16 dport, __u8 proto)
{
	c->side = tuple_set(&c->key, src, dst, sport, dport, proto);
}

/* A bit for each way whose tag has the hash. No branches: the verifier would follow each, the CPU guess every second one wrong. */
static __always_inline __u32 bucket_match(const struct fl_bucket *bucket, __u32 hash)
{
	__u64 found = 0;

#pragma unroll
	for (int i = 0; i < FL_BUCKET_WAYS; i++) {
		__u64 differs = FL_TAG_HASH(*(const volatile __u64 *)&bucket->tag[i]) ^ hash;

		hide(differs);
		found |= (differs - 1) >> 63 << i;
	}
	return found;
}

/* Number of the lowest bit of the 16 that is set: a de Bruijn sequence times it has in its top bits which nibble says so. */
static __always_inline __u32 lowest_bit(__u32 bits)
{
	return 0xcd7ea84fb6935210 >> (((bits & -bits) * 0x09af >> 12 & 15) * 4) & 15;
}

/* The slot of way 0 to 7 of the first bucket, 8 to 15 of the second. */
static __always_inline __u32 place_slot(const struct fl_state_place *place, __u32 way)
{
	__u32 second = -(way >> 3);

	return (place->bucket[0] ^ ((place->bucket[0] ^ place->bucket[1]) & second)) * FL_BUCKET_WAYS + way % 8;
}

static __always_inline bool state_has_key(const struct fl_state *st, const struct fl_tuple *key)
{
	return st->addr[0].q[1] == key->addr[0].q[1] && st->addr[1].q[1] == key->addr[1].q[1] &&
	       st->addr[0].q[0] == key->addr[0].q[0] && st->addr[1].q[0] == key->addr[1].q[0] &&
	       st->port[0] == key->port[0] && st->port[1] == key->port[1] && st->proto == key->proto;
}

/* Whether the lowest of the ways in *found has the key; takes it from there. */
static __always_inline bool key_is_at(const struct fl_tuple *key, const struct fl_state_place *place, __u32 *found,
				      __u32 *slot, __u64 *tag)
{
	const volatile __u64 *now;
	const struct fl_state *st;

	*slot = place_slot(place, lowest_bit(*found));
	*found &= *found - 1;
	now = tag_at(*slot);
	st = state_at(*slot);
	if (!now || !st)
		return false;
	*tag = *now;
	return FL_TAG_HASH(*tag) == place->hash && FL_TAG_KIND(*tag) > FL_KIND_CLAIMED && state_has_key(st, key);
}

/*
 * Where the key lies: whatever is published under it. Returns the slot and its tag. Of a hash of 32 bits it takes billions of entries for
 * one packet to meet two others with the same.
 */
static __always_inline bool key_find(const struct fl_tuple *key, const struct fl_state_place *place, __u32 *slot,
				     __u64 *tag)
{
	const struct fl_bucket *first = bucket_at(place->bucket[0]), *second = bucket_at(place->bucket[1]);
	__u32 found;

	if (!first || !second)
		return false;
	found = bucket_match(first, place->hash) | bucket_match(second, place->hash) << FL_BUCKET_WAYS;
	if (!found)
		return false;
	return key_is_at(key, place, &found, slot, tag) || (found && key_is_at(key, place, &found, slot, tag)) ||
	       (found && key_is_at(key, place, &found, slot, tag));
}

/*
 * The entry with the state of the twin in c->slot. False: it is gone. Whether the serial is still that of the claim that the twin was
 * made with.
 */
static __always_inline bool twin_follow(struct conn *c, const struct fl_state *twin)
{
	const volatile __u64 *tag = tag_at(twin->twin);

	if (!tag)
		return false;
	c->main = twin->twin;
	c->other = twin->twin;
	c->translated = true;
	c->main_side = c->side ^ !!(twin->flags & FL_STATE_TURNED);
	c->tag = *tag;
	return kind_is_state(c->tag) && FL_TAG_SERIAL(c->tag) == twin->made;
}

/* Whether an entry is the twin of a state with that key, which another CPU may be about to publish. */
static __always_inline bool twin_is_of(__u32 slot, __u64 tag, const struct fl_tuple *key)
{
	const struct fl_state *twin = state_at(slot), *st;
	const volatile __u64 *main;

	if (!twin || FL_TAG_KIND(tag) != FL_KIND_TWIN)
		return false;
	main = tag_at(twin->twin);
	st = state_at(twin->twin);
	return main && st && FL_TAG_KIND(*main) != FL_KIND_FREE && FL_TAG_SERIAL(*main) == twin->made &&
	       state_has_key(st, key);
}

/* What the entry that has the key says of the packet. */
static __always_inline int state_found(struct conn *c, const struct fl_state_control *control)
{
	const struct fl_state *st = state_at(c->slot);

	if (!st)
		return 0;
	c->over_slot = c->slot;
	c->over_tag = c->tag;
	if (FL_TAG_KIND(c->tag) == FL_KIND_TWIN) {
		if (!twin_follow(c, st)) {
			c->over = FL_TAG_KIND(c->tag) == FL_KIND_FREE || FL_TAG_SERIAL(c->tag) != st->made;
			return 0;
		}
		st = state_at(c->main);
		if (!st)
			return 0;
	} else {
		c->main = c->slot;
		c->main_side = c->side;
		c->translated = st->flags & FL_STATE_TRANSLATED;
		c->other = st->twin;
	}
	c->over_slot = c->main;
	c->over_tag = c->tag;
	c->over = fl_state_is_expired(st, control, c->now);
	return !c->over;
}

/* Where a key most probably lies: memory is asked for its two lines without waiting for the tags. */
static __always_inline void state_expect(const struct fl_state_place *place)
{
	const volatile struct fl_state *st = state_at(place_slot(place, FL_STATE_HOME(place)));

	if (!st)
		return;
	(void)st->made;
	(void)st->end[0].packets;
}

/* The state of the packet that tuple_of() was told of. 1: c has it; 0: none, or one that has run out. */
GLOBAL int state_find(struct conn *c)
{
	const struct fl_state_control *control = state_control();

	if (!c || !control)
		return 0;
	c->now = bpf_jiffies64();
	c->over = false;
	c->place = fl_state_hash(&c->key, control->key, control->buckets);
	state_expect(&c->place);
	return key_find(&c->key, &c->place, &c->slot, &c->tag) && state_found(c, control);
}
