/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * user/system against a real kernel: each test has a network namespace of its own, and what our functions say is held
 * against what `ip -j` says. Needs root. Here: what is watched, and the devices.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "selftests/net/test_system.h"

TestSuite(system, .init = set_up, .fini = tear_down, .timeout = 60);

/* ---- monitor ---- */

static bool carriers_agree(void)
{
	json_t *links = ip("link"), *item;
	bool agree = true;
	size_t i;

	json_array_foreach(links, i, item) {
		const struct system_link *link = system_link_by_name(sys, text(item, "ifname"));

		agree = agree && (!link || link->carrier == has_flag(item, "LOWER_UP"));
	}
	json_decref(links);
	return agree;
}

static void compare_links(void)
{
	json_t *links, *item;
	size_t i, n = 0;

	/* the kernel tells of carriers once a second (net/core/link_watch.c) */
	for (int tries = 0; tries < 10 && !carriers_agree(); tries++)
		settle();
	links = ip("-d link");
	while (system_link_at(sys, n))
		n++;
	cr_assert_eq(n, json_array_size(links), "%zu links, %zu by ip", n, json_array_size(links));
	json_array_foreach(links, i, item) {
		const struct system_link *link = system_link_by_name(sys, text(item, "ifname"));
		char mac[18];

		cr_assert_not_null(link, "%s", text(item, "ifname"));
		cr_assert_eq(link, system_link_by_index(sys, (uint32_t)number(item, "ifindex")));
		cr_assert_eq(link->mtu, number(item, "mtu"));
		cr_assert_eq(!!(link->flags & IFF_UP), has_flag(item, "UP"));
		cr_assert_eq(!!(link->flags & IFF_NOARP), has_flag(item, "NOARP"));
		cr_assert_eq(link->carrier, has_flag(item, "LOWER_UP"));
		cr_assert_str_eq(link->kind, text(json_object_get(item, "linkinfo"), "info_kind"));
		cr_assert_eq(link->has_mac, !strcmp(text(item, "link_type"), "ether"));
		snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", link->mac[0], link->mac[1], link->mac[2],
			 link->mac[3], link->mac[4], link->mac[5]);
		if (link->has_mac)
			cr_assert_str_eq(mac, text(item, "address"));
	}
	json_decref(links);
}

static void compare_addrs(void)
{
	json_t *links = ip("addr"), *link, *item;
	size_t i, k, n = 0, total = 0;

	json_array_foreach(links, i, link) {
		json_array_foreach(json_object_get(link, "addr_info"), k, item) {
			struct addr want = addr(text(item, "local"));
			const struct system_addr *a;
			bool found = false;

			for (size_t m = 0; (a = system_addr_at(sys, m)); m++)
				found |= a->ifindex == number(link, "ifindex") && addr_equal(&a->prefix.addr, &want) &&
					 a->prefix.len == number(item, "prefixlen") &&
					 (a->scope == RT_SCOPE_LINK) == !strcmp(text(item, "scope"), "link");
			cr_assert(found, "%s", text(item, "local"));
			n++;
		}
	}
	while (system_addr_at(sys, total))
		total++;
	cr_assert_eq(total, n, "%zu addresses, %zu by ip", total, n);
	json_decref(links);
}

static void compare_neighs(void)
{
	json_t *neighs = ip("neigh show nud all"), *item;
	size_t n = 0, i, k;
	const struct system_neigh *neigh;
	json_t *by_address = json_object();

	json_array_foreach(neighs, k, item) {
		char key[128];

		if (!strncmp(text(item, "dst"), "ff", 2)) /* they come and go with reports of the kernel's own */
			continue;
		snprintf(key, sizeof(key), "%u %s", index_of(text(item, "dev")), text(item, "dst"));
		json_object_set(by_address, key, item);
	}
	for (i = 0; (neigh = system_neigh_at(sys, i)); i++) {
		char key[128], dst[ADDR_STRLEN], mac[18];

		if (neigh->addr.family == AF_INET6 && neigh->addr.v6.s6_addr[0] == 0xff)
			continue;
		n++;
		snprintf(key, sizeof(key), "%u %s", neigh->ifindex, addr_format(&neigh->addr, dst));
		item = json_object_get(by_address, key);
		cr_assert_not_null(item, "%s", key);
		snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", neigh->mac[0], neigh->mac[1], neigh->mac[2],
			 neigh->mac[3], neigh->mac[4], neigh->mac[5]);
		if (*text(item, "lladdr"))
			cr_assert_str_eq(mac, text(item, "lladdr"));
	}
	cr_assert_eq(n, json_object_size(by_address), "%zu neighbours, %zu by ip", n, json_object_size(by_address));
	json_decref(by_address);
	json_decref(neighs);
}

static void compare_all(void)
{
	compare_links();
	compare_addrs();
	compare_neighs();
}

Test(system, follows_links_and_addresses)
{
	compare_all();
	run("ip link add a0 type veth peer name a1 && ip link set a0 up && ip link set a1 up mtu 1400");
	run("ip link add br0 type bridge && ip link set a1 master br0 && ip link add link a0 name mv0 type macvlan");
	run("ip tuntap add tun0 mode tun && ip link set tun0 up");
	run("sysctl -qw net.ipv6.conf.a0.disable_ipv6=0 && ip addr add 2001:db8::1/64 dev a0 nodad");
	run("ip addr add 192.0.2.1/24 dev a0");
	run("ip addr add 192.0.2.9 peer 192.0.2.10/32 dev tun0 && ip addr add 192.0.2.9 peer 192.0.2.11/32 dev tun0");
	run("ip neigh add 192.0.2.77 lladdr 02:00:00:00:00:77 dev a0");
	cr_assert_eq(settle(), EVERYTHING & ~SYSTEM_DEFAULT);
	compare_all();
	cr_assert_eq(system_link_by_name(sys, "mv0")->parent, index_of("a0"));
	cr_assert_eq(system_link_by_name(sys, "a0")->parent, 0);
	cr_assert_eq(dispatch(), 0);
	cr_assert_eq(told.times, 0);

	run("ip link set a0 name b0 down 2>/dev/null || { ip link set a0 down && ip link set a0 name b0; }");
	run("ip link set a1 nomaster && ip addr del 192.0.2.9 peer 192.0.2.10/32 dev tun0");
	cr_assert(settle() & SYSTEM_LINK);
	cr_assert_null(system_link_by_name(sys, "a0"));
	compare_all();

	run("ip link del b0"); /* from outside, with addresses and neighbours that we know */
	cr_assert(settle() & SYSTEM_LINK);
	cr_assert_null(system_link_by_name(sys, "b0"));
	cr_assert_null(system_link_by_name(sys, "mv0"));
	compare_all();
}

Test(system, tells_of_routes_and_rules)
{
	run("ip link add a0 type veth peer name a1 && ip link set a0 up && ip link set a1 up");
	run("ip addr add 192.0.2.1/24 dev a0");
	settle();
	run("ip route add 198.51.100.0/24 via 192.0.2.2");
	cr_assert_eq(dispatch(), SYSTEM_ROUTE);
	run("ip -6 rule add from 2001:db8::/32 table 100");
	cr_assert_eq(dispatch(), SYSTEM_ROUTE);
	run("ip nexthop add id 7 via 192.0.2.3 dev a0");
	cr_assert_eq(dispatch(), SYSTEM_ROUTE | SYSTEM_DEFAULT, "no one knows yet by which routes it is used");
	run("ip route add default via 192.0.2.2");
	cr_assert_eq(dispatch(), SYSTEM_ROUTE | SYSTEM_DEFAULT);
	run("ip route add default via 192.0.2.3 metric 5 proto 250 && ip route add default via 192.0.2.3 table 100");
	cr_assert_eq(dispatch(), SYSTEM_ROUTE, "our own, and those of other tables");
	cr_assert_eq(dispatch(), 0);
}

static int by_family(const void *a, const void *b)
{
	const struct system_default *x = a, *y = b;

	if (x->family != y->family)
		return x->family == AF_INET6 ? 1 : -1;
	if (x->ifindex != y->ifindex)
		return x->ifindex == index_of("a0") ? -1 : 1;
	return x->metric < y->metric ? -1 : 1;
}

static void is_default(const struct system_default *d, const char *device, const char *gateway, uint8_t protocol)
{
	struct addr want = { .family = AF_UNSPEC };

	if (gateway)
		cr_assert_eq(addr_parse(gateway, &want), 0);
	cr_expect_eq(d->ifindex, index_of(device));
	cr_expect(addr_equal(&d->gateway, &want), "%s", gateway);
	cr_expect_eq(d->protocol, protocol, "%u", d->protocol);
}

/* Of each device the best first; ours, those of other tables, and of no next hop to be used, tell nothing. */
Test(system, defaults_that_others_have_learned)
{
	struct system_default *d = NULL;
	size_t n = 0;

	run("ip link add a0 type veth peer name a1 && ip link set a0 up && ip link set a1 up");
	run("ip addr add 192.0.2.1/24 dev a0 && ip addr add 198.51.100.1/24 dev a1");
	run("ip route add default via 192.0.2.2 metric 100 proto dhcp && ip route add default via 192.0.2.3 metric 7 proto boot");
	run("ip route add default dev a1 metric 9 && ip route add unreachable default metric 1000");
	run("ip route add default via 192.0.2.4 proto 250 && ip route add default via 192.0.2.5 table 9");
	run("sysctl -qw net.ipv6.conf.a0.disable_ipv6=0");
	run("ip -6 route add default via fe80::9 dev a0 metric 1024 proto ra && ip -6 route add 2001:db8:7::/64 via fe80::8 dev a0");
	run("ip -6 route add default via fe80::7 dev a0 metric 2048 proto ra pref high expires 100");
	settle();
	cr_assert_eq(system_get_defaults(sys, &d, &n), 0);
	cr_assert_eq(n, 5);
	qsort(d, n, sizeof(*d), by_family);
	is_default(&d[0], "a0", "192.0.2.3", 3);
	is_default(&d[1], "a0", "192.0.2.2", 16);
	is_default(&d[2], "a1", NULL, 3);
	is_default(&d[3], "a0", "fe80::9", 9);
	is_default(&d[4], "a0", "fe80::7", 9);
	cr_expect_eq(d[3].expires_ms, 0);
	cr_expect_gt(d[4].expires_ms, 0);
	free(d);
}

Test(system, tells_of_hooks_and_forwarding)
{
	char kind[16];

	run("ip link add a0 type veth peer name a1 && ip link set a0 up && ip link set a1 up");
	settle();
	cr_assert_eq(device_ingress_qdisc(sys, index_of("a0"), kind), -ENOENT);
	run("tc qdisc add dev a0 clsact");
	cr_assert_eq(dispatch(), 0, "what is added takes nothing away");
	cr_assert_eq(device_ingress_qdisc(sys, index_of("a0"), kind), 0);
	cr_assert_str_eq(kind, "clsact");
	dispatch();
	run("tc qdisc del dev a0 clsact");
	cr_assert_eq(dispatch(), SYSTEM_HOOK);
	run("sysctl -qw net.ipv4.conf.a0.forwarding=1");
	cr_assert_eq(dispatch(), SYSTEM_HOOK);
	run("sysctl -qw net.ipv6.conf.a0.forwarding=1");
	cr_assert(dispatch() & SYSTEM_HOOK);
	run("tc qdisc add dev a0 ingress");
	cr_assert_eq(device_ingress_qdisc(sys, index_of("a0"), kind), 0);
	cr_assert_str_eq(kind, "ingress");
}

Test(system, neighbour_noise_is_not_told)
{
	run("ip link add a0 type veth peer name a1 && ip link set a0 up && ip link set a1 up");
	run("ip neigh add 192.0.2.2 lladdr 02:00:00:00:00:02 nud reachable dev a0");
	cr_assert(settle() & SYSTEM_NEIGH);
	run("ip neigh change 192.0.2.2 lladdr 02:00:00:00:00:02 nud stale dev a0");
	cr_assert_eq(dispatch(), 0);
	cr_assert_eq(system_neigh_at(sys, 0)->state, NUD_STALE, "not told, but known");
	run("ip neigh change 192.0.2.2 lladdr 02:00:00:00:00:03 nud stale dev a0");
	cr_assert_eq(dispatch(), SYSTEM_NEIGH);
	run("ip neigh change 192.0.2.2 nud failed dev a0");
	cr_assert_eq(dispatch(), SYSTEM_NEIGH);
	run("ip neigh flush 192.0.2.2 dev a0 nud all");
	dispatch();
	compare_neighs();
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000ull + now.tv_nsec / 1000000;
}

/* When it was given up; 0: it was not. */
static uint64_t failed_ms(const struct addr *addr)
{
	const struct system_neigh *neigh;

	for (size_t i = 0; (neigh = system_neigh_at(sys, i)); i++)
		if (addr_equal(&neigh->addr, addr))
			return neigh->state == NUD_FAILED ? neigh->failed_ms : 0;
	return 0;
}

/* The kernel asks three times, a second apart; that nobody answered is told each time, and when that was. */
Test(system, neighbour_that_does_not_answer)
{
	const struct addr addr = { .family = AF_INET, .v4.s_addr = inet_addr("192.0.2.2") };
	uint64_t begin, last = 0;

	run("ip link add a0 type veth peer name a1 && ip link set a0 up && ip link set a1 up");
	run("ip addr add 192.0.2.1/24 dev a0");
	settle();
	for (int i = 0; i < 2; i++) {
		begin = now_ms();
		cr_assert_eq(system_neigh_probe(sys, system_link_by_name(sys, "a0")->ifindex, &addr), 0);
		while (!(settle() & SYSTEM_NEIGH) || failed_ms(&addr) <= last)
			cr_assert(now_ms() < begin + 10000, "not told within ten seconds");
		last = failed_ms(&addr);
		cr_assert(last >= begin + 1000 && last <= now_ms());
	}
}

static void neighbours(const char *verb, int n)
{
	FILE *f = popen("ip -batch -", "w");

	cr_assert_not_null(f);
	for (int i = 0; i < n; i++)
		fprintf(f, "neigh %s 10.%d.%d.%d lladdr 02:00:00:00:%02x:%02x dev a0 nud permanent\n", verb, i >> 16,
			i >> 8 & 255, i & 255, i >> 8 & 255, i & 255);
	cr_assert_eq(pclose(f), 0);
}

Test(system, five_thousand_neighbours)
{
	run("ip link add a0 type veth peer name a1 && ip link set a0 up && ip link set a1 up");
	neighbours("add", 5000);
	cr_assert(dispatch() & SYSTEM_NEIGH);
	settle(); /* the rest: a dispatch takes so many and no more */
	compare_neighs();
	neighbours("replace", 100);
	cr_assert_eq(dispatch(), 0);
	run("ip neigh flush dev a0 nud all");
	cr_assert(settle() & SYSTEM_NEIGH);
	compare_neighs();
}

Test(system, lost_notifications_lead_to_a_new_reading)
{
	int tiny = 4096;

	run("ip link add a0 type veth peer name a1 && ip link set a0 up && ip link set a1 up");
	settle();
	cr_assert_eq(setsockopt(system_fd(sys), SOL_SOCKET, SO_RCVBUF, &tiny, sizeof(tiny)), 0);
	neighbours("add", 2000);
	run("ip link add c0 type veth peer name c1 && ip addr add 192.0.2.1/24 dev c0 && ip link del a0");
	cr_assert_eq(dispatch(), EVERYTHING);
	cr_assert_eq(told.times, 1);
	settle();
	compare_all();
	run("ip link add d0 type veth peer name d1");
	cr_assert(settle() & SYSTEM_LINK);
	compare_all();
}

Test(system, knows_the_mtus_that_routes_are_locked_to)
{
	const uint32_t *mtus;

	run("ip link add a0 type veth peer name a1 && ip link set a0 up && ip link set a1 up");
	run("sysctl -qw net.ipv6.conf.a0.disable_ipv6=0 && ip addr add 2001:db8::1/64 dev a0 nodad");
	run("ip addr add 192.0.2.1/24 dev a0");
	run("ip route add 198.51.100.0/24 via 192.0.2.9 mtu 1400 && ip -6 route add 2001:db8:1::/48 via 2001:db8::9 mtu 1400");
	cr_assert(settle() & SYSTEM_ROUTE);
	cr_assert_eq(system_locked_mtus(sys, &mtus), 0, "the kernel's answer does not have them either");
	run("ip route add 198.51.101.0/24 via 192.0.2.9 mtu lock 1300");
	settle();
	cr_assert_eq(system_locked_mtus(sys, &mtus), 1);
	cr_assert_eq(mtus[0], 1300);
	run("ip -6 route add 2001:db8:2::/48 via 2001:db8::9 mtu lock 1300");
	run("ip -6 route add 2001:db8:3::/48 mtu lock 1350 nexthop via 2001:db8::8 nexthop via 2001:db8::9");
	settle();
	cr_assert_eq(system_locked_mtus(sys, &mtus), 2);
	cr_assert_eq(mtus[1], 1350);
}

Test(system, knows_rules_by_what_they_ask_for)
{
	static const char *const rules[] = { "dport 53 ipproto udp", "sport 1000-2000 ipproto tcp", "ipproto icmp",
					     "tos 0x10" };

	cr_assert(!system_routes_by_transport(sys));
	run("ip rule add from 192.0.2.0/24 iif lo lookup 100 && ip -6 rule add to 2001:db8::/32 fwmark 3 lookup 100");
	settle();
	cr_assert(!system_routes_by_transport(sys));
	for (size_t i = 0; i < sizeof(rules) / sizeof(*rules); i++) {
		run("ip %s rule add %s lookup 100", i % 2 ? "-6" : "-4", rules[i]);
		cr_assert(settle() & SYSTEM_ROUTE);
		cr_assert(system_routes_by_transport(sys), "%s", rules[i]);
		run("ip %s rule del %s lookup 100", i % 2 ? "-6" : "-4", rules[i]);
		cr_assert(settle() & SYSTEM_ROUTE);
		cr_assert(!system_routes_by_transport(sys), "%s", rules[i]);
	}
	run("ip link add a0 type veth peer name a1 && ip link set a0 up && ip addr add 192.0.2.1/24 dev a0");
	run("ip route add 198.51.100.0/24 dev a0");
	settle();
	cr_assert(!system_routes_by_transport(sys));
	run("ip route add 198.51.100.0/24 tos 0x10 dev a0");
	settle();
	cr_assert(system_routes_by_transport(sys));
}

static void attach(const char *device, uint32_t flags)
{
	struct bpf_insn pass[] = { { .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = XDP_PASS },
				   { .code = BPF_JMP | BPF_EXIT } };
	int fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "pass", "GPL", pass, 2, NULL);

	cr_assert_geq(fd, 0);
	cr_assert_eq(bpf_xdp_attach((int)index_of(device), fd, flags, NULL), 0);
	close(fd);
}

Test(system, sees_xdp_programs)
{
	const struct system_link *link;
	uint64_t features = 0;

	/* the kernel tells of programs on devices that are up */
	run("ip link add a0 type veth peer name a1 && ip link set a0 up && ip link set a1 up");
	settle();
	attach("a0", XDP_FLAGS_DRV_MODE);
	attach("a1", XDP_FLAGS_SKB_MODE);
	cr_assert_eq(settle(), SYSTEM_LINK);
	link = system_link_by_name(sys, "a0");
	cr_assert(link->xdp_native && link->xdp_prog_id);
	link = system_link_by_name(sys, "a1");
	cr_assert(!link->xdp_native && link->xdp_prog_id);
	cr_assert_eq(bpf_xdp_detach((int)index_of("a0"), XDP_FLAGS_DRV_MODE, NULL), 0);
	cr_assert_eq(settle(), SYSTEM_LINK);
	link = system_link_by_name(sys, "a0");
	cr_assert(!link->xdp_native && !link->xdp_prog_id);

	/* bit 0: NETDEV_XDP_ACT_BASIC */
	if (device_xdp_features(index_of("a0"), &features) != -EOPNOTSUPP) {
		cr_assert(features & 1);
		cr_assert_eq(device_xdp_features(9999, &features), -ENODEV);
	}
}

/* This may be a kernel without VLANs: the messages as its source writes them. */
static void vlan_message(uint16_t protocol, struct link_entry *out)
{
	struct ifinfomsg ifi = { .ifi_index = 9 };
	struct nl_msg *msg = request_new(RTM_NEWLINK, 0, &ifi, sizeof(ifi));
	struct nlattr *info, *data;

	nla_put_string(msg, IFLA_IFNAME, "eth0.10");
	nla_put_u32(msg, IFLA_LINK, 3);
	info = nla_nest_start(msg, IFLA_LINKINFO);
	nla_put_string(msg, IFLA_INFO_KIND, "vlan");
	data = nla_nest_start(msg, IFLA_INFO_DATA);
	nla_put_u16(msg, IFLA_VLAN_ID, 10);
	nla_put_u16(msg, IFLA_VLAN_PROTOCOL, htons(protocol));
	nla_nest_end(msg, data);
	nla_nest_end(msg, info);
	cr_assert_eq(parse_link(nlmsg_hdr(msg), out), 0);
	nlmsg_free(msg);
}

Test(system, reads_vlans)
{
	struct link_entry entry;

	vlan_message(0x8100, &entry);
	cr_assert_str_eq(entry.link.name, "eth0.10");
	cr_assert_eq(entry.link.parent, 3);
	cr_assert_eq(entry.link.vid, 10);
	vlan_message(0x88a8, &entry);
	cr_assert_eq(entry.link.vid, 0);

	run("ip link add a0 type veth peer name a1");
	if (system("ip link add link a0 name a0.7 type vlan id 7 2>/dev/null"))
		return; /* this kernel has none */
	run("ip link add link a0 name a0.8 type vlan id 8 protocol 802.1ad");
	settle();
	cr_assert_eq(system_link_by_name(sys, "a0.7")->parent, index_of("a0"));
	cr_assert_eq(system_link_by_name(sys, "a0.7")->vid, 7);
	cr_assert_eq(system_link_by_name(sys, "a0.8")->parent, index_of("a0"));
	cr_assert_eq(system_link_by_name(sys, "a0.8")->vid, 0);
	compare_links();
}

/* ---- devices ---- */

static void check_tunnel(const char *name, uint32_t mtu, uint32_t ifindex, uint32_t peer)
{
	json_t *links = ip("-d link"), *item;
	char key[64];
	size_t i;
	int ends = 0;

	json_array_foreach(links, i, item) {
		bool far = number(item, "ifindex") == peer;

		if (!far && number(item, "ifindex") != ifindex)
			continue;
		ends++;
		cr_assert_str_eq(text(item, "ifalias"), "fairlead " INSTANCE);
		cr_assert_eq(number(item, "mtu"), mtu);
		cr_assert(has_flag(item, "UP") && has_flag(item, "LOWER_UP") && has_flag(item, "NOARP"));
		cr_assert_eq(strcmp(text(item, "ifname"), name) != 0, far);
		cr_assert_eq(strncmp(text(item, "ifname"), "fl-", 3) == 0, far);
		snprintf(key, sizeof(key), "net/ipv6/conf/%s/disable_ipv6", text(item, "ifname"));
		sysctl_is(key, far ? "1" : "0");
		snprintf(key, sizeof(key), "net/ipv6/conf/%s/accept_ra", text(item, "ifname"));
		sysctl_is(key, "0");
	}
	cr_assert_eq(ends, 2);
	json_decref(links);
}

Test(system, makes_tunnel_devices)
{
	uint32_t ifindex, peer, again, again_peer;

	cr_assert_eq(device_tunnel_create(sys, INSTANCE, "he0.1", 1480, &ifindex, &peer), 0);
	check_tunnel("he0.1", 1480, ifindex, peer);
	cr_assert(settle() & SYSTEM_LINK);
	compare_all();

	/* again, another MTU, and put right what was changed meanwhile */
	run("ip link set he0.1 down arp on && sysctl -qw net.ipv6.conf.he0/1.accept_ra=1");
	cr_assert_eq(device_tunnel_create(sys, INSTANCE, "he0.1", 1280, &again, &again_peer), 0);
	cr_assert_eq(again, ifindex);
	cr_assert_eq(again_peer, peer);
	check_tunnel("he0.1", 1280, ifindex, peer);
	settle();
	cr_assert_eq(device_tunnel_create(sys, INSTANCE, "he0.1", 1280, &again, &again_peer), 0);
	cr_assert_eq(settle() & SYSTEM_LINK, 0, "a third time nothing is left to do");

	cr_assert_eq(device_tunnel_create(sys, INSTANCE, "t1", 1279, &again, &peer), -EINVAL);
	cr_assert_eq(device_tunnel_create(sys, INSTANCE, "t1", 65536, &again, &peer), -EINVAL);
	cr_assert_eq(device_tunnel_create(sys, INSTANCE, "t%d", 1480, &again, &peer), -EINVAL);
	cr_assert_eq(device_tunnel_create(sys, INSTANCE, "sixteen-letters-", 1480, &again, &peer), -EINVAL);
	cr_assert_eq(device_set_mtu(sys, ifindex, 9000), 0);
	cr_assert_eq(device_set_mtu(sys, ifindex, 9000), 0);
	cr_assert_eq(device_set_mtu(sys, ifindex, 1 << 20), -EINVAL);
	cr_assert_eq(device_set_mtu(sys, 9999, 1500), -ENODEV);
}

Test(system, leaves_the_devices_of_others)
{
	uint32_t ifindex, peer;
	json_t *links;

	run("ip link add he0 type veth peer name x0 && ip link add br0 type bridge");
	run("ip link set br0 alias 'fairlead " INSTANCE "'");
	cr_assert_eq(device_tunnel_create(sys, INSTANCE, "he0", 1480, &ifindex, &peer), -EEXIST);
	cr_assert_eq(device_tunnel_create(sys, INSTANCE, "br0", 1480, &ifindex, &peer), -EEXIST);
	cr_assert_eq(device_delete(sys, INSTANCE, "he0"), -EEXIST);
	cr_assert_eq(device_delete(sys, INSTANCE, "br0"), -EEXIST);
	cr_assert_eq(device_delete(sys, INSTANCE, "none"), 0);
	cr_assert_eq(device_tunnel_create(sys, "other", "he1", 1480, &ifindex, &peer), 0);
	cr_assert_eq(device_tunnel_create(sys, INSTANCE, "he1", 1480, &ifindex, &peer), -EEXIST);
	cr_assert_eq(device_delete(sys, INSTANCE, "he1"), -EEXIST);
	run("ip link add fl-icmp-rx type veth peer name x1");
	cr_assert_eq(device_icmp_create(sys, INSTANCE, &ifindex, &peer), -EEXIST);
	links = ip("link"); /* lo, he0, x0, br0, he1 and its other end, fl-icmp-rx, x1 */
	cr_assert_eq(json_array_size(links), 8);
	json_decref(links);
}

Test(system, makes_a_broken_pair_anew)
{
	uint32_t ifindex, peer, old;

	cr_assert_eq(device_tunnel_create(sys, INSTANCE, "he0", 1480, &old, &peer), 0);
	/* as it is when its maker dies after the first request */
	run("ip link set he0 alias '' && ip link set he0 down");
	cr_assert_eq(device_tunnel_create(sys, INSTANCE, "he0", 1480, &ifindex, &peer), 0);
	cr_assert_eq(ifindex, old);
	check_tunnel("he0", 1480, ifindex, peer);
	/* the hidden end moved to another namespace */
	run("unshare -n sleep 5 & sleep .3; ip link set $(ip -o link show type veth | grep -o 'fl-[0-9]*' | head -1) netns $!");
	cr_assert_eq(device_tunnel_create(sys, INSTANCE, "he0", 1480, &ifindex, &peer), 0);
	cr_assert_neq(ifindex, old);
	check_tunnel("he0", 1480, ifindex, peer);
}

Test(system, lists_and_deletes_its_own)
{
	char names[8][16];
	uint32_t ifindex, peer;

	cr_assert_eq(device_tunnel_create(sys, INSTANCE, "he0", 1480, &ifindex, &peer), 0);
	cr_assert_eq(device_tunnel_create(sys, "other", "he1", 1480, &ifindex, &peer), 0);
	cr_assert_eq(device_icmp_create(sys, INSTANCE, &ifindex, &peer), 0);
	dispatch();
	cr_assert_eq(device_list_own(sys, INSTANCE, names, 8), 2);
	cr_assert((!strcmp(names[0], "he0") && !strcmp(names[1], "fl-icmp")) ||
		  (!strcmp(names[1], "he0") && !strcmp(names[0], "fl-icmp")));
	cr_assert_eq(device_list_own(sys, INSTANCE, names, 1), 1);
	cr_assert_eq(device_list_own(sys, "nobody", names, 8), 0);
	cr_assert_eq(device_delete(sys, INSTANCE, "he0"), 0);
	cr_assert_eq(device_delete(sys, INSTANCE, "fl-icmp"), 0);
	dispatch();
	cr_assert_eq(device_list_own(sys, INSTANCE, names, 8), 0);
	cr_assert_eq(device_list_own(sys, "other", names, 8), 1);
	/* the maker of this one died before it gave the aliases: it is that instance's all the same */
	run("for d in $(ip -o link show type veth | grep -o '[a-z0-9-]*@' | tr -d @); do ip link set $d alias ''; done");
	dispatch();
	cr_assert_eq(device_list_own(sys, INSTANCE, names, 8), 0);
	cr_assert_eq(device_delete(sys, INSTANCE, "he1"), -EEXIST);
	cr_assert_eq(device_list_own(sys, "other", names, 8), 1);
	cr_assert_str_eq(names[0], "he1");
	cr_assert_eq(device_delete(sys, "other", "he1"), 0);
	dispatch();
	cr_assert_eq(device_list_own(sys, "other", names, 8), 0);
	compare_links();
}
