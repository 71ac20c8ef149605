/* SPDX-License-Identifier: GPL-2.0-only */
/* Rulesets at random, judged by the programs and by a reference that knows nothing of tables. */
#pragma once

#include "selftests/prog/random.h"
#include "selftests/rules/judge.h"
#include "selftests/rules/sets.h"
#include "user/policy/policy.h"

/* ---- world.c: the maps, and the programs on both floors ---- */

enum floor { FLOOR_XDP, FLOOR_TC, FLOORS };

struct world {
	struct judge_xdp *xdp;
	struct judge_tc *tc;
	struct judge_control *control;
	struct rule_sets sets;
};

int world_open(struct world *w); /* 0, or -errno after a message; it needs root */
void world_close(struct world *w);
/* Puts it into the set, and makes that the one that subjects are judged by. */
int world_fill(struct world *w, const struct policy *policy, uint32_t set);
void world_forget(struct world *w); /* the memo */
/* n subjects, JUDGE_SUBJECTS at most, `repeat` times. The time that one took, in ns; negative: errno. */
int world_judge(struct world *w, enum floor floor, struct judged *subjects, size_t n, unsigned int repeat);

/* ---- generate.c ---- */

struct generator {
	__u64 random;
	unsigned int spread; /* bits of the addresses that differ */
};

uint32_t below(struct generator *g, uint32_t n);
/*
 * A valid configuration with so many rules and translations, less those that say what nothing can match; its text too, for people. NULL: no
 * more is left of it than an error.
 */
struct config *generate_config(struct generator *g, unsigned int rules, unsigned int nats, char **text);
/* n rules that differ in source and destination, and match in one direction each. */
char *generate_plain(unsigned int n);
void generate_subject(struct generator *g, struct judged *subject, unsigned int tags);
/* The same machine for all of them, but for what is up and what time it is. */
void generate_facts(struct generator *g, const struct config *config, struct policy_facts *facts);
void free_facts(struct policy_facts *facts);

/* ---- reference.c: straight from the contract ---- */

struct verdict {
	const struct config_rule *rule; /* NULL: the default */
	const struct config_nat *nat;	/* NULL: none */
	const char *tag;		/* NULL: none */
};

void reference_judge(const struct config *config, const struct policy_facts *facts, const struct judged *subject,
		     const char *tag, struct verdict *verdict);

/* ---- differential.c, measure.c ---- */
int differential(struct world *w); /* the number of tests that failed */
int measure(struct world *w);
