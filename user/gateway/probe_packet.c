// SPDX-License-Identifier: GPL-2.0-only
#include <arpa/nameser.h>
#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <resolv.h>
#include <string.h>

#include "user/gateway/probe_packet.h"
#include "user/lib/inet_sum.h"

#define TTL 64
#define WINDOW 1024
#define DNS_QUESTION sizeof(HEADER) /* where it begins */
#define RCODE_NXDOMAIN 3	    /* an answer: the server works */

struct echo {
	uint8_t type, code;
	uint16_t checksum, id, sequence;
	uint64_t cookie;
} __attribute__((packed, aligned(4)));
_Static_assert(sizeof(struct echo) == 16, "layout");

/* To a link-local address, which routers advertise themselves by, from one of its kind */
enum probe_source probe_source_of(const struct addr *target)
{
	if (target->family == AF_INET)
		return PROBE_SOURCE4;
	return addr_is_link_local(target) ? PROBE_SOURCE_LOCAL : PROBE_SOURCE6;
}

/* Of the pseudo header, which is the same for both families but for the addresses' length */
static uint16_t checksum(const struct probe_packet *p, uint8_t protocol, const void *data, size_t len)
{
	const uint8_t *source, *target;
	unsigned int n = addr_bytes(&p->source, &source);

	addr_bytes(&p->target, &target);
	return inet_checksum(inet_sum(data, len, inet_sum(source, n, inet_sum(target, n, protocol + (uint32_t)len))));
}

/* ---- building ---- */

static size_t ip_header(const struct probe_packet *p, uint8_t protocol, size_t payload, uint8_t *buf)
{
	struct iphdr *ip = (struct iphdr *)buf;
	struct ip6_hdr *ip6 = (struct ip6_hdr *)buf;

	if (p->target.family == AF_INET6) {
		*ip6 = (struct ip6_hdr){ .ip6_flow = htonl(6u << 28),
					 .ip6_plen = htons((uint16_t)payload),
					 .ip6_nxt = protocol,
					 .ip6_hlim = TTL,
					 .ip6_src = p->source.v6,
					 .ip6_dst = p->target.v6 };
		return sizeof(*ip6);
	}
	*ip = (struct iphdr){ .version = 4,
			      .ihl = 5,
			      .tot_len = htons((uint16_t)(sizeof(*ip) + payload)),
			      .frag_off = htons(IP_DF),
			      .ttl = TTL,
			      .protocol = protocol,
			      .saddr = p->source.v4.s_addr,
			      .daddr = p->target.v4.s_addr };
	ip->check = inet_checksum(inet_sum(ip, sizeof(*ip), 0));
	return sizeof(*ip);
}

static size_t build_echo(const struct probe_packet *p, uint8_t *buf)
{
	bool v6 = p->target.family == AF_INET6;
	struct echo *echo;

	buf += ip_header(p, v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP, sizeof(*echo), buf);
	echo = (struct echo *)buf;
	*echo = (struct echo){ .type = v6 ? ICMP6_ECHO_REQUEST : ICMP_ECHO,
			       .id = htons(p->id),
			       .sequence = htons(p->sequence),
			       .cookie = p->cookie };
	echo->checksum =
		v6 ? checksum(p, IPPROTO_ICMPV6, echo, sizeof(*echo)) : inet_checksum(inet_sum(echo, sizeof(*echo), 0));
	return sizeof(*echo);
}

static size_t build_tcp(const struct probe_packet *p, struct tcphdr header, uint8_t *buf)
{
	struct tcphdr *tcp;

	buf += ip_header(p, IPPROTO_TCP, sizeof(*tcp), buf);
	tcp = (struct tcphdr *)buf;
	*tcp = header;
	tcp->source = htons(p->source_port);
	tcp->dest = htons(p->port);
	tcp->doff = sizeof(*tcp) / 4;
	tcp->check = checksum(p, IPPROTO_TCP, tcp, sizeof(*tcp));
	return sizeof(*tcp);
}

static size_t build_syn(const struct probe_packet *p, uint8_t *buf)
{
	return build_tcp(
		p,
		(struct tcphdr){ .seq = htonl((uint32_t)p->id << 16 | p->sequence), .syn = 1, .window = htons(WINDOW) },
		buf);
}

static size_t build_dns(const struct probe_packet *p, uint8_t *buf)
{
	size_t len = sizeof(struct udphdr) + p->query_len;
	uint16_t number = htons(p->sequence);
	struct udphdr *udp;

	buf += ip_header(p, IPPROTO_UDP, len, buf);
	udp = (struct udphdr *)buf;
	*udp = (struct udphdr){ .source = htons(p->source_port), .dest = htons(p->port), .len = htons((uint16_t)len) };
	memcpy(udp + 1, p->query, p->query_len);
	memcpy(udp + 1, &number, sizeof(number));
	udp->check = checksum(p, IPPROTO_UDP, udp, len);
	if (!udp->check) /* which would mean that there is none */
		udp->check = 0xffff;
	return len;
}

static size_t header_len(const struct probe_packet *p)
{
	return p->target.family == AF_INET6 ? sizeof(struct ip6_hdr) : sizeof(struct iphdr);
}

size_t probe_packet_build(const struct probe_packet *p, uint8_t *buf)
{
	static size_t (*const build[])(const struct probe_packet *, uint8_t *) = {
		[CONFIG_PROBE_ICMP] = build_echo, [CONFIG_PROBE_TCP] = build_syn, [CONFIG_PROBE_DNS] = build_dns
	};

	return header_len(p) + build[p->type](p, buf);
}

size_t probe_packet_reset(const struct probe_packet *p, uint32_t acknowledged, uint8_t *buf)
{
	return header_len(p) + build_tcp(p, (struct tcphdr){ .seq = htonl(acknowledged), .rst = 1 }, buf);
}

/* ---- answers ---- */

/* Steps over the IP header, which is there for AF_INET only; false: not all of what follows is there */
static bool payload(int family, const uint8_t **data, size_t *len, size_t needed)
{
	size_t header = 0;

	if (family == AF_INET) {
		if (*len < sizeof(struct iphdr))
			return false;
		header = (size_t)((*data)[0] & 0x0f) * 4;
	}
	if (*len < header + needed)
		return false;
	*data += header;
	*len -= header;
	return true;
}

void probe_packet_echo(int family, const uint8_t *data, size_t len, struct probe_answer *answer)
{
	struct echo echo;

	*answer = (struct probe_answer){ .verdict = PROBE_STRANGE };
	if (!payload(family, &data, &len, sizeof(echo)))
		return;
	if (family == AF_INET && inet_checksum(inet_sum(data, len, 0)))
		return; /* raw sockets hear it before the kernel looks; of ICMPv6 it has looked */
	memcpy(&echo, data, sizeof(echo));
	if (echo.type != (family == AF_INET6 ? ICMP6_ECHO_REPLY : ICMP_ECHOREPLY) || echo.code)
		return;
	answer->verdict = PROBE_ANSWERED;
	answer->id = ntohs(echo.id);
	answer->sequence = ntohs(echo.sequence);
	answer->cookie = echo.cookie;
}

/*
 * Raw sockets hear an IPv4 answer before the kernel looks at it. What has crossed no wire may have the pseudo header's sum only, which the
 * last device would finish.
 */
static bool is_tcp_sound(const uint8_t *ip, const uint8_t *tcp, size_t len, uint16_t check)
{
	uint32_t pseudo =
		inet_sum(ip + offsetof(struct iphdr, saddr), 2 * sizeof(struct in_addr), IPPROTO_TCP + (uint32_t)len);

	return !inet_checksum(inet_sum(tcp, len, pseudo)) || (check ^ inet_checksum(pseudo)) == 0xffff;
}

/* Both a SYN-ACK and the reset that answers a SYN acknowledge it: RFC 9293, 3.10.7.1 */
void probe_packet_tcp(int family, const uint8_t *data, size_t len, struct probe_answer *answer)
{
	const uint8_t *ip = data;
	struct tcphdr tcp;
	uint32_t initial;

	*answer = (struct probe_answer){ .verdict = PROBE_STRANGE };
	if (!payload(family, &data, &len, sizeof(tcp)))
		return;
	memcpy(&tcp, data, sizeof(tcp));
	if (family == AF_INET && !is_tcp_sound(ip, data, len, tcp.check))
		return;
	if (!tcp.ack || (!tcp.syn && !tcp.rst))
		return;
	answer->verdict = tcp.rst ? PROBE_REFUSED : PROBE_ANSWERED;
	answer->acknowledged = ntohl(tcp.ack_seq);
	initial = answer->acknowledged - 1;
	answer->id = initial >> 16;
	answer->sequence = (uint16_t)initial;
	answer->port = ntohs(tcp.source);
	answer->our_port = ntohs(tcp.dest);
}

/* Letters may come back in another case */
void probe_packet_dns(const uint8_t *data, size_t len, const uint8_t *query, size_t query_len,
		      struct probe_answer *answer)
{
	size_t question = query_len - DNS_QUESTION;
	HEADER header;

	*answer = (struct probe_answer){ .verdict = PROBE_STRANGE };
	if (len < sizeof(header))
		return;
	memcpy(&header, data, sizeof(header));
	if (!header.qr || header.opcode != ns_o_query)
		return;
	/* servers that refuse may leave the question out */
	if (header.qdcount && (len < query_len || strncasecmp((const char *)data + DNS_QUESTION,
							      (const char *)query + DNS_QUESTION, question) != 0))
		return;
	answer->sequence = (uint16_t)(data[0] << 8 | data[1]);
	answer->rcode = header.rcode;
	answer->verdict = header.rcode == ns_r_noerror || header.rcode == RCODE_NXDOMAIN ? PROBE_ANSWERED : PROBE_RCODE;
}

int probe_packet_query(const char *name, uint8_t *query)
{
	int len = res_mkquery(ns_o_query, name, ns_c_in, ns_t_a, NULL, 0, NULL, query, PROBE_QUERY_MAX);

	return len < (int)DNS_QUESTION ? -EINVAL : len;
}
