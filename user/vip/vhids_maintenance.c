// SPDX-License-Identifier: GPL-2.0-only
/*
 * Maintenance: behind every other node that can have the addresses, however demoted that one is, and where there is none as if nothing were the
 * matter. It is a demotion by more than all others can be, so that whoever is before this node takes them as from any that is demoted further, and
 * until somebody does they stay.
 */
#include "user/vip/vhids_internal.h"

/* It has them, or would take them. */
static bool can_have(const struct vhids *v, const struct vhid *one, size_t i)
{
	const struct pair_peer *peer = &v->pair.peers[i];
	const struct vhid_peer *say = &one->say[i];

	return pair_is_up(v, peer) && !peer->maintenance && say->told_ns && !(say->told.flags & BEAT_UNABLE) &&
	       (say->told.role == CARP_MASTER || (say->told.role == CARP_BACKUP && peer->ready));
}

/* Whoever of both is master, the other hears it on the segment: else hosts may be here and not there. */
static bool shares_segment(const struct vhids *v, const struct vhid *one, size_t i)
{
	const struct vhid_peer *say = &one->say[i];

	switch (one->carp.role) {
	case CARP_MASTER:
		return say->told.flags & BEAT_HEARD;
	case CARP_BACKUP:
		return say->told.role == CARP_MASTER && say->heard_ns &&
		       v->now_ns - say->heard_ns <= carp_patience_ns(&one->carp);
	default:
		return true;
	}
}

/* Once it is so, only what the peer says ends it: its adverts may come later than its beats, or not at all. */
static void note_before(const struct vhids *v, struct vhid *one, size_t i)
{
	struct vhid_peer *say = &one->say[i];

	say->before = can_have(v, one, i) && (say->before || shares_segment(v, one, i));
}

/* With all that move together; one that people have disabled there is theirs to say. */
static bool goes_before(const struct vhids *v, const struct vhid *one, size_t i)
{
	bool any = false;

	for (size_t n = 0; n < v->n; n++) {
		const struct vhid *other = &v->all[n];
		const struct vhid_peer *say = &other->say[i];

		if ((other != one && (one->independent || other->independent)) || !say->told_ns ||
		    say->told.role == CARP_DISABLED)
			continue;
		if (!say->before)
			return false;
		any = true;
	}
	return any;
}

static bool is_behind(const struct vhids *v, const struct vhid *one)
{
	size_t i = 0;

	while (i < v->pair.n && !goes_before(v, one, i))
		i++;
	return v->pair.maintenance && i < v->pair.n;
}

bool vhids_stand_back(struct vhids *v)
{
	bool changed = false;

	for (size_t n = 0; n < v->n; n++)
		for (size_t i = 0; i < v->pair.n; i++)
			note_before(v, &v->all[n], i);
	for (size_t n = 0; n < v->n; n++) {
		struct vhid *one = &v->all[n];
		bool behind = is_behind(v, one);

		if (behind == one->behind)
			continue;
		one->behind = behind;
		one->behind_ns = v->now_ns;
		changed = true;
	}
	return changed;
}
