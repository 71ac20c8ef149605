// SPDX-License-Identifier: GPL-2.0-only
/*
 * The programs alone: what the verifier takes to load them, and what a packet costs in fl_xdp by BPF_PROG_TEST_RUN, without
 * generator, devices and redirect. bench_feed writes a new frame and tail-calls; the same with a program that does nothing
 * is taken off.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fairlead/maps.h"
#include "selftests/bench/bench.h"
#include "user/lib/clock.h"

#include "bench.skel.h"
#include "tc.skel.h"
#include "xdp.skel.h"

#define BPF_LOG_STATS 4
#define LOG_SIZE 65536
#define PROGRAMS_MAX 8 /* of one object */
#define TIMES 30       /* the best counts */

/* Maps of its own: none of a running daemon's. */
static void unpin(struct bpf_object *object)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, object) bpf_map__set_pin_path(map, NULL);
}

static void log_read(struct run *r, const char *program, const char *log, double *total_ms)
{
	const char *time = strstr(log, "verification time "), *insns = strstr(log, "processed ");
	char name[64];

	if (!time || !insns) {
		complain(r, "the verifier says nothing of %s", program);
		return;
	}
	snprintf(name, sizeof(name), "verify_%s_ms", program);
	fact(r, name, atof(time + strlen("verification time ")) / 1000);
	*total_ms += atof(time + strlen("verification time ")) / 1000;
	snprintf(name, sizeof(name), "verify_%s_insns", program);
	fact(r, name, atof(insns + strlen("processed ")));
}

static void verify(struct run *r, struct bpf_object *object, double *total_ms)
{
	struct bpf_program *prog;
	char *logs = calloc(PROGRAMS_MAX, LOG_SIZE);
	size_t n = 0;

	if (!logs)
		die("no memory");
	unpin(object);
	bpf_object__for_each_program(prog, object)
	{
		if (n == PROGRAMS_MAX)
			die("%s has more programs than expected", bpf_object__name(object));
		bpf_program__set_log_level(prog, BPF_LOG_STATS);
		bpf_program__set_log_buf(prog, logs + n++ * LOG_SIZE, LOG_SIZE);
	}
	if (bpf_object__load(object))
		complain(r, "the kernel does not take the programs of %s", bpf_object__name(object));
	n = 0;
	bpf_object__for_each_program(prog, object)
		log_read(r, bpf_program__name(prog), logs + n++ * LOG_SIZE, total_ms);
	free(logs);
}

void programs_verify(struct run *r)
{
	struct xdp *xdp = xdp__open();
	struct tc *tc = tc__open();
	double total_ms = 0;

	if (!xdp || !tc)
		die("cannot open the programs: %s", strerror(errno));
	xdp->rodata->fl_decap_l3 = tc->rodata->fl_decap_l3 = true;
	xdp->rodata->fl_hz = tc->rodata->fl_hz = clock_hz();
	verify(r, xdp->obj, &total_ms);
	verify(r, tc->obj, &total_ms);
	fact(r, "verify_ms", total_ms);
	xdp__destroy(xdp);
	tc__destroy(tc);
}

/* Nanoseconds of one repetition, with the program `fd` behind bench_feed. */
static double time_once(struct run *r, int fd, uint32_t ifindex, uint32_t repeat)
{
	const uint32_t zero = 0;
	const struct bench_traffic *traffic = &r->skel->bss->bench_traffic;
	struct xdp_md ctx = { .data_end = traffic->len, .ingress_ifindex = ifindex };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = traffic->frame, .data_size_in = traffic->len, .ctx_in = &ctx,
		    .ctx_size_in = sizeof(ctx), .repeat = repeat);

	if (bpf_map__update_elem(r->skel->maps.bench_under_test, &zero, sizeof(zero), &fd, sizeof(fd), 0))
		die("cannot call the program under test: %s", strerror(errno));
	if (bpf_prog_test_run_opts(bpf_program__fd(r->skel->progs.bench_feed), &opts))
		die("the program under test does not run: %s", strerror(errno));
	if (opts.retval != XDP_REDIRECT)
		complain(r, "the program under test says %u instead of XDP_REDIRECT", opts.retval);
	return opts.duration;
}

static void time_program(struct run *r, enum path_id path, const char *fact_name)
{
	const uint32_t repeat = r->brief ? 10000 : 100000;
	double best = 1e9, empty = 1e9, ns;
	char pin[256];
	uint32_t r0;
	int fd;

	snprintf(pin, sizeof(pin), "/sys/fs/bpf/fairlead/%s-%s/prog_fl_xdp", r->prefix, duts[paths[path].dut].name);
	fd = bpf_obj_get(pin);
	if (fd < 0)
		die("cannot open %s: %s", pin, strerror(errno));
	netns_enter(r, duts[paths[path].dut].name);
	r0 = ifindex_of("r%s", "0");
	live_select(r, path);
	for (int i = 0; i < TIMES; i++) {
		ns = time_once(r, bpf_program__fd(r->skel->progs.bench_empty), r0, repeat);
		empty = ns < empty ? ns : empty;
		ns = time_once(r, fd, r0, repeat);
		best = ns < best ? ns : best;
	}
	close(fd);
	fact(r, fact_name, best - empty);
}

void programs_time(struct run *r)
{
	time_program(r, PATH_PLAIN, "program_plain_ns");
	time_program(r, PATH_NPT, "program_npt_ns");
	time_program(r, PATH_DECAP, "program_decap_ns");
	time_program(r, PATH_TUNNELS, "program_tunnels_ns");
	time_program(r, PATH_CLIENTS1, "program_clients_1_ns");
	time_program(r, PATH_CLIENTS10K, "program_clients_10000_ns");
	time_program(r, PATH_NPT256, "program_npt_256_ns");
	time_program(r, PATH_PLAIN_64K, "program_plain_64k_ns");
}
