/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A policy that logs everything, for tests: what it says of a packet hangs on the destination port. Include it behind the hook's ctx
 * header.
 */
#pragma once

#include "lib/event.h"

/* The port's lowest bits: enum fl_event_verdict, then the direction; its upper byte is the rule's id. */
#define LOGGER_OUT 4
#define LOGGER_RULE(port) ((port) >> 8)

static __always_inline void logger_judge(struct fl_event *what, __u32 port)
{
	what->verdict = port & 3;
	what->reason = what->verdict == FL_EVENT_BLOCK	  ? FL_DROP_RULE
		       : what->verdict == FL_EVENT_REJECT ? FL_DROP_REJECTED
		       : what->verdict == FL_EVENT_DROP	  ? FL_DROP_STATE_WINDOW
							  : FL_DROP_NONE;
	what->flags = port & LOGGER_OUT ? FL_EVENT_OUT : 0;
	what->rule = LOGGER_RULE(port);
}

static __always_inline void logger_addresses(struct fl_ctx *ctx, const struct pkt *pkt, struct fl_event *what)
{
	const __u32 *ip = pkt_at(ctx, pkt->l3, L3_MAX, 40);

	if (ip && pkt->family == FL_INET6) {
		__builtin_memcpy(&what->src, ip + 2, 16);
		__builtin_memcpy(&what->dst, ip + 6, 16);
		return;
	}
	ip = pkt_at(ctx, pkt->l3, L3_MAX, 20);
	if (!ip)
		return;
	what->src.w[2] = what->dst.w[2] = bpf_htonl(0xffff);
	what->src.w[3] = ip[3];
	what->dst.w[3] = ip[4];
}

/* The packet at l3 of a frame that came in by the port. */
static __always_inline void logger_log(struct fl_ctx *ctx, __u32 l3, __be16 proto, __u32 port)
{
	struct fl_event *what = event_begin();
	struct pkt pkt = { .l3 = l3 };
	const __be16 *ports;
	int r;

	if (proto == bpf_htons(ETH_P_IPV6))
		r = ipv6_parse(ctx, &pkt, ctx_len(ctx) - l3);
	else if (proto == bpf_htons(ETH_P_IP))
		r = ipv4_parse(ctx, &pkt, ctx_len(ctx) - l3, true);
	else
		return;
	if (r || !what)
		return;
	what->port = port;
	ports = pkt.l4 && has_ports(pkt.proto) ? pkt_at(ctx, pkt.l4, L4_MAX, 4) : NULL;
	if (ports) {
		what->sport = ports[0];
		what->dport = ports[1];
	}
	logger_judge(what, bpf_ntohs(what->dport));
	logger_addresses(ctx, &pkt, what);
	event_log(ctx, &pkt);
}
