// SPDX-License-Identifier: GPL-2.0-only
/*
 * Requests to a peer and from it: those of the control socket, as far as they are listed here, as JSON.
 *
 *   REQUEST	{ "id": N, "request": { "command": "show", "what": "vips" } }
 *   ANSWER	{ "id": N, "status": 0, "result": …, "error": "…" }
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "user/daemon/daemon.h"
#include "user/daemon/drill.h"
#include "user/daemon/pairing.h"
#include "user/lib/log.h"
#include "user/sync/peer_json.h"

#define REQUESTS_MAX 64 /* at a time */

struct asked {
	LIST_ENTRY(asked) entry;
	struct daemon *daemon;
	struct sync_peer *peer;
	json_int_t id;
	struct event *timeout;
	ha_answered_fn *answered;
	void *arg;
};

struct ha_requests {
	struct sync_part part;
	LIST_HEAD(, asked) asked;
	json_int_t last_id;
	unsigned int n;
};

/* ---- what a peer may ask: nothing that changes this node, but for a drill ---- */

static const struct {
	const char *command, *what; /* what NULL: it takes nothing */
} allowed[] = {
	{ "status", NULL },	    { "show", "interfaces" }, { "show", "tunnels" }, { "show", "gateways" },
	{ "show", "groups" },	    { "show", "routes" },     { "show", "rules" },   { "show", "nat" },
	{ "show", "translations" }, { "show", "aliases" },    { "show", "vips" },    { "show", "sync" },
	{ "show", "drops" },	    { "show", "history" },    { "explain", NULL },   { "drill", NULL },
};

static bool is_allowed(const json_t *request)
{
	const char *command = json_string_value(json_object_get(request, "command"));
	const char *what = json_string_value(json_object_get(request, "what"));

	if (command && !strcmp(command, "drill") && drill_is_relayed(request))
		return false; /* in a circle */
	for (size_t i = 0; command && i < sizeof(allowed) / sizeof(allowed[0]); i++)
		if (!strcmp(command, allowed[i].command) &&
		    (allowed[i].what ? what && !strcmp(what, allowed[i].what) : !what))
			return true;
	return false;
}

/* Of `status` this node's alone: the peer has asked for it to show it beside its own. */
static void run(struct daemon *d, const json_t *request, struct control_answer *answer)
{
	const char *command = json_string_value(json_object_get(request, "command"));

	if (!is_allowed(request)) {
		control_fail(answer, 2, "nothing that a peer may ask");
		return;
	}
	if (!strcmp(command, "status")) {
		answer->result = status_build(d, &answer->status);
		return;
	}
	for (const struct control_command *c = daemon_commands; c->name; c++)
		if (!strcmp(command, c->name))
			c->run(d, request, answer);
}

static int take_request(struct daemon *d, struct sync_peer *peer, const json_t *frame)
{
	struct control_answer answer = { 0 };
	const json_t *request;
	json_t *reply;
	json_int_t id;
	int err;

	if (json_unpack((json_t *)frame, "{s:I,s:o}", "id", &id, "request", &request))
		return -EPROTO;
	run(d, request, &answer);
	reply = json_pack("{s:I,s:i,s:o*,s:s*}", "id", id, "status", answer.status, "result", answer.result, "error",
			  answer.error);
	err = sync_send_json(peer, SYNC_ANSWER, reply);
	if (err == -EMSGSIZE) {
		json_object_del(reply, "result");
		json_object_set_new(reply, "status", json_integer(1));
		json_object_set_new(reply, "error", json_string("the answer is too long for one frame"));
		sync_send_json(peer, SYNC_ANSWER, reply);
	}
	json_decref(reply);
	json_decref(answer.findings);
	free(answer.error);
	free(answer.file);
	return 0;
}

/* ---- what this node has asked ---- */

static void asked_free(struct asked *a)
{
	a->daemon->ha_requests->n--;
	LIST_REMOVE(a, entry);
	if (a->timeout)
		event_free(a->timeout);
	free(a);
}

static void finish(struct asked *a, int status, const json_t *result, const char *error)
{
	ha_answered_fn *answered = a->answered;
	struct sync_peer *peer = a->peer;
	void *arg = a->arg;

	asked_free(a);
	answered(arg, peer, status, result, error);
}

static void on_timeout(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	finish(arg, 3, NULL, "it has not answered in time");
}

static struct asked *find(struct ha_requests *r, const struct sync_peer *peer, json_int_t id)
{
	struct asked *a;

	LIST_FOREACH(a, &r->asked, entry)
	{
		if (a->peer == peer && a->id == id)
			return a;
	}
	return NULL;
}

static int take_answer(struct ha_requests *r, struct sync_peer *peer, const json_t *frame)
{
	const json_t *result = NULL;
	const char *error = NULL;
	struct asked *a;
	json_int_t id;
	int status;

	if (json_unpack((json_t *)frame, "{s:I,s:i,s?o,s?s}", "id", &id, "status", &status, "result", &result, "error",
			&error) ||
	    id <= 0)
		return -EPROTO;
	a = find(r, peer, id);
	if (a) /* else it came too late */
		finish(a, status, result, error);
	return 0;
}

static int on_message(void *arg, struct sync_peer *peer, uint16_t type, const uint8_t *data, size_t len)
{
	struct daemon *d = arg;
	json_t *frame;
	int err = -EPROTO;

	if (type != SYNC_REQUEST && type != SYNC_ANSWER)
		return 0;
	frame = peer_json(data, len);
	if (frame && type == SYNC_REQUEST)
		err = take_request(d, peer, frame);
	else if (frame)
		err = take_answer(d->ha_requests, peer, frame);
	json_decref(frame);
	return err;
}

/* How far the peer was heard: below that it is heard no more. */
static json_t *on_hello(void *arg, struct sync_peer *peer)
{
	return json_pack("{s:I}", "heard", (json_int_t)pairing_heard(arg, sync_peer_addr(peer)));
}

/* What was recorded of the peer before this start of it is refused from now on. */
static void on_opened(void *arg, struct sync_peer *peer)
{
	struct daemon *d = arg;
	const json_t *hello = sync_peer_hello(peer), *epoch = json_object_get(hello, "epoch");
	const json_t *heard = json_object_get(json_object_get(hello, d->ha_requests->part.name), "heard");

	if (!sign_epoch_fits((uint64_t)json_integer_value(epoch))) {
		sync_drop(peer, "no daemon begins in its epoch: its clock, or this node's, is wrong by a century");
		return;
	}
	pairing_peer_epoch(d, pair_node(sync_peer_addr(peer)), (uint64_t)json_integer_value(epoch));
	if (!pairing_go_beyond(d, (uint64_t)json_integer_value(heard)))
		return;
	channel_epoch(ha_channel(d), pairing_epoch(d));
	sync_drop(peer,
		  "a clock was ahead once, or a state directory is gone: a new epoch begins, beyond what was heard");
}

static void on_show(void *arg, struct sync_peer *peer, json_t *row)
{
	pairing_show(arg, sync_peer_addr(peer), row);
}

static void on_closed(void *arg, struct sync_peer *peer)
{
	struct daemon *d = arg;
	struct asked *a, *next;

	for (a = LIST_FIRST(&d->ha_requests->asked); a; a = next) {
		next = LIST_NEXT(a, entry);
		if (a->peer == peer)
			finish(a, 3, NULL, "the connection to it is lost");
	}
}

int ha_ask(struct daemon *d, struct sync_peer *peer, json_t *request, int timeout_ms, ha_answered_fn *answered,
	   void *arg)
{
	const struct timeval wait = { .tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000 };
	struct ha_requests *r = d->ha_requests;
	struct asked *a = r->n < REQUESTS_MAX ? calloc(1, sizeof(*a)) : NULL;
	json_t *frame = json_pack("{s:I,s:o}", "id", ++r->last_id, "request", request);
	int err = a && frame ? 0 : -ENOMEM;

	if (a) {
		*a = (struct asked){ .daemon = d, .peer = peer, .id = r->last_id, .answered = answered, .arg = arg };
		LIST_INSERT_HEAD(&r->asked, a, entry);
		r->n++;
		a->timeout = evtimer_new(d->base, on_timeout, a);
		if (!a->timeout || evtimer_add(a->timeout, &wait))
			err = -ENOMEM;
	}
	err = err ?: sync_send_json(peer, SYNC_REQUEST, frame);
	json_decref(frame);
	if (err && a)
		asked_free(a);
	return err;
}

void ha_forget(struct daemon *d, const void *arg)
{
	struct asked *a, *next;

	for (a = LIST_FIRST(&d->ha_requests->asked); a; a = next) {
		next = LIST_NEXT(a, entry);
		if (a->arg == arg)
			asked_free(a);
	}
}

/* ---- beginning and end ---- */

int ha_requests_open(struct daemon *d)
{
	struct ha_requests *r = calloc(1, sizeof(*r));

	d->ha_requests = r;
	if (!r)
		return log_ret(ENOMEM, "ha");
	LIST_INIT(&r->asked);
	r->part = (struct sync_part){ .name = "requests",
				      .first = SYNC_REQUEST,
				      .last = SYNC_REQUESTS_LAST,
				      .hello = on_hello,
				      .opened = on_opened,
				      .closed = on_closed,
				      .message = on_message,
				      .show = on_show,
				      .arg = d };
	ha_part(d, &r->part);
	return 0;
}

void ha_requests_close(struct daemon *d)
{
	struct ha_requests *r = d->ha_requests;
	struct asked *a, *next;

	for (a = r ? LIST_FIRST(&r->asked) : NULL; a; a = next) {
		next = LIST_NEXT(a, entry);
		asked_free(a);
	}
	free(r);
	d->ha_requests = NULL;
}
