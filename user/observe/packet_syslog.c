// SPDX-License-Identifier: GPL-2.0-only
/* Logged packets to syslog, so many at most. */
#include <stdlib.h>
#include <syslog.h>

#include "user/lib/event_text.h"
#include "user/observe/observe.h"
#include "user/observe/syslog.h"

#define LINES_A_SECOND 200

struct packet_syslog {
	struct syslog *syslog;
	unsigned int left; /* lines that this second may still have */
	uint64_t lost;
};

struct packet_syslog *packet_syslog_open(const char *path, int facility)
{
	struct packet_syslog *log = calloc(1, sizeof(*log));

	if (!log)
		return NULL;
	log->syslog = syslog_open(path, facility, "packets");
	log->left = LINES_A_SECOND;
	if (log->syslog)
		return log;
	free(log);
	return NULL;
}

void packet_syslog_close(struct packet_syslog *log)
{
	if (!log)
		return;
	syslog_close(log->syslog);
	free(log);
}

void packet_syslog_write(struct packet_syslog *log, const json_t *event)
{
	char text[EVENT_TEXT_MAX];

	if (log->left && syslog_put(log->syslog, LOG_INFO, event_text(event, text)))
		log->left--;
	else
		log->lost++;
}

void packet_syslog_tick(struct packet_syslog *log)
{
	json_t *lost = log->lost ? observe_lost_json(log->lost, "reader") : NULL;
	char text[EVENT_TEXT_MAX];

	if (lost && syslog_put(log->syslog, LOG_INFO, event_text(lost, text)))
		log->lost = 0;
	json_decref(lost);
	log->left = LINES_A_SECOND;
}
