// SPDX-License-Identifier: GPL-2.0-only
/*
 * Virtual addresses in the data plane, on the wire of test_vips.h: maps, the devices' filters, the kernel's addresses, and what passes with a
 * lease and without one.
 *
 * What must not come is known not to when what was sent after it has.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fairlead/vip.h"
#include "selftests/net/test_vips.h"

#define VLAN 7
#define LAN_VHID 42
#define VLAN_VHID 7
#define VIP "192.0.2.100"
#define VLAN_VIP "198.51.100.100"

#define INTERFACES(mode) \
	"'default_action':'pass','interfaces':{'lan':{'device':'lan','mode':'" mode \
	"'},'vlan':{'device':'lan.7'},'wan':{'device':'wan'}}"
#define BLOCKING(mode) \
	"'default_action':'block','interfaces':{'lan':{'device':'lan','mode':'" mode \
	"'},'wan':{'device':'wan','mode':'" mode "'}}"
#define LAN_SHARED \
	"'lan_vip':{'interface':'lan','vhid':42,'password_file':'/k','address':['192.0.2.100/24','2001:db8:2::100/64'," \
	"'fe80::100/64']}"
#define VLAN_SHARED "'vlan_vip':{'interface':'vlan','vhid':7,'password_file':'/k','address':'198.51.100.100/24'}"

static const uint8_t lan_mac[6] = { 2, 0, 0, 0, 0, 1 };
static const uint8_t lan_vmac[6] = { 0, 0, 0x5e, 0, 1, LAN_VHID }, vlan_vmac[6] = { 0, 0, 0x5e, 0, 1, VLAN_VHID };

TestSuite(vips, .init = set_up_vips, .fini = tear_down_vips, .timeout = 400);

/* ---- what passes ---- */

/* A frame to the MAC is forwarded; known by one after it to the device's own MAC. */
static bool is_forwarded(const uint8_t *mac, unsigned int vid)
{
	static uint16_t mark = 0x1000;
	const char *src = vid ? "198.51.100.9" : "192.0.2.9";
	uint16_t tried = ++mark, last = ++mark;
	uint8_t own_mac[6];
	uint32_t ifindex;
	struct frame f;

	send_ip(mac, vid, src, "203.0.113.9", 17, tried);
	datapath_vip_device(lab.dp, config_find_vip(lab.config, vid ? "vlan_vip" : "lan_vip"), &ifindex, own_mac);
	send_ip(own_mac, vid, src, "203.0.113.9", 17, last);
	return comes(lab.net, has_mark, &tried, has_mark, &last, &f);
}

static void frames_need_a_lease(void)
{
	for (int vlan = 0; vlan < 2; vlan++) {
		const char *vip = vlan ? "vlan_vip" : "lan_vip", *other = vlan ? "lan_vip" : "vlan_vip";
		const uint8_t *mac = vlan ? vlan_vmac : lan_vmac;
		unsigned int vid = vlan ? VLAN : 0;

		lease(other, FL_LEASE_FOREVER);
		lease(vip, 0);
		cr_expect_not(is_forwarded(mac, vid), "%s: none", vip);
		lease(vip, now_ns() - 1);
		cr_expect_not(is_forwarded(mac, vid), "%s: past", vip);
		lease(vip, now_ns() + 60000000000);
		cr_expect(is_forwarded(mac, vid), "%s: to come", vip);
		lease(vip, FL_LEASE_FOREVER);
		cr_expect(is_forwarded(mac, vid), "%s: for ever", vip);
		cr_expect_not(is_forwarded(vlan ? lan_vmac : vlan_vmac, vid), "%s: the other's MAC", vip);
	}
}

static void answers_for(void)
{
	static const char *const addresses[] = { "2001:db8:2::100", "fe80::100" };
	struct frame f;
	uint16_t check;

	lease("lan_vip", FL_LEASE_FOREVER);
	send_arp(VIP);
	cr_assert(comes(lab.far, is_arp_from, VIP, NULL, NULL, &f), "ARP");
	cr_expect_arr_eq(f.b + 6, lan_vmac, 6);
	cr_expect_arr_eq(f.b + 22, lan_vmac, 6);
	send_arp("192.0.2.1");
	cr_assert(comes(lab.far, is_arp_from, "192.0.2.1", NULL, NULL, &f), "ARP");
	cr_expect_arr_eq(f.b + 6, lan_mac, 6, "its own has its own");
	cr_expect_arr_eq(f.b + 22, lan_mac, 6);
	for (size_t i = 0; i < 2; i++) {
		send_solicitation(addresses[i]);
		cr_assert(comes(lab.far, is_advert_of, addresses[i], NULL, NULL, &f), "%s", addresses[i]);
		cr_expect_arr_eq(f.b + 6, lan_vmac, 6);
		cr_expect_arr_eq(f.b + 80, lan_vmac, 6);
		check = (uint16_t)(f.b[56] << 8 | f.b[57]);
		memset(f.b + 56, 0, 2);
		cr_expect_eq(check, icmp6_sum(f.b + 14, f.n - 54));
	}
	send_ip(lan_vmac, 0, "192.0.2.9", VIP, 1, 1);
	cr_expect(comes(lab.far, is_ip_from, VIP, NULL, NULL, &f), "an echo");
}

/* From the kernel, as a service bound to the VIP would. */
static void send_from_to(const char *source, const char *target)
{
	struct sockaddr_in from = { .sin_family = AF_INET }, to = { .sin_family = AF_INET, .sin_port = htons(9) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	inet_pton(AF_INET, source, &from.sin_addr);
	inet_pton(AF_INET, target, &to.sin_addr);
	cr_assert_eq(bind(fd, (struct sockaddr *)&from, sizeof(from)), 0);
	sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)); /* what the guard drops may be told here */
	close(fd);
}

static void send_from(const char *source)
{
	send_from_to(source, "192.0.2.9");
}

static void is_silent_without_a_lease(void)
{
	long long before = not_owners();
	struct frame f;

	lease("lan_vip", 0);
	send_arp(VIP);
	send_arp("192.0.2.1");
	cr_expect_not(comes(lab.far, is_arp_from, VIP, is_arp_from, "192.0.2.1", &f));
	for (size_t i = 0; i < 2; i++) {
		send_solicitation(i ? "fe80::100" : "2001:db8:2::100");
		send_solicitation("2001:db8:2::1");
		cr_expect_not(comes(lab.far, is_advert_of, i ? "fe80::100" : "2001:db8:2::100", is_advert_of,
				    "2001:db8:2::1", &f));
	}
	cr_expect_geq(not_owners(), before + 3, "the kernel's answers");
	before = not_owners();
	send_from(VIP);
	send_from("192.0.2.1");
	cr_expect_not(comes(lab.far, is_ip_from, VIP, is_ip_from, "192.0.2.1", &f));
	cr_expect_geq(not_owners(), before + 1);
	before = not_owners();
	send_ip(lan_mac, 0, "192.0.2.9", VIP, 1, 1);
	send_ip(lan_mac, 0, "192.0.2.9", "192.0.2.1", 1, 1);
	cr_expect_not(comes(lab.far, is_ip_from, VIP, is_ip_from, "192.0.2.1", &f));
	cr_expect_geq(not_owners(), before + 1, "dropped when it comes");
	lease("lan_vip", FL_LEASE_FOREVER);
}

static void passes(void)
{
	own("lan_vip", true);
	frames_need_a_lease();
	answers_for();
	is_silent_without_a_lease();
}

Test(vips, pass_by_leases_in_xdp)
{
	vips_apply("{" INTERFACES("native") ",'vips':{" LAN_SHARED "," VLAN_SHARED "}}");
	passes();
}

Test(vips, pass_by_leases_in_tc)
{
	vips_apply("{" INTERFACES("tc") ",'vips':{" LAN_SHARED "," VLAN_SHARED "}}");
	passes();
}

/* The kernel asks with the source of the packet that waits; on a segment where nobody hears that address's virtual MAC. */
Test(vips, asks_by_its_own_mac_on_another_segment)
{
	struct frame f;

	vips_apply("{" INTERFACES("auto") ",'vips':{" LAN_SHARED "," VLAN_SHARED "}}");
	own("vlan_vip", true);
	lease("vlan_vip", FL_LEASE_FOREVER);
	send_from_to(VLAN_VIP, "192.0.2.77");
	cr_assert(comes(lab.far, is_arp_from, VLAN_VIP, NULL, NULL, &f), "ARP");
	cr_expect_arr_eq(f.b + 6, lan_mac, 6);
	cr_expect_arr_eq(f.b + 22, lan_mac, 6);
}

/* Whatever families are fairlead's there. */
Test(vips, of_a_family_that_is_the_hosts)
{
	struct frame f;

	vips_apply("{'interfaces':{'lan':{'device':'lan','family':'inet6'}},'vips':{" LAN_SHARED "}}");
	own("lan_vip", true);
	send_ip(lan_mac, 0, "192.0.2.9", VIP, 1, 1);
	send_ip(lan_mac, 0, "192.0.2.9", "192.0.2.1", 1, 1);
	cr_expect_not(comes(lab.far, is_ip_from, VIP, is_ip_from, "192.0.2.1", &f));
	cr_expect_geq(not_owners(), 1);
	lease("lan_vip", FL_LEASE_FOREVER);
	send_ip(lan_vmac, 0, "192.0.2.9", VIP, 1, 1);
	cr_expect(comes(lab.far, is_ip_from, VIP, NULL, NULL, &f));
}

/* ---- what passes without a rule ---- */

#define CARP 112
#define PAIR \
	"'ha':{'interface':'wan','local':'203.0.113.1','peers':['203.0.113.9','203.0.113.8'],'key_file':'/k','port':7241}"

/* Of the next datagram: its source port, or an advert's mark */
static unsigned int next_mark(int fd, bool raw)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct sockaddr_in from = {};
	socklen_t len = sizeof(from);
	uint8_t b[64] = {};

	cr_assert_eq(poll(&p, 1, PATIENCE_MS), 1, "nothing came");
	cr_assert_geq(recvfrom(fd, b, sizeof(b), 0, (struct sockaddr *)&from, &len), 0);
	return raw ? (unsigned int)(b[4] << 8 | b[5]) : ntohs(from.sin_port);
}

static void strangers_stay_out(void)
{
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	cr_assert_eq(bind(fd, (struct sockaddr *)&any, sizeof(any)), 0);
	send_datagram("203.0.113.7", "203.0.113.1", 1);
	send_datagram("203.0.113.9", "192.0.2.1", 2);
	send_datagram("203.0.113.8", "203.0.113.1", 3);
	cr_expect_eq(next_mark(fd, false), 3);
	vips_apply("{" BLOCKING("auto") ",'vips':{" LAN_SHARED "}}");
	send_datagram("203.0.113.9", "203.0.113.1", 4);
	vips_apply("{" BLOCKING("auto") ",'vips':{" LAN_SHARED "}," PAIR "}");
	send_datagram("203.0.113.9", "203.0.113.1", 5);
	cr_expect_eq(next_mark(fd, false), 5, "only with `ha`");
	close(fd);
}

static void adverts_pass(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, CARP);
	struct frame f;

	cr_assert_geq(fd, 0);
	send_ip((uint8_t[]){ 2, 0, 0, 0, 1, 1 }, 0, "203.0.113.9", "203.0.113.1", CARP, 1); /* by lan: not that way */
	send_ip(lan_mac, 0, "192.0.2.9", "192.0.2.1", CARP, 2);
	cr_expect_eq(next_mark(fd, true), 2);
	inet_pton(AF_INET, "203.0.113.9", &to.sin_addr);
	sendto(fd, "wan", 3, 0, (struct sockaddr *)&to, sizeof(to)); /* no vip there */
	inet_pton(AF_INET, "192.0.2.9", &to.sin_addr);
	cr_expect_eq(sendto(fd, "lan", 3, 0, (struct sockaddr *)&to, sizeof(to)), 3);
	cr_expect(comes(lab.far, is_ip_from, "192.0.2.1", NULL, NULL, &f));
	cr_expect_eq(f.b[23], CARP);
	close(fd);
}

static void pair_passes(const char *text)
{
	vips_apply(text);
	adverts_pass();
	strangers_stay_out();
}

Test(vips, pair_needs_no_rule_in_xdp)
{
	pair_passes("{" BLOCKING("native") ",'vips':{" LAN_SHARED "}," PAIR "}");
}

Test(vips, pair_needs_no_rule_in_tc)
{
	pair_passes("{" BLOCKING("tc") ",'vips':{" LAN_SHARED "}," PAIR "}");
}

/* ---- what is on the machine ---- */

/* 0: it has not; else its length. The kernel's own would not have the mark */
static long long length_of(const char *device, const char *address)
{
	json_t *links = ip("addr show dev %s", device), *infos = json_object_get(json_array_get(links, 0), "addr_info"),
	       *info;
	long long len = 0;
	size_t i;

	json_array_foreach(infos, i, info)
		if (!strcmp(text(info, "local"), address))
			len = number(info, "prefixlen");
	json_decref(links);
	return len;
}

#define HEARS(device, mac) "bridge fdb show dev " device " | grep -q '^" mac " .*self permanent'"
#define DEAF(device, mac) "! bridge fdb show dev " device " | grep -q '^" mac " '"
#define LAN_VMAC "00:00:5e:00:01:2a"
#define VLAN_VMAC "00:00:5e:00:01:07"

static void addresses_come_and_go(void)
{
	own("lan_vip", true);
	own("lan_vip", true);
	cr_expect_eq(length_of("lan", VIP), 32);
	cr_expect_eq(length_of("lan", "2001:db8:2::100"), 128);
	cr_expect_eq(length_of("lan", "fe80::100"), 128);
	run("ip addr show dev lan to 192.0.2.100 | grep -q noprefixroute");
	run("test \"$(ip -6 route get 2001:db8:2::9 | grep -o 'src [^ ]*')\" = 'src 2001:db8:2::1'");
	run("ip addr del 192.0.2.100/32 dev lan");
	datapath_refresh(lab.dp, settle());
	cr_expect_eq(length_of("lan", VIP), 32, "put back");
	own("lan_vip", false);
	own("lan_vip", false);
	cr_expect_eq(length_of("lan", VIP) + length_of("lan", "2001:db8:2::100") + length_of("lan", "fe80::100"), 0);
	run("ip addr add 192.0.2.100/24 dev lan; ip addr add 2001:db8:2::100/64 dev lan nodad");
	own("lan_vip", true);
	cr_expect_eq(length_of("lan", VIP), 24, "an operator's");
	cr_expect_eq(length_of("lan", "fe80::100"), 128);
	own("lan_vip", false);
	cr_expect_eq(length_of("lan", VIP), 24);
	cr_expect_eq(length_of("lan", "2001:db8:2::100"), 64);
	run("ip addr del 192.0.2.100/24 dev lan; ip addr del 2001:db8:2::100/64 dev lan");
	settle();
}

static void devices_change(void)
{
	const struct config_vip *vip = config_find_vip(lab.config, "vlan_vip");
	uint32_t ifindex;
	uint8_t mac[6];

	run("ip link set lan.7 address 02:00:00:00:00:77");
	datapath_refresh(lab.dp, settle());
	cr_assert(datapath_vip_device(lab.dp, vip, &ifindex, mac));
	cr_expect(ifindex == if_nametoindex("lan.7") && mac[5] == 0x77);
	own("vlan_vip", true);
	lease("vlan_vip", FL_LEASE_FOREVER);
	run("ip link del lan.7");
	datapath_refresh(lab.dp, settle());
	cr_expect_not(datapath_vip_device(lab.dp, vip, &ifindex, mac));
	cr_expect_eq(datapath_vip_own(lab.dp, vip, true), -ENODEV);
	vips_add_lan7();
	if (!lab.vlans)
		vips_far_wires();
	run("ip link set lan.7 up && ip addr add 198.51.100.1/24 dev lan.7");
	datapath_refresh(lab.dp, settle());
	cr_expect(datapath_vip_device(lab.dp, vip, &ifindex, mac));
	cr_expect_eq(length_of("lan.7", VLAN_VIP), 32, "on the new one, too");
	run(HEARS("lan.7", VLAN_VMAC));
	cr_expect(is_forwarded(vlan_vmac, VLAN));
}

/* Another daemon takes over; the order in the file is another one, too. */
static void daemon_is_another(void)
{
	int lan = lease_of("lan_vip"), vlan = lease_of("vlan_vip");

	cr_expect_neq(lan, vlan);
	datapath_close(lab.dp);
	lab.dp = NULL;
	settle();
	cr_assert_eq(datapath_open(&lab.dp, lab.instance, sys, NULL), 0);
	vips_apply("{" INTERFACES(
		"auto") ",'vips':{'a':{'interface':'wan','vhid':1,'password_file':'/k','address':'203.0.113.100/24'}"
			"," VLAN_SHARED "," LAN_SHARED "}}");
	cr_expect_eq(lease_of("lan_vip"), lan);
	cr_expect_eq(lease_of("vlan_vip"), vlan);
	cr_expect_eq(lease_of("a"), 2);
	cr_expect_eq(datapath_leases(lab.dp)[vlan], FL_LEASE_FOREVER, "goes on");
	cr_expect_eq(length_of("lan.7", VLAN_VIP), 32);
	cr_expect(is_forwarded(vlan_vmac, VLAN));
}

Test(vips, on_the_machine)
{
	int vlan;

	vips_apply("{" INTERFACES("auto") ",'vips':{" LAN_SHARED "," VLAN_SHARED "}}");
	run(HEARS("lan", LAN_VMAC));
	run(HEARS("lan.7", VLAN_VMAC));
	if (lab.vlans)
		run(HEARS("lan", VLAN_VMAC)); /* the parent of the VLAN */
	addresses_come_and_go();
	devices_change();
	daemon_is_another();
	vlan = lease_of("vlan_vip");
	own("lan_vip", true);
	vips_apply("{" INTERFACES("auto") ",'vips':{" LAN_SHARED "}}");
	cr_expect_eq(datapath_leases(lab.dp)[vlan], 0);
	cr_expect_eq(length_of("lan.7", VLAN_VIP), 0);
	cr_expect_eq(length_of("lan", VIP), 32);
	run(DEAF("lan.7", VLAN_VMAC) " && " DEAF("lan", VLAN_VMAC));
	run(HEARS("lan", LAN_VMAC));
	cr_assert_eq(datapath_unload(lab.dp), 0);
	cr_expect_eq(length_of("lan", VIP) + length_of("lan", "fe80::100"), 0);
	run(DEAF("lan", LAN_VMAC));
	datapath_close(lab.dp);
	lab.dp = NULL;
}
