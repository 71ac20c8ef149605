/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Helpers of test_channel*.c: nodes of a pair in one process, each with an event loop of its own, so that one may stand still while the other
 * goes on. They are on lo of a network namespace of the test's.
 */
#pragma once

#include <stdbool.h>

#include "user/sync/channel.h"

#define PORT 7241
#define NODES 3
#define PART_FIRST SYNC_STATES_FIRST
#define PART_LAST SYNC_STATES_LAST

struct node {
	struct event_base *base;
	struct channel *channel;
	struct sync_keys keys;
	struct addr local, peers[2];
	struct channel_settings settings;
	struct sync_part part;
	unsigned int opened, closed, messages, drained;
	size_t last_len;
	uint16_t last_type;
	uint8_t last[64];
	int answer; /* of message() */
	bool still; /* its loop does not run */
	bool beats; /* it is heard by another way, its loop or not */
};

extern struct node nodes[NODES];

/* Nodes 0, 1, … have 127.0.0.1 and up, or 2001:db8::1 and up. */
void set_up_channel(void);
void set_up_channel6(void);
void tear_down_channel(void);

void key_of(struct sync_key *key, uint8_t seed);
/* The settings of a node whose only peer is another one: not open yet. */
void node_prepare(int i, int peer, uint8_t seed);
void node_open(int i);
void pair_open(void); /* nodes 0 and 1, with one key, and connected */

void go_ms(int ms); /* all loops */
/* Until it holds, at most for so long; whether it does. */
bool until(bool (*holds)(void), int seconds);
bool both_connected(void);
struct sync_peer *peer_of(int i); /* the first peer of node i */
