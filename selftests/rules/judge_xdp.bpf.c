// SPDX-License-Identifier: GPL-2.0-only
#include "ctx/xdp.h"

#include "selftests/rules/judge.bpf.h"

char _license[] SEC("license") = "GPL";

SEC("xdp.frags")
int judge_xdp(struct fl_ctx *ctx)
{
	return judge();
}
