/* SPDX-License-Identifier: GPL-2.0-only */
/* The options of a TCP header (RFC 9293 3.1). */
#pragma once

#include "lib/packet.h"

#define TCP_OPTIONS_MAX 20 /* looked at; a SYN has about five */
#define TCP_OPTIONS_LEN 40 /* bytes */
#define TCPOPT_EOL 0
#define TCPOPT_NOP 1
#define TCPOPT_MSS 2
#define TCPOPT_WINDOW 3

/*
 * Offset in the TCP header at l4, `end` bytes long, of its option `kind`, which has `len` bytes; 0: it has none, or a malformed list.
 */
GLOBAL __u32 tcp_option_find(struct fl_ctx *ctx, __u32 l4, __u32 end, __u32 kind, __u32 len)
{
	__u32 off = sizeof(struct tcphdr), next;

	for (int i = 0; i < TCP_OPTIONS_MAX; i++) {
		__u8 *opt = pkt_at(ctx, l4 + off, L4_MAX, 2);

		if (!opt || off + 2 > end || opt[0] == TCPOPT_EOL)
			return 0;
		if (opt[0] == kind)
			return opt[1] == len && off + len <= end ? off : 0;
		next = (off + (opt[0] == TCPOPT_NOP ? 1 : opt[1])) & 0x3f; /* the verifier wants a limit */
		if (next <= off || (opt[0] != TCPOPT_NOP && (opt[1] < 2 || opt[1] > TCP_OPTIONS_LEN)))
			return 0;
		off = next;
	}
	return 0;
}
