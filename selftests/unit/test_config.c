/* SPDX-License-Identifier: GPL-2.0-only */
/* What a right configuration becomes. What is wrong with wrong ones is in config/invalid, see schema_test.py. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "selftests/unit/config_of.h"

static bool is_addr(const struct addr *a, const char *text)
{
	char buf[ADDR_STRLEN];

	return !strcmp(addr_format(a, buf), text);
}

static bool is_prefix(const struct prefix *p, const char *text)
{
	char buf[PREFIX_STRLEN];

	return !strcmp(prefix_format(p, buf), text);
}

static const char full[] =
	"{ 'node': { 'name': 'fw' }, 'interfaces': { 'wan': { 'device': 'eth0', 'mode': 'tc', 'family': 'inet6',"
	"  'antispoof': false }, 'lan': { 'device': 'eth1' } },"
	"  'tunnels': {"
	"    'off0': { 'type': '6in4', 'underlay': 'lan', 'local': 'interface', 'remote': '198.51.100.7',"
	"              'address': '2001:db8:7::2/64', 'disabled': true },"
	"    'he0': { 'type': '6in4', 'underlay': 'wan', 'local': '203.0.113.2', 'remote': '198.51.100.1',"
	"             'address': ['2001:db8:1::2/64', '2001:db8:9::2/128'], 'mtu': 1472, 'ttl': 9, 'dscp': 46,"
	"             'mss_clamp': 1400 },"
	"    'b0': { 'type': '6in4', 'underlay': 'wan', 'local': 'interface', 'address': '2001:db8:5::1/64',"
	"            'mss_clamp': false, 'clients': {"
	"      'one': { 'remote': '203.0.113.1', 'address': '2001:db8:5::11' },"
	"      'two': { 'remote': '203.0.113.9', 'address': '2001:db8:5::12',"
	"               'routes': ['2001:db8:12::/48', '2001:db8:13::/48'] } } } },"
	"  'gateways': { 'off_gw': { 'interface': 'off0', 'disabled': true },"
	"    'he_gw': { 'interface': 'he0', 'address': '2001:db8:1::1' },"
	"    'isp_gw': { 'interface': 'wan', 'address': '203.0.113.254' }, 'ppp_gw': { 'interface': 'lan', 'monitor': false } },"
	"  'routes': [ { 'destination': '2001:db8:f::/48', 'gateway': 'off_gw', 'disabled': true },"
	"    { 'destination': '0.0.0.0/0', 'gateway': 'isp_gw' }, { 'destination': '::/0', 'gateway': 'he_gw' } ],"
	"  'prefix_translations': ["
	"    { 'interface': 'he0', 'internal': 'fd00::/48', 'external': '2001:db8:aa:bb00::/56' },"
	"    { 'interface': 'off0', 'internal': 'fd00::/48', 'external': '2001:db8::/48', 'disabled': true },"
	"    { 'interface': 'lan', 'internal': 'fd00:1::/64', 'external': { 'from': 'wan', 'subnet': 3 },"
	"      'mode': 'plain' } ] }";

static struct config *load_full(void)
{
	return config_of(full);
}

Test(config, interfaces)
{
	struct config *c = load_full();

	cr_expect_str_eq(c->node, "fw");
	cr_assert_eq(c->n_interfaces, 2u);
	cr_expect_str_eq(c->interfaces[0].name, "wan");
	cr_expect_str_eq(c->interfaces[0].device, "eth0");
	cr_expect_eq(c->interfaces[0].mode, CONFIG_MODE_TC);
	cr_expect_eq(c->interfaces[0].family, FL_INET6);
	cr_expect_not(c->interfaces[0].antispoof);
	cr_expect_str_eq(c->interfaces[1].device, "eth1");
	cr_expect_eq(c->interfaces[1].mode, CONFIG_MODE_AUTO);
	cr_expect_eq(c->interfaces[1].family, FL_BOTH);
	cr_expect(c->interfaces[1].antispoof);
	config_free(c);
}

Test(config, tunnel)
{
	struct config *c = load_full();
	const struct config_tunnel *t = &c->tunnels[0];

	cr_assert_eq(c->n_tunnels, 2u, "the disabled one is not there");
	cr_expect_str_eq(t->name, "he0");
	cr_expect_eq(t->underlay, &c->interfaces[0]);
	cr_expect(is_addr(&t->local, "203.0.113.2"));
	cr_assert_eq(t->n_addresses, 2u);
	cr_expect(is_prefix(&t->addresses[0], "2001:db8:1::2/64"));
	cr_expect(is_prefix(&t->addresses[1], "2001:db8:9::2/128"));
	cr_expect_not(t->broker);
	cr_assert_eq(t->n_remotes, 1u);
	cr_expect_null(t->remotes[0].name);
	cr_expect_str_eq(t->remotes[0].host, "198.51.100.1");
	cr_expect(is_addr(&t->remotes[0].address_outer, "198.51.100.1"));
	cr_expect_eq(t->remotes[0].address.family, AF_UNSPEC);
	cr_expect_eq(t->remotes[0].n_routes, 0u);
	cr_expect_eq(t->mtu, 1472u);
	cr_expect_eq(t->ttl, 9);
	cr_expect_eq(t->dscp, 46);
	cr_expect_eq(t->mss_clamp, 1400);
	config_free(c);
}

Test(config, broker)
{
	struct config *c = load_full();
	const struct config_tunnel *t = &c->tunnels[1];

	cr_expect(t->broker);
	cr_expect_eq(t->local.family, AF_UNSPEC);
	cr_expect_eq(t->mtu, 0u);
	cr_expect_eq(t->ttl, 64);
	cr_expect_eq(t->dscp, FL_DSCP_COPY);
	cr_expect_eq(t->mss_clamp, FL_MSS_OFF);
	cr_assert_eq(t->n_remotes, 2u);
	cr_expect_str_eq(t->remotes[0].name, "one");
	cr_expect_eq(t->remotes[0].n_routes, 0u);
	cr_expect_str_eq(t->remotes[1].name, "two");
	cr_expect(is_addr(&t->remotes[1].address_outer, "203.0.113.9"));
	cr_expect(is_addr(&t->remotes[1].address, "2001:db8:5::12"));
	cr_assert_eq(t->remotes[1].n_routes, 2u);
	cr_expect(is_prefix(&t->remotes[1].routes[1], "2001:db8:13::/48"));
	config_free(c);
}

Test(config, gateways_and_routes)
{
	struct config *c = load_full();

	cr_assert_eq(c->n_gateways, 3u);
	cr_expect_eq(c->gateways[0].tunnel, &c->tunnels[0]);
	cr_expect_null(c->gateways[0].interface);
	cr_expect(is_addr(&c->gateways[0].address, "2001:db8:1::1"));
	cr_expect_eq(c->gateways[1].interface, &c->interfaces[0]);
	cr_expect_null(c->gateways[1].tunnel);
	cr_expect_eq(c->gateways[2].address.family, AF_UNSPEC);
	cr_assert_eq(c->n_routes, 2u);
	cr_expect(is_prefix(&c->routes[0].destination, "0.0.0.0/0"));
	cr_expect_eq(c->routes[0].via.gateway, &c->gateways[1]);
	cr_expect_eq(c->routes[1].via.gateway, &c->gateways[0]);
	config_free(c);
}

Test(config, translations)
{
	struct config *c = load_full();
	const struct config_translation *t = c->translations;

	cr_assert_eq(c->n_translations, 2u);
	cr_expect_eq(t[0].tunnel, &c->tunnels[0]);
	cr_expect_null(t[0].interface);
	cr_expect(is_prefix(&t[0].internal, "fd00::/48"));
	cr_expect(is_prefix(&t[0].external, "2001:db8:aa:bb00::/56"));
	cr_expect_eq(t[0].mode, FL_NPT_RFC6296);
	cr_expect_null(t[0].from);
	cr_expect_eq(t[1].interface, &c->interfaces[1]);
	cr_expect_eq(t[1].external.addr.family, AF_UNSPEC);
	cr_expect_eq(t[1].from, &c->interfaces[0]);
	cr_expect_eq(t[1].subnet, 3u);
	cr_expect_eq(t[1].mode, FL_NPT_PLAIN);
	config_free(c);
}

Test(config, find)
{
	struct config *c = load_full();

	cr_expect_eq(config_find_interface(c, "lan"), &c->interfaces[1]);
	cr_expect_null(config_find_interface(c, "eth1"));
	cr_expect_eq(config_find_tunnel(c, "b0"), &c->tunnels[1]);
	cr_expect_null(config_find_tunnel(c, "off0"));
	cr_expect_eq(config_find_gateway(c, "isp_gw"), &c->gateways[1]);
	cr_expect_null(config_find_gateway(c, "wan"));
	config_free(c);
}

Test(config, node_defaults_to_the_host)
{
	struct config *c = config_of("{'interfaces':{'wan':{'device':'eth0'}}}");
	char name[256] = "";

	cr_assert_eq(gethostname(name, sizeof(name) - 1), 0);
	cr_expect_str_eq(c->node, name);
	cr_expect_eq(c->n_tunnels + c->n_gateways + c->n_routes + c->n_translations, 0u);
	config_free(c);
}

Test(config, prints_what_it_read)
{
	struct config *c = load_full(), *again;
	json_t *json = config_json(c), *json_again;
	char *text = json_dumps(json, JSON_INDENT(2)), *second;

	again = config_of(text);
	json_again = config_json(again);
	second = json_dumps(json_again, JSON_INDENT(2));
	cr_expect_str_eq(text, second);
	cr_expect(json_equal(json, json_again));
	json_decref(json);
	json_decref(json_again);
	cr_expect_eq(again->n_tunnels, c->n_tunnels);
	free(text);
	free(second);
	config_free(c);
	config_free(again);
}

Test(config, out_is_untouched_on_failure)
{
	struct config *marker = (struct config *)&full, *config = marker;
	struct config_report report;

	cr_expect_eq(config_load_string("{}", 2, &config, &report), -EINVAL);
	cr_expect_eq(config, marker);
	cr_expect_eq(report.n_errors, 1u);
	config_report_free(&report);
	cr_expect_eq(config_load_file("/nonexistent/fairlead.json", &config, &report), -ENOENT);
	cr_expect_eq(config, marker);
	cr_assert_eq(report.n_findings, 1u);
	cr_expect_str_eq(report.findings[0].pointer, "");
	cr_expect_str_eq(report.findings[0].text, "can't be read: No such file or directory");
	config_report_free(&report);
	cr_expect_eq(config_load_file("/", &config, &report), -EISDIR);
	config_report_free(&report);
	config_free(NULL);
}

/* ---- what only the master of a pair has ---- */

#define PAIR(vpn, lte, hooks) \
	"{ 'interfaces': { 'lan': { 'device': 'eth1' }, 'sync': { 'device': 'eth3' }, 'dmz': { 'device': 'eth2' }," \
	"  'lte': { 'device': 'wwan0'" lte " }, 'vpn': { 'device': 'tun0'" vpn " } }," \
	"  'gateways': { 'LTE': { 'interface': 'lte', 'metered': true, 'monitor': false }, 'VPN': { 'interface': 'vpn', 'monitor': false } }," \
	"  'gateway_groups': { 'OUT': { 'members': [ { 'gateway': 'LTE', 'tier': 1 } ] } }," \
	"  'rules': [ { 'name': 'by the VPN', 'action': 'pass', 'route_to': 'VPN' }, { 'name': 'by a modem', 'action': 'pass', 'route_to': 'LTE' } ]," \
	"  'vips': { 'v': { 'interface': 'lan', 'address': '10.0.1.1/24', 'vhid': 1, 'password_file': '/k' } }," \
	"  'ha': { 'interface': 'sync', 'local': '172.16.255.1', 'peers': ['172.16.255.2'], 'key_file': '/k' }" hooks \
	" }"
#define HOOKS ", 'hooks': { 'vip': ['/h'] }"

Test(config, knows_what_only_the_master_has)
{
	static const struct {
		const char *text, *masters;
	} cases[] = {
		/* a modem is to take another gateway's place at the standby too; a DMZ without shared addresses is just there */
		{ PAIR("", "", HOOKS), "vpn" },
		{ PAIR(", 'present': 'always'", "", HOOKS), "" },
		{ PAIR("", "", ""), "" },
		{ PAIR(", 'present': 'master'", "", ""), "vpn" },
		{ PAIR("", ", 'present': 'master'", HOOKS), "lte vpn" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct config *c = config_of(cases[i].text);
		char got[64] = "";

		for (size_t j = 0; j < c->n_interfaces; j++) {
			if (!config_is_masters(c, &c->interfaces[j]))
				continue;
			strcat(got, *got ? " " : "");
			strcat(got, c->interfaces[j].name);
		}
		cr_expect_str_eq(got, cases[i].masters, "%zu: %s", i, got);
		config_free(c);
	}
}
