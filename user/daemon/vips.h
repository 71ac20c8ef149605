/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Virtual addresses as a whole: the configuration, the machine and people say what holds; the timekeeper (user/vip/) decides who has them; here
 * the kernel's addresses, events and what is shown follow.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "user/config/config.h"

#define VIPS_ALL "all" /* in an event's name: no single one */

struct daemon;
struct vips; /* opaque */

/* After gateways_open(). 0 or -errno, logged. */
int vips_open(struct daemon *d);
/* Gives up all that this node has. Before the timekeeper ends, and while events are kept */
void vips_close(struct daemon *d);

/* Of a configuration that is in force. */
void vips_configure(struct daemon *d, const struct config *config);
/* Password files that can't be used. */
void vips_warn(const struct config *config, struct config_report *report);
void vips_system_changed(struct daemon *d); /* links or addresses */
void vips_tick(struct daemon *d);	    /* once a second */
/* What is waited for may be there: after a change of gateways or interfaces, so that nobody waits for the next tick. */
void vips_look(struct daemon *d);

/* What must be there before this node takes addresses over. Each is waited for so long and no longer, see vips_ready.c. */
enum vips_cause { VIPS_STATES, VIPS_GATEWAYS, VIPS_PROGRAMS, VIPS_CAUSES };

/* Of the main thread; what has no part in it says nothing. false: from now on it is waited for */
void vips_ready(struct daemon *d, enum vips_cause cause, bool ready);
bool vips_is_ready(const struct daemon *d);
/* A peer that lives has ended the key that this node has: it takes no part. */
void vips_left_out(struct daemon *d, bool is);

/* NAME NULL: all. -ENOENT: there is none of that name */
int vips_disable(struct daemon *d, const char *name, bool disable);
void vips_maintenance(struct daemon *d, bool on);

json_t *vips_show(struct daemon *d); /* the rows of `show vips` */
void vips_reasons(struct daemon *d, json_t *reasons);
