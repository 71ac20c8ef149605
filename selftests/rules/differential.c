// SPDX-License-Identifier: GPL-2.0-only
/* Random rulesets, and packets that the programs judge on both floors, with nothing in the memo and with all of it: always as the reference. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "selftests/rules/rules.h"

#define RULESETS 1000
#define BIG_BATCHES 20 /* of packets for a big one */
#define FAILURES_MAX 3 /* that are told of one test */

struct trial {
	struct world *w;
	struct generator g;
	struct policy_ids *ids;
	struct config *config;
	struct policy_facts facts;
	struct policy *policy;
	char *text;
	uint32_t set;
	const char *tags[8]; /* names by number */
	unsigned int n_tags;
	struct judged asked[JUDGE_SUBJECTS];
	struct verdict expected[JUDGE_SUBJECTS];
	int failures;
	long rules, judged, matched;
	const char *name;
};

/* ---- a ruleset ---- */

static int load(struct trial *t, unsigned int rules, unsigned int nats)
{
	t->config = generate_config(&t->g, rules, nats, &t->text);
	if (t->config)
		return 0;
	printf("    %s: no valid configuration\n", t->name);
	return -EINVAL;
}

static void unload(struct trial *t)
{
	policy_destroy(t->policy);
	free_facts(&t->facts);
	config_free(t->config);
	free(t->text);
	t->policy = NULL;
}

/* What numbers the tags have: the rules' values say it. */
static void learn_tags(struct trial *t)
{
	enum fl_list list;
	size_t i, r;

	t->n_tags = 0;
	for (list = FL_LIST_IN; list <= FL_LIST_OUT; list++) {
		for (i = 1; i + 1 < t->policy->places[list]; i++) {
			const struct fl_rule *value = &t->policy->rules[list][i];
			const struct fl_rule_name *name = policy_ids_name(t->ids, value->id);

			for (r = 0; value->tag && r < t->config->n_rules; r++) {
				if (t->config->rules[r].index == name->index)
					t->tags[value->tag] = t->config->rules[r].tag;
			}
			t->n_tags = value->tag > t->n_tags ? value->tag : t->n_tags;
		}
	}
}

static int compile(struct trial *t)
{
	char *why = NULL;
	int err;

	generate_facts(&t->g, t->config, &t->facts);
	err = policy_compile(t->config, &t->facts, t->ids, &t->policy, &why);
	t->set = !t->set;
	err = err ? err : world_fill(t->w, t->policy, t->set);
	if (err)
		printf("    %s: %s (%s)\n", t->name, strerror(-err), why ? why : "");
	else
		learn_tags(t);
	free(why);
	return err;
}

/* ---- comparing ---- */

static size_t index_of(const struct trial *t, uint16_t id)
{
	const struct fl_rule_name *name = policy_ids_name(t->ids, id);

	return name ? name->index : SIZE_MAX;
}

static bool is_rule(const struct trial *t, const struct judged *j, const struct verdict *v)
{
	const struct fl_rule *rule =
		j->place < t->policy->places[j->list] ? &t->policy->rules[j->list][j->place] : NULL;
	enum config_action shall = v->rule		   ? v->rule->action
				   : j->list == FL_LIST_IN ? t->config->default_in
							   : t->config->default_out;

	if (!rule || !j->place || (int)rule->action != (int)shall)
		return false;
	return v->rule ? index_of(t, rule->id) == v->rule->index
		       : rule->id == (j->list == FL_LIST_IN ? FL_RULE_ID_DEFAULT_IN : FL_RULE_ID_DEFAULT_OUT);
}

static bool is_nat(const struct trial *t, const struct judged *j, const struct verdict *v)
{
	const struct fl_nat *nat = j->place < t->policy->places[j->list] ? &t->policy->nats[j->list][j->place] : NULL;

	if (!nat || !j->place != !v->nat)
		return false;
	return !v->nat || (index_of(t, nat->id) == v->nat->index && !(nat->flags & FL_NAT_EXEMPT) == !v->nat->exempt);
}

static void tell(struct trial *t, const char *how, size_t i, const struct judged *j)
{
	const struct judged *s = &t->asked[i];
	const struct verdict *v = &t->expected[i];
	struct addr src = addr_from_map(&s->src), dst = addr_from_map(&s->dst);
	char a[ADDR_STRLEN], b[ADDR_STRLEN];

	if (t->failures++ >= FAILURES_MAX)
		return;
	printf("    %s: list %u, %s port %u to %s port %u, protocol %u flags %02x type %u dscp %u by %u tag %u\n", how,
	       s->list, addr_format(&src, a), be16toh(s->sport), addr_format(&dst, b), be16toh(s->dport), s->proto,
	       s->tcp_flags, s->icmp_type, s->dscp, s->port, s->tag);
	printf("      expected %s tag %s; found place %u tag %u\n",
	       v->rule	? v->rule->name
	       : v->nat ? "a translation"
			: "nothing",
	       v->tag ? v->tag : "none", j->place, j->tag);
	if (t->failures == 1 && t->config->n_rules < 100)
		printf("%s\n", t->text);
}

static void compare(struct trial *t, const char *how, const struct judged *answers)
{
	size_t i;

	for (i = 0; i < JUDGE_SUBJECTS; i++) {
		const struct judged *j = &answers[i];
		const struct verdict *v = &t->expected[i];
		bool right = j->list <= FL_LIST_OUT ? is_rule(t, j, v) : is_nat(t, j, v);
		const char *tag = j->tag <= t->n_tags && j->tag ? t->tags[j->tag] : NULL;

		if (!right || !tag != !v->tag || (tag && strcmp(tag, v->tag) != 0))
			tell(t, how, i, j);
	}
}

static void judge(struct trial *t, enum floor floor, const char *how)
{
	struct judged answers[JUDGE_SUBJECTS];
	int err;

	memcpy(answers, t->asked, sizeof(answers));
	err = world_judge(t->w, floor, answers, JUDGE_SUBJECTS, 1);
	if (err < 0) {
		t->failures++;
		printf("    %s: %s\n", how, strerror(-err));
		return;
	}
	compare(t, how, answers);
}

static void batch(struct trial *t)
{
	size_t i;

	for (i = 0; i < JUDGE_SUBJECTS; i++) {
		generate_subject(&t->g, &t->asked[i], t->n_tags);
		reference_judge(t->config, &t->facts, &t->asked[i], t->asked[i].tag ? t->tags[t->asked[i].tag] : NULL,
				&t->expected[i]);
		t->matched += t->expected[i].rule || t->expected[i].nat;
	}
	t->judged += JUDGE_SUBJECTS;
	world_forget(t->w);
	judge(t, FLOOR_XDP, "XDP, cold");
	judge(t, FLOOR_XDP, "XDP, warm");
	world_forget(t->w);
	judge(t, FLOOR_TC, "tc, cold");
	judge(t, FLOOR_TC, "tc, warm");
}

/* Time goes by, and gateways change: the same table in which only the live rules are others. */
static void live(struct trial *t)
{
	const struct fl_table *head = (const struct fl_table *)t->policy->table;
	size_t i, bytes = head->quick - head->live;

	for (i = 0; i < t->facts.n_vias; i++)
		t->facts.vias[i].up = below(&t->g, 4);
	t->facts.now += (time_t)below(&t->g, 7 * 86400);
	if (policy_live(t->policy, &t->facts))
		memcpy(t->w->sets.table[t->set] + head->live, t->policy->table + head->live, bytes);
}

static void ruleset(struct trial *t, unsigned int rules, unsigned int nats, unsigned int batches)
{
	unsigned int i;

	if (load(t, rules, nats)) {
		t->failures++;
		return;
	}
	if (compile(t))
		t->failures++;
	t->rules += t->config->n_rules;
	for (i = 0; !t->failures && i < batches; i++)
		batch(t);
	if (!t->failures && t->policy->n_conditions) {
		live(t);
		batch(t);
	}
	unload(t);
}

/* ---- the tests ---- */

static int report(struct trial *t)
{
	printf("%s rules/%s\n", t->failures ? "not ok" : "ok", t->name);
	if (getenv("VERBOSE"))
		printf("# %s: %ld rules, %ld packets, %ld of them matched\n", t->name, t->rules, t->judged, t->matched);
	fflush(stdout);
	return t->failures != 0;
}

static void begin(struct trial *t, const char *name, unsigned int spread)
{
	t->name = name;
	t->failures = 0;
	t->rules = t->judged = t->matched = 0;
	t->g = (struct generator){ .random = 4711, .spread = spread };
}

int differential(struct world *w)
{
	struct trial t = { .w = w, .ids = policy_ids_new() };
	int failed = 0, i;

	if (!t.ids)
		return 1;
	begin(&t, "random-rulesets", 4);
	for (i = 0; i < RULESETS && !t.failures; i++)
		ruleset(&t, 1 + below(&t.g, 30), below(&t.g, 6), 1);
	failed += report(&t);
	begin(&t, "1000-rules", 10);
	ruleset(&t, 1000, 100, BIG_BATCHES);
	failed += report(&t);
	begin(&t, "10000-rules", 14);
	ruleset(&t, 10000, 1000, BIG_BATCHES);
	failed += report(&t);
	policy_ids_free(t.ids);
	return failed;
}
