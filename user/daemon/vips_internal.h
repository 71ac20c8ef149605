/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files of virtual addresses share. */
#pragma once

#include <event2/event.h>

#include "user/daemon/vip_hooks.h"
#include "user/daemon/vips.h"
#include "user/vip/vhids.h"

#define VIPS_WAITS_TEXT 64

/* What the timekeeper has been told of it, and may become another. */
struct followed {
	uint32_t ifindex;
	size_t n_peers;
};

struct vips {
	struct event *on_events;
	struct vip_hooks *hooks;
	const struct config *config; /* whose vips the timekeeper has; NULL: none yet */
	struct vhid_facts *facts;    /* in its order, as the next two */
	struct followed *followed;
	bool *owned;	  /* the kernel has the addresses */
	json_t *disabled; /* names -> true; over a restart, not over a boot */
	char *disabled_path, *maintenance_path;
	bool maintenance;
	bool left_out;
	bool stands_by;		 /* it has none of them, or for a moment only */
	long long owns_since_ms; /* CLOCK_BOOTTIME; 0: it has none */
	/* vips_ready.c */
	unsigned int waits;		 /* for what; enum vips_cause bits */
	long long since_ms[VIPS_CAUSES]; /* CLOCK_BOOTTIME */
	unsigned int limit_ms[VIPS_CAUSES];
};

void vips_tell_facts(struct daemon *d);
void vips_settle_role(struct daemon *d); /* once a second */
/* All of them as they are, in the configuration's order; malloc'ed, also where the number is 0. */
size_t vips_views(struct daemon *d, struct vhid_view **views);
const struct config_vip *vips_find(const struct vips *v, const char *name, size_t *i); /* NULL: there is none */

/* ---- vips_tell.c ---- */

void vips_tell(struct daemon *d, const struct vhid_event *e);
void vips_log_role(struct daemon *d, const struct config_vip *vip, enum carp_role before, enum carp_role role,
		   const char *why);
void vips_settle_hooks(struct daemon *d);
const char *vips_role_text(enum carp_role role); /* as in `show vips` */
const char *vips_hold_text(unsigned int holds);

/* ---- vips_ready.c ---- */

void vips_ready_open(struct daemon *d);
void vips_ready_configure(struct daemon *d, const struct config *config);
/* The names of what is waited for, "" when ready */
void vips_waits_text(const struct vips *v, char *text, size_t len);
