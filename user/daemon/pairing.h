/* SPDX-License-Identifier: GPL-2.0-only */
/* The pair, as the timekeeper has to know it: keys, epochs, addresses; and what it finds out about the other nodes. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "user/config/config.h"
#include "user/vip/vhids.h"

struct daemon;
struct pairing; /* opaque */

int pairing_open(struct daemon *d, bool maintenance); /* 0 or -ENOMEM */
void pairing_close(struct daemon *d);		      /* NULL is allowed */
void pairing_configure(struct daemon *d, const struct config *config);
void pairing_keys_changed(struct daemon *d); /* those of ha.h */
void pairing_system_changed(struct daemon *d);
void pairing_maintenance(struct daemon *d, bool on);
void pairing_tick(struct daemon *d); /* once a second */

void pairing_tell(struct daemon *d, const struct vhid_event *e);
void pairing_reasons(struct daemon *d, json_t *reasons);

/* Of this start of the daemon; greater than all before it. */
uint64_t pairing_epoch(const struct daemon *d);
/* What a peer says of its own on a channel that it is known by: what it sent in one before is refused from now on. */
void pairing_peer_epoch(struct daemon *d, uint64_t node, uint64_t epoch);
/* Adds what was told by beats, and refused, to the peer's row of `show sync`. */
void pairing_show(struct daemon *d, const struct addr *peer, json_t *row);
/* The highest that was heard of a peer; 0: none. */
uint64_t pairing_heard(struct daemon *d, const struct addr *peer);
/*
 * A peer has heard that one of this node, and refuses all that is not above it: a clock was ahead once, or the state directory is gone. true:
 * this node goes on in a new epoch.
 */
bool pairing_go_beyond(struct daemon *d, uint64_t heard);
/* Whether beats come of that start of a peer: its timekeeper lives, whatever its loop does. */
bool pairing_hears(struct daemon *d, const struct addr *peer, uint64_t epoch);
/* Somebody sends beats from its address, or adverts, that are signed with a key that this node does not have. */
bool pairing_hears_stranger(struct daemon *d, const struct addr *peer);
