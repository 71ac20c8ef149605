// SPDX-License-Identifier: GPL-2.0-only
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/lib/addr.h"
#include "user/lib/put.h"

static const char *addr_put(const char *text)
{
	static char out[64];
	union fl_addr m;
	struct addr a;

	cr_assert_eq(addr_parse(text, &a), 0, "%s", text);
	m = addr_to_map(&a);
	*put_addr(out, &m) = '\0';
	return out;
}

/* Each is as RFC 5952 writes it. */
Test(put, addresses)
{
	static const char *const texts[] = {
		"0.0.0.0",
		"192.0.2.80",
		"255.255.255.255",
		"::",
		"::1",
		"1::",
		"2001:db8::1",
		"2001:db8::1:0",
		"2001:db8:0:1::1",
		"1:2:3:4:5:6:7:8",
		"1:0:3:4:5:6:7:8",
		"1:0:0:4::8",
		"fe80::a:0:0:1",
		"1:2:3:4:5:6::",
		"::3:4:5:6:7:8",
		"abcd:ef01:2345:6789:abcd:ef01:2345:678",
	};
	char want[64];

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		snprintf(want, sizeof(want), "\"%s\"", texts[i]);
		cr_expect_str_eq(addr_put(texts[i]), want);
	}
}

/* The same as the library's, but for IPv4 inside that RFC 5952 leaves open. */
Test(put, random_addresses)
{
	srand(5952);
	for (int i = 0; i < 20000; i++) {
		struct addr a = { .family = AF_INET6 };
		char text[ADDR_STRLEN];
		char want[64];

		for (int b = 0; b < 16; b += 2)
			if (b == 0 || rand() % 2)
				a.v6.s6_addr[b + rand() % 2] = rand() % 3 ? 1 + rand() % 255 : 0;
		a.v6.s6_addr[0] |= 0x20;
		snprintf(want, sizeof(want), "\"%s\"", addr_format(&a, text));
		cr_expect_str_eq(addr_put(text), want);
	}
}

Test(put, numbers_and_names)
{
	char out[64];

	*put_number(out, 0, 1) = '\0';
	cr_expect_str_eq(out, "0");
	*put_number(out, UINT64_MAX, 1) = '\0';
	cr_expect_str_eq(out, "18446744073709551615");
	*put_number(out, 7, 2) = '\0';
	cr_expect_str_eq(out, "07");
	*put_string(out, "a \"b\" \\ \n", 64) = '\0';
	cr_expect_str_eq(out, "\"a \\\"b\\\" \\\\ \\u000a\"");
	*put_string(out, "abcdef", 3) = '\0';
	cr_expect_str_eq(out, "\"abc\"");
}
