/* SPDX-License-Identifier: GPL-2.0-only */
/* State tables in plain memory. */
#pragma once

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "user/policy/states.h"

#define CPUS 2
#define HZ 100
#define NOW 1000000u

static inline struct states *table_new(uint32_t buckets)
{
	struct states *t = calloc(1, sizeof(*t));

	t->buckets = calloc(buckets, sizeof(*t->buckets));
	t->entries = calloc(buckets * FL_BUCKET_WAYS, sizeof(*t->entries));
	t->control = calloc(1, sizeof(*t->control));
	t->counts = calloc(FL_STATE_COUNTS_CPU(CPUS), sizeof(*t->counts));
	t->rule_stats = calloc(FL_RULE_STATS_INDEX(CPUS + 1, 0), sizeof(*t->rule_stats));
	t->rule_states = calloc(FL_RULE_IDS_MAX, sizeof(*t->rule_states));
	t->sources = t->mappings = -1;
	t->cpus = CPUS;
	t->hz = HZ;
	cr_assert_eq(states_init(t, buckets), 0);
	states_limit(t, buckets * 4);
	for (int i = 0; i < FL_TIMEOUTS; i++)
		t->timeout_s[i] = 60;
	states_adapt(t);
	return t;
}

static inline void table_free(struct states *t)
{
	free(t->buckets);
	free(t->entries);
	free(t->control);
	free(t->counts);
	free(t->rule_stats);
	free(t->rule_states);
	free(t);
}

static inline union fl_addr host(uint32_t number)
{
	union fl_addr a = { .w = { htonl(0x20010db8), 0, 0, htonl(number) } };

	return a;
}
