/* SPDX-License-Identifier: GPL-2.0-only */
/* Of ha_config*.c only. */
#pragma once

#include <event2/event.h>
#include <sys/queue.h>

#include "user/daemon/daemon.h"
#include "user/daemon/ha_config.h"
#include "user/sync/config_push.h"
#include "user/sync/config_take.h"

/* What was last pushed by this node, or to it. */
struct pushed {
	long long version;	     /* 0: nothing ever was */
	char hash[CONFIG_PART_HASH]; /* of the part */
	json_t *part;		     /* NULL: nothing */
	char *node;		     /* whose it is */
};

struct config_peer {
	struct push_peer push;
	struct sync_peer *peer;
	bool told_edited, told_primary; /* it was an event */
};

/* A message that waits for the loop: what it leads to may end connections, and so must not happen under the channel's hands. */
struct config_letter {
	STAILQ_ENTRY(config_letter) entry;
	struct config_peer *from;
	unsigned int type;
	json_t *message;
};

/* The command that a round runs for. */
enum waiting_for { WAITS_FOR_NOTHING, WAITS_FOR_APPLY, WAITS_FOR_PUSH, WAITS_FOR_DIFF };

struct waiting {
	enum waiting_for what;
	struct client *client; /* NULL: it is gone, or there never was one */
	bool own_file;
	struct apply_request request; /* its text and note are our own */
	char *who;
	json_t *document;	    /* what the request's text says */
	struct apply_result result; /* of the check, then of the own apply */
	struct push_order order;    /* what is to begin when the client is known */
};

struct ha_config {
	struct daemon *daemon;
	struct sync_part channel_part;
	struct push push;
	struct take take;
	STAILQ_HEAD(, config_letter) letters;
	struct event *on_letters;
	char *path; /* of what was pushed */
	struct pushed pushed;
	char local[CONFIG_PART_HASH]; /* of what `apply --local` has made of the part; "": nothing */
	/* what runs now */
	json_t *document;
	bool edited, told_edited; /* a secondary: it is not what was pushed; and it was an event */
	/* what ran before the round's apply, while it may have to come back */
	char *before;
	size_t before_len;
	struct pushed pushed_before;
	struct waiting waiting;
	bool trial_local; /* `apply --local` has begun it */
};

/* ---- ha_config.c ---- */

/* What runs is read anew, and peers are told. */
void ha_config_refresh(struct ha_config *hc);
/* The part of what runs is a version from now on; part: taken over. */
void ha_config_set_pushed(struct ha_config *hc, long long version, json_t *part, const char *node);
/* Before an apply of a round, and to go back: why, for people, or NULL. Trials end themselves. */
void ha_config_keep_before(struct ha_config *hc);
void ha_config_drop_before(struct ha_config *hc);
void ha_config_go_back(struct ha_config *hc, const char *why);

/* Added to what is told of an apply that was done. */
void ha_config_note(struct apply_result *result, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* ---- ha_config_take.c ---- */

void ha_config_take_init(struct ha_config *hc);

/* ---- ha_config_push.c ---- */

void ha_config_push_init(struct ha_config *hc, json_int_t round);
void ha_config_note_pending(struct ha_config *hc, struct apply_result *result); /* peers that are not there */
void ha_config_push_end(struct ha_config *hc);					/* whoever waits is let go */
