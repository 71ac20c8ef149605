// SPDX-License-Identifier: GPL-2.0-only
#include "user/vip/announce.h"
#include "user/lib/inet_sum.h"

#include <arpa/inet.h>
#include <net/ethernet.h>
#include <netinet/icmp6.h>
#include <netinet/if_ether.h>
#include <netinet/ip6.h>
#include <string.h>

struct arp_announcement {
	struct ether_header eth;
	struct ether_arp arp;
} __attribute__((packed));

struct na_announcement {
	struct ether_header eth;
	struct ip6_hdr ip;
	struct nd_neighbor_advert na;
	struct nd_opt_hdr option; /* target link-layer address */
	uint8_t mac[ETH_ALEN];
} __attribute__((packed));

_Static_assert(sizeof(struct na_announcement) == ANNOUNCE_MAX, "the longer one");

static size_t build_arp(const struct addr *address, const uint8_t mac[6], uint8_t *frame)
{
	struct arp_announcement a = {
		.eth = { .ether_dhost = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff }, .ether_type = htons(ETHERTYPE_ARP) },
		.arp = { .ea_hdr = { .ar_hrd = htons(ARPHRD_ETHER),
				     .ar_pro = htons(ETHERTYPE_IP),
				     .ar_hln = ETH_ALEN,
				     .ar_pln = sizeof(address->v4),
				     .ar_op = htons(ARPOP_REQUEST) } },
	};

	memcpy(a.eth.ether_shost, mac, ETH_ALEN);
	memcpy(a.arp.arp_sha, mac, ETH_ALEN);
	memcpy(a.arp.arp_spa, &address->v4, sizeof(address->v4));
	memcpy(a.arp.arp_tpa, &address->v4, sizeof(address->v4));
	memcpy(frame, &a, sizeof(a));
	return sizeof(a);
}

/* RFC 8200 8.1; an even length */
static uint16_t checksum(const struct na_announcement *a)
{
	size_t len = ntohs(a->ip.ip6_plen);

	return inet_checksum(inet_sum(
		&a->na, len, inet_sum(&a->ip.ip6_src, 2 * sizeof(struct in6_addr), (uint32_t)len + IPPROTO_ICMPV6)));
}

static size_t build_na(const struct addr *address, const uint8_t mac[6], bool router, uint8_t *frame)
{
	static const uint8_t all_nodes[16] = { 0xff, 0x02, [15] = 1 }, all_nodes_mac[6] = { 0x33, 0x33, [5] = 1 };
	struct na_announcement a = {
		.eth = { .ether_type = htons(ETHERTYPE_IPV6) },
		.ip = { .ip6_ctlun.ip6_un1 = { .ip6_un1_flow = htonl(6u << 28),
					       .ip6_un1_plen = htons(sizeof(a) - offsetof(struct na_announcement, na)),
					       .ip6_un1_nxt = IPPROTO_ICMPV6,
					       .ip6_un1_hlim = 255 } },
		.option = { .nd_opt_type = ND_OPT_TARGET_LINKADDR, .nd_opt_len = 1 },
	};

	memcpy(a.eth.ether_dhost, all_nodes_mac, ETH_ALEN);
	memcpy(a.eth.ether_shost, mac, ETH_ALEN);
	memcpy(&a.ip.ip6_src, &address->v6, sizeof(a.ip.ip6_src));
	memcpy(&a.ip.ip6_dst, all_nodes, sizeof(a.ip.ip6_dst));
	a.na.nd_na_type = ND_NEIGHBOR_ADVERT;
	a.na.nd_na_flags_reserved = ND_NA_FLAG_OVERRIDE | (router ? ND_NA_FLAG_ROUTER : 0);
	memcpy(&a.na.nd_na_target, &address->v6, sizeof(a.na.nd_na_target));
	memcpy(a.mac, mac, ETH_ALEN);
	a.na.nd_na_cksum = checksum(&a);
	memcpy(frame, &a, sizeof(a));
	return sizeof(a);
}

size_t announce_build(const struct addr *address, const uint8_t mac[6], bool router, uint8_t frame[ANNOUNCE_MAX])
{
	return address->family == AF_INET6 ? build_na(address, mac, router, frame) : build_arp(address, mac, frame);
}
