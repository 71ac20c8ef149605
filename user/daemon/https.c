// SPDX-License-Identifier: GPL-2.0-only
#include "user/daemon/https.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "user/https/protocol.h"
#include "user/lib/program.h"

#define KILLED_MS 100 /* until one that got SIGKILL has ended, unless a disk or the like holds it */

struct https_request {
	LIST_ENTRY(https_request) entry;
	pid_t pid;
	int pidfd, out; /* -1 */
	struct event *ended;
	https_fn *fn; /* NULL: nobody waits for it any more */
	void *arg;
};

struct https {
	struct event_base *base;
	LIST_HEAD(, https_request) requests;
};

/* What a child gets: its files in this order, and the daemon's ends of the first two. */
struct files {
	int in, out, socket;
	int request, answer;
};

static int spawn(const char *path, const struct files *files, pid_t *pid)
{
	char *const argv[] = { HTTPS_PROGRAM, NULL }, *const env[] = { NULL };
	const int its[] = { files->in, files->out, PROGRAM_SHARED, [HTTPS_SOCKET_FD] = files->socket };
	const struct program program = {
		.path = path, .argv = argv, .env = env, .files = its, .n_files = HTTPS_SOCKET_FD + 1
	};

	return program_start(&program, pid);
}

/* ---- its files ---- */

static void files_close(const struct files *files)
{
	const int all[] = { files->in, files->out, files->socket, files->request, files->answer };

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (all[i] >= 0)
			close(all[i]);
}

/* The mark before all else: the first packet has it. */
static int open_socket(const struct https_setup *s)
{
	const struct sockaddr_in source = { .sin_family = AF_INET, .sin_addr = s->source.v4 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), err;

	if (fd >= 0 && (!s->mark || !setsockopt(fd, SOL_SOCKET, SO_MARK, &s->mark, sizeof(s->mark))) &&
	    (!s->device || !setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, s->device, strlen(s->device))) &&
	    !bind(fd, (const struct sockaddr *)&source, sizeof(source)))
		return fd;
	err = errno;
	if (fd >= 0)
		close(fd);
	errno = err;
	return -1;
}

/* The errno. What the request is goes into the pipe as a whole, which has room for it. */
static int write_request(const struct https_setup *s, int fd)
{
	char to[ADDR_STRLEN], text[HTTPS_REQUEST_MAX];
	const char *const strings[HTTPS_STRINGS] = { s->url, addr_format(&s->to, to), s->user ? s->user : "",
						     s->password ? s->password : "" };
	size_t len = 0;
	int err = 0;

	for (size_t i = 0; i < HTTPS_STRINGS && !err; i++) {
		size_t n = strlen(strings[i]) + 1;

		if (n > sizeof(text) - len)
			err = E2BIG;
		else
			memcpy(text + len, strings[i], n);
		len += n;
	}
	if (!err && write(fd, text, len) != (ssize_t)len)
		err = EIO;
	explicit_bzero(text, sizeof(text));
	return err;
}

static int files_open(const struct https_setup *setup, struct files *files)
{
	int pair[2];

	*files = (struct files){ -1, -1, -1, -1, -1 };
	if (pipe2(pair, O_CLOEXEC))
		return errno;
	files->in = pair[0];
	files->request = pair[1];
	if (pipe2(pair, O_CLOEXEC))
		return errno;
	files->answer = pair[0];
	files->out = pair[1];
	files->socket = open_socket(setup);
	if (files->socket < 0)
		return errno;
	return fcntl(files->answer, F_SETFL, O_NONBLOCK) ? errno : write_request(setup, files->request);
}

/* ---- requests ---- */

static void request_free(struct https_request *r)
{
	LIST_REMOVE(r, entry);
	if (r->ended)
		event_free(r->ended);
	if (r->pidfd >= 0)
		close(r->pidfd);
	if (r->out >= 0)
		close(r->out);
	free(r);
}

/* Status and text of what it has written; of one that has failed, or was killed, that. */
static long read_answer(const struct https_request *r, const siginfo_t *info, char text[HTTPS_BODY_MAX])
{
	char answer[HTTPS_BODY_MAX + 32], *body;
	ssize_t n = read(r->out, answer, sizeof(answer) - 1);
	long status;

	if (info->si_code == CLD_EXITED && !info->si_status && n > 0) {
		answer[n] = '\0';
		status = strtol(answer, &body, 10);
		if (*body == '\n' && body != answer) {
			snprintf(text, HTTPS_BODY_MAX, "%s", body + 1);
			return status;
		}
	}
	snprintf(text, HTTPS_BODY_MAX, HTTPS_PROGRAM " has ended with %s %d",
		 info->si_code == CLD_EXITED ? "status" : "signal", info->si_status);
	return 0;
}

static void on_ended(evutil_socket_t fd, short what, void *arg)
{
	struct https_request *r = arg;
	https_fn *fn = r->fn;
	void *fn_arg = r->arg;
	char text[HTTPS_BODY_MAX];
	siginfo_t info = { 0 };
	long status;

	(void)fd;
	if (what & EV_TIMEOUT) {
		kill(r->pid, SIGKILL);
		event_add(r->ended, NULL);
		return;
	}
	waitid(P_PIDFD, r->pidfd, &info, WEXITED | WNOHANG);
	status = read_answer(r, &info, text);
	request_free(r);
	if (fn)
		fn(fn_arg, status, text);
}

/* The errno. One that can't be watched is not left alone. */
static int watch(struct https *https, struct https_request *r)
{
	const long ms = HTTPS_TIMEOUT_MS + HTTPS_KILL_AFTER_MS;
	const struct timeval timeout = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };
	int err;

	r->pidfd = pidfd_open(r->pid, 0);
	err = r->pidfd < 0 ? errno : 0;
	if (!err)
		r->ended = event_new(https->base, r->pidfd, EV_READ, on_ended, r);
	if (!err && (!r->ended || event_add(r->ended, &timeout)))
		err = ENOMEM;
	if (err) {
		kill(r->pid, SIGKILL);
		waitpid(r->pid, NULL, 0);
	}
	return err;
}

/* The errno. */
static int start(struct https *https, struct https_request *r, const struct https_setup *setup, const char *path)
{
	struct files files;
	int err = files_open(setup, &files) ?: spawn(path, &files, &r->pid);

	if (!err) {
		r->out = files.answer;
		files.answer = -1;
	}
	files_close(&files);
	return err ?: watch(https, r);
}

struct https_request *https_get(struct https *https, const struct https_setup *setup, https_fn *fn, void *arg,
				const char **why)
{
	struct https_request *r = calloc(1, sizeof(*r));
	char path[PATH_MAX];
	int err;

	if (!r) {
		*why = strerror(ENOMEM);
		return NULL;
	}
	*r = (struct https_request){ .pidfd = -1, .out = -1, .fn = fn, .arg = arg };
	LIST_INSERT_HEAD(&https->requests, r, entry);
	if (!program_find(HTTPS_PROGRAM, path)) {
		*why = HTTPS_PROGRAM " is neither beside fairleadd nor in ../libexec/fairlead";
	} else {
		err = start(https, r, setup, path);
		if (!err)
			return r;
		*why = strerror(err);
	}
	request_free(r);
	return NULL;
}

/* Its end is waited for on the loop. */
void https_cancel(struct https_request *r)
{
	if (!r)
		return;
	r->fn = NULL;
	kill(r->pid, SIGKILL);
}

struct https *https_open(struct event_base *base)
{
	struct https *https = calloc(1, sizeof(*https));

	if (!https)
		return NULL;
	https->base = base;
	LIST_INIT(&https->requests);
	return https;
}

void https_close(struct https *https)
{
	struct https_request *r, *next;
	siginfo_t info;

	if (!https)
		return;
	LIST_FOREACH(r, &https->requests, entry)
	{
		kill(r->pid, SIGKILL);
	}
	for (r = LIST_FIRST(&https->requests); r; r = next) {
		next = LIST_NEXT(r, entry);
		poll(&(struct pollfd){ .fd = r->pidfd, .events = POLLIN }, 1, KILLED_MS);
		waitid(P_PIDFD, r->pidfd, &info, WEXITED | WNOHANG);
		request_free(r);
	}
	free(https);
}
