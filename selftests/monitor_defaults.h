/* SPDX-License-Identifier: GPL-2.0-only */
/* A gateway's monitor as a configuration has it that says nothing of it (monitor_keys of user/config/tables_gateways.c), for tests. */
#pragma once

#include "user/config/config.h"

static inline struct config_monitor monitor_defaults(void)
{
	return (struct config_monitor){ .interval_ms = 500,
					.loss_interval_ms = 2000,
					.period_ms = 60000,
					.alert_interval_ms = 1000,
					.latency_ms = { 200, 500 },
					.loss_pct = { 10, 20 },
					.down_after = 3,
					.up_after = 5,
					.quorum = 1,
					.idle_interval_ms = 10000 };
}
