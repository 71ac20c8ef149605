// SPDX-License-Identifier: GPL-2.0-only
/* Probes and answers byte by byte; scapy has read the packets below and found every checksum right. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "user/gateway/probe_packet.h"

#define NUMBER 0xabcd
#define ID 0x1234

static const struct {
	enum config_probe type;
	bool v6, reset;
	const char *hex;
} vectors[] = {
	{ CONFIG_PROBE_ICMP, false, false, "450000240000400040014e6fc0000201c63364350800e4ec1234abcd8877665544332211" },
	{ CONFIG_PROBE_TCP, false, false,
	  "450000280000400040064e66c0000201c63364359c4001bb1234abcd0000000050020400"
	  "637b0000" },
	{ CONFIG_PROBE_DNS, false, false,
	  "4500003d0000400040114e46c0000201c63364359c40003500298a80abcd010000010000"
	  "0000000003777777076578616d706c65036e65740000010001" },
	{ CONFIG_PROBE_TCP, false, true,
	  "450000280000400040064e66c0000201c63364359c4001bb1234abce0000000050040000"
	  "67780000" },
	{ CONFIG_PROBE_ICMP, true, false,
	  "6000000000103a4020010db800000000000000000000000120010db80001000000000000"
	  "00000053800010db1234abcd8877665544332211" },
	{ CONFIG_PROBE_TCP, true, false,
	  "600000000014064020010db800000000000000000000000120010db80001000000000000"
	  "000000539c4001bb1234abcd0000000050020400f41e0000" },
	{ CONFIG_PROBE_DNS, true, false,
	  "600000000029114020010db800000000000000000000000120010db80001000000000000"
	  "000000539c40003500291b24abcd0100000100000000000003777777076578616d706c65"
	  "036e65740000010001" },
	{ CONFIG_PROBE_TCP, true, true,
	  "600000000014064020010db800000000000000000000000120010db80001000000000000"
	  "000000539c4001bb1234abce0000000050040000f81b0000" },
};

static struct addr addr_of(const char *text)
{
	struct addr a;

	cr_assert_eq(addr_parse(text, &a), 0);
	return a;
}

static struct probe_packet packet_of(enum config_probe type, bool v6, uint8_t *query)
{
	uint64_t cookie;

	memcpy(&cookie, "\x88\x77\x66\x55\x44\x33\x22\x11", sizeof(cookie));
	return (struct probe_packet){ .type = type,
				      .source = addr_of(v6 ? "2001:db8::1" : "192.0.2.1"),
				      .target = addr_of(v6 ? "2001:db8:1::53" : "198.51.100.53"),
				      .source_port = 40000,
				      .port = type == CONFIG_PROBE_DNS ? 53 : 443,
				      .id = ID,
				      .sequence = NUMBER,
				      .cookie = cookie,
				      .query = query,
				      .query_len = (size_t)probe_packet_query("www.example.net", query) };
}

Test(probe_packet, built)
{
	_Alignas(uint32_t) uint8_t buf[PROBE_PACKET_MAX];
	uint8_t query[PROBE_QUERY_MAX];
	char hex[2 * PROBE_PACKET_MAX + 1];
	size_t i, k, n;

	for (i = 0; i < sizeof(vectors) / sizeof(*vectors); i++) {
		struct probe_packet p = packet_of(vectors[i].type, vectors[i].v6, query);

		n = vectors[i].reset ? probe_packet_reset(&p, ID << 16 | (NUMBER + 1), buf)
				     : probe_packet_build(&p, buf);
		for (k = 0; k < n; k++)
			sprintf(hex + 2 * k, "%02x", buf[k]);
		cr_expect_str_eq(hex, vectors[i].hex);
	}
}

Test(probe_packet, names)
{
	uint8_t query[PROBE_QUERY_MAX];
	char name[300];

	cr_expect_eq(probe_packet_query("example.net", query), 29);
	cr_expect_eq(probe_packet_query("example.net.", query), 29);
	memset(name, 'a', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	cr_expect_lt(probe_packet_query(name, query), 0, "a label of 299 bytes");
}

/* Answers, as raw sockets have them: of IPv4 with the IP header */
struct raw {
	uint8_t data[128];
	size_t len;
};

static struct raw raw(bool v6, const char *hex)
{
	struct raw r = { .len = v6 ? 0 : 20 };
	unsigned int byte;

	r.data[0] = 0x45;
	for (; sscanf(hex, "%2x", &byte) == 1; hex += 2)
		r.data[r.len++] = (uint8_t)byte;
	return r;
}

static struct probe_answer echo(bool v6, const char *hex)
{
	struct raw r = raw(v6, hex);
	struct probe_answer a;

	probe_packet_echo(v6 ? AF_INET6 : AF_INET, r.data, r.len, &a);
	return a;
}

static struct probe_answer tcp(bool v6, const char *hex)
{
	struct raw r = raw(v6, hex);
	struct probe_answer a;

	probe_packet_tcp(v6 ? AF_INET6 : AF_INET, r.data, r.len, &a);
	return a;
}

Test(probe_packet, echo_replies)
{
	struct probe_answer a = echo(false, "0000ecec1234abcd8877665544332211");
	uint64_t cookie;

	memcpy(&cookie, "\x88\x77\x66\x55\x44\x33\x22\x11", sizeof(cookie));
	cr_expect_eq(a.verdict, PROBE_ANSWERED);
	cr_expect_eq(a.id, ID);
	cr_expect_eq(a.sequence, NUMBER);
	cr_expect_eq(a.cookie, cookie);
	cr_expect_eq(echo(true, "8100ffff1234abcd8877665544332211").verdict, PROBE_ANSWERED);
	cr_expect_eq(echo(false, "0800e4ec1234abcd8877665544332211").verdict, PROBE_STRANGE, "a request");
	cr_expect_eq(echo(true, "8000ffff1234abcd8877665544332211").verdict, PROBE_STRANGE, "a request");
	cr_expect_eq(echo(true, "0000ffff1234abcd8877665544332211").verdict, PROBE_STRANGE, "of the other family");
	cr_expect_eq(echo(false, "0001eceb1234abcd8877665544332211").verdict, PROBE_STRANGE, "a code");
	cr_expect_eq(echo(false, "0000ecfd1234abcd88776655443322").verdict, PROBE_STRANGE, "too short");
	cr_expect_eq(echo(false, "0000ffff1234abcd8877665544332211").verdict, PROBE_STRANGE, "a wrong checksum");
	cr_expect_eq(echo(false, "").verdict, PROBE_STRANGE);
}

Test(probe_packet, echo_behind_ip_options)
{
	struct raw r = raw(false, "010101000000ecec1234abcd8877665544332211");
	struct probe_answer a;

	r.data[0] = 0x46;
	probe_packet_echo(AF_INET, r.data, r.len, &a);
	cr_expect_eq(a.verdict, PROBE_ANSWERED);
	r.data[0] = 0x4f; /* behind the end */
	probe_packet_echo(AF_INET, r.data, r.len, &a);
	cr_expect_eq(a.verdict, PROBE_STRANGE);
}

Test(probe_packet, tcp_answers)
{
	/* port 443 to 40000, sequence 7, acknowledgement */
	struct probe_answer a = tcp(false, "01bb9c40000000071234abce5012faf058dd0000");

	cr_expect_eq(a.verdict, PROBE_ANSWERED, "SYN-ACK");
	cr_expect_eq(a.id, ID);
	cr_expect_eq(a.sequence, NUMBER);
	cr_expect_eq(a.port, 443);
	cr_expect_eq(a.our_port, 40000);
	cr_expect_eq(a.acknowledged, 0x1234abceu);
	cr_expect_eq(tcp(true, "01bb9c40000000071234abce5012faf000000000").verdict, PROBE_ANSWERED);
	cr_expect_eq(tcp(false, "01bb9c40000000001234abce5014000053d30000").verdict, PROBE_REFUSED, "RST-ACK");
	cr_expect_eq(tcp(false, "01bb9c40000000001234abce5010000053d70000").verdict, PROBE_STRANGE, "an ACK");
	cr_expect_eq(tcp(false, "01bb9c40000000001234abce5002000053e50000").verdict, PROBE_STRANGE, "a SYN");
	cr_expect_eq(tcp(false, "01bb9c40000000071234abce5012faf0").verdict, PROBE_STRANGE, "too short");
	cr_expect_eq(tcp(false, "01bb9c40000000071234abce5012faf0001a0000").verdict, PROBE_ANSWERED,
		     "the pseudo header's sum");
	cr_expect_eq(tcp(false, "01bb9c40000000071234abce5012faf058de0000").verdict, PROBE_STRANGE, "a wrong checksum");
	cr_expect_eq(tcp(false, "01bb9c40000000001234abce5014000053d40000").verdict, PROBE_STRANGE,
		     "a reset with a wrong checksum");
}

static struct probe_answer dns(uint8_t *data, size_t len)
{
	uint8_t query[PROBE_QUERY_MAX];
	struct probe_answer a;

	probe_packet_dns(data, len, query, (size_t)probe_packet_query("www.example.net", query), &a);
	return a;
}

Test(probe_packet, dns_answers)
{
	uint8_t data[PROBE_QUERY_MAX];
	size_t len = (size_t)probe_packet_query("WWW.example.NET", data);

	data[0] = NUMBER >> 8;
	data[1] = NUMBER & 0xff;
	cr_expect_eq(dns(data, len).verdict, PROBE_STRANGE, "a query");
	data[2] |= 0x80;
	cr_expect_eq(dns(data, len).verdict, PROBE_ANSWERED, "letters may have another case");
	cr_expect_eq(dns(data, len).sequence, NUMBER);
	data[3] = 3;
	cr_expect_eq(dns(data, len).verdict, PROBE_ANSWERED, "no such name");
	data[3] = 5;
	cr_expect_eq(dns(data, len).verdict, PROBE_RCODE);
	cr_expect_eq(dns(data, len).rcode, 5);
	data[13] = 'v';
	cr_expect_eq(dns(data, len).verdict, PROBE_STRANGE, "another question");
	data[13] = 'w';
	cr_expect_eq(dns(data, len - 1).verdict, PROBE_STRANGE, "too short");
	cr_expect_eq(dns(data, 11).verdict, PROBE_STRANGE);
	data[5] = 0;
	cr_expect_eq(dns(data, 12).verdict, PROBE_RCODE, "refused without the question");
}
