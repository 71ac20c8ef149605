// SPDX-License-Identifier: GPL-2.0-only
/* What a group does with its members, and the connections of those that have to leave: they are ended, to begin anew by others. */
#include "user/daemon/gateways_internal.h"

#include <stdlib.h>

/* Until connections are ended: programs that still go the old way are done then. */
static const struct timeval begun = { .tv_usec = 20000 };

void gateways_moves_begin(struct gateways *g)
{
	evtimer_add(g->on_moves, &begun);
}

enum member_use gateways_use_of(const struct group_member *member)
{
	return member->active ? MEMBER_CARRIES : member->usable ? MEMBER_WAITS : MEMBER_UNUSABLE;
}

/* Whether some who carried wait now and their connections are still to be ended. */
bool gateways_are_moving(struct daemon *d)
{
	struct timekeeper_snapshot *s = d->gateways->use ? timekeeper_show(d->gateways->timekeeper) : NULL;
	bool moving = datapath_groups_moving(d->datapath);

	for (size_t i = 0; s && i < s->n_groups; i++)
		for (size_t j = 0; j < 2 * s->groups[i].n_members; j++) {
			const struct group_member *m = &s->groups[i].of[j % 2].members[j / 2];

			moving |= gateways_use_of(m) == MEMBER_WAITS &&
				  d->gateways->use[s->groups[i].index][j % 2][m->gateway] == MEMBER_CARRIES;
		}
	timekeeper_snapshot_free(s);
	return moving;
}

/*
 * What each member is when a configuration comes in force. That alone ends nothing; but what can't be used may have been lost by an earlier
 * daemon, or one that was at work with an earlier configuration: it is looked at once more, and with `waits` what has to wait, too.
 */
static void uses_begin(struct gateways *g, const struct timekeeper_snapshot *s, bool waits)
{
	g->use = calloc(FL_GROUPS_MAX, sizeof(*g->use));
	for (size_t i = 0; i < s->n_groups && g->use; i++)
		for (size_t j = 0; j < 2 * s->groups[i].n_members; j++) {
			const struct group_member *m = &s->groups[i].of[j % 2].members[j / 2];
			enum member_use use = gateways_use_of(m);

			if (use == MEMBER_CARRIES || (use == MEMBER_WAITS && !waits))
				g->use[s->groups[i].index][j % 2][m->gateway] = use;
		}
}

/* Follows soon, when the configuration is in force: what is to end has its numbers of groups. */
void gateways_uses_anew(struct gateways *g, bool waits)
{
	struct timekeeper_snapshot *s = timekeeper_show(g->timekeeper);

	free(g->use);
	g->use = NULL;
	if (s)
		uses_begin(g, s, waits);
	timekeeper_snapshot_free(s);
	event_active(g->on_events, EV_READ, 0);
}

void gateways_look_again(struct daemon *d)
{
	gateways_uses_anew(d->gateways, false);
}

/*
 * Connections of a member that is lost, or (failback "move") of one that a better one has taken over from, are ended: another carries now. If
 * none does they stay, for the same one may be back.
 */
static void group_follows(struct daemon *d, const struct timekeeper_group_view *group, enum fl_family family)
{
	const struct timekeeper_choice_view *choice = &group->of[family == FL_INET6];
	uint8_t *before = d->gateways->use[group->index][family == FL_INET6];

	for (size_t i = 0; i < group->n_members; i++) {
		const struct group_member *member = &choice->members[i];
		enum member_use use = gateways_use_of(member);
		bool lost = use == MEMBER_UNUSABLE || (use == MEMBER_WAITS && group->failback == CONFIG_FAILBACK_MOVE);

		if (!choice->tier && lost)
			use = MEMBER_UNSEEN; /* to be looked at again when one carries */
		if (!lost || use == MEMBER_UNSEEN)
			datapath_group_stay(d->datapath, group->index, member->gateway, family);
		else if (before[member->gateway] != use)
			datapath_group_leave(d->datapath, group->index, member->gateway, family);
		before[member->gateway] = use;
	}
}

void gateways_connections_follow(struct daemon *d)
{
	struct gateways *g = d->gateways;
	struct timekeeper_snapshot *s = timekeeper_show(g->timekeeper);

	if (!s)
		return;
	if (!g->use) /* a new configuration: what is lost since before it is looked at once more */
		g->use = calloc(FL_GROUPS_MAX, sizeof(*g->use));
	for (size_t i = 0; i < s->n_groups && g->use; i++) {
		group_follows(d, &s->groups[i], FL_INET);
		group_follows(d, &s->groups[i], FL_INET6);
	}
	timekeeper_snapshot_free(s);
	gateways_moves_begin(g);
}

void gateways_on_moves(evutil_socket_t fd, short what, void *arg)
{
	static const struct timeval soon = { .tv_usec = 1000 };
	struct daemon *d = arg;
	bool more = datapath_groups_move(d->datapath, gateways_tell_move, d);
	uint64_t ended;

	(void)fd, (void)what;
	more |= datapath_orphans_end(d->datapath, &ended);
	if (ended)
		journal_write(
			d->journal, JOURNAL_NOTICE, JOURNAL_STATES, "", "readdressed",
			json_pack("{s:I}", "states", (json_int_t)ended),
			"%llu connections ended, whose address outside is gone, to begin anew with the one that is there",
			(unsigned long long)ended);
	if (more)
		evtimer_add(d->gateways->on_moves, &soon);
}
