/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Internet checksums (RFC 1071, RFC 1624). Sums are native-endian over words as loaded from network order; in 64 bits there is
 * room for the carries of 2^31 words of 32.
 */
#pragma once

#include <linux/types.h>

static __always_inline __u16 csum_fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* Adds 8 bytes, or another sum, to a sum. As two words: a carry brought back in would be a branch that no CPU can predict. */
static __always_inline __u64 csum_add(__u64 sum, __u64 value)
{
	return sum + (__u32)value + (value >> 32);
}

/* The pseudo-header's sum for an IPv6 packet (RFC 8200 8.1). */
static __always_inline __u64 csum_pseudo6(const __u64 *src, const __u64 *dst, __u32 len, __u8 proto)
{
	__u64 sum = csum_add(csum_add(0, src[0]), src[1]);

	sum = csum_add(csum_add(sum, dst[0]), dst[1]);
	return sum + bpf_htonl(len) + bpf_htonl(proto);
}

static __always_inline __u64 csum_pseudo4(__be32 src, __be32 dst, __u16 len, __u8 proto)
{
	return (__u64)src + dst + bpf_htons(len) + bpf_htons(proto);
}

/* RFC 1624 eqn. 3: the checksum after the sum of the covered words went from `before` to `after`. */
static __always_inline __u16 csum_replace(__u16 check, __u64 before, __u64 after)
{
	__u32 sum = (__u16)~check;

	sum += (__u16)~csum_fold(before);
	sum += csum_fold(after);
	return ~csum_fold(sum);
}
