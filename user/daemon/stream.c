// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <stdlib.h>

#include "user/daemon/stream.h"

struct stream_job {
	const struct stream_ops *ops;
	void *arg;
	struct client *client;
	struct event *next;
	struct timeval pause;
	bool over;
};

static void send_end(struct stream_job *job, int err)
{
	json_t *json = job->ops->end(job->arg, err);
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

	if (text)
		control_send(job->client, text);
	free(text);
	json_decref(json);
}

static void job_wait(struct stream_job *job)
{
	evtimer_add(job->next, &job->pause);
}

/* What was sent must be taken before there is more of it: see job_drained() */
static void job_step(evutil_socket_t fd, short what, void *arg)
{
	struct stream_job *job = arg;
	const char *lines;
	int more = job->ops->go(job->arg, &lines);

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
	struct stream_job *job = arg;

	job->client = client;
	job_wait(job);
}

static void job_drained(void *arg)
{
	struct stream_job *job = arg;

	if (!job->over && !evtimer_pending(job->next, NULL))
		job_wait(job);
}

static void job_ended(void *arg)
{
	struct stream_job *job = arg;

	job->ops->close(job->arg, job->over);
	event_free(job->next);
	free(job);
}

int stream_begin(struct daemon *d, const struct stream_ops *ops, void *arg, uint32_t pause_us,
		 struct control_answer *answer)
{
	static const struct control_stream stream = { job_begin, job_drained, job_ended };
	struct stream_job *job = calloc(1, sizeof(*job));

	if (!job)
		return -ENOMEM;
	*job = (struct stream_job){ .ops = ops, .arg = arg, .pause = { .tv_usec = pause_us } };
	job->next = evtimer_new(d->base, job_step, job);
	if (!job->next) {
		free(job);
		return -ENOMEM;
	}
	answer->stream = &stream;
	answer->stream_arg = job;
	return 0;
}
