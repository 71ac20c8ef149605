/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What programs hand up through a ring buffer to be held for a moment: records with a frame at their end, as they came, until the frame comes
 * in again. There is room for HELD_MAX; those that are gone between others take room until the ones before them are gone too, and how
 * they are marked is for the record's kind to say.
 */
#pragma once

#include <bpf/libbpf.h>
#include <stdbool.h>
#include <stdint.h>

#define HELD_MAX 256

struct held;

/*
 * ring: the map's file descriptor. Its records, of at most that size, go to `take`, which ends with held_taken(). 0, -ENOMEM, or what libbpf
 * says; held_close() is due whatever it returns.
 */
int held_open(struct held **held, int ring, size_t size, ring_buffer_sample_fn take, void *arg);
void held_close(struct held *held); /* NULL is allowed */
int held_fd(const struct held *held);

/* Has `take` called for a batch. False: the ring had less than that. */
bool held_consume(struct held *held);
int held_taken(struct held *held); /* for `take` to return */

unsigned int held_count(const struct held *held); /* those that are gone between others included */
bool held_is_full(const struct held *held);
void *held_at(const struct held *held, unsigned int i); /* the i-th eldest, i below held_count() */
void *held_first(const struct held *held);		/* NULL: there is none */
void held_drop_first(struct held *held);
void held_add(struct held *held, const void *record, size_t len); /* not while it is full */

/* The frame comes in by the device, as inject_frame() says. 0 or -errno. */
int held_inject(const struct held *held, uint32_t ifindex, const void *frame, size_t len);
