// SPDX-License-Identifier: GPL-2.0-only
/* A state table of a test's own. */

#include "selftests/prog/state_table.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "selftests/prog/env.h"
#include "user/lib/clock.h"

#include "states_prog.skel.h"

static size_t map_bytes(const struct bpf_map *map)
{
	size_t page = sysconf(_SC_PAGESIZE), size = (bpf_map__value_size(map) + 7) / 8 * 8;

	return (size * bpf_map__max_entries(map) + page - 1) / page * page;
}

static void *map_mapped(const struct bpf_map *map)
{
	void *p = mmap(NULL, map_bytes(map), PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);

	return p == MAP_FAILED ? NULL : p;
}

static int sizes(struct state_table *t, __u32 buckets)
{
	struct bpf_map *map;
	int r;

	bpf_object__for_each_map(map, t->skel->obj) bpf_map__set_pin_path(map, NULL);
	r = bpf_map__set_max_entries(t->skel->maps.fl_buckets, buckets);
	if (!r)
		r = bpf_map__set_max_entries(t->skel->maps.fl_states, t->slots);
	if (!r)
		r = bpf_map__set_max_entries(t->skel->maps.fl_state_counts, FL_STATE_COUNTS_CPU(t->cpus));
	if (!r)
		r = bpf_map__set_max_entries(t->skel->maps.fl_sync_log, t->cpus);
	if (!r)
		r = bpf_map__set_max_entries(t->skel->maps.fl_rule_stats, FL_RULE_STATS_INDEX(t->cpus + 1, 0));
	return r;
}

static int map_all(struct state_table *t)
{
	t->buckets = map_mapped(t->skel->maps.fl_buckets);
	t->states = map_mapped(t->skel->maps.fl_states);
	t->control = map_mapped(t->skel->maps.fl_state_control);
	t->counts = map_mapped(t->skel->maps.fl_state_counts);
	t->rule_stats = map_mapped(t->skel->maps.fl_rule_stats);
	t->rule_states = map_mapped(t->skel->maps.fl_rule_states);
	return t->buckets && t->states && t->control && t->counts && t->rule_stats && t->rule_states ? 0 : -errno;
}

int state_table_open(struct state_table *t, __u32 buckets)
{
	int r;

	memset(t, 0, sizeof(*t));
	t->cpus = libbpf_num_possible_cpus();
	t->slots = buckets * FL_BUCKET_WAYS;
	t->hz = clock_hz();
	t->skel = states_prog__open();
	if (!t->skel)
		return -ENOMEM;
	t->skel->rodata->fl_hz = t->hz;
	r = sizes(t, buckets);
	if (!r)
		r = states_prog__load(t->skel);
	if (!r)
		r = map_all(t);
	if (r) {
		fprintf(stderr, "prog-test: the state table: %s\n", strerror(-r));
		state_table_close(t);
		return r;
	}
	for (int i = 0; i < 5; i++)
		t->control->key[i] = 0x9e3779b97f4a7c15ULL * (i + 1);
	t->control->buckets = buckets;
	t->control->limit = t->control->embryonic_limit = t->slots;
	t->control->batch = 1;
	for (int i = 0; i < FL_TIMEOUTS; i++)
		t->control->timeout[i] = 1000 * t->hz;
	return 0;
}

static void unmap(const struct bpf_map *map, void *p)
{
	if (p)
		munmap(p, map_bytes(map));
}

void state_table_close(struct state_table *t)
{
	if (!t->skel)
		return;
	unmap(t->skel->maps.fl_buckets, t->buckets);
	unmap(t->skel->maps.fl_states, t->states);
	unmap(t->skel->maps.fl_state_control, t->control);
	unmap(t->skel->maps.fl_state_counts, t->counts);
	unmap(t->skel->maps.fl_rule_stats, t->rule_stats);
	unmap(t->skel->maps.fl_rule_states, t->rule_states);
	states_prog__destroy(t->skel);
	memset(t, 0, sizeof(*t));
}

void state_table_packet(struct state_table *t, const struct states_request *q, struct states_answer *a)
{
	struct states_frame in = { .request = *q }, out = {};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = &in, .data_size_in = sizeof(in), .data_out = &out,
		    .data_size_out = sizeof(out));

	if (bpf_prog_test_run_opts(bpf_program__fd(t->skel->progs.states_packet), &opts) || opts.retval) {
		fprintf(stderr, "prog-test: states_packet does not run: %s\n", strerror(errno));
		abort();
	}
	*a = out.answer;
}

__u32 state_table_loop(struct state_table *t, struct states_loop *loop)
{
	struct states_loop_frame in = { .loop = *loop }, out = {};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = &in, .data_size_in = sizeof(in), .data_out = &out,
		    .data_size_out = sizeof(out));

	if (bpf_prog_test_run_opts(bpf_program__fd(t->skel->progs.states_loop), &opts) || opts.retval) {
		fprintf(stderr, "prog-test: states_loop does not run: %s\n", strerror(errno));
		abort();
	}
	*loop = out.loop;
	return opts.duration / loop->count;
}

void state_table_udp(struct states_request *q, __u32 from, __u32 to)
{
	memset(q, 0, sizeof(*q));
	q->src.w[0] = q->dst.w[0] = htonl(0x20010db8);
	q->src.w[3] = htonl(from);
	q->dst.w[3] = htonl(to);
	q->sport = q->dport = htons(1000);
	q->proto = IPPROTO_UDP;
	q->bytes = 100;
}

void state_table_answer(struct states_request *q)
{
	struct states_request was = *q;

	q->src = was.dst;
	q->dst = was.src;
	q->sport = was.dport;
	q->dport = was.sport;
}

__u64 state_table_tag(const struct state_table *t, __u32 slot)
{
	return t->buckets[slot / FL_BUCKET_WAYS].tag[slot % FL_BUCKET_WAYS];
}

__s64 state_table_count(const struct state_table *t)
{
	__s64 sum = 0;

	for (int i = 0; i < t->cpus + 1; i++)
		sum += t->counts[FL_STATE_COUNTS_DAEMON + i].states;
	return sum;
}

__s64 state_table_embryonic(const struct state_table *t)
{
	__s64 sum = 0;

	for (int i = 0; i < t->cpus + 1; i++)
		sum += t->counts[FL_STATE_COUNTS_DAEMON + i].embryonic;
	return sum;
}

__u32 state_table_published(const struct state_table *t, bool twins)
{
	__u32 n = 0, kind;

	for (__u32 slot = 0; slot < t->slots; slot++) {
		kind = FL_TAG_KIND(state_table_tag(t, slot));
		n += twins ? kind == FL_KIND_TWIN : kind == FL_KIND_EMBRYONIC || kind == FL_KIND_ESTABLISHED;
	}
	return n;
}

void state_table_age(struct state_table *t, __u32 slot, int seconds)
{
	t->states[slot].seen -= seconds * t->hz;
	t->states[slot].made -= seconds * t->hz;
}

bool state_table_begin(struct env *env, struct state_table *t, __u32 buckets)
{
	if (!state_table_open(t, buckets))
		return true;
	fail(env, "  no table\n");
	return false;
}

void state_table_expect_counts(struct env *env, const char *when, struct state_table *t, __u32 states, __u32 twins)
{
	__u32 published = state_table_published(t, false), second = state_table_published(t, true);
	__s64 counted = state_table_count(t);

	if (published != states || counted != states || second != twins)
		fail(env, "  %s: %u states, %u twins, counted %lld, instead of %u and %u\n", when, published, second,
		     (long long)counted, states, twins);
}

void state_table_expect(struct env *env, const char *what, long long is, long long should)
{
	if (is != should)
		fail(env, "  %s: %lld instead of %lld\n", what, is, should);
}
