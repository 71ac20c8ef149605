/* SPDX-License-Identifier: GPL-2.0-only */
/* HTTP and HTTPS requests (GET) on the event loop: nothing waits, and each leaves by the way that it is told. */
#pragma once

#include <event2/event.h>
#include <stdint.h>

#include "user/lib/addr.h"

#define HTTPS_TIMEOUT_MS 20000 /* from the beginning to the whole answer */
#define HTTPS_BODY_MAX 512     /* bytes of an answer that are looked at */

struct https;	      /* opaque */
struct https_request; /* opaque */

struct https_setup {
	const char *url;
	const char *user, *password; /* basic authentication; NULL: none */
	struct addr to;		     /* the address of the url's host; AF_UNSPEC: it is one */
	struct addr source;	     /* AF_INET */
	const char *device;	     /* that it leaves by; NULL: routes say */
	uint32_t mark;		     /* SO_MARK; 0: none */
};

/* status: HTTP's, 0: there was no answer, and `text` says why; else `text` is the beginning of the answer. */
typedef void https_fn(void *arg, long status, const char *text);

struct https *https_open(struct event_base *base); /* NULL: out of memory */
void https_close(struct https *https);		   /* nobody is answered any more; NULL is allowed */

/* The host of a url (malloc'ed), without the brackets of IPv6; NULL: it has none. */
char *https_host(const char *url);
/* The url (malloc'ed) with one more "name=value" in its query. NULL: out of memory, or it is none */
char *https_add_query(const char *url, const char *name, const char *value);

/* fn() is called once, later, and by then the request is gone. What setup points to may go at once. NULL: out of memory */
struct https_request *https_get(struct https *https, const struct https_setup *setup, https_fn *fn, void *arg);
/* Ends it; fn() is not called. NULL is allowed. */
void https_cancel(struct https_request *request);
