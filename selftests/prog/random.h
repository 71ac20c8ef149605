/* SPDX-License-Identifier: GPL-2.0-only */
/* Numbers that are the same in every run. */
#pragma once

#include <linux/types.h>

/* xorshift64* (Marsaglia, Vigna). *state is not 0. */
static inline __u64 random_next(__u64 *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dULL >> 11;
}
