// SPDX-License-Identifier: GPL-2.0-only
/*
 * Prefix translation (RFC 6296): vectors as literals, what has no translation, ICMPv6 errors, hairpin, plain mode. The
 * first vector is the RFC's own example.
 */

#include "selftests/prog/check.h"
#include "selftests/prog/hosts.h"

#define OUT(index, internal, external) \
	.in = LAN, .pkt.src = internal, .pkt.dst = NPT_HOST, .want = FORWARD, .out = NPT, .npt_out = index, \
	.change.src = external
#define IN(index, external, internal) \
	.in = NPT, .pkt.src = NPT_HOST, .pkt.dst = external, .want = FORWARD, .out = LAN, .npt_in = index, \
	.change.dst = internal
#define BOTH(name, index, internal, external) \
	{ "npt/out-" name, OUT(index, internal, external) }, \
		{ "npt/out-tcp-" name, OUT(index, internal, external), .pkt.l4 = L4_TCP }, \
		{ "npt/out-echo-" name, OUT(index, internal, external), .pkt.l4 = L4_ECHO }, \
		{ "npt/in-" name, IN(index, external, internal) }, \
		{ "npt/in-tcp-" name, IN(index, external, internal), .pkt.l4 = L4_TCP }, \
	{ \
		"npt/in-echo-" name, IN(index, external, internal), .pkt.l4 = L4_ECHO, .pkt.type = 129 \
	}
#define NO_OUT(index, internal, t, c, v) \
	.in = LAN, .pkt.src = internal, .pkt.dst = NPT_HOST, .want = ERROR, .reason = FL_DROP_NPT_UNTRANSLATABLE, \
	.npt_bad = index, .icmp_type = t, .icmp_code = c, .icmp_value = v
#define NO_IN(index, external, t, c, v) \
	.in = NPT, .pkt.src = NPT_HOST, .pkt.dst = external, .want = ERROR, .reason = FL_DROP_NPT_UNTRANSLATABLE, \
	.npt_bad = index, .icmp_type = t, .icmp_code = c, .icmp_value = v

#define INT "fd01:203:405:1::1234"
#define EXT "2001:db8:1:d550::1234"
#define INT2 "fd01:203:405:1::99"
#define EXT2 "2001:db8:1:d550::99"
#define INT_HE1 "fd02:0:0:1::1"
#define EXT_HE1 "2001:db8:6:cf44::1" /* fd02 - (2001 + 0db8 + 0006) = cf43 */
#define INT_BIN "fd00:aaaa:0:7::1"
#define EXT_BIN "2001:db8:bbbb:7::1"

/* Packets that errors quote, as they were on either side */
static const struct spec in_as_inside = { .src = NPT_HOST, .dst = INT },
			 in_as_outside = { .src = NPT_HOST, .dst = EXT };
static const struct spec out_as_inside = { .src = INT, .dst = NPT_HOST },
			 out_as_outside = { .src = EXT, .dst = NPT_HOST };
static const struct spec he_in_inside = { .src = HE1_HOST, .dst = INT_HE1 },
			 he_in_outside = { .src = HE1_HOST, .dst = EXT_HE1 };
static const struct spec he_out_inside = { .src = INT_HE1, .dst = HE1_HOST },
			 he_out_outside = { .src = EXT_HE1, .dst = HE1_HOST };
static const struct spec hairpin_as_received = { .src = EXT, .dst = INT2 },
			 hairpin_as_sent = { .src = INT, .dst = EXT2 };
static const struct spec bin_in_inside = { .src = NPT_HOST, .dst = INT_BIN, .l4 = L4_RAW },
			 bin_in_outside = { .src = NPT_HOST, .dst = EXT_BIN, .l4 = L4_RAW };
static const struct spec bin_out_inside = { .src = INT_BIN, .dst = NPT_HOST, .l4 = L4_RAW },
			 bin_out_outside = { .src = EXT_BIN, .dst = NPT_HOST, .l4 = L4_RAW };
static const struct spec bin_udp_inside = { .src = INT_BIN, .dst = NPT_HOST },
			 bin_udp_outside = { .src = EXT_BIN, .dst = NPT_HOST };
static const struct spec bin_unsummed_inside = { .src = INT_BIN, .dst = NPT_HOST, .sum = SUM_ZERO },
			 bin_unsummed_outside = { .src = EXT_BIN, .dst = NPT_HOST, .sum = SUM_ZERO };
static const struct spec version_4 = { .src = EXT, .dst = NPT_HOST, .version = 4 };
static const struct spec router_inside = { .src = "fd01:203:405:5::1", .dst = NPT_HOST },
			 router_outside = { .src = "2001:db8:1:d554::1", .dst = NPT_HOST };

static int default_by_under2(struct env *env)
{
	(void)env;
	return links_run("ip -6 route add default dev under2");
}

static int no_default(struct env *env)
{
	(void)env;
	return links_run("ip -6 route del default dev under2");
}

/* clang-format off */
static const struct test_case vectors[] = {
	BOTH("rfc", NPT_48, INT, EXT),
	BOTH("subnet-0", NPT_48, "fd01:203:405::1", "2001:db8:1:d54f::1"),
	BOTH("ffff-is-0", NPT_48, "fd01:203:405:2ab0::1", "2001:db8:1::1"),
	BOTH("64", NPT_64, "fd00:1:2:3:4:5:6:7", "2001:db8:1:2:cf4e:5:6:7"),
	BOTH("64-second-word", NPT_64, "fd00:1:2:3:ffff:5:6:7", "2001:db8:1:2:ffff:cf4f:6:7"),
	BOTH("64-third-word", NPT_64, "fd00:1:2:3:ffff:ffff:6:7", "2001:db8:1:2:ffff:ffff:cf50:7"),
	BOTH("64-last-word", NPT_64, "fd00:1:2:3:ffff:ffff:ffff:7", "2001:db8:1:2:ffff:ffff:ffff:cf51"),
	BOTH("unequal", NPT_56, "fd00:1:2:12::9", "2001:db8:aa:bb12:13a0::9"),
	{ "npt/out-extension-headers", OUT(NPT_48, INT, EXT), .pkt.ext = "hdra" },
	{ "npt/out-first-fragment", OUT(NPT_48, INT, EXT), .pkt.ext = "f" },
	{ "npt/out-later-fragment", OUT(NPT_48, INT, EXT), .pkt.ext = "F", .pkt.l4 = L4_RAW },
	{ "npt/out-raw", OUT(NPT_48, INT, EXT), .pkt.l4 = L4_RAW },
	{ "npt/out-udp-without-sum", OUT(NPT_48, INT, EXT), .pkt.sum = SUM_ZERO },
	{ "npt/out-bad-sum-stays-bad", OUT(NPT_48, INT, EXT), .pkt.sum = SUM_BAD },
	{ "npt/out-unfinished", OUT(NPT_48, INT, EXT), .pkt.l4 = L4_TCP, .pkt.sum = SUM_UNFINISHED, .xdp_down = true },
	{ "npt/out-hops-1", .in = LAN, .pkt.src = INT, .pkt.dst = NPT_HOST, .pkt.hops = 1, .want = ERROR,
	  .reason = FL_DROP_TTL, .icmp_type = 3 },
	{ "npt/in-hops-1", .in = NPT, .pkt.src = NPT_HOST, .pkt.dst = EXT, .pkt.hops = 1, .want = ERROR,
	  .reason = FL_DROP_TTL, .icmp_type = 3 },
	{ "npt/out-tunnel", .in = LAN, .pkt.src = INT_HE1, .pkt.dst = HE1_HOST, .want = FORWARD, .out = WAN,
	  .npt_out = NPT_HE1,
	  .ep_out = EP_HE1, .change = { .src = EXT_HE1, .osrc = LOCAL4, .odst = HE1_REMOTE, .ottl = 64,
	  .ofrag = IPV4_DF } },
	{ "npt/in-tunnel", .in = WAN, .pkt.osrc = HE1_REMOTE, .pkt.odst = LOCAL4, .pkt.src = HE1_HOST,
	  .pkt.dst = EXT_HE1, .want = FORWARD,
	  .out = LAN, .npt_in = NPT_HE1, .ep_in = EP_HE1, .change = { .osrc = NO_OUTER, .dst = INT_HE1 } },
	{ "npt/in-router", .in = NPT, .pkt.src = NPT_HOST, .pkt.dst = "2001:db8:1:d554::1", .want = DELIVER,
	  .npt_in = NPT_48,
	  .change.dst = "fd01:203:405:5::1" },
};

static const struct test_case untranslatable[] = {
	{ "npt/no-subnet-ffff-out", NO_OUT(NPT_48, "fd01:203:405:ffff::1", 1, 5, 0) },
	{ "npt/no-subnet-ffff-in", NO_IN(NPT_48, "2001:db8:1:ffff::1", 1, 3, 0) },
	{ "npt/no-iid-zeros-out", NO_OUT(NPT_64, "fd00:1:2:3::", 4, 0, 8) },
	{ "npt/no-iid-ones-out", NO_OUT(NPT_64, "fd00:1:2:3:ffff:ffff:ffff:ffff", 4, 0, 8) },
	{ "npt/no-iid-zeros-in", NO_IN(NPT_64, "2001:db8:1:2::", 4, 0, 24) },
	{ "npt/no-iid-ones-in", NO_IN(NPT_64, "2001:db8:1:2:ffff:ffff:ffff:ffff", 4, 0, 24) },
	{ "npt/no-outside-the-extension", NO_OUT(NPT_56, "fd00:1:2:112::9", 1, 5, 0) },
	{ "npt/no-about-an-error", NO_OUT(NPT_48, "fd01:203:405:ffff::1", 1, 5, 0), .pkt.l4 = L4_ERROR,
	  .pkt.quoted = &in_as_inside,
	  .unanswered = true },
	{ "npt/not-internal", .in = LAN, .pkt.src = LAN_HOST, .pkt.dst = NPT_HOST, .want = FORWARD, .out = NPT },
	{ "npt/not-external", .in = NPT, .pkt.src = NPT_HOST, .pkt.dst = LAN_HOST, .want = FORWARD, .out = LAN },
	{ "npt/not-by-that-port", .in = LAN, .pkt.src = INT, .pkt.dst = NET_HOST, .want = FORWARD, .out = WAN },
	{ "npt/not-from-that-port", .in = WAN, .pkt.src = NET_HOST, .pkt.dst = "2001:db8:6:cf44::1", .want = DELIVER },
	{ "npt/not-inside", .in = LAN, .pkt.src = INT, .pkt.dst = "fd00:1:2:12::9", .want = FORWARD, .out = LAN },
	{ "npt/not-link-local", .in = LAN, .pkt.src = "fe80::10", .pkt.dst = NPT_HOST, .want = DROP,
	  .reason = FL_DROP_SCOPE },
	{ "npt/not-link-local-in", .in = NPT, .pkt.src = "fe80::fe", .pkt.dst = "fe80::1", .want = DELIVER },
	{ "npt/not-multicast", .in = NPT, .pkt.src = NPT_HOST, .pkt.dst = "ff0e::1", .want = DELIVER },
	{ "npt/not-neighbour-discovery", .in = NPT, .pkt.src = "fe80::fe", .pkt.dst = "ff02::1:ff00:1", .pkt.hops = 255,
	  .pkt.l4 = L4_ECHO, .pkt.type = 135, .want = DELIVER },
	{ "npt/not-mld", .in = NPT, .pkt.src = "fe80::fe", .pkt.dst = "ff02::16", .pkt.hops = 1, .pkt.ext = "h",
	  .pkt.l4 = L4_ECHO,
	  .pkt.type = 143, .want = DELIVER },
};

#define ERROR_OUT(t, c, v) OUT(NPT_48, INT, EXT), .pkt.l4 = L4_ERROR, .pkt.type = t, .pkt.code = c, .pkt.value = v, \
	.pkt.quoted = &in_as_inside, .change.quoted = &in_as_outside
#define ERROR_IN(t, c, v) IN(NPT_48, EXT, INT), .pkt.l4 = L4_ERROR, .pkt.type = t, .pkt.code = c, .pkt.value = v, \
	.pkt.quoted = &out_as_outside, .change.quoted = &out_as_inside

static const struct test_case errors[] = {
	{ "npt/error-out-unreachable", ERROR_OUT(1, 4, 0) },
	{ "npt/error-out-too-big", ERROR_OUT(2, 0, 1280) },
	{ "npt/error-out-time-exceeded", ERROR_OUT(3, 0, 0) },
	{ "npt/error-out-parameter-problem", ERROR_OUT(4, 1, 6) },
	{ "npt/error-out-of-the-future", ERROR_OUT(127, 0, 0) },
	{ "npt/error-in-unreachable", ERROR_IN(1, 4, 0) },
	{ "npt/error-in-too-big", ERROR_IN(2, 0, 1280) },
	{ "npt/error-in-time-exceeded", ERROR_IN(3, 0, 0) },
	{ "npt/error-in-parameter-problem", ERROR_IN(4, 1, 6) },
	{ "npt/error-in-extension-headers", ERROR_IN(1, 4, 0), .pkt.ext = "hd" },
	{ "npt/error-in-short-quote", ERROR_IN(1, 4, 0), .pkt.quotelen = 40 },
	{ "npt/error-in-too-short-a-quote", IN(NPT_48, EXT, INT), .pkt.l4 = L4_ERROR, .pkt.quoted = &out_as_outside,
	  .pkt.quotelen = 39 },
	{ "npt/error-in-quotes-version-4", IN(NPT_48, EXT, INT), .pkt.l4 = L4_ERROR, .pkt.quoted = &version_4 },
	{ "npt/error-in-no-quote", IN(NPT_48, EXT, INT), .pkt.l4 = L4_ERROR, .pkt.quoted = &out_as_outside,
	  .pkt.quotelen = 1 },
	{ "npt/error-in-quotes-another", IN(NPT_48, EXT, INT), .pkt.l4 = L4_ERROR, .pkt.quoted = &in_as_outside },
	{ "npt/error-no-error-out", OUT(NPT_48, INT, EXT), .pkt.l4 = L4_ERROR, .pkt.type = 128,
	  .pkt.quoted = &in_as_inside },
	{ "npt/error-no-error-in", IN(NPT_48, EXT, INT), .pkt.l4 = L4_ERROR, .pkt.type = 128,
	  .pkt.quoted = &out_as_outside },
	{ "npt/error-fragment-in", IN(NPT_48, EXT, INT), .pkt.ext = "F", .pkt.l4 = L4_RAW, .pkt.payload = 64 },
	{ "npt/error-out-from-untranslated", .in = LAN, .pkt.src = LAN_HOST, .pkt.dst = NPT_HOST, .pkt.l4 = L4_ERROR,
	  .pkt.quoted = &in_as_inside,
	  .want = FORWARD, .out = NPT, .change.quoted = &in_as_outside },
	{ "npt/error-out-tunnel", .in = LAN, .pkt.src = INT_HE1, .pkt.dst = HE1_HOST, .pkt.l4 = L4_ERROR,
	  .pkt.quoted = &he_in_inside,
	  .want = FORWARD, .out = WAN, .npt_out = NPT_HE1, .ep_out = EP_HE1,
	  .change = { .src = EXT_HE1, .osrc = LOCAL4, .odst = HE1_REMOTE, .ottl = 64, .ofrag = IPV4_DF,
	  .quoted = &he_in_outside } },
	{ "npt/error-in-tunnel", .in = WAN, .pkt.osrc = HE1_REMOTE, .pkt.odst = LOCAL4, .pkt.src = HE1_HOST,
	  .pkt.dst = EXT_HE1,
	  .pkt.l4 = L4_ERROR, .pkt.quoted = &he_out_outside, .want = FORWARD, .out = LAN, .npt_in = NPT_HE1,
	  .ep_in = EP_HE1,
	  .change = { .osrc = NO_OUTER, .dst = INT_HE1, .quoted = &he_out_inside } },
	{ "npt/error-in-router", .in = NPT, .pkt.src = NPT_HOST, .pkt.dst = "2001:db8:1:d554::1", .pkt.l4 = L4_ERROR,
	  .pkt.type = 2,
	  .pkt.value = 1280, .pkt.quoted = &router_outside, .want = DELIVER, .npt_in = NPT_48,
	  .change = { .dst = "fd01:203:405:5::1", .quoted = &router_inside } },
	{ "npt/error-plain-out", OUT(NPT_BIN, INT_BIN, EXT_BIN), .pkt.l4 = L4_ERROR, .pkt.quoted = &bin_in_inside,
	  .change.quoted = &bin_in_outside },
	{ "npt/error-plain-in", IN(NPT_BIN, EXT_BIN, INT_BIN), .pkt.l4 = L4_ERROR, .pkt.quoted = &bin_out_outside,
	  .change.quoted = &bin_out_inside },
	{ "npt/error-plain-in-udp", IN(NPT_BIN, EXT_BIN, INT_BIN), .pkt.l4 = L4_ERROR, .pkt.quoted = &bin_udp_outside,
	  .change.quoted = &bin_udp_inside },
	{ "npt/error-plain-in-udp-without-sum", IN(NPT_BIN, EXT_BIN, INT_BIN), .pkt.l4 = L4_ERROR,
	  .pkt.quoted = &bin_unsummed_outside, .change.quoted = &bin_unsummed_inside },
};

#define HAIRPIN \
	.in = LAN, .pkt.src = INT, .pkt.dst = EXT2, .want = FORWARD, .out = LAN, .npt_out = NPT_48, .npt_in = NPT_48, \
	.change.src = EXT, .change.dst = INT2
#define HAIRPIN_ERROR \
	.in = LAN, .pkt.src = INT2, .pkt.dst = EXT, .want = FORWARD, .out = LAN, .npt_out = NPT_48, .npt_in = NPT_48, \
	.change.src = EXT2, .change.dst = INT, .pkt.l4 = L4_ERROR, .pkt.quoted = &hairpin_as_received, \
	  .change.quoted = &hairpin_as_sent

#define HAIRPIN_TO(port, from) \
	.in = port, .pkt.src = from, .pkt.dst = EXT2, .want = FORWARD, .out = LAN, .npt_in = NPT_48, .change.dst = INT2

static int inside_gone(struct env *env)
{
	(void)env;
	return links_run("ip route add unreachable " INT2 "/128");
}

static int inside_back(struct env *env)
{
	(void)env;
	return links_run("ip route del unreachable " INT2 "/128");
}

static const struct test_case hairpin[] = {
	{ "npt/hairpin-udp", HAIRPIN },
	{ "npt/hairpin-tcp", HAIRPIN, .pkt.l4 = L4_TCP },
	{ "npt/hairpin-echo", HAIRPIN, .pkt.l4 = L4_ECHO },
	{ "npt/hairpin-error", HAIRPIN_ERROR },
	{ "npt/hairpin-no-route", .in = LAN, .pkt.src = INT, .pkt.dst = EXT2, .want = ERROR, .reason = FL_DROP_UNREACHABLE,
	  .icmp_type = 1, .icmp_code = 3, .before = inside_gone, .after = inside_back },
	{ "npt/hairpin-no-route-not-internal", .in = LAN, .pkt.src = LAN_HOST, .pkt.dst = EXT2, .want = ERROR,
	  .reason = FL_DROP_UNREACHABLE, .icmp_type = 1, .icmp_code = 3, .before = inside_gone, .after = inside_back },
	{ "npt/hairpin-to-router", .in = LAN, .pkt.src = INT, .pkt.dst = "2001:db8:1:d554::1", .want = DELIVER,
	  .npt_out = NPT_48, .npt_in = NPT_48, .change.src = EXT, .change.dst = "fd01:203:405:5::1" },
	{ "npt/hairpin-not-internal", HAIRPIN_TO(LAN, LAN_HOST) },
	{ "npt/hairpin-not-internal-tcp", HAIRPIN_TO(LAN, LAN_HOST), .pkt.l4 = L4_TCP },
	{ "npt/hairpin-not-internal-vlan", HAIRPIN_TO(VLAN, VLAN_HOST) },
	{ "npt/hairpin-not-internal-behind-a-router", HAIRPIN_TO(LAN, "fd77::1") },
	{ "npt/hairpin-not-internal-no-default", HAIRPIN_TO(UNDER2, "2001:db8:35::10") },
	{ "npt/hairpin-not-internal-plain", .in = LAN, .pkt.src = LAN_HOST, .pkt.dst = "2001:db8:bbbb:9::2",
	  .want = FORWARD, .out = LAN, .npt_in = NPT_BIN, .change.dst = "fd00:aaaa:0:9::2" },
	{ "npt/hairpin-not-internal-to-router", .in = LAN, .pkt.src = LAN_HOST, .pkt.dst = "2001:db8:1:d554::1",
	  .want = DELIVER, .npt_in = NPT_48, .change.dst = "fd01:203:405:5::1" },
	{ "npt/hairpin-not-internal-untranslatable", .in = LAN, .pkt.src = LAN_HOST, .pkt.dst = "2001:db8:1:ffff::1",
	  .want = ERROR, .reason = FL_DROP_NPT_UNTRANSLATABLE, .npt_bad = NPT_48, .icmp_type = 1, .icmp_code = 3 },
	{ "npt/hairpin-not-by-default-route", .in = UNDER2, .pkt.src = "2001:db8:35::10", .pkt.dst = EXT2, .want = FORWARD,
	  .out = UNDER2, .xdp_down = true,
	  .before = default_by_under2, .after = no_default },
	{ "npt/hairpin-not-from-underlay", .in = WAN, .pkt.src = NET_HOST, .pkt.dst = EXT2, .want = DELIVER },
	{ "npt/hairpin-not-from-another-outside", .in = NPT, .pkt.src = NPT_HOST, .pkt.dst = EXT_HE1, .want = DELIVER },
	{ "npt/hairpin-not-from-tunnel", .in = WAN, .pkt.osrc = HE0_REMOTE, .pkt.odst = LOCAL4, .pkt.src = HE_HOST,
	  .pkt.dst = EXT2, .want = DELIVER, .ep_in = EP_HE0, .blame = HE0, .change.osrc = NO_OUTER },
	{ "npt/hairpin-not-with-a-source-from-elsewhere", .in = LAN, .pkt.src = NET_HOST, .pkt.dst = EXT2,
	  .want = DELIVER },
	{ "npt/hairpin-not-with-a-source-from-nowhere", .in = LAN, .pkt.src = "2001:dead::1", .pkt.dst = EXT2,
	  .want = DELIVER },
	{ "npt/hairpin-not-of-our-own-errors", .in = ICMP, .pkt.src = ROUTER, .pkt.dst = EXT2, .pkt.l4 = L4_ERROR,
	  .pkt.quoted = &hairpin_as_sent, .want = DELIVER },
	{ "npt/hairpin-not-of-our-own-errors-by-an-internal-address", .in = ICMP, .pkt.src = "fd01:203:405:5::1",
	  .pkt.dst = EXT2, .pkt.l4 = L4_ERROR, .pkt.quoted = &hairpin_as_sent, .want = DELIVER },
	{ "npt/hairpin-untranslatable-source", .in = LAN, .pkt.src = "fd01:203:405:ffff::1", .pkt.dst = EXT2,
	  .want = ERROR,
	  .reason = FL_DROP_NPT_UNTRANSLATABLE, .npt_bad = NPT_48, .icmp_type = 1, .icmp_code = 5 },
	{ "npt/hairpin-untranslatable-destination", .in = LAN, .pkt.src = INT, .pkt.dst = "2001:db8:1:ffff::1",
	  .want = ERROR,
	  .reason = FL_DROP_NPT_UNTRANSLATABLE, .npt_bad = NPT_48, .icmp_type = 1, .icmp_code = 3 },
	{ "npt/hairpin-plain-udp", .in = LAN, .pkt.src = INT_BIN, .pkt.dst = "2001:db8:bbbb:9::2", .want = FORWARD,
	  .out = LAN,
	  .npt_out = NPT_BIN, .npt_in = NPT_BIN, .change = { .src = EXT_BIN, .dst = "fd00:aaaa:0:9::2" } },
};

static const struct test_case plain[] = {
	{ "npt/plain-out-udp", OUT(NPT_BIN, INT_BIN, EXT_BIN) },
	{ "npt/plain-out-tcp", OUT(NPT_BIN, INT_BIN, EXT_BIN), .pkt.l4 = L4_TCP },
	{ "npt/plain-out-echo", OUT(NPT_BIN, INT_BIN, EXT_BIN), .pkt.l4 = L4_ECHO },
	{ "npt/plain-out-raw", OUT(NPT_BIN, INT_BIN, EXT_BIN), .pkt.l4 = L4_RAW },
	{ "npt/plain-out-odd-length", OUT(NPT_BIN, INT_BIN, EXT_BIN), .pkt.payload = 33 },
	{ "npt/plain-out-udp-without-sum", OUT(NPT_BIN, INT_BIN, EXT_BIN), .pkt.sum = SUM_ZERO },
	{ "npt/plain-out-extension-headers", OUT(NPT_BIN, INT_BIN, EXT_BIN), .pkt.ext = "hdra", .pkt.l4 = L4_TCP },
	{ "npt/plain-out-later-fragment", OUT(NPT_BIN, INT_BIN, EXT_BIN), .pkt.ext = "F", .pkt.l4 = L4_RAW,
	  .pkt.proto = 17 },
	{ "npt/plain-out-fragment-at-2048", OUT(NPT_BIN, INT_BIN, EXT_BIN), .pkt.ext = "G", .pkt.l4 = L4_RAW,
	  .pkt.proto = 17 },
	{ "npt/plain-out-udp-lite", OUT(NPT_BIN, INT_BIN, EXT_BIN), .pkt.proto = 136 },
	{ "npt/plain-out-dccp", OUT(NPT_BIN, INT_BIN, EXT_BIN), .pkt.proto = 33 },
	{ "npt/plain-out-subnet-ffff", OUT(NPT_BIN, "fd00:aaaa:0:ffff::1", "2001:db8:bbbb:ffff::1") },
	{ "npt/plain-out-iid-zeros", OUT(NPT_BIN, "fd00:aaaa:0:7::", "2001:db8:bbbb:7::") },
	{ "npt/plain-in-udp", IN(NPT_BIN, EXT_BIN, INT_BIN) },
	{ "npt/plain-in-tcp", IN(NPT_BIN, EXT_BIN, INT_BIN), .pkt.l4 = L4_TCP },
	{ "npt/plain-in-udp-lite", IN(NPT_BIN, EXT_BIN, INT_BIN), .pkt.proto = 136 },
	{ "npt/plain-in-dccp", IN(NPT_BIN, EXT_BIN, INT_BIN), .pkt.proto = 33 },
	{ "npt/plain-in-router", .in = NPT, .pkt.src = NPT_HOST, .pkt.dst = "2001:db8:bbbb:5::1", .want = DELIVER,
	  .npt_in = NPT_BIN, .change.dst = "fd00:aaaa:0:5::1" },
	{ "npt/plain-in-router-raw", .in = NPT, .pkt.src = NPT_HOST, .pkt.dst = "2001:db8:bbbb:5::1", .pkt.l4 = L4_RAW,
	  .want = DELIVER, .npt_in = NPT_BIN, .change.dst = "fd00:aaaa:0:5::1" },
	{ "npt/plain-in-router-udp-without-sum", .in = NPT, .pkt.src = NPT_HOST, .pkt.dst = "2001:db8:bbbb:5::1",
	  .pkt.sum = SUM_ZERO, .want = DELIVER, .npt_in = NPT_BIN, .change.dst = "fd00:aaaa:0:5::1" },
	{ "npt/plain-in-echo", IN(NPT_BIN, EXT_BIN, INT_BIN), .pkt.l4 = L4_ECHO, .pkt.type = 129 },
};
/* clang-format on */

const struct suite npt_suites[] = { CASES(vectors), CASES(untranslatable), CASES(errors),
				    CASES(hairpin), CASES(plain),	   { 0 } };
