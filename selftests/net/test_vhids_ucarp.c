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
