// SPDX-License-Identifier: GPL-2.0-only
/* Translation at tc, by itself. */
#include "ctx/skb.h"

#include "selftests/prog/nat_body.h"

SEC("tc")
int nat_tc(struct fl_ctx *ctx)
{
	ctx_pull(ctx, 256); /* as tc.bpf.c */
	io.stage = body(ctx);
	return io.redirect ? bpf_redirect(io.redirect, 0) : TC_ACT_OK;
}
