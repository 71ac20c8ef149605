// SPDX-License-Identifier: GPL-2.0-only
/* What the control socket answers. Requests are unpacked strictly: a key that is not known is an error. */
#include <netinet/in.h>
#include <string.h>

#include "user/config/suggest.h"
#include "user/daemon/daemon.h"
#include "user/daemon/drill.h"
#include "user/lib/addr.h"
#include "user/lib/log.h"

#define CONFIRM_MAX_S 86400

bool command_unpacked(int err, const json_error_t *error, struct control_answer *answer)
{
	if (err)
		control_fail(answer, 2, "the request: %s", error->text);
	return !err;
}

/* ---- show ---- */

static json_t *show_interfaces(struct daemon *d)
{
	return datapath_show_interfaces(d->datapath);
}

static json_t *show_tunnels(struct daemon *d)
{
	return tunnels_show(d);
}

static json_t *show_translations(struct daemon *d)
{
	return datapath_show_translations(d->datapath);
}

static json_t *show_routes(struct daemon *d)
{
	return datapath_show_routes(d->datapath);
}

static json_t *show_gateways(struct daemon *d)
{
	return gateways_show(d);
}

static json_t *show_groups(struct daemon *d)
{
	return gateways_show_groups(d);
}

static json_t *show_rules(struct daemon *d)
{
	return datapath_show_rules(d->datapath);
}

static json_t *show_nat(struct daemon *d)
{
	return datapath_show_nat(d->datapath);
}

static json_t *show_aliases(struct daemon *d)
{
	return aliases_json(d->apply.running);
}

static json_t *show_drops(struct daemon *d)
{
	return datapath_show_drops(d->datapath);
}

static json_t *show_config(struct daemon *d)
{
	return config_json(d->apply.running);
}

static json_t *show_history(struct daemon *d)
{
	return store_history(&d->apply.store);
}

static const struct {
	const char *what;
	json_t *(*run)(struct daemon *d);
} shows[] = {
	{ "interfaces", show_interfaces },
	{ "tunnels", show_tunnels },
	{ "translations", show_translations },
	{ "routes", show_routes },
	{ "gateways", show_gateways },
	{ "groups", show_groups },
	{ "drops", show_drops },
	{ "rules", show_rules },
	{ "nat", show_nat },
	{ "vips", vips_show },
	{ "sync", ha_show },
	{ "aliases", show_aliases },
	{ "config", show_config },
	{ "history", show_history },
};

/* Those that take selectors, and whose answers go on. */
static const struct {
	const char *what;
	void (*run)(struct daemon *d, const json_t *request, struct control_answer *answer);
} streams[] = {
	{ "states", command_show_states },
	{ "events", command_show_events },
};

static void run_show(void *arg, const json_t *request, struct control_answer *answer)
{
	const char *command, *what;
	json_error_t error;

	what = json_string_value(json_object_get(request, "what"));
	for (size_t i = 0; what && i < sizeof(streams) / sizeof(streams[0]); i++) {
		if (strcmp(what, streams[i].what))
			continue;
		streams[i].run(arg, request, answer);
		return;
	}
	if (!command_unpacked(json_unpack_ex((json_t *)request, &error, JSON_STRICT, "{s:s,s:s}", "command", &command,
					     "what", &what),
			      &error, answer))
		return;
	for (size_t i = 0; i < sizeof(shows) / sizeof(shows[0]); i++) {
		if (strcmp(what, shows[i].what))
			continue;
		answer->result = shows[i].run(arg);
		if (!answer->result)
			control_fail(answer, 1, "out of memory");
		return;
	}
	control_fail(answer, 2, "nothing called \"%s\" to show", what);
}

/* Of a command that takes nothing. */
bool command_is_bare(const json_t *request, struct control_answer *answer)
{
	const char *command;
	json_error_t error;

	return command_unpacked(json_unpack_ex((json_t *)request, &error, JSON_STRICT, "{s:s}", "command", &command),
				&error, answer);
}

/* ---- the configuration ---- */

void command_answer_result(struct control_answer *answer, struct apply_result *result)
{
	if (result->status)
		control_fail(answer, result->status, "%s", result->error ? result->error : "failed");
	else
		answer->result = json_pack("{s:s,s:s?,s:s*,s:O?}", "state", result->state, "summary", result->summary,
					   "note", result->note, "changes", result->changes);
	if (result->report.n_findings)
		answer->findings = config_report_json(&result->report);
	apply_result_free(result);
}

/* Alone, or with the other nodes of a pair: then the answer comes later. */
static void apply_given(struct daemon *d, const struct apply_request *request, struct control_answer *answer)
{
	struct apply_result result;

	if (ha_config_apply(d, request, "command", false, answer))
		return;
	apply_text(&d->apply, request, &result);
	daemon_applied(d, request, "command", &result);
	command_answer_result(answer, &result);
}

static void run_apply(void *arg, const json_t *json, struct control_answer *answer)
{
	struct apply_request request = { 0 };
	int dry_run = 0, strict = 0, changes = 0, local = 0;
	json_int_t confirm = 0;
	struct daemon *d = arg;
	const char *command;
	json_error_t error;

	if (!command_unpacked(json_unpack_ex((json_t *)json, &error, JSON_STRICT, "{s:s,s?s%,s?I,s?b,s?b,s?b,s?b}",
					     "command", &command, "body", &request.text, &request.len, "confirm_s",
					     &confirm, "dry_run", &dry_run, "strict", &strict, "changes", &changes,
					     "local", &local),
			      &error, answer))
		return;
	if (confirm < 0 || confirm > CONFIRM_MAX_S) {
		control_fail(answer, 2, "confirm_s: 1 to %d", CONFIRM_MAX_S);
		return;
	}
	if (request.len > FILE_TEXT_MAX) { /* the next start would not read it */
		control_fail(answer, 2, "body: a configuration has at most %u bytes", FILE_TEXT_MAX);
		return;
	}
	request.confirm_s = confirm;
	request.dry_run = dry_run;
	request.strict = strict;
	request.changes = changes;
	request.local = local;
	if (request.text)
		apply_given(d, &request, answer);
	else
		daemon_apply_own(d, &request, "command", answer);
}

static void run_confirm(void *arg, const json_t *request, struct control_answer *answer)
{
	struct apply_result result;
	struct daemon *d = arg;

	if (!command_is_bare(request, answer) || ha_config_busy(d, answer) || ha_config_is_others_trial(d, answer))
		return;
	apply_confirm(&d->apply, &result);
	ha_config_changed(d, HA_CONFIG_APPLIED, &result);
	daemon_tell_result(d, "confirm", &result);
	command_answer_result(answer, &result);
}

/* Of a pair's primary the other nodes go with it. */
static bool rollback_with_peers(struct daemon *d, size_t back, struct control_answer *answer)
{
	struct apply_request request;
	bool taken;

	if (d->apply.before || !apply_version(&d->apply, back ? back : 1, &request))
		return false;
	taken = ha_config_apply(d, &request, "rollback", false, answer);
	apply_version_free(&request);
	return taken;
}

static void run_rollback(void *arg, const json_t *request, struct control_answer *answer)
{
	struct apply_result result;
	struct daemon *d = arg;
	const char *command;
	json_int_t back = 0;
	json_error_t error;
	bool on_trial = d->apply.before;

	if (!command_unpacked(json_unpack_ex((json_t *)request, &error, JSON_STRICT, "{s:s,s?I}", "command", &command,
					     "back", &back),
			      &error, answer))
		return;
	if (back < 0) {
		control_fail(answer, 2, "back: 1 and up");
		return;
	}
	if (ha_config_busy(d, answer) || rollback_with_peers(d, back, answer))
		return;
	apply_rollback(&d->apply, back, &result);
	ha_config_changed(d, on_trial ? HA_CONFIG_UNDONE : HA_CONFIG_APPLIED, &result);
	daemon_tell_result(d, "rollback", &result);
	command_answer_result(answer, &result);
}

/* ---- explain ---- */

void command_no_such(const char *what, const struct suggest *near, struct control_answer *answer)
{
	if (near->best)
		control_fail(answer, 2, "no %s \"%s\"; did you mean \"%s\"?", what, near->given, near->best);
	else
		control_fail(answer, 2, "no %s \"%s\"", what, near->given);
}

bool command_knows_port(const struct config *config, const char *name, struct control_answer *answer)
{
	struct suggest near = { .given = name };

	if (config_find_interface(config, name) || config_find_tunnel(config, name))
		return true;
	for (size_t i = 0; i < config->n_interfaces; i++)
		suggest_offer(&near, config->interfaces[i].name);
	for (size_t i = 0; i < config->n_tunnels; i++)
		suggest_offer(&near, config->tunnels[i].name);
	command_no_such("interface or tunnel named", &near, answer);
	return false;
}

static bool in_range(const char *key, json_int_t value, json_int_t max, struct control_answer *answer)
{
	if (value < 0 || value > max)
		control_fail(answer, 2, "%s: 0 to %lld", key, max);
	return value >= 0 && value <= max;
}

/* Each family has an ICMP of its own. */
static bool icmp_fits(const struct explain_query *query, struct control_answer *answer)
{
	if (query->proto == IPPROTO_ICMP && query->src.family == AF_INET6)
		control_fail(answer, 2, "proto: icmp is that of IPv4; between IPv6 addresses it is ipv6-icmp (58)");
	else if (query->proto == IPPROTO_ICMPV6 && query->src.family == AF_INET)
		control_fail(answer, 2, "proto: ipv6-icmp is that of IPv6; between IPv4 addresses it is icmp (1)");
	else
		return true;
	return false;
}

/* What the packet has no place for is refused, not left out. */
static bool transport_fits(const json_t *request, uint8_t proto, struct control_answer *answer)
{
	static const struct {
		const char *key, *with;
		uint8_t protos[2];
	} places[] = {
		{ "sport", "tcp (6) or udp (17)", { IPPROTO_TCP, IPPROTO_UDP } },
		{ "dport", "tcp (6) or udp (17)", { IPPROTO_TCP, IPPROTO_UDP } },
		{ "tcp_flags", "tcp (6)", { IPPROTO_TCP, IPPROTO_TCP } },
		{ "icmp_type", "icmp (1) or ipv6-icmp (58)", { IPPROTO_ICMP, IPPROTO_ICMPV6 } },
	};

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		if (!json_object_get(request, places[i].key) || proto == places[i].protos[0] ||
		    proto == places[i].protos[1])
			continue;
		control_fail(answer, 2, "%s: goes with proto %s only", places[i].key, places[i].with);
		return false;
	}
	return true;
}

/* The router does not send from another one's address. */
static bool source_fits(struct daemon *d, const struct explain_query *query, struct control_answer *answer)
{
	char text[ADDR_STRLEN];
	const struct system_addr *a;

	if (strcmp(query->in, "self") || addr_is_unspecified(&query->src))
		return true;
	for (size_t i = 0; (a = system_addr_at(d->system, i)); i++) {
		if (addr_equal(&a->prefix.addr, &query->src))
			return true;
	}
	control_fail(
		answer, 2,
		"src: %s is no address of this router; for what it sends itself (in: self) accepted: one of its own, or "
		"%s for the one that it would choose",
		addr_format(&query->src, text), query->src.family == AF_INET6 ? "::" : "0.0.0.0");
	return false;
}

static bool take_numbers(const json_t *request, struct explain_query *query, struct control_answer *answer)
{
	struct {
		const char *key;
		json_int_t max, value;
	} n[] = { { "proto", 255, 0 },
		  { "sport", 65535, 0 },
		  { "dport", 65535, 0 },
		  { "tcp_flags", 255, 0 },
		  { "icmp_type", 255, 0 } };

	for (size_t i = 0; i < sizeof(n) / sizeof(n[0]); i++) {
		n[i].value = json_integer_value(json_object_get(request, n[i].key));
		if (!in_range(n[i].key, n[i].value, n[i].max, answer))
			return false;
	}
	query->proto = n[0].value;
	query->sport = n[1].value;
	query->dport = n[2].value;
	query->tcp_flags = n[3].value;
	query->icmp_type = n[4].value;
	return transport_fits(request, query->proto, answer);
}

static bool take_query(struct daemon *d, const json_t *request, struct explain_query *query,
		       struct control_answer *answer)
{
	const char *command, *src, *dst;
	json_error_t error;
	json_int_t n; /* take_numbers() takes them: here they are only seen to be numbers */

	if (!command_unpacked(json_unpack_ex((json_t *)request, &error, JSON_STRICT,
					     "{s:s,s:s,s:s,s:s,s:I,s?I,s?I,s?I,s?I}", "command", &command, "in",
					     &query->in, "src", &src, "dst", &dst, "proto", &n, "sport", &n, "dport",
					     &n, "tcp_flags", &n, "icmp_type", &n),
			      &error, answer))
		return false;
	if (!take_numbers(request, query, answer) ||
	    (strcmp(query->in, "self") && !command_knows_port(d->apply.running, query->in, answer)))
		return false;
	if (addr_parse(src, &query->src) || addr_parse(dst, &query->dst) || query->src.family != query->dst.family) {
		control_fail(answer, 2, "src and dst: two IPv4 or two IPv6 addresses");
		return false;
	}
	return icmp_fits(query, answer) && source_fits(d, query, answer);
}

static void run_explain(void *arg, const json_t *request, struct control_answer *answer)
{
	struct explain_query query = { 0 };
	struct daemon *d = arg;
	char *why = NULL;

	if (!take_query(d, request, &query, answer))
		return;
	answer->result = datapath_explain(d->datapath, &query, &why);
	if (!answer->result)
		control_fail(answer, 1, "%s", why ? why : "out of memory");
	free(why);
}

/* ---- unload ---- */

static void run_unload(void *arg, const json_t *request, struct control_answer *answer)
{
	struct daemon *d = arg;
	json_t *effects;
	int err;

	if (!command_is_bare(request, answer))
		return;
	effects = unload_effects(d->apply.running);
	err = datapath_unload(d->datapath);
	if (err) {
		control_fail(answer, 1, "not all of it could be taken away: %s; the daemon's log says what, try again",
			     strerror(-err));
		json_decref(effects);
		return;
	}
	journal_write(d->journal, JOURNAL_WARNING, JOURNAL_DAEMON, d->options.instance, "unloaded", NULL,
		      "on request: nothing of it is in the kernel any more");
	d->ending = true;
	answer->result = json_pack("{s:o?}", "no_longer", effects);
	answer->last = true;
}

const struct control_command daemon_commands[] = {
	{ "show", run_show },	    { "status", command_status },   { "apply", run_apply },
	{ "confirm", run_confirm }, { "rollback", run_rollback },   { "explain", run_explain },
	{ "unload", run_unload },   { "log", command_log },	    { "alias", command_alias },
	{ "kill", command_kill },   { "gateway", command_gateway }, { "vip", command_vip },
	{ "sync", command_sync },   { "drill", command_drill },	    { NULL, NULL },
};
