/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The stream between the nodes of a pair: one TCP connection to each peer, TLS 1.3 with the key that both have, and on it frames of a type
 * and a payload. What is sent by it, and what it means, is the parts' business: each has a range of types. To be called by the event loop's
 * thread only.
 *
 * The node with the lower address connects, both listen. Whoever's address is no peer's gets nowhere, before TLS begins. A peer that is not
 * heard for SYNC_DEAD_MS, or has not read in this time what waits for it, is given up; but not before SYNC_HELD_UP_MS while it tells by another
 * way that it lives: then its loop is held up, as by an apply. What a part has sent and the peer has not answered may then be lost: a part
 * begins anew when opened() is called.
 */
#pragma once

#include <event2/event.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "user/lib/addr.h"
#include "user/observe/journal.h"
#include "user/sync/keys.h"

#define SYNC_PROTOCOL_MIN 1
#define SYNC_PROTOCOL_MAX 3
#define SYNC_PROTOCOL_STRAYS 2	     /* who speaks this is asked about strays */
#define SYNC_FRAME_MAX (16u << 20)   /* bytes of a payload */
#define SYNC_WAITING_STOP (1u << 20) /* where a part stops sending, until drained() */
#define SYNC_WAITING_MAX (64u << 20) /* where the connection is given up: a part has not stopped */
#define SYNC_DEAD_MS 3000
#define SYNC_HELD_UP_MS 60000
#define SYNC_PARTS_MAX 8

/* Types of frames. */
enum {
	SYNC_HELLO = 1,
	SYNC_PING = 2,
	SYNC_PONG = 3,
	SYNC_BYE = 4,
	SYNC_KEYS = 5,
	SYNC_LINK = 6,
	SYNC_STATES_FIRST = 16,
	SYNC_STATES_LAST = 31,
	SYNC_CONFIG_FIRST = 32,
	SYNC_CONFIG_LAST = 47,
	SYNC_REQUEST = 48, /* JSON, as on the control socket, and "id" */
	SYNC_ANSWER = 49,
	SYNC_REQUESTS_LAST = 63,
	SYNC_STRAYS_FIRST = 64,
	SYNC_STRAYS_LAST = 67,
};

struct channel;	  /* opaque */
struct sync_peer; /* opaque; one for each address of the settings, connected or not */

/* Copied. What changes in `keys` alone leaves connections as they are, but for those of a key that is no more. */
struct channel_settings {
	const char *device; /* that all of it leaves and comes in by; it may come later */
	struct addr local;  /* so may this */
	const struct addr *peers;
	size_t n_peers;
	uint16_t port;
	const struct sync_keys *keys; /* none (n 0): nobody is connected to */
	const char *no_key;	      /* then why, for people */
	const char *node;	      /* name */
	uint64_t number, epoch;
	const char *role;	 /* "primary", "secondary", "none" */
	struct journal *journal; /* may be NULL */
	/*
	 * Whether the start of the peer's daemon that `epoch` names is heard by another way that its loop has no part in. NULL: there is none
	 */
	bool (*lives)(void *arg, const struct addr *peer, uint64_t epoch);
	void *arg;
};

/* All but first, last and message may be NULL. The channel keeps the pointer. */
struct sync_part {
	const char *name; /* of its object in HELLO */
	uint16_t first, last;
	/* What the peer shall know from the beginning; NULL: nothing. */
	json_t *(*hello)(void *arg, struct sync_peer *peer);
	/* Between the two the peer can be sent to. */
	void (*opened)(void *arg, struct sync_peer *peer);
	void (*closed)(void *arg, struct sync_peer *peer);
	/* 0; -EPROTO: it can't be understood, the connection ends (which is told); any other: as 0 */
	int (*message)(void *arg, struct sync_peer *peer, uint16_t type, const uint8_t *data, size_t len);
	/* All but SYNC_WAITING_STOP / 2 bytes are sent. */
	void (*drained)(void *arg, struct sync_peer *peer);
	/* The peer is no longer in the settings: what sync_peer_set_data() was given is to be freed. */
	void (*forgotten)(void *arg, struct sync_peer *peer);
	/* Adds its columns to the row of `show sync`, connected or not. */
	void (*show)(void *arg, struct sync_peer *peer, json_t *row);
	void *arg;
};

int channel_open(struct channel **out, struct event_base *base, const struct channel_settings *settings); /* -errno */
/* Peers are told that this node stops. Parts get closed() and forgotten(). NULL is allowed. */
void channel_close(struct channel *channel);
/* Peers that stay, and are reached in the same way, stay connected. -ENOMEM: all is as before */
int channel_configure(struct channel *channel, const struct channel_settings *settings);
/* Another one from now on; connections that there are have told the one before. */
void channel_epoch(struct channel *channel, uint64_t epoch);
/* opened() is called for peers that are connected already. */
void channel_part(struct channel *channel, const struct sync_part *part);
/* It is known by other ways that this peer is there: who connects to it need not wait until it is time to try again. */
void channel_peer_is_there(struct channel *channel, const struct addr *addr);
/* Links or addresses have changed. */
void channel_system_changed(struct channel *channel);

/* The rows of `show sync`; NULL: out of memory. */
json_t *channel_show(const struct channel *channel);
/* Adds what is wrong to the reasons of `status`. */
void channel_reasons(const struct channel *channel, json_t *reasons);

/* A peer that is connected by that key, or was and has come by no other since; NULL: none is. */
const struct sync_peer *channel_by_key(const struct channel *channel, const struct sync_key *key);

/* The i-th, in the settings' order; NULL past the end. */
struct sync_peer *channel_peer_at(const struct channel *channel, size_t i);

/* ---- a peer ---- */

/*
 * Queued, never waits; all of it or nothing. -ENOTCONN; -EMSGSIZE; -ENOMEM, -ENOBUFS: the connection ends, for nothing may be missing in
 * what was sent. No callback is called before the event loop goes on.
 */
int sync_send(struct sync_peer *peer, uint16_t type, const void *data, size_t len);
int sync_send_json(struct sync_peer *peer, uint16_t type, const json_t *json); /* may be NULL: -ENOMEM */
size_t sync_waiting(const struct sync_peer *peer);			       /* bytes queued */
/* Ends the connection, soon; it comes again in a second. */
void sync_drop(struct sync_peer *peer, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

bool sync_peer_connected(const struct sync_peer *peer);
const char *sync_peer_name(const struct sync_peer *peer); /* as it calls itself; before it ever did, its address */
const struct addr *sync_peer_addr(const struct sync_peer *peer);
unsigned int sync_peer_protocol(const struct sync_peer *peer); /* that is spoken; 0: not connected */
const json_t *sync_peer_hello(const struct sync_peer *peer);   /* the last one, all of it; NULL: none ever */
uint64_t sync_peer_number(const struct sync_peer *peer);       /* of its HELLO; 0 */
/* How long the peer was not heard, connected or not; -1: never was. */
long long sync_peer_silent_ms(const struct sync_peer *peer);
/*
 * By what both have told while they were connected no key of this node's file is the peer's: this node has the one before, or of two that
 * have different new ones the higher number. So it is to stand back while the peer lives, whatever its file has since: the other knows of no more.
 */
bool sync_peer_leaves_out(const struct sync_peer *peer);
/* The last connection has ended since one of both has no such key any more. */
bool sync_peer_ended_key(const struct sync_peer *peer);
const char *sync_peer_last_error(const struct sync_peer *peer); /* "": none */

/* What a part keeps for each peer. NULL at first. */
void *sync_peer_data(const struct sync_peer *peer, const struct sync_part *part);
void sync_peer_set_data(struct sync_peer *peer, const struct sync_part *part, void *data);
