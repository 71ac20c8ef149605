/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A group of gateways: which of its members carry now, and how they share the work. For each family by itself, of the members that take it:
 * the others are none.
 *
 * The lowest tier with a usable member carries. What goes by the group takes one of its slots, by a hash: each slot names the gateway. The
 * members of a tier have slots by their weights; those of one that is out go to the others by their weights, which keep their own, so that
 * only what went by the lost one moves; back again, it has its old ones. Nothing here allocates.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "user/config/config.h"

#define GROUP_SLOTS 60 /* divided evenly by most small numbers */

/* What of a gateway counts. */
enum group_health {
	GROUP_UNKNOWN, /* it will be known soon; not usable until then */
	GROUP_DOWN,
	GROUP_UP,
};

struct group_state {
	enum group_health health;
	unsigned int families; /* that it takes now, enum fl_family bits; 0: none is known yet */
	bool loss_fails, latency_fails;
};

struct group_member {
	uint16_t gateway; /* its number, not 0 */
	uint32_t tier, weight;
	/* by group_decide(): */
	bool takes; /* the family, now */
	bool usable;
	bool active; /* has slots */
	uint32_t n_slots;
	int64_t share, credit; /* its own slots; while they are laid out */
};

struct group {
	enum fl_family family; /* whose packets it is for */
	enum config_trigger trigger;
	enum config_failback failback;
	uint32_t tier;		     /* that carries; 0: none does */
	bool settled;		     /* with `keep`: all that would be better were down when it was chosen */
	uint16_t slots[GROUP_SLOTS]; /* gateway numbers; 0: none */
	size_t n_members;
	struct group_member *members; /* by tier, then as in the file */
};

/* Sorts the members, which stay the caller's. */
void group_init(struct group *g, enum fl_family family, enum config_trigger trigger, enum config_failback failback,
		struct group_member *members, size_t n_members);

/* What carried before, in an earlier daemon or configuration: stays, as far as it can. */
void group_take_over(struct group *g, const uint16_t slots[GROUP_SLOTS]);

/* states[i]: of members[i]. true: the slots have changed. */
bool group_decide(struct group *g, const struct group_state *states);
