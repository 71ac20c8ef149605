// SPDX-License-Identifier: GPL-2.0-only
/* Runs cases and compares. */

#include "selftests/prog/check.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define QUOTE6_MAX 1232 /* RFC 4443 2.4 (c): 1280 in all */
#define QUOTE4_MAX 548	/* RFC 1812 4.3.2.3: 576 in all */

struct run {
	struct env *env;
	const struct test_case *c;
	enum hook hook;
	const char *round;
};

void fail(struct env *env, const char *fmt, ...)
{
	size_t used = strlen(env->why);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(env->why + used, sizeof(env->why) - used, fmt, ap);
	va_end(ap);
}

static void fail_run(const struct run *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void fail_run(const struct run *r, const char *fmt, ...)
{
	char text[4096];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	fail(r->env, "  %s, %s: %s\n", hook_name(r->hook), r->round, text);
}

static void compare_bytes(const struct run *r, const char *what, const __u8 *is, __u32 is_len, const __u8 *expected,
			  __u32 expected_len)
{
	char text[400] = "";
	int n = 0, shown = 0;

	if (is_len != expected_len)
		fail_run(r, "%s has %u bytes instead of %u", what, is_len, expected_len);
	for (__u32 i = 0; i < is_len && i < expected_len && shown < 24; i++)
		if (is[i] != expected[i]) {
			n += snprintf(text + n, sizeof(text) - n, " %u:%02x/%02x", i, is[i], expected[i]);
			shown++;
		}
	if (shown)
		fail_run(r, "%s differs (offset:is/expected)%s", what, text);
}

static bool is_xdp(enum hook hook)
{
	return hook == HOOK_XDP || hook == HOOK_GENERIC;
}

/* Of the frame as it comes in at the device of `at`. */
static void frame_macs(const struct test_case *c, enum port at, __u8 *dmac, __u8 *smac)
{
	port_mac(c->in, true, smac);
	if (c->to == TO_ALL)
		memset(dmac, 0xff, 6);
	else if (c->to == TO_GROUP)
		memcpy(dmac, "\x01\x00\x5e\x00\x00\x01", 6);
	else
		port_mac(at, false, dmac);
}

__u32 case_frame(const struct env *env, const struct test_case *c, enum hook hook, struct frame *f,
		 struct skb_extra *extra)
{
	struct spec pkt = c->pkt;
	__u8 dmac[6], smac[6];
	enum port at = c->in;

	*extra = c->extra;
	if (is_xdp(hook)) {
		at = port_parent(c->in);
		pkt.vid = pkt.vid ? pkt.vid : port_vid(c->in);
	} else if (pkt.vid) {
		if (!port_vid(c->in)) /* the VLAN's device takes off its own */
			extra->vlan = (pkt.vid == NIL ? 0 : pkt.vid) + 1;
		pkt.vid = 0;
	}
	frame_macs(c, at, dmac, smac);
	frame_build(f, &pkt, dmac, smac);
	return env->ifindex[at];
}

static bool finished_by_xdp(const struct test_case *c, enum hook hook)
{
	return (c->want == FORWARD || c->want == DROP) && !c->xdp_down && !(c->native_down && hook == HOOK_XDP);
}

static int expected_verdict(const struct test_case *c, enum hook hook)
{
	if (is_xdp(hook))
		return !finished_by_xdp(c, hook) ? XDP_PASS : c->want == FORWARD ? XDP_REDIRECT : XDP_DROP;
	switch (c->want) {
	case FORWARD:
	case ERROR:
		return TC_ACT_REDIRECT;
	case DELIVER:
		return c->ep_in ? TC_ACT_REDIRECT : TC_ACT_UNSPEC;
	case DROP:
		return TC_ACT_SHOT;
	default:
		return TC_ACT_UNSPEC;
	}
}

static void add_rx(struct counters *e, enum port port, enum hook hook, __u32 bytes)
{
	e->ports[port].rx_packets++;
	e->ports[port].rx_bytes += bytes;
	e->ports[port].xdp_packets += is_xdp(hook);
}

/* What a case adds to the counters. */
static void expect_counters(const struct test_case *c, enum hook hook, __u32 frame_len, struct counters *e)
{
	struct fl_drop_stats *drops = &e->drops[(c->blame ? c->blame : c->in) * FL_DROP_SLOTS + c->reason];
	__u32 len;

	if (c->want == PASS || (c->want == DROP && !c->reason) || (is_xdp(hook) && !finished_by_xdp(c, hook)))
		return;
	if (c->want == DROP || c->want == ERROR) {
		drops->packets++;
		drops->bytes += frame_len;
		e->npts[c->npt_bad].untranslatable += c->npt_bad != 0;
		if (!c->own)
			add_rx(e, c->in, hook, frame_len);
		return;
	}
	len = spec_len(&c->pkt);
	if (!c->own)
		add_rx(e, c->in, hook, len);
	if (c->want == FORWARD) {
		e->ports[c->out].tx_packets++;
		e->ports[c->out].tx_bytes += len;
	}
	e->eps[c->ep_in].rx_packets += c->ep_in != 0;
	e->eps[c->ep_in].rx_bytes += c->ep_in ? len : 0;
	e->eps[c->ep_out].tx_packets += c->ep_out != 0;
	e->eps[c->ep_out].tx_bytes += c->ep_out ? len : 0;
	e->npts[c->npt_out].out_packets += c->npt_out != 0;
	e->npts[c->npt_out].out_bytes += c->npt_out ? len : 0;
	e->npts[c->npt_in].in_packets += c->npt_in != 0;
	e->npts[c->npt_in].in_bytes += c->npt_in ? len : 0;
}

/* The packet that leaves. */
static struct spec expected_spec(const struct test_case *c, enum hook hook)
{
	struct spec out = spec_merge(&c->pkt, &c->change);
	int hops = c->pkt.hops ? c->pkt.hops : 64;

	if (c->want == FORWARD && !c->own && !c->change.hops)
		out.hops = hops - 1;
	if (c->ep_out)
		out.oid = NIL;
	out.vid = is_xdp(hook) ? port_vid(c->out) : 0;
	return out;
}

static void compare_forwarded(const struct run *r, struct frame *is)
{
	struct spec spec = expected_spec(r->c, r->hook);
	struct frame expected;
	__u8 dmac[6], smac[6];
	__u32 l3;
	__u16 id;

	if (r->c->want == FORWARD) {
		spec.trailer = spec.olen = 0; /* padding stays behind */
		port_mac(r->c->out, true, dmac);
		port_mac(r->c->out, false, smac);
	} else if (r->c->ep_in) { /* into the tunnel's device */
		port_mac(r->c->blame, false, dmac);
		port_mac(r->c->blame, false, smac);
	} else { /* as it came */
		frame_macs(r->c, r->c->in, dmac, smac);
	}
	frame_build(&expected, &spec, dmac, smac);
	if (r->c->want == FORWARD && spec.plen < 0)
		expected.len += spec.plen;
	if (r->c->ep_out && !(spec.ofrag & IPV4_DF))
		frame_mask_id(is, &id);
	l3 = is_xdp(r->hook) || r->c->want != FORWARD ? 0 : ETH_LEN; /* the neighbour's is not there yet */
	compare_bytes(r, "what leaves", is->data + l3, is->len - l3, expected.data + l3, expected.len - l3);
}

/* The port that the packet came in by: whose address an ICMP error has. */
static enum port answers(const struct test_case *c)
{
	return c->pkt.osrc && c->blame ? c->blame : c->in;
}

/* What tc writes before the packet for fl_icmp, as bpf/lib/icmp.h draws it. */
static void compare_request(const struct run *r, const struct frame *in, const struct frame *is)
{
	const struct test_case *c = r->c;
	struct frame expected = *in;
	__u8 *q = expected.data;

	memset(q, 0, ETH_LEN);
	q[0] = 0x02;
	q[1] = c->icmp_type;
	q[2] = c->icmp_code;
	q[3] = c->pkt.osrc && *c->pkt.osrc ? (c->pkt.oihl ? c->pkt.oihl : 5) * 4 : 0;
	put16(q + 4, answers(c));
	put32(q + 8, c->icmp_value);
	put16(q + 12, spec_is6(&c->pkt) ? 0x86dd : 0x0800);
	compare_bytes(r, "the request", is->data, is->len, expected.data, expected.len);
}

/* The ICMP error that a case asks for: from the address of the port, quoting as much as there is room for. */
static void build_answer(const struct run *r, struct frame *f)
{
	const struct test_case *c = r->c;
	bool is6 = spec_is6(&c->pkt);
	struct spec quoted = c->pkt, answer = {
		.dst = c->pkt.src,
		.l4 = L4_ERROR,
		.type = c->icmp_type,
		.code = c->icmp_code,
		.value = c->icmp_value,
		.quoted = &quoted,
		.label = NIL,
		.id = NIL,
		.frag = IPV4_DF,
	};
	const __u8 smac[6] = { 0x02 };
	char text[INET6_ADDRSTRLEN];
	struct fl_port port;
	__u8 dmac[6];

	tables_port(r->env, answers(c), &port);
	if (is6)
		inet_ntop(AF_INET6, &port.addr6, text, sizeof(text));
	else
		inet_ntop(AF_INET, &port.addr4, text, sizeof(text));
	answer.src = text;
	answer.quotelen = spec_len(&c->pkt);
	if (answer.quotelen > (is6 ? QUOTE6_MAX : QUOTE4_MAX))
		answer.quotelen = is6 ? QUOTE6_MAX : QUOTE4_MAX;
	port_mac(ICMP, false, dmac);
	frame_build(f, &answer, dmac, smac);
}

static void check_answer(const struct run *r, const struct frame *request)
{
	struct frame expected;
	struct result out;

	tables_forget_icmp(r->env);
	run_icmp(r->env, request, &out);
	if (r->c->unanswered) {
		if (out.verdict != XDP_DROP)
			fail_run(r, "fl_icmp says %d instead of dropping it", out.verdict);
		return;
	}
	if (out.verdict != XDP_PASS) {
		fail_run(r, "fl_icmp says %d instead of XDP_PASS", out.verdict);
		return;
	}
	build_answer(r, &expected);
	compare_bytes(r, "the answer", out.frame.data, out.frame.len, expected.data, expected.len);
}

static void check_hook(const struct run *r)
{
	const struct test_case *c = r->c;
	struct counters before, after;
	struct skb_extra extra;
	struct result out;
	struct frame in;
	char text[2048];
	__u32 ifindex = case_frame(r->env, c, r->hook, &in, &extra);
	bool hidden = c->own && c->want != PASS && !extra.ingress_ifindex && port_is_tunnel(c->in);
	enum tc_prog prog = (c->own && !hidden ? TC_OUT : TC_IN) + (r->hook == HOOK_TC_OLD ? TC_OLD_IN - TC_IN : 0);

	if (hidden) /* the router's own meets the program at the other end of the tunnel's device */
		ifindex = r->env->other_end[c->in];

	counters_read(r->env, &before);
	if (r->hook == HOOK_XDP)
		run_xdp(r->env, ifindex, &in, &out);
	else if (r->hook == HOOK_GENERIC)
		run_generic(r->env, ifindex, &in, &out);
	else
		run_tc(r->env, prog, ifindex, &extra, &in, &out);
	counters_read(r->env, &after);
	if (out.verdict != expected_verdict(c, r->hook))
		fail_run(r, "verdict %d instead of %d", out.verdict, expected_verdict(c, r->hook));
	else if (is_xdp(r->hook) ? out.verdict == XDP_PASS : (c->want == PASS || c->want == FRAGMENT))
		compare_bytes(r, "what goes on", out.frame.data, out.frame.len, in.data, in.len);
	else if (c->want == ERROR)
		compare_request(r, &in, &out.frame);
	else if (c->want != DROP)
		compare_forwarded(r, &out.frame);
	expect_counters(c, r->hook, in.len, &before);
	if (counters_differ(&after, &before, text, sizeof(text)))
		fail_run(r, "counters:\n%s", text);
	if (c->want == ERROR && c->icmp_type != FL_ICMP_RESET && !is_xdp(r->hook) && !*r->env->why)
		check_answer(r, &out.frame);
}

void check_at(struct env *env, const struct test_case *c, enum hook hook, const char *round)
{
	struct run r = { .env = env, .c = c, .hook = hook, .round = round };

	if (!*env->why)
		check_hook(&r);
}

void check_hooks(struct env *env, const struct test_case *c, const char *round)
{
	struct run r = { .env = env, .c = c, .round = round };

	for (r.hook = HOOK_XDP; r.hook < HOOKS && !*env->why; r.hook++)
		check_hook(&r);
}

void check_case(struct env *env, const struct test_case *c)
{
	struct run r = { .env = env, .c = c };

	if (c->before && c->before(env)) {
		fail(env, "  could not be set up\n");
		return;
	}
	for (r.hook = c->own || c->tc_only ? HOOK_TC : HOOK_XDP; r.hook < HOOKS && !*env->why; r.hook++) {
		tables_new_generation(env);
		r.round = "new flow";
		check_hook(&r);
		r.round = "known flow";
		check_hook(&r);
	}
	if (c->after && c->after(env))
		fail(env, "  what was set up could not be undone\n");
	tables_new_generation(env);
}
