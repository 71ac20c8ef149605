// SPDX-License-Identifier: GPL-2.0-only
/* Free places in arrays that the programs index: one bit each. */

#include <errno.h>
#include <stdlib.h>

#include "user/datapath/tables.h"

int indices_init(struct indices *indices, uint32_t max)
{
	indices->used = calloc((max + 63) / 64, sizeof(*indices->used));
	if (!indices->used)
		return -ENOMEM;
	indices->max = max;
	indices->next = 1;
	indices->used[0] = 1; /* 0 is none */
	return 0;
}

void indices_free(struct indices *indices)
{
	free(indices->used);
	indices->used = NULL;
}

void indices_take(struct indices *indices, uint32_t index)
{
	if (index < indices->max)
		indices->used[index / 64] |= 1ULL << (index % 64);
}

/* The search never goes back: what is given out by one `struct indices` is not freed through it. */
uint32_t indices_get(struct indices *indices)
{
	for (; indices->next < indices->max; indices->next++) {
		uint32_t index = indices->next;

		if (!(indices->used[index / 64] & 1ULL << (index % 64))) {
			indices_take(indices, index);
			return index;
		}
	}
	return 0;
}
