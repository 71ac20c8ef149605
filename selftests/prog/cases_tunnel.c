// SPDX-License-Identifier: GPL-2.0-only
/* 6in4 (RFC 4213): decapsulation and what it refuses, encapsulation, from one tunnel to another; ECN by RFC 6040. */

#include <bpf/bpf.h>
#include <string.h>

#include "selftests/prog/check.h"
#include "selftests/prog/hosts.h"

#include "xdp.skel.h"

#define FROM_HE0(from, to) .in = WAN, .pkt.osrc = HE0_REMOTE, .pkt.odst = LOCAL4, .pkt.src = from, .pkt.dst = to
#define FROM_C2(from, to) .in = WAN, .pkt.osrc = C2_REMOTE, .pkt.odst = LOCAL4, .pkt.src = from, .pkt.dst = to
#define DECAP FROM_HE0(HE_HOST, LAN_HOST)
#define TO_LAN .want = FORWARD, .out = LAN, .ep_in = EP_HE0, .change.osrc = NO_OUTER
#define TO_HE0(tos) \
	.want = FORWARD, .out = WAN, .ep_out = EP_HE0, .change.osrc = LOCAL4, .change.odst = HE0_REMOTE, \
	.change.ottl = 255, .change.otos = tos
#define THIN4 "192.0.0.33" /* whose MTU is 1400 */
#define FROM_THIN(local) .in = THIN, .pkt.osrc = HE0_REMOTE, .pkt.odst = local, .pkt.src = HE_HOST, .pkt.dst = LAN_HOST
#define TO_BY_THIN(local) \
	.want = FORWARD, .out = THIN, .ep_out = EP_HE0, .change.osrc = local, .change.odst = HE0_REMOTE, \
	.change.ottl = 255
#define REFUSE(why) .want = DROP, .blame = HE0, .reason = FL_DROP_TUNNEL_##why
#define REFUSE_AT_WAN .want = DROP, .reason = FL_DROP_TUNNEL_STRANGER
#define LAN6(to) .in = LAN, .pkt.src = LAN_HOST, .pkt.dst = to
#define FULL_INNER (1480 - 40 - 8)

/* Less than IPv6 and an outer header need */
static int underlay_1200(struct env *env)
{
	return tables_port_mtu(env, WAN, 1200);
}

static int by_wan(struct env *env)
{
	return tables_he0_over_group(env, WAN, NULL);
}

static int by_thin(struct env *env)
{
	return tables_he0_over_group(env, THIN, NULL);
}

static int by_nobody(struct env *env)
{
	return tables_he0_over_group(env, 0, NULL);
}

static int by_thin_from_local(struct env *env)
{
	return tables_he0_over_group(env, THIN, LOCAL4);
}

static int underlay_whole(struct env *env)
{
	return tables_port_mtu(env, WAN, 1500);
}

static int reassemble(struct env *env)
{
	env->control.reassembly_until_ns = ~0ULL;
	return tables_control(env);
}

static int no_reassembly(struct env *env)
{
	env->control.reassembly_until_ns = 0;
	return tables_control(env);
}

static int path_mtu(struct env *env, __u32 ep, __u32 mtu, __u32 expires)
{
	struct fl_endpoint_path path = { .mtu = mtu, .expires_s = expires };

	return bpf_map_update_elem(bpf_map__fd(env->xdp->maps.fl_ep_path), &ep, &path, BPF_ANY);
}

static int path_1400(struct env *env)
{
	return path_mtu(env, EP_HE1, 1400, ~0u);
}

static int path_1280(struct env *env)
{
	return path_mtu(env, EP_HE1, 1280, ~0u);
}

static int path_expired(struct env *env)
{
	return path_mtu(env, EP_HE1, 1280, 1);
}

static int path_forget(struct env *env)
{
	return path_mtu(env, EP_HE1, 0, 0);
}

static int underlay_1400(struct env *env)
{
	return links_run("ip route replace 203.0.113.0/28 via 198.51.100.254 dev wan mtu lock 1400")
		       ?: tables_locked_mtu(env, 1400, true);
}

static int underlay_gone(struct env *env)
{
	(void)env;
	return links_run("ip route replace unreachable 203.0.113.1");
}

static int underlay_unresolved(struct env *env)
{
	(void)env;
	return links_run("ip route replace 203.0.113.1 via 198.51.100.77 dev wan");
}

static int underlay_failed(struct env *env)
{
	return underlay_unresolved(env) ? -1 : tables_failed(env, WAN, "198.51.100.77", 60);
}

static int underlay_asked(struct env *env)
{
	if (!tables_failed_asked(env, WAN, "198.51.100.77"))
		return -1;
	return tables_failed(env, WAN, "198.51.100.77", -1) ? -1 : links_run("ip route del 203.0.113.1");
}

static int underlay_1500(struct env *env)
{
	return links_run("ip route del 203.0.113.0/28") ?: tables_locked_mtu(env, 1400, false);
}

static int underlay_back(struct env *env)
{
	(void)env;
	return links_run("ip route del 203.0.113.1");
}

static int underlay_route_1200(struct env *env)
{
	return links_run("ip route replace 203.0.113.0/28 via 198.51.100.254 dev wan mtu lock 1200")
		       ?: tables_locked_mtu(env, 1200, true);
}

static int underlay_route_whole(struct env *env)
{
	return links_run("ip route del 203.0.113.0/28") ?: tables_locked_mtu(env, 1200, false);
}

/* IPv4 of the underlay is the host's, which does not forward: nobody but the kernel knows the next hop */
static int underlay_of_the_host(struct env *env)
{
	return links_sysctl("ipv4/conf/wan/forwarding", "0") ? -1 : tables_failed(env, WAN, HE_HOST, 60);
}

static int underlay_ours(struct env *env)
{
	return links_sysctl("ipv4/conf/wan/forwarding", "1") ? -1 : tables_failed(env, WAN, HE_HOST, -1);
}

/* clang-format off */
static const struct test_case decap[] = {
	{ "decap/plain", DECAP, TO_LAN },
	{ "decap/tcp", DECAP, .pkt.l4 = L4_TCP, TO_LAN },
	{ "decap/no-payload", DECAP, .pkt.l4 = L4_RAW, .pkt.payload = NIL, TO_LAN },
	{ "decap/full", DECAP, .pkt.payload = FULL_INNER, TO_LAN },
	{ "decap/outer-df", DECAP, .pkt.ofrag = IPV4_DF, TO_LAN },
	{ "decap/outer-tos-not-copied", DECAP, .pkt.otos = 0xb8, .pkt.tos = 0x28, TO_LAN },
	{ "decap/outer-ttl-1", DECAP, .pkt.ottl = 1, TO_LAN },
	{ "decap/inner-hops-2", DECAP, .pkt.hops = 2, TO_LAN },
	{ "decap/inner-hops-1", DECAP, .pkt.hops = 1, .want = ERROR, .blame = HE0, .reason = FL_DROP_TTL,
	  .icmp_type = 3 },
	{ "decap/inner-hops-0", DECAP, .pkt.hops = NIL, .want = ERROR, .blame = HE0, .reason = FL_DROP_TTL,
	  .icmp_type = 3 },
	{ "decap/to-vlan", FROM_HE0(HE_HOST, VLAN_HOST), .want = FORWARD, .out = VLAN, .ep_in = EP_HE0,
	  .change.osrc = NO_OUTER },
	{ "decap/from-unspecified", FROM_HE0("::", "ff02::1:ff00:1"), .want = DELIVER, .ep_in = EP_HE0, .blame = HE0,
	  .change.osrc = NO_OUTER },
	{ "decap/to-router", FROM_HE0(HE_HOST, ROUTER), .want = DELIVER, .ep_in = EP_HE0, .blame = HE0,
	  .change.osrc = NO_OUTER },
	{ "decap/to-router-options", FROM_HE0(HE_HOST, ROUTER), .pkt.oihl = 15, .want = DELIVER, .ep_in = EP_HE0,
	  .blame = HE0,
	  .change.osrc = NO_OUTER },
	{ "decap/to-router-ce", FROM_HE0(HE_HOST, ROUTER), .pkt.otos = 3, .pkt.tos = 2, .want = DELIVER,
	  .ep_in = EP_HE0, .blame = HE0,
	  .change = { .osrc = NO_OUTER, .tos = 3 } },
	{ "decap/neighbour-solicitation", FROM_HE0("fe80::1", "ff02::1:ff00:1"), .pkt.hops = 255, .pkt.l4 = L4_ECHO,
	  .pkt.type = 135,
	  .want = DELIVER, .ep_in = EP_HE0, .blame = HE0, .change.osrc = NO_OUTER },
	{ "decap/no-route", FROM_HE0(HE_HOST, "2001:dead::1"), .want = DELIVER, .ep_in = EP_HE0, .blame = HE0,
	  .change.osrc = NO_OUTER },
	{ "decap/ihl-6", DECAP, .pkt.oihl = 6, TO_LAN },
	{ "decap/ihl-7", DECAP, .pkt.oihl = 7, TO_LAN },
	{ "decap/ihl-8", DECAP, .pkt.oihl = 8, TO_LAN },
	{ "decap/ihl-9", DECAP, .pkt.oihl = 9, TO_LAN },
	{ "decap/ihl-10", DECAP, .pkt.oihl = 10, TO_LAN },
	{ "decap/ihl-11", DECAP, .pkt.oihl = 11, TO_LAN },
	{ "decap/ihl-12", DECAP, .pkt.oihl = 12, TO_LAN },
	{ "decap/ihl-13", DECAP, .pkt.oihl = 13, TO_LAN },
	{ "decap/ihl-14", DECAP, .pkt.oihl = 14, TO_LAN },
	{ "decap/ihl-15", DECAP, .pkt.oihl = 15, TO_LAN },
	{ "decap/padded-outer", DECAP, .pkt.trailer = 7, .pkt.olen = 7, TO_LAN },
	{ "decap/padded-frame", DECAP, .pkt.trailer = 7, TO_LAN },
	{ "decap/extension-headers", DECAP, .pkt.ext = "hdra", TO_LAN },
	{ "decap/inner-fragment", DECAP, .pkt.ext = "F", TO_LAN },
	{ "decap/priority-tag", DECAP, .pkt.vid = NIL, TO_LAN },
	{ "decap/unfinished-checksum", DECAP, .pkt.sum = SUM_UNFINISHED, .xdp_down = true, TO_LAN },
	{ "decap/not-enough-for-xdp-egress", FROM_HE0(HE_HOST, "2001:db8:31::10"), .want = FORWARD, .out = NOXMIT,
	  .native_down = true, .ep_in = EP_HE0, .change.osrc = NO_OUTER },
};

static const struct test_case refused[] = {
	{ "refuse/stranger", .in = WAN, .pkt.osrc = "203.0.113.99", .pkt.odst = LOCAL4, .pkt.src = HE_HOST,
	  .pkt.dst = LAN_HOST, REFUSE(STRANGER) },
	{ "refuse/stranger-fragment", .in = WAN, .pkt.osrc = "203.0.113.99", .pkt.odst = LOCAL4, .pkt.ofrag = IPV4_MF,
	  .pkt.src = HE_HOST,
	  .pkt.dst = LAN_HOST, REFUSE(STRANGER) },
	{ "refuse/wrong-underlay", .in = UNDER2, .pkt.osrc = HE0_REMOTE, .pkt.odst = LOCAL4, .pkt.src = HE_HOST,
	  .pkt.dst = LAN_HOST, REFUSE(UNDERLAY) },
	{ "refuse/wrong-underlay-without-ipv4", .in = NPT, .pkt.osrc = HE0_REMOTE, .pkt.odst = LOCAL4,
	  .pkt.src = HE_HOST, .pkt.dst = LAN_HOST,
	  REFUSE(UNDERLAY) },
	{ "refuse/outer-fragment", DECAP, .pkt.ofrag = IPV4_MF, .xdp_down = true, REFUSE(FRAGMENT) },
	{ "refuse/outer-last-fragment", DECAP, .pkt.ofrag = 100, .xdp_down = true, REFUSE(FRAGMENT) },
	{ "refuse/outer-fragment-for-daemon", DECAP, .pkt.ofrag = IPV4_MF, .want = PASS, .before = reassemble,
	  .after = no_reassembly },
	{ "refuse/outer-last-fragment-for-daemon", DECAP, .pkt.ofrag = 100, .want = PASS, .before = reassemble,
	  .after = no_reassembly },
	{ "refuse/outer-bad-sum", DECAP, .pkt.obad = 0x0100, .want = DROP, .reason = FL_DROP_MALFORMED },
	{ "refuse/outer-options-bad-sum", DECAP, .pkt.oihl = 9, .pkt.obad = 0x0100, .want = DROP,
	  .reason = FL_DROP_MALFORMED },
	{ "refuse/outer-longer-than-frame", DECAP, .pkt.olen = 1, .want = DROP, .reason = FL_DROP_MALFORMED },
	{ "refuse/outer-shorter-than-inner", DECAP, .pkt.olen = -2, REFUSE(INNER) },
	{ "refuse/outer-with-options-shorter-than-inner", DECAP, .pkt.oihl = 8, .pkt.olen = -2, REFUSE(INNER) },
	{ "refuse/outer-shorter-than-inner-header", DECAP, .pkt.l4 = L4_RAW, .pkt.payload = NIL, .pkt.olen = -2,
	  REFUSE(INNER) },
	{ "refuse/outer-empty", DECAP, .pkt.olen = -80, REFUSE(INNER) },
	{ "refuse/inner-longer-than-outer", DECAP, .pkt.plen = 1, REFUSE(INNER) },
	{ "refuse/inner-version-4", DECAP, .pkt.version = 4, REFUSE(INNER) },
	{ "refuse/inner-version-5", DECAP, .pkt.version = 5, REFUSE(INNER) },
	{ "refuse/inner-ipv4", .in = WAN, .pkt.osrc = HE0_REMOTE, .pkt.odst = LOCAL4, .pkt.src = LAN_HOST4,
	  .pkt.dst = NET_HOST4, REFUSE(INNER) },
	{ "refuse/inner-too-many-extension-headers", DECAP, .pkt.ext = "hdraddddd", REFUSE(INNER) },
	{ "refuse/inner-source-route", DECAP, .pkt.ext = "R", REFUSE(INNER) },
	{ "refuse/source-multicast", FROM_HE0("ff02::1", LAN_HOST), REFUSE(SOURCE) },
	{ "refuse/source-multicast-global", FROM_HE0("ff0e::1", LAN_HOST), REFUSE(SOURCE) },
	{ "refuse/source-loopback", FROM_HE0("::1", LAN_HOST), REFUSE(SOURCE) },
	{ "refuse/source-compatible", FROM_HE0("::192.0.2.1", LAN_HOST), REFUSE(SOURCE) },
	{ "refuse/source-compatible-low", FROM_HE0("::2", LAN_HOST), REFUSE(SOURCE) },
	{ "refuse/source-mapped", FROM_HE0("::ffff:192.0.2.1", LAN_HOST), REFUSE(SOURCE) },
	{ "refuse/source-mapped-zero", FROM_HE0("::ffff:0:0", LAN_HOST), REFUSE(SOURCE) },
	{ "refuse/source-forbidden-to-router", FROM_HE0("::ffff:192.0.2.1", ROUTER), REFUSE(SOURCE) },
	{ "refuse/source-not-quite-compatible", FROM_HE0("::1:0:1", LAN_HOST), TO_LAN },
	{ "refuse/source-unspecified-not-forwarded", FROM_HE0("::", LAN_HOST), .want = DROP, .blame = HE0,
	  .reason = FL_DROP_SCOPE },
	{ "refuse/source-link-local-not-forwarded", FROM_HE0("fe80::1", LAN_HOST), .want = DROP, .blame = HE0,
	  .reason = FL_DROP_SCOPE },
	{ "refuse/back-where-it-came-from", FROM_HE0(HE_HOST, "2001:db8:2000::2"), .want = ERROR, .blame = HE0,
	  .reason = FL_DROP_P2P_LOOP, .icmp_type = 1, .icmp_code = 3 },
	{ "refuse/not-protocol-41", .in = WAN, .pkt.src = HE0_REMOTE, .pkt.dst = LOCAL4, .pkt.l4 = L4_RAW,
	  .pkt.proto = 47, .want = DELIVER },
	{ "refuse/in-broadcast-frame", DECAP, .to = TO_ALL, .xdp_down = true, .want = DROP, .blame = HE0,
	  .reason = FL_DROP_MARTIAN },
	{ "refuse/in-multicast-frame", DECAP, .to = TO_GROUP, .xdp_down = true, .want = DROP, .blame = HE0,
	  .reason = FL_DROP_MARTIAN },
	{ "refuse/fragment-in-broadcast-frame", DECAP, .pkt.ofrag = IPV4_MF, .to = TO_ALL, .xdp_down = true, .want = DROP,
	  .blame = HE0, .reason = FL_DROP_MARTIAN, .before = reassemble, .after = no_reassembly },
	{ "refuse/in-broadcast-frame-without-ipv4", .in = NPT, .pkt.osrc = HE0_REMOTE, .pkt.odst = LOCAL4,
	  .pkt.src = HE_HOST, .pkt.dst = LAN_HOST, .to = TO_ALL, .xdp_down = true, .want = DROP,
	  .blame = HE0, .reason = FL_DROP_MARTIAN },
	{ "refuse/in-broadcast-frame-of-unknown-vlan", DECAP, .pkt.vid = 200, .to = TO_ALL, .want = PASS },
	{ "refuse/broadcast-frame-of-no-tunnel", .in = WAN, .pkt.osrc = HE0_REMOTE, .pkt.odst = ROUTER4, .pkt.src = HE_HOST,
	  .pkt.dst = LAN_HOST, .to = TO_ALL, .want = PASS },
	{ "refuse/broadcast-frame-of-no-protocol-41", .in = WAN, .pkt.src = HE0_REMOTE, .pkt.dst = LOCAL4, .to = TO_ALL,
	  .want = PASS },
	{ "refuse/to-broadcast", .in = WAN, .pkt.osrc = HE0_REMOTE, .pkt.odst = "198.51.100.255", .pkt.src = HE_HOST,
	  .pkt.dst = LAN_HOST, .xdp_down = true, REFUSE_AT_WAN },
	{ "refuse/to-broadcast-everywhere", .in = WAN, .pkt.osrc = HE0_REMOTE, .pkt.odst = "255.255.255.255", .to = TO_ALL,
	  .pkt.src = HE_HOST, .pkt.dst = LAN_HOST, .want = PASS },
	{ "refuse/to-multicast", .in = WAN, .pkt.osrc = HE0_REMOTE, .pkt.odst = "224.0.0.1", .pkt.src = HE_HOST,
	  .pkt.dst = LAN_HOST, .xdp_down = true, REFUSE_AT_WAN },
	{ "refuse/ce-not-ect", DECAP, .pkt.otos = 3, REFUSE(ECN) },
};

static const struct test_case encap[] = {
	{ "encap/plain", LAN6(HE_HOST), TO_HE0(0) },
	{ "encap/tcp", LAN6(HE_HOST), .pkt.l4 = L4_TCP, TO_HE0(0) },
	{ "encap/from-vlan", .in = VLAN, .pkt.src = VLAN_HOST, .pkt.dst = HE_HOST, TO_HE0(0) },
	{ "encap/padded", LAN6(HE_HOST), .pkt.trailer = 9, TO_HE0(0) },
	{ "encap/odd-length", LAN6(HE_HOST), .pkt.payload = 31, TO_HE0(0) },
	{ "encap/full", LAN6(HE_HOST), .pkt.payload = FULL_INNER, TO_HE0(0) },
	{ "encap/full-and-1", LAN6(HE_HOST), .pkt.payload = FULL_INNER + 1, .want = ERROR, .reason = FL_DROP_TOO_BIG,
	  .icmp_type = 2, .icmp_value = 1480 },
	{ "encap/hops-2", LAN6(HE_HOST), .pkt.hops = 2, TO_HE0(0) },
	{ "encap/hops-1", LAN6(HE_HOST), .pkt.hops = 1, .want = ERROR, .reason = FL_DROP_TTL, .icmp_type = 3 },
	{ "encap/traffic-class-copied", LAN6(HE_HOST), .pkt.tos = 0xbb, TO_HE0(0xbb) },
	{ "encap/dscp-fixed", LAN6(C3_HOST), .pkt.tos = 0x29, .want = FORWARD, .out = WAN, .ep_out = EP_C3,
	  .change = { .osrc = LOCAL4, .odst = C3_REMOTE, .ottl = 77, .otos = 46 << 2 | 1, .ofrag = IPV4_DF } },
	{ "encap/dscp-fixed-0", LAN6(DYN_HOST), .pkt.tos = 0xb8 | 2, .want = FORWARD, .out = WAN, .ep_out = EP_DYN0,
	  .change = { .osrc = LOCAL4, .odst = DYN0_REMOTE, .ottl = 64, .otos = 2 } },
	{ "encap/dynamic-1280-without-df", LAN6(DYN_HOST), .pkt.payload = 1280 - 48, .want = FORWARD, .out = WAN,
	  .ep_out = EP_DYN0,
	  .change = { .osrc = LOCAL4, .odst = DYN0_REMOTE, .ottl = 64 } },
	{ "encap/dynamic-1280-and-1", LAN6(DYN_HOST), .pkt.payload = 1281 - 48, .want = ERROR,
	  .reason = FL_DROP_TOO_BIG,
	  .icmp_type = 2, .icmp_value = 1280 },
	{ "encap/dynamic-with-df", LAN6(HE1_HOST), .pkt.payload = FULL_INNER, .want = FORWARD, .out = WAN,
	  .ep_out = EP_HE1,
	  .change = { .osrc = LOCAL4, .odst = HE1_REMOTE, .ottl = 64, .ofrag = IPV4_DF } },
	{ "encap/path-1400", LAN6(HE1_HOST), .pkt.payload = 1400 - 48, .want = FORWARD, .out = WAN, .ep_out = EP_HE1,
	  .change = { .osrc = LOCAL4, .odst = HE1_REMOTE, .ottl = 64, .ofrag = IPV4_DF }, .before = path_1400,
	  .after = path_forget },
	{ "encap/path-1400-and-1", LAN6(HE1_HOST), .pkt.payload = 1401 - 48, .want = ERROR, .reason = FL_DROP_TOO_BIG,
	  .icmp_type = 2, .icmp_value = 1400, .before = path_1400, .after = path_forget },
	{ "encap/path-1280-without-df", LAN6(HE1_HOST), .pkt.payload = 1280 - 48, .want = FORWARD, .out = WAN,
	  .ep_out = EP_HE1,
	  .change = { .osrc = LOCAL4, .odst = HE1_REMOTE, .ottl = 64 }, .before = path_1280, .after = path_forget },
	{ "encap/path-expired", LAN6(HE1_HOST), .pkt.payload = FULL_INNER, .want = FORWARD, .out = WAN,
	  .ep_out = EP_HE1,
	  .change = { .osrc = LOCAL4, .odst = HE1_REMOTE, .ottl = 64, .ofrag = IPV4_DF }, .before = path_expired,
	  .after = path_forget },
	{ "group/out", LAN6(HE_HOST), TO_HE0(0), .before = by_wan, .after = tables_he0_as_it_was },
	{ "group/out-by-the-other", LAN6(HE_HOST), TO_BY_THIN(THIN4), .before = by_thin, .after = tables_he0_as_it_was },
	{ "group/out-mtu", LAN6(HE_HOST), .pkt.payload = 1380 - 48, TO_BY_THIN(THIN4), .before = by_thin,
	  .after = tables_he0_as_it_was },
	{ "group/out-too-big", LAN6(HE_HOST), .pkt.payload = 1381 - 48, .want = ERROR, .reason = FL_DROP_TOO_BIG,
	  .icmp_type = 2, .icmp_value = 1380, .before = by_thin, .after = tables_he0_as_it_was },
	{ "group/out-from-a-given-address", LAN6(HE_HOST), TO_BY_THIN(LOCAL4), .before = by_thin_from_local,
	  .after = tables_he0_as_it_was },
	{ "group/out-by-nobody", LAN6(HE_HOST), .want = ERROR, .reason = FL_DROP_NO_UNDERLAY, .blame = HE0, .icmp_type = 1, .icmp_code = 3,
	  .before = by_nobody, .after = tables_he0_as_it_was },
	{ "group/in", DECAP, TO_LAN, .before = by_thin, .after = tables_he0_as_it_was },
	{ "group/in-by-the-other", FROM_THIN(THIN4), TO_LAN, .before = by_wan, .after = tables_he0_as_it_was },
	{ "group/in-while-nobody-carries", DECAP, TO_LAN, .before = by_nobody, .after = tables_he0_as_it_was },
	{ "group/in-to-a-given-address", FROM_THIN(LOCAL4), TO_LAN, .before = by_thin_from_local,
	  .after = tables_he0_as_it_was },
	{ "group/in-to-the-other's-address", FROM_THIN(LOCAL4), REFUSE(UNDERLAY), .before = by_thin,
	  .after = tables_he0_as_it_was },
	{ "group/in-by-no-member", .in = UNDER2, .pkt.osrc = HE0_REMOTE, .pkt.odst = LOCAL4, .pkt.src = HE_HOST,
	  .pkt.dst = LAN_HOST, REFUSE(UNDERLAY), .before = by_thin, .after = tables_he0_as_it_was },
	{ "encap/underlay-mtu-1400", LAN6(HE_HOST), .pkt.payload = 1380 - 48, TO_HE0(0), .before = underlay_1400,
	  .after = underlay_1500 },
	{ "encap/underlay-mtu-1400-set-mtu", LAN6(HE_HOST), .pkt.payload = 1480 - 48, TO_HE0(0), .before = underlay_1400,
	  .after = underlay_1500 },
	{ "encap/underlay-mtu-1400-and-1", LAN6(HE1_HOST), .pkt.payload = 1381 - 48, .want = ERROR,
	  .reason = FL_DROP_TOO_BIG,
	  .icmp_type = 2, .icmp_value = 1380, .before = underlay_1400, .after = underlay_1500 },
	{ "encap/underlay-mtu-1200", LAN6(HE_HOST), .pkt.payload = 1180 - 48, TO_HE0(0), .before = underlay_1200,
	  .after = underlay_whole },
	{ "encap/underlay-mtu-1200-and-1", LAN6(HE_HOST), .pkt.payload = 1181 - 48, .want = DROP,
	  .reason = FL_DROP_TUNNEL_FAILED, .blame = HE0, .before = underlay_1200, .after = underlay_whole },
	{ "encap/underlay-mtu-1200-ipv6-least", LAN6(HE1_HOST), .pkt.payload = 1280 - 48, .want = DROP,
	  .reason = FL_DROP_TUNNEL_FAILED, .blame = HE1, .before = underlay_1200, .after = underlay_whole },
	{ "encap/underlay-mtu-1200-more", LAN6(HE1_HOST), .pkt.payload = 1281 - 48, .want = ERROR,
	  .reason = FL_DROP_TOO_BIG, .icmp_type = 2, .icmp_value = 1280, .before = underlay_1200, .after = underlay_whole },
	{ "encap/underlay-route-mtu-1200", LAN6(HE1_HOST), .pkt.payload = 1280 - 48, .want = FORWARD, .out = WAN,
	  .ep_out = EP_HE1, .change = { .osrc = LOCAL4, .odst = HE1_REMOTE, .ottl = 64 }, .before = underlay_route_1200,
	  .after = underlay_route_whole },
	{ "encap/underlay-of-the-host", LAN6(HE_HOST), .xdp_down = true, TO_HE0(0), .before = underlay_of_the_host,
	  .after = underlay_ours },
	{ "encap/no-underlay", LAN6(HE_HOST), .want = ERROR, .reason = FL_DROP_NO_UNDERLAY, .blame = HE0, .icmp_type = 1,
	  .icmp_code = 3, .before = underlay_gone,
	  .after = underlay_back },
	{ "encap/underlay-unresolved", LAN6(HE_HOST), .pkt.payload = FULL_INNER, .xdp_down = true, TO_HE0(0),
	  .before = underlay_unresolved, .after = underlay_back },
	{ "encap/underlay-unresolved-too-big", LAN6(HE_HOST), .pkt.payload = FULL_INNER + 1, .want = ERROR,
	  .reason = FL_DROP_TOO_BIG,
	  .icmp_type = 2, .icmp_value = 1480, .before = underlay_unresolved, .after = underlay_back },
	{ "encap/underlay-failed", LAN6(HE_HOST), .want = ERROR, .reason = FL_DROP_UNREACHABLE, .icmp_type = 1,
	  .icmp_code = 3, .before = underlay_failed, .after = underlay_asked },
	{ "encap/underlay-failed-own", .own = true, .in = HE0, .pkt.src = "2001:db8:80::1", .pkt.dst = HE_HOST,
	  .want = ERROR, .reason = FL_DROP_UNREACHABLE, .icmp_type = 1, .icmp_code = 3, .before = underlay_failed,
	  .after = underlay_asked },
	{ "encap/underlay-failed-own-multicast", .own = true, .in = HE0, .pkt.src = "fe80::1", .pkt.dst = "ff02::1",
	  .want = ERROR, .reason = FL_DROP_UNREACHABLE, .icmp_type = 1, .icmp_code = 3, .unanswered = true,
	  .before = underlay_failed, .after = underlay_asked },
	{ "encap/underlay-failed-own-from-multicast", .own = true, .in = HE0, .pkt.src = "ff02::1", .pkt.dst = HE_HOST,
	  .want = ERROR, .reason = FL_DROP_UNREACHABLE, .icmp_type = 1, .icmp_code = 3, .unanswered = true,
	  .before = underlay_failed, .after = underlay_asked },
	{ "encap/underlay-failed-own-from-nobody", .own = true, .in = HE0, .pkt.src = "::", .pkt.dst = HE_HOST,
	  .want = ERROR, .reason = FL_DROP_UNREACHABLE, .icmp_type = 1, .icmp_code = 3, .unanswered = true,
	  .before = underlay_failed, .after = underlay_asked },
	{ "encap/own-multicast-too-big", .own = true, .in = HE0, .pkt.src = "2001:db8:80::1", .pkt.dst = "ff0e::1",
	  .pkt.payload = FULL_INNER + 1, .want = ERROR, .reason = FL_DROP_TOO_BIG, .icmp_type = 2, .icmp_value = 1480 },
	{ "encap/unfinished-checksum", LAN6(HE_HOST), .pkt.l4 = L4_TCP, .pkt.sum = SUM_UNFINISHED, .xdp_down = true,
	  TO_HE0(0) },
};

static const struct test_case broker[] = {
	{ "broker/in", FROM_C2(C2_HOST, LAN_HOST), .want = FORWARD, .out = LAN, .ep_in = EP_C2,
	  .change.osrc = NO_OUTER },
	{ "broker/in-second-prefix", FROM_C2("2001:db8:b00a:5::9", LAN_HOST), .want = FORWARD, .out = LAN,
	  .ep_in = EP_C2, .change.osrc = NO_OUTER },
	{ "broker/foreign-source", FROM_C2(NET_HOST, LAN_HOST), .want = DROP, .blame = BK0,
	  .reason = FL_DROP_TUNNEL_CLIENT },
	{ "broker/another-clients-source", FROM_C2(C3_HOST, LAN_HOST), .want = DROP, .blame = BK0,
	  .reason = FL_DROP_TUNNEL_CLIENT },
	{ "broker/source-beside-prefix", FROM_C2("2001:db8:b00a:6::9", LAN_HOST), .want = DROP, .blame = BK0,
	  .reason = FL_DROP_TUNNEL_CLIENT },
	{ "broker/foreign-source-to-router", FROM_C2(NET_HOST, ROUTER), .want = DROP, .blame = BK0,
	  .reason = FL_DROP_TUNNEL_CLIENT },
	{ "broker/another-clients-link-local", FROM_C2("fe80::3", "fe80::1"), .want = DROP, .blame = BK0,
	  .reason = FL_DROP_TUNNEL_CLIENT },
	{ "broker/link-local-to-router", FROM_C2("fe80::2", "fe80::1"), .want = DELIVER, .ep_in = EP_C2, .blame = BK0,
	  .change.osrc = NO_OUTER },
	{ "broker/to-router", FROM_C2(C2_HOST, ROUTER), .want = DELIVER, .ep_in = EP_C2, .blame = BK0,
	  .change.osrc = NO_OUTER },
	{ "broker/out", LAN6(C2_HOST), .want = FORWARD, .out = WAN, .ep_out = EP_C2,
	  .change = { .osrc = LOCAL4, .odst = C2_REMOTE, .ottl = 64 } },
	{ "broker/out-to-nobody", LAN6("2001:db8:b00f::1"), .want = ERROR, .reason = FL_DROP_UNREACHABLE,
	  .icmp_type = 1, .icmp_code = 3 },
	{ "broker/client-to-client", FROM_C2(C2_HOST, C3_HOST), .pkt.otos = 0x81, .pkt.tos = 0x2a, .want = FORWARD,
	  .out = WAN,
	  .ep_in = EP_C2, .ep_out = EP_C3, .change = { .osrc = LOCAL4, .odst = C3_REMOTE, .ottl = 77, .tos = 0x29,
	  .otos = 46 << 2 | 1, .ofrag = IPV4_DF } },
	{ "broker/client-to-client-options", FROM_C2(C2_HOST, C3_HOST), .pkt.oihl = 11, .want = FORWARD, .out = WAN,
	  .ep_in = EP_C2,
	  .ep_out = EP_C3, .change = { .osrc = LOCAL4, .odst = C3_REMOTE, .ottl = 77, .oihl = 5, .otos = 46 << 2,
	  .ofrag = IPV4_DF } },
	{ "broker/client-to-client-padded", FROM_C2(C2_HOST, C3_HOST), .pkt.trailer = 12, .pkt.olen = 12,
	  .want = FORWARD, .out = WAN,
	  .ep_in = EP_C2, .ep_out = EP_C3, .change = { .osrc = LOCAL4, .odst = C3_REMOTE, .ottl = 77, .olen = NIL,
	  .otos = 46 << 2, .ofrag = IPV4_DF } },
	{ "broker/client-to-itself", FROM_C2(C2_HOST, "2001:db8:b00a:5::1"), .want = ERROR, .blame = BK0,
	  .reason = FL_DROP_P2P_LOOP,
	  .icmp_type = 1, .icmp_code = 3 },
	{ "broker/client-to-nobody", FROM_C2(C2_HOST, "2001:db8:b00f::1"), .want = ERROR, .blame = BK0,
	  .reason = FL_DROP_UNREACHABLE,
	  .icmp_type = 1, .icmp_code = 3 },
	{ "broker/client-to-tunnel", FROM_C2(C2_HOST, HE_HOST), .want = FORWARD, .out = WAN, .ep_in = EP_C2,
	  .ep_out = EP_HE0,
	  .change = { .osrc = LOCAL4, .odst = HE0_REMOTE, .ottl = 255 } },
	{ "broker/tunnel-to-client", FROM_HE0(HE_HOST, C2_HOST), .want = FORWARD, .out = WAN, .ep_in = EP_HE0,
	  .ep_out = EP_C2,
	  .change = { .osrc = LOCAL4, .odst = C2_REMOTE, .ottl = 64 } },
	{ "broker/tunnel-to-client-hops-1", FROM_HE0(HE_HOST, C2_HOST), .pkt.hops = 1, .want = ERROR, .blame = HE0,
	  .reason = FL_DROP_TTL, .icmp_type = 3 },
	{ "broker/tunnel-to-tunnel-too-big", FROM_HE0(HE_HOST, DYN_HOST), .pkt.payload = 1281 - 48, .want = ERROR,
	  .blame = HE0,
	  .reason = FL_DROP_TOO_BIG, .icmp_type = 2, .icmp_value = 1280 },
	{ "broker/tunnel-to-tunnel-options-too-big", FROM_HE0(HE_HOST, DYN_HOST), .pkt.oihl = 13,
	  .pkt.payload = 1281 - 48, .want = ERROR,
	  .blame = HE0, .reason = FL_DROP_TOO_BIG, .icmp_type = 2, .icmp_value = 1280 },
};

/* RFC 6040 4.2, figure 4, all of it; and that a packet that goes on into another tunnel carries the result (4.1) */
#define ECN(o, i, result) \
	{ "ecn/decap-" #o "-" #i, DECAP, .pkt.otos = 0xa0 | (o), .pkt.tos = 0x40 | (i), TO_LAN, \
	  .change.tos = 0x40 | (result) }, \
	{ "ecn/decap-encap-" #o "-" #i, FROM_HE0(HE_HOST, C2_HOST), .pkt.otos = 0xa0 | (o), .pkt.tos = 0x40 | (i), \
	  .want = FORWARD, .out = WAN, .ep_in = EP_HE0, .ep_out = EP_C2, \
	  .change = { .osrc = LOCAL4, .odst = C2_REMOTE, .ottl = 64, .otos = 0x40 | (result), .tos = 0x40 | (result) } }
#define ECN_DROP(o, i) \
	{ "ecn/decap-" #o "-" #i, DECAP, .pkt.otos = 0xa0 | (o), .pkt.tos = 0x40 | (i), REFUSE(ECN) }, \
	{ "ecn/decap-to-router-" #o "-" #i, FROM_HE0(HE_HOST, ROUTER), .pkt.otos = 0xa0 | (o), \
	  .pkt.tos = 0x40 | (i), REFUSE(ECN) }
#define ECN_OUT(i) { "ecn/encap-" #i, LAN6(HE_HOST), .pkt.tos = 0x48 | (i), TO_HE0(0x48 | (i)) }

enum { NOT, ECT1, ECT0, CE };

static const struct test_case ecn[] = {
	ECN(NOT, NOT, NOT), ECN(NOT, ECT0, ECT0), ECN(NOT, ECT1, ECT1), ECN(NOT, CE, CE),
	ECN(ECT0, NOT, NOT), ECN(ECT0, ECT0, ECT0), ECN(ECT0, ECT1, ECT1), ECN(ECT0, CE, CE),
	ECN(ECT1, NOT, NOT), ECN(ECT1, ECT0, ECT1), ECN(ECT1, ECT1, ECT1), ECN(ECT1, CE, CE),
	ECN_DROP(CE, NOT), ECN(CE, ECT0, CE), ECN(CE, ECT1, CE), ECN(CE, CE, CE),
	ECN_OUT(NOT), ECN_OUT(ECT0), ECN_OUT(ECT1), ECN_OUT(CE),
};
/* clang-format on */

const struct suite tunnel_suites[] = { CASES(decap), CASES(refused), CASES(encap), CASES(broker), CASES(ecn), { 0 } };
