// SPDX-License-Identifier: GPL-2.0-only
/* What is pushed of a configuration, and what becomes of the receiver's: by hand, and with documents made at random. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "user/config/config.h"
#include "user/sync/config_part.h"

#define ALL ((1u << CONFIG_SECTIONS) - 1)
#define RULES (1u << CONFIG_SECTION_RULES)
#define VIPS (1u << CONFIG_SECTION_VIPS)

/* ' for " */
static json_t *json_of(const char *text)
{
	char *copy = strdup(text);
	json_error_t error;
	json_t *json;

	for (char *p = copy; *p; p++)
		*p = *p == '\'' ? '"' : *p;
	json = json_loads(copy, JSON_DECODE_ANY, &error);
	cr_assert(json, "%s: %s", error.text, copy);
	free(copy);
	return json;
}

/* In their order, too */
static void expect_same(const json_t *json, const char *text)
{
	json_t *want = json_of(text);
	char *a = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY),
	     *b = json_dumps(want, JSON_COMPACT | JSON_ENCODE_ANY);

	cr_expect_str_eq(a, b);
	free(a);
	free(b);
	json_decref(want);
}

static void expect_merged(const char *own, const char *primary, uint32_t sections, const char *want)
{
	json_t *a = json_of(own), *b = json_of(primary), *part = config_part_of(b, sections);
	json_t *merged = config_part_merge(a, part), *again = config_part_merge(merged, part);

	cr_expect_null(config_part_fault(part));
	expect_same(merged, want);
	expect_same(again, want);
	cr_expect(config_part_is_in(merged, part));
	json_decref(again);
	json_decref(merged);
	json_decref(part);
	json_decref(b);
	json_decref(a);
}

Test(config_part, what_is_pushed)
{
	json_t *document =
		json_of("{'node':{'name':'a'},'interfaces':{'wan':{'device':'eth0'}},'description':'of a',"
			"'rules':[{'name':'1'},{'name':'2','sync':false},{'name':'3','sync':true}],'nat':[],"
			"'vips':{'x':{'vhid':1,'advskew':7},'y':{'vhid':2,'sync':false},'z':{'vhid':3}},"
			"'default_action':'block','aliases':{'a':[1]},'ha':{'port':1},'optimization':'normal'}");
	json_t *all = config_part_of(document, ALL), *rules = config_part_of(document, RULES);

	expect_same(json_object_get(all, "config"),
		    "{'aliases':{'a':[1]},'default_action':'block','rules':[{'name':'1'},{'name':'3','sync':true}],"
		    "'vips':{'x':{'vhid':1},'z':{'vhid':3}},'optimization':'normal'}");
	expect_same(rules, "{'sections':['rules'],'config':{'rules':[{'name':'1'},{'name':'3','sync':true}]}}");
	cr_expect_eq(config_part_sections(all), ALL);
	cr_expect_eq(config_part_sections(rules), RULES);
	json_decref(all);
	json_decref(rules);
	json_decref(document);
}

Test(config_part, node_local_values_stay)
{
	expect_merged(
		"{'node':{'name':'b'},'rules':[{'name':'old'}],'vips':{'x':{'vhid':9,'advskew':100}},'ha':{'port':2}}",
		"{'node':{'name':'a'},'rules':[{'name':'new'}],'vips':{'x':{'vhid':1,'advskew':0},'y':{'vhid':2}},"
		"'ha':{'port':1},'interfaces':{}}",
		ALL,
		"{'node':{'name':'b'},'rules':[{'name':'new'}],'vips':{'x':{'vhid':1,'advskew':100},'y':{'vhid':2}},"
		"'ha':{'port':2}}");
}

Test(config_part, only_the_sections)
{
	expect_merged("{'rules':[{'name':'old'}],'nat':[{'type':'snat'}],'optimization':'aggressive'}",
		      "{'rules':[{'name':'new'}],'nat':[{'type':'dnat'}]}", RULES,
		      "{'rules':[{'name':'new'}],'nat':[{'type':'snat'}],'optimization':'aggressive'}");
	expect_merged("{'rules':[{'name':'old'}],'optimization':'aggressive'}", "{}", ALL, "{}");
	expect_merged("{'default_action':'block'}", "{'default_action':{'in':'pass'}}", ALL,
		      "{'default_action':{'in':'pass'}}");
	expect_merged("{'limits':{'states':1,'x':2}}", "{'limits':{'states':3}}", ALL, "{'limits':{'states':3}}");
}

Test(config_part, own_items_stay_at_their_place)
{
	expect_merged(
		"{'rules':[{'name':'top','sync':false},{'name':'1'},{'name':'mine','sync':false},"
		"{'name':'mine too','sync':false},{'name':'2'},{'name':'gone'},{'name':'last','sync':false}]}",
		"{'rules':[{'name':'0'},{'name':'1','log':true},{'name':'2'},{'name':'theirs','sync':false},{'name':'3'}]}",
		RULES,
		"{'rules':[{'name':'top','sync':false},{'name':'0'},{'name':'1','log':true},"
		"{'name':'mine','sync':false},{'name':'mine too','sync':false},{'name':'2'},"
		"{'name':'last','sync':false},{'name':'3'}]}");
	expect_merged("{'nat':[{'a':1},{'a':2},{'own':1,'sync':false},{'a':3}]}",
		      "{'nat':[{'a':3},{'a':2},{'a':1},{'a':4}]}", ALL,
		      "{'nat':[{'a':3},{'a':2},{'own':1,'sync':false},{'a':1},{'a':4}]}");
	expect_merged("{'vips':{'x':{'vhid':1},'own':{'sync':false},'y':{'vhid':2}}}", "{'vips':{'y':{'vhid':2}}}",
		      VIPS, "{'vips':{'own':{'sync':false},'y':{'vhid':2}}}");
	expect_merged("{'rules':[{'name':'own','sync':false}]}", "{}", ALL, "{'rules':[{'name':'own','sync':false}]}");
}

/* What has a pushed one's name is that one, of one's own. */
Test(config_part, own_items_come_before_pushed_ones_of_their_name)
{
	expect_merged("{'gateways':{'g':{'address':'192.0.2.1','sync':false}}}",
		      "{'gateways':{'f':{'address':'192.0.2.8'},'g':{'address':'192.0.2.9'}}}", ALL,
		      "{'gateways':{'f':{'address':'192.0.2.8'},'g':{'address':'192.0.2.1','sync':false}}}");
	expect_merged("{'rules':[{'name':'x'},{'name':'b','log':true,'sync':false}]}",
		      "{'rules':[{'name':'a'},{'name':'b'},{'name':'x'}]}", RULES,
		      "{'rules':[{'name':'a'},{'name':'b','log':true,'sync':false},{'name':'x'}]}");
}

static bool same_hash(const char *one, const char *other, uint32_t sections)
{
	json_t *a = json_of(one), *b = json_of(other);
	json_t *x = config_part_of(a, sections), *y = config_part_of(b, sections);
	char of_a[CONFIG_PART_HASH], of_b[CONFIG_PART_HASH];

	config_part_hash(x, of_a);
	config_part_hash(y, of_b);
	cr_expect_eq(strlen(of_a), 64u);
	json_decref(x);
	json_decref(y);
	json_decref(a);
	json_decref(b);
	return !strcmp(of_a, of_b);
}

Test(config_part, hash)
{
	cr_expect(same_hash("{'node':{'name':'a'},'nat':[{'type':'snat','x':0.1}],'rules':[]}",
			    "{'nat':[{'x':1e-1,'type':'snat'}],'node':{'name':'b'}}", ALL),
		  "neither spaces nor the order of an item's keys");
	cr_expect(same_hash("{'vips':{'x':{'advskew':1}}}", "{'vips':{'x':{}}}", ALL));
	cr_expect(same_hash("{'rules':[{'name':'a'}],'nat':[1]}", "{'rules':[{'name':'a'}],'nat':[2]}", RULES));
	cr_expect_not(same_hash("{'rules':[{'name':'a'},{'name':'b'}]}", "{'rules':[{'name':'b'},{'name':'a'}]}", ALL));
	cr_expect_not(same_hash("{'gateways':{'a':{},'b':{}}}", "{'gateways':{'b':{},'a':{}}}", ALL));
	cr_expect_not(same_hash("{'aliases':{'a':[1,2]}}", "{'aliases':{'a':[2,1]}}", ALL));
}

Test(config_part, faults)
{
	static const char *const wrong[] = {
		"{}",
		"[]",
		"{'sections':[],'config':[]}",
		"{'sections':['interfaces'],'config':{}}",
		"{'sections':[7],'config':{}}",
		"{'sections':['rules'],'config':{'rules':[],'nat':[]}}",
		"{'sections':['rules'],'config':{'node':{}}}",
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		json_t *part = json_of(wrong[i]);

		cr_expect_not_null(config_part_fault(part), "%s", wrong[i]);
		json_decref(part);
	}
}

static void expect_pointer(const json_t *from, const json_t *to, const char *pointer, const char *want)
{
	char *got = config_part_pointer(pointer, from, to);

	if (want)
		cr_expect_str_eq(got, want);
	else
		cr_expect_null(got);
	free(got);
}

/* Of the receiver's finding: where that is in the primary's file. */
Test(config_part, pointers)
{
	json_t *own = json_of("{'rules':[{'name':'mine','sync':false},{'name':'0'}]}");
	json_t *primary =
		json_of("{'rules':[{'name':'skipped','sync':false},{'name':'0'},{'name':'1'}],'vips':{'x':{}}}");
	json_t *part = config_part_of(primary, ALL), *merged = config_part_merge(own, part);
	const json_t *config = json_object_get(part, "config");

	expect_pointer(merged, config, "/rules/2/interface/0", "/rules/1/interface/0");
	expect_pointer(config, primary, "/rules/1/interface/0", "/rules/2/interface/0");
	expect_pointer(merged, config, "/rules/1", "/rules/0");
	expect_pointer(merged, config, "/rules/0/name", NULL);
	expect_pointer(merged, config, "/rules/9", NULL);
	expect_pointer(merged, config, "/vips/x/address", "/vips/x/address");
	expect_pointer(merged, config, "", "");
	expect_pointer(merged, config, "/rules", "/rules");
	json_decref(merged);
	json_decref(part);
	json_decref(own);
	json_decref(primary);
}

Test(config_part, text)
{
	json_t *document =
		json_of("{'node':{'name':'a'},'rules':[{'name':'1','log':true},{'name':'2'}],'aliases':{'a':[1,2]},"
			"'gateways':{'g':{'monitor':{'loss_pct':[0.1,20]}}}}");
	char *text = config_part_text(document);

	cr_expect_str_eq(text, "{\n"
			       "  \"node\": {\"name\": \"a\"},\n"
			       "  \"rules\": [\n"
			       "    {\"name\": \"1\", \"log\": true},\n"
			       "    {\"name\": \"2\"}\n"
			       "  ],\n"
			       "  \"aliases\": {\"a\": [1, 2]},\n"
			       "  \"gateways\": {\n"
			       "    \"g\": {\"monitor\": {\"loss_pct\": [0.1, 20]}}\n"
			       "  }\n"
			       "}\n");
	free(text);
	json_decref(document);
}

/* ---- at random ---- */

static unsigned int seed;

static unsigned int below(unsigned int n)
{
	seed = seed * 1103515245 + 12345;
	return (seed >> 16) % n;
}

static json_t *random_item(const char *name, bool local)
{
	json_t *item = name ? json_pack("{s:s}", "name", name) : json_object();

	json_object_set_new(item, "n", json_integer(below(5)));
	if (!below(3))
		json_object_set_new(item, "x", json_real(below(1000) / 7.0));
	if (!below(3))
		json_object_set_new(item, "advskew", json_integer(below(254)));
	if (local)
		json_object_set_new(item, "sync", json_false());
	else if (!below(4))
		json_object_set_new(item, "sync", json_true());
	return item;
}

static json_t *random_items(const char *node, bool named, bool array)
{
	json_t *out = array ? json_array() : json_object();
	unsigned int n = below(8);

	for (unsigned int i = 0; i < n; i++) {
		bool local = !below(3);
		char name[16];

		snprintf(name, sizeof(name), "%s%u", local ? node : "", below(12));
		if (array)
			json_array_append_new(out, random_item(named ? name : NULL, local));
		else
			json_object_set_new(out, name, random_item(NULL, local));
	}
	return out;
}

/* Of what can be: rules of one name can't. */
static bool has_twins(const json_t *array)
{
	json_t *names = json_object(), *item;
	bool twins;
	size_t i;

	json_array_foreach(array, i, item)
		json_object_set(names, json_string_value(json_object_get(item, "name")), item);
	twins = json_object_size(names) != json_array_size(array);
	json_decref(names);
	return twins;
}

static json_t *random_document(const char *node)
{
	json_t *document = json_pack("{s:{s:s}}", "node", "name", node), *rules;

	do
		rules = random_items(node, true, true);
	while (has_twins(rules) && (json_decref(rules), true));
	if (below(5))
		json_object_set(document, "rules", rules);
	json_decref(rules);
	if (below(5))
		json_object_set_new(document, "nat", random_items(node, false, true));
	if (below(5))
		json_object_set_new(document, "vips", random_items(node, false, false));
	if (below(5))
		json_object_set_new(document, "gateways", random_items(node, false, false));
	if (below(2))
		json_object_set_new(document, "optimization", json_string(below(2) ? "normal" : "aggressive"));
	return document;
}

static bool has_item(const json_t *array, const json_t *item)
{
	json_t *other;
	size_t i;

	json_array_foreach(array, i, other) {
		if (json_equal(item, other))
			return true;
	}
	return false;
}

static void expect_local_ones(const json_t *merged, const json_t *own, const char *section)
{
	json_t *item;
	size_t i, n = 0;

	json_array_foreach(json_object_get(own, section), i, item) {
		if (!json_is_false(json_object_get(item, "sync")))
			continue;
		cr_expect(has_item(json_object_get(merged, section), item));
		n++;
	}
	json_array_foreach(json_object_get(merged, section), i, item)
		n -= json_is_false(json_object_get(item, "sync"));
	cr_expect_eq(n, 0u);
}

Test(config_part, merged_at_random)
{
	for (seed = 1; seed < 1000; seed++) {
		unsigned int keep = seed, sections = below(4) ? ALL : below(ALL + 1);
		json_t *primary = random_document("a"), *own = random_document("b");
		json_t *part = config_part_of(primary, sections), *merged = config_part_merge(own, part);
		char *text = config_part_text(merged);
		json_t *read = json_loads(text, JSON_REJECT_DUPLICATES, NULL), *back;
		char pushed[CONFIG_PART_HASH], got[CONFIG_PART_HASH];

		cr_assert(json_equal(read, merged) || strstr(text, "."), "%s", text);
		back = config_part_of(read, sections);
		config_part_hash(part, pushed);
		config_part_hash(back, got);
		cr_expect_str_eq(pushed, got, "seed %u", keep);
		cr_expect(config_part_is_in(read, part), "seed %u", keep);
		expect_local_ones(merged, own, "rules");
		expect_local_ones(merged, own, "nat");
		cr_expect(json_equal(json_object_get(merged, "node"), json_object_get(own, "node")));
		json_decref(back);
		json_decref(read);
		free(text);
		json_decref(merged);
		json_decref(part);
		json_decref(own);
		json_decref(primary);
		seed = keep;
	}
}
