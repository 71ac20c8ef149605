/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Helpers of test_timekeeper*.c: a network namespace of the test's own, a veth pair, and a process at the other end that answers. None of
 * fairlead's programs is there, so the gateways' paths name the other end's MAC.
 *
 *	test: wan 192.0.2.1, 2001:db8::1	----	far process: 192.0.2.2, 2001:db8::2, and the targets on its lo
 *	no route leads to the targets		TCP port 80 listens, port 81 does not; DNS answers, on .54 with REFUSED
 */
#pragma once

#include <net/if.h> /* before <linux/if.h>, which looks whether it is there */

#include "selftests/net/test_system.h"
#include "user/gateway/timekeeper.h"

#define MS 1000000ull
#define GATEWAYS_MAX 10
#define MARK(number) (0xfa170000u | (number))

struct near_gateway {
	struct config_monitor settings;
	struct addr targets[2];
};

extern struct near {
	struct timekeeper *tk;
	/* what is configured */
	struct near_gateway gateways[GATEWAYS_MAX];
	struct timekeeper_gateway plan_gateways[GATEWAYS_MAX];
	struct timekeeper_plan plan;
	/* what the plane was told; written in both threads, under the timekeeper's mutex, and read by tests */
	volatile bool up[GATEWAYS_MAX + 1];
	volatile uint64_t up_ns[GATEWAYS_MAX + 1];
	volatile uint16_t slot0[4], slot6[4]; /* the first for IPv4, for IPv6 */
	volatile uint64_t slot0_ns[4];
	volatile unsigned int changes;
} near;

void near_open(void); /* skips the test without root */
void near_close(void);
uint64_t near_now_ns(void);
/* Runs a command at the far end, and comes back when it is done. */
void near_far(const char *command);

/* One more in the plan, with the number that follows and one target; with near_configure() the plan holds. */
void near_gateway(const char *name, enum config_probe type, uint16_t port, const char *target);
void near_configure(void);

/* In ms, or -1: not within that time */
long near_until_up(unsigned int number, bool wanted, unsigned int ms);
struct timekeeper_gateway_view near_view(const char *name);
const char *near_reason(const char *name);
bool near_reason_has(const char *name, const char *what, unsigned int ms);
