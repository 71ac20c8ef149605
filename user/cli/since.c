// SPDX-License-Identifier: GPL-2.0-only
#include "user/cli/since.h"

#include <ctype.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NUMBER_MAX 9 /* digits before a unit */

/* Up to `max` digits and at least `min`; *text is behind them. -1: they are not there */
static int digits(const char **text, int min, int max)
{
	int n = 0, value = 0;

	while (n < max && isdigit((unsigned char)**text)) {
		value = value * 10 + *(*text)++ - '0';
		n++;
	}
	return n < min ? -1 : value;
}

static bool take(const char **text, char c)
{
	if (**text != c)
		return false;
	(*text)++;
	return true;
}

static bool ago(const char *text, long long now, long long *ms)
{
	static const struct {
		const char *unit;
		int seconds;
	} units[] = {
		{ "s", 1 }, { "m", 60 }, { "min", 60 }, { "h", 3600 }, { "d", 86400 }, { "w", 604800 },
	};
	int n = digits(&text, 1, NUMBER_MAX);

	for (size_t i = 0; n >= 0 && i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(text, units[i].unit))
			continue;
		*ms = now - n * 1000LL * units[i].seconds;
		if (*ms < 0)
			*ms = 0;
		return true;
	}
	return false;
}

/* Z, or hours and minutes from UTC. *east: seconds; false: something else */
static bool zone(const char **text, bool *local, int *east)
{
	int hours, minutes, sign = **text == '-' ? -1 : 1;

	*local = !**text;
	*east = 0;
	if (*local || take(text, 'Z') || take(text, 'z'))
		return true;
	if (!take(text, '+') && !take(text, '-'))
		return false;
	hours = digits(text, 2, 2);
	take(text, ':');
	minutes = **text ? digits(text, 2, 2) : 0;
	*east = sign * (hours * 3600 + minutes * 60);
	return hours >= 0 && hours < 24 && minutes >= 0 && minutes < 60;
}

/* The fraction of a second is passed over: nobody remembers events by it. */
static bool time_of_day(const char **text, struct tm *tm)
{
	tm->tm_hour = digits(text, 2, 2);
	if (!take(text, ':'))
		return false;
	tm->tm_min = digits(text, 2, 2);
	if (take(text, ':'))
		tm->tm_sec = digits(text, 2, 2);
	if (take(text, '.') && digits(text, 1, NUMBER_MAX) < 0)
		return false;
	return tm->tm_hour >= 0 && tm->tm_hour < 24 && tm->tm_min >= 0 && tm->tm_min < 60 && tm->tm_sec >= 0 &&
	       tm->tm_sec < 61;
}

static bool date(const char **text, struct tm *tm)
{
	tm->tm_year = digits(text, 4, 4) - 1900;
	if (!take(text, '-'))
		return false;
	tm->tm_mon = digits(text, 2, 2) - 1;
	if (!take(text, '-'))
		return false;
	tm->tm_mday = digits(text, 2, 2);
	return tm->tm_year >= 70 && tm->tm_mon >= 0 && tm->tm_mon < 12 && tm->tm_mday > 0 && tm->tm_mday < 32;
}

static bool moment(const char *text, long long *ms)
{
	struct tm tm = { .tm_isdst = -1 };
	int east = 0, day;
	bool local = true;
	time_t s;

	if (!date(&text, &tm))
		return false;
	if (*text && !((take(&text, 'T') || take(&text, ' ')) && time_of_day(&text, &tm) && zone(&text, &local, &east)))
		return false;
	day = tm.tm_mday;
	s = local ? mktime(&tm) : timegm(&tm) - east;
	*ms = s * 1000LL;
	return !*text && tm.tm_mday == day && s >= 0; /* else that month has no such day */
}

bool since_parse(const char *text, long long now, long long *ms)
{
	return ago(text, now, ms) || moment(text, ms);
}
