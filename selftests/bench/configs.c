// SPDX-License-Identifier: GPL-2.0-only
/* The configurations that the daemons get; the addresses are those of paths.c. */
#include <stdio.h>
#include <string.h>

#include "selftests/bench/bench.h"

#define PAIR_STATES (4 * BURST + BURST) /* a quarter may be unanswered */

static char config_key[512], config_password[512]; /* files */

void config_secrets(const char *work)
{
	snprintf(config_key, sizeof(config_key), "%s/sync.key", work);
	snprintf(config_password, sizeof(config_password), "%s/carp.key", work);
}

static void write_or_die(json_t *config, const char *file)
{
	if (!config || json_dump_file(config, file, JSON_INDENT(1)))
		die("cannot write %s", file);
	json_decref(config);
}

static json_t *interfaces(const char *mode)
{
	return json_pack("{s:{s:s,s:s},s:{s:s,s:s}}", "lan", "device", "r0", "mode", mode, "wan", "device", "r1",
			 "mode", mode);
}

static json_t *translations(int n)
{
	json_t *list = json_array();
	char internal[64], external[64];

	for (int i = 0; i < n; i++) {
		snprintf(internal, sizeof(internal), "2001:db8:aa:%x::/64", i);
		snprintf(external, sizeof(external), "2001:db8:ba:%x::/64", i);
		json_array_append_new(list, json_pack("{s:s,s:s,s:s}", "interface", "wan", "internal", internal,
						      "external", external));
	}
	return list;
}

/* Router between two tunnels, a LAN and a WAN, with prefix translation towards WAN and the second tunnel. */
static json_t *router(const char *mode, int n_translations)
{
	json_t *list = translations(n_translations);

	json_array_append_new(list, json_pack("{s:s,s:s,s:s}", "interface", "tun_out", "internal", "2001:db8:ab::/64",
					      "external", "2001:db8:bb::/64"));
	return json_pack("{s:{s:s}, s:o, s:{s:{s:s,s:s,s:s,s:s,s:s},s:{s:s,s:s,s:s,s:s,s:s}},"
			 " s:{s:{s:s,s:s,s:b},s:{s:s,s:s,s:b}}, s:[{s:s,s:s},{s:s,s:s}], s:o, s:s}",
			 "node", "name", "bench", "interfaces", interfaces(mode), /**/
			 "tunnels", "tun_in", "type", "6in4", "underlay", "lan", "local", "192.0.2.1", "remote",
			 "10.1.0.1", "address", "2001:db8:d1::2/64", /**/
			 "tun_out", "type", "6in4", "underlay", "wan", "local", "203.0.113.1", "remote", "203.0.113.2",
			 "address", "2001:db8:d2::2/64",							/**/
			 "gateways", "gw_in", "interface", "tun_in", "address", "2001:db8:d1::1", "monitor", 0, /**/
			 "gw_out", "interface", "tun_out", "address", "2001:db8:d2::1", "monitor", 0,		/**/
			 "routes", "destination", "2001:db8:ab::/64", "gateway", "gw_in",			/**/
			 "destination", "2001:db8:f2::/48", "gateway", "gw_out",				/**/
			 "prefix_translations", list, "default_action", "pass");
}

static json_t *client(int i)
{
	char remote[32], address[64], prefix[64];

	snprintf(remote, sizeof(remote), "10.1.%d.%d", (i + 1) >> 8, (i + 1) & 0xff);
	snprintf(address, sizeof(address), "2001:db8:d1::1:%x", i);
	snprintf(prefix, sizeof(prefix), "2001:db8:cc:%x::/64", i);
	return json_pack("{s:s,s:s,s:[s]}", "remote", remote, "address", address, "routes", prefix);
}

static json_t *broker(int n_clients)
{
	json_t *clients = json_object();
	char name[16];

	if (n_clients == 1) { /* the same inner packets, all from one */
		json_object_set_new(clients, "c0",
				    json_pack("{s:s,s:s,s:[s]}", "remote", "10.1.0.1", "address", "2001:db8:d1::1:0",
					      "routes", "2001:db8:cc::/48"));
	} else {
		for (int i = 0; i < n_clients; i++) {
			snprintf(name, sizeof(name), "c%d", i);
			json_object_set_new(clients, name, client(i));
		}
	}
	return json_pack("{s:{s:s}, s:o, s:{s:{s:s,s:s,s:s,s:s,s:o}}, s:s}", "node", "name", "bench", "interfaces",
			 interfaces("native"), "tunnels", "tun_in", "type", "6in4", "underlay", "lan", "local",
			 "192.0.2.1", "address", "2001:db8:d1::2/64", "clients", clients, "default_action", "pass");
}

/* ---- rules ---- */

/* Rule number i of those that fit no packet. */
static json_t *rule(unsigned int i, bool changed)
{
	char name[32], address[64];

	snprintf(name, sizeof(name), "rule %u", i);
	snprintf(address, sizeof(address), "2001:db8:e%x:%x::/64", i >> 8, i & 0xff);
	return json_pack("{s:s,s:s,s:s,s:s,s:s,s:{s:s},s:{s:i}}", "name", name, "action", "block", "direction", "in",
			 "interface", "lan", "protocol", "udp", "source", "address", address, "destination", "port",
			 (int)(changed ? 65535 : 1000 + i));
}

static json_t *lan_passes(const char *state)
{
	return json_pack("{s:s,s:s,s:s,s:s,s:s}", "name", "lan", "action", "pass", "direction", "in", "interface",
			 "lan", "state", state);
}

static json_t *ruled(json_t *rules)
{
	return json_pack("{s:{s:s}, s:o, s:o}", "node", "name", "bench", "interfaces", interfaces("native"), "rules",
			 rules);
}

static json_t *stateless(unsigned int n, unsigned int variant)
{
	json_t *rules = json_array();

	json_array_append_new(rules, lan_passes("none"));
	for (unsigned int i = 1; i < n; i++)
		json_array_append_new(rules, rule(i, variant && i == n / 2));
	return ruled(rules);
}

/* As many states as `limit`, whose timeouts a benchmark does not meet. */
static json_t *stateful(unsigned int limit)
{
	json_t *rules = json_array(), *config;

	json_array_append_new(rules, lan_passes("keep"));
	config = ruled(rules);
	json_object_set_new(config, "limits", json_pack("{s:i}", "states", (int)limit));
	json_object_set_new(config, "timeouts_s",
			    json_pack("{s:i,s:i,s:i}", "udp_first", 86400, "udp_single", 86400, "udp_multiple", 86400));
	return config;
}

/* With a peer at the other end of r2 */
static json_t *paired(unsigned int limit, int node)
{
	json_t *config = stateful(limit);
	char local[32], peer[32];

	snprintf(local, sizeof(local), "172.16.255.%d", 1 + node);
	snprintf(peer, sizeof(peer), "172.16.255.%d", 2 - node);
	json_object_update_new(json_object_get(config, "interfaces"), json_pack("{s:{s:s}}", "sync", "device", "r2"));
	json_object_set_new(config, "ha",
			    json_pack("{s:s,s:s,s:[s],s:s}", "interface", "sync", "local", local, "peers", peer,
				      "key_file", config_key));
	return config;
}

static json_t *vip(const char *interface, const char *address, int vhid, int node, int fast_ms)
{
	json_t *v = json_pack("{s:s,s:s,s:i,s:i,s:s}", "interface", interface, "address", address, "vhid", vhid,
			      "advskew", 10 * node, "password_file", config_password);

	if (fast_ms)
		json_object_set_new(v, "fast_ms", json_integer(fast_ms));
	return v;
}

void config_write_node(const char *work, const char *name, int node, int fast_ms, bool wan)
{
	json_t *config = paired(20000, node), *interfaces = json_object_get(config, "interfaces"),
	       *vips = json_object();
	char file[512];

	json_object_clear(interfaces);
	json_object_update_new(interfaces,
			       json_pack("{s:{s:s},s:{s:s}}", "lan", "device", "lan", "sync", "device", "sync"));
	json_object_set_new(vips, "lan_vip", vip("lan", "192.0.2.100/24", 7, node, fast_ms));
	if (wan) {
		json_object_set_new(interfaces, "wan", json_pack("{s:s}", "device", "wan"));
		json_object_set_new(vips, "wan_vip", vip("wan", "198.51.100.100/24", 8, node, fast_ms));
	}
	json_object_set_new(config, "vips", vips);
	snprintf(file, sizeof(file), "%s/%s.json", work, name);
	write_or_die(config, file);
}

/* The same sources, by as many gateways. */
static json_t *steered(int n)
{
	json_t *rules = json_array(), *gateways = json_object(), *config;
	char name[16], address[64];

	for (int i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "gw%d", i);
		snprintf(address, sizeof(address), "2001:db8:b::1:%x", i);
		json_object_set_new(gateways, name,
				    json_pack("{s:s,s:s,s:b}", "interface", "wan", "address", address, "monitor", 0));
	}
	for (int i = 0; i < GATEWAYS; i++) {
		json_t *steering = lan_passes("keep");
		char rule_name[32];

		snprintf(rule_name, sizeof(rule_name), "lan %d", i);
		snprintf(name, sizeof(name), "gw%d", i % n);
		snprintf(address, sizeof(address), "2001:db8:ac:%x::/64", i);
		json_object_set_new(steering, "name", json_string(rule_name));
		json_object_set_new(steering, "family", json_string("inet6"));
		json_object_set_new(steering, "source", json_pack("{s:s}", "address", address));
		json_object_set_new(steering, "route_to", json_string(name));
		json_array_append_new(rules, steering);
	}
	config = ruled(rules);
	json_object_set_new(config, "gateways", gateways);
	return config;
}

/* As steered(), by what is probed; with the defaults but that one is up again at once, so that the next turn may begin */
static json_t *probed(int many)
{
	json_t *gateways = json_object(), *config = stateless(1, 0), *rules = json_array();
	char name[16], address[64];

	for (int i = 0; i < many; i++) {
		snprintf(name, sizeof(name), "gw%d", i);
		snprintf(address, sizeof(address), "2001:db8:c0::1:%x", i);
		json_object_set_new(gateways, name, json_pack("{s:s,s:s}", "interface", "far0", "address", address));
	}
	json_object_update_new(json_object_get(config, "interfaces"),
			       json_pack("{s:{s:s},s:{s:s}}", "far0", "device", "r2", "far1", "device", "r3"));
	json_object_set_new(config, "gateways", gateways);
	if (many)
		return config;
	json_object_set_new(gateways, "a",
			    json_pack("{s:s,s:s,s:{s:i}}", "interface", "far0", "address", "2001:db8:c0::1:1",
				      "monitor", "up_after", 1));
	json_object_set_new(gateways, "b",
			    json_pack("{s:s,s:s,s:{s:i,s:i}}", "interface", "far0", "address", "2001:db8:c0::1:2",
				      "monitor", "up_after", 1, "interval_ms", 20));
	json_object_set_new(gateways, "c", json_pack("{s:s,s:s}", "interface", "far1", "address", "2001:db8:c1::1:3"));
	json_object_set_new(config, "gateway_groups",
			    json_pack("{s:{s:[{s:s,s:i},{s:s,s:i}]},s:{s:[{s:s,s:i},{s:s,s:i}]}}", "slow", "members",
				      "gateway", "a", "tier", 1, "gateway", "c", "tier", 2, "fast", "members",
				      "gateway", "b", "tier", 1, "gateway", "c", "tier", 2));
	for (int i = 0; i < 2; i++) {
		json_t *steering = lan_passes("keep");

		json_object_set_new(steering, "name", json_string(i ? "fast" : "slow"));
		json_object_set_new(steering, "family", json_string("inet6"));
		json_object_set_new(steering, "source",
				    json_pack("{s:s}", "address", i ? "2001:db8:aa::/48" : "2001:db8:ac::/48"));
		json_object_set_new(steering, "route_to", json_string(i ? "fast" : "slow"));
		json_array_append_new(rules, steering);
	}
	json_object_set_new(config, "rules", rules);
	return config;
}

static json_t *config_of(enum dut_id dut)
{
	switch (dut) {
	case DUT_NATIVE:
		return router("native", 1);
	case DUT_TC:
		return router("tc", 1);
	case DUT_GENERIC:
		return router("generic", 1);
	case DUT_NPT256:
		return router("native", TRANSLATIONS);
	case DUT_CLIENTS1:
		return broker(1);
	case DUT_CLIENTS10K:
		return broker(CLIENTS);
	case DUT_STATES:
		return stateful(4 * STATES + STATES);
	case DUT_STATES_MANY:
		return stateful(10000000);
	case DUT_RULES10:
		return stateless(10, 0);
	case DUT_RULES1K:
		return stateless(1000, 0);
	case DUT_RULES10K:
		return stateless(10000, 0);
	case DUT_GATEWAY1:
		return steered(1);
	case DUT_GATEWAYS:
		return steered(GATEWAYS);
	case DUT_PROBES:
		return stateless(1, 0);
	case DUT_SOLO:
		return stateful(PAIR_STATES);
	case DUT_PAIR:
		return paired(PAIR_STATES, 0);
	case DUT_STANDBY:
		return paired(PAIR_STATES, 1);
	default:
		return NULL;
	}
}

void config_write(enum dut_id dut, const char *file)
{
	write_or_die(config_of(dut), file);
}

void config_write_rules(unsigned int rules, unsigned int variant, const char *file)
{
	write_or_die(stateless(rules, variant), file);
}

void config_write_gateways(int many, const char *file)
{
	write_or_die(probed(many), file);
}

void nft_write_rules(unsigned int rules, const char *file)
{
	FILE *to = fopen(file, "w");

	if (!to)
		die("cannot write %s", file);
	fputs("flush ruleset\ntable inet f {\nchain c {\ntype filter hook forward priority 0; policy accept;\n", to);
	for (unsigned int i = 1; i < rules; i++)
		fprintf(to, "iifname \"r0\" ip6 saddr 2001:db8:e%x:%x::/64 udp dport %u drop\n", i >> 8, i & 0xff,
			1000 + i);
	fputs("}\n}\n", to);
	if (fclose(to))
		die("cannot write %s", file);
}
