/* SPDX-License-Identifier: GPL-2.0-only */
/* Shared addresses, and the pair that shares them. */
#include "user/config/elements.h"
#include "user/config/names.h"
#include "user/config/tables.h"
#include "user/config/words.h"

#define ADVSKEW_MAX 254
#define FAST_MS_MAX 60000
#define REPEAT_MAX 100
#define REFRESH_S_MAX 86400

/* ---- vips ---- */

static const struct schema_key vip_keys[] = {
	{ .key = "interface",
	  .kind = SCHEMA_STRING,
	  .flags = SCHEMA_REQUIRED,
	  FIELD(struct draft_vip, interface),
	  .fault = name_fault,
	  .accepts = "the interface that carries it" },
	{ .key = "address",
	  .kind = SCHEMA_LIST,
	  .flags = SCHEMA_REQUIRED | SCHEMA_INET | SCHEMA_INET6 | SCHEMA_UNICAST | SCHEMA_ONE_OR_MANY,
	  LIST_IN(struct draft_vip, item, addresses),
	  .element = schema_element_prefix,
	  .compare = schema_compare_prefixes,
	  .accepts =
		  "an IPv4 or IPv6 address with its network's length, \"203.0.113.100/24\" for instance, or an array "
		  "of them" },
	{ .key = "vhid",
	  .kind = SCHEMA_NUMBER,
	  .flags = SCHEMA_REQUIRED,
	  FIELD(struct draft_vip, item.vhid),
	  .min = 1,
	  .max = 255,
	  .accepts = "a whole number from 1 to 255" },
	{ .key = "advbase_s",
	  .kind = SCHEMA_NUMBER,
	  FIELD(struct draft_vip, item.advbase_s),
	  .min = 0,
	  .max = 255,
	  .fallback = "1" },
	{ .key = "advskew",
	  .kind = SCHEMA_NUMBER,
	  FIELD(struct draft_vip, item.advskew),
	  .min = 0,
	  .max = ADVSKEW_MAX },
	{ .key = "fast_ms",
	  .kind = SCHEMA_NUMBER,
	  FIELD(struct draft_vip, item.fast_ms),
	  .min = 1,
	  .max = FAST_MS_MAX },
	{ .key = "peers",
	  .kind = SCHEMA_LIST,
	  .flags = SCHEMA_INET | SCHEMA_INET6 | SCHEMA_UNICAST | SCHEMA_NOT_EMPTY,
	  LIST_IN(struct draft_vip, item, peers),
	  .element = schema_element_address,
	  .compare = schema_compare_addresses,
	  .accepts = "another node's IPv4 or IPv6 address" },
	{ .key = "password_file",
	  .kind = SCHEMA_STRING,
	  .flags = SCHEMA_REQUIRED,
	  FIELD(struct draft_vip, item.password_file),
	  .fault = name_path_fault,
	  .accepts = "the path of a file with the password in its first line" },
	{ .key = "preempt", .kind = SCHEMA_BOOL, FIELD(struct draft_vip, item.preempt), .fallback = "true" },
	{ .key = "announce_repeat",
	  .kind = SCHEMA_NUMBER,
	  FIELD(struct draft_vip, item.announce_repeat),
	  .min = 0,
	  .max = REPEAT_MAX,
	  .fallback = "3" },
	{ .key = "announce_refresh_s",
	  .kind = SCHEMA_NUMBER,
	  FIELD(struct draft_vip, item.announce_refresh_s),
	  .min = 0,
	  .max = REFRESH_S_MAX,
	  .fallback = "0" },
	{ .key = "independent", .kind = SCHEMA_BOOL, FIELD(struct draft_vip, item.independent), .fallback = "false" },
	{ .key = "plain_peers", .kind = SCHEMA_BOOL, FIELD(struct draft_vip, item.plain_peers), .fallback = "false" },
	{ .key = "link_local_in_digest",
	  .kind = SCHEMA_BOOL,
	  FIELD(struct draft_vip, item.link_local_in_digest),
	  .fallback = "true" },
	DISABLED(struct draft_vip),
	SYNC,
	DESCRIPTION,
	END,
};

static void vip_done(struct schema_walk *walk, const struct path *path, const json_t *value, void *item)
{
	(void)walk, (void)path;
	((struct draft_vip *)item)->own_advskew = json_object_get(value, "advskew");
}

const struct schema_object table_vip = {
	.keys = vip_keys,
	.size = sizeof(struct draft_vip),
	.name_offset = offsetof(struct draft_vip, item.name),
	.name_fault = name_fault,
	.done = vip_done,
};

/* ---- ha ---- */

static const struct schema_word role_words[] = {
	{ .word = "primary", .value = CONFIG_ROLE_PRIMARY },
	{ .word = "secondary", .value = CONFIG_ROLE_SECONDARY },
	{ .word = NULL },
};

static const struct schema_key sync_config_keys[] = {
	{ .key = "role",
	  .kind = SCHEMA_WORD,
	  .flags = SCHEMA_REQUIRED,
	  FIELD(struct draft, ha.item.role),
	  .words = role_words,
	  .accepts = "\"primary\" or \"secondary\"" },
	{ .key = "sections",
	  .kind = SCHEMA_VALUE,
	  FIELD(struct draft, ha.item.sections),
	  .element = element_sections,
	  .accepts = "\"all\", or an array of top-level names" },
	DESCRIPTION,
	END,
};

static void sync_config_done(struct schema_walk *walk, const struct path *path, const json_t *value, void *item)
{
	const struct draft *draft = item;

	if (draft->ha.item.role == CONFIG_ROLE_PRIMARY && !json_object_get(value, "sections"))
		schema_error(
			walk, path,
			"the required key \"sections\" is missing: what the primary pushes, \"all\" or an array of "
			"top-level names");
}

static const struct schema_object sync_config = { .keys = sync_config_keys, .done = sync_config_done };

static const struct schema_key ha_keys[] = {
	{ .key = "interface",
	  .kind = SCHEMA_STRING,
	  .flags = SCHEMA_REQUIRED,
	  FIELD(struct draft, ha.interface),
	  .fault = name_fault,
	  .accepts = "the interface of the link between the nodes" },
	{ .key = "local",
	  .kind = SCHEMA_ADDRESS,
	  .flags = SCHEMA_REQUIRED | SCHEMA_INET | SCHEMA_INET6 | SCHEMA_UNICAST,
	  FIELD(struct draft, ha.item.local),
	  .accepts = "this node's IPv4 or IPv6 address on it" },
	{ .key = "peers",
	  .kind = SCHEMA_LIST,
	  .flags = SCHEMA_REQUIRED | SCHEMA_INET | SCHEMA_INET6 | SCHEMA_UNICAST | SCHEMA_NOT_EMPTY,
	  LIST_IN(struct draft, ha.item, peers),
	  .element = schema_element_address,
	  .compare = schema_compare_addresses,
	  .accepts = "another node's IPv4 or IPv6 address" },
	{ .key = "port",
	  .kind = SCHEMA_NUMBER,
	  FIELD(struct draft, ha.item.port),
	  .min = 1,
	  .max = UINT16_MAX,
	  .fallback = "7241" },
	{ .key = "key_file",
	  .kind = SCHEMA_STRING,
	  .flags = SCHEMA_REQUIRED,
	  FIELD(struct draft, ha.item.key_file),
	  .fault = name_path_fault,
	  .accepts = "the path of a file with the key that all nodes have" },
	{ .key = "advskew",
	  .kind = SCHEMA_NUMBER,
	  FIELD(struct draft, ha.item.advskew),
	  .min = 0,
	  .max = ADVSKEW_MAX,
	  .fallback = "0" },
	{ .key = "sync_states", .kind = SCHEMA_BOOL, FIELD(struct draft, ha.item.sync_states), .fallback = "true" },
	{ .key = "sync_config",
	  .kind = SCHEMA_OBJECT,
	  .object = &sync_config,
	  .accepts = "an object with \"role\" and \"sections\"" },
	DESCRIPTION,
	END,
};
const struct schema_object table_ha = { .keys = ha_keys };
