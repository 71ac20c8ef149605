/* SPDX-License-Identifier: GPL-2.0-only */
/* What the programs tell the daemon for its peers: which entries of the state table are no longer as they were, and packets that peers may know. */
#pragma once

#include "fairlead/state.h"

#define FL_SYNC_LOG 32768 /* slots, a power of two: what a CPU may write between two looks of the daemon */

/*
 * fl_sync_log: array by CPU, mapped. That CPU writes, while control.sync says so (enum fl_sync); the daemon reads. An entry is logged when it
 * becomes established, changes its phases then, ends, and when the first packet of one comes that a peer has told of (FL_STATE_PEER).
 * Not logged: embryonic ones, so that a flood of them costs nothing, and counters and sequence numbers.
 */
struct fl_sync_log {
	__u64 head; /* that were ever logged; number n is slot[n % FL_SYNC_LOG], written before the head is */
	__u64 pad[7];
	__u32 slot[FL_SYNC_LOG];
};
_Static_assert(sizeof(struct fl_sync_log) == 64 + 4 * FL_SYNC_LOG, "no padding");

enum fl_sync {
	FL_SYNC_STATES = 1 << 0, /* a peer wants to hear of states */
	FL_SYNC_ASK = 1 << 1,	 /* a peer answers whether it knows a connection */
};

/*
 * ---- strays: packets of connections that this node does not know and a peer may, since their other direction passes there, or since it has
 * not told of them yet ----
 *
 * Programs write them to fl_strays, a ring buffer, in place of judging them; the daemon asks peers, and has them come in again, where they
 * find the state, or fl_asked says that nobody has one.
 */
#define FL_STRAYS_RING (512u << 10)
#define FL_STRAY_FRAME 2048
#define FL_STRAYS_MAX 256 /* that a CPU hands up in 32 jiffies; more are judged at once */
#define FL_ASKED_MAX 16384

/* fl_asked: LRU hash, tuple -> until then (low word of jiffies64) packets of it are judged as any. Daemon writes */

struct fl_stray {
	__u64 time_ns; /* CLOCK_MONOTONIC */
	__u32 ifindex; /* device that it came by */
	__u32 len;     /* bytes of `frame`; 0: it is too long, and gone */
	struct fl_tuple key;
	__u16 l3, l4; /* where the headers lie whose sum may be unfinished; l4 0: there is none */
	__u8 family;  /* enum fl_family */
	__u8 pad[3];
	__u8 frame[FL_STRAY_FRAME];
};

/* fl_stray_stats: per-CPU array of one. Programs write */
struct fl_stray_stats {
	__u32 window, n; /* handed up in the 32 jiffies of that number */
	__u64 offered;
	__u64 too_many; /* judged at once for the sake of FL_STRAYS_MAX */
};
