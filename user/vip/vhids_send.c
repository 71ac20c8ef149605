// SPDX-License-Identifier: GPL-2.0-only
/* What vhids say on their segments: adverts, and where the addresses are. */
#include <errno.h>

#include "user/vip/announce.h"
#include "user/vip/vhids_internal.h"

#define SEND_ERRORS 3		   /* in a row, before that is told and demotes */
#define SEND_PROOF_NS (3 * SECOND) /* without one, before that is over */
#define SEND_PROOF_MAX_NS (60 * SECOND)
#define SEND_RELAPSE_NS (600 * SECOND) /* one that comes back within that needs twice as much */
#define PROBE_NS SECOND
#define ANNOUNCE_PAUSE_NS SECOND	 /* between repetitions */
#define ANNOUNCE_UNSEEN_NS (10 * SECOND) /* and while a peer sees none of them */
#define NEW_INTERVALS 2

bool vhid_speaks(const struct vhid *one, bool six)
{
	const struct vhid_facts *f = &one->facts;
	int family = six ? AF_INET6 : AF_INET;

	if (!f->sources[six].family && !(six && one->n_peers && f->wide.family))
		return false;
	for (size_t i = 0; i < one->n_addresses; i++)
		if (one->addresses[i].addr.family == family)
			return true;
	return false;
}

/* What fails only under a master's load would have the addresses go to and fro. */
static uint64_t proof_ns(const struct vhid_sending *s, uint64_t now_ns)
{
	if (!s->since_ns || now_ns - s->since_ns > SEND_RELAPSE_NS)
		return SEND_PROOF_NS;
	return 2 * s->proof_ns < SEND_PROOF_MAX_NS ? 2 * s->proof_ns : SEND_PROOF_MAX_NS;
}

/* Whoever can't be reached must not believe that it is heard: a master that can't send is none for the others. */
static void note_sending(struct vhids *v, struct vhid *one, int err)
{
	struct vhid_sending *s = &one->sending;
	struct vhid_event *e;

	s->errors = err ? s->errors + 1 : 0;
	s->well_ns = err ? 0 : s->well_ns ?: v->now_ns;
	if (s->fails ? err || v->now_ns - s->well_ns < s->proof_ns : s->errors < SEND_ERRORS)
		return;
	s->fails = !s->fails;
	if (s->fails)
		s->proof_ns = proof_ns(s, v->now_ns);
	e = vhid_event_add(v, one, s->fails ? VHID_UNSENT : VHID_SENT);
	if (e) {
		e->err = err;
		e->ns = v->now_ns - s->since_ns;
	}
	s->since_ns = v->now_ns;
}

/* ---- adverts ---- */

/* The advert's length with what a pair's nodes say behind it. */
static size_t extend(struct vhids *v, const struct vhid *one, uint8_t packet[CARP_LEN + EXT_SENT], bool leaves,
		     bool six)
{
	const struct sign_key *key = pair_key(v);
	struct ext ext = { .node = v->pair.node,
			   .interval_us = (uint32_t)(carp_interval_ns(&one->carp) / 1000),
			   .demotion = one->carp.demotion };

	if (!key)
		return CARP_LEN;
	ext.flags = leaves ? EXT_LEAVES : EXT_MASTER;
	ext.flags |= v->node.ready ? EXT_READY : 0;
	ext.flags |= six ? EXT_SIX : 0;
	ext.flags |= one->independent ? 0 : EXT_TOGETHER;
	if (v->now_ns - one->carp.since_ns < NEW_INTERVALS * carp_interval_ns(&one->carp))
		ext.flags |= EXT_NEW;
	ext.mark = pair_next_mark(v);
	ext_put(packet + CARP_LEN, packet, &ext, key);
	return CARP_LEN + EXT_SENT;
}

/* From an address that the peer knows this node by: of the same scope as its own. */
static const struct addr *source_to(const struct vhid_facts *facts, const struct addr *peer)
{
	bool six = peer->family == AF_INET6;

	return six && facts->wide.family && (!addr_is_link_local(peer) || !facts->sources[six].family)
		       ? &facts->wide
		       : &facts->sources[six];
}

static int send_by(struct vhids *v, const struct vhid *one, uint8_t vhid, unsigned int six, const uint8_t *advert,
		   size_t len)
{
	struct carp_path path = { .ifindex = one->ifindex, .vhid = vhid, .source = one->facts.sources[six] };
	int err = 0, r;
	size_t i;

	if (!one->n_peers)
		return carp_wire_send(v->wire, &path, advert, len);
	for (i = 0; i < one->n_peers; i++) {
		path.peer = one->peers[i];
		if (path.peer.family != (six ? AF_INET6 : AF_INET))
			continue;
		path.source = *source_to(&one->facts, &path.peer);
		r = carp_wire_send(v->wire, &path, advert, len);
		err = err ? err : r;
	}
	return err;
}

/* One by each family that it has addresses of, as FreeBSD and OpenBSD do */
void vhid_send_advert(struct vhids *v, struct vhid *one, bool leaves)
{
	const struct carp_advert advert = { .vhid = one->vhid,
					    .advskew = leaves ? 255 : carp_advskew(&one->carp),
					    .advbase_s = leaves ? 255 : one->carp.set.advbase_s,
					    .demotion = one->carp.demotion < 255 ? one->carp.demotion : 255,
					    .counter = one->counter };
	uint8_t packet[CARP_LEN + EXT_SENT];
	int err = 0, tried = 0;

	if (vhids_are_mute(v))
		return;
	carp_put(packet, &advert, &one->key, one->variant);
	for (unsigned int six = 0; six < 2; six++) {
		if (!vhid_speaks(one, six))
			continue;
		tried++;
		err = send_by(v, one, one->vhid, six, packet, extend(v, one, packet, leaves, six)) ?: err;
	}
	one->sent += tried && !err;
	if (!leaves)
		note_sending(v, one, tried ? err : -EADDRNOTAVAIL);
}

/* ---- probes ---- */

uint64_t vhid_probe_next(const struct vhid *one)
{
	return one->sending.fails && one->carp.role == CARP_BACKUP ? one->sending.probe_ns : CARP_NEVER;
}

/*
 * As an advert goes, and as long as one, but nobody's: of vhid 0, which nobody has, so that it is no advert to anybody, and nothing that others
 * tell of (see carp_put_nobodys()); from the virtual MAC of that, since this vhid's is the master's, and switches would look for it here.
 */
static void probe(struct vhids *v, struct vhid *one)
{
	uint8_t packet[CARP_LEN + EXT_SENT] = { 0 };
	size_t len = pair_key(v) ? sizeof(packet) : CARP_LEN;
	int err = 0, tried = 0;

	carp_put_nobodys(packet);
	for (unsigned int six = 0; six < 2; six++) {
		if (!vhid_speaks(one, six))
			continue;
		tried++;
		err = send_by(v, one, CARP_NOBODY, six, packet, len) ?: err;
	}
	note_sending(v, one, tried ? err : -EADDRNOTAVAIL);
}

void vhid_probe_run(struct vhids *v, struct vhid *one)
{
	if (v->now_ns < vhid_probe_next(one))
		return;
	one->sending.probe_ns = v->now_ns + PROBE_NS;
	if (!vhids_are_mute(v))
		probe(v, one);
}

/* ---- announcements ---- */

static void announce(struct vhids *v, struct vhid *one)
{
	const uint8_t mac[6] = { 0x00, 0x00, 0x5e, 0x00, 0x01, one->vhid };
	uint8_t frame[ANNOUNCE_MAX];

	for (size_t i = 0; i < one->n_addresses; i++)
		carp_wire_frame(v->wire, one->ifindex, frame,
				announce_build(&one->addresses[i].addr, mac, one->router, frame));
	vhid_watch_announce(v, one);
}

/* One that has not been seen is repeated until it is: only so the end of that is noticed. */
static uint64_t announce_pause_ns(const struct vhid *one)
{
	uint64_t pause_ns = one->announce_refresh_s * SECOND;

	if (one->announce_left)
		return ANNOUNCE_PAUSE_NS;
	return one->unseen.is && (!pause_ns || pause_ns > ANNOUNCE_UNSEEN_NS) ? ANNOUNCE_UNSEEN_NS : pause_ns;
}

static void announce_next(struct vhids *v, struct vhid *one)
{
	uint64_t pause_ns = announce_pause_ns(one);

	one->announce_ns = pause_ns ? v->now_ns + pause_ns : CARP_NEVER;
}

void vhid_announce_begin(struct vhids *v, struct vhid *one)
{
	announce(v, one);
	one->announce_left = one->announce_repeat;
	announce_next(v, one);
}

void vhid_announce_run(struct vhids *v, struct vhid *one)
{
	if (one->carp.role != CARP_MASTER) {
		one->announce_ns = CARP_NEVER;
		return;
	}
	if (v->now_ns < one->announce_ns)
		return;
	if (one->announce_left || one->announce_refresh_s || one->unseen.is)
		announce(v, one);
	one->announce_left -= !!one->announce_left;
	announce_next(v, one);
}
