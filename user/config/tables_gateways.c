/* SPDX-License-Identifier: GPL-2.0-only */
/* Gateways, how they are probed, groups of them, and the scripts that are told. */
#include "user/config/elements.h"
#include "user/config/names.h"
#include "user/config/tables.h"

/* ---- monitor ---- */

#define HOUR_MS 3600000
#define DAY_MS (24 * HOUR_MS)
#define DAY_S 86400
#define IN_A_ROW_MAX 1000

#define MONITOR_NUMBER(name, from, to, text) \
	{ \
		.key = #name, .kind = SCHEMA_NUMBER, FIELD(struct draft_gateway, item.monitor.name), .min = (from), \
		.max = (to), .fallback = (text) \
	}

static const struct schema_key monitor_keys[] = {
	{ .key = "targets",
	  .kind = SCHEMA_LIST,
	  .flags = SCHEMA_INET | SCHEMA_INET6 | SCHEMA_UNICAST | SCHEMA_NOT_EMPTY,
	  LIST_IN(struct draft_gateway, item.monitor, targets),
	  .element = schema_element_address,
	  .compare = schema_compare_addresses,
	  .accepts = "an IPv4 or IPv6 address" },
	MONITOR_NUMBER(interval_ms, 1, HOUR_MS, "500"),
	MONITOR_NUMBER(loss_interval_ms, 1, HOUR_MS, "2000"),
	MONITOR_NUMBER(period_ms, 1, DAY_MS, "60000"),
	MONITOR_NUMBER(alert_interval_ms, 1, HOUR_MS, "1000"),
	{ .key = "latency_ms",
	  .kind = SCHEMA_VALUE,
	  FIELD(struct draft_gateway, item.monitor.latency_ms),
	  .max = HOUR_MS,
	  .element = element_thresholds,
	  .fallback = "[200, 500]",
	  .accepts = "[WARN, FAIL], two numbers from 0 to 3600000, the first not above the second" },
	{ .key = "loss_pct",
	  .kind = SCHEMA_VALUE,
	  FIELD(struct draft_gateway, item.monitor.loss_pct),
	  .max = 100,
	  .element = element_thresholds,
	  .fallback = "[10, 20]",
	  .accepts = "[WARN, FAIL], two numbers from 0 to 100, the first not above the second" },
	MONITOR_NUMBER(down_after, 1, IN_A_ROW_MAX, "3"),
	MONITOR_NUMBER(up_after, 1, IN_A_ROW_MAX, "5"),
	MONITOR_NUMBER(quorum, 1, TARGETS_MAX, "1"),
	{ .key = "type",
	  .kind = SCHEMA_VALUE,
	  FIELD(struct draft_gateway, item.monitor),
	  .element = element_probe,
	  .fallback = "\"icmp\"",
	  .accepts = "\"icmp\", \"tcp:PORT\" or \"dns:NAME\"" },
	MONITOR_NUMBER(hold_down_s, 0, DAY_S, "0"),
	MONITOR_NUMBER(idle_interval_ms, 1, DAY_MS, "10000"),
	DESCRIPTION,
	END,
};
static const struct schema_object monitor = { .keys = monitor_keys };

/* ---- gateways ---- */

static const struct schema_word monitor_words[] = {
	{ .word = "false", .literal = true },
	{ .word = NULL },
};
static const struct schema_word gateway_words[] = {
	{ .word = "auto" },
	{ .word = NULL },
};

static const struct schema_key gateway_keys[] = {
	{ .key = "interface",
	  .kind = SCHEMA_STRING,
	  .flags = SCHEMA_REQUIRED,
	  FIELD(struct draft_gateway, interface),
	  .fault = name_fault,
	  .accepts = "the interface or tunnel that it is reached by" },
	{ .key = "address",
	  .kind = SCHEMA_ADDRESS,
	  .flags = SCHEMA_INET | SCHEMA_INET6 | SCHEMA_UNICAST,
	  FIELD(struct draft_gateway, item.address),
	  .words = gateway_words,
	  .accepts = "the gateway's IPv4 or IPv6 address, or \"auto\" for what DHCP, router advertisements or PPP "
		     "gave; no \"address\" on a point-to-point link" },
	{ .key = "monitor",
	  .kind = SCHEMA_OBJECT,
	  .words = monitor_words,
	  .object = &monitor,
	  .fallback = "{}",
	  .accepts = "false, or an object with how it is probed" },
	{ .key = "metered", .kind = SCHEMA_BOOL, FIELD(struct draft_gateway, item.metered), .fallback = "false" },
	DISABLED(struct draft_gateway),
	SYNC,
	DESCRIPTION,
	END,
};

static void gateway_done(struct schema_walk *walk, const struct path *path, const json_t *value, void *item)
{
	struct config_gateway *gateway = &((struct draft_gateway *)item)->item;

	(void)walk, (void)path;
	gateway->monitored = !json_is_false(json_object_get(value, "monitor"));
	gateway->automatic = schema_find_word(gateway_words, json_object_get(value, "address"));
}

const struct schema_object table_gateway = {
	.keys = gateway_keys,
	.size = sizeof(struct draft_gateway),
	.name_offset = offsetof(struct draft_gateway, item.name),
	.name_fault = name_fault,
	.done = gateway_done,
};

/* ---- groups ---- */

static const struct schema_word trigger_words[] = {
	{ .word = "down", .value = CONFIG_TRIGGER_DOWN },
	{ .word = "loss", .value = CONFIG_TRIGGER_LOSS },
	{ .word = "latency", .value = CONFIG_TRIGGER_LATENCY },
	{ .word = "loss-or-latency", .value = CONFIG_TRIGGER_LOSS_OR_LATENCY },
	{ .word = NULL },
};
static const struct schema_word failback_words[] = {
	{ .word = "keep", .value = CONFIG_FAILBACK_KEEP },
	{ .word = "drain", .value = CONFIG_FAILBACK_DRAIN },
	{ .word = "move", .value = CONFIG_FAILBACK_MOVE },
	{ .word = NULL },
};
static const struct schema_word sticky_words[] = {
	{ .word = "connection", .value = false },
	{ .word = "source", .value = true },
	{ .word = NULL },
};

static const struct schema_key member_keys[] = {
	{ .key = "gateway",
	  .kind = SCHEMA_STRING,
	  .flags = SCHEMA_REQUIRED,
	  FIELD(struct draft_member, gateway),
	  .fault = name_fault,
	  .accepts = "the name of a gateway" },
	{ .key = "tier",
	  .kind = SCHEMA_NUMBER,
	  FIELD(struct draft_member, item.tier),
	  .min = 1,
	  .max = 255,
	  .fallback = "1" },
	{ .key = "weight",
	  .kind = SCHEMA_NUMBER,
	  FIELD(struct draft_member, item.weight),
	  .min = 1,
	  .max = 255,
	  .fallback = "1" },
	DESCRIPTION,
	END,
};
static const struct schema_object member = { .keys = member_keys, .size = sizeof(struct draft_member) };

static const struct schema_key group_keys[] = {
	{ .key = "trigger",
	  .kind = SCHEMA_WORD,
	  FIELD(struct draft_group, item.trigger),
	  .words = trigger_words,
	  .fallback = "\"down\"" },
	{ .key = "failback",
	  .kind = SCHEMA_WORD,
	  FIELD(struct draft_group, item.failback),
	  .words = failback_words,
	  .fallback = "\"move\"" },
	{ .key = "sticky",
	  .kind = SCHEMA_WORD,
	  FIELD(struct draft_group, item.sticky_source),
	  .words = sticky_words,
	  .fallback = "\"connection\"" },
	{ .key = "members",
	  .kind = SCHEMA_ARRAY,
	  .flags = SCHEMA_REQUIRED | SCHEMA_NOT_EMPTY,
	  LIST(struct draft_group, members),
	  .object = &member,
	  .accepts = "a member: an object with \"gateway\", \"tier\" and \"weight\"" },
	SYNC,
	DESCRIPTION,
	END,
};
const struct schema_object table_group = {
	.keys = group_keys,
	.size = sizeof(struct draft_group),
	.name_offset = offsetof(struct draft_group, item.name),
	.name_fault = name_fault,
};

/* ---- hooks ---- */

#define SCRIPT_TEXT "the absolute path of a program, \"/etc/fairlead/hooks/gateway.sh\" for instance"

static const struct schema_key hooks_keys[] = {
	{ .key = "gateway",
	  .kind = SCHEMA_LIST,
	  LIST(struct draft, hooks_gateway),
	  .element = element_path,
	  .accepts = SCRIPT_TEXT },
	{ .key = "vip",
	  .kind = SCHEMA_LIST,
	  LIST(struct draft, hooks_vip),
	  .element = element_path,
	  .accepts = SCRIPT_TEXT },
	DESCRIPTION,
	END,
};
const struct schema_object table_hooks = { .keys = hooks_keys };
