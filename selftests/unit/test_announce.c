// SPDX-License-Identifier: GPL-2.0-only
/* Announcements, against frames that scapy made. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "user/vip/announce.h"

static const uint8_t mac[6] = { 0, 0, 0x5e, 0, 1, 42 };

static void expect(const char *address, bool router, const char *wanted)
{
	uint8_t frame[ANNOUNCE_MAX];
	char hex[2 * ANNOUNCE_MAX + 1];
	struct addr a;
	size_t n;

	cr_assert_eq(addr_parse(address, &a), 0);
	n = announce_build(&a, mac, router, frame);
	for (size_t i = 0; i < n; i++)
		sprintf(hex + 2 * i, "%02x", frame[i]);
	cr_expect_str_eq(hex, wanted, "%s: %s", address, hex);
}

Test(announce, arp)
{
	expect("203.0.113.100", false,
	       "ffffffffffff00005e00012a0806000108000604000100005e00012acb007164000000000000cb007164");
}

Test(announce, neighbor_advertisement)
{
	expect("2001:db8::100", true,
	       "33330000000100005e00012a86dd6000000000203aff20010db8000000000000000000000100ff02000000000000000000000000000188001a03a000000020010db8000000000000000000000100020100005e00012a");
	expect("fe80::2a", false,
	       "33330000000100005e00012a86dd6000000000203afffe80000000000000000000000000002aff0200000000000000000000000000018800fa1f20000000fe80000000000000000000000000002a020100005e00012a");
}
