/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The sockets of a pair: beats by UDP on the sync link, and what is announced on the segments. Listening costs nothing that is forwarded:
 * one socket gets ARP alone, the other neighbour advertisements. Nothing allocates.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "user/lib/addr.h"
#include "user/vip/pair.h"

enum { PAIR_BEATS, PAIR_ARP, PAIR_NA, PAIR_EVENTS };

struct pair_wire {
	int epoll;
	uint64_t first_event;
	int fd[PAIR_EVENTS]; /* -1: closed */
	int stats;	     /* netlink */
	/* what the first is bound to */
	uint32_t ifindex;
	struct addr local;
	uint16_t port;
};

void pair_wire_init(struct pair_wire *wire, int epoll, uint64_t first_event);
/* As the setup wants it, from what is there. 0 or -errno; what could not be opened is tried again by the next call. */
int pair_wire_configure(struct pair_wire *wire, const struct pair_setup *setup);
void pair_wire_close(struct pair_wire *wire);

int pair_wire_send(const struct pair_wire *wire, const struct addr *to, const void *data, size_t len);

/* A batch at most of what has come. */
void pair_wire_beats(const struct pair_wire *wire,
		     void (*each)(void *arg, const struct addr *from, const uint8_t *data, size_t len), void *arg);
/* Of virtual MACs only: where, by which vhid, and which address. event: PAIR_ARP or PAIR_NA */
void pair_wire_announcements(const struct pair_wire *wire, unsigned int event,
			     void (*each)(void *arg, uint32_t ifindex, uint8_t vhid, const struct addr *address),
			     void *arg);

/* Frames that have come in by a device so far. false: the kernel did not say. */
bool pair_wire_received(const struct pair_wire *wire, uint32_t ifindex, uint64_t *packets);
