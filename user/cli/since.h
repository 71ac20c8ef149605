/* SPDX-License-Identifier: GPL-2.0-only */
/* A moment of the past: so long before now, or a date and time. */
#pragma once

#include <stdbool.h>

/*
 * "90s", "30m", "1h", "2d", "1w", or ISO 8601: "2026-11-28", "2026-11-28T20:15", with ":30" and a fraction, with "Z" or "+01:00", else
 * local time; a blank serves for the T. now and *ms: milliseconds since 1970. False: it is none of these.
 */
bool since_parse(const char *text, long long now, long long *ms);
