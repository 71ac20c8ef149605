/* SPDX-License-Identifier: GPL-2.0-only */
/* "did you mean": optimal string alignment distance, upper and lower case being the same letter. */
#include "user/config/suggest.h"

#include <ctype.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define SUGGEST_MAX 63 /* longer names get no suggestion */

static unsigned int least(unsigned int a, unsigned int b)
{
	return a < b ? a : b;
}

static bool same(char a, char b)
{
	return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/* Insertions, deletions, changed letters and swapped neighbours from a to b; both at most SUGGEST_MAX long. */
static unsigned int distance(const char *a, size_t la, const char *b, size_t lb)
{
	unsigned int rows[3][SUGGEST_MAX + 1]; /* the last two of the matrix and the one being filled */
	unsigned int *before = rows[0], *last = rows[1], *now = rows[2], *old;
	size_t i, j;

	for (j = 0; j <= lb; j++)
		last[j] = before[j] = (unsigned int)j;
	for (i = 1; i <= la; i++) {
		now[0] = (unsigned int)i;
		for (j = 1; j <= lb; j++) {
			now[j] = least(least(last[j], now[j - 1]) + 1, last[j - 1] + !same(a[i - 1], b[j - 1]));
			if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1]))
				now[j] = least(now[j], before[j - 2] + 1);
		}
		old = before;
		before = last;
		last = now;
		now = old;
	}
	return last[lb];
}

void suggest_offer(struct suggest *s, const char *candidate)
{
	size_t la = strnlen(s->given, SUGGEST_MAX + 1), lb = strnlen(candidate, SUGGEST_MAX + 1);
	size_t limit = la < 6 ? 1 : la / 3; /* more changes than that, and it is another word */
	unsigned int d;

	if (la > SUGGEST_MAX || lb > SUGGEST_MAX || la > lb + limit || lb > la + limit)
		return;
	d = distance(s->given, la, candidate, lb);
	if (d > limit || d >= la || (s->best && d >= s->distance))
		return;
	s->best = candidate;
	s->distance = d;
}
