/* SPDX-License-Identifier: GPL-2.0-only */
/* Frames to virtual MACs, at the door. Here, before anything is known of the frame, the verifier goes on once for both kinds. */
#pragma once

#include "lib/vip.h"

/* To a virtual MAC: of one whose lease this node has it makes the device's own. Others stay, and are nobody's. */
GLOBAL int vmac_take(struct fl_ctx *ctx)
{
	const struct fl_vmac *vmac;
	struct ethhdr *eth;
	__be16 proto;
	__u16 vid;
	__u8 vhid;

	if (!ctx || ethernet_parse(ctx, &vid, &proto) < 0)
		return 0;
	eth = pkt_at(ctx, 0, 0, sizeof(*eth));
	if (!eth || !is_vmac(eth->h_dest, &vhid))
		return 0;
	vmac = vmac_find(ctx_ifindex(ctx), vid, vhid);
	if (vmac)
		__builtin_memcpy(eth->h_dest, vmac->mac, ETH_ALEN);
	return 0;
}

static __always_inline void virtual_mac(struct fl_ctx *ctx)
{
	const struct ethhdr *eth = pkt_at(ctx, 0, 0, sizeof(*eth));
	__u8 vhid;

	if (eth && is_vmac(eth->h_dest, &vhid))
		vmac_take(ctx);
}
