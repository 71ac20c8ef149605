/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files of state replication share. */
#pragma once

#include "user/sync/states.h"
#include "user/sync/states_killed.h"

/* When the next turn is. */
#define AT_ONCE_US 1 /* after what waits in the event loop */
#define BUSY_US 1000
#define IDLE_US 4000

#define BATCH_BYTES 16000 /* of records at most: with headers it is one TLS record */
#define BATCH_HEADER 4
#define PAIR_BYTES 8
#define PAIRS_MAX 256
#define BATCH_BITS 16384 /* a power of two */

/* A serial, and that there is one. */
#define SERIAL_IS (1u << 31)

/* How many, and the sum of what mixed() says of each: the same on both sides. */
struct digest {
	uint64_t count, sum;
};

/* Of a slot of the peer's. */
struct mirrored {
	uint32_t peer_serial;  /* SERIAL_IS; 0: none */
	uint32_t slot, serial; /* the entry here; NOWHERE: there is none, since it was refused; 1: and it is missing */
};
#define NOWHERE UINT32_MAX

/* An entry that was there before the bulk. */
struct leftover {
	uint32_t slot, serial;
};

/* (u32 slot, u32 serial) to be sent */
struct pairs {
	uint32_t n;
	uint8_t bytes[PAIRS_MAX * PAIR_BYTES];
};

struct sending {
	uint32_t *serials; /* by slot: SERIAL_IS and the serial that the peer has; 0: none. NULL: no bulk yet */
	struct digest digest;
	uint64_t *tails; /* by log: what of it has been read */
	uint64_t *late;	 /* by slot, a bit: the log has named it, and there was no room for it on the way yet */
	uint32_t n_late, late_at;
	bool bulk;	       /* the walk is one that tells all */
	bool done;	       /* a bulk has come to its end in this connection */
	bool hurry;	       /* a log was overrun: the walk goes round at once */
	bool again;	       /* a bulk is to begin */
	uint32_t at;	       /* where the walk is */
	uint32_t begun, round; /* jiffies: since when it is on its way, and when the last one was */
	uint64_t marked_ns, marked_again_ns, digested_ns, walked_ns;
	/* of the batch */
	uint32_t n_records;
	size_t len;			 /* bytes of `records` */
	uint8_t before[STATES_RECORD];	 /* the last one, not packed; zeros: none */
	uint64_t slots[BATCH_BITS / 64]; /* whether a slot is among the records: a bit by its last bits */
	uint8_t records[BATCH_HEADER + BATCH_BYTES];
	struct pairs deletes, disclaims, resets, kills;
};

struct receiving {
	uint32_t lineage; /* of the peer's table; 0: not known yet */
	bool first;	  /* the bulk is the first since this daemon's start */
	struct mirrored *mirror;
	uint32_t slots;	  /* of the peer's table */
	uint32_t limit;	  /* of the peer's states; 0: not known */
	uint32_t *owners; /* by slot of this table: the peer's slot that it is of, plus 1; 0: none */
	struct digest digest;
	uint64_t theirs;  /* with an entry */
	uint64_t missing; /* without one, for want of room or gateway */
	bool bulk;	  /* under way */
	bool done;	  /* of this connection */
	struct leftover *left;
	size_t n_left;
	uint32_t at; /* where the look for entries that are gone goes on */
	int match;   /* the digest: -1 not known */
	struct states_numbers_of *numbers;
	char *names;
	size_t names_len;
};

struct states_sync_peer {
	struct states_sync *sync;
	struct states_sync_peer *next;
	void *arg;
	struct states_pipe pipe;
	bool open;
	uint64_t sent, received, refused, resyncs, overruns, wanted;
	uint64_t lag_ns;
	uint64_t unreset, resets_ns; /* resets_ns: since when `resets` are counted */
	uint32_t resets;
	uint64_t told_ns; /* when people were told something last; 0: never */
	struct sending send;
	struct receiving receive;
};

struct states_sync {
	struct states_host host;
	uint32_t slots;	     /* of the own table */
	uint32_t taken_over; /* where states_taken_over() goes on; slots: it is done */
	struct states_sync_peer *peers;
	struct killed killed;
};

static inline uint64_t mixed(uint32_t slot, uint32_t serial)
{
	uint64_t x = ((uint64_t)slot << 32 | (serial & ~SERIAL_IS)) + 0x9e3779b97f4a7c15ULL;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

static inline void digest_add(struct digest *digest, uint32_t slot, uint32_t serial)
{
	digest->count++;
	digest->sum += mixed(slot, serial);
}

static inline void digest_take(struct digest *digest, uint32_t slot, uint32_t serial)
{
	digest->count--;
	digest->sum -= mixed(slot, serial);
}

/* It gets packed records. */
static inline bool peer_packs(const struct states_sync_peer *peer)
{
	return peer->pipe.protocol >= 3;
}

static inline void peer_send(struct states_sync_peer *peer, uint16_t type, const void *data, size_t len)
{
	if (peer->open)
		peer->pipe.send(peer->pipe.arg, type, data, len);
}

static inline struct states_clock clock_of(const struct states_sync_peer *peer)
{
	const struct states_host *host = &peer->sync->host;

	return (struct states_clock){ .now = host->jiffies(host->arg), .hz = host->table->hz };
}

static inline uint64_t ns_of(const struct states_sync_peer *peer)
{
	return peer->sync->host.ns(peer->sync->host.arg);
}

void peer_tell(struct states_sync_peer *peer, const char *event, const char *why);
/* Asks for all of the peer's. */
void peer_ask(struct states_sync_peer *peer, const char *why);

/* ---- states_send.c ---- */
void sending_opened(struct states_sync_peer *peer);
void sending_free(struct states_sync_peer *peer);
void sending_names(struct states_sync_peer *peer);
uint32_t sending_turn(struct states_sync_peer *peer); /* in how many microseconds the next is due */
void sending_want(struct states_sync_peer *peer, const uint8_t *data, size_t len);
void sending_marked(struct states_sync_peer *peer, const uint8_t *data, size_t len);
void sending_kill(struct states_sync_peer *peer, uint32_t slot, uint32_t serial); /* of the peer's */
void sending_reset(struct states_sync_peer *peer, uint32_t slot, uint32_t serial);
/* The peer wants something done with states that it has been told of, and that still live. */
void sending_killed(struct states_sync_peer *peer, const uint8_t *data, size_t len,
		    void (*each)(struct states_sync_peer *peer, uint32_t slot));
uint64_t sending_lag_ns(const struct states_sync_peer *peer);

/* ---- states_receive.c ---- */
int receiving_message(struct states_sync_peer *peer, uint16_t type, const uint8_t *data, size_t len);
void receiving_closed(struct states_sync_peer *peer);
void receiving_table(struct states_sync_peer *peer); /* this node's table is another one now */
void receiving_understand(struct states_sync_peer *peer);
void receiving_turn(struct states_sync_peer *peer);
/* What is in a slot of this node's table was ended: the peer hears of it. Returns whether it has told of that. */
bool receiving_ended(struct states_sync_peer *peer, uint32_t here, uint32_t serial);
/* It is to be reset before that. Returns as well. */
bool receiving_reset(struct states_sync_peer *peer, uint32_t here, uint32_t serial);
void receiving_free(struct states_sync_peer *peer);
/* Whether a peer says that it has what is in a slot of this node's table. arg: struct states_sync */
bool receiving_is_claimed(const void *arg, uint32_t here);
