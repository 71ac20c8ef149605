/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Virtual addresses as the kernel has them: it gets and sends what is theirs while this node has the lease, and says where they are with the
 * virtual MAC, as does whatever sends router advertisements. tc only.
 */
#pragma once

#include "lib/vip.h"

/* RFC 826, for IPv4 over Ethernet */
struct arp4 {
	__be16 hardware, protocol;
	__u8 hardware_len, protocol_len;
	__be16 operation;
	__u8 sender_mac[ETH_ALEN];
	__be32 sender;
	__u8 target_mac[ETH_ALEN];
	__be32 target;
} __attribute__((packed));

/* RFC 4861 4.4 with the one option that the kernel adds (4.6.1) */
struct neighbor_advert {
	__u8 type, code;
	__u16 check;
	__be32 flags;
	union fl_addr target;
	__u8 option, option_len;
	__u8 mac[ETH_ALEN];
};

#define ND_ROUTER 134
#define ND_ROUTER_LEN 16 /* and its options (RFC 4861 4.2) */
#define ND_ADVERT 136
#define ND_OPTION_SOURCE 1
#define ND_OPTION_TARGET 2
#define ND_OPTIONS_MAX 16 /* looked at */

/* ROUTER: a router advertisement from an address that is ours; its vhid is in the byte above */
enum vip_verdict { VIP_NONE, VIP_OURS, VIP_ANOTHERS, VIP_ROUTER };

/* *vhid: of OURS. A link-local address belongs to a device. */
static __always_inline enum vip_verdict vip_judge(const union fl_addr *addr, __u32 ifindex, __u8 *vhid)
{
	struct fl_vip_key key = { .addr = *addr };
	const struct fl_vip *vip;

	if (addr->b[0] == 0xfe && (addr->b[1] & 0xc0) == 0x80)
		key.ifindex = ifindex;
	vip = bpf_map_lookup_elem(&fl_vips, &key);
	if (!vip)
		return VIP_NONE;
	*vhid = vip->vhid;
	return lease_holds(vip->lease) ? VIP_OURS : VIP_ANOTHERS;
}

static __always_inline void vmac_put(__u8 *mac, __u8 vhid)
{
	mac[0] = mac[1] = mac[3] = 0;
	mac[2] = 0x5e;
	mac[4] = 1;
	mac[5] = vhid;
}

static __always_inline __u64 mac_sum(const __u8 *mac)
{
	const __u16 *words = (const __u16 *)mac;

	return (__u64)words[0] + words[1] + words[2];
}

/*
 * ARP at l3, whose sender may be a virtual address: also one of another segment, for the kernel asks with the source of the packet that waits for
 * the answer. That vhid's MAC nobody hears here.
 */
GLOBAL int vip_arp_leaves(struct fl_ctx *ctx, __u32 ifindex)
{
	struct arp4 *arp = pkt_at(ctx, ETH_HLEN, 0x1f, sizeof(*arp));
	struct ethhdr *eth = pkt_at(ctx, 0, 0, sizeof(*eth));
	union fl_addr sender;
	__u8 vhid = 0;

	if (!arp || !eth)
		return VIP_NONE;
	addr_set4(&sender, arp->sender);
	switch (vip_judge(&sender, 0, &vhid)) {
	case VIP_OURS:
		if (!vmac_find(ifindex, 0, vhid))
			return VIP_OURS;
		vmac_put(arp->sender_mac, vhid);
		vmac_put(eth->h_source, vhid);
		return VIP_OURS;
	case VIP_ANOTHERS:
		return VIP_ANOTHERS;
	default:
		return VIP_NONE;
	}
}

/* A Neighbor Advertisement of the kernel's about a virtual address; else the packet's source. */
GLOBAL int vip_ip6_leaves(struct fl_ctx *ctx, __u32 l3, __u32 ifindex)
{
	struct ipv6hdr *ip = pkt_at(ctx, l3, 0x1f, sizeof(*ip));
	struct neighbor_advert *na = pkt_at(ctx, l3 + sizeof(*ip), 0x7f, sizeof(*na));
	struct ethhdr *eth = pkt_at(ctx, 0, 0, sizeof(*eth));
	union fl_addr addr;
	__u8 vhid = 0, r;
	__u64 before;

	if (!ip || !eth)
		return VIP_NONE;
	if (!na || ip->nexthdr != IPPROTO_ICMPV6 || na->type != ND_ADVERT) {
		__builtin_memcpy(&addr, &ip->saddr, sizeof(addr));
		r = vip_judge(&addr, ifindex, &vhid);
		if (r != VIP_OURS || !na || ip->nexthdr != IPPROTO_ICMPV6 || na->type != ND_ROUTER)
			return r;
		vmac_put(eth->h_source, vhid);
		return VIP_ROUTER | vhid << 8;
	}
	__builtin_memcpy(&addr, &na->target, sizeof(addr));
	r = vip_judge(&addr, ifindex, &vhid);
	if (r != VIP_OURS || na->option != ND_OPTION_TARGET || na->option_len != 1)
		return r;
	before = mac_sum(na->mac);
	vmac_put(na->mac, vhid);
	na->check = csum_replace(na->check, before, mac_sum(na->mac));
	vmac_put(eth->h_source, vhid);
	return r;
}

/* Hosts learn the virtual MAC from it, and none of them has to ask. */
GLOBAL int vip_router_leaves(struct fl_ctx *ctx, __u32 l3, __u8 vhid)
{
	__u32 l4 = l3 + sizeof(struct ipv6hdr), off = ND_ROUTER_LEN;
	struct neighbor_advert *ra;
	__u64 before, after;

	for (int i = 0; i < ND_OPTIONS_MAX; i++) {
		__u8 *option = pkt_at(ctx, l4 + off, L4_MAX, 2 + ETH_ALEN);

		if (!option || !option[1])
			return 0;
		if (option[0] != ND_OPTION_SOURCE) {
			off = (off + option[1] * 8) & L4_MAX; /* the verifier wants a limit */
			continue;
		}
		before = mac_sum(&option[2]);
		vmac_put(&option[2], vhid);
		after = mac_sum(&option[2]);
		ra = pkt_at(ctx, l4, L4_MAX, 4);
		if (ra)
			ra->check = csum_replace(ra->check, before, after);
		return 1;
	}
	return 0;
}

GLOBAL int vip_ip4_uses(struct fl_ctx *ctx, __u32 l3, bool source)
{
	struct iphdr *ip = pkt_at(ctx, l3, 0x1f, sizeof(*ip));
	union fl_addr addr;
	__u8 vhid = 0;

	if (!ip)
		return VIP_NONE;
	addr_set4(&addr, source ? ip->saddr : ip->daddr);
	return vip_judge(&addr, 0, &vhid);
}

GLOBAL int vip_ip6_comes(struct fl_ctx *ctx, __u32 l3, __u32 ifindex)
{
	struct ipv6hdr *ip = pkt_at(ctx, l3, L3_MAX, sizeof(*ip));
	union fl_addr addr;
	__u8 vhid = 0;

	if (!ip)
		return VIP_NONE;
	__builtin_memcpy(&addr, &ip->daddr, sizeof(addr));
	return vip_judge(&addr, ifindex, &vhid);
}

/* The frame is to a virtual MAC of the device whose lease this node has: the kernel takes it for another host's. */
GLOBAL bool vmac_comes(struct fl_ctx *ctx, __u32 ifindex)
{
	const struct ethhdr *eth = pkt_at(ctx, 0, 0, sizeof(*eth));
	__u8 vhid;

	return eth && is_vmac(eth->h_dest, &vhid) && vmac_find(ifindex, 0, vhid);
}

/* What the router itself sends by a port. False: it bears a virtual address that another node has. */
static __always_inline bool vip_may_leave(struct fl_ctx *ctx, const struct fl_port *port, __u32 l3)
{
	int r;

	if (ctx->protocol == bpf_htons(ETH_P_ARP))
		return l3 != ETH_HLEN || vip_arp_leaves(ctx, port->ifindex) != VIP_ANOTHERS;
	if (ctx->protocol == bpf_htons(ETH_P_IPV6)) {
		r = vip_ip6_leaves(ctx, l3, port->ifindex);
		if ((r & 0xff) == VIP_ROUTER)
			vip_router_leaves(ctx, l3, r >> 8);
		return r != VIP_ANOTHERS;
	}
	return ctx->protocol != bpf_htons(ETH_P_IP) || vip_ip4_uses(ctx, l3, true) != VIP_ANOTHERS;
}

/* What goes up to the kernel; pkt->family is 0 where it has not been parsed, since the port leaves it to the kernel. */
static __always_inline bool vip_may_come(struct fl_ctx *ctx, const struct pkt *pkt, const struct fl_port *port)
{
	if (pkt->family == FL_INET6 || (!pkt->family && ctx->protocol == bpf_htons(ETH_P_IPV6)))
		return vip_ip6_comes(ctx, pkt->l3, port->ifindex) != VIP_ANOTHERS;
	if (pkt->family == FL_INET || ctx->protocol == bpf_htons(ETH_P_IP))
		return vip_ip4_uses(ctx, pkt->l3, false) != VIP_ANOTHERS;
	return true;
}
