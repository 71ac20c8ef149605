/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files of a drill's run share. */
#pragma once

#include <limits.h>

#include "user/drill/drill.h"

#define NAME_MAX_LEN 128
#define ARGUMENTS_MAX 8192
#define RUN_BEFORE_MS 500    /* the probe runs before the fault */
#define RUN_AFTER_MS 500     /* and when all is as before */
#define CHECK_S 10	     /* that a check of the user's own may take */
#define RUN_RESTORE_MS 90000 /* states, gateways, addresses: what a node waits for is given up after 30 s each */

struct run {
	const struct drill_world *world;
	const struct drill_options *options;
	const struct drill_scenario *scenario;
	struct config *config; /* this node's */
	char id[NAME_MAX_LEN + 16];
	char names[DRILL_NODES][NAME_MAX_LEN];
	bool pair;
	int victim;
	int master;	 /* who has the addresses */
	json_t *targets; /* of the fault */
	struct drill_remote remote;
	char arguments[ARGUMENTS_MAX]; /* the probe's */
	struct drill_node nodes[DRILL_NODES];
	struct drill_window window;
	int reserved; /* so many nodes */
	bool restored, called_off;
	bool left; /* what was done can't be undone: nothing is to be waited for */
	long hold_ms;
	unsigned int n_checks; /* of the node that takes over; until it was asked, of this one */
	json_t *flows;	       /* of the node, that may be leaks; NULL: not looked for, or they can't be told */
	json_int_t leaks;      /* -1: not looked for */
	/* CLOCK_REALTIME of this node */
	long long time_ms, probe_ms, fault_ms, healed_ms, restored_ms;
	json_t *probe; /* what was measured */
	json_t *reasons, *hints, *notes, *checks;
};

static inline const char *run_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static inline long long run_number(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

/* run.c */
void run_say(json_t *to, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void run_progress(struct run *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
bool run_called_off(void); /* by a signal */
void run_pause(long ms);
json_t *run_ask(struct run *r, int node, json_t *request, char **error);
json_t *run_show(struct run *r, int node, const char *what);
json_t *run_look(struct run *r, int node);
/* An order of this drill, and what is answered, the caller's; NULL: it is not followed, and the reasons say why. `more` is released. */
json_t *run_order(struct run *r, int node, const char *what, json_t *more);

/* baseline.c. False: the reasons say what is wrong, and what to do. */
bool run_baseline(struct run *r);
/* What is not as it was before: texts. */
json_t *run_missing(struct run *r);

/* measure.c: nothing where no host is configured. False: the reasons say why. */
bool run_open_remote(struct run *r); /* and its own baseline */
bool run_start_probe(struct run *r);
void run_fetch_probe(struct run *r);

/* checks.c: those of the user's own */
unsigned int run_own_checks(const struct run *r); /* how many this node's configuration has for the scenario */
/* At the node that takes over, when the fault has lasted; that may not be reached then. False: the reasons say why */
bool run_order_checks(struct run *r);
void run_wait_for_checks(struct run *r);
void run_take_checks(struct run *r);

/* leaks.c: nothing where the scenario is none of a VPN's */
bool run_goes_through(struct run *r); /* false: the reasons say why */
void run_take_flows(struct run *r);
void run_judge_flows(struct run *r);
