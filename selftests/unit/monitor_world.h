/* SPDX-License-Identifier: GPL-2.0-only */
/* A monitor, targets that answer it or don't, and a clock of the tests' own. */
#pragma once

#include "user/gateway/monitor.h"

#define MS 1000000ull
#define SECOND (1000 * MS)
#define HOUR (3600 * SECOND)
#define FLIGHT_MAX 512
#define START (1000 * SECOND)

/* What lies between the prober and a target. */
struct line {
	uint64_t rtt_ns, jitter_ns;
	double loss;		   /* of probe or answer */
	double late;		   /* of the answers, that come … */
	uint64_t late_ns;	   /* … up to so much later */
	uint64_t dies_ns, back_ns; /* nothing gets through in between */
};

struct answer {
	uint64_t at_ns;
	unsigned int target;
	uint16_t sequence;
};

struct world {
	struct monitor *m;
	struct config_monitor settings;
	struct addr targets[MONITOR_TARGETS_MAX];
	struct line lines[MONITOR_TARGETS_MAX];
	struct answer flight[FLIGHT_MAX];
	unsigned int in_flight;
	uint64_t now, sent;
	uint64_t random;
	enum monitor_status last;
	unsigned int downs, ups; /* changes to them */
	uint64_t down_ns, up_ns; /* the last ones */
};

extern const bool all_sources[PROBE_SOURCES];

/* With the settings that are the defaults, and lines that lose nothing and take 20 ms */
void world_make(struct world *w, unsigned int n_targets, uint64_t seed);
struct monitor_setup world_setup(const struct world *w);
struct monitor *world_start(struct world *w, const struct monitor_setup *setup);
void world_start_plain(struct world *w);
void world_finish(struct world *w);

/* Up to that time, or to the first change of the status if `change` */
void world_run(struct world *w, uint64_t until, bool change);
void world_run_now(struct world *w);
uint64_t world_first_answer(const struct world *w);
void world_deliver(struct world *w); /* the answers that have come by now */

void world_dies_at(struct world *w, uint64_t ns);
void world_back_at(struct world *w, uint64_t ns);
struct addr world_target(unsigned int i);
const char *world_reason(struct world *w);
