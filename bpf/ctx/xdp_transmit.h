/* SPDX-License-Identifier: GPL-2.0-only */
/* XDP's way out: one move of the frame's start, headers written anew, redirect. */
#pragma once

#include "lib/pipeline.h"

#define ETH_VLAN_HLEN (ETH_HLEN + 4)

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, 2 * FL_PORTS_MAX);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, __u32);
} fl_tx SEC(".maps"); /* Daemon writes */

const volatile bool fl_joined; /* behind another owner's dispatcher: native, although by the generic program */

/* Whether XDP can finish the flow's frame. Generic XDP sends by any Ethernet device. */
static __always_inline bool can_transmit(struct fl_ctx *ctx, const struct pkt *pkt, bool generic,
					 const struct fl_flow *flow, const struct hop *hop)
{
	if (!hop->resolved || !(flow->xmit & (generic && !fl_joined ? FL_FLOW_ETHERNET : FL_FLOW_XDP_XMIT)))
		return false;
	/* not every driver sends a frame in several buffers; only one with padding longer than Ethernet's can be such */
	if (ctx_room(ctx) > pkt->l3 + pkt->len + ETH_ZLEN && ctx_len(ctx) > ctx_room(ctx))
		return false;
	return !checksum_is_unfinished(ctx, pkt);
}

/* Of a MAC address in the first bytes of 8: its first two bytes in the last two; its others as the four bytes they are. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define MAC_BEHIND(mac) ((mac) << 48)
#define MAC_REST(mac) ((mac) >> 16)
#else
#define MAC_BEHIND(mac) ((mac) >> 48)
#define MAC_REST(mac) ((mac) >> 16)
#endif

/* Writes the link-layer header of the frame at its start. */
static __always_inline bool ethernet_write(struct fl_ctx *ctx, const struct hop *hop, __u16 vid, __be16 proto)
{
	struct {
		struct ethhdr eth;
		__be16 tci, proto;
	} *out = ctx_data(ctx);
	struct ethhdr *eth = ctx_data(ctx);

	if (vid) {
		if ((void *)(out + 1) > ctx_end(ctx))
			return false;
		out->tci = bpf_htons(vid);
		out->proto = proto;
		proto = bpf_htons(ETH_P_8021Q);
	}
	if ((void *)(eth + 1) > ctx_end(ctx))
		return false;
	/* in words: by its declaration the header may lie anywhere, and would be written byte by byte */
	*(__u64 *)eth = hop->dmac | MAC_BEHIND(hop->smac);
	*(__u32 *)((void *)eth + 8) = MAC_REST(hop->smac);
	*(__be16 *)((void *)eth + offsetof(struct ethhdr, h_proto)) = proto;
	return true;
}

/*
 * Sends the packet on; `headers`: nothing behind them needs a change. Returns the hook's code: XDP_PASS, with nothing changed,
 * if it can't.
 */
static __always_inline int transmit(struct fl_ctx *ctx, struct pkt *pkt, bool generic, bool headers,
				    struct fl_flow *flow, const struct hop *hop)
{
	const struct fl_endpoint *ep;
	const struct fl_port *out;
	__u32 l2, l3, l4;
	__u16 vid;
	int r = 0;

	if (!can_transmit(ctx, pkt, generic, flow, hop))
		return XDP_PASS;
	vid = flow->xmit & FL_FLOW_VID;
	l2 = vid ? ETH_VLAN_HLEN : ETH_HLEN;
	l3 = l2 + (flow->endpoint ? sizeof(struct iphdr) : 0);
	l4 = pkt->l4 ? pkt->l4 - pkt->l3 + l3 : 0;
	if (pkt->l3 != l3 && bpf_xdp_adjust_head(ctx, (int)pkt->l3 - (int)l3))
		return XDP_PASS; /* too little headroom */
	pkt->l3 = l3;		 /* it has moved */
	pkt->l4 = l4;
	if (!headers)
		r = commit(ctx, pkt);
	else if (pkt->judged)
		policy_commit_known(scratch_at(), pkt->len);
	if (r)
		return refuse(ctx, pkt, -r);
	if (ctx_room(ctx) > l3 + pkt->len) /* padding stays behind */
		bpf_xdp_adjust_tail(ctx, (int)(l3 + pkt->len) - (int)ctx_room(ctx));
	if (!ethernet_write(ctx, hop, vid,
			    flow->endpoint || pkt->family == FL_INET ? bpf_htons(ETH_P_IP) : bpf_htons(ETH_P_IPV6)))
		return drop(ctx, pkt, FL_DROP_INTERNAL);
	rewrite(ctx, pkt, l3, l4, 1, flow);
	if (!headers)
		rewrite_payload(ctx, pkt, l4, flow, hop);
	if (flow->endpoint) {
		struct iphdr *ip = pkt_at(ctx, l2, 0x1f, sizeof(*ip));

		ep = endpoint_get(flow->endpoint);
		if (!ip || !ep)
			return drop(ctx, pkt, FL_DROP_INTERNAL);
		outer_write(ip, ep, outer_source(ep, pkt->set, hop->port), pkt->len, pkt->tos, flow->mtu);
	}
	count_forwarded(pkt, flow, hop);
	/* a devmap serves programs that take fragments or those that do not, never both; generic XDP gains nothing by it */
	if (!generic)
		return bpf_redirect_map(&fl_tx, FL_PORT_INDEX(pkt->set, hop->port), XDP_DROP);
	out = port_get(pkt->set, hop->port);
	return out ? bpf_redirect(out->xmit_ifindex, 0) : XDP_DROP;
}
