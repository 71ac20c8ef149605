// SPDX-License-Identifier: GPL-2.0-only
/*
 * The state table gets another size while packets go on. The kernel's arrays have the size that they were made with, and programs the maps
 * that they were loaded with: so there are new maps, and new programs that take the old ones' places on all hooks. What is in the old table
 * is copied before that, until little changes while it is done, and again behind it. Both tables learn meanwhile (states_learn_until()).
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "user/datapath/private.h"
#include "user/lib/log.h"

#define LEARN_S 60	 /* at most: until the change is settled */
#define LEARN_ON_S 1	 /* and for so long behind it */
#define MARGIN_MS 100	 /* what we take for the programs' time may be ahead of theirs by so much */
#define COPY_PASSES 5	 /* before the programs are replaced, at most */
#define COPY_SHORT_MS 30 /* a pass so short is the last one */

const enum dp_map_id state_maps[STATE_MAPS] = { DP_MAP_BUCKETS, DP_MAP_STATES, DP_MAP_STATE_CONTROL,
						DP_MAP_STATE_COUNTS };

/* What was at work before, until the change is sure to stay. */
struct table_before {
	struct objects objects;
	struct dp_map maps[STATE_MAPS];
	struct states states;
	uint32_t n_buckets;
	uint32_t copied; /* jiffies: what has changed since then is to be copied again */
};

/* ---- how big ---- */

static bool is_translating(const struct config *config)
{
	return config->n_nat || config->n_translations;
}

uint32_t state_buckets_of(const struct config *config)
{
	return states_buckets(states_limit_of(config), is_translating(config));
}

/* Where there are more established states than the limit, these must stay, too: with places to spare, so that each of them finds one. */
static uint32_t buckets_needed(const struct datapath *dp, const struct config *config)
{
	uint32_t wanted = state_buckets_of(config), needed;
	struct states_numbers n;

	states_numbers(&dp->states, &n);
	needed = states_buckets((n.states - n.embryonic) * 5 / 4,
				is_translating(config) || !dp->config || is_translating(dp->config));
	return wanted > needed ? wanted : needed;
}

/*
 * A table that is bigger than it need be for the same limit stays: there may still be states that are translated. Much bigger is one that had to
 * keep more than its limit when that was lowered, and they are gone by now.
 */
static bool is_misfit(const struct datapath *dp, const struct config *config)
{
	uint32_t wanted = buckets_needed(dp, config);

	return state_buckets_of(config) > dp->n_buckets || wanted < dp->n_buckets / 4 ||
	       (wanted < dp->n_buckets && states_limit_of(config) != dp->states.control->limit);
}

/* ---- new maps ---- */

static void maps_close(struct dp_map maps[STATE_MAPS])
{
	for (size_t i = 0; i < STATE_MAPS; i++)
		if (maps[i].fd > 0)
			close(maps[i].fd);
}

static int maps_make(struct datapath *dp, uint32_t n_buckets, struct dp_map maps[STATE_MAPS])
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);
	int err = 0;

	for (size_t i = 0; i < STATE_MAPS && !err; i++) {
		const struct dp_map *now = &dp->maps[state_maps[i]];
		uint32_t n = now->max_entries;
		int fd;

		if (state_maps[i] == DP_MAP_BUCKETS)
			n = n_buckets;
		else if (state_maps[i] == DP_MAP_STATES)
			n = n_buckets * FL_BUCKET_WAYS;
		fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, dp_map_names[state_maps[i]], now->key_size, now->value_size, n,
				    &opts);
		err = fd < 0 ? fd : map_open(&maps[i], fd);
	}
	return err;
}

static void map_paths(const struct datapath *dp, size_t i, char path[192], char next[208])
{
	snprintf(path, 192, "%s/%s", dp->pins, dp_map_names[state_maps[i]]);
	snprintf(next, 208, "%s_next", path);
}

/* Beside those of the table before: while programs of both are attached, the next daemon is to find both. */
static int maps_pin_beside(struct datapath *dp)
{
	char path[192], next[208];

	for (size_t i = 0; i < STATE_MAPS; i++) {
		map_paths(dp, i, path, next);
		unlink(next);
		if (bpf_obj_pin(dp->maps[state_maps[i]].fd, next))
			return -errno;
	}
	return 0;
}

/* In their places. In one step each, so that the name leads to a whole map at every moment; what is left beside, belongs there. */
static int maps_pin_move(const struct datapath *dp)
{
	char path[192], next[208];

	for (size_t i = 0; i < STATE_MAPS; i++) {
		map_paths(dp, i, path, next);
		if (rename(next, path) && errno != ENOENT)
			return -errno;
	}
	return 0;
}

void state_table_unpin(const struct datapath *dp, bool beside_only)
{
	char path[192], next[208];

	for (size_t i = 0; i < STATE_MAPS; i++) {
		map_paths(dp, i, path, next);
		unlink(next);
		if (!beside_only)
			unlink(path);
	}
}

/* ---- what an earlier daemon has left ---- */

/* The pinned maps, beside the others or in their places. 0, or -errno where they are not of one table. */
static int maps_open_pinned(const struct datapath *dp, bool beside, struct dp_map maps[STATE_MAPS])
{
	struct fl_state_control control = {};
	char path[192], next[208];
	const __u32 zero = 0;

	for (size_t i = 0; i < STATE_MAPS; i++) {
		int fd;

		map_paths(dp, i, path, next);
		fd = bpf_obj_get(beside ? next : path);
		fd = fd < 0 ? fd : map_open(&maps[i], fd);
		if (fd)
			return fd;
	}
	if (maps[2].value_size == sizeof(control))
		bpf_map_lookup_elem(maps[2].fd, &zero, &control);
	return control.buckets == maps[0].max_entries && maps[1].max_entries == control.buckets * FL_BUCKET_WAYS
		       ? 0
		       : -EINVAL;
}

static uint32_t buckets_pinned(const struct datapath *dp)
{
	struct dp_map maps[STATE_MAPS] = {};
	uint32_t n = maps_open_pinned(dp, false, maps) ? 0 : maps[0].max_entries;

	maps_close(maps);
	return n;
}

uint32_t state_table_pinned(const struct datapath *dp)
{
	uint32_t n = buckets_pinned(dp);

	if (n)
		return n;
	maps_pin_move(dp); /* that daemon was at that */
	n = buckets_pinned(dp);
	if (!n)
		state_table_unpin(dp, false);
	return n;
}

/* ---- one for the other ---- */

static void swap_in(struct datapath *dp, struct table_before *other)
{
	struct table_before was = {
		.objects = dp->objects, .states = dp->states, .n_buckets = dp->n_buckets, .copied = other->copied
	};

	for (size_t i = 0; i < STATE_MAPS; i++) {
		was.maps[i] = dp->maps[state_maps[i]];
		dp->maps[state_maps[i]] = other->maps[i];
	}
	dp->objects = other->objects;
	dp->states = other->states;
	dp->n_buckets = other->n_buckets;
	dp->states_at = 0;
	dp->states_epoch++;
	dry_run_close(dp);
	*other = was;
}

/* ---- copying ---- */

static uint32_t jiffies_before(struct datapath *dp, uint32_t ms)
{
	return datapath_jiffies(dp) - ms * dp->hz / 1000;
}

/* Both tables, while programs of both are at work. */
static void learn(struct datapath *dp, struct table_before *other, uint32_t seconds)
{
	uint32_t until = datapath_jiffies(dp) + seconds * dp->hz;

	states_learn_until(&dp->states, until ?: 1);
	states_learn_until(&other->states, until ?: 1);
}

/* Returns how many were there to begin with. Each pass has less to do than the one before. */
static uint32_t copy_all(struct datapath *dp, struct table_before *next)
{
	uint64_t begun = monotonic_ms();
	uint32_t n, since;

	next->copied = jiffies_before(dp, MARGIN_MS);
	n = states_copy(&dp->states, &next->states);
	for (int i = 1; i < COPY_PASSES && monotonic_ms() - begun > COPY_SHORT_MS; i++) {
		begun = monotonic_ms();
		since = next->copied;
		next->copied = jiffies_before(dp, MARGIN_MS);
		states_copy_since(&dp->states, &next->states, since);
	}
	return n;
}

/* What the programs before have still done; those that were at it when they were replaced are done with the second time. */
static void copy_rest(struct datapath *dp, struct table_before *before)
{
	states_copy_since(&before->states, &dp->states, before->copied);
	wait_for_programs();
	states_copy_since(&before->states, &dp->states, before->copied);
}

static void before_free(struct table_before *before)
{
	objects_free(&before->objects);
	states_close(&before->states);
	maps_close(before->maps);
	free(before);
}

/* Programs of both tables may be attached: who they are has to be known by the pins, as at a start. */
static void remember_pins(struct datapath *dp)
{
	uint32_t control = dp->older.control;

	owner_forget_pins(dp);
	owner_remember_pins(dp);
	dp->older.control = control;
}

static void table_back(struct datapath *dp, const void *data)
{
	struct table_before *before = dp->table_before;
	char *why = NULL;
	bool pinned;

	(void)data;
	if (!before)
		return;
	remember_pins(dp);
	swap_in(dp, before);
	learn(dp, before, LEARN_S);
	before->copied = jiffies_before(dp, MARGIN_MS);
	states_copy(&before->states, &dp->states);
	pinned = maps_pin_beside(dp) == 0;
	if (dp->config && hooks_attach(dp, dp->ports, NULL, &why))
		log_warnx("the programs before could not all be put back: %s", why ? why : "");
	copy_rest(dp, before);
	if (!pinned || maps_pin_move(dp))
		log_warnx("the state table before could not be pinned again");
	states_recount(&dp->states);
	learn(dp, before, LEARN_ON_S);
	free(why);
	if (dp->config) { /* else some of these may be attached still, which the next daemon has to know */
		for (size_t i = 0; i < dp->older.n; i++)
			older_unpin(dp, &dp->older.programs[i]);
		owner_forget_pins(dp);
	}
	dp->table_before = NULL;
	before_free(before);
}

int state_table_left(struct datapath *dp)
{
	struct table_before *left = calloc(1, sizeof(*left));
	int err = left ? maps_open_pinned(dp, true, left->maps) : -ENOMEM;

	err = err ?: state_table_map(dp, left->maps, &left->states);
	if (err) {
		if (left)
			before_free(left);
		state_table_unpin(dp, true);
		return err == -ENOMEM ? err : 0;
	}
	log_info("the state table was getting another size: %u states of both are taken over",
		 states_copy(&left->states, &dp->states));
	dp->table_left = left;
	return 0;
}

void state_table_take_left(struct datapath *dp)
{
	if (!dp->table_left)
		return;
	wait_for_programs();
	states_copy(&dp->table_left->states, &dp->states);
	states_recount(&dp->states);
	state_table_unpin(dp, true);
	state_table_leave(dp);
}

void state_table_leave(struct datapath *dp)
{
	if (dp->table_left)
		before_free(dp->table_left);
	dp->table_left = NULL;
}

static int table_make(struct datapath *dp, const struct config *config, struct table_before *next)
{
	int err = maps_make(dp, next->n_buckets, next->maps);

	err = err ?: objects_load_on(dp, next->maps, &next->objects);
	err = err ?: state_table_map(dp, next->maps, &next->states);
	if (err)
		return err;
	states_limit(&next->states, states_limit_of(config));
	states_timeouts(&next->states, config->timeouts_s);
	return 0;
}

int state_table_fit(struct datapath *dp, const struct config *config, struct undo *undo, char **why)
{
	struct table_before *next;
	uint32_t n;
	int err;

	if (!undo || dp->table_left || !is_misfit(dp, config)) /* one after the other */
		return 0;
	state_table_settle(dp); /* where even the way back was lost */
	next = calloc(1, sizeof(*next));
	if (!next)
		return -ENOMEM;
	next->n_buckets = buckets_needed(dp, config);
	err = table_make(dp, config, next);
	if (err) {
		before_free(next);
		return fail(why, err, "limits.states: no table for %u states can be made: %s", states_limit_of(config),
			    strerror(-err));
	}
	learn(dp, next, LEARN_S);
	states_carry(&dp->states, &next->states);
	n = copy_all(dp, next);
	log_info("the state table gets room for %u states; %u are taken over", states_limit_of(config), n);
	swap_in(dp, next);
	dp->table_before = next;
	undo_push(undo, table_back, NULL, 0);
	remember_pins(dp);
	err = objects_pin(dp);
	err = err ?: maps_pin_beside(dp);
	return err ? fail(why, err, "limits.states: the new table cannot be pinned: %s", strerror(-err)) : 0;
}

/* The new programs are on all hooks. */
int state_table_follow(struct datapath *dp, char **why)
{
	struct states_numbers old, new;
	int err;

	if (!dp->table_before)
		return 0;
	copy_rest(dp, dp->table_before);
	err = maps_pin_move(dp);
	if (err)
		return fail(why, err, "limits.states: the new table cannot be pinned: %s", strerror(-err));
	states_recount(&dp->states);
	states_numbers(&dp->table_before->states, &old);
	states_numbers(&dp->states, &new);
	if (new.states < old.states)
		log_warnx("%llu of %llu states have no room in the smaller table, and are forgotten",
			  (unsigned long long)(old.states - new.states), (unsigned long long)old.states);
	return 0;
}

/* The change stays. */
void state_table_settle(struct datapath *dp)
{
	if (!dp->table_before)
		return;
	learn(dp, dp->table_before, LEARN_ON_S);
	objects_settle(dp);
	owner_forget_pins(dp);
	before_free(dp->table_before);
	dp->table_before = NULL;
}
