/* SPDX-License-Identifier: GPL-2.0-only */
/* Who knows the names of what events have numbers of. */
#pragma once

struct observe_names {
	/* Its interface or tunnel; NULL: nobody knows (any more). */
	const char *(*port)(void *arg, unsigned int number);
	/* The rule of this id, and its index as in `show rules` (-1: has none); NULL: nobody knows. Not asked for 0. */
	const char *(*rule)(void *arg, unsigned int id, int *index);
	void *arg;
};
