// SPDX-License-Identifier: GPL-2.0-only
/* State replication: peers, and whose turn it is. */
#include "user/sync/states.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/policy/states_private.h"
#include "user/sync/states_private.h"

#define TURN_SLOTS 65536       /* looked at in one turn of a takeover */
#define TOLD_NS 10000000000ULL /* not oftener: counters have all of it */
#define SECOND_NS 1000000000ULL

void peer_tell(struct states_sync_peer *peer, const char *event, const char *why)
{
	const struct states_host *host = &peer->sync->host;
	uint64_t ns = ns_of(peer);

	if (peer->told_ns && ns - peer->told_ns < TOLD_NS)
		return;
	peer->told_ns = ns;
	host->tell(host->arg, peer->arg, event, why);
}

void peer_ask(struct states_sync_peer *peer, const char *why)
{
	peer->resyncs++;
	peer_tell(peer, "resync", why);
	peer_send(peer, STATES_RESYNC, why, strlen(why));
}

/* The peer's text is a peer's: it is told as ours. */
static void asked(struct states_sync_peer *peer)
{
	peer->resyncs++;
	peer->send.again = true;
	peer_tell(peer, "resync", "the peer has asked for it");
}

struct states_sync *states_sync_new(const struct states_host *host)
{
	struct states_sync *sync = calloc(1, sizeof(*sync));

	if (!sync)
		return NULL;
	sync->host = *host;
	sync->slots = sync->taken_over = states_slots(host->table);
	return sync;
}

void states_sync_free(struct states_sync *sync)
{
	if (!sync)
		return;
	while (sync->peers)
		states_sync_remove(sync, sync->peers);
	killed_free(&sync->killed);
	free(sync);
}

void states_sync_table(struct states_sync *sync, const struct states_host *host)
{
	bool taking = sync->taken_over < sync->slots;

	sync->host = *host;
	sync->slots = states_slots(host->table);
	sync->taken_over = taking ? 0 : sync->slots;
	for (struct states_sync_peer *peer = sync->peers; peer; peer = peer->next) {
		receiving_table(peer);
		sending_free(peer);
		peer->send.again = true;
		peer->send.bulk = peer->send.done = false;
		if (peer->open)
			peer_ask(peer, "the state table has got another size");
	}
}

void states_sync_names(struct states_sync *sync)
{
	for (struct states_sync_peer *peer = sync->peers; peer; peer = peer->next) {
		receiving_understand(peer);
		if (peer->open)
			sending_names(peer);
	}
}

struct states_sync_peer *states_sync_add(struct states_sync *sync, void *arg)
{
	struct states_sync_peer *peer = calloc(1, sizeof(*peer));

	if (!peer)
		return NULL;
	peer->receive.numbers = calloc(1, sizeof(*peer->receive.numbers));
	if (!peer->receive.numbers) {
		free(peer);
		return NULL;
	}
	peer->sync = sync;
	peer->arg = arg;
	peer->receive.match = -1;
	peer->next = sync->peers;
	sync->peers = peer;
	return peer;
}

void states_sync_remove(struct states_sync *sync, struct states_sync_peer *peer)
{
	struct states_sync_peer **at = &sync->peers;

	while (*at != peer)
		at = &(*at)->next;
	*at = peer->next;
	sending_free(peer);
	receiving_free(peer);
	free(peer);
}

void states_sync_opened(struct states_sync_peer *peer, const struct states_pipe *pipe)
{
	peer->pipe = *pipe;
	peer->open = true;
	receiving_closed(peer);
	sending_opened(peer);
}

void states_sync_closed(struct states_sync_peer *peer)
{
	peer->open = false;
	sending_free(peer);
	peer->send.bulk = peer->send.done = peer->send.again = false;
	receiving_closed(peer);
}

/* What somebody has ended at the peer: by hand, or since its way is gone */
static void end(struct states_sync_peer *peer, uint32_t slot)
{
	struct states *table = peer->sync->host.table;

	states_end(table, slot, states_tag(table, slot));
}

/* More than a node that ends all it has asks for, which it spreads over time: what is behind that is broken, or has the key and should not. */
static bool may_reset(struct states_sync_peer *peer)
{
	uint64_t ns = ns_of(peer);

	if (!peer->resets_ns || ns - peer->resets_ns >= SECOND_NS) {
		peer->resets_ns = ns;
		peer->resets = 0;
	}
	if (peer->resets++ < STATES_RESETS_MAX)
		return true;
	peer->unreset++;
	peer_tell(peer, "resets",
		  "the peer wants more connections reset in a second than one node can: they end without");
	return false;
}

/* It ends with that: so none is reset twice, whatever the peer sends next. */
static void reset(struct states_sync_peer *peer, uint32_t slot)
{
	const struct states_host *host = &peer->sync->host;
	struct states_entry entry;

	if (states_at(host->table, slot, &entry) && may_reset(peer))
		host->reset(host->arg, &entry);
	end(peer, slot);
}

int states_sync_message(struct states_sync_peer *peer, uint16_t type, const uint8_t *data, size_t len)
{
	switch (type) {
	case STATES_RESYNC:
		asked(peer);
		return 0;
	case STATES_MARK:
		peer_send(peer, STATES_MARK_BACK, data, len);
		return 0;
	case STATES_MARK_BACK:
		sending_marked(peer, data, len);
		return 0;
	case STATES_WANT:
		sending_want(peer, data, len);
		return 0;
	case STATES_ENDED:
		sending_killed(peer, data, len, end);
		return 0;
	case STATES_RESETS:
		sending_killed(peer, data, len, reset);
		return 0;
	default:
		return receiving_message(peer, type, data, len);
	}
}

void states_sync_taken_over(struct states_sync *sync)
{
	sync->taken_over = 0;
}

/* It has not told all that it has, and so perhaps not of that which is here since it last did. */
static bool is_telling(const struct states_sync_peer *peer)
{
	return peer->open && (peer->receive.bulk || !peer->receive.done);
}

void states_sync_ended(struct states_sync *sync, const struct states_entry *entry, enum states_why why)
{
	struct fl_tuple tuple = states_key_of(&entry->state);
	bool told = entry->state.flags & FL_STATE_PEER;

	for (struct states_sync_peer *peer = sync->peers; peer; peer = peer->next) {
		told |= peer->open && receiving_ended(peer, entry->slot, FL_TAG_SERIAL(entry->tag));
		told |= why != STATES_NO_WAY &&
			(!peer->open || is_telling(peer)); /* it may have it, and believe that it is its own */
	}
	if (told)
		killed_add(&sync->killed, &tuple, sync->host.jiffies(sync->host.arg), why == STATES_BY_HAND_RESET,
			   sync->slots);
}

bool states_sync_reset(struct states_sync *sync, const struct states_entry *entry)
{
	bool asked = false;

	for (struct states_sync_peer *peer = sync->peers; peer; peer = peer->next)
		asked |= (peer->open && receiving_reset(peer, entry->slot, FL_TAG_SERIAL(entry->tag))) ||
			 is_telling(peer);
	return asked;
}

/* What is on its way has come by then, or nothing comes any more. */
static void forget_killed(struct states_sync *sync)
{
	uint32_t since = sync->host.jiffies(sync->host.arg) - sync->killed.last, hz = sync->host.table->hz;
	bool waits = since < KILLED_S * hz;

	if (!sync->killed.n)
		return;
	for (const struct states_sync_peer *peer = sync->peers; peer; peer = peer->next)
		waits |= !peer->open || is_telling(peer);
	if (waits && since < KILLED_AWAY_S * hz)
		return;
	killed_free(&sync->killed);
}

/* Returns whether there is more of it. */
static bool take_over_turn(struct states_sync *sync)
{
	if (sync->taken_over >= sync->slots)
		return false;
	states_taken_over(sync->host.table, sync->taken_over, TURN_SLOTS);
	sync->taken_over += TURN_SLOTS;
	return true;
}

/* us: 0 is never */
static uint32_t earlier(uint32_t us, uint32_t other)
{
	return us && us < other ? us : other;
}

uint32_t states_sync_turn(struct states_sync *sync)
{
	uint32_t us = take_over_turn(sync) ? BUSY_US : 0;

	states_judge_contested(sync->host.table, sync->host.jiffies(sync->host.arg), receiving_is_claimed, sync);
	for (struct states_sync_peer *peer = sync->peers; peer; peer = peer->next) {
		if (!peer->open)
			continue;
		us = earlier(us, sending_turn(peer));
		receiving_turn(peer);
	}
	forget_killed(sync);
	return us;
}

void states_sync_again(struct states_sync_peer *peer, const char *why)
{
	if (!peer->open)
		return;
	peer_ask(peer, why);
	peer->send.again = true;
}

void states_sync_numbers(const struct states_sync_peer *peer, struct states_sync_numbers *numbers)
{
	*numbers = (struct states_sync_numbers){
		.sent = peer->sent,
		.received = peer->received,
		.refused = peer->refused,
		.resyncs = peer->resyncs,
		.overruns = peer->overruns,
		.wanted = peer->wanted,
		.unreset = peer->unreset,
		.theirs = peer->receive.theirs,
		.missing = peer->receive.missing,
		.lag_ms = (double)sending_lag_ns(peer) / 1000000,
		.connected = peer->open,
		.has_all = peer->receive.done,
		.has_sent_all = peer->send.done,
		.digest_match = peer->receive.match,
		.limit = peer->receive.limit,
	};
}

void states_sync_count(const struct states_sync *sync, const struct states_sync_peer *peer, uint64_t *local,
		       uint64_t *theirs)
{
	const struct states *table = sync->host.table;
	const uint32_t *owners = peer ? peer->receive.owners : NULL;

	*local = *theirs = 0;
	for (uint32_t slot = 0; slot < sync->slots && slot < states_slots(table); slot++) {
		if (!states_is_state(states_tag(table, slot)))
			continue;
		if (!(table->entries[slot].flags & FL_STATE_PEER))
			++*local;
		else if (owners && owners[slot])
			++*theirs;
	}
}
