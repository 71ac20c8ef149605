// SPDX-License-Identifier: GPL-2.0-only
/* What vhids hear on their segments. */
#include "user/vip/vhids_internal.h"

#define STRANGE_PAUSE_NS \
	(3 * SECOND) /* while keys are changed, who does not know which of two the other has sends by both */
#define FAULT_PAUSE_NS (60 * SECOND) /* between two events about the same fault */
#define RIVAL_INTERVALS 3	     /* so many of its adverts may get lost */
#define RIVAL_NS (5 * SECOND)	     /* at least, that it is taken to be there */

/* Whose advert it is, and what it says. */
struct advert {
	struct carp_claim claim;
	struct pair_peer *peer; /* NULL: of no pair's node */
	struct ext ext;
	unsigned int key;
};

static struct vhid *vhid_of(struct vhids *v, const struct carp_heard *heard)
{
	for (size_t i = 0; i < v->n; i++)
		if (v->all[i].ifindex == heard->ifindex && heard->len > 1 && v->all[i].vhid == heard->data[1])
			return &v->all[i];
	return NULL;
}

static bool is_from_peer(const struct vhid *one, const struct addr *from)
{
	for (size_t i = 0; i < one->n_peers; i++)
		if (addr_equal(&one->peers[i], from))
			return true;
	return !one->n_peers;
}

bool vhid_has_rival(const struct vhids *v, const struct vhid *one)
{
	return one->carp.role == CARP_MASTER && v->now_ns < one->rival.until_ns;
}

/* What nodes hear of each other that don't have the same password, addresses or keys; anybody who is on the segment can make it up. */
static bool is_misfit(enum carp_fault why)
{
	return why == CARP_DIGEST || why == CARP_UNSIGNED || why == CARP_STRANGE_KEY || why == CARP_STRANGER;
}

bool vhid_refuses(const struct vhid *one, uint64_t now_ns)
{
	return one->refused_ns && now_ns - one->refused_ns <= carp_patience_ns(&one->carp);
}

/*
 * Neither of the two gives way: this one does not believe it, and that one does not understand more than CARP, or has another password or other
 * addresses for this vhid.
 */
static void watch_rival(struct vhids *v, struct vhid *one, const struct carp_heard *heard, enum carp_fault why,
			const struct carp_claim *claim)
{
	const uint64_t ns = RIVAL_INTERVALS * claim->interval_ns;
	const bool is_known = vhid_has_rival(v, one); /* by its other family's address, maybe */
	struct vhid_event *e;

	if (one->carp.role != CARP_MASTER || claim->leaves || !is_misfit(why))
		return;
	one->rival.until_ns = v->now_ns + (ns > RIVAL_NS ? ns : RIVAL_NS);
	if (is_known)
		return;
	one->rival.addr = heard->from;
	one->rival.why = why;
	e = vhid_event_add(v, one, VHID_RIVAL);
	if (!e)
		return;
	e->fault = why;
	e->from = heard->from;
}

static void fault(struct vhids *v, struct vhid *one, const struct carp_heard *heard, enum carp_fault fault,
		  const struct carp_claim *claim)
{
	struct vhid_event *e;

	one->bad++;
	if (is_misfit(fault))
		one->refused_ns = v->now_ns;
	if (fault == CARP_STRANGE_KEY &&
	    (pair_keys_are_fresh(v) || (one->heard_ns && v->now_ns - one->heard_ns < STRANGE_PAUSE_NS)))
		return;
	watch_rival(v, one, heard, fault, claim);
	if (one->fault_ns[fault] && v->now_ns - one->fault_ns[fault] < FAULT_PAUSE_NS)
		return;
	one->fault_ns[fault] = v->now_ns;
	e = vhid_event_add(v, one, VHID_FAULT);
	if (!e)
		return;
	e->fault = fault;
	e->from = heard->from;
}

/* With fast_ms all nodes are fairlead's, and have the same: adverts say in seconds what plain ones should believe. */
static uint64_t interval_of(const struct vhid *one, const struct carp_advert *advert)
{
	uint64_t fast = one->carp.set.fast_ms * 1000000ull;

	return fast ? fast + advert->advskew * fast / 256 : carp_interval_of(advert->advbase_s, advert->advskew);
}

/* ---- what a node of the pair has signed ---- */

static enum carp_fault extension(struct vhids *v, struct vhid *one, const struct carp_heard *heard, struct advert *a)
{
	bool six = heard->from.family == AF_INET6;
	enum carp_fault bad = ext_get(heard->data, heard->len, &v->pair.keys, &a->ext, &a->key);
	struct pair_peer *peer;
	struct vhid_peer *say;

	if (bad)
		return bad;
	peer = pair_peer_of(v, a->ext.node);
	if (!peer)
		return CARP_STRANGER;
	say = &one->say[peer - v->pair.peers];
	if (six != !!(a->ext.flags & EXT_SIX) || a->ext.mark.epoch < peer->mark.epoch ||
	    !sign_is_newer(&say->marks[six], &a->ext.mark))
		return CARP_REPLAYED;
	say->marks[six] = a->ext.mark;
	say->heard_ns = v->now_ns;
	say->together = a->ext.flags & EXT_TOGETHER;
	a->peer = peer;
	a->claim = (struct carp_claim){ .interval_ns = a->ext.interval_us * 1000ull,
					.demotion = a->ext.demotion,
					.node = a->ext.node,
					.leaves = a->ext.flags & EXT_LEAVES };
	peer->advert_ns = v->now_ns;
	peer->advert_interval_ns = a->claim.interval_ns;
	peer->ready = a->ext.flags & EXT_READY;
	pair_heard(peer, &a->ext.mark, a->key);
	return CARP_OK;
}

static void read_plain(const struct vhid *one, const struct carp_advert *advert, struct advert *a)
{
	a->claim = (struct carp_claim){ .interval_ns = interval_of(one, advert),
					.demotion = advert->demotion,
					.leaves = advert->advbase_s == 255 && advert->advskew == 255 };
}

static enum carp_fault judge_advert(struct vhids *v, struct vhid *one, const struct carp_heard *heard,
				    const struct carp_advert *plain, struct advert *a)
{
	enum carp_fault bad;

	read_plain(one, plain, a);
	if (!v->pair.n)
		return CARP_OK;
	bad = extension(v, one, heard, a);
	return bad == CARP_UNSIGNED && one->plain_peers ? CARP_OK : bad;
}

/* What it says of this one holds for all that move together: the link to another may be down, and with that go its adverts, and beats maybe. */
static void relieve_of_others(struct vhids *v, const struct vhid *one, const struct advert *a)
{
	size_t peer = (size_t)(a->peer - v->pair.peers);

	for (size_t i = 0; i < v->n; i++) {
		struct vhid *other = &v->all[i];
		enum carp_role before = other->carp.role;

		if (other == one || one->independent || other->independent || !one->say[peer].together ||
		    !other->say[peer].together)
			continue;
		vhid_act(v, other, before, carp_heard_elsewhere(&other->carp, &a->claim, v->now_ns), &a->peer->addr);
	}
}

/* ---- hearing ---- */

static void take_claim(struct vhids *v, struct vhid *one, const struct carp_heard *heard, const struct advert *a)
{
	size_t peer = a->peer ? (size_t)(a->peer - v->pair.peers) : 0;
	enum carp_role before = one->carp.role;

	if (a->peer && !vhid_is_news(&one->say[peer], &a->ext.mark))
		return;
	if (a->peer)
		one->say[peer].is_newest = false;
	if (a->peer && !a->claim.leaves && !(a->ext.flags & EXT_NEW))
		vhid_watch_dual(v, one, peer, 0);
	vhid_act(v, one, before, carp_heard(&one->carp, &a->claim, v->now_ns), &heard->from);
	if (!a->claim.leaves)
		vhid_inherit_ends(v, one);
	if (one->carp.role == CARP_BACKUP)
		one->master = a->claim.leaves ? (struct addr){ 0 } : heard->from;
	if (a->peer)
		relieve_of_others(v, one, a);
}

static bool takes_part(const struct vhid *one)
{
	return one->carp.role != CARP_DISABLED && one->carp.role != CARP_INIT;
}

static void hear(void *arg, const struct carp_heard *heard)
{
	struct vhids *v = arg;
	struct vhid *one = vhid_of(v, heard);
	struct advert a = { .peer = NULL };
	struct carp_advert advert;
	enum carp_fault bad;

	if (!one || vhids_are_mute(v) || !(takes_part(one) || v->node.left_out))
		return;
	bad = heard->ttl != 255 || !is_from_peer(one, &heard->from)
		      ? CARP_FAR
		      : carp_get(heard->data, heard->len, &one->key, &advert);
	if (bad == CARP_OTHER || (!bad && advert.counter == one->counter)) /* its own, come back */
		return;
	bad = bad ?: judge_advert(v, one, heard, &advert, &a);
	if (bad == CARP_STRANGE_KEY)
		v->pair.strange_ns = v->now_ns;
	if (!takes_part(one))
		return;
	if (bad) {
		fault(v, one, heard, bad, &a.claim);
		return;
	}
	one->received++;
	one->heard_ns = v->now_ns;
	take_claim(v, one, heard, &a);
}

void vhids_receive(struct vhids *v, uint64_t event, uint64_t now_ns)
{
	vhids_wake(v, now_ns);
	if (event < v->pair_event)
		carp_wire_receive(v->wire, event, hear, v);
	else if (event == v->pair_event + PAIR_BEATS)
		pair_receive(v);
	else
		vhids_watch_announced(v, (unsigned int)(event - v->pair_event));
}
