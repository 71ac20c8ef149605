// SPDX-License-Identifier: GPL-2.0-only
/* Translation by itself, in programs of its own at both hooks. */

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "selftests/prog/nat_progs.h"
#include "user/lib/clock.h"

#include "nat_tc.skel.h"
#include "nat_xdp.skel.h"

#define PINS "/sys/fs/bpf/nat"

void nat_close(struct nat_progs *p)
{
	nat_xdp__destroy(p->xdp);
	nat_tc__destroy(p->tc);
	memset(p, 0, sizeof(*p));
}

bool nat_open(struct env *env, struct nat_progs *p)
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
	nat_close(p);
	return false;
}

void nat_run(struct env *env, struct nat_progs *p, enum hook hook, const struct skb_extra *extra,
	     const struct frame *in, struct result *out)
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

struct nat_io *nat_io_of(struct nat_progs *p, enum hook hook)
{
	return hook == HOOK_XDP ? &p->xdp->bss->io : &p->tc->bss->io;
}

/* An echo reply, or its like: the identifier is the receiver's. */
static bool answers(const struct spec *s)
{
	int type = or_usual(s->type, 8);

	return addr_of(s->src).w[2] == htobe32(0xffff) && !addr_of(s->src).q[0] ? type == 0 || type == 14
										: s->type == 129;
}

/* The tuple of a described packet; `port` of protocols that have none: 0. */
struct nat_tuple nat_tuple_of(const struct spec *s)
{
	struct nat_tuple t = { .src = addr_of(s->src), .dst = addr_of(s->dst) };

	if (s->l4 == L4_UDP || s->l4 == L4_TCP) {
		t.sport = htobe16(or_usual(s->sport, 4000));
		t.dport = htobe16(or_usual(s->dport, s->l4 == L4_UDP ? 53 : 443));
	} else if (s->l4 == L4_ECHO) {
		*(answers(s) ? &t.dport : &t.sport) = htobe16(or_usual(s->sport, 7));
	}
	return t;
}

void nat_build(struct frame *f, const struct spec *spec)
{
	static const __u8 dmac[6] = { 2, 0, 0, 0, 0, 1 }, smac[6] = { 2, 0, 0, 0, 0, 2 };

	frame_build(f, spec, dmac, smac);
}

void nat_say_bytes(struct env *env, const char *what, const struct frame *f)
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
	nat_say_bytes(env, "is", &is->frame);
	nat_say_bytes(env, "expected", expected);
}

void nat_check(struct env *env, struct nat_progs *p, const char *name, const struct skb_extra *extra,
	       const struct nat_io *io, const struct frame *in, const struct frame *expected)
{
	static const enum hook hooks[] = { HOOK_XDP, HOOK_TC };
	struct result out;

	for (size_t i = 0; i < sizeof(hooks) / sizeof(*hooks); i++) {
		*nat_io_of(p, hooks[i]) = *io;
		nat_run(env, p, hooks[i], extra, in, &out);
		expect(env, name, hooks[i], &out, nat_io_of(p, hooks[i])->stage, expected);
	}
}

int nat_quoted_l4(const struct spec *s)
{
	if (!spec_is6(s))
		return or_usual(s->ihl, 5) * 4;
	return 40 + (s->ext ? 8 * (int)strlen(s->ext) : 0);
}
