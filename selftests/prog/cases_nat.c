// SPDX-License-Identifier: GPL-2.0-only
/*
 * Translation by itself (lib/nat_rewrite.h, icmp_quoted.h, fragment.h), in programs of its own at both hooks: byte for byte the frame that
 * its description makes with the other addresses and ports, each checksum summed anew.
 */

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "selftests/prog/check.h"
#include "selftests/prog/nat.h"
#include "selftests/prog/random.h"
#include "user/lib/clock.h"

#include "nat_tc.skel.h"
#include "nat_xdp.skel.h"
#include "xdp.skel.h"

#define PINS "/sys/fs/bpf/nat"

struct progs {
	struct nat_xdp *xdp;
	struct nat_tc *tc;
};

static void progs_close(struct progs *p)
{
	nat_xdp__destroy(p->xdp);
	nat_tc__destroy(p->tc);
	memset(p, 0, sizeof(*p));
}

/* Maps of their own, but both the same. */
static bool progs_open(struct env *env, struct progs *p)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .pin_root_path = PINS);

	memset(p, 0, sizeof(*p));
	if (mkdir(PINS, 0700) && errno != EEXIST)
		fail(env, "  " PINS ": %s\n", strerror(errno));
	p->xdp = nat_xdp__open_opts(&opts);
	p->tc = nat_tc__open_opts(&opts);
	if (p->xdp && p->tc) {
		p->xdp->rodata->fl_hz = p->tc->rodata->fl_hz = clock_hz();
		if (!nat_xdp__load(p->xdp) && !nat_tc__load(p->tc))
			return true;
	}
	fail(env, "  the programs do not load\n");
	progs_close(p);
	return false;
}

static void run(struct env *env, struct progs *p, enum hook hook, const struct skb_extra *extra, const struct frame *in,
		struct result *out)
{
	struct __sk_buff skb = {};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = in->data, .data_size_in = in->len, .data_out = out->frame.data,
		    .data_size_out = FRAME_MAX);
	int fd, r;

	if (hook == HOOK_XDP) {
		fd = bpf_program__fd(p->xdp->progs.nat_xdp);
	} else {
		fd = bpf_program__fd(p->tc->progs.nat_tc);
		opts.ctx_in = &skb;
		opts.ctx_size_in = sizeof(skb);
		if (extra) {
			skb.gso_size = extra->gso_size;
			skb.gso_segs = extra->gso_segs;
		}
		if (env->sums && !(extra && extra->no_sum))
			opts.flags = BPF_F_TEST_SKB_CHECKSUM_COMPLETE;
	}
	r = bpf_prog_test_run_opts(fd, &opts);
	out->verdict = r ? r : (int)opts.retval;
	out->frame.len = opts.data_size_out;
}

static struct nat_io *io_of(struct progs *p, enum hook hook)
{
	return hook == HOOK_XDP ? &p->xdp->bss->io : &p->tc->bss->io;
}

static int usual(int value, int otherwise)
{
	return value == 0 ? otherwise : value == NIL ? 0 : value;
}

/* An echo reply, or its like: the identifier is the receiver's. */
static bool answers(const struct spec *s)
{
	int type = usual(s->type, 8);

	return addr_of(s->src).w[2] == htobe32(0xffff) && !addr_of(s->src).q[0] ? type == 0 || type == 14
										: s->type == 129;
}

/* The tuple of a described packet; `port` of protocols that have none: 0. */
static struct nat_tuple tuple_of(const struct spec *s)
{
	struct nat_tuple t = { .src = addr_of(s->src), .dst = addr_of(s->dst) };

	if (s->l4 == L4_UDP || s->l4 == L4_TCP) {
		t.sport = htobe16(usual(s->sport, 4000));
		t.dport = htobe16(usual(s->dport, s->l4 == L4_UDP ? 53 : 443));
	} else if (s->l4 == L4_ECHO) {
		*(answers(s) ? &t.dport : &t.sport) = htobe16(usual(s->sport, 7));
	}
	return t;
}

static void build(struct frame *f, const struct spec *spec)
{
	static const __u8 dmac[6] = { 2, 0, 0, 0, 0, 1 }, smac[6] = { 2, 0, 0, 0, 0, 2 };

	frame_build(f, spec, dmac, smac);
}

static void say_bytes(struct env *env, const char *what, const struct frame *f)
{
	fail(env, "    %-9s", what);
	for (__u32 i = ETH_LEN; i < f->len && i < 160; i++)
		fail(env, "%s%02x", (i - ETH_LEN) % 4 ? "" : " ", f->data[i]);
	fail(env, "\n");
}

static void expect(struct env *env, const char *name, enum hook hook, const struct result *is, int stage,
		   const struct frame *expected)
{
	if (is->verdict < 0)
		fail(env, "  %s, %s: the run failed: %s\n", name, hook_name(hook), strerror(-is->verdict));
	else if (stage != 0)
		fail(env, "  %s, %s: refused: %s\n", name, hook_name(hook), drop_name(-stage));
	if (is->frame.len == expected->len && !memcmp(is->frame.data, expected->data, expected->len))
		return;
	fail(env, "  %s, %s: another packet\n", name, hook_name(hook));
	say_bytes(env, "is", &is->frame);
	say_bytes(env, "expected", expected);
}

/* At both hooks `in` must become `expected`. */
static void check(struct env *env, struct progs *p, const char *name, const struct skb_extra *extra,
		  const struct nat_io *io, const struct frame *in, const struct frame *expected)
{
	static const enum hook hooks[] = { HOOK_XDP, HOOK_TC };
	struct result out;

	for (size_t i = 0; i < sizeof(hooks) / sizeof(*hooks); i++) {
		*io_of(p, hooks[i]) = *io;
		run(env, p, hooks[i], extra, in, &out);
		expect(env, name, hooks[i], &out, io_of(p, hooks[i])->stage, expected);
	}
}

/* ---- headers ---- */

struct rewrite_case {
	const char *name;
	struct spec pkt, change;
	struct skb_extra extra;
};

#define FOUR_OUT .src = "198.51.100.7", .sport = 61000
#define FOUR_IN .dst = "10.1.2.3", .dport = 8080
#define FOUR(l) .l4 = l, .src = "192.0.2.10", .dst = "203.0.113.9"
#define SIX(l) .l4 = l, .src = "2001:db8:10::10", .dst = "2001:db8:99::9"
#define SIX_BOTH .src = "fd00::1:2:3", .dst = "2001:db8:7::77", .sport = 1, .dport = 65535

/* clang-format off */
static const struct rewrite_case rewrites[] = {
	{ "udp", .pkt = { FOUR(L4_UDP) }, .change = { FOUR_OUT } },
	{ "udp, destination", .pkt = { FOUR(L4_UDP) }, .change = { FOUR_IN } },
	{ "udp, both", .pkt = { FOUR(L4_UDP) }, .change = { FOUR_OUT, FOUR_IN } },
	{ "udp, ports only", .pkt = { FOUR(L4_UDP) }, .change = { .sport = 2, .dport = 1 } },
	{ "udp, nothing", .pkt = { FOUR(L4_UDP) } },
	{ "udp, odd length", .pkt = { FOUR(L4_UDP), .payload = 33 }, .change = { FOUR_OUT } },
	{ "udp without sum", .pkt = { FOUR(L4_UDP), .sum = SUM_ZERO }, .change = { FOUR_OUT, FOUR_IN } },
	{ "tcp", .pkt = { FOUR(L4_TCP) }, .change = { FOUR_OUT } },
	{ "tcp, both", .pkt = { FOUR(L4_TCP) }, .change = { FOUR_OUT, FOUR_IN } },
	{ "tcp, gso", .pkt = { FOUR(L4_TCP), .payload = 1000 }, .change = { FOUR_OUT },
	  .extra = { .gso_size = 500, .gso_segs = 2 } },
	{ "options", .pkt = { FOUR(L4_TCP), .ihl = 15 }, .change = { FOUR_OUT, FOUR_IN } },
	{ "echo", .pkt = { FOUR(L4_ECHO) }, .change = { FOUR_OUT } },
	{ "echo reply", .pkt = { FOUR(L4_ECHO), .type = NIL }, .change = { .dst = "10.1.2.3", .sport = 0xffff } },
	{ "timestamp", .pkt = { FOUR(L4_ECHO), .type = 13 }, .change = { FOUR_OUT } },
	{ "udp-lite", .pkt = { FOUR(L4_UDP), .proto = 136 }, .change = { FOUR_OUT, FOUR_IN } },
	{ "dccp", .pkt = { FOUR(L4_UDP), .proto = 33 }, .change = { FOUR_OUT, FOUR_IN } },
	{ "sctp, addresses", .pkt = { FOUR(L4_SCTP) }, .change = { .src = "198.51.100.7" } },
	{ "gre", .pkt = { FOUR(L4_RAW), .proto = 47 }, .change = { FOUR_OUT } },
	{ "protocol 41", .pkt = { FOUR(L4_RAW), .proto = 41 }, .change = { FOUR_OUT } },
	{ "later fragment", .pkt = { FOUR(L4_RAW), .proto = 17, .frag = 185 }, .change = { FOUR_OUT } },
	{ "udp6", .pkt = { SIX(L4_UDP) }, .change = { SIX_BOTH } },
	{ "udp6 without sum", .pkt = { SIX(L4_UDP), .sum = SUM_ZERO }, .change = { SIX_BOTH } },
	{ "udp6, ports only", .pkt = { SIX(L4_UDP) }, .change = { .sport = 9 } },
	{ "udp6, extension headers", .pkt = { SIX(L4_UDP), .ext = "hdrd" }, .change = { SIX_BOTH } },
	{ "tcp6", .pkt = { SIX(L4_TCP) }, .change = { SIX_BOTH } },
	{ "tcp6, gso", .pkt = { SIX(L4_TCP), .payload = 1000 }, .change = { SIX_BOTH },
	  .extra = { .gso_size = 500, .gso_segs = 2 } },
	{ "echo6", .pkt = { SIX(L4_ECHO) }, .change = { SIX_BOTH } },
	{ "echo6 reply", .pkt = { SIX(L4_ECHO), .type = 129 }, .change = { SIX_BOTH } },
	{ "udp-lite6", .pkt = { SIX(L4_UDP), .proto = 136 }, .change = { SIX_BOTH } },
	{ "dccp6", .pkt = { SIX(L4_UDP), .proto = 33 }, .change = { SIX_BOTH } },
	{ "sctp6, addresses", .pkt = { SIX(L4_SCTP) }, .change = { .dst = "2001:db8:7::77" } },
	{ "esp6", .pkt = { SIX(L4_RAW), .proto = 50 }, .change = { SIX_BOTH } },
	{ "later fragment6", .pkt = { SIX(L4_RAW), .proto = 17, .ext = "F" }, .change = { SIX_BOTH } },
	/* RFC 6296: the same as the prefix translation makes of it */
	{ "neutral", .pkt = { .l4 = L4_TCP, .src = "fd01:203:405:1::1234", .dst = "2001:db8:99::9" },
	  .change = { .src = "2001:db8:1:d550::1234" } },
};
/* clang-format on */

static void rewrite_all(struct env *env)
{
	struct frame in, expected;
	struct progs p;

	if (!progs_open(env, &p))
		return;
	for (size_t i = 0; i < sizeof(rewrites) / sizeof(*rewrites); i++) {
		const struct rewrite_case *c = &rewrites[i];
		struct spec after = spec_merge(&c->pkt, &c->change);
		struct nat_io io = { .part = NAT_REWRITE, .to = tuple_of(&after) };

		build(&in, &c->pkt);
		build(&expected, &after);
		check(env, &p, c->name, &c->extra, &io, &in, &expected);
	}
	progs_close(&p);
}

/*
 * Every checksum that there can be, and every sum that addresses and ports can add: of the two zeros it must always be the one that a sum
 * of the whole makes.
 */
static void rewrite_sums(struct env *env)
{
	static const struct spec bases[] = { { FOUR(L4_UDP) }, { FOUR(L4_TCP) }, { SIX(L4_UDP) }, { SIX(L4_ECHO) } };
	__u64 random = 5;
	struct frame in, expected;
	struct progs p;

	if (!progs_open(env, &p))
		return;
	for (int i = 0; i < 4 * 3000 && !*env->why; i++) {
		struct spec before = bases[i % 4], after;
		struct nat_io io = { .part = NAT_REWRITE };
		__u64 r = random_next(&random);

		before.sport = 1 + r % 65535;
		after = before;
		after.sport = 1 + (r >> 16) % 65535;
		if (before.l4 != L4_ECHO && r >> 32 & 1) {
			/* the destination port makes up for the source's, or all but one */
			after.dport =
				(before.l4 == L4_UDP ? 53 : 443) + before.sport - after.sport + (int)(r >> 33 & 1);
			if (after.dport < 1 || after.dport > 65535)
				after.dport = 1;
		}
		build(&in, &before);
		build(&expected, &after);
		io.to = tuple_of(&after);
		check(env, &p, "sums", NULL, &io, &in, &expected);
	}
	progs_close(&p);
}

/* A first fragment has the checksum of the whole datagram, which a change of its header must mend. */
static void rewrite_first_fragment(struct env *env)
{
	static const struct spec befores[] = { { FOUR(L4_UDP), .payload = 64, .frag = IPV4_MF },
					       { FOUR(L4_TCP), .payload = 64, .frag = IPV4_MF },
					       { SIX(L4_UDP), .payload = 64, .ext = "f" } };
	struct frame in, expected;
	struct progs p;

	if (!progs_open(env, &p))
		return;
	for (size_t i = 0; i < sizeof(befores) / sizeof(*befores); i++) {
		struct spec after = befores[i];
		struct nat_io io = { .part = NAT_REWRITE };
		struct frame *frames[] = { &in, &expected };

		after.src = spec_is6(&after) ? "fd00::1:2:3" : "198.51.100.7";
		after.sport = 61000;
		io.to = tuple_of(&after);
		build(&in, &befores[i]);
		build(&expected, &after);
		for (int f = 0; f < 2; f++) { /* the last 32 bytes are in the next one */
			__u8 *ip = frames[f]->data + ETH_LEN;

			frames[f]->len -= 32;
			if (spec_is6(&after)) {
				put16(ip + 4, get16(ip + 4) - 32);
				continue;
			}
			put16(ip + 2, get16(ip + 2) - 32);
			put16(ip + 10, 0);
			put16(ip + 10, ~sum_fold(sum_words(ip, 20, 0)));
		}
		check(env, &p, "first fragment", NULL, &io, &in, &expected);
	}
	progs_close(&p);
}

/* ---- errors ---- */

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

	build(in, &error);
	error.src = c->becomes;
	error.dst = after.src;
	error.quoted = &after;
	build(expected, &error);
	*io = (struct nat_io){ .part = NAT_QUOTE, .to = tuple_of(&after) };
}

static void expect_quote(struct env *env, const struct error_case *c, const struct nat_io *io)
{
	struct nat_tuple t = tuple_of(&c->quoted);

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
	struct progs p;

	if (!progs_open(env, &p))
		return;
	for (size_t i = 0; i < sizeof(errors) / sizeof(*errors); i++) {
		error_build(&errors[i], 0, &in, &expected, &io);
		check(env, &p, errors[i].name, NULL, &io, &in, &expected);
		expect_quote(env, &errors[i], io_of(&p, HOOK_XDP));
		expect_quote(env, &errors[i], io_of(&p, HOOK_TC));
	}
	progs_close(&p);
}

/* Where the quoted transport header begins. */
static int quoted_l4(const struct spec *s)
{
	if (!spec_is6(s))
		return usual(s->ihl, 5) * 4;
	return 40 + (s->ext ? 8 * (int)strlen(s->ext) : 0);
}

/* Quotes of every length: with eight bytes of the transport header it is translated, with less refused, and then not touched. */
static void errors_cut(struct env *env)
{
	struct frame in, expected;
	struct result out;
	struct nat_io io;
	struct progs p;

	if (!progs_open(env, &p))
		return;
	for (size_t i = 0; i < sizeof(errors) / sizeof(*errors); i++) {
		const struct spec *q = &errors[i].quoted;
		bool ports = q->l4 != L4_RAW;
		int least = quoted_l4(q) + (ports ? 8 : 0);

		for (int len = 1; len < 120 && !*env->why; len++) {
			if ((__u32)len > spec_len(q))
				break;
			if (q->l4 == L4_TCP && len == quoted_l4(q) + 17)
				continue; /* half a checksum, which stays */
			error_build(&errors[i], len, &in, &expected, &io);
			if (len >= least) {
				check(env, &p, errors[i].name, NULL, &io, &in, &expected);
				continue;
			}
			for (int hook = HOOK_XDP; hook <= HOOK_TC; hook += HOOK_TC - HOOK_XDP) {
				*io_of(&p, hook) = io;
				run(env, &p, hook, NULL, &in, &out);
				if (io_of(&p, hook)->stage >= 0)
					fail(env, "  %s: %d bytes are enough\n", errors[i].name, len);
				if (out.frame.len != in.len || memcmp(out.frame.data, in.data, in.len))
					fail(env, "  %s: %d bytes: it is changed\n", errors[i].name, len);
			}
		}
	}
	progs_close(&p);
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
	struct progs p;

	if (!progs_open(env, &p))
		return;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct spec pkt = cases[i].pkt;

		pkt.l4 = L4_ERROR;
		pkt.dst = pkt.dst ? pkt.dst : pkt.quoted->src;
		pkt.src = pkt.src ? pkt.src : pkt.quoted->dst;
		build(&in, &pkt);
		for (int hook = HOOK_XDP; hook <= HOOK_TC; hook += HOOK_TC - HOOK_XDP) {
			*io_of(&p, hook) = (struct nat_io){ .part = NAT_QUOTE };
			run(env, &p, hook, NULL, &in, &out);
			if (!io_of(&p, hook)->is_error || io_of(&p, hook)->stage != -(int)cases[i].reason)
				fail(env, "  %s, %s: %d\n", cases[i].name, hook_name(hook), io_of(&p, hook)->stage);
			if (out.frame.len != in.len || memcmp(out.frame.data, in.data, in.len))
				fail(env, "  %s: it is changed\n", cases[i].name);
		}
	}
	progs_close(&p);
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
	struct progs p;

	if (!progs_open(env, &p))
		return;
	if (bpf_map_lookup_elem(bpf_map__fd(env->xdp->maps.fl_npt), &index, &npt) ||
	    bpf_map_update_elem(bpf_map__fd(p.xdp->maps.fl_npt), &index, &npt, BPF_ANY))
		fail(env, "  the translation can't be set\n");
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		error_build(&cases[i], 0, &in, &expected, &io);
		io.npt = index;
		check(env, &p, cases[i].name, NULL, &io, &in, &expected);
	}
	progs_close(&p);
}

/* ---- what a sender leaves to its device, on a real one ---- */

#define WIRE_MS 2000

/* What goes before a frame by PACKET_VNET_HDR. */
struct wire_frame {
	struct virtio_net_hdr hdr;
	__u8 data[FRAME_MAX];
};

static int wire_open(const char *device)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET,
				  .sll_protocol = htons(ETH_P_ALL),
				  .sll_ifindex = if_nametoindex(device) };
	int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL)), on = 1;

	if (fd >= 0 && (setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)) ||
			bind(fd, (struct sockaddr *)&at, sizeof(at)))) {
		close(fd);
		return -1;
	}
	return fd;
}

/* The next frame from the other end with the MACs of `sent`; others are the kernel's. */
static int wire_receive(int fd, const struct wire_frame *sent, struct wire_frame *f)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct sockaddr_ll from;
	socklen_t size = sizeof(from);
	ssize_t n;

	while (poll(&p, 1, WIRE_MS) == 1) {
		n = recvfrom(fd, f, sizeof(*f), 0, (struct sockaddr *)&from, &size);
		if (n > (ssize_t)sizeof(f->hdr) && from.sll_pkttype != PACKET_OUTGOING &&
		    !memcmp(f->data, sent->data, 2 * ETH_ALEN))
			return n - (ssize_t)sizeof(f->hdr);
	}
	return -1;
}

/* Sent unfinished, a packet must come back unfinished, with the sum of the other pseudo-header. */
static void wire_one(struct env *env, struct progs *p, int fd, const struct rewrite_case *c)
{
	struct spec before = c->pkt, after;
	struct wire_frame out = {}, in;
	struct frame f;
	int len;

	before.sum = SUM_UNFINISHED;
	after = spec_merge(&before, &c->change);
	build(&f, &before);
	memcpy(out.data, f.data, f.len);
	out.hdr.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	out.hdr.csum_start = ETH_LEN + quoted_l4(&before);
	out.hdr.csum_offset = before.l4 == L4_TCP ? 16 : 6;
	if (c->extra.gso_size) {
		out.hdr.gso_type = spec_is6(&before) ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4;
		out.hdr.gso_size = c->extra.gso_size;
		out.hdr.hdr_len = out.hdr.csum_start + 20;
	}
	p->tc->bss->io =
		(struct nat_io){ .part = NAT_REWRITE, .to = tuple_of(&after), .redirect = p->tc->bss->io.redirect };
	if (send(fd, &out, sizeof(out.hdr) + f.len, 0) < 0)
		fail(env, "  %s: %s\n", c->name, strerror(errno));
	len = wire_receive(fd, &out, &in);
	build(&f, &after);
	if (len < 0)
		fail(env, "  %s: nothing comes back\n", c->name);
	else if (!(in.hdr.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) || in.hdr.gso_size != out.hdr.gso_size)
		fail(env, "  %s: it is not unfinished any more\n", c->name);
	else if ((__u32)len != f.len || memcmp(in.data, f.data, f.len))
		fail(env, "  %s: another packet comes back\n", c->name);
}

static void wire_attached(struct env *env, struct progs *p)
{
	int fd = wire_open("nat1");

	p->tc->bss->io.redirect = if_nametoindex("nat0");
	for (size_t i = 0; i < sizeof(rewrites) / sizeof(*rewrites) && fd >= 0; i++)
		if ((rewrites[i].pkt.l4 == L4_TCP || rewrites[i].pkt.l4 == L4_UDP) && !rewrites[i].pkt.proto &&
		    !rewrites[i].pkt.sum && !rewrites[i].pkt.frag)
			wire_one(env, p, fd, &rewrites[i]);
	if (fd < 0)
		fail(env, "  no socket: %s\n", strerror(errno));
	else
		close(fd);
}

static void rewrite_unfinished(struct env *env)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts);
	struct progs p;

	if (!progs_open(env, &p))
		return;
	if (links_run("ip link add nat0 type veth peer name nat1") || links_run("ip link set nat0 up") ||
	    links_run("ip link set nat1 up"))
		fail(env, "  no devices\n");
	hook.ifindex = if_nametoindex("nat0");
	opts.prog_fd = bpf_program__fd(p.tc->progs.nat_tc);
	if (bpf_tc_hook_create(&hook) || bpf_tc_attach(&hook, &opts))
		fail(env, "  the program can't be attached\n");
	else
		wire_attached(env, &p);
	links_run("ip link del nat0");
	progs_close(&p);
}

/* ---- fragments ---- */

struct fragment_case {
	const char *name;
	struct spec first, later;
	enum fl_drop reason; /* of the later one */
};

#define FIRST4(l) FOUR(l), .frag = IPV4_MF
#define LATER4 FOUR(L4_RAW), .frag = 100

/* clang-format off */
static const struct fragment_case fragments[] = {
	{ "udp", .first = { FIRST4(L4_UDP), .id = 1 }, .later = { LATER4, .proto = 17, .id = 1 } },
	{ "udp, before its first", .later = { LATER4, .proto = 17, .id = 2 }, .reason = FL_DROP_FRAGMENT },
	{ "another id", .first = { FIRST4(L4_UDP), .id = 3 }, .later = { LATER4, .proto = 17, .id = 4 },
	  .reason = FL_DROP_FRAGMENT },
	{ "another protocol", .first = { FIRST4(L4_UDP), .id = 5 }, .later = { LATER4, .proto = 6, .id = 5 },
	  .reason = FL_DROP_FRAGMENT },
	{ "another source", .first = { FIRST4(L4_UDP), .id = 6 },
	  .later = { .l4 = L4_RAW, .src = "192.0.2.11", .dst = "203.0.113.9", .frag = 100, .proto = 17, .id = 6 },
	  .reason = FL_DROP_FRAGMENT },
	{ "not fragmented", .first = { FOUR(L4_UDP), .id = 7 }, .later = { LATER4, .proto = 17, .id = 7 },
	  .reason = FL_DROP_FRAGMENT },
	{ "tcp", .first = { FIRST4(L4_TCP), .id = 8 }, .later = { LATER4, .proto = 6, .id = 8 } },
	{ "tcp, over its header", .first = { FIRST4(L4_TCP), .id = 9 },
	  .later = { FOUR(L4_RAW), .frag = 1, .proto = 6, .id = 9 }, .reason = FL_DROP_FRAGMENT },
	{ "tcp, over its header's end", .first = { FIRST4(L4_TCP), .id = 9 },
	  .later = { FOUR(L4_RAW), .frag = 2, .proto = 6, .id = 9 }, .reason = FL_DROP_FRAGMENT },
	{ "tcp, just behind its header", .first = { FIRST4(L4_TCP), .id = 9 },
	  .later = { FOUR(L4_RAW), .frag = 3, .proto = 6, .id = 9 } },
	{ "udp, behind its header", .first = { FIRST4(L4_UDP), .id = 9 },
	  .later = { FOUR(L4_RAW), .frag = 1, .proto = 17, .id = 9 } },
	{ "echo", .first = { FIRST4(L4_ECHO), .id = 10 }, .later = { LATER4, .proto = 1, .id = 10 } },
	{ "udp6", .first = { SIX(L4_UDP), .ext = "f" }, .later = { SIX(L4_RAW), .proto = 17, .ext = "F" } },
	/* the later fragment says the header behind the fragment's, which is no transport header */
	{ "udp6, options", .first = { SIX(L4_UDP), .ext = "fd" }, .later = { SIX(L4_RAW), .proto = 60, .ext = "F" } },
	{ "echo6", .first = { SIX(L4_ECHO), .ext = "f" }, .later = { SIX(L4_RAW), .proto = 58, .ext = "G" } },
	{ "udp6, atomic", .first = { .l4 = L4_UDP, .src = "2001:db8:10::11", .dst = "2001:db8:99::9", .ext = "x" },
	  .later = { .l4 = L4_RAW, .src = "2001:db8:10::11", .dst = "2001:db8:99::9", .proto = 17, .ext = "F" },
	  .reason = FL_DROP_FRAGMENT },
};
/* clang-format on */

/* The first is seen at one hook, the later one at the other. */
static void fragments_follow(struct env *env)
{
	struct result out;
	struct frame first, later;
	struct progs p;

	if (!progs_open(env, &p))
		return;
	for (size_t i = 0; i < 2 * sizeof(fragments) / sizeof(*fragments); i++) {
		const struct fragment_case *c = &fragments[i / 2];
		enum hook a = i & 1 ? HOOK_XDP : HOOK_TC, b = i & 1 ? HOOK_TC : HOOK_XDP;
		struct nat_tuple t = { .sport = htobe16(1000 + i), .dport = htobe16(2000 + i) };

		build(&later, &c->later);
		*io_of(&p, a) = (struct nat_io){ .part = NAT_FRAGMENT, .to = t };
		*io_of(&p, b) = (struct nat_io){ .part = NAT_FRAGMENT };
		if (c->first.src) {
			build(&first, &c->first);
			run(env, &p, a, NULL, &first, &out);
		}
		if (io_of(&p, a)->stage)
			fail(env, "  %s, %s: the first is refused\n", c->name, hook_name(a));
		run(env, &p, b, NULL, &later, &out);
		if (io_of(&p, b)->stage != -(int)c->reason)
			fail(env, "  %s, %s: %s\n", c->name, hook_name(b), drop_name(-io_of(&p, b)->stage));
		if (!c->reason && memcmp(&io_of(&p, b)->to, &t, sizeof(t)))
			fail(env, "  %s, %s: other ports\n", c->name, hook_name(b));
	}
	progs_close(&p);
}

/* First fragments, and whole packets, that end before their transport header does (RFC 1858). */
static void fragments_tiny(struct env *env)
{
	static const struct {
		struct spec pkt;
		int least;
	} cases[] = { { { FOUR(L4_TCP), .frag = IPV4_MF }, 20 },
		      { { FOUR(L4_UDP), .frag = IPV4_MF }, 8 },
		      { { FOUR(L4_ECHO), .frag = IPV4_MF }, 8 },
		      { { FOUR(L4_SCTP), .frag = IPV4_MF }, 12 },
		      { { SIX(L4_TCP), .ext = "f" }, 20 },
		      { { SIX(L4_UDP), .ext = "f" }, 8 },
		      { { FOUR(L4_TCP) }, 20 },
		      { { SIX(L4_UDP) }, 8 } };
	struct result out;
	struct frame in;
	struct progs p;

	if (!progs_open(env, &p))
		return;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		for (int there = 0; there <= 24; there++) {
			bool fragment = cases[i].pkt.frag || cases[i].pkt.ext;
			int expected = there >= cases[i].least ? 0 : fragment ? -FL_DROP_FRAGMENT : -FL_DROP_MALFORMED;
			struct spec pkt = cases[i].pkt;

			pkt.plen = there - (int)(spec_len(&pkt) - quoted_l4(&pkt));
			build(&in, &pkt);
			for (int hook = HOOK_XDP; hook <= HOOK_TC; hook += HOOK_TC - HOOK_XDP) {
				struct skb_extra extra = { .no_sum = true };

				*io_of(&p, hook) = (struct nat_io){ .part = NAT_FRAGMENT };
				run(env, &p, hook, &extra, &in, &out);
				if (io_of(&p, hook)->stage != expected)
					fail(env, "  case %zu, %d bytes, %s: %d\n", i, there, hook_name(hook),
					     io_of(&p, hook)->stage);
			}
		}
	progs_close(&p);
}

/* ---- both hooks against each other ---- */

#define FUZZ_PACKETS 100000

/* A frame of any case, before or after it is cut and spoiled; and what to make of it. */
static void fuzz_frame(__u64 *random, struct frame *f, struct nat_io *io)
{
	__u64 r = random_next(random);
	struct frame other;

	if (r & 1) {
		error_build(&errors[(r >> 8) % (sizeof(errors) / sizeof(*errors))], 0, f, &other, io);
	} else {
		const struct rewrite_case *c = &rewrites[(r >> 8) % (sizeof(rewrites) / sizeof(*rewrites))];
		struct spec after = spec_merge(&c->pkt, &c->change);

		build(f, &c->pkt);
		*io = (struct nat_io){ .part = r & 2 ? NAT_REWRITE : NAT_FRAGMENT, .to = tuple_of(&after) };
	}
	if (r & 4) /* the lengths stay: it is cut for good */
		f->len = ETH_LEN + 20 + (r >> 24) % (f->len - ETH_LEN - 20);
	for (int n = r >> 4 & 7; n > 0; n--) {
		r = random_next(random);
		f->data[ETH_LEN + (r >> 8) % (f->len - ETH_LEN)] =
			r & 0x80 ? (__u8)(r >> 40) : (__u8)(f->data[ETH_LEN] ^ 1 << (r & 7));
	}
	if (f->data[ETH_LEN] >> 4 == 4 && (r & 0x300) &&
	    f->len >= ETH_LEN + 20) { /* else none comes past the header's checksum */
		__u8 *ip = f->data + ETH_LEN;
		__u32 len = (ip[0] & 15) * 4;

		put16(ip + 2, f->len - ETH_LEN);
		put16(ip + 10, 0);
		if (len <= f->len - ETH_LEN)
			put16(ip + 10, ~sum_fold(sum_words(ip, len, 0)));
	}
	if (f->data[ETH_LEN] >> 4 == 6 && (r & 0x300) && f->len >= ETH_LEN + 40)
		put16(f->data + ETH_LEN + 4, f->len - ETH_LEN - 40);
}

static void fuzz(struct env *env)
{
	__u64 random = 77;
	long done = 0;
	struct progs p;

	if (!progs_open(env, &p))
		return;
	for (int i = 0; i < FUZZ_PACKETS && !*env->why; i++) {
		struct result xdp, tc;
		struct skb_extra extra = {};
		struct nat_io io, *a = io_of(&p, HOOK_XDP), *b = io_of(&p, HOOK_TC);
		struct frame in;

		fuzz_frame(&random, &in, &io);
		if (in.len < ETH_LEN + (get16(in.data + 12) == 0x86dd ? 40u : 20u))
			continue; /* a test run refuses it */
		*a = *b = io;
		run(env, &p, HOOK_XDP, NULL, &in, &xdp);
		run(env, &p, HOOK_TC, &extra, &in, &tc);
		done += !a->stage;
		if (xdp.verdict < 0 || tc.verdict < 0)
			fail(env, "  packet %d: %s\n", i, strerror(-(xdp.verdict < 0 ? xdp.verdict : tc.verdict)));
		else if (memcmp(a, b, sizeof(*a)))
			fail(env, "  packet %d: %d at XDP, %d at tc\n", i, a->stage, b->stage);
		else if (xdp.frame.len != tc.frame.len || memcmp(xdp.frame.data, tc.frame.data, tc.frame.len))
			fail(env, "  packet %d: the packets differ\n", i);
		else if (a->stage && memcmp(xdp.frame.data, in.data, in.len))
			fail(env, "  packet %d: refused, and changed\n", i);
		if (*env->why)
			say_bytes(env, "in", &in);
	}
	if (done < FUZZ_PACKETS / 4)
		fail(env, "  only %ld packets were of any use\n", done);
	progs_close(&p);
}

const struct procedure nat_procedures[] = {
	{ "nat/rewrite", rewrite_all },
	{ "nat/rewrite-sums", rewrite_sums },
	{ "nat/rewrite-first-fragment", rewrite_first_fragment },
	{ "nat/errors", errors_all },
	{ "nat/errors-cut", errors_cut },
	{ "nat/errors-refused", errors_refused },
	{ "nat/errors-npt", errors_npt },
	{ "nat/rewrite-unfinished", rewrite_unfinished },
	{ "nat/fragments", fragments_follow },
	{ "nat/fragments-tiny", fragments_tiny },
	{ "nat/fuzz", fuzz },
	{ 0 },
};
