/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the tables fill: every item of the file, disabled ones too, with the names by which they refer to each other.
 * check.c looks the names up and compares; build.c takes what is enabled over into struct config.
 */
#pragma once

#include <jansson.h>

#include "user/config/report.h"
#include "user/config/schema.h"

struct draft_tunnel {
	struct config_tunnel item;
	char *underlay;
	struct config_remote single; /* of `remote` */
	bool disabled;
	const struct config_interface *underlay_ref;
	const struct config_tunnel *built; /* in the struct config; NULL when disabled */
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

struct draft_route {
	struct config_route item;
	char *gateway;
	bool disabled;
	const struct draft_gateway *gateway_ref;
};

struct draft_translation {
	struct config_translation item;
	char *interface;
	char *from;
	bool disabled;
	struct draft_port port;
	const struct config_interface *from_ref;
};

struct draft {
	char *node;
	struct config_interface *interfaces;
	size_t n_interfaces;
	struct draft_tunnel *tunnels;
	size_t n_tunnels;
	struct draft_gateway *gateways;
	size_t n_gateways;
	struct draft_route *routes;
	size_t n_routes;
	struct draft_translation *translations;
	size_t n_translations;
	struct config_alias *aliases;
	size_t n_aliases;
	uint32_t states;
	enum config_optimization optimization;
	uint32_t timeouts_s[CONFIG_TIMEOUTS]; /* 0: not said */
	struct config_log log;
};

/* tables.c: the whole file; its struct is a struct draft */
extern const struct schema_object config_schema;

/* build.c. Interfaces and what enabled items own move out of the draft. NULL when memory is out. */
struct config *draft_build(struct draft *draft);
void draft_free(struct draft *draft);
