/* SPDX-License-Identifier: GPL-2.0-only */
/* The configuration file as tables: one per object. configs/fairlead.schema.json says the same for editors. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/config/names.h"
#include "user/config/tables.h"

/* ---- node, interfaces ---- */

static const struct schema_key node_keys[] = {
	{ .key = "name",
	  .kind = SCHEMA_STRING,
	  .flags = SCHEMA_REQUIRED,
	  FIELD(struct draft, node),
	  .fault = name_node_fault,
	  .accepts = "the name of this machine" },
	DESCRIPTION,
	END,
};
static const struct schema_object node = { .keys = node_keys };

static const struct schema_word mode_words[] = {
	{ .word = "auto", .value = CONFIG_MODE_AUTO },
	{ .word = "native", .value = CONFIG_MODE_NATIVE },
	{ .word = "generic", .value = CONFIG_MODE_GENERIC },
	{ .word = "tc", .value = CONFIG_MODE_TC },
	{ .word = NULL },
};

static const struct schema_word family_words[] = {
	{ .word = "both", .value = FL_BOTH },
	{ .word = "inet", .value = FL_INET },
	{ .word = "inet6", .value = FL_INET6 },
	{ .word = NULL },
};

static const struct schema_word present_words[] = {
	{ .word = "auto", .value = CONFIG_PRESENT_AUTO },
	{ .word = "always", .value = CONFIG_PRESENT_ALWAYS },
	{ .word = "master", .value = CONFIG_PRESENT_MASTER },
	{ .word = NULL },
};

static const struct schema_key interface_keys[] = {
	{ .key = "device",
	  .kind = SCHEMA_STRING,
	  .flags = SCHEMA_REQUIRED,
	  FIELD(struct config_interface, device),
	  .fault = name_device_fault,
	  .accepts = "the name of a network device" },
	{ .key = "mode",
	  .kind = SCHEMA_WORD,
	  FIELD(struct config_interface, mode),
	  .words = mode_words,
	  .fallback = "\"auto\"" },
	{ .key = "family",
	  .kind = SCHEMA_WORD,
	  FIELD(struct config_interface, family),
	  .words = family_words,
	  .fallback = "\"both\"" },
	{ .key = "antispoof", .kind = SCHEMA_BOOL, FIELD(struct config_interface, antispoof), .fallback = "true" },
	{ .key = "present",
	  .kind = SCHEMA_WORD,
	  FIELD(struct config_interface, present),
	  .words = present_words,
	  .fallback = "\"auto\"" },
	DESCRIPTION,
	END,
};
static const struct schema_object interface = {
	.keys = interface_keys,
	.size = sizeof(struct config_interface),
	.name_offset = offsetof(struct config_interface, name),
	.name_fault = name_interface_fault,
};

/* ---- tunnels ---- */

static const struct schema_key client_keys[] = {
	{ .key = "remote",
	  .kind = SCHEMA_STRING,
	  .flags = SCHEMA_REQUIRED,
	  FIELD(struct config_remote, host),
	  .fault = name_remote_fault,
	  .accepts = "the client's IPv4 address or host name" },
	{ .key = "address",
	  .kind = SCHEMA_ADDRESS,
	  .flags = SCHEMA_REQUIRED | SCHEMA_INET6 | SCHEMA_UNICAST,
	  FIELD(struct config_remote, address),
	  .accepts = "the client's end of the tunnel, an IPv6 address" },
	{ .key = "routes",
	  .kind = SCHEMA_LIST,
	  .element = schema_element_prefix,
	  .compare = schema_compare_prefixes,
	  .flags = SCHEMA_INET6 | SCHEMA_NETWORK | SCHEMA_ROUTABLE,
	  LIST(struct config_remote, routes),
	  .accepts = "an IPv6 prefix, not multicast or link-local, \"2001:db8::/64\" for instance" },
	DESCRIPTION,
	END,
};

static void remote_done(struct schema_walk *walk, const struct path *path, const json_t *value, void *item)
{
	struct config_remote *remote = item;

	(void)walk;
	(void)path;
	(void)value;
	if (remote->host)
		remote->named = addr_parse(remote->host, &remote->address_outer) != 0;
}

static const struct schema_object client = {
	.keys = client_keys,
	.size = sizeof(struct config_remote),
	.name_offset = offsetof(struct config_remote, name),
	.name_fault = name_fault,
	.done = remote_done,
};

static const struct schema_key update_keys[] = {
	{ .key = "url",
	  .kind = SCHEMA_STRING,
	  .flags = SCHEMA_REQUIRED,
	  FIELD(struct draft_tunnel, item.update.url),
	  .fault = name_url_fault,
	  .accepts = "where the broker is told, \"https://broker.example.net/update\" for instance" },
	{ .key = "user",
	  .kind = SCHEMA_STRING,
	  FIELD(struct draft_tunnel, item.update.user),
	  .fault = name_word_fault,
	  .accepts = "the name of the account" },
	{ .key = "password_file",
	  .kind = SCHEMA_STRING,
	  FIELD(struct draft_tunnel, item.update.password_file),
	  .fault = name_path_fault,
	  .accepts = "the path of a file with the password in its first line" },
	{ .key = "host",
	  .kind = SCHEMA_STRING,
	  FIELD(struct draft_tunnel, item.update.host),
	  .fault = name_word_fault,
	  .accepts = "the name or number that the tunnel has at the broker" },
	{ .key = "min_interval_s",
	  .kind = SCHEMA_NUMBER,
	  FIELD(struct draft_tunnel, item.update.min_interval_s),
	  .min = 0,
	  .max = 86400,
	  .fallback = "300" },
	DESCRIPTION,
	END,
};
static const struct schema_object update = { .keys = update_keys };

static const struct schema_word type_words[] = {
	{ .word = "6in4" },
	{ .word = NULL },
};
static const struct schema_word local_words[] = {
	{ .word = "interface" },
	{ .word = NULL },
};
static const struct schema_word mtu_words[] = {
	{ .word = "auto" },
	{ .word = NULL },
};
static const struct schema_word mss_words[] = {
	{ .word = "auto", .value = FL_MSS_AUTO },
	{ .word = "false", .value = FL_MSS_OFF, .literal = true },
	{ .word = NULL },
};
static const struct schema_word dscp_words[] = {
	{ .word = "copy", .value = FL_DSCP_COPY },
	{ .word = NULL },
};

static const struct schema_key tunnel_keys[] = {
	{ .key = "type",
	  .kind = SCHEMA_WORD,
	  .flags = SCHEMA_REQUIRED,
	  .offset = SCHEMA_NOWHERE,
	  .words = type_words,
	  .accepts = "\"6in4\"" },
	{ .key = "underlay",
	  .kind = SCHEMA_STRING,
	  .flags = SCHEMA_REQUIRED,
	  FIELD(struct draft_tunnel, underlay),
	  .fault = name_fault,
	  .accepts = "the interface or gateway group that carries the tunnel" },
	{ .key = "local",
	  .kind = SCHEMA_ADDRESS,
	  .flags = SCHEMA_REQUIRED | SCHEMA_INET | SCHEMA_UNICAST,
	  FIELD(struct draft_tunnel, item.local),
	  .words = local_words,
	  .accepts = "an IPv4 address of this machine, or \"interface\" for whatever the underlay has" },
	{ .key = "remote",
	  .kind = SCHEMA_STRING,
	  FIELD(struct draft_tunnel, single.host),
	  .fault = name_remote_fault,
	  .accepts = "the IPv4 address or host name of the other end" },
	{ .key = "clients",
	  .kind = SCHEMA_MAP,
	  .flags = SCHEMA_NOT_EMPTY,
	  LIST_IN(struct draft_tunnel, item, remotes),
	  .object = &client,
	  .accepts = "a client: an object with \"remote\", \"address\" and \"routes\"" },
	{ .key = "address",
	  .kind = SCHEMA_LIST,
	  .element = schema_element_prefix,
	  .compare = schema_compare_prefixes,
	  .flags = SCHEMA_REQUIRED | SCHEMA_INET6 | SCHEMA_UNICAST | SCHEMA_ONE_OR_MANY,
	  LIST_IN(struct draft_tunnel, item, addresses),
	  .accepts =
		  "an IPv6 address of the device with its length, \"2001:db8::2/64\" for instance, or an array of them" },
	{ .key = "mtu",
	  .kind = SCHEMA_NUMBER,
	  FIELD(struct draft_tunnel, item.mtu),
	  .min = 1280,
	  .max = 65515,
	  .words = mtu_words,
	  .fallback = "\"auto\"" },
	{ .key = "ttl",
	  .kind = SCHEMA_NUMBER,
	  FIELD(struct draft_tunnel, item.ttl),
	  .min = 1,
	  .max = 255,
	  .fallback = "64" },
	{ .key = "dscp",
	  .kind = SCHEMA_NUMBER,
	  FIELD(struct draft_tunnel, item.dscp),
	  .min = 0,
	  .max = 63,
	  .words = dscp_words,
	  .fallback = "\"copy\"" },
	{ .key = "mss_clamp",
	  .kind = SCHEMA_NUMBER,
	  FIELD(struct draft_tunnel, item.mss_clamp),
	  .min = 536,
	  .max = 65475,
	  .words = mss_words,
	  .fallback = "\"auto\"" },
	{ .key = "update",
	  .kind = SCHEMA_OBJECT,
	  .object = &update,
	  .accepts = "an object with \"url\" and whatever the broker wants to know" },
	DISABLED(struct draft_tunnel),
	SYNC,
	DESCRIPTION,
	END,
};

/* `remote` or `clients`; the former becomes the only one of the list. */
static void tunnel_done(struct schema_walk *walk, const struct path *path, const json_t *value, void *item)
{
	bool remote = json_object_get(value, "remote"), clients = json_object_get(value, "clients");
	struct draft_tunnel *tunnel = item;

	tunnel->item.broker = clients;
	if (remote && clients)
		schema_error(walk, path,
			     "found \"remote\" and \"clients\"; accepted: \"remote\", or as a broker \"clients\"");
	else if (!remote && !clients)
		schema_error(
			walk, path,
			"neither \"remote\" nor \"clients\" is there; accepted: \"remote\", or as a broker \"clients\"");
	if (!remote || clients)
		return;
	tunnel->item.remotes = calloc(1, sizeof(*tunnel->item.remotes));
	if (!tunnel->item.remotes) {
		walk->err = -ENOMEM;
		return;
	}
	tunnel->item.n_remotes = 1;
	remote_done(walk, path, value, &tunnel->single);
	tunnel->item.remotes[0] = tunnel->single;
	memset(&tunnel->single, 0, sizeof(tunnel->single));
}

static const struct schema_object tunnel = {
	.keys = tunnel_keys,
	.size = sizeof(struct draft_tunnel),
	.name_offset = offsetof(struct draft_tunnel, item.name),
	.name_fault = name_tunnel_fault,
	.done = tunnel_done,
};

/* ---- routes ---- */

static const struct schema_key route_keys[] = {
	{ .key = "destination",
	  .kind = SCHEMA_PREFIX,
	  .flags = SCHEMA_REQUIRED | SCHEMA_INET | SCHEMA_INET6 | SCHEMA_NETWORK,
	  FIELD(struct draft_route, item.destination),
	  .accepts = "an IPv4 or IPv6 prefix, \"::/0\" or \"192.0.2.0/24\" for instance" },
	{ .key = "gateway",
	  .kind = SCHEMA_STRING,
	  .flags = SCHEMA_REQUIRED,
	  FIELD(struct draft_route, gateway),
	  .fault = name_fault,
	  .accepts = "the name of a gateway or group" },
	DISABLED(struct draft_route),
	SYNC,
	DESCRIPTION,
	END,
};
static const struct schema_object route = { .keys = route_keys, .size = sizeof(struct draft_route) };

/* ---- prefix_translations ---- */

static const struct schema_key external_keys[] = {
	{ .key = "from",
	  .kind = SCHEMA_STRING,
	  .flags = SCHEMA_REQUIRED,
	  FIELD(struct draft_translation, from),
	  .fault = name_fault,
	  .accepts = "the interface whose prefix is followed" },
	{ .key = "subnet",
	  .kind = SCHEMA_NUMBER,
	  FIELD(struct draft_translation, item.subnet),
	  .min = 0,
	  .max = 4294967295u,
	  .fallback = "0" },
	DESCRIPTION,
	END,
};
static const struct schema_object external = { .keys = external_keys };

static const struct schema_word npt_words[] = {
	{ .word = "rfc6296", .value = FL_NPT_RFC6296 },
	{ .word = "plain", .value = FL_NPT_PLAIN },
	{ .word = NULL },
};

#define TRANSLATED (SCHEMA_REQUIRED | SCHEMA_INET6 | SCHEMA_NETWORK | SCHEMA_ROUTABLE)
#define TRANSLATED_TEXT "an IPv6 prefix of length 1 to 64, not multicast or link-local, \"2001:db8::/64\" for instance"

static const struct schema_key translation_keys[] = {
	{ .key = "interface",
	  .kind = SCHEMA_STRING,
	  .flags = SCHEMA_REQUIRED,
	  FIELD(struct draft_translation, interface),
	  .fault = name_fault,
	  .accepts = "the interface or tunnel of the outside" },
	{ .key = "internal",
	  .kind = SCHEMA_PREFIX,
	  .flags = TRANSLATED,
	  FIELD(struct draft_translation, item.internal),
	  .min = 1,
	  .max = 64,
	  .accepts = TRANSLATED_TEXT },
	{ .key = "external",
	  .kind = SCHEMA_PREFIX,
	  .flags = TRANSLATED,
	  FIELD(struct draft_translation, item.external),
	  .min = 1,
	  .max = 64,
	  .object = &external,
	  .accepts = TRANSLATED_TEXT ", or { \"from\": INTERFACE, \"subnet\": NUMBER }" },
	{ .key = "mode",
	  .kind = SCHEMA_WORD,
	  FIELD(struct draft_translation, item.mode),
	  .words = npt_words,
	  .fallback = "\"rfc6296\"" },
	DISABLED(struct draft_translation),
	SYNC,
	DESCRIPTION,
	END,
};
static const struct schema_object translation = { .keys = translation_keys, .size = sizeof(struct draft_translation) };

/* ---- the file ---- */

static const struct schema_key top_keys[] = {
	{ .key = "$schema", .kind = SCHEMA_TEXT },
	DESCRIPTION,
	{ .key = "node", .kind = SCHEMA_OBJECT, .object = &node, .accepts = "an object with \"name\"" },
	{ .key = "interfaces",
	  .kind = SCHEMA_MAP,
	  .flags = SCHEMA_REQUIRED | SCHEMA_NOT_EMPTY,
	  LIST(struct draft, interfaces),
	  .object = &interface,
	  .accepts = "an interface: an object with \"device\"" },
	{ .key = "tunnels",
	  .kind = SCHEMA_MAP,
	  LIST(struct draft, tunnels),
	  .object = &tunnel,
	  .accepts = "a tunnel: an object with \"type\", \"underlay\", \"local\", \"remote\", \"address\"" },
	{ .key = "gateways",
	  .kind = SCHEMA_MAP,
	  LIST(struct draft, gateways),
	  .object = &table_gateway,
	  .accepts = "a gateway: an object with \"interface\" and \"address\"" },
	{ .key = "gateway_groups",
	  .kind = SCHEMA_MAP,
	  LIST(struct draft, groups),
	  .object = &table_group,
	  .accepts = "a group: an object with \"members\"" },
	{ .key = "routes",
	  .kind = SCHEMA_ARRAY,
	  LIST(struct draft, routes),
	  .object = &route,
	  .accepts = "a route: an object with \"destination\" and \"gateway\"" },
	{ .key = "prefix_translations",
	  .kind = SCHEMA_ARRAY,
	  LIST(struct draft, translations),
	  .object = &translation,
	  .accepts = "a translation: an object with \"interface\", \"internal\" and \"external\"" },
	{ .key = "aliases",
	  .kind = SCHEMA_MAP,
	  LIST(struct draft, aliases),
	  .object = &table_alias,
	  .accepts = "an alias: an array of addresses or ports, or an object with \"file\"" },
	{ .key = "default_action",
	  .kind = SCHEMA_OBJECT,
	  .words = table_actions,
	  .object = &table_default_action,
	  .fallback = "{}",
	  .accepts = "\"pass\", \"block\", \"reject\", or an object with \"in\" and \"out\"" },
	{ .key = "rules",
	  .kind = SCHEMA_ARRAY,
	  LIST(struct draft, rules),
	  .object = &table_rule,
	  .accepts = "a rule: an object with \"name\" and \"action\"" },
	{ .key = "nat",
	  .kind = SCHEMA_ARRAY,
	  LIST(struct draft, nat),
	  .object = &table_nat,
	  .accepts = "a translation: an object with \"type\", \"interface\" and \"translate_to\"" },
	{ .key = "limits", .kind = SCHEMA_OBJECT, .object = &table_limits, .accepts = "an object with \"states\"" },
	{ .key = "optimization",
	  .kind = SCHEMA_WORD,
	  FIELD(struct draft, optimization),
	  .words = table_optimizations,
	  .fallback = "\"normal\"" },
	{ .key = "timeouts_s",
	  .kind = SCHEMA_OBJECT,
	  .object = &table_timeouts,
	  .accepts = "an object of timeouts in seconds, \"tcp_established\" for instance" },
	{ .key = "log",
	  .kind = SCHEMA_OBJECT,
	  .object = &table_log,
	  .fallback = "{}",
	  .accepts = "an object with \"events\", \"packets\" and \"facility\"" },
	{ .key = "vips",
	  .kind = SCHEMA_MAP,
	  LIST(struct draft, vips),
	  .object = &table_vip,
	  .accepts = "a shared address: an object with \"interface\", \"address\", \"vhid\" and \"password_file\"" },
	{ .key = "ha",
	  .kind = SCHEMA_OBJECT,
	  .object = &table_ha,
	  .accepts = "an object with \"interface\", \"local\", \"peers\" and \"key_file\"" },
	{ .key = "hooks",
	  .kind = SCHEMA_OBJECT,
	  .object = &table_hooks,
	  .accepts = "an object with \"gateway\" and \"vip\"" },
	LATER("http", "there are no metrics and no status page yet; take \"http\" out"),
	{ .key = "checks",
	  .kind = SCHEMA_ARRAY,
	  LIST(struct draft, checks),
	  .object = &table_check,
	  .accepts = "a check of your own: an object with \"name\" and \"command\"" },
	{ .key = "drill",
	  .kind = SCHEMA_OBJECT,
	  .object = &table_drill,
	  .fallback = "{}",
	  .accepts = "an object with \"targets\", \"from\" and limits" },
	END,
};

static void top_done(struct schema_walk *walk, const struct path *path, const json_t *value, void *item)
{
	(void)walk, (void)path;
	table_policy_done(value, item);
}

const struct schema_object config_schema = { .keys = top_keys, .size = sizeof(struct draft), .done = top_done };
