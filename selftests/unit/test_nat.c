/* SPDX-License-Identifier: GPL-2.0-only */
/* What right address translations become. What is wrong with wrong ones is in config/invalid. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "selftests/unit/config_of.h"

static struct config *with(const char *nat)
{
	char text[4096];

	snprintf(
		text, sizeof(text),
		"{'interfaces':{'wan':{'device':'eth0'},'lan':{'device':'eth1'}},'aliases':{'web':[80,443]},'nat':[%s]}",
		nat);
	return config_of(text);
}

static bool is_address(const struct addr *a, const char *text)
{
	char buf[ADDR_STRLEN];

	return !strcmp(addr_format(a, buf), text);
}

Test(nat, snat)
{
	struct config *c =
		with("{'type':'snat','interface':'wan','source':{'address':'192.168.0.0/24'},"
		     "'translate_to':'interface','disabled':true},"
		     "{'type':'snat','interface':['wan','lan'],'source':{'address':'192.168.0.0/24'},"
		     "'translate_to':'interface','endpoint_independent':true},"
		     "{'type':'snat','interface':'wan','translate_to':'203.0.113.9','protocol':['udp','esp'],"
		     "'translate_port':'1024-2047'},"
		     "{'type':'snat','interface':'wan','translate_to':'2001:db8::9','static_port':true}");
	const struct config_nat *n = c->nat;

	cr_assert_eq(c->n_nat, 3u);
	cr_expect_eq(n[0].index, 1u);
	cr_expect_eq(n[0].type, CONFIG_SNAT);
	cr_expect_eq(n[0].match.n_links, 2u);
	cr_expect_eq(n[0].match.links[1].interface, &c->interfaces[1]);
	cr_expect_eq(n[0].match.families, (unsigned int)FL_INET);
	cr_expect(n[0].to_interface && n[0].to.family == AF_UNSPEC);
	cr_expect(n[0].endpoint_independent && !n[0].static_port && !n[0].exempt);
	cr_expect_eq(n[0].to_ports.first, 0);
	cr_expect(!n[1].to_interface && is_address(&n[1].to, "203.0.113.9"));
	cr_expect(n[1].to_ports.first == 1024 && n[1].to_ports.last == 2047);
	cr_expect_eq(n[1].match.n_protocols, 2u);
	cr_expect_eq(n[1].match.families, (unsigned int)FL_INET, "of the new address");
	cr_expect(n[2].static_port && is_address(&n[2].to, "2001:db8::9"));
	cr_expect_eq(n[2].match.families, (unsigned int)FL_INET6);
	config_free(c);
}

Test(nat, dnat)
{
	struct config *c =
		with("{'type':'dnat','interface':'wan','protocol':'tcp','destination':{'address':'wan:address',"
		     "'port':'$web'},'translate_to':'192.168.0.80'},"
		     "{'type':'dnat','interface':'wan','protocol':'udp','destination':{'port':'2000-2009'},"
		     "'translate_to':'192.168.0.81','translate_port':'1000-1009'},"
		     "{'type':'dnat','interface':'lan','protocol':'udp','destination':{'port':53},"
		     "'translate_to':'interface','translate_port':5353}");
	const struct config_nat *n = c->nat;

	cr_assert_eq(c->n_nat, 3u);
	cr_expect_eq(n[0].type, CONFIG_DNAT);
	cr_expect_eq(n[0].match.destination.terms[0].kind, CONFIG_TERM_ADDRESS);
	cr_expect_eq(n[0].match.destination.terms[0].link.interface, &c->interfaces[0]);
	cr_expect_eq(n[0].match.destination.n_ports, 2u);
	cr_expect_eq(n[0].to_ports.first, 0);
	cr_expect(n[1].to_ports.first == 1000 && n[1].to_ports.last == 1009);
	cr_expect(n[2].to_interface && n[2].to_ports.first == 5353 && n[2].to_ports.last == 5353);
	config_free(c);
}

Test(nat, one_to_one_and_exempt)
{
	struct config *c =
		with("{'type':'one-to-one','interface':'wan','source':{'address':'192.168.0.7'},"
		     "'translate_to':'203.0.113.7'},"
		     "{'type':'snat','interface':'wan','destination':{'address':'10.0.0.0/8'},'exempt':true},"
		     "{'type':'one-to-one','interface':'wan','source':{'address':'!192.168.0.0/24'},'exempt':true}");
	const struct config_nat *n = c->nat;

	cr_assert_eq(c->n_nat, 3u);
	cr_expect_eq(n[0].type, CONFIG_ONE_TO_ONE);
	cr_assert_eq(n[0].match.source.n_terms, 1u);
	cr_expect(is_address(&n[0].match.source.terms[0].range.first, "192.168.0.7"));
	cr_expect(is_address(&n[0].match.source.terms[0].range.last, "192.168.0.7"));
	cr_expect(is_address(&n[0].to, "203.0.113.7"));
	cr_expect(n[1].exempt && !n[1].to_interface && n[1].to.family == AF_UNSPEC);
	cr_expect(n[2].exempt && n[2].match.source.terms[0].negated);
	config_free(c);
}
