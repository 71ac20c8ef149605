/* SPDX-License-Identifier: GPL-2.0-only */
/* Both sets of compiled rules, in the maps of whichever programs are tested. */
#pragma once

#include "user/policy/policy.h"

struct rule_sets {
	int tables;	       /* the map of tables */
	uint8_t *table[2];     /* the segments of each set, mapped */
	size_t table_bytes[2]; /* that are */
	struct fl_rule *rules;
	struct fl_nat *nats;
	uint32_t serial;
};

/* The maps' descriptors: fl_rule_tables, fl_rules, fl_nats. 0, or -ENOMEM. */
int rule_sets_open(struct rule_sets *s, int tables, int rules, int nats);
/* Writes it into the set; what is remembered of other rules counts no more. 0, or -errno. */
int rule_sets_put(struct rule_sets *s, const struct policy *policy, uint32_t set);
void rule_sets_forget(struct rule_sets *s, uint32_t set); /* the memo */
void *map_memory(int map, size_t bytes);		  /* NULL: it can't be mapped */
