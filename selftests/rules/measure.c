// SPDX-License-Identifier: GPL-2.0-only
/* What it costs: compiling, writing, and judging packets of classes that the memo has, and that it has not. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "selftests/rules/rules.h"

#define ROUNDS 40
#define COMPILES 7
#define REPEAT 500

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void keep_least(double *least, double value)
{
	if (!*least || value < *least)
		*least = value;
}

/* One size, and the least that was seen of each. */
struct subjects {
	unsigned int n; /* rules */
	struct config *config;
	struct policy_facts facts;
	struct policy *policy;
	double compile_ms, fill_ms, warm_ns, cold_ns;
};

/* A packet of the rule with that number, from one of its hosts. */
static struct judged subject_of(unsigned int rule, unsigned int host)
{
	struct judged s = { .family = FL_INET, .proto = 6, .tcp_flags = 2, .port = 3, .list = FL_LIST_IN };

	s.src.w[2] = s.dst.w[2] = htonl(0xffff);
	s.src.w[3] = htonl(10u << 24 | rule << 8 | host);
	s.dst.w[3] = htonl(11u << 24 | rule << 8 | host);
	s.sport = htons(4711);
	s.dport = htons((uint16_t)(1 + rule % 1000));
	return s;
}

static int prepare(struct subjects *s, struct policy_ids *ids)
{
	struct generator g = { .random = 1, .spread = 8 };
	char *text = generate_plain(s->n), *why = NULL;
	struct config_report report;
	double begin;
	int err, i;

	err = config_load_string(text, strlen(text), &s->config, &report);
	config_report_free(&report);
	free(text);
	if (err)
		return err;
	generate_facts(&g, s->config, &s->facts);
	for (i = 0; !err && i < COMPILES; i++) {
		policy_destroy(s->policy);
		begin = now_ms();
		err = policy_compile(s->config, &s->facts, ids, &s->policy, &why);
		keep_least(&s->compile_ms, now_ms() - begin);
	}
	free(why);
	return err;
}

/* Sizes take turns, since other work on the machine comes and goes. */
static int take_turn(struct world *w, struct subjects *s, uint32_t set)
{
	struct judged subjects[JUDGE_SUBJECTS];
	double begin = now_ms();
	unsigned int i;
	int ns;

	if (world_fill(w, s->policy, set))
		return -1;
	keep_least(&s->fill_ms, now_ms() - begin);
	for (i = 0; i < JUDGE_SUBJECTS; i++)
		subjects[i] = subject_of(i * 7919 % s->n, i);
	ns = world_judge(w, FLOOR_XDP, subjects, JUDGE_SUBJECTS, REPEAT);
	if (ns < 0)
		return ns;
	keep_least(&s->warm_ns, (double)ns / JUDGE_SUBJECTS);
	for (i = 0; i < 10; i++) {
		world_forget(w);
		ns = world_judge(w, FLOOR_XDP, subjects, JUDGE_SUBJECTS, 1);
		keep_least(&s->cold_ns, (double)ns / JUDGE_SUBJECTS);
	}
	return 0;
}

static void finish(struct subjects *s)
{
	if (s->policy)
		printf("%6u rules: compiled in %.2f ms, %zu KB, written in %.2f ms; a packet %.1f ns, with nothing in the memo %.1f ns\n",
		       s->n, s->compile_ms, s->policy->table_bytes >> 10, s->fill_ms, s->warm_ns, s->cold_ns);
	policy_destroy(s->policy);
	free_facts(&s->facts);
	config_free(s->config);
}

int measure(struct world *w)
{
	struct subjects sizes[] = { { .n = 1 }, { .n = 10 }, { .n = 100 }, { .n = 1000 }, { .n = 10000 } };
	size_t n = sizeof(sizes) / sizeof(sizes[0]), i;
	struct policy_ids *ids = policy_ids_new();
	int round, err = ids ? 0 : -1;

	for (i = 0; !err && i < n; i++)
		err = prepare(&sizes[i], ids);
	for (round = 0; !err && round < ROUNDS; round++) {
		for (i = 0; !err && i < n; i++)
			err = take_turn(w, &sizes[i], (uint32_t)round & 1);
	}
	for (i = 0; i < n; i++)
		finish(&sizes[i]);
	policy_ids_free(ids);
	return err;
}
