// SPDX-License-Identifier: GPL-2.0-only
/* One JSON object: times in ms, those of gaps since the start. */
#include <inttypes.h>

#include "user/probe/probe.h"

static void print_gaps(const struct probe_gaps *gaps, FILE *to)
{
	uint64_t longest = 0, at = 0;

	for (size_t i = 0; i < gaps->n; i++) {
		if (gaps->all[i].ns <= longest)
			continue;
		longest = gaps->all[i].ns;
		at = gaps->all[i].at_ns;
	}
	fprintf(to, ",\"gap_ms\":%" PRIu64 ",\"gap_at_ms\":%" PRIu64 ",\"gaps\":[", longest / PROBE_MS, at / PROBE_MS);
	for (size_t i = 0; i < gaps->n; i++)
		fprintf(to, "%s[%" PRIu64 ",%" PRIu64 "]", i ? "," : "", gaps->all[i].at_ns / PROBE_MS,
			gaps->all[i].ns / PROBE_MS);
	fputc(']', to);
}

static void print_flows(const struct probe_series *s, FILE *to)
{
	size_t held = 0;

	for (size_t i = 0; i < s->n_flows; i++)
		held += probe_flow_held(&s->flows[i]);
	fprintf(to, ",\"flows\":%zu,\"held\":%zu,\"reset\":%zu,\"closed\":%" PRIu64, s->n_flows, held,
		s->n_flows - held, s->closed);
}

static void print_shots(const struct probe_series *s, FILE *to)
{
	fprintf(to,
		",\"every_ms\":%u,\"sent\":%zu,\"lost\":%zu,\"refused\":%" PRIu64 ",\"late\":%" PRIu64
		",\"slowest_ms\":%" PRIu64,
		s->every_ms, s->n_shots, probe_lost(s), s->refused, s->late, s->slowest_ns / PROBE_MS);
}

void probe_print(const struct probe_run *run, FILE *to)
{
	fprintf(to, "{\"probe\":1,\"ms\":%" PRIu64 ",\"series\":[", (run->end_ns - run->start_ns) / PROBE_MS);
	for (size_t i = 0; i < run->n; i++) {
		const struct probe_series *s = &run->series[i];

		fprintf(to, "%s{\"kind\":\"%s\",\"to\":\"%s\"", i ? "," : "", probe_kinds[s->kind], s->name);
		if (s->kind == PROBE_FLOW)
			print_flows(s, to);
		else
			print_shots(s, to);
		print_gaps(&s->gaps, to);
		fputc('}', to);
	}
	fputs("]}\n", to);
}
