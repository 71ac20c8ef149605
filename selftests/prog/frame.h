/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Frames from descriptions. Written apart from bpf/ on purpose: every checksum is summed anew over the whole packet,
 * and nothing here is shared with the programs under test but the names of protocols.
 */
#pragma once

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

#define FRAME_MAX 2048
#define ETH_LEN 14
#define NIL (-1)    /* an explicit 0 where 0 says "as usual" */
#define NO_OUTER "" /* in a change: the outer header goes */

struct frame {
	__u32 len;
	__u8 data[FRAME_MAX];
};

enum spec_l4 {
	L4_UDP,
	L4_TCP,
	L4_ECHO,  /* ICMPv6's or ICMP's, by the family */
	L4_ERROR, /* the same, quoting another packet */
	L4_SCTP,
	L4_RAW, /* payload only */
};

enum spec_sum {
	SUM_GOOD,
	SUM_UNFINISHED, /* as a sender leaves it to its device: the pseudo-header's */
	SUM_ZERO,
	SUM_BAD,
};

/* X(member): strings, then numbers. 0 is the usual value, which frame_build() knows. */
/* clang-format off */
#define SPEC_STRINGS(X) \
	X(osrc) X(odst)		/* outer IPv4 addresses; none: no outer header */ \
	X(src) X(dst)		/* their family is the packet's */ \
	X(ext)			/* extension headers: h d r R(of type 0) Z(that at its end) a(uthentication) f(irst fragment) F(later) G(at 2048) x(atomic) */ \
	X(opts)			/* TCP options in hexadecimal */
#define SPEC_NUMBERS(X) \
	X(vid) X(tpid)		/* tag; vid NIL: of priority only */ \
	X(otos) X(ottl) X(oihl) X(oproto) X(oid) X(ofrag) X(olen) X(obad) \
	X(tos) X(hops) X(label) X(version) X(plen) /* plen, olen: added to the right length */ \
	X(ihl) X(id) X(frag) X(proto) X(bad)	/* bad, obad: exclusive or into the header's checksum */ \
	X(jumbo)		/* the header says no length: RFC 2675, BIG TCP */ \
	X(extlen)		/* of each h, d, r: more units of 8 bytes */ \
	X(l4) X(sport) X(dport) X(payload) X(tflags) X(doff) X(seq) X(ack) X(window) X(sum) \
	X(type) X(code) X(value) X(quotelen) \
	X(trailer)		/* bytes behind the packet */
/* clang-format on */

struct spec {
#define SPEC_STRING(name) const char *name;
	SPEC_STRINGS(SPEC_STRING)
#undef SPEC_STRING
#define SPEC_NUMBER(name) int name;
	SPEC_NUMBERS(SPEC_NUMBER)
#undef SPEC_NUMBER
	const struct spec *quoted; /* by L4_ERROR */
};

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10
#define IPV4_DF 0x4000
#define IPV4_MF 0x2000

/* Writes the frame that `spec` describes. */
void frame_build(struct frame *f, const struct spec *spec, const __u8 *dmac, const __u8 *smac);

/* `base` with what is set in `change`. */
struct spec spec_merge(const struct spec *base, const struct spec *change);

/* Bytes of the packet that is routed: without outer header and trailer. */
__u32 spec_len(const struct spec *spec);

/* Whether the packet is IPv6 (an outer header aside). */
bool spec_is6(const struct spec *spec);
int or_usual(int value, int usual); /* a number of a spec: 0 is the usual one, NIL is 0 */

/* One's complement sum of the big-endian words at p, and of what was summed before. */
__u32 sum_words(const __u8 *p, size_t len, __u32 sum);
__u16 sum_fold(__u32 sum);

__u16 get16(const __u8 *p);
void put16(__u8 *p, __u16 v);
void put32(__u8 *p, __u32 v);

/* Where the frame's first IP header lies: behind a VLAN tag, if there is one. */
__u32 frame_l3(const struct frame *f);

/* Sets the frame's first IPv4 header's id to 0 and its checksum as that needs; `id` becomes what it was. */
void frame_mask_id(struct frame *f, __u16 *id);
