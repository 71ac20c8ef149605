// SPDX-License-Identifier: GPL-2.0-only
#include "user/control/control.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "user/lib/log.h"

struct client {
	LIST_ENTRY(client) entry;
	struct control *control;
	struct bufferevent *bev;
	size_t held;			     /* bytes of its input that count in control->held */
	size_t seen;			     /* of them searched for a newline */
	json_t *request;		     /* whose body is not all there; NULL: none */
	size_t body;			     /* so long it is */
	bool eof;			     /* nothing more comes */
	bool closing;			     /* after what is queued is sent, whatever else was asked */
	bool last;			     /* then the event loop ends too */
	const struct control_stream *stream; /* NULL: none; else nothing more is asked */
	void *stream_arg;
	const struct control_later *later; /* NULL: no answer is due */
	void *later_arg;
};

struct control {
	struct event_base *base;
	struct evconnlistener *listener;
	const struct control_command *commands;
	void *arg;
	char *path;
	int timeout_s;
	LIST_HEAD(, client) clients;
	size_t n_clients;
	size_t held; /* received and not yet handled */
};

void control_fail(struct control_answer *answer, int status, const char *fmt, ...)
{
	va_list ap;

	answer->status = status;
	free(answer->error);
	va_start(ap, fmt);
	if (vasprintf(&answer->error, fmt, ap) < 0)
		answer->error = NULL;
	va_end(ap);
}

/* ---- one request ---- */

static void run(struct control *control, const json_t *request, struct control_answer *answer)
{
	const char *name = json_string_value(json_object_get(request, "command"));

	for (const struct control_command *c = control->commands; c->name; c++) {
		if (name && !strcmp(c->name, name)) {
			c->run(control->arg, request, answer);
			return;
		}
	}
	control_fail(answer, 2, "no command \"%s\"; this daemon is of version " FAIRLEAD_VERSION, name ? name : "");
}

static void send_answer(struct client *client, struct control_answer *answer)
{
	json_t *json = json_pack("{s:i}", "status", answer->status);
	char *text;

	if (answer->result)
		json_object_set_new(json, "result", answer->result);
	if (answer->error)
		json_object_set_new(json, "error", json_string(answer->error));
	if (answer->findings)
		json_object_set_new(json, "findings", answer->findings);
	if (answer->file)
		json_object_set_new(json, "file", json_string(answer->file));
	text = json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(15)); /* so that 0.1 stays 0.1 */
	if (!text || bufferevent_write(client->bev, text, strlen(text)) || bufferevent_write(client->bev, "\n", 1))
		client->closing = true;
	client->last |= answer->last;
	free(text);
	json_decref(json);
	free(answer->error);
	free(answer->file);
}

static void answer_wrong(struct client *client, const char *what, const char *why)
{
	struct control_answer answer = { 0 };

	control_fail(&answer, 2, "%s%s", what, why);
	send_answer(client, &answer);
}

static void refuse(struct client *client, const char *why)
{
	answer_wrong(client, "", why);
	client->closing = true;
}

/* ---- connections ---- */

static void client_free(struct client *client)
{
	struct control *control = client->control;

	if (client->last)
		event_base_loopexit(control->base, NULL);
	if (client->stream)
		client->stream->ended(client->stream_arg);
	if (client->later)
		client->later->gone(client->later_arg);
	LIST_REMOVE(client, entry);
	control->n_clients--;
	control->held -= client->held;
	json_decref(client->request);
	bufferevent_free(client->bev);
	free(client);
}

static void account(struct client *client)
{
	size_t len = evbuffer_get_length(bufferevent_get_input(client->bev));

	client->control->held += len - client->held;
	client->held = len;
}

/* A client that is stopped, or has nothing to read for hours, is no broken one here: what waits for it is limited by who sends it. */
static void stream_begin(struct client *client, const struct control_answer *answer)
{
	client->stream = answer->stream;
	client->stream_arg = answer->stream_arg;
	bufferevent_set_timeouts(client->bev, NULL, NULL);
	client->stream->begin(client->stream_arg, client);
}

/* No time runs out for a client that can't but wait. */
static void later_begin(struct client *client, const struct control_answer *answer)
{
	client->later = answer->later;
	client->later_arg = answer->later_arg;
	bufferevent_set_timeouts(client->bev, NULL, NULL);
	client->later->begin(client->later_arg, client);
}

void control_answer(struct client *client, struct control_answer *answer)
{
	const struct timeval idle = { .tv_sec = client->control->timeout_s };

	client->later = NULL;
	bufferevent_set_timeouts(client->bev, &idle, &idle);
	send_answer(client, answer);
}

void control_send(struct client *client, const char *line)
{
	if (bufferevent_write(client->bev, line, strlen(line)) || bufferevent_write(client->bev, "\n", 1))
		client->closing = true;
}

size_t control_waiting(const struct client *client)
{
	return evbuffer_get_length(bufferevent_get_output(client->bev));
}

/* The first of what has come, and a 0 byte. NULL: refused */
static char *take_bytes(struct client *client, size_t len)
{
	char *text = malloc(len + 1);

	if (!text) {
		refuse(client, "out of memory");
		return NULL;
	}
	evbuffer_remove(bufferevent_get_input(client->bev), text, len);
	text[len] = '\0';
	return text;
}

/* The next line, of *len bytes, when all of it is there. Long lines are searched once, not anew with each packet. */
static char *take_line(struct client *client, size_t *len)
{
	struct evbuffer *in = bufferevent_get_input(client->bev);
	struct evbuffer_ptr from, end;

	evbuffer_ptr_set(in, &from, client->seen, EVBUFFER_PTR_SET);
	end = evbuffer_search(in, "\n", 1, &from);
	if (end.pos < 0) {
		client->seen = evbuffer_get_length(in);
		return NULL;
	}
	client->seen = 0;
	*len = end.pos;
	return take_bytes(client, end.pos + 1);
}

/* How long a body the request wants; false: refused, since nobody knows where the next request would begin. */
static bool wants_body(struct client *client, const json_t *request, size_t line_len, size_t *len)
{
	const json_t *body = json_object_get(request, "body");
	json_int_t n = json_integer_value(body);

	*len = n;
	if (!body)
		return true;
	if (!json_is_integer(body) || n < 0 || n > CONTROL_LINE_MAX)
		refuse(client, "body: the number of bytes that follow the line, at most 48 MiB");
	else if (line_len > CONTROL_BODIED_MAX)
		refuse(client, "a request with a body is too long without it");
	return !client->closing;
}

/* True when a whole line was there, which is client->request now or answered already. */
static bool take_request(struct client *client)
{
	size_t len;
	char *line = take_line(client, &len);
	json_error_t err;
	json_t *request;

	if (!line)
		return client->closing;
	request = json_loadb(line, len, JSON_REJECT_DUPLICATES, &err);
	free(line);
	if (json_is_object(request) && wants_body(client, request, len, &client->body)) {
		client->request = request;
		return true;
	}
	if (!client->closing)
		answer_wrong(client, "not a JSON object on one line: ", request ? "another JSON value" : err.text);
	json_decref(request);
	return true;
}

static bool take_body(struct client *client)
{
	char *text = NULL;

	if (evbuffer_get_length(bufferevent_get_input(client->bev)) >= client->body)
		text = take_bytes(client, client->body);
	if (!text)
		return false;
	/* whether it is UTF-8 is seen when it is read as what it is meant to be */
	json_object_set_new(client->request, "body", json_stringn_nocheck(text, client->body));
	free(text);
	return true;
}

/* True when a request was there and is answered. */
static bool take(struct client *client)
{
	struct control_answer answer = { 0 };
	json_t *request;

	if (!client->request && !take_request(client))
		return false;
	request = client->request;
	if (!request)
		return true;
	if (json_object_get(request, "body") && !take_body(client))
		return client->closing;
	client->request = NULL;
	run(client->control, request, &answer);
	json_decref(request);
	if (answer.later) {
		later_begin(client, &answer);
		return true;
	}
	send_answer(client, &answer);
	if (answer.stream)
		stream_begin(client, &answer);
	return true;
}

static void limit(struct client *client)
{
	account(client);
	if (client->held > CONTROL_LINE_MAX)
		refuse(client, "a request may not be longer than 48 MiB");
	else if (client->control->held > CONTROL_MEMORY_MAX)
		refuse(client, "too many long requests at a time; try again");
	if (!client->closing)
		return;
	bufferevent_disable(client->bev, EV_READ);
	evbuffer_drain(bufferevent_get_input(client->bev), client->held);
	account(client);
}

/* What a client of a stream says is not heard, only that it goes. May free it. */
static void pump_stream(struct client *client)
{
	struct evbuffer *in = bufferevent_get_input(client->bev);

	evbuffer_drain(in, evbuffer_get_length(in));
	account(client);
	if (client->closing || client->eof)
		client_free(client);
}

/* The next request waits until the last answer has left: what a client does not read can't pile up. May free it. */
static void pump(struct client *client)
{
	if (client->stream) {
		pump_stream(client);
		return;
	}
	if (evbuffer_get_length(bufferevent_get_output(client->bev)) || (client->later && !client->closing))
		return;
	if (!client->closing && !client->last && take(client)) {
		account(client);
		return;
	}
	if (client->closing || client->last || client->eof)
		client_free(client);
}

#define READ_SIZE (256 * 1024)

/* libevent has read 4 KB, as much as it does at a time. Where there was so much, more is there: a configuration has megabytes. */
static void read_on(struct bufferevent *bev)
{
	struct evbuffer *in = bufferevent_get_input(bev);
	struct evbuffer_iovec room;
	ssize_t n = evbuffer_get_length(in) < 4096 ? 0 : 1;

	evbuffer_unfreeze(in, 0);
	while (n > 0 && evbuffer_get_length(in) <= CONTROL_LINE_MAX &&
	       evbuffer_reserve_space(in, READ_SIZE, &room, 1) == 1) {
		n = recv(bufferevent_getfd(bev), room.iov_base, room.iov_len, MSG_DONTWAIT);
		room.iov_len = n > 0 ? n : 0;
		evbuffer_commit_space(in, &room, 1);
	}
	evbuffer_freeze(in, 0);
}

static void client_read(struct bufferevent *bev, void *arg)
{
	struct client *client = arg;

	read_on(bev);
	if (!client->closing)
		limit(client);
	pump(client);
}

/* All that was queued is sent. */
static void client_written(struct bufferevent *bev, void *arg)
{
	struct client *client = arg;

	(void)bev;
	if (client->stream)
		client->stream->drained(client->stream_arg);
	pump(client);
}

/*
 * A long request holds up the loop, and time runs out for clients that were not to blame: the socket tells whether there
 * was something to do.
 */
static bool held_up(struct bufferevent *bev, short what)
{
	struct pollfd p = { .fd = bufferevent_getfd(bev), .events = what & BEV_EVENT_READING ? POLLIN : POLLOUT };

	return what & BEV_EVENT_TIMEOUT && poll(&p, 1, 0) == 1;
}

/* A client that has closed its half, or sends nothing more, still gets the answers to what it has asked. */
static void client_event(struct bufferevent *bev, short what, void *arg)
{
	struct client *client = arg;

	if (held_up(bev, what)) {
		bufferevent_enable(bev, what & BEV_EVENT_READING ? EV_READ : EV_WRITE);
	} else if (what & BEV_EVENT_READING && what & (BEV_EVENT_EOF | BEV_EVENT_TIMEOUT)) {
		client->eof = true;
		pump(client);
	} else {
		client_free(client);
	}
}

static void accepted(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *addr, int len, void *arg)
{
	const struct timeval idle = { .tv_sec = ((struct control *)arg)->timeout_s };
	struct control *control = arg;
	struct client *client = calloc(1, sizeof(*client));

	(void)listener, (void)addr, (void)len;
	if (client)
		client->bev = bufferevent_socket_new(control->base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (!client || !client->bev) {
		free(client);
		close(fd);
		return;
	}
	client->control = control;
	LIST_INSERT_HEAD(&control->clients, client, entry);
	bufferevent_setcb(client->bev, client_read, client_written, client_event, client);
	bufferevent_set_timeouts(client->bev, &idle, &idle);
	/* reading stops above this; room for more than a line, so that a line that is too long is seen to be */
	bufferevent_setwatermark(client->bev, EV_READ, 0, CONTROL_LINE_MAX + 65536);
	bufferevent_enable(client->bev, EV_READ | EV_WRITE);
	if (++control->n_clients > CONTROL_CLIENTS_MAX) {
		bufferevent_disable(client->bev, EV_READ);
		refuse(client, "too many connections; try again");
	}
}

/* Out of file descriptors, most likely: without a pause the loop would spin. */
static void accept_error(struct evconnlistener *listener, void *arg)
{
	(void)listener, (void)arg;
	log_warn("control socket: accept");
	usleep(10000);
}

/* ---- the socket ---- */

static int bind_socket(const char *path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	mode_t mask;
	int fd, err;

	if (strlen(path) >= sizeof(sun.sun_path))
		return -ENAMETOOLONG;
	strcpy(sun.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	unlink(path);
	mask = umask(0177);
	err = bind(fd, (struct sockaddr *)&sun, sizeof(sun)) ? -errno : 0;
	umask(mask);
	if (err) {
		close(fd);
		return err;
	}
	return fd;
}

static int listen_at(struct control *control)
{
	int fd = bind_socket(control->path);

	if (fd < 0)
		return fd;
	control->listener = evconnlistener_new(control->base, accepted, control,
					       LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 64, fd);
	if (!control->listener) {
		close(fd);
		return -ENOMEM;
	}
	evconnlistener_set_error_cb(control->listener, accept_error);
	return 0;
}

/* Only where nothing is: what another one has put there is his, though no client finds us then. */
int control_renew(struct control *control)
{
	struct evconnlistener *old = control->listener;
	struct stat st;
	int err;

	if (!lstat(control->path, &st) || errno != ENOENT)
		return 0;
	err = listen_at(control);
	if (err) {
		control->listener = old;
		return err;
	}
	evconnlistener_free(old);
	return 1;
}

int control_open(struct control **out, struct event_base *base, const char *path,
		 const struct control_command *commands, void *arg, int timeout_s)
{
	struct control *control = calloc(1, sizeof(*control));
	int err;

	if (!control)
		return -ENOMEM;
	LIST_INIT(&control->clients);
	control->base = base;
	control->commands = commands;
	control->arg = arg;
	control->timeout_s = timeout_s;
	control->path = strdup(path);
	err = control->path ? listen_at(control) : -ENOMEM;
	if (err) {
		free(control->path);
		free(control);
		return err;
	}
	*out = control;
	return 0;
}

/* As far as the socket takes it at once: it is one line. */
static void tell_end(struct client *client)
{
	struct evbuffer *out = bufferevent_get_output(client->bev);
	struct control_answer answer = { 0 };

	client->later->gone(client->later_arg);
	control_fail(
		&answer, 1,
		"the daemon ends before this was done; `fairlead show history` tells what the next one begins with");
	control_answer(client, &answer);
	evbuffer_unfreeze(out, 1);
	evbuffer_write(out, bufferevent_getfd(client->bev));
	evbuffer_freeze(out, 1);
}

void control_close(struct control *control)
{
	struct client *client, *next;

	if (!control)
		return;
	if (control->listener)
		evconnlistener_free(control->listener);
	for (client = LIST_FIRST(&control->clients); client; client = next) {
		next = LIST_NEXT(client, entry);
		if (client->later)
			tell_end(client);
		client->last = false;
		client_free(client);
	}
	if (control->path)
		unlink(control->path);
	free(control->path);
	free(control);
}
