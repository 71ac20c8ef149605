// SPDX-License-Identifier: GPL-2.0-only
/* A rule that rejects everything, as tc does: from the packet to the request that fl_icmp gets. */
#include "ctx/skb.h"

#include "ctx/skb_transmit.h"
#include "lib/reject.h"
#include "selftests/prog/reject.h"

char _license[] SEC("license") = "GPL";

SEC("tc")
int reject_all(struct fl_ctx *ctx)
{
	const struct fl_control *control = control_get();
	struct scratch *s = scratch_get();
	__u32 outer = ctx->cb[REJECT_OUTER];
	__u8 *ip;
	int r;

	if (!control || !s || outer > 60)
		return CTX_PASS;
	s->pkt.port = s->pkt.l2_port = ctx->cb[REJECT_PORT];
	s->pkt.outer = ETH_HLEN;
	s->pkt.l3 = ETH_HLEN + outer;
	ctx_pull(ctx, 256);
	ip = pkt_at(ctx, s->pkt.l3, L3_MAX, 1);
	if (ip && *ip >> 4 == 6)
		r = ipv6_parse(ctx, &s->pkt, ctx_room(ctx) - s->pkt.l3);
	else
		r = ipv4_parse(ctx, &s->pkt, ctx_room(ctx) - s->pkt.l3, true);
	return r || reject(&s->pkt, ctx->cb[REJECT_HOW]) != STAGE_ERROR ? CTX_PASS : answer(ctx, s, control);
}
