/* SPDX-License-Identifier: GPL-2.0-only */
/* The table of rules: what is in it, how big it gets, and what is done at its places. Whether it finds the right ones: selftests/rules. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "selftests/unit/config_of.h"
#include "user/policy/policy.h"

#define NETWORK \
	"'interfaces':{'wan':{'device':'eth0'},'lan':{'device':'eth1'}},'gateways':{'isp_gw':{'interface':'wan'," \
	"'address':'203.0.113.1'},'link_gw':{'interface':'wan','monitor':false}}"
#define RULES(rules) "{" NETWORK ",'rules':[" rules "]}"
#define NAT(nat) "{" NETWORK ",'nat':[" nat "]}"

/* One configuration, compiled. */
struct compiled {
	struct config *config;
	struct policy_port ports[2];
	struct prefix addresses[2];
	struct policy_via gateway;
	struct policy_facts facts;
	struct policy_ids *ids;
	struct policy *policy;
	const struct fl_table *head;
};

static int try_compile(struct compiled *c, const char *quoted, struct policy_ids *ids, char **why)
{
	*c = (struct compiled){ .config = config_of(quoted), .ids = ids ? ids : policy_ids_new() };
	cr_assert_eq(prefix_parse("203.0.113.2/24", &c->addresses[0]), 0);
	cr_assert_eq(prefix_parse("192.0.2.1/24", &c->addresses[1]), 0);
	c->ports[0] = (struct policy_port){ &c->config->interfaces[0], NULL, 1, &c->addresses[0], 1 };
	c->ports[1] = (struct policy_port){ &c->config->interfaces[1], NULL, 2, &c->addresses[1], 1 };
	c->gateway = (struct policy_via){ { c->config->gateways, NULL }, 9, FL_BOTH };
	c->facts = (struct policy_facts){ .ports = c->ports, .n_ports = 2, .vias = &c->gateway, .n_vias = 1 };
	*why = NULL;
	return policy_compile(c->config, &c->facts, c->ids, &c->policy, why);
}

static void compile_with(struct compiled *c, const char *quoted, struct policy_ids *ids)
{
	char *why;

	cr_assert_eq(try_compile(c, quoted, ids, &why), 0, "%s", why);
	c->head = (const struct fl_table *)c->policy->table;
}

/* Keeps the ids where others have them, too. */
static void release(struct compiled *c, bool ids)
{
	policy_destroy(c->policy);
	config_free(c->config);
	if (ids)
		policy_ids_free(c->ids);
}

/* ---- addresses ---- */

/* The class of an address, by looking at one end after the other. */
static uint32_t find(const struct compiled *c, const struct fl_tree *tree, uint64_t x, bool six)
{
	const uint8_t *ends = c->policy->table + tree->level[tree->levels - 1];
	size_t i = 0;

	while ((six ? ((const uint64_t *)ends)[i] : ((const uint32_t *)ends)[i]) < x)
		i++;
	return ((const uint32_t *)(c->policy->table + tree->refs))[i];
}

static uint32_t class_of(const struct compiled *c, enum fl_dim dim, const char *text)
{
	struct addr a;
	union fl_addr m;
	uint32_t ref;

	cr_assert_eq(addr_parse(text, &a), 0);
	m = addr_to_map(&a);
	if (a.family == AF_INET)
		return find(c, &c->head->tree[dim][0], ntohl(m.w[3]), false);
	ref = find(c, &c->head->tree[dim][1], be64toh(m.q[0]), true);
	if (!(ref & FL_REF_CHILD))
		return ref;
	return find(c, (const struct fl_tree *)(c->policy->table + (size_t)(ref & ~FL_REF_CHILD) * FL_LINE_SIZE),
		    be64toh(m.q[1]), true);
}

/* Does the rule at that place of IN fit? */
static bool fits(const struct compiled *c, enum fl_dim dim, uint32_t class, uint32_t place)
{
	const struct fl_row *row =
		(const struct fl_row *)(c->policy->table + c->head->row[dim] + ((size_t) class << c->head->row_shift));
	const uint64_t *line = (const uint64_t *)(c->policy->table + c->head->lines +
						  (size_t)row->line[place / FL_LINE_BITS] * FL_LINE_SIZE);
	bool set = line[place / 64 % 8] >> place % 64 & 1;

	cr_expect(!set || row->some[FL_LIST_IN] >> place / FL_LINE_BITS & 1);
	return set;
}

static bool source_fits(const struct compiled *c, const char *text, uint32_t place)
{
	return fits(c, FL_DIM_SRC, class_of(c, FL_DIM_SRC, text), place);
}

Test(policy_compile, ends_of_the_address_space)
{
	static const struct {
		const char *rule, *in, *out;
	} cases[] = {
		{ "0.0.0.0", "0.0.0.0", "0.0.0.1" },
		{ "255.255.255.255", "255.255.255.255", "255.255.255.254" },
		{ "0.0.0.0-255.255.255.255", "255.255.255.255", "::" },
		{ "0.0.0.0/1", "127.255.255.255", "128.0.0.0" },
		{ "::", "::", "::1" },
		{ "::", "::", "0.0.0.0" },
		{ "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
		  "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe" },
		{ "::/0", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "255.255.255.255" },
		{ "2001:db8::/64", "2001:db8::ffff:ffff:ffff:ffff", "2001:db8:0:1::" },
		{ "2001:db8::5-2001:db8:0:1::3", "2001:db8:0:1::3", "2001:db8:0:1::4" },
		{ "2001:db8::5-2001:db8:0:1::3", "2001:db8::ffff:ffff:ffff:ffff", "2001:db8::4" },
		{ "::ffff:0:0/96", "::ffff:0:1", "0.0.0.1" }, /* what IPv4 is mapped to is IPv6 on the wire */
	};
	char text[512];
	struct compiled c;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(text, sizeof(text),
			 RULES("{'name':'a','action':'pass','source':{'address':'%s'}},"
			       "{'name':'b','action':'pass','source':{'address':'!%s'}}"),
			 cases[i].rule, cases[i].rule);
		compile_with(&c, text, NULL);
		cr_expect(source_fits(&c, cases[i].in, 1), "%s", cases[i].rule);
		cr_expect_not(source_fits(&c, cases[i].out, 1), "%s", cases[i].rule);
		cr_expect_not(source_fits(&c, cases[i].in, 2), "!%s", cases[i].rule);
		cr_expect(source_fits(&c, cases[i].out, 2), "!%s", cases[i].rule);
		release(&c, true);
	}
}

Test(policy_compile, no_rules)
{
	struct compiled c;

	compile_with(&c, "{" NETWORK ",'default_action':{'in':'reject','out':'block'}}", NULL);
	cr_expect_eq(c.head->list[FL_LIST_IN].none, 1u);
	cr_expect_eq(c.policy->rules[FL_LIST_IN][1].action, FL_REJECT);
	cr_expect_eq(c.policy->rules[FL_LIST_OUT][1].action, FL_BLOCK);
	cr_expect_eq(c.policy->rules[FL_LIST_IN][0].action, FL_BLOCK, "where there is no table");
	cr_expect_eq(c.head->list[FL_LIST_SNAT].none, 0u);
	cr_expect_eq(policy_table_segments(c.policy), 1u);
	release(&c, true);
}

/* ---- size ---- */

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static char *many(unsigned int n, const char *format)
{
	char *text = NULL;
	unsigned int i;
	size_t len;
	FILE *to = open_memstream(&text, &len);

	fputs("{" NETWORK ",'rules':[", to);
	for (i = 0; i < n; i++) {
		fprintf(to, "%s{'name':'rule %u','action':'block',", i ? "," : "", i);
		fprintf(to, format, i >> 8, i & 255);
		fputs("}", to);
	}
	fputs("]}", to);
	fclose(to);
	return text;
}

/* Rules that fit for the same are in the same rows, whatever their number. */
Test(policy_compile, equal_rows_are_there_once)
{
	char *text = many(10000, "'source':{'address':'10.0.0.0/8'},'destination':{'port':443},'protocol':'tcp'"
				 /* %.0u: not shown */
				 ",'description':'%.0u%.0u'");
	struct compiled c;

	compile_with(&c, text, NULL);
	cr_expect_lt(c.policy->table_bytes, sizeof(struct fl_table) + 64 * 1024, "%zu bytes", c.policy->table_bytes);
	cr_expect(source_fits(&c, "10.1.2.3", 10000));
	cr_expect_not(source_fits(&c, "11.1.2.3", 10000));
	release(&c, true);
	free(text);
}

Test(policy_compile, different_rows)
{
	char *text = many(10000, "'direction':'in','source':{'address':'10.%u.%u.0/24'}");
	struct compiled c;

	compile_with(&c, text, NULL);
	cr_expect_lt(c.policy->table_bytes, 4u << 20, "%zu bytes", c.policy->table_bytes);
	cr_expect_eq(c.policy->places[FL_LIST_IN], 10002u);
	cr_expect(source_fits(&c, "10.39.15.255", 10000));
	cr_expect_not(source_fits(&c, "10.39.16.0", 10000));
	cr_expect(source_fits(&c, "10.1.0.0", 257));
	cr_expect_not(source_fits(&c, "10.1.0.0", 258));
	release(&c, true);
	free(text);
}

/* Half a million prefixes: as many intervals, but two rows. */
Test(policy_compile, big_alias)
{
	char path[] = "/tmp/fairlead-alias.XXXXXX", text[512];
	FILE *to = fdopen(mkstemp(path), "w");
	struct compiled c;
	unsigned int i;
	double begin;
	char *why;

	for (i = 0; i < 250000; i++)
		fprintf(to, "11.%u.%u.%u\n2001:db8:%x:%x::/64\n", i >> 15 & 255, i >> 7 & 255, (i & 127) * 2,
			i >> 15 & 0xffff, (i & 0x7fff) * 2);
	fclose(to);
	snprintf(text, sizeof(text),
		 "{" NETWORK
		 ",'aliases':{'big':{'file':'%s'}},'rules':[{'name':'a','action':'block','source':{'address':"
		 "'$big'}},{'name':'b','action':'pass','destination':{'address':'!$big'}}]}",
		 path);
	compile_with(&c, text, NULL);
	policy_destroy(c.policy);
	begin = now_ms();
	cr_assert_eq(policy_compile(c.config, &c.facts, c.ids, &c.policy, &why), 0);
	begin = now_ms() - begin;
	c.head = (const struct fl_table *)c.policy->table;
	cr_log_info("500,000 prefixes in %.0f ms, %zu KB\n", begin, c.policy->table_bytes >> 10);
	cr_expect_lt(begin, 5000.0);
	cr_expect(source_fits(&c, "11.0.0.254", 1));
	cr_expect_not(source_fits(&c, "11.0.0.253", 1));
	cr_expect(source_fits(&c, "2001:db8:7:42:1::", 1));
	cr_expect_not(source_fits(&c, "2001:db8:7:43::", 1));
	cr_expect_eq(class_of(&c, FL_DIM_SRC, "11.0.0.254"), class_of(&c, FL_DIM_SRC, "2001:db8:7:42::"));
	release(&c, true);
	unlink(path);
}

Test(policy_compile, too_many_tags)
{
	char *text = many(1024, "'tag':'t%u_%u'"), *why;
	struct compiled c;

	cr_expect_eq(try_compile(&c, text, NULL, &why), -ENOSPC);
	cr_expect_str_eq(why, "more than 1023 different tags");
	config_free(c.config);
	policy_ids_free(c.ids);
	free(why);
	free(text);
}

/* ---- what is done ---- */

Test(policy_compile, rules)
{
	struct compiled c;
	const struct fl_rule *in, *out;

	compile_with(
		&c,
		RULES("{'name':'a','action':'reject','reject_with':'port-unreachable','direction':'in','log':true},"
		      "{'name':'b','action':'pass','state':'loose','quick':true,'direction':'out','tag':'t',"
		      "'max_states':7,'max_states_per_source':3},"
		      "{'name':'c','action':'pass','route_to':'isp_gw','reply_to':'isp_gw','when_down':'reject'}"),
		NULL);
	in = c.policy->rules[FL_LIST_IN];
	out = c.policy->rules[FL_LIST_OUT];
	cr_expect_eq(c.policy->places[FL_LIST_IN], 4u);
	cr_expect(in[1].action == FL_REJECT && in[1].reject == FL_REJECT_PORT && in[1].flags == FL_RULE_LOG);
	cr_expect(out[1].action == FL_PASS && out[1].keep == FL_KEEP_LOOSE && out[1].flags == FL_RULE_QUICK);
	cr_expect(out[1].tag == 1 && out[1].max_states == 7 && out[1].max_states_per_source == 3);
	cr_expect(in[2].route_to == 9 && in[2].reply_to == 9 && in[2].flags == FL_RULE_DOWN_REJECT);
	cr_expect(!memcmp(&in[2], &out[2], sizeof(in[2])), "one rule in both directions has one id");
	cr_expect(in[3].action == FL_BLOCK && out[3].action == FL_PASS);
	cr_expect(in[3].id == FL_RULE_ID_DEFAULT_IN && out[3].id == FL_RULE_ID_DEFAULT_OUT);
	release(&c, true);
}

static bool is_address(const union fl_addr *m, const char *text)
{
	struct addr a = addr_from_map(m);
	char buf[ADDR_STRLEN];

	return !strcmp(addr_format(&a, buf), text);
}

Test(policy_compile, translations)
{
	const struct fl_nat *d, *s;
	struct compiled c;

	compile_with(
		&c,
		NAT("{'type':'dnat','interface':'wan','protocol':'tcp','destination':{'address':'wan:address','port':"
		    "'8000-8009'},'translate_to':'192.0.2.8','translate_port':'80-89'},"
		    "{'type':'one-to-one','interface':'wan','source':{'address':'192.0.2.9'},'translate_to':"
		    "'203.0.113.9'},"
		    "{'type':'snat','interface':'wan','source':{'address':'192.0.2.0/28'},'exempt':true},"
		    "{'type':'snat','interface':'wan','translate_to':'interface','endpoint_independent':true}"),
		NULL);
	d = c.policy->nats[FL_LIST_DNAT];
	s = c.policy->nats[FL_LIST_SNAT];
	cr_expect_eq(c.policy->places[FL_LIST_DNAT], 3u);
	cr_expect_eq(c.policy->places[FL_LIST_SNAT], 4u);
	cr_expect(is_address(&d[1].to, "192.0.2.8") && d[1].match_lo == 8000 && d[1].port_lo == 80);
	cr_expect(d[1].port_hi == 89 && !d[1].flags);
	cr_expect(is_address(&d[2].to, "192.0.2.9") && d[2].flags == FL_NAT_STATIC_PORT && d[2].id == s[1].id);
	cr_expect(is_address(&s[1].to, "203.0.113.9") && s[1].flags == FL_NAT_STATIC_PORT);
	cr_expect_eq(s[2].flags, FL_NAT_EXEMPT);
	cr_expect_eq(s[3].flags, FL_NAT_TO_INTERFACE | FL_NAT_EIM);
	release(&c, true);
}

/* ---- ids ---- */

#define PASS(name) "{'name':'" name "','action':'pass','direction':'in'}"
#define MASK(address) "{'type':'snat','interface':'wan','source':{'address':'" address "'},'translate_to':'interface'}"

Test(policy_compile, ids_stay_with_names)
{
	struct compiled c;
	uint16_t a, b;

	compile_with(&c, RULES(PASS("a") "," PASS("b")), NULL);
	a = c.policy->rules[FL_LIST_IN][1].id;
	b = c.policy->rules[FL_LIST_IN][2].id;
	cr_expect(a && b && a != b);
	release(&c, false);
	compile_with(&c, RULES(PASS("x") "," PASS("b") "," PASS("a")), c.ids);
	cr_expect(c.policy->rules[FL_LIST_IN][2].id == b && c.policy->rules[FL_LIST_IN][3].id == a);
	cr_expect_eq(policy_ids_name(c.ids, a)->index, 2);
	release(&c, false);
	compile_with(&c, RULES(PASS("b")), c.ids);
	cr_expect(policy_ids_name(c.ids, b)->used && !policy_ids_name(c.ids, a)->used);
	cr_expect_eq(policy_ids_find(c.ids, FL_RULE_KIND_RULE, "a"), a, "until another needs it");
	release(&c, true);
}

Test(policy_compile, ids_of_translations)
{
	struct compiled c;
	uint16_t a, b;

	compile_with(&c, NAT(MASK("192.0.2.0/24") "," MASK("192.0.2.0/24") "," MASK("192.0.3.0/24")), NULL);
	a = c.policy->nats[FL_LIST_SNAT][1].id;
	b = c.policy->nats[FL_LIST_SNAT][3].id;
	cr_expect(a != c.policy->nats[FL_LIST_SNAT][2].id && a != b, "the same twice is two");
	release(&c, false);
	compile_with(&c, NAT(MASK("192.0.3.0/24") "," MASK("192.0.4.0/24") "," MASK("192.0.2.0/24")), c.ids);
	cr_expect(c.policy->nats[FL_LIST_SNAT][1].id == b && c.policy->nats[FL_LIST_SNAT][3].id == a);
	release(&c, true);
}

static int adopt_into(void *arg, uint16_t id, const struct fl_rule_name *name, bool fresh)
{
	cr_expect(fresh);
	return policy_ids_adopt(arg, id, name);
}

static int count_changes(void *arg, uint16_t id, const struct fl_rule_name *name, bool fresh)
{
	(void)id, (void)name, (void)fresh;
	++*(int *)arg;
	return 0;
}

/* As the map hands them to the next daemon. */
Test(policy_compile, ids_over_a_restart)
{
	struct policy_ids *next = policy_ids_new();
	struct compiled c;
	uint16_t b;
	int n = 0;

	compile_with(&c, RULES(PASS("a") "," PASS("b")), NULL);
	b = c.policy->rules[FL_LIST_IN][2].id;
	cr_expect_eq(policy_ids_changes(c.ids, adopt_into, next), 0);
	policy_ids_written(c.ids);
	cr_expect_eq(policy_ids_changes(c.ids, count_changes, &n), 0);
	cr_expect_eq(n, 0);
	release(&c, true);
	compile_with(&c, RULES(PASS("b")), next);
	cr_expect_eq(c.policy->rules[FL_LIST_IN][1].id, b);
	cr_expect_eq(policy_ids_changes(c.ids, count_changes, &n), 0);
	cr_expect_eq(n, 2, "b is another one of the file, and a is not used");
	release(&c, true);
}

/* When all have been given away, those whose rules are gone are taken; not those that states refer to. */
Test(policy_compile, ids_run_out)
{
	static uint32_t states[FL_RULE_IDS_MAX];
	struct policy_ids *ids = policy_ids_new();
	struct fl_rule_name name = { .kind = FL_RULE_KIND_RULE };
	struct compiled c;
	char *why = NULL;
	uint32_t i;

	for (i = 1; i < FL_RULE_IDS_MAX; i++) {
		snprintf(name.name, sizeof(name.name), "old %u", i);
		cr_assert_eq(policy_ids_adopt(ids, (uint16_t)i, &name), 0);
		states[i] = i != 4711;
	}
	for (i = 0; i < 2; i++) { /* nor those that one of the last two had */
		compile_with(&c, RULES(PASS("old 7")), ids);
		release(&c, false);
	}
	states[7] = 0;
	compile_with(&c, RULES(PASS("old 8")), ids);
	policy_destroy(c.policy);
	c.facts.states = states;
	config_free(c.config);
	c.config = config_of(RULES(PASS("new")));
	cr_assert_eq(policy_compile(c.config, &c.facts, ids, &c.policy, &why), 0);
	cr_expect_eq(c.policy->rules[FL_LIST_IN][1].id, 4711);
	cr_expect_eq(policy_ids_find(ids, FL_RULE_KIND_RULE, "old 4711"), 0);
	release(&c, false);
	c.config = config_of(RULES(PASS("newer") "," PASS("newest")));
	cr_expect_eq(policy_compile(c.config, &c.facts, ids, &c.policy, &why), -ENOSPC);
	cr_expect_str_eq(why, "all ids of rules are in use by states");
	config_free(c.config);
	policy_ids_free(ids);
	free(why);
}

/* ---- at times ---- */

static bool is_live(const struct compiled *c, uint32_t place)
{
	const uint64_t *live = (const uint64_t *)(c->policy->table + c->head->live);

	return live[place / 64] >> place % 64 & 1;
}

Test(policy_compile, schedules)
{
	struct compiled c;

	setenv("TZ", "UTC", 1);
	tzset();
	compile_with(&c,
		     RULES("{'name':'a','action':'pass','direction':'in','schedule':'mon-fri 08:00-18:00'},"
			   "{'name':'b','action':'pass','direction':'in','schedule':'sun 22:00-06:00'}," PASS("c")),
		     NULL);
	c.facts.now = 1700467200; /* Monday, 08:00 */
	cr_expect(policy_live(c.policy, &c.facts));
	cr_expect(is_live(&c, 1) && !is_live(&c, 2) && is_live(&c, 3));
	cr_expect_not(policy_live(c.policy, &c.facts));
	c.facts.now -= 1; /* before eight */
	cr_expect(policy_live(c.policy, &c.facts));
	cr_expect(!is_live(&c, 1) && !is_live(&c, 2));
	c.facts.now -= 2 * 3600; /* before six */
	cr_expect(policy_live(c.policy, &c.facts));
	cr_expect(!is_live(&c, 1) && is_live(&c, 2) && is_live(&c, 3));
	c.facts.now += 2 * 3600; /* six */
	cr_expect(policy_live(c.policy, &c.facts));
	cr_expect(!is_live(&c, 2));
	c.facts.now += 12 * 3600; /* six in the evening */
	cr_expect_not(policy_live(c.policy, &c.facts));
	cr_expect(!is_live(&c, 1), "over");
	release(&c, true);
}

/* A rule of both directions is on and off in both, and what is told of rules says so, whichever directions they have. */
Test(policy_compile, schedules_of_directions)
{
	struct compiled c;
	uint32_t out;
	bool live[3];

	setenv("TZ", "UTC", 1);
	tzset();
	compile_with(
		&c,
		RULES("{'name':'both','action':'pass','schedule':'mon-fri 08:00-18:00'},"
		      "{'name':'out','action':'pass','direction':'out','schedule':'mon-fri 08:00-18:00'}," PASS("c")),
		NULL);
	out = c.head->list[FL_LIST_OUT].first * FL_LINE_BITS;
	for (int on = 0; on < 2; on++) {
		c.facts.now = on ? 1700467200 : 1700467199; /* Monday, 08:00, and before */
		policy_live(c.policy, &c.facts);
		policy_lives(c.policy, c.config, live);
		cr_expect(is_live(&c, 1) == on && is_live(&c, out + 1) == on && is_live(&c, out + 2) == on);
		cr_expect(live[0] == on && live[1] == on && live[2]);
	}
	release(&c, true);
}

Test(policy_compile, gateways)
{
	struct compiled c;

	setenv("TZ", "UTC", 1);
	tzset();
	compile_with(
		&c,
		RULES("{'name':'a','action':'pass','direction':'in','route_to':'isp_gw','when_down':'skip'},"
		      "{'name':'b','action':'pass','direction':'in','route_to':'isp_gw'},"
		      "{'name':'c','action':'pass','direction':'in','route_to':'isp_gw','schedule':'mon-fri 08:00-18:00'}"),
		NULL);
	c.facts.now = 1700467200; /* Monday, 08:00 */
	policy_live(c.policy, &c.facts);
	cr_expect(is_live(&c, 1) && is_live(&c, 2) && is_live(&c, 3));
	c.gateway.up = FL_INET6;
	cr_expect(policy_live(c.policy, &c.facts));
	cr_expect(!is_live(&c, 1) && is_live(&c, 2) && is_live(&c, 3), "only one is skipped, the others block");
	release(&c, true);
}

/* Of a gateway that takes both families each may be out by itself */
Test(policy_compile, gateway_of_both_families)
{
	struct compiled c;
	bool live[1];

	compile_with(&c, RULES("{'name':'a','action':'pass','direction':'in','route_to':'link_gw','when_down':'skip'}"),
		     NULL);
	c.gateway.via.gateway = config_find_gateway(c.config, "link_gw");
	for (unsigned int up = 0; up <= FL_BOTH; up++) {
		c.gateway.up = up;
		policy_live(c.policy, &c.facts);
		cr_expect_eq(is_live(&c, 1), !!(up & FL_INET));
		cr_expect_eq(is_live(&c, 2), !!(up & FL_INET6));
		policy_lives(c.policy, c.config, live);
		cr_expect_eq(live[0], up != 0);
	}
	release(&c, true);
}
