/* SPDX-License-Identifier: GPL-2.0-only */
/* What gateways, groups and hooks become. What is wrong with wrong ones is in config/invalid, see schema_test.py. */
#include "selftests/unit/config_of.h"
#include "user/config/names.h"

#define INTERFACES "'interfaces':{'wan':{'device':'eth0'},'lte':{'device':'wwan0'}},"

static bool is_addr(const struct addr *a, const char *text)
{
	char buf[ADDR_STRLEN];

	return !strcmp(addr_format(a, buf), text);
}

Test(gateways, defaults)
{
	struct config *c = config_of("{" INTERFACES "'gateways':{'a':{'interface':'wan','address':'203.0.113.1'},"
				     "'b':{'interface':'wan','address':'2001:db8::1','monitor':{}}}}");
	size_t i;

	cr_assert_eq(c->n_gateways, 2u);
	for (i = 0; i < 2; i++) {
		const struct config_gateway *g = &c->gateways[i];
		const struct config_monitor *m = &g->monitor;

		cr_expect(g->monitored && !g->automatic && !g->metered);
		cr_expect_eq(m->n_targets, 0u);
		cr_expect(m->interval_ms == 500 && m->loss_interval_ms == 2000 && m->period_ms == 60000);
		cr_expect(m->alert_interval_ms == 1000 && m->idle_interval_ms == 10000 && m->hold_down_s == 0);
		cr_expect(m->latency_ms[0] == 200 && m->latency_ms[1] == 500);
		cr_expect(m->loss_pct[0] == 10 && m->loss_pct[1] == 20);
		cr_expect(m->down_after == 3 && m->up_after == 5 && m->quorum == 1);
		cr_expect(m->type == CONFIG_PROBE_ICMP && !m->port && !m->dns_name);
	}
	cr_expect_eq(c->n_groups, 0u);
	config_free(c);
}

Test(gateways, monitor_false)
{
	struct config *c = config_of("{" INTERFACES "'gateways':{'a':{'interface':'wan','monitor':false}}}");

	cr_expect_not(c->gateways[0].monitored);
	cr_expect_eq(c->gateways[0].monitor.interval_ms, 0u);
	config_free(c);
}

Test(gateways, settings)
{
	struct config *c = config_of(
		"{" INTERFACES
		"'gateways':{'off':{'interface':'wan','monitor':{'targets':['192.0.2.9']},'disabled':true},"
		"'a':{'interface':'wan','address':'auto','metered':true,'monitor':{'targets':['192.0.2.1','2001:db8::1'],"
		"'interval_ms':20,'loss_interval_ms':60,'period_ms':5000,'alert_interval_ms':100,'latency_ms':[50,99.5],"
		"'loss_pct':[0.5,1],'down_after':2,'up_after':7,'quorum':2,'type':'tcp:443','hold_down_s':30,"
		"'idle_interval_ms':3000}},"
		"'b':{'interface':'lte','monitor':{'targets':['fe80::1'],'type':'dns:ipv4only.arpa.'}}}}");
	const struct config_monitor *m = &c->gateways[0].monitor;

	cr_assert_eq(c->n_gateways, 2u);
	cr_expect(c->gateways[0].automatic && c->gateways[0].metered && c->gateways[0].monitored);
	cr_expect_eq(c->gateways[0].address.family, AF_UNSPEC);
	cr_assert_eq(m->n_targets, 2u);
	cr_expect(is_addr(&m->targets[0], "192.0.2.1") && is_addr(&m->targets[1], "2001:db8::1"));
	cr_expect(m->interval_ms == 20 && m->loss_interval_ms == 60 && m->period_ms == 5000);
	cr_expect(m->alert_interval_ms == 100 && m->idle_interval_ms == 3000 && m->hold_down_s == 30);
	cr_expect(m->latency_ms[0] == 50 && m->latency_ms[1] == 99.5);
	cr_expect(m->loss_pct[0] == 0.5 && m->loss_pct[1] == 1);
	cr_expect(m->down_after == 2 && m->up_after == 7 && m->quorum == 2);
	cr_expect(m->type == CONFIG_PROBE_TCP && m->port == 443 && !m->dns_name);
	cr_expect_eq(c->gateways[1].monitor.type, CONFIG_PROBE_DNS);
	cr_expect_str_eq(c->gateways[1].monitor.dns_name, "ipv4only.arpa.");
	cr_expect_not(c->gateways[1].automatic);
	config_free(c);
}

#define TUNNEL "'local':'interface','remote':'198.51.100.1','address':'2001:db8:1::2/64'}"
#define GROUPS \
	"{" INTERFACES \
	"'gateways':{'off':{'interface':'wan','disabled':true},'isp':{'interface':'wan','address':'203.0.113.1'}," \
	"'lte':{'interface':'lte','monitor':false},'he':{'interface':'he0','address':'2001:db8:1::1'}}," \
	"'tunnels':{'he0':{'type':'6in4','underlay':'v4'," TUNNEL "}," \
	"'gateway_groups':{'v4':{'trigger':'loss-or-latency','failback':'drain','sticky':'source'," \
	"'members':[{'gateway':'isp','weight':3},{'gateway':'lte','tier':2}]},'v6':{'members':[{'gateway':'he'}]}}," \
	"'routes':[{'destination':'0.0.0.0/0','gateway':'v4'},{'destination':'::/0','gateway':'v6'}]," \
	"'rules':[{'name':'a','action':'pass','route_to':'v4','reply_to':'v6'},{'name':'b','action':'pass'," \
	"'reply_to':'isp'}],'hooks':{'gateway':['/etc/a','/etc/b'],'vip':['/etc/c']}}"

Test(gateways, groups)
{
	struct config *c = config_of(GROUPS);
	const struct config_group *g = &c->groups[0];

	cr_assert_eq(c->n_groups, 2u);
	cr_expect_str_eq(g->name, "v4");
	cr_expect(g->trigger == CONFIG_TRIGGER_LOSS_OR_LATENCY && g->failback == CONFIG_FAILBACK_DRAIN &&
		  g->sticky_source);
	cr_assert_eq(g->n_members, 2u);
	cr_expect_eq(g->members[0].gateway, config_find_gateway(c, "isp"));
	cr_expect(g->members[0].tier == 1 && g->members[0].weight == 3);
	cr_expect_eq(g->members[1].gateway, config_find_gateway(c, "lte"));
	cr_expect(g->members[1].tier == 2 && g->members[1].weight == 1);
	cr_expect_eq(config_find_group(c, "v6"), &c->groups[1]);
	cr_expect_null(config_find_group(c, "he"));
	g = &c->groups[1];
	cr_expect(g->trigger == CONFIG_TRIGGER_DOWN && g->failback == CONFIG_FAILBACK_MOVE && !g->sticky_source);
	config_free(c);
}

Test(gateways, what_refers_to_groups)
{
	struct config *c = config_of(GROUPS);
	const struct config_group *v4 = config_find_group(c, "v4"), *v6 = config_find_group(c, "v6");

	cr_expect_eq(c->tunnels[0].underlay_group, v4);
	cr_expect_null(c->tunnels[0].underlay);
	cr_expect_eq(c->routes[0].via.group, v4);
	cr_expect_null(c->routes[0].via.gateway);
	cr_expect_str_eq(config_via_name(&c->routes[1].via), "v6");
	cr_expect_eq(c->rules[0].route_to.group, v4);
	cr_expect_eq(c->rules[0].reply_to.group, v6);
	cr_expect_eq(c->rules[0].match.families, (unsigned int)FL_BOTH, "lte has both");
	cr_expect_null(config_via_name(&c->rules[1].route_to));
	cr_expect_str_eq(config_via_name(&c->rules[1].reply_to), "isp");
	config_free(c);
}

Test(gateways, hooks)
{
	struct config *c = config_of(GROUPS);

	cr_assert_eq(c->n_hooks_gateway, 2u);
	cr_expect_str_eq(c->hooks_gateway[0], "/etc/a");
	cr_expect_str_eq(c->hooks_gateway[1], "/etc/b");
	cr_assert_eq(c->n_hooks_vip, 1u);
	cr_expect_str_eq(c->hooks_vip[0], "/etc/c");
	config_free(c);
}

Test(gateways, host_names)
{
	static const char *const right[] = { "a", "a.", "ipv4only.arpa", "1.a", "4u.example.net.", "x-1.example" };
	static const char *const wrong[] = {
		"",	     ".",
		"a..",	     "a..b",
		".a",	     "-a",
		"a-",	     "a-.b",
		"192.0.2.1", "1",
		"a_b",	     "a b",
		"a:1",	     "a123456789b123456789c123456789d123456789e123456789f123456789abcd.example",
	};
	size_t i;

	for (i = 0; i < sizeof(right) / sizeof(right[0]); i++)
		cr_expect_null(name_host_fault(right[i]), "%s", right[i]);
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		cr_expect_not_null(name_host_fault(wrong[i]), "%s", wrong[i]);
}

Test(gateways, tunnels_that_follow)
{
	struct config *c = config_of(
		"{" INTERFACES "'tunnels':{'he0':{'type':'6in4','underlay':'wan','local':'interface',"
		"'remote':'tunnel.example.net','address':'2001:db8:1::2/64','update':{'url':'https://example.net/nic',"
		"'user':'me','password_file':'/etc/fairlead/key','host':'12'}},"
		"'b0':{'type':'6in4','underlay':'wan','local':'interface','remote':'198.51.100.1',"
		"'address':'2001:db8:2::2/64','update':{'url':'http://a','min_interval_s':0}},"
		"'c0':{'type':'6in4','underlay':'wan','local':'interface','remote':'198.51.100.2',"
		"'address':'2001:db8:3::2/64'}}}");
	const struct config_update *u = &c->tunnels[0].update;

	cr_expect_str_eq(c->tunnels[0].remotes[0].host, "tunnel.example.net");
	cr_expect_eq(c->tunnels[0].remotes[0].address_outer.family, AF_UNSPEC);
	cr_expect_str_eq(u->url, "https://example.net/nic");
	cr_expect_str_eq(u->user, "me");
	cr_expect_str_eq(u->password_file, "/etc/fairlead/key");
	cr_expect_str_eq(u->host, "12");
	cr_expect_eq(u->min_interval_s, 300u);
	u = &c->tunnels[1].update;
	cr_expect_str_eq(u->url, "http://a");
	cr_expect(!u->user && !u->password_file && !u->host && !u->min_interval_s);
	cr_expect_null(c->tunnels[2].update.url);
	config_free(c);
}
