// SPDX-License-Identifier: GPL-2.0-only
#include "user/sync/channel.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/lib/clock.h"
#include "user/sync/channel_internal.h"

#define TELL_MS 60000 /* of one address */

/* ---- telling ---- */

static struct told *told_of(struct channel *c, const struct addr *addr)
{
	struct told *oldest = c->told;

	for (size_t i = 0; i < TOLD_MAX; i++) {
		if (addr_equal(&c->told[i].addr, addr))
			return &c->told[i];
		if (c->told[i].ms < oldest->ms)
			oldest = &c->told[i];
	}
	return oldest;
}

/* An address more than there is room for is told of when there is. */
void channel_tell(struct channel *c, const struct addr *addr, const char *event, const char *fmt, ...)
{
	long long now = clock_ms(CLOCK_BOOTTIME);
	struct told *told = told_of(c, addr);
	const struct sync_peer *peer = channel_peer(c, addr);
	char text[ADDR_STRLEN], why[ERROR_MAX];
	json_t *details = NULL;
	va_list ap;

	if (told->ms && now - told->ms < TELL_MS) {
		told->more++;
		return;
	}
	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	if (told->more && addr_equal(&told->addr, addr))
		details = json_pack("{s:i}", "times_before", (int)told->more);
	journal_write(c->journal, JOURNAL_WARNING, JOURNAL_SYNC,
		      peer ? peer_title(peer, text) : addr_format(addr, text), event, details, "%s", why);
	*told = (struct told){ .addr = *addr, .ms = now };
}

/* ---- where this node goes ---- */

static bool goes_to(const struct channel *c, const struct sync_peer *peer)
{
	return addr_compare(&c->local, &peer->addr) < 0;
}

static bool is_trying(const struct channel *c, const struct sync_peer *peer)
{
	const struct conn *conn;

	LIST_FOREACH(conn, &c->conns, entry)
	{
		if (conn->peer == peer && conn->state != CONN_OPEN)
			return true;
	}
	return false;
}

/* The connection is of an old key, and both have a newer one: another takes its place before the old key goes. */
static bool is_to_renew(const struct channel *c, struct sync_peer *peer)
{
	char id[SYNC_KEY_ID_DIGITS + 1];

	for (unsigned int i = 0; i < c->keys.n - c->keys.n_kept; i++) {
		if (!strcmp(peer->conn->id, sync_key_id_text(&c->keys.key[i], id)))
			return false;
		if (!hello_has_key(peer, &c->keys.key[i]))
			continue;
		peer->offered = i;
		return true;
	}
	return false;
}

static void try(struct channel *c, struct sync_peer *peer)
{
	if (peer->pause) {
		peer->pause--;
		return;
	}
	if (!c->keys.n || !c->ifindex || !goes_to(c, peer) || (peer->conn && !is_to_renew(c, peer)) ||
	    is_trying(c, peer))
		return;
	peer->pause = TICKS(RETRY_MS);
	conn_connect(c, peer);
}

void channel_peer_is_there(struct channel *c, const struct addr *addr)
{
	struct sync_peer *peer = channel_peer(c, addr);

	if (!peer)
		return;
	peer->pause = 0;
	try(c, peer);
}

/* ---- the loop ---- */

static void end_doomed(struct channel *c)
{
	struct conn *conn, *next;

	for (conn = LIST_FIRST(&c->conns); conn; conn = next) {
		next = LIST_NEXT(conn, entry);
		if (conn->doom[0])
			conn_end(conn, "dropped", "%s", conn->doom);
	}
}

static void on_reap(evutil_socket_t fd, short what, void *arg)
{
	struct channel *c = arg;

	(void)fd, (void)what;
	end_doomed(c);
	while (!LIST_EMPTY(&c->over))
		conn_free(LIST_FIRST(&c->over));
}

static void tick_conns(struct channel *c)
{
	struct conn *conn, *next;

	for (conn = LIST_FIRST(&c->conns); conn; conn = next) {
		next = LIST_NEXT(conn, entry);
		conn_tick(conn);
	}
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct channel *c = arg;

	(void)fd, (void)what;
	tick_conns(c);
	if (c->ticks++ % TICKS(RETRY_MS) == 0)
		channel_system_changed(c);
	for (size_t i = 0; i < c->n_peers; i++)
		try(c, c->peers[i]);
}

void channel_system_changed(struct channel *c)
{
	link_look(c);
	channel_listen(c);
}

/* ---- parts ---- */

void channel_epoch(struct channel *c, uint64_t epoch)
{
	c->epoch = epoch;
}

void channel_part(struct channel *c, const struct sync_part *part)
{
	if (c->n_parts == SYNC_PARTS_MAX)
		return;
	c->parts[c->n_parts++] = part;
	for (size_t i = 0; i < c->n_peers; i++)
		if (c->peers[i]->conn && part->opened)
			part->opened(part->arg, c->peers[i]);
}

const struct sync_part *channel_part_of(const struct channel *c, uint16_t type)
{
	for (size_t i = 0; i < c->n_parts; i++)
		if (type >= c->parts[i]->first && type <= c->parts[i]->last)
			return c->parts[i];
	return NULL;
}

static size_t part_index(const struct channel *c, const struct sync_part *part)
{
	size_t i;

	for (i = 0; i < c->n_parts && c->parts[i] != part; i++)
		;
	return i;
}

void *sync_peer_data(const struct sync_peer *peer, const struct sync_part *part)
{
	size_t i = part_index(peer->channel, part);

	return i < SYNC_PARTS_MAX ? peer->data[i] : NULL;
}

void sync_peer_set_data(struct sync_peer *peer, const struct sync_part *part, void *data)
{
	size_t i = part_index(peer->channel, part);

	if (i < SYNC_PARTS_MAX)
		peer->data[i] = data;
}

/* ---- peers ---- */

struct sync_peer *channel_peer(const struct channel *c, const struct addr *addr)
{
	for (size_t i = 0; i < c->n_peers; i++)
		if (addr_equal(&c->peers[i]->addr, addr))
			return c->peers[i];
	return NULL;
}

struct sync_peer *channel_peer_at(const struct channel *c, size_t i)
{
	return i < c->n_peers ? c->peers[i] : NULL;
}

const struct sync_peer *channel_by_key(const struct channel *c, const struct sync_key *key)
{
	char id[SYNC_KEY_ID_DIGITS + 1];

	sync_key_id_text(key, id);
	for (size_t i = 0; i < c->n_peers; i++)
		if (!strcmp(c->peers[i]->key, id))
			return c->peers[i];
	return NULL;
}

const char *peer_title(const struct sync_peer *peer, char text[ADDR_STRLEN])
{
	return peer->name ? peer->name : addr_format(&peer->addr, text);
}

static struct sync_peer *peer_new(struct channel *c, const struct addr *addr)
{
	struct sync_peer *peer = calloc(1, sizeof(*peer));

	if (!peer)
		return NULL;
	peer->channel = c;
	peer->addr = *addr;
	peer->since_ms = clock_ms(CLOCK_BOOTTIME);
	snprintf(peer->last_error, sizeof(peer->last_error), "it was not heard yet");
	return peer;
}

/* Its connections have ended. */
static void peer_free(struct sync_peer *peer)
{
	struct channel *c = peer->channel;

	for (size_t i = 0; i < c->n_parts; i++)
		if (c->parts[i]->forgotten)
			c->parts[i]->forgotten(c->parts[i]->arg, peer);
	json_decref(peer->hello);
	free(peer->name);
	free(peer);
}

static void end_all(struct channel *c, const struct sync_peer *peer, const char *code, const char *why)
{
	struct conn *conn, *next;

	for (conn = LIST_FIRST(&c->conns); conn; conn = next) {
		next = LIST_NEXT(conn, entry);
		if (!peer || conn->peer == peer)
			conn_end(conn, code, "%s", why);
	}
}

/* ---- settings ---- */

static void strings_free(struct channel *c)
{
	free(c->device);
	free(c->node);
	free(c->role);
	free(c->no_key);
	sync_keys_clear(&c->keys);
}

static int strings_copy(const struct channel_settings *s, struct channel *to)
{
	to->device = strdup(s->device);
	to->node = strdup(s->node);
	to->role = strdup(s->role);
	to->no_key = strdup(s->no_key ? s->no_key : "");
	if (to->device && to->node && to->role && to->no_key)
		return 0;
	strings_free(to);
	return -ENOMEM;
}

/* The old ones that stay, new ones beside them, in the settings' order. NULL: out of memory, and nothing has changed */
static struct sync_peer **peers_of(struct channel *c, const struct channel_settings *s)
{
	struct sync_peer **peers = calloc(s->n_peers + 1, sizeof(struct sync_peer *));
	size_t i, j;

	for (i = 0; peers && i < s->n_peers; i++) {
		peers[i] = channel_peer(c, &s->peers[i]) ?: peer_new(c, &s->peers[i]);
		if (peers[i])
			continue;
		for (j = 0; j < i; j++)
			if (!channel_peer(c, &s->peers[j]))
				peer_free(peers[j]);
		free(peers);
		return NULL;
	}
	return peers;
}

static void take_peers(struct channel *c, struct sync_peer **peers, size_t n)
{
	struct sync_peer **old = c->peers;
	size_t n_old = c->n_peers;

	for (size_t i = 0; i < n_old; i++)
		old[i]->stays = false;
	for (size_t i = 0; i < n; i++)
		peers[i]->stays = true;
	for (size_t i = 0; i < n_old; i++)
		if (!old[i]->stays)
			end_all(c, old[i], "removed", "it is no peer any more");
	c->peers = peers;
	c->n_peers = n;
	for (size_t i = 0; i < n_old; i++)
		if (!old[i]->stays)
			peer_free(old[i]);
	free(old);
}

static bool same_way(const struct channel *c, const struct channel_settings *s)
{
	return c->device && !strcmp(c->device, s->device) && addr_equal(&c->local, &s->local) && c->port == s->port;
}

static void drop_old_keys(struct channel *c)
{
	struct conn *conn, *next;
	char id[SYNC_KEY_ID_DIGITS + 1];

	for (conn = LIST_FIRST(&c->conns); conn; conn = next) {
		unsigned int i;

		next = LIST_NEXT(conn, entry);
		for (i = 0; i < c->keys.n; i++)
			if (!strcmp(conn->id, sync_key_id_text(&c->keys.key[i], id)))
				break;
		if (i == c->keys.n && conn->state >= CONN_HELLO)
			conn_end(conn, "key", "the key of the connection was taken out of the key file");
	}
}

static void take_keys(struct channel *c, const struct sync_keys *keys)
{
	struct conn *conn;

	if (c->keys.n == keys->n && !memcmp(&c->keys, keys, sizeof(*keys)))
		return;
	c->keys = *keys;
	for (size_t i = 0; i < c->n_peers; i++) {
		c->peers[i]->offered = 0;
		if (c->peers[i]->conn)
			hello_judge_keys(c->peers[i]);
	}
	drop_old_keys(c);
	LIST_FOREACH(conn, &c->conns, entry)
	{
		if (conn->state == CONN_OPEN)
			keys_send(conn);
	}
}

/* What was copied is put in place of what was there. */
static void take_strings(struct channel *c, struct channel *copy)
{
	struct channel old = { .device = c->device, .node = c->node, .role = c->role, .no_key = c->no_key };

	c->device = copy->device;
	c->node = copy->node;
	c->role = copy->role;
	c->no_key = copy->no_key;
	strings_free(&old);
}

int channel_configure(struct channel *c, const struct channel_settings *s)
{
	struct channel copy = { 0 };
	struct sync_peer **peers;
	bool same = same_way(c, s), reintroduce;

	if (strings_copy(s, &copy))
		return -ENOMEM;
	peers = peers_of(c, s);
	if (!peers) {
		strings_free(&copy);
		return -ENOMEM;
	}
	reintroduce = c->node && (strcmp(c->node, s->node) || strcmp(c->role, s->role) || c->number != s->number);
	if (!same) {
		end_all(c, NULL, "changed", "the configuration has another way to it");
		channel_stop_listening(c);
	} else if (reintroduce) {
		end_all(c, NULL, "changed", "the configuration has another name or role for this node");
	}
	take_strings(c, &copy);
	c->local = s->local;
	c->port = s->port;
	c->number = s->number;
	c->epoch = s->epoch;
	c->journal = s->journal;
	c->lives = s->lives;
	c->arg = s->arg;
	take_peers(c, peers, s->n_peers);
	take_keys(c, s->keys);
	if (!c->keys.n)
		channel_stop_listening(c);
	channel_system_changed(c);
	return 0;
}

/* ---- beginning and end ---- */

int channel_open(struct channel **out, struct event_base *base, const struct channel_settings *s)
{
	const struct timeval tick = { .tv_usec = TICK_MS * 1000 };
	struct channel *c = calloc(1, sizeof(*c));
	int err = -ENOMEM;

	if (!c)
		return -ENOMEM;
	LIST_INIT(&c->conns);
	LIST_INIT(&c->over);
	c->base = base;
	c->tls = tls_context();
	c->tick = event_new(base, -1, EV_PERSIST, on_tick, c);
	c->reap = event_new(base, -1, 0, on_reap, c);
	if (!c->tls)
		err = -EOPNOTSUPP;
	else if (c->tick && c->reap && !event_add(c->tick, &tick))
		err = channel_configure(c, s);
	if (err)
		channel_close(c);
	else
		*out = c;
	return err;
}

void channel_close(struct channel *c)
{
	if (!c)
		return;
	c->closing = true;
	end_all(c, NULL, "stopping", "this node stops");
	while (!LIST_EMPTY(&c->over))
		conn_free(LIST_FIRST(&c->over));
	channel_stop_listening(c);
	for (size_t i = 0; i < c->n_peers; i++)
		peer_free(c->peers[i]);
	free(c->peers);
	if (c->tick)
		event_free(c->tick);
	if (c->reap)
		event_free(c->reap);
	SSL_CTX_free(c->tls);
	strings_free(c);
	free(c);
}
