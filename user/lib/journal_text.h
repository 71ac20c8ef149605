/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An event as a line of text, the same in syslog and in `show events`:
 *
 *   KIND NAME: EVENT[: REASON][ KEY=VALUE]...
 *
 * A value (and NAME) that is empty or has blanks, quotes or `=` is in double quotes, in which `"` and `\` have a `\` before them. Control
 * characters become `?`.
 */
#pragma once

#include <jansson.h>

/* `event` is an object of the control socket's `show events`. Without its time. Malloc'ed; NULL: out of memory. */
char *journal_text(const json_t *event);
