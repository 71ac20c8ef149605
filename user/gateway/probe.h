/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Sends probes and receives their answers, for all targets of all gateways.
 *
 * They leave by a packet socket, whole, on the gateway's own device, whatever the routing table says, and with the gateway's mark: the
 * programs at the egress find the next hop by it. So a target pins no route, and two gateways may have the same one. Answers come to raw
 * sockets and, those of DNS, to one UDP socket per target; each must be from its target and bear what was sent.
 *
 * Slots are given and taken by prober_add() and prober_remove(). prober_send() and prober_receive() allocate nothing and never block. The
 * caller sees to it that only one thread is in here at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "user/config/config.h"
#include "user/gateway/probe_packet.h"

#define PROBE_SLOTS 8192

struct prober;

struct probe_setup {
	struct addr target;
	enum config_probe type;
	uint16_t port;	      /* of TCP */
	const char *dns_name; /* of DNS */
};

/* Where a gateway's probes leave. */
struct probe_path {
	uint32_t ifindex;
	uint32_t mark;
	struct addr sources[PROBE_SOURCES]; /* AF_UNSPEC: none */
	uint8_t mac[6]; /* of frames, where there are any: what the programs at the egress don't overwrite */
};

/* The sockets are watched by `epoll`, their event's data.u64 below PROBE_EVENTS. -errno */
#define PROBE_EVENTS (1ull << 32)
int prober_open(struct prober **out, int epoll,
		bool *locked); /* false: its memory could not be locked; else untouched */
void prober_close(struct prober *p);

/* The socket that prober_add() needs for this one; PROBE_NO_SOCKET: it needs none; another value below 0: -errno. */
#define PROBE_NO_SOCKET (-4096)
int prober_socket(const struct probe_setup *setup);
int prober_add(struct prober *p, const struct probe_setup *setup,
	       int sock); /* the slot, or -errno; the socket is its own then */
void prober_remove(struct prober *p, unsigned int slot);

/* 0 or -errno */
int prober_send(struct prober *p, unsigned int slot, const struct probe_path *path, uint16_t sequence);

/* `path` of a slot, to send a reset by; NULL: it can't be sent now. */
struct prober_sink {
	void (*answer)(void *arg, unsigned int slot, const struct probe_answer *answer);
	const struct probe_path *(*path)(void *arg, unsigned int slot);
	void *arg;
};

void prober_receive(struct prober *p, uint64_t event, const struct prober_sink *sink);
