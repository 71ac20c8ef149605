// SPDX-License-Identifier: GPL-2.0-only
/*
 * Strays (include/fairlead/sync.h): peers are asked whether they know a connection, and answer. Who knows it sends its state first, by the same
 * stream, so that it is here when the answer is.
 *
 * A question is the tuple, as a packet has it: two addresses, two ports, the protocol, and zeros; the answer is the same and a byte.
 */
#include "user/daemon/ha_strays.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/daemon/daemon.h"
#include "user/lib/log.h"
#include "user/policy/states_peer.h"

#define QUESTIONS 256
#define TUPLE_LEN 40
#define ANSWER_LEN (TUPLE_LEN + 4)

enum { STRAY_ASK = SYNC_STRAYS_FIRST, STRAY_ANSWER };

/* To several peers: the last one that does not know it ends it. */
struct question {
	struct fl_tuple tuple;
	unsigned int left; /* peers that have not answered; 0: none is under way */
};

struct ha_strays {
	struct sync_part part;
	struct question questions[QUESTIONS]; /* in a circle: an old one has run out */
	unsigned int next;
};

static void put_tuple(uint8_t to[TUPLE_LEN], const struct fl_tuple *tuple)
{
	memset(to, 0, TUPLE_LEN);
	memcpy(to, tuple->addr, sizeof(tuple->addr));
	memcpy(to + 32, tuple->port, sizeof(tuple->port));
	to[36] = tuple->proto;
}

static struct fl_tuple get_tuple(const uint8_t *from)
{
	struct fl_tuple tuple;

	memset(&tuple, 0, sizeof(tuple));
	memcpy(tuple.addr, from, sizeof(tuple.addr));
	memcpy(tuple.port, from + 32, sizeof(tuple.port));
	tuple.proto = from[36];
	return tuple;
}

/* ---- asking ---- */

static bool is_asked(const struct sync_peer *peer)
{
	return sync_peer_connected(peer) && sync_peer_protocol(peer) >= SYNC_PROTOCOL_STRAYS &&
	       sync_waiting(peer) < SYNC_WAITING_STOP;
}

static bool ask(void *arg, const struct fl_tuple *tuple)
{
	struct daemon *d = arg;
	struct ha_strays *s = d->ha_strays;
	struct channel *channel = ha_channel(d);
	struct question *question = &s->questions[s->next];
	uint8_t message[TUPLE_LEN];
	struct sync_peer *peer;

	put_tuple(message, tuple);
	*question = (struct question){ .tuple = *tuple };
	for (size_t i = 0; channel && (peer = channel_peer_at(channel, i)); i++) {
		/* what was ended here a moment ago it would know */
		if (is_asked(peer) && ha_states_now(d, peer))
			question->left += !sync_send(peer, STRAY_ASK, message, sizeof(message));
	}
	s->next = (s->next + !!question->left) % QUESTIONS;
	return question->left;
}

static void answered(struct daemon *d, const struct fl_tuple *tuple, bool known)
{
	struct ha_strays *s = d->ha_strays;

	for (size_t i = 0; i < QUESTIONS; i++) {
		struct question *question = &s->questions[i];

		if (!question->left || !states_same_tuple(&question->tuple, tuple))
			continue;
		question->left = known ? 0 : question->left - 1;
		if (!question->left)
			datapath_stray_answer(d->datapath, tuple, known);
	}
}

/* ---- answering ---- */

static void answer(struct daemon *d, struct sync_peer *peer, const struct fl_tuple *tuple)
{
	uint8_t message[ANSWER_LEN] = {};

	put_tuple(message, tuple);
	message[TUPLE_LEN] = ha_states_tell(d, peer, tuple);
	sync_send(peer, STRAY_ANSWER, message, sizeof(message));
}

static int message(void *arg, struct sync_peer *peer, uint16_t type, const uint8_t *data, size_t len)
{
	struct daemon *d = arg;
	struct fl_tuple tuple;

	if (len < (type == STRAY_ANSWER ? ANSWER_LEN : TUPLE_LEN))
		return -EPROTO;
	tuple = get_tuple(data);
	if (type == STRAY_ASK)
		answer(d, peer, &tuple);
	else if (type == STRAY_ANSWER)
		answered(d, &tuple, data[TUPLE_LEN]);
	return 0;
}

/* ---- as peers come and go ---- */

/* `gone`: is on its way out; NULL: nobody is */
static void follow_peers(struct daemon *d, const struct sync_peer *gone)
{
	struct channel *channel = ha_channel(d);
	struct sync_peer *peer;
	bool any = false;

	for (size_t i = 0; channel && (peer = channel_peer_at(channel, i)); i++)
		any |= peer != gone && sync_peer_connected(peer) && sync_peer_protocol(peer) >= SYNC_PROTOCOL_STRAYS;
	datapath_strays_ask(d->datapath, any ? ask : NULL, d);
}

static void opened(void *arg, struct sync_peer *peer)
{
	(void)peer;
	follow_peers(arg, NULL);
}

static void closed(void *arg, struct sync_peer *peer)
{
	follow_peers(arg, peer);
}

/* ---- beginning and end ---- */

int ha_strays_open(struct daemon *d)
{
	struct ha_strays *s = calloc(1, sizeof(*s));

	if (!s)
		return log_ret(ENOMEM, "strays");
	s->part = (struct sync_part){ .name = "strays",
				      .first = SYNC_STRAYS_FIRST,
				      .last = SYNC_STRAYS_LAST,
				      .opened = opened,
				      .closed = closed,
				      .message = message,
				      .arg = d };
	d->ha_strays = s;
	ha_part(d, &s->part);
	return 0;
}

void ha_strays_close(struct daemon *d)
{
	if (d->datapath)
		datapath_strays_ask(d->datapath, NULL, NULL);
	free(d->ha_strays);
	d->ha_strays = NULL;
}
