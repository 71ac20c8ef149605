/* SPDX-License-Identifier: GPL-2.0-only */
/* Tables of what holds for the state table and the logs as a whole, of checks of the user's own, and of drills. */
#include <syslog.h>

#include "user/config/elements.h"
#include "user/config/tables.h"

#define SECONDS_MAX 2147483647
#define GAP_MAX_MS 3600000
#define FLOWS_MAX 1000000

static const struct schema_key limits_keys[] = {
	{ .key = "states", .kind = SCHEMA_NUMBER, FIELD(struct draft, states), .min = 1, .max = STATES_MAX },
	DESCRIPTION,
	END,
};
const struct schema_object table_limits = { .keys = limits_keys };

const struct schema_word table_optimizations[] = {
	{ .word = "normal", .value = CONFIG_NORMAL },
	{ .word = "conservative", .value = CONFIG_CONSERVATIVE },
	{ .word = "aggressive", .value = CONFIG_AGGRESSIVE },
	{ .word = "high-latency", .value = CONFIG_HIGH_LATENCY },
	{ .word = NULL },
};

#define TIMEOUT(name, which) \
	{ \
		.key = name, .kind = SCHEMA_NUMBER, FIELD(struct draft, timeouts_s[which]), .min = 1, \
		.max = SECONDS_MAX \
	}

static const struct schema_key timeouts_keys[] = {
	TIMEOUT("tcp_first", CONFIG_TCP_FIRST),
	TIMEOUT("tcp_opening", CONFIG_TCP_OPENING),
	TIMEOUT("tcp_established", CONFIG_TCP_ESTABLISHED),
	TIMEOUT("tcp_closing", CONFIG_TCP_CLOSING),
	TIMEOUT("tcp_finwait", CONFIG_TCP_FINWAIT),
	TIMEOUT("tcp_closed", CONFIG_TCP_CLOSED),
	TIMEOUT("udp_first", CONFIG_UDP_FIRST),
	TIMEOUT("udp_single", CONFIG_UDP_SINGLE),
	TIMEOUT("udp_multiple", CONFIG_UDP_MULTIPLE),
	TIMEOUT("icmp_first", CONFIG_ICMP_FIRST),
	TIMEOUT("icmp_error", CONFIG_ICMP_ERROR),
	TIMEOUT("other_first", CONFIG_OTHER_FIRST),
	TIMEOUT("other_single", CONFIG_OTHER_SINGLE),
	TIMEOUT("other_multiple", CONFIG_OTHER_MULTIPLE),
	DESCRIPTION,
	END,
};
const struct schema_object table_timeouts = { .keys = timeouts_keys };

static const struct schema_word events_words[] = {
	{ .word = "syslog", .value = CONFIG_LOG_SYSLOG },
	{ .word = "none", .value = CONFIG_LOG_NONE },
	{ .word = NULL },
};
static const struct schema_word packets_words[] = {
	{ .word = "none", .value = CONFIG_LOG_NONE },
	{ .word = "syslog", .value = CONFIG_LOG_SYSLOG },
	{ .word = NULL },
};
static const struct schema_word facility_words[] = {
	{ .word = "daemon", .value = LOG_DAEMON },
	{ .word = "auth", .value = LOG_AUTH },
	{ .word = "authpriv", .value = LOG_AUTHPRIV },
	{ .word = "user", .value = LOG_USER },
	{ .word = "local0", .value = LOG_LOCAL0 },
	{ .word = "local1", .value = LOG_LOCAL1 },
	{ .word = "local2", .value = LOG_LOCAL2 },
	{ .word = "local3", .value = LOG_LOCAL3 },
	{ .word = "local4", .value = LOG_LOCAL4 },
	{ .word = "local5", .value = LOG_LOCAL5 },
	{ .word = "local6", .value = LOG_LOCAL6 },
	{ .word = "local7", .value = LOG_LOCAL7 },
	{ .word = NULL },
};

static const struct schema_key log_keys[] = {
	{ .key = "events",
	  .kind = SCHEMA_WORD,
	  FIELD(struct draft, log.events),
	  .words = events_words,
	  .fallback = "\"syslog\"" },
	{ .key = "packets",
	  .kind = SCHEMA_WORD,
	  FIELD(struct draft, log.packets),
	  .words = packets_words,
	  .fallback = "\"none\"" },
	{ .key = "facility",
	  .kind = SCHEMA_WORD,
	  FIELD(struct draft, log.facility),
	  .words = facility_words,
	  .fallback = "\"daemon\"" },
	DESCRIPTION,
	END,
};
const struct schema_object table_log = { .keys = log_keys };

/* ---- checks ---- */

static const char *check_name_fault(const char *name)
{
	return *name ? NULL : "a name, as doctor and drill print it";
}

/* Arguments may be the same: their places in the array tell them apart. */
static int compare_places(const void *a, const void *b)
{
	return a < b ? -1 : a > b;
}

static const struct schema_key check_keys[] = {
	{ .key = "name",
	  .kind = SCHEMA_STRING,
	  .flags = SCHEMA_REQUIRED,
	  FIELD(struct config_check, name),
	  .fault = check_name_fault,
	  .accepts = "a name, as doctor and drill print it" },
	{ .key = "command",
	  .kind = SCHEMA_LIST,
	  .flags = SCHEMA_REQUIRED | SCHEMA_NOT_EMPTY,
	  LIST(struct config_check, command),
	  .element = element_argument,
	  .compare = compare_places,
	  .accepts = "a program, \"/etc/fairlead/checks/vpn.sh\" for instance" },
	{ .key = "when",
	  .kind = SCHEMA_VALUE,
	  FIELD(struct config_check, when),
	  .element = element_when,
	  .accepts = "an array of \"doctor\" and \"drill\"" },
	SYNC,
	DESCRIPTION,
	END,
};
static void check_done(struct schema_walk *walk, const struct path *path, const json_t *value, void *item)
{
	(void)walk, (void)path;
	if (!json_object_get(value, "when"))
		((struct config_check *)item)->when = CONFIG_CHECK_DOCTOR | CONFIG_CHECK_DRILL;
}

const struct schema_object table_check = {
	.keys = check_keys,
	.size = sizeof(struct config_check),
	.done = check_done,
};

/* ---- drill ---- */

/* ssh takes what begins with a dash for an option. */
static const char *from_fault(const char *text)
{
	const char *c;

	for (c = text; (unsigned char)*c > ' ' && *c != 0x7f; c++)
		;
	return c == text || *c || *text == '-' ? "a machine as ssh names it, \"monitor@10.0.1.50\" for instance" : NULL;
}

static int compare_services(const void *a, const void *b)
{
	const struct config_service *x = a, *y = b;

	return x->port != y->port ? (x->port < y->port ? -1 : 1) : addr_compare(&x->addr, &y->addr);
}

static const struct schema_key drill_keys[] = {
	{ .key = "targets",
	  .kind = SCHEMA_LIST,
	  .flags = SCHEMA_NOT_EMPTY,
	  LIST_IN(struct draft, drill, targets),
	  .element = element_service,
	  .compare = compare_services,
	  .accepts = "an address and a TCP port, \"198.51.100.1:443\" or \"[2001:db8::1]:443\"" },
	{ .key = "from",
	  .kind = SCHEMA_STRING,
	  FIELD(struct draft, drill.from),
	  .fault = from_fault,
	  .accepts = "a machine as ssh names it" },
	{ .key = "max_gap_ms",
	  .kind = SCHEMA_NUMBER,
	  FIELD(struct draft, drill.max_gap_ms),
	  .min = 0,
	  .max = GAP_MAX_MS },
	{ .key = "max_lost_flows",
	  .kind = SCHEMA_NUMBER,
	  FIELD(struct draft, drill.max_lost_flows),
	  .min = 0,
	  .max = FLOWS_MAX },
	DESCRIPTION,
	END,
};

static void drill_done(struct schema_walk *walk, const struct path *path, const json_t *value, void *item)
{
	struct draft *draft = item;

	(void)walk, (void)path;
	if (!json_object_get(value, "max_gap_ms"))
		draft->drill.max_gap_ms = CONFIG_NO_LIMIT;
	if (!json_object_get(value, "max_lost_flows"))
		draft->drill.max_lost_flows = CONFIG_NO_LIMIT;
}

const struct schema_object table_drill = { .keys = drill_keys, .done = drill_done };
