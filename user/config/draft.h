/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the tables fill: every item of the file, disabled ones too, with the names by which they refer to each other.
 * check.c looks the names up and compares; build.c takes what is enabled over into struct config.
 */
#pragma once

#include <jansson.h>

#include "user/config/report.h"
#include "user/config/schema.h"

#define TARGETS_MAX 16 /* of one gateway's probes */
#define MEMBERS_MAX 16 /* of one group */

struct draft_tunnel {
	struct config_tunnel item;
	char *underlay;
	struct config_remote single; /* of `remote` */
	bool disabled;
	const struct config_interface *underlay_ref;
	const struct draft_group *underlay_group; /* instead of the former */
	const struct config_tunnel *built;	  /* in the struct config; NULL when disabled */
};

/* Where an `interface` key leads: one of the two, or nowhere. */
struct draft_port {
	const struct config_interface *interface;
	const struct draft_tunnel *tunnel;
};

struct draft_gateway {
	struct config_gateway item;
	char *interface;
	bool disabled;
	struct draft_port port;
	const struct config_gateway *built;
};

struct draft_member {
	struct config_member item;
	char *gateway;
	const struct draft_gateway *gateway_ref;
};

struct draft_group {
	struct config_group item; /* without members */
	struct draft_member *members;
	size_t n_members;
	const struct config_group *built;
};

/* Where the name of a gateway or group leads: one of the two, or nowhere. */
struct draft_via {
	const struct draft_gateway *gateway;
	const struct draft_group *group;
};

struct draft_route {
	struct config_route item;
	char *gateway;
	bool disabled;
	struct draft_via via;
};

struct draft_translation {
	struct config_translation item;
	char *interface;
	char *from;
	bool disabled;
	struct draft_port port;
	const struct config_interface *from_ref;
};

struct draft_vip {
	struct config_vip item;
	char *interface;
	bool own_advskew; /* has one of its own */
	bool disabled;
	const struct config_interface *interface_ref;
	const struct config_vip *built;
};

struct draft_ha {
	struct config_ha item;
	char *interface; /* NULL: there is no `ha` */
	const struct config_interface *interface_ref;
};

/* ---- rules: lists keep refused elements, as zeros ---- */

struct draft_link {
	char *name;
	struct draft_port port;
};

struct draft_term {
	struct config_term item;
	char *name; /* of a link, alias or VIP; with kind NONE that of a VIP */
	struct draft_port port;
	const struct draft_vip *vip;
};

struct draft_ports {
	struct port_range range;
	char *alias; /* instead of the range */
	const struct config_alias *ref;
};

struct draft_number {
	bool valid;
	uint8_t value;
};

/* A number is a type of both protocols, a name may be of one only: -1 is none. */
struct draft_icmp_type {
	bool valid;
	int icmp4, icmp6;
};

struct draft_endpoint {
	struct draft_term *terms;
	size_t n_terms;
	struct draft_ports *ports;
	size_t n_ports;
};

/* First in what has it, so that one table serves all. */
struct draft_match {
	struct draft_link *links;
	size_t n_links;
	struct draft_number *protocols;
	size_t n_protocols;
	struct draft_endpoint source, destination;
	unsigned int families; /* filled by check_match() */
};

struct draft_rule {
	struct draft_match match;
	struct config_rule item; /* without what is here */
	unsigned int family;	 /* enum fl_family */
	struct draft_icmp_type *icmp_types;
	size_t n_icmp_types;
	struct draft_number *dscp;
	size_t n_dscp;
	char *route_to, *reply_to;
	struct draft_via route_to_via, reply_to_via;
	bool disabled;
};

/* Where addresses are translated to: one of the three, or nothing. */
struct draft_target {
	bool interface;
	struct addr address;
	char *vip;
	const struct draft_vip *vip_ref;
};

struct draft_nat {
	struct draft_match match;
	struct config_nat item; /* without what is here */
	struct draft_target target;
	bool disabled;
};
_Static_assert(offsetof(struct draft_rule, match) == 0, "the tables of struct draft_match rely on it");
_Static_assert(offsetof(struct draft_nat, match) == 0, "the tables of struct draft_match rely on it");

struct draft {
	char *node;
	struct config_interface *interfaces;
	size_t n_interfaces;
	struct draft_tunnel *tunnels;
	size_t n_tunnels;
	struct draft_gateway *gateways;
	size_t n_gateways;
	struct draft_group *groups;
	size_t n_groups;
	struct draft_route *routes;
	size_t n_routes;
	struct draft_translation *translations;
	size_t n_translations;
	struct config_alias *aliases;
	size_t n_aliases;
	enum config_action default_in, default_out;
	struct draft_rule *rules;
	size_t n_rules;
	struct draft_nat *nat;
	size_t n_nat;
	struct draft_vip *vips;
	size_t n_vips;
	struct draft_ha ha;
	uint32_t states;
	enum config_optimization optimization;
	uint32_t timeouts_s[CONFIG_TIMEOUTS]; /* 0: not said */
	struct config_log log;
	char **hooks_gateway, **hooks_vip;
	size_t n_hooks_gateway, n_hooks_vip;
	struct config_check *checks;
	size_t n_checks;
	struct config_drill drill;
};

/* tables.c: the whole file; its struct is a struct draft */
extern const struct schema_object config_schema;

/* build.c. Interfaces and what enabled items own move out of the draft. NULL when memory is out. */
struct config *draft_build(struct draft *draft);
void draft_free(struct draft *draft);

struct config_via build_via(const struct draft_via *via);

/* build_policy.c. build_policy(): 0 or -ENOMEM; aliases and gateways are there already. */
int build_policy(struct config *config, struct draft *draft);
void policy_free(struct config *config);
void draft_policy_free(struct draft *draft);
