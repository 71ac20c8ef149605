/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Adverts on the wire: raw sockets of IP protocol 112 hear them, from the groups of the interfaces that were joined and from unicast peers;
 * multicast ones leave by a packet socket, since they bear the virtual MAC (so switches learn it), unicast ones by the raw socket, whose next
 * hop the kernel finds. Sending and hearing allocate nothing.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "user/lib/addr.h"

struct carp_wire; /* opaque */

enum { CARP_EVENTS = 2 }; /* sockets that are watched, by epoll's data.u64: first_event and the next */

/* 0 or -errno, logged. A kernel without IPv6 has one family. */
int carp_wire_open(struct carp_wire **out, int epoll, uint64_t first_event);
void carp_wire_close(struct carp_wire *wire); /* NULL is allowed */

/* Hears the groups (224.0.0.18, ff02::12) on a device. To be done once for each; 0 or -errno. */
int carp_wire_join(struct carp_wire *wire, uint32_t ifindex);
void carp_wire_leave(struct carp_wire *wire, uint32_t ifindex);

struct carp_path {
	uint32_t ifindex;
	uint8_t vhid; /* multicast comes from its virtual MAC */
	struct addr source;
	struct addr peer; /* AF_UNSPEC: multicast */
};

/* 0 or -errno: it was not sent. `source` says the family. */
int carp_wire_send(struct carp_wire *wire, const struct carp_path *path, const void *advert, size_t len);

/* A whole Ethernet frame. */
int carp_wire_frame(struct carp_wire *wire, uint32_t ifindex, const void *frame, size_t len);

struct carp_heard {
	uint32_t ifindex;
	struct addr from;
	bool multicast;
	uint8_t ttl; /* an advert has 255: it has crossed no router */
	const uint8_t *data;
	size_t len;
};

/* Calls `each` for what has come by the event's socket, a batch at most. */
void carp_wire_receive(struct carp_wire *wire, uint64_t event, void (*each)(void *arg, const struct carp_heard *heard),
		       void *arg);
