// SPDX-License-Identifier: GPL-2.0-only
#include "user/vip/vhids.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "user/vip/vhids_internal.h"

#define HELD_UP_NS (SECOND / 2) /* without a run: what peers have said meanwhile is still to be read */
#define LEASE_FOREVER UINT64_MAX
#define LEASE_INTERVALS 2	       /* fewer than a backup waits */
#define LEASE_UNREADY_NS (60 * SECOND) /* a peer gives up waiting before, and takes over */

/* ---- events ---- */

struct vhid_event *vhid_event_node(struct vhids *v, enum vhid_event_kind kind)
{
	struct vhid_event *e;

	if (v->n_events == VHID_EVENTS_MAX) {
		v->lost_events++;
		return NULL;
	}
	e = &v->events[(v->first_event + v->n_events++) % VHID_EVENTS_MAX];
	*e = (struct vhid_event){ .kind = kind, .at_ns = v->now_ns };
	eventfd_write(v->notify, 1);
	return e;
}

struct vhid_event *vhid_event_add(struct vhids *v, const struct vhid *one, enum vhid_event_kind kind)
{
	struct vhid_event *e = vhid_event_node(v, kind);

	if (!e)
		return NULL;
	memcpy(e->name, one->name, sizeof(e->name));
	e->ifindex = one->ifindex;
	e->vhid = one->vhid;
	e->before = e->role = one->carp.role;
	e->why = one->carp.why;
	e->holds = one->carp.holds;
	return e;
}

bool vhids_event(struct vhids *v, struct vhid_event *event, unsigned int *lost)
{
	*lost = v->lost_events;
	v->lost_events = 0;
	if (!v->n_events)
		return false;
	*event = v->events[v->first_event];
	v->first_event = (v->first_event + 1) % VHID_EVENTS_MAX;
	v->n_events--;
	return true;
}

/* ---- acting ---- */

static uint64_t lease_until(const struct vhids *v, const struct vhid *one)
{
	uint64_t unready_ns = 2 * carp_patience_ns(&one->carp);

	if (one->carp.role != CARP_MASTER)
		return 0;
	if (one->guard == GUARD_READY)
		return v->now_ns + LEASE_INTERVALS * carp_interval_ns(&one->carp);
	if (one->guard == GUARD_UNREADY)
		return v->now_ns + (unready_ns > LEASE_UNREADY_NS ? unready_ns : LEASE_UNREADY_NS);
	return LEASE_FOREVER;
}

void vhid_lease(struct vhids *v, const struct vhid *one)
{
	if (!one->inherits)
		v->plane.lease(v->plane.arg, one->lease, lease_until(v, one));
}

/* It was another's, or is this node's own from now on. */
void vhid_inherit_ends(struct vhids *v, struct vhid *one)
{
	if (!one->inherits)
		return;
	one->inherits = false;
	vhid_lease(v, one);
	if (one->carp.role != CARP_MASTER)
		vhid_event_add(v, one, VHID_LEASE);
}

static void role_changed(struct vhids *v, struct vhid *one, enum carp_role before, const struct addr *from)
{
	struct vhid_event *e;

	v->pair.beat_now = true;
	one->announced_ns = 0;
	for (size_t i = 0; one->carp.role != CARP_MASTER && i < v->pair.n; i++)
		one->say[i].unseen_ns = 0;
	if (one->carp.role == CARP_MASTER)
		one->master = (struct addr){ 0 };
	e = vhid_event_add(v, one, VHID_ROLE);
	if (e)
		e->before = before;
	if (e && from)
		e->from = *from;
}

void vhid_act(struct vhids *v, struct vhid *one, enum carp_role before, unsigned int acts, const struct addr *from)
{
	if (acts & CARP_ACT_BOW_OUT)
		vhid_send_advert(v, one, true);
	if (one->carp.role == CARP_MASTER || one->carp.role == CARP_DISABLED)
		vhid_inherit_ends(v, one);
	if (acts & (CARP_ACT_RELEASE | CARP_ACT_TAKE | CARP_ACT_ADVERT))
		vhid_lease(v, one);
	if (acts & CARP_ACT_ADVERT)
		vhid_send_advert(v, one, false);
	if (acts & CARP_ACT_ANNOUNCE)
		vhid_announce_begin(v, one);
	if (one->carp.role != before)
		role_changed(v, one, before, from);
}

/* ---- facts ---- */

static uint32_t total(const struct vhid_demotions *d)
{
	return d->links + d->held + d->sending + d->segment + d->node + d->maintenance;
}

bool vhid_settles(const struct vhids *v, const struct vhid *one)
{
	return one->gateway_waits && v->now_ns < one->settled_ns;
}

static bool has_source(const struct vhid *one)
{
	return vhid_speaks(one, false) || vhid_speaks(one, true);
}

/* A family of its addresses that it can't send by, for its device has none of its own: hosts of that hardly get answers, either. 0: none */
static int unspoken(const struct vhid *one)
{
	for (size_t i = 0; i < one->n_addresses; i++)
		if (!vhid_speaks(one, one->addresses[i].addr.family == AF_INET6))
			return one->addresses[i].addr.family;
	return 0;
}

/* A vhid that can't take part makes the node worse for all others: they go together. */
static struct vhid_demotions demotions_of(const struct vhids *v, const struct vhid *one)
{
	struct vhid_demotions d = { .node = v->node.demotion, .maintenance = one->behind ? VHID_MAINTENANCE : 0 };

	for (size_t i = 0; i < v->n; i++) {
		const struct vhid *other = &v->all[i];

		if (other->facts.disabled || (other != one && (one->independent || other->independent)))
			continue;
		if (!other->link_up || vhid_settles(v, other))
			d.links += VHID_DEMOTION;
		else if (!other->has_key || unspoken(other))
			d.held += VHID_DEMOTION;
		else if (other->sending.fails)
			d.sending += VHID_DEMOTION;
		else if (other->segment.deaf)
			d.segment += VHID_DEMOTION;
	}
	return d;
}

static unsigned int holds_of(const struct vhids *v, const struct vhid *one)
{
	return (one->facts.disabled ? CARP_HOLD_DISABLED : 0) | (one->link_up && one->ifindex ? 0 : CARP_HOLD_LINK) |
	       (one->has_key ? 0 : CARP_HOLD_KEY) | (has_source(one) ? 0 : CARP_HOLD_SOURCE) |
	       (v->node.ready ? 0 : CARP_HOLD_NOT_READY) | (v->pair.n && !v->pair.keys.n ? CARP_HOLD_PAIR_KEY : 0) |
	       (v->node.left_out ? CARP_HOLD_LEFT_OUT : 0);
}

void vhids_judge(struct vhids *v)
{
	for (size_t i = 0; i < v->n; i++) {
		struct vhid *one = &v->all[i];
		enum carp_role before = one->carp.role;
		uint32_t demotion = one->carp.demotion;

		one->unspoken_ns = unspoken(one) ? one->unspoken_ns ?: v->now_ns : 0;
		one->carp.node = v->pair.node;
		one->demotions = demotions_of(v, one);
		vhid_act(v, one, before, carp_facts(&one->carp, holds_of(v, one), total(&one->demotions), v->now_ns),
			 NULL);
		v->pair.beat_now |= demotion != one->carp.demotion;
	}
}

void vhids_facts(struct vhids *v, const struct vhid_facts *facts, const struct vhid_node *node, uint64_t now_ns)
{
	vhids_wake(v, now_ns);
	v->pair.beat_now |= v->node.ready != node->ready;
	v->node = *node;
	for (size_t i = 0; i < v->n; i++)
		v->all[i].facts = facts[i];
	vhids_judge(v);
}

void vhids_link(struct vhids *v, uint32_t ifindex, bool up, uint64_t now_ns)
{
	bool changed = false;

	vhids_wake(v, now_ns);
	if (v->pair.wire.ifindex == ifindex && v->pair.link_up != up) {
		v->pair.link_up = up;
		v->pair.woke_ns = now_ns; /* nothing could come before */
	}
	for (size_t i = 0; i < v->n; i++) {
		if (v->all[i].ifindex != ifindex || v->all[i].link_up == up)
			continue;
		v->all[i].settled_ns = up && v->all[i].was_up ? now_ns + VHID_SETTLE_NS : 0;
		v->all[i].link_up = up;
		v->all[i].was_up |= up;
		v->all[i].link_ns = now_ns;
		changed = true;
	}
	if (changed)
		vhids_judge(v);
}

/* Gateways that are up too: their probes may not have been missed for long enough yet. */
void vhids_settle(struct vhids *v)
{
	for (size_t i = 0; i < v->n; i++)
		if (v->all[i].link_up)
			v->all[i].settled_ns = v->now_ns + VHID_SETTLE_NS;
	vhids_judge(v);
}

void vhids_gateways(struct vhids *v, uint32_t ifindex, bool waits, uint64_t now_ns)
{
	bool changed = false;

	vhids_wake(v, now_ns);
	for (size_t i = 0; i < v->n; i++) {
		struct vhid *one = &v->all[i];
		bool did = vhid_settles(v, one);

		if (one->ifindex != ifindex)
			continue;
		if (one->gateway_waits && !waits)
			one->settled_ns = 0; /* what becomes of it later is another matter */
		one->gateway_waits = waits;
		changed |= did != vhid_settles(v, one);
	}
	if (changed)
		vhids_judge(v);
}

static bool is_before(const struct vhids *v, size_t n, uint32_t ifindex)
{
	for (size_t i = 0; i < n; i++)
		if (v->all[i].ifindex == ifindex)
			return true;
	return false;
}

/* The sync link's comes last. */
uint32_t vhids_device(const struct vhids *v, size_t i)
{
	for (size_t j = 0; j < v->n; j++)
		if (v->all[j].ifindex && !is_before(v, j, v->all[j].ifindex) && !i--)
			return v->all[j].ifindex;
	return i || !v->pair.n || is_before(v, v->n, v->pair.wire.ifindex) ? 0 : v->pair.wire.ifindex;
}

void vhids_hand_over(struct vhids *v, size_t which, uint64_t now_ns)
{
	vhids_wake(v, now_ns);
	for (size_t i = 0; i < v->n; i++) {
		struct vhid *one = &v->all[i];
		enum carp_role before = one->carp.role;

		if (i == which || which == SIZE_MAX)
			vhid_act(v, one, before, carp_hand_over(&one->carp, now_ns), NULL);
	}
}

void vhids_mute(struct vhids *v, uint64_t until_ns)
{
	v->mute_ns = until_ns;
}

/* ---- time ---- */

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint64_t vhids_next(const struct vhids *v)
{
	uint64_t next = v->pair.n ? earlier(v->pair.next_beat_ns, v->pair.next_look_ns) : CARP_NEVER;

	for (size_t i = 0; i < v->n; i++) {
		next = earlier(next, earlier(v->all[i].carp.next_ns, v->all[i].announce_ns));
		next = earlier(next, vhid_probe_next(&v->all[i]));
		if (v->all[i].settled_ns)
			next = earlier(next, v->all[i].settled_ns);
	}
	return next;
}

/* A peer that would take over was there when this node last ran: it has done so. */
void vhids_wake(struct vhids *v, uint64_t now_ns)
{
	bool held_up = v->now_ns && now_ns - v->now_ns > HELD_UP_NS;

	if (held_up)
		v->pair.woke_ns = v->pair.held_ns = now_ns;
	v->now_ns = now_ns;
	for (size_t i = 0; i < v->n; i++) {
		struct vhid *one = &v->all[i];

		if (held_up)
			carp_held_up(&one->carp, now_ns);
		if (one->guard == GUARD_READY && carp_is_late(&one->carp, now_ns))
			vhid_act(v, one, CARP_MASTER, carp_lapse(&one->carp, now_ns), NULL);
	}
}

static void run_one(struct vhids *v, struct vhid *one)
{
	enum carp_role before = one->carp.role;

	vhid_act(v, one, before, carp_run(&one->carp, v->now_ns), NULL);
	vhid_announce_run(v, one);
	vhid_probe_run(v, one);
}

void vhids_run(struct vhids *v, uint64_t now_ns)
{
	bool changed = false;

	vhids_wake(v, now_ns);
	for (size_t i = 0; i < v->n; i++) {
		struct vhid *one = &v->all[i];
		bool failed = one->sending.fails;

		run_one(v, one);
		changed |= failed != one->sending.fails;
		if (one->settled_ns && now_ns >= one->settled_ns) {
			one->settled_ns = 0;
			changed = true;
		}
	}
	if (changed)
		vhids_judge(v);
	if (!v->pair.n)
		return;
	vhids_watch(v);
	if (vhids_stand_back(v))
		vhids_judge(v);
	pair_run(v);
	changed = false;
	for (size_t i = 0; i < v->n; i++) {
		struct vhid *one = &v->all[i];

		changed |= vhid_is_vacant(v, one) && carp_vacant(&one->carp, now_ns);
		one->guard = vhid_guard(v, one);
		vhid_lease(v, one);
	}
	if (changed)
		pair_beats(v, false); /* so that a better one knows it too, before this one takes them */
}

/* ---- showing ---- */

static struct addr peer_addr(const struct vhids *v, bool is, size_t peer)
{
	return is && peer < v->pair.n ? v->pair.peers[peer].addr : (struct addr){ 0 };
}

static bool peer_refuses(const struct vhids *v, const struct vhid *one)
{
	return one->segment.peer < v->pair.n && one->say[one->segment.peer].told.flags & BEAT_REFUSES;
}

static void view_of(const struct vhids *v, const struct vhid *one, struct vhid_view *view)
{
	*view = (struct vhid_view){ .carp = one->carp,
				    .owns = one->carp.role == CARP_MASTER || one->inherits,
				    .master = one->master,
				    .heard_ns = one->heard_ns,
				    .sent = one->sent,
				    .received = one->received,
				    .bad = one->bad,
				    .demotions = one->demotions,
				    .down_ns = one->link_up && !vhid_settles(v, one) ? 0 : one->link_ns,
				    .settles = one->link_up && vhid_settles(v, one),
				    .unsent_ns = one->sending.fails ? one->sending.since_ns : 0,
				    .unsent_proof_ns = one->sending.proof_ns,
				    .unspoken_ns = one->unspoken_ns,
				    .unspoken = unspoken(one),
				    .behind_ns = one->behind ? one->behind_ns : 0,
				    .deaf_ns = one->segment.deaf ? one->segment.deaf_ns : 0,
				    .guarded = one->guard == GUARD_READY,
				    .dual = one->dual.is,
				    .dual_ns = one->dual.is ? one->dual.began_ns : one->dual.seen_ns,
				    .dual_peer = peer_addr(v, one->dual.seen_ns, one->dual.peer),
				    .split = one->segment.split,
				    .split_ns = one->segment.since_ns,
				    .split_refused = one->segment.split &&
						     (vhid_refuses(one, v->now_ns) || peer_refuses(v, one)),
				    .split_peer = peer_addr(v, one->segment.split, one->segment.peer),
				    .announced_ns = one->announced_ns,
				    .unseen_ns = one->unseen.is ? one->unseen.since_ns : 0,
				    .unseen_peer = peer_addr(v, one->unseen.is, one->unseen.peer) };
	if (vhid_has_rival(v, one)) {
		view->rival = one->rival.addr;
		view->rival_why = one->rival.why;
	}
	memcpy(view->name, one->name, sizeof(view->name));
}

size_t vhids_show(const struct vhids *v, struct vhid_view *views, size_t max)
{
	size_t i;

	for (i = 0; i < v->n && i < max; i++)
		view_of(v, &v->all[i], &views[i]);
	return i;
}

/* ---- beginning and end ---- */

int vhids_open(struct vhids **out, int epoll, uint64_t first_event, int notify, const struct vhids_plane *plane)
{
	struct vhids *v = calloc(1, sizeof(*v));
	int err;

	if (!v)
		return -ENOMEM;
	v->plane = *plane;
	v->notify = notify;
	v->pair_event = first_event + CARP_EVENTS;
	v->pair.next_beat_ns = v->pair.next_look_ns = CARP_NEVER;
	pair_wire_init(&v->pair.wire, epoll, v->pair_event);
	err = carp_wire_open(&v->wire, epoll, first_event);
	if (err) {
		free(v);
		return err;
	}
	*out = v;
	return 0;
}
