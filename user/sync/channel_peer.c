// SPDX-License-Identifier: GPL-2.0-only
/* What parts and people ask of a peer. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/lib/clock.h"
#include "user/sync/channel_internal.h"

/* ---- sending ---- */

static void doom(struct conn *conn, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void doom(struct conn *conn, const char *fmt, ...)
{
	va_list ap;

	if (conn->doom[0])
		return;
	va_start(ap, fmt);
	vsnprintf(conn->doom, sizeof(conn->doom), fmt, ap);
	va_end(ap);
	event_active(conn->channel->reap, EV_TIMEOUT, 0);
}

int sync_send(struct sync_peer *peer, uint16_t type, const void *data, size_t len)
{
	int err;

	if (!peer->conn || peer->conn->doom[0])
		return -ENOTCONN;
	err = conn_send(peer->conn, type, data, len);
	if (err == -ENOBUFS)
		doom(peer->conn, "more than %u MB wait for it", SYNC_WAITING_MAX >> 20);
	else if (err == -ENOMEM)
		doom(peer->conn, "out of memory");
	return err;
}

int sync_send_json(struct sync_peer *peer, uint16_t type, const json_t *json)
{
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	int err = text ? sync_send(peer, type, text, strlen(text)) : -ENOMEM;

	free(text);
	return err;
}

size_t sync_waiting(const struct sync_peer *peer)
{
	return peer->conn ? conn_waiting(peer->conn) : 0;
}

void sync_drop(struct sync_peer *peer, const char *fmt, ...)
{
	char why[ERROR_MAX];
	va_list ap;

	if (!peer->conn)
		return;
	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	doom(peer->conn, "%s", why);
}

/* ---- asking ---- */

bool sync_peer_connected(const struct sync_peer *peer)
{
	return peer->conn;
}

const char *sync_peer_name(const struct sync_peer *peer)
{
	static char text[ADDR_STRLEN];

	return peer_title(peer, text);
}

const struct addr *sync_peer_addr(const struct sync_peer *peer)
{
	return &peer->addr;
}

unsigned int sync_peer_protocol(const struct sync_peer *peer)
{
	return peer->conn ? peer->protocol : 0;
}

const json_t *sync_peer_hello(const struct sync_peer *peer)
{
	return peer->hello;
}

uint64_t sync_peer_number(const struct sync_peer *peer)
{
	return peer->number;
}

long long sync_peer_silent_ms(const struct sync_peer *peer)
{
	if (peer->conn)
		return (long long)peer->conn->silent * TICK_MS;
	return peer->heard_ms ? clock_ms(CLOCK_BOOTTIME) - peer->heard_ms : -1;
}

bool sync_peer_leaves_out(const struct sync_peer *peer)
{
	return peer->leaves_out;
}

bool sync_peer_ended_key(const struct sync_peer *peer)
{
	return peer->ended_key;
}

const char *sync_peer_last_error(const struct sync_peer *peer)
{
	return peer->last_error;
}

/* ---- showing ---- */

static const char *key_text(const struct sync_peer *peer)
{
	char id[SYNC_KEY_ID_DIGITS + 1];

	if (!peer->conn || !peer->channel->keys.n)
		return "";
	return strcmp(peer->conn->id, sync_key_id_text(&peer->channel->keys.key[0], id)) ? "old" : "current";
}

static const char *hello_text(const struct sync_peer *peer, const char *key)
{
	const char *text = json_string_value(json_object_get(peer->hello, key));

	return text ? text : "";
}

static const char *link_text(const struct sync_peer *peer, const char *key)
{
	const char *text = json_string_value(json_object_get(json_object_get(peer->hello, "link"), key));

	return text ? text : "";
}

/* The MTU of its device, as it has told; null: an older release does not */
static json_t *mtu_of(const struct sync_peer *peer)
{
	json_t *mtu = json_object_get(json_object_get(peer->hello, "link"), "mtu");

	return peer->conn && json_is_integer(mtu) ? json_incref(mtu) : json_null();
}

/* The columns of parts, which put theirs in their place. */
static json_t *row_of(const struct sync_peer *peer)
{
	const struct conn *conn = peer->conn;
	char address[ADDR_STRLEN], name[ADDR_STRLEN];

	return json_pack(
		"{s:s,s:b,s:s,s:I,s:I,s:n,s:I,s:n,s:n,s:n,s:b,s:I,s:I,s:s,s:I,"
		"s:s,s:i,s:s,s:s,s:I,s:I,s:I,s:o,s:o,s:i,s:o,s:s}",
		"peer", peer_title(peer, name), "connected", conn != NULL, "role", hello_text(peer, "role"), "sent",
		(json_int_t)0, "received", (json_int_t)0, "lag_ms", "resyncs", (json_int_t)0, "digest_match",
		"config_match", "config_version", "pending", 0, "states_local", (json_int_t)0, "states_peer",
		(json_int_t)0, "last_error", peer->last_error, "since_ms",
		(json_int_t)(clock_ms(CLOCK_BOOTTIME) - peer->since_ms), "address", addr_format(&peer->addr, address),
		"protocol", (int)sync_peer_protocol(peer), "software", hello_text(peer, "software"), "key",
		key_text(peer), "bytes_sent", (json_int_t)(peer->sent + (conn ? conn->sent : 0)), "bytes_received",
		(json_int_t)(peer->received + (conn ? conn->received : 0)), "bytes_waiting",
		(json_int_t)sync_waiting(peer), "rtt_us", conn ? json_integer((json_int_t)peer->rtt_us) : json_null(),
		"clock_offset_ms", conn && peer->clock_known ? json_integer(peer->clock_offset_us / 1000) : json_null(),
		"mtu", peer->channel->mtu, "peer_mtu", mtu_of(peer), "peer_device", link_text(peer, "device"));
}

json_t *channel_show(const struct channel *c)
{
	json_t *rows = json_array();

	for (size_t i = 0; i < c->n_peers; i++) {
		json_t *row = row_of(c->peers[i]);

		for (size_t j = 0; row && j < c->n_parts; j++)
			if (c->parts[j]->show)
				c->parts[j]->show(c->parts[j]->arg, c->peers[i], row);
		json_array_append_new(rows, row);
	}
	return rows;
}

static void reason_of(const struct sync_peer *peer, json_t *reasons)
{
	char name[ADDR_STRLEN], address[ADDR_STRLEN];
	long long s = (clock_ms(CLOCK_BOOTTIME) - peer->since_ms) / 1000;
	const char *title = peer_title(peer, name);

	addr_format(&peer->addr, address);
	if (peer->conn && conn_is_held_up(peer->conn))
		json_array_append_new(reasons,
				      json_sprintf("peer %s (%s) is busy since %lld s: its beats come, and no answers",
						   title, address, sync_peer_silent_ms(peer) / 1000));
	else if (!peer->conn && !peer->moving)
		json_array_append_new(reasons, json_sprintf("peer %s (%s) is not connected since %lld s: %s", title,
							    address, s, peer->last_error));
}

void channel_reasons(const struct channel *c, json_t *reasons)
{
	if (!c->keys.n)
		json_array_append_new(reasons, json_sprintf("sync: no key: %s", c->no_key));
	else if (c->listen_error[0])
		json_array_append_new(reasons, json_sprintf("sync: nobody can connect: %s", c->listen_error));
	for (size_t i = 0; i < c->n_peers && c->keys.n; i++)
		reason_of(c->peers[i], reasons);
}
