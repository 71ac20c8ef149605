/* SPDX-License-Identifier: GPL-2.0-only */
/* Logging in the manner of OpenBSD's daemons: to stderr in the foreground, to syslog otherwise. errno is kept. */
#pragma once

#include <stdarg.h>
#include <stdbool.h>

void log_init(const char *program, bool foreground, int verbose);
bool log_to_stderr(void); /* else to syslog */

void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2))); /* adds strerror(errno) */
void log_warnx(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_vwarnx(const char *fmt, va_list ap);

/* Logs "text: strerror" and returns the error as -errno, whatever sign it had: `return log_ret(err, "…");` */
int log_ret(int err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
