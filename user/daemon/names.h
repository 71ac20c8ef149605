/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tunnel remotes that are host names: asked for again and again, and followed. The address of each is in the configuration
 * (config_remote.address_outer), where the data plane looks; it is kept over restarts in DIR/names.json, an object of names and addresses.
 */
#pragma once

#include <jansson.h>

#include "user/config/config.h"

#define NAMES_PAUSE_MIN_S 5    /* between two questions, whatever the name server says */
#define NAMES_PAUSE_MAX_S 3600 /* the same */
#define NAMES_PAUSE_S 30       /* where no time was told: of /etc/hosts */
#define NAMES_RETRY_MAX_S 60   /* while there is no answer; 1 second first, then twice as long each time */

struct daemon;
struct names; /* opaque */

/* dir: of the instance's state; copied. 0 or -errno, told. */
int names_open(struct daemon *d, const char *dir);
void names_close(struct daemon *d);

/* Writes what is known into a configuration that is about to be applied. */
void names_fill(struct daemon *d, const struct config *config);
/* It is in force now: its names, and no others, are asked for, each at once. The caller keeps it until the next call. */
void names_configure(struct daemon *d, const struct config *config);
/* Links or addresses have changed: names without an answer are asked for now. */
void names_system_changed(struct daemon *d);

/* Adds what is to be said of names to the rows of `show tunnels`. */
void names_show(struct daemon *d, json_t *rows);

/* ---- pure ---- */

/* Seconds until the next question, after so many failures in a row (0: the last was answered). */
unsigned int names_pause_s(unsigned int failures, unsigned int ttl_s);
/* The one that is in use, if it still is among them; else the first that another host can have; NULL: none can. */
const struct addr *names_choose(const struct addr *used, const struct addr *addresses, size_t n);
