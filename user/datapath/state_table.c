// SPDX-License-Identifier: GPL-2.0-only
/* The state table's part of the data plane: opened with the maps, told limits and timeouts, swept as time goes by. */

#include <errno.h>

#include "user/datapath/private.h"
#include "user/lib/log.h"

#define STATES_DEFAULT 100000 /* where limits.states says nothing: 19 MB */
#define SWEEP_S 10	      /* all of the table once in so long */
#define RECOUNT_S 60
#define FULL_TOLD_S 10

uint32_t states_limit_of(const struct config *config)
{
	return config->states ? config->states : STATES_DEFAULT;
}

int state_table_map(struct datapath *dp, const struct dp_map *maps, struct states *t)
{
	const struct states_maps fds = {
		.buckets = maps[0].fd,
		.states = maps[1].fd,
		.control = maps[2].fd,
		.counts = maps[3].fd,
		.rule_stats = dp->maps[DP_MAP_RULE_STATS].fd,
		.rule_states = dp->maps[DP_MAP_RULE_STATES].fd,
		.sources = dp->maps[DP_MAP_RULE_SOURCES].fd,
		.n_buckets = maps[0].max_entries,
		.cpus = dp->n_cpus,
	};
	int err = states_open(t, &fds, dp->hz);

	return err ?: states_init(t, fds.n_buckets);
}

int state_table_open(struct datapath *dp)
{
	struct dp_map maps[STATE_MAPS];
	int err;

	for (size_t i = 0; i < STATE_MAPS; i++)
		maps[i] = dp->maps[state_maps[i]];
	err = state_table_map(dp, maps, &dp->states);
	err = err ?: states_recount(&dp->states);
	return err ? log_ret(err, "cannot map the state table") : 0;
}

void state_table_configure(struct datapath *dp, const struct config *config)
{
	states_limit(&dp->states, states_limit_of(config));
	states_timeouts(&dp->states, config->timeouts_s);
}

/* What a flood of connections that never come to be does to the table: no fault, but worth a line now and then. */
static void tell_evicted(struct datapath *dp, const struct states_numbers *n)
{
	uint64_t evicted = n->evicted - dp->states_evicted;

	dp->states_evicted = n->evicted;
	if (!evicted || (dp->evicted_told_ms && monotonic_ms() - dp->evicted_told_ms < FULL_TOLD_S * 1000))
		return;
	dp->evicted_told_ms = monotonic_ms();
	log_warnx("%llu half-open connections gave way to new ones: more than %u, a quarter of limits.states",
		  (unsigned long long)evicted, dp->states.control->embryonic_limit);
}

/* A full table is a fault that users must hear of; once while it lasts. */
static void tell_full(struct datapath *dp)
{
	struct states_numbers n;
	uint64_t refused, placeless;

	states_numbers(&dp->states, &n);
	tell_evicted(dp, &n);
	refused = n.refused_full - dp->states_refused;
	placeless = n.refused_place - dp->states_refused_place;
	dp->states_refused = n.refused_full;
	dp->states_refused_place = n.refused_place;
	if (refused > placeless)
		dp->states_full_ms = monotonic_ms();
	if (!refused || (dp->states_told_ms && monotonic_ms() - dp->states_told_ms < FULL_TOLD_S * 1000))
		return;
	dp->states_told_ms = monotonic_ms();
	log_warnx("%s: %llu new connections refused (%llu states, limits.states is %u)",
		  refused > placeless ? "the state table is full"
				      : "the state table is not full, but all places that their hash allows are taken",
		  (unsigned long long)refused, (unsigned long long)n.states, dp->states.control->limit);
}

/* A time that has passed would be one to come when the clock has gone half round. */
static void learn_no_more(struct datapath *dp, uint32_t now)
{
	uint32_t until = dp->states.control->learn_until;

	if (until && !dp->table_before && (int32_t)(until - now) <= 0)
		states_learn_until(&dp->states, 0);
}

void state_table_tick(struct datapath *dp, uint32_t now)
{
	uint32_t n = dp->states.control->buckets / SWEEP_S + 1, removed;

	dp->states_at = states_sweep(&dp->states, now, dp->states_at, n, &removed);
	states_adapt(&dp->states);
	learn_no_more(dp, now);
	if (++dp->states_ticks % RECOUNT_S == 0)
		states_recount(&dp->states);
	tell_full(dp);
}

void state_table_close(struct datapath *dp)
{
	states_close(&dp->states);
}
