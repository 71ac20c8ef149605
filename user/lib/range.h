/* SPDX-License-Identifier: GPL-2.0-only */
/* Ranges of addresses, to which prefixes come down, and of port numbers; both ends belong to them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "user/lib/addr.h"

struct addr_range {
	struct addr first, last; /* of one family */
};

struct port_range {
	uint16_t first, last;
};

struct addr_range addr_range_of(const struct prefix *p); /* from the network's first address to its last */
bool addr_range_contains(const struct addr_range *outer, const struct addr_range *inner);

/*
 * Sorts in place, by family and then by address, and makes one of those that overlap or follow each other without a gap.
 * The new number of them, the first of the array.
 */
size_t addr_ranges_merge(struct addr_range *ranges, size_t n);
size_t port_ranges_merge(struct port_range *ranges, size_t n);
