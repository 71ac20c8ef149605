// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which gateways answer, and what groups therefore use: facts that the daemon's timekeeper writes into mapped memory, at any time and from
 * its own thread. What takes longer follows here, in the main one: rules that are skipped, routes, connections that can move.
 */

#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "user/datapath/private.h"
#include "user/lib/log.h"

#define HEALTH_BYTES (FL_GATEWAYS_MAX * sizeof(uint64_t)) /* an array's elements have eight bytes at least */
#define GROUPS_BYTES (4 * FL_GROUPS_MAX * sizeof(struct fl_group))
#define LEARNED_BYTES 4096 /* a page */

static void *map_memory(struct datapath *dp, enum dp_map_id id, size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, dp->maps[id].fd, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

int health_open(struct datapath *dp)
{
	dp->health = map_memory(dp, DP_MAP_HEALTH, HEALTH_BYTES);
	dp->groups = map_memory(dp, DP_MAP_GROUPS, GROUPS_BYTES);
	dp->learned = map_memory(dp, DP_MAP_LEARNED, LEARNED_BYTES);
	if (!dp->health || !dp->groups || !dp->learned)
		return log_ret(errno, "cannot map what gateways are like");
	return 0;
}

void health_close(struct datapath *dp)
{
	if (dp->health)
		munmap(dp->health, HEALTH_BYTES);
	if (dp->groups)
		munmap(dp->groups, GROUPS_BYTES);
	if (dp->learned)
		munmap(dp->learned, LEARNED_BYTES);
	dp->health = NULL;
	dp->groups = NULL;
	dp->learned = NULL;
}

/* ---- read ---- */

uint32_t health_of(const struct datapath *dp, uint32_t number)
{
	return __atomic_load_n(&dp->health[number % FL_GATEWAYS_MAX], __ATOMIC_RELAXED);
}

unsigned int gateway_is_up(const struct datapath *dp, uint32_t number)
{
	return number ? health_of(dp, number) & FL_HEALTH_UP : 0;
}

static struct fl_group *group_at(const struct datapath *dp, uint32_t set, size_t index, enum fl_family family)
{
	return &dp->groups[FL_GROUP_INDEX(set, GROUP_NUMBER(index), family == FL_INET6)];
}

/* The member that has the most slots, the first of those; 0: none has any. */
static uint16_t most_of(const uint16_t *slots)
{
	uint16_t best = 0;
	size_t most = 0;

	for (size_t i = 0; i < FL_GROUP_SLOTS; i++) {
		size_t n = 0;

		for (size_t j = i; j < FL_GROUP_SLOTS; j++)
			n += slots[j] == slots[i];
		if (slots[i] && n > most) {
			most = n;
			best = slots[i];
		}
	}
	return best;
}

uint32_t group_gateway(const struct datapath *dp, size_t index, enum fl_family family)
{
	return most_of(group_at(dp, dp->groups_set, index, family)->slot);
}

const struct config_gateway *group_carrier(const struct datapath *dp, const struct config *config,
					   const struct config_group *group, enum fl_family family)
{
	uint32_t number = group_gateway(dp, group - config->groups, family);

	for (size_t i = 0; i < group->n_members && number; i++)
		if (gateway_number(dp, group->members[i].gateway->name) == number)
			return group->members[i].gateway;
	return NULL;
}

unsigned int group_is_up(const struct datapath *dp, const struct config *config, size_t index)
{
	const struct config_group *group = &config->groups[index];
	unsigned int up = 0;

	if (config == dp->config)
		return (group_gateway(dp, index, FL_INET) ? FL_INET : 0) |
		       (group_gateway(dp, index, FL_INET6) ? FL_INET6 : 0);
	for (size_t i = 0; i < group->n_members; i++)
		up |= gateway_is_up(dp, gateway_number(dp, group->members[i].gateway->name));
	return up;
}

/* ---- written, by the timekeeper ---- */

void datapath_gateway_health(struct datapath *dp, unsigned int number, unsigned int families)
{
	uint64_t *health = &dp->health[number % FL_GATEWAYS_MAX];

	__atomic_fetch_and(health, ~(uint64_t)(FL_HEALTH_UP & ~families), __ATOMIC_RELAXED);
	__atomic_fetch_or(health, families & FL_HEALTH_UP, __ATOMIC_RELAXED);
}

void datapath_gateway_forced(struct datapath *dp, unsigned int number, unsigned int flags)
{
	uint64_t *health = &dp->health[number % FL_GATEWAYS_MAX];

	__atomic_fetch_and(health, (uint64_t)FL_HEALTH_UP, __ATOMIC_RELAXED);
	__atomic_fetch_or(health, flags & ~(unsigned int)FL_HEALTH_UP, __ATOMIC_RELAXED);
}

void datapath_group_slots(struct datapath *dp, unsigned int set, size_t index, enum fl_family family,
			  const uint16_t *slots)
{
	struct fl_group *group = group_at(dp, set, index, family);

	for (size_t i = 0; i < FL_GROUP_SLOTS; i++)
		__atomic_store_n(&group->slot[i], slots[i], __ATOMIC_RELAXED);
	__atomic_store_n(&group->most, most_of(slots), __ATOMIC_RELAXED);
}

void datapath_group_before(struct datapath *dp, size_t index, enum fl_family family, uint16_t *slots)
{
	memcpy(slots, group_at(dp, set_in_force(dp), index, family)->slot, FL_GROUP_SLOTS * sizeof(*slots));
}

void datapath_health_written(struct datapath *dp)
{
	__atomic_fetch_add(&dp->learned->gen, 1, __ATOMIC_SEQ_CST);
}

/* ---- who uses them ---- */

void datapath_gateway_states(struct datapath *dp, uint64_t *states)
{
	states_gateways(&dp->states, states);
}

/* ---- what follows ---- */

void datapath_health_changed(struct datapath *dp)
{
	if (!dp->config)
		return;
	routes_follow(dp);
	policy_follow(dp);
}
