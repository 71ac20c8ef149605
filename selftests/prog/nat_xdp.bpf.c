// SPDX-License-Identifier: GPL-2.0-only
/* Translation at XDP, by itself. */
#include "ctx/xdp.h"

#include "selftests/prog/nat_body.h"

SEC("xdp.frags")
int nat_xdp(struct fl_ctx *ctx)
{
	io.stage = body(ctx);
	return XDP_PASS;
}
