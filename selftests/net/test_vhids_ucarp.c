// SPDX-License-Identifier: GPL-2.0-only
/* vhids and Debian's ucarp: who has the address. */
#include <arpa/inet.h>
#include <signal.h>
#include <string.h>

#include "selftests/net/test_system.h"
#include "selftests/net/test_vhids.h"
#include "user/lib/inet_sum.h"
#include "user/vip/ext.h"

TestSuite(vhids_ucarp, .init = set_up_lan, .fini = tear_down_lan, .timeout = 60);

Test(vhids_ucarp, yields_to_a_better_ucarp_and_takes_over_when_it_dies)
{
	struct vhid_event event;
	unsigned int lost, roles = 0;

	ucarp_start("0", "love", false);
	lan_begin("love");
	cr_expect_eq(lan_until(CARP_MASTER, 6000), -1, "ucarp is better");
	cr_expect(lan_shown().received >= 2);
	cr_expect_eq(lan_shown().bad, 0u);
	cr_expect_eq(lan_shown().master.v4.s_addr, htonl(0xc0000202));
	cr_expect_eq(lan.leases[1], 0u);
	kill(ucarp, SIGKILL);
	cr_expect_geq(lan_until(CARP_MASTER, 5000), 2000);
	cr_expect_eq(lan.leases[1], UINT64_MAX);
	while (vhids_event(lan.v, &event, &lost))
		roles += event.kind == VHID_ROLE;
	cr_expect_eq(roles, 2u);
}

Test(vhids_ucarp, a_worse_ucarp_yields)
{
	lan.setup.set.advskew = 0;
	lan.setup.set.preempt = true;
	ucarp_start("100", "love", false);
	lan_begin("love");
	cr_expect_geq(lan_until(CARP_MASTER, 8000), 0);
	cr_expect_eq(lan_until(CARP_BACKUP, 5000), -1, "it stays");
	kill(ucarp, SIGKILL);
}

Test(vhids_ucarp, one_with_another_password_is_ignored)
{
	struct vhid_event event;
	unsigned int lost, faults = 0;

	ucarp_start("0", "hate", false);
	lan_begin("love");
	cr_expect_geq(lan_until(CARP_MASTER, 6000), 0);
	cr_expect_eq(lan_until(CARP_BACKUP, 3000), -1);
	cr_expect(lan_shown().bad >= 2);
	cr_expect_eq(lan_shown().received, 0u);
	while (vhids_event(lan.v, &event, &lost))
		if (event.kind == VHID_FAULT) {
			faults++;
			cr_expect_eq(event.fault, CARP_DIGEST);
			cr_expect_eq(event.from.v4.s_addr, htonl(0xc0000202));
		}
	cr_expect_eq(faults, 1u, "told once a minute");
}

/* ---- with preempt ---- */

/* It is master already; this node, which was disabled, takes part from now on. */
static void begin_beside_a_master(const char *skew, bool preempt)
{
	lan.facts.disabled = true;
	lan_begin("love");
	lan_watch();
	ucarp_start(skew, "love", preempt);
	cr_assert(ucarp_advertises(8000));
	lan.facts.disabled = false;
	vhids_facts(lan.v, &lan.facts, &lan.node, lan_now());
}

static void begin_as_master(void)
{
	lan_begin("love");
	cr_assert_geq(lan_until(CARP_MASTER, 6000), 0);
	lan_watch();
}

static void a_better_one_comes(bool preempt)
{
	lan.setup.set.preempt = true; /* it is no better */
	begin_as_master();
	ucarp_start("0", "love", preempt);
}

Test(vhids_ucarp, a_better_one_that_preempts_takes_it)
{
	a_better_one_comes(true);
	cr_assert_geq(lan_until(CARP_BACKUP, 5000), 0);
	cr_expect_eq(lan_shown().carp.why, CARP_WHY_YIELDS);
	cr_expect_eq(lan.leases[1], 0u);
	cr_expect_eq(lan_until(CARP_MASTER, 5000), -1, "and keeps it");
	cr_expect_eq(lan_shown().master.v4.s_addr, htonl(0xc0000202));
}

Test(vhids_ucarp, a_better_one_that_does_not_leaves_it)
{
	a_better_one_comes(false);
	cr_expect_eq(lan_until(CARP_BACKUP, 6000), -1);
	cr_expect_not(ucarp_advertises(100));
}

Test(vhids_ucarp, a_worse_one_that_preempts_takes_nothing)
{
	lan.setup.set = (struct carp_settings){ .advbase_s = 1, .preempt = true };
	begin_as_master();
	ucarp_start("100", "love", true);
	cr_expect_not(ucarp_advertises(6000));
	cr_expect_eq(lan_shown().carp.role, CARP_MASTER);
}

Test(vhids_ucarp, it_is_taken_from_a_worse_one_at_its_next_advert)
{
	lan.setup.set = (struct carp_settings){ .advbase_s = 1, .preempt = true };
	begin_beside_a_master("100", true);
	cr_assert_geq(lan_until(CARP_MASTER, 2500), 0, "before it would be dead");
	cr_expect_eq(lan_shown().carp.why, CARP_WHY_BETTER);
	lan_until(CARP_INIT, 500); /* its last one, by which it yields */
	lan_rewatch();
	cr_expect_not(ucarp_advertises(6000), "it has yielded");
	cr_expect_eq(lan_shown().carp.role, CARP_MASTER);
}

Test(vhids_ucarp, without_preempt_it_is_not)
{
	lan.setup.set = (struct carp_settings){ .advbase_s = 1 };
	begin_beside_a_master("100", true);
	cr_expect_eq(lan_until(CARP_MASTER, 6000), -1);
	cr_expect_geq(lan_shown().received, 3u);
}

/* Maintenance is this to plain nodes: they get it without preempt, and it is taken back when they are dead. */
Test(vhids_ucarp, what_is_handed_over_it_has_until_its_end)
{
	lan.setup.set = (struct carp_settings){ .advbase_s = 1, .preempt = true };
	begin_as_master();
	ucarp_start("240", "love", false);
	cr_assert_not(ucarp_advertises(3000));
	lan.setup.set.advskew = 254;
	lan_begin("love");
	vhids_hand_over(lan.v, 0, lan_now());
	cr_assert_eq(lan_shown().carp.role, CARP_BACKUP);
	cr_assert(ucarp_advertises(1500), "before its time for a master would be over");
	cr_expect_eq(lan_until(CARP_MASTER, 6000), -1);
	kill(ucarp, SIGKILL);
	cr_expect_geq(lan_until(CARP_MASTER, 8000), 2000);
}

/* ---- as a node of a pair, with a plain one beside it ---- */

static void pair_up(void)
{
	static const uint8_t id[SIGN_ID] = { 1 }, secret[32] = { 2 };
	static struct pair_setup_peer peer;
	static struct sign_keys keys;
	struct pair_setup pair = { .epoch = 1, .port = 7241, .peers = &peer, .n_peers = 1, .keys = &keys };

	sign_key_make(&keys.key[0], id, secret);
	keys.n = 1;
	addr_parse("172.16.255.1", &pair.local);
	addr_parse("172.16.255.2", &peer.addr);
	pair.node = pair_node(&pair.local);
	cr_assert_eq(vhids_pair(lan.v, &pair, lan_now()), 0);
}

Test(vhids_ucarp, a_plain_node_understands_those_of_a_pair)
{
	uint8_t frame[256];
	size_t len;

	pair_up();
	lan.setup.set.advskew = 0;
	lan_begin("love");
	cr_expect_geq(lan_until(CARP_MASTER, 6000), 0);
	lan_watch();
	lan_until(CARP_INIT, 1500);
	len = lan_sent(ETH_P_IP, frame);
	cr_expect_eq(len, 14u + 20 + 36 + EXT_SENT);
	cr_expect_eq(inet_checksum(inet_sum(frame + 34, CARP_LEN, 0)), 0, "that of the advert");
	cr_expect_eq(inet_checksum(inet_sum(frame + 34, len - 34, 0)), 0, "that of the whole, to who takes that");
	ucarp_start("100", "love", false);
	cr_expect(!ucarp_advertises(6000), "it hears that there is a master");
	lan.facts.disabled = true;
	vhids_facts(lan.v, &lan.facts, &lan.node, lan_now());
	cr_expect(ucarp_advertises(6000), "it takes over");
}

Test(vhids_ucarp, a_node_of_a_pair_yields_to_a_plain_one_if_that_is_wanted)
{
	pair_up();
	lan.setup.plain_peers = true;
	ucarp_start("0", "love", false);
	lan_begin("love");
	cr_expect_eq(lan_until(CARP_MASTER, 6000), -1);
	cr_expect(lan_shown().received >= 2 && !lan_shown().bad);
}

Test(vhids_ucarp, a_node_of_a_pair_does_not_believe_a_plain_one)
{
	pair_up();
	ucarp_start("0", "love", false);
	lan_begin("love");
	cr_expect_geq(lan_until(CARP_MASTER, 6000), 0);
	cr_expect_eq(lan_until(CARP_BACKUP, 3000), -1);
	cr_expect(lan_shown().bad >= 2 && !lan_shown().received);
}

Test(vhids_ucarp, a_dead_daemons_lease_goes_on_until_a_master_is_heard)
{
	lan.leases[1] = UINT64_MAX;
	lan.setup.leased = true;
	ucarp_start("0", "love", false);
	lan_begin("love");
	cr_expect_eq(lan_shown().carp.role, CARP_BACKUP);
	cr_expect(lan_shown().owns);
	cr_expect_eq(lan.leases[1], UINT64_MAX);
	cr_expect_eq(lan_until(CARP_MASTER, 5000), -1);
	cr_expect(!lan_shown().owns);
	cr_expect_eq(lan.leases[1], 0u);
}

/* ---- adverts that can't be sent ---- */

static bool until_demoted(bool demoted, long ms)
{
	uint64_t end = lan_now() + (uint64_t)ms * MS;

	while ((lan_shown().demotions.sending != 0) != demoted && lan_now() < end)
		lan_until(CARP_INIT, 20);
	return (lan_shown().demotions.sending != 0) == demoted;
}

/* 20 bytes that are no digest at the end */
static const uint8_t nobodys[CARP_LEN] = { 0x21, 0, 255, 7, 0, 255 };

static void is_a_probe(const uint8_t carp[CARP_LEN])
{
	cr_expect_arr_eq(carp, nobodys, 6);
	cr_expect_eq(inet_checksum(inet_sum(carp, CARP_LEN, 0)), 0);
	cr_expect_arr_eq(carp + 8, nobodys + 8, CARP_LEN - 8);
}

/* It is relieved, tries as a backup whether adverts would leave, and takes the address back; ucarp takes no notice of that. */
Test(vhids_ucarp, who_could_not_send_is_relieved_until_it_can)
{
	struct vhid_event event;
	unsigned int lost, happened[VHID_PEER + 1] = { 0 };
	uint8_t frame[256];
	long ms;

	lan.setup.set = (struct carp_settings){ .advbase_s = 1, .preempt = true };
	begin_as_master();
	ucarp_start("100", "love", false);
	cr_assert_not(ucarp_advertises(2000));
	run("nft 'add table netdev t; add chain netdev t out { type filter hook egress device lan priority 0; };"
	    "add rule netdev t out ip protocol 112 drop'");
	cr_assert_geq(lan_until(CARP_BACKUP, 15000), 0);
	cr_expect(until_demoted(true, 0) && lan_shown().unsent_ns);
	lan_rewatch();
	cr_expect_eq(lan_until(CARP_MASTER, 3000), -1);
	cr_expect_eq(lan_sent(ETH_P_IP, frame), 0u, "what is dropped before it leaves");
	run("nft delete table netdev t");
	ms = lan_until(CARP_MASTER, 8000);
	cr_expect(ms >= 2500 && until_demoted(false, 0), "%ld ms", ms);
	cr_expect_eq(lan_sent(ETH_P_IP, frame), 14u + 20 + 36);
	cr_expect_arr_eq(frame, ((uint8_t[]){ 0x01, 0x00, 0x5e, 0x00, 0x00, 0x12 }), 6);
	cr_expect_arr_eq(frame + 6, ((uint8_t[]){ 0, 0, 0x5e, 0, 1, 0 }), 6, "the vhid's MAC is not here");
	cr_expect_arr_eq(frame + 14, ((uint8_t[]){ 0x45, 0x10, 0, 56, 0, 0, 0x40, 0, 255, 112 }), 10);
	cr_expect_arr_eq(frame + 26, ((uint8_t[]){ 192, 0, 2, 1, 224, 0, 0, 18 }), 8);
	is_a_probe(frame + 34);
	while (vhids_event(lan.v, &event, &lost))
		happened[event.kind]++;
	cr_expect(happened[VHID_UNSENT] == 1 && happened[VHID_SENT] == 1 && !happened[VHID_FAULT]);
	for (int i = 0; i < 100 && !ucarp_has_told("going back to BACKUP"); i++)
		lan_until(CARP_INIT, 50);
	cr_expect(ucarp_has_told("going back to BACKUP"), "its log is read");
	cr_expect_not(ucarp_has_told("Bad"));
}

Test(vhids_ucarp, by_unicast_too)
{
	static struct addr peer;
	uint8_t frame[256];

	addr_parse("192.0.2.2", &peer);
	lan.setup.peers = &peer;
	lan.setup.n_peers = 1;
	begin_as_master();
	run("nft 'add table ip t; add chain ip t out { type filter hook output priority 0; };"
	    "add rule ip t out ip protocol 112 drop'");
	cr_assert(until_demoted(true, 10000));
	lan.node.ready = false;
	vhids_facts(lan.v, &lan.facts, &lan.node, lan_now());
	vhids_hand_over(lan.v, 0, lan_now());
	cr_assert_eq(lan_shown().carp.role, CARP_BACKUP);
	lan_rewatch();
	lan_until(CARP_MASTER, 2500);
	cr_expect_eq(lan_sent(ETH_P_IP, frame), 0u);
	run("nft delete table ip t");
	cr_expect(until_demoted(false, 8000));
	cr_assert_eq(lan_sent(ETH_P_IP, frame), 14u + 20 + 36);
	cr_expect_arr_eq(frame, ((uint8_t[]){ 2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1 }), 12, "its own MAC");
	cr_expect_eq(frame[22], 255);
	cr_expect_arr_eq(frame + 26, ((uint8_t[]){ 192, 0, 2, 1, 192, 0, 2, 2 }), 8);
	is_a_probe(frame + 34);
}
