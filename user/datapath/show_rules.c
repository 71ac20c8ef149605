// SPDX-License-Identifier: GPL-2.0-only
/* Rules and translations with what they have counted, as JSON; and their names. */

#include <stdlib.h>
#include <string.h>

#include "user/datapath/private.h"
#include "user/policy/match_text.h"

static const char *const action_names[] = {
	[CONFIG_PASS] = "pass",
	[CONFIG_BLOCK] = "block",
	[CONFIG_REJECT] = "reject",
};
static const char *const direction_names[] = {
	[CONFIG_IN_AND_OUT] = "in+out",
	[CONFIG_IN] = "in",
	[CONFIG_OUT] = "out",
};
static const char *const state_names[] = {
	[CONFIG_STATE_KEEP] = "keep",
	[CONFIG_STATE_LOOSE] = "loose",
	[CONFIG_STATE_NONE] = "none",
};
static const char *const nat_names[] = {
	[CONFIG_SNAT] = "snat",
	[CONFIG_DNAT] = "dnat",
	[CONFIG_ONE_TO_ONE] = "one-to-one",
};

const char *datapath_rule_name(const struct datapath *dp, unsigned int id, int *index)
{
	const struct fl_rule_name *name = policy_ids_name(dp->rule_ids, id);

	if (!name || name->kind == FL_RULE_KIND_NAT)
		return NULL;
	*index = name->used && name->kind == FL_RULE_KIND_RULE ? name->index : -1;
	return name->name;
}

const char *nat_text(const struct datapath *dp, unsigned int id, char buf[NAT_TEXT])
{
	const struct fl_rule_name *name = policy_ids_name(dp->rule_ids, id);

	if (!name || name->kind != FL_RULE_KIND_NAT)
		return NULL;
	if (name->used)
		snprintf(buf, NAT_TEXT, "%.*s %u", (int)strcspn(name->name, " "), name->name, name->index);
	else
		snprintf(buf, NAT_TEXT, "%.*s (gone)", (int)strcspn(name->name, " "), name->name);
	return buf;
}

/* ---- counters ---- */

/* One for each id: of what is over, and of the states that are. NULL: out of memory. */
static struct states_tally *tally_make(struct datapath *dp)
{
	struct states_tally *tally = calloc(FL_RULE_IDS_MAX, sizeof(*tally));

	if (tally)
		states_tally(&dp->states, datapath_jiffies(dp), tally);
	return tally;
}

/* Adds the three columns. */
static void put_counters(const struct datapath *dp, json_t *row, const struct states_tally *tally, uint16_t id)
{
	struct fl_rule_stats over;

	states_rule_stats(&dp->states, id, &over);
	json_object_set_new(row, "packets", json_integer((json_int_t)(over.packets + tally[id].packets)));
	json_object_set_new(row, "bytes", json_integer((json_int_t)(over.bytes + tally[id].bytes)));
	json_object_set_new(row, "states", json_integer((json_int_t)tally[id].states));
}

static json_t *links_json(const struct config_match *match)
{
	json_t *names = json_array();

	for (size_t i = 0; i < match->n_links; i++) {
		const struct config_link *link = &match->links[i];

		json_array_append_new(names, json_string(link->interface ? link->interface->name : link->tunnel->name));
	}
	return names;
}

/* Takes over the text. */
static json_t *text_json(char *text)
{
	json_t *json = text ? json_string(text) : NULL;

	free(text);
	return json ? json : json_null();
}

/* ---- rules ---- */

static json_t *rule_json(const struct config_rule *rule, bool live)
{
	return json_pack("{s:I, s:s, s:s, s:s, s:o, s:o, s:b, s:b, s:b, s:s, s:s?, s:s?}", "index",
			 (json_int_t)rule->index, "name", rule->name, "action", action_names[rule->action], "direction",
			 direction_names[rule->direction], "interface", links_json(&rule->match), "match",
			 text_json(rule_match_text(rule)), "quick", rule->quick, "log", rule->log, "live", live,
			 "state", state_names[rule->state], "route_to", config_via_name(&rule->route_to), "reply_to",
			 config_via_name(&rule->reply_to));
}

/* What no line of the file says: index null. */
static json_t *implied_json(const char *name, const char *action, const char *direction, const char *match)
{
	return json_pack("{s:n, s:s, s:s, s:s, s:[], s:s, s:b, s:b, s:b, s:s, s:n, s:n}", "index", "name", name,
			 "action", action, "direction", direction, "interface", "match", match, "quick", 0, "log", 0,
			 "live", 1, "state", strcmp(action, "pass") == 0 ? "keep" : "none", "route_to", "reply_to");
}

static void append_defaults(const struct datapath *dp, json_t *rows, const struct states_tally *tally)
{
	const struct {
		const char *direction;
		enum config_action action;
		uint16_t id;
	} defaults[] = {
		{ "in", dp->config->default_in, FL_RULE_ID_DEFAULT_IN },
		{ "out", dp->config->default_out, FL_RULE_ID_DEFAULT_OUT },
	};

	for (size_t i = 0; i < sizeof(defaults) / sizeof(defaults[0]); i++) {
		json_t *row = implied_json("default_action", action_names[defaults[i].action], defaults[i].direction,
					   "what no rule matches");

		put_counters(dp, row, tally, defaults[i].id);
		json_array_append_new(rows, row);
	}
}

static bool has_tunnels(const struct config *config)
{
	return config->n_tunnels;
}

static bool has_probes(const struct config *config)
{
	for (size_t i = 0; i < config->n_gateways; i++)
		if (config->gateways[i].monitored)
			return true;
	return false;
}

static bool has_vips(const struct config *config)
{
	return config->n_vips;
}

static bool has_peers(const struct config *config)
{
	return config->ha.n_peers;
}

static bool has_updates(const struct config *config)
{
	for (size_t i = 0; i < config->n_tunnels; i++)
		if (config->tunnels[i].update.url)
			return true;
	return false;
}

/* What the router needs for itself: bpf/lib/unasked.h, is_unasked(), and what is not judged at all. */
static const struct unasked {
	const char *name, *direction, *match, *state;
	bool (*is_there)(const struct config *config); /* NULL: always */
} unasked[] = {
	{ "ARP", "in+out", "no IP packet", "none", NULL },
	{ "neighbour discovery", "in+out",
	  "inet6 proto ipv6-icmp of the link: 133, 135-137 with 255 hops, 130-132, 143", "none", NULL },
	{ "router advertisements", "in+out", "inet6 proto ipv6-icmp of the link: 134 with 255 hops", "none", NULL },
	{ "DHCP client", "in+out", "proto udp between the client's port and the server's: 68 and 67, 546 and 547",
	  "none", NULL },
	{ "ICMP errors of known states", "in+out", "what quotes a packet of a state", "none", NULL },
	{ "tunnel outers", "in+out", "inet proto ipv6 between a tunnel's remote and its local", "none", has_tunnels },
	{ "CARP", "in+out", "proto carp of the router's own and for it, on interfaces with vips", "none", has_vips },
	{ "sync", "in+out", "proto tcp,udp to or from ha.port between ha.local and ha.peers on ha.interface", "none",
	  has_peers },
	{ "fairlead's probes", "out", "from self to what gateways are probed by", "keep", has_probes },
	{ "what brokers are told", "out", "from a tunnel's local by its gateway to the host of update's url", "keep",
	  has_updates },
};

/* Nobody counts them: packets, bytes, states are null. */
static void append_unasked(const struct datapath *dp, json_t *rows)
{
	for (size_t i = 0; i < sizeof(unasked) / sizeof(unasked[0]); i++) {
		const struct unasked *u = &unasked[i];
		json_t *row;

		if (u->is_there && !u->is_there(dp->config))
			continue;
		row = implied_json(u->name, "pass", u->direction, u->match);
		json_object_set_new(row, "state", json_string(u->state));
		json_object_set_new(row, "packets", json_null());
		json_object_set_new(row, "bytes", json_null());
		json_object_set_new(row, "states", json_null());
		json_array_append_new(rows, row);
	}
}

json_t *datapath_show_rules(struct datapath *dp)
{
	const struct policy *policy = dp->config ? tables_in_force(dp)->policy : NULL;
	struct states_tally *tally = tally_make(dp);
	bool *live = dp->config ? calloc(dp->config->n_rules + 1, sizeof(*live)) : NULL;
	json_t *rows = json_array();

	if (!dp->config || !tally || !live)
		goto out;
	if (policy)
		policy_lives(policy, dp->config, live);
	for (size_t i = 0; i < dp->config->n_rules; i++) {
		json_t *row = rule_json(&dp->config->rules[i], live[i]);

		put_counters(dp, row, tally, policy ? policy->rule_ids[i] : 0);
		json_array_append_new(rows, row);
	}
	append_defaults(dp, rows, tally);
	append_unasked(dp, rows);
out:
	free(live);
	free(tally);
	return rows;
}

/* ---- translations ---- */

static json_t *nat_json(const struct config_nat *nat)
{
	return json_pack("{s:I, s:s, s:o, s:o, s:o, s:b, s:b}", "index", (json_int_t)nat->index, "type",
			 nat_names[nat->type], "interface", links_json(&nat->match), "match",
			 text_json(nat_match_text(nat)), "translate_to", text_json(nat_target_text(nat)), "static_port",
			 nat->static_port, "endpoint_independent", nat->endpoint_independent);
}

json_t *datapath_show_nat(struct datapath *dp)
{
	const struct policy *policy = dp->config ? tables_in_force(dp)->policy : NULL;
	struct states_tally *tally = tally_make(dp);
	json_t *rows = json_array();

	for (size_t i = 0; dp->config && tally && i < dp->config->n_nat; i++) {
		json_t *row = nat_json(&dp->config->nat[i]);

		put_counters(dp, row, tally, policy ? policy->nat_ids[i] : 0);
		json_array_append_new(rows, row);
	}
	free(tally);
	return rows;
}
