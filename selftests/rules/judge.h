/* SPDX-License-Identifier: GPL-2.0-only */
/* What the programs of this folder are asked, and what they say. */
#pragma once

#include "fairlead/rules.h"

#define JUDGE_SUBJECTS 64 /* in one run */

struct judged {
	union fl_addr src, dst; /* IPv4 mapped */
	__be16 sport, dport;
	__u16 port;
	__u16 tag; /* 0 at first; the answer */
	__u8 proto, family, tcp_flags, icmp_type, dscp, list;
	__u8 pad[2];
	__u32 place; /* the answer */
};

/* fl_judge_control: one element, mapped */
struct judge_control {
	__u32 count; /* of the subjects that are there */
	__u32 set;
	struct judged subject[JUDGE_SUBJECTS];
};
