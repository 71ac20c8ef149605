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

struct moves {
	uint64_t leave[FL_GROUPS_MAX][FL_GATEWAYS_MAX / 64]; /* by group's number: gateways whose connections it ends */
	bool again;					     /* more have come since the walk began */
	/* of the walk at hand */
	uint32_t at;
	uint16_t *via; /* of a rule's id: what it sends to, as fl_rule has it; 0: nowhere. FL_RULE_IDS_MAX */
	struct resets *resets;
	uint64_t ended;
};

static bool leaves(const struct moves *m, uint32_t group, uint32_t gateway)
{
	return m->leave[group % FL_GROUPS_MAX][gateway / 64 % (FL_GATEWAYS_MAX / 64)] >> gateway % 64 & 1;
}

/* Some group that routes lead to ends the gateway's connections. */
static bool routes_leave(const struct datapath *dp, const struct moves *m, uint32_t gateway)
{
	const struct config *config = dp->config;

	for (size_t i = 0; i < config->n_routes; i++) {
		const struct config_group *group = config->routes[i].via.group;

		if (group && leaves(m, GROUP_NUMBER(group - config->groups), gateway))
			return true;
	}
	return false;
}

static bool is_to_move(const struct datapath *dp, const struct moves *m, const struct fl_state *st)
{
	uint16_t via = m->via[st->rule[1] % FL_RULE_IDS_MAX]; /* an `out` rule has the last word */

	if (!via)
		via = m->via[st->rule[0] % FL_RULE_IDS_MAX];
	if (!via) /* of the router's own only probes have a gateway without a rule */
		return !(st->flags & FL_STATE_OWN) && routes_leave(dp, m, st->gateway);
	return via & FL_VIA_GROUP && leaves(m, via & ~FL_VIA_GROUP, st->gateway);
}

static int end_state(void *arg, const struct states_entry *e)
{
	struct datapath *dp = arg;
	struct moves *m = dp->moves;

	if (!e->state.gateway || !is_to_move(dp, m, &e->state))
		return 0;
	if (m->resets)
		resets_send_starter(m->resets, e); /* while it is there: it lets the reset pass */
	m->ended += states_remove(&dp->states, e->slot, e->tag);
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
	m->ended = 0;
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

void datapath_group_leave(struct datapath *dp, size_t group, unsigned int number)
{
	if (!dp->moves)
		dp->moves = calloc(1, sizeof(*dp->moves));
	if (!dp->moves) {
		log_warnx("out of memory: connections stay with a gateway that does not carry any more");
		return;
	}
	dp->moves->leave[GROUP_NUMBER(group)][number / 64] |= 1ULL << number % 64;
	dp->moves->again = true;
}

void datapath_group_stay(struct datapath *dp, size_t group, unsigned int number)
{
	if (dp->moves)
		dp->moves->leave[GROUP_NUMBER(group)][number / 64] &= ~(1ULL << number % 64);
}

bool datapath_groups_move(struct datapath *dp, uint64_t *ended)
{
	static const struct states_filter all;
	struct moves *m = dp->moves;

	*ended = 0;
	if (!m || !dp->config)
		return false;
	if (!m->via && walk_begin(dp, m)) {
		moves_free(dp);
		return false;
	}
	m->at = states_walk_some(&dp->states, &all, m->at, SLICE, end_state, dp);
	if (m->at)
		return true;
	*ended = m->ended;
	walk_end(m);
	if (m->again)
		return true;
	moves_free(dp);
	return false;
}

/* Also when the configuration changes: groups have other numbers then. */
void moves_free(struct datapath *dp)
{
	if (dp->moves)
		walk_end(dp->moves);
	free(dp->moves);
	dp->moves = NULL;
}
