/* SPDX-License-Identifier: GPL-2.0-only */
/* Rules and translations in short. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "selftests/unit/config_of.h"
#include "user/policy/match_text.h"

#define HEAD "{'interfaces':{'wan':{'device':'eth0'}},'aliases':{'some':['10.0.0.0/24'],'web':[80,443]},"

static void expect_rule(const char *keys, const char *expected)
{
	char text[1024], *got;
	struct config *c;

	snprintf(text, sizeof(text), HEAD "'rules':[{'name':'a','action':'pass'%s}]}", keys);
	c = config_of(text);
	got = rule_match_text(&c->rules[0]);
	cr_expect_str_eq(got, expected, "%s, expected %s", got, expected);
	free(got);
	config_free(c);
}

Test(match_text, rules)
{
	expect_rule("", "all");
	expect_rule(",'family':'inet6'", "inet6");
	expect_rule(",'protocol':['tcp',17,200]", "proto tcp,udp,200");
	expect_rule(",'source':{'address':['$some','!10.0.0.7','self','wan:network']}",
		    "from $some,!10.0.0.7,self,wan:network");
	expect_rule(",'destination':{'address':['10.0.0.4-10.0.0.7','10.0.0.4-10.0.0.8','0.0.0.0/0']}",
		    "inet to 10.0.0.4/30,10.0.0.4-10.0.0.8,0.0.0.0/0");
	expect_rule(",'protocol':'tcp','destination':{'port':['$web','1000-2000']},'tcp_flags':'S/SA'",
		    "proto tcp to any port 80,443,1000-2000 flags S/SA");
	expect_rule(",'protocol':'udp','source':{'port':[1,3,5,7,9]}", "proto udp from any port 1,3,5,7,9");
	expect_rule(",'protocol':'udp','source':{'port':[1,3,5,7,9,11]}", "proto udp from any port 1,3,5,7,… (2 more)");
	expect_rule(",'protocol':'icmp','icmp_type':['echo-request',200],'dscp':'ef','tag':'t','tagged':'t'",
		    "inet proto icmp icmp-type echo-request,200 dscp ef tagged t");
}

Test(match_text, translations)
{
	struct config *c = config_of(
		HEAD
		"'nat':[{'type':'snat','interface':'wan','source':{'address':'10.0.0.0/24'},"
		"'translate_to':'interface'},"
		"{'type':'dnat','interface':'wan','protocol':'tcp','destination':{'address':'192.0.2.1','port':80},"
		"'translate_to':'10.0.0.1','translate_port':8080},"
		"{'type':'snat','interface':'wan','protocol':'udp','translate_to':'192.0.2.1','translate_port':'5000-6000'}]}");
	static const char *const expected[][2] = {
		{ "inet from 10.0.0.0/24", "interface" },
		{ "inet proto tcp to 192.0.2.1 port 80", "10.0.0.1 port 8080" },
		{ "inet proto udp", "192.0.2.1 port 5000-6000" },
	};

	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
		char *match = nat_match_text(&c->nat[i]), *to = nat_target_text(&c->nat[i]);

		cr_expect_str_eq(match, expected[i][0], "%s", match);
		cr_expect_str_eq(to, expected[i][1], "%s", to);
		free(match);
		free(to);
	}
	config_free(c);
}
