// SPDX-License-Identifier: GPL-2.0-only
/* Rules that are in force at times only: by schedule, or while their gateway is up. */
#include <errno.h>
#include <stdlib.h>

#include "user/policy/compile.h"

struct policy_condition {
	const struct config_rule *rule;
	unsigned int families; /* as in struct item */
	uint32_t bits[2];
};

bool may_skip(const struct config_rule *rule)
{
	return (rule->route_to.gateway || rule->route_to.group) && rule->when_down == CONFIG_DOWN_SKIP;
}

static bool is_conditional(const struct config_rule *rule)
{
	return rule->n_schedules || may_skip(rule);
}

const struct policy_via *policy_via(const struct policy_facts *facts, const struct config_via *via)
{
	size_t i;

	for (i = 0; i < facts->n_vias && (via->gateway || via->group); i++) {
		if (facts->vias[i].via.gateway == via->gateway && facts->vias[i].via.group == via->group)
			return &facts->vias[i];
	}
	return NULL;
}

static bool via_is_up(const struct policy_facts *facts, const struct config_via *via, unsigned int families)
{
	const struct policy_via *found = policy_via(facts, via);

	return found && found->up & families;
}

#define DAY_MINUTES (24 * 60)

/* One that reaches over midnight is yesterday's, too. */
static bool schedule_has(const struct config_schedule *s, unsigned int day, unsigned int minute)
{
	unsigned int yesterday = (day + 6) % 7;

	if (s->days >> day & 1 && minute >= s->from && minute < s->to)
		return true;
	return s->days >> yesterday & 1 && minute + DAY_MINUTES < s->to;
}

static bool is_on_time(const struct config_rule *rule, const struct tm *now)
{
	unsigned int day = (unsigned int)(now->tm_wday + 6) % 7; /* from Monday on */
	unsigned int minute = (unsigned int)(now->tm_hour * 60 + now->tm_min);
	size_t i;

	for (i = 0; i < rule->n_schedules; i++) {
		if (schedule_has(&rule->schedules[i], day, minute))
			return true;
	}
	return !rule->n_schedules;
}

static bool is_live(const struct policy_condition *c, const struct policy_facts *facts, const struct tm *now)
{
	if (may_skip(c->rule) && !via_is_up(facts, &c->rule->route_to, c->families))
		return false;
	return is_on_time(c->rule, now);
}

int compile_conditions(struct builder *b)
{
	struct policy *p = b->policy;
	size_t cap = 0, i;

	for (i = 0; i < b->n_items; i++) {
		const struct item *item = &b->items[i];

		if (!item->rule || !is_conditional(item->rule))
			continue;
		if (grow((void **)&p->conditions, &cap, p->n_conditions, sizeof(*p->conditions))) {
			b->err = -ENOMEM;
			return b->err;
		}
		p->conditions[p->n_conditions++] =
			(struct policy_condition){ item->rule, item->families, { item->bits[0], item->bits[1] } };
	}
	policy_live(p, b->facts);
	return 0;
}

static bool set_live(struct policy *policy, uint32_t bit, bool live)
{
	const struct fl_table *head = (const struct fl_table *)policy->table;
	uint64_t *word = (uint64_t *)(policy->table + head->live + bit / 64 * 8), mask = 1ULL << bit % 64;

	if (!bit || !(*word & mask) == !live)
		return false;
	*word ^= mask;
	return true;
}

bool policy_live(struct policy *policy, const struct policy_facts *facts)
{
	bool changed = false;
	struct tm now;
	size_t i;

	localtime_r(&facts->now, &now);
	for (i = 0; i < policy->n_conditions; i++) {
		const struct policy_condition *c = &policy->conditions[i];
		bool live = is_live(c, facts, &now);

		changed |= set_live(policy, c->bits[0], live);
		changed |= set_live(policy, c->bits[1], live);
	}
	return changed;
}

void policy_lives(const struct policy *policy, const struct config *config, bool *live)
{
	const struct fl_table *head = (const struct fl_table *)policy->table;
	const uint64_t *words = (const uint64_t *)(policy->table + head->live);
	size_t i;

	for (i = 0; i < config->n_rules; i++)
		live[i] = true;
	for (i = 0; i < policy->n_conditions; i++)
		live[policy->conditions[i].rule - config->rules] = false;
	for (i = 0; i < policy->n_conditions; i++) {
		const struct policy_condition *c = &policy->conditions[i];
		uint32_t bit = c->bits[0] ? c->bits[0] : c->bits[1];

		live[c->rule - config->rules] |= words[bit / 64] >> bit % 64 & 1;
	}
}
