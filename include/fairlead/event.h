/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is logged of a packet. Programs write events into fl_events, a ring buffer; the daemon reads them, and what found no
 * room there is counted in fl_event_stats.
 */
#pragma once

#include "fairlead/maps.h"

#define FL_EVENT_RING (4u << 20)
#define FL_EVENT_DATA_MAX 256

enum fl_event_verdict {
	FL_EVENT_PASS,
	FL_EVENT_BLOCK,
	FL_EVENT_REJECT,
	FL_EVENT_DROP, /* by no rule: `reason` says it */
};

enum fl_event_flags {
	FL_EVENT_OUT = 1 << 0, /* judged by `out` rules, where it leaves; else by `in` rules */
	FL_EVENT_XDP = 1 << 1, /* by the upper floor; else tc */
};

/* One event: this without what `data` has no use for. Host order but for addresses and ports. */
struct fl_event {
	__u64 time_ns;		/* CLOCK_BOOTTIME */
	union fl_addr src, dst; /* as the rules see them: translated */
	__be16 sport, dport;	/* 0: its protocol has none */
	__u16 port;		/* number, that it came in or leaves by */
	__u16 rule;		/* id in fl_rule_stats; 0: default_action, or none */
	__u32 len;		/* of the IP packet */
	__u16 captured;		/* bytes of it in `data` */
	__u8 verdict;		/* enum fl_event_verdict */
	__u8 reason;		/* enum fl_drop; 0: passed */
	__u8 flags;		/* enum fl_event_flags */
	__u8 family;		/* enum fl_family */
	__u8 proto;
	__u8 tcp_flags;
	__u8 icmp_type, icmp_code;
	__u8 pad[2];
	__u8 data[FL_EVENT_DATA_MAX]; /* the packet as it was received, from its IP header on */
};
_Static_assert(sizeof(struct fl_event) == 320, "layout");
_Static_assert(offsetof(struct fl_event, data) == 64, "a line of what is always there");

/* fl_event_stats: per-CPU array, one element. Programs write */
struct fl_event_stats {
	__u64 written;
	__u64 lost; /* the ring was full */
};
