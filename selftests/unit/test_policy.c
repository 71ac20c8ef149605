/* SPDX-License-Identifier: GPL-2.0-only */
/* What right rules and all that belongs to them become. What is wrong with wrong ones is in config/invalid. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <syslog.h>

#include "selftests/unit/config_of.h"

#define WAN "'interfaces':{'wan':{'device':'eth0'}}"

/* ---- states and logs ---- */

/* All timeouts of a configuration with these members. */
static void expect_timeouts(const char *members, const uint32_t expected[CONFIG_TIMEOUTS])
{
	char text[256];
	struct config *c;
	size_t i;

	snprintf(text, sizeof(text), "{" WAN "%s}", members);
	c = config_of(text);
	for (i = 0; i < CONFIG_TIMEOUTS; i++)
		cr_expect_eq(c->timeouts_s[i], expected[i], "%s: number %zu is %u", members, i, c->timeouts_s[i]);
	config_free(c);
}
#define TIMEOUTS(members, ...) expect_timeouts(members, (const uint32_t[CONFIG_TIMEOUTS]){ __VA_ARGS__ })

Test(policy, timeouts)
{
	TIMEOUTS("", 120, 30, 86400, 900, 45, 90, 60, 30, 60, 20, 10, 60, 30, 60);
	TIMEOUTS(",'optimization':'normal'", 120, 30, 86400, 900, 45, 90, 60, 30, 60, 20, 10, 60, 30, 60);
	TIMEOUTS(",'optimization':'conservative'", 3600, 900, 432000, 3600, 600, 180, 60, 30, 60, 20, 10, 60, 30, 60);
	TIMEOUTS(",'optimization':'aggressive'", 30, 5, 18000, 60, 30, 30, 60, 30, 60, 20, 10, 60, 30, 60);
	TIMEOUTS(",'optimization':'high-latency'", 180, 35, 86400, 905, 50, 95, 60, 30, 60, 20, 10, 60, 30, 60);
	TIMEOUTS(",'optimization':'aggressive','timeouts_s':{'tcp_established':86400,'other_multiple':1}", 30, 5, 86400,
		 60, 30, 30, 60, 30, 60, 20, 10, 60, 30, 1);
}

Test(policy, limits_and_log)
{
	struct config *c = config_of("{" WAN "}");

	cr_expect_eq(c->states, 0u);
	cr_expect_eq(c->log.events, CONFIG_LOG_SYSLOG);
	cr_expect_eq(c->log.packets, CONFIG_LOG_NONE);
	cr_expect_eq(c->log.facility, LOG_DAEMON);
	config_free(c);
	c = config_of("{" WAN
		      ",'limits':{'states':10000000},'log':{'events':'none','packets':'syslog','facility':'local7'}}");
	cr_expect_eq(c->states, 10000000u);
	cr_expect_eq(c->log.events, CONFIG_LOG_NONE);
	cr_expect_eq(c->log.packets, CONFIG_LOG_SYSLOG);
	cr_expect_eq(c->log.facility, LOG_LOCAL7);
	config_free(c);
}
