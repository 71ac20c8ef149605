// SPDX-License-Identifier: GPL-2.0-only
#include "user/observe/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include "user/lib/clock.h"
#include "user/lib/file.h"
#include "user/lib/journal_text.h"
#include "user/lib/log.h"
#include "user/observe/syslog.h"

#define BLOCK 4096
#define AGAIN_MS 1000 /* until a file that could not be opened is tried again */

const char *const journal_kinds[] = {
	[JOURNAL_DAEMON] = "daemon",   [JOURNAL_APPLY] = "apply", [JOURNAL_ALIAS] = "alias",
	[JOURNAL_STATES] = "states",   [JOURNAL_NAT] = "nat",	  [JOURNAL_INTERFACE] = "interface",
	[JOURNAL_GATEWAY] = "gateway", [JOURNAL_GROUP] = "group", [JOURNAL_TUNNEL] = "tunnel",
	[JOURNAL_NAME] = "name",       [JOURNAL_HOOK] = "hook",	  [JOURNAL_VIP] = "vip",
	[JOURNAL_SYNC] = "sync",       [JOURNAL_DRILL] = "drill",
};

static const struct {
	const char *name;
	int priority;
} levels[] = {
	[JOURNAL_NOTICE] = { "notice", LOG_NOTICE },
	[JOURNAL_WARNING] = { "warning", LOG_WARNING },
	[JOURNAL_ALERT] = { "alert", LOG_ALERT },
};

struct journal {
	char *dir, *path, *before; /* the file, and the one that it was */
	int fd;			   /* -1: not open */
	off_t size;
	bool dirty; /* since the disk was asked to write it */
	int err;    /* of the last attempt: 0 or -errno */
	long long tried_ms;
	uint64_t lost, lost_untold;
	struct syslog *syslog; /* NULL: not wanted */
	int facility;
	uint64_t unsent; /* to syslog, and not told there yet */
};

/* ---- the file ---- */

/* Where the last whole line ends: a daemon that was killed, or a power cut, may have left a part of one. -1: it can't be read */
static off_t end_of_lines(int fd, off_t size)
{
	char block[BLOCK];
	off_t at = size;

	while (at > 0) {
		off_t start = (at - 1) / BLOCK * BLOCK;
		const char *newline;

		if (pread(fd, block, at - start, start) != at - start)
			return -1;
		newline = memrchr(block, '\n', at - start);
		if (newline)
			return start + (newline - block) + 1;
		at = start;
	}
	return 0;
}

static int take_file(struct journal *journal, int fd)
{
	struct stat st;
	off_t end;

	if (fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	end = end_of_lines(fd, st.st_size);
	if (end < 0 || (end < st.st_size && ftruncate(fd, end)))
		return -EIO;
	journal->fd = fd;
	journal->size = end;
	return 0;
}

static int open_file(struct journal *journal)
{
	int err = file_make_dirs(journal->dir, 0700), fd;

	if (err)
		return err;
	fd = open(journal->path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600);
	if (fd < 0)
		return -errno;
	err = take_file(journal, fd);
	if (err)
		close(fd);
	return err;
}

static void close_file(struct journal *journal)
{
	if (journal->fd >= 0)
		close(journal->fd);
	journal->fd = -1;
}

/* An open file with room for so many bytes more. */
static int make_room(struct journal *journal, size_t len)
{
	long long now = clock_ms(CLOCK_MONOTONIC);

	if (journal->fd >= 0 && journal->size + (off_t)len > JOURNAL_FILE_MAX) {
		if (rename(journal->path, journal->before) && errno != ENOENT)
			return -errno;
		close_file(journal);
		return open_file(journal);
	}
	if (journal->fd >= 0)
		return 0;
	if (journal->err && now - journal->tried_ms < AGAIN_MS)
		return journal->err;
	journal->tried_ms = now;
	return open_file(journal);
}

/* All of it, or nothing: what would be a part of a line is cut off again. */
static int append(struct journal *journal, const char *line, size_t len)
{
	int err = make_room(journal, len);
	ssize_t n;

	if (err)
		return err;
	n = write(journal->fd, line, len);
	if (n == (ssize_t)len) {
		journal->size += n;
		journal->dirty = true;
		return 0;
	}
	err = n < 0 ? -errno : -ENOSPC;
	if (ftruncate(journal->fd, journal->size))
		close_file(journal);
	return err;
}

/* ---- an event ---- */

/* Names and reasons come from everywhere, some in bytes that JSON does not take. */
static json_t *any_string(const char *text)
{
	json_t *json = json_string(text);
	char *copy = json ? NULL : strdup(text);

	for (char *c = copy; c && *c; c++)
		if (*c & 0x80)
			*c = '?';
	json = json ?: json_string(copy ? copy : "?");
	free(copy);
	return json;
}

static json_t *event_json(enum journal_level level, enum journal_kind kind, const char *name, const char *event,
			  const char *reason, json_t *details)
{
	return json_pack("{s:I, s:s, s:o, s:s, s:o*, s:s, s:O*}", "time_ms", (json_int_t)clock_ms(CLOCK_REALTIME),
			 "kind", journal_kinds[kind], "name", any_string(name), "event", event, "reason",
			 reason ? any_string(reason) : NULL, "level", levels[level].name, "details", details);
}

/* Malloc'ed, with a newline. */
static char *line_of(json_t *json, size_t *len)
{
	char *text = json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(6)), *line = NULL;
	int n;

	if (text && strlen(text) >= JOURNAL_LINE_MAX) {
		free(text);
		json_object_del(json, "details");
		text = json_dumps(json, JSON_COMPACT);
	}
	n = text ? asprintf(&line, "%s\n", text) : -1;
	free(text);
	*len = n < 0 ? 0 : n;
	return n < 0 ? NULL : line;
}

static int keep(struct journal *journal, json_t *json)
{
	size_t len;
	char *line = line_of(json, &len);
	int err = line ? append(journal, line, len) : -ENOMEM;

	free(line);
	return err;
}

/* Before the first event that can be kept again. */
static int keep_lost(struct journal *journal)
{
	json_t *json;
	char why[128];
	int err;

	if (!journal->lost_untold)
		return 0;
	snprintf(why, sizeof(why), "%llu before this one could not be written: %s",
		 (unsigned long long)journal->lost_untold, strerror(-journal->err));
	json = event_json(JOURNAL_WARNING, JOURNAL_DAEMON, "events", "lost", why, NULL);
	err = json ? keep(journal, json) : -ENOMEM;
	json_decref(json);
	if (!err)
		journal->lost_untold = 0;
	return err;
}

static void write_file(struct journal *journal, json_t *json)
{
	int err = keep_lost(journal);

	err = err ?: keep(journal, json);
	if (err && err != journal->err)
		log_ret(err, "%s: events are not kept", journal->path);
	journal->err = err;
	if (!err)
		return;
	journal->lost++;
	journal->lost_untold++;
}

/* A supervisor that has both ends gets it once. */
static bool wanted_on_stderr(const struct journal *journal)
{
	return !journal || (log_to_stderr() && !(journal->syslog && getenv("JOURNAL_STREAM")));
}

static void log_line(struct journal *journal, enum journal_level level, const char *text)
{
	if (wanted_on_stderr(journal) && level != JOURNAL_NOTICE)
		log_warnx("%s", text);
	else if (wanted_on_stderr(journal))
		log_info("%s", text);
	if (journal && journal->syslog && !syslog_put(journal->syslog, levels[level].priority, text))
		journal->unsent++;
}

static void tell(struct journal *journal, enum journal_level level, const json_t *json)
{
	char *text = journal_text(json);

	if (text)
		log_line(journal, level, text);
	free(text);
}

void journal_say(struct journal *journal, enum journal_level level, const char *fmt, ...)
{
	char text[JOURNAL_REASON_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_line(journal, level, text);
}

void journal_write(struct journal *journal, enum journal_level level, enum journal_kind kind, const char *name,
		   const char *event, json_t *details, const char *reason, ...)
{
	char why[JOURNAL_REASON_MAX];
	json_t *json;
	va_list ap;

	va_start(ap, reason);
	vsnprintf(why, sizeof(why), reason ? reason : "", ap);
	va_end(ap);
	json = event_json(level, kind, name, event, reason ? why : NULL, details);
	json_decref(details);
	if (!json) {
		log_warnx("out of memory: %s %s: %s", journal_kinds[kind], name, event);
		return;
	}
	tell(journal, level, json);
	if (journal)
		write_file(journal, json);
	json_decref(json);
}

/* ---- the second's work ---- */

/* Somebody may have removed or renamed it: the next event makes a new one. */
static void look_after_file(struct journal *journal)
{
	struct stat ours, there;

	if (journal->fd < 0)
		return;
	if (stat(journal->path, &there) || fstat(journal->fd, &ours) || ours.st_dev != there.st_dev ||
	    ours.st_ino != there.st_ino)
		close_file(journal);
}

static void tell_unsent(struct journal *journal)
{
	char text[128];

	if (!journal->unsent || !journal->syslog)
		return;
	snprintf(text, sizeof(text), "daemon events: unsent: %llu could not be sent to syslog; `fairlead show events`",
		 (unsigned long long)journal->unsent);
	if (syslog_put(journal->syslog, LOG_WARNING, text))
		journal->unsent = 0;
}

void journal_tick(struct journal *journal)
{
	look_after_file(journal);
	if (journal->dirty && journal->fd >= 0) /* begun, not waited for */
		sync_file_range(journal->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
	journal->dirty = false;
	tell_unsent(journal);
}

/* ---- open and close ---- */

struct journal *journal_open(const char *dir)
{
	struct journal *journal = calloc(1, sizeof(*journal));

	if (!journal)
		return NULL;
	journal->fd = -1;
	journal->dir = strdup(dir);
	if (asprintf(&journal->path, "%s/events.log", dir) < 0)
		journal->path = NULL;
	if (asprintf(&journal->before, "%s/events.log.1", dir) < 0)
		journal->before = NULL;
	if (!journal->dir || !journal->path || !journal->before) {
		journal_close(journal);
		return NULL;
	}
	journal->err = open_file(journal);
	if (journal->err)
		log_ret(journal->err, "%s: events are not kept", journal->path);
	return journal;
}

void journal_close(struct journal *journal)
{
	if (!journal)
		return;
	close_file(journal);
	syslog_close(journal->syslog);
	free(journal->dir);
	free(journal->path);
	free(journal->before);
	free(journal);
}

void journal_syslog(struct journal *journal, const char *path, int facility)
{
	if (!!path == !!journal->syslog && facility == journal->facility)
		return;
	syslog_close(journal->syslog);
	journal->facility = facility;
	journal->syslog = path ? syslog_open(path, facility, "events") : NULL;
	if (path && !journal->syslog)
		log_warnx("out of memory: events are not logged by syslog");
}

void journal_configure(struct journal *journal, const struct config_log *config)
{
	journal_syslog(journal, config->events == CONFIG_LOG_SYSLOG ? SYSLOG_PATH : NULL, config->facility);
}

int journal_trouble(const struct journal *journal)
{
	return journal->err;
}

uint64_t journal_lost(const struct journal *journal)
{
	return journal->lost;
}

const char *journal_path(const struct journal *journal)
{
	return journal->path;
}
