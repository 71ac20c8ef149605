// SPDX-License-Identifier: GPL-2.0-only
/* The state table: what a peer tells of. */
#include "user/policy/states_peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include <bpf/bpf.h>

#include "user/policy/states_private.h"

#define CONTEST_MS 20
#define BOTH_S 1 /* a connection of which packets come to two nodes within such a time is forwarded by both */

static bool is_later(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) > 0;
}

unsigned int states_tuple(struct fl_tuple *tuple, const union fl_addr *src, const union fl_addr *dst, __be16 sport,
			  __be16 dport, uint8_t proto)
{
	int order = memcmp(src, dst, sizeof(*src));
	unsigned int side = order ? order > 0 : ntohs(sport) > ntohs(dport);

	memset(tuple, 0, sizeof(*tuple));
	tuple->addr[side] = *src;
	tuple->addr[side ^ 1] = *dst;
	tuple->port[side] = sport;
	tuple->port[side ^ 1] = dport;
	tuple->proto = proto;
	return side;
}

static struct fl_state_place place_of(const struct states *t, const struct fl_tuple *key)
{
	return fl_state_hash(key, t->control->key, t->control->buckets);
}

/* ---- looking ---- */

bool states_at(const struct states *t, uint32_t slot, struct states_entry *entry)
{
	const struct fl_state *twin;
	unsigned int turned;

	if (slot >= states_slots(t))
		return false;
	entry->slot = slot;
	entry->tag = states_tag(t, slot);
	entry->state = t->entries[slot];
	memcpy(entry->addr, entry->state.addr, sizeof(entry->addr));
	memcpy(entry->port, entry->state.port, sizeof(entry->port));
	entry->translated = entry->state.flags & FL_STATE_TRANSLATED;
	if (!states_is_state(entry->tag))
		return false;
	if (entry->translated) {
		if (entry->state.twin >= states_slots(t))
			return false;
		twin = &t->entries[entry->state.twin];
		turned = twin->flags & FL_STATE_TURNED ? 1 : 0;
		for (unsigned int i = 0; i < 2; i++) {
			entry->addr[i] = twin->addr[i ^ turned];
			entry->port[i] = twin->port[i ^ turned];
		}
		if (twin->twin != slot || twin->made != FL_TAG_SERIAL(entry->tag))
			return false;
	}
	return states_tag(t, slot) == entry->tag;
}

void states_expect_at(const struct states *t, uint32_t slot)
{
	__builtin_prefetch(&t->buckets[slot / FL_BUCKET_WAYS], 1);
	__builtin_prefetch(&t->entries[slot], 1);
	__builtin_prefetch(&t->entries[slot].end, 1);
}

void states_expect(const struct states *t, const struct fl_tuple *tuples, unsigned int n,
		   uint32_t slots[STATES_EXPECT_MAX])
{
	struct fl_state_place place;
	uint32_t other[STATES_EXPECT_MAX];

	for (unsigned int i = 0; i < n; i++) {
		place = place_of(t, &tuples[i]);
		slots[i] = place.bucket[0] * FL_BUCKET_WAYS + FL_STATE_HOME(&place);
		other[i] = place.bucket[1];
	}
	for (unsigned int i = 0; i < n; i++) {
		states_expect_at(t, slots[i]);
		__builtin_prefetch(&t->buckets[other[i]], 1);
	}
}

/* The slot of the state with the key, or of that of which a twin has it. */
static bool find_main(const struct states *t, const struct fl_tuple *key, uint32_t *slot, bool *by_twin)
{
	struct fl_state_place place = place_of(t, key);
	const struct fl_state *st;

	if (!states_find_key(t, key, &place, slot))
		return false;
	st = &t->entries[*slot];
	*by_twin = FL_TAG_KIND(states_tag(t, *slot)) == FL_KIND_TWIN;
	if (!*by_twin)
		return true;
	if (!states_twin_lives(t, st))
		return false;
	*slot = st->twin;
	return true;
}

bool states_find(const struct states *t, const struct fl_tuple *tuple, uint32_t now, struct states_entry *entry)
{
	uint32_t slot;
	bool by_twin;

	return find_main(t, tuple, &slot, &by_twin) && states_at(t, slot, entry) &&
	       !fl_state_is_expired(&entry->state, t->control, now);
}

bool states_is_at(const struct states *t, uint32_t slot, uint32_t serial)
{
	uint64_t tag = slot < states_slots(t) ? states_tag(t, slot) : 0;

	return states_is_state(tag) && FL_TAG_SERIAL(tag) == serial;
}

/* ---- ending, owning ---- */

bool states_drop(struct states *t, uint32_t slot, uint32_t serial)
{
	uint64_t tag = slot < states_slots(t) ? states_tag(t, slot) : 0;

	return states_is_state(tag) && FL_TAG_SERIAL(tag) == serial &&
	       __atomic_load_n(&t->entries[slot].flags, __ATOMIC_RELAXED) & FL_STATE_PEER &&
	       states_remove(t, slot, tag);
}

void states_own(struct states *t, uint32_t slot, uint32_t serial)
{
	if (!states_is_at(t, slot, serial) || !(t->entries[slot].flags & FL_STATE_PEER))
		return;
	__atomic_fetch_and(&t->entries[slot].flags, (uint8_t)~FL_STATE_PEER, __ATOMIC_RELAXED);
	states_log(t, slot);
}

/* ---- its rules ---- */

static void source_enter(struct states *t, const struct fl_state *st, uint16_t rule)
{
	struct fl_rule_source key = { .addr = st->addr[states_starter(st)], .rule = rule };
	uint32_t states = 0;

	if (t->sources < 0)
		return;
	bpf_map_lookup_elem(t->sources, &key, &states);
	states++;
	bpf_map_update_elem(t->sources, &key, &states, BPF_ANY);
}

/* The limits are not asked: whoever let it begin has done so. */
static void rules_enter(struct states *t, const struct fl_state *st, bool enter)
{
	for (int i = 0; i < 2; i++) {
		uint16_t rule = i && st->rule[1] == st->rule[0] ? 0 : st->rule[i];

		if (!rule || rule >= FL_RULE_IDS_MAX)
			continue;
		if (!enter) {
			states_rule_leave(t, st, rule);
			continue;
		}
		__atomic_fetch_add((uint32_t *)&t->rule_states[rule], 1, __ATOMIC_RELAXED);
		if (st->flags & FL_STATE_COUNTED)
			source_enter(t, st, rule);
	}
}

/* ---- making ---- */

static void image_of(const struct states_news *news, struct states_image *image)
{
	struct fl_tuple key;

	image->state = news->state;
	image->state.flags |= FL_STATE_PEER;
	if (news->state.proto == FL_PROTO_TCP)
		image->state.flags |= FL_STATE_MOVED;
	image->kind = news->kind;
	if (!(news->state.flags & FL_STATE_TRANSLATED))
		return;
	memset(&image->twin, 0, sizeof(image->twin));
	if (states_tuple(&key, &news->addr[0], &news->addr[1], news->port[0], news->port[1], news->state.proto))
		image->twin.flags = FL_STATE_TURNED;
	memcpy(image->twin.addr, key.addr, sizeof(key.addr));
	memcpy(image->twin.port, key.port, sizeof(key.port));
	image->twin.proto = key.proto;
}

/* Ends one that gives way in the buckets of the key: what has run out, or is embryonic. */
static bool make_place(struct states *t, const struct fl_tuple *key, uint32_t now)
{
	struct fl_state_place place = place_of(t, key);

	for (uint32_t way = 0; way < 2 * FL_BUCKET_WAYS; way++) {
		uint32_t slot = place.bucket[way / FL_BUCKET_WAYS] * FL_BUCKET_WAYS + way % FL_BUCKET_WAYS;
		uint64_t tag = states_tag(t, slot);

		if (states_is_state(tag) &&
		    (FL_TAG_KIND(tag) == FL_KIND_EMBRYONIC ||
		     fl_state_is_expired(&t->entries[slot], t->control, now)) &&
		    states_remove(t, slot, tag))
			return true;
	}
	return false;
}

static bool make_room(struct states *t, const struct fl_tuple *keys, unsigned int n, uint32_t now)
{
	bool made = false;

	for (unsigned int i = 0; i < n; i++)
		made |= make_place(t, &keys[i], now);
	return made;
}

static bool is_full(const struct states *t, uint8_t kind)
{
	const struct fl_state_counts *all = &t->counts[FL_STATE_COUNTS_SHARED];

	return kind == FL_KIND_EMBRYONIC &&
	       (all->states >= t->control->limit || all->embryonic >= t->control->embryonic_limit);
}

static int put_with_rules(struct states *t, const struct states_image *image, uint32_t *slot, uint64_t *tag)
{
	int err;

	rules_enter(t, &image->state, true);
	err = states_put(t, image, slot, tag);
	if (err == -ENOSPC)
		rules_enter(t, &image->state, false);
	return err;
}

/* A tuple of another connection's, which is not over and no news of a peer. */
static bool is_others(struct states *t, const struct fl_tuple *key, uint32_t now)
{
	struct states_entry other;
	uint32_t slot;
	bool by_twin;

	if (!find_main(t, key, &slot, &by_twin) || !states_at(t, slot, &other))
		return false;
	if (fl_state_is_expired(&other.state, t->control, now) || other.state.flags & FL_STATE_PEER) {
		states_remove(t, slot, other.tag);
		return false;
	}
	return true;
}

static enum states_took make(struct states *t, const struct states_news *news, uint32_t now, uint32_t *slot,
			     uint64_t *tag)
{
	struct fl_tuple keys[2] = { states_key_of(&news->state) };
	unsigned int n = news->state.flags & FL_STATE_TRANSLATED ? 2 : 1;
	struct states_image image;
	int err;

	if (is_full(t, news->kind))
		return STATES_NO_ROOM;
	image_of(news, &image);
	if (n == 2)
		keys[1] = states_key_of(&image.twin);
	if (n == 2 && is_others(t, &keys[1], now))
		return STATES_OTHERS;
	err = put_with_rules(t, &image, slot, tag);
	if (err == -ENOSPC && news->kind == FL_KIND_ESTABLISHED && make_room(t, keys, n, now))
		err = put_with_rules(t, &image, slot, tag);
	return err == -ENOSPC ? STATES_NO_ROOM : err ? STATES_OTHERS : STATES_MADE;
}

/* ---- merging ---- */

static bool is_same_translation(const struct states_entry *e, const struct states_news *news)
{
	if (e->translated != !!(news->state.flags & FL_STATE_TRANSLATED))
		return false;
	return !e->translated || (!memcmp(e->addr, news->addr, sizeof(e->addr)) && e->port[0] == news->port[0] &&
				  e->port[1] == news->port[1]);
}

static bool is_closing(const struct fl_state *st)
{
	return st->proto == FL_PROTO_TCP && st->phase[0] >= FL_PHASE_CLOSING && st->phase[1] >= FL_PHASE_CLOSING;
}

/* The entry is of an older connection with the same tuple. */
static bool is_past(const struct states *t, const struct states_entry *e, const struct states_news *news, uint32_t now)
{
	if (fl_state_is_expired(&e->state, t->control, now))
		return true;
	if (is_closing(&e->state) && !is_closing(&news->state) && is_later(news->state.made, e->state.made))
		return true;
	return e->state.flags & FL_STATE_PEER && !is_same_translation(e, news);
}

/* Each node has seen more of one direction than the other. */
static bool is_split(const struct fl_state *st, const struct fl_state *news)
{
	uint64_t mine[2] = { fl_state_packets(st, 0), fl_state_packets(st, 1) };
	uint64_t peers[2] = { fl_state_packets(news, 0), fl_state_packets(news, 1) };

	return (mine[0] > peers[0] && mine[1] < peers[1]) || (mine[0] < peers[0] && mine[1] > peers[1]);
}

/* No packet has come here since the last news: the peer's numbers hold, also where they have gone half round. */
static void numbers_follow(struct fl_state *st, const struct fl_state *news)
{
	for (int i = 0; i < 2; i++) {
		st->end[i].seq_lo = news->end[i].seq_lo;
		st->end[i].seq_hi = news->end[i].seq_hi;
		st->end[i].max_win = news->end[i].max_win;
	}
}

static void flags_set(struct fl_state *st, uint8_t flags)
{
	if ((st->flags & flags) != flags)
		__atomic_fetch_or(&st->flags, flags, __ATOMIC_RELAXED);
}

void states_part(struct states *t, const struct states_entry *entry, uint32_t now)
{
	struct fl_state *st = &t->entries[entry->slot];

	if (entry->state.proto == FL_PROTO_TCP && !(entry->state.flags & FL_STATE_PEER) &&
	    now - entry->state.seen < BOTH_S * t->hz && states_is_at(t, entry->slot, FL_TAG_SERIAL(entry->tag)))
		flags_set(st, FL_STATE_LOOSE);
}

/* What has come by the peer nobody here knows: TCP's numbers are those that come. Ways are this node's, and found again. */
static void forget_numbers(struct fl_state *st)
{
	st->end[0].from = st->end[1].from = 0;
	if (st->proto == FL_PROTO_TCP)
		flags_set(st, FL_STATE_MOVED);
}

/* The peer has it now. */
static void hand_over(struct fl_state *st)
{
	forget_numbers(st);
	flags_set(st, FL_STATE_PEER);
}

void states_taken_over(struct states *t, uint32_t begin, uint32_t n)
{
	for (uint32_t slot = begin; slot < states_slots(t) && slot - begin < n; slot++)
		if (states_is_state(states_tag(t, slot)) && t->entries[slot].proto == FL_PROTO_TCP)
			forget_numbers(&t->entries[slot]);
}

/* Packets came to both nodes a moment ago: it has gone over to one of them, or each forwards a direction. That shows when more come. */
static void contest(struct states *t, uint32_t slot, uint32_t serial, uint32_t now)
{
	__typeof__(&t->contested[0]) c = &t->contested[slot % STATES_CONTESTED];

	if (c->since && now - c->since < CONTEST_MS * t->hz / 1000)
		return;
	t->n_contested += !c->since;
	c->slot = slot;
	c->serial = serial;
	c->since = now ?: 1;
}

void states_judge_contested(struct states *t, uint32_t now, bool (*is_claimed)(const void *arg, uint32_t slot),
			    const void *arg)
{
	for (uint32_t i = 0; i < STATES_CONTESTED && t->n_contested; i++) {
		__typeof__(&t->contested[0]) c = &t->contested[i];
		struct fl_state *st = &t->entries[c->slot];

		if (!c->since || now - c->since < CONTEST_MS * t->hz / 1000)
			continue;
		/* what was on its way when it went over came in the tick of that, or in the next */
		if (states_is_at(t, c->slot, c->serial) && !(st->flags & FL_STATE_PEER)) {
			if (is_later(st->seen, c->since + 1))
				flags_set(st, FL_STATE_LOOSE);
			else if (is_claimed(arg, c->slot))
				hand_over(st);
			states_log(t, c->slot);
		}
		c->since = 0;
		t->n_contested--;
	}
}

static void merge(struct states *t, uint32_t slot, uint32_t serial, const struct fl_state *told, uint32_t now)
{
	struct fl_state *st = &t->entries[slot];
	bool newer = is_later(told->seen, st->seen), ours = !(st->flags & FL_STATE_PEER);
	bool split = told->proto == FL_PROTO_TCP && ours && is_split(st, told);
	bool here = now - st->seen < BOTH_S * t->hz, there = now - told->seen < BOTH_S * t->hz;
	bool known = st->phase[0] <= told->phase[0] && st->phase[1] <= told->phase[1];

	if (!ours && newer)
		numbers_follow(st, told);
	states_merge(st, told);
	if (split || told->flags & FL_STATE_LOOSE)
		flags_set(st, FL_STATE_LOOSE);
	if (newer && (!ours || (known && !(st->flags & FL_STATE_LOOSE && here))))
		hand_over(st);
	else if (told->proto == FL_PROTO_TCP && ours && here && there && !(st->flags & FL_STATE_LOOSE))
		contest(t, slot, serial, now);
	if (ours && st->flags & FL_STATE_PEER)
		states_log(t, slot);
}

static void promote(struct states *t, uint32_t slot, uint64_t *tag)
{
	uint64_t next = FL_TAG_AS(*tag, FL_KIND_ESTABLISHED);

	if (FL_TAG_KIND(*tag) != FL_KIND_EMBRYONIC || !states_tag_swap(t, slot, *tag, next))
		return;
	*tag = next;
	states_count(t, 0, -1);
}

enum states_took states_take(struct states *t, const struct states_news *news, uint32_t now, uint32_t *slot,
			     uint64_t *tag)
{
	struct fl_tuple key = states_key_of(&news->state);
	struct states_entry is;
	bool by_twin;

	if (!find_main(t, &key, slot, &by_twin) || !states_at(t, *slot, &is))
		return make(t, news, now, slot, tag);
	if (by_twin ? fl_state_is_expired(&is.state, t->control, now) || is.state.flags & FL_STATE_PEER
		    : is_past(t, &is, news, now)) {
		states_remove(t, *slot, is.tag);
		return make(t, news, now, slot, tag);
	}
	if (by_twin || is.state.flags & (FL_STATE_OWN | FL_STATE_PROBE) || !is_same_translation(&is, news))
		return STATES_OTHERS;
	*tag = is.tag;
	merge(t, *slot, FL_TAG_SERIAL(is.tag), &news->state, now);
	if (news->kind == FL_KIND_ESTABLISHED)
		promote(t, *slot, tag);
	return STATES_MERGED;
}
