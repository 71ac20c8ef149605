// SPDX-License-Identifier: GPL-2.0-only
/* The nodes of a pair: who is there, and what they tell each other over the sync link. */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/vip/vhids_internal.h"

#define BEAT_SHORTEST_NS (10 * MS)
#define BEAT_LONGEST_NS (250 * MS)
#define LOST 3			     /* beats or adverts, before nothing is expected any more */
#define SILENCE_NS SECOND	     /* at least, before that is told */
#define CARRIER_NS SECOND	     /* so late the kernel may tell that a link is down */
#define START_NS (10 * SECOND)	     /* in which a peer need not have said anything */
#define FRESH_KEYS_NS (3 * SECOND)   /* in which others may send by the key before */
#define STRANGE_NS (3 * SECOND)	     /* in which who has another key is heard again, if he lives */
#define FAULT_PAUSE_NS (60 * SECOND) /* between two events about the same fault */
#define DISORDER 64		     /* datagrams that may overtake each other */

uint64_t pair_node(const struct addr *addr)
{
	uint64_t low;

	if (addr->family == AF_INET)
		return be32toh(addr->v4.s_addr);
	memcpy(&low, addr->v6.s6_addr + 8, sizeof(low));
	return be64toh(low);
}

struct pair_peer *pair_peer_of(struct vhids *v, uint64_t node)
{
	for (size_t i = 0; i < v->pair.n; i++)
		if (v->pair.peers[i].node == node)
			return &v->pair.peers[i];
	return NULL;
}

/* ---- keys and marks ---- */

struct sign_mark pair_next_mark(struct vhids *v)
{
	v->pair.mark.sequence++;
	return v->pair.mark;
}

static bool is_used(const struct vhids *v, unsigned int key)
{
	for (size_t i = 0; i < v->pair.n; i++)
		if (v->pair.peers[i].key < 0 || v->pair.peers[i].key == (int)key)
			return true;
	return false;
}

/* While it is not known which of several keys a peer has, or peers have different ones, they get one after the other. */
static unsigned int any_key(const struct vhids *v)
{
	unsigned int used[SIGN_KEYS], n = 0;

	for (unsigned int i = 0; i < v->pair.keys.n; i++)
		if (is_used(v, i))
			used[n++] = i;
	return n ? used[v->pair.mark.sequence / 2 % n] : 0; /* adverts come in pairs, by family */
}

static int common_key(const struct vhids *v)
{
	int key = -1;

	for (size_t i = 0; v->pair.peers && i < v->pair.n; i++) {
		if (i && v->pair.peers[i].key != key)
			return -1;
		key = v->pair.peers[i].key;
	}
	return key;
}

const struct sign_key *pair_key(struct vhids *v)
{
	int key;

	if (!v->pair.n || !v->pair.keys.n)
		return NULL;
	key = common_key(v);
	return &v->pair.keys.key[key < 0 ? any_key(v) : (unsigned int)key];
}

bool pair_keys_are_fresh(const struct vhids *v)
{
	return v->now_ns - v->pair.keys_ns < FRESH_KEYS_NS;
}

void pair_heard(struct pair_peer *peer, const struct sign_mark *mark, unsigned int key)
{
	peer->key = (int)key;
	if (sign_is_newer(&peer->mark, mark))
		peer->mark = *mark;
}

bool vhid_is_news(struct vhid_peer *say, const struct sign_mark *mark)
{
	if (!sign_is_newer(&say->judged, mark))
		return false;
	say->judged = *mark;
	return true;
}

void vhids_pair_epoch(struct vhids *v, uint64_t node, uint64_t epoch)
{
	struct pair_peer *peer = pair_peer_of(v, node);
	const struct sign_mark begins = { .epoch = epoch };

	if (!peer || peer->mark.epoch >= epoch)
		return;
	peer->mark = peer->beats = begins;
	for (size_t i = 0; i < v->n; i++) {
		struct vhid_peer *say = &v->all[i].say[peer - v->pair.peers];

		say->marks[0] = say->marks[1] = say->judged = begins;
	}
}

/* ---- who is there ---- */

static bool within(uint64_t at_ns, uint64_t ns, uint64_t now_ns)
{
	return at_ns && now_ns - at_ns <= ns;
}

static uint64_t longer(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

bool pair_is_up(const struct vhids *v, const struct pair_peer *peer)
{
	return !peer->ending && within(peer->beat_ns, LOST * peer->beat_interval_ns, v->now_ns);
}

/* By a beat, if it has told of this vhid, else as a master of it. */
static bool takes_part(const struct vhids *v, const struct vhid *one, size_t i)
{
	const struct pair_peer *peer = &v->pair.peers[i];
	const struct vhid_peer *say = &one->say[i];

	if (pair_is_up(v, peer))
		return say->told_ns && (say->told.role == CARP_BACKUP || say->told.role == CARP_MASTER);
	return !peer->ending && within(say->heard_ns, LOST * peer->advert_interval_ns, v->now_ns);
}

enum vhid_guard vhid_guard(const struct vhids *v, const struct vhid *one)
{
	enum vhid_guard guard = GUARD_NONE;

	for (size_t i = 0; i < v->pair.n && guard != GUARD_READY; i++)
		if (takes_part(v, one, i))
			guard = v->pair.peers[i].ready ? GUARD_READY : GUARD_UNREADY;
	return guard;
}

static enum pair_state state_of(const struct vhids *v, const struct pair_peer *peer)
{
	uint64_t beats_ns = longer(LOST * peer->beat_interval_ns, SILENCE_NS);
	uint64_t adverts_ns = longer(LOST * peer->advert_interval_ns, SILENCE_NS);

	if (peer->ending)
		return PAIR_ENDED;
	if (within(peer->beat_ns, beats_ns, v->now_ns))
		return PAIR_UP;
	if (v->now_ns - v->pair.woke_ns < SILENCE_NS)
		return peer->state;
	if (peer->state == PAIR_UNKNOWN && v->now_ns - v->pair.started_ns < START_NS)
		return PAIR_UNKNOWN;
	if (!v->pair.link_up)
		return PAIR_LINK_DOWN;
	if (!within(peer->advert_ns, adverts_ns, v->now_ns)) {
		if (within(peer->strange_ns, SILENCE_NS, v->now_ns))
			return PAIR_STRANGE;
		return within(peer->beat_ns, beats_ns + CARRIER_NS, v->now_ns) ? peer->state : PAIR_SILENT;
	}
	/* one from before its beats ended says nothing: the next will tell, or that there is none */
	return peer->advert_ns > peer->beat_ns + LOST * peer->beat_interval_ns ? PAIR_LINK_DOWN : peer->state;
}

static void judge_peer(struct vhids *v, struct pair_peer *peer)
{
	enum pair_state state = state_of(v, peer);
	struct vhid_event *e;

	if (state == peer->state)
		return;
	peer->state = state;
	peer->since_ns = v->now_ns;
	e = vhid_event_node(v, VHID_PEER);
	if (!e)
		return;
	e->peer = state;
	e->from = peer->addr;
}

/* ---- sending beats ---- */

static uint64_t beat_interval_ns(const struct vhids *v)
{
	uint64_t shortest = BEAT_LONGEST_NS;

	for (size_t i = 0; i < v->n; i++) {
		uint64_t its = carp_interval_ns(&v->all[i].carp);

		shortest = its < shortest ? its : shortest;
	}
	return longer(shortest, BEAT_SHORTEST_NS);
}

static struct beat_entry entry_of(const struct vhids *v, const struct vhid *one, size_t peer)
{
	const struct carp *c = &one->carp;
	uint64_t since_ms = (v->now_ns - c->since_ns) / MS;
	struct beat_entry e = { .interface = one->interface,
				.vhid = one->vhid,
				.role = (uint8_t)c->role,
				.interval_us = (uint32_t)(carp_interval_ns(c) / 1000),
				.demotion = c->demotion,
				.since_ms = since_ms < UINT32_MAX ? (uint32_t)since_ms : UINT32_MAX,
				.seen_us = vhid_seen_us(one, v->now_ns) };

	if (within(one->say[peer].heard_ns, carp_patience_ns(c), v->now_ns))
		e.flags |= BEAT_HEARD;
	if (vhid_receives(one, v->now_ns))
		e.flags |= BEAT_RX;
	if (one->segment.deaf || vhid_settles(v, one))
		e.flags |= BEAT_UNABLE;
	if (vhid_refuses(one, v->now_ns))
		e.flags |= BEAT_REFUSES;
	if (c->role == CARP_BACKUP && c->why == CARP_WHY_HANDS_OVER)
		e.flags |= BEAT_LEAVES;
	return e;
}

static void send_some(struct vhids *v, struct pair_peer *peer, const struct sign_key *key, size_t first, size_t n,
		      unsigned int flags)
{
	struct beat_entry entries[BEAT_ENTRIES_MAX];
	struct beat beat = { .flags = (uint8_t)flags,
			     .node = v->pair.node,
			     .interval_us = (uint32_t)(beat_interval_ns(v) / 1000),
			     .n = (unsigned int)n };
	uint8_t data[BEAT_MAX];

	for (size_t i = 0; i < n; i++)
		entries[i] = entry_of(v, &v->all[first + i], (size_t)(peer - v->pair.peers));
	beat.mark = pair_next_mark(v);
	if (!pair_wire_send(&v->pair.wire, &peer->addr, data, beat_put(data, &beat, entries, key)))
		peer->sent++;
}

static void send_all(struct vhids *v, struct pair_peer *peer, const struct sign_key *key, unsigned int flags)
{
	size_t first, left;

	for (first = 0; !first || first < v->n; first += BEAT_ENTRIES_MAX) {
		left = v->n - first;
		send_some(v, peer, key, first, left < BEAT_ENTRIES_MAX ? left : BEAT_ENTRIES_MAX, flags);
	}
}

/*
 * By each key, while it is not known which of them the peer has: it goes by what it hears, so that each interval in which it heard none of its own
 * would be one more until it is understood here.
 */
void pair_beats(struct vhids *v, bool ending)
{
	unsigned int flags = (v->node.ready ? BEAT_READY : 0) | (v->pair.maintenance ? BEAT_MAINTENANCE : 0) |
			     (ending ? BEAT_ENDING : 0);

	v->pair.beat_now = false;
	v->pair.next_beat_ns = v->now_ns + beat_interval_ns(v);
	for (size_t i = 0; i < v->pair.n && !vhids_are_mute(v); i++)
		for (unsigned int key = 0; key < v->pair.keys.n; key++)
			if (v->pair.peers[i].key < 0 || v->pair.peers[i].key == (int)key)
				send_all(v, &v->pair.peers[i], &v->pair.keys.key[key], flags);
}

void pair_run(struct vhids *v)
{
	for (size_t i = 0; i < v->pair.n; i++)
		judge_peer(v, &v->pair.peers[i]);
	if (v->pair.beat_now || v->now_ns >= v->pair.next_beat_ns)
		pair_beats(v, false);
}

/* ---- hearing beats ---- */

static struct vhid *vhid_told(struct vhids *v, const struct beat_entry *e)
{
	for (size_t i = 0; i < v->n; i++)
		if (v->all[i].interface == e->interface && v->all[i].vhid == e->vhid)
			return &v->all[i];
	return NULL;
}

/* It had the addresses by what it told last, and now it has not, and nobody has taken them from it. */
static bool has_left(const struct vhid_peer *say, const struct beat *beat, const struct beat_entry *e)
{
	if (!say->told_ns || say->told.role != CARP_MASTER)
		return false;
	return beat->flags & BEAT_ENDING ||
	       (e->role != CARP_MASTER && (e->flags & BEAT_LEAVES || e->role != CARP_BACKUP));
}

/* By another peer's beats */
static bool has_other_master(const struct vhids *v, const struct vhid *one, const struct vhid_peer *but)
{
	for (size_t i = 0; i < v->pair.n; i++)
		if (&one->say[i] != but && pair_is_up(v, &v->pair.peers[i]) && one->say[i].told_ns &&
		    one->say[i].told.role == CARP_MASTER)
			return true;
	return false;
}

static uint64_t since_of(const struct vhids *v, const struct beat_entry *e)
{
	uint64_t ago = e->since_ms * MS;

	return ago < v->now_ns ? v->now_ns - ago : 1;
}

static void take_claim(struct vhids *v, struct vhid *one, size_t peer, const struct beat *beat,
		       const struct beat_entry *e, bool left)
{
	const struct carp_claim claim = {
		.interval_ns = e->interval_us * 1000ull, .demotion = e->demotion, .node = beat->node, .leaves = left
	};
	enum carp_role before = one->carp.role;

	if (!left)
		vhid_watch_dual(v, one, peer, since_of(v, e));
	if (left && (before != CARP_BACKUP || has_other_master(v, one, &one->say[peer])))
		return;
	vhid_act(v, one, before, carp_heard(&one->carp, &claim, v->now_ns), &v->pair.peers[peer].addr);
	if (!left)
		vhid_inherit_ends(v, one);
	if (one->carp.role == CARP_BACKUP && !one->master.family)
		one->master = v->pair.peers[peer].addr;
}

static void hear_entry(struct vhids *v, struct pair_peer *peer, const struct beat *beat, const struct beat_entry *e)
{
	size_t i = (size_t)(peer - v->pair.peers);
	struct vhid *one = vhid_told(v, e);
	struct vhid_peer *say;
	bool left;

	if (!one)
		return;
	say = &one->say[i];
	left = has_left(say, beat, e);
	say->told = *e;
	say->told_ns = v->now_ns;
	vhid_watch_seen(v, one, peer, e);
	if (one->carp.role != CARP_BACKUP && one->carp.role != CARP_MASTER)
		return;
	say->is_newest = vhid_is_news(say, &beat->mark);
	if (say->is_newest && (left || (e->role == CARP_MASTER && !(beat->flags & BEAT_ENDING))))
		take_claim(v, one, i, beat, e, left);
}

static enum carp_fault check_beat(const struct pair_peer *peer, const struct beat *beat)
{
	if (beat->node != peer->node)
		return CARP_STRANGER;
	if (beat->mark.epoch < peer->mark.epoch || !sign_is_newer(&peer->beats, &beat->mark))
		return CARP_REPLAYED;
	return CARP_OK;
}

/* Datagrams may overtake each other, and a key that has just been changed is another for a moment. */
static bool is_harmless(const struct vhids *v, const struct pair_peer *peer, enum carp_fault fault,
			const struct beat *beat)
{
	if (fault == CARP_REPLAYED)
		return beat->mark.epoch == peer->beats.epoch && beat->mark.sequence + DISORDER > peer->beats.sequence;
	return fault == CARP_STRANGE_KEY && (pair_keys_are_fresh(v) || within(peer->beat_ns, FRESH_KEYS_NS, v->now_ns));
}

static void beat_fault(struct vhids *v, struct pair_peer *peer, enum carp_fault fault)
{
	struct vhid_event *e;

	if (peer->fault_ns[fault] && v->now_ns - peer->fault_ns[fault] < FAULT_PAUSE_NS)
		return;
	peer->fault_ns[fault] = v->now_ns;
	e = vhid_event_node(v, VHID_FAULT);
	if (!e)
		return;
	e->fault = fault;
	e->from = peer->addr;
}

static struct pair_peer *peer_at(struct vhids *v, const struct addr *from)
{
	for (size_t i = 0; i < v->pair.n; i++)
		if (addr_equal(&v->pair.peers[i].addr, from))
			return &v->pair.peers[i];
	return NULL;
}

static void hear_beat(void *arg, const struct addr *from, const uint8_t *data, size_t len)
{
	struct beat_entry entries[BEAT_ENTRIES_MAX];
	struct vhids *v = arg;
	struct pair_peer *peer = peer_at(v, from);
	enum carp_fault fault;
	struct beat beat = { .n = 0 };
	unsigned int key;

	if (!peer || vhids_are_mute(v))
		return;
	fault = beat_get(data, len, &v->pair.keys, &beat, entries, &key);
	fault = fault ?: check_beat(peer, &beat);
	if (fault) {
		peer->bad++;
		if (fault == CARP_STRANGE_KEY)
			peer->strange_ns = v->now_ns;
		if (!is_harmless(v, peer, fault, &beat))
			beat_fault(v, peer, fault);
		return;
	}
	peer->received++;
	peer->beats = beat.mark;
	peer->beat_ns = v->now_ns;
	peer->beat_interval_ns = beat.interval_us * 1000ull;
	peer->ready = beat.flags & BEAT_READY;
	peer->ending = beat.flags & BEAT_ENDING;
	peer->maintenance = beat.flags & BEAT_MAINTENANCE;
	pair_heard(peer, &beat.mark, key);
	for (unsigned int i = 0; i < beat.n; i++)
		hear_entry(v, peer, &beat, &entries[i]);
}

void pair_receive(struct vhids *v)
{
	pair_wire_beats(&v->pair.wire, hear_beat, v);
}

/* ---- a configuration ---- */

static const struct pair_peer *same_peer(const struct pair *pair, uint64_t node)
{
	for (size_t i = 0; i < pair->n; i++)
		if (pair->peers[i].node == node)
			return &pair->peers[i];
	return NULL;
}

static void peer_make(struct vhids *v, struct pair_peer *peer, const struct pair_setup_peer *setup)
{
	uint64_t node = pair_node(&setup->addr);
	const struct pair_peer *before = same_peer(&v->pair, node);

	if (before)
		*peer = *before;
	else
		*peer = (struct pair_peer){
			.node = node, .mark = setup->mark, .beats = setup->mark, .key = -1, .since_ns = v->now_ns
		};
	peer->addr = setup->addr;
}

struct vhid_peer *vhid_say_make(const struct pair *pair, const struct pair *before, const struct vhid_peer *said)
{
	struct vhid_peer *say = calloc(pair->n + 1, sizeof(*say));

	for (size_t i = 0; say && i < pair->n; i++) {
		const struct pair_peer *old = before ? same_peer(before, pair->peers[i].node) : NULL;

		say[i].marks[0] = say[i].marks[1] = say[i].judged = pair->peers[i].mark;
		if (old)
			say[i] = said[old - before->peers];
	}
	return say;
}

static int peers_make(struct vhids *v, const struct pair_setup *setup, struct pair *pair)
{
	struct vhid_peer **says = calloc(v->n + 1, sizeof(struct vhid_peer *));
	bool whole = says != NULL;

	pair->n = setup->n_peers;
	pair->peers = calloc(setup->n_peers + 1, sizeof(*pair->peers));
	for (size_t i = 0; pair->peers && i < setup->n_peers; i++)
		peer_make(v, &pair->peers[i], &setup->peers[i]);
	whole &= pair->peers != NULL;
	for (size_t i = 0; whole && i < v->n; i++)
		whole = (says[i] = vhid_say_make(pair, &v->pair, v->all[i].say)) != NULL;
	for (size_t i = 0; says && i < v->n; i++) {
		free(whole ? v->all[i].say : says[i]);
		v->all[i].say = whole ? says[i] : v->all[i].say;
		v->all[i].dual.is &= !whole || v->all[i].dual.peer < pair->n;
		v->all[i].segment.split &= !whole || v->all[i].segment.peer < pair->n;
		v->all[i].unseen.is &= !whole || v->all[i].unseen.peer < pair->n;
	}
	free(says);
	if (whole)
		return 0;
	free(pair->peers);
	return -ENOMEM;
}

/* An id follows from its key. */
static bool are_same(const struct sign_keys *a, const struct sign_keys *b)
{
	bool same = a->n == b->n;

	for (unsigned int i = 0; same && i < a->n; i++)
		same = !memcmp(a->key[i].id, b->key[i].id, SIGN_ID);
	return same;
}

/* Which of them a peer has is known still, if it is one of these. */
static void take_keys(struct vhids *v, const struct sign_keys *keys)
{
	const struct sign_keys before = v->pair.keys;

	if (are_same(keys, &before))
		return;
	v->pair.keys = *keys;
	v->pair.keys_ns = v->now_ns;
	for (size_t i = 0; i < v->pair.n; i++) {
		struct pair_peer *peer = &v->pair.peers[i];

		peer->key = peer->key < 0 ? -1 : sign_find(keys, before.key[peer->key].id);
	}
}

/* What a peer that is none any more has said of a segment counts no longer. */
static void forget_segments(struct vhids *v)
{
	for (size_t i = 0; i < v->n; i++) {
		struct vhid_segment *segment = &v->all[i].segment;

		if (segment->peer >= v->pair.n)
			*segment = (struct vhid_segment){ .cut_ns = segment->cut_ns,
							  .received = segment->received,
							  .moved_ns = segment->moved_ns };
	}
}

int vhids_pair(struct vhids *v, const struct pair_setup *setup, uint64_t now_ns)
{
	struct pair pair;
	int err;

	vhids_wake(v, now_ns);
	pair = v->pair;
	err = peers_make(v, setup, &pair);
	if (err)
		return err;
	free(v->pair.peers);
	v->pair = pair;
	v->pair.node = setup->n_peers ? setup->node : 0;
	v->pair.mark.epoch = setup->epoch;
	v->pair.maintenance = setup->maintenance;
	v->pair.started_ns = v->pair.started_ns ?: now_ns;
	take_keys(v, setup->keys);
	err = pair_wire_configure(&v->pair.wire, setup);
	for (size_t i = 0; i < v->n && !v->pair.n; i++)
		v->all[i].guard = GUARD_NONE;
	forget_segments(v);
	v->pair.next_beat_ns = v->pair.n ? now_ns : CARP_NEVER;
	v->pair.beat_now = true;
	vhids_stand_back(v);
	vhids_judge(v);
	for (size_t i = 0; i < v->n; i++)
		vhid_lease(v, &v->all[i]);
	return err;
}

size_t vhids_pair_show(const struct vhids *v, struct pair_view *views, size_t max)
{
	size_t i;

	for (i = 0; i < v->pair.n && i < max; i++) {
		const struct pair_peer *peer = &v->pair.peers[i];

		views[i] = (struct pair_view){ .addr = peer->addr,
					       .node = peer->node,
					       .mark = peer->mark,
					       .state = peer->state,
					       .since_ns = peer->since_ns,
					       .beat_ns = peer->beat_ns,
					       .ready = peer->ready,
					       .maintenance = peer->maintenance,
					       .strange = within(longer(peer->strange_ns, v->pair.strange_ns),
								 STRANGE_NS, v->now_ns),
					       .sent = peer->sent,
					       .received = peer->received,
					       .bad = peer->bad };
	}
	return i;
}
