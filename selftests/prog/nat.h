/* SPDX-License-Identifier: GPL-2.0-only */
/* What the tests of translation tell their programs (nat_body.h), and what those say: `io` of each object. */
#pragma once

#include "fairlead/rules.h"

/* Which part a run tries. */
enum nat_part {
	NAT_REWRITE,  /* writes the packet as `to` says */
	NAT_QUOTE,    /* an error: its quote becomes `to`, its own addresses what follows from that */
	NAT_FRAGMENT, /* a first fragment is remembered, with the ports of `to`; of a later one they are said in `to` */
};

struct nat_tuple {
	union fl_addr src, dst;
	__be16 sport, dport;
	__u32 pad; /* compared as bytes */
};

struct nat_io {
	__u32 part;
	__u32 redirect; /* device that it leaves by; 0: it goes on */
	struct nat_tuple to;
	__u32 npt;   /* index: prefixes are translated */
	__s32 stage; /* out: STAGE_GO, or -FL_DROP_* */
	/* out, of NAT_QUOTE */
	struct nat_tuple quoted;
	__u32 seq;
	__u8 proto;
	__u8 has_seq;
	__u8 is_error;
};

/* nat_choose.bpf.c: a packet of a connection, and the rules that match it. */
struct nat_choice {
	struct nat_tuple from;
	struct fl_nat dnat, snat; /* id 0: none */
	struct fl_port port;	  /* for FL_NAT_TO_INTERFACE */
	__u8 family, proto;
	__u8 decide; /* no state is made */
	__u8 quoted; /* it is quoted by an ICMP error */
	/* out */
	__u32 found;
	struct nat_tuple to;
	__s32 stage;
};
