// SPDX-License-Identifier: GPL-2.0-only
/* From a configuration to the keys and values of the tunnel and translation tables; no kernel involved. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "fairlead/npt_math.h"
#include "user/datapath/private.h"

#define HEAD \
	"{ \"node\": { \"name\": \"t\" }, \"interfaces\": { \"wan\": { \"device\": \"eth0\" }, \"lan\": { \"device\": \"eth1\" } }, "
#define P2P(remote, more) \
	"{ \"type\": \"6in4\", \"underlay\": \"wan\", \"local\": \"203.0.113.2\", \"remote\": \"" remote \
	"\", \"address\": \"2001:db8:1::2/64\"" more " }"
#define CLIENTS(local, clients) \
	"{ \"type\": \"6in4\", \"underlay\": \"wan\", \"local\": \"" local \
	"\", \"address\": \"2001:db8:5::1/64\", \"clients\": { " clients " } }"
#define C1 \
	"\"c1\": { \"remote\": \"198.51.100.1\", \"address\": \"2001:db8:5::a\", \"routes\": [ \"2001:db8:6:1::/64\" ] }"
#define C2 \
	"\"c2\": { \"remote\": \"198.51.100.2\", \"address\": \"2001:db8:5::b\", \"routes\": [ \"2001:db8:6:2::/64\", \"2001:db8:7::/48\" ] }"

static struct port ports[FL_PORTS_MAX];

static struct config *config_of(const char *text)
{
	struct config_report report = {};
	struct config *config = NULL;

	config_load_string(text, strlen(text), &config, &report);
	for (size_t i = 0; i < report.n_findings && !config; i++)
		cr_log_error("%s: %s", report.findings[i].pointer, report.findings[i].text);
	cr_assert_not_null(config);
	config_report_free(&report);
	return config;
}

static struct prefix prefix_of(const char *text)
{
	struct prefix p;

	cr_assert_eq(prefix_parse(text, &p), 0, "%s", text);
	return p;
}

static union fl_addr map_addr(const char *text)
{
	struct addr a;

	cr_assert_eq(addr_parse(text, &a), 0, "%s", text);
	return addr_to_map(&a);
}

static void port_set(uint16_t number, enum port_kind kind, const char *name)
{
	ports[number] = (struct port){ .kind = kind, .number = number, .present = true };
	strcpy(ports[number].name, name);
	ports[number].value.ifindex = 100 + number;
	ports[number].value.mtu = kind == PORT_TUNNEL ? 1480 : 1500;
	ports[number].value.flags = FL_PORT_UP;
}

/* wan is port 1, lan 2, tunnels follow */
static void ports_for(const struct config *config)
{
	memset(ports, 0, sizeof(ports));
	port_set(1, PORT_INTERFACE, "wan");
	port_set(2, PORT_INTERFACE, "lan");
	ports[1].interface = config_find_interface(config, "wan");
	ports[2].interface = config_find_interface(config, "lan");
	addr_parse("203.0.113.2", &ports[1].own4);
	for (size_t i = 0; i < config->n_tunnels; i++) {
		port_set(3 + i, PORT_TUNNEL, config->tunnels[i].name);
		ports[3 + i].tunnel = &config->tunnels[i];
	}
}

static struct tables *compile(const struct config *config, const struct tables *current)
{
	struct tables *tables = NULL;
	char *why = NULL;

	cr_assert_eq(tables_compile(config, ports, current, &tables, &why), 0, "%s", why);
	return tables;
}

static uint32_t value_of(const struct entries *entries, const void *key)
{
	for (size_t i = 0; i < entries->n; i++)
		if (memcmp(entry_key(entries, i), key, entries->key_size) == 0)
			return entry_value(entries, i);
	return 0;
}

static uint32_t endpoint_of(const struct tables *tables, const char *remote)
{
	struct fl_endpoint_key key = { .local = inet_addr("203.0.113.2"), .remote = remote ? inet_addr(remote) : 0 };

	uint32_t value = value_of(&tables->ep_in, &key);

	return remote ? FL_EP_IN_ENDPOINT(value) : FL_EP_IN_TUNNEL(value);
}

static uint32_t client_of(const struct tables *tables, uint16_t tunnel, const char *prefix)
{
	struct prefix p = prefix_of(prefix);
	struct fl_client_route_key key = { .prefixlen = 32 + p.len, .tunnel = tunnel, .addr = addr_to_map(&p.addr) };

	return value_of(&tables->clients, &key);
}

Test(datapath_tables, tunnel_with_one_remote)
{
	struct config *config = config_of(HEAD "\"tunnels\": { \"he0\": " P2P("198.51.100.1", "") " } }");
	struct tables *tables;

	ports_for(config);
	tables = compile(config, NULL);
	cr_assert_eq(tables->n_endpoints, 1);
	cr_assert_eq(tables->ep_in.n, 2);
	cr_assert_eq(tables->clients.n, 0);
	cr_assert_neq(tables->endpoints[0].index, 0);
	cr_assert_eq(endpoint_of(tables, "198.51.100.1"), tables->endpoints[0].index);
	cr_assert_eq(endpoint_of(tables, NULL), 3, "strangers are counted on the tunnel's port");
	cr_assert_eq(tables->endpoints[0].value.underlay, 1);
	cr_assert_eq(tables->endpoints[0].value.underlay_ifindex, 101);
	cr_assert_eq(tables->endpoints[0].value.tunnel, 3);
	cr_assert_eq(tables->endpoints[0].value.mtu, 1480);
	cr_assert_eq(tables->endpoints[0].value.flags, FL_EP_DYNAMIC_MTU);
	tables_free(tables);
	config_free(config);
}

Test(datapath_tables, static_mtu_is_not_learned)
{
	struct config *config =
		config_of(HEAD "\"tunnels\": { \"he0\": " P2P("198.51.100.1", ", \"mtu\": 1400, \"ttl\": 9") " } }");
	struct tables *tables;

	ports_for(config);
	tables = compile(config, NULL);
	cr_assert_eq(tables->endpoints[0].value.flags & FL_EP_DYNAMIC_MTU, 0);
	cr_assert_eq(tables->endpoints[0].value.ttl, 9);
	tables_free(tables);
	config_free(config);
}

Test(datapath_tables, clients_addresses_and_prefixes)
{
	struct config *config = config_of(HEAD "\"tunnels\": { \"br\": " CLIENTS("203.0.113.2", C1 ", " C2) " } }");
	struct tables *tables;
	uint32_t one, two;

	ports_for(config);
	tables = compile(config, NULL);
	one = endpoint_of(tables, "198.51.100.1");
	two = endpoint_of(tables, "198.51.100.2");
	cr_assert(one && two && one != two);
	cr_assert_eq(tables->clients.n, 7);
	cr_assert_eq(client_of(tables, 3, "fe80::c633:6401/128"), one, "RFC 4213 3.7: of 198.51.100.1");
	cr_assert_eq(client_of(tables, 3, "2001:db8:5::a/128"), one);
	cr_assert_eq(client_of(tables, 3, "2001:db8:6:1::/64"), one);
	cr_assert_eq(client_of(tables, 3, "2001:db8:5::b/128"), two);
	cr_assert_eq(client_of(tables, 3, "2001:db8:7::/48"), two);
	cr_assert_eq(client_of(tables, 4, "2001:db8:7::/48"), 0);
	tables_free(tables);
	config_free(config);
}

Test(datapath_tables, what_is_not_known_is_left_out)
{
	struct config *config = config_of(
		HEAD "\"tunnels\": { \"a\": " CLIENTS("interface", C1) ", \"b\": " P2P("198.51.100.7", "") " } }");
	struct tables *tables;

	config->tunnels[1].remotes[0].address_outer = (struct addr){};
	ports_for(config);
	tables = compile(config, NULL);
	cr_assert_eq(tables->n_endpoints, 1, "a remote without an address is not in the tables");
	cr_assert_eq(endpoint_of(tables, "198.51.100.1"), tables->endpoints[0].index, "`interface` is the underlay's");
	tables_free(tables);

	ports[1].own4 = (struct addr){};
	tables = compile(config, NULL);
	cr_assert_eq(tables->n_endpoints, 0, "the underlay has no address");
	tables_free(tables);

	ports_for(config);
	ports[1].present = false;
	tables = compile(config, NULL);
	cr_assert_eq(tables->n_endpoints, 0, "the underlay's device is not there");
	cr_assert_eq(tables->ep_in.n, 0);
	tables_free(tables);
	config_free(config);
}

/* A name that is resolved to another tunnel's remote is no error: the next answer may be another. */
Test(datapath_tables, a_name_gives_way)
{
	struct config *config = config_of(
		HEAD "\"tunnels\": { \"a\": " P2P("a.example.net", "") ", \"b\": " P2P("198.51.100.7", "") " } }");
	struct tables *tables = NULL;
	char *why = NULL;

	addr_parse("198.51.100.7", &config->tunnels[0].remotes[0].address_outer);
	ports_for(config);
	cr_assert_eq(tables_compile(config, ports, NULL, &tables, &why), 0);
	cr_assert_eq(tables->n_endpoints, 1);
	cr_expect_eq(tables->endpoints[0].tunnel, &config->tunnels[1], "the one that was given as an address stays");
	cr_assert_not_null(why);
	cr_expect_not_null(strstr(why, "a.example.net"), "%s", why);
	free(why);
	tables_free(tables);
	config_free(config);
}

#define GROUP_OF_TWO \
	"\"gateways\": { \"a\": { \"interface\": \"wan\", \"address\": \"203.0.113.1\" }, " \
	"\"b\": { \"interface\": \"lan\", \"address\": \"192.0.2.254\" } }, " \
	"\"gateway_groups\": { \"g\": { \"members\": [ { \"gateway\": \"a\" }, { \"gateway\": \"b\", \"tier\": 2 } ] } }, "
#define OVER_GROUP(local) \
	"{ \"type\": \"6in4\", \"underlay\": \"g\", \"local\": \"" local \
	"\", \"remote\": \"198.51.100.1\", \"address\": \"2001:db8:1::2/64\" }"

static uint32_t in_by(const struct tables *tables, const char *local, uint16_t port)
{
	struct fl_endpoint_key key = { .port = port, .local = inet_addr(local) };

	key.remote = port ? FL_EP_IN_MEMBER(3) : inet_addr("198.51.100.1");
	return value_of(&tables->ep_in, &key);
}

Test(datapath_tables, a_group_is_the_underlay)
{
	struct config *config = config_of(HEAD GROUP_OF_TWO "\"tunnels\": { \"he0\": " OVER_GROUP("interface") " } }");
	struct tables *tables, *later;
	uint32_t in;

	ports_for(config);
	addr_parse("192.0.2.1", &ports[2].own4);
	ports[2].value.mtu = 1400;
	tables = compile(config, NULL);
	in = FL_EP_IN(3, tables->endpoints[0].index);
	cr_assert_eq(tables->n_endpoints, 1, "one for both members");
	cr_assert_eq(tables->endpoints[0].value.local, 0);
	cr_assert_eq(tables->endpoints[0].value.group, 1);
	cr_assert_eq(tables->endpoints[0].value.underlay, 2, "that with the smallest MTU");
	cr_assert_eq(in_by(tables, "203.0.113.2", 0), in);
	cr_assert_eq(in_by(tables, "192.0.2.1", 0), in);
	cr_assert(in_by(tables, "203.0.113.2", 1) && in_by(tables, "192.0.2.1", 2));
	cr_assert(!in_by(tables, "203.0.113.2", 2) && !in_by(tables, "192.0.2.1", 1), "each its own");

	addr_parse("192.0.2.7", &ports[2].own4);
	later = compile(config, tables);
	cr_assert_eq(later->endpoints[0].index, tables->endpoints[0].index, "counters go on");
	cr_assert(!in_by(later, "192.0.2.1", 0) && in_by(later, "192.0.2.7", 0) == in && in_by(later, "192.0.2.7", 2));
	tables_free(later);

	ports[2].present = false;
	later = compile(config, tables);
	cr_assert(!in_by(later, "192.0.2.7", 0) && in_by(later, "203.0.113.2", 0));
	tables_free(later);
	tables_free(tables);
	config_free(config);
}

Test(datapath_tables, a_group_is_the_underlay_of_a_given_address)
{
	struct config *config =
		config_of(HEAD GROUP_OF_TWO "\"tunnels\": { \"he0\": " OVER_GROUP("203.0.113.2") " } }");
	struct tables *tables;

	ports_for(config);
	tables = compile(config, NULL);
	cr_assert_eq(tables->endpoints[0].value.local, inet_addr("203.0.113.2"));
	cr_assert_eq(in_by(tables, "203.0.113.2", 0), FL_EP_IN(3, tables->endpoints[0].index));
	cr_assert(in_by(tables, "203.0.113.2", 1) && in_by(tables, "203.0.113.2", 2));
	tables_free(tables);
	config_free(config);
}

/* The second one's address is the first one's by the group's member. */
Test(datapath_tables, the_same_ends_by_a_member)
{
	struct config *config = config_of(HEAD GROUP_OF_TWO "\"tunnels\": { \"a0\": " OVER_GROUP(
		"interface") ", \"b0\": " P2P("198.51.100.1", "") " } }");
	struct tables *tables = NULL;
	char *why = NULL;

	ports_for(config);
	cr_assert_eq(tables_compile(config, ports, NULL, &tables, &why), -EEXIST);
	cr_assert_not_null(strstr(why, "203.0.113.2 and 198.51.100.1"), "%s", why);
	cr_assert_not_null(tables);
	free(why);
	tables_free(tables);
	config_free(config);
}

Test(datapath_tables, unchanged_endpoints_keep_their_index)
{
	struct config *before = config_of(HEAD "\"tunnels\": { \"br\": " CLIENTS("203.0.113.2", C1 ", " C2) " } }");
	struct config *after = config_of(HEAD "\"tunnels\": { \"br\": " CLIENTS(
		"203.0.113.2", "\"c0\": { \"remote\": \"192.0.2.9\", \"address\": \"2001:db8:5::9\" }, " C2) " } }");
	struct tables *old, *now;

	ports_for(before);
	old = compile(before, NULL);
	now = compile(before, old);
	cr_assert(tables_equal(old, now), "nothing has changed");
	tables_free(now);

	ports_for(after);
	now = compile(after, old);
	cr_assert(!tables_equal(old, now));
	cr_assert_eq(endpoint_of(now, "198.51.100.2"), endpoint_of(old, "198.51.100.2"));
	cr_assert_neq(endpoint_of(now, "192.0.2.9"), endpoint_of(old, "198.51.100.1"), "in use until the switch");
	cr_assert_eq(endpoint_of(now, "198.51.100.1"), 0);
	tables_free(now);
	tables_free(old);
	config_free(before);
	config_free(after);
}

Test(datapath_tables, changed_endpoints_get_another_index_and_know_the_old)
{
	struct config *before = config_of(HEAD "\"tunnels\": { \"he0\": " P2P("198.51.100.1", "") " } }");
	struct config *after = config_of(HEAD "\"tunnels\": { \"he0\": " P2P("198.51.100.1", ", \"ttl\": 200") " } }");
	struct tables *old, *now;

	ports_for(before);
	old = compile(before, NULL);
	ports_for(after);
	now = compile(after, old);
	cr_assert_neq(now->endpoints[0].index, old->endpoints[0].index);
	cr_assert_eq(now->endpoints[0].previous, old->endpoints[0].index);
	tables_free(now);
	tables_free(old);
	config_free(before);
	config_free(after);
}

Test(datapath_tables, same_ends_twice_are_refused)
{
	struct config *config = config_of(
		HEAD "\"tunnels\": { \"a\": " P2P("198.51.100.1", "") ", \"b\": " CLIENTS("interface", C1) " } }");
	struct tables *tables = NULL;
	char *why = NULL;

	ports_for(config);
	cr_assert_eq(tables_compile(config, ports, NULL, &tables, &why), -EEXIST);
	cr_assert_not_null(why);
	cr_assert(strstr(why, "\"a\"") && strstr(why, "\"b\"") && strstr(why, "198.51.100.1"), "%s", why);
	cr_assert_eq(tables->n_endpoints, 1);
	cr_assert_str_eq(tables->endpoints[0].tunnel->name, "a", "the one whose local address was given");
	tables_free(tables);
	free(why);
	config_free(config);
}

/* ---- translations ---- */

static struct config_translation translation_of(const struct config *config, const char *internal, const char *external)
{
	return (struct config_translation){
		.interface = config_find_interface(config, "wan"),
		.internal = prefix_of(internal),
		.external = external ? prefix_of(external) : (struct prefix){},
		.from = external ? NULL : config_find_interface(config, "wan"),
	};
}

static const struct {
	const char *internal, *external, *inside, *outside;
	uint16_t adjust; /* as a number, high byte first */
} vectors[] = {
	{ "fd01:203:405::/48", "2001:db8:1::/48", "fd01:203:405:1::1234", "2001:db8:1:d550::1234", 0xd54f },
	{ "fd01:203:405::/48", "2001:db8:1::/48", "fd01:203:405::1", "2001:db8:1:d54f::1", 0xd54f },
	{ "fd01:203:405::/48", "2001:db8:1::/48", "fd01:203:405:2ab0::1", "2001:db8:1::1", 0xd54f },
	{ "fd00:1:2:3::/64", "2001:db8:1:2::/64", "fd00:1:2:3:4:5:6:7", "2001:db8:1:2:cf4e:5:6:7", 0xcf4a },
	{ "fd00:1:2:3::/64", "2001:db8:1:2::/64", "fd00:1:2:3:ffff:5:6:7", "2001:db8:1:2:ffff:cf4f:6:7", 0xcf4a },
	{ "fd00:1:2::/48", "2001:db8:aa:bb00::/56", "fd00:1:2:12::9", "2001:db8:aa:bb12:13a0::9", 0x13a0 },
};

/* The compiled entry, used as the programs use it, gives RFC 6296's own example and the vectors derived from it. */
Test(datapath_translations, vectors)
{
	struct config *config = config_of(HEAD "\"tunnels\": {} }");

	ports_for(config);
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		struct config_translation t = translation_of(config, vectors[i].internal, vectors[i].external);
		union fl_addr addr = map_addr(vectors[i].inside), want = map_addr(vectors[i].outside);
		union fl_addr back = map_addr(vectors[i].inside);
		struct fl_npt npt;

		cr_assert_eq(npt_compile(&t, ports, &npt), 0);
		cr_assert_eq(ntohs(npt.adjust), vectors[i].adjust, "%s", vectors[i].inside);
		cr_assert_eq(npt.port, 1);
		cr_assert_eq(fl_npt_to_external(&npt, &addr), FL_NPT_OK);
		cr_assert_eq(memcmp(&addr, &want, sizeof(addr)), 0, "%s", vectors[i].inside);
		cr_assert_eq(fl_npt_to_internal(&npt, &addr), FL_NPT_OK);
		cr_assert_eq(memcmp(&addr, &back, sizeof(addr)), 0, "%s", vectors[i].outside);
	}
	config_free(config);
}

/* What must have no translation: 3.2 (it would come back as subnet 0), and 3.7; and what lies beyond the other prefix. */
static const struct {
	const char *internal, *external, *addr;
	bool to_external;
	enum fl_npt_result result;
} untranslatable[] = {
	{ "fd01:203:405::/48", "2001:db8:1::/48", "fd01:203:405:ffff::1", true, FL_NPT_NO_MAPPING },
	{ "fd01:203:405::/48", "2001:db8:1::/48", "2001:db8:1:ffff::1", false, FL_NPT_NO_MAPPING },
	{ "fd01:203:405::/48", "2001:db8:1::/48", "fd01:203:406::1", true, FL_NPT_NO_MAPPING },
	{ "fd00:1:2:3::/64", "2001:db8:1:2::/64", "fd00:1:2:3:ffff:ffff:ffff:ffff", true, FL_NPT_BAD_IID },
	{ "fd00:1:2:3::/64", "2001:db8:1:2::/64", "fd00:1:2:3::", true, FL_NPT_BAD_IID },
	{ "fd00:1:2:3::/64", "2001:db8:1:2::/64", "2001:db8:1:2:ffff:ffff:ffff:ffff", false, FL_NPT_BAD_IID },
	{ "fd00:1:2:3::/64", "2001:db8:1:2::/64", "2001:db8:1:2::", false, FL_NPT_BAD_IID },
	{ "fd00:1:2::/48", "2001:db8:aa:bb00::/56", "fd00:1:2:112::9", true, FL_NPT_NO_MAPPING },
};

Test(datapath_translations, what_has_none)
{
	struct config *config = config_of(HEAD "\"tunnels\": {} }");

	ports_for(config);
	for (size_t i = 0; i < sizeof(untranslatable) / sizeof(untranslatable[0]); i++) {
		struct config_translation t =
			translation_of(config, untranslatable[i].internal, untranslatable[i].external);
		union fl_addr addr = map_addr(untranslatable[i].addr), same = addr;
		enum fl_npt_result result;
		struct fl_npt npt;

		cr_assert_eq(npt_compile(&t, ports, &npt), 0);
		result = untranslatable[i].to_external ? fl_npt_to_external(&npt, &addr)
						       : fl_npt_to_internal(&npt, &addr);
		cr_assert_eq(result, untranslatable[i].result, "%s", untranslatable[i].addr);
		cr_assert_eq(memcmp(&addr, &same, sizeof(addr)), 0, "%s was changed", untranslatable[i].addr);
	}
	config_free(config);
}

Test(datapath_translations, keys_have_the_prefixes_as_configured)
{
	struct config *config =
		config_of(HEAD "\"prefix_translations\": [ { \"interface\": \"wan\", \"internal\": \"fd00:1:2::/48\", "
			       "\"external\": \"2001:db8:aa:bb00::/56\" } ] }");
	struct fl_npt_key out = { 32 + 48, 0, FL_NPT_OUT, 1, map_addr("fd00:1:2::") };
	struct fl_npt_key in = { 32 + 56, 0, FL_NPT_IN, 1, map_addr("2001:db8:aa:bb00::") };
	struct fl_npt_key hairpin = { 32 + 56, 0, FL_NPT_HAIRPIN, 0, map_addr("2001:db8:aa:bb00::") };
	struct tables *tables;

	ports_for(config);
	tables = compile(config, NULL);
	cr_assert_eq(tables->n_npts, 1);
	cr_assert_eq(tables->npts[0].value.len, 56);
	cr_assert_eq(tables->npts[0].value.internal_len, 48);
	cr_assert_eq(tables->npt_prefix.n, 3);
	cr_assert_eq(value_of(&tables->npt_prefix, &out), tables->npts[0].index);
	cr_assert_eq(value_of(&tables->npt_prefix, &in), tables->npts[0].index);
	cr_assert_eq(value_of(&tables->npt_prefix, &hairpin), tables->npts[0].index);
	tables_free(tables);
	config_free(config);
}

Test(datapath_translations, follow_a_delegated_prefix)
{
	struct config *config = config_of(
		HEAD "\"prefix_translations\": [ { \"interface\": \"wan\", \"internal\": \"fd00:1:2:3::/64\", "
		     "\"external\": { \"from\": \"wan\", \"subnet\": 5 } } ] }");
	struct tables *old, *now;

	ports_for(config);
	old = compile(config, NULL);
	cr_assert_eq(old->n_npts, 1);
	cr_assert_eq(old->npts[0].value.mode, FL_NPT_UNKNOWN, "nothing is delegated yet");
	cr_assert_eq(old->npt_prefix.n, 1, "what should be translated is found, and has no translation");
	tables_free(old);
	ports[1].delegated = prefix_of("2001:db8:aa::1/56");
	old = compile(config, NULL);
	cr_assert_eq(old->n_npts, 1);
	now = compile(config, old);
	cr_assert(tables_equal(old, now));
	tables_free(now);
	ports[1].delegated = prefix_of("2001:db8:bb::1/56");
	now = compile(config, old);
	cr_assert(!tables_equal(old, now));
	cr_assert_eq(now->npts[0].previous, old->npts[0].index);
	tables_free(now);
	tables_free(old);
	config_free(config);
}

Test(datapath_translations, delegated_subnets)
{
	static const struct {
		const char *delegated;
		uint32_t subnet;
		int err;
		const char *external;
	} cases[] = {
		{ "2001:db8:aa:bb00::1/56", 0, 0, "2001:db8:aa:bb00::/64" },
		{ "2001:db8:aa:bb00::1/56", 255, 0, "2001:db8:aa:bbff::/64" },
		{ "2001:db8:aa:bb00::1/56", 256, -ERANGE, NULL },
		{ "2001:db8:aa:bb01::1/64", 0, 0, "2001:db8:aa:bb01::/64" },
		{ "2001:db8:aa:bb01::1/64", 1, -ERANGE, NULL },
		{ "2001:db8:aa:bb01::1/128", 0, -ERANGE, NULL },
		{ "2001:db8::1/32", 0xffffffff, 0, "2001:db8:ffff:ffff::/64" },
		{ "2001:db8::1/48", 0x10000, -ERANGE, NULL },
	};
	char text[PREFIX_STRLEN];
	struct prefix out;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct prefix delegated = prefix_of(cases[i].delegated);

		cr_assert_eq(delegated_subnet(&delegated, cases[i].subnet, &out), cases[i].err, "%s %u",
			     cases[i].delegated, cases[i].subnet);
		if (!cases[i].err)
			cr_assert_str_eq(prefix_format(&out, text), cases[i].external);
	}
}

/* ---- indices ---- */

Test(datapath_indices, zero_is_none_and_taken_ones_are_skipped)
{
	struct indices indices;

	cr_assert_eq(indices_init(&indices, 5), 0);
	indices_take(&indices, 2);
	indices_take(&indices, 1000);
	cr_assert_eq(indices_get(&indices), 1);
	cr_assert_eq(indices_get(&indices), 3);
	cr_assert_eq(indices_get(&indices), 4);
	cr_assert_eq(indices_get(&indices), 0, "full");
	indices_free(&indices);
}
