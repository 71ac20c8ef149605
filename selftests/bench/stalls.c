// SPDX-License-Identifier: GPL-2.0-only
#include "selftests/bench/failover.h"

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#define WATCHED 2

volatile struct stalls *stalls;
static pid_t watchers[WATCHED];

static void watch(volatile struct stalls *s, int cpu)
{
	const struct sched_param param = { .sched_priority = 60 };
	uint64_t next = now_ns(), late;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	pin_to_cpu(cpu);
	sched_setscheduler(0, SCHED_FIFO, &param);
	for (;;) {
		struct timespec until;

		next += EVERY_NS;
		until = (struct timespec){ next / 1000000000, next % 1000000000 };
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
		late = now_ns() - next;
		if (late > s->worst_ns)
			s->worst_ns = late;
		s->n += late > STALL_NS;
		if (late > EVERY_NS)
			next += late;
	}
}

void watch_start(const struct run *r)
{
	void *shared = mmap(NULL, WATCHED * sizeof(*stalls), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (shared == MAP_FAILED)
		die("no memory");
	stalls = shared;
	for (int i = 0; i < WATCHED && !r->brief; i++) {
		watchers[i] = forked();
		if (!watchers[i])
			watch(&stalls[i], i ? r->cpu : !r->cpu);
	}
}

void watch_end(void)
{
	for (int i = 0; i < WATCHED; i++)
		if (watchers[i]) {
			kill(watchers[i], SIGKILL);
			waitpid(watchers[i], NULL, 0);
		}
}

void watch_anew(void)
{
	for (int i = 0; i < WATCHED; i++)
		stalls[i].worst_ns = stalls[i].n = 0;
}

double watch_worst_ms(void)
{
	return (stalls[0].worst_ns > stalls[1].worst_ns ? stalls[0] : stalls[1]).worst_ns / 1e6;
}
