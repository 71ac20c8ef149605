/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * ICMP errors of our own. tc can't build them: the packet may be GSO, and its checksum unfinished, and no helper ends either.
 * So tc writes what is wrong into the Ethernet header and sends the packet through a veth whose offloads are off. On its
 * other end the packet is whole; there an XDP program makes it the answer, which the pipeline forwards like any packet.
 */
#pragma once

#include "lib/packet.h"

#define ICMP_REQUEST_MARK 0x02 /* first byte of the destination MAC: unicast, locally administered */

/* In place of the Ethernet header, on the way to the program. */
struct icmp_request {
	__u8 mark;
	__u8 type, code; /* ICMPv6's or ICMP's, by the family of the packet; or FL_ICMP_RESET */
	__u8 l3;	 /* offset of the packet in error behind this header: past an outer header */
	__be16 port;	 /* that it came in by: whose address answers */
	__be16 gateway; /* that the answer goes by; 0: as routed. In the answer it stands in the last two bytes of the source MAC */
	__be32 value; /* MTU or pointer */
	__be16 proto;
} __attribute__((packed));
_Static_assert(sizeof(struct icmp_request) == ETH_HLEN, "takes the Ethernet header's place");

/* Says on pkt that the packet is dropped and answered, in ICMPv6's or ICMP's words. */
static __always_inline int icmp_time_exceeded(struct pkt *pkt)
{
	pkt->reason = FL_DROP_TTL;
	pkt->icmp_type = pkt->family == FL_INET6 ? 3 : 11;
	pkt->icmp_code = 0;
	pkt->icmp_value = 0;
	return STAGE_ERROR;
}

static __always_inline int icmp_too_big(struct pkt *pkt, __u32 mtu)
{
	pkt->reason = FL_DROP_TOO_BIG;
	pkt->icmp_type = pkt->family == FL_INET6 ? 2 : 3;
	pkt->icmp_code = pkt->family == FL_INET6 ? 0 : 4;
	pkt->icmp_value = mtu;
	return STAGE_ERROR;
}

/* Address unreachable, which in ICMP is called host unreachable. */
static __always_inline int icmp_unreachable(struct pkt *pkt, __u32 reason)
{
	pkt->reason = reason;
	pkt->icmp_type = pkt->family == FL_INET6 ? 1 : 3;
	pkt->icmp_code = pkt->family == FL_INET6 ? 3 : 1;
	pkt->icmp_value = 0;
	return STAGE_ERROR;
}
