/* SPDX-License-Identifier: GPL-2.0-only */
/* The pipeline's view of a packet at tc. Include this or ctx/xdp.h first: that choice is the hook. */
#pragma once

#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <stdbool.h>

#include "ctx/load.h"

#define CTX_IS_SKB 1
#define CTX_PASS TC_ACT_UNSPEC /* so that another's filter behind ours sees it too */
#define CTX_DROP TC_ACT_SHOT

#define fl_ctx __sk_buff

static __always_inline void *ctx_data(struct fl_ctx *ctx)
{
	return ctx_load(struct __sk_buff, ctx, data);
}

static __always_inline void *ctx_end(struct fl_ctx *ctx)
{
	return ctx_load(struct __sk_buff, ctx, data_end);
}

static __always_inline __u32 ctx_ifindex(struct fl_ctx *ctx)
{
	return ctx->ifindex;
}

static __always_inline __u32 ctx_len(struct fl_ctx *ctx)
{
	return ctx->len;
}

static __always_inline __u32 ctx_room(struct fl_ctx *ctx)
{
	return ctx->len;
}

/* Makes the first `len` bytes (or all there are) readable and writable in place. Invalidates packet pointers. */
static __always_inline void ctx_pull(struct fl_ctx *ctx, __u32 len)
{
	__u32 all = ctx->len;

	if (ctx_data(ctx) + len > ctx_end(ctx) && ctx_data(ctx) + all > ctx_end(ctx))
		bpf_skb_pull_data(ctx, len < all ? len : all);
}

/*
 * Tells of bytes that a program wrote: their sum, folded, was and is. A device may have summed the packet up
 * (CHECKSUM_COMPLETE), and the kernel would find the sum wrong ("hw csum failure").
 */
static __always_inline void ctx_sum_changed(struct fl_ctx *ctx, __u16 was, __u16 is)
{
	bpf_csum_update(ctx, (__u32)is + (__u16)~was);
}

static __always_inline __u32 ctx_gso_size(struct fl_ctx *ctx)
{
	return ctx->gso_size;
}

/* Copies `len` bytes at `off`, wherever they lie. 0, or negative. */
static __always_inline int ctx_load_bytes(struct fl_ctx *ctx, __u32 off, void *to, __u32 len)
{
	return bpf_skb_load_bytes(ctx, off, to, len);
}
