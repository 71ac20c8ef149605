/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The control socket: a unix stream socket on which the CLI asks, and the table of what can be asked.
 *
 * A request is one JSON object on one line, `{"command": "show", "what": "tunnels"}`; where it has a "body", a number, so many bytes of text
 * follow the newline, as they are, and the command finds them under that key: to quote a configuration of megabytes and to read it
 * again takes longer than to load it. Its answer is one line
 * `{"status": 0, "result": …, "error": "…", "findings": […], "file": "…"}`, where status is the exit status that the CLI returns and
 * all but status may be absent. A connection may ask any number of times, one after the other. What is to be followed (`log`) is a line for
 * each thing that happens, after the answer; nothing more can be asked on that connection. An answer that depends on another machine comes
 * when that has spoken; a client that closes its end before does not take back what it has asked.
 *
 * The socket is root's alone (0600), yet a client may be broken: lines, connections and the memory for all of them
 * together are limited, a client that neither sends nor reads is dropped, and none of it holds up another.
 */
#pragma once

#include <event2/event.h>
#include <jansson.h>
#include <stdbool.h>

#define CONTROL_LINE_MAX (48u << 20)   /* or a body */
#define CONTROL_BODIED_MAX 4096	       /* a line before a body */
#define CONTROL_CLIENTS_MAX 128	       /* more are told so and closed */
#define CONTROL_MEMORY_MAX (96u << 20) /* received and not yet handled, of all clients */
#define CONTROL_TIMEOUT_S 30	       /* without a byte moved */

struct control; /* opaque */
struct client;	/* opaque: a connection */

/* An answer that goes on: after it lines are sent as they come, until the client closes its end. */
struct control_stream {
	void (*begin)(void *arg,
		      struct client *client); /* the answer is queued: control_send() may be called from now on */
	void (*drained)(void *arg);	      /* all that was queued is sent */
	void (*ended)(void *arg);	      /* the client is gone */
};

/*
 * An answer that comes later: the command has returned, others are served meanwhile, and control_answer() ends it. What more its client asks
 * waits for it.
 */
struct control_later {
	void (*begin)(void *arg, struct client *client); /* whom control_answer() is to be called for */
	void (*gone)(void *arg); /* nobody waits any more: the client is broken, or the socket is closed */
};

struct control_answer {
	int status; /* 0 done, 1 failed, 2 the request is wrong */
	json_t *result;
	char *error; /* malloc'ed */
	json_t *findings;
	char *file;			     /* that the findings are of, where the client does not know; malloc'ed */
	bool last;			     /* when it is sent, the event loop ends */
	const struct control_stream *stream; /* NULL: it ends here */
	void *stream_arg;
	const struct control_later *later; /* then all of the above is nothing yet; NULL: this is it */
	void *later_arg;
};

/* One row of the table; the last one has no name. arg is that of control_open(). */
struct control_command {
	const char *name;
	void (*run)(void *arg, const json_t *request, struct control_answer *answer);
};

/*
 * Makes the socket (an existing one is replaced: the caller holds the instance's lock) and answers from now on. -errno.
 * timeout_s: CONTROL_TIMEOUT_S.
 */
int control_open(struct control **out, struct event_base *base, const char *path,
		 const struct control_command *commands, void *arg, int timeout_s);
/*
 * To be called now and then: when somebody has removed the socket's file, a new one takes its place; connections go on. 0 where it
 * is there, 1 when it was made anew, or -errno.
 */
int control_renew(struct control *control);
/* Closes all connections and removes the socket. NULL is allowed. */
void control_close(struct control *control);

/* The answer that was to come later; takes over what is in it. The client is not to be used after that. */
void control_answer(struct client *client, struct control_answer *answer);

/* Queues a line of a stream, and the newline. Never waits: who does not want the queue to grow asks control_waiting(). */
void control_send(struct client *client, const char *line);
/* Bytes that are queued. */
size_t control_waiting(const struct client *client);

/* Sets status and error text. */
void control_fail(struct control_answer *answer, int status, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
