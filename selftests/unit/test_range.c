/* SPDX-License-Identifier: GPL-2.0-only */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "user/lib/range.h"

/* "10.0.0.0/8" or "10.0.0.1-10.0.0.9" */
static struct addr_range range(const char *text)
{
	struct addr_range r = { .first = { 0 } };
	const char *dash = strchr(text, '-');
	char first[ADDR_STRLEN] = "";
	struct prefix p;

	if (!dash) {
		cr_assert_eq(prefix_parse(text, &p), 0, "%s", text);
		return addr_range_of(&p);
	}
	memcpy(first, text, (size_t)(dash - text));
	cr_assert_eq(addr_parse(first, &r.first), 0, "%s", text);
	cr_assert_eq(addr_parse(dash + 1, &r.last), 0, "%s", text);
	return r;
}

/* `expected`: what is left, with a blank behind each. */
static void expect_merged(const char *const *texts, const char *expected)
{
	struct addr_range ranges[16];
	char out[16 * 2 * ADDR_STRLEN] = "", first[ADDR_STRLEN], last[ADDR_STRLEN];
	size_t n, i;

	for (n = 0; texts[n]; n++)
		ranges[n] = range(texts[n]);
	n = addr_ranges_merge(ranges, n);
	for (i = 0; i < n; i++)
		snprintf(out + strlen(out), sizeof(out) - strlen(out), "%s-%s ", addr_format(&ranges[i].first, first),
			 addr_format(&ranges[i].last, last));
	cr_expect_str_eq(out, expected);
}
#define MERGED(expected, ...) expect_merged((const char *const[]){ __VA_ARGS__, NULL }, expected)

Test(range, of_a_prefix)
{
	MERGED("0.0.0.0-255.255.255.255 ", "0.0.0.0/0");
	MERGED("10.1.2.3-10.1.2.3 ", "10.1.2.3/32");
	MERGED("10.1.2.128-10.1.2.255 ", "10.1.2.130/25");
	MERGED("10.1.0.0-10.1.255.255 ", "10.1.2.3/16");
	MERGED("::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ", "::/0");
	MERGED("2001:db8::8-2001:db8::f ", "2001:db8::9/125");
}

Test(range, merge)
{
	cr_expect_eq(addr_ranges_merge(NULL, 0), 0u);
	MERGED("10.0.0.0-10.0.1.255 ", "10.0.1.0/24", "10.0.0.0/24");
	MERGED("10.0.0.0-10.0.0.255 10.0.2.0-10.0.2.255 ", "10.0.2.0/24", "10.0.0.0/24");
	MERGED("10.0.0.0-10.255.255.255 ", "10.0.0.0/8", "10.1.0.0/16", "10.0.0.0/8", "10.9.9.9/32");
	MERGED("10.0.0.1-10.0.0.9 ", "10.0.0.4-10.0.0.9", "10.0.0.1-10.0.0.5");
	MERGED("255.255.255.0-255.255.255.255 ::-::ff ", "::/120", "255.255.255.0/24");
	MERGED("2001:db8::-2001:db8:1:ffff:ffff:ffff:ffff:ffff ", "2001:db8:1::/48", "2001:db8::/48");
	MERGED("ffff::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ", "ffff::/16", "ffff:ffff::/32");
}

Test(range, contains)
{
	struct addr_range outer = range("10.0.0.0/8"), inner = range("10.1.0.0-10.255.255.255"), six = range("::/0");

	cr_expect(addr_range_contains(&outer, &inner));
	cr_expect(addr_range_contains(&outer, &outer));
	cr_expect_not(addr_range_contains(&inner, &outer));
	cr_expect_not(addr_range_contains(&six, &inner));
	cr_expect_not(addr_range_contains(&inner, &six));
}

Test(range, ports)
{
	struct port_range p[] = { { 443, 443 }, { 65535, 65535 }, { 80, 80 }, { 81, 90 }, { 85, 86 } };

	cr_assert_eq(port_ranges_merge(p, 5), 3u);
	cr_expect(p[0].first == 80 && p[0].last == 90);
	cr_expect(p[1].first == 443 && p[1].last == 443);
	cr_expect(p[2].first == 65535 && p[2].last == 65535);
	cr_expect_eq(port_ranges_merge(NULL, 0), 0u);
}
