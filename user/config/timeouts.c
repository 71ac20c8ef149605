/* SPDX-License-Identifier: GPL-2.0-only */
/* pf's timeouts. The sets are those of OpenBSD's pfctl, which change TCP's only; its other names: satellite, default. */
#include "user/config/policy.h"

#include <stddef.h>

static const uint32_t normal[CONFIG_TIMEOUTS] = {
	[CONFIG_TCP_FIRST] = 120,   [CONFIG_TCP_OPENING] = 30,	  [CONFIG_TCP_ESTABLISHED] = 86400,
	[CONFIG_TCP_CLOSING] = 900, [CONFIG_TCP_FINWAIT] = 45,	  [CONFIG_TCP_CLOSED] = 90,
	[CONFIG_UDP_FIRST] = 60,    [CONFIG_UDP_SINGLE] = 30,	  [CONFIG_UDP_MULTIPLE] = 60,
	[CONFIG_ICMP_FIRST] = 20,   [CONFIG_ICMP_ERROR] = 10,	  [CONFIG_OTHER_FIRST] = 60,
	[CONFIG_OTHER_SINGLE] = 30, [CONFIG_OTHER_MULTIPLE] = 60,
};

/* 0: as normal */
static const uint32_t sets[][CONFIG_TIMEOUTS] = {
	[CONFIG_NORMAL] = { 0 },
	[CONFIG_CONSERVATIVE] = {
		[CONFIG_TCP_FIRST] = 3600, [CONFIG_TCP_OPENING] = 900, [CONFIG_TCP_ESTABLISHED] = 432000,
		[CONFIG_TCP_CLOSING] = 3600, [CONFIG_TCP_FINWAIT] = 600, [CONFIG_TCP_CLOSED] = 180,
	},
	[CONFIG_AGGRESSIVE] = {
		[CONFIG_TCP_FIRST] = 30, [CONFIG_TCP_OPENING] = 5, [CONFIG_TCP_ESTABLISHED] = 18000,
		[CONFIG_TCP_CLOSING] = 60, [CONFIG_TCP_FINWAIT] = 30, [CONFIG_TCP_CLOSED] = 30,
	},
	[CONFIG_HIGH_LATENCY] = {
		[CONFIG_TCP_FIRST] = 180, [CONFIG_TCP_OPENING] = 35, [CONFIG_TCP_ESTABLISHED] = 86400,
		[CONFIG_TCP_CLOSING] = 905, [CONFIG_TCP_FINWAIT] = 50, [CONFIG_TCP_CLOSED] = 95,
	},
};

void config_timeouts_complete(uint32_t timeouts_s[CONFIG_TIMEOUTS], enum config_optimization set)
{
	size_t i;

	for (i = 0; i < CONFIG_TIMEOUTS; i++) {
		if (!timeouts_s[i])
			timeouts_s[i] = sets[set][i] ? sets[set][i] : normal[i];
	}
}
