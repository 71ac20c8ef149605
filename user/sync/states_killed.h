/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Connections of peers that were ended here of late, by what they are and not by slots: while a peer begins to tell all it has, nobody knows in
 * which slots it will, and what is on its way was sent before it heard of the end. Whose record comes all the same is to end it again.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "fairlead/state.h"

#define KILLED_S 60 /* so long behind the last one, and until peers have told all … */
#define KILLED_AWAY_S \
	(7 * 24 * 3600) /* … or so long: longer than any of pf's timeouts, and less than jiffies can tell */

struct killed_one {
	struct fl_tuple tuple;
	uint32_t at; /* jiffies */
	bool is, reset;
};

/* Zeros: none. */
struct killed {
	struct killed_one *all; /* a hash, open */
	uint32_t n, size;	/* size: 0, or a power of two */
	uint32_t last;		/* jiffies: when one was added */
};

/* reset: its ends are to get TCP resets. One more than `most`, or than there is memory for, is left out. */
void killed_add(struct killed *killed, const struct fl_tuple *tuple, uint32_t now, bool reset, uint32_t most);
/* One that was made before it was ended here. NULL: none is */
const struct killed_one *killed_find(const struct killed *killed, const struct fl_tuple *tuple, uint32_t made);
void killed_free(struct killed *killed);
