// SPDX-License-Identifier: GPL-2.0-only
#include "ctx/skb.h"

#include "selftests/rules/judge.bpf.h"

char _license[] SEC("license") = "GPL";

SEC("tc")
int judge_tc(struct fl_ctx *ctx)
{
	return judge();
}
