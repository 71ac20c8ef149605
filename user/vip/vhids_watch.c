// SPDX-License-Identifier: GPL-2.0-only
/*
 * What two channels tell that one could not: two masters at once, or none; a segment that does not carry what the sync link says was sent; who has seen
 * the announcements.
 */
#include "user/vip/vhids_internal.h"

#define CHANGE_NS (200 * MS) /* at least: two masters for less are a change, no split brain */
#define CHANGE_INTERVALS 2
#define UNHEARD_NS (500 * MS)	  /* at least, before a segment is taken for split */
#define WHOLE_NS (3 * UNHEARD_NS) /* before it is taken for whole again */
#define LOOK_NS (500 * MS)	  /* how often a device's frames are counted while it matters */
#define RECEIVES_NS (2 * LOOK_NS) /* a frame in that time: it receives */
#define DEAF_NS (4 * LOOK_NS)	  /* none in that time: it does not */
#define SEEN_PAUSE_NS (100 * MS)  /* between two announcements of which the second is told at once too */
#define UNSEEN_NS SECOND	  /* in which a peer that has a link there sees one */

static uint64_t longer(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static struct vhid_event *peer_event(struct vhids *v, struct vhid *one, enum vhid_event_kind kind, size_t peer,
				     uint64_t ns)
{
	struct vhid_event *e = vhid_event_add(v, one, kind);

	if (!e)
		return NULL;
	e->from = v->pair.peers[peer].addr;
	e->ns = ns;
	return e;
}

/* ---- two masters ---- */

static uint64_t change_ns(const struct vhid *one)
{
	return longer(CHANGE_INTERVALS * carp_interval_ns(&one->carp), CHANGE_NS);
}

void vhid_watch_dual(struct vhids *v, struct vhid *one, size_t peer, uint64_t since_ns)
{
	/* where it does not say, it was none when its last beat came */
	uint64_t both_ns = longer(one->carp.since_ns, since_ns ?: one->say[peer].told_ns);

	if (one->carp.role != CARP_MASTER)
		return;
	if (!one->dual.is && v->now_ns - both_ns < change_ns(one))
		return;
	one->dual.seen_ns = v->now_ns;
	if (one->dual.is)
		return;
	one->dual.is = true;
	one->dual.began_ns = both_ns;
	one->dual.peer = peer;
	peer_event(v, one, VHID_SPLIT_BRAIN, peer, v->now_ns - both_ns);
	vhids_settle(v);
	/* before this node yields, if it does: so the other finds it too, and announces again */
	vhid_send_advert(v, one, false);
	pair_beats(v, false);
}

static bool other_is_over(const struct vhids *v, const struct vhid *one)
{
	const struct vhid_peer *say = &one->say[one->dual.peer];
	const struct pair_peer *peer = &v->pair.peers[one->dual.peer];
	uint64_t patience =
		2 * longer(carp_interval_ns(&one->carp), longer(peer->advert_interval_ns, peer->beat_interval_ns));

	return (say->told_ns > one->dual.seen_ns && say->told.role != CARP_MASTER) ||
	       v->now_ns - one->dual.seen_ns > longer(patience, CHANGE_NS);
}

/* The winner announces again: the other may have done so last. */
static void watch_dual(struct vhids *v, struct vhid *one)
{
	bool won = one->carp.role == CARP_MASTER;

	if (!one->dual.is || (won && !other_is_over(v, one)))
		return;
	one->dual.is = false;
	one->dual.seen_ns = v->now_ns;
	peer_event(v, one, VHID_ONE_MASTER, one->dual.peer, v->now_ns - one->dual.began_ns);
	if (won)
		vhid_announce_begin(v, one);
}

/* ---- no master ---- */

/* A word of now, not one that was read late: beats may have waited here while this node was stopped, but none is sent later than its interval says. */
static bool says_it_has_not(const struct vhids *v, const struct vhid *one, size_t i)
{
	const struct pair_peer *peer = &v->pair.peers[i];
	const struct vhid_peer *say = &one->say[i];

	return pair_is_up(v, peer) && say->is_newest && say->told_ns > v->pair.held_ns + peer->beat_interval_ns &&
	       say->told.role != CARP_MASTER && !(say->told.flags & BEAT_LEAVES);
}

/* Who hands over waits for another to take it, and plain nodes don't say that they haven't it. */
bool vhid_is_vacant(const struct vhids *v, const struct vhid *one)
{
	size_t i = 0;

	if (one->plain_peers || one->carp.role != CARP_BACKUP || one->carp.why == CARP_WHY_HANDS_OVER)
		return false;
	while (i < v->pair.n && says_it_has_not(v, one, i))
		i++;
	return i && i == v->pair.n;
}

/* ---- split segments ---- */

static uint64_t unheard_ns(const struct vhid *one)
{
	return longer(carp_patience_ns(&one->carp), UNHEARD_NS);
}

/* As backup: a peer says by the sync link that it is master, and its adverts don't come. As master: a backup says that these don't come. */
static bool is_cut(const struct vhids *v, const struct vhid *one, size_t i)
{
	const struct vhid_peer *say = &one->say[i];
	uint64_t limit = unheard_ns(one);

	if (!pair_is_up(v, &v->pair.peers[i]) || !say->told_ns)
		return false;
	if (one->carp.role == CARP_MASTER)
		return say->unheard_ns && v->now_ns - say->unheard_ns > limit;
	return one->carp.role == CARP_BACKUP && say->told.role == CARP_MASTER && say->told.since_ms * MS > limit &&
	       v->now_ns - longer(say->heard_ns, one->carp.since_ns) > limit;
}

static void watch_segment(struct vhids *v, struct vhid *one)
{
	struct vhid_segment *s = &one->segment;
	size_t i = 0;

	while (i < v->pair.n && !is_cut(v, one, i))
		i++;
	if (i < v->pair.n)
		s->cut_ns = v->now_ns;
	if (s->split ? v->now_ns - s->cut_ns < WHOLE_NS : s->cut_ns != v->now_ns)
		return;
	s->split = !s->split;
	s->peer = s->split ? i : s->peer;
	peer_event(v, one, s->split ? VHID_SEGMENT : VHID_SEGMENT_WHOLE, s->peer, v->now_ns - s->since_ns);
	s->since_ns = v->now_ns;
	s->moved_ns = s->split ? 0 : s->moved_ns;
	if (s->split)
		v->pair.next_look_ns = v->now_ns;
}

/* true: it has changed */
static bool set_deaf(struct vhids *v, struct vhid *one, bool deaf)
{
	if (one->segment.deaf == deaf)
		return false;
	one->segment.deaf = deaf;
	peer_event(v, one, deaf ? VHID_DEAF : VHID_HEARS, one->segment.peer, v->now_ns - one->segment.deaf_ns);
	one->segment.deaf_ns = v->now_ns;
	return true;
}

static bool look_at(struct vhids *v, struct vhid *one)
{
	struct vhid_segment *s = &one->segment;
	uint64_t received = s->received;
	bool first = s->split && v->now_ns == s->since_ns;

	if (!one->link_up)
		return set_deaf(v, one, false);
	pair_wire_received(&v->pair.wire, one->ifindex, &received);
	if (received != s->received && !first)
		s->moved_ns = v->now_ns;
	s->received = received;
	if (s->moved_ns == v->now_ns)
		return set_deaf(v, one, false);
	/* where adverts can't leave, or are refused, it is not the segment that splits it */
	if (s->split && !one->sending.fails && !(one->say[s->peer].told.flags & BEAT_REFUSES) &&
	    v->now_ns - longer(s->moved_ns, s->since_ns) > DEAF_NS && one->say[s->peer].told.flags & BEAT_RX &&
	    pair_is_up(v, &v->pair.peers[s->peer]))
		return set_deaf(v, one, true);
	return false;
}

static void look(struct vhids *v)
{
	bool changed = false, matters = false;

	for (size_t i = 0; i < v->n; i++) {
		struct vhid *one = &v->all[i];

		if (!one->segment.split && !one->segment.deaf)
			continue;
		matters = true;
		changed |= look_at(v, one);
	}
	v->pair.next_look_ns = matters ? v->now_ns + LOOK_NS : CARP_NEVER;
	if (changed)
		vhids_judge(v);
}

bool vhid_receives(const struct vhid *one, uint64_t now_ns)
{
	return one->segment.moved_ns && now_ns - one->segment.moved_ns < RECEIVES_NS;
}

/* ---- announcements that nobody sees ---- */

/* By its last beat it has a link to the segment. */
static bool listens(const struct vhids *v, const struct vhid *one, size_t i)
{
	enum carp_role role = one->say[i].told.role;

	return v->pair.peers[i].state == PAIR_UP && one->say[i].told_ns && (role == CARP_BACKUP || role == CARP_MASTER);
}

void vhid_watch_announce(struct vhids *v, struct vhid *one)
{
	for (size_t i = 0; i < v->pair.n; i++)
		if (!one->say[i].unseen_ns && listens(v, one, i))
			one->say[i].unseen_ns = v->now_ns;
}

/* The peer's word must be of later than that: it may have been held up. */
static bool has_missed(const struct vhids *v, const struct vhid *one, size_t i)
{
	const struct vhid_peer *say = &one->say[i];

	return one->carp.role == CARP_MASTER && say->unseen_ns && listens(v, one, i) &&
	       say->told_ns > say->unseen_ns + UNSEEN_NS;
}

/* Who is gone has nothing to see, and when it is back it was not there. */
static void forget_gone(struct vhids *v, struct vhid *one)
{
	for (size_t i = 0; i < v->pair.n; i++)
		if (!listens(v, one, i))
			one->say[i].unseen_ns = 0;
}

static void watch_unseen(struct vhids *v, struct vhid *one)
{
	struct vhid_unseen *u = &one->unseen;
	size_t i = 0;

	forget_gone(v, one);
	while (i < v->pair.n && !has_missed(v, one, i))
		i++;
	if (u->is == (i < v->pair.n))
		return;
	u->is = !u->is;
	if (u->is) {
		u->peer = i;
		u->since_ns = one->say[i].unseen_ns;
		one->announce_ns = one->announce_ns < v->now_ns + SECOND ? one->announce_ns : v->now_ns;
	}
	/* else it is no master any more, or the peer is gone: which others tell */
	if (u->is || (one->carp.role == CARP_MASTER && listens(v, one, u->peer)))
		peer_event(v, one, u->is ? VHID_UNSEEN : VHID_SEEN, u->peer, v->now_ns - u->since_ns);
}

/* at_ns: when it has seen all addresses announced; 0: it has not */
static void note_seen(struct vhid_peer *say, uint64_t at_ns)
{
	if (at_ns >= say->unseen_ns)
		say->unseen_ns = 0;
}

/* ---- all of it ---- */

void vhids_watch(struct vhids *v)
{
	for (size_t i = 0; i < v->n; i++) {
		watch_dual(v, &v->all[i]);
		watch_segment(v, &v->all[i]);
		watch_unseen(v, &v->all[i]);
	}
	if (v->now_ns >= v->pair.next_look_ns)
		look(v);
}

/* ---- announcements, and whether adverts are heard ---- */

static void note_heard(struct vhids *v, const struct vhid *one, struct vhid_peer *say)
{
	bool should = one->carp.role == CARP_MASTER && say->told.role == CARP_BACKUP;

	if (!should || say->told.flags & BEAT_HEARD)
		say->unheard_ns = 0;
	else if (!say->unheard_ns)
		say->unheard_ns = v->now_ns;
}

void vhid_watch_seen(struct vhids *v, struct vhid *one, const struct pair_peer *peer, const struct beat_entry *told)
{
	size_t i = (size_t)(peer - v->pair.peers);
	uint64_t ago_ns = told->seen_us * 1000ull;
	uint64_t at_ns = v->now_ns > ago_ns ? v->now_ns - ago_ns : 1; /* the peer may have seen it before this boot */

	note_heard(v, one, &one->say[i]);
	note_seen(&one->say[i], told->seen_us == BEAT_UNSEEN ? 0 : at_ns);
	/* who came later than that can't have seen the first */
	if (one->carp.role != CARP_MASTER || one->announced_ns || told->seen_us == BEAT_UNSEEN ||
	    at_ns < one->carp.since_ns || peer->since_ns > one->carp.since_ns)
		return;
	one->announced_ns = longer(at_ns - one->carp.since_ns, 1);
	peer_event(v, one, VHID_ANNOUNCED, i, one->announced_ns);
}

static void announced(void *arg, uint32_t ifindex, uint8_t vhid, const struct addr *address)
{
	struct vhids *v = arg;

	for (size_t i = 0; i < v->n; i++) {
		struct vhid *one = &v->all[i];

		if (one->ifindex != ifindex || one->vhid != vhid)
			continue;
		for (size_t j = 0; j < one->n_addresses; j++) {
			if (!addr_equal(&one->addresses[j].addr, address))
				continue;
			v->pair.beat_now |= v->now_ns - one->seen_ns[j] > SEEN_PAUSE_NS;
			one->seen_ns[j] = v->now_ns;
		}
	}
}

void vhids_watch_announced(struct vhids *v, unsigned int event)
{
	pair_wire_announcements(&v->pair.wire, event, announced, v);
}

uint32_t vhid_seen_us(const struct vhid *one, uint64_t now_ns)
{
	uint64_t oldest_us = 0;

	for (size_t i = 0; i < one->n_addresses; i++)
		oldest_us = longer(oldest_us, one->seen_ns[i] ? (now_ns - one->seen_ns[i]) / 1000 : BEAT_UNSEEN);
	return oldest_us < BEAT_UNSEEN ? (uint32_t)oldest_us : BEAT_UNSEEN;
}
