/* SPDX-License-Identifier: GPL-2.0-only */
/* Lines to syslog by a socket of our own: syslog(3) waits where the other end does not read, and then no probe is sent. */
#pragma once

#include <stdbool.h>

#define SYSLOG_PATH "/dev/log"
#define SYSLOG_LINE_MAX 4096 /* bytes with what goes before the text; the rest is cut off */

struct syslog; /* opaque */

/* what: that is to be logged there, for the log when it can't; a literal. NULL: out of memory. */
struct syslog *syslog_open(const char *path, int facility, const char *what);
void syslog_close(struct syslog *log); /* NULL is allowed */
/* False: nobody listens there, or does not read. Never waits; connects anew when syslogd was started anew. */
bool syslog_put(struct syslog *log, int priority, const char *text);
