/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Rules as the programs see them. The daemon compiles the configuration's lists (rules for each direction, translations) into one table
 * of rows (user/policy/compile.c); lib/rules.h finds the rule of a packet in it. Each of the two sets has a table of its own.
 */
#pragma once

#include "fairlead/gateway.h"
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

/* ---- fl_rule_tables: array by set of arrays of segments, mapped. Daemon writes; grown by another array in its place ---- */

/*
 * Each list has a part of one space of bits, from a line of 512 bits on: bit `place` of that part is the rule at that place. What a packet
 * is matched by has dimensions; its value in a dimension belongs to a class; and for each class a row of bits says which rules that value
 * fits. Rules that fit in all dimensions match. A row is not written out: it is a list of lines by number, of which each one is there once,
 * so that rows of 10,000 rules that differ in one bit take 40 bytes for a list and one line more.
 */
#define FL_SEGMENT_SHIFT 20 /* what has an offset in the table has it in bytes, over all segments */
#define FL_SEGMENT_SIZE (1u << FL_SEGMENT_SHIFT)
#define FL_LINE_SIZE 64
#define FL_LINE_BITS 512
#define FL_LIST_LINES (FL_RULES_MAX / FL_LINE_BITS)

enum fl_dim {
	FL_DIM_SRC,
	FL_DIM_DST,
	FL_DIM_SPORT,
	FL_DIM_DPORT,
	FL_DIM_PROTO,
	FL_DIM_PORT,
	FL_DIM_DSCP,
	FL_DIM_TAG, /* the last: a rule that matches may change it for those behind */
	FL_DIMS,
};

/* Values of FL_DIM_PROTO: the protocol, but of TCP its flags, of ICMP and ICMPv6 the type. */
#define FL_VALUE_TCP 256
#define FL_VALUE_ICMP 512
#define FL_VALUE_ICMPV6 768
#define FL_VALUES_PROTO 1024
#define FL_VALUES_DSCP 64
#define FL_TAGS_MAX 1024 /* 0: none */

/*
 * Sorted ends of intervals, the last one the highest there is, as a tree of lines: in level 0 one line, in the last all of them, in those
 * between the last end of each line below. Rest of a line: the highest value. refs: a class for each interval, or FL_REF_CHILD.
 * Trees of IPv4 have ends of 32 bits, those of IPv6 of 64: of the upper half, and those of children of the lower. Host order.
 */
#define FL_TREE_LEVELS 8
#define FL_REF_CHILD 0x80000000u /* with the line of the table, in which there is a struct fl_tree */

struct fl_tree {
	__u32 levels;
	__u32 level[FL_TREE_LEVELS]; /* offsets */
	__u32 refs;		     /* offset of __u32[] */
	__u32 pad[6];
};
_Static_assert(sizeof(struct fl_tree) == FL_LINE_SIZE, "one line");

/* What a row begins with; behind it the numbers of its lines, those of all lists. Rows are 1 << row_shift bytes apart */
struct fl_row {
	__u32 some[FL_LISTS]; /* a bit for each line of the list in which there is a bit set */
	__u32 line[];
};
#define FL_ROW_SHIFT_MAX 10
_Static_assert(sizeof(struct fl_row) + FL_LISTS * FL_LIST_LINES * sizeof(__u32) <= 1 << FL_ROW_SHIFT_MAX, "fits");

struct fl_table_list {
	__u32 first; /* its first line */
	__u32 none;  /* place where no rule matches: the default, or 0 */
};

/* What the first segment begins with. */
struct fl_table {
	__u32 serial; /* another one: what was found before is stale. Never 0 */
	__u32 row_shift;
	__u32 row[FL_DIMS]; /* offset of the row of class 0 */
	__u32 lines;	    /* offset of line 0, which is empty */
	/* offsets of all lists' lines, one behind the other */
	__u32 live;    /* rules that are in force now: the daemon changes them in place, and the serial with them */
	__u32 quick;   /* that end the search */
	__u32 taggers; /* that have a tag */
	__u32 bytes;   /* of the table */
	__u32 pad;
	struct fl_table_list list[FL_LISTS];
	__u32 pad2[8];
	struct fl_tree tree[2][2]; /* FL_DIM_SRC and FL_DIM_DST; of IPv4 and IPv6 */
	/* classes by value */
	__u16 dscp[FL_VALUES_DSCP];
	__u16 port[FL_PORTS_MAX];
	__u16 tag[FL_TAGS_MAX];
	__u16 proto[FL_VALUES_PROTO];
	__u16 sport[65536]; /* host order */
	__u16 dport[65536];
};
_Static_assert(sizeof(struct fl_table) < FL_SEGMENT_SIZE && sizeof(struct fl_table) % FL_LINE_SIZE == 0, "fits");

/*
 * fl_rule_memo: array, FL_RULE_MEMOS a CPU, each read and written by its CPU alone: what was found for such classes. Programs write.
 */
#define FL_RULE_MEMOS 4096 /* a power of two */

struct fl_rule_memo {
	__u64 key[3]; /* classes, list, serial */
	__u16 place;
	__u16 tag; /* as it is after the rules that matched */
	__u32 pad;
};
_Static_assert(sizeof(struct fl_rule_memo) == 32, "half a cache line");

/* fl_rules: array FL_RULE_INDEX(), mapped. Daemon writes. The last place of IN and OUT, as the compiler numbers them, is the default */
#define FL_RULE_INDEX(set, list, place) (((set)*FL_LISTS + (list)) * FL_RULES_MAX + (place))

struct fl_rule {
	__u16 id;				 /* of fl_rule_stats: stays over a reload while the name does */
	__u8 action;				 /* enum fl_action */
	__u8 reject;				 /* enum fl_reject */
	__u8 keep;				 /* enum fl_keep */
	__u8 flags;				 /* enum fl_rule_flags */
	__u16 tag;				 /* given to what it matches; 0: none */
	__u16 route_to, reply_to;		 /* a gateway by number, or FL_VIA_GROUP and a group; 0: none */
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

/* fl_nats: array FL_RULE_INDEX(), mapped. Daemon writes, places of FL_LIST_DNAT and FL_LIST_SNAT only */
struct fl_nat {
	__u16 id;    /* of fl_rule_stats; 0: none matched */
	__u16 flags; /* enum fl_nat_flags */
	__u16 port_lo,
		port_hi; /* host order. SNAT: to choose from, 0-0: any; DNAT: port_lo is where the first goes, 0: as it is */
	__u16 match_lo; /* DNAT to a range: the first port that it matches, which becomes port_lo */
	__u16 pad[3];
	union fl_addr to;
};
_Static_assert(sizeof(struct fl_nat) == 32, "layout");

/* fl_eim: LRU hash, endpoint-independent mappings (RFC 4787 REQ-1): an entry for each of the two endpoints. Programs write; the daemon, what a peer tells */
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

#define FL_RULE_IDS_MAX 32768			    /* rules and translations, of both sets; id 0: nobody's */
#define FL_RULE_ID_DEFAULT_IN (FL_RULE_IDS_MAX - 2) /* default_action: nothing in fl_rule_names has these two */
#define FL_RULE_ID_DEFAULT_OUT (FL_RULE_IDS_MAX - 1)

/* fl_rule_names: array by id. Daemon writes, and reads it when it starts: whose id it is, so that a rule keeps it while it has its name */
#define FL_RULE_NAME_MAX 252 /* bytes; no 0 at the end of the longest */

enum fl_rule_kind {
	FL_RULE_KIND_NONE, /* never used */
	FL_RULE_KIND_RULE,
	FL_RULE_KIND_NAT,     /* the name is made from what it says */
	FL_RULE_KIND_DEFAULT, /* not in the map: policy_ids_name() of default_action's ids */
};

struct fl_rule_name {
	__u16 index; /* in the file, as it was last seen there */
	__u8 kind;
	__u8 used; /* by the configuration in force */
	char name[FL_RULE_NAME_MAX];
};
_Static_assert(sizeof(struct fl_rule_name) == 256, "layout");

/*
 * fl_rule_stats: array (CPU, id), CPUs and one line more, the daemon's, mapped: of stateless packets, and of states that have ended. What
 * living states have counted is in them.
 */
#define FL_RULE_STATS_INDEX(cpu, id) ((cpu)*FL_RULE_IDS_MAX + (id))
struct fl_rule_stats {
	__u64 packets, bytes;
};

/* fl_rule_states: array by id, mapped: states that name it as a rule, now. Programs and daemon add and subtract atomically */
