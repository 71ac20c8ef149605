// SPDX-License-Identifier: GPL-2.0-only
/*
 * The state table: counting anew. The programs go on meanwhile: a state that was made while the counting took place may have been counted or
 * not, and so may one that ended. What lies within that is no error.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#include "user/policy/states_private.h"

/* States of a rule from a source. */
struct source {
	struct fl_rule_source key;
	uint32_t states; /* 0: empty */
};

struct recount {
	int64_t states, embryonic;
	uint32_t *rules; /* by id */
	struct source *sources;
	uint32_t n_sources, sources_size; /* a power of two */
	/* what the counters said before */
	int64_t states_before, embryonic_before;
	uint64_t made_before;
	uint32_t *rules_before;
	int64_t made, gone;    /* while it took place */
	int64_t not_embryonic; /* that were: gone or established */
};

/* What is wrong with a counter that said `before`: it may be off by what was made and what ended meanwhile. */
static int64_t wrong_by(int64_t counted, int64_t before, int64_t made, int64_t gone)
{
	if (counted < before - gone)
		return counted - (before - gone);
	if (counted > before + made)
		return counted - (before + made);
	return 0;
}

static uint32_t source_hash(const struct fl_rule_source *key)
{
	uint64_t h = (key->addr.q[0] * 0x9e3779b97f4a7c15ULL ^ key->addr.q[1]) * 0xd6e8feb86659fd93ULL + key->rule;

	return (h ^ h >> 32) * 0x9fb21c651e98df25ULL >> 32;
}

static struct source *source_find(struct source *sources, uint32_t size, const struct fl_rule_source *key)
{
	uint32_t i = source_hash(key) & (size - 1);

	while (sources[i].states && memcmp(&sources[i].key, key, sizeof(*key)))
		i = (i + 1) & (size - 1);
	return &sources[i];
}

static int sources_grow(struct recount *r)
{
	uint32_t size = r->sources_size ? 2 * r->sources_size : 1024;
	struct source *sources = calloc(size, sizeof(*sources));

	if (!sources)
		return -ENOMEM;
	for (uint32_t i = 0; i < r->sources_size; i++)
		if (r->sources[i].states)
			*source_find(sources, size, &r->sources[i].key) = r->sources[i];
	free(r->sources);
	r->sources = sources;
	r->sources_size = size;
	return 0;
}

static int count_source(struct recount *r, const struct fl_state *st, uint16_t rule)
{
	struct fl_rule_source key = { .addr = st->addr[states_starter(st)], .rule = rule };
	struct source *source;

	if (2 * r->n_sources >= r->sources_size && sources_grow(r))
		return -ENOMEM;
	source = source_find(r->sources, r->sources_size, &key);
	r->n_sources += source->states == 0;
	source->key = key;
	source->states++;
	return 0;
}

static int count_state(struct recount *r, const struct fl_state *st)
{
	int err = 0;

	for (int i = 0; i < 2 && !err; i++) {
		uint16_t rule = st->rule[i];

		if (!rule || rule >= FL_RULE_IDS_MAX || (i && rule == st->rule[0]))
			continue;
		r->rules[rule]++;
		if (st->flags & FL_STATE_COUNTED)
			err = count_source(r, st, rule);
	}
	return err;
}

/* An element that somebody works on for longer than from one recount to the next has been left behind. */
static bool is_stuck(const struct states *t, uint32_t slot, uint64_t tag)
{
	for (uint32_t i = 0; i < t->n_stuck; i++)
		if (t->stuck[i].slot == slot && t->stuck[i].tag == tag)
			return true;
	return false;
}

static int count_slots(struct states *t, struct recount *r)
{
	typeof(t->stuck) stuck;
	uint32_t n_stuck = 0;
	int err = 0;

	for (uint32_t slot = 0; slot < states_slots(t) && !err; slot++) {
		uint64_t tag = states_tag(t, slot);

		if (states_is_state(tag)) {
			r->states++;
			r->embryonic += FL_TAG_KIND(tag) == FL_KIND_EMBRYONIC;
			err = count_state(r, &t->entries[slot]);
		} else if (FL_TAG_KIND(tag) == FL_KIND_CLAIMED && is_stuck(t, slot, tag)) {
			states_tag_swap(t, slot, tag, FL_TAG(0, FL_TAG_SERIAL(tag) + 1, FL_KIND_FREE));
		} else if (FL_TAG_KIND(tag) == FL_KIND_CLAIMED && n_stuck < STATES_STUCK_MAX) {
			stuck[n_stuck].slot = slot;
			stuck[n_stuck++].tag = tag;
		}
	}
	memcpy(t->stuck, stuck, n_stuck * sizeof(*stuck));
	t->n_stuck = n_stuck;
	return err;
}

/* What the limits are held against follows the counters, but for what the CPUs have not told yet. */
static void mend_shared(struct states *t)
{
	struct fl_state_counts *all = &t->counts[FL_STATE_COUNTS_SHARED];
	int64_t may = (int64_t)t->control->batch * t->cpus, states, embryonic;

	states_sums(t, &states, &embryonic);
	states -= __atomic_load_n(&all->states, __ATOMIC_RELAXED);
	embryonic -= __atomic_load_n(&all->embryonic, __ATOMIC_RELAXED);
	if (llabs(states) > may)
		__atomic_fetch_add(&all->states, states, __ATOMIC_RELAXED);
	if (llabs(embryonic) > may)
		__atomic_fetch_add(&all->embryonic, embryonic, __ATOMIC_RELAXED);
}

static void mend_counts(struct states *t, const struct recount *r)
{
	t->counts[FL_STATE_COUNTS_DAEMON].states += wrong_by(r->states, r->states_before, r->made, r->gone);
	t->counts[FL_STATE_COUNTS_DAEMON].embryonic +=
		wrong_by(r->embryonic, r->embryonic_before, r->made, r->not_embryonic);
	mend_shared(t);
}

static uint32_t *rule_states(const struct states *t, uint32_t id)
{
	return (uint32_t *)&t->rule_states[id];
}

static void mend_rules(struct states *t, const struct recount *r)
{
	for (uint32_t id = 1; id < FL_RULE_IDS_MAX; id++) {
		int64_t wrong = wrong_by(r->rules[id], (int32_t)r->rules_before[id], r->made, r->gone);

		if (wrong)
			__atomic_fetch_add(rule_states(t, id), (uint32_t)wrong, __ATOMIC_RELAXED);
	}
}

/* Those that are in the map and have none, and those that are not right. */
static void mend_sources(struct states *t, struct recount *r)
{
	struct fl_rule_source key, next;
	struct fl_rule_source *at = NULL;
	uint32_t states;

	while (!bpf_map_get_next_key(t->sources, at, &next)) {
		if (at && r->gone + r->made == 0 && !source_find(r->sources, r->sources_size, &key)->states)
			bpf_map_delete_elem(t->sources, &key);
		key = next;
		at = &key;
	}
	if (at && r->gone + r->made == 0 && !source_find(r->sources, r->sources_size, &key)->states)
		bpf_map_delete_elem(t->sources, &key);
	for (uint32_t i = 0; i < r->sources_size; i++) {
		const struct source *s = &r->sources[i];

		if (!s->states)
			continue;
		if (bpf_map_lookup_elem(t->sources, &s->key, &states))
			states = 0;
		states += wrong_by(s->states, states, r->made, r->gone);
		bpf_map_update_elem(t->sources, &s->key, &states, BPF_ANY);
	}
}

static uint64_t made(const struct states *t)
{
	struct states_numbers now;

	states_numbers(t, &now);
	return now.made;
}

static void begin(const struct states *t, struct recount *r)
{
	r->made_before = made(t);
	states_sums(t, &r->states_before, &r->embryonic_before);
	for (uint32_t id = 0; id < FL_RULE_IDS_MAX; id++)
		r->rules_before[id] = __atomic_load_n(rule_states(t, id), __ATOMIC_RELAXED);
}

static int64_t at_least_none(int64_t n)
{
	return n > 0 ? n : 0;
}

/* What happened in between. */
static void end(const struct states *t, struct recount *r)
{
	int64_t states, embryonic;

	r->made = made(t) - r->made_before;
	states_sums(t, &states, &embryonic);
	r->gone = at_least_none(r->made - (states - r->states_before));
	r->not_embryonic = at_least_none(r->made - (embryonic - r->embryonic_before));
}

int states_recount(struct states *t)
{
	struct recount r = {};
	int err = -ENOMEM;

	r.rules = calloc(FL_RULE_IDS_MAX, sizeof(*r.rules));
	r.rules_before = calloc(FL_RULE_IDS_MAX, sizeof(*r.rules_before));
	if (!r.rules || !r.rules_before || sources_grow(&r))
		goto out;
	begin(t, &r);
	err = count_slots(t, &r);
	end(t, &r);
	if (err)
		goto out;
	mend_counts(t, &r);
	mend_rules(t, &r);
	if (t->sources >= 0)
		mend_sources(t, &r);
out:
	free(r.rules);
	free(r.rules_before);
	free(r.sources);
	return err;
}
