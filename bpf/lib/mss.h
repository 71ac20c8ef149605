/* SPDX-License-Identifier: GPL-2.0-only */
/* Holds the MSS that TCP SYNs announce to what fits the tunnel (RFC 9293 3.7.1 names the option). */
#pragma once

#include "lib/packet.h"

#define TCP_OPTIONS_MAX 20 /* looked at; a SYN has about five */
#define TCPOPT_NOP 1
#define TCPOPT_MSS 2

/* Lowers the MSS option of the SYN whose TCP header is at l4 to mss. What is no SYN, or asks for less, stays as it is. */
GLOBAL int mss_clamp(struct fl_ctx *ctx, __u32 l4, __u32 mss)
{
	struct tcphdr *tcp = pkt_at(ctx, l4, L4_MAX, sizeof(*tcp));
	__u32 off = sizeof(*tcp), end;

	if (!tcp || !tcp->syn)
		return 0;
	end = tcp->doff * 4;
	for (int i = 0; i < TCP_OPTIONS_MAX && off + 4 <= end; i++) {
		__u8 *opt = pkt_at(ctx, l4 + off, L4_MAX, 4);
		__u16 was, is = bpf_htons(mss);

		if (!opt || opt[0] == 0)
			return 0;
		if (opt[0] == TCPOPT_NOP) {
			off++;
			continue;
		}
		if (opt[1] < 2)
			return 0;
		if (opt[0] != TCPOPT_MSS || opt[1] != 4) {
			off += opt[1];
			continue;
		}
		__builtin_memcpy(&was, &opt[2], sizeof(was));
		if (bpf_ntohs(was) <= mss)
			return 0;
		__builtin_memcpy(&opt[2], &is, sizeof(is));
		if (off & 1) { /* the option lies across two words of the sum */
			was = __builtin_bswap16(was);
			is = __builtin_bswap16(is);
		}
#ifdef CTX_IS_SKB
		/* leaves an unfinished checksum alone */
		bpf_l4_csum_replace(ctx, (l4 & L4_MAX) + offsetof(struct tcphdr, check), was, is, sizeof(is));
#else
		__u16 *check = pkt_at(ctx, l4 + offsetof(struct tcphdr, check), L4_MAX, sizeof(*check));

		if (check)
			*check = csum_replace(*check, was, is);
#endif
		return 0;
	}
	return 0;
}
