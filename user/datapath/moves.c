// SPDX-License-Identifier: GPL-2.0-only
/*
 * Connections that a gateway group sends another way now: ended, so that they begin anew by the member that carries. Which group it was that
 * chose a state's gateway says its rule; without one that steers it was a route to a group.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/datapath/private.h"
#include "user/lib/log.h"

#define SLICE 32768 /* slots at a time: a few milliseconds */

/* Of one family, by group's number: gateways whose connections it ends. */
typedef uint64_t leave_bits[FL_GROUPS_MAX][FL_GATEWAYS_MAX / 64];

struct moves {
	leave_bits leave[2]; /* IPv4, IPv6 */
	bool again;	     /* more have come since the walk began */
	/* of the walk at hand */
	uint32_t at;
	uint16_t *via; /* of a rule's id: what it sends to, as fl_rule has it; 0: nowhere. FL_RULE_IDS_MAX */
	struct resets *resets;
	bool carried[2][FL_GROUPS_MAX]; /* groups that somebody carries, as a slice begins */
	struct datapath_move *ended;	/* of each group, gateway and family */
	size_t n_ended, cap_ended;
};

static bool leaves(const struct moves *m, uint32_t group, uint32_t gateway, enum fl_family family)
{
	unsigned int six = family == FL_INET6;

	return m->carried[six][group] &&
	       m->leave[six][group][gateway / 64 % (FL_GATEWAYS_MAX / 64)] >> gateway % 64 & 1;
}

/* The group that ends the gateway's connections of those that routes of the family lead to; 0: none does. */
static uint32_t routes_leave(const struct datapath *dp, const struct moves *m, uint32_t gateway, enum fl_family family)
{
	const struct config *config = dp->config;

	for (size_t i = 0; i < config->n_routes; i++) {
		const struct config_route *route = &config->routes[i];
		uint32_t number = route->via.group ? GROUP_NUMBER(route->via.group - config->groups) : 0;

		if (number && family_of(&route->destination.addr) == family && leaves(m, number, gateway, family))
			return number;
	}
	return 0;
}

/* The number of the group that ends it, 0: none. */
static uint32_t is_to_move(const struct datapath *dp, const struct moves *m, const struct fl_state *st,
			   enum fl_family family)
{
	uint16_t via = m->via[st->rule[1] % FL_RULE_IDS_MAX]; /* an `out` rule has the last word */
	uint32_t group;

	if (!via)
		via = m->via[st->rule[0] % FL_RULE_IDS_MAX];
	if (st->flags & FL_STATE_PROBE)
		return 0;
	if (!via)
		return routes_leave(dp, m, st->gateway, family);
	group = via & FL_VIA_GROUP ? (via & ~FL_VIA_GROUP) % FL_GROUPS_MAX : 0;
	return group && leaves(m, group, st->gateway, family) ? group : 0;
}

static void count_ended(struct moves *m, uint32_t group, uint32_t gateway, enum fl_family family)
{
	struct datapath_move *at = NULL;

	for (size_t i = 0; i < m->n_ended && !at; i++)
		if (GROUP_NUMBER(m->ended[i].group) == group && m->ended[i].number == gateway &&
		    m->ended[i].family == family)
			at = &m->ended[i];
	if (!at && m->n_ended == m->cap_ended) {
		size_t cap = m->cap_ended ? 2 * m->cap_ended : 16;
		struct datapath_move *bigger = reallocarray(m->ended, cap, sizeof(*bigger));

		if (!bigger)
			return; /* it is ended all the same */
		m->ended = bigger;
		m->cap_ended = cap;
	}
	if (!at) {
		at = &m->ended[m->n_ended++];
		*at = (struct datapath_move){ group - GROUP_NUMBER(0), gateway, family, 0 };
	}
	at->ended++;
}

static int end_state(void *arg, const struct states_entry *e)
{
	struct datapath *dp = arg;
	struct moves *m = dp->moves;
	struct addr end;
	enum fl_family family;
	uint32_t group;

	if (!e->state.gateway)
		return 0;
	end = addr_from_map(&e->state.addr[0]);
	family = family_of(&end);
	group = is_to_move(dp, m, &e->state, family);
	if (!group)
		return 0;
	if (m->resets)
		resets_send_starter(m->resets, e); /* while it is there: it lets the reset pass */
	if (states_remove(&dp->states, e->slot, e->tag))
		count_ended(m, group, e->state.gateway, family);
	return 0;
}

/* ---- the walk ---- */

static void via_of_rules(const struct datapath *dp, struct moves *m)
{
	const struct policy *policy = tables_in_force(dp)->policy;
	const struct config *config = dp->config;

	memset(m->via, 0, FL_RULE_IDS_MAX * sizeof(*m->via));
	for (size_t i = 0; policy && i < config->n_rules; i++) {
		const struct config_via *to = &config->rules[i].route_to;

		if (to->group)
			m->via[policy->rule_ids[i]] = FL_VIA_GROUP | GROUP_NUMBER(to->group - config->groups);
		else if (to->gateway)
			m->via[policy->rule_ids[i]] = gateway_number(dp, to->gateway->name);
	}
}

static int walk_begin(struct datapath *dp, struct moves *m)
{
	char *why = NULL;

	m->again = false;
	m->at = 0;
	m->n_ended = 0;
	m->via = malloc(FL_RULE_IDS_MAX * sizeof(*m->via));
	if (!m->via)
		return -ENOMEM;
	via_of_rules(dp, m);
	if (resets_open(&m->resets, dp, &why)) { /* they are ended all the same */
		log_warnx("%s", why ? why : "resets can't be sent");
		resets_close(m->resets);
		m->resets = NULL;
	}
	free(why);
	return 0;
}

static void walk_end(struct moves *m)
{
	resets_close(m->resets);
	free(m->via);
	m->resets = NULL;
	m->via = NULL;
}

/* What was to end stays where the last member is lost meanwhile. */
static void see_who_carries(const struct datapath *dp, struct moves *m)
{
	for (size_t i = 0; i < dp->config->n_groups; i++) {
		unsigned int up = group_is_up(dp, dp->config, i);

		m->carried[0][GROUP_NUMBER(i)] = up & FL_INET;
		m->carried[1][GROUP_NUMBER(i)] = up & FL_INET6;
	}
}

void datapath_group_leave(struct datapath *dp, size_t group, unsigned int number, enum fl_family family)
{
	if (!dp->moves)
		dp->moves = calloc(1, sizeof(*dp->moves));
	if (!dp->moves) {
		log_warnx("out of memory: connections stay with a gateway that does not carry any more");
		return;
	}
	dp->moves->leave[family == FL_INET6][GROUP_NUMBER(group)][number / 64] |= 1ULL << number % 64;
	dp->moves->again = true;
}

void datapath_group_stay(struct datapath *dp, size_t group, unsigned int number, enum fl_family family)
{
	if (dp->moves)
		dp->moves->leave[family == FL_INET6][GROUP_NUMBER(group)][number / 64] &= ~(1ULL << number % 64);
}

bool datapath_groups_move(struct datapath *dp, datapath_moved_fn *each, void *arg)
{
	static const struct states_filter all;
	struct moves *m = dp->moves;

	if (!m || !dp->config)
		return false;
	if (!m->via && walk_begin(dp, m)) {
		moves_free(dp);
		return false;
	}
	see_who_carries(dp, m);
	m->at = states_walk_some(&dp->states, &all, m->at, SLICE, end_state, dp);
	if (m->at)
		return true;
	walk_end(m);
	for (size_t i = 0; i < m->n_ended; i++)
		each(arg, &m->ended[i]);
	if (m->again)
		return true;
	moves_free(dp);
	return false;
}

/* Also when the configuration changes: groups have other numbers then. */
void moves_free(struct datapath *dp)
{
	if (dp->moves) {
		walk_end(dp->moves);
		free(dp->moves->ended);
	}
	free(dp->moves);
	dp->moves = NULL;
}
