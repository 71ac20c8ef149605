/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The state table as the daemon works on it: in the programs' own memory, and by the same rules (bpf/lib/state.h). Nothing here holds
 * the programs up. Times are the low word of jiffies64.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "fairlead/rules.h"
#include "fairlead/state.h"
#include "fairlead/sync.h"

#define STATES_STUCK_MAX 64
#define STATES_CONTESTED 1024

struct states {
	struct fl_bucket *buckets;
	struct fl_state *entries;
	struct fl_state_control *control;
	struct fl_state_counts *counts;
	struct fl_rule_stats *rule_stats;
	uint64_t *rule_states;	 /* an array's elements have eight bytes at least */
	int sources;		 /* fd of fl_rule_sources; -1: none are counted */
	int mappings;		 /* fd of fl_eim; -1: none are kept */
	struct fl_sync_log *log; /* the daemon's own; NULL: nobody reads it */
	uint32_t cpus, hz;
	uint32_t timeout_s[FL_TIMEOUTS]; /* as configured, before they adapt */
	/* states_judge_contested(): in the place of their slot's last bits; since 0: none */
	struct {
		uint32_t slot, serial, since;
	} contested[STATES_CONTESTED];
	uint32_t n_contested;
	/* elements that were being worked on at the last recount */
	struct {
		uint32_t slot;
		uint64_t tag;
	} stuck[STATES_STUCK_MAX];
	uint32_t n_stuck;
	size_t bytes[6]; /* of what is mapped, in the order above */
};

/* The maps: file descriptors, and how many elements they have. */
struct states_maps {
	int buckets, states, control, counts, rule_stats, rule_states, sources, mappings;
	uint32_t n_buckets, cpus;
};

/* Maps them. 0 or -errno. states_close() whatever it returned. */
int states_open(struct states *t, const struct states_maps *maps, uint32_t hz);
void states_close(struct states *t);

/*
 * How many buckets a table for so many states has: 190 bytes for each in all; `translated`: 340, there is room for twins as well. If all are
 * translated, some 30 in 100,000 find no room.
 */
uint32_t states_buckets(uint32_t limit, bool translated);

/* Before the first program uses it: a new table's key. One that has a key keeps it. 0 or -errno. */
int states_init(struct states *t, uint32_t n_buckets);

/* What the configuration says; the programs follow at once. */
void states_limit(struct states *t, uint32_t limit);
void states_timeouts(struct states *t, const uint32_t timeout_s[FL_TIMEOUTS]);

/*
 * Shortens the timeouts as the table fills, as pf does: from 60 % of the limit on, as if to nothing at 120 %. But never more than to a
 * third, which it is at the limit: above that it is only after the limit has been lowered, and what lives then is not to be ended. Now and then.
 */
void states_adapt(struct states *t);

struct states_numbers {
	uint64_t states, embryonic;
	uint64_t made, refused_full, refused_rule, evicted; /* since the first table was made */
	uint64_t refused_place;				    /* of refused_full: below the limit, but no place */
};
void states_numbers(const struct states *t, struct states_numbers *n);

/* ---- looking at them ---- */

static inline bool states_same_tuple(const struct fl_tuple *a, const struct fl_tuple *b)
{
	return !memcmp(a->addr, b->addr, sizeof(a->addr)) && !memcmp(a->port, b->port, sizeof(a->port)) &&
	       a->proto == b->proto;
}

/* One state, copied. */
struct states_entry {
	uint32_t slot;
	uint64_t tag; /* for states_remove() */
	struct fl_state state;
	bool translated;
	union fl_addr addr[2]; /* as the other side sees them; the same where it is not translated */
	__be16 port[2];
};

/* What all of it says; zeros: every state. */
struct states_filter {
	bool by_rule;
	uint64_t rules[FL_RULE_IDS_MAX / 64]; /* ids, a bit each: rules and translations; 0: no rule passed it */
	bool by_from;
	uint64_t from[0x10000 / 64]; /* what fl_end.from of either end may be: ports, FL_FROM_ENDPOINT() */
	unsigned int n_hosts;	     /* one: either end; two: between them. Before or behind the translation */
	union fl_addr hosts[2];
	uint8_t host_free[2]; /* how many of its last bits do not count; 0: all do */
	uint16_t gateway;     /* of either direction; 0: any */
	int proto;	      /* 0: any */
	__be16 port;	      /* of either end, before or behind the translation; 0: any */
};

/* rules, from */
void states_filter_set(uint64_t *bits, uint32_t number);

/* Each state that fits, until each() returns not 0, which it returns then. What changes meanwhile may be seen or not. */
typedef int states_each_fn(void *arg, const struct states_entry *entry);
int states_walk(const struct states *t, const struct states_filter *filter, states_each_fn *each, void *arg);
/* The same of n slots from number `from` on, or up to the state for which each() returns not 0. Where to go on; 0: that was all. */
uint32_t states_walk_some(const struct states *t, const struct states_filter *filter, uint32_t from, uint32_t n,
			  states_each_fn *each, void *arg);

/*
 * What states have counted that are in the table, by id of the rules and translations that they name, and how many of them have not run out
 * (now: jiffies; 0: not known); added to what is in there. A million takes some 50 ms.
 */
struct states_tally {
	uint64_t packets, bytes;
	uint64_t states;
};
void states_tally(const struct states *t, uint32_t now, struct states_tally tally[FL_RULE_IDS_MAX]);
/* How many go by each gateway, or come back by it; at 0 those that the routing table sends. */
void states_gateways(const struct states *t, uint64_t states[FL_GATEWAYS_MAX]);

/* What else an id has: of stateless packets, of blocked ones, and of states that have ended. */
void states_rule_stats(const struct states *t, uint16_t id, struct fl_rule_stats *sum);

/* The end that began. */
unsigned int states_starter(const struct fl_state *st);

/* As pfctl(8) shows it, who began first: "ESTABLISHED:ESTABLISHED", "SINGLE:NO_TRAFFIC". */
#define STATES_PHASES_LEN 32
const char *states_phases(const struct fl_state *st, char buf[STATES_PHASES_LEN]);

/* Seconds until it runs out if nothing comes; 0: it has. */
uint32_t states_expires_s(const struct states *t, const struct fl_state *st, uint32_t now);

/* ---- ending them ---- */

/* Ends the state if it still is the one with that tag. What it has counted, its rules have then. Returns whether. */
bool states_remove(struct states *t, uint32_t slot, uint64_t tag);
/* The same of one that would go on: peers hear of it at once also where it is half-open, for they may know it, and would be asked. */
bool states_end(struct states *t, uint32_t slot, uint64_t tag);

/*
 * Ends what has run out in up to n buckets from number `from` on. Returns where to go on: 0 behind the last one. *removed: how many
 * states it was.
 */
uint32_t states_sweep(struct states *t, uint32_t now, uint32_t from, uint32_t n, uint32_t *removed);

/*
 * Counts anew, and puts right what a daemon that was killed in the midst, or a full fl_rule_sources, has left wrong: counters, and elements
 * that were never given back. What the programs change meanwhile is not mistaken for an error. At the start, and now and then. 0 or
 * -ENOMEM.
 */
int states_recount(struct states *t);

/*
 * Copies what is in `from` to `to`, a table of another size: established states first. Before the programs use the new one, and once more
 * behind that, for what came between: what is newer there stays. Rules' counters are the same for both tables and are left alone; what
 * found no room, states_recount() of `to` tells them. Returns how many are in `to` of those.
 */
uint32_t states_copy(const struct states *from, struct states *to);
/* The same of those only that have seen a packet since then. */
uint32_t states_copy_since(const struct states *from, struct states *to, uint32_t since);

/* What another table, from which this one was made, has counted of what is past; and its lineage. */
void states_carry(const struct states *from, struct states *to);

/* Until then (jiffies; 0: no more) what fits no window of a connection moves it: both tables, while packets may pass by either. */
void states_learn_until(struct states *t, uint32_t until);
