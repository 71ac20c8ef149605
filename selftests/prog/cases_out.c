// SPDX-License-Identifier: GPL-2.0-only
/* tc egress: the guard against the kernel's own forwarding, and the router's own packets. */

#include "selftests/prog/check.h"
#include "selftests/prog/hosts.h"

#define OWN(device, from, to) .own = true, .in = device, .pkt.src = from, .pkt.dst = to
#define BY_KERNEL .extra.ingress_ifindex = 1
#define TAGGED .extra.ingress_ifindex = 1, .extra.tc_index = SKB_TAG
#define INTO_HE0 \
	.want = FORWARD, .out = WAN, .ep_out = EP_HE0, .change.osrc = LOCAL4, .change.odst = HE0_REMOTE, \
	.change.ottl = 255
#define TUN "2001:db8:80::1"

static const struct spec quoted_inside = { .src = NPT_HOST, .dst = "fd01:203:405:5::1" };
static const struct spec quoted_outside = { .src = NPT_HOST, .dst = "2001:db8:1:d554::1" };

/* What the kernel may quote of outer packets: fragments that it put together, for nobody */
static const struct spec outer = { .src = HE0_REMOTE, .dst = LOCAL4, .l4 = L4_RAW, .proto = 41 };
static const struct spec outer_options = { .src = HE0_REMOTE, .dst = LOCAL4, .l4 = L4_RAW, .proto = 41, .ihl = 9 };
static const struct spec outer_stranger = { .src = "203.0.113.99", .dst = LOCAL4, .l4 = L4_RAW, .proto = 41 };
static const struct spec outer_elsewhere = { .src = HE0_REMOTE, .dst = ROUTER4, .l4 = L4_RAW, .proto = 41 };
static const struct spec outgoing = { .src = LOCAL4, .dst = HE0_REMOTE, .l4 = L4_RAW, .proto = 41 };
static const struct spec other = { .src = HE0_REMOTE, .dst = LOCAL4 };

static int block(struct env *env)
{
	env->control.forward = 0;
	return tables_control(env);
}

static int unblock(struct env *env)
{
	env->control.forward = 1;
	return tables_control(env);
}

/* clang-format off */
static const struct test_case guard[] = {
	{ "out/guard-ipv6", OWN(WAN, LAN_HOST, NET_HOST), BY_KERNEL, .want = DROP, .reason = FL_DROP_UNTAGGED },
	{ "out/guard-ipv4", OWN(WAN, LAN_HOST4, NET_HOST4), BY_KERNEL, .want = DROP, .reason = FL_DROP_UNTAGGED },
	{ "out/guard-wrong-tag", OWN(WAN, LAN_HOST, NET_HOST), .extra.ingress_ifindex = 1, .extra.tc_index = 0xfa18,
	  .want = DROP,
	  .reason = FL_DROP_UNTAGGED },
	{ "out/guard-tunnel", OWN(HE0, LAN_HOST, HE_HOST), BY_KERNEL, .want = DROP, .reason = FL_DROP_UNTAGGED },
	{ "out/guard-blocked", OWN(WAN, LAN_HOST, NET_HOST), BY_KERNEL, .want = DROP, .reason = FL_DROP_UNTAGGED,
	  .before = block, .after = unblock },
	{ "out/guard-family-not-ours", OWN(FOUR, LAN_HOST, NET_HOST), BY_KERNEL, .want = PASS },
	{ "out/guard-family-not-ours-ipv4", OWN(NPT, LAN_HOST4, NET_HOST4), BY_KERNEL, .want = PASS },
	{ "out/guard-unknown-port", OWN(STRANGE, LAN_HOST, NET_HOST), BY_KERNEL, .want = PASS },
	{ "out/guard-vlan-in-its-parent", OWN(LAN, LAN_HOST, NET_HOST), .pkt.vid = 200, BY_KERNEL, .want = PASS },
	{ "out/guard-priority-tag", OWN(LAN, LAN_HOST, NET_HOST), .pkt.vid = NIL, BY_KERNEL, .want = DROP,
	  .reason = FL_DROP_UNTAGGED },
	{ "out/tagged-ipv6", OWN(WAN, LAN_HOST, NET_HOST), TAGGED, .want = PASS },
	{ "out/tagged-ipv4", OWN(WAN, LAN_HOST4, NET_HOST4), TAGGED, .want = PASS },
	{ "out/tagged-not-translated-twice", OWN(NPT, "fd01:203:405:1::1", NPT_HOST), TAGGED, .want = PASS },
	{ "out/own-ipv6", OWN(WAN, ROUTER, NET_HOST), .want = PASS },
	{ "out/own-ipv4", OWN(WAN, ROUTER4, NET_HOST4), .want = PASS },
	{ "out/own-while-blocked", OWN(WAN, ROUTER, NET_HOST), .want = PASS, .before = block, .after = unblock },
};

#define SAYS(t, c, what) OWN(WAN, LOCAL4, HE0_REMOTE), .pkt.l4 = L4_ERROR, .pkt.type = t, .pkt.code = c, .pkt.quoted = what
#define SILENCE .want = DROP, .blame = HE0, .reason = FL_DROP_TUNNEL_FRAGMENT

static const struct test_case silence[] = {
	{ "out/silence-protocol-unreachable", SAYS(3, 2, &outer), SILENCE },
	{ "out/silence-host-prohibited", SAYS(3, 10, &outer), SILENCE },
	{ "out/silence-reassembly-time", SAYS(11, 1, &outer), SILENCE },
	{ "out/silence-parameter-problem", SAYS(12, 0, &outer), SILENCE },
	{ "out/silence-quoted-options", SAYS(3, 2, &outer_options), SILENCE },
	{ "out/silence-options", SAYS(3, 2, &outer), .pkt.ihl = 15, SILENCE },
	{ "out/silence-short-quote", SAYS(3, 2, &outer), .pkt.quotelen = 28, SILENCE },
	{ "out/silence-stranger", SAYS(3, 2, &outer_stranger), SILENCE },
	{ "out/silence-while-blocked", SAYS(3, 2, &outer), SILENCE, .before = block, .after = unblock },
	{ "out/silence-where-ipv4-is-the-hosts", .own = true, .in = NPT, .pkt.src = LOCAL4, .pkt.dst = HE0_REMOTE,
	  .pkt.l4 = L4_ERROR, .pkt.code = 2, .pkt.quoted = &outer, SILENCE },
	{ "out/silence-not-of-other-addresses", SAYS(3, 2, &outer_elsewhere), .want = PASS },
	{ "out/silence-not-of-what-leaves", SAYS(3, 2, &outgoing), .want = PASS },
	{ "out/silence-not-of-other-protocols", SAYS(3, 3, &other), .want = PASS },
	{ "out/silence-not-of-echo", SAYS(8, 0, &outer), .want = PASS },
	{ "out/silence-not-of-half-a-quote", SAYS(3, 2, &outer), .pkt.quotelen = 19, .want = PASS },
};

/* A prefix so wide that link-local addresses are in it */
static int translate_wide(struct env *env)
{
	return tables_npt(env, NPT_SWEEP, "f000::", 4, "6000::", 4, FL_NPT_RFC6296, NPT);
}

static int translate_narrow(struct env *env)
{
	return tables_npt_remove(env, NPT_SWEEP);
}

static int inside_strange(struct env *env)
{
	(void)env;
	return links_run("ip route add fd01:203:405:1::1/128 via 2001:db8:50::fe dev strange");
}

static int inside_back(struct env *env)
{
	(void)env;
	return links_run("ip route del fd01:203:405:1::1/128");
}

#define TO_INSIDE .want = FORWARD, .out = LAN, .npt_in = NPT_48, .change.dst = "fd01:203:405:1::1"

static const struct test_case own[] = {
	{ "out/tunnel", OWN(HE0, TUN, HE_HOST), INTO_HE0 },
	{ "out/tunnel-tcp", OWN(HE0, TUN, HE_HOST), .pkt.l4 = L4_TCP, INTO_HE0 },
	{ "out/tunnel-hops-1", OWN(HE0, TUN, HE_HOST), .pkt.hops = 1, INTO_HE0 },
	{ "out/tunnel-traffic-class", OWN(HE0, TUN, HE_HOST), .pkt.tos = 0xb9, INTO_HE0, .change.otos = 0xb9 },
	{ "out/tunnel-multicast", OWN(HE0, "fe80::1", "ff02::1"), .pkt.l4 = L4_ECHO, INTO_HE0 },
	{ "out/tunnel-full", OWN(HE0, TUN, HE_HOST), .pkt.payload = 1480 - 48, INTO_HE0 },
	{ "out/tunnel-too-big", OWN(HE0, TUN, HE_HOST), .pkt.payload = 1481 - 48, .want = ERROR,
	  .reason = FL_DROP_TOO_BIG, .icmp_type = 2, .icmp_value = 1480 },
	{ "out/tunnel-mss", OWN(HE1, "2001:db8:80::3", HE1_HOST), .pkt.l4 = L4_TCP, .pkt.tflags = TCP_SYN,
	  .pkt.opts = "020405b4", .want = FORWARD,
	  .out = WAN, .ep_out = EP_HE1, .change = { .osrc = LOCAL4, .odst = HE1_REMOTE, .ottl = 64, .ofrag = IPV4_DF,
	  .opts = "0204058c" } },
	{ "out/tunnel-translated", OWN(HE1, "fd02:0:0:1::1", HE1_HOST), .want = FORWARD, .out = WAN, .ep_out = EP_HE1,
	  .npt_out = NPT_HE1,
	  .change = { .src = "2001:db8:6:cf44::1", .osrc = LOCAL4, .odst = HE1_REMOTE, .ottl = 64, .ofrag = IPV4_DF } },
	{ "out/tunnel-malformed", OWN(HE0, TUN, HE_HOST), .pkt.plen = 1, .want = DROP, .reason = FL_DROP_MALFORMED },
	{ "out/tunnel-ipv4", OWN(HE0, ROUTER4, NET_HOST4), .want = DROP },
	{ "out/broker", OWN(BK0, "2001:db8:80::2", C3_HOST), .want = FORWARD, .out = WAN, .ep_out = EP_C3,
	  .change = { .osrc = LOCAL4, .odst = C3_REMOTE, .ottl = 77, .otos = 46 << 2, .ofrag = IPV4_DF } },
	{ "out/broker-to-nobody", OWN(BK0, "2001:db8:80::2", "2001:db8:b00f::1"), .want = ERROR,
	  .reason = FL_DROP_UNREACHABLE, .icmp_type = 1, .icmp_code = 3 },
	{ "out/broker-multicast", OWN(BK0, "fe80::1", "ff02::1"), .pkt.l4 = L4_ECHO, .want = DROP },
	{ "out/tunnel-device", OWN(HE0, TUN, HE_HOST), .want = PASS },
	{ "out/translated", OWN(NPT, "fd01:203:405:5::1", NPT_HOST), .want = REWRITE, .npt_out = NPT_48,
	  .change.src = "2001:db8:1:d554::1" },
	{ "out/translated-plain", OWN(NPT, "fd00:aaaa:0:7::1", NPT_HOST), .pkt.l4 = L4_TCP, .want = REWRITE,
	  .npt_out = NPT_BIN, .change.src = "2001:db8:bbbb:7::1" },
	{ "out/translated-error", OWN(NPT, "fd01:203:405:5::1", NPT_HOST), .pkt.l4 = L4_ERROR, .pkt.code = 4,
	  .pkt.quoted = &quoted_inside,
	  .want = REWRITE, .npt_out = NPT_48, .change = { .src = "2001:db8:1:d554::1", .quoted = &quoted_outside } },
	{ "out/not-translated", OWN(NPT, "2001:db8:60::1", NPT_HOST), .want = PASS },
	{ "out/not-translated-link-local", OWN(NPT, "fe80::1", "ff02::1:ff00:1"), .pkt.l4 = L4_ECHO, .pkt.type = 135,
	  .pkt.hops = 255, .want = PASS },
	{ "out/not-translated-link-local-by-a-wide-prefix", OWN(NPT, "fe80::1", "fe80::fe"), .want = PASS,
	  .before = translate_wide, .after = translate_narrow },
	{ "out/not-translated-multicast", OWN(NPT, "fd01:203:405:5::1", "ff0e::1"), .want = PASS },
	{ "out/hairpin", OWN(NPT, "2001:db8:60::1", "2001:db8:1:d550::1"), TO_INSIDE },
	{ "out/hairpin-tcp", OWN(NPT, "2001:db8:60::1", "2001:db8:1:d550::1"), .pkt.l4 = L4_TCP, TO_INSIDE },
	{ "out/hairpin-unfinished", OWN(NPT, "2001:db8:60::1", "2001:db8:1:d550::1"), .pkt.l4 = L4_TCP,
	  .pkt.sum = SUM_UNFINISHED, TO_INSIDE },
	{ "out/hairpin-hops-1", OWN(NPT, "2001:db8:60::1", "2001:db8:1:d550::1"), .pkt.hops = 1, TO_INSIDE },
	{ "out/hairpin-source-too", OWN(NPT, "fd01:203:405:5::1", "2001:db8:1:d550::1"), .npt_out = NPT_48, TO_INSIDE,
	  .change.src = "2001:db8:1:d554::1" },
	{ "out/hairpin-tunnel", OWN(HE1, "2001:db8:80::3", "2001:db8:6:cf44::1"), .want = FORWARD, .out = LAN,
	  .npt_in = NPT_HE1, .change.dst = "fd02:0:0:1::1" },
	{ "out/hairpin-of-another", OWN(HE1, "2001:db8:80::3", "2001:db8:1:d550::1"), TO_INSIDE },
	{ "out/hairpin-plain", OWN(NPT, "2001:db8:60::1", "2001:db8:bbbb:9::2"), .pkt.l4 = L4_TCP, .want = FORWARD,
	  .out = LAN, .npt_in = NPT_BIN, .change.dst = "fd00:aaaa:0:9::2" },
	{ "out/hairpin-to-itself", OWN(NPT, "2001:db8:60::1", "2001:db8:1:d554::1"), .want = PASS },
	{ "out/hairpin-by-a-strange-device", OWN(NPT, "2001:db8:60::1", "2001:db8:1:d550::1"), .want = DROP,
	  .reason = FL_DROP_FOREIGN_EGRESS, .before = inside_strange, .after = inside_back },
	{ "out/hairpin-untranslatable", OWN(NPT, "2001:db8:60::1", "2001:db8:1:ffff::1"), .want = ERROR,
	  .reason = FL_DROP_NPT_UNTRANSLATABLE, .npt_bad = NPT_48, .icmp_type = 1, .icmp_code = 3 },
	{ "out/untranslatable", OWN(NPT, "fd01:203:405:ffff::1", NPT_HOST), .want = ERROR,
	  .reason = FL_DROP_NPT_UNTRANSLATABLE, .npt_bad = NPT_48,
	  .icmp_type = 1, .icmp_code = 5 },
};
/* clang-format on */

const struct suite out_suites[] = { CASES(guard), CASES(silence), CASES(own), { 0 } };
