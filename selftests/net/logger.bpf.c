// SPDX-License-Identifier: GPL-2.0-only
/* A tc program before fairlead's that has every packet logged. */
#include "ctx/skb.h"

#include "selftests/logger.h"

char _license[] SEC("license") = "GPL";

SEC("tc")
int logger(struct fl_ctx *ctx)
{
	const struct fl_control *control = control_get();
	__u32 set = control ? FL_GEN_SET(control_gen(control)) : 0;

	ctx_pull(ctx, 256);
	logger_log(ctx, ETH_HLEN, ctx->protocol, port_number(set, ctx_ifindex(ctx), 0));
	return CTX_PASS;
}
