// SPDX-License-Identifier: GPL-2.0-only
/* For people. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "user/drill/drill.h"

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static long long number_of(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

static bool has(const json_t *object, const char *key)
{
	return json_is_integer(json_object_get(object, key));
}

static void print_limit(const json_t *result, const char *key, const char *unit)
{
	if (has(result, key))
		printf(" (limit %lld%s)", number_of(result, key), unit);
	putchar('\n');
}

static void print_list(const json_t *result, const char *key, const char *title)
{
	json_t *text;
	size_t i;

	json_array_foreach(json_object_get(result, key), i, text) {
		printf("%-12s %s\n", title, json_string_value(text));
	}
}

static void print_traffic(const json_t *result)
{
	printf("gap          %lld ms", number_of(result, "gap_ms"));
	print_limit(result, "max_gap_ms", " ms");
	if (!json_is_array(json_object_get(result, "series")))
		return;
	printf("probes       %lld sent, %lld lost, %lld late, %lld refused\n", number_of(result, "sent"),
	       number_of(result, "lost"), number_of(result, "late"), number_of(result, "refused"));
	printf("connections  %lld held, %lld lost", number_of(result, "flows_held"), number_of(result, "flows_reset"));
	print_limit(result, "max_lost_flows", "");
	if (number_of(result, "stall_ms"))
		printf("             the longest time that one of them stood still was %lld ms\n",
		       number_of(result, "stall_ms"));
}

static void print_series(const json_t *result)
{
	json_t *s;
	size_t i;

	json_array_foreach(json_object_get(result, "series"), i, s) {
		printf("  %-8s %-28s", text_of(s, "kind"), text_of(s, "to"));
		if (has(s, "flows"))
			printf(" %lld held, %lld lost, stood still for %lld ms\n", number_of(s, "held"),
			       number_of(s, "reset"), number_of(s, "gap_ms"));
		else
			printf(" each %lld ms: %lld sent, %lld lost, gap %lld ms\n", number_of(s, "every_ms"),
			       number_of(s, "sent"), number_of(s, "lost"), number_of(s, "gap_ms"));
	}
}

static void print_nodes(const json_t *result)
{
	printf("two masters  %lld ms; none: %lld ms\n", number_of(result, "dual_master_ms"),
	       number_of(result, "no_master_ms"));
	if (has(result, "taken_over_ms"))
		printf("taken over   after %lld ms\n", number_of(result, "taken_over_ms"));
	if (has(result, "announced_ms"))
		printf("announced    the other node had seen all of it after %lld ms\n",
		       number_of(result, "announced_ms"));
	if (has(result, "leaks"))
		printf("leaks        %lld packets\n", number_of(result, "leaks"));
	printf("restored     %s", json_is_true(json_object_get(result, "restored")) ? "yes" : "no");
	if (has(result, "sync_ms"))
		printf(", all as before %lld ms after the end of it", number_of(result, "sync_ms"));
	putchar('\n');
}

static void print_checks(const json_t *result)
{
	json_t *check;
	size_t i;

	json_array_foreach(json_object_get(result, "checks"), i, check) {
		printf("check        %s: %s%s%s\n", text_of(check, "check"), text_of(check, "result"),
		       *text_of(check, "finding") ? ", " : "", text_of(check, "finding"));
	}
}

void drill_print(const json_t *result)
{
	bool refused = !strcmp(text_of(result, "result"), "refused");

	printf("%s: %s\n", text_of(result, "scenario"), text_of(result, "result"));
	print_list(result, "reasons", refused ? "not begun" : "failed");
	if (refused)
		return;
	printf("node         %s%s%s\n", text_of(result, "victim"), *text_of(result, "from") ? ", measured from " : "",
	       text_of(result, "from"));
	print_traffic(result);
	print_series(result);
	print_nodes(result);
	print_checks(result);
	print_list(result, "notes", "note");
	print_list(result, "hints", "hint");
}
