// SPDX-License-Identifier: GPL-2.0-only
/* fairlead drill without a network: what follows from a configuration, from two nodes' events, and from what a probe has seen. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "user/drill/drill.h"

/* ---- plans ---- */

#define PAIR \
	"'interfaces':{'wan':{'device':'eth0'},'lan':{'device':'eth1'},'dmz':{'device':'eth2'},'sync':{'device':'eth3'}," \
	"'lte':{'device':'eth4'},'vpn':{'device':'tun0'}}," \
	"'gateways':{'ISP':{'interface':'wan','address':'203.0.113.254'},'LTE':{'interface':'lte','address':'192.0.2.254'}," \
	"'VPN':{'interface':'vpn','monitor':false}}," \
	"'gateway_groups':{'OUT':{'members':[{'gateway':'LTE','tier':2},{'gateway':'ISP','tier':1}]}}," \
	"'routes':[{'destination':'0.0.0.0/0','gateway':'OUT'}]," \
	"'vips':{'wan_vip':{'interface':'wan','address':'203.0.113.1/24','vhid':1,'password_file':'/k'}," \
	"'lan_vip':{'interface':'lan','address':'10.0.1.1/24','vhid':2,'password_file':'/k'}}," \
	"'ha':{'interface':'sync','local':'172.16.255.1','peers':['172.16.255.2'],'key_file':'/k'}"

static struct config *load(const char *text)
{
	struct config_report report;
	struct config *config = NULL;
	char *json = strdup(text);

	for (char *c = json; *c; c++)
		*c = *c == '\'' ? '"' : *c;
	config_load_string(json, strlen(json), &config, &report);
	cr_assert(config, "%s", report.n_findings ? report.findings[0].text : "");
	config_report_free(&report);
	free(json);
	return config;
}

static void expect_target(const struct config *config, const char *scenario, const char *wanted, const char *want)
{
	char *why = NULL, *got;
	json_t *targets = drill_choose(config, drill_find(scenario), wanted, &why);

	got = targets ? json_dumps(targets, JSON_COMPACT) : why ? strdup(why) : NULL;
	cr_assert(got, "%s", scenario);
	cr_expect_str_eq(got, want, "%s: %s", scenario, got);
	json_decref(targets);
	free(got);
	free(why);
}

Test(drill, chooses_what_it_happens_to)
{
	struct config *config = load("{" PAIR ",'rules':[{'name':'vpn','action':'pass','route_to':'VPN'}]}");

	expect_target(config, "maintenance", NULL, "[]");
	expect_target(config, "power", NULL, "[\"wan\",\"lan\",\"dmz\",\"sync\",\"lte\",\"vpn\"]");
	expect_target(config, "lan-link", NULL, "[\"lan\"]");
	expect_target(config, "lan-link", "dmz", "[\"dmz\"]");
	expect_target(config, "wan-link", NULL, "[\"wan\"]");
	expect_target(config, "sync-link", NULL, "[\"sync\"]");
	expect_target(config, "gateway-down", NULL, "[\"ISP\"]");
	expect_target(config, "vpn-down", NULL, "[\"VPN\"]");
	expect_target(config, "vpn-down", "VPN", "[\"VPN\"]");
	expect_target(config, "vpn-down", "ISP", "no rule sends to ISP (route_to), so nothing of it could leak");
	expect_target(config, "vpn-down", "VPM", "no gateway is named \"VPM\"; did you mean \"VPN\"?");
	expect_target(config, "gateway-down", "ISB", "no gateway is named \"ISB\"; did you mean \"ISP\"?");
	expect_target(config, "power", "lan", "power takes no --target");
	config_free(config);
}

Test(drill, says_what_it_can_t_choose)
{
	struct config *config =
		load("{'interfaces':{'wan':{'device':'eth0'}},'gateways':{'a':{'interface':'wan','address':"
		     "'192.0.2.1'},'b':{'interface':'wan','address':'192.0.2.2'}},'rules':["
		     "{'name':'one','action':'pass','route_to':'a'},{'name':'two','action':'pass','route_to':'b'}]}");

	expect_target(config, "lan-link", NULL,
		      "no interface without a gateway has shared addresses; name one by --target");
	expect_target(config, "gateway-down", NULL,
		      "no group of gateways is there, so that nothing takes the place of one; name it by --target");
	expect_target(config, "vpn-down", NULL, "rules send to several gateways; name the VPN's by --target");
	config_free(config);
}

Test(drill, lasts_longer_than_a_takeover)
{
	struct config *config = load("{" PAIR "}"), *fast;

	cr_expect_geq(drill_patience_ms(config), 3 * 1000 + 254 * 1000 / 256);
	cr_expect_leq(drill_patience_ms(config), 4100);
	cr_expect_gt(drill_hold_ms(config, drill_find("kill-daemon")), drill_patience_ms(config));
	/* two masters are a split brain when they were it for two intervals, the worst node's */
	cr_expect_gt(drill_hold_ms(config, drill_find("split-brain")),
		     drill_patience_ms(config) + 2 * (1000 + 254 * 1000 / 256));
	fast = load(
		"{'interfaces':{'lan':{'device':'eth1'}},'vips':{'v':{'interface':'lan','address':'10.0.1.1/24','vhid':2,"
		"'fast_ms':10,'password_file':'/k'}}}");
	cr_expect_leq(drill_patience_ms(fast), 45);
	cr_expect_eq(drill_interval_ms(fast), 11);
	config_free(config);
	config_free(fast);
}

Test(drill, has_what_was_asked_for)
{
	static const char *const names[] = { "maintenance", "kill-daemon", "power",	   "lan-link",
					     "wan-link",    "sync-link",   "gateway-down", "vpn-down",
					     "split-brain", "failback",	   "alert" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		cr_expect(drill_find(names[i]), "%s", names[i]);
	cr_expect_not(drill_find("maintenence"));
}

/* ---- two nodes' events ---- */

#define ROLE(at, name, from, to) "{'time_ms':" #at ",'kind':'vip','name':'" name "','event':'" from " -> " to "'}"
#define STARTED(at) "{'time_ms':" #at ",'kind':'daemon','name':'default','event':'started'}"

static json_t *parse(const char *text)
{
	char *json = strdup(text);
	json_t *value;

	for (char *c = json; *c; c++)
		*c = *c == '\'' ? '"' : *c;
	value = json_loads(json, 0, NULL);
	cr_assert(value, "%s", json);
	free(json);
	return value;
}

struct owned_case {
	const char *self, *peer; /* events */
	long long offset_ms, died_ms;
	long long two_ms, two_after_ms, none_ms, none_after_ms, taken_ms;
};

/* This node has both from the beginning, at 1000; the fault comes at 2000 and ends at 5000. The end is at 9000. */
static void expect_owned(const struct owned_case *c)
{
	json_t *self = parse(c->self), *peer = parse(c->peer);
	const struct drill_node nodes[DRILL_NODES] = {
		{ .roles_before = parse("{'l':'master','w':'master'}"), .events = self, .died_ms = c->died_ms },
		{ .roles_before = parse("{'l':'backup','w':'backup'}"), .events = peer, .offset_ms = c->offset_ms },
	};
	const struct drill_window window = { 1000, 9000 };
	struct drill_owned out;

	drill_timeline(nodes, &window, 2000, 5000, DRILL_SELF, &out);
	cr_expect_eq(out.two_ms, c->two_ms, "two: %lld", out.two_ms);
	cr_expect_eq(out.two_after_ms, c->two_after_ms, "two, after: %lld", out.two_after_ms);
	cr_expect_eq(out.none_ms, c->none_ms, "none: %lld", out.none_ms);
	cr_expect_eq(out.none_after_ms, c->none_after_ms, "none, after: %lld", out.none_after_ms);
	cr_expect_eq(out.taken_ms, c->taken_ms, "taken: %lld", out.taken_ms);
	json_decref(nodes[0].roles_before);
	json_decref(nodes[1].roles_before);
	json_decref(self);
	json_decref(peer);
}

Test(drill, knows_who_had_what)
{
	static const struct owned_case cases[] = {
		{ "[]", "[]", .taken_ms = -1 },
		/* handed over, and back; the other node's clock is 100 s ahead */
		{ "[" ROLE(2001, "l", "master", "backup") "," ROLE(2003, "w", "master", "backup") "," ROLE(
			  5500, "l", "backup", "master") "," ROLE(5500, "w", "backup", "master") "]",
		  "[" ROLE(102002, "l", "backup", "master") "," ROLE(102002, "w", "backup", "master") "," ROLE(
			  105501, "l", "master", "backup") "," ROLE(105502, "w", "master", "backup") "]",
		  .offset_ms = 100000, .two_ms = 2, .two_after_ms = 2, .none_ms = 1, .taken_ms = 2 },
		/* killed, and it comes back */
		{ "[" STARTED(5100) "," ROLE(5110, "l", "init", "backup") "," ROLE(
			  5110, "w", "init", "backup") "," ROLE(6000, "l", "backup",
								"master") "," ROLE(6000, "w", "backup", "master") "]",
		  "[" ROLE(2200, "l", "backup", "master") "," ROLE(2300, "w", "backup", "master") "," ROLE(
			  6000, "l", "master", "backup") "," ROLE(5900, "w", "master", "backup") "]",
		  .died_ms = 2000, .none_ms = 300, .none_after_ms = 100, .taken_ms = 300 },
		/* a split brain that goes on for a while after both could hear each other again */
		{ "[]", "[" ROLE(2500, "l", "backup", "master") "," ROLE(5300, "l", "master", "backup") "]",
		  .two_ms = 2800, .two_after_ms = 300, .taken_ms = 500 },
		/* an event from before, and of something else */
		{ "[" ROLE(900, "l", "master",
			   "backup") ",{'time_ms':2000,'kind':'gateway','name':'l','event':'up -> down'}]",
		  "[]", .taken_ms = -1 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		expect_owned(&cases[i]);
}

/* ---- judgements ---- */

#define PING(lost, gap) "{'kind':'ping','to':'10.0.1.1','every_ms':10,'sent':100,'lost':" #lost ",'gaps':[" gap "]}"
#define TARGET(gap) \
	"{'kind':'ping','to':'198.51.100.1','every_ms':10,'sent':100,'lost':50,'target':true,'gaps':[" gap "]}"
#define FLOW(held, reset, stall) \
	"{'kind':'flow','to':'198.51.100.1:443','flows':4,'held':" #held ",'reset':" #reset \
	",'gaps':[[1,9],[1500," #stall "]]}"

struct judge_case {
	const char *scenario, *series;
	struct drill_owned owned;
	json_int_t leaks;
	bool told_of_two, broken;
	long long seen_ms;
	json_int_t gap_ms;
	const char *reason; /* NULL: passed */
};

static void expect_judgement(const struct judge_case *c)
{
	json_t *probe = c->series ? json_pack("{s:o}", "series", parse(c->series)) : NULL;
	struct drill_measured m = { .scenario = drill_find(c->scenario),
				    .limits = { 200, 0 },
				    .interval_ms = 50,
				    .probe = probe,
				    .probe_fault_ms = 1000,
				    .probe_healed_ms = 3000,
				    .owned = c->owned,
				    .leaks = c->leaks,
				    .seen_ms = c->seen_ms,
				    .told_of_two = c->told_of_two,
				    .restored = !c->broken,
				    .preempt = true,
				    .reasons = json_array(),
				    .hints = json_array(),
				    .notes = json_array(),
				    .checks = json_array() };
	json_t *result = drill_judge(&m), *first = json_array_get(m.reasons, 0);

	cr_assert(result);
	cr_expect_str_eq(json_string_value(json_object_get(result, "result")), c->reason ? "failed" : "passed", "%s",
			 c->scenario);
	cr_expect_eq(json_integer_value(json_object_get(result, "gap_ms")), c->gap_ms, "%s: %lld", c->scenario,
		     json_integer_value(json_object_get(result, "gap_ms")));
	cr_expect(!c->reason == !first && (!first || strstr(json_string_value(first), c->reason)), "%s: %s",
		  c->scenario, first ? json_string_value(first) : "no reason");
	json_decref(result);
	json_decref(probe);
	json_decref(m.reasons);
	json_decref(m.hints);
	json_decref(m.notes);
	json_decref(m.checks);
}

/* ---- hints ---- */

#define ALL_LATE "look at announcements"
#define SOME_LATE "others did not wait"

struct hint_case {
	const char *scenario, *series, *hint; /* NULL: none */
};

static void expect_hint(const struct hint_case *c)
{
	json_t *probe = json_pack("{s:o}", "series", parse(c->series)), *hint;
	struct drill_measured m = { .scenario = drill_find(c->scenario),
				    .limits = { CONFIG_NO_LIMIT, CONFIG_NO_LIMIT },
				    .interval_ms = 50,
				    .probe = probe,
				    .probe_fault_ms = 1000,
				    .probe_healed_ms = 3000,
				    .owned = { .none_ms = 40 },
				    .leaks = -1,
				    .restored = true,
				    .preempt = true,
				    .reasons = json_array(),
				    .hints = json_array(),
				    .notes = json_array(),
				    .checks = json_array() };
	json_t *result = drill_judge(&m);
	const char *found = NULL;
	size_t i;

	json_array_foreach(m.hints, i, hint) {
		if (strstr(json_string_value(hint), ALL_LATE) || strstr(json_string_value(hint), SOME_LATE))
			found = json_string_value(hint);
	}
	cr_expect(!c->hint == !found && (!found || strstr(found, c->hint)), "%s %s: %s", c->scenario, c->series,
		  found ? found : "no hint");
	json_decref(result);
	json_decref(probe);
	json_decref(m.reasons);
	json_decref(m.hints);
	json_decref(m.notes);
	json_decref(m.checks);
}

/* A switch that has not learned holds back all that goes by it; a VPN that begins anew, only what goes by the VPN. */
Test(drill, tells_a_switch_from_what_is_behind)
{
	static const struct hint_case cases[] = {
		{ "maintenance", "[" PING(3, "[1100,60]") "," TARGET("[1100,60]") "]", NULL },
		{ "maintenance", "[" PING(90, "[1100,900]") "," TARGET("[1100,900]") "]", ALL_LATE },
		/* one of the shared addresses: its segment's switch */
		{ "maintenance", "[" PING(0, "") "," PING(90, "[1100,900]") "," TARGET("[1100,60]") "]", ALL_LATE },
		{ "maintenance", "[" PING(1, "[1100,9]") "," TARGET("[1100,900]") "]", SOME_LATE },
		{ "maintenance", "[" PING(1, "[1100,9]") "," TARGET("[1100,900]") "]", "198.51.100.1" },
		/* what was asked only by the shared addresses' way: nothing tells the two apart */
		{ "maintenance", "[" TARGET("[1100,900]") "]", ALL_LATE },
		{ "maintenance", "[" TARGET("[1100,60]") "," TARGET("[1100,900]") "]", SOME_LATE },
		{ "failback", "[" PING(1, "[1100,9]") "," TARGET("[1100,900]") "]", NULL },
		{ "failback", "[" PING(1, "[3100,9]") "," TARGET("[3100,900]") "]", SOME_LATE },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		expect_hint(&cases[i]);
}

Test(drill, judges)
{
	static const struct judge_case cases[] = {
		{ "maintenance", "[" PING(3, "[1100,30]") "," FLOW(4, 0, 60) "]", .gap_ms = 30, .leaks = -1 },
		{ "maintenance", "[" PING(30, "[1100,30],[1500,300]") "]", .gap_ms = 300, .leaks = -1,
		  .reason = "gap of 300 ms" },
		{ "maintenance", "[" PING(0, "") "," FLOW(3, 1, 60) "]", .leaks = -1,
		  .reason = "1 connections were lost" },
		{ "maintenance", "[" PING(0, "") "," FLOW(4, 0, 2000) "]", .leaks = -1,
		  .reason = "stood still for 2000 ms" },
		{ "maintenance", "[" PING(0, "") "]", .owned = { .taken_ms = -1 }, .leaks = -1,
		  .reason = "not all addresses" },
		{ "maintenance", "[" PING(0, "") "]", .owned = { .two_ms = 151 }, .leaks = -1,
		  .reason = "two masters for 151 ms" },
		{ "maintenance", "[" PING(0, "") "]", .leaks = -1, .broken = true, .reason = "not all is as it was" },
		{ "maintenance", "[" PING(0, "") "]", .leaks = -1, .seen_ms = 2100,
		  .reason = "has seen where the addresses are" },
		{ "maintenance", NULL, .owned = { .none_ms = 90 }, .leaks = -1, .gap_ms = 90 },
		{ "standby", "[" PING(0, "") "]", .leaks = -1, .reason = "had no reason to" },
		{ "standby", "[" PING(0, "") "]", .owned = { .taken_ms = -1 }, .leaks = -1 },
		/* of a failback only what comes after counts */
		{ "failback", "[" PING(50, "[1100,900],[3100,20]") "]", .gap_ms = 20, .leaks = -1 },
		{ "split-brain", "[" PING(0, "") "]", .owned = { .two_ms = 2000, .two_after_ms = 20 }, .leaks = -1,
		  .told_of_two = true },
		{ "split-brain", "[" PING(0, "") "]", .owned = { .two_ms = 2000, .two_after_ms = 20 }, .leaks = -1,
		  .reason = "no event names" },
		{ "split-brain", "[" PING(0, "") "]", .leaks = -1, .reason = "has not come about" },
		{ "split-brain", "[" PING(0, "") "]", .owned = { .two_ms = 2000, .two_after_ms = 400 }, .leaks = -1,
		  .told_of_two = true, .reason = "after both could hear" },
		{ "kill-daemon", "[" PING(0, "") "]", .leaks = -1, .told_of_two = true,
		  .reason = "tells of a split brain" },
		/* what must not go out in clear text is blocked */
		{ "vpn-down", "[" PING(0, "") "," TARGET("[1100,5000]") "," FLOW(0, 4, 60) "]", .leaks = 0 },
		{ "vpn-down", "[" PING(0, "") "]", .leaks = 3, .reason = "3 packets have left in clear text" },
		{ "vpn-down", "[" PING(0, "") "]", .leaks = -1, .reason = "nothing is known of leaks" },
		{ "gateway-down", "[" TARGET("[1100,500]") "]", .leaks = -1, .gap_ms = 500, .reason = "gap of 500 ms" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		expect_judgement(&cases[i]);
}
