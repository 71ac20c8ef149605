/* SPDX-License-Identifier: GPL-2.0-only */
/* A state table of a test's own, with the programs of states_prog.bpf.c, and its maps mapped. */
#pragma once

#include <stdbool.h>

#include "fairlead/rules.h"
#include "selftests/prog/states.h"

struct states_prog;

struct state_table {
	struct states_prog *skel;
	struct fl_bucket *buckets;
	struct fl_state *states;
	struct fl_state_control *control;
	struct fl_state_counts *counts;
	struct fl_rule_stats *rule_stats;
	__u64 *rule_states; /* an array's elements have eight bytes at least */
	__u32 slots, hz;
	int cpus;
};

/* A table of so many buckets, with no limit that would be felt. 0 or -errno, which it has printed. */
int state_table_open(struct state_table *t, __u32 buckets);
void state_table_close(struct state_table *t);

/* One packet. */
void state_table_packet(struct state_table *t, const struct states_request *q, struct states_answer *a);

/* Many packets, and what they found. Returns ns for one of them. */
__u32 state_table_loop(struct state_table *t, struct states_loop *loop);

/* A UDP packet from number to number: addresses 2001:db8::NUMBER, port 1000. */
void state_table_udp(struct states_request *q, __u32 from, __u32 to);
void state_table_answer(struct states_request *q); /* the other direction */

__u64 state_table_tag(const struct state_table *t, __u32 slot);
__s64 state_table_count(const struct state_table *t); /* as its counters say */
__s64 state_table_embryonic(const struct state_table *t);
__u32 state_table_published(const struct state_table *t, bool twins); /* as its tags do */
void state_table_age(struct state_table *t, __u32 slot, int seconds);

/* ---- for a test: what is wrong is in env->why ---- */

struct env;
bool state_table_begin(struct env *env, struct state_table *t, __u32 buckets); /* false: it can't be opened */
void state_table_expect_counts(struct env *env, const char *when, struct state_table *t, __u32 states, __u32 twins);
void state_table_expect(struct env *env, const char *what, long long is, long long should);
