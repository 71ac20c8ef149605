/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Brokers are told where a tunnel's near end is, by HTTPS, from that very end. What they know is kept over restarts in DIR/updates.json, so
 * that they are not told again what has not changed, and not asked again what they have refused.
 */
#pragma once

#include <jansson.h>

#include "user/config/config.h"

struct daemon;
struct updates; /* opaque */

/* dir: of the instance's state; copied. 0 or -errno, told. */
int updates_open(struct daemon *d, const char *dir);
void updates_close(struct daemon *d);

/* In force now. The caller keeps it until the next call. */
void updates_configure(struct daemon *d, const struct config *config);
/* Then, once a second and when addresses have changed: tells who is to be told. */
void updates_tick(struct daemon *d);

/* Warns of what would keep a broker from being told. */
void updates_warn(const struct config *config, struct config_report *report);

/* Adds what is to be said of brokers to the rows of `show tunnels`, and what is wrong to the reasons of `status`. */
void updates_show(struct daemon *d, json_t *rows);
void updates_reasons(struct daemon *d, json_t *reasons);
