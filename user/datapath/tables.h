/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What of the configuration goes into the maps that have two sets: tunnels and prefix translations. Compiling is pure: from
 * configuration and ports to keys and values; user/datapath/install.c writes them.
 */
#pragma once

#include <stdint.h>

#include "fairlead/maps.h"
#include "user/config/config.h"
#include "user/policy/policy.h"

/* ---- ports: interfaces and tunnel devices by number, as far as tables need to know them ---- */

enum port_kind { PORT_NONE, PORT_INTERFACE, PORT_TUNNEL, PORT_ICMP };
enum port_mode { PORT_MODE_NONE, PORT_MODE_TC, PORT_MODE_GENERIC, PORT_MODE_NATIVE };

enum filter_place { FILTER_INGRESS, FILTER_EGRESS, FILTER_HIDDEN };

enum missing {
	MISSING_INGRESS = 1 << FILTER_INGRESS,
	MISSING_GUARD = 1 << FILTER_EGRESS,
	MISSING_HIDDEN = 1 << FILTER_HIDDEN,
	MISSING_XDP = 1 << 3,
	MISSING_INET6 = 1 << 4,
	MISSING_INET = 1 << 5,
	MISSING_ACCEPT_RA = 1 << 6,
};

struct port {
	enum port_kind kind;
	bool present;	 /* its device is there */
	uint16_t number; /* its place in the array */
	char name[64];	 /* of the interface or tunnel; "" for what was found in the maps and not yet matched */
	char device[16];
	const struct config_interface *interface; /* of the configuration in force; by kind */
	const struct config_tunnel *tunnel;
	struct fl_port value;

	struct addr own4;	 /* the device's own first global IPv4 address */
	struct prefix delegated; /* of the oldest global IPv6 address that was given to it */
	/* what translated connections have outside: IPv4, IPv6, the delegated prefix; what it was, while there is none */
	struct prefix outside[3];
	bool veth;
	uint32_t peer;	 /* tunnel: the hidden end of its device */
	uint32_t parent; /* VLAN: the lower device */
	uint16_t vid;
	bool on_parent;		 /* the program on the parent serves it */
	uint8_t foreign_filters; /* of others, before ours: 1 at ingress, 2 at egress */
	bool unguarded;		 /* a filter of ours could not be attached */
	uint16_t priority[3];	 /* of our filters, by enum filter_place; 0: not attached */
	uint32_t missing;	 /* what somebody has taken away, as seen last: enum missing */
	enum port_mode mode;
	char reason[192]; /* why this mode; what stands in our way */
};

/* ---- entries of one map: records of key and index, sorted by key. The set in the key is 0 here ---- */

struct entries {
	size_t key_size;
	size_t n, cap;
	uint8_t *records; /* key, then u32 */
};

struct table_endpoint {
	uint32_t index;
	uint32_t previous; /* its index before, when it has changed; 0: none */
	struct fl_endpoint value;
	const struct config_tunnel *tunnel; /* NULL for what was found in the maps */
	const struct config_remote *remote;
};

struct table_npt {
	uint32_t index;
	uint32_t previous;
	struct fl_npt value;
	const struct config_translation *translation;
};

struct tables {
	struct entries ep_in;	   /* struct fl_endpoint_key -> endpoint or port */
	struct entries clients;	   /* struct fl_client_route_key -> endpoint, or of a route whether a group has it */
	struct entries npt_prefix; /* struct fl_npt_key -> npt */
	struct table_endpoint *endpoints;
	size_t n_endpoints;
	struct table_npt *npts;
	size_t n_npts;
	struct fl_gateway *gateways; /* FL_GATEWAYS_MAX, by number; NULL: not known */
	struct policy *policy;	     /* NULL: nothing is judged, or (judged) not known by what */
	bool judged;
};

struct tables *tables_new(void);
void tables_free(struct tables *tables);
bool tables_equal(const struct tables *a, const struct tables *b); /* what the maps would hold */

int entries_add(struct entries *entries, const void *key, uint32_t value); /* 0 or -ENOMEM */
void entries_sort(struct entries *entries);
const uint8_t *entry_key(const struct entries *entries, size_t i);
uint32_t entry_value(const struct entries *entries, size_t i);

/*
 * Compiles. `current`: what is in force, whose indices unchanged items keep (may be NULL). 0, or -errno with *why: -EEXIST two
 * tunnels turn out to have the same ends (*out is set, without the second), -ENOSPC more than the maps hold, -ENOMEM. Items whose interface is not there, or whose
 * addresses are not known, are left out.
 */
int tables_compile(const struct config *config, const struct port *ports, const struct tables *current,
		   struct tables **out, char **why);

/* ---- translations.c ---- */
/* 0; -ENODEV, -EADDRNOTAVAIL: an end is not known yet; -ERANGE: the delegated prefix has no such subnet */
int npt_compile(const struct config_translation *translation, const struct port *ports, struct fl_npt *npt);
int npts_compile(const struct config *config, const struct port *ports, const struct tables *current,
		 struct tables *tables, char **why);
int delegated_subnet(const struct prefix *delegated, uint32_t subnet, struct prefix *out);

/* ---- indices.c: free places in arrays; 0 is none ---- */
struct indices {
	uint64_t *used;
	uint32_t max;
	uint32_t next; /* where the search goes on */
};
int indices_init(struct indices *indices, uint32_t max);
void indices_free(struct indices *indices);
void indices_take(struct indices *indices, uint32_t index);
uint32_t indices_get(struct indices *indices); /* 0: full */
