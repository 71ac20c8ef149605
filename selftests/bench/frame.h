/* SPDX-License-Identifier: GPL-2.0-only */
/* The benchmark's frames, as generator and sink see them: UDP in IPv6 of 64 bytes, or 84 where it is in IPv4 (6in4). */
#pragma once

#include <linux/types.h>

#define BENCH_PLAIN 64
#define BENCH_6IN4 84
#define BENCH_WORDS 11	  /* 84 bytes in words of 8 */
#define BENCH_COMPARED 10 /* words that the sink compares; behind them are only checksum and payload, covered by sums */

#define BENCH_SAMPLE 64 /* the sink looks closely at one in so many */
#define BENCH_DEVICES 64
#define BENCH_BEHIND 32 /* bench_out has the devices behind r1 from here on */
#define BENCH_BATCH 64	/* frames made at a time; a veth's ring has room for 256 */

/*
 * What the generator sends: `frame`, in which flow number v (0 to flows - 1) changes
 *   the source's last 16 bits       to v
 *   the source's bits 48 to 63      to source_net + (v >> net_shift & net_mask)
 *   the outer source's last 16 bits to outer_host + (v & outer_mask)
 * The payload (outer: the identification) takes up what that does to the checksums, which so stay as in `frame`.
 */
struct bench_traffic {
	__u64 frame[BENCH_WORDS];
	__u32 len; /* BENCH_PLAIN or BENCH_6IN4 */
	__u32 flows;
	__u16 source_net;
	__u16 net_mask;
	__u16 outer_host;
	__u16 outer_mask;
	__u32 slot;	  /* of bench_out: where to send it */
	__u32 sequential; /* flows come one after the other; else spread, each as often */
	__u32 first;	  /* with that, the first one's number */
	__u32 reverse;	  /* the destination varies, not the source */
	__u16 net_shift;  /* v >> net_shift is what net_mask is for */
	__u16 pad;
};

/*
 * When the generator made the packets number `first` and `last` (multiples of BENCH_BATCH), in CLOCK_MONOTONIC: the batches
 * between, from their first frame to where their last has ended up, without what a system call costs around them.
 */
struct bench_clock {
	__u32 first, last;
	__u64 first_ns, last_ns;
};

/* What the sink takes for its own (UDP ports at their place) and what a sampled frame must look like under `mask`. */
struct bench_expected {
	__u64 frame[BENCH_WORDS];
	__u64 mask[BENCH_WORDS];
	__u32 len;
	__u32 ports; /* both UDP ports, network order */
};

/* What the sink has seen. */
struct bench_seen {
	__u64 received; /* with the length and ports of what was expected */
	__u64 other;
	__u64 returned; /* answers that came through to the generator's side */
	__u64 checked, wrong;
	__u64 bad_frame[BENCH_WORDS]; /* the last wrong one */
};
