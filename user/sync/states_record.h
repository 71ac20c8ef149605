/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A state as it goes from node to node. Big endian; its size is told with each batch: who has a newer version appends, who has an older one
 * sends less, but the first STATES_RECORD_MIN bytes there always are.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fairlead/gateway.h"
#include "fairlead/limits.h"
#include "user/policy/states_peer.h"

#define STATES_RECORD_MIN 128 /* all but counters */
#define STATES_RECORD 160
#define STATES_RECORD_MAX 1024 /* of a newer version */

/* What the sender's numbers are here: both nodes have rules and gateways of the same names. 0: none */
struct states_numbers_of {
	uint16_t rule[FL_RULE_IDS_MAX]; /* rules and translations */
	uint16_t gateway[FL_GATEWAYS_MAX];
	uint16_t npt[FL_NPT_MAX];
	bool mapped[FL_RULE_IDS_MAX]; /* by this node's numbers: translations that keep endpoint-independent mappings */
};

/* Ticks of this node's clock. */
struct states_clock {
	uint32_t now; /* low word of jiffies64 */
	uint32_t hz;
};

/* Of the sender's table. */
struct states_id {
	uint32_t slot, serial;
};

void states_record_put(uint8_t to[STATES_RECORD], const struct states_entry *entry, const struct states_clock *clock);

/*
 * Whatever the bytes are, what comes out is a state as this node's programs could have made it. 0; -EINVAL: it is none; -ENOENT: of
 * a gateway or prefix translation that this node does not have, without which its packets would go astray. *id is filled whenever len is at
 * least STATES_RECORD_MIN.
 */
int states_record_get(const uint8_t *from, size_t len, const struct states_numbers_of *numbers,
		      const struct states_clock *clock, struct states_id *id, struct states_news *news);

/* The tuples of a record, whatever its bytes are, as states_take() would look for them. Returns how many: with a translation two. */
unsigned int states_record_tuples(const uint8_t *from, struct fl_tuple tuples[2]);
