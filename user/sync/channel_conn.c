// SPDX-License-Identifier: GPL-2.0-only
/* One connection, from its beginning to its end. */
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <event2/buffer.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "user/lib/clock.h"
#include "user/lib/log.h"
#include "user/sync/channel_internal.h"
#include "user/sync/peer_json.h"

static struct conn *conn_new(struct channel *channel, struct sync_peer *peer, int fd)
{
	struct conn *conn = calloc(1, sizeof(*conn));

	if (!conn)
		return NULL;
	conn->channel = channel;
	conn->peer = peer;
	conn->fd = fd;
	LIST_INSERT_HEAD(&channel->conns, conn, entry);
	return conn;
}

void conn_free(struct conn *conn)
{
	LIST_REMOVE(conn, entry);
	if (conn->connecting)
		event_free(conn->connecting);
	if (conn->bev)
		bufferevent_free(conn->bev);
	if (conn->fd >= 0)
		close(conn->fd);
	free(conn);
}

/* ---- the end ---- */

static bool is_client(const struct conn *conn)
{
	return !conn->accepted;
}

/* One that will take this one's place is as good as there. */
static bool has_successor(const struct conn *conn)
{
	const struct conn *other;

	LIST_FOREACH(other, &conn->channel->conns, entry)
	{
		if (other != conn && other->peer == conn->peer && other->state == CONN_HELLO)
			return true;
	}
	return false;
}

static void tell_lost(struct sync_peer *peer)
{
	char title[ADDR_STRLEN];

	peer->since_ms = clock_ms(CLOCK_BOOTTIME);
	journal_write(peer->channel->journal, JOURNAL_WARNING, JOURNAL_SYNC, peer_title(peer, title), "lost", NULL,
		      "%s", peer->last_error);
}

/* What was open: from the last part to the first. */
static void close_parts(struct sync_peer *peer)
{
	struct channel *c = peer->channel;

	for (size_t i = c->n_parts; i-- > 0;)
		if (c->parts[i]->closed)
			c->parts[i]->closed(c->parts[i]->arg, peer);
}

static void end_open(struct conn *conn, bool replaced, const char *why)
{
	struct sync_peer *peer = conn->peer;

	peer->conn = NULL;
	peer->heard_ms = clock_ms(CLOCK_BOOTTIME) - (long long)conn->silent * TICK_MS;
	peer->pause = TICKS(RETRY_MS);
	close_parts(peer);
	peer->moving = replaced && has_successor(conn);
	if (peer->moving)
		return;
	snprintf(peer->last_error, sizeof(peer->last_error), "%s", why);
	if (!conn->channel->closing)
		tell_lost(peer);
}

/* The first refusal leaves the other key to be tried; who has one alone comes again, too. */
static bool is_first_refusal(struct conn *conn)
{
	struct sync_peer *peer = conn->peer;

	if (!conn->unknown_key)
		return false;
	peer->refusals++;
	if (!is_client(conn))
		return peer->refusals < 2;
	peer->offered++;
	return peer->refusals < conn->channel->keys.n;
}

/* It has never opened. Nobody listening there is what a peer that is off looks like: no event. */
static void end_attempt(struct conn *conn, enum conn_state was, const char *why)
{
	struct sync_peer *peer = conn->peer;
	bool moved = peer->moving;

	peer->pause = TICKS(RETRY_MS);
	peer->moving = false;
	if (peer->conn) { /* this one was to take its place; who has come may be somebody else */
		if (conn->accepted)
			channel_tell(conn->channel, &peer->addr, "refused", "while it is connected: %s", why);
		return;
	}
	if (is_first_refusal(conn))
		return;
	snprintf(peer->last_error, sizeof(peer->last_error), "%s", why);
	if (moved)
		tell_lost(peer);
	else if (was > CONN_CONNECTING)
		channel_tell(conn->channel, &peer->addr, "refused", "%s", why);
}

static size_t put_header(uint8_t *to, uint16_t type, size_t len)
{
	const uint32_t n = htonl(len);
	const uint16_t t = htons(type);

	memcpy(to, &n, 4);
	memcpy(to + 4, &t, 2);
	memset(to + 6, 0, 2);
	return FRAME_HEADER;
}

/* What is an order of this node's, as the peer puts it; a reason goes as it is. */
static const char *as_said(const char *code, const char *why)
{
	static const struct {
		const char *code, *text;
	} said[] = {
		{ "stopping", "fairleadd stops" },
		{ "changed", "its configuration has changed" },
		{ "removed", "this node is no peer of its configuration any more" },
	};

	for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++)
		if (!strcmp(code, said[i].code))
			return said[i].text;
	return why;
}

/* What waits, by OpenSSL alone, since the loop does not go on for it. False: there is no room for it on the way, or a record is not out whole. */
static bool write_waiting(struct conn *conn, SSL *ssl)
{
	struct evbuffer *out = bufferevent_get_output(conn->bev);
	size_t n;

	evbuffer_unfreeze(out, 1);
	while ((n = evbuffer_get_contiguous_space(out)) && !SSL_want_write(ssl)) {
		int written = SSL_write(ssl, evbuffer_pullup(out, (ev_ssize_t)n), (int)n);

		if (written <= 0)
			return false;
		evbuffer_drain(out, written);
	}
	return !n;
}

/* What the peer has sent and nobody reads any more: closed over it, the connection would be reset, and take the farewell along. */
static void discard_unread(struct conn *conn)
{
	evutil_socket_t fd = bufferevent_getfd(conn->bev);
	char bytes[4096];

	while (recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
}

/* As write_waiting(). */
static void say_bye(struct conn *conn, const char *code, const char *why)
{
	json_t *bye = json_pack("{s:s,s:s}", "code", code, "text", as_said(code, why));
	uint8_t frame[FRAME_HEADER + 2 * ERROR_MAX];
	size_t n = bye ? json_dumpb(bye, (char *)frame + FRAME_HEADER, sizeof(frame) - FRAME_HEADER, JSON_COMPACT) : 0;
	SSL *ssl = bufferevent_openssl_get_ssl(conn->bev);

	json_decref(bye);
	if (!n || n > sizeof(frame) - FRAME_HEADER || !write_waiting(conn, ssl))
		return;
	put_header(frame, SYNC_BYE, n);
	if (SSL_write(ssl, frame, FRAME_HEADER + n) > 0)
		SSL_shutdown(ssl);
	discard_unread(conn);
}

static bool is_for_key(const char *code)
{
	return code && !strcmp(code, "key");
}

void conn_end(struct conn *conn, const char *code, const char *fmt, ...)
{
	struct sync_peer *peer = conn->peer;
	enum conn_state was = conn->state;
	char why[ERROR_MAX];
	va_list ap;

	if (was == CONN_OVER)
		return;
	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	conn->state = CONN_OVER;
	LIST_REMOVE(conn, entry);
	LIST_INSERT_HEAD(&conn->channel->over, conn, entry);
	event_active(conn->channel->reap, EV_TIMEOUT, 0);
	if (conn->connecting)
		event_del(conn->connecting);
	if (conn->bev) {
		bufferevent_setcb(conn->bev, NULL, NULL, NULL, NULL);
		bufferevent_disable(conn->bev, EV_READ | EV_WRITE);
		if (code && was >= CONN_HELLO && !conn->dismissed)
			say_bye(conn, code, why);
	}
	peer->sent += conn->sent;
	peer->received += conn->received;
	peer->ended_key |= was == CONN_OPEN && is_for_key(code);
	if (peer->conn == conn)
		end_open(conn, code && !strcmp(code, "replaced"), why);
	else if (was != CONN_OPEN)
		end_attempt(conn, was, why);
}

static void take_bye(struct conn *conn, const uint8_t *data, size_t len)
{
	json_t *bye = peer_json(data, len);
	const char *code = json_string_value(json_object_get(bye, "code"));
	const char *its = json_string_value(json_object_get(bye, "text"));

	conn->dismissed = true;
	conn->peer->ended_key |= conn->state == CONN_OPEN && is_for_key(code);
	if (conn->state == CONN_OPEN && code && !strcmp(code, "replaced"))
		conn_end(conn, "replaced", "another connection has taken its place");
	else
		conn_end(conn, NULL, "it says: %s", its && *its ? its : "nothing");
	json_decref(bye);
}

/* ---- frames out ---- */

size_t conn_waiting(const struct conn *conn)
{
	return conn->bev ? evbuffer_get_length(bufferevent_get_output(conn->bev)) : 0;
}

/* What is small is of one piece, and so one TLS record. */
static int queue(struct evbuffer *out, uint16_t type, const void *data, size_t len)
{
	struct evbuffer_iovec piece;

	if (evbuffer_reserve_space(out, FRAME_HEADER + len, &piece, 1) != 1)
		return -ENOMEM;
	put_header(piece.iov_base, type, len);
	if (len)
		memcpy((uint8_t *)piece.iov_base + FRAME_HEADER, data, len);
	piece.iov_len = FRAME_HEADER + len;
	return evbuffer_commit_space(out, &piece, 1) ? -ENOMEM : 0;
}

int conn_send(struct conn *conn, uint16_t type, const void *data, size_t len)
{
	size_t waiting = conn_waiting(conn);

	if (len > SYNC_FRAME_MAX)
		return -EMSGSIZE;
	if (waiting + len > SYNC_WAITING_MAX)
		return -ENOBUFS;
	if (waiting + len > SYNC_WAITING_STOP / 2)
		conn->full = true;
	return queue(bufferevent_get_output(conn->bev), type, data, len);
}

/* ---- frames in ---- */

static void open_parts(struct sync_peer *peer)
{
	struct channel *c = peer->channel;

	for (size_t i = 0; i < c->n_parts && peer->conn; i++)
		if (c->parts[i]->opened)
			c->parts[i]->opened(c->parts[i]->arg, peer);
}

static void opened(struct conn *conn)
{
	struct sync_peer *peer = conn->peer;
	struct conn *before = peer->conn;
	bool again = before || peer->moving;
	char title[ADDR_STRLEN];

	conn->state = CONN_OPEN;
	bufferevent_setwatermark(conn->bev, EV_READ, 0, FRAME_HEADER + SYNC_FRAME_MAX);
	if (before) {
		peer->conn = NULL;
		close_parts(peer);
		conn_end(before, "replaced", "replaced");
	}
	peer->conn = conn;
	peer->moving = false;
	peer->refusals = 0;
	strcpy(peer->key, conn->id);
	peer->ended_key = false;
	hello_judge_keys(peer);
	peer->last_error[0] = '\0';
	if (!again) {
		peer->since_ms = clock_ms(CLOCK_BOOTTIME);
		journal_write(conn->channel->journal, JOURNAL_NOTICE, JOURNAL_SYNC, peer_title(peer, title),
			      "connected", NULL, NULL);
	}
	peer->was_open = true;
	open_parts(peer);
}

#define ECHO_MAX 56 /* bytes of a PING that come back, before 8 of time */

/* What came, and what time it is here. */
static void send_pong(struct conn *conn, const uint8_t *data, size_t len)
{
	uint64_t now = htobe64(clock_us(CLOCK_REALTIME));
	uint8_t pong[ECHO_MAX + sizeof(now)];

	len = len < ECHO_MAX ? len : ECHO_MAX;
	memcpy(pong, data, len);
	memcpy(pong + len, &now, sizeof(now));
	conn_send(conn, SYNC_PONG, pong, len + sizeof(now));
}

static void take_pong(struct conn *conn, const uint8_t *data, size_t len)
{
	uint64_t then, time, now = clock_us(CLOCK_MONOTONIC);
	struct sync_peer *peer = conn->peer;

	if (len < sizeof(then))
		return;
	memcpy(&then, data, sizeof(then));
	if (then > now)
		return;
	peer->rtt_us = now - then;
	if (len < sizeof(then) + sizeof(time))
		return;
	/* it was written half a round trip ago */
	memcpy(&time, data + sizeof(then), sizeof(time));
	peer->clock_offset_us = (int64_t)(be64toh(time) + peer->rtt_us / 2 - clock_us(CLOCK_REALTIME));
	peer->clock_known = true;
}

static void take_part(struct conn *conn, uint16_t type, const uint8_t *data, size_t len)
{
	const struct sync_part *part = channel_part_of(conn->channel, type);

	if (part && part->message(part->arg, conn->peer, type, data, len) == -EPROTO)
		conn_end(conn, "protocol", "what it sends can't be understood: a frame of type %u with %zu bytes", type,
			 len);
}

static void take(struct conn *conn, uint16_t type, const uint8_t *data, size_t len)
{
	if (type == SYNC_BYE)
		take_bye(conn, data, len);
	else if (conn->state == CONN_HELLO && type != SYNC_HELLO)
		conn_end(conn, "protocol", "a frame of type %u came before HELLO", type);
	else if (conn->state == CONN_HELLO) {
		if (hello_take(conn, data, len))
			opened(conn);
	} else if (type == SYNC_PING)
		send_pong(conn, data, len);
	else if (type == SYNC_PONG)
		take_pong(conn, data, len);
	else if (type == SYNC_KEYS)
		keys_take(conn, data, len);
	else if (type == SYNC_LINK)
		link_take(conn, data, len);
	else
		take_part(conn, type, data, len);
}

/* A frame that is whole: its bytes with the header; NULL: none, or too long a one has ended the connection. */
static const uint8_t *next_frame(struct conn *conn, struct evbuffer *in, uint32_t *len, uint16_t *type)
{
	uint8_t header[FRAME_HEADER];
	uint32_t max;

	if (evbuffer_copyout(in, header, sizeof(header)) != (ssize_t)sizeof(header))
		return NULL;
	memcpy(len, header, 4);
	memcpy(type, header + 4, 2);
	*len = ntohl(*len);
	*type = ntohs(*type);
	max = conn->state == CONN_OPEN && *type >= SYNC_STATES_FIRST ? SYNC_FRAME_MAX : HELLO_MAX;
	if (*len > max) {
		conn_end(conn, "protocol", "a frame of %u bytes came; the longest has %u", *len, max);
		return NULL;
	}
	if (evbuffer_get_length(in) < FRAME_HEADER + *len)
		return NULL;
	return evbuffer_pullup(in, FRAME_HEADER + *len);
}

static void on_read(struct bufferevent *bev, void *arg)
{
	struct evbuffer *in = bufferevent_get_input(bev);
	struct conn *conn = arg;
	const uint8_t *frame;
	uint16_t type;
	uint32_t len;

	conn->silent = 0;
	while (conn->state != CONN_OVER && (frame = next_frame(conn, in, &len, &type))) {
		take(conn, type, frame + FRAME_HEADER, len);
		evbuffer_drain(in, FRAME_HEADER + len);
		if (conn->doom[0])
			conn_end(conn, "dropped", "%s", conn->doom);
	}
}

/* Called whenever less than half of SYNC_WAITING_STOP waits. */
static void on_written(struct bufferevent *bev, void *arg)
{
	struct conn *conn = arg;
	struct channel *c = conn->channel;

	(void)bev;
	if (!conn->full || conn->state != CONN_OPEN)
		return;
	conn->full = false;
	for (size_t i = 0; i < c->n_parts && conn->peer->conn == conn; i++)
		if (c->parts[i]->drained)
			c->parts[i]->drained(c->parts[i]->arg, conn->peer);
}

/* ---- the beginning ---- */

static void secured(struct conn *conn)
{
	if (!tls_uses_key(conn)) {
		conn_end(conn, NULL, "TLS without the key");
		return;
	}
	conn->state = CONN_HELLO;
	if (hello_send(conn))
		conn_end(conn, NULL, "%s", strerror(ENOMEM));
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
	struct conn *conn = arg;
	char text[ERROR_MAX];

	(void)bev;
	if (what & BEV_EVENT_CONNECTED) {
		secured(conn);
		return;
	}
	conn_end(conn, NULL, "%s", tls_error(conn, text));
}

static void on_in(struct evbuffer *buffer, const struct evbuffer_cb_info *info, void *arg)
{
	(void)buffer;
	((struct conn *)arg)->received += info->n_added;
}

static void on_out(struct evbuffer *buffer, const struct evbuffer_cb_info *info, void *arg)
{
	(void)buffer;
	((struct conn *)arg)->sent += info->n_deleted;
}

/* A peer that is held up reads nothing: that its kernel has no room for more is no reason to end what conn_tick() lets live. */
static void set_socket(int fd)
{
	const int on = 1, ms = SYNC_HELD_UP_MS;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms));
}

/* The fd is the bev's from now on. */
static int start_tls(struct conn *conn)
{
	SSL *ssl = tls_new(conn->channel->tls, conn);

	if (!ssl)
		return -ENOMEM;
	set_socket(conn->fd);
	conn->bev =
		bufferevent_openssl_socket_new(conn->channel->base, conn->fd, ssl,
					       conn->accepted ? BUFFEREVENT_SSL_ACCEPTING : BUFFEREVENT_SSL_CONNECTING,
					       BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
	if (!conn->bev) {
		SSL_free(ssl);
		return -ENOMEM;
	}
	conn->fd = -1;
	conn->state = CONN_TLS;
	bufferevent_openssl_set_allow_dirty_shutdown(conn->bev, 1);
	bufferevent_setcb(conn->bev, on_read, on_written, on_event, conn);
	bufferevent_setwatermark(conn->bev, EV_READ, 0, FRAME_HEADER + HELLO_MAX);
	bufferevent_setwatermark(conn->bev, EV_WRITE, SYNC_WAITING_STOP / 2, 0);
	evbuffer_add_cb(bufferevent_get_input(conn->bev), on_in, conn);
	evbuffer_add_cb(bufferevent_get_output(conn->bev), on_out, conn);
	return bufferevent_enable(conn->bev, EV_READ | EV_WRITE) ? -ENOMEM : 0;
}

struct conn *conn_accept(struct channel *channel, struct sync_peer *peer, int fd)
{
	struct conn *conn = conn_new(channel, peer, fd);

	if (!conn) {
		close(fd);
		return NULL;
	}
	conn->accepted = true;
	if (start_tls(conn))
		conn_end(conn, NULL, "%s", strerror(ENOMEM));
	return conn;
}

static void on_connected(evutil_socket_t fd, short what, void *arg)
{
	struct conn *conn = arg;
	socklen_t len = sizeof(int);
	int err = 0;

	(void)what;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len))
		err = errno;
	if (!err)
		err = -start_tls(conn);
	if (err == ECONNREFUSED)
		conn_end(conn, NULL, "no fairleadd listens there");
	else if (err)
		conn_end(conn, NULL, "%s", strerror(err));
}

void conn_connect(struct channel *channel, struct sync_peer *peer)
{
	int fd = channel_socket(channel, 0), err = 0;
	struct conn *conn = conn_new(channel, peer, fd);
	struct sockaddr_storage to;
	socklen_t len = channel_sockaddr(channel, &peer->addr, channel->port, &to);

	if (!conn) {
		if (fd >= 0)
			close(fd);
		return;
	}
	if (fd < 0)
		err = -fd;
	else if (connect(fd, (const struct sockaddr *)&to, len) && errno != EINPROGRESS)
		err = errno;
	if (!err) {
		set_socket(fd);
		conn->connecting = event_new(channel->base, fd, EV_WRITE, on_connected, conn);
		if (!conn->connecting || event_add(conn->connecting, NULL))
			err = ENOMEM;
	}
	if (err)
		conn_end(conn, NULL, "%s", strerror(err));
}
