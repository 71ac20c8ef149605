// SPDX-License-Identifier: GPL-2.0-only
/*
 * bench PREFIX BUILD WORK OUT: measures in the namespaces PREFIX-* that `run` has made, with the programs in BUILD; writes
 * configurations and logs to WORK and the result to OUT. Exit status 0: all ran, and no packet was lost or wrong.
 */
#include <bpf/libbpf.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "selftests/bench/bench.h"

#define SETTLE_US 2500000 /* what a start needed is given back once a second */

/* Which CPU gets the packets: the last one. */
static int packet_cpu(void)
{
	int n = sysconf(_SC_NPROCESSORS_ONLN);

	if (n < 2)
		die("needs two CPUs: one for the packets, one for the daemons");
	return n - 1;
}

/* Other processes on this CPU wait; the daemons that are started from here don't inherit it. */
static void before_others(void)
{
	const struct sched_param param = { .sched_priority = 1 };

	if (sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &param))
		setpriority(PRIO_PROCESS, 0, -20);
}

static void daemons_start(struct run *r)
{
	start_measured(r, DUT_NATIVE, PATH_NPT, "start_ms");
	start_measured(r, DUT_CLIENTS10K, PATH_CLIENTS10K, "start_10000_ms");
	for (int i = 0; i < DUT_COUNT; i++)
		if (duts[i].fairlead && i < DUT_SOLO && !r->daemons[i] && !(i == DUT_STATES_MANY && r->brief)) {
			daemon_spawn(r, i);
			daemon_wait(r, i, 30);
		}
	usleep(SETTLE_US);
	daemon_memory(r, DUT_NATIVE, "rss_mb");
	daemon_memory(r, DUT_CLIENTS10K, "rss_10000_mb");
	daemon_memory(r, DUT_RULES10K, "rss_rules_mb");
}

static int print_warnings(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	return level == LIBBPF_WARN ? vfprintf(stderr, fmt, ap) : 0;
}

/* One router alone */
static void datapath_measured(struct run *r)
{
	daemons_start(r);
	if (!r->brief)
		gateways_peer_start(r);
	if (json_array_size(r->complaints))
		return;
	flows_fill(r, PATH_STATES_MANY);
	rounds_run(r);
	programs_time(r);
	flows_memory(r);
	applies_measured(r);
	restart_measured(r, DUT_CLIENTS10K, PATH_CLIENTS10K);
	usleep(SETTLE_US);
	daemon_memory(r, DUT_CLIENTS10K, "rss_10000_after_restart_mb");
	gateways_measured(r);
	programs_verify(r);
	daemons_stop(r); /* a pair has enough with itself */
}

int main(int argc, char **argv)
{
	struct run *r = calloc(1, sizeof(*r));
	const char *brief = getenv("BENCH_SHORT"), *rounds = getenv("BENCH_ROUNDS"), *only = getenv("BENCH_ONLY");
	bool good;

	if (!r || argc != 5)
		die("usage: bench PREFIX BUILD WORK OUT; it is selftests/bench/run that calls it");
	r->prefix = argv[1];
	r->build = argv[2];
	r->work = argv[3];
	r->brief = brief && strcmp(brief, "0") != 0;
	r->pair_only = only && strcmp(only, "pair") == 0;
	r->rounds = r->brief ? 2 : rounds ? atoi(rounds) : 9;
	if (r->rounds < 1 || r->rounds > ROUNDS_MAX)
		die("BENCH_ROUNDS: 1 to %d", ROUNDS_MAX);
	r->facts = json_object();
	r->series = json_object();
	r->missing = json_object();
	r->complaints = json_array();
	getloadavg(&r->load, 1);
	r->cpu = packet_cpu();
	r->beside = !r->cpu;
	pin_to_cpu(r->cpu);
	if (!r->brief)
		before_others();
	libbpf_set_print(print_warnings);
	config_secrets(r->work);
	live_open(r);
	if (!r->pair_only)
		datapath_measured(r);
	pair_measured(r);
	failover_measured(r);
	rows_print(r);
	if (rows_write(r, argv[4]))
		complain(r, "cannot write %s", argv[4]);
	daemons_stop(r);
	live_close(r);
	good = r->brief ? rows_test(r) : !json_array_size(r->complaints);
	json_decref(r->facts);
	json_decref(r->series);
	json_decref(r->missing);
	json_decref(r->complaints);
	free(r);
	return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
