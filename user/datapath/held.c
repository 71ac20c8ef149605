// SPDX-License-Identifier: GPL-2.0-only
#include "user/datapath/held.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "user/datapath/private.h"

#define BATCH 64 /* frames of one call: the event loop has other things to do */

struct held {
	struct ring_buffer *ring;
	int pass;		/* for inject_frame() */
	unsigned char *records; /* HELD_MAX, in a circle */
	size_t size;		/* of each */
	unsigned int first, n;
	unsigned int left; /* that this call may still take */
};

unsigned int held_count(const struct held *held)
{
	return held->n;
}

bool held_is_full(const struct held *held)
{
	return held->n == HELD_MAX;
}

void *held_at(const struct held *held, unsigned int i)
{
	return held->records + (held->first + i) % HELD_MAX * held->size;
}

void *held_first(const struct held *held)
{
	return held->n ? held_at(held, 0) : NULL;
}

void held_drop_first(struct held *held)
{
	held->first = (held->first + 1) % HELD_MAX;
	held->n--;
}

void held_add(struct held *held, const void *record, size_t len)
{
	memcpy(held_at(held, held->n++), record, len);
}

bool held_consume(struct held *held)
{
	held->left = BATCH;
	ring_buffer__consume(held->ring);
	return !held->left;
}

/* Negative ends the batch: this one was taken, those behind it stay in the ring. */
int held_taken(struct held *held)
{
	return --held->left ? 0 : -EAGAIN;
}

int held_inject(const struct held *held, uint32_t ifindex, const void *frame, size_t len)
{
	return inject_frame(held->pass, ifindex, frame, len);
}

int held_fd(const struct held *held)
{
	return ring_buffer__epoll_fd(held->ring);
}

void held_close(struct held *held)
{
	if (!held)
		return;
	ring_buffer__free(held->ring);
	if (held->pass >= 0)
		close(held->pass);
	free(held->records);
	free(held);
}

int held_open(struct held **held, int ring, size_t size, ring_buffer_sample_fn take, void *arg)
{
	struct held *h = *held = calloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	h->pass = inject_open();
	h->size = size;
	h->records = calloc(HELD_MAX, size);
	h->ring = ring_buffer__new(ring, take, arg, NULL);
	if (!h->ring)
		return -errno;
	return h->records ? 0 : -ENOMEM;
}
