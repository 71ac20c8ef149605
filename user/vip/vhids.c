// SPDX-License-Identifier: GPL-2.0-only
#include "user/vip/vhids.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>

#include "user/vip/announce.h"

#define SECOND 1000000000ull
#define ANNOUNCE_PAUSE_NS SECOND     /* between repetitions */
#define FAULT_PAUSE_NS (60 * SECOND) /* between two events about the same fault */
#define SEND_ERRORS 3		     /* in a row, before that is told and demotes; as many successes take it back */
#define LEASE_FOREVER UINT64_MAX
#define LEASE_INTERVALS 2 /* fewer than a backup waits */

/* One vhid on one device. */
struct vhid {
	char name[VHID_NAME_MAX];
	uint16_t lease;
	uint32_t ifindex;
	uint8_t vhid;
	bool independent, router;
	bool link_up;
	bool inherits; /* the lease of a dead daemon */
	struct carp carp;
	struct carp_key key;
	bool has_key;
	enum carp_variant variant;
	struct prefix *addresses;
	size_t n_addresses;
	struct addr *peers;
	size_t n_peers;
	uint32_t announce_repeat, announce_refresh_s;
	struct vhid_facts facts;
	uint64_t counter; /* the same in each advert, so that its own are known */

	uint64_t announce_ns; /* the next one is due; CARP_NEVER */
	uint32_t announce_left;
	struct addr master;
	uint64_t heard_ns, sent, received, bad;
	unsigned int send_errors, send_successes;
	bool unsent; /* told */
	uint64_t fault_ns[CARP_FAULTS];
};

struct vhids {
	struct vhids_plane plane;
	struct carp_wire *wire;
	int notify;
	struct vhid *all;
	size_t n;
	struct vhid_node node;
	struct vhid_event events[VHID_EVENTS_MAX];
	unsigned int first_event, n_events, lost_events;
	uint64_t now_ns; /* of the call that is under way */
};

/* ---- events ---- */

static struct vhid_event *event_add(struct vhids *v, const struct vhid *one, enum vhid_event_kind kind)
{
	struct vhid_event *e;

	if (v->n_events == VHID_EVENTS_MAX) {
		v->lost_events++;
		return NULL;
	}
	e = &v->events[(v->first_event + v->n_events++) % VHID_EVENTS_MAX];
	*e = (struct vhid_event){ .kind = kind,
				  .ifindex = one->ifindex,
				  .vhid = one->vhid,
				  .at_ns = v->now_ns,
				  .before = one->carp.role,
				  .role = one->carp.role,
				  .why = one->carp.why,
				  .holds = one->carp.holds };
	memcpy(e->name, one->name, sizeof(e->name));
	eventfd_write(v->notify, 1);
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

static bool is_joined(const struct vhid *all, size_t n, uint32_t ifindex)
{
	for (size_t i = 0; i < n; i++)
		if (all[i].ifindex == ifindex)
			return true;
	return false;
}

/* ---- sending ---- */

static bool has_family(const struct vhid *one, int family)
{
	for (size_t i = 0; i < one->n_addresses; i++)
		if (one->addresses[i].addr.family == family)
			return true;
	return false;
}

/* Whoever can't be reached must not believe that it is heard: a master that can't send is none for the others. */
static void note_sending(struct vhids *v, struct vhid *one, int err)
{
	struct vhid_event *e;

	one->send_errors = err ? one->send_errors + 1 : 0;
	one->send_successes = err ? 0 : one->send_successes + 1;
	if (one->unsent ? one->send_successes < SEND_ERRORS : one->send_errors < SEND_ERRORS)
		return;
	one->unsent = !one->unsent;
	e = event_add(v, one, one->unsent ? VHID_UNSENT : VHID_SENT);
	if (e)
		e->err = err;
}

static int send_by(struct vhids *v, const struct vhid *one, unsigned int six, const uint8_t *advert)
{
	struct carp_path path = { .ifindex = one->ifindex, .vhid = one->vhid, .source = one->facts.sources[six] };
	int err = 0, r;
	size_t i;

	if (!one->n_peers)
		return carp_wire_send(v->wire, &path, advert, CARP_LEN);
	for (i = 0; i < one->n_peers; i++) {
		if (one->peers[i].family != path.source.family)
			continue;
		path.peer = one->peers[i];
		r = carp_wire_send(v->wire, &path, advert, CARP_LEN);
		err = err ? err : r;
	}
	return err;
}

/* One by each family that it has addresses of, as FreeBSD and OpenBSD do */
static void send_advert(struct vhids *v, struct vhid *one, bool leaves)
{
	const struct carp_advert advert = { .vhid = one->vhid,
					    .advskew = leaves ? 255 : carp_advskew(&one->carp),
					    .advbase_s = leaves ? 255 : one->carp.set.advbase_s,
					    .demotion = one->carp.demotion < 255 ? one->carp.demotion : 255,
					    .counter = one->counter };
	uint8_t packet[CARP_LEN];
	int err = 0, tried = 0;

	carp_put(packet, &advert, &one->key, one->variant);
	for (unsigned int six = 0; six < 2; six++) {
		if (!has_family(one, six ? AF_INET6 : AF_INET) || one->facts.sources[six].family == AF_UNSPEC)
			continue;
		tried++;
		err = send_by(v, one, six, packet) ?: err;
	}
	one->sent += tried && !err;
	if (!leaves)
		note_sending(v, one, tried ? err : -EADDRNOTAVAIL);
}

static void announce(struct vhids *v, const struct vhid *one)
{
	const uint8_t mac[6] = { 0x00, 0x00, 0x5e, 0x00, 0x01, one->vhid };
	uint8_t frame[ANNOUNCE_MAX];

	for (size_t i = 0; i < one->n_addresses; i++)
		carp_wire_frame(v->wire, one->ifindex, frame,
				announce_build(&one->addresses[i].addr, mac, one->router, frame));
}

static void announce_begin(struct vhids *v, struct vhid *one)
{
	announce(v, one);
	one->announce_left = one->announce_repeat;
	one->announce_ns = v->now_ns + ANNOUNCE_PAUSE_NS;
}

static void announce_run(struct vhids *v, struct vhid *one)
{
	if (one->carp.role != CARP_MASTER) {
		one->announce_ns = CARP_NEVER;
		return;
	}
	if (v->now_ns < one->announce_ns)
		return;
	if (one->announce_left || one->announce_refresh_s)
		announce(v, one);
	one->announce_left -= !!one->announce_left;
	if (one->announce_left)
		one->announce_ns = v->now_ns + ANNOUNCE_PAUSE_NS;
	else
		one->announce_ns = one->announce_refresh_s ? v->now_ns + one->announce_refresh_s * SECOND : CARP_NEVER;
}

/* ---- acting ---- */

static void lease(struct vhids *v, const struct vhid *one)
{
	uint64_t until = 0;

	if (one->inherits)
		return;
	if (one->carp.role == CARP_MASTER)
		until = v->node.guarded ? v->now_ns + LEASE_INTERVALS * carp_interval_ns(&one->carp) : LEASE_FOREVER;
	v->plane.lease(v->plane.arg, one->lease, until);
}

/* It was another's, or is this node's own from now on. */
static void inherit_ends(struct vhids *v, struct vhid *one)
{
	if (!one->inherits)
		return;
	one->inherits = false;
	lease(v, one);
	if (one->carp.role != CARP_MASTER)
		event_add(v, one, VHID_LEASE);
}

static void act(struct vhids *v, struct vhid *one, enum carp_role before, unsigned int acts, const struct addr *from)
{
	struct vhid_event *e;

	if (acts & CARP_ACT_BOW_OUT)
		send_advert(v, one, true);
	if (one->carp.role == CARP_MASTER || one->carp.role == CARP_DISABLED)
		inherit_ends(v, one);
	if (acts & (CARP_ACT_RELEASE | CARP_ACT_TAKE | CARP_ACT_ADVERT))
		lease(v, one);
	if (acts & CARP_ACT_ADVERT)
		send_advert(v, one, false);
	if (acts & CARP_ACT_ANNOUNCE)
		announce_begin(v, one);
	if (one->carp.role == before)
		return;
	if (one->carp.role == CARP_MASTER)
		one->master = (struct addr){ 0 };
	e = event_add(v, one, VHID_ROLE);
	if (e)
		e->before = before;
	if (e && from)
		e->from = *from;
}

/* A vhid that can't take part makes the node worse for all others: they go together. */
static uint32_t demotion_of(const struct vhids *v, const struct vhid *one)
{
	uint32_t demotion = v->node.demotion;

	for (size_t i = 0; i < v->n; i++) {
		const struct vhid *other = &v->all[i];
		bool fails = !other->facts.disabled && (!other->link_up || other->unsent);

		if (fails && (other == one || (!one->independent && !other->independent)))
			demotion += VHID_DEMOTION;
	}
	return demotion;
}

static unsigned int holds_of(const struct vhids *v, const struct vhid *one)
{
	bool source = false;

	for (unsigned int six = 0; six < 2; six++)
		source |= one->facts.sources[six].family && has_family(one, six ? AF_INET6 : AF_INET);
	return (one->facts.disabled ? CARP_HOLD_DISABLED : 0) | (one->link_up && one->ifindex ? 0 : CARP_HOLD_LINK) |
	       (one->has_key ? 0 : CARP_HOLD_KEY) | (source ? 0 : CARP_HOLD_SOURCE) |
	       (v->node.ready ? 0 : CARP_HOLD_NOT_READY);
}

static void judge(struct vhids *v)
{
	for (size_t i = 0; i < v->n; i++) {
		struct vhid *one = &v->all[i];
		enum carp_role before = one->carp.role;

		one->carp.node = v->node.name;
		act(v, one, before, carp_facts(&one->carp, holds_of(v, one), demotion_of(v, one), v->now_ns), NULL);
	}
}

void vhids_facts(struct vhids *v, const struct vhid_facts *facts, const struct vhid_node *node, uint64_t now_ns)
{
	v->now_ns = now_ns;
	v->node = *node;
	for (size_t i = 0; i < v->n; i++)
		v->all[i].facts = facts[i];
	judge(v);
	for (size_t i = 0; i < v->n; i++) /* whether there is a guard may have changed */
		lease(v, &v->all[i]);
}

void vhids_link(struct vhids *v, uint32_t ifindex, bool up, uint64_t now_ns)
{
	bool changed = false;

	v->now_ns = now_ns;
	for (size_t i = 0; i < v->n; i++) {
		if (v->all[i].ifindex != ifindex || v->all[i].link_up == up)
			continue;
		v->all[i].link_up = up;
		changed = true;
	}
	if (changed)
		judge(v);
}

uint32_t vhids_device(const struct vhids *v, size_t i)
{
	for (size_t j = 0; j < v->n; j++)
		if (v->all[j].ifindex && !is_joined(v->all, j, v->all[j].ifindex) && !i--)
			return v->all[j].ifindex;
	return 0;
}

void vhids_hand_over(struct vhids *v, size_t which, uint64_t now_ns)
{
	v->now_ns = now_ns;
	for (size_t i = 0; i < v->n; i++) {
		struct vhid *one = &v->all[i];
		enum carp_role before = one->carp.role;

		if (i == which || (which == SIZE_MAX && !one->independent))
			act(v, one, before, carp_hand_over(&one->carp, now_ns), NULL);
	}
}

/* ---- time ---- */

uint64_t vhids_next(const struct vhids *v)
{
	uint64_t next = CARP_NEVER;

	for (size_t i = 0; i < v->n; i++) {
		const struct vhid *one = &v->all[i];

		next = one->carp.next_ns < next ? one->carp.next_ns : next;
		next = one->announce_ns < next ? one->announce_ns : next;
	}
	return next;
}

void vhids_run(struct vhids *v, uint64_t now_ns)
{
	bool unsent = false;

	v->now_ns = now_ns;
	for (size_t i = 0; i < v->n; i++) {
		struct vhid *one = &v->all[i];
		enum carp_role before = one->carp.role;
		bool was = one->unsent;

		act(v, one, before, carp_run(&one->carp, now_ns), NULL);
		announce_run(v, one);
		unsent |= was != one->unsent;
	}
	if (unsent)
		judge(v);
}

/* ---- hearing ---- */

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

static void fault(struct vhids *v, struct vhid *one, const struct carp_heard *heard, enum carp_fault fault)
{
	struct vhid_event *e;

	one->bad++;
	if (one->fault_ns[fault] && v->now_ns - one->fault_ns[fault] < FAULT_PAUSE_NS)
		return;
	one->fault_ns[fault] = v->now_ns;
	e = event_add(v, one, VHID_FAULT);
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

static void hear(void *arg, const struct carp_heard *heard)
{
	struct vhids *v = arg;
	struct vhid *one = vhid_of(v, heard);
	struct carp_advert advert;
	struct carp_claim claim;
	enum carp_role before;
	enum carp_fault bad;

	if (!one || one->carp.role == CARP_DISABLED || one->carp.role == CARP_INIT)
		return;
	bad = heard->ttl != 255 || !is_from_peer(one, &heard->from)
		      ? CARP_FAR
		      : carp_get(heard->data, heard->len, &one->key, &advert);
	if (bad == CARP_OTHER)
		return;
	if (bad) {
		fault(v, one, heard, bad);
		return;
	}
	if (advert.counter == one->counter) /* its own, come back */
		return;
	one->received++;
	one->heard_ns = v->now_ns;
	claim = (struct carp_claim){ .interval_ns = interval_of(one, &advert),
				     .demotion = advert.demotion,
				     .leaves = advert.advbase_s == 255 && advert.advskew == 255 };
	before = one->carp.role;
	act(v, one, before, carp_heard(&one->carp, &claim, v->now_ns), &heard->from);
	if (!claim.leaves)
		inherit_ends(v, one);
	if (one->carp.role == CARP_BACKUP)
		one->master = claim.leaves ? (struct addr){ 0 } : heard->from;
}

void vhids_receive(struct vhids *v, uint64_t event, uint64_t now_ns)
{
	v->now_ns = now_ns;
	carp_wire_receive(v->wire, event, hear, v);
}

/* ---- a configuration ---- */

static void vhid_free(struct vhid *one)
{
	free(one->addresses);
	free(one->peers);
}

static void *copy_of(const void *data, size_t n, size_t size)
{
	void *copy = calloc(n + 1, size);

	if (copy)
		memcpy(copy, data ? data : "", data ? n * size : 0);
	return copy;
}

static int vhid_make(struct vhid *one, const struct vhid_setup *setup, const struct vhids *v)
{
	*one = (struct vhid){ .lease = setup->lease,
			      .ifindex = setup->ifindex,
			      .vhid = setup->vhid,
			      .independent = setup->independent,
			      .router = setup->router,
			      .inherits = setup->leased,
			      .has_key = setup->key,
			      .variant = setup->variant,
			      .n_addresses = setup->n_addresses,
			      .n_peers = setup->n_peers,
			      .announce_repeat = setup->announce_repeat,
			      .announce_refresh_s = setup->announce_refresh_s,
			      .announce_ns = CARP_NEVER };
	snprintf(one->name, sizeof(one->name), "%s", setup->name);
	if (setup->key)
		one->key = *setup->key;
	one->addresses = copy_of(setup->addresses, setup->n_addresses, sizeof(*one->addresses));
	one->peers = copy_of(setup->peers, setup->n_peers, sizeof(*one->peers));
	if (!one->addresses || !one->peers)
		return -ENOMEM;
	if (getrandom(&one->counter, sizeof(one->counter), 0) != sizeof(one->counter))
		return -errno;
	carp_init(&one->carp, &setup->set, v->node.name, v->now_ns);
	return 0;
}

/* What has been of it stays. */
static void vhid_goes_on(struct vhid *one, const struct vhid *before, const struct vhid_setup *setup, uint64_t now_ns)
{
	one->carp = before->carp;
	carp_settings(&one->carp, &setup->set, now_ns);
	one->facts = before->facts;
	one->link_up = before->link_up;
	one->inherits = before->inherits;
	one->counter = before->counter;
	one->announce_ns = before->announce_ns;
	one->announce_left = before->announce_left;
	one->master = before->master;
	one->heard_ns = before->heard_ns;
	one->sent = before->sent;
	one->received = before->received;
	one->bad = before->bad;
	one->unsent = before->unsent;
}

static struct vhid *same(struct vhid *all, size_t n, const struct vhid *one)
{
	for (size_t i = 0; i < n; i++)
		if (all[i].ifindex == one->ifindex && all[i].vhid == one->vhid)
			return &all[i];
	return NULL;
}

/* A device that is gone has left by itself. */
static void join(struct vhids *v, const struct vhid *before, size_t n_before)
{
	for (size_t i = 0; i < n_before; i++)
		if (!is_joined(v->all, v->n, before[i].ifindex) && !is_joined(before, i, before[i].ifindex))
			carp_wire_leave(v->wire, before[i].ifindex);
	for (size_t i = 0; i < v->n; i++)
		if (v->all[i].ifindex && !is_joined(before, n_before, v->all[i].ifindex) &&
		    !is_joined(v->all, i, v->all[i].ifindex))
			carp_wire_join(v->wire, v->all[i].ifindex);
}

static void vhid_ends(struct vhids *v, struct vhid *one)
{
	if (one->carp.role == CARP_MASTER)
		send_advert(v, one, true);
	v->plane.lease(v->plane.arg, one->lease, 0);
}

int vhids_configure(struct vhids *v, const struct vhid_setup *setups, size_t n, uint64_t now_ns)
{
	struct vhid *before = v->all, *all = calloc(n + 1, sizeof(*all)), *old;
	size_t n_before = v->n, i;
	int err = all ? 0 : -ENOMEM;

	v->now_ns = now_ns;
	for (i = 0; i < n && !err; i++)
		err = vhid_make(&all[i], &setups[i], v);
	if (err) {
		for (i = 0; all && i < n; i++)
			vhid_free(&all[i]);
		free(all);
		return err;
	}
	for (i = 0; i < n_before; i++)
		if (!same(all, n, &before[i]))
			vhid_ends(v, &before[i]);
	for (i = 0; i < n; i++) {
		old = same(before, n_before, &all[i]);
		if (!old)
			continue;
		vhid_goes_on(&all[i], old, &setups[i], now_ns);
		if (old->lease != all[i].lease)
			v->plane.lease(v->plane.arg, old->lease, 0);
	}
	v->all = all;
	v->n = n;
	join(v, before, n_before);
	judge(v);
	for (i = 0; i < n; i++)
		lease(v, &all[i]);
	for (i = 0; i < n_before; i++)
		vhid_free(&before[i]);
	free(before);
	return 0;
}

size_t vhids_show(const struct vhids *v, struct vhid_view *views, size_t max)
{
	size_t i;

	for (i = 0; i < v->n && i < max; i++) {
		const struct vhid *one = &v->all[i];

		views[i] = (struct vhid_view){ .carp = one->carp,
					       .owns = one->carp.role == CARP_MASTER || one->inherits,
					       .master = one->master,
					       .heard_ns = one->heard_ns,
					       .sent = one->sent,
					       .received = one->received,
					       .bad = one->bad };
		memcpy(views[i].name, one->name, sizeof(views[i].name));
	}
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
	err = carp_wire_open(&v->wire, epoll, first_event);
	if (err) {
		free(v);
		return err;
	}
	*out = v;
	return 0;
}

void vhids_close(struct vhids *v, uint64_t now_ns)
{
	if (!v)
		return;
	v->now_ns = now_ns;
	for (size_t i = 0; i < v->n; i++) {
		vhid_ends(v, &v->all[i]);
		vhid_free(&v->all[i]);
	}
	free(v->all);
	carp_wire_close(v->wire);
	free(v);
}
