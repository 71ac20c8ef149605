// SPDX-License-Identifier: GPL-2.0-only
/* The state table: mapping it, what the configuration says of it, and ending states. */
#include "user/policy/states.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "user/policy/states_private.h"

static void *map_at(struct states *t, int which, int fd, size_t n, size_t size)
{
	size_t page = sysconf(_SC_PAGESIZE);
	void *p;

	t->bytes[which] = (n * ((size + 7) / 8 * 8) + page - 1) / page * page;
	p = mmap(NULL, t->bytes[which], PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	return p == MAP_FAILED ? NULL : p;
}

int states_open(struct states *t, const struct states_maps *maps, uint32_t hz)
{
	memset(t, 0, sizeof(*t));
	t->sources = maps->sources;
	t->mappings = maps->mappings;
	t->cpus = maps->cpus;
	t->hz = hz;
	t->buckets = map_at(t, 0, maps->buckets, maps->n_buckets, sizeof(*t->buckets));
	t->entries = map_at(t, 1, maps->states, (size_t)maps->n_buckets * FL_BUCKET_WAYS, sizeof(*t->entries));
	t->control = map_at(t, 2, maps->control, 1, sizeof(*t->control));
	t->counts = map_at(t, 3, maps->counts, FL_STATE_COUNTS_CPU(maps->cpus), sizeof(*t->counts));
	t->rule_stats =
		map_at(t, 4, maps->rule_stats, FL_RULE_STATS_INDEX((size_t)maps->cpus + 1, 0), sizeof(*t->rule_stats));
	t->rule_states = map_at(t, 5, maps->rule_states, FL_RULE_IDS_MAX, sizeof(*t->rule_states));
	if (!t->buckets || !t->entries || !t->control || !t->counts || !t->rule_stats || !t->rule_states)
		return errno ? -errno : -ENOMEM;
	return 0;
}

void states_close(struct states *t)
{
	void *const mapped[] = { t->buckets, t->entries, t->control, t->counts, t->rule_stats, t->rule_states };

	for (size_t i = 0; i < sizeof(mapped) / sizeof(*mapped); i++)
		if (mapped[i])
			munmap(mapped[i], t->bytes[i]);
	memset(t, 0, sizeof(*t));
}

/*
 * Seven places for five entries; for twins five for two: on the average a bucket has six or seven of eight then, if all states are
 * translated.
 */
uint32_t states_buckets(uint32_t limit, bool translated)
{
	uint64_t slots = translated ? (uint64_t)limit * 5 / 2 : (uint64_t)limit * 7 / 5, n = slots / FL_BUCKET_WAYS + 1;

	return n < 64 ? 64 : n;
}

int states_init(struct states *t, uint32_t n_buckets)
{
	t->control->buckets = n_buckets;
	if (t->control->key[0])
		return 0;
	while (!t->control->key[0])
		if (getrandom(t->control->key, sizeof(t->control->key), 0) < 0)
			return -errno;
	while (!t->control->lineage || !t->control->id)
		if (getrandom(&t->control->lineage, sizeof(t->control->lineage), 0) < 0 ||
		    getrandom(&t->control->id, sizeof(t->control->id), 0) < 0)
			return -errno;
	return 0;
}

static void store(uint32_t *to, uint32_t value)
{
	__atomic_store_n(to, value, __ATOMIC_RELAXED);
}

/* How many states the others may not know of: in all a hundredth of what there may be. */
static uint32_t batch_of(uint32_t limit, uint32_t cpus)
{
	uint32_t batch = limit / 100 / (cpus ? cpus : 1);

	return batch < 1 ? 1 : batch > 256 ? 256 : batch;
}

void states_limit(struct states *t, uint32_t limit)
{
	store(&t->control->batch, batch_of(limit, t->cpus));
	store(&t->control->embryonic_limit, limit / 4 ? limit / 4 : 1);
	store(&t->control->limit, limit);
	states_adapt(t);
}

void states_learn_until(struct states *t, uint32_t until)
{
	store(&t->control->learn_until, until);
}

void states_timeouts(struct states *t, const uint32_t timeout_s[FL_TIMEOUTS])
{
	memcpy(t->timeout_s, timeout_s, sizeof(t->timeout_s));
	states_adapt(t);
}

void states_adapt(struct states *t)
{
	uint64_t limit = t->control->limit, start = limit * 60 / 100, end = limit * 120 / 100, left = 1, of = 1;
	struct states_numbers n;

	states_numbers(t, &n);
	if (n.states > limit)
		n.states = limit;
	if (n.states > start && end > start) {
		left = end - n.states;
		of = end - start;
	}
	for (int i = 0; i < FL_TIMEOUTS; i++) {
		uint64_t jiffies = (uint64_t)t->timeout_s[i] * t->hz * left / of;

		store(&t->control->timeout[i], jiffies < INT32_MAX ? jiffies : INT32_MAX);
	}
}

void states_sums(const struct states *t, int64_t *states, int64_t *embryonic)
{
	*states = *embryonic = 0;
	for (uint32_t i = FL_STATE_COUNTS_DAEMON; i < FL_STATE_COUNTS_CPU(t->cpus); i++) {
		*states += __atomic_load_n(&t->counts[i].states, __ATOMIC_RELAXED);
		*embryonic += __atomic_load_n(&t->counts[i].embryonic, __ATOMIC_RELAXED);
	}
}

void states_numbers(const struct states *t, struct states_numbers *n)
{
	int64_t states, embryonic;

	memset(n, 0, sizeof(*n));
	states_sums(t, &states, &embryonic);
	for (uint32_t i = FL_STATE_COUNTS_DAEMON; i < FL_STATE_COUNTS_CPU(t->cpus); i++) {
		const struct fl_state_counts *c = &t->counts[i];

		n->made += c->made;
		n->refused_full += c->refused_full;
		n->refused_place += c->refused_place;
		n->refused_rule += c->refused_rule;
		n->evicted += c->evicted;
	}
	n->states = states > 0 ? states : 0;
	n->embryonic = embryonic > 0 ? embryonic : 0;
}

void states_count(struct states *t, int64_t states, int64_t embryonic)
{
	struct fl_state_counts *mine = &t->counts[FL_STATE_COUNTS_DAEMON], *all = &t->counts[FL_STATE_COUNTS_SHARED];

	mine->states += states;
	mine->embryonic += embryonic;
	__atomic_fetch_add(&all->states, states, __ATOMIC_RELAXED);
	if (embryonic)
		__atomic_fetch_add(&all->embryonic, embryonic, __ATOMIC_RELAXED);
}

void states_carry(const struct states *from, struct states *to)
{
	struct fl_state_counts *mine = &to->counts[FL_STATE_COUNTS_DAEMON];
	struct states_numbers n;

	to->control->lineage = from->control->lineage;
	to->control->peer_lineage = from->control->peer_lineage;
	states_numbers(from, &n);
	mine->made = n.made;
	mine->refused_full = n.refused_full;
	mine->refused_place = n.refused_place;
	mine->refused_rule = n.refused_rule;
	mine->evicted = n.evicted;
}

/* ---- ending ---- */

static void source_leave(struct states *t, const struct fl_state *st, uint16_t rule)
{
	struct fl_rule_source key = { .addr = st->addr[states_starter(st)], .rule = rule };
	uint32_t states;

	if (t->sources < 0 || bpf_map_lookup_elem(t->sources, &key, &states) || !states)
		return;
	states--;
	bpf_map_update_elem(t->sources, &key, &states, BPF_EXIST);
}

static void rule_account(struct states *t, uint16_t rule, uint64_t packets, uint64_t bytes)
{
	struct fl_rule_stats *stats = &t->rule_stats[FL_RULE_STATS_INDEX(t->cpus, rule & (FL_RULE_IDS_MAX - 1))];

	if (!rule)
		return;
	stats->packets += packets;
	stats->bytes += bytes;
}

void states_rule_leave(struct states *t, const struct fl_state *st, uint16_t rule)
{
	if (!rule || rule >= FL_RULE_IDS_MAX)
		return;
	__atomic_fetch_sub((uint32_t *)&t->rule_states[rule], 1, __ATOMIC_RELAXED);
	if (st->flags & FL_STATE_COUNTED)
		source_leave(t, st, rule);
}

/* What the state has counted, its rules have now: each once, also where both are the same. */
static void account(struct states *t, const struct fl_state *st)
{
	uint64_t packets = fl_state_packets(st, 0) + fl_state_packets(st, 1);
	uint64_t bytes = fl_state_bytes(st, 0) + fl_state_bytes(st, 1);

	for (int i = 0; i < 2; i++) {
		if (i && st->rule[1] == st->rule[0])
			break;
		rule_account(t, st->rule[i], packets, bytes);
		states_rule_leave(t, st, st->rule[i]);
	}
	if (!(st->nat & FL_STATE_NPT))
		rule_account(t, st->nat, packets, bytes);
}

/* The state whose twin it is has been claimed over the tag `was`. */
static void twin_remove(struct states *t, uint32_t slot, uint32_t main, uint64_t was)
{
	const struct fl_state *twin;
	uint64_t tag;

	if (slot >= states_slots(t))
		return;
	twin = &t->entries[slot];
	tag = states_tag(t, slot);
	if (FL_TAG_KIND(tag) == FL_KIND_TWIN && twin->twin == main && twin->made == FL_TAG_SERIAL(was))
		states_tag_swap(t, slot, tag, FL_TAG(0, FL_TAG_SERIAL(tag), FL_KIND_FREE));
}

static void release(struct states *t, uint32_t slot, uint64_t was)
{
	__atomic_store_n(states_tag_at(t, slot), FL_TAG(0, FL_TAG_SERIAL(was) + 1, FL_KIND_FREE), __ATOMIC_RELEASE);
}

void states_log(struct states *t, uint32_t slot)
{
	struct fl_sync_log *log = t->log;

	if (!log)
		return;
	log->slot[log->head % FL_SYNC_LOG] = slot;
	__atomic_store_n(&log->head, log->head + 1, __ATOMIC_RELEASE);
}

bool states_remove(struct states *t, uint32_t slot, uint64_t tag)
{
	const struct fl_state *st;

	if (slot >= states_slots(t) || !states_is_state(tag) || !states_tag_swap(t, slot, tag, FL_TAG_CLAIM(tag)))
		return false;
	st = &t->entries[slot];
	account(t, st);
	if (st->flags & FL_STATE_TRANSLATED)
		twin_remove(t, st->twin, slot, tag);
	states_count(t, -1, FL_TAG_KIND(tag) == FL_KIND_EMBRYONIC ? -1 : 0);
	release(t, slot, tag);
	if (FL_TAG_KIND(tag) == FL_KIND_ESTABLISHED)
		states_log(t, slot);
	return true;
}

bool states_end(struct states *t, uint32_t slot, uint64_t tag)
{
	bool ended = states_remove(t, slot, tag);

	if (ended && FL_TAG_KIND(tag) != FL_KIND_ESTABLISHED)
		states_log(t, slot);
	return ended;
}

/* 1: a state has run out. */
static uint32_t sweep_slot(struct states *t, uint32_t now, uint32_t slot)
{
	uint64_t tag = states_tag(t, slot);
	const struct fl_state *st = &t->entries[slot];

	if (states_is_state(tag))
		return fl_state_is_expired(st, t->control, now) && states_remove(t, slot, tag);
	if (FL_TAG_KIND(tag) == FL_KIND_TWIN && !states_twin_lives(t, st) &&
	    states_tag_swap(t, slot, tag, FL_TAG_CLAIM(tag)))
		release(t, slot, tag);
	return 0;
}

uint32_t states_sweep(struct states *t, uint32_t now, uint32_t from, uint32_t n, uint32_t *removed)
{
	uint32_t end = from < t->control->buckets && n < t->control->buckets - from ? from + n : t->control->buckets;

	*removed = 0;
	for (uint32_t slot = from * FL_BUCKET_WAYS; slot < end * FL_BUCKET_WAYS; slot++)
		*removed += sweep_slot(t, now, slot);
	return end < t->control->buckets ? end : 0;
}
