/* SPDX-License-Identifier: GPL-2.0-only */
/* What right rules become. What is wrong with wrong ones is in config/invalid. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "selftests/unit/config_of.h"

#define NETWORK \
	"'interfaces':{'wan':{'device':'eth0'},'lan':{'device':'eth1','family':'inet'}}," \
	"'tunnels':{'off0':{'type':'6in4','underlay':'wan','local':'interface','remote':'198.51.100.2'," \
	"'address':'2001:db8:2::2/64','disabled':true}," \
	"'he0':{'type':'6in4','underlay':'wan','local':'interface','remote':'198.51.100.1'," \
	"'address':'2001:db8:1::2/64'}}," \
	"'gateways':{'off_gw':{'interface':'off0','disabled':true},'he_gw':{'interface':'he0','monitor':false}," \
	"'isp_gw':{'interface':'wan','address':'203.0.113.1'},'ppp_gw':{'interface':'wan','monitor':false}}," \
	"'aliases':{'server':['192.0.2.80','2001:db8::80'],'web':[443,'8000-8100'],'more':['$web',80,'8050-8200']}"

/* A configuration with these members beside the network. */
static struct config *with(const char *members)
{
	char text[8192];

	snprintf(text, sizeof(text), "{" NETWORK ",%s}", members);
	return config_of(text);
}

/* One with one rule that has these keys. */
static struct config *rule(const char *keys)
{
	char text[4096];

	snprintf(text, sizeof(text), "'rules':[{'name':'r','action':'pass'%s%s}]", *keys ? "," : "", keys);
	return with(text);
}

Test(rules, defaults)
{
	struct config *c = rule("");
	const struct config_rule *r = c->rules;

	cr_assert_eq(c->n_rules, 1u);
	cr_expect_str_eq(r->name, "r");
	cr_expect_eq(r->action, CONFIG_PASS);
	cr_expect_eq(r->reject_with, CONFIG_REJECT_AUTO);
	cr_expect_not(r->quick);
	cr_expect_eq(r->direction, CONFIG_IN_AND_OUT);
	cr_expect_eq(r->match.families, (unsigned int)FL_BOTH);
	cr_expect_eq(r->match.n_links + r->match.n_protocols + r->match.source.n_terms + r->match.source.n_ports, 0u);
	cr_expect_eq(r->match.destination.n_terms + r->match.destination.n_ports + r->n_schedules, 0u);
	cr_expect_not(r->by_icmp_type);
	cr_expect(!r->tcp_flags.mask && !r->tcp_flags.named);
	cr_expect_eq(r->dscp, 0u);
	cr_expect_eq(r->state, CONFIG_STATE_KEEP);
	cr_expect(!config_via_name(&r->route_to) && !config_via_name(&r->reply_to) && !r->tag && !r->tagged);
	cr_expect_eq(r->when_down, CONFIG_DOWN_BLOCK);
	cr_expect_eq(r->max_states + r->max_states_per_source, 0u);
	cr_expect_not(r->log);
	config_free(c);
}

Test(rules, words)
{
	struct config *c = with(
		"'rules':[{'name':'off','action':'pass','disabled':true,'interface':'off0','route_to':'off_gw'},"
		"{'name':'a','action':'reject','reject_with':'port-unreachable','quick':true,'direction':'in','log':true},"
		"{'name':'b','action':'block','direction':'out','tag':'t','tagged':'t'},"
		"{'name':'c','action':'pass','state':'none','when_down':'skip','route_to':'he_gw','reply_to':'ppp_gw',"
		"'source':{'address':'self'}},"
		"{'name':'d','action':'pass','state':'loose','max_states':7,'max_states_per_source':2}]");
	const struct config_rule *r = c->rules;

	cr_assert_eq(c->n_rules, 4u, "the disabled one is not there");
	cr_expect_eq(r[0].index, 1u, "but counted");
	cr_expect_eq(r[0].action, CONFIG_REJECT);
	cr_expect_eq(r[0].reject_with, CONFIG_REJECT_PORT);
	cr_expect(r[0].quick && r[0].log);
	cr_expect_eq(r[0].direction, CONFIG_IN);
	cr_expect_eq(r[1].action, CONFIG_BLOCK);
	cr_expect_eq(r[1].direction, CONFIG_OUT);
	cr_expect_str_eq(r[1].tag, "t");
	cr_expect_str_eq(r[1].tagged, "t");
	cr_expect_eq(r[2].state, CONFIG_STATE_NONE);
	cr_expect_eq(r[2].when_down, CONFIG_DOWN_SKIP);
	cr_expect_eq(r[2].route_to.gateway, &c->gateways[0]);
	cr_expect_str_eq(config_via_name(&r[2].route_to), "he_gw");
	cr_expect_eq(r[2].reply_to.gateway, &c->gateways[2]);
	cr_expect_eq(r[3].state, CONFIG_STATE_LOOSE);
	cr_expect_eq(r[3].max_states, 7u);
	cr_expect_eq(r[3].max_states_per_source, 2u);
	config_free(c);
}

/* ---- what a packet is matched by ---- */

Test(rules, links)
{
	struct config *c = rule("'interface':['lan','he0']");
	const struct config_match *m = &c->rules[0].match;

	cr_assert_eq(m->n_links, 2u);
	cr_expect(m->links[0].interface == &c->interfaces[1] && !m->links[0].tunnel);
	cr_expect(!m->links[1].interface && m->links[1].tunnel == &c->tunnels[0]);
	config_free(c);
	c = rule("'interface':'wan'");
	cr_assert_eq(c->rules[0].match.n_links, 1u);
	cr_expect_eq(c->rules[0].match.links[0].interface, &c->interfaces[0]);
	config_free(c);
}

/* `expected`: "first-last" */
static bool is_range(const struct config_term *t, const char *expected)
{
	char first[ADDR_STRLEN], last[ADDR_STRLEN], text[2 * ADDR_STRLEN + 1];

	snprintf(text, sizeof(text), "%s-%s", addr_format(&t->range.first, first), addr_format(&t->range.last, last));
	return t->kind == CONFIG_TERM_RANGE && !strcmp(text, expected);
}

Test(rules, addresses)
{
	struct config *c = rule("'source':{'address':['any','!self','lan:network','!he0:address','$server','192.0.2.7',"
				"'!2001:db8::/64','192.0.2.1-192.0.2.9']},'destination':{'address':'!$server'}");
	const struct config_endpoint *s = &c->rules[0].match.source, *d = &c->rules[0].match.destination;
	const struct config_term *t = s->terms;

	cr_assert_eq(s->n_terms, 8u);
	cr_expect(t[0].kind == CONFIG_TERM_ANY && !t[0].negated);
	cr_expect(t[1].kind == CONFIG_TERM_SELF && t[1].negated);
	cr_expect(t[2].kind == CONFIG_TERM_NETWORK && t[2].link.interface == &c->interfaces[1] && !t[2].negated);
	cr_expect(t[3].kind == CONFIG_TERM_ADDRESS && t[3].link.tunnel == &c->tunnels[0] && t[3].negated);
	cr_expect(t[4].kind == CONFIG_TERM_ALIAS && t[4].alias == &c->aliases[0] && !t[4].negated);
	cr_expect(is_range(&t[5], "192.0.2.7-192.0.2.7"));
	cr_expect(is_range(&t[6], "2001:db8::-2001:db8::ffff:ffff:ffff:ffff") && t[6].negated);
	cr_expect(is_range(&t[7], "192.0.2.1-192.0.2.9"));
	cr_assert_eq(d->n_terms, 1u);
	cr_expect(d->terms[0].kind == CONFIG_TERM_ALIAS && d->terms[0].negated);
	config_free(c);
}

Test(rules, ports_and_protocols)
{
	struct config *c = rule("'protocol':['udp','TCP',6,'sctp'],'source':{'port':['1024-65535']},"
				"'destination':{'port':['$more',22,'70-79']}");
	const struct config_match *m = &c->rules[0].match;
	const struct port_range *p = m->destination.ports;

	cr_assert_eq(m->n_protocols, 3u);
	cr_expect(m->protocols[0] == 6 && m->protocols[1] == 17 && m->protocols[2] == 132);
	cr_assert_eq(m->source.n_ports, 1u);
	cr_expect(m->source.ports[0].first == 1024 && m->source.ports[0].last == 65535);
	cr_assert_eq(m->destination.n_ports, 4u);
	cr_expect(p[0].first == 22 && p[0].last == 22);
	cr_expect(p[1].first == 70 && p[1].last == 80);
	cr_expect(p[2].first == 443 && p[2].last == 443);
	cr_expect(p[3].first == 8000 && p[3].last == 8200);
	config_free(c);
	c = rule("'protocol':['esp','ipv6-icmp','icmpv6',0]");
	cr_assert_eq(c->rules[0].match.n_protocols, 3u);
	cr_expect_eq(c->rules[0].match.protocols[0], 0);
	cr_expect_eq(c->rules[0].match.protocols[1], 50);
	cr_expect_eq(c->rules[0].match.protocols[2], 58);
	config_free(c);
}

static void expect_families(const char *keys, unsigned int expected)
{
	struct config *c = rule(keys);

	cr_expect_eq(c->rules[0].match.families, expected, "%s: %u", keys, c->rules[0].match.families);
	config_free(c);
}

Test(rules, families)
{
	expect_families("'family':'inet'", FL_INET);
	expect_families("'family':'inet6'", FL_INET6);
	expect_families("'protocol':'icmp'", FL_INET);
	expect_families("'protocol':['icmp','ipv6-icmp']", FL_BOTH);
	expect_families("'protocol':['icmp','tcp']", FL_BOTH);
	expect_families("'interface':'lan'", FL_INET);
	expect_families("'interface':'he0'", FL_INET6);
	expect_families("'interface':['lan','he0']", FL_BOTH);
	expect_families("'source':{'address':'192.0.2.0/24'}", FL_INET);
	expect_families("'source':{'address':['192.0.2.0/24','2001:db8::1']},'destination':{'address':'::/0'}",
			FL_INET6);
	expect_families("'source':{'address':'!192.0.2.0/24'}", FL_BOTH);
	expect_families("'source':{'address':'$server'}", FL_BOTH);
	expect_families("'destination':{'address':'lan:network'}", FL_INET);
	expect_families("'destination':{'address':'self'}", FL_BOTH);
	expect_families("'route_to':'he_gw'", FL_INET6);
	expect_families("'route_to':'isp_gw'", FL_INET);
	expect_families("'route_to':'ppp_gw'", FL_BOTH);
	expect_families("'reply_to':'isp_gw'", FL_BOTH);
}

static bool has_type(const struct config_icmp_types *types, unsigned int type)
{
	return types->bits[type / 64] >> type % 64 & 1;
}

static unsigned int count(const struct config_icmp_types *types)
{
	unsigned int n = 0, i;

	for (i = 0; i < 256; i++)
		n += has_type(types, i);
	return n;
}

Test(rules, icmp_types)
{
	struct config *c = rule("'protocol':['icmp','ipv6-icmp'],'icmp_type':['echo-request','packet-too-big',"
				"'source-quench',255,'mld2-listener-report']");
	const struct config_rule *r = c->rules;

	cr_expect(r->by_icmp_type);
	cr_expect_eq(count(&r->icmp4), 3u);
	cr_expect(has_type(&r->icmp4, 8) && has_type(&r->icmp4, 4) && has_type(&r->icmp4, 255));
	cr_expect_eq(count(&r->icmp6), 4u);
	cr_expect(has_type(&r->icmp6, 128) && has_type(&r->icmp6, 2) && has_type(&r->icmp6, 255));
	cr_expect(has_type(&r->icmp6, 143));
	config_free(c);
	c = rule("'protocol':'icmp','icmp_type':0");
	cr_expect(c->rules[0].by_icmp_type && has_type(&c->rules[0].icmp4, 0) && count(&c->rules[0].icmp4) == 1);
	config_free(c);
}

/* Of each name that nftables has: type of ICMP and of ICMPv6, -1: none. */
Test(rules, icmp_type_names)
{
	static const struct {
		const char *name;
		int four, six;
	} cases[] = {
		{ "echo-reply", 0, 129 },
		{ "destination-unreachable", 3, 1 },
		{ "source-quench", 4, -1 },
		{ "redirect", 5, -1 },
		{ "echo-request", 8, 128 },
		{ "router-advertisement", 9, -1 },
		{ "router-solicitation", 10, -1 },
		{ "time-exceeded", 11, 3 },
		{ "parameter-problem", 12, 4 },
		{ "timestamp-request", 13, -1 },
		{ "timestamp-reply", 14, -1 },
		{ "info-request", 15, -1 },
		{ "info-reply", 16, -1 },
		{ "address-mask-request", 17, -1 },
		{ "address-mask-reply", 18, -1 },
		{ "packet-too-big", -1, 2 },
		{ "mld-listener-query", -1, 130 },
		{ "mld-listener-report", -1, 131 },
		{ "mld-listener-done", -1, 132 },
		{ "mld-listener-reduction", -1, 132 },
		{ "nd-router-solicit", -1, 133 },
		{ "nd-router-advert", -1, 134 },
		{ "nd-neighbor-solicit", -1, 135 },
		{ "nd-neighbor-advert", -1, 136 },
		{ "nd-redirect", -1, 137 },
		{ "router-renumbering", -1, 138 },
		{ "ind-neighbor-solicit", -1, 141 },
		{ "ind-neighbor-advert", -1, 142 },
		{ "mld2-listener-report", -1, 143 },
	};
	struct config *c;
	char keys[128];
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct config_rule *r;

		snprintf(keys, sizeof(keys), "'protocol':['icmp','ipv6-icmp'],'icmp_type':'%s'", cases[i].name);
		c = rule(keys);
		r = c->rules;
		cr_expect_eq(count(&r->icmp4), cases[i].four >= 0 ? 1u : 0u, "%s", cases[i].name);
		cr_expect_eq(count(&r->icmp6), cases[i].six >= 0 ? 1u : 0u, "%s", cases[i].name);
		cr_expect(cases[i].four < 0 || has_type(&r->icmp4, (unsigned int)cases[i].four), "%s", cases[i].name);
		cr_expect(cases[i].six < 0 || has_type(&r->icmp6, (unsigned int)cases[i].six), "%s", cases[i].name);
		config_free(c);
	}
}

static void expect_flags(const char *text, uint8_t set, uint8_t mask)
{
	struct config *c;
	char keys[128];

	snprintf(keys, sizeof(keys), "'protocol':'tcp','tcp_flags':'%s'", text);
	c = rule(keys);
	cr_expect_eq(c->rules[0].tcp_flags.set, set, "%s", text);
	cr_expect_eq(c->rules[0].tcp_flags.mask, mask, "%s", text);
	cr_expect(c->rules[0].tcp_flags.named, "%s", text);
	config_free(c);
}

Test(rules, tcp_flags)
{
	expect_flags("any", 0, 0);
	expect_flags("S/SA", CONFIG_TCP_SYN, CONFIG_TCP_SYN | CONFIG_TCP_ACK);
	expect_flags("AS/AFRS", CONFIG_TCP_SYN | CONFIG_TCP_ACK,
		     CONFIG_TCP_SYN | CONFIG_TCP_ACK | CONFIG_TCP_FIN | CONFIG_TCP_RST);
	expect_flags("/FPU", 0, CONFIG_TCP_FIN | CONFIG_TCP_PSH | CONFIG_TCP_URG);
	expect_flags("EW/EW", CONFIG_TCP_ECE | CONFIG_TCP_CWR, CONFIG_TCP_ECE | CONFIG_TCP_CWR);
	expect_flags("FSRPAUEW/FSRPAUEW", 0xff, 0xff);
}

Test(rules, dscp)
{
	static const struct {
		const char *name;
		unsigned int value;
	} cases[] = {
		{ "'ef'", 46 },	  { "'cs0'", 0 },   { "'cs1'", 8 },   { "'cs2'", 16 },	{ "'cs3'", 24 },
		{ "'cs4'", 32 },  { "'cs5'", 40 },  { "'cs6'", 48 },  { "'cs7'", 56 },	{ "'af11'", 10 },
		{ "'af12'", 12 }, { "'af13'", 14 }, { "'af21'", 18 }, { "'af22'", 20 }, { "'af23'", 22 },
		{ "'af31'", 26 }, { "'af32'", 28 }, { "'af33'", 30 }, { "'af41'", 34 }, { "'af42'", 36 },
		{ "'af43'", 38 }, { "63", 63 },	    { "0", 0 },
	};
	struct config *c;
	char keys[64];
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(keys, sizeof(keys), "'dscp':%s", cases[i].name);
		c = rule(keys);
		cr_expect_eq(c->rules[0].dscp, 1ULL << cases[i].value, "%s", cases[i].name);
		config_free(c);
	}
	c = rule("'dscp':['ef',0,63]");
	cr_expect_eq(c->rules[0].dscp, 1ULL << 46 | 1 | 1ULL << 63);
	config_free(c);
}

static void expect_schedule(const char *text, unsigned int days, unsigned int from, unsigned int to)
{
	struct config *c;
	char keys[128];

	snprintf(keys, sizeof(keys), "'schedule':'%s'", text);
	c = rule(keys);
	cr_assert_eq(c->rules[0].n_schedules, 1u);
	cr_expect_eq(c->rules[0].schedules[0].days, days, "%s", text);
	cr_expect_eq(c->rules[0].schedules[0].from, from, "%s", text);
	cr_expect_eq(c->rules[0].schedules[0].to, to, "%s", text);
	config_free(c);
}

Test(rules, schedules)
{
	struct config *c;

	expect_schedule("mon-fri 08:00-18:00", 0x1f, 480, 1080);
	expect_schedule("08:00-18:30", 0x7f, 480, 1110);
	expect_schedule("sat,sun 00:00-23:59", 0x60, 0, 1439);
	expect_schedule("fri-mon 22:00-06:00", 0x71, 1320, 1800);
	expect_schedule("sun 23:59-00:00", 0x40, 1439, 1440);
	expect_schedule("mon 00:00-00:00", 0x01, 0, 1440);
	expect_schedule("wed-wed 19:00-19:00", 0x04, 1140, 2580);
	expect_schedule("tue-sun,mon 12:34-12:35", 0x7f, 754, 755);
	c = rule("'schedule':['mon 08:00-09:00','tue 08:00-10:00']");
	cr_assert_eq(c->rules[0].n_schedules, 2u);
	cr_expect_eq(c->rules[0].schedules[1].days, 2);
	cr_expect_eq(c->rules[0].schedules[1].to, 600);
	config_free(c);
}

/* ---- where no rule matches ---- */

static void expect_default(const char *members, enum config_action in, enum config_action out)
{
	struct config *c = with(members);

	cr_expect_eq(c->default_in, in, "%s", members);
	cr_expect_eq(c->default_out, out, "%s", members);
	config_free(c);
}

Test(rules, default_action)
{
	expect_default("'routes':[]", CONFIG_BLOCK, CONFIG_PASS);
	expect_default("'rules':[]", CONFIG_BLOCK, CONFIG_PASS);
	expect_default("'default_action':{}", CONFIG_BLOCK, CONFIG_PASS);
	expect_default("'default_action':'pass'", CONFIG_PASS, CONFIG_PASS);
	expect_default("'default_action':'block'", CONFIG_BLOCK, CONFIG_BLOCK);
	expect_default("'default_action':{'in':'reject'}", CONFIG_REJECT, CONFIG_PASS);
	expect_default("'default_action':{'out':'block'}", CONFIG_BLOCK, CONFIG_BLOCK);
}

/* ---- many ---- */

/* 10,000 rules are what the data plane shall have; they must not take longer to check than to read. */
Test(rules, ten_thousand)
{
	char *text = NULL;
	struct config *c;
	size_t len, i;
	FILE *to = open_memstream(&text, &len);

	fputs("{" NETWORK ",'rules':[", to);
	for (i = 0; i < 10000; i++)
		fprintf(to,
			"%s{'name':'rule %zu','action':'pass','protocol':'tcp','interface':['wan','he0'],'source':{'address':"
			"'10.%zu.%zu.0/24'},'destination':{'address':['$server','!self'],'port':[%zu,'$web']}}",
			i ? "," : "", i, i >> 8, i & 255, i + 1);
	fputs("]}", to);
	fclose(to);
	c = config_of(text);
	cr_assert_eq(c->n_rules, 10000u);
	cr_expect_str_eq(c->rules[9999].name, "rule 9999");
	config_free(c);
	free(text);
}
