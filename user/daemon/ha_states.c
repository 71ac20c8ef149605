// SPDX-License-Identifier: GPL-2.0-only
#include "user/daemon/ha_states.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/daemon/daemon.h"
#include "user/lib/clock.h"
#include "user/lib/log.h"
#include "user/sync/states.h"

#define CONNECT_MS 5000	 /* after the start a peer that lives has connected within this */
#define LAG_TOLD_MS 2000 /* a peer that is so far behind would lose connections that are older than that */

struct ha_states {
	struct states_sync *sync;
	struct sync_part part;
	struct event *turn;
	uint32_t epoch;	     /* of the table that sync works on */
	bool on;	     /* ha.sync_states */
	bool has_waited;     /* for a first peer */
	int ready;	     /* as told; -1: not yet */
	long long opened_ms; /* CLOCK_BOOTTIME */
	unsigned int n_open; /* peers that are told of states */
};

/* ---- what states_sync asks ---- */

static uint32_t host_jiffies(void *arg)
{
	return datapath_jiffies(((struct daemon *)arg)->datapath);
}

static uint64_t host_ns(void *arg)
{
	(void)arg;
	return clock_us(CLOCK_MONOTONIC) * 1000;
}

static char *host_names(void *arg)
{
	return datapath_names(((struct daemon *)arg)->datapath);
}

static int host_understand(void *arg, const char *names, size_t len, struct states_numbers_of *numbers)
{
	return datapath_understand(((struct daemon *)arg)->datapath, names, len, numbers);
}

static void host_reset(void *arg, const struct states_entry *entry)
{
	datapath_reset(((struct daemon *)arg)->datapath, entry);
}

static void host_tell(void *arg, void *peer, const char *event, const char *why)
{
	struct daemon *d = arg;

	journal_write(d->journal, JOURNAL_NOTICE, JOURNAL_SYNC, sync_peer_name(peer), event, NULL, "states: %s", why);
}

static struct states_host host_of(struct daemon *d, uint32_t *epoch)
{
	struct datapath_replicated its;

	datapath_replicated(d->datapath, &its);
	*epoch = its.epoch;
	return (struct states_host){ .table = its.table,
				     .logs = its.logs,
				     .n_logs = its.n_logs,
				     .jiffies = host_jiffies,
				     .ns = host_ns,
				     .names = host_names,
				     .understand = host_understand,
				     .reset = host_reset,
				     .tell = host_tell,
				     .arg = d };
}

/* ---- the channel ---- */

static int pipe_send(void *arg, uint16_t type, const void *data, size_t len)
{
	return sync_send(arg, type, data, len);
}

static size_t pipe_waiting(void *arg)
{
	return sync_waiting(arg);
}

static struct states_sync_peer *data_of(const struct ha_states *s, const struct sync_peer *peer)
{
	return sync_peer_data(peer, &s->part);
}

static struct states_sync_numbers numbers_of(const struct ha_states *s, const struct sync_peer *peer)
{
	struct states_sync_numbers numbers = {};
	struct states_sync_peer *its = data_of(s, peer);

	if (its)
		states_sync_numbers(its, &numbers);
	return numbers;
}

/* This node may take addresses over when it has what its peers have. */
static void tell_ready(struct daemon *d)
{
	struct ha_states *s = d->ha_states;
	struct sync_peer *peer;
	bool ready = true;

	for (size_t i = 0; s->on && ha_channel(d) && (peer = channel_peer_at(ha_channel(d), i)); i++) {
		struct states_sync_numbers numbers = numbers_of(s, peer);

		ready &= numbers.connected ? numbers.has_all : s->has_waited;
	}
	if (s->ready == ready) /* else what was given up for being late would be waited for again */
		return;
	s->ready = ready;
	vips_ready(d, VIPS_STATES, ready);
}

/* An apply may have put another table in its place. Before anything is done with it. */
static void follow_table(struct daemon *d)
{
	struct ha_states *s = d->ha_states;
	struct states_host host;
	uint32_t epoch;

	host = host_of(d, &epoch);
	if (epoch != s->epoch)
		states_sync_table(s->sync, &host);
	s->epoch = epoch;
}

static void turn_after(struct ha_states *s, uint32_t us)
{
	struct timeval after = { .tv_usec = us };

	event_add(s->turn, &after);
}

static void peer_begin(struct daemon *d, struct sync_peer *peer)
{
	struct ha_states *s = d->ha_states;
	const struct states_pipe pipe = { pipe_send, pipe_waiting, peer, sync_peer_protocol(peer) };
	struct states_sync_peer *its = data_of(s, peer);

	follow_table(d);
	if (!its) {
		its = states_sync_add(s->sync, peer);
		sync_peer_set_data(peer, &s->part, its);
	}
	if (!its) {
		log_ret(ENOMEM, "state replication");
		return;
	}
	s->n_open++;
	datapath_replicate(d->datapath, true);
	states_sync_opened(its, &pipe);
	turn_after(s, 0);
}

static void peer_end(struct daemon *d, struct sync_peer *peer)
{
	struct ha_states *s = d->ha_states;

	if (!numbers_of(s, peer).connected)
		return;
	states_sync_closed(data_of(s, peer));
	if (--s->n_open == 0)
		datapath_replicate(d->datapath, false);
}

/* Times are in jiffies, which are not known before the programs have seen a packet. */
static void follow_peers(struct daemon *d)
{
	struct ha_states *s = d->ha_states;
	struct sync_peer *peer;

	if (!s->on || !datapath_jiffies(d->datapath))
		return;
	for (size_t i = 0; ha_channel(d) && (peer = channel_peer_at(ha_channel(d), i)); i++)
		if (sync_peer_connected(peer) && !numbers_of(s, peer).connected)
			peer_begin(d, peer);
}

static void part_opened(void *arg, struct sync_peer *peer)
{
	(void)peer;
	follow_peers(arg);
	tell_ready(arg);
}

static void part_closed(void *arg, struct sync_peer *peer)
{
	struct daemon *d = arg;

	peer_end(d, peer);
	d->ha_states->has_waited = true; /* it was there: what it had is here as far as it came */
	tell_ready(d);
}

static int part_message(void *arg, struct sync_peer *peer, uint16_t type, const uint8_t *data, size_t len)
{
	struct daemon *d = arg;
	struct ha_states *s = d->ha_states;
	int err;

	if (!numbers_of(s, peer).connected)
		return 0;
	follow_table(d);
	err = states_sync_message(data_of(s, peer), type, data, len);
	if (type == STATES_BULK_BEGIN || type == STATES_BULK_END)
		tell_ready(d);
	if (err == -ENOMEM)
		sync_drop(peer, "out of memory for its states");
	return err;
}

static void part_drained(void *arg, struct sync_peer *peer)
{
	struct ha_states *s = ((struct daemon *)arg)->ha_states;

	if (numbers_of(s, peer).connected)
		turn_after(s, 0);
}

static void part_forgotten(void *arg, struct sync_peer *peer)
{
	struct daemon *d = arg;
	struct states_sync_peer *its = data_of(d->ha_states, peer);

	if (its)
		states_sync_remove(d->ha_states->sync, its);
	sync_peer_set_data(peer, &d->ha_states->part, NULL);
}

bool ha_states_tell(struct daemon *d, const struct sync_peer *peer, const struct fl_tuple *tuple)
{
	const struct ha_states *s = d->ha_states;
	uint32_t now = datapath_jiffies(d->datapath);
	struct datapath_replicated its;
	struct states_entry entry;

	datapath_replicated(d->datapath, &its);
	if (!numbers_of(s, peer).connected || its.epoch != s->epoch || !states_find(its.table, tuple, now, &entry))
		return false;
	states_part(its.table, &entry, now);
	return states_sync_tell(data_of(s, peer), entry.slot);
}

bool ha_states_now(struct daemon *d, const struct sync_peer *peer)
{
	const struct ha_states *s = d->ha_states;
	struct datapath_replicated its;

	datapath_replicated(d->datapath, &its);
	return !numbers_of(s, peer).connected || its.epoch != s->epoch || states_sync_now(data_of(s, peer));
}

/* Slots are those of the table that sync works on. */
static bool is_in_step(const struct daemon *d)
{
	struct datapath_replicated its;

	datapath_replicated(d->datapath, &its);
	return its.epoch == d->ha_states->epoch;
}

static void on_end(void *arg, const struct states_entry *entry, enum states_why why)
{
	struct daemon *d = arg;

	if (is_in_step(d))
		states_sync_ended(d->ha_states->sync, entry, why);
}

static bool on_reset(void *arg, const struct states_entry *entry)
{
	struct daemon *d = arg;

	return is_in_step(d) && states_sync_reset(d->ha_states->sync, entry);
}

static void part_show(void *arg, struct sync_peer *peer, json_t *row)
{
	struct ha_states *s = ((struct daemon *)arg)->ha_states;
	struct states_sync_numbers n = numbers_of(s, peer);
	uint64_t local, theirs = 0;

	follow_table(arg);
	states_sync_count(s->sync, data_of(s, peer), &local, &theirs);
	json_object_set_new(row, "sent", json_integer((json_int_t)n.sent));
	json_object_set_new(row, "received", json_integer((json_int_t)n.received));
	json_object_set_new(row, "lag_ms", n.connected ? json_real(n.lag_ms) : json_null());
	json_object_set_new(row, "resyncs", json_integer((json_int_t)n.resyncs));
	json_object_set_new(row, "digest_match",
			    n.connected && n.digest_match >= 0 ? json_boolean(n.digest_match) : json_null());
	json_object_set_new(row, "states_local", json_integer((json_int_t)local));
	json_object_set_new(row, "states_peer", json_integer((json_int_t)theirs));
	json_object_set_new(row, "states_missing", json_integer((json_int_t)n.missing));
	json_object_set_new(row, "refused", json_integer((json_int_t)n.refused));
	json_object_set_new(row, "unreset", json_integer((json_int_t)n.unreset));
}

/* ---- as time goes by ---- */

static void turn(evutil_socket_t fd, short what, void *arg)
{
	struct daemon *d = arg;
	struct ha_states *s = d->ha_states;
	uint32_t us;

	(void)fd;
	(void)what;
	follow_table(d);
	us = states_sync_turn(s->sync);
	if (us)
		turn_after(s, us);
}

void ha_states_taken_over(struct daemon *d)
{
	struct ha_states *s = d->ha_states;

	if (!s->on || !datapath_jiffies(d->datapath))
		return;
	states_sync_taken_over(s->sync);
	turn_after(s, 0);
}

void ha_states_tick(struct daemon *d)
{
	struct ha_states *s = d->ha_states;

	if (!s->on)
		return;
	if (clock_ms(CLOCK_BOOTTIME) - s->opened_ms > CONNECT_MS)
		s->has_waited = true;
	follow_peers(d);
	tell_ready(d);
}

void ha_states_configure(struct daemon *d, const struct config *config)
{
	struct ha_states *s = d->ha_states;
	struct sync_peer *peer;

	s->on = config->ha.interface && config->ha.sync_states;
	for (size_t i = 0; !s->on && ha_channel(d) && (peer = channel_peer_at(ha_channel(d), i)); i++)
		peer_end(d, peer);
	states_sync_names(s->sync);
	follow_peers(d);
	tell_ready(d);
}

void ha_states_reasons(struct daemon *d, json_t *reasons)
{
	struct ha_states *s = d->ha_states;
	struct datapath_states own;
	struct sync_peer *peer;
	uint32_t limit;

	datapath_states_numbers(d->datapath, &own);
	limit = (uint32_t)own.limit;

	for (size_t i = 0; s->on && ha_channel(d) && (peer = channel_peer_at(ha_channel(d), i)); i++) {
		struct states_sync_numbers n = numbers_of(s, peer);

		if (n.connected && n.lag_ms > LAG_TOLD_MS)
			json_array_append_new(reasons, json_sprintf("sync: peer %s is %.1f s behind with states",
								    sync_peer_name(peer), n.lag_ms / 1000));
		if (n.connected && n.digest_match == 0)
			json_array_append_new(reasons, json_sprintf("sync: peer %s has other states than were sent",
								    sync_peer_name(peer)));
		if (n.connected && n.limit > limit)
			json_array_append_new(
				reasons,
				json_sprintf("sync: limits.states is %u here and %u at peer %s: if this node takes "
					     "over it has no room for as many; set it to the same on both",
					     limit, n.limit, sync_peer_name(peer)));
		if (n.connected && n.missing)
			json_array_append_new(
				reasons,
				json_sprintf(
					"sync: %llu states of peer %s are missing here, for want of room "
					"(limits.states) or of their gateway: they would break if this node took over",
					(unsigned long long)n.missing, sync_peer_name(peer)));
	}
}

void command_sync_states(struct daemon *d, struct control_answer *answer)
{
	struct ha_states *s = d->ha_states;
	struct sync_peer *peer;
	int n = 0;

	for (size_t i = 0; ha_channel(d) && (peer = channel_peer_at(ha_channel(d), i)); i++)
		if (numbers_of(s, peer).connected) {
			states_sync_again(data_of(s, peer), "by hand: both send all they have");
			n++;
		}
	if (!s->on)
		control_fail(answer, 1, "%s",
			     ha_channel(d) ? "ha.sync_states is false: set it to true, and apply"
					   : "the configuration has no \"ha\"");
	else if (!n)
		control_fail(answer, 1, "no peer is connected; see `fairlead show sync`");
	else
		answer->result = json_pack("{s:i}", "peers", n);
	if (n)
		turn_after(s, 0);
}

/* ---- beginning and end ---- */

int ha_states_open(struct daemon *d)
{
	struct ha_states *s = d->ha_states = calloc(1, sizeof(*s));
	struct states_host host;

	if (!s)
		return log_ret(ENOMEM, "state replication");
	host = host_of(d, &s->epoch);
	s->ready = -1;
	s->opened_ms = clock_ms(CLOCK_BOOTTIME);
	s->sync = states_sync_new(&host);
	s->turn = evtimer_new(d->base, turn, d);
	if (!s->sync || !s->turn)
		return log_ret(ENOMEM, "state replication");
	s->part = (struct sync_part){ .name = "states",
				      .first = SYNC_STATES_FIRST,
				      .last = SYNC_STATES_LAST,
				      .opened = part_opened,
				      .closed = part_closed,
				      .message = part_message,
				      .drained = part_drained,
				      .forgotten = part_forgotten,
				      .show = part_show,
				      .arg = d };
	ha_part(d, &s->part);
	datapath_on_end(d->datapath, &(struct datapath_end_ops){ on_end, on_reset, d });
	return 0;
}

void ha_states_close(struct daemon *d)
{
	struct ha_states *s = d->ha_states;

	if (!s)
		return;
	datapath_on_end(d->datapath, NULL);
	if (s->turn)
		event_free(s->turn);
	states_sync_free(s->sync);
	free(s);
	d->ha_states = NULL;
}
