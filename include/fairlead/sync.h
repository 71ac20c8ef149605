/* SPDX-License-Identifier: GPL-2.0-only */
/* What the programs tell the daemon for its peers: which entries of the state table are no longer as they were. */
#pragma once

#include <linux/types.h>

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
};
