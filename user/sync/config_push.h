/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The primary's half of config sync, decided here and done by who has the nodes: a version goes to all that are there or to none.
 *
 * A round asks all connected secondaries (PREPARE), and when all have said yes the own commit follows, and COMMIT. A no, or no answer in
 * PUSH_ANSWER_MS: nowhere. A peer that goes in the middle does not hinder it: its version tells, when it returns, whether it has it. One that
 * fails to commit has all go back. Who is behind is pushed to alone, without a command.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <sys/queue.h>

#include "user/config/config.h"
#include "user/sync/config_part.h"

#define PUSH_ANSWER_MS 10000 /* to PREPARE, and again to COMMIT */
#define PUSH_RETRY_MS 60000  /* an interface that was missing may be there now */

/* A peer in a round. */
enum push_at { PUSH_OUT, PUSH_ASKED, PUSH_ACCEPTED, PUSH_REFUSED, PUSH_COMMITTING, PUSH_DONE, PUSH_FAILED, PUSH_GONE };

struct push_peer {
	LIST_ENTRY(push_peer) entry;
	void *arg;  /* of who has made it */
	char *name; /* malloc'ed */
	bool connected;
	/* as it told, also when it is gone since; before that version -1 */
	enum config_role role;
	long long version;
	char given[CONFIG_PART_HASH]; /* of that version */
	char hash[CONFIG_PART_HASH];  /* of what runs there */
	bool on_trial;
	/* the version that it did not take, and why: unasked it is offered again at that time. 0: none */
	long long refused, retry_ms;
	char *error;
	/* in the round, or the last one */
	enum push_at at;
	json_t *findings, *changes;
};

enum push_kind {
	PUSH_NONE,
	PUSH_APPLY, /* everywhere or nowhere */
	PUSH_LOOK,  /* what would come of it */
	PUSH_AGAIN, /* to those that do not have what runs here */
};

/* The own node, as far as this needs it. */
struct push_own {
	enum config_role role;
	long long version;	     /* last pushed, or taken; 0: none */
	char hash[CONFIG_PART_HASH]; /* of that */
	char now[CONFIG_PART_HASH];  /* of the part that runs; another one: it was changed and not pushed */
	bool on_trial;
	json_int_t trial_round; /* then: of the primary's that it was pushed in; 0: it is this node's own */
};

struct push_order {
	enum push_kind kind;
	json_t *part; /* taken over */
	char hash[CONFIG_PART_HASH];
	unsigned int confirm_s; /* 0: for good */
	bool strict;
	bool waited_for; /* a command waits: another one has to */
};

struct push;

struct push_ops {
	void (*send)(void *arg, struct push_peer *peer, unsigned int type, const json_t *message);
	/* All peers agree: make it the own one, as this version. false: it failed, and all is as before */
	bool (*commit)(void *arg, long long version);
	void (*go_back)(void *arg, const char *why); /* to what was before commit() */
	/* What the round has come to is in the peers; error: why it came to nothing, NULL: it did not, or the own commit failed. */
	void (*over)(void *arg, enum push_kind kind, bool done, const char *error);
	json_t *(*part)(void *arg); /* of the version that was last pushed; a new reference. NULL: there is none */
	/*
	 * A peer has taken what it lacked, or has not (error). edited: what it had was not what it had been given, which is told in
	 * any round.
	 */
	void (*pushed)(void *arg, struct push_peer *peer, bool edited, const char *error);
	long long (*now_ms)(void *arg);
	void *arg;
	/* What a peer's findings add to its error where nobody is told of them; malloc'ed, NULL: nothing. May be NULL */
	char *(*finding)(void *arg, const struct push_peer *peer);
};

struct push {
	struct push_ops ops;
	LIST_HEAD(, push_peer) peers;
	struct push_own own;
	const char *node;	 /* own name */
	json_int_t round;	 /* the last one's number; the first is to be higher than any before a restart */
	struct push_order order; /* of the one that runs; kind NONE: none does */
	long long version;	 /* that it makes */
	long long until_ms;
	bool committed; /* here */
	bool stepping, once_more;
	json_int_t trial; /* the round that is on trial, 0: none */
	long long trial_version;
};

void push_init(struct push *push, const struct push_ops *ops, json_int_t round);
/* A round that runs comes to nothing, and over() is not called. */
void push_fini(struct push *push);

/* Tells the peers. */
void push_own(struct push *push, const struct push_own *own);

void push_peer_add(struct push *push, struct push_peer *peer, const char *name);
void push_peer_remove(struct push *push, struct push_peer *peer);
void push_opened(struct push *push, struct push_peer *peer, const char *name);
void push_closed(struct push *push, struct push_peer *peer);
/* TELL, VERDICT, DONE; others are passed over. false: it is none. */
bool push_message(struct push *push, struct push_peer *peer, unsigned int type, const json_t *message);
void push_tick(struct push *push); /* now and then */

/* A peer that is there and a primary, the first or the one after another; NULL: none (more). */
const struct push_peer *push_primary(const struct push *push, const struct push_peer *after);
/* Whether anybody is there to be asked. */
bool push_has_peers(const struct push *push);
/* Whether a round runs that another one has to wait for. */
bool push_is_busy(const struct push *push);
/* over() follows, maybe at once. Not while one runs that is waited for. */
void push_begin(struct push *push, const struct push_order *order);
/* Greater than any that a node has: of one that came to nothing somebody may have it. */
long long push_next_version(const struct push *push);
/* The trial that a round has begun is over here; keep: it is trial_version now, as push_own() was told. */
void push_end_trial(struct push *push, bool keep);

/* ---- what is to be told of a peer ---- */

bool push_takes(const struct push_peer *peer); /* it is there and a secondary */
/* Of the primary: that the peer has not the version that it should have, as far as is known. */
bool push_is_pending(const struct push *push, const struct push_peer *peer);
bool push_matches(const struct push *push, const struct push_peer *peer);
/* It runs something else than it was given. */
bool push_is_edited(const struct push *push, const struct push_peer *peer);
