/* SPDX-License-Identifier: GPL-2.0-only */
/* What the configuration says of packets: aliases, rules, translations, the state table, logs. Names are resolved to pointers. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "user/lib/range.h"

struct config;
struct config_interface;
struct config_tunnel;
struct config_gateway;
struct config_group;
struct config_vip;

/* Where packets are sent: at most one of the two; neither: as routed. */
struct config_via {
	const struct config_gateway *gateway;
	const struct config_group *group;
};

/* ---- aliases ---- */

enum config_entry_kind {
	CONFIG_ENTRY_NONE, /* a draft's: refused */
	CONFIG_ENTRY_ADDRESSES,
	CONFIG_ENTRY_PORTS,
	CONFIG_ENTRY_ALIAS,
};

#define CONFIG_ENTRY_LIVE UINT32_MAX /* came at run time */

struct config_alias_entry {
	enum config_entry_kind kind;
	uint32_t at; /* element of the array from 0, or line of the file from 1, or CONFIG_ENTRY_LIVE */
	union {
		struct addr_range addresses;
		struct port_range ports;
		struct {
			char *name;
			const struct config_alias *to;
		} alias;
	};
};

struct config_alias {
	char *name;
	char *file; /* NULL: written out */
	struct config_alias_entry *entries;
	size_t n_entries;
	/* what follows counts what is in the aliases that it names, too */
	enum config_entry_kind holds; /* ADDRESSES, PORTS; NONE: nothing */
	unsigned int families;	      /* enum fl_family of its addresses, 0 without any */
	bool from_file;		      /* what it holds may be other things another time */
};

/*
 * aliases.c: what an alias and those that it names hold of one family, sorted and without overlaps, the array malloc'ed
 * (also when it is empty). 0 or -ENOMEM.
 */
int config_alias_addresses(const struct config *c, const struct config_alias *alias, int family,
			   struct addr_range **ranges, size_t *n);
int config_alias_ports(const struct config *c, const struct config_alias *alias, struct port_range **ranges, size_t *n);

/* ---- changes at run time: `families` and `holds` stay, which rules were checked by ---- */

/*
 * *hindrance: the alias, or one that leads to it, that keeps addresses of that family out: it holds ports, or when rules were checked all
 * of its addresses were of the other family, so that what matches by it asks for that one only. NULL: none. 0 or -ENOMEM.
 */
int config_alias_hindrance(const struct config *c, const struct config_alias *alias, int family,
			   const struct config_alias **hindrance);
/* The alias's own entry that is just that; NULL: none. */
const struct config_alias_entry *config_alias_entry(const struct config_alias *alias, const struct addr_range *range);
/* *entry: one that has all of it, of the alias or of one that it leads to, which is *whose then. NULL: none. 0 or -ENOMEM. */
int config_alias_holder(const struct config *c, const struct config_alias *alias, const struct addr_range *range,
			const struct config_alias **whose, const struct config_alias_entry **entry);
int config_alias_insert(struct config_alias *alias, const struct addr_range *range); /* 0 or -ENOMEM */
void config_alias_delete(struct config_alias *alias, size_t entry);

/* ---- what a packet is matched by ---- */

/* exactly one of the two */
struct config_link {
	const struct config_interface *interface;
	const struct config_tunnel *tunnel;
};

enum config_term_kind {
	CONFIG_TERM_NONE, /* a draft's: refused, or a VIP's name */
	CONFIG_TERM_ANY,
	CONFIG_TERM_RANGE,   /* `range`: an address, a prefix or a range; of a VIP one for each of its addresses */
	CONFIG_TERM_SELF,    /* the router's own addresses */
	CONFIG_TERM_NETWORK, /* the networks that `link` has addresses in */
	CONFIG_TERM_ADDRESS, /* the addresses of `link` */
	CONFIG_TERM_ALIAS,   /* what `alias` holds: config_alias_addresses() */
};

struct config_term {
	enum config_term_kind kind;
	bool negated;
	struct addr_range range;
	struct config_link link;
	const struct config_alias *alias;
	const struct config_vip *vip; /* RANGE: whose address it is; NULL: it was written as an address */
};

/* Matches when one of the terms that are not negated does, or there are none of those, and no negated one does. */
struct config_endpoint {
	struct config_term *terms;
	size_t n_terms;		  /* 0: every address */
	struct port_range *ports; /* sorted, without overlaps; aliases are resolved */
	size_t n_ports; /* 0: every port. Else `protocols` are such as have ports, and none of them is without */
};

struct config_match {
	struct config_link *links;
	size_t n_links;	    /* 0: every one */
	uint8_t *protocols; /* ascending */
	size_t n_protocols; /* 0: every one */
	struct config_endpoint source, destination;
	unsigned int families; /* enum fl_family: what all the keys together leave */
};

/* ---- rules ---- */

enum config_action { CONFIG_PASS, CONFIG_BLOCK, CONFIG_REJECT };
enum config_reject { CONFIG_REJECT_AUTO, CONFIG_REJECT_RESET, CONFIG_REJECT_ADMIN, CONFIG_REJECT_PORT };
enum config_direction { CONFIG_IN_AND_OUT, CONFIG_IN, CONFIG_OUT };
enum config_state { CONFIG_STATE_KEEP, CONFIG_STATE_LOOSE, CONFIG_STATE_NONE };
enum config_when_down { CONFIG_DOWN_BLOCK, CONFIG_DOWN_REJECT, CONFIG_DOWN_SKIP };

/* A bit for each ICMP type, type 64 being bit 0 of the second word. */
struct config_icmp_types {
	uint64_t bits[4];
};

/* As the TCP header has them, above them ECE and CWR. */
enum config_tcp_flag {
	CONFIG_TCP_FIN = 0x01,
	CONFIG_TCP_SYN = 0x02,
	CONFIG_TCP_RST = 0x04,
	CONFIG_TCP_PSH = 0x08,
	CONFIG_TCP_ACK = 0x10,
	CONFIG_TCP_URG = 0x20,
	CONFIG_TCP_ECE = 0x40,
	CONFIG_TCP_CWR = 0x80,
};

/* Of those in the mask these are set, and the others not; mask 0: all the same. */
struct config_tcp_flags {
	uint8_t set, mask;
	bool named; /* by the rule, be it as "any": else what passes and keeps state goes by S/SA, as on pf */
};

/* Local time. Minutes count from the begin of each of the days; one above 1440 is on the next day. */
struct config_schedule {
	uint8_t days; /* bit 0: Monday */
	uint16_t from;
	uint16_t to; /* the first minute behind it: from + 1 to from + 1440 */
};

/* Strings and arrays belong to the rule. */
struct config_rule {
	char *name;   /* unique, at most 63 characters, which in UTF-8 are up to 252 bytes */
	size_t index; /* in the file, disabled ones counted: /rules/N */
	enum config_action action;
	enum config_reject reject_with;
	bool quick;
	enum config_direction direction;
	struct config_match match;
	bool by_icmp_type;		       /* only these: */
	struct config_icmp_types icmp4, icmp6; /* of ICMP and of ICMPv6 */
	struct config_tcp_flags tcp_flags;
	uint64_t dscp; /* a bit for each value; 0: all */
	char *tagged;  /* NULL: tagged or not */
	struct config_schedule *schedules;
	size_t n_schedules; /* 0: always */
	enum config_state state;
	struct config_via route_to;
	struct config_via reply_to; /* neither: the gateway of the interface that it came in by, if that has one */
	enum config_when_down when_down;
	uint32_t max_states, max_states_per_source; /* 0: any number */
	bool log;
	char *tag; /* NULL: none is given */
};

/* ---- address translation ---- */

enum config_nat_type { CONFIG_SNAT, CONFIG_DNAT, CONFIG_ONE_TO_ONE };

/* One that translates to a VIP with addresses of both families is two with one index, each of its family. */
struct config_nat {
	size_t index; /* in the file, disabled ones counted: /nat/N */
	enum config_nat_type type;
	struct config_match
		match;	   /* with links; of ONE_TO_ONE the source is one term, a range of one address: the inside */
	bool exempt;	   /* what matches stays as it is, and no later one is tried; then nothing below is set */
	bool to_interface; /* `to` is the address of the interface that it matches on */
	struct addr to;	   /* AF_UNSPEC: exempt, or to_interface */
	const struct config_vip *to_vip; /* whose address that is; NULL: it was written as an address */
	/*
	 * 0-0: SNAT chooses any, DNAT leaves it as it is. Of DNAT a range is as long as the one that destination.ports then is,
	 * and the first becomes the first.
	 */
	struct port_range to_ports;
	bool static_port;	   /* SNAT: the source port stays */
	bool endpoint_independent; /* SNAT: a source address and port has one mapping for all it talks to (RFC 4787) */
};

/* ---- states ---- */

/* pf's sets of timeouts */
enum config_optimization { CONFIG_NORMAL, CONFIG_CONSERVATIVE, CONFIG_AGGRESSIVE, CONFIG_HIGH_LATENCY };

/* pf's timeouts, by pf's names */
enum config_timeout {
	CONFIG_TCP_FIRST,	/* one packet */
	CONFIG_TCP_OPENING,	/* no answer from the other side yet */
	CONFIG_TCP_ESTABLISHED, /* both sides have finished the handshake */
	CONFIG_TCP_CLOSING,	/* one FIN */
	CONFIG_TCP_FINWAIT,	/* both FINs */
	CONFIG_TCP_CLOSED,	/* an RST */
	CONFIG_UDP_FIRST,	/* one packet */
	CONFIG_UDP_SINGLE,	/* several of one side, none of the other */
	CONFIG_UDP_MULTIPLE,	/* packets of both sides */
	CONFIG_ICMP_FIRST,	/* one packet */
	CONFIG_ICMP_ERROR,	/* an ICMP error in answer to it */
	CONFIG_OTHER_FIRST,	/* other protocols as UDP */
	CONFIG_OTHER_SINGLE,
	CONFIG_OTHER_MULTIPLE,
	CONFIG_TIMEOUTS,
};

/* timeouts.c: fills in what is 0, what `timeouts_s` left open, from the set. */
void config_timeouts_complete(uint32_t timeouts_s[CONFIG_TIMEOUTS], enum config_optimization set);

/* ---- logs ---- */

enum config_log_to { CONFIG_LOG_NONE, CONFIG_LOG_SYSLOG };

struct config_log {
	enum config_log_to events;
	enum config_log_to packets;
	int facility; /* syslog(3)'s */
};
