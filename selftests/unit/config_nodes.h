/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Helpers of test_config_push*.c: config sync of three nodes whose configuration is a number. What they say to each other waits until it is
 * delivered, or never is.
 */
#pragma once

#include <criterion/criterion.h>

#include "user/sync/config_push.h"
#include "user/sync/config_take.h"

#define NODES 3
#define A (&nodes[0]) /* the primary, in most tests */
#define B (&nodes[1])
#define C (&nodes[2])

struct node {
	bool up, deaf;			  /* deaf: it is there, and takes nothing in */
	bool refuses, can_not, own_fails; /* by its check, when it commits, its own commit */
	enum config_role role;
	int text, before;	/* what runs; what ran before the last change */
	bool trial, local;	/* local: changed, not pushed */
	long long version, old; /* of what was pushed last, and before that */
	int pushed, old_pushed; /* that */
	int wanted;		/* by the round */
	unsigned int confirm_s;
	long long trial_until;
	struct push push;
	struct take take;
	struct push_peer peers[NODES];
	/* what came of it */
	int overs, done, taken, given, edited;
	char error[200];
};

extern struct node nodes[NODES];

/* All have 1, and are connected. */
void nodes_open(void);
void nodes_close(void);

void node_own(struct node *n); /* what has been changed in it by hand */
void node_die(struct node *n); /* at once; a trial that was not confirmed is over when it is back */
void node_revive(struct node *n);
struct push_peer *node_peer(struct node *n, struct node *of);
void nodes_cut(struct node *a, struct node *b);
void nodes_join(struct node *a, struct node *b);

/* One message. false: there is none that somebody takes */
bool nodes_deliver(void);
/* Up to, and without, the first message of that type to that node. */
void nodes_deliver_until(struct node *to, unsigned int type);
void nodes_pass(long long ms);
void nodes_settle(void); /* all messages, and some seconds */

/* A round of a command; nothing is delivered yet. */
void node_begin(struct node *n, enum push_kind kind, int text, unsigned int confirm_s);
void nodes_apply(int text); /* at A */
/* The end of a trial that A has begun */
void nodes_confirm(void);
void nodes_end_trial(void);

/* What they run */
void nodes_expect(int a, int b, int c);
/* A's round has ended so. */
void nodes_expect_over(bool done, const char *error);
void nodes_expect_in_step(void);
