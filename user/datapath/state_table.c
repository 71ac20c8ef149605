// SPDX-License-Identifier: GPL-2.0-only
/* The state table's part of the data plane: opened with the maps, told limits and timeouts, swept as time goes by. */

#include <errno.h>

#include "user/datapath/private.h"
#include "user/lib/log.h"

#define STATES_DEFAULT 100000 /* where limits.states says nothing: 19 MB */
#define SWEEP_S 10	      /* all of the table once in so long */
#define RECOUNT_S 60
#define FULL_TOLD_S 60

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
		.mappings = dp->maps[DP_MAP_EIM].fd,
		.n_buckets = maps[0].max_entries,
		.cpus = dp->n_cpus,
	};
	int err = states_open(t, &fds, dp->hz);

	t->log = &dp->sync_logs[dp->n_cpus];
	return err ?: states_init(t, fds.n_buckets);
}

/* An earlier daemon has told what it has counted. What came while there was none is in the counters alone. */
static void counted_before(struct datapath *dp)
{
	struct states_numbers n;

	states_numbers(&dp->states, &n);
	dp->states_refused_told.count = n.refused_full;
	dp->states_evicted_told.count = n.evicted;
	dp->states_limited = dp->states_limited_told = n.refused_full - n.refused_place;
	dp->nat_counted = !n.made;
}

int state_table_open(struct datapath *dp)
{
	struct dp_map maps[STATE_MAPS];
	int err;

	for (size_t i = 0; i < STATE_MAPS; i++)
		maps[i] = dp->maps[state_maps[i]];
	err = state_table_map(dp, maps, &dp->states);
	err = err ?: state_table_left(dp);
	err = err ?: states_recount(&dp->states);
	if (err)
		return log_ret(err, "cannot map the state table");
	counted_before(dp);
	return 0;
}

void state_table_configure(struct datapath *dp, const struct config *config)
{
	states_limit(&dp->states, states_limit_of(config));
	states_timeouts(&dp->states, config->timeouts_s);
}

/*
 * By how much a counter has grown since that was told, if it is time to tell it again: then it is. That of a port that is gone is no longer in
 * the sum.
 */
static uint64_t to_tell(struct told *told, uint64_t is)
{
	uint64_t by = is < told->count ? is : is - told->count;

	if (!by || (told->ms && monotonic_ms() - told->ms < FULL_TOLD_S * 1000))
		return 0;
	*told = (struct told){ .count = is, .ms = monotonic_ms() };
	return by;
}

/* What a flood of connections that never come to be does to the table: no fault, but worth a line now and then. */
static void tell_evicted(struct datapath *dp, const struct states_numbers *n)
{
	uint64_t evicted = to_tell(&dp->states_evicted_told, n->evicted);

	if (evicted)
		journal_write(
			dp->journal, JOURNAL_WARNING, JOURNAL_STATES, "table", "half-open evicted",
			json_pack("{s:I}", "evicted", (json_int_t)evicted),
			"%llu half-open connections gave way to new ones: more than %u, a quarter of limits.states",
			(unsigned long long)evicted, dp->states.control->embryonic_limit);
}

/* A full table is a fault that users must hear of; once a minute while it lasts. */
static void tell_full(struct datapath *dp)
{
	uint64_t refused, limited;
	struct states_numbers n;
	bool full;

	states_numbers(&dp->states, &n);
	tell_evicted(dp, &n);
	limited = n.refused_full - n.refused_place;
	if (limited != dp->states_limited)
		dp->states_full_ms = monotonic_ms();
	dp->states_limited = limited;
	refused = to_tell(&dp->states_refused_told, n.refused_full);
	if (!refused)
		return;
	full = limited != dp->states_limited_told;
	journal_write(dp->journal, JOURNAL_WARNING, JOURNAL_STATES, "table", full ? "full" : "crowded",
		      json_pack("{s:I,s:I,s:I}", "refused", (json_int_t)refused, "states", (json_int_t)n.states,
				"limit", (json_int_t)dp->states.control->limit),
		      "%llu new connections refused%s", (unsigned long long)refused,
		      full ? "" : ", since all places that their hash allows are taken");
	dp->states_limited_told = limited;
}

/* Packets that no translation could be had for, which are told: hosts that get no connection any more do not know why. */
static const struct {
	enum fl_drop reason;
	const char *name, *event, *text;
} untranslated[] = {
	{ FL_DROP_NAT_PORTS, "ports", "exhausted",
	  "no address and port was free to translate them to (nat-ports-exhausted)" },
	{ FL_DROP_NAT_ADDRESS, "address", "missing",
	  "the interface that a nat rule translates them to has no address of their family (nat-no-address); "
	  "give it one, or name in the rule the \"source\" that it is for" },
};

/* Of those that came in by the port. value: has room for one of the map. */
static uint64_t dropped_of(struct datapath *dp, uint32_t port, enum fl_drop reason, void *value)
{
	uint64_t sum[sizeof(struct fl_drop_stats) / sizeof(uint64_t)] = {};

	if (map_read(dp, DP_MAP_DROPS, port * FL_DROP_SLOTS + reason, 1, value))
		return 0;
	percpu_sum(dp, value, sizeof(sum) / sizeof(*sum), sum);
	return sum[0];
}

static void tell_untranslated(struct datapath *dp)
{
	void *value = dp->config->n_nat ? calloc(1, dp->maps[DP_MAP_DROPS].value_size) : NULL;
	uint64_t all, dropped;

	for (size_t n = 0; value && n < sizeof(untranslated) / sizeof(*untranslated); n++) {
		all = 0;
		for (uint32_t i = 1; i < FL_PORTS_MAX; i++)
			if (dp->ports[i].kind != PORT_NONE)
				all += dropped_of(dp, i, untranslated[n].reason, value);
		if (!dp->nat_counted)
			dp->nat_told[n].count = all;
		dropped = to_tell(&dp->nat_told[n], all);
		if (dropped)
			journal_write(dp->journal, JOURNAL_WARNING, JOURNAL_NAT, untranslated[n].name,
				      untranslated[n].event, json_pack("{s:I}", "packets", (json_int_t)dropped),
				      "%llu packets dropped: %s", (unsigned long long)dropped, untranslated[n].text);
	}
	dp->nat_counted |= value != NULL;
	free(value);
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
	tell_untranslated(dp);
}

void state_table_close(struct datapath *dp)
{
	state_table_leave(dp);
	states_close(&dp->states);
}
