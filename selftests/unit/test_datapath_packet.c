// SPDX-License-Identifier: GPL-2.0-only
/* The packet that `explain` sends through the programs: lengths and checksums, verified by another way than it is built. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "user/datapath/packet.h"

static const uint8_t dmac[6] = { 2, 0, 0, 0, 0, 1 }, smac[6] = { 2, 0, 0, 0, 0, 2 };

static struct explain_query query_of(const char *src, const char *dst, uint8_t proto)
{
	struct explain_query query = { .proto = proto, .sport = 1234, .dport = 443, .tcp_flags = 2, .icmp_type = 128 };

	cr_assert_eq(addr_parse(src, &query.src), 0);
	cr_assert_eq(addr_parse(dst, &query.dst), 0);
	return query;
}

/* RFC 1071 on bytes, high byte first: 0xffff over data that includes a right checksum. */
static uint32_t add_bytes(uint32_t sum, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		sum += i % 2 ? p[i] : p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static size_t build(const struct explain_query *query, uint8_t *buf)
{
	int len = explain_packet(query, dmac, smac, buf);

	cr_assert_gt(len, 14);
	cr_assert_leq(len, EXPLAIN_PACKET_MAX);
	cr_assert_eq(memcmp(buf, dmac, 6), 0);
	cr_assert_eq(memcmp(buf + 6, smac, 6), 0);
	return len;
}

static void check6(uint8_t proto, size_t transport_len)
{
	struct explain_query query = query_of("2001:db8::1", "2001:db8:ffff::2", proto);
	uint8_t buf[EXPLAIN_PACKET_MAX];
	size_t len = build(&query, buf);
	uint32_t sum;

	cr_assert_eq(buf[12] << 8 | buf[13], 0x86dd);
	cr_assert_eq(buf[14] >> 4, 6);
	cr_assert_eq(len, 14 + 40 + transport_len);
	cr_assert_eq((size_t)(buf[18] << 8 | buf[19]), transport_len);
	cr_assert_eq(buf[20], proto);
	sum = add_bytes(proto + transport_len, buf + 22, 32);
	cr_assert_eq(add_bytes(sum, buf + 54, transport_len), 0xffff, "protocol %u", proto);
}

Test(datapath_packet, ipv6)
{
	check6(IPPROTO_TCP, 20);
	check6(IPPROTO_UDP, 8);
	check6(IPPROTO_ICMPV6, 8);
}

static void check4(uint8_t proto, size_t transport_len, bool pseudo)
{
	struct explain_query query = query_of("192.0.2.1", "198.51.100.255", proto);
	uint8_t buf[EXPLAIN_PACKET_MAX];
	size_t len = build(&query, buf);
	uint32_t sum = pseudo ? add_bytes(proto + transport_len, buf + 26, 8) : 0;

	cr_assert_eq(buf[12] << 8 | buf[13], 0x0800);
	cr_assert_eq(buf[14], 0x45);
	cr_assert_eq(len, 14 + 20 + transport_len);
	cr_assert_eq((size_t)(buf[16] << 8 | buf[17]), 20 + transport_len);
	cr_assert_eq(buf[23], proto);
	cr_assert_eq(add_bytes(0, buf + 14, 20), 0xffff);
	cr_assert_eq(add_bytes(sum, buf + 34, transport_len), 0xffff, "protocol %u", proto);
}

Test(datapath_packet, ipv4)
{
	check4(IPPROTO_TCP, 20, true);
	check4(IPPROTO_UDP, 8, true);
	check4(IPPROTO_ICMP, 8, false);
}

Test(datapath_packet, ports_and_flags)
{
	struct explain_query query = query_of("2001:db8::1", "2001:db8::2", IPPROTO_TCP);
	uint8_t buf[EXPLAIN_PACKET_MAX];

	build(&query, buf);
	cr_assert_eq(buf[54] << 8 | buf[55], 1234);
	cr_assert_eq(buf[56] << 8 | buf[57], 443);
	cr_assert_eq(buf[67], 2, "SYN");
}

Test(datapath_packet, families_must_agree)
{
	struct explain_query query = query_of("2001:db8::1", "192.0.2.1", IPPROTO_UDP);
	uint8_t buf[EXPLAIN_PACKET_MAX];

	cr_assert_eq(explain_packet(&query, dmac, smac, buf), -EAFNOSUPPORT);
}

Test(datapath_packet, in_a_tunnel)
{
	struct explain_query query = query_of("2001:db8::1", "2001:db8::2", IPPROTO_TCP);
	uint8_t bare[EXPLAIN_PACKET_MAX], buf[EXPLAIN_PACKET_MAX];
	size_t len = build(&query, bare);

	build(&query, buf);
	cr_assert_eq((size_t)explain_encapsulate(buf, len, htonl(0xc6336401), htonl(0xcb007114)), len + 20);
	cr_assert_eq(memcmp(buf, bare, 12), 0);
	cr_assert_eq(buf[12] << 8 | buf[13], 0x0800);
	cr_assert_eq((size_t)(buf[16] << 8 | buf[17]), len + 20 - 14);
	cr_assert_eq(buf[23], 41);
	cr_assert_eq(add_bytes(0, buf + 14, 20), 0xffff);
	cr_assert_eq(memcmp(buf + 26, "\xc6\x33\x64\x01\xcb\x00\x71\x14", 8), 0, "from the remote to the local end");
	cr_assert_eq(memcmp(buf + 34, bare + 14, len - 14), 0);
}
