// SPDX-License-Identifier: GPL-2.0-only
/* State replication: a peer's entries in this table. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/lib/be.h"
#include "user/policy/states_peer.h"
#include "user/policy/states_private.h"
#include "user/sync/states_pack.h"
#include "user/sync/states_private.h"

#define SLOTS_MAX (1u << 28)	      /* of a peer's table: some hundred million states */
#define GROUP (STATES_EXPECT_MAX / 2) /* records, of two tuples each, that memory is asked for at a time */
#define WANT_MAX 256
#define TURNS \
	10000 /* in which the mirror is looked through once: ten seconds while there is much to do, else four times as long */

/* ---- the mirror ---- */

/* Of the peer's, and there is none here for want of room, or of its gateway: not for that of a connection of this node's own. */
static bool is_missing(const struct mirrored *m)
{
	return m->peer_serial && m->slot == NOWHERE && m->serial;
}

static void unown(struct receiving *r, uint32_t slot, const struct mirrored *m)
{
	if (m->slot != NOWHERE && r->owners[m->slot] == slot + 1)
		r->owners[m->slot] = 0;
}

/* The peer's slot has nothing any more. Where the entry is that was of it; NOWHERE: none is, or not by it. */
static uint32_t slot_clear(struct states_sync_peer *peer, uint32_t slot)
{
	uint32_t here = NOWHERE;
	struct receiving *r = &peer->receive;
	struct mirrored *m = &r->mirror[slot];

	if (!m->peer_serial)
		return NOWHERE;
	digest_take(&r->digest, slot, m->peer_serial);
	if (m->slot != NOWHERE) {
		here = r->owners[m->slot] == slot + 1 ? m->slot : NOWHERE;
		unown(r, slot, m);
		r->theirs--;
	}
	r->missing -= is_missing(m);
	*m = (struct mirrored){};
	return here;
}

/* What is here of it ends, if it still is the peer's. */
static void slot_end(struct states_sync_peer *peer, uint32_t slot)
{
	uint32_t serial = peer->receive.mirror[slot].serial, here = slot_clear(peer, slot);

	if (here != NOWHERE)
		states_drop(peer->sync->host.table, here, serial);
}

bool receiving_is_claimed(const void *arg, uint32_t here)
{
	const struct states_sync *sync = arg;

	for (const struct states_sync_peer *peer = sync->peers; peer; peer = peer->next)
		if (peer->receive.owners && peer->receive.owners[here])
			return true;
	return false;
}

/*
 * Another one has told the peer of it: as a rule this node. Where each has told the other, and nobody claims it any more, it is his whose table
 * has the lower lineage.
 */
static void slot_disclaimed(struct states_sync_peer *peer, uint32_t slot)
{
	uint32_t serial = peer->receive.mirror[slot].serial, here = slot_clear(peer, slot);
	struct states *table = peer->sync->host.table;

	if (here != NOWHERE && !receiving_is_claimed(peer->sync, here) &&
	    table->control->lineage < peer->receive.lineage)
		states_own(table, here, serial);
}

static void slot_set(struct states_sync_peer *peer, const struct states_id *id, uint32_t here, uint32_t serial)
{
	struct receiving *r = &peer->receive;
	struct mirrored *m = &r->mirror[id->slot];

	if (!m->peer_serial)
		digest_add(&r->digest, id->slot, id->serial);
	else if (m->slot != NOWHERE)
		r->theirs--;
	if (m->peer_serial && m->slot != here)
		unown(r, id->slot, m);
	r->missing -= is_missing(m);
	*m = (struct mirrored){ .peer_serial = id->serial | SERIAL_IS, .slot = here, .serial = serial };
	r->missing += is_missing(m);
	if (here == NOWHERE)
		return;
	r->owners[here] = id->slot + 1;
	r->theirs++;
}

/* One that the peer has told of by another slot is of an older connection with the same tuple: that has ended there. */
static enum states_took entry_take(struct states_sync_peer *peer, uint32_t slot, const struct states_news *news,
				   uint32_t now, uint32_t *here, uint64_t *tag)
{
	struct receiving *r = &peer->receive;
	enum states_took took;
	uint32_t owner;

	took = states_take(peer->sync->host.table, news, now, here, tag);
	owner = took == STATES_MERGED ? r->owners[*here] : 0;
	if (owner && owner != slot + 1) {
		slot_end(peer, owner - 1);
		took = states_take(peer->sync->host.table, news, now, here, tag);
	}
	return took;
}

/* Ended here before the peer has heard of that, or of what it was here: it hears of it now. */
static bool was_killed(struct states_sync_peer *peer, const struct states_id *id, const struct fl_state *st)
{
	struct fl_tuple tuple = states_key_of(st);
	const struct killed_one *one = killed_find(&peer->sync->killed, &tuple, st->made);

	if (one && one->reset)
		sending_reset(peer, id->slot, id->serial);
	if (one)
		sending_kill(peer, id->slot, id->serial);
	return one;
}

static int take_record(struct states_sync_peer *peer, const uint8_t *data, size_t size,
		       const struct states_clock *clock)
{
	struct receiving *r = &peer->receive;
	enum states_took took = STATES_NO_ROOM; /* nor for what can't be had here: a gateway that is not here, … */
	struct states_news news;
	struct states_id id;
	uint64_t tag = 0;
	uint32_t here;
	int err = states_record_get(data, size, r->numbers, clock, &id, &news);

	id.serial &= 0xffffff;
	if (id.slot >= r->slots)
		return -EPROTO;
	peer->received++;
	if (r->mirror[id.slot].peer_serial && r->mirror[id.slot].peer_serial != (id.serial | SERIAL_IS))
		slot_end(peer, id.slot);
	if (!err && peer->sync->killed.n && was_killed(peer, &id, &news.state))
		took = STATES_OTHERS;
	else if (!err)
		took = entry_take(peer, id.slot, &news, clock->now, &here, &tag);
	if (took <= STATES_MERGED) {
		states_map(peer->sync->host.table, &news, clock->now);
		slot_set(peer, &id, here, FL_TAG_SERIAL(tag));
		return 0;
	}
	peer->refused += took == STATES_NO_ROOM && !is_missing(&r->mirror[id.slot]);
	slot_set(peer, &id, NOWHERE, took == STATES_NO_ROOM);
	return 0;
}

/* A table is too big for any cache: what records need of it is asked for while others are taken. */
static void expect_records(const struct states_sync_peer *peer, const uint8_t *data, size_t size, size_t n)
{
	const struct receiving *r = &peer->receive;
	struct fl_tuple tuples[STATES_EXPECT_MAX];
	uint32_t slots[STATES_EXPECT_MAX];
	unsigned int n_tuples = 0;

	for (size_t i = 0; i < n; i++, data += size) {
		__builtin_prefetch(&r->mirror[get_be32(data) % r->slots], 1);
		n_tuples += states_record_tuples(data, &tuples[n_tuples]);
	}
	states_expect(peer->sync->host.table, tuples, n_tuples, slots);
	for (unsigned int i = 0; i < n_tuples; i++)
		__builtin_prefetch(&r->owners[slots[i]], 1);
}

static int take_group(struct states_sync_peer *peer, const uint8_t *data, size_t size, size_t n,
		      const struct states_clock *clock)
{
	int err = 0;

	expect_records(peer, data, size, n);
	for (size_t i = 0; i < n && !err; i++)
		err = take_record(peer, data + i * size, size, clock);
	return err;
}

/* What `records` has is of the group before. Returns how many bytes it took; 0: that was no group. */
static size_t group_unpack(uint8_t *records, size_t size, size_t n, const uint8_t *data, size_t len)
{
	const uint8_t *before = records + (GROUP - 1) * size;
	size_t all = 0, took;

	for (size_t i = 0; i < n; i++, before = records, records += size, all += took) {
		memcpy(records, before, size);
		took = states_unpack(records, size, data + all, len - all);
		if (!took)
			return 0;
	}
	return all;
}

static int take_packed(struct states_sync_peer *peer, const uint8_t *data, size_t len, size_t size, size_t n)
{
	struct states_clock clock = clock_of(peer);
	uint8_t records[GROUP * STATES_RECORD_MAX];
	size_t group, took;
	int err = 0;

	if (size % STATES_PACK_WORD)
		return -EPROTO;
	memset(records + (GROUP - 1) * size, 0, size);
	for (; n && !err; n -= group, data += took, len -= took) {
		group = n < GROUP ? n : GROUP;
		took = group_unpack(records, size, group, data, len);
		if (!took)
			return -EPROTO;
		err = take_group(peer, records, size, group, &clock);
	}
	return err ?: len ? -EPROTO : 0;
}

static int take_plain(struct states_sync_peer *peer, const uint8_t *data, size_t len, size_t size, size_t n)
{
	struct states_clock clock = clock_of(peer);
	size_t group;
	int err = 0;

	if (len != n * size)
		return -EPROTO;
	for (; n && !err; n -= group, data += group * size) {
		group = n < GROUP ? n : GROUP;
		err = take_group(peer, data, size, group, &clock);
	}
	return err;
}

static int take_batch(struct states_sync_peer *peer, const uint8_t *data, size_t len,
		      int (*take)(struct states_sync_peer *peer, const uint8_t *data, size_t len, size_t size,
				  size_t n))
{
	size_t size, n;

	if (!peer->receive.mirror) /* it was asked for all, or is when its digest comes */
		return 0;
	if (len < BATCH_HEADER)
		return -EPROTO;
	size = get_be16(data);
	n = get_be16(data + 2);
	if (size < STATES_RECORD_MIN || size > STATES_RECORD_MAX)
		return -EPROTO;
	return take(peer, data + BATCH_HEADER, len - BATCH_HEADER, size, n);
}

/* Unused ones of the mirror are zero: what is asked for then is of no use, and no harm. */
static void expect_pairs(const struct states_sync_peer *peer, const uint8_t *data, size_t len)
{
	const struct receiving *r = &peer->receive;

	for (size_t i = 0; i < len && i < GROUP * PAIR_BYTES; i += PAIR_BYTES) {
		uint32_t here = r->mirror[get_be32(data + i) % r->slots].slot;

		if (here == NOWHERE)
			continue;
		states_expect_at(peer->sync->host.table, here);
		__builtin_prefetch(&r->owners[here], 1);
	}
}

static int take_pairs(struct states_sync_peer *peer, const uint8_t *data, size_t len,
		      void (*each)(struct states_sync_peer *peer, uint32_t slot))
{
	struct receiving *r = &peer->receive;

	if (!r->mirror)
		return 0;
	if (len % PAIR_BYTES)
		return -EPROTO;
	for (size_t i = 0; i < len; i += PAIR_BYTES) {
		uint32_t slot = get_be32(data + i), serial = get_be32(data + i + 4) | SERIAL_IS;

		if (i % (GROUP * PAIR_BYTES) == 0)
			expect_pairs(peer, data + i, len - i);
		if (slot >= r->slots)
			return -EPROTO;
		peer->received++;
		if (r->mirror[slot].peer_serial == serial)
			each(peer, slot);
	}
	return 0;
}

/* ---- bulk ---- */

static void mirror_free(struct receiving *r)
{
	free(r->mirror);
	free(r->owners);
	r->mirror = NULL;
	r->owners = NULL;
	r->slots = 0;
	r->theirs = 0;
	r->missing = 0;
	r->digest = (struct digest){};
}

static void left_free(struct receiving *r)
{
	free(r->left);
	r->left = NULL;
	r->n_left = 0;
}

/* What there is of the peer is kept in mind, beside what is left of an earlier bulk that came to no end. */
static int left_add(struct receiving *r)
{
	struct leftover *left = reallocarray(r->left, r->n_left + r->theirs + 1, sizeof(*left));

	if (!left)
		return -ENOMEM;
	r->left = left;
	for (uint32_t slot = 0; slot < r->slots; slot++)
		if (r->mirror[slot].peer_serial && r->mirror[slot].slot != NOWHERE)
			r->left[r->n_left++] = (struct leftover){ r->mirror[slot].slot, r->mirror[slot].serial };
	return 0;
}

/* The peer has been restarted and knows none of these: they are this node's, and go back to it. */
static void left_own(struct states_sync_peer *peer)
{
	struct receiving *r = &peer->receive;

	for (size_t i = 0; i < r->n_left; i++)
		states_own(peer->sync->host.table, r->left[i].slot, r->left[i].serial);
	if (r->n_left)
		peer->send.again = true;
	left_free(r);
}

static bool is_confirmed(const struct receiving *r, const struct leftover *left)
{
	uint32_t owner = r->owners[left->slot];

	return owner && r->mirror[owner - 1].slot == left->slot && r->mirror[owner - 1].serial == left->serial;
}

/*
 * A daemon that begins finds entries in its table that an earlier one has had of the peer, and nobody knows of which slot. Those that the bulk
 * has not confirmed have ended; if the peer has a new table, they are this node's. Of several peers nobody can tell whose they were.
 */
static void orphans_end(struct states_sync_peer *peer)
{
	struct states *table = peer->sync->host.table;
	struct receiving *r = &peer->receive;
	bool one = !peer->sync->peers->next, same = table->control->peer_lineage == r->lineage;

	for (uint32_t slot = 0; r->first && one && slot < peer->sync->slots; slot++) {
		uint64_t tag = states_tag(table, slot);

		if (!states_is_state(tag) || r->owners[slot] || !(table->entries[slot].flags & FL_STATE_PEER))
			continue;
		if (same)
			states_remove(table, slot, tag);
		else
			states_own(table, slot, FL_TAG_SERIAL(tag));
	}
	table->control->peer_lineage = one ? r->lineage : 0;
}

static void bulk_end(struct states_sync_peer *peer)
{
	struct receiving *r = &peer->receive;

	for (size_t i = 0; i < r->n_left; i++)
		if (!is_confirmed(r, &r->left[i]))
			states_drop(peer->sync->host.table, r->left[i].slot, r->left[i].serial);
	left_free(r);
	orphans_end(peer);
	r->bulk = false;
	r->done = true;
}

static int bulk_begin(struct states_sync_peer *peer, const uint8_t *data, size_t len)
{
	struct receiving *r = &peer->receive;
	uint32_t lineage, slots;

	if (len < 12)
		return -EPROTO;
	lineage = get_be32(data);
	slots = get_be32(data + 8);
	if (!slots || slots > SLOTS_MAX)
		return -EPROTO;
	if (left_add(r))
		return -ENOMEM;
	r->first = !r->lineage;
	if (r->lineage && lineage != r->lineage)
		left_own(peer);
	mirror_free(r);
	r->mirror = calloc(slots, sizeof(*r->mirror));
	r->owners = calloc(peer->sync->slots, sizeof(*r->owners));
	if (!r->mirror || !r->owners) {
		mirror_free(r);
		return -ENOMEM;
	}
	r->slots = slots;
	r->limit = len >= 16 ? get_be32(data + 12) : 0; /* an older peer does not say */
	r->lineage = lineage;
	r->bulk = true;
	r->at = 0;
	r->match = -1;
	return 0;
}

/* ---- what tells whether it is all there ---- */

static int take_digest(struct states_sync_peer *peer, const uint8_t *data, size_t len)
{
	struct receiving *r = &peer->receive;
	bool match;

	if (len < 16)
		return -EPROTO;
	if (!r->mirror) { /* this node replicates since a moment ago, and the peer has told of all before */
		peer_ask(peer, "what the peer has sent before came when nobody here took it");
		return 0;
	}
	match = get_be64(data) == r->digest.count && get_be64(data + 8) == r->digest.sum;
	if (!match && r->match == 0) {
		peer_ask(peer, "what the peer has sent and what is here of it are not the same");
		r->match = -1;
		return 0;
	}
	r->match = match;
	return 0;
}

/*
 * Entries that are not here though the peer has them: somebody has ended them, or they have run out before the peer said more. And those that
 * there was no room for, or no gateway: there may be now.
 */
void receiving_turn(struct states_sync_peer *peer)
{
	struct receiving *r = &peer->receive;
	uint32_t n = r->slots / TURNS + 1, want = 0;
	uint8_t message[WANT_MAX * 4];

	if (!r->mirror || r->bulk || peer->pipe.protocol < 2)
		return;
	if (r->at >= r->slots)
		r->at = 0;
	for (; n && r->at < r->slots && want < WANT_MAX; n--, r->at++) {
		struct mirrored *m = &r->mirror[r->at];

		if (!m->peer_serial || (m->slot == NOWHERE && !is_missing(m)) ||
		    (m->slot != NOWHERE && states_is_at(peer->sync->host.table, m->slot, m->serial)))
			continue;
		put_be32(message + 4 * want++, r->at);
	}
	peer->wanted += want;
	if (want)
		peer_send(peer, STATES_WANT, message, want * 4);
}

/* What the peer calls it. False: it has not told of it. */
static bool is_told(const struct states_sync_peer *peer, uint32_t here, uint32_t serial, struct states_id *id)
{
	const struct receiving *r = &peer->receive;
	uint32_t owner = r->owners && here < peer->sync->slots ? r->owners[here] : 0;
	const struct mirrored *m = owner ? &r->mirror[owner - 1] : NULL;

	if (!m || m->slot != here || m->serial != serial)
		return false;
	*id = (struct states_id){ owner - 1, m->peer_serial & ~SERIAL_IS };
	return true;
}

bool receiving_ended(struct states_sync_peer *peer, uint32_t here, uint32_t serial)
{
	struct states_id id;

	if (!is_told(peer, here, serial, &id))
		return false;
	sending_kill(peer, id.slot, id.serial);
	return true;
}

bool receiving_reset(struct states_sync_peer *peer, uint32_t here, uint32_t serial)
{
	struct states_id id;

	if (!is_told(peer, here, serial, &id))
		return false;
	sending_reset(peer, id.slot, id.serial);
	return true;
}

/* ---- names ---- */

void receiving_understand(struct states_sync_peer *peer)
{
	const struct states_host *host = &peer->sync->host;
	struct receiving *r = &peer->receive;

	memset(r->numbers, 0, sizeof(*r->numbers));
	if (r->names)
		host->understand(host->arg, r->names, r->names_len, r->numbers);
}

static int take_names(struct states_sync_peer *peer, const uint8_t *data, size_t len)
{
	struct receiving *r = &peer->receive;
	char *names = malloc(len + 1);

	if (!names)
		return -ENOMEM;
	memcpy(names, data, len);
	names[len] = 0;
	free(r->names);
	r->names = names;
	r->names_len = len;
	memset(r->numbers, 0, sizeof(*r->numbers));
	return peer->sync->host.understand(peer->sync->host.arg, names, len, r->numbers) == -EINVAL ? -EPROTO : 0;
}

/* ---- */

int receiving_message(struct states_sync_peer *peer, uint16_t type, const uint8_t *data, size_t len)
{
	switch (type) {
	case STATES_BULK_BEGIN:
		return bulk_begin(peer, data, len);
	case STATES_BULK_END:
		if (!peer->receive.bulk)
			return -EPROTO;
		bulk_end(peer);
		return 0;
	case STATES_BATCH:
		return take_batch(peer, data, len, take_plain);
	case STATES_PACKED:
		return take_batch(peer, data, len, take_packed);
	case STATES_DELETE:
		return take_pairs(peer, data, len, slot_end);
	case STATES_DISCLAIM:
		return take_pairs(peer, data, len, slot_disclaimed);
	case STATES_NAMES:
		return take_names(peer, data, len);
	case STATES_DIGEST:
		return take_digest(peer, data, len);
	default:
		return 0; /* a newer peer's */
	}
}

void receiving_closed(struct states_sync_peer *peer)
{
	peer->receive.done = peer->receive.bulk = false;
	peer->receive.match = -1;
}

void receiving_table(struct states_sync_peer *peer)
{
	mirror_free(&peer->receive);
	left_free(&peer->receive);
	peer->receive.done = peer->receive.bulk = false;
}

void receiving_free(struct states_sync_peer *peer)
{
	receiving_table(peer);
	free(peer->receive.numbers);
	free(peer->receive.names);
}
