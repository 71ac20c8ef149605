/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The state table: one entry for each connection, found by the packets of both directions; a second one (the twin) under the addresses
 * that the other side sees where they are translated. Programs and daemon work on the same memory: both maps are mapped.
 *
 * fl_buckets: array of lines with eight tags; tag w of bucket b belongs to element 8 * b + w of fl_states. A key has two
 * buckets, by two hash values; an entry lies in either. Programs insert (compare and exchange of a FREE tag), the daemon removes.
 */
#pragma once

#include "fairlead/maps.h"

#define FL_BUCKET_WAYS 8

/* Hash 32 bits, serial 24 (grows when an element is used again: who read the old one finds out), kind 8. */
#define FL_TAG(hash, serial, kind) ((__u64)(hash) << 32 | ((__u64)(serial)&0xffffff) << 8 | (kind))
#define FL_TAG_HASH(tag) ((__u32)((tag) >> 32))
#define FL_TAG_SERIAL(tag) ((__u32)(tag) >> 8)
#define FL_TAG_KIND(tag) ((__u8)(tag))

enum fl_kind {
	FL_KIND_FREE = 0,
	FL_KIND_CLAIMED = 1, /* being filled */
	FL_KIND_EMBRYONIC =
		2, /* one side has spoken, or the handshake is not done: gives way to a new one where there is no room */
	FL_KIND_ESTABLISHED = 3, /* never gives way */
	FL_KIND_TWIN = 4,	 /* fl_state.twin is the entry with the state */
};

struct fl_bucket {
	__u64 tag[FL_BUCKET_WAYS];
};
_Static_assert(sizeof(struct fl_bucket) == 64, "one cache line");

/* What both directions of a connection have in common: the lower (address, port), compared as bytes, is end 0. */
struct fl_tuple {
	union fl_addr addr[2]; /* IPv4 mapped */
	__be16 port[2];	       /* ICMP queries: both the identifier; protocols without ports: 0 */
	__u8 proto;
};

enum fl_state_flags {
	FL_STATE_LOOSE = 1 << 0,      /* no window tracking */
	FL_STATE_LOG = 1 << 1,	      /* its end is logged */
	FL_STATE_PEER = 1 << 2,	      /* came from the peer, and has not been seen here */
	FL_STATE_STARTER = 1 << 3,    /* end 1 began it; else end 0 */
	FL_STATE_OWN = 1 << 4,	      /* the router itself began it */
	FL_STATE_TURNED = 1 << 5,     /* of a twin: its end 0 is end 1 of the entry with the state */
	FL_STATE_TRANSLATED = 1 << 6, /* has a twin */
	FL_STATE_ERROR = 1 << 7,      /* an ICMP error came for it */
};

/* How far an end is: pf's names (pf.c), for TCP those of RFC 9293; for others the last three. */
enum fl_phase {
	FL_PHASE_NONE = 0, /* has not spoken */
	FL_PHASE_SYN_SENT,
	FL_PHASE_ESTABLISHED,
	FL_PHASE_CLOSING, /* FIN sent */
	FL_PHASE_FIN_ACKED,
	FL_PHASE_CLOSED,   /* RST */
	FL_PHASE_SINGLE,   /* UDP and others: one packet of this end … */
	FL_PHASE_MULTIPLE, /* … and more */
};

/* One end: what it sends, and the way of that. Written by its own direction only. */
struct fl_end {
	__u32 seq_lo, seq_hi; /* as pf's: the next that it will send; the most that the other allows */
	__u16 max_win;	      /* the biggest window that it announced, not scaled */
	/* the way: good while gen and stamp are fresh and the packet came by `from` (lib/state.h) */
	__u16 from;	/* port that its packets come in by, or FL_FROM_ENDPOINT(); 0: no way yet */
	__u16 nexthop;	/* 0: to the host itself, or not known to fl_nh yet */
	__u16 endpoint; /* encapsulate by it; 0: plain */
	__u16 mtu;
	__u16 gen;   /* low word of the generation */
	__u16 stamp; /* jiffies64 >> 6 */
	__u16 bytes_hi;
	__u32 bytes_lo; /* IP packets, by 48 bits */
	__u32 packets;	/* fl_state.packets_hi has more bits */
};
_Static_assert(sizeof(struct fl_end) == 32, "two ends fill one line");

#define FL_FROM_ENDPOINT(index) (0x8000 | (index)) /* decapsulated from it */

/* ---- fl_states: array. Programs write; the daemon, too, what it removes ---- */
struct fl_state {
	union fl_addr addr[2];
	__be16 port[2];
	__u8 proto;
	__u8 flags;    /* enum fl_state_flags */
	__u8 phase[2]; /* enum fl_phase, by end */
	/* of a twin only `twin` and flags count */
	__u32 twin;	     /* the other entry; 0: none */
	__u32 made;	     /* low word of jiffies64 */
	__u32 seen;	     /* the same, of the last packet */
	__u16 rule[2];	     /* ids of the `in` and the `out` rule that passed it; 0: none judged it */
	__u16 gateway;	     /* number; 0: by the routing table */
	__u16 nat;	     /* id of the translation rule; FL_STATE_NPT and an index of fl_npt; 0: none */
	__u16 reply_gateway; /* of what is sent back; 0: by the routing table */
	__u8 wscale;	     /* TCP: window scales, four bits an end, end 0 the lower; FL_WSCALE_NONE: not said */
	__u8 packets_hi;     /* four more bits of end[].packets, as wscale */
	struct fl_end end[2];
};
_Static_assert(sizeof(struct fl_state) == 128, "two cache lines");
_Static_assert(offsetof(struct fl_state, end) == 64, "the ends have their own line");

#define FL_STATE_NPT 0x8000
#define FL_NIBBLE(byte, end) ((byte) >> 4 * (end)&15)
#define FL_WSCALE_NONE 15
#define FL_WSCALE_MAX 14

/* pf's timeouts, by the phases of both ends (lib/state.h: state_timeout()). enum config_timeout has the same order */
enum fl_timeout {
	FL_TCP_FIRST,
	FL_TCP_OPENING,
	FL_TCP_ESTABLISHED,
	FL_TCP_CLOSING,
	FL_TCP_FINWAIT,
	FL_TCP_CLOSED,
	FL_UDP_FIRST,
	FL_UDP_SINGLE,
	FL_UDP_MULTIPLE,
	FL_ICMP_FIRST,
	FL_ICMP_ERROR,
	FL_OTHER_FIRST,
	FL_OTHER_SINGLE,
	FL_OTHER_MULTIPLE,
	FL_TIMEOUTS,
};

/* fl_state_control: one element, mapped. Daemon writes, programs read when they make a state */
struct fl_state_control {
	__u32 limit;	       /* states at most, twins not counted */
	__u32 embryonic_limit; /* of these, such as may give way */
	__u32 buckets;	       /* in use: those of fl_buckets */
	__u32 pad;
	__u32 timeout[FL_TIMEOUTS]; /* jiffies; shortened by the daemon as the table fills (adaptive) */
};

/* fl_state_counts: array, a line for each CPU, mapped. Programs write each their own, the daemon (removals) the last */
struct fl_state_counts {
	__s64 states, embryonic; /* made less removed: the sum over all lines is how many there are */
	__u64 made;
	__u64 refused_full; /* no room, or the limit */
	__u64 refused_rule; /* max_states, max_states_per_source */
	__u64 evicted;	    /* embryonic ones that gave way */
	__u64 pad[2];
};
_Static_assert(sizeof(struct fl_state_counts) == 64, "one cache line");
