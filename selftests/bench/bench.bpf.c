// SPDX-License-Identifier: GPL-2.0-only
/*
 * The benchmark's own programs: generator, sink, and the peers that are programs (drop, bare redirect, nothing at all).
 * Everything of a measurement runs on one CPU, so counters are plain.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <stdbool.h>

#include "selftests/bench/frame.h"

char _license[] SEC("license") = "GPL";

struct inner {
	struct ipv6hdr ip;
	struct udphdr udp;
	__u16 payload;
} __attribute__((packed, aligned(2)));

struct plain {
	struct ethhdr eth;
	struct inner inner;
} __attribute__((packed, aligned(2)));
_Static_assert(sizeof(struct plain) == BENCH_PLAIN, "frame");

struct sixin4 {
	struct ethhdr eth;
	struct iphdr outer;
	struct inner inner;
} __attribute__((packed, aligned(2)));
_Static_assert(sizeof(struct sixin4) == BENCH_6IN4, "frame");

struct bench_traffic bench_traffic;
struct bench_clock bench_clock;
struct bench_expected bench_expected;
struct bench_seen bench_seen;
__u32 bench_sequence;

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, BENCH_DEVICES);
	__type(key, __u32);
	__type(value, __u32);
} bench_out SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} bench_under_test SEC(".maps");

/* Spreads consecutive packets over the flows; each comes equally often. Or one after the other. */
static __always_inline __u32 next_flow(void)
{
	__u32 n = bench_sequence++, h = n * 0x9e3779b1u;

	if (bench_traffic.sequential)
		return bench_traffic.first + n;
	return ((__u64)h * bench_traffic.flows) >> 32;
}

static __always_inline void vary_inner(struct inner *inner, __u32 flow)
{
	__u32 part = flow >> bench_traffic.net_shift & bench_traffic.net_mask;
	__u16 host = bpf_htons(flow), net = bpf_htons(bench_traffic.source_net + part);
	__u32 sum = (__u32)host + net;

	if (bench_traffic.reverse) {
		inner->ip.daddr.s6_addr16[7] = host;
		inner->ip.daddr.s6_addr16[3] = net;
	} else {
		inner->ip.saddr.s6_addr16[7] = host;
		inner->ip.saddr.s6_addr16[3] = net;
	}
	inner->payload = ~((sum & 0xffff) + (sum >> 16));
}

/* In words of 8 bytes, the last one of 4: a structure's own assignment would go by its alignment, 2. */
static __always_inline void copy_frame(void *to, __u32 len)
{
	__u64 *words = to;

#pragma unroll
	for (int i = 0; i < BENCH_WORDS; i++) {
		if ((i + 1) * 8 <= len)
			words[i] = bench_traffic.frame[i];
		else if (i * 8 < len)
			*(__u32 *)&words[i] = bench_traffic.frame[i];
	}
}

/* Writes the next frame, all of it: pages come back with what they were made into last time. */
static __always_inline bool write_frame(void *data, void *end)
{
	__u32 flow = next_flow();

	if (bench_traffic.len == BENCH_PLAIN) {
		struct plain *p = data;

		if (data + sizeof(*p) > end)
			return false;
		copy_frame(p, sizeof(*p));
		vary_inner(&p->inner, flow);
	} else {
		struct sixin4 *p = data;
		__u16 host = bpf_htons(bench_traffic.outer_host + (flow & bench_traffic.outer_mask));

		if (data + sizeof(*p) > end)
			return false;
		copy_frame(p, sizeof(*p));
		vary_inner(&p->inner, flow);
		p->outer.saddr = (p->outer.saddr & bpf_htonl(0xffff0000)) | (__u32)host << 16;
		p->outer.id = ~host;
	}
	return true;
}

SEC("xdp")
int bench_generate(struct xdp_md *ctx)
{
	__u32 n = bench_sequence;

	if (n % BENCH_BATCH == 0) {
		if (n == bench_clock.first)
			bench_clock.first_ns = bpf_ktime_get_ns();
		else if (n == bench_clock.last)
			bench_clock.last_ns = bpf_ktime_get_ns();
	}
	if (!write_frame((void *)(long)ctx->data, (void *)(long)ctx->data_end))
		return XDP_ABORTED;
	return bpf_redirect_map(&bench_out, bench_traffic.slot, XDP_ABORTED);
}

static __always_inline __u32 fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16);
}

static __always_inline __u64 sum16(const __u16 *words, int n)
{
	__u64 sum = 0;

#pragma unroll
	for (int i = 0; i < n; i++)
		sum += words[i];
	return sum;
}

/* The UDP checksum over pseudo-header, header and payload. */
static __always_inline bool udp_is_right(const struct inner *inner)
{
	__u64 sum = sum16((const __u16 *)&inner->ip.saddr, 16) + sum16((const __u16 *)&inner->udp, 4) + inner->payload;

	return fold(sum + inner->udp.len + bpf_htons(IPPROTO_UDP)) == 0xffff;
}

static __always_inline bool frame_is_right(void *data, void *end)
{
	__u64 *words = data;
	int n = bench_expected.len == BENCH_PLAIN ? BENCH_PLAIN / 8 : BENCH_COMPARED;

	for (int i = 0; i < BENCH_COMPARED; i++) {
		if (i >= n)
			break;
		if ((void *)(words + i + 1) > end)
			return false;
		if ((words[i] ^ bench_expected.frame[i]) & bench_expected.mask[i])
			return false;
	}
	if (bench_expected.len == BENCH_PLAIN) {
		struct plain *p = data;

		return (void *)(p + 1) <= end && udp_is_right(&p->inner);
	} else {
		struct sixin4 *p = data;

		return (void *)(p + 1) <= end && fold(sum16((const __u16 *)&p->outer, 10)) == 0xffff &&
		       udp_is_right(&p->inner);
	}
}

/* One in BENCH_SAMPLE; noinline keeps it out of the way of the others. */
static __attribute__((noinline)) int look_closely(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;

	bench_seen.checked++;
	if (frame_is_right(data, end))
		return 0;
	bench_seen.wrong++;
	for (int i = 0; i < BENCH_COMPARED; i++) {
		__u64 *word = data + i * 8;

		if ((void *)(word + 1) > end)
			break;
		bench_seen.bad_frame[i] = *word;
	}
	return 0;
}

SEC("xdp")
int bench_sink(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 len = bench_expected.len, *ports;

	if (len != end - data) {
		bench_seen.other++;
		return XDP_DROP;
	}
	ports = len == BENCH_PLAIN ? data + offsetof(struct plain, inner.udp)
				   : data + offsetof(struct sixin4, inner.udp);
	if ((void *)(ports + 1) > end || *ports != bench_expected.ports) {
		bench_seen.other++;
		return XDP_DROP;
	}
	if (bench_seen.received++ % BENCH_SAMPLE == 0)
		look_closely(ctx);
	return XDP_DROP;
}

/*
 * In front of a device under test: takes answers, as XDP frames where that sends them so. Without it they would go up to a stack that has no
 * route for them, and makes an ICMP error of each, in the time of whoever is measured.
 */
SEC("xdp")
int bench_front(struct xdp_md *ctx)
{
	if (ctx->data_end - ctx->data != BENCH_PLAIN)
		return XDP_PASS;
	bench_seen.returned++;
	return XDP_DROP;
}

SEC("xdp")
int bench_drop(struct xdp_md *ctx)
{
	return XDP_DROP;
}

SEC("xdp")
int bench_redirect(struct xdp_md *ctx)
{
	return bpf_redirect_map(&bench_out, BENCH_DEVICES - 1, XDP_ABORTED);
}

/* Lets a veth device take XDP frames without the GRO that would come with the other way to do it. */
SEC("xdp")
int bench_pass(struct xdp_md *ctx)
{
	return XDP_PASS;
}

/*
 * For BPF_PROG_TEST_RUN, whose repetitions all work on one buffer: puts the frame's start back to where it was, writes a new
 * frame, and goes on with the program under test.
 */
SEC("xdp.frags")
int bench_feed(struct xdp_md *ctx)
{
	if (bpf_xdp_adjust_head(ctx, (int)bpf_xdp_get_buff_len(ctx) - (int)bench_traffic.len))
		return XDP_ABORTED;
	if (!write_frame((void *)(long)ctx->data, (void *)(long)ctx->data_end))
		return XDP_ABORTED;
	bpf_tail_call(ctx, &bench_under_test, 0);
	return XDP_ABORTED;
}

SEC("xdp.frags")
int bench_empty(struct xdp_md *ctx)
{
	return XDP_REDIRECT;
}
