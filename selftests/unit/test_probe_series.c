// SPDX-License-Identifier: GPL-2.0-only
/* What fairlead-probe takes for a gap, and what it is told to send. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "user/probe/probe.h"

Test(probe_series, are_parsed)
{
	static const char *const wrong[] = { "ping",
					     "ping=",
					     "ping=192.0.2.1:80",
					     "pong=192.0.2.1",
					     "connect=192.0.2.1",
					     "connect=192.0.2.1:0",
					     "connect=192.0.2.1:65536",
					     "connect=2001:db8::1",
					     "connect=[2001:db8::1]",
					     "ping=192.0.2.1@0",
					     "flow=192.0.2.1:80@33",
					     "ping=host" };
	struct probe_series s;

	cr_assert(probe_series_parse(&s, "ping=192.0.2.1"));
	cr_expect(s.kind == PROBE_PING && s.every_ms == 10 && s.to.sa.sa_family == AF_INET);
	free((char *)s.name);
	cr_assert(probe_series_parse(&s, "connect=[2001:db8::1]:443@100"));
	cr_expect(s.kind == PROBE_CONNECT && s.every_ms == 100 && ntohs(s.to.v6.sin6_port) == 443);
	cr_expect_str_eq(s.name, "[2001:db8::1]:443");
	free((char *)s.name);
	cr_assert(probe_series_parse(&s, "ping=2001:db8::1@20"));
	cr_expect(s.every_ms == 20 && s.to.sa.sa_family == AF_INET6);
	free((char *)s.name);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		cr_expect_not(probe_series_parse(&s, wrong[i]), "%s", wrong[i]);
}

/* One each 10 ms from 0 on: answered in time '.', too late 'l', not at all 'x', still waited for '?' */
static void expect_gaps(const char *what, size_t n, uint64_t at_ms, uint64_t ms)
{
	static struct probe_run run;
	struct probe_shot shots[32] = {};
	struct probe_series s = { .run = &run, .shots = shots };

	run = (struct probe_run){ .start_ns = PROBE_MS };
	for (; what[s.n_shots]; s.n_shots++) {
		char c = what[s.n_shots];

		shots[s.n_shots] = (struct probe_shot){ .sent_ns = (s.n_shots * 10 + 1) * PROBE_MS,
							.answered = c == '.' || c == 'l',
							.late = c == 'l',
							.over = c != '?' };
	}
	run.now_ns = run.end_ns = (s.n_shots * 10 + 1) * PROBE_MS;
	probe_series_settle(&s);
	if (!strchr(what, '?'))
		probe_series_end(&s);
	cr_expect_eq(s.gaps.n, n, "%s: %zu", what, s.gaps.n);
	if (n)
		cr_expect(s.gaps.all[n - 1].at_ns == at_ms * PROBE_MS && s.gaps.all[n - 1].ns == ms * PROBE_MS,
			  "%s: %llu at %llu", what, (unsigned long long)(s.gaps.all[n - 1].ns / PROBE_MS),
			  (unsigned long long)(s.gaps.all[n - 1].at_ns / PROBE_MS));
}

Test(probe_series, have_gaps)
{
	expect_gaps("......", 0, 0, 0);
	expect_gaps("..x...", 1, 20, 10);
	expect_gaps("..xllx..", 1, 20, 40);
	expect_gaps(".x..xx.", 2, 40, 20);
	expect_gaps("...xxx", 1, 30, 30); /* until the end */
	expect_gaps("..x?..", 0, 0, 0);	  /* who comes after it is known already, but not whether it ends the gap */
}

Test(probe_series, remember_the_longest_gaps)
{
	struct probe_gaps gaps = { .n = 0 };
	uint64_t shortest = UINT64_MAX;

	for (uint64_t i = 1; i <= 2 * PROBE_GAPS_MAX; i++)
		probe_gap_add(&gaps, i, i);
	cr_expect_eq(gaps.n, PROBE_GAPS_MAX);
	for (size_t i = 0; i < gaps.n; i++)
		shortest = gaps.all[i].ns < shortest ? gaps.all[i].ns : shortest;
	cr_expect_eq(shortest, PROBE_GAPS_MAX + 1);
}
