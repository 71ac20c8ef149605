// SPDX-License-Identifier: GPL-2.0-only
/* The state table with programs and daemon at work on it at the same time. */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "selftests/prog/check.h"
#include "selftests/prog/state_table.h"
#include "user/lib/clock.h"
#include "user/policy/states.h"

#include "states_prog.skel.h"

#define KEYS 20000

/* The daemon's side of a table. */
static int daemon_of(const struct state_table *t, struct states *s)
{
	const struct states_maps maps = {
		.buckets = bpf_map__fd(t->skel->maps.fl_buckets),
		.states = bpf_map__fd(t->skel->maps.fl_states),
		.control = bpf_map__fd(t->skel->maps.fl_state_control),
		.counts = bpf_map__fd(t->skel->maps.fl_state_counts),
		.rule_stats = bpf_map__fd(t->skel->maps.fl_rule_stats),
		.rule_states = bpf_map__fd(t->skel->maps.fl_rule_states),
		.sources = bpf_map__fd(t->skel->maps.fl_rule_sources),
		.n_buckets = t->slots / FL_BUCKET_WAYS,
		.cpus = t->cpus,
	};

	return states_open(s, &maps, t->hz);
}

static bool begin(struct env *env, struct state_table *t, struct states *s, __u32 buckets)
{
	if (state_table_open(t, buckets)) {
		fail(env, "  no table\n");
		return false;
	}
	if (!daemon_of(t, s))
		return true;
	fail(env, "  the daemon cannot map it\n");
	states_close(s);
	state_table_close(t);
	return false;
}

static void end(struct state_table *t, struct states *s)
{
	states_close(s);
	state_table_close(t);
}

/* A jiffy of now. */
static __u32 now_of(struct state_table *t)
{
	struct states_request q;
	struct states_answer a;

	state_table_udp(&q, 0x7fffffff, 1);
	q.flags = STATES_NO_INSERT;
	state_table_packet(t, &q, &a);
	return a.now;
}

#define TRAFFIC_REFUSED_MAX 3

/* Traffic on another CPU, until it is told to stop. */
struct traffic {
	struct state_table *t;
	pthread_t thread;
	bool stop;
	__u32 failed;
};

static void *traffic_run(void *arg)
{
	struct traffic *tr = arg;
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(tr->t->cpus - 1, &cpus);
	sched_setaffinity(0, sizeof(cpus), &cpus);
	while (!__atomic_load_n(&tr->stop, __ATOMIC_RELAXED)) {
		struct states_loop loop = { .step = 7, .keys = KEYS, .count = KEYS, .insert = 1 };

		state_table_loop(tr->t, &loop);
		tr->failed += loop.failed;
	}
	return NULL;
}

static void traffic_begin(struct traffic *tr, struct state_table *t)
{
	*tr = (struct traffic){ .t = t };
	if (pthread_create(&tr->thread, NULL, traffic_run, tr))
		abort();
}

static void traffic_end(struct env *env, struct traffic *tr)
{
	__atomic_store_n(&tr->stop, true, __ATOMIC_RELAXED);
	pthread_join(tr->thread, NULL);
	/* a packet may meet the very element that the daemon fills at that moment: its sender sends again */
	if (tr->failed > TRAFFIC_REFUSED_MAX)
		fail(env, "  %u were refused\n", tr->failed);
}

static void expect_counted(struct env *env, const char *when, struct state_table *t, __s64 states)
{
	__u32 published = state_table_published(t, false);
	__s64 counted = state_table_count(t), embryonic = state_table_embryonic(t);

	if (counted != published || embryonic > counted || (states >= 0 && counted != states))
		fail(env, "  %s: %u states, counted %lld, %lld of them embryonic, instead of %lld\n", when, published,
		     (long long)counted, (long long)embryonic, (long long)states);
}

static void sweep_all(struct states *s, __u32 now)
{
	__u32 from = 0, removed;

	do
		from = states_sweep(s, now, from, 512, &removed);
	while (from);
}

/* Everything has run out at once: what the programs make, the daemon takes away. */
static void sweeping(struct env *env)
{
	struct state_table t;
	struct traffic tr;
	struct states s;
	__u32 now;

	if (!begin(env, &t, &s, KEYS / 4))
		return;
	traffic_begin(&tr, &t);
	for (int i = 0; i < 100; i++) {
		now = now_of(&t) + 2000 * t.hz;
		sweep_all(&s, now);
	}
	traffic_end(env, &tr);
	expect_counted(env, "in the midst", &t, -1);
	sweep_all(&s, now_of(&t) + 2000 * t.hz);
	expect_counted(env, "at last", &t, 0);
	end(&t, &s);
}

static int remove_it(void *arg, const struct states_entry *e)
{
	states_remove(arg, e->slot, e->tag);
	return 0;
}

static void killing(struct env *env)
{
	struct state_table t;
	struct traffic tr;
	struct states s;

	if (!begin(env, &t, &s, KEYS / 4))
		return;
	traffic_begin(&tr, &t);
	for (int i = 0; i < 50; i++) {
		states_walk(&s, NULL, remove_it, &s);
		if (states_recount(&s))
			fail(env, "  no memory\n");
	}
	traffic_end(env, &tr);
	expect_counted(env, "in the midst", &t, -1);
	states_walk(&s, NULL, remove_it, &s);
	expect_counted(env, "at last", &t, 0);
	end(&t, &s);
}

static __u32 keys_once(const struct state_table *t)
{
	__u8 *seen = calloc(KEYS, 1);
	__u32 once = 0;

	for (__u32 slot = 0; seen && slot < t->slots; slot++)
		if (FL_TAG_KIND(state_table_tag(t, slot)) != FL_KIND_FREE)
			seen[ntohl(t->states[slot].addr[0].w[3]) % KEYS]++;
	for (__u32 i = 0; seen && i < KEYS; i++)
		once += seen[i] == 1;
	free(seen);
	return once;
}

/* Into a table that is in use: what both have is there once. */
static void copying(struct env *env)
{
	struct states_loop loop = { .step = 1, .keys = KEYS, .count = KEYS, .insert = 1 };
	struct state_table from, to;
	struct states s[2];
	struct traffic tr;

	if (!begin(env, &from, &s[0], KEYS / 4))
		return;
	state_table_loop(&from, &loop);
	for (int i = 0; i < 10 && !*env->why; i++) {
		if (!begin(env, &to, &s[1], KEYS / 3))
			break;
		traffic_begin(&tr, &to);
		states_copy(&s[0], &s[1]);
		states_copy(&s[0], &s[1]);
		traffic_end(env, &tr);
		expect_counted(env, "the copy", &to, KEYS);
		if (keys_once(&to) != KEYS)
			fail(env, "  only %u keys are there once\n", keys_once(&to));
		end(&to, &s[1]);
	}
	end(&from, &s[0]);
}

static __u32 source_states(const struct state_table *t, __u32 from)
{
	struct fl_rule_source key = { .addr = { .w = { htonl(0x20010db8), 0, 0, htonl(from) } }, .rule = 7 };
	__u32 states = 0;

	bpf_map_lookup_elem(bpf_map__fd(t->skel->maps.fl_rule_sources), &key, &states);
	return states;
}

/* Who is limited by source is counted right, whoever ends the state, and after a mishap. */
static void sources(struct env *env)
{
	struct states_request q;
	struct state_table t;
	struct states_answer a;
	struct states s;
	__u32 last = 0;
	__u64 tag = 0;

	if (!begin(env, &t, &s, 64))
		return;
	for (__u32 i = 0; i < 12; i++) {
		state_table_udp(&q, 10 + i / 6, 20);
		q.sport = htons(i);
		q.rule[0] = 7;
		q.max_states_per_source = 5;
		state_table_packet(&t, &q, &a);
		if (a.result != (i % 6 == 5 ? -FL_DROP_STATE_LIMIT : 0))
			fail(env, "  state %u: %d\n", i, a.result);
		if (!a.result) {
			last = a.main;
			tag = a.tag;
		}
	}
	states_remove(&s, last, tag);
	if (source_states(&t, 10) != 5 || source_states(&t, 11) != 4)
		fail(env, "  %u and %u instead of 5 and 4\n", source_states(&t, 10), source_states(&t, 11));
	bpf_map_delete_elem(bpf_map__fd(t.skel->maps.fl_rule_sources),
			    &(struct fl_rule_source){ .addr = q.src, .rule = 7 });
	bpf_map_update_elem(bpf_map__fd(t.skel->maps.fl_rule_sources),
			    &(struct fl_rule_source){ .addr = q.dst, .rule = 7 }, &(__u32){ 3 }, BPF_ANY);
	if (states_recount(&s))
		fail(env, "  no memory\n");
	if (source_states(&t, 10) != 5 || source_states(&t, 11) != 4 || source_states(&t, 20) != 0)
		fail(env, "  put right: %u, %u, %u instead of 5, 4, 0\n", source_states(&t, 10), source_states(&t, 11),
		     source_states(&t, 20));
	end(&t, &s);
}

static int count_it(void *arg, const struct states_entry *e)
{
	__u32 *n = arg;

	*n += e->state.proto == FL_PROTO_UDP;
	return 0;
}

/* What `show states` has to do for a million. */
static void million(struct env *env)
{
	struct states_loop loop = { .step = 1, .keys = 1000000, .count = 1000000, .insert = 1 };
	struct states_filter filter = { .n_hosts = 1, .hosts = { { .w = { htonl(0x20010db8), 0, 0, htonl(4711) } } } };
	struct state_table t;
	struct states s;
	long long ms;
	__u32 n = 0, one = 0;

	if (!begin(env, &t, &s, states_buckets(1000000, true)))
		return;
	state_table_loop(&t, &loop);
	ms = clock_ms(CLOCK_MONOTONIC);
	states_walk(&s, NULL, count_it, &n);
	states_walk(&s, &filter, count_it, &one);
	ms = clock_ms(CLOCK_MONOTONIC) - ms;
	if (n != 1000000 || one != 1)
		fail(env, "  %u states, %u of one host\n", n, one);
	if (ms > 2000)
		fail(env, "  two walks take %lld ms\n", ms);
	end(&t, &s);
}

const struct procedure states_both_procedures[] = {
	{ "states/daemon/sweeping", sweeping }, { "states/daemon/killing", killing },
	{ "states/daemon/copying", copying },	{ "states/daemon/sources", sources },
	{ "states/daemon/million", million },	{},
};
