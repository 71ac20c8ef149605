/* SPDX-License-Identifier: GPL-2.0-only */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <string.h>

#include "user/lib/addr.h"

static struct addr addr_of(const char *text)
{
	struct addr a;

	cr_assert_eq(addr_parse(text, &a), 0, "%s", text);
	return a;
}

static struct prefix prefix_of(const char *text)
{
	struct prefix p;

	cr_assert_eq(prefix_parse(text, &p), 0, "%s", text);
	return p;
}

Test(addr, parse_and_format)
{
	static const char *const texts[][2] = {
		{ "0.0.0.0", "0.0.0.0" },
		{ "255.255.255.255", "255.255.255.255" },
		{ "::", "::" },
		{ "2001:DB8:0:0:0:0:0:1", "2001:db8::1" },
		{ "2001:db8:0:1:0:0:0:1", "2001:db8:0:1::1" },
		{ "2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1" },    /* RFC 5952 4.2.3: the first of equals */
		{ "2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1" }, /* 4.2.2: not for a single one */
	};
	char buf[ADDR_STRLEN];
	struct addr a;
	size_t i;

	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		a = addr_of(texts[i][0]);
		cr_expect_str_eq(addr_format(&a, buf), texts[i][1]);
	}
	memset(&a, 0, sizeof(a));
	cr_expect_str_eq(addr_format(&a, buf), "");
}

Test(addr, parse_refuses)
{
	static const char *const texts[] = {
		"",	    " ",   "1.2.3",	    "1.2.3.4.5", "01.2.3.4", "1.2.3.256",    "1.2.3.4/24", "example",
		"1.2.3.4 ", ":::", "1:2:3:4:5:6:7", "12345::",	 "1::2::3",  "fe80::1%eth0", "g::",	   "::/0"
	};
	struct addr a = { .family = 12345 };
	size_t i;

	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		cr_expect_eq(addr_parse(texts[i], &a), -EINVAL, "%s", texts[i]);
	cr_expect_eq(a.family, 12345, "untouched on failure");
}

Test(addr, prefix_parse_and_format)
{
	static const char *const texts[] = { "0.0.0.0/0", "192.0.2.1/32", "::/0", "2001:db8::1/64", "2001:db8::/128" };
	char buf[PREFIX_STRLEN];
	struct prefix p;
	size_t i;

	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		p = prefix_of(texts[i]);
		cr_expect_str_eq(prefix_format(&p, buf), texts[i]);
	}
	p = prefix_of("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128");
	cr_expect_str_eq(prefix_format(&p, buf), "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128");
	memset(&p, 0, sizeof(p));
	cr_expect_str_eq(prefix_format(&p, buf), "");
}

Test(addr, prefix_parse_refuses)
{
	static const char *const texts[] = {
		"",	      "/",	    "/64",
		"1.2.3.4",    "1.2.3.4/",   "1.2.3.4/33",
		"1.2.3.4/-1", "1.2.3.4/+1", "1.2.3.4/ 1",
		"1.2.3.4/1 ", "1.2.3.4/08", "1.2.3.4/0x8",
		"::/129",     "::/1000",    "::/4294967296",
		"::/64/64",   "x/64",	    "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000/64"
	};
	struct prefix p = { .len = 12345 };
	size_t i;

	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		cr_expect_eq(prefix_parse(texts[i], &p), -EINVAL, "%s", texts[i]);
	cr_expect_eq(p.len, 12345u, "untouched on failure");
}

Test(addr, compare)
{
	struct addr v4 = addr_of("10.0.0.1"), v4b = addr_of("10.0.0.2"), v6 = addr_of("::1"),
		    none = { .family = AF_UNSPEC };

	cr_expect(addr_equal(&v4, &v4));
	cr_expect_not(addr_equal(&v4, &v4b));
	cr_expect_not(addr_equal(&v4, &v6));
	cr_expect(addr_equal(&none, &none));
	cr_expect_lt(addr_compare(&v4, &v4b), 0);
	cr_expect_gt(addr_compare(&v6, &v4b), 0, "by family first");
	cr_expect_lt(addr_compare(&none, &v4), 0);
}

Test(addr, equality_ignores_what_the_family_does_not_use)
{
	struct addr a, b;

	memset(&a, 0xff, sizeof(a));
	memset(&b, 0, sizeof(b));
	a.family = b.family = AF_INET;
	a.v4.s_addr = b.v4.s_addr = htonl(0x0a000001);
	cr_expect(addr_equal(&a, &b));
}

Test(addr, link_local)
{
	static const char *const yes[] = { "fe80::1", "febf:ffff::", "169.254.0.0", "169.254.255.255" };
	static const char *const no[] = { "fec0::", "fe7f::1", "::", "169.253.255.255", "169.255.0.0", "ff02::1" };
	struct addr a, none = { .family = AF_UNSPEC };
	size_t i;

	for (i = 0; i < 4; i++) {
		a = addr_of(yes[i]);
		cr_expect(addr_is_link_local(&a), "%s", yes[i]);
	}
	for (i = 0; i < 6; i++) {
		a = addr_of(no[i]);
		cr_expect_not(addr_is_link_local(&a), "%s", no[i]);
	}
	cr_expect_not(addr_is_link_local(&none));
}

Test(addr, unspecified)
{
	static const char *const no[] = { "::1", "0.0.0.1", "8000::", "128.0.0.0", "::ffff:0.0.0.0" };
	struct addr a, none = { .family = AF_UNSPEC };
	size_t i;

	a = addr_of("::");
	cr_expect(addr_is_unspecified(&a));
	a = addr_of("0.0.0.0");
	cr_expect(addr_is_unspecified(&a));
	cr_expect(addr_is_unspecified(&none));
	for (i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
		a = addr_of(no[i]);
		cr_expect_not(addr_is_unspecified(&a), "%s", no[i]);
	}
}

Test(addr, network_at_every_length)
{
	struct prefix p = prefix_of("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128");
	struct addr net;
	unsigned int len, bit;

	for (len = 0; len <= 128; len++) {
		p.len = len;
		net = prefix_network(&p);
		for (bit = 0; bit < 128; bit++)
			cr_assert_eq((net.v6.s6_addr[bit / 8] >> (7 - bit % 8)) & 1, bit < len, "/%u bit %u", len, bit);
		cr_assert_eq(prefix_is_network(&p), len == 128);
	}
	p = prefix_of("255.255.255.255/0");
	for (len = 0; len <= 32; len++) {
		p.len = len;
		net = prefix_network(&p);
		cr_assert_eq(ntohl(net.v4.s_addr), (uint32_t)(0xffffffff00000000ULL >> len), "/%u", len);
	}
}

Test(addr, contains)
{
	struct prefix lan = prefix_of("2001:db8:aa::1/63"), all = prefix_of("::/0"), v4 = prefix_of("10.0.0.0/9");
	struct addr in = addr_of("2001:db8:aa:1::5"), out = addr_of("2001:db8:aa:2::5"), ten = addr_of("10.127.0.1");
	struct addr none = { .family = AF_UNSPEC };
	struct prefix nothing = { .len = 0 };

	cr_expect(prefix_contains(&lan, &in));
	cr_expect_not(prefix_contains(&lan, &out));
	cr_expect(prefix_contains(&all, &out));
	cr_expect_not(prefix_contains(&all, &ten), "another family");
	cr_expect(prefix_contains(&v4, &ten));
	cr_expect_not(prefix_contains(&nothing, &none));
	cr_expect_not(prefix_contains(&all, &none));
}

Test(addr, maps)
{
	struct addr v4 = addr_of("192.0.2.1"), v6 = addr_of("2001:db8::1"), mapped = addr_of("::ffff:192.0.2.1"), back;
	struct addr none = { .family = AF_UNSPEC };
	union fl_addr m = addr_to_map(&v4);

	cr_expect_arr_eq(m.b, mapped.v6.s6_addr, 16);
	back = addr_from_map(&m);
	cr_expect(addr_equal(&back, &v4));
	m = addr_to_map(&v6);
	cr_expect_arr_eq(m.b, v6.v6.s6_addr, 16);
	back = addr_from_map(&m);
	cr_expect(addr_equal(&back, &v6));
	m = addr_to_map(&none);
	cr_expect_eq(m.q[0] | m.q[1], 0u);
}
