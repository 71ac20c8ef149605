// SPDX-License-Identifier: GPL-2.0-only
/* Builds the packet that `explain` asks about. */

#include <arpa/inet.h>
#include <errno.h>
#include <net/ethernet.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <string.h>

#include "user/datapath/packet.h"
#include "user/lib/inet_sum.h"

#define HOPS 64
#define HOPS_DISCOVERY 255 /* neighbour discovery, RFC 4861: with less it is nothing of this link */
#define OTHER_LEN 8	   /* payload of a protocol without ports */

/* RFC 8200 8.1, RFC 9293 3.1: the pseudo-header's part. */
static uint32_t pseudo(const struct explain_query *query, size_t len)
{
	size_t size = query->src.family == AF_INET6 ? 16 : 4;

	return inet_sum(&query->src.v6, size, inet_sum(&query->dst.v6, size, (uint32_t)len + query->proto));
}

static size_t put_tcp(const struct explain_query *query, uint8_t *at)
{
	struct tcphdr tcp = {
		.source = htons(query->sport),
		.dest = htons(query->dport),
		.seq = htonl(1),
		.doff = sizeof(tcp) / 4,
		.window = htons(65535),
	};

	tcp.th_flags = query->tcp_flags;
	tcp.check = inet_checksum(inet_sum(&tcp, sizeof(tcp), pseudo(query, sizeof(tcp))));
	memcpy(at, &tcp, sizeof(tcp));
	return sizeof(tcp);
}

static size_t put_udp(const struct explain_query *query, uint8_t *at)
{
	struct udphdr udp = {
		.source = htons(query->sport),
		.dest = htons(query->dport),
		.len = htons(sizeof(udp)),
	};

	udp.check = inet_checksum(inet_sum(&udp, sizeof(udp), pseudo(query, sizeof(udp))));
	if (!udp.check)
		udp.check = 0xffff;
	memcpy(at, &udp, sizeof(udp));
	return sizeof(udp);
}

static size_t put_icmp(const struct explain_query *query, uint8_t *at)
{
	struct icmp6_hdr icmp = { .icmp6_type = query->icmp_type };
	uint32_t sum = query->proto == IPPROTO_ICMPV6 ? pseudo(query, sizeof(icmp)) : 0;

	icmp.icmp6_cksum =
		inet_checksum(inet_sum(&icmp, sizeof(icmp), sum)); /* ICMPv4 has the same three fields first */
	memcpy(at, &icmp, sizeof(icmp));
	return sizeof(icmp);
}

static size_t put_transport(const struct explain_query *query, uint8_t *at)
{
	switch (query->proto) {
	case IPPROTO_TCP:
		return put_tcp(query, at);
	case IPPROTO_UDP:
		return put_udp(query, at);
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return put_icmp(query, at);
	default:
		return OTHER_LEN;
	}
}

static bool is_discovery(const struct explain_query *query)
{
	return query->proto == IPPROTO_ICMPV6 && query->icmp_type >= ND_ROUTER_SOLICIT &&
	       query->icmp_type <= ND_REDIRECT;
}

static size_t put_ip6(const struct explain_query *query, uint8_t *at)
{
	struct ip6_hdr ip = { .ip6_src = query->src.v6, .ip6_dst = query->dst.v6 };
	size_t len = put_transport(query, at + sizeof(ip));

	ip.ip6_vfc = 6 << 4;
	ip.ip6_nxt = query->proto;
	ip.ip6_hlim = is_discovery(query) ? HOPS_DISCOVERY : HOPS;
	ip.ip6_plen = htons(len);
	memcpy(at, &ip, sizeof(ip));
	return sizeof(ip) + len;
}

static size_t put_ip4(const struct explain_query *query, uint8_t *at)
{
	struct iphdr ip = {
		.version = 4,
		.ihl = sizeof(ip) / 4,
		.frag_off = htons(IP_DF),
		.ttl = HOPS,
		.protocol = query->proto,
		.saddr = query->src.v4.s_addr,
		.daddr = query->dst.v4.s_addr,
	};
	size_t len = put_transport(query, at + sizeof(ip));

	ip.tot_len = htons(sizeof(ip) + len);
	ip.check = inet_checksum(inet_sum(&ip, sizeof(ip), 0));
	memcpy(at, &ip, sizeof(ip));
	return sizeof(ip) + len;
}

int explain_packet(const struct explain_query *query, const uint8_t dmac[6], const uint8_t smac[6],
		   uint8_t buf[EXPLAIN_PACKET_MAX])
{
	bool v6 = query->src.family == AF_INET6;
	struct ether_header eth = { .ether_type = htons(v6 ? ETHERTYPE_IPV6 : ETHERTYPE_IP) };

	if (query->src.family != query->dst.family || query->src.family == AF_UNSPEC)
		return -EAFNOSUPPORT;
	memset(buf, 0, EXPLAIN_PACKET_MAX);
	memcpy(eth.ether_dhost, dmac, 6);
	memcpy(eth.ether_shost, smac, 6);
	memcpy(buf, &eth, sizeof(eth));
	return sizeof(eth) + (v6 ? put_ip6(query, buf + sizeof(eth)) : put_ip4(query, buf + sizeof(eth)));
}

int explain_encapsulate(uint8_t buf[EXPLAIN_PACKET_MAX], int len, uint32_t remote, uint32_t local)
{
	struct ether_header eth;
	struct iphdr ip = {
		.version = 4,
		.ihl = sizeof(ip) / 4,
		.tot_len = htons(sizeof(ip) + len - sizeof(eth)),
		.ttl = HOPS,
		.protocol = IPPROTO_IPV6,
		.saddr = remote,
		.daddr = local,
	};

	ip.check = inet_checksum(inet_sum(&ip, sizeof(ip), 0));
	memcpy(&eth, buf, sizeof(eth));
	eth.ether_type = htons(ETHERTYPE_IP);
	memmove(buf + sizeof(eth) + sizeof(ip), buf + sizeof(eth), len - sizeof(eth));
	memcpy(buf, &eth, sizeof(eth));
	memcpy(buf + sizeof(eth), &ip, sizeof(ip));
	return len + sizeof(ip);
}
