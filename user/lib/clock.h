/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once

#include <stdint.h>
#include <time.h>

/* clock_gettime(2) in milliseconds */
static inline long long clock_ms(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

/* The same in microseconds */
static inline uint64_t clock_us(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return ts.tv_sec * 1000000ull + ts.tv_nsec / 1000;
}

/*
 * Jiffies a second, the kernel's CONFIG_HZ, which is in no file on many machines. The coarse clocks tick once a jiffy, and
 * clock_getres(2) says how long that is: 1000000000 / CONFIG_HZ, rounded (TICK_NSEC in include/linux/jiffies.h). 0: can't be told.
 */
static inline uint32_t clock_hz(void)
{
	struct timespec tick;

	if (clock_getres(CLOCK_MONOTONIC_COARSE, &tick) || tick.tv_sec || tick.tv_nsec <= 0)
		return 0;
	return (1000000000 + tick.tv_nsec / 2) / tick.tv_nsec;
}
