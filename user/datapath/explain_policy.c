// SPDX-License-Identifier: GPL-2.0-only
/* explain: what states, rules and translations of addresses have said of the packet. */

#include <stdio.h>
#include <string.h>

#include "user/datapath/private.h"

/* ---- names ---- */

static json_t *rule_or_null(const struct datapath *dp, uint16_t id)
{
	int index;
	const char *name = id ? datapath_rule_name(dp, id, &index) : NULL;

	return name ? json_string(name) : json_null();
}

static json_t *index_or_null(const struct datapath *dp, uint16_t id)
{
	int index = -1;

	if (id)
		datapath_rule_name(dp, id, &index);
	return index < 0 ? json_null() : json_integer(index);
}

static json_t *gateway_or_null(const struct datapath *dp, uint16_t number)
{
	char name[FL_GATEWAY_NAME_MAX + 1] = "";

	if (number && number < FL_GATEWAYS_MAX)
		memcpy(name, dp->gateway_names[number], FL_GATEWAY_NAME_MAX);
	return name[0] ? json_string(name) : json_null();
}

static const struct fl_state *state_of(const struct datapath *dp, const struct fl_explain *e)
{
	bool known = e->flags & (FL_EXPLAIN_KNOWN | FL_EXPLAIN_ERROR);

	return known && e->state < dp->states.control->buckets * FL_BUCKET_WAYS ? &dp->states.entries[e->state] : NULL;
}

/* "dnat 1, snat 0"; of prefix translations, whose items have no name, what they are. */
static json_t *nat_or_null(const struct datapath *dp, const struct fl_explain *e)
{
	const struct fl_state *st = state_of(dp, e);
	uint16_t ids[] = { e->dnat, e->snat != e->dnat ? e->snat : 0, st ? st->nat : 0 };
	char text[3 * NAT_TEXT] = "", one[NAT_TEXT];
	static const union fl_addr none;

	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		if (ids[i] & FL_STATE_NPT || !ids[i] || !nat_text(dp, ids[i], one))
			continue;
		if (text[0])
			strcat(text, ", ");
		strcat(text, one);
	}
	if (!text[0] && (e->npt_src || e->npt_dst || (st && st->nat & FL_STATE_NPT)) &&
	    memcmp(&e->src, &none, sizeof(none)) != 0)
		return json_string("prefix translation");
	return text[0] ? json_string(text) : json_null();
}

static json_t *state_text(const struct datapath *dp, const struct fl_explain *e)
{
	const struct fl_state *st = state_of(dp, e);
	char phases[STATES_PHASES_LEN];

	if (st)
		return json_string(states_phases(st, phases));
	return json_string(e->flags & FL_EXPLAIN_NEW ? "new" : "none");
}

/* ---- verdicts ---- */

bool explain_is_by_rule(const struct fl_explain *e)
{
	return e->decider &&
	       (e->reason == FL_DROP_RULE || e->reason == FL_DROP_REJECTED || e->reason == FL_DROP_GATEWAY_DOWN);
}

const char *explain_verdict(const struct fl_explain *e)
{
	if (!explain_is_by_rule(e))
		return "drop";
	return e->verdict == FL_VERDICT_ERROR ? "reject" : "block";
}

const char *explain_reason(const struct fl_explain *e)
{
	bool by_default = e->decider == FL_RULE_ID_DEFAULT_IN || e->decider == FL_RULE_ID_DEFAULT_OUT;

	return explain_is_by_rule(e) && by_default ? "default_action" : drop_name(e->reason);
}

/* Neither rule nor state was asked: what the router needs itself. */
bool explain_is_unasked(const struct fl_explain *e)
{
	return e->flags & FL_EXPLAIN_JUDGED && !(e->flags & (FL_EXPLAIN_KNOWN | FL_EXPLAIN_ERROR)) && !e->rule[0] &&
	       !e->rule[1] && (e->verdict == FL_VERDICT_FORWARD || e->verdict == FL_VERDICT_DELIVER);
}

/* A rule's limit: what the programs ask when they make the state. Tells whether it is reached. */
static bool is_over_limit(struct datapath *dp, uint16_t id, const struct fl_explain *e, const struct addr *source)
{
	struct fl_rule_source key = { .addr = addr_to_map(source), .rule = id };
	const struct config_rule *rule = NULL;
	uint32_t states = 0;
	int index = -1;

	if (!(e->flags & FL_EXPLAIN_NEW) || !id || !datapath_rule_name(dp, id, &index))
		return false;
	for (size_t i = 0; i < dp->config->n_rules && index >= 0 && !rule; i++)
		if (dp->config->rules[i].index == (size_t)index)
			rule = &dp->config->rules[i];
	if (!rule)
		return false;
	if (rule->max_states && (uint32_t)dp->states.rule_states[id] >= rule->max_states)
		return true;
	return rule->max_states_per_source && map_get(dp, DP_MAP_RULE_SOURCES, &key, &states) == 0 &&
	       states >= rule->max_states_per_source;
}

void explain_limits(struct datapath *dp, struct fl_explain *e, const struct addr *source)
{
	for (int i = 0; i < 2; i++) {
		if (!is_over_limit(dp, e->rule[i], e, source))
			continue;
		e->verdict = FL_VERDICT_DROP;
		e->reason = FL_DROP_STATE_LIMIT;
		e->flags &= ~FL_EXPLAIN_NEW;
	}
}

/* ---- the answer's part ---- */

void explain_put_policy(struct datapath *dp, json_t *answer, const struct fl_explain *e)
{
	const struct fl_state *st = state_of(dp, e);
	const uint16_t *rules = st ? st->rule : e->rule;
	uint16_t rule = explain_is_by_rule(e) ? e->decider : rules[0] ? rules[0] : rules[1];

	json_object_set_new(answer, "nat", nat_or_null(dp, e));
	if (!(e->flags & FL_EXPLAIN_JUDGED))
		return;
	json_object_set_new(answer, "rule", rule_or_null(dp, rule));
	json_object_set_new(answer, "rule_index", index_or_null(dp, rule));
	json_object_set_new(answer, "in_rule", rule_or_null(dp, rules[0]));
	json_object_set_new(answer, "out_rule", rule_or_null(dp, rules[1]));
	json_object_set_new(answer, "route_to", gateway_or_null(dp, e->steer));
	if (e->steer)
		json_object_set_new(answer, "gateway", gateway_or_null(dp, e->steer));
	json_object_set_new(answer, "state", state_text(dp, e));
	json_object_set_new(answer, "log", json_boolean(e->flags & FL_EXPLAIN_LOG));
}
