// SPDX-License-Identifier: GPL-2.0-only
/* ICMP errors of our own: when there are none, their rate, the way back; and what is learned from others' errors. */

#include <bpf/bpf.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "selftests/prog/check.h"
#include "selftests/prog/hosts.h"
#include "selftests/prog/random.h"

#include "xdp.skel.h"

#define EXPIRED6 \
	.in = LAN, .pkt.src = LAN_HOST, .pkt.dst = NET_HOST, .pkt.hops = 1, .want = ERROR, .reason = FL_DROP_TTL, \
	.icmp_type = 3
#define EXPIRED4 \
	.in = LAN, .pkt.src = LAN_HOST4, .pkt.dst = NET_HOST4, .pkt.hops = 1, .want = ERROR, .reason = FL_DROP_TTL, \
	.icmp_type = 11
#define SILENT .unanswered = true

static const struct spec quoted6 = { .src = NET_HOST, .dst = LAN_HOST },
			 quoted4 = { .src = NET_HOST4, .dst = LAN_HOST4 };

/* clang-format off */
static const struct test_case answers[] = {
	{ "icmp/6-udp", EXPIRED6 },
	{ "icmp/6-tcp", EXPIRED6, .pkt.l4 = L4_TCP },
	{ "icmp/6-echo-request", EXPIRED6, .pkt.l4 = L4_ECHO },
	{ "icmp/6-echo-reply", EXPIRED6, .pkt.l4 = L4_ECHO, .pkt.type = 129 },
	{ "icmp/6-no-payload", EXPIRED6, .pkt.l4 = L4_RAW, .pkt.payload = NIL },
	{ "icmp/6-odd-length", EXPIRED6, .pkt.payload = 33 },
	{ "icmp/6-largest-whole-quote", EXPIRED6, .pkt.payload = 1232 - 48 },
	{ "icmp/6-quote-cut", EXPIRED6, .pkt.payload = 1233 - 48 },
	{ "icmp/6-quote-cut-much", EXPIRED6, .pkt.payload = 1452 },
	{ "icmp/6-padding-not-quoted", EXPIRED6, .pkt.trailer = 11 },
	{ "icmp/6-extension-headers", EXPIRED6, .pkt.ext = "hd" },
	{ "icmp/6-about-an-error", EXPIRED6, .pkt.l4 = L4_ERROR, .pkt.quoted = &quoted6, SILENT },
	{ "icmp/6-about-an-error-of-the-future", EXPIRED6, .pkt.l4 = L4_ERROR, .pkt.type = 127, .pkt.quoted = &quoted6,
	  SILENT },
	{ "icmp/6-about-an-error-behind-extension-headers", EXPIRED6, .pkt.ext = "hd", .pkt.l4 = L4_ERROR,
	  .pkt.quoted = &quoted6, SILENT },
	{ "icmp/6-about-an-error-behind-a-fragment-header", EXPIRED6, .pkt.ext = "x", .pkt.l4 = L4_ERROR,
	  .pkt.quoted = &quoted6, SILENT },
	{ "icmp/6-about-a-later-fragment", EXPIRED6, .pkt.ext = "F", .pkt.l4 = L4_ECHO },
	{ "icmp/6-about-an-echo-behind-extension-headers", EXPIRED6, .pkt.ext = "hd", .pkt.l4 = L4_ECHO },
	{ "icmp/6-about-a-redirect", .in = LAN, .pkt.src = LAN_HOST, .pkt.dst = NET_HOST, .pkt.hops = 1,
	  .pkt.l4 = L4_ECHO, .pkt.type = 137, .want = DROP, .reason = FL_DROP_SCOPE },
	{ "icmp/6-about-a-redirect-to-nobody", .in = LAN, .pkt.src = LAN_HOST, .pkt.dst = "2001:db8:b00f::1",
	  .pkt.l4 = L4_ECHO, .pkt.type = 137, .want = ERROR, .reason = FL_DROP_UNREACHABLE, .icmp_type = 1, .icmp_code = 3,
	  SILENT },
	{ "icmp/6-port-without-address", .in = ICMP, .pkt.src = LAN_HOST, .pkt.dst = NET_HOST, .pkt.hops = 1,
	  .want = ERROR, .reason = FL_DROP_TTL, .icmp_type = 3, SILENT },
	{ "icmp/6-to-tunnel-host", .in = WAN, .pkt.osrc = HE0_REMOTE, .pkt.odst = LOCAL4, .pkt.oihl = 8,
	  .pkt.src = HE_HOST, .pkt.dst = LAN_HOST,
	  .pkt.hops = 1, .want = ERROR, .blame = HE0, .reason = FL_DROP_TTL, .icmp_type = 3 },
	{ "icmp/4-udp", EXPIRED4 },
	{ "icmp/4-echo-request", EXPIRED4, .pkt.l4 = L4_ECHO },
	{ "icmp/4-echo-reply", EXPIRED4, .pkt.l4 = L4_ECHO, .pkt.type = NIL },
	{ "icmp/4-timestamp", EXPIRED4, .pkt.l4 = L4_ECHO, .pkt.type = 13 },
	{ "icmp/4-odd-length", EXPIRED4, .pkt.payload = 33 },
	{ "icmp/4-largest-whole-quote", EXPIRED4, .pkt.payload = 548 - 28 },
	{ "icmp/4-quote-cut", EXPIRED4, .pkt.payload = 549 - 28 },
	{ "icmp/4-quote-cut-much", EXPIRED4, .pkt.payload = 1452 },
	{ "icmp/4-padding-not-quoted", EXPIRED4, .pkt.payload = 4, .pkt.trailer = 14 },
	{ "icmp/4-first-fragment", EXPIRED4, .pkt.frag = IPV4_MF },
	{ "icmp/4-later-fragment", EXPIRED4, .pkt.frag = 100, SILENT },
	{ "icmp/4-about-an-error", EXPIRED4, .pkt.l4 = L4_ERROR, .pkt.quoted = &quoted4, SILENT },
	{ "icmp/4-about-a-redirect", EXPIRED4, .pkt.l4 = L4_ECHO, .pkt.type = 5, SILENT },
	{ "icmp/4-about-a-source-quench", EXPIRED4, .pkt.l4 = L4_ECHO, .pkt.type = 4, SILENT },
	{ "icmp/4-port-without-address", .in = UNDER2, .pkt.src = NET_HOST4, .pkt.dst = LAN_HOST4, .pkt.hops = 1,
	  .want = ERROR,
	  .reason = FL_DROP_TTL, .icmp_type = 11, SILENT },
};
/* clang-format on */

/* ICMPv4 Fragmentation Needed about our own outer: what tc must learn (RFC 4213 3.2.2), by the case's next-hop MTU. */
static const struct learn {
	const char *what, *osrc, *odst;
	enum endpoint ep;
	int mtu, type, code;
	struct spec quote; /* what is unusual about the quoted packet */
	__u32 expected;	   /* inner MTU; 0: nothing learned */
	const char *to;	   /* the error goes there; NULL: to LOCAL4 */
	enum port in;	   /* by which it comes; NOWHERE: WAN */
} learns[] = {
	{ "another type", LOCAL4, HE1_REMOTE, EP_HE1, 1400, 11, 4, {}, 0, NULL, 0 },
	{ "another code", LOCAL4, HE1_REMOTE, EP_HE1, 1400, 3, 1, {}, 0, NULL, 0 },
	{ "a quote that is no IPv6", LOCAL4, HE1_REMOTE, EP_HE1, 1400, 3, 4, { .version = 4 }, 0, NULL, 0 },
	{ "a quote with options", LOCAL4, HE1_REMOTE, EP_HE1, 1400, 3, 4, { .oihl = 6 }, 0, NULL, 0 },
	{ "a quote of another protocol", LOCAL4, HE1_REMOTE, EP_HE1, 1400, 3, 4, { .oproto = 47 }, 0, NULL, 0 },
	{ "of a stranger", LOCAL4, "203.0.113.99", EP_HE1, 1400, 3, 4, {}, 0, NULL, 0 },
	{ "of another address", ROUTER4, HE1_REMOTE, EP_HE1, 1400, 3, 4, {}, 0, ROUTER4, 0 },
	{ "to an address that did not send", LOCAL4, HE1_REMOTE, EP_HE1, 1400, 3, 4, {}, 0, ROUTER4, 0 },
	{ "an MTU", LOCAL4, HE1_REMOTE, EP_HE1, 1400, 3, 4, {}, 1380, NULL, 0 },
	{ "a larger one", LOCAL4, HE1_REMOTE, EP_HE1, 1450, 3, 4, {}, 1380, NULL, 0 },
	{ "where IPv4 is the host's", LOCAL4, HE1_REMOTE, EP_HE1, 1360, 3, 4, {}, 1340, NULL, NPT },
	{ "a smaller one", LOCAL4, HE1_REMOTE, EP_HE1, 1320, 3, 4, {}, 1300, NULL, 0 },
	{ "one below the floor", LOCAL4, HE1_REMOTE, EP_HE1, 600, 3, 4, {}, 1280, NULL, 0 },
	{ "of an old router, without MTU", LOCAL4, C3_REMOTE, EP_C3, 0, 3, 4, {}, 1280, NULL, 0 },
	{ "of a static tunnel", LOCAL4, HE0_REMOTE, EP_HE0, 1400, 3, 4, {}, 0, NULL, 0 },
};

static void learn_one(struct env *env, const struct learn *l)
{
	const struct spec usual = { .osrc = l->osrc, .odst = l->odst, .src = LAN_HOST, .dst = HE1_HOST };
	const struct spec quoted = spec_merge(&usual, &l->quote);
	enum port at = l->in ? l->in : WAN;
	struct spec error = { .src = "203.0.113.200", .dst = l->to ? l->to : LOCAL4, .l4 = L4_RAW, .payload = NIL };
	struct counters before, after;
	struct frame in, inner;
	struct result out;
	__u8 dmac[6], smac[6], *icmp = in.data + ETH_LEN + 20;
	char text[1024];

	port_mac(at, false, dmac);
	port_mac(at, true, smac);
	frame_build(&inner, &quoted, dmac, smac);
	if (quoted.oihl > 5)
		inner.data[ETH_LEN + 20] = 0x60; /* an option that looks like the IPv6 header */
	error.proto = 1;
	error.payload = 8 + 28;
	frame_build(&in, &error, dmac, smac);
	memset(icmp, 0, 8);
	icmp[0] = l->type;
	icmp[1] = l->code;
	put16(icmp + 6, l->mtu);
	memcpy(icmp + 8, inner.data + ETH_LEN, 28);
	put16(icmp + 2, ~sum_fold(sum_words(icmp, 36, 0)));
	counters_read(env, &before);
	run_xdp(env, env->ifindex[at], &in, &out);
	if (out.verdict != XDP_PASS)
		fail(env, "  %s: XDP says %d\n", l->what, out.verdict);
	run_tc(env, TC_IN, env->ifindex[at], NULL, &in, &out);
	if (out.verdict != TC_ACT_UNSPEC || out.frame.len != in.len || memcmp(out.frame.data, in.data, in.len))
		fail(env, "  %s: tc says %d, or changed it\n", l->what, out.verdict);
	counters_read(env, &after);
	if (after.paths[l->ep].mtu != l->expected)
		fail(env, "  %s: learned %u instead of %u\n", l->what, after.paths[l->ep].mtu, l->expected);
	if (after.learned.gen - before.learned.gen != (before.paths[l->ep].mtu != after.paths[l->ep].mtu))
		fail(env, "  %s: the generation grew by %u\n", l->what, after.learned.gen - before.learned.gen);
	memcpy(before.paths, after.paths, sizeof(after.paths));
	before.learned = after.learned;
	if (at == WAN) { /* what is left to the kernel as it came is not counted */
		before.ports[at].rx_packets++;
		before.ports[at].rx_bytes += in.len - ETH_LEN;
	}
	if (counters_differ(&after, &before, text, sizeof(text)))
		fail(env, "  %s: counters:\n%s", l->what, text);
}

static void learn_all(struct env *env)
{
	const struct fl_endpoint_path none = {};
	struct counters c;
	struct timespec now;

	for (size_t i = 0; i < sizeof(learns) / sizeof(*learns); i++)
		learn_one(env, &learns[i]);
	counters_read(env, &c);
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (c.paths[EP_HE1].expires_s < now.tv_sec + 590 || c.paths[EP_HE1].expires_s > now.tv_sec + 601)
		fail(env, "  it is remembered until %u, now is %lld\n", c.paths[EP_HE1].expires_s,
		     (long long)now.tv_sec);
	for (__u32 ep = 0; ep < EPS; ep++)
		bpf_map_update_elem(bpf_map__fd(env->xdp->maps.fl_ep_path), &ep, &none, BPF_ANY);
}

/* The request that tc makes of a packet in error. */
static bool make_request_of(struct env *env, const struct spec *spec, struct frame *request)
{
	__u8 dmac[6], smac[6];
	struct result out;
	struct frame in;

	port_mac(LAN, false, dmac);
	port_mac(LAN, true, smac);
	frame_build(&in, spec, dmac, smac);
	run_tc(env, TC_IN, env->ifindex[LAN], NULL, &in, &out);
	*request = out.frame;
	if (out.verdict != TC_ACT_REDIRECT)
		fail(env, "  tc says %d\n", out.verdict);
	return out.verdict == TC_ACT_REDIRECT;
}

/* Of one whose hop limit ends. */
static bool make_request(struct env *env, const char *src, struct frame *request)
{
	const struct spec expired = { .src = src, .dst = strchr(src, ':') ? NET_HOST : NET_HOST4, .hops = 1 };

	return make_request_of(env, &expired, request);
}

static int answered(struct env *env, const struct frame *request, int times)
{
	struct result out;
	int n = 0;

	for (int i = 0; i < times; i++) {
		run_icmp(env, request, &out);
		n += out.verdict == XDP_PASS;
	}
	return n;
}

/* 50 at once, then 100 a second (RFC 4443 2.4 (f)); each destination by itself. */
static void rate_limit(struct env *env)
{
	struct counters before, after;
	struct frame request, other;
	int n;

	if (!make_request(env, LAN_HOST, &request) || !make_request(env, "2001:db8:10::77", &other))
		return;
	tables_forget_icmp(env);
	counters_read(env, &before);
	n = answered(env, &request, 200);
	counters_read(env, &after);
	if (n < 50 || n > 60)
		fail(env, "  %d of 200 at once are answered\n", n);
	before.drops[LAN * FL_DROP_SLOTS + FL_DROP_ICMP_RATE].packets += 200 - n;
	before.drops[LAN * FL_DROP_SLOTS + FL_DROP_ICMP_RATE].bytes += (200 - n) * request.len;
	if (memcmp(&before, &after, sizeof(after)))
		fail(env, "  the refused ones are not counted, or more than them\n");
	n = answered(env, &other, 50);
	if (n != 50)
		fail(env, "  another destination gets %d of 50\n", n);
	usleep(200000);
	n = answered(env, &request, 200);
	if (n < 12 || n > 30)
		fail(env, "  after 0.2 s there are %d instead of about 20\n", n);
	if (make_request(env, LAN_HOST4, &request)) {
		tables_forget_icmp(env);
		n = answered(env, &request, 200);
		if (n < 50 || n > 60)
			fail(env, "  %d of 200 at once are answered with ICMPv4\n", n);
	}
}

/* Packet Too Big is not for other errors to use up: without it a path is a black hole. */
static void rate_of_too_big(struct env *env)
{
	static const struct spec big[] = {
		{ .src = LAN_HOST, .dst = NET_HOST, .payload = 1501 - 48 },
		{ .src = LAN_HOST4, .dst = NET_HOST4, .payload = 1501 - 28, .frag = IPV4_DF },
	};
	struct frame expired, too_big;
	int n;

	for (size_t i = 0; i < sizeof(big) / sizeof(*big); i++) {
		if (!make_request(env, big[i].src, &expired) || !make_request_of(env, &big[i], &too_big))
			return;
		tables_forget_icmp(env);
		answered(env, &expired, 200);
		n = answered(env, &too_big, 50);
		if (n != 50)
			fail(env, "  after others to %s, %d of 50 are answered\n", big[i].src, n);
		n = answered(env, &too_big, 200);
		if (n > 10)
			fail(env, "  %d of 200 more to %s are answered\n", n, big[i].src);
	}
}

/* The bucket that an answer was taken from. */
static __u32 bucket_of(struct env *env, struct xdp *xdp, const struct frame *request)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = request->data, .data_size_in = request->len);
	struct xdp_md ctx = { .data_end = request->len, .ingress_ifindex = env->ifindex[ICMP] };
	__u64 bucket = 0;
	__u32 slot = 0;

	opts.ctx_in = &ctx;
	opts.ctx_size_in = sizeof(ctx);
	tables_forget_icmp(env);
	if (bpf_prog_test_run_opts(bpf_program__fd(xdp->progs.fl_icmp), &opts) || opts.retval != XDP_PASS)
		fail(env, "  %u instead of an answer\n", opts.retval);
	while (slot < FL_ICMP_RATES * FL_ICMP_BUCKETS && !bucket) {
		bpf_map_lookup_elem(bpf_map__fd(xdp->maps.fl_icmp_rate), &slot, &bucket);
		slot += !bucket;
	}
	return slot;
}

/* Who shares a bucket with whom is not to be worked out: it depends on the secret of each start. */
static void rate_groups(struct env *env)
{
	static const char *const sources[] = { LAN_HOST, "2001:db8:10::77", "2001:db8:10::78", LAN_HOST4 };
	struct xdp *other = env_load_xdp(env, 0x6a09e667f3bcc908);
	struct frame request;
	int moved = 0;

	for (size_t i = 0; other && i < sizeof(sources) / sizeof(*sources); i++) {
		if (!make_request(env, sources[i], &request))
			break;
		moved += bucket_of(env, env->xdp, &request) != bucket_of(env, other, &request);
	}
	if (!other || moved < 2)
		fail(env, "  with another secret %d of 4 have another bucket\n", moved);
	env_unload_xdp(other);
}

/* From the packet to the frame on the wire: tc, fl_icmp, tc again. */
static void whole_way(struct env *env)
{
	const struct spec quoted = { .src = LAN_HOST, .dst = NET_HOST, .hops = 1 };
	const struct spec answer = {
		.src = ROUTER, .dst = LAN_HOST, .l4 = L4_ERROR, .type = 3, .label = NIL, .hops = 63, .quoted = &quoted
	};
	struct frame request, expected;
	struct result error, sent;
	__u8 none[6] = {};

	tables_forget_icmp(env);
	if (!make_request(env, LAN_HOST, &request))
		return;
	run_icmp(env, &request, &error);
	run_tc(env, TC_IN, env->ifindex[ICMP], NULL, &error.frame, &sent);
	frame_build(&expected, &answer, none, none);
	if (error.verdict != XDP_PASS || sent.verdict != TC_ACT_REDIRECT)
		fail(env, "  fl_icmp says %d, tc %d\n", error.verdict, sent.verdict);
	else if (sent.frame.len != expected.len ||
		 memcmp(sent.frame.data + ETH_LEN, expected.data + ETH_LEN, expected.len - ETH_LEN))
		fail(env, "  another packet leaves\n");
}

/* What comes to fl_icmp and is no request of ours, or one cut anywhere: never passed unless whole, never a fault. */
static void bad_requests(struct env *env)
{
	struct frame request, cut;
	struct result out;
	__u64 random = 4443;

	tables_forget_icmp(env);
	if (!make_request(env, LAN_HOST, &request))
		return;
	for (cut = request; cut.len >= ETH_LEN; cut.len--) {
		run_icmp(env, &cut, &out);
		if (out.verdict != XDP_DROP && (out.verdict != XDP_PASS || cut.len < ETH_LEN + 40))
			fail(env, "  cut to %u bytes: %d\n", cut.len, out.verdict);
	}
	for (int i = 0; i < 20000; i++) {
		cut = request;
		for (__u64 n = random_next(&random) % 8; n; n--)
			cut.data[random_next(&random) % (i % 2 ? 20 : cut.len)] = random_next(&random);
		cut.len = ETH_LEN + random_next(&random) % (cut.len - ETH_LEN + 1);
		run_icmp(env, &cut, &out);
		if (out.verdict != XDP_DROP && out.verdict != XDP_PASS)
			fail(env, "  changed request %d: %d\n", i, out.verdict);
		if (cut.data[0] != 0x02 && out.verdict != XDP_DROP)
			fail(env, "  %d without the mark: %d\n", i, out.verdict);
	}
}

const struct suite icmp_suites[] = { CASES(answers), { 0 } };

const struct procedure icmp_procedures[] = {
	{ "icmp/learns-path-mtu", learn_all },
	{ "icmp/rate-limit", rate_limit },
	{ "icmp/rate-limit-too-big", rate_of_too_big },
	{ "icmp/rate-limit-groups", rate_groups },
	{ "icmp/whole-way", whole_way },
	{ "icmp/bad-requests", bad_requests },
	{ 0 },
};
