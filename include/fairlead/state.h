/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The state table: one entry for each connection, found by the packets of both directions; a second one (the twin) under the addresses
 * that the other side sees where they are translated. Programs and daemon work on the same memory: both maps are mapped.
 *
 * fl_buckets: array of lines with eight tags; tag w of bucket b belongs to element 8 * b + w of fl_states. A key has two
 * buckets, by two hash values; an entry lies in either. Who makes or ends an entry, program or daemon, first makes its tag CLAIMED by
 * compare and exchange: until it stores another one, the element is nobody else's. Who claims it once more only says that it is not to
 * be published: bpf/lib/state_make.h, other_stays().
 */
#pragma once

#include "fairlead/maps.h"

#define FL_BUCKET_WAYS 8

/*
 * Hash 32 bits (0 while FREE or CLAIMED, but what a program is about to publish shows it), serial 24 (grows with each claim: who read the old
 * one finds out), kind 8.
 */
#define FL_TAG(hash, serial, kind) ((__u64)(hash) << 32 | ((__u64)(serial)&0xffffff) << 8 | (kind))
#define FL_TAG_HASH(tag) ((__u32)((tag) >> 32))
#define FL_TAG_SERIAL(tag) ((__u32)(tag) >> 8)
#define FL_TAG_KIND(tag) ((__u8)(tag))
#define FL_TAG_AS(tag, kind) (((tag) & ~0xffULL) | (kind))		     /* the same entry, another kind */
#define FL_TAG_CLAIM(tag) FL_TAG(0, FL_TAG_SERIAL(tag) + 1, FL_KIND_CLAIMED) /* the next claim of the element */

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
	__be16 port
		[2]; /* ICMP queries: the asker's the identifier, so that who is asked may ask by the same; protocols without: 0 */
	__u8 proto;
};

enum fl_state_flags {
	FL_STATE_LOOSE = 1 << 0,      /* no window tracking */
	FL_STATE_PROBE = 1 << 1,      /* of the daemon's, by a gateway whatever rules and routes say */
	FL_STATE_PEER = 1 << 2,	      /* the last news of it came from a peer: no packet of it here since */
	FL_STATE_STARTER = 1 << 3,    /* end 1 began it; else end 0 */
	FL_STATE_OWN = 1 << 4,	      /* the router itself began it */
	FL_STATE_TURNED = 1 << 5,     /* of a twin: its end 0 is end 1 of the entry with the state */
	FL_STATE_COUNTED = 1 << 5,    /* of any other: in fl_rule_sources */
	FL_STATE_TRANSLATED = 1 << 6, /* has a twin */
	FL_STATE_ERROR = 1 << 7,      /* of ICMP: an error came for it */
	FL_STATE_MOVED =
		1 << 7, /* of TCP: from a peer. While an end has no way, sequence numbers are taken as they come */
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

/* One end: what it sends, and the way of that. Written by its own direction, seq_hi by what the other end allows */
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
	/* of a twin only `twin`, `made` and flags count */
	__u32 twin;	     /* slot of the other entry, with FL_STATE_TRANSLATED, and of a twin */
	__u32 made;	     /* low word of jiffies64; of a twin: serial of the entry with the state */
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
_Static_assert(__builtin_offsetof(struct fl_state, end) == 64, "the ends have their own line");

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

/*
 * fl_state_control: one element, mapped. Daemon writes, programs read: what finds an entry for each packet, the rest when they make
 * a state.
 */
struct fl_state_control {
	__u64 key[5];	       /* random, of fl_state_hash(): stays as long as the table */
	__u32 buckets;	       /* in use: those of fl_buckets */
	__u32 limit;	       /* states at most, twins not counted */
	__u32 embryonic_limit; /* of these, such as may give way */
	__u32 batch; /* states that a CPU makes before it says so to the others: limit / 100 / CPUs, 1 to 256 */
	__u32 timeout[FL_TIMEOUTS]; /* jiffies; shortened by the daemon as the table fills (adaptive) */
	/*
	 * Until then (jiffies; 0: not at all) what fits no window moves it: part of the connection's packets pass by another table, while that
	 * gets another size (lib/tcp_track.h: tcp_learn())
	 */
	__u32 learn_until;
	/*
	 * The daemon's, random: whose the entries are. A table that another one is copied to has its lineage; an empty one, after a boot, has one
	 * of its own.
	 */
	__u32 lineage, id;
	__u32 peer_lineage; /* of the one peer's table whose entries are in here; 0: of none, or of several */
};
_Static_assert(sizeof(struct fl_state_control) == 128, "two cache lines");

/* fl_state_counts: array, mapped: the first for all, the daemon's, and one for each CPU, which it alone writes */
#define FL_STATE_COUNTS_SHARED 0 /* states and embryonic of it, told in batches: what the limits are held against */
#define FL_STATE_COUNTS_DAEMON 1
#define FL_STATE_COUNTS_CPU(cpu) (2 + (cpu))

struct fl_state_counts {
	__s64 states, embryonic;	 /* made less removed: the sum but of the first is how many there are */
	__s32 new_states, new_embryonic; /* of these, what the first does not have yet */
	__u64 made;
	__u64 refused_full;  /* the limit, or no place */
	__u64 refused_rule;  /* max_states, max_states_per_source */
	__u64 evicted;	     /* embryonic ones that gave way */
	__u32 hand;	     /* bucket where one was looked for that gives way */
	__u32 refused_place; /* of refused_full: below the limit, but nobody gives way in the two buckets of the key */
};
_Static_assert(sizeof(struct fl_state_counts) == 64, "one cache line");

/* fl_rule_sources: LRU hash -> states of the rule from that source, for rules that limit them. Programs and daemon */
struct fl_rule_source {
	union fl_addr addr;
	__u32 rule;
	__u32 pad;
};

/* Where a key lies. */
struct fl_state_place {
	__u32 bucket[2];
	__u32 hash; /* of its tag */
};

/* The way that an entry has in either bucket, if it is free. */
#define FL_STATE_HOME(place) ((place)->hash % FL_BUCKET_WAYS)

/*
 * Whether an entry goes into the first of its buckets, by how many ways are free in both: though it is one fuller, while it is about half empty; a
 * table of which three quarters are taken has no place for one in 100 otherwise.
 */
#define FL_STATE_FIRST(free, other) ((free) && (free) + ((free) > 3) >= (other))

/* linux/in.h and netinet/in.h do not go together: neither is in here */
enum fl_proto {
	FL_PROTO_ICMP = 1,
	FL_PROTO_TCP = 6,
	FL_PROTO_UDP = 17,
	FL_PROTO_ICMPV6 = 58,
};

#define FL_STATE_INLINE static inline __attribute__((always_inline))

/*
 * NH of UMAC (RFC 4418 5.2.2): nobody who does not know `key` can choose tuples that fall together; the multiplications behind it
 * spread that over all bits. Each bucket by a multiplication and a shift, so that their number may be any.
 */
FL_STATE_INLINE struct fl_state_place fl_state_hash(const struct fl_tuple *tuple, const __u64 key[5], __u32 buckets)
{
	const __u64 word[5] = { tuple->addr[0].q[0], tuple->addr[0].q[1], tuple->addr[1].q[0], tuple->addr[1].q[1],
				(__u64)tuple->proto << 32 | (__u32)tuple->port[0] << 16 | tuple->port[1] };
	struct fl_state_place place;
	__u64 h = 0;

	for (int i = 0; i < 5; i++) {
		__u64 x = word[i] + key[i];

		h += (x & 0xffffffff) * (x >> 32);
	}
	h = (h ^ h >> 32) * 0x9fb21c651e98df25ULL;
	place.bucket[0] = (h >> 32) * buckets >> 32;
	h = (h ^ h >> 32) * 0xd6e8feb86659fd93ULL;
	place.bucket[1] = (h >> 32) * buckets >> 32;
	place.hash = h;
	return place;
}

FL_STATE_INLINE __u64 fl_state_packets(const struct fl_state *st, int end)
{
	return (__u64)FL_NIBBLE(st->packets_hi, end) << 32 | st->end[end].packets;
}

FL_STATE_INLINE __u64 fl_state_bytes(const struct fl_state *st, int end)
{
	return (__u64)st->end[end].bytes_hi << 32 | st->end[end].bytes_lo;
}

/* Which timeout a state has by now: pf's, by the phases of both ends. */
FL_STATE_INLINE enum fl_timeout fl_state_timeout(const struct fl_state *st)
{
	__u8 a = st->phase[0], b = st->phase[1];
	__u8 lo = a < b ? a : b, hi = a < b ? b : a;
	int first = lo == FL_PHASE_NONE && st->end[0].packets + st->end[1].packets <= 1;

	if (st->proto == FL_PROTO_ICMP || st->proto == FL_PROTO_ICMPV6)
		return st->flags & FL_STATE_ERROR ? FL_ICMP_ERROR : FL_ICMP_FIRST;
	if (st->proto == FL_PROTO_UDP)
		return first ? FL_UDP_FIRST : lo == FL_PHASE_MULTIPLE ? FL_UDP_MULTIPLE : FL_UDP_SINGLE;
	if (st->proto != FL_PROTO_TCP)
		return first ? FL_OTHER_FIRST : lo == FL_PHASE_MULTIPLE ? FL_OTHER_MULTIPLE : FL_OTHER_SINGLE;
	if (lo >= FL_PHASE_FIN_ACKED)
		return FL_TCP_CLOSED;
	if (lo >= FL_PHASE_CLOSING)
		return FL_TCP_FINWAIT;
	if (lo < FL_PHASE_ESTABLISHED)
		return first ? FL_TCP_FIRST : FL_TCP_OPENING;
	return hi >= FL_PHASE_CLOSING ? FL_TCP_CLOSING : FL_TCP_ESTABLISHED;
}

FL_STATE_INLINE int fl_state_is_expired(const struct fl_state *st, const struct fl_state_control *control, __u32 now)
{
	return (__s32)(now - st->seen - control->timeout[fl_state_timeout(st)]) >= 0;
}
