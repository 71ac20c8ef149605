/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Gateways and groups: between the timekeeper, which finds out what they are, and all who have to know. The programs' memory it writes
 * itself; here, in the main thread, follows the rest: rules that are skipped, routes, connections that can move, events, scripts.
 */
#pragma once

#include <jansson.h>

#include "user/gateway/timekeeper.h"

struct daemon;
struct presence;

struct gateways; /* opaque */

/* Once the data plane is there and before a configuration. 0 or -errno, told. */
int gateways_open(struct daemon *d);
void gateways_close(struct daemon *d);
/* Once a second. */
void gateways_tick(struct daemon *d);

/* Connections of members that are lost, which were not ended when they were. */
void gateways_look_again(struct daemon *d);

/* Rows; NULL: out of memory. */
json_t *gateways_show(struct daemon *d);
json_t *gateways_show_groups(struct daemon *d);
/* What status has to say of them. */
void gateways_reasons(struct daemon *d, const struct presence *p, json_t *reasons);
/* By hand, until `auto` or the machine's next start. -ENOENT: no such gateway */
int gateways_force(struct daemon *d, const char *name, enum monitor_forced forced);
