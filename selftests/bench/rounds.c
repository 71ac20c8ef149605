// SPDX-License-Identifier: GPL-2.0-only
/* Rounds: each measures every path once, in turn (A B C A B C ...). A round in which the hypervisor took time away is not used. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "selftests/bench/bench.h"

#define STEAL_PCT 1.0 /* a round with more is not used */

struct cpu_times {
	unsigned long long total, steal; /* in ticks of /proc/stat */
};

static struct cpu_times cpu_times(int cpu)
{
	struct cpu_times times = {};
	unsigned long long v[8];
	char line[512], name[16];
	FILE *file = fopen("/proc/stat", "r");

	snprintf(name, sizeof(name), "cpu%d ", cpu);
	while (file && fgets(line, sizeof(line), file)) {
		if (strncmp(line, name, strlen(name)) != 0)
			continue;
		if (sscanf(line + strlen(name), "%llu %llu %llu %llu %llu %llu %llu %llu", &v[0], &v[1], &v[2], &v[3],
			   &v[4], &v[5], &v[6], &v[7]) != 8)
			break;
		for (int i = 0; i < 8; i++)
			times.total += v[i];
		times.steal = v[7];
	}
	if (file)
		fclose(file);
	return times;
}

static double round_run(struct run *r, double seconds, double ns[PATH_COUNT], double cold[PATH_COUNT])
{
	struct cpu_times before = cpu_times(r->cpu), after;

	for (int p = 0; p < PATH_COUNT; p++) {
		ns[p] = cold[p] = NAN;
		if (!r->without[p])
			ns[p] = live_measure(r, p, seconds, &cold[p]);
	}
	after = cpu_times(r->cpu);
	if (after.total == before.total)
		return 0;
	return 100.0 * (after.steal - before.steal) / (after.total - before.total);
}

void rounds_run(struct run *r)
{
	const double seconds = r->brief ? 0.05 : 0.5;
	const int tries = r->brief ? r->rounds : 2 * r->rounds;
	double ns[PATH_COUNT], cold[PATH_COUNT], steal, sum = 0;

	for (int i = 0; i < tries && r->n_rounds < r->rounds; i++) {
		steal = round_run(r, seconds, ns, cold);
		if (steal > r->steal_max_pct)
			r->steal_max_pct = steal;
		if (steal > STEAL_PCT && !r->brief) {
			r->n_discarded++;
			continue;
		}
		sum += steal;
		for (int p = 0; p < PATH_COUNT; p++) {
			r->ns[p][r->n_rounds] = ns[p];
			r->cold[p][r->n_rounds] = cold[p];
		}
		r->n_rounds++;
	}
	r->steal_pct = r->n_rounds ? sum / r->n_rounds : 0;
}
