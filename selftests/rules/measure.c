// SPDX-License-Identifier: GPL-2.0-only
/* What it costs: compiling, writing, and judging packets of classes that the memo has, and that it has not. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "selftests/rules/rules.h"

#define ROUNDS 7

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* A packet of the rule with that number. */
static struct judged subject_of(unsigned int rule)
{
	struct judged s = { .family = FL_INET, .proto = 6, .tcp_flags = 2, .port = 3, .list = FL_LIST_IN };

	s.src.w[2] = s.dst.w[2] = htonl(0xffff);
	s.src.w[3] = htonl(10u << 24 | rule << 8 | 7);
	s.dst.w[3] = htonl(11u << 24 | rule << 8 | 7);
	s.sport = htons(4711);
	s.dport = htons((uint16_t)(1 + rule % 1000));
	return s;
}

/* ns for one of JUDGE_SUBJECTS packets, the best of some rounds. */
static double judge_ns(struct world *w, unsigned int n, bool cold)
{
	struct judged subjects[JUDGE_SUBJECTS];
	double best = 1e9;
	int round, i;

	for (round = 0; round < ROUNDS * (cold ? 100 : 1); round++) {
		double ns;

		for (i = 0; i < JUDGE_SUBJECTS; i++)
			subjects[i] = subject_of((unsigned int)i * 7919 % n);
		if (cold)
			world_forget(w);
		ns = world_judge(w, FLOOR_XDP, subjects, JUDGE_SUBJECTS, cold ? 1 : 2000);
		best = ns < best ? ns : best;
	}
	return best / JUDGE_SUBJECTS;
}

static int measure_rules(struct world *w, unsigned int n)
{
	struct generator g = { .random = 1, .spread = 8 };
	struct policy_ids *ids = policy_ids_new();
	char *text = generate_plain(n), *why = NULL;
	double begin, compile = 1e9, fill = 1e9;
	struct policy *policy = NULL;
	struct config_report report;
	struct policy_facts facts;
	struct config *config;
	int err, i;

	err = config_load_ahead(text, strlen(text), &config, &report);
	config_report_print(&report, "rules-test", NULL, stdout);
	if (err)
		return 1;
	generate_facts(&g, config, &facts);
	for (i = 0; i < ROUNDS; i++) {
		policy_destroy(policy);
		begin = now_ms();
		if (policy_compile(config, &facts, ids, &policy, &why))
			return 1;
		compile = now_ms() - begin < compile ? now_ms() - begin : compile;
		begin = now_ms();
		if (world_fill(w, policy, (uint32_t)i & 1))
			return 1;
		fill = now_ms() - begin < fill ? now_ms() - begin : fill;
	}
	printf("%6u rules: compiled in %.2f ms, %zu KB, written in %.2f ms; a packet %.1f ns, %.1f ns without memo\n",
	       n, compile, policy->table_bytes >> 10, fill, judge_ns(w, n, false), judge_ns(w, n, true));
	policy_destroy(policy);
	free_facts(&facts);
	config_free(config);
	config_report_free(&report);
	policy_ids_free(ids);
	free(text);
	return 0;
}

int measure(struct world *w)
{
	static const unsigned int counts[] = { 1, 10, 100, 1000, 10000 };
	int failed = 0;
	size_t i;

	for (i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
		failed += measure_rules(w, counts[i]);
	return failed;
}
