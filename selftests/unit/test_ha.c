/* SPDX-License-Identifier: GPL-2.0-only */
/* What shared addresses and the pair become, in rules and translations too. What is wrong with wrong ones is in config/invalid. */
#include <stdlib.h>

#include "selftests/unit/config_of.h"
#include "user/policy/match_text.h"
#include "user/policy/policy.h"

#define INTERFACES "'interfaces':{'wan':{'device':'eth0'},'lan':{'device':'eth1'}}"
#define FILES "'password_file':'/etc/fairlead/carp.key'"
#define VIPS \
	"'vips':{'off':{'interface':'wan','address':'203.0.113.9/24','vhid':9," FILES ",'disabled':true}," \
	"'wan_vip':{'interface':'wan','address':['203.0.113.100/24','2001:db8:20::100/64','203.0.113.101/24'],'vhid':1," \
	"'advskew':0,'advbase_s':2,'fast_ms':50,'peers':['203.0.113.3'],'preempt':false,'announce_repeat':5," \
	"'announce_refresh_s':60,'independent':true,'link_local_in_digest':false," FILES "}," \
	"'lan_vip':{'interface':'lan','address':'192.0.2.1/24','vhid':2,'plain_peers':true," FILES "}}"
#define HA \
	"'ha':{'interface':'lan','local':'192.0.2.2','peers':['192.0.2.3','192.0.2.4'],'key_file':'/etc/fairlead/sync.key'," \
	"'advskew':100"

Test(ha, vips)
{
	struct config *c = config_of("{" INTERFACES "," VIPS "," HA "}}");
	const struct config_vip *v = c->vips;

	cr_assert_eq(c->n_vips, 2u);
	cr_expect_str_eq(v[0].name, "wan_vip");
	cr_expect_eq(v[0].interface, &c->interfaces[0]);
	cr_assert_eq(v[0].n_addresses, 3u);
	cr_expect_eq(v[0].addresses[1].len, 64u);
	cr_expect(v[0].vhid == 1 && v[0].advbase_s == 2 && v[0].fast_ms == 50);
	cr_expect_eq(v[0].advskew, 0, "0 of its own is not ha's");
	cr_expect_eq(v[0].n_peers, 1u);
	cr_expect_str_eq(v[0].password_file, "/etc/fairlead/carp.key");
	cr_expect(!v[0].preempt && v[0].independent && v[0].announce_repeat == 5 && v[0].announce_refresh_s == 60);
	cr_expect(v[1].vhid == 2 && v[1].advbase_s == 1 && v[1].advskew == 100 && !v[1].fast_ms);
	cr_expect(v[1].preempt && !v[1].independent && v[1].announce_repeat == 3 && !v[1].announce_refresh_s);
	cr_expect(!v[1].n_peers && !v[1].peers && v[1].plain_peers && !v[0].plain_peers);
	cr_expect_eq(config_find_vip(c, "lan_vip"), &v[1]);
	cr_expect_null(config_find_vip(c, "off"));
	config_free(c);
}

Test(ha, ha)
{
	struct config *c = config_of("{" INTERFACES "," HA "}}");

	cr_expect_eq(c->ha.interface, &c->interfaces[1]);
	cr_expect_eq(c->ha.local.family, AF_INET);
	cr_expect_eq(c->ha.n_peers, 2u);
	cr_expect(c->ha.port == 7241 && c->ha.advskew == 100 && c->ha.sync_states);
	cr_expect_str_eq(c->ha.key_file, "/etc/fairlead/sync.key");
	cr_expect(c->ha.role == CONFIG_ROLE_NONE && !c->ha.sections);
	config_free(c);
}

Test(ha, sync_config)
{
	struct config *all = config_of("{" INTERFACES "," HA
				       ",'sync_config':{'role':'primary','sections':'all'},'sync_states':false}}");
	struct config *some = config_of("{" INTERFACES "," HA
					",'sync_config':{'role':'secondary','sections':['nat','drill','tunnels']},"
					"'port':1}}");
	struct config *none = config_of("{" INTERFACES "}");

	cr_expect(all->ha.role == CONFIG_ROLE_PRIMARY && !all->ha.sync_states);
	cr_expect_eq(all->ha.sections, (1u << CONFIG_SECTIONS) - 1);
	cr_expect(some->ha.role == CONFIG_ROLE_SECONDARY && some->ha.port == 1);
	cr_expect_eq(some->ha.sections,
		     1u << CONFIG_SECTION_NAT | 1u << CONFIG_SECTION_DRILL | 1u << CONFIG_SECTION_TUNNELS);
	cr_expect_null(none->ha.interface);
	config_free(all);
	config_free(some);
	config_free(none);
}

/* ---- by their names ---- */

#define BY_NAME \
	"{" INTERFACES "," VIPS \
	",'rules':[{'name':'a','action':'pass','source':{'address':['wan_vip','198.51.100.0/24']}," \
	"'destination':{'address':'lan_vip'}},{'name':'b','action':'pass','destination':{'address':'!wan_vip'}}]," \
	"'nat':[{'type':'dnat','interface':'wan','protocol':'tcp','destination':{'address':'wan_vip','port':443}," \
	"'translate_to':'192.0.2.80'},{'type':'snat','interface':'wan','translate_to':'wan_vip'}," \
	"{'type':'snat','interface':'lan','source':{'address':'10.0.0.0/8'},'translate_to':'wan_vip'}]}"

#define BY_ADDRESS \
	"{" INTERFACES ",'rules':[{'name':'a','action':'pass'," \
	"'source':{'address':['203.0.113.100','2001:db8:20::100','203.0.113.101','198.51.100.0/24']}," \
	"'destination':{'address':'192.0.2.1'}},{'name':'b','action':'pass'," \
	"'destination':{'address':['!203.0.113.100','!2001:db8:20::100','!203.0.113.101']}}]," \
	"'nat':[{'type':'dnat','interface':'wan','protocol':'tcp'," \
	"'destination':{'address':['203.0.113.100','203.0.113.101'],'port':443},'translate_to':'192.0.2.80'}," \
	"{'type':'snat','interface':'wan','translate_to':'203.0.113.100'}," \
	"{'type':'snat','interface':'wan','translate_to':'2001:db8:20::100'}," \
	"{'type':'snat','interface':'lan','source':{'address':'10.0.0.0/8'},'translate_to':'203.0.113.100'}]}"

static struct policy *compile(const struct config *c)
{
	struct policy_port ports[] = { { .interface = &c->interfaces[0], .number = 1 },
				       { .interface = &c->interfaces[1], .number = 2 } };
	struct policy_facts facts = { .ports = ports, .n_ports = 2 };
	struct policy_ids *ids = policy_ids_new();
	struct policy *policy = NULL;
	char *why = NULL;

	cr_assert_eq(policy_compile(c, &facts, ids, &policy, &why), 0, "%s", why);
	policy_ids_free(ids);
	return policy;
}

static void expect_same_targets(const struct policy *a, const struct policy *b)
{
	enum fl_list list;
	uint32_t i;

	for (list = FL_LIST_DNAT; list < FL_LISTS; list++) {
		cr_assert_eq(a->places[list], b->places[list]);
		for (i = 0; i < a->places[list]; i++)
			cr_expect_arr_eq(&a->nats[list][i].to, &b->nats[list][i].to, sizeof(a->nats[list][i].to),
					 "list %d, place %u", list, i);
	}
}

Test(ha, names_are_as_their_addresses)
{
	struct config *named = config_of(BY_NAME), *written = config_of(BY_ADDRESS);
	struct policy *a = compile(named), *b = compile(written);

	cr_assert_eq(a->table_bytes, b->table_bytes);
	cr_expect_arr_eq(a->table, b->table, a->table_bytes);
	expect_same_targets(a, b);
	policy_destroy(a);
	policy_destroy(b);
	config_free(named);
	config_free(written);
}

static void expect_text(char *text, const char *expected)
{
	cr_expect(strstr(text, expected), "\"%s\" has no \"%s\"", text, expected);
	free(text);
}

Test(ha, names_are_told)
{
	struct config *c = config_of(BY_NAME);

	expect_text(rule_match_text(&c->rules[0]), "from wan_vip,198.51.100.0/24 to lan_vip");
	expect_text(rule_match_text(&c->rules[1]), "to !wan_vip");
	cr_assert_eq(c->n_nat, 4u, "one of them is for two families");
	cr_expect(c->nat[1].index == 1 && c->nat[2].index == 1 && c->nat[3].index == 2);
	cr_expect(c->nat[1].match.families == FL_INET && c->nat[2].match.families == FL_INET6);
	cr_expect_eq(c->nat[3].match.families, (unsigned int)FL_INET);
	expect_text(nat_match_text(&c->nat[0]), "to wan_vip port 443");
	expect_text(nat_target_text(&c->nat[2]), "wan_vip");
	config_free(c);
}
