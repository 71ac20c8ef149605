// SPDX-License-Identifier: GPL-2.0-only
/* Aliases: what they hold, and changes of the running ones. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/config/suggest.h"
#include "user/config/text.h"
#include "user/daemon/daemon.h"
#include "user/policy/match_text.h"

/* ---- show aliases ---- */

/* How many addresses; -1: more than a number in JSON says exactly. */
static json_int_t addresses_in(const struct addr_range *range)
{
	const uint8_t *first, *last;
	unsigned int n = addr_bytes(&range->first, &first);
	uint64_t distance = 0;

	addr_bytes(&range->last, &last);
	for (unsigned int i = 0; i < n; i++) {
		if (distance >> 45)
			return -1;
		distance = (distance << 8) + last[i] - first[i];
	}
	return (json_int_t)distance + 1;
}

/* Of one family: ranges, and addresses in them. False: out of memory. */
static bool count_family(const struct config *c, const struct config_alias *alias, int family, json_int_t *n,
			 json_int_t *addresses)
{
	struct addr_range *ranges;
	size_t n_ranges;

	if (config_alias_addresses(c, alias, family, &ranges, &n_ranges))
		return false;
	*n += (json_int_t)n_ranges;
	for (size_t i = 0; i < n_ranges && *addresses >= 0; i++) {
		json_int_t more = addresses_in(&ranges[i]);

		*addresses = more < 0 || *addresses + more >= (json_int_t)1 << 53 ? -1 : *addresses + more;
	}
	free(ranges);
	return true;
}

static size_t live_entries(const struct config_alias *alias)
{
	size_t n = 0;

	for (size_t i = 0; i < alias->n_entries; i++)
		n += alias->entries[i].at == CONFIG_ENTRY_LIVE;
	return n;
}

static json_t *alias_json(const struct config *c, const struct config_alias *alias)
{
	static const char *const kinds[] = {
		[CONFIG_ENTRY_NONE] = "empty",
		[CONFIG_ENTRY_ADDRESSES] = "addresses",
		[CONFIG_ENTRY_PORTS] = "ports",
	};
	json_int_t ranges = 0, addresses = 0;
	struct port_range *ports;
	size_t n_ports;

	if (!count_family(c, alias, AF_INET, &ranges, &addresses) ||
	    !count_family(c, alias, AF_INET6, &ranges, &addresses) || config_alias_ports(c, alias, &ports, &n_ports))
		return NULL;
	free(ports);
	return json_pack("{s:s, s:s, s:I, s:I, s:I, s:o, s:s?}", "name", alias->name, "kind",
			 alias->holds == CONFIG_ENTRY_NONE && ranges ? kinds[CONFIG_ENTRY_ADDRESSES]
								     : kinds[alias->holds],
			 "entries", (json_int_t)alias->n_entries, "at_run_time", (json_int_t)live_entries(alias),
			 "ranges", ranges + (json_int_t)n_ports, "addresses",
			 addresses < 0 || n_ports ? json_null() : json_integer(addresses), "file", alias->file);
}

json_t *aliases_json(const struct config *config)
{
	json_t *rows = json_array();

	for (size_t i = 0; i < config->n_aliases; i++)
		if (json_array_append_new(rows, alias_json(config, &config->aliases[i]))) {
			json_decref(rows);
			return NULL;
		}
	return rows;
}

/* ---- alias add, remove, test ---- */

struct alias_request {
	struct config *config;
	struct config_alias *alias;
	const char *address;
	struct addr_range range;
};

static struct config_alias *find_alias(const struct config *c, const char *name, struct control_answer *answer)
{
	struct suggest near = { .given = name };

	for (size_t i = 0; i < c->n_aliases; i++) {
		if (!strcmp(c->aliases[i].name, name))
			return &c->aliases[i];
		suggest_offer(&near, c->aliases[i].name);
	}
	command_no_such("alias named", &near, answer);
	return NULL;
}

static bool take_address(struct alias_request *r, struct control_answer *answer)
{
	char why[TEXT_WHY];

	if (r->alias->holds == CONFIG_ENTRY_PORTS)
		control_fail(answer, 2, "\"%s\" holds ports; only addresses can be changed and tested at run time",
			     r->alias->name);
	else if (!text_addresses(r->address, &r->range, why))
		return true;
	else if (why[0])
		control_fail(answer, 2, "%s", why);
	else
		control_fail(answer, 2, "\"%s\": accepted: an address, a prefix, or a range \"first-last\"",
			     r->address);
	return false;
}

/* Which alias and which of its entries: "$office: 192.0.2.0/24". */
static void tell_holder(const struct config_alias *whose, const struct config_alias_entry *entry, char *buf, size_t len)
{
	char range[RANGE_TEXT];

	snprintf(buf, len, "$%s: %s%s", whose->name, range_text(&entry->addresses, range),
		 entry->at == CONFIG_ENTRY_LIVE ? ", added at run time" : "");
}

/* NULL: none has it, or (answer->status) memory is out. */
static const struct config_alias_entry *holder(const struct alias_request *r, const struct config_alias **whose,
					       struct control_answer *answer)
{
	const struct config_alias_entry *entry;

	if (!config_alias_holder(r->config, r->alias, &r->range, whose, &entry))
		return entry;
	control_fail(answer, 1, "out of memory");
	return NULL;
}

static void alias_test(struct daemon *d, const struct alias_request *r, struct control_answer *answer)
{
	const struct config_alias *whose;
	const struct config_alias_entry *entry = holder(r, &whose, answer);
	char where[512];

	(void)d;
	if (answer->status)
		return;
	if (!entry) {
		control_fail(answer, 1, "%s is not in \"%s\"", r->address, r->alias->name);
		return;
	}
	tell_holder(whose, entry, where, sizeof(where));
	answer->result = json_pack("{s:s, s:s, s:s, s:s}", "alias", r->alias->name, "address", r->address, "state",
				   "there", "entry", where);
}

static bool may_hold(const struct alias_request *r, struct control_answer *answer)
{
	const struct config_alias *hindrance;
	int family = r->range.first.family;

	if (config_alias_hindrance(r->config, r->alias, family, &hindrance))
		control_fail(answer, 1, "out of memory");
	else if (hindrance && hindrance->holds == CONFIG_ENTRY_PORTS)
		control_fail(answer, 2, "\"%s\" is a part of \"%s\", which holds ports", r->alias->name,
			     hindrance->name);
	else if (hindrance)
		control_fail(answer, 2,
			     "\"%s\" holds %s addresses only, and so rules that name it match no %s: put %s into the "
			     "configuration and apply that",
			     hindrance->name, family == AF_INET ? "IPv6" : "IPv4", family == AF_INET ? "IPv4" : "IPv6",
			     r->address);
	else
		return true;
	return false;
}

static bool rules_follow(struct daemon *d, struct control_answer *answer)
{
	char *why = NULL;
	int err = datapath_rules_changed(d->datapath, &why);

	if (err)
		control_fail(answer, 1, "the rules could not be changed: %s", why ? why : strerror(-err));
	free(why);
	return !err;
}

static void done(const struct alias_request *r, const char *state, struct control_answer *answer)
{
	answer->result = json_pack("{s:s, s:s, s:s}", "alias", r->alias->name, "address", r->address, "state", state);
}

static void changed(struct daemon *d, const struct alias_request *r, const char *event)
{
	journal_write(d->journal, JOURNAL_NOTICE, JOURNAL_ALIAS, r->alias->name, event,
		      json_pack("{s:s}", "address", r->address), "by hand, until the next apply or start");
}

static void alias_add(struct daemon *d, const struct alias_request *r, struct control_answer *answer)
{
	if (config_alias_entry(r->alias, &r->range)) {
		done(r, "unchanged", answer);
		return;
	}
	if (!may_hold(r, answer))
		return;
	if (config_alias_insert(r->alias, &r->range)) {
		control_fail(answer, 1, "out of memory");
		return;
	}
	if (!rules_follow(d, answer)) {
		config_alias_delete(r->alias, r->alias->n_entries - 1);
		return;
	}
	done(r, "added", answer);
	changed(d, r, "added");
}

static void tell_absent(const struct alias_request *r, struct control_answer *answer)
{
	const struct config_alias *whose;
	const struct config_alias_entry *entry = holder(r, &whose, answer);
	char where[512];

	if (answer->status)
		return;
	if (!entry) {
		control_fail(answer, 1, "%s is not in \"%s\"", r->address, r->alias->name);
		return;
	}
	tell_holder(whose, entry, where, sizeof(where));
	control_fail(answer, 1, "%s is no entry of \"%s\" by itself, but in one: %s", r->address, r->alias->name,
		     where);
}

static void alias_remove(struct daemon *d, const struct alias_request *r, struct control_answer *answer)
{
	const struct config_alias_entry *entry = config_alias_entry(r->alias, &r->range);
	struct config_alias_entry before;
	size_t at;

	if (!entry) {
		tell_absent(r, answer);
		return;
	}
	before = *entry;
	at = (size_t)(entry - r->alias->entries);
	config_alias_delete(r->alias, at);
	if (rules_follow(d, answer)) {
		done(r, "removed", answer);
		changed(d, r, "removed");
		return;
	}
	/* its place is still there: nothing was allocated since */
	memmove(&r->alias->entries[at + 1], &r->alias->entries[at],
		(r->alias->n_entries++ - at) * sizeof(*r->alias->entries));
	r->alias->entries[at] = before;
}

static const struct {
	const char *verb;
	void (*run)(struct daemon *d, const struct alias_request *r, struct control_answer *answer);
} verbs[] = {
	{ "add", alias_add },
	{ "remove", alias_remove },
	{ "test", alias_test },
};

/* {"command": "alias", "verb": "add"|"remove"|"test", "name", "address"} */
void command_alias(void *arg, const json_t *request, struct control_answer *answer)
{
	struct daemon *d = arg;
	struct alias_request r = { .config = d->apply.running };
	const char *command, *verb, *name;
	json_error_t error;

	if (!command_unpacked(json_unpack_ex((json_t *)request, &error, JSON_STRICT, "{s:s,s:s,s:s,s:s}", "command",
					     &command, "verb", &verb, "name", &name, "address", &r.address),
			      &error, answer))
		return;
	r.alias = find_alias(r.config, name[0] == '$' ? name + 1 : name, answer);
	if (!r.alias || !take_address(&r, answer))
		return;
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (!strcmp(verb, verbs[i].verb)) {
			verbs[i].run(d, &r, answer);
			return;
		}
	}
	control_fail(answer, 2, "verb: add, remove or test");
}
