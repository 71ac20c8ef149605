/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Fragments. What a first one showed is in fl_fragments, an LRU hash that programs write; later ones that have overtaken it go to the daemon
 * by fl_waiting, a ring buffer, and come in again once it is there.
 */
#pragma once

#include "fairlead/maps.h"

#define FL_FRAGMENT_S 30 /* a datagram's fragments come within; RFC 791 has 15, Linux waits 30 */
#define FL_WAITING_RING (256u << 10)
#define FL_WAITING_FRAME 2048 /* bigger ones do not wait */

/* As received. RFC 791 counts the protocol in, RFC 8200 4.5 does not: of IPv6 it is 0. */
struct fl_fragment_key {
	union fl_addr src, dst;
	__u32 id;
	__u8 proto;
	__u8 family;
	__u8 pad[2];
};

/* What the first fragment showed. */
struct fl_fragment {
	__be16 sport, dport; /* ICMP queries: the identifier at the asker's end */
	__u32 stamp;	     /* low word of jiffies64 */
	__u8 proto;	     /* of later ones IPv6 may say an extension header */
	__u8 pad[3];
};

/* fl_waited: array by port, of those whose first one did not come. The daemon writes */
struct fl_waited {
	struct fl_drop_stats drops; /* where the packet came in */
	__u64 rx_packets, rx_bytes; /* of these, by the port of the frame */
};

/* One that waits for its first. Host order. */
struct fl_waiting {
	__u64 time_ns; /* CLOCK_MONOTONIC, when it came … */
	__u32 stamp;   /* … and as struct fl_fragment has it */
	__u32 ifindex; /* device that it came by */
	struct fl_fragment_key key;
	__u16 port;    /* whose drop it is if the first does not come … */
	__u16 l2_port; /* … and that has received it then */
	__u32 len;     /* bytes of `frame` */
	__u8 frame[FL_WAITING_FRAME];
};
_Static_assert(sizeof(struct fl_waiting) == 64 + FL_WAITING_FRAME, "layout");
