/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The scripts of hooks.vip: what each vip's role is, as they were told. Whatever happens they learn the last one: events tell of changes at
 * once, and vip_hooks_settle() compares with what is.
 */
#pragma once

#include <event2/event.h>

#include "user/config/config.h"
#include "user/observe/journal.h"
#include "user/vip/vhids.h"

struct vip_hooks; /* opaque */

/* NULL: out of memory. instance lives as long as it does. */
struct vip_hooks *vip_hooks_open(struct event_base *base, struct journal *journal, const char *instance);
/* What still runs or waits has some seconds to end. NULL is allowed. */
void vip_hooks_close(struct vip_hooks *hooks);

/*
 * From now on these vips and scripts; the old configuration is there until this returns. The roles of new vips, of those that have other
 * addresses, and all of them for other scripts, are told by the next vip_hooks_settle().
 */
void vip_hooks_configure(struct vip_hooks *hooks, const struct config *config);

/* A vip's role has become that. why: for people */
void vip_hooks_tell(struct vip_hooks *hooks, const char *vip, enum carp_role role, const char *why);
/*
 * Tells of what has not been told. One that a daemon before this one had, and no other node has taken since, is waited for: it will be
 * this node's or not, and until then it is as it was.
 */
void vip_hooks_settle(struct vip_hooks *hooks, const struct vhid_view *view, const char *why);
/* This node gives all of them up. */
void vip_hooks_end(struct vip_hooks *hooks, const char *why);
