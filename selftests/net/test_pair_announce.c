// SPDX-License-Identifier: GPL-2.0-only
/* How a node tells a segment where the addresses are: each frame, how many there are and when, in the two nodes' world of test_pair.h. */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <string.h>

#include "selftests/net/test_pair.h"
#include "user/lib/inet_sum.h"

#define VIP "192.0.2.100"
#define VIP6 "2001:db8::100"
#define SEEN_MAX 64

static const struct carp_settings humble = { .advbase_s = 1 }, slow = { .advbase_s = 1, .preempt = true };
static const uint8_t vmac[6] = { 0x00, 0x00, 0x5e, 0x00, 0x01, 42 };
static struct prefix addresses[2];
static struct carp_key key;
static bool router;

/* Of each family: when it was announced, by node 0 and by node 1 */
static struct seen {
	unsigned int n;
	uint64_t at_ns[SEEN_MAX];
} seen[2][2];

/* ---- frames ---- */

/* RFC 5227 3: sender and target are the same */
static void look_at_arp(const uint8_t *frame, size_t len)
{
	static const uint8_t all[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff }, head[] = { 0, 1, 8, 0, 6, 4, 0, 1 },
			     none[6];
	struct in_addr vip;

	inet_pton(AF_INET, VIP, &vip);
	cr_expect_eq(len, 42u);
	cr_expect_arr_eq(frame, all, 6);
	cr_expect_arr_eq(frame + 6, vmac, 6);
	cr_expect_arr_eq(frame + 14, head, sizeof(head), "a request");
	cr_expect_arr_eq(frame + 22, vmac, 6);
	cr_expect_arr_eq(frame + 28, &vip, 4);
	cr_expect_arr_eq(frame + 32, none, 6);
	cr_expect_arr_eq(frame + 38, &vip, 4);
}

/* RFC 4861 4.4, 7.2.6 */
static void look_at_na(const uint8_t *frame, size_t len)
{
	static const uint8_t all[6] = { 0x33, 0x33, 0, 0, 0, 1 }, option[2] = { 2, 1 };
	const uint8_t *ip = frame + 14, *na = ip + 40;
	struct in6_addr vip, nodes;

	inet_pton(AF_INET6, VIP6, &vip);
	inet_pton(AF_INET6, "ff02::1", &nodes);
	cr_assert_eq(len, 14u + 40 + 32);
	cr_expect_arr_eq(frame, all, 6);
	cr_expect_arr_eq(frame + 6, vmac, 6);
	cr_expect_arr_eq(ip, ((uint8_t[]){ 0x60, 0, 0, 0, 0, 32, 58, 255 }), 8, "a hop limit of 255");
	cr_expect_arr_eq(ip + 8, &vip, 16);
	cr_expect_arr_eq(ip + 24, &nodes, 16);
	cr_expect_arr_eq(na, ((uint8_t[]){ 136, 0 }), 2);
	cr_expect_arr_eq(na + 4, ((uint8_t[]){ router ? 0xa0 : 0x20, 0, 0, 0 }), 4, "override, unsolicited");
	cr_expect_arr_eq(na + 8, &vip, 16);
	cr_expect_arr_eq(na + 24, option, 2, "the target's link-layer address");
	cr_expect_arr_eq(na + 26, vmac, 6);
	cr_expect_eq(inet_checksum(inet_sum(na, 32, inet_sum(ip + 8, 32, 32 + IPPROTO_ICMPV6))), 0);
}

static void on_frame(unsigned int node, unsigned int channel, const uint8_t *frame, size_t len)
{
	unsigned int type = (unsigned int)(frame[12] << 8 | frame[13]);
	bool six = type == ETH_P_IPV6 && frame[20] == IPPROTO_ICMPV6;
	struct seen *s = &seen[node][six];

	if (channel != LAN || (!six && type != ETH_P_ARP))
		return;
	if (six)
		look_at_na(frame, len);
	else
		look_at_arp(frame, len);
	cr_assert_lt(s->n, SEEN_MAX);
	s->at_ns[s->n++] = w.now;
}

/* ---- histories ---- */

static void configure(unsigned int i, uint32_t repeat, uint32_t refresh_s)
{
	struct vhid_setup *setup = &w.nodes[i].setup;

	setup->addresses = addresses;
	setup->n_addresses = 2;
	setup->key = &key;
	setup->router = router;
	setup->announce_repeat = repeat;
	setup->announce_refresh_s = refresh_s;
	addr_parse(i ? "fe80::2" : "fe80::1", &w.nodes[i].facts.sources[1]);
	pair_node_configure(&w.nodes[i]);
}

/* Node 0 is master. */
static void begin(const struct carp_settings *set, uint32_t repeat, uint32_t refresh_s)
{
	addr_parse(VIP, &addresses[0].addr);
	addr_parse(VIP6, &addresses[1].addr);
	carp_key_make(&key, 42, "love", 4, addresses, 2);
	pair_begin(set);
	for (unsigned int i = 0; i < 2; i++)
		configure(i, repeat, refresh_s);
	pair_pass(10 * SECOND, NULL);
	cr_assert(pair_role(A) == CARP_MASTER && pair_role(B) == CARP_BACKUP);
	w.on_frame = on_frame;
}

/* By node 1, after so many seconds each, and not else */
static void is_announced(const unsigned int *after_s, unsigned int n, uint64_t since_ns)
{
	for (unsigned int six = 0; six < 2; six++) {
		cr_assert_eq(seen[1][six].n, n, "%u", seen[1][six].n);
		for (unsigned int i = 0; i < n; i++)
			cr_expect_eq(seen[1][six].at_ns[i], since_ns + after_s[i] * SECOND, "%u: %f", i,
				     (double)(seen[1][six].at_ns[i] - since_ns) / 1e9);
	}
}

/* Node 0 is dead: while it were there it would be waited for to have seen them, which in this world without IPv6 it can't. */
static void takeover_is_announced(uint32_t repeat, uint32_t refresh_s, const unsigned int *after_s, unsigned int n)
{
	begin(&humble, repeat, refresh_s);
	pair_node_kill(A);
	memset(seen, 0, sizeof(seen));
	pair_pass(100 * SECOND, NULL);
	cr_assert_eq(pair_role(B), CARP_MASTER);
	is_announced(after_s, n, pair_view(B).carp.since_ns);
}

TestSuite(pair_announce, .init = pair_world_open, .fini = pair_world_close, .timeout = 120);

#define AFTER_S(...) \
	(const unsigned int[]){ __VA_ARGS__ }, sizeof((const unsigned int[]){ __VA_ARGS__ }) / sizeof(unsigned int)

Test(pair_announce, as_often_as_configured)
{
	takeover_is_announced(3, 0, AFTER_S(0, 1, 2, 3));
}

Test(pair_announce, once_in_any_case)
{
	router = true;
	takeover_is_announced(0, 0, AFTER_S(0));
}

Test(pair_announce, and_refreshed)
{
	takeover_is_announced(2, 30, AFTER_S(0, 1, 2, 32, 62, 92));
}

Test(pair_announce, and_refreshed_alone)
{
	takeover_is_announced(0, 40, AFTER_S(0, 40, 80));
}

/* An apply that changes it begins it anew. */
Test(pair_announce, as_another_configuration_has_it)
{
	uint64_t since_ns;

	takeover_is_announced(0, 0, AFTER_S(0));
	since_ns = w.now;
	memset(seen, 0, sizeof(seen));
	configure(1, 1, 20);
	pair_pass(50 * SECOND, NULL);
	is_announced(AFTER_S(0, 1, 21, 41), since_ns);
}

/* Nobody else has them then, nor would switches believe it. */
Test(pair_announce, not_by_who_has_them_no_more)
{
	begin(&humble, 100, 1);
	vhids_hand_over(A->v, 0, w.now);
	pair_carry();
	memset(seen, 0, sizeof(seen));
	pair_pass(20 * SECOND, NULL);
	cr_expect(!seen[0][0].n && !seen[0][1].n);
	cr_expect(seen[1][0].n == 20 && seen[1][1].n == 20);
}

/* ---- split brain ---- */

static uint64_t one_master_ns;

static void note_one_master(void)
{
	if (!one_master_ns && A->happened[VHID_ONE_MASTER])
		one_master_ns = w.now;
}

static unsigned int announced_since(unsigned int node, bool six, uint64_t ns)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < seen[node][six].n; i++)
		n += seen[node][six].at_ns[i] >= ns;
	return n;
}

/* The loser has announced itself last: hosts and switches go by that until the winner does so once more, when there is no other any more. */
static void split_brain_heals_by(unsigned int channel)
{
	begin(&slow, 0, 0);
	pair_channel(LAN, true, 0);
	pair_channel(SYNC, true, 0);
	pair_pass(6 * SECOND, NULL);
	cr_assert(pair_role(A) == CARP_MASTER && pair_role(B) == CARP_MASTER);
	cr_assert_eq(seen[1][0].n, 1u);
	pair_channel(channel, false, 0);
	pair_pass(10 * SECOND, note_one_master);
	cr_assert(pair_role(A) == CARP_MASTER && pair_role(B) == CARP_BACKUP && one_master_ns);
	for (unsigned int six = 0; six < 2; six++) {
		cr_expect_geq(announced_since(0, six, one_master_ns), 1u);
		cr_expect_eq(announced_since(1, six, one_master_ns), 0u);
	}
}

Test(pair_announce, the_winner_does_so_again_by_the_segment)
{
	split_brain_heals_by(LAN);
}

Test(pair_announce, the_winner_does_so_again_by_the_sync_link)
{
	split_brain_heals_by(SYNC);
}
