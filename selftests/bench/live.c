// SPDX-License-Identifier: GPL-2.0-only
/*
 * Real packets: BPF_PROG_TEST_RUN with BPF_F_TEST_XDP_LIVE_FRAMES runs the generator, whose frames the kernel redirects out of
 * g-DUT, over r0 and r1, to s-DUT where the sink counts them. All of it happens in this thread, between two batches.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "selftests/bench/bench.h"

#include "bench.skel.h"

#define CALIBRATION 128 /* batches; by their time the length of the measurement is chosen */

static void attach(const struct bpf_program *prog, uint32_t ifindex, const char *where)
{
	int err =
		bpf_xdp_attach(ifindex, bpf_program__fd(prog), XDP_FLAGS_DRV_MODE | XDP_FLAGS_UPDATE_IF_NOEXIST, NULL);

	if (err)
		die("cannot attach %s to %s: %s", bpf_program__name(prog), where, strerror(-err));
}

static void out_set(const struct run *r, uint32_t slot, uint32_t ifindex)
{
	if (bpf_map__update_elem(r->skel->maps.bench_out, &slot, sizeof(slot), &ifindex, sizeof(ifindex), 0))
		die("cannot send by device %u: %s", ifindex, strerror(errno));
}

/* In the device under test's namespace. */
static void r0_attach(struct run *r, const struct dut *dut)
{
	switch (dut->r0) {
	case R0_FAIRLEAD:
		break;
	case R0_DROP:
		attach(r->skel->progs.bench_drop, ifindex_of("r%s", "0"), "r0");
		break;
	case R0_REDIRECT:
		out_set(r, BENCH_DEVICES - 1, ifindex_of("r%s", "1"));
		attach(r->skel->progs.bench_redirect, ifindex_of("r%s", "0"), "r0");
		break;
	case R0_PASS:
		attach(r->skel->progs.bench_pass, ifindex_of("r%s", "0"), "r0");
		attach(r->skel->progs.bench_pass, ifindex_of("r%s", "1"), "r1"); /* for answers */
		break;
	}
}

void live_open(struct run *r)
{
	r->skel = bench__open_and_load();
	if (!r->skel)
		die("the kernel does not take the benchmark's programs: %s", strerror(errno));
	for (int i = 0; i < DUT_COUNT; i++) {
		netns_enter(r, "sink");
		attach(r->skel->progs.bench_sink, ifindex_of("s-%s", duts[i].name), "the sink");
		out_set(r, BENCH_BEHIND + i, ifindex_of("s-%s", duts[i].name));
		netns_enter(r, duts[i].name);
		r0_attach(r, &duts[i]);
		netns_enter(r, "gen");
		attach(r->skel->progs.bench_front, ifindex_of("g-%s", duts[i].name), "the generator's side");
		out_set(r, i, ifindex_of("g-%s", duts[i].name));
	}
}

void live_close(struct run *r)
{
	bench__destroy(r->skel);
}

void live_select(struct run *r, enum path_id path)
{
	path_traffic(&paths[path], &r->skel->bss->bench_traffic, &r->skel->bss->bench_expected);
	memset(&r->skel->bss->bench_seen, 0, sizeof(r->skel->bss->bench_seen));
	r->skel->bss->bench_sequence = 0;
}

/* The call itself takes some 30 ms, whatever it sends. */
static void live_send(struct run *r, uint32_t packets)
{
	const struct bench_traffic *traffic = &r->skel->bss->bench_traffic;
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = traffic->frame, .data_size_in = traffic->len, .repeat = packets,
		    .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .batch_size = BENCH_BATCH);

	if (bpf_prog_test_run_opts(bpf_program__fd(r->skel->progs.bench_generate), &opts))
		die("the generator does not run: %s", strerror(errno));
}

uint64_t live_received(const struct run *r)
{
	return ((volatile struct bench_seen *)&r->skel->bss->bench_seen)->received;
}

static uint64_t returned(const struct run *r)
{
	return ((volatile struct bench_seen *)&r->skel->bss->bench_seen)->returned;
}

/* Sends `batches` and one more, and says how long a packet took, the last batch not counted. */
static double time_batches(struct run *r, uint32_t batches)
{
	struct bench_clock *clock = &r->skel->bss->bench_clock;

	*clock = (struct bench_clock){ .last = batches * BENCH_BATCH };
	live_send(r, (batches + 1) * BENCH_BATCH);
	if (!clock->first_ns || clock->last_ns <= clock->first_ns)
		die("the generator's clock did not run");
	return (double)(clock->last_ns - clock->first_ns) / (batches * BENCH_BATCH);
}

void live_fill(struct run *r, enum path_id path, uint32_t first, uint32_t flows)
{
	struct bench_traffic *traffic = &r->skel->bss->bench_traffic;

	live_select(r, path);
	traffic->sequential = true;
	traffic->first = first;
	live_send(r, flows);
	path_answers(&paths[path], traffic);
	traffic->sequential = true;
	traffic->first = first;
	r->skel->bss->bench_sequence = 0;
	live_send(r, flows);
	live_select(r, path);
}

double live_burst(struct run *r, enum path_id path, uint32_t flows, uint64_t *lost)
{
	const uint32_t batches = flows / BENCH_BATCH - 1;
	struct bench_traffic *traffic = &r->skel->bss->bench_traffic;
	double ns;

	live_select(r, path);
	ns = time_batches(r, batches);
	*lost = (batches + 1ULL) * BENCH_BATCH - live_received(r);
	path_answers(&paths[path], traffic);
	traffic->sequential = true;
	r->skel->bss->bench_sequence = 0;
	ns += time_batches(r, batches);
	*lost += (batches + 1ULL) * BENCH_BATCH - returned(r);
	return ns;
}

/*
 * Sends each flow's first packets, which take the slow path wherever there is one, and then as many again, for those that the
 * generator's order left out. Nanoseconds a packet of the first lot, most of which are first packets.
 */
static double warm_up(struct run *r, enum path_id path)
{
	const uint32_t batches = paths[path].flows / BENCH_BATCH + 1;
	double cold;

	if (paths[path].states == STATES_FILLED || paths[path].states == STATES_NEW)
		return NAN;
	if (paths[path].states == STATES_ESTABLISHED)
		live_fill(r, path, 0, paths[path].flows);
	live_select(r, path);
	cold = time_batches(r, batches);
	live_send(r, batches * BENCH_BATCH);
	return cold;
}

static void print_frame(const char *what, const __u64 *words, uint32_t len)
{
	const uint8_t *bytes = (const uint8_t *)words;

	fprintf(stderr, "  %-10s", what);
	for (uint32_t i = 0; i < len; i++)
		fprintf(stderr, "%02x%s", bytes[i], i % 2 && i + 1 < len ? " " : "");
	fputc('\n', stderr);
}

static void complain_wrong(struct run *r, enum path_id path)
{
	const struct bench_expected *expected = &r->skel->bss->bench_expected;
	const struct bench_seen *seen = &r->skel->bss->bench_seen;

	complain(r, "%s: %llu of %llu packets looked at are wrong", paths[path].text, seen->wrong, seen->checked);
	print_frame("the last", seen->bad_frame, expected->len & ~7u);
	print_frame("expected", expected->frame, expected->len & ~7u);
	print_frame("under mask", expected->mask, expected->len & ~7u);
}

double live_measure(struct run *r, enum path_id path, double seconds, double *cold)
{
	struct bench_seen *seen = &r->skel->bss->bench_seen;
	uint32_t batches;
	uint64_t packets;
	double ns;

	*cold = warm_up(r, path);
	if (paths[path].states == STATES_NEW) {
		flows_forget(r, paths[path].dut);
		batches = paths[path].flows / BENCH_BATCH - 1;
	} else {
		live_select(r, path);
		ns = time_batches(r, CALIBRATION);
		batches = seconds * 1e9 / (ns * BENCH_BATCH) + 1;
	}
	live_select(r, path);
	ns = time_batches(r, batches);
	packets = (batches + 1ULL) * BENCH_BATCH;
	r->sent[path] += packets;
	if (paths[path].out == OUT_NOTHING) {
		r->received[path] += seen->received;
		if (seen->received)
			complain(r, "%s: %llu packets came through", paths[path].text, seen->received);
		return ns;
	}
	r->received[path] += seen->received;
	r->checked[path] += seen->checked;
	r->wrong[path] += seen->wrong;
	if (seen->received != packets)
		complain(r, "%s: %llu packets sent, %llu received, %llu others", paths[path].text,
			 (unsigned long long)packets, seen->received, seen->other);
	if (seen->wrong)
		complain_wrong(r, path);
	return ns;
}
