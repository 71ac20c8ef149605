/* SPDX-License-Identifier: GPL-2.0-only */
/* Routes of the main table as rtnetlink messages; all that are made here bear fairlead's protocol number. */
#pragma once

#include "user/system/system.h"

struct route_entry {
	struct system_route route;
	uint8_t type; /* RTN_* */
	uint8_t tos;
	uint32_t nexthop; /* id of a nexthop object; 0: none. Not of our making, but may bear our number */
	uint8_t protocol; /* RTPROT_* */
	bool dead;	  /* the kernel does not use it */
	int32_t left;	  /* clock ticks for user space until it expires, 0: it does not, below: it has */
	int8_t rank;	  /* of an advertised default: 1 preferred, -1 avoided (RFC 4191) */
};

/* All of ours, or all others'; a multipath route as one entry for each of its next hops. *out is malloc'ed. */
int route_dump(struct system *s, bool ours, struct route_entry **out, size_t *n);

/* `how`: NLM_F_EXCL (the only one of its destination and metric) or NLM_F_APPEND (beside those that are there). */
int route_add(struct system *s, const struct route_entry *entry, int how);
/* Exactly that one; 0 when it is not there. */
int route_delete(struct system *s, const struct route_entry *entry);
