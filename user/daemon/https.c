// SPDX-License-Identifier: GPL-2.0-only
/*
 * By libcurl's multi interface. It resolves no names: its resolver is a thread, and to end a request waits for that. So does no
 * proxy, no .netrc and no redirect get a say.
 */
#include "user/daemon/https.h"

#include <curl/curl.h>
#include <errno.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define CONNECT_MS 10000
#define ANSWER_MAX 65536 /* bytes; a longer one is none */

struct https_request {
	LIST_ENTRY(https_request) entry;
	struct https *https;
	CURL *easy;
	struct curl_slist *resolved;
	struct addr source;
	char device[IF_NAMESIZE];
	uint32_t mark;
	https_fn *fn;
	void *arg;
	char body[HTTPS_BODY_MAX];
	size_t len, seen; /* bytes: of body; in all */
	char error[CURL_ERROR_SIZE];
};

struct https {
	struct event_base *base;
	CURLM *multi;
	struct event *timer;
	LIST_HEAD(, https_request) requests;
};

/* ---- urls ---- */

char *https_host(const char *url)
{
	CURLU *parts = curl_url();
	char *text = NULL, *host = NULL;
	size_t len;

	if (parts && !curl_url_set(parts, CURLUPART_URL, url, 0) && !curl_url_get(parts, CURLUPART_HOST, &text, 0)) {
		len = strlen(text);
		host = *text == '[' ? strndup(text + 1, len - 2) : strdup(text);
		curl_free(text);
	}
	curl_url_cleanup(parts);
	return host;
}

char *https_add_query(const char *url, const char *name, const char *value)
{
	CURLU *parts = curl_url();
	char *item = NULL, *text = NULL, *with = NULL;

	if (asprintf(&item, "%s=%s", name, value) < 0)
		item = NULL;
	if (parts && item && !curl_url_set(parts, CURLUPART_URL, url, 0) &&
	    !curl_url_set(parts, CURLUPART_QUERY, item, CURLU_APPENDQUERY | CURLU_URLENCODE) &&
	    !curl_url_get(parts, CURLUPART_URL, &text, 0)) {
		with = strdup(text);
		curl_free(text);
	}
	curl_url_cleanup(parts);
	free(item);
	return with;
}

/* "HOST:PORT:ADDRESS" */
static struct curl_slist *resolved(const char *url, const struct addr *to)
{
	CURLU *parts = curl_url();
	char *host = NULL, *port = NULL, *text = NULL, address[ADDR_STRLEN];
	struct curl_slist *list = NULL;

	if (parts && !curl_url_set(parts, CURLUPART_URL, url, 0) && !curl_url_get(parts, CURLUPART_HOST, &host, 0) &&
	    !curl_url_get(parts, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) &&
	    asprintf(&text, "%s:%s:%s", host, port, addr_format(to, address)) > 0)
		list = curl_slist_append(NULL, text);
	free(text);
	curl_free(host);
	curl_free(port);
	curl_url_cleanup(parts);
	return list;
}

/* ---- requests ---- */

static void request_free(struct https_request *r)
{
	LIST_REMOVE(r, entry);
	if (r->easy) {
		curl_multi_remove_handle(r->https->multi, r->easy);
		curl_easy_cleanup(r->easy);
	}
	curl_slist_free_all(r->resolved);
	free(r);
}

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
	struct https_request *r = arg;
	size_t left = sizeof(r->body) - 1 - r->len, len = size * n < left ? size * n : left;

	memcpy(r->body + r->len, data, len);
	r->len += len;
	r->seen += size * n;
	return r->seen > ANSWER_MAX ? 0 : size * n;
}

/* The mark before all else: the first packet has it. */
static int on_new_socket(void *arg, curl_socket_t fd, curlsocktype purpose)
{
	const struct https_request *r = arg;
	const struct sockaddr_in source = { .sin_family = AF_INET, .sin_addr = r->source.v4 };

	(void)purpose;
	if ((r->mark && setsockopt(fd, SOL_SOCKET, SO_MARK, &r->mark, sizeof(r->mark))) ||
	    (r->device[0] && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, r->device, strlen(r->device))) ||
	    bind(fd, (const struct sockaddr *)&source, sizeof(source)))
		return CURL_SOCKOPT_ERROR;
	return CURL_SOCKOPT_OK;
}

static bool set_up(struct https_request *r, const struct https_setup *s)
{
	CURL *c = r->easy;

	return !curl_easy_setopt(c, CURLOPT_URL, s->url) && !curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https") &&
	       !curl_easy_setopt(c, CURLOPT_IPRESOLVE, (long)CURL_IPRESOLVE_V4) &&
	       !curl_easy_setopt(c, CURLOPT_RESOLVE, r->resolved) && !curl_easy_setopt(c, CURLOPT_PROXY, "") &&
	       !curl_easy_setopt(c, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED) &&
	       !curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L) && !curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L) &&
	       !curl_easy_setopt(c, CURLOPT_FORBID_REUSE, 1L) && !curl_easy_setopt(c, CURLOPT_FRESH_CONNECT, 1L) &&
	       !curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS) &&
	       !curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)HTTPS_TIMEOUT_MS) &&
	       !curl_easy_setopt(c, CURLOPT_USERAGENT, "fairlead/" FAIRLEAD_VERSION) &&
	       !curl_easy_setopt(c, CURLOPT_SOCKOPTFUNCTION, on_new_socket) &&
	       !curl_easy_setopt(c, CURLOPT_SOCKOPTDATA, r) && !curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body) &&
	       !curl_easy_setopt(c, CURLOPT_WRITEDATA, r) && !curl_easy_setopt(c, CURLOPT_PRIVATE, r) &&
	       !curl_easy_setopt(c, CURLOPT_ERRORBUFFER, r->error) &&
	       (!s->user || (!curl_easy_setopt(c, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC) &&
			     !curl_easy_setopt(c, CURLOPT_USERNAME, s->user) &&
			     !curl_easy_setopt(c, CURLOPT_PASSWORD, s->password ? s->password : "")));
}

struct https_request *https_get(struct https *https, const struct https_setup *setup, https_fn *fn, void *arg)
{
	struct https_request *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	LIST_INSERT_HEAD(&https->requests, r, entry);
	r->https = https;
	r->source = setup->source;
	r->mark = setup->mark;
	r->fn = fn;
	r->arg = arg;
	snprintf(r->device, sizeof(r->device), "%s", setup->device ? setup->device : "");
	r->easy = curl_easy_init();
	if (setup->to.family)
		r->resolved = resolved(setup->url, &setup->to);
	if (!r->easy || (setup->to.family && !r->resolved) || !set_up(r, setup) ||
	    curl_multi_add_handle(https->multi, r->easy)) {
		request_free(r);
		return NULL;
	}
	return r;
}

void https_cancel(struct https_request *r)
{
	if (r)
		request_free(r);
}

/* ---- the event loop ---- */

static void finish(struct https_request *r, CURLcode err)
{
	https_fn *fn = r->fn;
	void *arg = r->arg;
	char text[HTTPS_BODY_MAX];
	long status = 0;

	if (!err) {
		curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &status);
		memcpy(text, r->body, r->len);
		text[r->len] = '\0';
	} else {
		snprintf(text, sizeof(text), "%s", r->error[0] ? r->error : curl_easy_strerror(err));
	}
	request_free(r);
	fn(arg, status, text);
}

static void take_finished(struct https *https)
{
	struct https_request *r = NULL;
	CURLMsg *msg;
	int left;

	while ((msg = curl_multi_info_read(https->multi, &left))) {
		if (msg->msg != CURLMSG_DONE || curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&r))
			continue;
		finish(r, msg->data.result);
	}
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct https *https = arg;
	int running;

	(void)fd, (void)what;
	curl_multi_socket_action(https->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	take_finished(https);
}

static void on_socket(evutil_socket_t fd, short what, void *arg)
{
	struct https *https = arg;
	int running;

	curl_multi_socket_action(https->multi, fd,
				 (what & EV_READ ? CURL_CSELECT_IN : 0) | (what & EV_WRITE ? CURL_CSELECT_OUT : 0),
				 &running);
	take_finished(https);
}

static int watch_timer(CURLM *multi, long ms, void *arg)
{
	const struct timeval wait = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };
	struct https *https = arg;

	(void)multi;
	if (ms < 0)
		evtimer_del(https->timer);
	else
		evtimer_add(https->timer, &wait);
	return 0;
}

static int watch_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *watched)
{
	struct https *https = arg;
	struct event *event = watched;

	(void)easy;
	if (event)
		event_free(event);
	event = NULL;
	if (what != CURL_POLL_REMOVE)
		event = event_new(https->base, fd,
				  (what & CURL_POLL_IN ? EV_READ : 0) | (what & CURL_POLL_OUT ? EV_WRITE : 0) |
					  EV_PERSIST,
				  on_socket, https);
	if (event)
		event_add(event, NULL);
	curl_multi_assign(https->multi, fd, event);
	return 0;
}

struct https *https_open(struct event_base *base)
{
	struct https *https = calloc(1, sizeof(*https));

	if (!https || curl_global_init(CURL_GLOBAL_DEFAULT)) {
		free(https);
		return NULL;
	}
	https->base = base;
	LIST_INIT(&https->requests);
	https->timer = evtimer_new(base, on_timer, https);
	https->multi = curl_multi_init();
	if (!https->timer || !https->multi || curl_multi_setopt(https->multi, CURLMOPT_SOCKETFUNCTION, watch_socket) ||
	    curl_multi_setopt(https->multi, CURLMOPT_SOCKETDATA, https) ||
	    curl_multi_setopt(https->multi, CURLMOPT_TIMERFUNCTION, watch_timer) ||
	    curl_multi_setopt(https->multi, CURLMOPT_TIMERDATA, https)) {
		https_close(https);
		return NULL;
	}
	return https;
}

void https_close(struct https *https)
{
	struct https_request *r, *next;

	if (!https)
		return;
	for (r = LIST_FIRST(&https->requests); r; r = next) {
		next = LIST_NEXT(r, entry);
		request_free(r);
	}
	curl_multi_cleanup(https->multi);
	if (https->timer)
		event_free(https->timer);
	free(https);
	curl_global_cleanup();
}
