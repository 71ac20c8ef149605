// SPDX-License-Identifier: GPL-2.0-only
/* Logged packets to syslog. By a socket of its own: syslog(3) waits where the other end does not read, and then no probe is sent. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "user/lib/event_text.h"
#include "user/lib/log.h"
#include "user/observe/observe.h"

#define LINES_A_SECOND 200

struct packet_syslog {
	struct sockaddr_un to;
	int fd; /* -1: not connected */
	int priority;
	unsigned int left; /* lines that this second may still have */
	uint64_t lost;
	bool told; /* that nothing listens */
};

struct packet_syslog *packet_syslog_open(const char *path, int facility)
{
	struct packet_syslog *log = calloc(1, sizeof(*log));

	if (!log)
		return NULL;
	log->to.sun_family = AF_UNIX;
	snprintf(log->to.sun_path, sizeof(log->to.sun_path), "%s", path);
	log->fd = -1;
	log->priority = facility | LOG_INFO;
	log->left = LINES_A_SECOND;
	return log;
}

void packet_syslog_close(struct packet_syslog *log)
{
	if (!log)
		return;
	if (log->fd >= 0)
		close(log->fd);
	free(log);
}

/* Anew after syslogd was started anew. */
static bool connected(struct packet_syslog *log)
{
	if (log->fd >= 0)
		return true;
	log->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (log->fd >= 0 && !connect(log->fd, (struct sockaddr *)&log->to, sizeof(log->to))) {
		log->told = false;
		return true;
	}
	if (!log->told)
		log_warn("packets are to be logged by syslog: %s", log->to.sun_path);
	log->told = true;
	if (log->fd >= 0)
		close(log->fd);
	log->fd = -1;
	return false;
}

/* RFC 3164, as syslog(3) writes it to /dev/log */
static bool put(struct packet_syslog *log, const char *text)
{
	char line[EVENT_TEXT_MAX + 64], date[32];
	time_t now = time(NULL);
	struct tm tm;
	int n;

	if (!connected(log))
		return false;
	localtime_r(&now, &tm);
	strftime(date, sizeof(date), "%b %e %H:%M:%S", &tm);
	n = snprintf(line, sizeof(line), "<%d>%s fairleadd[%d]: %s", log->priority, date, getpid(), text);
	if (n >= (int)sizeof(line))
		n = sizeof(line) - 1;
	if (send(log->fd, line, n, MSG_NOSIGNAL) == n)
		return true;
	if (errno != EAGAIN && errno != ENOBUFS) {
		close(log->fd);
		log->fd = -1;
	}
	return false;
}

void packet_syslog_write(struct packet_syslog *log, const json_t *event)
{
	char text[EVENT_TEXT_MAX];

	if (log->left && put(log, event_text(event, text)))
		log->left--;
	else
		log->lost++;
}

void packet_syslog_tick(struct packet_syslog *log)
{
	json_t *lost = log->lost ? observe_lost_json(log->lost, "reader") : NULL;
	char text[EVENT_TEXT_MAX];

	if (lost && put(log, event_text(lost, text)))
		log->lost = 0;
	json_decref(lost);
	log->left = LINES_A_SECOND;
}
