/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Rules as the programs see them. The daemon compiles the configuration's lists (rules for each direction, translations) into one table
 * of rows (user/policy/compile.c); lib/rules.h finds the rule of a packet in it. Each of the two sets has a table of its own.
 */
#pragma once

#include "fairlead/maps.h"

/* A packet is judged by one list at a time. Translations: the first that matches; rules: the last, or the first with `quick`. */
enum fl_list {
	FL_LIST_IN,
	FL_LIST_OUT,
	FL_LIST_DNAT, /* before `in` rules: dnat, and the inward half of one-to-one */
	FL_LIST_SNAT, /* after `out` rules: snat, and the outward half of one-to-one */
	FL_LISTS,
};

#define FL_RULES_MAX 16384 /* of one list, the default included; 0: none */

enum fl_action {
	FL_PASS,
	FL_BLOCK,
	FL_REJECT,
};

enum fl_reject {
	FL_REJECT_AUTO, /* TCP: reset; UDP: port unreachable; else: administratively prohibited */
	FL_REJECT_RESET,
	FL_REJECT_ADMIN,
	FL_REJECT_PORT,
};

enum fl_keep {
	FL_KEEP,       /* a state, TCP with window tracking */
	FL_KEEP_LOOSE, /* a state without */
	FL_KEEP_NONE,
};

enum fl_rule_flags {
	FL_RULE_LOG = 1 << 0,
	FL_RULE_QUICK = 1 << 1,
	FL_RULE_DOWN_REJECT =
		1 << 2, /* its gateway is down: reject; else block. With `skip` the daemon takes it out of the rows */
};

/* fl_rules: array FL_RULE_INDEX(). Daemon writes. The last place of IN and OUT, as the compiler numbers them, is the default */
#define FL_RULE_INDEX(set, list, place) (((set)*FL_LISTS + (list)) * FL_RULES_MAX + (place))

struct fl_rule {
	__u16 id;		  /* of fl_rule_stats: stays over a reload while the name does. 0: default_action */
	__u8 action;		  /* enum fl_action */
	__u8 reject;		  /* enum fl_reject */
	__u8 keep;		  /* enum fl_keep */
	__u8 flags;		  /* enum fl_rule_flags */
	__u16 tag;		  /* given to what it matches; 0: none */
	__u16 route_to, reply_to; /* numbers of gateways; 0: none */
	__u32 max_states, max_states_per_source; /* 0: any number */
	__u32 pad;
};
_Static_assert(sizeof(struct fl_rule) == 24, "layout");

enum fl_nat_flags {
	FL_NAT_EXEMPT = 1 << 0,
	FL_NAT_STATIC_PORT = 1 << 1,
	FL_NAT_EIM = 1 << 2,	      /* endpoint-independent mapping */
	FL_NAT_TO_INTERFACE = 1 << 3, /* the address of the port that it leaves (SNAT) or came in (DNAT) by */
};

/* fl_nats: array FL_RULE_INDEX(). Daemon writes, places of FL_LIST_DNAT and FL_LIST_SNAT only */
struct fl_nat {
	__u16 id;    /* of fl_rule_stats; 0: none matched */
	__u16 flags; /* enum fl_nat_flags */
	__u16 port_lo,
		port_hi; /* host order. SNAT: to choose from, 0-0: any; DNAT: port_lo is where the first goes, 0: as it is */
	__u16 match_lo; /* DNAT: the first port that it matches, which becomes port_lo */
	__u16 pad[3];
	union fl_addr to;
};
_Static_assert(sizeof(struct fl_nat) == 32, "layout");

/* fl_eim: LRU hash, endpoint-independent mappings (RFC 4787 REQ-1): an entry for each of the two endpoints. Programs write */
struct fl_eim_key {
	union fl_addr addr;
	__be16 port; /* or identifier */
	__u16 nat;   /* of the inside endpoint: id of the rule; of the outside one: 0 */
	__u8 proto;
	__u8 pad[3];
};

struct fl_eim {
	union fl_addr addr; /* the other endpoint */
	__be16 port;
	__u16 nat;  /* id of the rule */
	__u32 used; /* low word of jiffies64 */
};

#define FL_RULE_IDS_MAX 32768 /* rules and translations, of both sets; id 0: default_action */

/*
 * fl_rule_stats: array (CPU, id), CPUs and one line more, the daemon's, mapped: of stateless packets, and of states that have ended. What
 * living states have counted is in them.
 */
#define FL_RULE_STATS_INDEX(cpu, id) ((cpu)*FL_RULE_IDS_MAX + (id))
struct fl_rule_stats {
	__u64 packets, bytes;
};

/* fl_rule_states: array by id, mapped: states that name it as a rule, now. Programs and daemon add and subtract atomically */

/* ---- gateways, by number ---- */

#define FL_GATEWAYS_MAX 1024 /* both sets; 0: none */

enum fl_gateway_flags {
	FL_GATEWAY_UP = 1 << 0,
	FL_GATEWAY_LINK = 1 << 1, /* no address: the destination itself is on the link, or point to point */
};

/* fl_gateways: array by number. Daemon writes. A number stays a gateway's as long as its name */
struct fl_gateway {
	union fl_addr addr;
	__u32 ifindex;
	__u16 port[2]; /* in each set */
	__u8 flags;    /* enum fl_gateway_flags */
	__u8 family;   /* enum fl_family bits that it takes */
	__u8 pad[6];
};
_Static_assert(sizeof(struct fl_gateway) == 32, "layout");
