// SPDX-License-Identifier: GPL-2.0-only
/* ICMP errors of translated connections (lib/icmp_quoted.h): byte for byte the frame that its description makes. */

#include <bpf/bpf.h>
#include <stdio.h>
#include <string.h>

#include "selftests/prog/nat_progs.h"

#include "nat_xdp.skel.h"
#include "xdp.skel.h"

/* As its sender sent it, what the error's receiver knows it as, and the error. */
struct error_case {
	const char *name;
	struct spec quoted, change;
	const char *from, *becomes; /* the error's source */
	int type, code, value;
};

#define Q_SNAT .src = "10.1.2.3", .sport = 1234	  /* the quoted packet came from inside */
#define Q_DNAT .dst = "203.0.113.80", .dport = 80 /* to a server inside */
#define Q6_SNAT .src = "fd00::1:2:3", .sport = 1234
#define Q6_DNAT .dst = "2001:db8:7::80", .dport = 80
#define ROUTER4 "198.51.100.1", "198.51.100.1"
#define ROUTER6 "2001:db8:ffff::1", "2001:db8:ffff::1"

/* clang-format off */
static const struct error_case errors[] = {
	{ "unreachable, udp", { FOUR(L4_UDP) }, { Q_SNAT }, "203.0.113.9", "203.0.113.9", 3, 3, 0 },
	{ "too big, tcp", { FOUR(L4_TCP) }, { Q_SNAT }, ROUTER4, 3, 4, 1400 },
	{ "time exceeded, udp", { FOUR(L4_UDP) }, { Q_SNAT }, ROUTER4, 11, 0, 0 },
	{ "parameter problem, tcp", { FOUR(L4_TCP) }, { Q_SNAT }, ROUTER4, 12, 0, 0 },
	{ "echo", { FOUR(L4_ECHO) }, { Q_SNAT }, ROUTER4, 11, 0, 0 },
	{ "echo reply", { FOUR(L4_ECHO), .type = NIL }, { Q_SNAT }, ROUTER4, 3, 1, 0 },
	{ "udp without sum", { FOUR(L4_UDP), .sum = SUM_ZERO }, { Q_SNAT }, ROUTER4, 3, 1, 0 },
	{ "options in the quote", { FOUR(L4_TCP), .ihl = 12 }, { Q_SNAT }, ROUTER4, 3, 1, 0 },
	{ "quoted first fragment", { FOUR(L4_UDP), .frag = IPV4_MF }, { Q_SNAT }, ROUTER4, 11, 1, 0 },
	{ "udp-lite", { FOUR(L4_UDP), .proto = 136 }, { Q_SNAT }, ROUTER4, 3, 1, 0 },
	{ "dccp", { FOUR(L4_UDP), .proto = 33 }, { Q_SNAT }, ROUTER4, 3, 1, 0 },
	{ "gre", { FOUR(L4_RAW), .proto = 47 }, { .src = "10.1.2.3" }, ROUTER4, 3, 1, 0 },
	{ "sctp", { FOUR(L4_SCTP) }, { .src = "10.1.2.3" }, ROUTER4, 3, 1, 0 },
	{ "from the translated host", { FOUR(L4_UDP) }, { Q_DNAT }, "203.0.113.9", "203.0.113.80", 3, 3, 0 },
	{ "from a router before it", { FOUR(L4_TCP) }, { Q_DNAT }, "10.0.0.1", "203.0.113.80", 3, 1, 0 },
	{ "both translated", { FOUR(L4_TCP) }, { Q_SNAT, Q_DNAT }, "203.0.113.9", "203.0.113.80", 3, 3, 0 },
	{ "nothing changes", { FOUR(L4_UDP) }, { 0 }, ROUTER4, 3, 3, 0 },
	{ "unreachable, udp6", { SIX(L4_UDP) }, { Q6_SNAT }, "2001:db8:99::9", "2001:db8:99::9", 1, 4, 0 },
	{ "too big, tcp6", { SIX(L4_TCP) }, { Q6_SNAT }, ROUTER6, 2, NIL, 1280 },
	{ "time exceeded, echo6", { SIX(L4_ECHO) }, { Q6_SNAT }, ROUTER6, 3, 0, 0 },
	{ "parameter problem, udp6", { SIX(L4_UDP) }, { Q6_SNAT }, ROUTER6, 4, 1, 40 },
	{ "extension headers in the quote", { SIX(L4_UDP), .ext = "hdr" }, { Q6_SNAT }, ROUTER6, 1, 0, 0 },
	{ "quoted first fragment6", { SIX(L4_UDP), .ext = "f" }, { Q6_SNAT }, ROUTER6, 2, 0, 1280 },
	{ "udp6 without sum", { SIX(L4_UDP), .sum = SUM_ZERO }, { Q6_SNAT }, ROUTER6, 1, 0, 0 },
	{ "from the translated host6", { SIX(L4_TCP) }, { Q6_DNAT }, "2001:db8:99::9", "2001:db8:7::80", 1, 4, 0 },
	{ "from a router before it6", { SIX(L4_TCP) }, { Q6_DNAT }, "fd00::1", "2001:db8:7::80", 1, 3, 0 },
	{ "esp6", { SIX(L4_RAW), .proto = 50 }, { .src = "fd00::1:2:3" }, ROUTER6, 1, 0, 0 },
};
/* clang-format on */

/* The frames of an error before and after, of whose quote so many bytes are there (0: all); and what the program is told. */
static void error_build(const struct error_case *c, int quotelen, struct frame *in, struct frame *expected,
			struct nat_io *io)
{
	struct spec after = spec_merge(&c->quoted, &c->change);
	struct spec error = { .l4 = L4_ERROR,
			      .src = c->from,
			      .dst = c->quoted.src,
			      .type = c->type,
			      .code = c->code,
			      .value = c->value,
			      .quotelen = quotelen,
			      .quoted = &c->quoted };

	nat_build(in, &error);
	error.src = c->becomes;
	error.dst = after.src;
	error.quoted = &after;
	nat_build(expected, &error);
	*io = (struct nat_io){ .part = NAT_QUOTE, .to = nat_tuple_of(&after) };
}

static void expect_quote(struct env *env, const struct error_case *c, const struct nat_io *io)
{
	struct nat_tuple t = nat_tuple_of(&c->quoted);

	if (c->quoted.l4 == L4_SCTP) {
		t.sport = htobe16(4000);
		t.dport = htobe16(36412);
	}
	if (!io->is_error || memcmp(&io->quoted, &t, sizeof(t)))
		fail(env, "  %s: another tuple is read\n", c->name);
	if (io->has_seq != (c->quoted.l4 == L4_TCP) || (io->has_seq && io->seq != 0x01020304))
		fail(env, "  %s: another sequence number is read\n", c->name);
}

static void errors_all(struct env *env)
{
	struct frame in, expected;
	struct nat_io io;
	struct nat_progs p;

	if (!nat_open(env, &p))
		return;
	for (size_t i = 0; i < sizeof(errors) / sizeof(*errors); i++) {
		error_build(&errors[i], 0, &in, &expected, &io);
		nat_check(env, &p, errors[i].name, NULL, &io, &in, &expected);
		expect_quote(env, &errors[i], nat_io_of(&p, HOOK_XDP));
		expect_quote(env, &errors[i], nat_io_of(&p, HOOK_TC));
	}
	nat_close(&p);
}

/* Quotes of every length: with eight bytes of the transport header it is translated, with less refused, and then not touched. */
static void errors_cut(struct env *env)
{
	struct frame in, expected;
	struct result out;
	struct nat_io io;
	struct nat_progs p;

	if (!nat_open(env, &p))
		return;
	for (size_t i = 0; i < sizeof(errors) / sizeof(*errors); i++) {
		const struct spec *q = &errors[i].quoted;
		bool ports = q->l4 != L4_RAW;
		int least = nat_quoted_l4(q) + (ports ? 8 : 0);

		for (int len = 1; len < 120 && !*env->why; len++) {
			if ((__u32)len > spec_len(q))
				break;
			if (q->l4 == L4_TCP && len == nat_quoted_l4(q) + 17)
				continue; /* half a checksum, which stays */
			error_build(&errors[i], len, &in, &expected, &io);
			if (len >= least) {
				nat_check(env, &p, errors[i].name, NULL, &io, &in, &expected);
				continue;
			}
			for (int hook = HOOK_XDP; hook <= HOOK_TC; hook += HOOK_TC - HOOK_XDP) {
				*nat_io_of(&p, hook) = io;
				nat_run(env, &p, hook, NULL, &in, &out);
				if (nat_io_of(&p, hook)->stage >= 0)
					fail(env, "  %s: %d bytes are enough\n", errors[i].name, len);
				if (out.frame.len != in.len || memcmp(out.frame.data, in.data, in.len))
					fail(env, "  %s: %d bytes: it is changed\n", errors[i].name, len);
			}
		}
	}
	nat_close(&p);
}

/* What is refused, and for what. */
static void errors_refused(struct env *env)
{
	static const struct spec udp = { FOUR(L4_UDP) }, udp6 = { SIX(L4_UDP) },
				 error = { FOUR(L4_ERROR), .quoted = &udp },
				 error6 = { SIX(L4_ERROR), .quoted = &udp6 }, redirect6 = { SIX(L4_ECHO), .type = 137 },
				 redirect = { FOUR(L4_ECHO), .type = 5 },
				 later = { FOUR(L4_RAW), .proto = 17, .frag = 100 },
				 later6 = { SIX(L4_RAW), .proto = 17, .ext = "F" },
				 version4 = { SIX(L4_UDP), .version = 4 }, ihl4 = { FOUR(L4_UDP), .ihl = 4 },
				 chain = { SIX(L4_UDP), .ext = "ddddddddd" };
	static const struct {
		const char *name;
		struct spec pkt;
		enum fl_drop reason;
	} cases[] = {
		{ "quotes an error", { .quoted = &error }, FL_DROP_MALFORMED },
		{ "quotes an error6", { .quoted = &error6 }, FL_DROP_MALFORMED },
		{ "quotes a redirect", { .quoted = &redirect }, FL_DROP_MALFORMED },
		{ "quotes a redirect6", { .quoted = &redirect6 }, FL_DROP_MALFORMED },
		{ "quotes another's packet", { .dst = "192.0.2.11", .quoted = &udp }, FL_DROP_MALFORMED },
		{ "quotes another's packet6", { .dst = "2001:db8:10::11", .quoted = &udp6 }, FL_DROP_MALFORMED },
		{ "quotes a later fragment", { .quoted = &later }, FL_DROP_FRAGMENT },
		{ "quotes a later fragment6", { .quoted = &later6 }, FL_DROP_FRAGMENT },
		{ "is a fragment", { .frag = IPV4_MF, .quoted = &udp }, FL_DROP_FRAGMENT },
		{ "quotes version 4", { .quoted = &version4 }, FL_DROP_MALFORMED },
		{ "quotes version 6", { .dst = "192.0.2.10", .src = "192.0.2.1", .quoted = &udp6 }, FL_DROP_MALFORMED },
		{ "quotes a short header", { .quoted = &ihl4 }, FL_DROP_MALFORMED },
		{ "quotes too many headers", { .quoted = &chain }, FL_DROP_EXT_HEADERS },
	};
	struct result out;
	struct frame in;
	struct nat_progs p;

	if (!nat_open(env, &p))
		return;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct spec pkt = cases[i].pkt;

		pkt.l4 = L4_ERROR;
		pkt.dst = pkt.dst ? pkt.dst : pkt.quoted->src;
		pkt.src = pkt.src ? pkt.src : pkt.quoted->dst;
		nat_build(&in, &pkt);
		for (int hook = HOOK_XDP; hook <= HOOK_TC; hook += HOOK_TC - HOOK_XDP) {
			*nat_io_of(&p, hook) = (struct nat_io){ .part = NAT_QUOTE };
			nat_run(env, &p, hook, NULL, &in, &out);
			if (!nat_io_of(&p, hook)->is_error || nat_io_of(&p, hook)->stage != -(int)cases[i].reason)
				fail(env, "  %s, %s: %d\n", cases[i].name, hook_name(hook), nat_io_of(&p, hook)->stage);
			if (out.frame.len != in.len || memcmp(out.frame.data, in.data, in.len))
				fail(env, "  %s: it is changed\n", cases[i].name);
		}
	}
	nat_close(&p);
}

/* Whose prefixes are translated, such a router on the way shows its own address in the other prefix (RFC 6296). */
static void errors_npt(struct env *env)
{
	static const struct error_case cases[] = {
		{ "router inside",
		  { .l4 = L4_UDP, .src = "2001:db8:99::9", .dst = "fd01:203:405:1::1234" },
		  { .dst = "2001:db8:1:d550::1234" },
		  "fd01:203:405::1",
		  "2001:db8:1:d54f::1",
		  1,
		  3,
		  0 },
		{ "router without a translation",
		  { .l4 = L4_UDP, .src = "2001:db8:99::9", .dst = "fd01:203:405:1::1234" },
		  { .dst = "2001:db8:1:d550::1234" },
		  "2001:db8:10::1",
		  "2001:db8:10::1",
		  1,
		  3,
		  0 },
		{ "the host",
		  { .l4 = L4_UDP, .src = "2001:db8:99::9", .dst = "fd01:203:405:1::1234" },
		  { .dst = "2001:db8:1:d550::1234" },
		  "fd01:203:405:1::1234",
		  "2001:db8:1:d550::1234",
		  1,
		  4,
		  0 },
	};
	struct frame in, expected;
	struct fl_npt npt;
	__u32 index = NPT_48;
	struct nat_io io;
	struct nat_progs p;

	if (!nat_open(env, &p))
		return;
	if (bpf_map_lookup_elem(bpf_map__fd(env->xdp->maps.fl_npt), &index, &npt) ||
	    bpf_map_update_elem(bpf_map__fd(p.xdp->maps.fl_npt), &index, &npt, BPF_ANY))
		fail(env, "  the translation can't be set\n");
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		error_build(&cases[i], 0, &in, &expected, &io);
		io.npt = index;
		nat_check(env, &p, cases[i].name, NULL, &io, &in, &expected);
	}
	nat_close(&p);
}

void nat_error_any(__u64 number, struct frame *f, struct nat_io *io)
{
	struct frame expected;

	error_build(&errors[number % (sizeof(errors) / sizeof(*errors))], 0, f, &expected, io);
}

const struct procedure nat_error_procedures[] = {
	{ "nat/errors", errors_all },
	{ "nat/errors-cut", errors_cut },
	{ "nat/errors-refused", errors_refused },
	{ "nat/errors-npt", errors_npt },
	{ 0 },
};
