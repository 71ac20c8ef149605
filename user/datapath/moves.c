// SPDX-License-Identifier: GPL-2.0-only
/*
 * Connections that a gateway group sends another way now: ended, so that they begin anew by the member that carries. Which group it was that
 * chose a state's gateway says its rule; without one that steers it was the longest route to its destination.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/datapath/private.h"
#include "user/lib/log.h"

#define SLICE 32768 /* slots at a time: a few milliseconds */

/* Of one family, by group's number: gateways whose connections it ends. */
typedef uint64_t leave_bits[FL_GROUPS_MAX][FL_GATEWAYS_MAX / 64];

struct way {
	union fl_addr network;
	uint8_t len;	 /* of 128 bits */
	uint16_t group;	 /* number; 0: to no group */
	uint32_t around; /* place of the next shorter one that it lies in, from 1; 0: in none */
};

struct moves {
	leave_bits leave[2];		       /* IPv4, IPv6 */
	uint64_t any[2][FL_GATEWAYS_MAX / 64]; /* gateways that are in `leave`, or were: most states' is none of them */
	bool again;			       /* more have come since the walk began */
	/* of the walk at hand */
	uint32_t at;
	uint16_t *via;	  /* of a rule's id: what it sends to, as fl_rule has it; 0: nowhere. FL_RULE_IDS_MAX */
	struct way *ways; /* by network and length */
	size_t n_ways;
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

/* ---- routes of the configuration ---- */

/* Of two for the same, the one with a group is found: it comes last. */
static int compare_ways(const void *a, const void *b)
{
	const struct way *x = a, *y = b;
	int order = memcmp(&x->network, &y->network, sizeof(x->network));

	order = order ?: x->len - y->len;
	return order ?: (x->group > y->group) - (x->group < y->group);
}

static bool covers(const struct way *way, const union fl_addr *addr)
{
	unsigned int bytes = way->len / 8, bits = way->len % 8;

	return !memcmp(&way->network, addr, bytes) &&
	       (!bits || !((way->network.b[bytes] ^ addr->b[bytes]) >> (8 - bits)));
}

/* The place of the longest that covers the address, of those that the one at `place` is and lies in; 0: none does. */
static uint32_t way_around(const struct way *ways, uint32_t place, const union fl_addr *addr)
{
	while (place && !covers(&ways[place - 1], addr))
		place = ways[place - 1].around;
	return place;
}

static int ways_of_routes(const struct config *config, struct moves *m)
{
	static const struct prefix inet = { .addr.family = AF_INET }; /* else IPv6's default route would cover IPv4's */
	struct way *ways = calloc(config->n_routes + 1, sizeof(*ways));

	if (!ways)
		return -ENOMEM;
	for (size_t i = 0; i <= config->n_routes; i++) {
		const struct config_route *route = i < config->n_routes ? &config->routes[i] : NULL;
		const struct prefix *prefix = route ? &route->destination : &inet;
		const struct config_group *group = route ? route->via.group : NULL;
		struct addr network = prefix_network(prefix);

		ways[i].network = addr_to_map(&network);
		ways[i].len = prefix->len + (prefix->addr.family == AF_INET ? 96 : 0);
		ways[i].group = group ? GROUP_NUMBER(group - config->groups) : 0;
	}
	qsort(ways, config->n_routes + 1, sizeof(*ways), compare_ways);
	for (size_t i = 1; i <= config->n_routes; i++)
		ways[i].around = way_around(ways, i, &ways[i].network);
	m->ways = ways;
	m->n_ways = config->n_routes + 1;
	return 0;
}

/* The number of the group that what is sent to the address is routed by; 0: by none. */
static uint32_t group_of_route(const struct moves *m, const union fl_addr *addr)
{
	size_t low = 0, high = m->n_ways; /* those before `low` begin at the address or before it */
	uint32_t place;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (memcmp(&m->ways[middle].network, addr, sizeof(*addr)) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	place = way_around(m->ways, low, addr);
	return place ? m->ways[place - 1].group : 0;
}

/* ---- what is to end ---- */

/* The number of the group that ends it, 0: none. */
static uint32_t is_to_move(const struct moves *m, const struct states_entry *e, enum fl_family family)
{
	const struct fl_state *st = &e->state;
	uint16_t via = m->via[st->rule[1] % FL_RULE_IDS_MAX]; /* an `out` rule has the last word */
	uint32_t group;

	if (!via)
		via = m->via[st->rule[0] % FL_RULE_IDS_MAX];
	if (st->flags & FL_STATE_PROBE)
		return 0;
	if (!via) /* routed to where it really goes */
		group = group_of_route(m, &e->addr[!states_starter(st)]);
	else
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
	uint32_t group, gateway = e->state.gateway % FL_GATEWAYS_MAX;

	end = addr_from_map(&e->state.addr[0]);
	family = family_of(&end);
	if (!(m->any[family == FL_INET6][gateway / 64] >> gateway % 64 & 1) || is_another_nodes(dp, e))
		return 0;
	group = is_to_move(m, e, family);
	if (!group)
		return 0;
	if (m->resets)
		resets_send_starter(m->resets, e); /* while it is there: it lets the reset pass */
	if (end_connection(dp, e, STATES_NO_WAY))
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
	if (!m->via || ways_of_routes(dp->config, m))
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
	free(m->ways);
	m->resets = NULL;
	m->via = NULL;
	m->ways = NULL;
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
	dp->moves->any[family == FL_INET6][number / 64] |= 1ULL << number % 64;
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

bool datapath_groups_moving(const struct datapath *dp)
{
	return dp->moves;
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
