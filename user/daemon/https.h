/* SPDX-License-Identifier: GPL-2.0-only */
/* HTTP and HTTPS requests (GET), each by a process of its own: nothing waits, and each leaves by the way that it is told. */
#pragma once

#include <event2/event.h>
#include <stdint.h>

#include "user/lib/addr.h"

struct https;	      /* opaque */
struct https_request; /* opaque */

struct https_setup {
	const char *url;
	const char *user, *password; /* basic authentication; NULL: none */
	struct addr to;		     /* AF_INET: the address of the url's host */
	struct addr source;	     /* AF_INET */
	const char *device;	     /* that it leaves by; NULL: routes say */
	uint32_t mark;		     /* SO_MARK; 0: none */
};

/* status: HTTP's, 0: there was no answer, and `text` says why; else `text` is the beginning of the answer. */
typedef void https_fn(void *arg, long status, const char *text);

struct https *https_open(struct event_base *base); /* NULL: out of memory */
void https_close(struct https *https);		   /* nobody is answered any more; NULL is allowed */

/*
 * fn() is called once, later, and by then the request is gone. What setup points to may go at once. NULL: it can't be sent, *why says so,
 * until the next call.
 */
struct https_request *https_get(struct https *https, const struct https_setup *setup, https_fn *fn, void *arg,
				const char **why);
/* Ends it; fn() is not called. NULL is allowed. */
void https_cancel(struct https_request *request);
