/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * fairlead drill: does to a pair what will happen to it one day, and measures what its users see of that. run.c has the order of it all:
 *
 *	baseline -> both nodes are reserved -> a probe runs beside the pair -> the fault -> it is undone -> all is as before -> a judgement
 *
 * What happens to a node is done and undone by that node itself (user/daemon/drill.h); what is measured, by a host beside it (user/probe/).
 * So this program may be killed, and connections may be cut, at any moment: nothing stays as it should not.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "user/config/config.h"

/* ---- scenario.c ---- */

enum drill_targets {
	DRILL_NO_TARGET,
	DRILL_LAN,     /* an interface with shared addresses and no gateway */
	DRILL_WAN,     /* one with a gateway, too if there is one */
	DRILL_SYNC,    /* ha.interface */
	DRILL_ALL,     /* every interface */
	DRILL_GATEWAY, /* that carries now */
	DRILL_VPN,     /* that rules send to, and nothing else is to take its place */
};

enum drill_expects {
	DRILL_MOVES = 1 << 0,	     /* the addresses, to the other node */
	DRILL_TWO_MASTERS = 1 << 1,  /* while it lasts */
	DRILL_FLOWS_END = 1 << 2,    /* those by the gateway, as they should */
	DRILL_TARGETS_GONE = 1 << 3, /* while it lasts: what must not leak is blocked */
	DRILL_RETURN = 1 << 4,	     /* only what comes after is judged */
	DRILL_PAIR = 1 << 5,	     /* it takes two */
	DRILL_CUTS = 1 << 6,	     /* the nodes from each other */
	DRILL_LOGGED = 1 << 7,	     /* both nodes must have told of it */
	DRILL_SEEN = 1 << 8,	     /* the other node listens on all segments to what the new master announces */
};

struct drill_scenario {
	const char *name;
	const char *summary; /* a line */
	bool standby;	     /* it happens to the standby, else to the master */
	const char *fault;
	enum drill_targets targets;
	unsigned int expects;
};

extern const struct drill_scenario drill_scenarios[]; /* the last one has no name */

/* NULL: none */
const struct drill_scenario *drill_find(const char *name);

/* ---- plan.c: what follows from the configuration ---- */

/* How long a master may be silent before another takes its place, at most, ms; 0: there are no shared addresses. */
long drill_patience_ms(const struct config *config);
/* The interval of a node's adverts, ms. */
long drill_interval_ms(const struct config *config);
/* How long the fault lasts, ms. */
long drill_hold_ms(const struct config *config, const struct drill_scenario *s);
/* Names for the fault to take: an array; `wanted` is what people have named, or NULL. NULL: *why says what is the matter, malloc'ed */
json_t *drill_choose(const struct config *config, const struct drill_scenario *s, const char *wanted, char **why);

/* ---- timeline.c: who had which address when ---- */

enum { DRILL_SELF, DRILL_PEER, DRILL_NODES };

struct drill_node {
	json_t *roles_before; /* by name: "master", … */
	const json_t *events; /* of it */
	long long offset_ms;  /* its clock's less ours */
	long long died_ms;    /* its own clock, when it was killed; 0: it was not */
};

struct drill_window {
	long long from_ms, until_ms; /* CLOCK_REALTIME */
};

struct drill_owned {
	long long two_ms;	/* longest time that an address had two masters */
	long long two_after_ms; /* the same, behind `healed` */
	long long none_ms;	/* longest time that it had none */
	long long none_after_ms;
	long long taken_ms; /* when all of them were the other node's, since the fault began; -1: they never were */
};

/*
 * healed_ms, fault_ms: when that began, and when the fault had ended. victim: whose addresses move.
 */
void drill_timeline(const struct drill_node nodes[DRILL_NODES], const struct drill_window *window, long long fault_ms,
		    long long healed_ms, int victim, struct drill_owned *out);

/* ---- remote.c: the host that measures ---- */

struct drill_remote {
	const char *from;
	char *dir; /* there; NULL: nothing is there yet */
};

/* All of them: 0, or -1 and *why, malloc'ed. */
int drill_remote_open(struct drill_remote *r, const char *from, const char *program, char **why);
/* Runs it to its end; *result is the caller's. */
int drill_remote_measure(struct drill_remote *r, const char *arguments, json_t **result, char **why);
/* Starts it; it goes on without us. */
int drill_remote_start(struct drill_remote *r, const char *arguments, int seconds, char **why);
/* Ends it, and has its result. */
int drill_remote_fetch(struct drill_remote *r, json_t **result, char **why);
void drill_remote_close(struct drill_remote *r);

/* ---- judge.c ---- */

struct drill_limits {
	uint32_t max_gap_ms, max_lost_flows; /* CONFIG_NO_LIMIT */
};

/* What was measured: ms; -1: not. Reasons, hints, notes: arrays of texts */
struct drill_measured {
	const struct drill_scenario *scenario;
	struct drill_limits limits;
	long interval_ms;
	const json_t *probe;			   /* its result; NULL: no traffic was measured */
	long long probe_fault_ms, probe_healed_ms; /* since the probe began */
	struct drill_owned owned;
	long long sync_ms; /* from the end of the fault until all was as before */
	json_int_t leaks;  /* -1: not looked for */
	long long
		seen_ms; /* until the other node had seen all that a new master announces; -1: it has told of nothing */
	bool restored;
	bool told_of_two;	  /* an event of either node has named a split brain */
	bool silent[DRILL_NODES]; /* no event of a change */
	bool preempt;
	json_t *reasons, *hints, *notes, *checks;
};

/* The object that is printed and kept, with "result"; texts are added to the three arrays, which it takes in. */
json_t *drill_judge(struct drill_measured *m);

/* ---- run.c ---- */

struct drill_options {
	const char *scenario, *target;
	uint32_t max_gap_ms; /* CONFIG_NO_LIMIT: the configuration's */
	bool yes;
};

struct drill_world {
	void *arg;
	/* The answer's result, which is the caller's; NULL: none, and *error (malloc'ed, may stay NULL). quiet: it may be that nobody answers. */
	json_t *(*ask)(void *arg, json_t *request, char **error);
	/* What is going to be done; false: people don't want that. */
	bool (*confirm)(void *arg, const char *what);
	void (*progress)(void *arg, const char *what);
	const char *instance;
	const char *probe; /* the program's path */
};

/* This node's running configuration; NULL: *error (malloc'ed, may stay NULL; may be NULL) says why */
struct config *drill_config(const struct drill_world *world, char **error);
/*
 * checks.c: those of the user's own, in a process that begins them so much later and tells by a file (DRILL_CHECKS_RESULT). scenario: NULL where
 * the other node's version does not say. 0 or -errno
 */
int drill_checks_here(const struct drill_world *world, const char *id, const char *scenario, long after_ms);
/* Both nodes keep it: it was done, whatever it has shown. */
bool drill_is_kept(const json_t *result);
/* The result, whatever it is. NULL: without memory */
json_t *drill_run(const struct drill_world *world, const struct drill_options *options);

/* ---- report.c ---- */

void drill_print(const json_t *result);
