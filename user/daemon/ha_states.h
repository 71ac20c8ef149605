/* SPDX-License-Identifier: GPL-2.0-only */
/* State replication (user/sync/states.h) on the channel to the peers. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "fairlead/state.h"
#include "user/config/config.h"
#include "user/control/control.h"

struct daemon;
struct sync_peer;
struct ha_states; /* opaque */

/* After ha_open(), before the first configuration. -errno, logged. */
int ha_states_open(struct daemon *d);
/* After ha_close(), which still tells it of peers that go. */
void ha_states_close(struct daemon *d);

/* Of a configuration that is in force, after ha_configure(). */
void ha_states_configure(struct daemon *d, const struct config *config);
void ha_states_tick(struct daemon *d); /* once a second */
void ha_states_reasons(struct daemon *d, json_t *reasons);

/* This node is master of an address that another one had, or nobody. */
void ha_states_taken_over(struct daemon *d);

/* A peer asks about the tuple: whether there is a state, which it is told of then. */
bool ha_states_tell(struct daemon *d, const struct sync_peer *peer, const struct fl_tuple *tuple);

/* What has changed here is on its way to the peer before what is sent to it next. False: it is too much. */
bool ha_states_now(struct daemon *d, const struct sync_peer *peer);

/* `sync states` */
void command_sync_states(struct daemon *d, struct control_answer *answer);
