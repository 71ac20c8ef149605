// SPDX-License-Identifier: GPL-2.0-only
/* The flow cache: what it remembers, what makes it ask again, and that it never answers for another flow. */

#include <bpf/bpf.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "selftests/prog/check.h"
#include "selftests/prog/hosts.h"
#include "selftests/prog/random.h"
#include "user/lib/clock.h"

#include "xdp.skel.h"

#define STALE_US 1100000 /* an answer is asked again after a second */
#define ROUTED "2001:db8:4f00::1"

static const struct spec routed = { .src = LAN_HOST, .dst = ROUTED };

static __u64 now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000ULL + t.tv_nsec / 1000000;
}

/*
 * Sends the packet at both hooks: at XDP it must leave by port `out` to the MAC whose last byte is `host`, at tc be
 * redirected; NOWHERE: both pass it on.
 */
static void expect_way(struct env *env, const char *when, enum port out, int host)
{
	__u8 dmac[6], smac[6];
	struct frame f;
	struct result r;

	port_mac(LAN, false, dmac);
	port_mac(LAN, true, smac);
	frame_build(&f, &routed, dmac, smac);
	run_xdp(env, env->ifindex[LAN], &f, &r);
	port_mac(out, false, smac);
	if (!out && r.verdict != XDP_PASS)
		fail(env, "  %s: XDP says %d instead of passing it\n", when, r.verdict);
	if (out && (r.verdict != XDP_REDIRECT || r.frame.data[5] != host || memcmp(r.frame.data + 6, smac, 6)))
		fail(env, "  %s: XDP says %d, to %02x from %02x instead of %02x from %02x\n", when, r.verdict,
		     r.frame.data[5], r.frame.data[11], host, smac[5]);
	run_tc(env, TC_IN, env->ifindex[LAN], NULL, &f, &r);
	if (r.verdict != (out ? TC_ACT_REDIRECT : TC_ACT_UNSPEC))
		fail(env, "  %s: tc says %d\n", when, r.verdict);
}

/* The same where the answer of `since` must still hold; on a machine too busy to ask in time nothing can be said. */
static void expect_still(struct env *env, const char *when, __u64 since, enum port out, int host)
{
	if (now_ms() - since < 800)
		expect_way(env, when, out, host);
	else
		printf("# %s: too late to see\n", when);
}

static void route_changes(struct env *env)
{
	__u64 since;

	if (links_run("ip route add 2001:db8:4f00::/48 via 2001:db8:20::fe dev wan")) {
		fail(env, "  no route\n");
		return;
	}
	tables_new_generation(env);
	since = now_ms();
	expect_way(env, "first", WAN, WAN);
	expect_way(env, "again", WAN, WAN);
	links_run("ip route replace 2001:db8:4f00::/48 via 2001:db8:34::10 dev thin");
	expect_still(env, "changed, not yet asked again", since, WAN, WAN);
	tables_new_generation(env);
	since = now_ms();
	expect_way(env, "changed, new generation", THIN, THIN);
	links_run("ip route replace 2001:db8:4f00::/48 via 2001:db8:20::fe dev wan");
	expect_still(env, "changed back, not yet asked again", since, THIN, THIN);
	usleep(STALE_US);
	since = now_ms();
	expect_way(env, "changed back, a second later", WAN, WAN);
	links_run("ip route replace unreachable 2001:db8:4f00::/48");
	expect_still(env, "gone, not yet asked again", since, WAN, WAN);
	usleep(STALE_US);
	expect_way(env, "gone, a second later", NOWHERE, 0);
	links_run("ip route del 2001:db8:4f00::/48");
}

/* IPv6 can write IPv4 addresses (::ffff:0:0/96), which the cache knows in the same words. */
static void mapped_addresses(struct env *env)
{
	static const struct spec four = { .src = LAN_HOST4, .dst = NET_HOST4 };
	static const struct spec six = { .src = "::ffff:" LAN_HOST4, .dst = "::ffff:" NET_HOST4 };
	static const struct {
		const struct spec *spec;
		int verdict;
	} sent[] = { { &six, XDP_DROP }, { &four, XDP_REDIRECT }, { &six, XDP_DROP }, { &four, XDP_REDIRECT } };
	__u8 dmac[6], smac[6];
	struct frame f;
	struct result r;

	port_mac(LAN, false, dmac);
	port_mac(LAN, true, smac);
	tables_new_generation(env);
	for (size_t i = 0; i < sizeof(sent) / sizeof(*sent); i++) {
		frame_build(&f, sent[i].spec, dmac, smac);
		run_xdp(env, env->ifindex[LAN], &f, &r);
		if (r.verdict != sent[i].verdict)
			fail(env, "  packet %zu: XDP says %d instead of %d\n", i, r.verdict, sent[i].verdict);
	}
}

static int find_nexthop(struct env *env, const char *addr, enum port port, __u32 *index, struct fl_nexthop *nh)
{
	struct fl_nexthop_key key = { .ifindex = env->ifindex[port], .addr = addr_of(addr) };

	if (bpf_map_lookup_elem(bpf_map__fd(env->xdp->maps.fl_nh_by_addr), &key, index))
		return -1;
	return bpf_map_lookup_elem(bpf_map__fd(env->xdp->maps.fl_nh), index, nh);
}

static void neighbour_changes(struct env *env)
{
	int map = bpf_map__fd(env->xdp->maps.fl_nh);
	struct fl_nexthop nh, good;
	__u64 since;
	__u32 index;

	if (links_run("ip route add 2001:db8:4f00::/48 via 2001:db8:20::fe dev wan") ||
	    find_nexthop(env, "2001:db8:20::fe", WAN, &index, &nh)) {
		fail(env, "  no route, or no next hop\n");
		return;
	}
	tables_new_generation(env);
	since = now_ms();
	expect_way(env, "first", WAN, WAN);
	bpf_map_lookup_elem(map, &index, &good);
	if (((__u8 *)&good.dmac)[5] != WAN || ((__u8 *)&good.smac)[5] != WAN || !good.used)
		fail(env, "  the next hop was not corrected from the FIB, or its use not noted\n");
	nh = good;
	((__u8 *)&nh.dmac)[5] = 0x55;
	bpf_map_update_elem(map, &index, &nh, BPF_ANY);
	expect_still(env, "the daemon wrote another MAC", since, WAN, 0x55);
	links_run("ip neighbour replace 2001:db8:20::fe dev wan lladdr 02:00:00:00:02:77 nud permanent");
	expect_still(env, "the kernel knows another, not yet asked again", since, WAN, 0x55);
	usleep(STALE_US);
	expect_way(env, "the kernel knows another, a second later", WAN, 0x77);
	nh = good;
	nh.valid = 0;
	bpf_map_update_elem(map, &index, &nh, BPF_ANY);
	expect_way(env, "the entry is not valid: the FIB is asked for each packet", WAN, 0x77);
	links_run("ip neighbour replace 2001:db8:20::fe dev wan lladdr 02:00:00:00:02:02 nud permanent");
	expect_way(env, "and its change is seen at once", WAN, WAN);
	bpf_map_update_elem(map, &index, &good, BPF_ANY);
	links_run("ip route del 2001:db8:4f00::/48");
}

/* What the programs learn makes answers stale as the daemon's word does. */
static void learned(struct env *env)
{
	int map = bpf_map__fd(env->xdp->maps.fl_learned);
	struct fl_learned l;
	__u32 zero = 0;

	if (links_run("ip route add 2001:db8:4f00::/48 via 2001:db8:20::fe dev wan")) {
		fail(env, "  no route\n");
		return;
	}
	tables_new_generation(env);
	expect_way(env, "first", WAN, WAN);
	links_run("ip route replace 2001:db8:4f00::/48 via 2001:db8:34::10 dev thin");
	bpf_map_lookup_elem(map, &zero, &l);
	l.gen++;
	bpf_map_update_elem(map, &zero, &l, BPF_ANY);
	expect_way(env, "something was learned", THIN, THIN);
	links_run("ip route del 2001:db8:4f00::/48");
}

/* The entry of the packet that expect_way() sends, and its index. */
static bool find_entry(struct env *env, __u32 *index, struct fl_flow *flow)
{
	int map = bpf_map__fd(env->xdp->maps.fl_flows), cpu = sched_getcpu();
	union fl_addr src = addr_of(LAN_HOST), dst = addr_of(ROUTED);

	for (*index = cpu * FL_FLOWS; *index < (cpu + 1u) * FL_FLOWS; (*index)++)
		if (!bpf_map_lookup_elem(map, index, flow) && !memcmp(&flow->src, &src, sizeof(src)) &&
		    !memcmp(&flow->dst, &dst, sizeof(dst)))
			return true;
	fail(env, "  it is not remembered\n");
	return false;
}

/* Makes the answer as old as that. */
static void age(struct env *env, int seconds)
{
	struct fl_flow flow;
	__u32 index;

	if (!find_entry(env, &index, &flow))
		return;
	flow.stamp -= seconds * clock_hz() >> 6;
	bpf_map_update_elem(bpf_map__fd(env->xdp->maps.fl_flows), &index, &flow, BPF_ANY);
}

static int say_alive(struct env *env, int seconds)
{
	__u32 zero = 0;
	struct fl_learned l;

	bpf_map_lookup_elem(bpf_map__fd(env->xdp->maps.fl_learned), &zero, &l);
	env->control.alive_until = l.jiffies + seconds * (int)clock_hz();
	return tables_control(env);
}

/* While a daemon watches, answers are asked again after ten seconds, else after one. */
static void watched(struct env *env)
{
	if (links_run("ip route add 2001:db8:4f00::/48 via 2001:db8:20::fe dev wan")) {
		fail(env, "  no route\n");
		return;
	}
	tables_new_generation(env);
	expect_way(env, "first", WAN, WAN);
	say_alive(env, 60);
	links_run("ip route replace 2001:db8:4f00::/48 via 2001:db8:34::10 dev thin");
	age(env, 8);
	expect_way(env, "watched, 8 s later", WAN, WAN);
	age(env, 3);
	expect_way(env, "watched, 11 s later", THIN, THIN);
	links_run("ip route replace 2001:db8:4f00::/48 via 2001:db8:20::fe dev wan");
	say_alive(env, -1);
	age(env, 2);
	expect_way(env, "the daemon has died, 2 s later", WAN, WAN);
	env->control.alive_until = 0;
	tables_control(env);
	links_run("ip route del 2001:db8:4f00::/48");
}

/* While there are rules that ask for more than addresses, every packet is routed by itself; what was remembered before goes. */
static void ruled(struct env *env)
{
	if (links_run("ip route add 2001:db8:4f00::/48 via 2001:db8:20::fe dev wan")) {
		fail(env, "  no route\n");
		return;
	}
	tables_new_generation(env);
	expect_way(env, "first", WAN, WAN);
	env->control.routing = FL_ROUTING_TRANSPORT;
	tables_control(env);
	age(env, 2);
	expect_way(env, "the old answer is stale", WAN, WAN);
	links_run("ip route replace 2001:db8:4f00::/48 via 2001:db8:34::10 dev thin");
	expect_way(env, "a change is seen at once", THIN, THIN);
	links_run("ip route replace 2001:db8:4f00::/48 via 2001:db8:20::fe dev wan");
	expect_way(env, "the next one too", WAN, WAN);
	env->control.routing = 0;
	tables_control(env);
	links_run("ip route del 2001:db8:4f00::/48");
}

/* The same addresses, but from elsewhere: that is another flow, and its own checks. */
static void other_origin(struct env *env)
{
	static const struct test_case cases[] = {
		{ "", .in = WAN, .pkt.osrc = C2_REMOTE, .pkt.odst = LOCAL4, .pkt.src = C2_HOST, .pkt.dst = LAN_HOST,
		  .want = FORWARD, .out = LAN, .ep_in = EP_C2, .change.osrc = NO_OUTER },
		{ "", .in = WAN, .pkt.osrc = C3_REMOTE, .pkt.odst = LOCAL4, .pkt.src = C2_HOST, .pkt.dst = LAN_HOST,
		  .want = DROP, .blame = BK0, .reason = FL_DROP_TUNNEL_CLIENT },
		{ "", .in = WAN, .pkt.osrc = HE0_REMOTE, .pkt.odst = LOCAL4, .pkt.src = C2_HOST, .pkt.dst = LAN_HOST,
		  .want = FORWARD, .out = LAN, .ep_in = EP_HE0, .change.osrc = NO_OUTER },
		{ "", .in = LAN, .pkt.src = "fd01:203:405:1::1234", .pkt.dst = NPT_HOST, .want = FORWARD, .out = NPT,
		  .npt_out = NPT_48, .change.src = "2001:db8:1:d550::1234" },
		{ "", .in = NPT, .pkt.src = NPT_HOST, .pkt.dst = "2001:db8:1:d550::1234", .want = FORWARD, .out = LAN,
		  .npt_in = NPT_48, .change.dst = "fd01:203:405:1::1234" },
		{ "", .in = WAN, .pkt.src = NPT_HOST, .pkt.dst = "2001:db8:1:d550::1234", .want = DELIVER },
	};

	for (int round = 0; round < 3; round++)
		for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
			check_hooks(env, &cases[i], "after the others");
}

/* An outer header of nothing but zeros, which in the cache's key is the same as none. */
static void zero_outer(struct env *env)
{
	static const struct test_case cases[] = {
		{ "", .in = WAN, .pkt.src = NET_HOST, .pkt.dst = LAN_HOST, .want = FORWARD, .out = LAN },
		{ "", .in = WAN, .pkt.osrc = "0.0.0.0", .pkt.odst = "0.0.0.0", .pkt.src = NET_HOST, .pkt.dst = LAN_HOST,
		  .want = DROP, .reason = FL_DROP_MARTIAN },
	};

	for (int round = 0; round < 3; round++)
		for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
			check_hooks(env, &cases[i], "after the other");
}

/* Options of nothing but zeros do not show in the header's checksum: a packet with them is none of the known flow's all the same. */
static void zero_options(struct env *env)
{
	static const struct spec plain = { .src = LAN_HOST4, .dst = NET_HOST4 };
	static const struct spec options = { .src = LAN_HOST4, .dst = NET_HOST4, .ihl = 7 };
	__u8 dmac[6], smac[6], *ip;
	struct frame known, f;
	struct result r;

	port_mac(LAN, false, dmac);
	port_mac(LAN, true, smac);
	frame_build(&known, &plain, dmac, smac);
	frame_build(&f, &options, dmac, smac);
	ip = f.data + ETH_LEN;
	memset(ip + 20, 0, 8);
	put16(ip + 10, 0);
	put16(ip + 10, ~sum_fold(sum_words(ip, 28, 0)));
	for (int i = 0; i < 3; i++) {
		run_xdp(env, env->ifindex[LAN], &known, &r);
		if (r.verdict != XDP_REDIRECT)
			fail(env, "  XDP says %d\n", r.verdict);
		run_xdp(env, env->ifindex[LAN], &f, &r);
		if (r.verdict != XDP_DROP)
			fail(env, "  with options: XDP says %d\n", r.verdict);
	}
}

/* More flows than there are slots: each packet must go its own flow's way, whoever had the slot before. */
static void collisions(struct env *env)
{
	static const char *const destinations[] = { NET_HOST, HE_HOST, NPT_HOST, "2001:db8:34::10" };
	static const enum port ways[] = { WAN, WAN, NPT, THIN };
	__u64 random = 16384;
	__u8 dmac[6], smac[6];
	struct result out;
	struct frame f;

	port_mac(LAN, false, dmac);
	port_mac(LAN, true, smac);
	for (int i = 0; i < 60000; i++) {
		struct spec s = { .src = "2001:db8:10::", .dst = destinations[i % 4], .l4 = L4_RAW };
		__u32 l3 = ETH_LEN + (i % 4 == 1 ? 20 : 0);

		frame_build(&f, &s, dmac, smac);
		put32(f.data + ETH_LEN + 8 + 12, random_next(&random) % 40000);
		run_xdp(env, env->ifindex[LAN], &f, &out);
		if (out.verdict != XDP_REDIRECT || out.frame.data[5] != ways[i % 4] ||
		    out.frame.len != f.len + l3 - ETH_LEN ||
		    memcmp(out.frame.data + l3 + 8, f.data + ETH_LEN + 8, f.len - ETH_LEN - 8)) {
			fail(env, "  packet %d went wrong: verdict %d\n", i, out.verdict);
			return;
		}
	}
}

/* Flows whose addresses differ in their upper halves only: some are translated, some go another way. */
static void upper_halves(struct env *env)
{
	static const char *const sources[] = { "fd01:203:405::1", "2001:db8:10::1" };
	static const char *const destinations[] = { NPT_HOST, NET_HOST };
	static const enum port ways[] = { NPT, WAN };
	__u64 random = 64;
	__u8 dmac[6], smac[6];
	struct result out;
	struct frame f;

	port_mac(LAN, false, dmac);
	port_mac(LAN, true, smac);
	for (int i = 0; i < 10000; i++) {
		bool translated = i % 4 == 0;
		struct spec s = { .src = sources[i & 1], .dst = destinations[i >> 1 & 1], .l4 = L4_RAW };

		frame_build(&f, &s, dmac, smac);
		put16(f.data + ETH_LEN + 8 + 6, random_next(&random) % 10000);
		put16(f.data + ETH_LEN + 24 + 6, random_next(&random) % 3);
		run_xdp(env, env->ifindex[LAN], &f, &out);
		if (out.verdict != XDP_REDIRECT || out.frame.data[5] != ways[i >> 1 & 1] ||
		    !memcmp(out.frame.data + ETH_LEN + 8, f.data + ETH_LEN + 8, 8) == translated) {
			fail(env, "  packet %d went wrong: verdict %d\n", i, out.verdict);
			return;
		}
	}
}

const struct procedure cache_procedures[] = {
	{ "cache/route-changes", route_changes },
	{ "cache/neighbour-changes", neighbour_changes },
	{ "cache/learned", learned },
	{ "cache/watched", watched },
	{ "cache/ruled", ruled },
	{ "cache/other-origin", other_origin },
	{ "cache/mapped-addresses", mapped_addresses },
	{ "cache/zero-outer", zero_outer },
	{ "cache/zero-options", zero_options },
	{ "cache/collisions", collisions },
	{ "cache/upper-halves", upper_halves },
	{ 0 },
};
