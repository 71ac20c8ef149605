/* SPDX-License-Identifier: GPL-2.0-only */
/* Address translation. */
#include "user/config/elements.h"
#include "user/config/tables.h"

static const struct schema_word type_words[] = {
	{ .word = "snat", .value = CONFIG_SNAT },
	{ .word = "dnat", .value = CONFIG_DNAT },
	{ .word = "one-to-one", .value = CONFIG_ONE_TO_ONE },
	{ .word = NULL },
};

static const struct schema_key nat_keys[] = {
	{ .key = "type",
	  .kind = SCHEMA_WORD,
	  .flags = SCHEMA_REQUIRED,
	  FIELD(struct draft_nat, item.type),
	  .words = type_words,
	  .accepts = "\"snat\", \"dnat\" or \"one-to-one\"" },
	MATCH_INTERFACE(SCHEMA_REQUIRED),
	MATCH_PROTOCOL,
	MATCH_SOURCE,
	MATCH_DESTINATION,
	{ .key = "translate_to",
	  .kind = SCHEMA_VALUE,
	  FIELD(struct draft_nat, target),
	  .element = element_target,
	  .accepts = "an address that a host can have, a shared address's name, or \"interface\" for whatever the "
		     "interface has" },
	{ .key = "translate_port",
	  .kind = SCHEMA_VALUE,
	  FIELD(struct draft_nat, item.to_ports),
	  .element = element_port_range,
	  .accepts = "a port from 1 to 65535 or a range \"1000-2000\"" },
	{ .key = "static_port", .kind = SCHEMA_BOOL, FIELD(struct draft_nat, item.static_port), .fallback = "false" },
	{ .key = "endpoint_independent",
	  .kind = SCHEMA_BOOL,
	  FIELD(struct draft_nat, item.endpoint_independent),
	  .fallback = "false" },
	{ .key = "exempt", .kind = SCHEMA_BOOL, FIELD(struct draft_nat, item.exempt), .fallback = "false" },
	DISABLED(struct draft_nat),
	SYNC,
	DESCRIPTION,
	END,
};

static void nat_done(struct schema_walk *walk, const struct path *path, const json_t *value, void *item)
{
	bool target = json_object_get(value, "translate_to");
	struct draft_nat *nat = item;

	nat->item.index = path->index;
	if (target && nat->item.exempt)
		schema_error(walk, path, "found \"translate_to\" and \"exempt\"; accepted: one of the two");
	else if (!target && !nat->item.exempt)
		schema_error(walk, path,
			     "neither \"translate_to\" nor \"exempt\": true is there; accepted: one of the two");
}

const struct schema_object table_nat = { .keys = nat_keys, .size = sizeof(struct draft_nat), .done = nat_done };
