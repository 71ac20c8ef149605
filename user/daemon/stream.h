/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An answer that goes on for as long as it takes, some milliseconds at a time, between which the loop does other things: text as it comes, then
 * one object.
 */
#pragma once

#include <jansson.h>

#include "user/daemon/daemon.h"

struct stream_ops {
	/* *lines: what there is to send now, maybe ""; 1: go on, 0: that was all, -errno */
	int (*go)(void *arg, const char **lines);
	json_t *(*end)(void *arg, int err);  /* the last object */
	void (*close)(void *arg, bool over); /* over: it came to its end; else who has asked is gone */
};

/* The answer becomes one that goes on; a pause of so long is between two steps. -ENOMEM: it does not, and nothing is closed */
int stream_begin(struct daemon *d, const struct stream_ops *ops, void *arg, uint32_t pause_us,
		 struct control_answer *answer);
