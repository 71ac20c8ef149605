// SPDX-License-Identifier: GPL-2.0-only
#include "user/observe/syslog.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "user/lib/log.h"

struct syslog {
	struct sockaddr_un to;
	int fd; /* -1: not connected */
	int facility;
	const char *what;
	bool told; /* that nothing listens */
};

struct syslog *syslog_open(const char *path, int facility, const char *what)
{
	struct syslog *log = calloc(1, sizeof(*log));

	if (!log)
		return NULL;
	log->to.sun_family = AF_UNIX;
	snprintf(log->to.sun_path, sizeof(log->to.sun_path), "%s", path);
	log->fd = -1;
	log->facility = facility;
	log->what = what;
	return log;
}

static void disconnect(struct syslog *log)
{
	if (log->fd >= 0)
		close(log->fd);
	log->fd = -1;
}

void syslog_close(struct syslog *log)
{
	if (!log)
		return;
	disconnect(log);
	free(log);
}

static bool connected(struct syslog *log)
{
	if (log->fd >= 0)
		return true;
	log->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (log->fd >= 0 && !connect(log->fd, (struct sockaddr *)&log->to, sizeof(log->to))) {
		log->told = false;
		return true;
	}
	if (!log->told)
		log_warn("%s are to be logged by syslog: %s", log->what, log->to.sun_path);
	log->told = true;
	disconnect(log);
	return false;
}

/* RFC 3164, as syslog(3) writes it to /dev/log */
static bool send_line(struct syslog *log, int priority, const char *text)
{
	char line[SYSLOG_LINE_MAX], date[32];
	time_t now = time(NULL);
	struct tm tm;
	int n;

	if (!connected(log))
		return false;
	localtime_r(&now, &tm);
	strftime(date, sizeof(date), "%b %e %H:%M:%S", &tm);
	n = snprintf(line, sizeof(line), "<%d>%s fairleadd[%d]: %s", log->facility | priority, date, getpid(), text);
	if (n >= (int)sizeof(line))
		n = sizeof(line) - 1;
	return send(log->fd, line, n, MSG_NOSIGNAL) == n;
}

bool syslog_put(struct syslog *log, int priority, const char *text)
{
	bool was_connected = log->fd >= 0;

	if (send_line(log, priority, text))
		return true;
	if (log->fd < 0 || errno == EAGAIN || errno == ENOBUFS)
		return false;
	disconnect(log);
	return was_connected && send_line(log, priority, text);
}
