// SPDX-License-Identifier: GPL-2.0-only
/* The configurations that the daemons get; the addresses are those of paths.c. */
#include <stdio.h>
#include <string.h>

#include "selftests/bench/bench.h"

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
			 " s:{s:{s:s,s:s},s:{s:s,s:s}}, s:[{s:s,s:s},{s:s,s:s}], s:o, s:s}",
			 "node", "name", "bench", "interfaces", interfaces(mode), /**/
			 "tunnels", "tun_in", "type", "6in4", "underlay", "lan", "local", "192.0.2.1", "remote",
			 "10.1.0.1", "address", "2001:db8:d1::2/64", /**/
			 "tun_out", "type", "6in4", "underlay", "wan", "local", "203.0.113.1", "remote", "203.0.113.2",
			 "address", "2001:db8:d2::2/64",					  /**/
			 "gateways", "gw_in", "interface", "tun_in", "address", "2001:db8:d1::1", /**/
			 "gw_out", "interface", "tun_out", "address", "2001:db8:d2::1",		  /**/
			 "routes", "destination", "2001:db8:ab::/64", "gateway", "gw_in",	  /**/
			 "destination", "2001:db8:f2::/48", "gateway", "gw_out",		  /**/
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
	default:
		return NULL;
	}
}

void config_write(enum dut_id dut, const char *file)
{
	json_t *config = config_of(dut);

	if (!config || json_dump_file(config, file, JSON_INDENT(1)))
		die("cannot write %s", file);
	json_decref(config);
}
