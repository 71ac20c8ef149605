/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * RFC 6296 arithmetic, the same for programs and daemon. One's complement sums do not depend on byte order, so 16-bit words
 * are taken as the machine loads them from network order.
 */
#pragma once

#include "fairlead/maps.h"

/* What a translation makes of an address. */
enum fl_npt_result {
	FL_NPT_OK = 0,
	FL_NPT_NO_MAPPING, /* 3.2: subnet 0xffff, or outside the extension of the shorter prefix */
	FL_NPT_BAD_IID,	   /* 3.7: interface identifier all zeros, or all ones: no word to adjust */
};

static inline __attribute__((always_inline)) __u16 fl_ones_add(__u16 a, __u16 b)
{
	__u32 sum = (__u32)a + b;

	return (sum & 0xffff) + (sum >> 16);
}

/* The top `len` bits (0 to 64) of an address's first half, as a mask over its bytes in memory. */
static inline __attribute__((always_inline)) __u64 fl_prefix_mask(__u8 len)
{
	__u64 host = len ? ~0ULL << (64 - len) : 0;

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return __builtin_bswap64(host);
#else
	return host;
#endif
}

/* One's complement sum of the four words of the first half. */
static inline __attribute__((always_inline)) __u16 fl_half_sum(__u64 half)
{
	half = (half & 0xffffffff) + (half >> 32);
	half = (half & 0xffff) + ((half >> 16) & 0xffff) + (half >> 32);
	half = (half & 0xffff) + (half >> 16);
	half = (half & 0xffff) + (half >> 16);
	return half;
}

/* 3.1: sum(internal) - sum(external), both extended by zeros to 64 bits; 0 in plain mode, which adjusts nothing. */
static inline __attribute__((always_inline)) __u16 fl_npt_adjust(const union fl_addr *internal,
								 const union fl_addr *external)
{
	return fl_ones_add(fl_half_sum(internal->q[0]), (__u16)~fl_half_sum(external->q[0]));
}

/* Adds adj to a word of a half; 0xffff is written as 0 (3.2, 3.3). */
static inline __attribute__((always_inline)) __u64 fl_word_adjust(__u64 half, __u32 shift, __u16 adj)
{
	__u32 word = fl_ones_add(half >> shift, adj);

	word = (word + ((word + 1) >> 16)) & 0xffff;
	return (half & ~(0xffffULL << shift)) | ((__u64)word << shift);
}

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define FL_WORD_SHIFT(i) ((i)*16) /* of the i-th 16-bit word in memory */
#else
#define FL_WORD_SHIFT(i) (48 - (i)*16)
#endif

/* The shift of the first word of an address's second half that is not 0xffff; of the last one, if none is (3.5). */
static inline __attribute__((always_inline)) __u32 fl_first_word(__u64 low)
{
	if ((__u16)(low >> FL_WORD_SHIFT(0)) != 0xffff)
		return FL_WORD_SHIFT(0);
	if ((__u16)(low >> FL_WORD_SHIFT(1)) != 0xffff)
		return FL_WORD_SHIFT(1);
	return (__u16)(low >> FL_WORD_SHIFT(2)) != 0xffff ? FL_WORD_SHIFT(2) : FL_WORD_SHIFT(3);
}

/*
 * Translates *addr between the prefixes `from` and `to`, both npt->len bits. *addr is untouched unless FL_NPT_OK.
 * adj: npt->adjust for internal to external, its complement the other way (3.2, 3.3).
 */
static inline __attribute__((always_inline)) enum fl_npt_result
fl_npt_map(const struct fl_npt *npt, union fl_addr *addr, __u64 from, __u64 to, __u16 adj)
{
	__u64 mask = fl_prefix_mask(npt->len), high = addr->q[0], low = addr->q[1];

	if (npt->mode == FL_NPT_UNKNOWN || ((high ^ from) & mask))
		return FL_NPT_NO_MAPPING;
	if (npt->mode == FL_NPT_RFC6296 && npt->len <= 48) {
		if ((__u16)(high >> FL_WORD_SHIFT(3)) == 0xffff)
			return FL_NPT_NO_MAPPING;
		high = fl_word_adjust(high, FL_WORD_SHIFT(3), adj);
	} else if (npt->mode == FL_NPT_RFC6296) {
		if (low == 0 || low == ~0ULL)
			return FL_NPT_BAD_IID;
		low = fl_word_adjust(low, fl_first_word(low), adj);
	}
	addr->q[0] = (high & ~mask) | (to & mask);
	addr->q[1] = low;
	return FL_NPT_OK;
}

static inline __attribute__((always_inline)) enum fl_npt_result fl_npt_to_external(const struct fl_npt *npt,
										   union fl_addr *addr)
{
	return fl_npt_map(npt, addr, npt->internal.q[0], npt->external.q[0], npt->adjust);
}

static inline __attribute__((always_inline)) enum fl_npt_result fl_npt_to_internal(const struct fl_npt *npt,
										   union fl_addr *addr)
{
	return fl_npt_map(npt, addr, npt->external.q[0], npt->internal.q[0], (__u16)~npt->adjust);
}
