/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Who may pass, and as whom: the state of a known connection says it, or for a new one the rules and translations. Decides only; what it
 * has decided lies in scratch, and lib/policy_commit.h carries it out once nothing can pass the packet down any more.
 */
#pragma once

#include "lib/policy_known.h"
#include "lib/policy_new.h"

/*
 * Judges a packet that came in by s->pkt.port. Returns STAGE_GO: it goes by s->way and s->hop; STAGE_DELIVER: to the host, or to what
 * the kernel answers; STAGE_ERROR or -FL_DROP_*.
 */
static __always_inline int policy_forward(struct fl_ctx *ctx, struct scratch *s)
{
	int r = policy_connection(ctx, s);

#ifdef CTX_IS_XDP
	/* the first fragment may be on its way to tc: several frames pass here at once */
	if (r == -FL_DROP_FRAGMENT && !s->pkt.l4)
		return STAGE_PASS;
#endif
	/* one behind the other: calls may be eight deep */
	if (r == STAGE_GO)
		r = policy_known(ctx, s);
	else if (r == STAGE_NEW)
		r = policy_arrive(ctx, s);
	for (int again = 0; again < 2 && r == STAGE_ROUTE; again++) {
		r = way_route(ctx, s);
#ifdef CTX_IS_SKB
		/* nowhere else: no router is between two hosts of a link */
		if ((r == STAGE_DELIVER || (r == STAGE_GO && flow_out_port(&s->way, &s->hop) == s->pkt.l2_port)) &&
		    is_offer(s))
			return offer_deliver(s);
#endif
		if (r == STAGE_GO && s->doing == DOING_NOTHING)
			r = policy_leave(s, again);
	}
	return r;
}
