/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Logging in the manner of OpenBSD's daemons. Whatever logs must be able to before any other state exists and from
 * everywhere, so this is the one file with state of its own; it is set once, by log_init().
 */
#include "user/lib/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

static struct {
	const char *program; /* the caller's string: a literal, or argv[0] */
	bool to_syslog;
	int verbose;
} log_state;

void log_init(const char *program, bool foreground, int verbose)
{
	log_state.program = program;
	log_state.to_syslog = !foreground;
	log_state.verbose = verbose;
	if (log_state.to_syslog)
		openlog(program, LOG_PID | LOG_NDELAY, LOG_DAEMON);
}

bool log_to_stderr(void)
{
	return !log_state.to_syslog;
}

/* One line in one write, so that lines of several processes don't mix. */
static void log_stderr(const char *text)
{
	char *line = NULL;

	if (asprintf(&line, "%s%s%s\n", log_state.program ? log_state.program : "", log_state.program ? ": " : "",
		     text) < 0)
		return;
	fputs(line, stderr);
	fflush(stderr);
	free(line);
}

static void log_text(int priority, const char *text)
{
	if (log_state.to_syslog)
		syslog(priority, "%s", text);
	else
		log_stderr(text);
}

/* error: text of errno to add, or NULL. Keeps errno. */
static void vlog(int priority, const char *error, const char *fmt, va_list ap)
{
	int saved = errno;
	char *text = NULL, *whole = NULL;

	if (vasprintf(&text, fmt, ap) < 0) {
		log_text(priority, fmt); /* out of memory: the format says at least what it is about */
		goto out;
	}
	if (error && asprintf(&whole, "%s: %s", text, error) < 0)
		whole = NULL;
	log_text(priority, whole ? whole : text);
	free(whole);
	free(text);
out:
	errno = saved;
}

void log_vwarnx(const char *fmt, va_list ap)
{
	vlog(LOG_WARNING, NULL, fmt, ap);
}

void log_warn(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vlog(LOG_WARNING, strerror(errno), fmt, ap);
	va_end(ap);
}

void log_warnx(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vlog(LOG_WARNING, NULL, fmt, ap);
	va_end(ap);
}

void log_info(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vlog(LOG_INFO, NULL, fmt, ap);
	va_end(ap);
}

void log_debug(const char *fmt, ...)
{
	va_list ap;

	if (!log_state.verbose)
		return;
	va_start(ap, fmt);
	vlog(LOG_DEBUG, NULL, fmt, ap);
	va_end(ap);
}

int log_ret(int err, const char *fmt, ...)
{
	int positive = err < 0 ? -err : err;
	va_list ap;

	va_start(ap, fmt);
	vlog(LOG_WARNING, strerror(positive), fmt, ap);
	va_end(ap);
	return -positive;
}
