// SPDX-License-Identifier: GPL-2.0-only
/* BPF_PROG_TEST_RUN, and the counters. */

#include "selftests/prog/run.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "selftests/prog/prelude.h"

#include "prelude.skel.h"
#include "tc.skel.h"
#include "xdp.skel.h"

const char *hook_name(enum hook hook)
{
	static const char *const names[HOOKS] = { "xdp", "generic xdp", "tc", "tc without DECAP_L3" };

	return names[hook];
}

const char *drop_name(__u32 reason)
{
	static const char *const names[] = {
#define DROP_NAME(symbol, name, text) name,
		FL_DROP_REASONS(DROP_NAME)
#undef DROP_NAME
	};

	return reason < FL_DROP_MAX ? names[reason] : "?";
}

static void run_xdp_prog(struct bpf_program *prog, __u32 ifindex, const struct frame *in, struct result *out)
{
	struct xdp_md ctx = { .data_end = in->len, .ingress_ifindex = ifindex };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = in->data, .data_size_in = in->len, .data_out = out->frame.data,
		    .data_size_out = FRAME_MAX, .ctx_in = &ctx, .ctx_size_in = sizeof(ctx));
	int r = bpf_prog_test_run_opts(bpf_program__fd(prog), &opts);

	out->verdict = r ? r : (int)opts.retval;
	out->frame.len = opts.data_size_out;
}

void run_xdp(struct env *env, __u32 ifindex, const struct frame *in, struct result *out)
{
	run_xdp_prog(env->xdp->progs.fl_xdp, ifindex, in, out);
}

void run_generic(struct env *env, __u32 ifindex, const struct frame *in, struct result *out)
{
	run_xdp_prog(env->xdp->progs.fl_xdp_generic, ifindex, in, out);
}

void run_icmp(struct env *env, const struct frame *in, struct result *out)
{
	run_xdp_prog(env->xdp->progs.fl_icmp, env->ifindex[ICMP], in, out);
}

/* Padding is cut off, and then the kernel forgets the sum; but the test run would compare it all the same. */
static bool is_padded(const struct frame *f)
{
	const __u8 *p = f->data + frame_l3(f), *end = f->data + f->len;

	if (p + 20 <= end && *p >> 4 == 4) {
		if (p + get16(p + 2) < end || p[9] != 41)
			return p + get16(p + 2) < end;
		end = p + get16(p + 2);
		p += (*p & 15) * 4;
	}
	return p + 40 + get16(p + 4) < end;
}

static int run_skb(struct env *env, enum tc_prog prog, __u32 ifindex, const struct skb_extra *extra, int repeat,
		   const struct frame *in, struct result *out)
{
	struct __sk_buff ctx = { .ifindex = ifindex }, ctx_out = {};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = in->data, .data_size_in = in->len, .data_out = out->frame.data,
		    .data_size_out = FRAME_MAX, .ctx_in = &ctx, .ctx_size_in = sizeof(ctx), .ctx_out = &ctx_out,
		    .ctx_size_out = sizeof(ctx_out), .repeat = repeat);
	int r;

	if (env->sums && !(extra && extra->no_sum) && !is_padded(in))
		opts.flags = BPF_F_TEST_SKB_CHECKSUM_COMPLETE; /* EBADMSG if the program left it wrong */
	ctx.cb[PRELUDE_PROG] = prog;
	if (extra) {
		ctx.ingress_ifindex = extra->ingress_ifindex;
		ctx.cb[PRELUDE_TC_INDEX] = extra->tc_index;
		ctx.cb[PRELUDE_VLAN] = extra->vlan ? PRELUDE_VLAN_SET | (extra->vlan - 1) : 0;
		ctx.gso_size = extra->gso_size;
		ctx.gso_segs = extra->gso_segs;
	}
	r = bpf_prog_test_run_opts(bpf_program__fd(env->prelude->progs.prelude), &opts);
	out->verdict = r ? r : (int)opts.retval;
	out->frame.len = opts.data_size_out;
	return r ? r : (int)ctx_out.mark;
}

void run_tc(struct env *env, enum tc_prog prog, __u32 ifindex, const struct skb_extra *extra, const struct frame *in,
	    struct result *out)
{
	run_skb(env, prog, ifindex, extra, 1, in, out);
}

int run_tc_tag(struct env *env, enum tc_prog prog, __u32 ifindex, const struct skb_extra *extra, const struct frame *in)
{
	struct result out;

	return run_skb(env, prog, ifindex, extra, 2, in, &out);
}

/* Adds up the CPUs' values of the first `count` elements of a per-CPU array of structs of __u64. */
static void read_percpu(struct env *env, struct bpf_map *map, void *out, __u32 count)
{
	__u32 keys[PORTS * FL_DROP_SLOTS], next, n = count, words = bpf_map__value_size(map) / 8;
	__u64 *values = env->buffer, *sums = out;

	memset(out, 0, count * words * 8);
	if (bpf_map_lookup_batch(bpf_map__fd(map), NULL, &next, keys, values, &n, NULL) && errno != ENOENT) {
		fprintf(stderr, "prog-test: reading %s: %s\n", bpf_map__name(map), strerror(errno));
		abort();
	}
	for (__u32 i = 0; i < n; i++)
		for (int cpu = 0; cpu < env->cpus; cpu++)
			for (__u32 w = 0; w < words; w++)
				sums[i * words + w] += *values++;
}

static void read_endpoints(struct env *env, struct fl_endpoint_stats sums[EPS])
{
	struct fl_endpoint_stats stats;

	memset(sums, 0, EPS * sizeof(*sums));
	for (int cpu = 0; cpu < env->cpus; cpu++)
		for (__u32 i = 0; i < EPS; i++) {
			__u32 slot = FL_EP_STATS_INDEX(cpu, i);

			bpf_map_lookup_elem(bpf_map__fd(env->xdp->maps.fl_ep_stats), &slot, &stats);
			sums[i].rx_packets += stats.rx_packets;
			sums[i].rx_bytes += stats.rx_bytes;
			sums[i].tx_packets += stats.tx_packets;
			sums[i].tx_bytes += stats.tx_bytes;
		}
}

void counters_read(struct env *env, struct counters *c)
{
	__u32 zero = 0;

	read_percpu(env, env->xdp->maps.fl_drops, c->drops, PORTS * FL_DROP_SLOTS);
	read_percpu(env, env->xdp->maps.fl_port_stats, c->ports, PORTS);
	read_endpoints(env, c->eps);
	read_percpu(env, env->xdp->maps.fl_npt_stats, c->npts, NPTS);
	for (size_t i = 0; i < PORTS * FL_DROP_SLOTS; i++)
		c->drops[i].last_ns = 0;
	for (__u32 i = 0; i < EPS; i++)
		bpf_map_lookup_elem(bpf_map__fd(env->xdp->maps.fl_ep_path), &i, &c->paths[i]);
	bpf_map_lookup_elem(bpf_map__fd(env->xdp->maps.fl_learned), &zero, &c->learned);
	c->learned = (struct fl_learned){ .gen = c->learned.gen }; /* the rest is a clock */
}

struct text {
	char *at, *end;
};

static void say_words(struct text *t, const char *what, const __u64 *is, const __u64 *expected, int words)
{
	for (int w = 0; w < words; w++)
		if (is[w] != expected[w] && t->end - t->at > 1)
			t->at += snprintf(t->at, t->end - t->at, "    %s, word %d: %lld more than expected\n", what, w,
					  (long long)(is[w] - expected[w]));
	if (t->at > t->end)
		t->at = t->end;
}

bool counters_differ(const struct counters *is, const struct counters *expected, char *text, size_t size)
{
	struct text t = { text, text + size };
	char what[96];

	*text = '\0';
	if (!memcmp(is, expected, sizeof(*is)))
		return false;
	for (int i = 0; i < PORTS * FL_DROP_SLOTS; i++) {
		snprintf(what, sizeof(what), "drops (packets, bytes) of %s, %s", port_name(i / FL_DROP_SLOTS),
			 drop_name(i % FL_DROP_SLOTS));
		say_words(&t, what, &is->drops[i].packets, &expected->drops[i].packets, 2);
	}
	for (int i = 0; i < PORTS; i++) {
		snprintf(what, sizeof(what), "port (rx, rx bytes, tx, tx bytes, xdp) %s", port_name(i));
		say_words(&t, what, &is->ports[i].rx_packets, &expected->ports[i].rx_packets, 5);
	}
	for (int i = 0; i < EPS; i++) {
		snprintf(what, sizeof(what), "endpoint (rx, rx bytes, tx, tx bytes) %d", i);
		say_words(&t, what, &is->eps[i].rx_packets, &expected->eps[i].rx_packets, 4);
		snprintf(what, sizeof(what), "path (mtu and expiry) of endpoint %d", i);
		say_words(&t, what, (const __u64 *)&is->paths[i], (const __u64 *)&expected->paths[i], 1);
	}
	for (int i = 0; i < NPTS; i++) {
		snprintf(what, sizeof(what), "translation (out, out bytes, in, in bytes, untranslatable) %d", i);
		say_words(&t, what, &is->npts[i].out_packets, &expected->npts[i].out_packets, 5);
	}
	say_words(&t, "learned", (const __u64 *)&is->learned, (const __u64 *)&expected->learned, 1);
	return true;
}
