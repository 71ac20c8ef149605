// SPDX-License-Identifier: GPL-2.0-only
/* Frames that come in by a device though it has not received them now: as frames that an XDP program has passed (Linux 5.18). */

#include <errno.h>

#include "user/datapath/private.h"

int inject_open(void)
{
	const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_PASS },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	return bpf_prog_load(BPF_PROG_TYPE_XDP, "fl_pass", "GPL", insns, 2, NULL);
}

int inject_frame(int pass, uint32_t ifindex, const void *frame, size_t len)
{
	struct xdp_md ctx = { .data_end = len, .ingress_ifindex = ifindex };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = len, .ctx_in = &ctx,
		    .ctx_size_in = sizeof(ctx), .repeat = 1, .batch_size = 1, .flags = BPF_F_TEST_XDP_LIVE_FRAMES);

	return pass < 0 ? -EMSGSIZE : bpf_prog_test_run_opts(pass, &opts);
}
