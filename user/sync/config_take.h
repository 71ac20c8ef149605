/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The secondary's half of config sync: it says what would come of a version, takes it when told to, and goes back when told to. One version
 * at a time, of one primary.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "user/config/config.h"

struct take_offer {
	json_int_t round; /* the primary's; 0: there is no offer */
	const void *peer;
	char *node; /* the primary's name */
	long long version;
	json_t *part;
	unsigned int confirm_s; /* 0: for good */
	bool strict, dry;
};

struct take_ops {
	void (*answer)(void *arg, const void *peer, unsigned int type, const json_t *message);
	/* Why it can't be taken, malloc'ed; NULL: it can. Adds "findings" and "changes" to the verdict. */
	char *(*check)(void *arg, const struct take_offer *offer, json_t *verdict);
	/* Runs it; *edited: what is replaced was not what had been pushed last. Why not, malloc'ed; NULL: done */
	char *(*apply)(void *arg, const struct take_offer *offer, bool *edited);
	void (*keep)(void *arg,
		     const struct take_offer *offer); /* all nodes have it; a trial has come to its end well */
	void (*go_back)(void *arg, const struct take_offer *offer, const char *why); /* to what was before apply() */
	void *arg;
};

enum take_stage { TAKE_NOTHING, TAKE_PREPARED, TAKE_APPLIED };

struct take {
	struct take_ops ops;
	enum config_role role; /* own */
	bool torn;	       /* more than one primary is there */
	enum take_stage stage;
	struct take_offer offer;
};

void take_init(struct take *take, const struct take_ops *ops);
void take_fini(struct take *take);
/* PREPARE, COMMIT, END; others are passed over. false: it is none. */
bool take_message(struct take *take, const void *peer, unsigned int type, const json_t *message);
void take_closed(struct take *take, const void *peer);
/* The trial is over, by time or by somebody here. */
void take_trial_over(struct take *take);
/* Whose trial runs: its round; 0: none was pushed */
json_int_t take_trial(const struct take *take);
