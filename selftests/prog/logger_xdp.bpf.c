// SPDX-License-Identifier: GPL-2.0-only
/* Has every packet logged by XDP. */
#include "ctx/xdp.h"

#include "selftests/logger.h"

char _license[] SEC("license") = "GPL";

SEC("xdp.frags")
int logger_xdp(struct fl_ctx *ctx)
{
	const struct fl_control *control = control_get();
	__u32 set = control ? FL_GEN_SET(control_gen(control)) : 0;
	__be16 proto;
	__u16 vid;
	int l3 = ethernet_parse(ctx, &vid, &proto);

	if (l3 > 0)
		logger_log(ctx, l3, proto, port_number(set, ctx_ifindex(ctx), vid));
	return XDP_PASS;
}
