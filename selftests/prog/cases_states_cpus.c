// SPDX-License-Identifier: GPL-2.0-only
/* The state table: two CPUs do not undo each other's work. */
#include <arpa/inet.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "selftests/prog/check.h"
#include "selftests/prog/state_table.h"

#include "states_prog.skel.h"

#define HAMMER_KEYS STATES_PAIR_KEYS

struct hammer {
	struct state_table *t;
	struct states_loop loop;
	pthread_barrier_t *start;
	int cpu;
};

static void *hammer_run(void *arg)
{
	struct hammer *h = arg;
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(h->cpu, &cpus);
	sched_setaffinity(0, sizeof(cpus), &cpus);
	pthread_barrier_wait(h->start);
	state_table_loop(h->t, &h->loop);
	return NULL;
}

static void clear(struct state_table *t)
{
	memset(t->buckets, 0, t->slots * 8);
	memset(t->counts, 0, FL_STATE_COUNTS_CPU(t->cpus) * sizeof(*t->counts));
}

/* Every key once, none twice. */
static void expect_each_once(struct env *env, const struct state_table *t, __u32 keys)
{
	__u32 *seen = calloc(keys, sizeof(*seen)), wrong = 0;

	if (!seen)
		return fail(env, "  no memory\n");
	for (__u32 slot = 0; slot < t->slots; slot++)
		if (FL_TAG_KIND(state_table_tag(t, slot)) != FL_KIND_FREE)
			seen[ntohl(t->states[slot].addr[0].w[3]) % keys]++;
	for (__u32 i = 0; i < keys; i++)
		wrong += seen[i] != 1;
	if (wrong)
		fail(env, "  %u keys are not there once\n", wrong);
	free(seen);
}

static void hammer_both(struct state_table *t, struct hammer h[2])
{
	pthread_barrier_t start;
	pthread_t threads[2];

	clear(t);
	pthread_barrier_init(&start, NULL, 2);
	for (int i = 0; i < 2; i++) {
		h[i].t = t;
		h[i].start = &start;
		h[i].cpu = i % t->cpus;
		if (pthread_create(&threads[i], NULL, hammer_run, &h[i]))
			abort();
	}
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&start);
}

/* The keys of both are the same, the one going up and the other down or up as well; or they are different ones in the same buckets. */
static void hammer(struct env *env, struct state_table *t, __u32 step, __u32 second, __u32 keys)
{
	struct hammer h[2] = {};

	for (int i = 0; i < 2; i++)
		h[i].loop = (struct states_loop){
			.keys = keys, .count = HAMMER_KEYS, .step = i ? step : 1, .first = i ? second : 0, .insert = 1
		};
	hammer_both(t, h);
	state_table_expect(env, "refused", h[0].loop.failed + h[1].loop.failed, 0);
	expect_each_once(env, t, keys);
	state_table_expect_counts(env, "two CPUs", t, keys, 0);
}

static void two_cpus(struct env *env)
{
	struct state_table t;

	if (!state_table_begin(env, &t, HAMMER_KEYS / 2))
		return;
	for (int round = 0; round < 100 && !*env->why; round++) {
		hammer(env, &t, 1, 0, HAMMER_KEYS);
		hammer(env, &t, HAMMER_KEYS - 1, HAMMER_KEYS - 1, HAMMER_KEYS);
		hammer(env, &t, 1, HAMMER_KEYS, 2 * HAMMER_KEYS);
	}
	state_table_close(&t);
}

/*
 * Each connection's first two packets are in step, and each CPU has chosen an address of its own for it, or the same: both leave by one, and its
 * answers find back.
 */
static void pair(struct env *env, struct state_table *t, __u32 as, __u32 second_as)
{
	__u32(*seen)[HAMMER_KEYS] = t->skel->bss->states_pair_as, wrong = 0;
	struct hammer h[2] = {};

	memset((void *)t->skel->bss->states_pair_step, 0, sizeof(t->skel->bss->states_pair_step));
	for (int i = 0; i < 2; i++)
		h[i].loop = (struct states_loop){ .keys = HAMMER_KEYS,
						  .count = HAMMER_KEYS,
						  .step = 1,
						  .insert = 1,
						  .as = i ? second_as : as,
						  .me = i };
	hammer_both(t, h);
	for (__u32 i = 0; i < HAMMER_KEYS; i++)
		wrong += !seen[0][i] || seen[0][i] != seen[1][i];
	state_table_expect(env, "refused", h[0].loop.failed + h[1].loop.failed, 0);
	state_table_expect(env, "connections that are not seen as from one", wrong, 0);
	state_table_expect_counts(env, "pairs", t, HAMMER_KEYS, HAMMER_KEYS);
	wrong = 0;
	for (__u32 slot = 0; slot < t->slots; slot++)
		if (FL_TAG_KIND(state_table_tag(t, slot)) == FL_KIND_TWIN)
			wrong += t->states[t->states[slot].twin].twin != slot;
	state_table_expect(env, "twins that their state does not know", wrong, 0);
}

static void pairs(struct env *env)
{
	struct state_table t;

	if (!state_table_begin(env, &t, HAMMER_KEYS))
		return;
	for (int round = 0; round < 50 && !*env->why; round++) {
		pair(env, &t, 0x10000, 0x10000);
		pair(env, &t, 0x10000, 0x20000);
	}
	state_table_close(&t);
}

const struct procedure states_cpus_procedures[] = {
	{ "states/two-cpus", two_cpus },
	{ "states/pairs", pairs },
	{},
};
