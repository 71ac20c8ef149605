/* SPDX-License-Identifier: GPL-2.0-only */
/* Rules, what they match by, and what happens where none matches. */
#include "user/config/elements.h"
#include "user/config/names.h"
#include "user/config/tables.h"

/* ---- both ends of a packet ---- */

#define ADDRESS_TEXT \
	"an address, a prefix, a range \"first-last\", \"any\", \"self\", \"lan:network\", \"lan:address\", a shared " \
	"address's name or \"$alias\"; \"!\" in front negates"
#define PORT_TEXT "a port from 1 to 65535, a range \"1000-2000\" or \"$alias\""

#define ENDPOINT_KEYS(end) \
	{ \
		{ .key = "address", \
		  .kind = SCHEMA_LIST, \
		  .flags = SCHEMA_ONE_OR_MANY, \
		  LIST_IN(struct draft_match, end, terms), \
		  .element = element_term, \
		  .accepts = ADDRESS_TEXT }, \
			{ .key = "port", \
			  .kind = SCHEMA_LIST, \
			  .flags = SCHEMA_ONE_OR_MANY, \
			  LIST_IN(struct draft_match, end, ports), \
			  .element = element_ports, \
			  .accepts = PORT_TEXT }, \
			DESCRIPTION, END, \
	}

static const struct schema_key source_keys[] = ENDPOINT_KEYS(source);
static const struct schema_key destination_keys[] = ENDPOINT_KEYS(destination);
const struct schema_object table_source = { .keys = source_keys };
const struct schema_object table_destination = { .keys = destination_keys };

/* ---- actions ---- */

const struct schema_word table_actions[] = {
	{ .word = "pass", .value = CONFIG_PASS },
	{ .word = "block", .value = CONFIG_BLOCK },
	{ .word = "reject", .value = CONFIG_REJECT },
	{ .word = NULL },
};

static const struct schema_key default_action_keys[] = {
	{ .key = "in",
	  .kind = SCHEMA_WORD,
	  FIELD(struct draft, default_in),
	  .words = table_actions,
	  .fallback = "\"block\"" },
	{ .key = "out",
	  .kind = SCHEMA_WORD,
	  FIELD(struct draft, default_out),
	  .words = table_actions,
	  .fallback = "\"pass\"" },
	DESCRIPTION,
	END,
};
const struct schema_object table_default_action = { .keys = default_action_keys };

/* One word stands for both directions. */
void table_policy_done(const json_t *document, struct draft *draft)
{
	const struct schema_word *word = schema_find_word(table_actions, json_object_get(document, "default_action"));

	if (word)
		draft->default_in = draft->default_out = (enum config_action)word->value;
}

/* ---- rules ---- */

static const struct schema_word reject_words[] = {
	{ .word = "auto", .value = CONFIG_REJECT_AUTO },
	{ .word = "reset", .value = CONFIG_REJECT_RESET },
	{ .word = "admin-prohibited", .value = CONFIG_REJECT_ADMIN },
	{ .word = "port-unreachable", .value = CONFIG_REJECT_PORT },
	{ .word = NULL },
};
static const struct schema_word direction_words[] = {
	{ .word = "in", .value = CONFIG_IN },
	{ .word = "out", .value = CONFIG_OUT },
	{ .word = NULL },
};
static const struct schema_word family_words[] = {
	{ .word = "inet", .value = FL_INET },
	{ .word = "inet6", .value = FL_INET6 },
	{ .word = NULL },
};
static const struct schema_word state_words[] = {
	{ .word = "keep", .value = CONFIG_STATE_KEEP },
	{ .word = "loose", .value = CONFIG_STATE_LOOSE },
	{ .word = "none", .value = CONFIG_STATE_NONE },
	{ .word = NULL },
};
static const struct schema_word when_down_words[] = {
	{ .word = "block", .value = CONFIG_DOWN_BLOCK },
	{ .word = "reject", .value = CONFIG_DOWN_REJECT },
	{ .word = "skip", .value = CONFIG_DOWN_SKIP },
	{ .word = NULL },
};

static const struct schema_key rule_keys[] = {
	{ .key = "name",
	  .kind = SCHEMA_STRING,
	  .flags = SCHEMA_REQUIRED,
	  FIELD(struct draft_rule, item.name),
	  .fault = name_rule_fault,
	  .accepts = "what counters, logs and states call the rule" },
	{ .key = "action",
	  .kind = SCHEMA_WORD,
	  .flags = SCHEMA_REQUIRED,
	  FIELD(struct draft_rule, item.action),
	  .words = table_actions,
	  .accepts = "\"pass\", \"block\" or \"reject\"" },
	{ .key = "reject_with",
	  .kind = SCHEMA_WORD,
	  FIELD(struct draft_rule, item.reject_with),
	  .words = reject_words,
	  .fallback = "\"auto\"" },
	{ .key = "quick", .kind = SCHEMA_BOOL, FIELD(struct draft_rule, item.quick), .fallback = "false" },
	{ .key = "direction", .kind = SCHEMA_WORD, FIELD(struct draft_rule, item.direction), .words = direction_words },
	MATCH_INTERFACE(0),
	{ .key = "family", .kind = SCHEMA_WORD, FIELD(struct draft_rule, family), .words = family_words },
	MATCH_PROTOCOL,
	MATCH_SOURCE,
	MATCH_DESTINATION,
	{ .key = "icmp_type",
	  .kind = SCHEMA_LIST,
	  .flags = SCHEMA_ONE_OR_MANY,
	  LIST(struct draft_rule, icmp_types),
	  .element = element_icmp_type,
	  .accepts = "a number from 0 to 255 or a name as nftables has it, \"echo-request\" for instance" },
	{ .key = "tcp_flags",
	  .kind = SCHEMA_VALUE,
	  FIELD(struct draft_rule, item.tcp_flags),
	  .element = element_tcp_flags,
	  .accepts = "\"any\", or flags as pf has them, of FSRPAUEW: \"S/SA\" is SYN without ACK" },
	{ .key = "dscp",
	  .kind = SCHEMA_LIST,
	  .flags = SCHEMA_ONE_OR_MANY,
	  LIST(struct draft_rule, dscp),
	  .element = element_dscp,
	  .accepts = "a number from 0 to 63, \"ef\", \"cs0\" to \"cs7\", or \"af11\" to \"af43\"" },
	{ .key = "tagged",
	  .kind = SCHEMA_STRING,
	  FIELD(struct draft_rule, item.tagged),
	  .fault = name_fault,
	  .accepts = "a tag that another rule gives" },
	{ .key = "schedule",
	  .kind = SCHEMA_LIST,
	  .flags = SCHEMA_ONE_OR_MANY,
	  LIST_IN(struct draft_rule, item, schedules),
	  .element = element_schedule,
	  .accepts = "a time of day, with or without days: \"mon-fri 08:00-18:00\", \"sat,sun 22:00-06:00\", "
		     "\"08:00-18:00\"" },
	{ .key = "state",
	  .kind = SCHEMA_WORD,
	  FIELD(struct draft_rule, item.state),
	  .words = state_words,
	  .fallback = "\"keep\"" },
	{ .key = "route_to",
	  .kind = SCHEMA_STRING,
	  FIELD(struct draft_rule, route_to),
	  .fault = name_fault,
	  .accepts = "the name of a gateway or group" },
	{ .key = "reply_to",
	  .kind = SCHEMA_STRING,
	  FIELD(struct draft_rule, reply_to),
	  .fault = name_fault,
	  .accepts = "the name of a gateway or group" },
	{ .key = "when_down",
	  .kind = SCHEMA_WORD,
	  FIELD(struct draft_rule, item.when_down),
	  .words = when_down_words,
	  .fallback = "\"block\"" },
	{ .key = "max_states",
	  .kind = SCHEMA_NUMBER,
	  FIELD(struct draft_rule, item.max_states),
	  .min = 1,
	  .max = STATES_MAX },
	{ .key = "max_states_per_source",
	  .kind = SCHEMA_NUMBER,
	  FIELD(struct draft_rule, item.max_states_per_source),
	  .min = 1,
	  .max = STATES_MAX },
	{ .key = "log", .kind = SCHEMA_BOOL, FIELD(struct draft_rule, item.log), .fallback = "false" },
	{ .key = "tag",
	  .kind = SCHEMA_STRING,
	  FIELD(struct draft_rule, item.tag),
	  .fault = name_fault,
	  .accepts = "a name for what it matches" },
	DISABLED(struct draft_rule),
	SYNC,
	DESCRIPTION,
	END,
};

static void rule_done(struct schema_walk *walk, const struct path *path, const json_t *value, void *item)
{
	(void)walk, (void)value;
	((struct draft_rule *)item)->item.index = path->index;
}

const struct schema_object table_rule = { .keys = rule_keys, .size = sizeof(struct draft_rule), .done = rule_done };
