/* SPDX-License-Identifier: GPL-2.0-only */
/* user/system against a real kernel: addresses, routes, neighbours, sysctls, offloads. Needs root. */
#include <criterion/criterion.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/neighbour.h>
#include <linux/virtio_net.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "selftests/net/test_system.h"

TestSuite(system_change, .init = set_up, .fini = tear_down, .timeout = 60);

/* ---- addresses ---- */

/* "address/length " of each address of the device, as ip orders them; link-local ones only where asked for */
static const char *addresses_of(const char *device, bool link_local)
{
	json_t *links = ip("addr show dev %s", device), *item;
	static char list[1024];
	size_t i;

	list[0] = '\0';
	json_array_foreach(json_object_get(json_array_get(links, 0), "addr_info"), i, item) {
		bool is_ll = !strncmp(text(item, "local"), "fe80:", 5);

		if (is_ll == link_local)
			snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s/%lld ", text(item, "local"),
				 number(item, "prefixlen"));
	}
	json_decref(links);
	return list;
}

static int set_addresses(uint32_t ifindex, const char *const *list)
{
	struct prefix prefixes[16];
	size_t n = 0;

	for (; list[n]; n++)
		prefixes[n] = prefix(list[n]);
	return device_set_addresses(sys, ifindex, prefixes, n);
}

#define SET(ifindex, ...) set_addresses(ifindex, (const char *const[]){ __VA_ARGS__ __VA_OPT__(, ) NULL })

Test(system_change, sets_addresses_exactly)
{
	uint32_t ifindex, peer;
	char link_local[64];

	cr_assert_eq(sysctl_set("net.ipv6.conf.default.addr_gen_mode", "0"), 0);
	cr_assert_eq(device_tunnel_create(sys, INSTANCE, "he0", 1480, &ifindex, &peer), 0);
	snprintf(link_local, sizeof(link_local), "%s", addresses_of("he0", true));
	cr_assert_eq(strncmp(link_local, "fe80:", 5), 0, "the kernel's own");

	cr_assert_eq(SET(ifindex, "2001:db8::2/64", "10.0.0.1/24"), 0);
	cr_assert_str_eq(addresses_of("he0", false), "10.0.0.1/24 2001:db8::2/64 ");
	run("! ip addr show dev he0 | grep 2001:db8::2 | grep -q tentative");
	settle();
	cr_assert_eq(SET(ifindex, "2001:db8::2/64", "10.0.0.1/24"), 0);
	cr_assert_eq(dispatch() & SYSTEM_ADDR, 0, "nothing was to do");

	/* another length; the primary goes and takes its secondary along, unless that is put back */
	cr_assert_eq(SET(ifindex, "2001:db8::2/64", "10.0.0.1/24", "10.0.0.2/24", "10.0.0.3/24"), 0);
	cr_assert_eq(SET(ifindex, "2001:db8::2/126", "10.0.0.2/24", "10.0.0.3/24"), 0);
	cr_assert_str_eq(addresses_of("he0", false), "10.0.0.2/24 10.0.0.3/24 2001:db8::2/126 ");
	run("ip addr add 2001:db8::99/64 dev he0 && ip addr add fe80::99/64 dev he0");
	run("ip addr add 10.9.0.1 peer 10.9.0.2/32 dev he0");
	cr_assert_eq(SET(ifindex, "2001:db8::2/126", "2001:db8::2/126", "fe80::1/64"), 0);
	cr_assert_str_eq(addresses_of("he0", false), "2001:db8::2/126 ");
	cr_assert_not_null(strstr(addresses_of("he0", true), link_local));
	cr_assert_not_null(strstr(addresses_of("he0", true), "fe80::1/64"));
	cr_assert_null(strstr(addresses_of("he0", true), "fe80::99/64"));

	cr_assert_eq(SET(ifindex), 0);
	cr_assert_str_eq(addresses_of("he0", false), "");
	cr_assert_str_eq(addresses_of("he0", true), link_local);
	cr_assert_eq(SET(9999, "2001:db8::2/64"), -ENODEV);
	cr_assert_neq(SET(ifindex, "2001:db8::2/64", "2001:db8::2/48"), 0, "one address can't have two lengths");
}

/* ---- routes ---- */

/* A router with two ports and something beyond them */
static void two_ports(void)
{
	cr_assert_eq(sysctl_set("net.ipv6.conf.default.disable_ipv6", "0"), 0);
	run("for p in a b; do ip link add ${p}0 type veth peer name ${p}1 && ip link set ${p}0 up && "
	    "ip link set ${p}1 up; done");
	run("ip addr add 192.0.2.1/24 dev a0 && ip addr add 198.51.100.1/24 dev b0");
	run("ip addr add 2001:db8:a::1/64 dev a0 nodad && ip addr add 2001:db8:b::1/64 dev b0 nodad");
}

static struct system_route route(const char *to, const char *device, const char *gateway, uint32_t metric)
{
	return (struct system_route){
		.destination = prefix(to), .ifindex = index_of(device), .gateway = addr(gateway), .metric = metric
	};
}

/* `ip route` of our protocol, both families, sorted; also checked against what system_get_routes() says. */
static const char *routes(void)
{
	struct system_route *list;
	static char buf[4096];
	size_t n, lines = 0;
	FILE *f;

	f = popen("{ ip route show proto 250; ip -6 route show proto 250; } | sed 's/ pref medium//; s/ *$//' | sort",
		  "r");
	cr_assert_not_null(f);
	buf[fread(buf, 1, sizeof(buf) - 1, f)] = '\0';
	pclose(f);
	for (char *c = buf; *c; c++)
		lines += *c == '\n';
	cr_assert_eq(system_get_routes(sys, &list, &n), 0);
	if (!strstr(buf, "nexthop") && !strstr(buf, "unreachable"))
		cr_assert_eq(n, lines, "%zu routes, ip says:\n%s", n, buf);
	free(list);
	return buf;
}

Test(system_change, sets_routes_exactly)
{
	struct system_route want[4];
	size_t conflict = 0, n;
	struct system_route *got;

	two_ports();
	want[0] = route("10.1.0.0/16", "a0", "192.0.2.2", 0);
	want[1] = route("2001:db8:1::/48", "a0", "2001:db8:a::2", 0);
	want[2] = route("2001:db8:2::/48", "b0", NULL, 50);
	want[3] = route("10.2.0.0/16", "b0", NULL, 7);
	cr_assert_eq(system_set_routes(sys, want, 4, &conflict), 0);
	cr_assert_str_eq(routes(), "10.1.0.0/16 via 192.0.2.2 dev a0\n10.2.0.0/16 dev b0 scope link metric 7\n"
				   "2001:db8:1::/48 via 2001:db8:a::2 dev a0 metric 1024\n"
				   "2001:db8:2::/48 dev b0 metric 50\n");
	cr_assert_eq(system_get_routes(sys, &got, &n), 0);
	cr_assert_eq(n, 4);
	cr_assert(addr_equal(&got[0].gateway, &want[0].gateway) && got[0].metric == 0);
	free(got);
	settle();
	cr_assert_eq(system_set_routes(sys, want, 4, &conflict), 0);
	cr_assert_eq(dispatch() & SYSTEM_ROUTE, 0, "nothing was to do");

	/* other next hops for the same destinations, one goes, one comes; foreign ones of our number go */
	run("ip route add 10.9.0.0/16 via 192.0.2.9 proto 250 && ip -6 route add unreachable 2001:db8:9::/48 proto 250");
	run("ip route add 10.8.0.0/16 proto 250 nexthop via 192.0.2.9 nexthop via 198.51.100.9");
	run("ip -6 route add 2001:db8:8::/48 proto 250 nexthop via 2001:db8:a::9 nexthop via 2001:db8:b::9");
	want[0] = route("10.1.0.0/16", "b0", "198.51.100.2", 0);
	want[1] = route("2001:db8:1::/48", "b0", "2001:db8:b::2", 1024);
	want[2] = route("2001:db8:2::/48", "a0", "2001:db8:a::3", 50);
	want[3] = route("0.0.0.0/0", "a0", "192.0.2.4", 0);
	cr_assert_eq(system_set_routes(sys, want, 4, &conflict), 0);
	cr_assert_str_eq(routes(),
			 "10.1.0.0/16 via 198.51.100.2 dev b0\n"
			 "2001:db8:1::/48 via 2001:db8:b::2 dev b0 metric 1024\n"
			 "2001:db8:2::/48 via 2001:db8:a::3 dev a0 metric 50\ndefault via 192.0.2.4 dev a0\n");
	/* on link and by a gateway of the same device, there and back; a gateway of the other family (RFC 8950) */
	for (int i = 0; i < 4; i++) {
		want[0] = route("2001:db8:2::/48", "a0", i & 1 ? "2001:db8:a::3" : NULL, 50);
		want[1] = route("10.1.0.0/16", "a0", i & 1 ? NULL : "2001:db8:a::7", 0);
		cr_assert_eq(system_set_routes(sys, want, 2, &conflict), 0);
		cr_assert_str_eq(routes(), i & 1 ? "10.1.0.0/16 dev a0 scope link\n"
						   "2001:db8:2::/48 via 2001:db8:a::3 dev a0 metric 50\n"
						 : "10.1.0.0/16 via inet6 2001:db8:a::7 dev a0\n"
						   "2001:db8:2::/48 dev a0 metric 50\n");
	}
	cr_assert_eq(system_set_routes(sys, NULL, 0, &conflict), 0);
	cr_assert_str_eq(routes(), "");
}

Test(system_change, does_not_replace_routes_of_others)
{
	struct system_route want[3];
	size_t conflict = 0;
	char before[4096];

	two_ports();
	run("ip route add 10.3.0.0/16 via 192.0.2.9 && ip -6 route add 2001:db8:3::/48 via 2001:db8:a::9");
	want[0] = route("10.1.0.0/16", "a0", "192.0.2.2", 0);
	want[1] = route("2001:db8:1::/48", "a0", "2001:db8:a::2", 0);
	cr_assert_eq(system_set_routes(sys, want, 2, &conflict), 0);
	snprintf(before, sizeof(before), "%s", routes());

	/* each fails after others were changed, and those are put back */
	want[0] = route("10.1.0.0/16", "b0", "198.51.100.2", 0);
	want[1] = route("10.0.0.0/16", "b0", "198.51.100.3", 0);
	want[2] = route("10.3.0.0/16", "b0", "198.51.100.2", 0);
	cr_assert_eq(system_set_routes(sys, want, 3, &conflict), -EEXIST);
	cr_assert_eq(conflict, 2);
	cr_assert_str_eq(routes(), before);
	want[2] = route("2001:db8:3::/48", "a0", "2001:db8:a::2", 0);
	cr_assert_eq(system_set_routes(sys, want, 3, &conflict), -EEXIST);
	cr_assert_eq(conflict, 2);
	cr_assert_str_eq(routes(), before);
	want[2] = route("10.4.0.0/16", "a0", "203.0.113.1", 0);
	cr_assert_eq(system_set_routes(sys, want, 3, &conflict), -ENETUNREACH);
	cr_assert_eq(conflict, 2);
	cr_assert_str_eq(routes(), before);
	want[2] = want[0];
	cr_assert_eq(system_set_routes(sys, want, 3, &conflict), -EEXIST, "twice the same");
	cr_assert_eq(conflict, 2);
	cr_assert_str_eq(routes(), before);

	/* another metric is another route; a next hop that others put beside ours stays */
	run("ip -6 route append 2001:db8:1::/48 via 2001:db8:b::77 proto static");
	want[0] = route("2001:db8:3::/48", "b0", "2001:db8:b::2", 99);
	want[1] = route("2001:db8:1::/48", "b0", "2001:db8:b::2", 0);
	cr_assert_eq(system_set_routes(sys, want, 2, &conflict), 0);
	run("ip -6 route show 2001:db8:1::/48 | grep -q 2001:db8:b::77");
	run("ip -6 route show 2001:db8:1::/48 | grep -q 'via 2001:db8:b::2 '");
	run("! ip -6 route show 2001:db8:1::/48 | grep -q 2001:db8:a::2");
	run("ip -6 route show 2001:db8:3::/48 metric 1024 | grep -q 2001:db8:a::9");
	run("ip route show 10.3.0.0/16 | grep -q 192.0.2.9");
}

Test(system_change, ten_thousand_routes)
{
	enum { N = 10000 };
	struct system_route *want = calloc(N, sizeof(*want));
	size_t conflict;

	two_ports();
	for (uint32_t i = 0; i < N; i++) {
		char to[64];

		snprintf(to, sizeof(to), "2001:db8:%x::/48", 0x1000 + i);
		want[i] = (struct system_route){ .destination = prefix(to), .ifindex = index_of("a0") };
	}
	cr_assert_eq(system_set_routes(sys, want, N, &conflict), 0);
	settle();
	cr_assert_eq(system_set_routes(sys, want, N, &conflict), 0);
	cr_assert_eq(dispatch() & SYSTEM_ROUTE, 0);
	run("test $(ip -6 route show proto 250 | wc -l) = 10000");
	cr_assert_eq(system_set_routes(sys, NULL, 0, &conflict), 0);
	cr_assert_str_eq(routes(), "");
	free(want);
}

Test(system_change, blocks_devices_exactly)
{
	static const int families[] = { AF_INET, AF_INET6 };
	const char all[1][16] = { SYSTEM_BLOCK_ALL }, some[2][16] = { "not-there", "there" };

	run("ip link add there type veth peer name elsewhere");
	for (size_t i = 0; i < 2; i++) {
		const char *option = families[i] == AF_INET ? "-4" : "-6";

		cr_assert_not(system_is_blocked(sys, families[i]));
		run("ip %s rule add pref 1 iif others blackhole", option); /* not of the kernel's protocol: not ours */
		for (int again = 0; again < 2; again++)
			cr_assert_eq(system_set_blocked(sys, families[i], all, 1), 0);
		cr_assert(system_is_blocked(sys, families[i]));
		cr_assert_eq(system_set_blocked(sys, families[i], some, 2), 0);
		cr_assert_not(system_is_blocked(sys, families[i]));
		run("test $(ip %s rule | grep -c blackhole) = 3", option);
		cr_assert_eq(system_set_blocked(sys, families[i], NULL, 0), 0);
		run("test \"$(ip %s rule | grep blackhole | grep -c others)\" = 1", option);
		run("test $(ip %s rule | grep -c blackhole) = 1", option);
	}
}

Test(system_change, asks_for_a_way)
{
	struct addr dst, source = { 0 }, expect;
	uint32_t ifindex = 0;

	two_ports();
	run("ip route add 10.3.0.0/16 via 198.51.100.9 && ip route add unreachable 10.4.0.0/16");
	run("ip -6 route add 2001:db8:3::/48 via 2001:db8:b::9 && ip -6 route add unreachable 2001:db8:4::/48");
	dst = addr("10.3.0.1");
	expect = addr("198.51.100.1");
	cr_assert_eq(system_route_get(sys, &dst, NULL, &ifindex, &source), 0);
	cr_assert_eq(ifindex, index_of("b0"));
	cr_assert(addr_equal(&source, &expect));
	expect = addr("192.0.2.1");
	cr_assert_eq(system_route_get(sys, &dst, &expect, &ifindex, &source), 0);
	cr_assert(addr_equal(&source, &expect));
	dst = addr("2001:db8:3::1");
	expect = addr("2001:db8:b::1");
	cr_assert_eq(system_route_get(sys, &dst, NULL, &ifindex, &source), 0);
	cr_assert_eq(ifindex, index_of("b0"));
	cr_assert(addr_equal(&source, &expect));
	dst = addr("10.4.0.1");
	cr_assert_eq(system_route_get(sys, &dst, NULL, &ifindex, &source), -EHOSTUNREACH);
	dst = addr("2001:db8:4::1");
	cr_assert_eq(system_route_get(sys, &dst, NULL, &ifindex, &source), -EHOSTUNREACH);
	dst = addr("203.0.113.1");
	cr_assert_eq(system_route_get(sys, &dst, NULL, &ifindex, &source), -ENETUNREACH);
	dst = addr("2001:db8:ffff::1");
	cr_assert_eq(system_route_get(sys, &dst, NULL, &ifindex, &source), -ENETUNREACH);
	cr_assert_eq(system_route_get(sys, &dst, &expect, &ifindex, &source), -ENETUNREACH);
	expect = addr("192.0.2.1");
	cr_assert_eq(system_route_get(sys, &dst, &expect, &ifindex, &source), -EAFNOSUPPORT);
}

Test(system_change, knows_whether_there_is_a_way_by_a_device)
{
	struct addr dst = addr("10.3.0.1");

	two_ports();
	run("ip route add 10.3.0.0/16 via 198.51.100.9 && ip route add unreachable 10.4.0.0/16");
	cr_assert_eq(system_route_by(sys, &dst, index_of("b0")), 0);
	cr_assert_eq(system_route_by(sys, &dst, index_of("a0")), -EHOSTUNREACH);
	dst = addr("198.51.100.77");
	cr_assert_eq(system_route_by(sys, &dst, index_of("b0")), 0);
	dst = addr("203.0.113.1");
	cr_assert_eq(system_route_by(sys, &dst, index_of("b0")), -EHOSTUNREACH);
	run("ip route add default via 192.0.2.9");
	cr_assert_eq(system_route_by(sys, &dst, index_of("a0")), 0);
	cr_assert_eq(system_route_by(sys, &dst, index_of("b0")), -EHOSTUNREACH);
	dst = addr("2001:db8::1");
	cr_assert_eq(system_route_by(sys, &dst, index_of("b0")), -EAFNOSUPPORT);
}

/* ---- neighbours ---- */

static void neigh_is(const char *dst, bool managed, const char *lladdr, const char *state)
{
	json_t *list = ip("neigh show %s dev a0 nud all", dst), *item = json_array_get(list, 0);
	bool has = false;
	json_t *value;
	size_t i;

	cr_assert_not_null(item, "%s", dst);
	cr_assert_eq(json_object_get(item, "managed") != NULL, managed, "%s", dst);
	cr_assert_str_eq(text(item, "lladdr"), lladdr);
	json_array_foreach(json_object_get(item, "state"), i, value)
		has |= strstr(state, json_string_value(value)) != NULL;
	cr_assert(has, "%s is not %s", dst, state);
	json_decref(list);
}

Test(system_change, manages_neighbours)
{
	struct addr known, unknown, permanent, learned, absent;
	uint32_t a0;

	two_ports();
	a0 = index_of("a0");
	known = addr("2001:db8:a::2");
	unknown = addr("192.0.2.3");
	permanent = addr("192.0.2.4");
	learned = addr("192.0.2.5");
	absent = addr("192.0.2.6");
	run("ip neigh add 2001:db8:a::2 lladdr 02:00:00:00:00:02 nud reachable dev a0");
	run("ip neigh add 192.0.2.4 lladdr 02:00:00:00:00:04 nud permanent dev a0");
	run("ip neigh add 192.0.2.5 lladdr 02:00:00:00:00:05 nud reachable extern_learn dev a0");
	cr_assert_eq(system_neigh_manage(sys, a0, &known, true), 0);
	neigh_is("2001:db8:a::2", true, "02:00:00:00:00:02", "REACHABLE STALE DELAY PROBE");
	cr_assert_eq(system_neigh_manage(sys, a0, &known, true), 0);
	cr_assert_eq(system_neigh_manage(sys, a0, &unknown, true), 0);
	neigh_is("192.0.2.3", true, "", "INCOMPLETE FAILED PROBE");
	cr_assert_eq(system_neigh_manage(sys, a0, &permanent, true), 0);
	neigh_is("192.0.2.4", false, "02:00:00:00:00:04", "PERMANENT");
	cr_assert_eq(system_neigh_manage(sys, a0, &learned, true), 0);
	neigh_is("192.0.2.5", true, "02:00:00:00:00:05", "REACHABLE STALE DELAY PROBE");
	run("ip neigh show 192.0.2.5 dev a0 | grep -q extern_learn");
	dispatch();
	for (size_t i = 0; system_neigh_at(sys, i); i++)
		if (addr_equal(&system_neigh_at(sys, i)->addr, &known))
			cr_assert(system_neigh_at(sys, i)->flags_ext & NTF_EXT_MANAGED);

	cr_assert_eq(system_neigh_manage(sys, a0, &known, false), 0);
	neigh_is("2001:db8:a::2", false, "02:00:00:00:00:02", "REACHABLE STALE DELAY PROBE");
	cr_assert_eq(system_neigh_manage(sys, a0, &learned, false), 0);
	run("ip neigh show 192.0.2.5 dev a0 | grep -q extern_learn");
	cr_assert_eq(system_neigh_manage(sys, a0, &unknown, false), 0);
	cr_assert_eq(system_neigh_manage(sys, a0, &absent, false), 0);
	run("! ip neigh show nud all | grep -q 192.0.2.6");
	cr_assert_eq(system_neigh_manage(sys, 9999, &known, true), -ENODEV);
}

/* ---- sysctl ---- */

Test(system_change, sysctls)
{
	char value[64], small[2];

	run("ip link add v0.5 type veth peer name v1");
	cr_assert_eq(sysctl_set("net.ipv6.conf.v0/5.accept_ra", "2"), 0);
	sysctl_is("net/ipv6/conf/v0.5/accept_ra", "2");
	cr_assert_eq(sysctl_set("net/ipv6/conf/v0.5/accept_ra", "0"), 0);
	sysctl_is("net.ipv6.conf.v0/5.accept_ra", "0");
	cr_assert_eq(sysctl_get("net.ipv6.conf.nosuch.accept_ra", value, sizeof(value)), -ENOENT);
	cr_assert_eq(sysctl_set("net.ipv6.conf.v1.accept_ra", "many"), -EINVAL);
	cr_assert_eq(sysctl_get("kernel.hostname", value, sizeof(value)), -EINVAL);
	cr_assert_eq(sysctl_get("net/../kernel/hostname", value, sizeof(value)), -EINVAL);
	cr_assert_eq(sysctl_get("net.//.kernel.hostname", value, sizeof(value)), -EINVAL);
	cr_assert_eq(sysctl_get("net.ipv4.ip_local_port_range", small, sizeof(small)), -ENOSPC);
	cr_assert_eq(sysctl_get("net.ipv4.ip_forward", small, sizeof(small)), 0);
}

/* ---- offloads ---- */

Test(system_change, offloads)
{
	static const struct {
		enum offload what;
		const char *name; /* as `ethtool -k` has it */
	} all[] = {
		{ OFFLOAD_RXVLAN, "rx-vlan-offload" },
		{ OFFLOAD_TXVLAN, "tx-vlan-offload" },
		{ OFFLOAD_TX_CHECKSUM, "tx-checksumming" },
		{ OFFLOAD_TSO, "tcp-segmentation-offload" },
		{ OFFLOAD_GSO, "generic-segmentation-offload" },
		{ OFFLOAD_GRO, "generic-receive-offload" },
		{ OFFLOAD_UDP_GRO_FORWARDING, "rx-udp-gro-forwarding" },
	};
	char driver[32];
	bool on;

	run("ip link add a0 type veth peer name a1");
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		for (int k = 0; k < 4; k++) {
			bool want = k & 1;

			cr_assert_eq(offload_set("a0", all[i].what, want), 0, "%s", all[i].name);
			cr_assert_eq(offload_get("a0", all[i].what, &on), 0);
			cr_assert_eq(on, want, "%s", all[i].name);
			run("ethtool -k a0 | grep -q '^%s: %s'", all[i].name, want ? "on" : "off");
		}
	}
	cr_assert_eq(offload_set("lo", OFFLOAD_TX_CHECKSUM, false), -EOPNOTSUPP, "fixed");
	cr_assert_eq(offload_set("lo", OFFLOAD_TX_CHECKSUM, true), 0, "fixed, but as wanted");
	cr_assert_eq(offload_get("none", OFFLOAD_GRO, &on), -ENODEV);
	cr_assert_eq(device_driver("a0", driver, sizeof(driver)), 0);
	cr_assert_str_eq(driver, "veth");
	cr_assert_eq(device_driver("a0", driver, 4), -ENOSPC);
	cr_assert_eq(device_driver("none", driver, sizeof(driver)), -ENODEV);
}

/* ---- the pair for ICMP errors ---- */

#define SEGMENT 1000
#define PAYLOAD 3000

struct frame {
	struct virtio_net_hdr vnet;
	struct ethhdr eth;
	struct ip6_hdr ip6;
	struct tcphdr tcp;
	uint8_t payload[PAYLOAD];
} __attribute__((packed));

static uint32_t sum(const void *data, size_t len, uint32_t start)
{
	const uint8_t *bytes = data;

	for (size_t i = 0; i < len; i++)
		start += i & 1 ? bytes[i] : (uint32_t)bytes[i] << 8;
	while (start >> 16)
		start = (start & 0xffff) + (start >> 16);
	return start;
}

/* Of an IPv6 packet's addresses, upper length and TCP. */
static uint32_t pseudo_sum(const void *packet)
{
	struct ip6_hdr ip6;
	uint32_t rest[2];

	memcpy(&ip6, packet, sizeof(ip6));
	rest[0] = htonl(ntohs(ip6.ip6_plen));
	rest[1] = htonl(IPPROTO_TCP);
	return sum(&ip6.ip6_src, 32, sum(rest, sizeof(rest), 0));
}

static int packet_socket(const char *device, bool vnet)
{
	struct sockaddr_ll sll = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IPV6) };
	int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_IPV6)), one = 1;

	sll.sll_ifindex = (int)index_of(device);
	cr_assert_eq(bind(fd, (struct sockaddr *)&sll, sizeof(sll)), 0);
	if (vnet)
		cr_assert_eq(setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)), 0);
	return fd;
}

static void send_unfinished(const char *device)
{
	struct frame frame = {
		.vnet = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
			  .gso_type = VIRTIO_NET_HDR_GSO_TCPV6,
			  .hdr_len = 74,
			  .gso_size = SEGMENT,
			  .csum_start = 54,
			  .csum_offset = 16 },
		.eth = { .h_proto = htons(ETH_P_IPV6), .h_dest = { 2, 0, 0, 0, 0, 9 } },
		.ip6 = { .ip6_vfc = 0x60, .ip6_nxt = IPPROTO_TCP, .ip6_hlim = 64 },
		.tcp = { .doff = 5, .ack = 1 },
	};
	int fd = packet_socket(device, true);

	frame.ip6.ip6_plen = htons(sizeof(frame.tcp) + PAYLOAD);
	frame.ip6.ip6_src = addr("2001:db8::1").v6;
	frame.ip6.ip6_dst = addr("2001:db8::2").v6;
	memset(frame.payload, 'x', PAYLOAD);
	frame.tcp.check = htons((uint16_t)pseudo_sum(&frame.ip6));
	cr_assert_eq(send(fd, &frame, sizeof(frame), 0), (ssize_t)sizeof(frame));
	close(fd);
}

Test(system_change, icmp_pair_finishes_packets)
{
	uint32_t ifindex, peer, again, again_peer;
	struct pollfd p = { .events = POLLIN };
	int frames = 0;

	cr_assert_eq(device_icmp_create(sys, INSTANCE, &ifindex, &peer), 0);
	settle();
	cr_assert_eq(device_icmp_create(sys, INSTANCE, &again, &again_peer), 0);
	cr_assert(again == ifindex && again_peer == peer && !(settle() & SYSTEM_LINK));
	cr_assert_eq(system_link_by_name(sys, "fl-icmp")->mtu, 65535);
	cr_assert_eq(system_link_by_name(sys, "fl-icmp-rx")->mtu, 65535);
	cr_assert(system_link_by_name(sys, "fl-icmp")->carrier && system_link_by_name(sys, "fl-icmp-rx")->carrier);
	sysctl_is("net/ipv6/conf/fl-icmp/disable_ipv6", "1");
	sysctl_is("net/ipv6/conf/fl-icmp-rx/disable_ipv6", "0");
	sysctl_is("net/ipv6/conf/fl-icmp-rx/accept_ra", "0");
	sysctl_is("net/ipv4/conf/fl-icmp-rx/rp_filter", "0");
	sysctl_is("net/ipv4/conf/fl-icmp-rx/accept_local", "1");
	for (size_t i = 0; system_addr_at(sys, i); i++)
		cr_assert(system_addr_at(sys, i)->ifindex != ifindex && system_addr_at(sys, i)->ifindex != peer);

	p.fd = packet_socket("fl-icmp-rx", false);
	send_unfinished("fl-icmp");
	while (poll(&p, 1, frames < PAYLOAD / SEGMENT ? 2000 : 200) > 0) {
		struct {
			uint8_t align[2]; /* the IPv6 header at a multiple of four */
			uint8_t data[4096];
		} __attribute__((aligned(4))) buf;
		struct ip6_hdr *ip6 = (struct ip6_hdr *)(buf.data + ETH_HLEN);
		ssize_t n = recv(p.fd, buf.data, sizeof(buf.data), 0);

		if (n < 74 || ip6->ip6_nxt != IPPROTO_TCP)
			continue;
		cr_assert_eq(n, 74 + SEGMENT);
		cr_assert_eq(sum(ip6 + 1, (size_t)n - 54, pseudo_sum(ip6)), 0xffff, "the checksum is finished");
		frames++;
	}
	cr_assert_eq(frames, PAYLOAD / SEGMENT);
	close(p.fd);
}

/* ---- without rights ---- */

Test(system_change, says_when_it_may_not)
{
	struct prefix p = prefix("2001:db8::2/64");
	struct addr a = addr("192.0.2.2");
	struct system_route r;
	uint32_t ifindex, peer;
	size_t conflict;

	two_ports();
	r = route("10.0.0.0/8", "a0", NULL, 0);
	cr_assert_eq(setuid(65534), 0);
	cr_assert_eq(device_tunnel_create(sys, INSTANCE, "he0", 1480, &ifindex, &peer), -EPERM);
	cr_assert_eq(device_icmp_create(sys, INSTANCE, &ifindex, &peer), -EPERM);
	cr_assert_eq(device_set_mtu(sys, index_of("a0"), 1400), -EPERM);
	cr_assert_eq(device_set_addresses(sys, index_of("a0"), &p, 1), -EPERM);
	cr_assert_eq(system_set_routes(sys, &r, 1, &conflict), -EPERM);
	cr_assert_eq(system_neigh_manage(sys, index_of("a0"), &a, true), -EPERM);
	cr_assert_eq(offload_set("a0", OFFLOAD_TSO, false), -EPERM);
	cr_assert_eq(sysctl_set("net.ipv4.conf.a0.rp_filter", "2"), -EACCES);
	dispatch(); /* what may be read is read all the same */
	cr_assert_not_null(system_link_by_name(sys, "a0"));
}
