/* SPDX-License-Identifier: GPL-2.0-only */
/* What tables of the configuration file are written with, and the tables of one part that those of another refer to. */
#pragma once

#include "user/config/draft.h"

#define FIELD(type, member) .offset = offsetof(type, member), .size = sizeof(((type *)0)->member)
#define LIST(type, member) LIST_AT(type, member, n_##member)
#define LIST_IN(type, in, member) LIST_AT(type, in.member, in.n_##member)
#define LIST_AT(type, member, count) \
	.offset = offsetof(type, member), .count_offset = offsetof(type, count), .size = sizeof(*((type *)0)->member)

#define DESCRIPTION \
	{ \
		.key = "description", .kind = SCHEMA_TEXT \
	}
#define SYNC \
	{ \
		.key = "sync", .kind = SCHEMA_BOOL, .offset = SCHEMA_NOWHERE, .fallback = "true" \
	}
#define DISABLED(type) \
	{ \
		.key = "disabled", .kind = SCHEMA_BOOL, FIELD(type, disabled), .fallback = "false" \
	}
#define LATER(name, text) \
	{ \
		.key = name, .kind = SCHEMA_LATER, .accepts = text \
	}
#define END \
	{ \
		.key = NULL \
	}

#define STATES_MAX 10000000 /* 192 bytes each */

/* tables_settings.c */
extern const struct schema_object table_limits, table_timeouts, table_log, table_check, table_drill;
extern const struct schema_word table_optimizations[];

/* tables_gateways.c */
extern const struct schema_object table_gateway, table_group, table_hooks;

/* tables_ha.c */
extern const struct schema_object table_vip, table_ha;

/* tables_aliases.c */
extern const struct schema_object table_alias;

/* tables_rules.c */
extern const struct schema_object table_source, table_destination, table_default_action, table_rule;
extern const struct schema_word table_actions[];
void table_policy_done(const json_t *document, struct draft *draft);

/* tables_nat.c */
extern const struct schema_object table_nat;

/* What matches, of all that begin with a struct draft_match. */
#define MATCH_INTERFACE(required) \
	{ \
		.key = "interface", .kind = SCHEMA_LIST, .flags = SCHEMA_ONE_OR_MANY | (required), \
		LIST(struct draft_match, links), .element = element_link, .accepts = "an interface or tunnel" \
	}
#define MATCH_PROTOCOL \
	{ \
		.key = "protocol", .kind = SCHEMA_LIST, .flags = SCHEMA_ONE_OR_MANY, \
		LIST(struct draft_match, protocols), .element = element_protocol, \
		.accepts = "a name of /etc/protocols or a number from 0 to 255" \
	}
#define MATCH_END(name, table) \
	{ \
		.key = name, .kind = SCHEMA_OBJECT, .object = &(table), \
		.accepts = "an object with \"address\" and \"port\"" \
	}
#define MATCH_SOURCE MATCH_END("source", table_source)
#define MATCH_DESTINATION MATCH_END("destination", table_destination)
