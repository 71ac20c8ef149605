/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * State replication: each node tells its peers of the established connections that it forwards, and has those of theirs in its own table,
 * as FL_STATE_PEER.
 *
 * Of each slot the sender knows what the peer has of it (sent[]), and one function makes that equal to the table. It is called for the slots
 * that programs log (include/fairlead/sync.h), and for all in turn by a walk that goes round in some ten seconds: so that whatever a log
 * has lost is found. The receiver has a mirror of the same, by slot of the sender, which a digest is compared with each second.
 *
 * Pure of sockets and events: the caller carries messages, and calls states_sync_turn() as time goes by. Main thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fairlead/sync.h"
#include "user/policy/states.h"
#include "user/policy/states_why.h"
#include "user/sync/states_record.h"

/* Types of messages, 16 to 31 of those of the channel. All numbers big endian. */
enum states_message {
	STATES_BULK_BEGIN =
		16, /* u32 lineage, u32 id, u32 slots of the table, u32 limit: what follows until the end is all of it */
	STATES_BULK_END,
	STATES_BATCH,  /* u16 size of a record, u16 how many, records */
	STATES_DELETE, /* as many (u32 slot, u32 serial) as there are */
	STATES_NAMES,  /* JSON: what rules, gateways and translations the numbers in records are */
	STATES_DIGEST, /* u64 how many, u64 sum: version 2 */
	STATES_RESYNC, /* the other is to send all of it: text, why */
	STATES_MARK,   /* u64: comes back as it is when all before it has been taken in */
	STATES_MARK_BACK,
	STATES_WANT,	 /* u32 slots: these are not here: version 2 */
	STATES_DISCLAIM, /* as STATES_DELETE: it lives, but is this peer's no more, since another one has it: version 2 */
	STATES_ENDED,	 /* as STATES_DELETE, of what the other has told: it was ended here, and is to end there */
	STATES_RESETS,	 /* as STATES_ENDED: before that their ends get TCP resets, by the numbers of whose they are */
	STATES_PACKED,	 /* as STATES_BATCH, but records as in states_pack.h: version 3, in its place */
	STATES_LAST = 31,
};

#define STATES_RESETS_MAX 65536 /* in a second, at a peer's wish */

/* To one peer; none of these waits. */
struct states_pipe {
	int (*send)(void *arg, uint16_t type, const void *data, size_t len); /* 0 or -errno */
	size_t (*waiting)(void *arg);					     /* bytes that have not left yet */
	void *arg;
	unsigned int protocol; /* the version that both speak */
};

/* What the node has. */
struct states_host {
	struct states *table;
	const struct fl_sync_log *logs; /* one each CPU, and the daemon's */
	uint32_t n_logs;

	uint32_t (*jiffies)(void *arg);
	uint64_t (*ns)(void *arg); /* CLOCK_MONOTONIC */
	/* The names of all numbers; the caller frees it. NULL: out of memory. */
	char *(*names)(void *arg);
	/* What the peer's numbers are here, by its names. 0, -EINVAL: it can't be understood, -ENOMEM */
	int (*understand)(void *arg, const char *names, size_t len, struct states_numbers_of *numbers);
	/* A peer wants both ends of it to get TCP resets, before it is ended */
	void (*reset)(void *arg, const struct states_entry *entry);
	/* Something happened that people want to know; peer: the caller's */
	void (*tell)(void *arg, void *peer, const char *event, const char *why);
	void *arg;
};

struct states_sync;
struct states_sync_peer;

struct states_sync *states_sync_new(const struct states_host *host); /* NULL: out of memory */
void states_sync_free(struct states_sync *sync);

/* The table was replaced: everybody gets all of the new one, and is asked for all of his. */
void states_sync_table(struct states_sync *sync, const struct states_host *host);
/* Names have changed: of this node, and so what the peers' numbers are here. */
void states_sync_names(struct states_sync *sync);

/* A peer, as long as the configuration has it. arg: for tell(). NULL: out of memory */
struct states_sync_peer *states_sync_add(struct states_sync *sync, void *arg);
void states_sync_remove(struct states_sync *sync, struct states_sync_peer *peer);

/* The connection to it is there, and gone. */
void states_sync_opened(struct states_sync_peer *peer, const struct states_pipe *pipe);
void states_sync_closed(struct states_sync_peer *peer);

/* 0; -EPROTO: no node of ours sends that; -ENOMEM. The connection is to be closed then. */
int states_sync_message(struct states_sync_peer *peer, uint16_t type, const uint8_t *data, size_t len);

/* This node has become master: states_taken_over() of all its table, as turns go by. */
void states_sync_taken_over(struct states_sync *sync);

/*
 * A connection that was ended here though it would go on: whoever has told of it ends it, too, or does so as soon as he tells of it again. entry:
 * as it was. One that is ended by hand while a peer is away is ended there when it is back, whosever it is by then. One that has lost its way is not, if
 * it was this node's: the peer may have taken it over, and has a way.
 */
void states_sync_ended(struct states_sync *sync, const struct states_entry *entry, enum states_why why);

/*
 * Before that, of a connection that a peer has told of: both its ends are to get TCP resets. This node's numbers of it may be as old as the last
 * walk. Returns whether a peer was asked, or will be when it tells of it; one that does not know the message ends it without.
 */
bool states_sync_reset(struct states_sync *sync, const struct states_entry *entry);

/*
 * A few thousand slots for each peer. Returns in how many microseconds it wants to be called again, at the latest; 0: there is nothing to do
 * before a peer connects.
 */
uint32_t states_sync_turn(struct states_sync *sync);

/* Both send all they have. */
void states_sync_again(struct states_sync_peer *peer, const char *why);

/* What has changed up to now is sent before anything that the caller sends next. False: it is too much. */
bool states_sync_now(struct states_sync_peer *peer);

/* For a peer's question: the state at once. False: the slot has none that it may know of. */
bool states_sync_tell(struct states_sync_peer *peer, uint32_t slot);

struct states_sync_numbers {
	uint64_t sent, received; /* records and deletes, since the peer is there */
	uint64_t refused;	 /* of those received: no room, of gateways that are not here */
	uint64_t resyncs, overruns, wanted;
	uint64_t unreset; /* that the peer wanted to be reset, and were ended without, since they were too many */
	uint64_t theirs;  /* entries here that this peer has told of */
	uint64_t
		missing; /* that it has told of and are not here, for want of room, or of their gateway: they would break */
	double lag_ms;
	bool connected;
	bool has_all;	   /* the bulk of this connection has been taken in */
	bool has_sent_all; /* and sent */
	int digest_match;  /* -1: not known yet */
	uint32_t limit;	   /* that the peer has on its states; 0: not known */
};
/* States here that the peer has told of and that are still its; local: that are this node's. Looks at the whole table. */
void states_sync_count(const struct states_sync *sync, const struct states_sync_peer *peer, uint64_t *local,
		       uint64_t *theirs);
void states_sync_numbers(const struct states_sync_peer *peer, struct states_sync_numbers *numbers);
