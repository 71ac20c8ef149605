// SPDX-License-Identifier: GPL-2.0-only
/* Plain forwarding: headers, limits, what is not forwarded, and what is not fairlead's. */

#include <errno.h>

#include "selftests/prog/check.h"
#include "selftests/prog/hosts.h"

#define LAN6(to) .in = LAN, .pkt.src = LAN_HOST, .pkt.dst = to
#define LAN4(to) .in = LAN, .pkt.src = LAN_HOST4, .pkt.dst = to
#define FROM6(from) .in = LAN, .pkt.src = from, .pkt.dst = NET_HOST
#define FROM4(from) .in = LAN, .pkt.src = from, .pkt.dst = NET_HOST4
#define TO_WAN .want = FORWARD, .out = WAN

/* UDP payloads that make a packet as long as the MTU */
#define FULL6 (1500 - 40 - 8)
#define FULL4 (1500 - 20 - 8)
#define THIN6 (1400 - 40 - 8)
#define THIN4 (1400 - 20 - 8)

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

static int forwarding_off(struct env *env)
{
	(void)env;
	return links_sysctl("ipv6/conf/lan/forwarding", "0") ? -1 : links_sysctl("ipv4/conf/lan/forwarding", "0");
}

static int forwarding_on(struct env *env)
{
	(void)env;
	return links_sysctl("ipv6/conf/lan/forwarding", "1") ? -1 : links_sysctl("ipv4/conf/lan/forwarding", "1");
}

static int antispoof(struct env *env)
{
	return tables_port_flags(env, LAN, FL_PORT_ANTISPOOF, 0);
}

static int no_antispoof(struct env *env)
{
	return tables_port_flags(env, LAN, 0, FL_PORT_ANTISPOOF);
}

#define DEAD "2001:db8:20::99"
#define DEAD4 "198.51.100.99"

static int dead(struct env *env)
{
	return tables_failed(env, WAN, DEAD, 60);
}

static int dead_and_asked(struct env *env)
{
	return tables_failed_asked(env, WAN, DEAD) ? tables_failed(env, WAN, DEAD, -1) : -1;
}

static int dead_not_asked(struct env *env)
{
	return tables_failed_asked(env, WAN, DEAD) ? -1 : tables_failed(env, WAN, DEAD, -1);
}

static int dead4(struct env *env)
{
	return tables_failed(env, WAN, DEAD4, 60);
}

static int dead4_and_asked(struct env *env)
{
	return tables_failed_asked(env, WAN, DEAD4) ? tables_failed(env, WAN, DEAD4, -1) : -1;
}

static int dead_once(struct env *env)
{
	return tables_failed(env, WAN, DEAD, 0);
}

static int dead_elsewhere(struct env *env)
{
	return tables_failed(env, LAN, DEAD, 60);
}

static int dead_elsewhere_not_asked(struct env *env)
{
	return tables_failed_asked(env, LAN, DEAD) ? -1 : tables_failed(env, LAN, DEAD, -1);
}

static int dead_but_resolved(struct env *env)
{
	return tables_failed(env, WAN, "2001:db8:20::fe", 60);
}

static int dead_and_blocked(struct env *env)
{
	return dead(env) ? -1 : block(env);
}

static int dead_and_unblocked(struct env *env)
{
	return dead_not_asked(env) ? -1 : unblock(env);
}

/* Routes to NET_HOST and NET_HOST4 are being moved, but to a part of it stay */
static int hold(struct env *env, int seconds)
{
	return tables_held(env, "2001:db8:4000::", 36, true, seconds) ?:
	       tables_held(env, "2001:db8:4700::", 40, false, seconds) ?:
	       tables_held(env, "198.18.0.0", 16, true, seconds) ?:
	       tables_held(env, "2001:db8:2000::", 36, true, seconds) ?:
	       tables_held(env, HE1_REMOTE, 32, true, seconds);
}

static int held(struct env *env)
{
	return hold(env, 60);
}

static int held_once(struct env *env)
{
	return hold(env, -1);
}

/* Routes that are locked to an MTU */
static int locked(struct env *env)
{
	return links_run("ip -6 route change 2001:db8:4000::/36 via 2001:db8:20::fe dev wan mtu lock 1400") ?:
	       links_run("ip route change default via 198.51.100.254 dev wan mtu lock 1400") ?:
	       tables_locked_mtu(env, 1400, true);
}

static int not_locked(struct env *env)
{
	return links_run("ip -6 route change 2001:db8:4000::/36 via 2001:db8:20::fe dev wan") ?:
	       links_run("ip route change default via 198.51.100.254 dev wan") ?: tables_locked_mtu(env, 1400, false);
}

/* The kernel tells an MTU that no route is locked to, as far as anybody knows: as one that an ICMP error told */
static int forged(struct env *env)
{
	return locked(env) ?: tables_locked_mtu(env, 1400, false) ?: tables_locked_mtu(env, 1300, true);
}

static int not_forged(struct env *env)
{
	return tables_locked_mtu(env, 1300, false) ?: tables_locked_mtu(env, 1400, true) ?: not_locked(env);
}

/* An IPv6 MTU that a router advertised */
static int advertised_1400(struct env *env)
{
	return tables_port_mtu6(env, WAN, 1400);
}

static int advertised_none(struct env *env)
{
	return tables_port_mtu6(env, WAN, 1500);
}

/* Rules that ask for more than addresses; without the flag their packets go as all others */
static int rules(struct env *env)
{
	env->control.routing = FL_ROUTING_TRANSPORT;
	if (tables_control(env))
		return -EIO;
	return links_run("ip -6 rule add ipproto udp dport 4242 lookup 100") ?:
	       links_run("ip -6 rule add ipproto tcp sport 4243 lookup 100") ?:
	       links_run("ip -6 rule add tos 0xb8 lookup 100") ?:
	       links_run("ip rule add ipproto udp dport 4242 lookup 100") ?:
	       links_run("ip rule add tos 0x10 lookup 100") ?:
	       links_run("ip -6 route add blackhole default table 100") ?:
	       links_run("ip -4 route add blackhole default table 100");
}

static int no_rules(struct env *env)
{
	env->control.routing = 0;
	if (tables_control(env))
		return -EIO;
	return links_run("ip -6 route flush table 100") ?: links_run("ip -4 route flush table 100") ?:
	       links_run("ip -6 rule del ipproto udp dport 4242 lookup 100") ?:
	       links_run("ip -6 rule del ipproto tcp sport 4243 lookup 100") ?:
	       links_run("ip -6 rule del tos 0xb8 lookup 100") ?:
	       links_run("ip rule del ipproto udp dport 4242 lookup 100") ?:
	       links_run("ip rule del tos 0x10 lookup 100");
}

static int outer_rules(struct env *env)
{
	return rules(env) ?: links_run("ip rule add ipproto 41 lookup 100");
}

static int no_outer_rules(struct env *env)
{
	return links_run("ip rule del ipproto 41 lookup 100") ?: no_rules(env);
}

static int route4_into_tunnel(struct env *env)
{
	(void)env;
	return links_run("ip route add 198.19.0.0/24 dev he0");
}

static int route4_away(struct env *env)
{
	(void)env;
	return links_run("ip route del 198.19.0.0/24 dev he0");
}

/* clang-format off */
static const struct test_case headers[] = {
	{ "forward/ipv6", LAN6(NET_HOST), TO_WAN },
	{ "forward/ipv6-in", .in = WAN, .pkt.src = NET_HOST, .pkt.dst = LAN_HOST, .want = FORWARD, .out = LAN },
	{ "forward/ipv6-traffic-class", LAN6(NET_HOST), .pkt.tos = 0xbb, TO_WAN },
	{ "forward/ipv6-tcp", LAN6(NET_HOST), .pkt.l4 = L4_TCP, TO_WAN },
	{ "forward/ipv6-echo", LAN6(NET_HOST), .pkt.l4 = L4_ECHO, TO_WAN },
	{ "forward/ipv6-raw", LAN6(NET_HOST), .pkt.l4 = L4_RAW, TO_WAN },
	{ "forward/ipv6-no-payload", LAN6(NET_HOST), .pkt.l4 = L4_RAW, .pkt.payload = NIL, TO_WAN },
	{ "forward/ipv6-no-payload-padded", LAN6(NET_HOST), .pkt.l4 = L4_RAW, .pkt.payload = NIL, .pkt.trailer = 6, TO_WAN },
	{ "forward/ipv6-odd-length", LAN6(NET_HOST), .pkt.payload = 33, TO_WAN },
	{ "forward/ipv6-bad-transport-sum", LAN6(NET_HOST), .pkt.sum = SUM_BAD, TO_WAN },
	{ "forward/ipv6-padded", LAN6(NET_HOST), .pkt.trailer = 10, TO_WAN },
	{ "forward/ipv6-link-local-gateway", LAN6(LL_NET_HOST), TO_WAN },
	{ "forward/ipv4", LAN4(NET_HOST4), TO_WAN },
	{ "forward/ipv4-in", .in = WAN, .pkt.src = NET_HOST4, .pkt.dst = LAN_HOST4, .want = FORWARD, .out = LAN },
	{ "forward/ipv4-tos", LAN4(NET_HOST4), .pkt.tos = 0xbb, TO_WAN },
	{ "forward/ipv4-df", LAN4(NET_HOST4), .pkt.frag = IPV4_DF, TO_WAN },
	{ "forward/ipv4-tcp", LAN4(NET_HOST4), .pkt.l4 = L4_TCP, TO_WAN },
	{ "forward/ipv4-fragment", LAN4(NET_HOST4), .pkt.frag = IPV4_MF, TO_WAN },
	{ "forward/ipv4-last-fragment", LAN4(NET_HOST4), .pkt.frag = 185, TO_WAN },
	{ "forward/ipv4-udp-without-sum", LAN4(NET_HOST4), .pkt.sum = SUM_ZERO, TO_WAN },
	{ "forward/ipv4-padded", LAN4(NET_HOST4), .pkt.payload = 4, .pkt.trailer = 14, TO_WAN },
	{ "forward/ipv4-sum-carry", LAN4(NET_HOST4), .pkt.id = 0x10000 - 0x7de5, TO_WAN },
	{ "forward/vlan-in", .in = VLAN, .pkt.src = VLAN_HOST, .pkt.dst = NET_HOST, TO_WAN },
	{ "forward/vlan-out", .in = WAN, .pkt.src = NET_HOST, .pkt.dst = VLAN_HOST, .want = FORWARD, .out = VLAN },
	{ "forward/vlan-from-its-parent", LAN6(VLAN_HOST), .want = FORWARD, .out = VLAN },
	{ "forward/vlan-to-its-parent", .in = VLAN, .pkt.src = VLAN_HOST, .pkt.dst = LAN_HOST, .want = FORWARD,
	  .out = LAN },
	{ "forward/vlan-to-itself", .in = VLAN, .pkt.src = VLAN_HOST, .pkt.dst = "2001:db8:70::10", .want = FORWARD,
	  .out = VLAN },
	{ "forward/vlan-with-priority", .in = VLAN, .pkt.src = VLAN_HOST, .pkt.dst = NET_HOST, .pkt.vid = 0xb064, TO_WAN },
	{ "forward/priority-tag", LAN6(NET_HOST), .pkt.vid = NIL, TO_WAN },
	{ "forward/unknown-vlan", LAN6(NET_HOST), .pkt.vid = 200, .want = PASS },
	{ "forward/wan-has-no-vlan-100", .in = WAN, .pkt.src = NET_HOST, .pkt.dst = LAN_HOST, .pkt.vid = 100,
	  .want = PASS },
};

static const struct test_case limits[] = {
	{ "limit/ipv6-hops-2", LAN6(NET_HOST), .pkt.hops = 2, TO_WAN },
	{ "limit/ipv6-hops-1", LAN6(NET_HOST), .pkt.hops = 1, .want = ERROR, .reason = FL_DROP_TTL, .icmp_type = 3 },
	{ "limit/ipv6-hops-0", LAN6(NET_HOST), .pkt.hops = NIL, .want = ERROR, .reason = FL_DROP_TTL, .icmp_type = 3 },
	{ "limit/ipv4-ttl-2", LAN4(NET_HOST4), .pkt.hops = 2, TO_WAN },
	{ "limit/ipv4-ttl-1", LAN4(NET_HOST4), .pkt.hops = 1, .want = ERROR, .reason = FL_DROP_TTL, .icmp_type = 11 },
	{ "limit/ipv4-ttl-0", LAN4(NET_HOST4), .pkt.hops = NIL, .want = ERROR, .reason = FL_DROP_TTL, .icmp_type = 11 },
	{ "limit/ipv6-hops-255", LAN6(NET_HOST), .pkt.hops = 255, TO_WAN },
	{ "limit/vlan-hops-1", .in = VLAN, .pkt.src = VLAN_HOST, .pkt.dst = NET_HOST, .pkt.hops = 1, .want = ERROR,
	  .reason = FL_DROP_TTL, .icmp_type = 3 },
	{ "limit/ipv6-mtu", LAN6(NET_HOST), .pkt.payload = FULL6, TO_WAN },
	{ "limit/ipv6-thin-mtu", LAN6("2001:db8:34::10"), .pkt.payload = THIN6, .want = FORWARD, .out = THIN },
	{ "limit/ipv6-thin-mtu-and-1", LAN6("2001:db8:34::10"), .pkt.payload = THIN6 + 1, .want = ERROR,
	  .reason = FL_DROP_TOO_BIG, .icmp_type = 2, .icmp_value = 1400 },
	{ "limit/ipv6-thin-mtu-padded", LAN6("2001:db8:34::10"), .pkt.payload = THIN6 - 8, .pkt.trailer = 4,
	  .want = FORWARD, .out = THIN },
	{ "limit/ipv4-thin-mtu", LAN4("192.0.0.34"), .pkt.payload = THIN4, .pkt.frag = IPV4_DF, .want = FORWARD,
	  .out = THIN },
	{ "limit/ipv4-thin-mtu-and-1", LAN4("192.0.0.34"), .pkt.payload = THIN4 + 1, .pkt.frag = IPV4_DF, .want = ERROR,
	  .reason = FL_DROP_TOO_BIG, .icmp_type = 3, .icmp_code = 4, .icmp_value = 1400 },
	{ "limit/ipv4-thin-mtu-and-1-without-df", LAN4("192.0.0.34"), .pkt.payload = THIN4 + 1, .want = FRAGMENT },
	{ "limit/gso-segments-fit", LAN6("2001:db8:34::10"), .pkt.l4 = L4_TCP, .pkt.payload = 1800, .tc_only = true,
	  .extra = { .gso_size = 1340, .gso_segs = 2 }, .want = FORWARD, .out = THIN },
	{ "limit/gso-segments-too-big", LAN6("2001:db8:34::10"), .pkt.l4 = L4_TCP, .pkt.payload = 1800, .tc_only = true,
	  .extra = { .gso_size = 1341, .gso_segs = 2 }, .want = ERROR, .reason = FL_DROP_TOO_BIG, .icmp_type = 2,
	  .icmp_value = 1400 },
	{ "limit/gso-udp-segments-fit", LAN6("2001:db8:34::10"), .pkt.payload = 1800, .tc_only = true,
	  .extra = { .gso_size = THIN6, .gso_segs = 2 }, .want = FORWARD, .out = THIN },
	{ "limit/gso-udp-segments-too-big", LAN6("2001:db8:34::10"), .pkt.payload = 1800, .tc_only = true,
	  .extra = { .gso_size = THIN6 + 1, .gso_segs = 2 }, .want = ERROR, .reason = FL_DROP_TOO_BIG, .icmp_type = 2,
	  .icmp_value = 1400 },
	{ "limit/big-tcp", LAN6("2001:db8:34::10"), .pkt.ext = "h", .pkt.jumbo = 1, .pkt.l4 = L4_TCP,
	  .pkt.payload = 1800, .tc_only = true, .extra = { .gso_size = 1332, .gso_segs = 2 }, .want = FORWARD,
	  .out = THIN },
};

#define TOO_BIG6 .want = ERROR, .reason = FL_DROP_TOO_BIG, .icmp_type = 2, .icmp_value = 1400
#define TOO_BIG4 .want = ERROR, .reason = FL_DROP_TOO_BIG, .icmp_type = 3, .icmp_code = 4, .icmp_value = 1400

static const struct test_case mtus[] = {
	{ "mtu/locked", LAN6(NET_HOST), .pkt.payload = THIN6, TO_WAN, .before = locked, .after = not_locked },
	{ "mtu/locked-and-1", LAN6(NET_HOST), .pkt.payload = THIN6 + 1, TOO_BIG6, .before = locked, .after = not_locked },
	{ "mtu/locked-ipv4", LAN4(NET_HOST4), .pkt.payload = THIN4, .pkt.frag = IPV4_DF, TO_WAN, .before = locked,
	  .after = not_locked },
	{ "mtu/locked-ipv4-and-1", LAN4(NET_HOST4), .pkt.payload = THIN4 + 1, .pkt.frag = IPV4_DF, TOO_BIG4,
	  .before = locked, .after = not_locked },
	{ "mtu/forged", LAN6(NET_HOST), .pkt.payload = FULL6, TO_WAN, .before = forged, .after = not_forged },
	{ "mtu/forged-ipv4", LAN4(NET_HOST4), .pkt.payload = FULL4, .pkt.frag = IPV4_DF, TO_WAN, .before = forged,
	  .after = not_forged },
	{ "mtu/advertised", LAN6(NET_HOST), .pkt.payload = THIN6, TO_WAN, .before = advertised_1400,
	  .after = advertised_none },
	{ "mtu/advertised-and-1", LAN6(NET_HOST), .pkt.payload = THIN6 + 1, TOO_BIG6, .before = advertised_1400,
	  .after = advertised_none },
	{ "mtu/advertised-is-not-for-ipv4", LAN4(NET_HOST4), .pkt.payload = FULL4, .pkt.frag = IPV4_DF, TO_WAN,
	  .before = advertised_1400, .after = advertised_none },
};

#define BLACKHOLE .want = DROP, .reason = FL_DROP_BLACKHOLE, .before = rules, .after = no_rules

static const struct test_case ruled[] = {
	{ "rule/port", LAN6(NET_HOST), .pkt.dport = 4242, BLACKHOLE },
	{ "rule/source-port", LAN6(NET_HOST), .pkt.l4 = L4_TCP, .pkt.sport = 4243, BLACKHOLE },
	{ "rule/dscp", LAN6(NET_HOST), .pkt.tos = 0xb8, BLACKHOLE },
	{ "rule/port-ipv4", LAN4(NET_HOST4), .pkt.dport = 4242, BLACKHOLE },
	{ "rule/tos-ipv4", LAN4(NET_HOST4), .pkt.tos = 0x10, BLACKHOLE },
	{ "rule/port-from-tunnel", .in = WAN, .pkt.osrc = HE0_REMOTE, .pkt.odst = LOCAL4, .pkt.src = HE_HOST,
	  .pkt.dst = LAN_HOST, .pkt.dport = 4242, .blame = HE0, BLACKHOLE },
	{ "rule/another-port", LAN6(NET_HOST), .pkt.dport = 4241, TO_WAN, .before = rules,
	  .after = no_rules },
	{ "rule/first-fragment-goes-with-the-others", LAN6(NET_HOST), .pkt.dport = 4242, .pkt.ext = "f", TO_WAN,
	  .before = rules, .after = no_rules },
	{ "rule/first-fragment-ipv4", LAN4(NET_HOST4), .pkt.dport = 4242, .pkt.frag = IPV4_MF, TO_WAN, .before = rules,
	  .after = no_rules },
	{ "rule/outer-protocol", LAN6(HE_HOST), .want = ERROR, .reason = FL_DROP_NO_UNDERLAY, .blame = HE0, .icmp_type = 1,
	  .icmp_code = 3, .before = outer_rules, .after = no_outer_rules },
	{ "rule/no-ports", LAN6(NET_HOST), .pkt.l4 = L4_ECHO, TO_WAN, .before = rules, .after = no_rules },
};

#define HELD .want = DROP, .reason = FL_DROP_HELD, .before = held, .after = tables_held_none
#define NOT_HELD .before = held, .after = tables_held_none

static const struct test_case moving[] = {
	{ "held/ipv6", LAN6(NET_HOST), HELD },
	{ "held/ipv4", LAN4(NET_HOST4), HELD },
	{ "held/into-tunnel", LAN6(HE_HOST), HELD },
	{ "held/underlay", LAN6(HE1_HOST), HELD },
	{ "held/own-into-tunnel", .own = true, .in = HE0, .pkt.src = "2001:db8:80::1", .pkt.dst = HE_HOST, HELD },
	{ "held/a-part-that-stays", LAN6("2001:db8:4700::1"), TO_WAN, NOT_HELD },
	{ "held/another", LAN6("2001:db8:34::10"), .want = FORWARD, .out = THIN, NOT_HELD },
	{ "held/another-ipv4", LAN4("198.19.0.1"), TO_WAN, NOT_HELD },
	{ "held/router", LAN6(ROUTER), .want = DELIVER, NOT_HELD },
	{ "held/too-long", LAN6(NET_HOST), TO_WAN, .before = held_once, .after = tables_held_none },
};

static const struct test_case ways[] = {
	{ "way/unresolved-neighbour", LAN6("2001:db8:20::99"), .xdp_down = true, TO_WAN },
	{ "way/no-xdp-transmit", LAN6("2001:db8:31::10"), .want = FORWARD, .out = NOXMIT, .native_down = true },
	{ "way/no-ethernet", LAN6("2001:db8:33::10"), .want = FORWARD, .out = NOETHER, .xdp_down = true },
	{ "way/router-ipv6", LAN6(ROUTER), .want = DELIVER },
	{ "way/router-other-port", LAN6("2001:db8:20::1"), .want = DELIVER },
	{ "way/router-strange-device", LAN6("2001:db8:50::1"), .want = DELIVER },
	{ "way/router-hops-1", LAN6(ROUTER), .pkt.hops = 1, .want = DELIVER },
	{ "way/router-ipv4", LAN4(ROUTER4), .want = DELIVER },
	{ "way/router-ipv4-options", LAN4(ROUTER4), .pkt.ihl = 7, .want = DELIVER },
	{ "way/subnet-broadcast", LAN4("192.0.2.255"), .want = DELIVER },
	{ "way/no-route", LAN6("2001:dead::1"), .want = DELIVER },
	{ "way/unreachable-route", LAN6("2001:db8:5ffe::1"), .want = DELIVER },
	{ "way/blackhole-route", LAN6("2001:db8:5fff::1"), .want = DROP, .reason = FL_DROP_BLACKHOLE },
	{ "way/foreign-egress", LAN6("2001:db8:5000::1"), .want = DROP, .reason = FL_DROP_FOREIGN_EGRESS },
	{ "way/ipv4-into-tunnel-drops", LAN4("198.19.0.1"), .want = DROP, .reason = FL_DROP_FOREIGN_EGRESS,
	  .before = route4_into_tunnel, .after = route4_away },
	{ "way/unknown-port", .in = STRANGE, .pkt.src = "2001:db8:50::fe", .pkt.dst = NET_HOST, .want = PASS },
	{ "way/family-not-ours-ipv6", .in = FOUR, .pkt.src = "2001:db8:30::10", .pkt.dst = NET_HOST, .want = PASS },
	{ "way/family-not-ours-ipv4", .in = NPT, .pkt.src = LAN_HOST4, .pkt.dst = NET_HOST4, .want = PASS },
	{ "way/family-not-ours-and-broken", .in = NPT, .pkt.src = LAN_HOST4, .pkt.dst = NET_HOST4, .pkt.plen = 9,
	  .want = PASS },
	{ "way/family-of-one", .in = FOUR, .pkt.src = "192.0.0.2", .pkt.dst = NET_HOST4, TO_WAN },
	{ "way/blocked-ipv6", LAN6(NET_HOST), .want = DROP, .reason = FL_DROP_BLOCKED, .before = block,
	  .after = unblock },
	{ "way/blocked-ipv4", LAN4(NET_HOST4), .want = DROP, .reason = FL_DROP_BLOCKED, .before = block,
	  .after = unblock },
	{ "way/blocked-router-still-hears", LAN6(ROUTER), .want = DELIVER, .before = block, .after = unblock },
	{ "way/forwarding-off-ipv6", LAN6(NET_HOST), .want = DROP, .reason = FL_DROP_FORWARDING_OFF,
	  .before = forwarding_off, .after = forwarding_on },
	{ "way/forwarding-off-ipv4", LAN4(NET_HOST4), .want = DROP, .reason = FL_DROP_FORWARDING_OFF,
	  .before = forwarding_off, .after = forwarding_on },
	{ "way/unfinished-tcp6", LAN6(NET_HOST), .pkt.l4 = L4_TCP, .pkt.sum = SUM_UNFINISHED, .xdp_down = true,
	  TO_WAN },
	{ "way/unfinished-udp6", LAN6(NET_HOST), .pkt.sum = SUM_UNFINISHED, .xdp_down = true, TO_WAN },
	{ "way/unfinished-tcp4", LAN4(NET_HOST4), .pkt.l4 = L4_TCP, .pkt.sum = SUM_UNFINISHED, .xdp_down = true,
	  TO_WAN },
	{ "way/unfinished-udp4", LAN4(NET_HOST4), .pkt.sum = SUM_UNFINISHED, .xdp_down = true, TO_WAN },
	{ "way/unfinished-sctp", LAN6(NET_HOST), .pkt.l4 = L4_SCTP, .pkt.sum = SUM_ZERO, .xdp_down = true, TO_WAN },
	{ "way/unfinished-sctp4", LAN4(NET_HOST4), .pkt.l4 = L4_SCTP, .pkt.sum = SUM_ZERO, .xdp_down = true, TO_WAN },
	{ "way/finished-sctp", LAN6(NET_HOST), .pkt.l4 = L4_SCTP, TO_WAN },
	{ "way/unfinished-behind-extension", LAN6(NET_HOST), .pkt.ext = "d", .pkt.sum = SUM_UNFINISHED,
	  .xdp_down = true, TO_WAN },
};

#define UNREACHABLE6 .want = ERROR, .reason = FL_DROP_UNREACHABLE, .icmp_type = 1, .icmp_code = 3
#define UNREACHABLE4 .want = ERROR, .reason = FL_DROP_UNREACHABLE, .icmp_type = 3, .icmp_code = 1

static const struct test_case unanswered[] = {
	{ "failed/neighbour", LAN6(DEAD), UNREACHABLE6, .before = dead, .after = dead_and_asked },
	{ "failed/neighbour-ipv4", LAN4(DEAD4), UNREACHABLE4, .before = dead4, .after = dead4_and_asked },
	{ "failed/neighbour-full", LAN6(DEAD), .pkt.payload = FULL6, UNREACHABLE6, .before = dead, .after = dead_and_asked },
	{ "failed/from-tunnel", .in = WAN, .pkt.osrc = HE0_REMOTE, .pkt.odst = LOCAL4, .pkt.src = HE_HOST, .pkt.dst = DEAD,
	  UNREACHABLE6, .blame = HE0, .before = dead, .after = dead_and_asked },
	{ "failed/hops-1", LAN6(DEAD), .pkt.hops = 1, .want = ERROR, .reason = FL_DROP_TTL, .icmp_type = 3, .before = dead,
	  .after = dead_not_asked },
	{ "failed/too-big", LAN6(DEAD), .pkt.payload = FULL6 + 1, .want = ERROR, .reason = FL_DROP_TOO_BIG, .icmp_type = 2,
	  .icmp_value = 1500, .before = dead, .after = dead_not_asked },
	{ "failed/blocked", LAN6(DEAD), .want = DROP, .reason = FL_DROP_BLOCKED, .before = dead_and_blocked,
	  .after = dead_and_unblocked },
	{ "failed/some-time-ago", LAN6(DEAD), .xdp_down = true, TO_WAN, .before = dead_once, .after = dead_not_asked },
	{ "failed/on-another-link", LAN6(DEAD), .xdp_down = true, TO_WAN, .before = dead_elsewhere,
	  .after = dead_elsewhere_not_asked },
	{ "failed/and-resolved-since", LAN6(NET_HOST), TO_WAN, .before = dead_but_resolved },
};

static const struct test_case martians[] = {
	{ "martian/from-multicast", FROM6("ff02::1"), .want = DROP, .reason = FL_DROP_MARTIAN },
	{ "martian/from-loopback", FROM6("::1"), .want = DROP, .reason = FL_DROP_MARTIAN },
	{ "martian/to-loopback", LAN6("::1"), .want = DROP, .reason = FL_DROP_MARTIAN },
	{ "martian/to-unspecified", LAN6("::"), .want = DROP, .reason = FL_DROP_MARTIAN },
	{ "martian/from-mapped", FROM6("::ffff:192.0.2.10"), .want = DROP, .reason = FL_DROP_MARTIAN },
	{ "martian/to-mapped", LAN6("::ffff:198.18.0.1"), .want = DROP, .reason = FL_DROP_MARTIAN },
	{ "martian/to-own-mapped", LAN6("::ffff:192.0.2.1"), .want = DROP, .reason = FL_DROP_MARTIAN },
	{ "scope/listener-query", LAN6(NET_HOST), .pkt.l4 = L4_ECHO, .pkt.type = 130, .want = DROP,
	  .reason = FL_DROP_SCOPE },
	{ "scope/neighbour-solicitation", LAN6(NET_HOST), .pkt.l4 = L4_ECHO, .pkt.type = 135, .pkt.hops = 255,
	  .want = DROP, .reason = FL_DROP_SCOPE },
	{ "scope/node-information", LAN6(NET_HOST), .pkt.l4 = L4_ECHO, .pkt.type = 139, TO_WAN },
	{ "scope/listener-report-2", LAN6(NET_HOST), .pkt.l4 = L4_ECHO, .pkt.type = 143, .want = DROP,
	  .reason = FL_DROP_SCOPE },
	{ "martian/from-unspecified", FROM6("::"), .want = DROP, .reason = FL_DROP_SCOPE },
	{ "martian/from-link-local", FROM6("fe80::10"), .want = DROP, .reason = FL_DROP_SCOPE },
	{ "martian/to-link-local", LAN6("fe80::1"), .want = DELIVER },
	{ "martian/link-local-to-router", .in = LAN, .pkt.src = "fe80::10", .pkt.dst = ROUTER, .want = DELIVER },
	{ "martian/multicast", LAN6("ff02::1"), .want = DELIVER },
	{ "martian/neighbour-solicitation", LAN6("ff02::1:ff00:1"), .pkt.hops = 255, .pkt.l4 = L4_ECHO, .pkt.type = 135,
	  .want = DELIVER },
	{ "martian/dad", .in = LAN, .pkt.src = "::", .pkt.dst = "ff02::1:ff00:1", .pkt.hops = 255, .pkt.l4 = L4_ECHO,
	  .pkt.type = 135, .want = DELIVER },
	{ "martian/mld", .in = LAN, .pkt.src = "fe80::10", .pkt.dst = "ff02::16", .pkt.hops = 1, .pkt.ext = "h",
	  .pkt.l4 = L4_ECHO, .pkt.type = 143, .want = DELIVER },
	{ "martian/from-loopback4", FROM4("127.0.0.1"), .want = DROP, .reason = FL_DROP_MARTIAN },
	{ "martian/to-loopback4", LAN4("127.1.2.3"), .want = DROP, .reason = FL_DROP_MARTIAN },
	{ "martian/from-multicast4", FROM4("224.0.0.1"), .want = DROP, .reason = FL_DROP_MARTIAN },
	{ "martian/from-broadcast4", FROM4("255.255.255.255"), .want = DROP, .reason = FL_DROP_MARTIAN },
	{ "martian/from-subnet-broadcast", FROM4("192.0.2.255"), .want = DROP, .reason = FL_DROP_MARTIAN },
	{ "martian/from-another-subnets-broadcast", FROM4("198.51.100.255"), .want = DROP, .reason = FL_DROP_MARTIAN },
	{ "martian/from-small-subnets-broadcast", FROM4("192.0.0.47"), .want = DROP, .reason = FL_DROP_MARTIAN },
	{ "martian/from-subnet-broadcast-to-router", .in = LAN, .pkt.src = "192.0.2.255", .pkt.dst = ROUTER4, .want = DROP,
	  .reason = FL_DROP_MARTIAN },
	{ "martian/from-routers-own", FROM4(ROUTER4), TO_WAN },
	{ "martian/from-zero4", FROM4("0.0.0.0"), .want = DROP, .reason = FL_DROP_MARTIAN },
	{ "martian/from-zero-net4", FROM4("0.1.2.3"), .want = DROP, .reason = FL_DROP_MARTIAN },
	{ "martian/to-zero-net4", LAN4("0.1.2.3"), .want = DROP, .reason = FL_DROP_MARTIAN },
	{ "martian/from-class-e", FROM4("240.0.0.1"), .want = DROP, .reason = FL_DROP_MARTIAN },
	{ "martian/to-class-e", LAN4("250.0.0.1"), .want = DROP, .reason = FL_DROP_MARTIAN },
	{ "martian/from-link-local4", FROM4("169.254.1.1"), .want = DROP, .reason = FL_DROP_SCOPE },
	{ "martian/to-link-local4", LAN4("169.254.1.1"), .want = DROP, .reason = FL_DROP_SCOPE },
	{ "martian/multicast4", LAN4("224.0.0.5"), .want = DELIVER },
	{ "martian/broadcast4", LAN4("255.255.255.255"), .want = DELIVER },
	{ "martian/dhcp", .in = LAN, .pkt.src = "0.0.0.0", .pkt.dst = "255.255.255.255", .pkt.sport = 68,
	  .pkt.dport = 67, .want = DELIVER },
};

#define CHECKED .before = antispoof, .after = no_antispoof

static const struct test_case spoofed[] = {
	{ "spoof/routers-own", FROM6("2001:db8:20::1"), CHECKED, .want = DROP, .reason = FL_DROP_SPOOFED },
	{ "spoof/routers-own-to-router", .in = LAN, .pkt.src = "2001:db8:20::1", .pkt.dst = ROUTER, CHECKED,
	  .want = DROP, .reason = FL_DROP_SPOOFED },
	{ "spoof/on-another-link", FROM6("2001:db8:20::fe"), CHECKED, .want = DROP, .reason = FL_DROP_SPOOFED },
	{ "spoof/on-another-link-unresolved", FROM6("2001:db8:20::99"), CHECKED, .want = DROP,
	  .reason = FL_DROP_SPOOFED },
	{ "spoof/on-another-link-ipv4", FROM4("198.51.100.254"), CHECKED, .want = DROP, .reason = FL_DROP_SPOOFED },
	{ "spoof/behind-another-gateway", .in = LAN, .pkt.src = NET_HOST, .pkt.dst = "2001:db8:4000::2", CHECKED, TO_WAN },
	{ "spoof/on-this-link", LAN6(NET_HOST), CHECKED, TO_WAN },
	{ "spoof/on-this-link-ipv4", LAN4(NET_HOST4), CHECKED, TO_WAN },
	{ "spoof/link-local", .in = LAN, .pkt.src = "fe80::10", .pkt.dst = ROUTER, CHECKED, .want = DELIVER },
	{ "spoof/dad", .in = LAN, .pkt.src = "::", .pkt.dst = "ff02::1:ff00:1", .pkt.hops = 255, .pkt.l4 = L4_ECHO,
	  .pkt.type = 135, CHECKED, .want = DELIVER },
	{ "spoof/to-a-group", .in = LAN, .pkt.src = "2001:db8:20::99", .pkt.dst = "ff02::1", CHECKED, .want = DELIVER },
	{ "spoof/to-a-group-ipv4", .in = LAN, .pkt.src = "198.51.100.254", .pkt.dst = "224.0.0.5", CHECKED,
	  .want = DELIVER },
	{ "spoof/not-asked-for", FROM6("2001:db8:20::fe"), TO_WAN },
};

static const struct test_case malformed[] = {
	{ "malformed/ipv6-version-4", LAN6(NET_HOST), .pkt.version = 4, .want = DROP, .reason = FL_DROP_MALFORMED },
	{ "malformed/ipv6-version-0", LAN6(NET_HOST), .pkt.version = NIL, .want = DROP, .reason = FL_DROP_MALFORMED },
	{ "malformed/ipv6-longer-than-frame", LAN6(NET_HOST), .pkt.plen = 1, .want = DROP,
	  .reason = FL_DROP_MALFORMED },
	{ "malformed/ipv6-shorter-than-frame", LAN6(NET_HOST), .pkt.l4 = L4_RAW, .pkt.plen = -5, TO_WAN },
	{ "malformed/ipv4-longer-than-frame", LAN4(NET_HOST4), .pkt.plen = 1, .want = DROP,
	  .reason = FL_DROP_MALFORMED },
	{ "malformed/ipv4-shorter-than-header", LAN4(NET_HOST4), .pkt.plen = -45, .want = DROP,
	  .reason = FL_DROP_MALFORMED },
	{ "malformed/ipv4-ihl-4", LAN4(NET_HOST4), .pkt.ihl = 4, .want = DROP, .reason = FL_DROP_MALFORMED },
	{ "malformed/ipv4-bad-sum", LAN4(NET_HOST4), .pkt.bad = 0x1234, .want = DROP, .reason = FL_DROP_MALFORMED },
	{ "malformed/ipv4-options", LAN4(NET_HOST4), .pkt.ihl = 6, .want = DROP, .reason = FL_DROP_IP_OPTIONS },
	{ "malformed/ipv4-options-most", LAN4(NET_HOST4), .pkt.ihl = 15, .want = DROP, .reason = FL_DROP_IP_OPTIONS },
	{ "malformed/protocol-41-forwarded", LAN4(NET_HOST4), .pkt.l4 = L4_RAW, .pkt.proto = 41, TO_WAN },
	{ "malformed/protocol-41-to-router-without-tunnel", LAN4(ROUTER4), .pkt.l4 = L4_RAW, .pkt.proto = 41,
	  .want = DROP, .reason = FL_DROP_TUNNEL_STRANGER,
	  .xdp_down = true },
};

static const struct test_case extensions[] = {
	{ "extension/0", LAN6(NET_HOST), TO_WAN },
	{ "extension/1", LAN6(NET_HOST), .pkt.ext = "d", TO_WAN },
	{ "extension/2", LAN6(NET_HOST), .pkt.ext = "hd", TO_WAN },
	{ "extension/3", LAN6(NET_HOST), .pkt.ext = "hdr", TO_WAN },
	{ "extension/4", LAN6(NET_HOST), .pkt.ext = "hdra", TO_WAN },
	{ "extension/5", LAN6(NET_HOST), .pkt.ext = "hdrad", TO_WAN },
	{ "extension/6", LAN6(NET_HOST), .pkt.ext = "hdradd", TO_WAN },
	{ "extension/7", LAN6(NET_HOST), .pkt.ext = "hdraddd", TO_WAN },
	{ "extension/8", LAN6(NET_HOST), .pkt.ext = "hdradddd", TO_WAN },
	{ "extension/9", LAN6(NET_HOST), .pkt.ext = "hdraddddd", .want = DROP, .reason = FL_DROP_EXT_HEADERS },
	{ "extension/12", LAN6(NET_HOST), .pkt.ext = "dddddddddddd", .want = DROP, .reason = FL_DROP_EXT_HEADERS },
	{ "extension/long", LAN6(NET_HOST), .pkt.ext = "d", .pkt.extlen = 60, TO_WAN },
	{ "extension/in-reach", LAN6(NET_HOST), .pkt.ext = "d", .pkt.extlen = 109, TO_WAN },
	{ "extension/out-of-reach", LAN6(NET_HOST), .pkt.ext = "d", .pkt.extlen = 110, .want = DROP,
	  .reason = FL_DROP_EXT_HEADERS },
	{ "extension/ends-out-of-reach", LAN6(NET_HOST), .pkt.ext = "dF", .pkt.extlen = 130, .want = DROP,
	  .reason = FL_DROP_EXT_HEADERS },
	{ "extension/source-route", LAN6(NET_HOST), .pkt.ext = "R", .want = DROP, .reason = FL_DROP_SOURCE_ROUTE },
	{ "extension/source-route-behind-others", LAN6(NET_HOST), .pkt.ext = "hdR", .want = DROP,
	  .reason = FL_DROP_SOURCE_ROUTE },
	{ "extension/source-route-to-the-router", LAN6(ROUTER), .pkt.ext = "R", .want = DROP,
	  .reason = FL_DROP_SOURCE_ROUTE },
	{ "extension/source-route-at-its-end", LAN6(NET_HOST), .pkt.ext = "Z", TO_WAN },
	{ "extension/beyond-packet", LAN6(NET_HOST), .pkt.l4 = L4_RAW, .pkt.proto = 60, .pkt.payload = 4, .want = DROP,
	  .reason = FL_DROP_MALFORMED },
	{ "extension/first-fragment", LAN6(NET_HOST), .pkt.ext = "f", TO_WAN },
	{ "extension/later-fragment", LAN6(NET_HOST), .pkt.ext = "F", TO_WAN },
	{ "extension/atomic-fragment", LAN6(NET_HOST), .pkt.ext = "x", TO_WAN },
	{ "extension/fragment-behind-others", LAN6(NET_HOST), .pkt.ext = "hdF", TO_WAN },
};
/* clang-format on */

const struct suite forward_suites[] = { CASES(headers), CASES(limits),	  CASES(mtus),	     CASES(ruled),
					CASES(moving),	CASES(ways),	  CASES(unanswered), CASES(martians),
					CASES(spoofed), CASES(malformed), CASES(extensions), { 0 } };
