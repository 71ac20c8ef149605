// SPDX-License-Identifier: GPL-2.0-only
/*
 * By c-ares. Its channel reads the files when it is made and not again; so there is one only as long as questions are open, and one that has
 * served for a while takes no new ones.
 */
#include "user/daemon/resolver.h"

#include <ares.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "user/lib/clock.h"

#define TIMEOUT_MS 2000 /* of the first try at each server; the next take longer */
#define TRIES 2
#define SERVES_MS 5000 /* a channel */

struct watch {
	LIST_ENTRY(watch) entry;
	struct channel *channel;
	ares_socket_t fd;
	struct event *event;
};

struct channel {
	LIST_ENTRY(channel) entry;
	struct resolver *resolver;
	ares_channel ares;
	struct event *timer;
	LIST_HEAD(, watch) watches;
	size_t open; /* questions */
	long long made_ms;
};

struct resolver_question {
	struct channel *channel; /* that has not answered yet; NULL: the answer is there */
	struct event *deliver;
	resolver_fn *fn; /* NULL: forgotten */
	void *arg;
	struct resolver_answer answer;
};

struct resolver {
	struct event_base *base;
	LIST_HEAD(, channel) channels; /* the newest first */
};

/* ---- channels ---- */

static void channel_wait(struct channel *ch)
{
	struct timeval wait;

	if (ares_timeout(ch->ares, NULL, &wait))
		evtimer_add(ch->timer, &wait);
	else
		evtimer_del(ch->timer);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct channel *ch = arg;

	(void)fd, (void)what;
	ares_process_fd(ch->ares, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	channel_wait(ch);
}

static void on_socket(evutil_socket_t fd, short what, void *arg)
{
	struct channel *ch = ((struct watch *)arg)->channel; /* the watch may be gone in a moment */

	ares_process_fd(ch->ares, what & EV_READ ? fd : ARES_SOCKET_BAD, what & EV_WRITE ? fd : ARES_SOCKET_BAD);
	channel_wait(ch);
}

static void watch_free(struct watch *w)
{
	LIST_REMOVE(w, entry);
	if (w->event)
		event_free(w->event);
	free(w);
}

static struct watch *watch_of(struct channel *ch, ares_socket_t fd)
{
	struct watch *w;

	LIST_FOREACH(w, &ch->watches, entry)
	if (w->fd == fd)
		return w;
	w = calloc(1, sizeof(*w));
	if (!w)
		return NULL;
	w->channel = ch;
	w->fd = fd;
	LIST_INSERT_HEAD(&ch->watches, w, entry);
	return w;
}

/* c-ares tells what it waits for; without memory to do so, a time-out ends that question. */
static void on_state(void *arg, ares_socket_t fd, int readable, int writable)
{
	struct channel *ch = arg;
	struct watch *w = watch_of(ch, fd);

	if (!w)
		return;
	if (w->event)
		event_free(w->event);
	w->event = NULL;
	if (!readable && !writable) {
		watch_free(w);
		return;
	}
	w->event = event_new(ch->resolver->base, fd, (readable ? EV_READ : 0) | (writable ? EV_WRITE : 0) | EV_PERSIST,
			     on_socket, w);
	if (w->event)
		event_add(w->event, NULL);
}

static void channel_free(struct channel *ch)
{
	struct watch *w, *next;

	LIST_REMOVE(ch, entry);
	if (ch->ares)
		ares_destroy(ch->ares);
	for (w = LIST_FIRST(&ch->watches); w; w = next) {
		next = LIST_NEXT(w, entry);
		watch_free(w);
	}
	if (ch->timer)
		event_free(ch->timer);
	free(ch);
}

static struct channel *channel_new(struct resolver *r)
{
	struct channel *ch = calloc(1, sizeof(*ch));
	struct ares_options options = {
		.timeout = TIMEOUT_MS, .tries = TRIES, .sock_state_cb = on_state, .sock_state_cb_data = ch
	};

	if (!ch)
		return NULL;
	LIST_INIT(&ch->watches);
	LIST_INSERT_HEAD(&r->channels, ch, entry);
	ch->resolver = r;
	ch->made_ms = clock_ms(CLOCK_MONOTONIC);
	ch->timer = evtimer_new(r->base, on_timer, ch);
	if (!ch->timer ||
	    ares_init_options(&ch->ares, &options, ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB)) {
		ch->ares = NULL;
		channel_free(ch);
		return NULL;
	}
	return ch;
}

static struct channel *channel_get(struct resolver *r)
{
	struct channel *ch = LIST_FIRST(&r->channels);

	if (ch && clock_ms(CLOCK_MONOTONIC) - ch->made_ms < SERVES_MS)
		return ch;
	return channel_new(r);
}

/* ---- questions ---- */

static void question_free(struct resolver_question *q)
{
	if (q->deliver)
		event_free(q->deliver);
	free(q);
}

static void take_addresses(struct resolver_answer *answer, const struct ares_addrinfo *info)
{
	for (const struct ares_addrinfo_node *node = info->nodes; node && answer->n < RESOLVER_ADDRESSES;
	     node = node->ai_next) {
		if (node->ai_family != AF_INET)
			continue;
		answer->addresses[answer->n++] =
			(struct addr){ .family = AF_INET, .v4 = ((struct sockaddr_in *)node->ai_addr)->sin_addr };
		if (node->ai_ttl > 0 && (!answer->ttl_s || (unsigned int)node->ai_ttl < answer->ttl_s))
			answer->ttl_s = node->ai_ttl;
	}
	answer->why = answer->n ? NULL : "it has no IPv4 address";
}

/* Also called by ares_getaddrinfo() itself, and by ares_destroy(): the answer is given from the loop. */
static void on_answer(void *arg, int status, int timeouts, struct ares_addrinfo *info)
{
	const struct timeval now = { 0 };
	struct resolver_question *q = arg;

	(void)timeouts;
	q->channel->open--;
	q->channel = NULL;
	if (!q->fn) {
		question_free(q);
	} else {
		if (status == ARES_SUCCESS)
			take_addresses(&q->answer, info);
		else
			q->answer.why = ares_strerror(status);
		evtimer_add(q->deliver, &now);
	}
	ares_freeaddrinfo(info);
}

static void channels_tidy(struct resolver *r)
{
	struct channel *ch = LIST_FIRST(&r->channels), *next;

	for (; ch; ch = next) {
		next = LIST_NEXT(ch, entry);
		if (!ch->open)
			channel_free(ch);
	}
}

static void on_deliver(evutil_socket_t fd, short what, void *arg)
{
	struct resolver_question *q = arg;
	struct resolver_answer answer = q->answer;
	resolver_fn *fn = q->fn;
	void *fn_arg = q->arg;

	(void)fd, (void)what;
	question_free(q);
	fn(fn_arg, &answer);
}

struct resolver_question *resolver_ask(struct resolver *r, const char *host, resolver_fn *fn, void *arg)
{
	const struct ares_addrinfo_hints hints = { .ai_family = AF_INET, .ai_flags = ARES_AI_NOSORT };
	struct resolver_question *q = calloc(1, sizeof(*q));
	struct channel *ch;

	channels_tidy(r);
	ch = q ? channel_get(r) : NULL;
	if (ch)
		q->deliver = evtimer_new(r->base, on_deliver, q);
	if (!ch || !q->deliver) {
		free(q);
		return NULL;
	}
	q->channel = ch;
	q->fn = fn;
	q->arg = arg;
	ch->open++;
	ares_getaddrinfo(ch->ares, host, NULL, &hints, on_answer, q);
	channel_wait(ch);
	return q;
}

void resolver_forget(struct resolver_question *q)
{
	if (q && q->channel)
		q->fn = NULL; /* c-ares still has it */
	else if (q)
		question_free(q);
}

struct resolver *resolver_open(struct event_base *base)
{
	struct resolver *r = calloc(1, sizeof(*r));

	if (!r || ares_library_init(ARES_LIB_INIT_ALL)) {
		free(r);
		return NULL;
	}
	r->base = base;
	LIST_INIT(&r->channels);
	return r;
}

void resolver_close(struct resolver *r)
{
	struct channel *ch, *next;

	if (!r)
		return;
	for (ch = LIST_FIRST(&r->channels); ch; ch = next) {
		next = LIST_NEXT(ch, entry);
		channel_free(ch);
	}
	free(r);
	ares_library_cleanup();
}
