/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The configuration: JSON text -> struct config, complete and checked, or a list of every error in it.
 * Items keep the file's order. References between items are resolved to pointers into the same struct.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "fairlead/maps.h"
#include "user/config/policy.h"
#include "user/lib/addr.h"

enum config_mode { CONFIG_MODE_AUTO, CONFIG_MODE_NATIVE, CONFIG_MODE_GENERIC, CONFIG_MODE_TC };

/* Where of a pair an interface's device is; AUTO: presence.c finds out */
enum config_present { CONFIG_PRESENT_AUTO, CONFIG_PRESENT_ALWAYS, CONFIG_PRESENT_MASTER };

struct config_interface {
	char *name;
	char *device;
	enum config_mode mode;
	enum fl_family family;
	bool antispoof;
	enum config_present present;
};

/* One remote: a broker's client, or (name NULL) the only one of a tunnel without `clients`. */
struct config_remote {
	char *name;
	char *host; /* as written: an IPv4 address or a host name */
	bool named; /* it is a name */
	/* of a name what it was resolved to, which the daemon's names.c writes; AF_UNSPEC: not yet */
	struct addr address_outer;
	struct addr address; /* the client's end; AF_UNSPEC without `clients` */
	struct prefix *routes;
	size_t n_routes;
};

/* Whom a changed outer address is told. */
struct config_update {
	char *url;	     /* NULL: nobody */
	char *user;	     /* NULL: none */
	char *password_file; /* NULL: none; its first line */
	char *host;	     /* NULL: none; the tunnel's name or number there */
	uint32_t min_interval_s;
};

struct config_tunnel {
	char *name; /* also the device's */
	/* exactly one of the two */
	const struct config_interface *underlay;
	const struct config_group *underlay_group;
	struct addr local; /* AF_UNSPEC: the underlay's own ("interface") */
	struct prefix *addresses;
	size_t n_addresses;
	struct config_remote *remotes; /* one, or the clients */
	size_t n_remotes;
	bool broker;  /* has `clients` */
	uint32_t mtu; /* 0: auto */
	uint8_t ttl;
	uint8_t dscp;	    /* or FL_DSCP_COPY */
	uint16_t mss_clamp; /* FL_MSS_OFF, FL_MSS_AUTO or a value */
	struct config_update update;
};

enum config_probe { CONFIG_PROBE_ICMP, CONFIG_PROBE_TCP, CONFIG_PROBE_DNS };

/* How a gateway is probed; zeros where it is not. */
struct config_monitor {
	struct addr *targets; /* none: the gateway's own address, the learned one if it is automatic */
	size_t n_targets;
	uint32_t interval_ms, loss_interval_ms, period_ms, alert_interval_ms;
	double latency_ms[2], loss_pct[2]; /* above the first it warns, above the second it fails */
	uint32_t down_after, up_after;	   /* probes in a row */
	uint32_t quorum;		   /* targets that must answer */
	uint32_t hold_down_s;
	uint32_t idle_interval_ms; /* of a metered one that carries nothing */
	enum config_probe type;
	uint16_t port;	/* of TCP */
	char *dns_name; /* of DNS, else NULL */
};

struct config_gateway {
	char *name;
	/* exactly one of the two: an interface or a tunnel */
	const struct config_interface *interface;
	const struct config_tunnel *tunnel;
	struct addr address; /* AF_UNSPEC: none (point to point), or automatic */
	bool automatic;	     /* "auto": what DHCP, router advertisements or PPP gave */
	bool monitored;	     /* false: `monitor` is false, it always counts as up */
	bool metered;
	struct config_monitor monitor;
};

/* What makes a member unusable, besides that it is down. */
enum config_trigger {
	CONFIG_TRIGGER_DOWN,
	CONFIG_TRIGGER_LOSS,
	CONFIG_TRIGGER_LATENCY,
	CONFIG_TRIGGER_LOSS_OR_LATENCY
};

/* What becomes of the connections when a better tier is back. */
enum config_failback { CONFIG_FAILBACK_KEEP, CONFIG_FAILBACK_DRAIN, CONFIG_FAILBACK_MOVE };

struct config_member {
	const struct config_gateway *gateway;
	uint32_t tier; /* from 1 on: the lowest with a usable member carries */
	uint32_t weight;
};

struct config_group {
	char *name;
	enum config_trigger trigger;
	enum config_failback failback;
	bool sticky_source; /* false: each connection may go by another member */
	struct config_member *members;
	size_t n_members;
};

struct config_route {
	struct prefix destination;
	struct config_via via; /* exactly one of the two */
};

struct config_translation {
	/* the outside, exactly one of the two */
	const struct config_interface *interface;
	const struct config_tunnel *tunnel;
	struct prefix internal;
	struct prefix external; /* AF_UNSPEC: follows `from` */
	const struct config_interface *from;
	uint32_t subnet; /* which /64 of the prefix that `from` was delegated */
	enum fl_npt_mode mode;
};

/* Addresses that the nodes of a pair share. */
struct config_vip {
	char *name;
	const struct config_interface *interface;
	struct prefix *addresses; /* of both families, with the network's length */
	size_t n_addresses;
	uint8_t vhid;
	uint8_t advbase_s;
	uint8_t advskew;    /* ha.advskew where it has none */
	uint32_t fast_ms;   /* 0: advbase_s and advskew say how often */
	struct addr *peers; /* none: multicast */
	size_t n_peers;
	char *password_file;
	bool preempt;
	uint32_t announce_repeat, announce_refresh_s;
	bool independent;
	bool plain_peers;	   /* of a pair: adverts that none of its nodes has signed are believed, too */
	bool link_local_in_digest; /* of those that this node sends */
};

enum config_role { CONFIG_ROLE_NONE, CONFIG_ROLE_PRIMARY, CONFIG_ROLE_SECONDARY };

/* What config sync may push: bits of config_ha.sections. */
enum config_section {
	CONFIG_SECTION_TUNNELS,
	CONFIG_SECTION_GATEWAYS,
	CONFIG_SECTION_GATEWAY_GROUPS,
	CONFIG_SECTION_ROUTES,
	CONFIG_SECTION_PREFIX_TRANSLATIONS,
	CONFIG_SECTION_ALIASES,
	CONFIG_SECTION_DEFAULT_ACTION,
	CONFIG_SECTION_RULES,
	CONFIG_SECTION_NAT,
	CONFIG_SECTION_VIPS,
	CONFIG_SECTION_HOOKS,
	CONFIG_SECTION_LIMITS,
	CONFIG_SECTION_OPTIMIZATION,
	CONFIG_SECTION_TIMEOUTS_S,
	CONFIG_SECTION_LOG,
	CONFIG_SECTION_HTTP,
	CONFIG_SECTION_CHECKS,
	CONFIG_SECTION_DRILL,
	CONFIG_SECTIONS,
};

struct config_ha {
	const struct config_interface *interface; /* NULL: there is no `ha` */
	struct addr local;
	struct addr *peers;
	size_t n_peers;
	uint16_t port;
	char *key_file;
	uint8_t advskew;
	bool sync_states;
	enum config_role role; /* NONE: configurations are not pushed */
	uint32_t sections;
};

/* Who runs a check of the user's own: bits. */
enum config_check_when { CONFIG_CHECK_DOCTOR = 1 << 0, CONFIG_CHECK_DRILL = 1 << 1 };

struct config_check {
	char *name;
	char **command; /* program and arguments */
	size_t n_command;
	uint32_t when;
};

struct config_service {
	struct addr addr;
	uint16_t port; /* host byte order */
};

#define CONFIG_NO_LIMIT UINT32_MAX
#define CONFIG_VIP_NAME_MAX 63 /* characters */

struct config_drill {
	struct config_service *targets;
	size_t n_targets;
	char *from; /* as ssh names it; NULL: nowhere */
	uint32_t max_gap_ms, max_lost_flows;
};

struct config {
	char *text; /* as it was read: a tree of it takes seven times the memory */
	size_t text_len;
	char *node; /* name; never NULL (the host's name by default) */
	struct config_interface *interfaces;
	size_t n_interfaces;
	struct config_tunnel *tunnels; /* without the disabled ones; so for all that follows */
	size_t n_tunnels;
	struct config_gateway *gateways;
	size_t n_gateways;
	struct config_group *groups;
	size_t n_groups;
	struct config_route *routes;
	size_t n_routes;
	struct config_translation *translations;
	size_t n_translations;
	struct config_alias *aliases;
	size_t n_aliases;
	enum config_action default_in, default_out;
	struct config_rule *rules;
	size_t n_rules;
	struct config_nat *nat;
	size_t n_nat;
	struct config_vip *vips;
	size_t n_vips;
	struct config_ha ha;
	uint32_t states; /* at most so many; 0: not said */
	enum config_optimization optimization;
	uint32_t timeouts_s[CONFIG_TIMEOUTS]; /* complete */
	struct config_log log;
	char **hooks_gateway, **hooks_vip; /* paths */
	size_t n_hooks_gateway, n_hooks_vip;
	struct config_check *checks;
	size_t n_checks;
	struct config_drill drill;
};

/* Findings of a load, in the order of the file. */
struct config_finding {
	bool warning;
	char *pointer; /* JSON pointer; "" for the whole; "line 3, column 7" for syntax */
	char *text;    /* what was found, what would do, did you mean */
};

struct config_report {
	struct config_finding *findings;
	size_t n_findings;
	size_t n_errors;
};

/*
 * Parses and checks. 0 and *out set; -EINVAL when the report has an error; -errno when the file can't be read (also in
 * the report). *out is untouched on failure. The report is always filled (warnings too); free it with config_report_free().
 */
int config_load_file(const char *path, struct config **out, struct config_report *report);
int config_load_string(const char *text, size_t len, struct config **out, struct config_report *report);
void config_free(struct config *config);
/* What was parsed, to be compared or shown. NULL when memory is out. */
json_t *config_json(const struct config *config);
void config_report_free(struct config_report *report);

/* "fairlead: fw.json: /gateways/he_gw/interface: no interface or tunnel named …", one line each; file may be NULL */
void config_report_print(const struct config_report *report, const char *program, const char *file, FILE *to);
json_t *config_report_json(const struct config_report *report); /* array of { "severity", "pointer", "text" } */

/* Adds a finding: system-dependent warnings (a device that is not there yet) use it too. */
void config_report_add(struct config_report *report, bool warning, const char *pointer, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

const struct config_interface *config_find_interface(const struct config *c, const char *name);
const struct config_tunnel *config_find_tunnel(const struct config *c, const char *name);
/* The interfaces that a tunnel's outer packets may leave by: its underlay, or those of the group's members. NULL: no more. */
const struct config_interface *config_tunnel_underlay(const struct config_tunnel *tunnel, size_t i);
const struct config_gateway *config_find_gateway(const struct config *c, const char *name);
bool config_has_vip(const struct config *c, const struct config_interface *interface); /* on it */
/* Its device is there only while this node is master, as that of a VPN which scripts start where the addresses are. */
bool config_is_masters(const struct config *c, const struct config_interface *interface);
/* Some rule sends to it by its own name, not by a group's. */
bool config_is_steered_to(const struct config *c, const struct config_gateway *gateway);
const struct config_group *config_find_group(const struct config *c, const char *name);
const struct config_vip *config_find_vip(const struct config *c, const char *name);
/* What it translates to: its first address of the family that is not link-local; NULL: it has none. */
const struct addr *config_vip_address(const struct config_vip *vip, int family);
const char *config_via_name(const struct config_via *via); /* NULL: neither */

/*
 * The families (enum fl_family bits) that a gateway may take: its address's, else those of what it is on. With "auto": that it may learn of;
 * which it has learned is the data plane's to know.
 */
unsigned int config_families(const struct addr *address, bool tunnel, const struct config_interface *interface);
unsigned int config_gateway_families(const struct config_gateway *gateway);
bool config_has_automatic(const struct config *config);		      /* a gateway whose address is "auto" */
unsigned int config_group_families(const struct config_group *group); /* of any member */
