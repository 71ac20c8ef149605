/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files that compile share among themselves. */
#pragma once

#include "user/policy/policy.h"

/* ---- compile_hash.c: from a hash value to the index of what has it; the caller compares ---- */

struct hash {
	struct hash_slot *slots;
	size_t mask, n;
};

#define HASH_NONE UINT32_MAX

typedef bool hash_same_fn(const void *arg, uint32_t index);
uint32_t hash_find(const struct hash *hash, uint64_t value, hash_same_fn *same, const void *arg);
int hash_add(struct hash *hash, uint64_t value, uint32_t index); /* 0 or -ENOMEM */
void hash_free(struct hash *hash);
uint64_t hash_mix(uint64_t x); /* one to one */
uint64_t hash_bytes(const void *bytes, size_t n);

/* Room for one element more: 0 or -ENOMEM. */
int grow(void **array, size_t *cap, size_t n, size_t size);

/* ---- what is matched: a rule, or one direction of a translation ---- */

struct item {
	const struct config_rule *rule; /* one of the two */
	const struct config_nat *nat;
	const struct config_link *links;
	size_t n_links;			  /* 0: every one */
	const struct config_match *match; /* the protocols, nothing else */
	const struct config_endpoint *source, *destination;
	unsigned int families;
	uint32_t bits[2];     /* of all lists' bits; 0: none */
	uint16_t tag, tagged; /* numbers of tags; 0: none */
	struct config_endpoint own;
	struct config_term term; /* of the destination; NONE: it is the configuration's own */
};

/* Rows of one dimension, each once. */
struct rows {
	uint8_t *bytes; /* of struct fl_row, row_bytes() apart */
	size_t n, cap;
	struct hash hash; /* by what is in them */
};

struct builder {
	const struct config *config;
	const struct policy_facts *facts;
	char **why;
	int err; /* the first; what comes behind it does nothing */
	struct policy *policy;

	struct item *items;
	size_t n_items, cap_items;
	struct fl_table_list list[FL_LISTS];
	uint32_t n_lines;  /* of all lists */
	const char **tags; /* by number, from 1 on */
	uint16_t n_tags;

	uint64_t (*lines)[8]; /* every one that a row has; 0 is empty */
	size_t n_numbers, cap_lines;
	struct hash numbers;

	struct rows *rows; /* by dimension */
	size_t cap_table;
	struct fl_table head;
};

/* ---- compile_rows.c ---- */

/* Whatever makes rules fit or not, and does so for all of them at once: a range of addresses, an alias, a set of protocols. */
struct atom {
	uint64_t mark[2];      /* random: the sum of those that are on says which are */
	uint32_t refs, n_refs; /* in sweep.refs */
	bool pending;	       /* is not as the row at hand has it … */
	bool listed;	       /* … and in sweep.pending; or was */
	bool on;	       /* in the row at hand */
};

/*
 * Goes through the values of one dimension: where they begin and cease to fit, atoms are toggled; and for each value that is like
 * no other before, its row is made from that of the last one. Which row it is is known by the marks, also for half a million ranges.
 */
struct sweep {
	struct builder *b;
	struct rows *rows;
	struct atom *atoms;
	size_t n_atoms, cap_atoms;
	struct sweep_ref *pairs; /* as they came */
	size_t n_pairs, cap_pairs;
	uint32_t *refs; /* index of an item << 1 | negated, by atom */
	/* by item */
	uint32_t *fits, *hinders; /* atoms that are on: of those that it asks for, of those that it excludes */
	bool *asks;		  /* for some */
	bool *may;		  /* in this family */
	/* the row at hand */
	uint64_t (*bits)[8]; /* by line */
	bool *dirty;	     /* not in `row` yet */
	uint32_t *dirty_lines;
	size_t n_dirty;
	struct fl_row *row;
	uint64_t row_hash;
	uint64_t mark[2];
	uint32_t *pending;
	size_t n_pending;
	struct hash seen;
	struct sweep_seen *known;
	size_t n_known, cap_known;
};

void rows_free(struct rows *rows);
size_t row_bytes(const struct builder *b);
int sweep_init(struct sweep *s, struct builder *b, struct rows *rows);
uint32_t sweep_atom(struct sweep *s);
void sweep_ref(struct sweep *s, uint32_t atom, size_t item,
	       bool negated);				  /* the item asks for the atom, or excludes it */
void sweep_begin(struct sweep *s, unsigned int families); /* all atoms are there, and off */
void sweep_toggle(struct sweep *s, uint32_t atom);
uint32_t sweep_class(struct sweep *s); /* of what is on */
void sweep_free(struct sweep *s);

/* ---- compile_events.c: intervals of one line of numbers ---- */

struct event {
	uint64_t hi, lo; /* where the atom is toggled */
	uint32_t atom;
};

struct events {
	struct event *list;
	size_t n, cap;
};

struct interval {
	uint64_t hi, lo; /* first one; it ends where the next begins */
	uint32_t class;
};

struct intervals {
	struct interval *list;
	size_t n, cap;
};

int events_add(struct events *events, uint64_t hi, uint64_t lo, uint32_t atom);
int events_sort(struct events *events);
/* From 0 on. Neighbours have different classes. */
void events_sweep(struct events *events, struct sweep *sweep, struct intervals *out);

/* ---- compile_table.c ---- */
#define TABLE_MAX 0x7fffffffu					       /* bytes: refs to a line have 25 bits */
uint32_t table_reserve(struct builder *b, size_t bytes, size_t align); /* offset; zeroed */
void *table_pointer(struct builder *b, uint32_t offset);
void table_rows(struct builder *b);
void table_lines(struct builder *b);

/* searches for addresses */
void tree_write4(struct builder *b, struct fl_tree *tree, const struct intervals *intervals);
void tree_write6(struct builder *b, struct fl_tree *tree, const struct intervals *intervals);

/* ---- compile_dims.c ---- */
void compile_addresses(struct builder *b, enum fl_dim dim);
void compile_ports(struct builder *b, enum fl_dim dim);
void compile_values(struct builder *b, enum fl_dim dim);

/* ---- compile_live.c ---- */
const struct policy_via *policy_via(const struct policy_facts *facts, const struct config_via *via); /* NULL: neither */
int compile_conditions(struct builder *b);
/* Whether packets are to be sent somewhere, and where that is down, other rules are to be asked. */
bool may_skip(const struct config_rule *rule);
