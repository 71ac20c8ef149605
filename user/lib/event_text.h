/* SPDX-License-Identifier: GPL-2.0-only */
/* A logged packet as a line of text, in the manner of tcpdump on pf's log. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define EVENT_TEXT_MAX 512

/* `event` is an object of the control socket's `log`. Without its time. Returns buf, EVENT_TEXT_MAX bytes. */
const char *event_text(const json_t *event, char *buf);
