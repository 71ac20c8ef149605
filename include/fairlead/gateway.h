/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Gateways and groups of them, by number. What a configuration says of them is in each of the two sets; whether one answers is a fact, and
 * what a group therefore uses is written at once, by the daemon's timekeeper alone: failover is a few stores.
 */
#pragma once

#include "fairlead/maps.h"

#define FL_GATEWAYS_MAX 512 /* 0: none */
#define FL_GATEWAY_NAME_MAX 64

/* fl_gateways: array FL_GATEWAY_INDEX(). Daemon writes. A number stays a gateway's as long as it has its name: states have it */
#define FL_GATEWAY_INDEX(set, number) ((set)*FL_GATEWAYS_MAX + (number))

enum fl_gateway_flags {
	FL_GATEWAY_LINK = 1 << 1, /* no address: the destination itself is on the link, or the link has one other end */
	FL_GATEWAY_MEMBER = 1 << 2, /* of a group that routes lead to: what is routed to it stays with it */
};

struct fl_gateway {
	union fl_addr addr[2]; /* of IPv4, of IPv6; which of them there is, family says */
	__u32 ifindex;
	__u16 port;
	__u8 flags;  /* enum fl_gateway_flags */
	__u8 family; /* enum fl_family bits that it takes */
	char name[FL_GATEWAY_NAME_MAX];
	__u16 next[2]; /* another MEMBER on the same port, for IPv4 and for IPv6; 0: none */
	__u16 pad[2];
};
_Static_assert(sizeof(struct fl_gateway) == 112, "layout");

enum fl_health_flags {
	FL_HEALTH_UP = FL_BOTH, /* the families that it is up for; those that it does not take it never is */
	/* by hand, for daemons: neither means that probes decide */
	FL_HEALTH_FORCED_UP = 1 << 2,
	FL_HEALTH_FORCED_DOWN = 1 << 3,
};

/* fl_health: array by number of a gateway -> enum fl_health_flags, mapped. The timekeeper writes; a starting daemon begins with what it finds */

#define FL_GROUPS_MAX 256 /* 0: none */
#define FL_GROUP_SLOTS 60
#define FL_VIA_GROUP 0x8000 /* in fl_rule: with a group's number */

enum fl_group_flags {
	FL_GROUP_BY_SOURCE = 1 << 0, /* the source's address says the slot; else the whole tuple */
};

/* fl_groups: array FL_GROUP_INDEX(), one for each family, mapped. The daemon writes flags, the timekeeper the rest */
#define FL_GROUP_INDEX(set, number, six) (((set)*2 + (six)) * FL_GROUPS_MAX + (number))

struct fl_group {
	__u16 slot
		[FL_GROUP_SLOTS]; /* numbers of gateways, each as many times as its weight wants; 0: none can be used */
	__u32 flags;		  /* enum fl_group_flags */
	__u16 most; /* the one with the most slots: by IPv4's tunnels over the group go, one way as routes have; 0: none */
	__u16 pad;
};
_Static_assert(sizeof(struct fl_group) == 128, "two cache lines");

/* skb->mark of a probe that the daemon sends: with the gateway's number, by which it goes whatever the tables and rules say */
#define FL_PROBE_MARK(number) (0xfa170000u | (number))
#define FL_PROBE_GATEWAY(mark) (((mark)&0xffff0000u) == 0xfa170000u ? (mark)&0xffff : 0)
