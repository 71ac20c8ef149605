/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Config sync: the nodes' halves (user/sync/config_push.h, config_take.h) with this daemon's configuration, its peers and its commands.
 *
 * What was pushed last, or taken, is in STATE/pushed.json: without it a primary would not know what the others have, and a secondary not what
 * somebody has changed since.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "user/control/control.h"
#include "user/daemon/apply.h"

struct daemon;
struct ha_config; /* opaque */

int ha_config_open(struct daemon *d); /* after ha_open(), before the first configuration. 0 or -errno, logged */
void ha_config_end(struct daemon *d); /* before ha_close(): what goes on comes to nothing. NULL is allowed */
void ha_config_close(struct daemon *d);
void ha_config_tick(struct daemon *d); /* once a second */

/*
 * An apply that is the peers' business too: of a primary whose peers are there. true: it is taken over, or refused in the answer, which may be
 * NULL (then events tell what came of it). false: the caller does it, and calls ha_config_changed(). who: as daemon_tell_result() has it.
 */
bool ha_config_apply(struct daemon *d, const struct apply_request *request, const char *who, bool own_file,
		     struct control_answer *answer);
/* A round is going on: nothing else may change the configuration. It was told. */
bool ha_config_busy(struct daemon *d, struct control_answer *answer);

/* What is on trial is a primary's that is connected: to confirm it here alone would part the nodes. It was told. */
bool ha_config_is_others_trial(struct daemon *d, struct control_answer *answer);

enum ha_config_change {
	HA_CONFIG_STARTED,
	HA_CONFIG_APPLIED, /* or rolled back, or confirmed */
	HA_CONFIG_LOCAL,   /* apply --local */
	HA_CONFIG_UNDONE,  /* a trial is over */
};

/* The configuration that runs may be another one, and no round has brought it. What is to be told of that is added to the note. */
void ha_config_changed(struct daemon *d, enum ha_config_change how, struct apply_result *result);

void ha_config_reasons(struct daemon *d, json_t *reasons);

void command_sync_config(struct daemon *d, struct control_answer *answer);
void command_sync_diff(struct daemon *d, struct control_answer *answer);
