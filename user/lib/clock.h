/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once

#include <time.h>

/* clock_gettime(2) in milliseconds */
static inline long long clock_ms(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}
