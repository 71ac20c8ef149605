// SPDX-License-Identifier: GPL-2.0-only
/* `show events`: what is on disk, some of it at a time. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/config/suggest.h"
#include "user/daemon/daemon.h"

struct job {
	struct journal_cursor *cursor;
	struct client *client;
	struct event *next;
	bool over;
};

static void job_free(struct job *job)
{
	journal_read_close(job->cursor);
	if (job->next)
		event_free(job->next);
	free(job);
}

/* ---- the stream: lines of the file; then one object ---- */

static void send_end(struct job *job, int err)
{
	json_t *json = err ? json_pack("{s:s}", "error", strerror(-err))
			   : json_pack("{s:I}", "events", (json_int_t)journal_read_found(job->cursor));
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

	if (text)
		control_send(job->client, text);
	free(text);
	json_decref(json);
}

static void job_wait(struct job *job)
{
	const struct timeval soon = { 0 };

	evtimer_add(job->next, &soon);
}

static void job_step(evutil_socket_t fd, short what, void *arg)
{
	struct job *job = arg;
	const char *lines;
	int more = journal_read_go(job->cursor, &lines);

	(void)fd, (void)what;
	if (*lines)
		control_send(job->client, lines);
	job->over = more <= 0;
	if (job->over)
		send_end(job, more);
	else if (!*lines)
		job_wait(job);
}

static void job_begin(void *arg, struct client *client)
{
	struct job *job = arg;

	job->client = client;
	job_wait(job);
}

/* What was sent, has been taken: more. */
static void job_drained(void *arg)
{
	struct job *job = arg;

	if (!job->over && !evtimer_pending(job->next, NULL))
		job_wait(job);
}

static void job_ended(void *arg)
{
	job_free(arg);
}

static const struct control_stream job_stream = { job_begin, job_drained, job_ended };

/* ---- the question ---- */

static bool knows_kind(const char *kind, struct control_answer *answer)
{
	struct suggest near = { .given = kind };

	for (size_t i = 0; i < JOURNAL_KINDS; i++) {
		if (!strcmp(kind, journal_kinds[i]))
			return true;
		suggest_offer(&near, journal_kinds[i]);
	}
	if (near.best)
		control_fail(answer, 2, "no kind of event \"%s\"; did you mean \"%s\"?", kind, near.best);
	else
		control_fail(answer, 2, "no kind of event \"%s\"", kind);
	return false;
}

static void begin(struct daemon *d, const struct journal_query *query, struct control_answer *answer)
{
	struct job *job = calloc(1, sizeof(*job));
	int err = job ? journal_read_open(&job->cursor, journal_path(d->journal), query) : -ENOMEM;

	if (!err && !(job->next = evtimer_new(d->base, job_step, job)))
		err = -ENOMEM;
	if (!err) {
		answer->result = json_object();
		answer->stream = &job_stream;
		answer->stream_arg = job;
		return;
	}
	control_fail(answer, 1, "%s can't be read: %s", journal_path(d->journal), strerror(-err));
	if (job)
		job_free(job);
}

/*
 * {"command": "show", "what": "events", "since_ms", "kind", "name"}: behind the answer come events, each an object on a line, the oldest
 * first; then {"events": N} or {"error": …}.
 */
void command_show_events(struct daemon *d, const json_t *request, struct control_answer *answer)
{
	struct journal_query query = { 0 };
	const char *command, *what;
	json_int_t since = 0;
	json_error_t error;

	if (!command_unpacked(json_unpack_ex((json_t *)request, &error, JSON_STRICT, "{s:s,s:s,s?I,s?s,s?s}", "command",
					     &command, "what", &what, "since_ms", &since, "kind", &query.kind, "name",
					     &query.name),
			      &error, answer))
		return;
	query.since_ms = since;
	if (!query.kind || knows_kind(query.kind, answer))
		begin(d, &query, answer);
}
