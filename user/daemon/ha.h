/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The pair as a whole: from the configuration's `ha` come keys and a channel to the peers, on which parts (states, configurations, requests)
 * talk to theirs.
 */
#pragma once

#include <jansson.h>
#include <stdint.h>

#include "user/config/config.h"
#include "user/control/control.h"
#include "user/sync/channel.h"

struct daemon;
struct ha; /* opaque */

/* After vips_open(), before the first configuration. 0 or -errno, logged. */
int ha_open(struct daemon *d);
void ha_close(struct daemon *d); /* peers are told; NULL is allowed */

/* Of a configuration that is in force. The caller keeps it until the next call. */
void ha_configure(struct daemon *d, const struct config *config);
/* What keeps the key file from being used. */
void ha_check(const struct config *config, struct config_report *report);
void ha_system_changed(struct daemon *d); /* links or addresses */
void ha_tick(struct daemon *d);		  /* once a second: the key file may be another one */

/* For as long as the daemon lives, whether there are peers or not; to be called before the first configuration. */
void ha_part(struct daemon *d, const struct sync_part *part);
/* NULL: the configuration has no `ha`. Its peers, and they alone, are channel_peer_at()'s. */
struct channel *ha_channel(struct daemon *d);
/* Those that are in use; n is 0 where there are none. They may be others after the next turn of the loop. */
const struct sync_keys *ha_keys(struct daemon *d);

/* Keys that are no more in the file, and are kept for a peer's sake, end now. */
void command_sync_keys(struct daemon *d, struct control_answer *answer);

json_t *ha_show(struct daemon *d); /* the rows of `show sync` */
void ha_reasons(struct daemon *d, json_t *reasons);

/* ---- ha_requests.c ---- */

struct ha_requests; /* opaque */

int ha_requests_open(struct daemon *d); /* before the first configuration. -errno, logged */
void ha_requests_close(struct daemon *d);

/*
 * The peer is asked as by its control socket (only what ha_requests.c lists), without waiting. answered() is called once, later: with the
 * answer's status, result (NULL: none) and error (NULL: none), which are gone after it; where none comes within the time, or the peer is lost,
 * with status 3 and an error; it asks nobody and forgets nothing. request: taken over. -errno: not asked, answered() is not called.
 */
typedef void ha_answered_fn(void *arg, struct sync_peer *peer, int status, const json_t *result, const char *error);
int ha_ask(struct daemon *d, struct sync_peer *peer, json_t *request, int timeout_ms, ha_answered_fn *answered,
	   void *arg);
/* Nobody waits for it any more. */
void ha_forget(struct daemon *d, const void *arg);

/* ---- ha_status.c ---- */

/* `status` on the control socket: this node's, and beside it that of each peer, as soon as they have told. */
void command_status(void *arg, const json_t *request, struct control_answer *answer);
