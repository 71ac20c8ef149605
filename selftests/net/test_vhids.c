// SPDX-License-Identifier: GPL-2.0-only
/* What vhids send, and how those of a node move together. */
#include <arpa/inet.h>
#include <net/if.h>

#include "selftests/net/test_system.h"
#include "selftests/net/test_vhids.h"

TestSuite(vhids, .init = set_up_lan, .fini = tear_down_lan, .timeout = 60);

Test(vhids, what_is_sent)
{
	static const uint8_t vmac[6] = { 0, 0, 0x5e, 0, 1, VHID };
	uint8_t frame[256];

	addr_parse("2001:db8::100", &lan.addresses[1].addr);
	lan.setup.n_addresses = 2;
	lan_watch();
	lan_begin("love");
	cr_expect_geq(lan_until(CARP_MASTER, 6000), 3300);
	cr_expect_eq(lan_sent(ETH_P_IP, frame), 14u + 20 + 36);
	cr_expect_arr_eq(frame, ((uint8_t[]){ 0x01, 0x00, 0x5e, 0x00, 0x00, 0x12 }), 6);
	cr_expect_arr_eq(frame + 6, vmac, 6);
	cr_expect_arr_eq(frame + 14, ((uint8_t[]){ 0x45, 0x10, 0, 56, 0, 0, 0x40, 0, 255, 112 }), 10);
	cr_expect_arr_eq(frame + 26, ((uint8_t[]){ 192, 0, 2, 1, 224, 0, 0, 18 }), 8);
	cr_expect_arr_eq(frame + 34, ((uint8_t[]){ 0x21, VHID, 100, 7, 0, 1 }), 6);
	cr_expect_eq(lan_sent(ETH_P_IPV6, frame), 14u + 40 + 36);
	cr_expect_arr_eq(frame, ((uint8_t[]){ 0x33, 0x33, 0x00, 0x00, 0x00, 0x12 }), 6);
	cr_expect_arr_eq(frame + 6, vmac, 6);
	cr_expect_arr_eq(frame + 18, ((uint8_t[]){ 0, 36, 112, 255, 0xfe, 0x80 }), 6);
	cr_expect_arr_eq(frame + 38, ((uint8_t[]){ 0xff, 0x02 }), 2);
	cr_expect_eq(lan.leases[1], UINT64_MAX);
}

/* A peer is named by an address of the LAN, of a wider scope than the link-local one, or by that: from such a one it hears of this node. */
Test(vhids, unicast_comes_from_an_address_like_the_peers)
{
	static const char *const ours[] = { "192.0.2.1", "2001:db8::1", "fe80::1" };
	static const char *const theirs[] = { "192.0.2.2", "2001:db8::2", "fe80::2" };
	static struct addr peers[3];
	struct addr own;
	uint8_t frame[256];

	run("ip addr add 2001:db8::1/64 dev lan nodad");
	run("nsenter --net=/proc/%d/ns/net sh -c 'ip addr add 2001:db8::2/64 dev far nodad; ip addr add fe80::2/64 dev far nodad'",
	    (int)far_process);
	for (int i = 0; i < 3; i++)
		addr_parse(theirs[i], &peers[i]);
	addr_parse("2001:db8::100", &lan.addresses[1].addr);
	addr_parse("2001:db8::1", &lan.facts.wide);
	lan.setup.n_addresses = 2;
	lan.setup.peers = peers;
	lan.setup.n_peers = 3;
	lan_watch();
	lan_begin("love");
	cr_assert_geq(lan_until(CARP_MASTER, 6000), 0);
	lan_until(CARP_INIT, 1500); /* the next one, and what finding neighbours takes */
	cr_assert_eq(lan_sent(ETH_P_IP, frame), 14u + 20 + 36);
	addr_parse(ours[0], &own);
	cr_expect_arr_eq(frame + 26, &own.v4, 4);
	cr_expect_arr_eq(frame + 30, &peers[0].v4, 4);
	cr_expect_arr_eq(frame + 6, ((uint8_t[]){ 2, 0, 0, 0, 0, 1 }), 6, "its own MAC");
	lan_rewatch();
	lan_until(CARP_INIT, 1500);
	for (int i = 1; i < 3; i++) {
		cr_assert_eq(lan_sent(ETH_P_IPV6, frame), 14u + 40 + 36);
		addr_parse(ours[i], &own);
		cr_expect_arr_eq(frame + 22, &own.v6, 16, "%s", ours[i]);
		cr_expect_arr_eq(frame + 38, &peers[i].v6, 16);
		cr_expect_eq(frame[21], 255);
	}
}

/* Of 192.0.2.LAST */
static unsigned int announced(uint8_t last)
{
	uint8_t frame[256];
	unsigned int n = 0;

	while (lan_sent(ETH_P_ARP, frame))
		n += frame[31] == last && frame[41] == last;
	return n;
}

Test(vhids, a_master_announces_what_it_gets)
{
	lan.setup.set.fast_ms = 50;
	lan.setup.announce_repeat = 0;
	lan_begin("love");
	cr_expect_geq(lan_until(CARP_MASTER, 3000), 0);
	lan_watch();
	addr_parse("192.0.2.101", &lan.addresses[1].addr);
	lan.setup.n_addresses = 2;
	lan_begin("love");
	cr_expect_eq(announced(101), 1u);
	lan_begin("love");
	cr_expect_eq(announced(101), 0u, "nothing is new");
	lan.setup.announce_refresh_s = 1;
	lan_begin("love");
	cr_expect_eq(announced(100), 1u);
	lan_until(CARP_INIT, 1200);
	cr_expect_geq(announced(100), 1u, "refreshed");
}

Test(vhids, bows_out)
{
	uint8_t frame[256], last[256] = { 0 };

	lan.setup.set.advbase_s = 1;
	lan.setup.set.fast_ms = 50;
	lan_begin("love");
	cr_expect_geq(lan_until(CARP_MASTER, 3000), 0);
	lan_watch();
	lan.facts.disabled = true;
	vhids_facts(lan.v, &lan.facts, &lan.node, lan_now());
	cr_expect_eq(lan_shown().carp.role, CARP_DISABLED);
	cr_expect_eq(lan.leases[1], 0u);
	while (lan_sent(ETH_P_IP, frame))
		memcpy(last, frame, sizeof(last));
	cr_expect_arr_eq(last + 34, ((uint8_t[]){ 0x21, VHID, 255, 7, 0, 255 }), 6);
}

Test(vhids, all_go_together)
{
	struct vhid_setup both[2] = { lan.setup, lan.setup };
	struct vhid_facts their[2] = { lan.facts, lan.facts };
	struct vhid_view views[2];

	run("ip link add dmz type veth peer name dmz1 && ip addr add 198.51.100.1/24 dev dmz && ip link set dmz up");
	carp_key_make(&lan.key, VHID, "love", 4, lan.addresses, 1);
	both[0].set = both[1].set = (struct carp_settings){ .fast_ms = 20 };
	both[1].ifindex = if_nametoindex("dmz");
	both[1].lease = 2;
	cr_assert_eq(vhids_configure(lan.v, both, 2, lan_now()), 0);
	cr_expect_eq(vhids_device(lan.v, 0), both[0].ifindex);
	cr_expect_eq(vhids_device(lan.v, 1), both[1].ifindex);
	cr_expect_eq(vhids_device(lan.v, 2), 0u);
	vhids_link(lan.v, both[0].ifindex, true, lan_now());
	vhids_link(lan.v, both[1].ifindex, true, lan_now());
	vhids_facts(lan.v, their, &lan.node, lan_now());
	cr_expect_geq(lan_until(CARP_MASTER, 1000), 0);
	lan_until(CARP_INIT, 100);
	vhids_link(lan.v, both[1].ifindex, false, lan_now());
	cr_expect_eq(vhids_show(lan.v, views, 2), 2u);
	cr_expect(views[0].carp.role == CARP_MASTER && views[0].carp.demotion == VHID_DEMOTION);
	cr_expect(views[1].carp.role == CARP_INIT && lan.leases[2] == 0);
	vhids_link(lan.v, both[1].ifindex, true, lan_now());
	vhids_show(lan.v, views, 2);
	cr_expect(views[0].carp.demotion == 0 && views[1].carp.role == CARP_BACKUP);
	their[1] = (struct vhid_facts){ .disabled = false };
	vhids_facts(lan.v, their, &lan.node, lan_now());
	vhids_show(lan.v, views, 2);
	cr_expect(views[0].demotions.held == VHID_DEMOTION && views[1].carp.role == CARP_INIT);
	their[1].disabled = true;
	vhids_facts(lan.v, their, &lan.node, lan_now());
	vhids_show(lan.v, views, 2);
	cr_expect_eq(views[0].carp.demotion, 0u, "people have said so of that one alone");
}
