/* SPDX-License-Identifier: GPL-2.0-only */
/* What a test run tells states_prog.bpf.c, behind the Ethernet header of its frame, and what it answers there. */
#pragma once

#include "fairlead/state.h"

enum states_flags {
	STATES_NO_INSERT = 1 << 0, /* only what is known */
	STATES_TRANSLATE = 1 << 1, /* to_* */
};

/* As struct segment of bpf/lib/tcp_track.h. */
struct states_segment {
	__u32 seq, ack;
	__u32 len;
	__u16 win;
	__u8 flags;
	__u8 wscale;
};

struct states_request {
	union fl_addr src, dst;
	union fl_addr to_src, to_dst;
	__be16 sport, dport;
	__be16 to_sport, to_dport;
	__u32 bytes;
	__u32 max_states, max_states_per_source; /* of rule[0] */
	__u16 rule[2];
	__u8 proto;
	__u8 flags; /* enum states_flags */
	__u8 state_flags;
	__u8 pad;
	struct states_segment segment;
};

struct states_answer {
	__s32 result; /* state_check()'s, or state_insert()'s */
	__u32 found;  /* state_find()'s, 0 where the packet began another connection */
	__u32 slot, main;
	__u8 side, main_side;
	__u8 pad[2];
	__u32 now;
	__u64 tag;
};

struct states_frame {
	__u8 ethernet[16];
	struct states_request request;
	struct states_answer answer;
};

#define STATES_PAIR_KEYS 4096

/* states_loop: so many packets in one run. */
struct states_loop {
	__u32 first, step; /* number of the first, and what the next has more … */
	__u32 keys;	   /* … modulo */
	__u32 count;
	__u32 insert;	     /* what is not known is made */
	__u32 found, failed; /* out */
	/* of two CPUs that take the same step at the same time: their connections are seen outside as from so many hosts from number `as` on */
	__u32 as;
	__u32 me; /* 0 or 1: the line of states_pair_as[] that says as from which each was seen */
	__u32 pad;
};

struct states_loop_frame {
	__u8 ethernet[16];
	struct states_loop loop;
};
