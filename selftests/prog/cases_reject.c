// SPDX-License-Identifier: GPL-2.0-only
/* What `reject` answers: TCP resets and ICMP errors, to whom there is none, their rates, and their way back. */

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <stdio.h>
#include <string.h>

#include "fairlead/rules.h"
#include "selftests/prog/check.h"
#include "selftests/prog/hosts.h"
#include "selftests/prog/random.h"
#include "selftests/prog/policy.h"
#include "selftests/prog/reject.h"

#include "reject.skel.h"

#define SEQ 0x01020304 /* of every segment that frame.c builds */
#define ACK 0x05060708

#define UDP(from, to) .pkt.src = from, .pkt.dst = to
#define TCP(from, to) UDP(from, to), .pkt.l4 = L4_TCP
#define TCP6 TCP(LAN_HOST, NET_HOST)
#define TCP4 TCP(LAN_HOST4, NET_HOST4)
#define UDP6 UDP(LAN_HOST, NET_HOST)
#define UDP4 UDP(LAN_HOST4, NET_HOST4)
#define SYN .pkt.tflags = TCP_SYN, .pkt.payload = NIL
#define SILENT .silent = true
#define RESET_BY_ACK .seq = ACK /* the segment's acknowledgment becomes the sequence */
#define RESET_BY_SEQ(len) .ack = SEQ + (len)

static const struct spec quoted6 = { .src = NET_HOST, .dst = LAN_HOST },
			 quoted4 = { .src = NET_HOST4, .dst = LAN_HOST4 };

/* A reset with seq or ack, an ICMP error of this type, or nothing. */
static const struct rejected {
	const char *what;
	struct spec pkt;
	enum fl_reject how;
	__u32 seq, ack;
	int type, code;
	bool silent;
} cases[] = {
	{ "syn", TCP6, SYN, RESET_BY_SEQ(1) },
	{ "syn-data", TCP6, .pkt.tflags = TCP_SYN, .pkt.payload = 10, RESET_BY_SEQ(11) },
	{ "syn-options", TCP6, SYN, .pkt.opts = "020405b4 0402080a 00000001 00000000 01030307", RESET_BY_SEQ(1) },
	{ "syn-wraps", TCP6, .pkt.tflags = TCP_SYN, .pkt.seq = -2, .pkt.payload = 4, .ack = 3 },
	{ "syn-ack", TCP6, .pkt.tflags = TCP_SYN | TCP_ACK, .pkt.payload = NIL, RESET_BY_ACK },
	{ "ack", TCP6, .pkt.payload = NIL, RESET_BY_ACK },
	{ "data", TCP6, .pkt.payload = 1440, RESET_BY_ACK },
	{ "data-odd", TCP6, .pkt.payload = 33, RESET_BY_ACK },
	{ "fin", TCP6, .pkt.tflags = TCP_FIN, .pkt.payload = 7, RESET_BY_SEQ(8) },
	{ "fin-ack", TCP6, .pkt.tflags = TCP_FIN | TCP_ACK, .pkt.payload = NIL, RESET_BY_ACK },
	{ "no-flags", TCP6, .pkt.tflags = NIL, .pkt.payload = 5, RESET_BY_SEQ(5) },
	{ "rst", TCP6, .pkt.tflags = TCP_RST, .pkt.payload = NIL, SILENT },
	{ "rst-ack", TCP6, .pkt.tflags = TCP_RST | TCP_ACK, .pkt.payload = NIL, SILENT },
	{ "padding", TCP6, SYN, .pkt.trailer = 6, RESET_BY_SEQ(1) },
	{ "extension-headers", TCP6, SYN, .pkt.ext = "hdra", RESET_BY_SEQ(1) },
	{ "long-extension-header", TCP6, SYN, .pkt.ext = "d", .pkt.extlen = 100, RESET_BY_SEQ(1) },
	{ "atomic-fragment", TCP6, SYN, .pkt.ext = "x", RESET_BY_SEQ(1) },
	{ "first-fragment", TCP6, SYN, .pkt.ext = "f", RESET_BY_SEQ(1) },
	{ "later-fragment", TCP6, SYN, .pkt.ext = "F", SILENT },
	{ "bad-checksum", TCP6, SYN, .pkt.sum = SUM_BAD, SILENT },
	{ "bad-checksum-data", TCP6, .pkt.payload = 1201, .pkt.sum = SUM_BAD, SILENT },
	{ "first-fragment-of-a-checksum", TCP6, SYN, .pkt.ext = "f", .pkt.sum = SUM_BAD, RESET_BY_SEQ(1) },
	{ "header-too-short", TCP6, SYN, .pkt.doff = 4, SILENT },
	{ "header-too-long", TCP6, SYN, .pkt.doff = 6, SILENT },
	{ "from-a-group", TCP("ff0e::1", NET_HOST), SYN, SILENT },
	{ "from-nobody", TCP("::", NET_HOST), SYN, SILENT },
	{ "from-loopback", TCP("::1", NET_HOST), SYN, SILENT },
	{ "from-mapped", TCP("::ffff:192.0.2.10", NET_HOST), SYN, SILENT },
	{ "to-a-group", TCP(LAN_HOST, "ff0e::1"), SYN, SILENT },
	{ "to-loopback", TCP(LAN_HOST, "::1"), SYN, SILENT },
	{ "to-the-router", TCP(LAN_HOST, ROUTER), SYN, RESET_BY_SEQ(1) },
	{ "of-the-router", TCP(ROUTER, NET_HOST), SYN, RESET_BY_SEQ(1) },
	{ "of-a-tunnel", TCP(HE_HOST, NET_HOST), SYN, .pkt.osrc = HE0_REMOTE, .pkt.odst = LOCAL4, RESET_BY_SEQ(1) },
	{ "of-a-tunnel-with-options", TCP(HE_HOST, NET_HOST), SYN, .pkt.osrc = HE0_REMOTE, .pkt.odst = LOCAL4,
	  .pkt.oihl = 15, RESET_BY_SEQ(1) },

	{ "4-syn", TCP4, SYN, RESET_BY_SEQ(1) },
	{ "4-syn-data", TCP4, .pkt.tflags = TCP_SYN, .pkt.payload = 10, RESET_BY_SEQ(11) },
	{ "4-syn-options", TCP4, SYN, .pkt.opts = "020405b4 0402080a 00000001 00000000 01030307", RESET_BY_SEQ(1) },
	{ "4-syn-ack", TCP4, .pkt.tflags = TCP_SYN | TCP_ACK, .pkt.payload = NIL, RESET_BY_ACK },
	{ "4-ack", TCP4, .pkt.payload = NIL, RESET_BY_ACK },
	{ "4-data", TCP4, .pkt.payload = 1460, RESET_BY_ACK },
	{ "4-data-odd", TCP4, .pkt.payload = 33, RESET_BY_ACK },
	{ "4-fin", TCP4, .pkt.tflags = TCP_FIN, .pkt.payload = 7, RESET_BY_SEQ(8) },
	{ "4-no-flags", TCP4, .pkt.tflags = NIL, .pkt.payload = 5, RESET_BY_SEQ(5) },
	{ "4-rst", TCP4, .pkt.tflags = TCP_RST, .pkt.payload = NIL, SILENT },
	{ "4-rst-ack", TCP4, .pkt.tflags = TCP_RST | TCP_ACK, .pkt.payload = NIL, SILENT },
	{ "4-padding", TCP4, SYN, .pkt.trailer = 6, RESET_BY_SEQ(1) },
	{ "4-ip-options", TCP4, SYN, .pkt.ihl = 15, RESET_BY_SEQ(1) },
	{ "4-first-fragment", TCP4, SYN, .pkt.frag = IPV4_MF, .pkt.sum = SUM_BAD, RESET_BY_SEQ(1) },
	{ "4-later-fragment", TCP4, SYN, .pkt.frag = 100, SILENT },
	{ "4-bad-checksum", TCP4, SYN, .pkt.sum = SUM_BAD, SILENT },
	{ "4-header-too-short", TCP4, SYN, .pkt.doff = 4, SILENT },
	{ "4-header-too-long", TCP4, SYN, .pkt.doff = 6, SILENT },
	{ "4-from-a-group", TCP("224.0.0.5", NET_HOST4), SYN, SILENT },
	{ "4-from-all", TCP("255.255.255.255", NET_HOST4), SYN, SILENT },
	{ "4-from-all-of-a-network", TCP("192.0.2.255", NET_HOST4), SYN, SILENT },
	{ "4-from-nobody", TCP("0.0.0.0", ROUTER4), SYN, SILENT },
	{ "4-from-loopback", TCP("127.0.0.1", NET_HOST4), SYN, SILENT },
	{ "4-from-the-future", TCP("240.0.0.1", ROUTER4), SYN, SILENT },
	{ "4-to-a-group", TCP(LAN_HOST4, "224.0.0.5"), SYN, SILENT },
	{ "4-to-all", TCP(LAN_HOST4, "255.255.255.255"), SYN, SILENT },
	{ "4-to-all-of-a-network", TCP(LAN_HOST4, "192.0.2.255"), SYN, SILENT },
	{ "4-to-the-router", TCP(LAN_HOST4, ROUTER4), SYN, RESET_BY_SEQ(1) },
	{ "4-of-the-router", TCP(ROUTER4, NET_HOST4), SYN, RESET_BY_SEQ(1) },

	{ "udp", UDP6, .type = 1, .code = 4 },
	{ "udp-reset", UDP6, .how = FL_REJECT_RESET, .type = 1, .code = 4 },
	{ "udp-admin", UDP6, .how = FL_REJECT_ADMIN, .type = 1, .code = 1 },
	{ "udp-port", UDP6, .how = FL_REJECT_PORT, .type = 1, .code = 4 },
	{ "udp-to-a-group", UDP(LAN_HOST, "ff0e::1"), SILENT },
	{ "echo", UDP6, .pkt.l4 = L4_ECHO, .type = 1, .code = 1 },
	{ "echo-reset", UDP6, .pkt.l4 = L4_ECHO, .how = FL_REJECT_RESET, .type = 1, .code = 1 },
	{ "sctp", UDP6, .pkt.l4 = L4_SCTP, .type = 1, .code = 1 },
	{ "error", UDP6, .pkt.l4 = L4_ERROR, .pkt.quoted = &quoted6, SILENT },
	{ "tcp-reset", TCP6, SYN, .how = FL_REJECT_RESET, RESET_BY_SEQ(1) },
	{ "tcp-admin", TCP6, SYN, .how = FL_REJECT_ADMIN, .type = 1, .code = 1 },
	{ "tcp-port", TCP6, SYN, .how = FL_REJECT_PORT, .type = 1, .code = 4 },
	{ "4-udp", UDP4, .type = 3, .code = 3 },
	{ "4-udp-reset", UDP4, .how = FL_REJECT_RESET, .type = 3, .code = 3 },
	{ "4-udp-admin", UDP4, .how = FL_REJECT_ADMIN, .type = 3, .code = 13 },
	{ "4-udp-later-fragment", UDP4, .pkt.frag = 100, SILENT },
	{ "4-udp-to-all", UDP(LAN_HOST4, "255.255.255.255"), SILENT },
	{ "4-udp-from-nobody", UDP("0.0.0.0", ROUTER4), SILENT },
	{ "4-echo", UDP4, .pkt.l4 = L4_ECHO, .type = 3, .code = 13 },
	{ "4-sctp-reset", UDP4, .pkt.l4 = L4_SCTP, .how = FL_REJECT_RESET, .type = 3, .code = 13 },
	{ "4-error", UDP4, .pkt.l4 = L4_ERROR, .pkt.quoted = &quoted4, SILENT },
	{ "4-tcp-admin", TCP4, SYN, .how = FL_REJECT_ADMIN, .type = 3, .code = 13 },
	{ "4-tcp-port", TCP4, SYN, .how = FL_REJECT_PORT, .type = 3, .code = 3 },
};

static struct reject *load(struct env *env)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .pin_root_path = "/sys/fs/bpf");
	struct reject *skel = reject__open_opts(&opts);

	if (skel) {
		bpf_map__set_max_entries(skel->maps.fl_flows, FL_FLOWS * env->cpus);
		bpf_map__set_max_entries(skel->maps.fl_flow_tags, FL_FLOW_SETS * env->cpus);
		bpf_map__set_max_entries(skel->maps.fl_ep_stats, FL_ENDPOINTS_MAX * env->cpus);
		policy_sizes(skel->obj, env->cpus);
	}
	if (!skel || reject__load(skel)) {
		fail(env, "  reject.bpf.c does not load\n");
		reject__destroy(skel);
		return NULL;
	}
	return skel;
}

/* The packet's way to fl_icmp. The port is the one whose address answers. */
static bool request_of(struct env *env, struct reject *skel, const struct rejected *c, struct frame *request)
{
	struct __sk_buff ctx = { .ifindex = env->ifindex[LAN] };
	struct frame in;
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = in.data, .data_out = request->data, .data_size_out = FRAME_MAX,
		    .ctx_in = &ctx, .ctx_size_in = sizeof(ctx));
	__u8 dmac[6], smac[6];
	int r;

	port_mac(LAN, false, dmac);
	port_mac(LAN, true, smac);
	frame_build(&in, &c->pkt, dmac, smac);
	ctx.cb[REJECT_HOW] = c->how;
	ctx.cb[REJECT_PORT] = c->pkt.osrc ? HE0 : LAN;
	ctx.cb[REJECT_OUTER] = c->pkt.osrc ? (c->pkt.oihl ? c->pkt.oihl : 5) * 4 : 0;
	opts.data_size_in = in.len;
	r = bpf_prog_test_run_opts(bpf_program__fd(skel->progs.reject_all), &opts);
	request->len = opts.data_size_out;
	if (r || opts.retval != TC_ACT_REDIRECT)
		fail(env, "  %s: tc says %d, %u\n", c->what, r, opts.retval);
	return !r && opts.retval == TC_ACT_REDIRECT;
}

/* `hops`: 64 as it is made, 63 as it leaves. `source`: of the port that the packet came in by. */
static struct spec answer_of(const struct rejected *c, const char *source)
{
	struct spec answer = { .src = c->pkt.dst, .dst = c->pkt.src, .label = NIL, .id = NIL, .frag = IPV4_DF };

	if (c->type) {
		answer.src = source;
		answer.l4 = L4_ERROR;
		answer.type = c->type;
		answer.code = c->code;
		answer.quoted = &c->pkt;
		return answer;
	}
	answer.l4 = L4_TCP;
	answer.sport = c->pkt.dport ? c->pkt.dport : 443;
	answer.dport = c->pkt.sport ? c->pkt.sport : 4000;
	answer.seq = c->seq ? (int)c->seq : NIL;
	answer.ack = c->ack ? (int)c->ack : NIL;
	answer.tflags = c->seq ? TCP_RST : TCP_RST | TCP_ACK;
	answer.window = answer.payload = NIL;
	return answer;
}

static void check(struct env *env, struct reject *skel, const struct rejected *c)
{
	struct spec spec = answer_of(c, strchr(c->pkt.src, ':') ? ROUTER : ROUTER4);
	const __u8 smac[6] = { 0x02 };
	struct frame request, expected;
	struct result out;
	__u8 dmac[6];

	tables_forget_icmp(env);
	if (!request_of(env, skel, c, &request))
		return;
	run_icmp(env, &request, &out);
	if (out.verdict != (c->silent ? XDP_DROP : XDP_PASS))
		fail(env, "  %s: fl_icmp says %d\n", c->what, out.verdict);
	if (c->silent || out.verdict != XDP_PASS)
		return;
	port_mac(ICMP, false, dmac);
	frame_build(&expected, &spec, dmac, smac);
	if (out.frame.len != expected.len)
		fail(env, "  %s: %u bytes instead of %u\n", c->what, out.frame.len, expected.len);
	for (__u32 i = 0; i < expected.len && out.frame.len == expected.len; i++)
		if (out.frame.data[i] != expected.data[i])
			fail(env, "  %s: byte %u is %02x instead of %02x\n", c->what, i, out.frame.data[i],
			     expected.data[i]);
}

static void answers(struct env *env)
{
	struct counters before, after;
	struct reject *skel = load(env);
	__u64 packets = 0;

	if (!skel)
		return;
	counters_read(env, &before);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		check(env, skel, &cases[i]);
	counters_read(env, &after);
	for (enum port p = LAN; p < PORTS; p++)
		packets += after.drops[p * FL_DROP_SLOTS + FL_DROP_REJECTED].packets -
			   before.drops[p * FL_DROP_SLOTS + FL_DROP_REJECTED].packets;
	if (packets != sizeof(cases) / sizeof(*cases))
		fail(env, "  %llu are counted as rejected\n", (unsigned long long)packets);
	reject__destroy(skel);
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

/* Resets, ICMP errors and Packet Too Big have each their own. */
static void rates_of(struct env *env, struct reject *skel, const struct rejected *syn, const struct rejected *udp)
{
	const __u32 over = LAN * FL_DROP_SLOTS + FL_DROP_ICMP_RATE;
	struct counters before, after;
	struct frame reset, error;
	int n, refused;

	if (!request_of(env, skel, syn, &reset) || !request_of(env, skel, udp, &error))
		return;
	tables_forget_icmp(env);
	counters_read(env, &before);
	n = answered(env, &reset, 200);
	counters_read(env, &after);
	refused = after.drops[over].packets - before.drops[over].packets;
	if (n < 50 || n > 60 || n + refused != 200)
		fail(env, "  of 200 resets at once %d are sent, %d counted as refused\n", n, refused);
	n = answered(env, &error, 200);
	if (n < 50 || n > 60)
		fail(env, "  after resets, %d of 200 errors are sent\n", n);
	error.data[1] = syn->pkt.src[0] == '2' ? 2 : 3; /* as if it had been too big */
	error.data[2] = syn->pkt.src[0] == '2' ? 0 : 4;
	n = answered(env, &error, 50);
	if (n != 50)
		fail(env, "  after both, %d of 50 Packet Too Big are sent\n", n);
}

static void rates(struct env *env)
{
	static const struct rejected six[] = { { "syn", TCP6, SYN }, { "udp", UDP6 } };
	static const struct rejected four[] = { { "syn", TCP4, SYN }, { "udp", UDP4 } };
	struct reject *skel = load(env);

	if (!skel)
		return;
	rates_of(env, skel, &six[0], &six[1]);
	rates_of(env, skel, &four[0], &four[1]);
	reject__destroy(skel);
}

/* From the packet to what leaves: a reset has an address that is not the router's, or one that is, and passes antispoof. */
static void whole_way(struct env *env)
{
	static const struct {
		struct rejected c;
		int verdict; /* of tc, for the answer */
		struct spec outer;
	} ways[] = {
		{ { "forwarded", TCP6, SYN, RESET_BY_SEQ(1) }, TC_ACT_REDIRECT, {} },
		{ { "forwarded, IPv4", TCP4, SYN, RESET_BY_SEQ(1) }, TC_ACT_REDIRECT, {} },
		{ { "for the router", TCP(LAN_HOST, ROUTER), SYN, RESET_BY_SEQ(1) }, TC_ACT_REDIRECT, {} },
		{ { "for the router, IPv4", TCP(LAN_HOST4, ROUTER4), SYN, RESET_BY_SEQ(1) }, TC_ACT_REDIRECT, {} },
		{ { "the router's own", TCP(ROUTER, NET_HOST), SYN, RESET_BY_SEQ(1) }, TC_ACT_UNSPEC, {} },
		{ { "the router's own, IPv4", TCP(ROUTER4, NET_HOST4), SYN, RESET_BY_SEQ(1) }, TC_ACT_UNSPEC, {} },
		{ { "the router's own, an error", UDP(ROUTER4, NET_HOST4), .type = 3, .code = 3 }, TC_ACT_UNSPEC, {} },
		{ { "by a tunnel", TCP(HE_HOST, NET_HOST), SYN, .pkt.osrc = HE0_REMOTE, .pkt.odst = LOCAL4,
		    RESET_BY_SEQ(1) },
		  TC_ACT_REDIRECT,
		  { .osrc = LOCAL4, .odst = HE0_REMOTE, .ottl = 255, .oid = NIL } },
	};
	struct reject *skel = load(env);
	struct frame request, expected;
	struct result made, sent;
	const __u8 none[6] = {};
	__u16 id;

	for (size_t i = 0; skel && i < sizeof(ways) / sizeof(*ways); i++) {
		struct spec spec = answer_of(&ways[i].c, ROUTER4);

		spec = spec_merge(&spec, &ways[i].outer);
		spec.hops = ways[i].verdict == TC_ACT_REDIRECT ? 63 : 64;
		tables_forget_icmp(env);
		if (!request_of(env, skel, &ways[i].c, &request))
			break;
		run_icmp(env, &request, &made);
		run_tc(env, TC_IN, env->ifindex[ICMP], NULL, &made.frame, &sent);
		frame_build(&expected, &spec, none, none);
		if (ways[i].outer.osrc)
			frame_mask_id(&sent.frame, &id);
		if (made.verdict != XDP_PASS || sent.verdict != ways[i].verdict)
			fail(env, "  %s: fl_icmp says %d, tc %d\n", ways[i].c.what, made.verdict, sent.verdict);
		else if (sent.frame.len != expected.len ||
			 memcmp(sent.frame.data + ETH_LEN, expected.data + ETH_LEN, expected.len - ETH_LEN))
			fail(env, "  %s: another packet leaves\n", ways[i].c.what);
	}
	reject__destroy(skel);
}

/* A request for a reset that is cut anywhere, or of anything: never a fault, never passed unless whole. */
static void bad_requests(struct env *env)
{
	static const struct rejected some[] = { { "syn", TCP6, SYN, .pkt.ext = "hd" }, { "syn", TCP4, SYN } };
	struct reject *skel = load(env);
	struct frame request, cut;
	struct result out;
	__u64 random = 9293;

	for (size_t k = 0; skel && k < sizeof(some) / sizeof(*some); k++) {
		if (!request_of(env, skel, &some[k], &request))
			break;
		tables_forget_icmp(env);
		for (cut = request; --cut.len >= ETH_LEN;) {
			run_icmp(env, &cut, &out);
			if (out.verdict != XDP_DROP)
				fail(env, "  cut to %u bytes: %d\n", cut.len, out.verdict);
		}
		for (int i = 0; i < 5000; i++) {
			cut = request;
			for (__u64 n = random_next(&random) % 8; n; n--)
				cut.data[3 + random_next(&random) % (cut.len - 3)] = random_next(&random);
			run_icmp(env, &cut, &out);
			if (out.verdict != XDP_DROP && out.verdict != XDP_PASS)
				fail(env, "  changed request %d: %d\n", i, out.verdict);
		}
	}
	reject__destroy(skel);
}

const struct procedure reject_procedures[] = {
	{ "reject/answers", answers },
	{ "reject/rates", rates },
	{ "reject/whole-way", whole_way },
	{ "reject/bad-requests", bad_requests },
	{ 0 },
};
