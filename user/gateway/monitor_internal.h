/* SPDX-License-Identifier: GPL-2.0-only */
/* What monitor.c and monitor_decide.c share. */
#pragma once

#include "user/gateway/monitor.h"
#include "user/gateway/quality.h"

struct monitor_target {
	struct addr address;
	struct quality quality;
	enum monitor_status status; /* unknown, up or down */
	bool has_source, can_send;
	uint64_t open;	 /* number behind the last that was answered */
	uint64_t judged; /* number behind the last that was answered or missed: from `open` on all are missed */
	uint32_t answered_row;
	bool burst; /* under way */
	uint64_t next_ns, quick_ns;
	uint64_t turn_ns;	     /* of the first round: when it is its turn in the interval */
	uint64_t srtt_ns, rttvar_ns; /* srtt 0: never answered */
	enum monitor_detail detail;
	int detail_arg;
	uint64_t detail_until; /* number of the first probe that it says nothing of */
};

enum monitor_measure { MEASURE_LOSS, MEASURE_LATENCY, MEASURES };
enum monitor_level { LEVEL_WARN, LEVEL_FAIL, LEVELS };

struct monitor_alert {
	bool on;
	uint64_t above_ns; /* when it was so last */
};

struct monitor {
	/* the settings */
	uint64_t interval_ns, idle_interval_ns, loss_interval_ns, period_ns, alert_interval_ns, hold_ns;
	uint64_t least_patience_ns, gap_ns;
	uint64_t slack_ns; /* a probe may be sent so much too early, together with another one */
	double limits[MEASURES][LEVELS];
	uint32_t down_after, up_after, quorum;
	bool monitored, metered;
	uint32_t phase;
	size_t ring_size;

	/* facts */
	enum monitor_path path;
	bool unreachable;
	uint64_t settled_ns; /* until then a source that is missing is on its way */
	enum monitor_forced forced;
	bool idle;
	uint64_t hurry_until_ns;

	/* what was decided */
	enum monitor_status measured; /* without monitor_force(): unknown, up or down */
	enum monitor_status status;
	uint64_t since_ns;
	struct monitor_alert alerts[MEASURES][LEVELS];
	uint64_t alert_ns; /* when they are judged next */
	bool held;	   /* it would be up */
	uint64_t held_until_ns;
	uint64_t recovered_ns;	/* 0: never was down */
	uint64_t first_down_ns; /* of those that the hold has grown for */
	uint32_t times_down;

	size_t n_targets;
	struct monitor_target targets[]; /* behind them their rings */
};

uint32_t monitor_missed_row(const struct monitor_target *t);
void monitor_decide(struct monitor *m, uint64_t now_ns);
/* The status by what is measured and by whose hand. */
enum monitor_status monitor_effective(const struct monitor *m);
