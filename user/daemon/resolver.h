/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Host names to IPv4 addresses, on the event loop: nothing waits. Asked are /etc/hosts and the name servers of /etc/resolv.conf, in the
 * order of /etc/nsswitch.conf, all of them as they are at that moment. To be called by the event loop's thread only.
 */
#pragma once

#include <event2/event.h>
#include <stddef.h>

#include "user/lib/addr.h"

#define RESOLVER_ADDRESSES 16 /* of a name; more are not looked at */

struct resolver;	  /* opaque */
struct resolver_question; /* opaque */

struct resolver_answer {
	const char *why; /* there is none; NULL: there are addresses */
	struct addr addresses[RESOLVER_ADDRESSES];
	size_t n;
	unsigned int ttl_s; /* 0: not told */
};

typedef void resolver_fn(void *arg, const struct resolver_answer *answer);

struct resolver *resolver_open(struct event_base *base); /* NULL: out of memory */
void resolver_close(struct resolver *resolver);		 /* nobody is answered any more; NULL is allowed */

/* fn() is called once, later, and by then the question is gone. NULL: out of memory */
struct resolver_question *resolver_ask(struct resolver *resolver, const char *host, resolver_fn *fn, void *arg);
/* fn() is not called. NULL is allowed. */
void resolver_forget(struct resolver_question *question);
