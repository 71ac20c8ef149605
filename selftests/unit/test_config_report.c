/* SPDX-License-Identifier: GPL-2.0-only */
/* Findings: their order, how they are printed, the nearest name. And how much a configuration may hold. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fairlead/limits.h"
#include "fairlead/rules.h"
#include "user/config/config.h"
#include "user/config/report.h"
#include "user/config/suggest.h"

static int load(const char *text, struct config_report *report)
{
	struct config *config = NULL;
	int err = config_load_string(text, strlen(text), &config, report);

	config_free(config);
	return err;
}

/* The report as it is printed, malloc'ed. */
static char *printed(const struct config_report *report, const char *file)
{
	char *text = NULL;
	size_t len;
	FILE *to = open_memstream(&text, &len);

	config_report_print(report, "fairlead", file, to);
	fclose(to);
	return text;
}

Test(config_report, print)
{
	struct config_report report = { .findings = NULL };
	char *text;

	config_report_add(&report, false, "/a/b", "found %d", 5);
	config_report_add(&report, true, "/c", "odd");
	config_report_add(&report, false, "", "all of it");
	config_report_add(&report, false, "line 3, column 7", "no JSON");
	config_report_add(&report, false, "/\n", "\x1b[31m\x7f\xc2\x9b \xc3\xa9");
	cr_expect_eq(report.n_findings, 5u);
	cr_expect_eq(report.n_errors, 4u);
	text = printed(&report, "fw.json");
	cr_expect_str_eq(text, "fairlead: fw.json: /a/b: found 5\n"
			       "fairlead: fw.json: /c: warning: odd\n"
			       "fairlead: fw.json: all of it\n"
			       "fairlead: fw.json: line 3, column 7: no JSON\n"
			       "fairlead: fw.json: /\\x0a: \\x1b[31m\\x7f\\x9b \xc3\xa9\n");
	free(text);
	config_report_free(&report);
	cr_expect_eq(report.n_findings + report.n_errors, 0u);
	config_report_add(&report, false, "/a", "x");
	text = printed(&report, NULL);
	cr_expect_str_eq(text, "fairlead: /a: x\n");
	free(text);
	config_report_free(&report);
}

Test(config_report, json)
{
	struct config_report report = { .findings = NULL };
	json_t *list, *expected;

	config_report_add(&report, true, "/a", "\"x\"\n");
	config_report_add(&report, false, "", "y");
	list = config_report_json(&report);
	expected = json_pack("[{ssssss}{ssssss}]", "severity", "warning", "pointer", "/a", "text", "\"x\"\n",
			     "severity", "error", "pointer", "", "text", "y");
	cr_expect(json_equal(list, expected));
	json_decref(list);
	json_decref(expected);
	config_report_free(&report);
}

Test(config_report, json_of_what_is_no_utf8)
{
	static const char text[] = "{\"a\xff\xfe\": 1}";
	struct config_report report;
	json_t *list;

	cr_expect_eq(load(text, &report), -EINVAL);
	list = config_report_json(&report);
	cr_expect_eq(json_array_size(list), 1u);
	json_decref(list);
	config_report_free(&report);
	config_report_add(&report, false, "", "near '\xc3'");
	cr_expect_str_eq(report.findings[0].text, "near '?'");
	config_report_free(&report);
}

Test(config_report, order_of_the_file)
{
	static const char text[] = "{\"routes\":[{\"destination\":\"::/0\",\"gateway\":\"a\"},{\"destination\":\"x\"}],"
				   "\"zz\":1,\"interfaces\":{\"wan\":{\"device\":\"eth0\",\"q\":1}},"
				   "\"a/~b\":{},\"gateways\":{\"b\":{\"interface\":\"wen\",\"monitor\":false}}}";
	static const char *const expected[] = { "/routes/0/gateway", "/routes/1", "/routes/1/destination", "/zz",
						"/interfaces/wan/q", "/a~1~0b",	  "/gateways/b/interface" };
	struct config_report report;
	size_t i;

	cr_expect_eq(load(text, &report), -EINVAL);
	cr_assert_eq(report.n_findings, 7u);
	for (i = 0; i < 7; i++)
		cr_expect_str_eq(report.findings[i].pointer, expected[i]);
	config_report_free(&report);
}

Test(config_report, pointers_are_escaped)
{
	const struct path object = { .key = "a/b" }, array = { .up = &object, .index = 12 },
			  member = { .up = &array, .key = "~1" };
	char *one = pointer_of_path(&member),
	     *other = pointer_of_parts((const char *const[]){ "a/b", "12", "~1", NULL });
	char *whole = pointer_of_path(NULL);

	cr_expect_str_eq(one, "/a~1b/12/~01");
	cr_expect_str_eq(other, one);
	cr_expect_str_eq(whole, "");
	free(one);
	free(other);
	free(whole);
}

static const char *nearest(const char *given, const char *const *candidates)
{
	struct suggest s = { .given = given };

	for (; *candidates; candidates++)
		suggest_offer(&s, *candidates);
	return s.best ? s.best : "";
}

Test(config_report, suggestions)
{
	static const char *const names[] = { "he0", "ip4m", "wan", "lan", "gateways", "prefix_translations", NULL };
	static const char *const cases[][2] = {
		{ "heo", "he0" },
		{ "he", "he0" },
		{ "LAN", "lan" },
		{ "wna", "wan" },
		{ "aan", "wan" },
		{ "pi4m", "ip4m" },
		{ "gatewys", "gateways" },
		{ "routes", "" },
		{ "prefix-translation", "prefix_translations" },
		{ "x", "" },
		{ "", "" },
		{ "wlan0", "" },
	};
	char longer[200];
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		cr_expect_str_eq(nearest(cases[i][0], names), cases[i][1], "%s", cases[i][0]);
	memset(longer, 'a', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	cr_expect_str_eq(nearest(longer, (const char *const[]){ longer, NULL }), "", "too long to compare");
}

/* ---- limits ---- */

/* A broker with n clients of two prefixes each, and m interfaces. malloc'ed. */
static char *big(unsigned int clients, unsigned int interfaces, unsigned int translations)
{
	const char *sep = "";
	char *text = NULL;
	unsigned int i;
	size_t len;
	FILE *to = open_memstream(&text, &len);

	fputs("{\"interfaces\":{", to);
	for (i = 0; i < interfaces; i++, sep = ",")
		fprintf(to, "%s\"i%u\":{\"device\":\"d%u\"}", sep, i, i);
	fputs("},\"tunnels\":{\"b0\":{\"type\":\"6in4\",\"underlay\":\"i0\",\"local\":\"192.0.2.1\","
	      "\"address\":\"2001:db8::1/32\",\"clients\":{",
	      to);
	for (i = 0, sep = ""; i < clients; i++, sep = ",")
		fprintf(to,
			"%s\"c%u\":{\"remote\":\"10.%u.%u.1\",\"address\":\"2001:db8:1::%x\",\"routes\":[\"2001:db9:%x::/48\"]}",
			sep, i, i >> 8, i & 255, i + 2, i);
	fputs("}}},\"prefix_translations\":[", to);
	for (i = 0, sep = ""; i < translations; i++, sep = ",")
		fprintf(to, "%s{\"interface\":\"i0\",\"internal\":\"fd00:%x::/64\",\"external\":\"2001:dba:%x::/64\"}",
			sep, i, i);
	fputs("]}", to);
	fclose(to);
	return text;
}

/* n rules of both directions, and m destination translations. malloc'ed. */
static char *long_lists(unsigned int rules, unsigned int translations)
{
	char *text = NULL;
	unsigned int i;
	size_t len;
	FILE *to = open_memstream(&text, &len);

	fputs("{\"interfaces\":{\"a\":{\"device\":\"a\"}},\"rules\":[", to);
	for (i = 0; i < rules; i++)
		fprintf(to, "%s{\"name\":\"r%u\",\"action\":\"pass\"}", i ? "," : "", i);
	fputs("],\"nat\":[", to);
	for (i = 0; i < translations; i++)
		fprintf(to, "%s{\"type\":\"dnat\",\"interface\":\"a\",\"translate_to\":\"10.0.0.1\"}", i ? "," : "");
	fputs("]}", to);
	fclose(to);
	return text;
}

static void expect_limit(char *text, const char *error)
{
	struct config_report report;
	int err = load(text, &report);

	cr_expect_eq(report.n_findings, *error ? 1u : 0u);
	cr_expect_eq(err, *error ? -EINVAL : 0);
	if (*error && report.n_findings)
		cr_expect_str_eq(report.findings[0].text, error);
	config_report_free(&report);
	free(text);
}

Test(config_report, limits)
{
	expect_limit(big(FL_ENDPOINTS_MAX / 2 - 1, FL_PORTS_MAX - 3, FL_NPT_MAX / 2 - 1), "");
	expect_limit(big(FL_ENDPOINTS_MAX / 2, 1, 0), "found 16384 remotes and clients; accepted: at most 16383");
	expect_limit(big(1, FL_PORTS_MAX - 2, 0), "found 511 interfaces and tunnels; accepted: at most 510");
	expect_limit(big(1, 1, FL_NPT_MAX / 2), "found 1024; accepted: at most 1023");
	expect_limit(long_lists(FL_RULES_MAX - 2, FL_RULES_MAX - 1), "");
	expect_limit(long_lists(1, FL_RULES_MAX), "found 16384 of destinations; accepted: at most 16383");
}

Test(config_report, limit_of_rules)
{
	struct config_report report;
	char *text = long_lists(FL_RULES_MAX - 1, 0);

	cr_expect_eq(load(text, &report), -EINVAL);
	cr_assert_eq(report.n_findings, 2u);
	cr_expect_str_eq(report.findings[0].text, "found 16383 for direction in; accepted: at most 16382");
	cr_expect_str_eq(report.findings[1].text, "found 16383 for direction out; accepted: at most 16382");
	config_report_free(&report);
	free(text);
}
