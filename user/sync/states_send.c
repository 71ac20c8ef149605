// SPDX-License-Identifier: GPL-2.0-only
/* State replication: making a peer's table equal to this one. */
#include <stdlib.h>
#include <string.h>

#include "user/lib/be.h"
#include "user/policy/states_peer.h"
#include "user/policy/states_private.h"
#include "user/sync/states_pack.h"
#include "user/sync/states_private.h"

#define TURN_SLOTS 4096 /* of the log, or records, in one turn */
#define GROUP 16	/* slots that memory is asked for at a time */
#define TURN_WALK 65536 /* slots that a walk in a hurry looks at in one turn: most are empty */
#define WAITING_MAX \
	(1u << 20) /* bytes on their way to a peer: what is more waits here, where it gets older but not more */
#define WALK_NS 10000000000ULL
#define EMBRYONIC_S 2 /* a handshake that has taken so long is worth telling */
#define DIGEST_NS 1000000000ULL
#define MARK_NS 100000000ULL
#define MARK_AGAIN_NS 1000000000ULL

/* ---- batches ---- */

static void batch_begin(struct sending *s)
{
	s->n_records = 0;
	s->len = BATCH_HEADER;
	memset(s->before, 0, sizeof(s->before));
	memset(s->slots, 0, sizeof(s->slots));
}

static void flush_records(struct states_sync_peer *peer)
{
	struct sending *s = &peer->send;

	if (!s->n_records)
		return;
	put_be16(s->records, STATES_RECORD);
	put_be16(s->records + 2, s->n_records);
	peer_send(peer, peer_packs(peer) ? STATES_PACKED : STATES_BATCH, s->records, s->len);
	peer->sent += s->n_records;
	batch_begin(s);
}

static void flush_pairs(struct states_sync_peer *peer, uint16_t type, struct pairs *pairs)
{
	if (!pairs->n)
		return;
	peer_send(peer, type, pairs->bytes, (size_t)pairs->n * PAIR_BYTES);
	peer->sent += pairs->n;
	pairs->n = 0;
}

/* What is to be reset must still be there then. */
static void flush_kills(struct states_sync_peer *peer)
{
	flush_pairs(peer, STATES_RESETS, &peer->send.resets);
	flush_pairs(peer, STATES_ENDED, &peer->send.kills);
}

/* Deletes first: a connection that began anew in another slot comes behind the end of the old one. */
static void flush(struct states_sync_peer *peer)
{
	flush_pairs(peer, STATES_DELETE, &peer->send.deletes);
	flush_pairs(peer, STATES_DISCLAIM, &peer->send.disclaims);
	flush_kills(peer);
	flush_records(peer);
}

static bool is_in_batch(const struct sending *s, uint32_t slot)
{
	return s->slots[slot % BATCH_BITS / 64] >> slot % 64 & 1;
}

static void record_append(struct states_sync_peer *peer, const struct states_entry *entry,
			  const struct states_clock *clock)
{
	struct sending *s = &peer->send;
	uint8_t record[STATES_RECORD], *to = s->records + s->len;

	states_record_put(record, entry, clock);
	if (peer_packs(peer)) {
		s->len += states_pack(to, record, s->before, sizeof(record));
		memcpy(s->before, record, sizeof(record));
	} else {
		s->len += sizeof(record);
		memcpy(to, record, sizeof(record));
	}
}

static void add_record(struct states_sync_peer *peer, const struct states_entry *entry,
		       const struct states_clock *clock)
{
	struct sending *s = &peer->send;
	uint32_t serial = FL_TAG_SERIAL(entry->tag) | SERIAL_IS;

	record_append(peer, entry, clock);
	s->slots[entry->slot % BATCH_BITS / 64] |= 1ULL << entry->slot % 64;
	if (!s->serials[entry->slot])
		digest_add(&s->digest, entry->slot, serial);
	s->serials[entry->slot] = serial;
	s->n_records++;
	if (s->len + STATES_PACK_MAX(STATES_RECORD) > sizeof(s->records))
		flush(peer);
}

/* The peer has nothing any more that is of the slot. */
static void add_pair(struct states_sync_peer *peer, struct pairs *pairs, uint32_t slot)
{
	struct sending *s = &peer->send;
	uint8_t *to;

	if (is_in_batch(s, slot))
		flush(peer);
	to = pairs->bytes + (size_t)pairs->n * PAIR_BYTES;
	put_be32(to, slot);
	put_be32(to + 4, s->serials[slot] & ~SERIAL_IS);
	digest_take(&s->digest, slot, s->serials[slot]);
	s->serials[slot] = 0;
	if (++pairs->n == PAIRS_MAX)
		flush(peer);
}

/* ---- one slot ---- */

/* Worth a peer's while: not what a flood makes. */
static bool is_worth(const struct states_entry *entry, const struct states_clock *clock)
{
	return FL_TAG_KIND(entry->tag) == FL_KIND_ESTABLISHED ||
	       (int32_t)(clock->now - entry->state.made - EMBRYONIC_S * clock->hz) >= 0;
}

/*
 * Makes the peer's table equal to this one, in one slot. since: what has seen no packet since then (jiffies) is as it was; all: whatever it
 * has seen. What a peer has told of since is no longer this node's to tell of.
 */
static void slot_tell(struct states_sync_peer *peer, uint32_t slot, const struct states_clock *clock, bool all,
		      uint32_t since)
{
	struct sending *s = &peer->send;
	struct states_entry entry;
	bool lives = states_at(peer->sync->host.table, slot, &entry);

	if (s->serials[slot] && (!lives || FL_TAG_SERIAL(entry.tag) != (s->serials[slot] & ~SERIAL_IS)))
		add_pair(peer, &s->deletes, slot);
	if (!lives || entry.state.flags & (FL_STATE_OWN | FL_STATE_PROBE))
		return;
	if (entry.state.flags & FL_STATE_PEER) {
		if (s->serials[slot] && peer->pipe.protocol >= 2)
			add_pair(peer, &s->disclaims, slot);
		return;
	}
	if (s->serials[slot] ? all || (int32_t)(entry.state.seen - since) >= 0 : is_worth(&entry, clock))
		add_record(peer, &entry, clock);
}

/* ---- the log ---- */

static void overrun(struct states_sync_peer *peer, uint32_t n, const struct fl_sync_log *log)
{
	struct sending *s = &peer->send;

	s->tails[n] = __atomic_load_n(&log->head, __ATOMIC_ACQUIRE);
	peer->overruns++;
	if (!s->hurry && !s->bulk) {
		peer->resyncs++;
		peer_tell(peer, "resync", "more states changed than the log holds: all of them are looked at");
	}
	s->hurry = true;
	s->at = 0;
}

static void put_off(struct sending *s, uint32_t slot)
{
	uint64_t *word = &s->late[slot / 64], bit = 1ULL << slot % 64;

	s->n_late += !(*word & bit);
	*word |= bit;
}

/* Slots that are told together, when memory that they lie in was asked for. */
struct group {
	uint32_t n, slots[GROUP];
};

static void group_tell(struct states_sync_peer *peer, struct group *group, const struct states_clock *clock)
{
	for (uint32_t i = 0; i < group->n; i++)
		slot_tell(peer, group->slots[i], clock, true, 0);
	group->n = 0;
}

static void group_add(struct states_sync_peer *peer, struct group *group, uint32_t slot,
		      const struct states_clock *clock)
{
	states_expect_at(peer->sync->host.table, slot);
	__builtin_prefetch(&peer->send.serials[slot], 1);
	group->slots[group->n++] = slot;
	if (group->n == GROUP)
		group_tell(peer, group, clock);
}

/* All of it is read, whatever room there is: `most` are told now. Returns how many were. */
static uint32_t log_turn(struct states_sync_peer *peer, uint32_t n, const struct fl_sync_log *log,
			 const struct states_clock *clock, uint32_t most)
{
	struct sending *s = &peer->send;
	uint64_t head = __atomic_load_n(&log->head, __ATOMIC_ACQUIRE), read = head - s->tails[n];
	struct group group = { 0 };
	uint32_t told = 0;

	if (read > FL_SYNC_LOG) {
		overrun(peer, n, log);
		return 0;
	}
	for (; s->tails[n] != head; s->tails[n]++) {
		uint32_t slot = __atomic_load_n(&log->slot[s->tails[n] % FL_SYNC_LOG], __ATOMIC_RELAXED);

		if (slot >= peer->sync->slots)
			continue;
		if (told == most) {
			put_off(s, slot);
			continue;
		}
		group_add(peer, &group, slot, clock);
		told++;
	}
	group_tell(peer, &group, clock);
	/* what was read may have been written over meanwhile */
	if (__atomic_load_n(&log->head, __ATOMIC_ACQUIRE) - head + read > FL_SYNC_LOG)
		overrun(peer, n, log);
	return told;
}

/* There is one. */
static uint32_t late_take(struct sending *s, uint32_t slots)
{
	uint32_t words = (slots + 63) / 64, slot;

	while (!s->late[s->late_at])
		s->late_at = (s->late_at + 1) % words;
	slot = s->late_at * 64 + __builtin_ctzll(s->late[s->late_at]);
	s->late[s->late_at] &= s->late[s->late_at] - 1;
	s->n_late--;
	return slot;
}

/* What was put off, in the order of slots. */
static uint32_t late_turn(struct states_sync_peer *peer, const struct states_clock *clock, uint32_t most)
{
	struct sending *s = &peer->send;
	struct group group = { 0 };
	uint32_t told;

	for (told = 0; s->n_late && told < most; told++)
		group_add(peer, &group, late_take(s, peer->sync->slots), clock);
	group_tell(peer, &group, clock);
	return told;
}

/* Returns how many slots were told. */
static uint32_t logs_turn(struct states_sync_peer *peer, const struct states_clock *clock, uint32_t most)
{
	uint32_t told = late_turn(peer, clock, most);

	for (uint32_t n = 0; n < peer->sync->host.n_logs; n++)
		told += log_turn(peer, n, &peer->sync->host.logs[n], clock, most - told);
	return told;
}

/* ---- the walk ---- */

static void bulk_begin(struct states_sync_peer *peer, const struct states_clock *clock)
{
	const struct states_host *host = &peer->sync->host;
	struct sending *s = &peer->send;
	uint8_t message[16];

	batch_begin(s);
	s->deletes.n = s->disclaims.n = 0;
	s->again = false;
	sending_free(peer);
	s->serials = calloc(peer->sync->slots, sizeof(*s->serials));
	s->tails = calloc(host->n_logs, sizeof(*s->tails));
	s->late = calloc((peer->sync->slots + 63) / 64, sizeof(*s->late));
	if (!s->serials || !s->tails || !s->late) {
		sending_free(peer);
		s->again = true; /* in the next turn perhaps */
		return;
	}
	for (uint32_t n = 0; n < host->n_logs; n++)
		s->tails[n] = __atomic_load_n(&host->logs[n].head, __ATOMIC_ACQUIRE);
	s->digest = (struct digest){};
	s->bulk = true;
	s->done = s->hurry = false;
	s->at = 0;
	s->begun = s->round = clock->now;
	sending_names(peer); /* the peer may not have been there when they were told last */
	put_be32(message, host->table->control->lineage);
	put_be32(message + 4, host->table->control->id);
	put_be32(message + 8, peer->sync->slots);
	put_be32(message + 12, host->table->control->limit);
	peer_send(peer, STATES_BULK_BEGIN, message, sizeof(message));
}

static void walk_end(struct states_sync_peer *peer, const struct states_clock *clock)
{
	struct sending *s = &peer->send;

	if (s->bulk) {
		flush(peer);
		peer_send(peer, STATES_BULK_END, NULL, 0);
		s->done = true;
	}
	s->bulk = s->hurry = false;
	s->at = 0;
	s->round = s->begun - clock->hz; /* with what was seen while it went by */
	s->begun = clock->now;
}

/* How many slots are due. */
static uint32_t walk_due(struct states_sync_peer *peer, uint64_t ns)
{
	struct sending *s = &peer->send;
	uint64_t gone = ns - s->walked_ns, due;

	if (s->bulk || s->hurry) {
		s->walked_ns = ns;
		return TURN_WALK;
	}
	if (gone > WALK_NS / 100)
		gone = WALK_NS / 100;
	due = peer->sync->slots * gone / WALK_NS;
	if (due)
		s->walked_ns = ns;
	return due;
}

static void walk_turn(struct states_sync_peer *peer, const struct states_clock *clock)
{
	struct sending *s = &peer->send;
	uint32_t n = walk_due(peer, ns_of(peer)), end;
	uint64_t sent = peer->sent;

	end = n < peer->sync->slots - s->at ? s->at + n : peer->sync->slots;
	for (; s->at < end && peer->sent - sent < TURN_SLOTS; s->at++)
		if (s->serials[s->at] || states_is_state(states_tag(peer->sync->host.table, s->at)))
			slot_tell(peer, s->at, clock, false, s->round);
	if (s->at == peer->sync->slots)
		walk_end(peer, clock);
}

/* ---- what goes with it ---- */

static void digest_turn(struct states_sync_peer *peer, uint64_t ns)
{
	struct sending *s = &peer->send;
	uint8_t message[16];

	if (peer->pipe.protocol < 2 || !s->done || s->bulk || ns - s->digested_ns < DIGEST_NS)
		return;
	s->digested_ns = ns;
	put_be64(message, s->digest.count);
	put_be64(message + 8, s->digest.sum);
	peer_send(peer, STATES_DIGEST, message, sizeof(message));
}

/* marked_ns: of the mark that has not come back, or of the last one that has: then its lowest bit is set. */
#define MARK_IS_BACK 1

/* The same again each second until it is back: a peer that did not take part yet has answered none. */
static void mark_turn(struct states_sync_peer *peer, uint64_t ns)
{
	struct sending *s = &peer->send;
	uint8_t message[8];

	if (s->marked_ns & MARK_IS_BACK ? ns - s->marked_ns < MARK_NS : ns - s->marked_again_ns < MARK_AGAIN_NS)
		return;
	if (s->marked_ns & MARK_IS_BACK)
		s->marked_ns = ns & ~(uint64_t)MARK_IS_BACK;
	s->marked_again_ns = ns;
	put_be64(message, s->marked_ns);
	peer_send(peer, STATES_MARK, message, sizeof(message));
}

void sending_marked(struct states_sync_peer *peer, const uint8_t *data, size_t len)
{
	struct sending *s = &peer->send;

	if (len != 8 || get_be64(data) != s->marked_ns)
		return;
	peer->lag_ns = ns_of(peer) - s->marked_ns;
	s->marked_ns |= MARK_IS_BACK;
}

uint64_t sending_lag_ns(const struct states_sync_peer *peer)
{
	uint64_t since = ns_of(peer) - peer->send.marked_ns;

	if (!peer->open || peer->send.marked_ns & MARK_IS_BACK || since < peer->lag_ns)
		return peer->lag_ns;
	return since;
}

uint32_t sending_turn(struct states_sync_peer *peer)
{
	struct sending *s = &peer->send;
	struct states_clock clock = clock_of(peer);
	uint64_t ns = ns_of(peer), sent = peer->sent;
	uint32_t told;
	bool full;

	if (s->again)
		bulk_begin(peer, &clock);
	if (!s->serials)
		return IDLE_US;
	full = peer->pipe.waiting(peer->pipe.arg) > WAITING_MAX;
	told = logs_turn(peer, &clock, full ? 0 : TURN_SLOTS);
	if (full)
		return IDLE_US; /* or as soon as the pipe has room */
	walk_turn(peer, &clock);
	flush(peer);
	digest_turn(peer, ns);
	mark_turn(peer, ns);
	if (s->n_late)
		return AT_ONCE_US;
	return told || s->bulk || s->hurry || peer->sent != sent ? BUSY_US : IDLE_US;
}

void sending_want(struct states_sync_peer *peer, const uint8_t *data, size_t len)
{
	struct states_clock clock = clock_of(peer);
	struct sending *s = &peer->send;

	for (size_t i = 0; i + 4 <= len && s->serials; i += 4) {
		uint32_t slot = get_be32(data + i);

		if (slot < peer->sync->slots && s->serials[slot])
			slot_tell(peer, slot, &clock, true, 0);
	}
	flush(peer);
}

static void wish(struct states_sync_peer *peer, struct pairs *pairs, uint32_t slot, uint32_t serial)
{
	uint8_t *to;

	if (pairs->n == PAIRS_MAX)
		flush_kills(peer);
	to = pairs->bytes + (size_t)pairs->n++ * PAIR_BYTES;
	put_be32(to, slot);
	put_be32(to + 4, serial);
}

void sending_kill(struct states_sync_peer *peer, uint32_t slot, uint32_t serial)
{
	wish(peer, &peer->send.kills, slot, serial);
}

void sending_reset(struct states_sync_peer *peer, uint32_t slot, uint32_t serial)
{
	wish(peer, &peer->send.resets, slot, serial);
}

void sending_killed(struct states_sync_peer *peer, const uint8_t *data, size_t len,
		    void (*each)(struct states_sync_peer *peer, uint32_t slot))
{
	const struct sending *s = &peer->send;

	for (size_t i = 0; i + PAIR_BYTES <= len && s->serials; i += PAIR_BYTES) {
		uint32_t slot = get_be32(data + i), serial = get_be32(data + i + 4);

		if (slot < peer->sync->slots && s->serials[slot] == (serial | SERIAL_IS) &&
		    states_is_at(peer->sync->host.table, slot, serial))
			each(peer, slot);
	}
}

bool states_sync_now(struct states_sync_peer *peer)
{
	struct states_clock clock = clock_of(peer);

	if (!peer->open || !peer->send.serials)
		return true;
	logs_turn(peer, &clock, TURN_SLOTS);
	flush(peer);
	return !peer->send.n_late;
}

bool states_sync_tell(struct states_sync_peer *peer, uint32_t slot)
{
	struct states_clock clock = clock_of(peer);
	struct states_entry entry;

	if (!peer->open || !peer->send.serials || !states_at(peer->sync->host.table, slot, &entry) ||
	    entry.state.flags & (FL_STATE_OWN | FL_STATE_PROBE))
		return false;
	if (peer->send.serials[slot] && (peer->send.serials[slot] & ~SERIAL_IS) != FL_TAG_SERIAL(entry.tag))
		add_pair(peer, &peer->send.deletes, slot);
	add_record(peer, &entry, &clock);
	flush(peer);
	return true;
}

void sending_names(struct states_sync_peer *peer)
{
	char *names = peer->sync->host.names(peer->sync->host.arg);

	if (names)
		peer_send(peer, STATES_NAMES, names, strlen(names));
	free(names);
}

void sending_opened(struct states_sync_peer *peer)
{
	struct sending *s = &peer->send;

	sending_free(peer);
	s->again = true;
	s->done = s->bulk = false;
	s->resets.n = s->kills.n = 0;
	s->marked_ns = MARK_IS_BACK;
	s->digested_ns = s->walked_ns = ns_of(peer);
}

void sending_free(struct states_sync_peer *peer)
{
	free(peer->send.serials);
	free(peer->send.tails);
	free(peer->send.late);
	peer->send.serials = NULL;
	peer->send.tails = NULL;
	peer->send.late = NULL;
	peer->send.n_late = peer->send.late_at = 0;
}
