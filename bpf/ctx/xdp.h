/* SPDX-License-Identifier: GPL-2.0-only */
/* The pipeline's view of a packet at XDP. Include this or ctx/skb.h first: that choice is the hook. */
#pragma once

#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <stdbool.h>

#include "ctx/load.h"

#define CTX_IS_XDP 1
#define CTX_PASS XDP_PASS
#define CTX_DROP XDP_DROP

#define fl_ctx xdp_md

static __always_inline void *ctx_data(struct fl_ctx *ctx)
{
	return ctx_load(struct xdp_md, ctx, data);
}

static __always_inline void *ctx_end(struct fl_ctx *ctx)
{
	return ctx_load(struct xdp_md, ctx, data_end);
}

static __always_inline __u32 ctx_ifindex(struct fl_ctx *ctx)
{
	return ctx->ingress_ifindex;
}

/* Bytes of the frame, fragments included. */
static __always_inline __u32 ctx_len(struct fl_ctx *ctx)
{
	return bpf_xdp_get_buff_len(ctx);
}

/* Bytes that a packet may have here: of the frame's first buffer. Asking for all of them costs a call. */
static __always_inline __u32 ctx_room(struct fl_ctx *ctx)
{
	return ctx_end(ctx) - ctx_data(ctx);
}

/* XDP can't make more of a frame linear than the driver did. */
static __always_inline void ctx_pull(struct fl_ctx *ctx, __u32 len)
{
}

/* Nobody sums up what XDP sees. */
static __always_inline void ctx_sum_changed(struct fl_ctx *ctx, __u16 was, __u16 is)
{
}

/* Of a GSO packet the payload of one segment, else 0. XDP sees no GSO packets, only bigger frames. */
static __always_inline __u32 ctx_gso_size(struct fl_ctx *ctx)
{
	return 0;
}

/* Copies `len` bytes at `off`, in whatever buffers they lie. 0, or negative. */
static __always_inline int ctx_load_bytes(struct fl_ctx *ctx, __u32 off, void *to, __u32 len)
{
	return bpf_xdp_load_bytes(ctx, off, to, len);
}
