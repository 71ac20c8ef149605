/* SPDX-License-Identifier: GPL-2.0-only */
/* "did you mean": the nearest of some names. */
#pragma once

struct suggest {
	const char *given;
	const char *best; /* NULL: none is near */
	unsigned int distance;
};

/* Offers one candidate; the string must live as long as `s->best` is used. Of equally near ones the first stays. */
void suggest_offer(struct suggest *s, const char *candidate);
