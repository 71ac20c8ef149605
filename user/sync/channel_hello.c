// SPDX-License-Identifier: GPL-2.0-only
/*
 * The first frame each way: who is it, and what does it speak. It comes by TLS, so that the key vouches for it, and the addresses in it are
 * those of the connection: nobody in between can lead a node to another one than it means, or to itself.
 */
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "user/sync/channel_internal.h"
#include "user/sync/peer_json.h"

#define NAME_MAX_BYTES 255

/* ---- ours ---- */

/* Those that are kept are not named: they are about to end. */
static json_t *keys_json(const struct sync_keys *keys)
{
	json_t *ids = json_array();
	char id[SYNC_KEY_ID_DIGITS + 1];

	for (unsigned int i = 0; i < keys->n - keys->n_kept; i++)
		json_array_append_new(ids, json_string(sync_key_id_text(&keys->key[i], id)));
	return ids;
}

/* What the other end of the link is to be like. */
static json_t *link_json(const struct channel *c)
{
	return json_pack("{s:s,s:i}", "device", c->device, "mtu", c->mtu);
}

static json_t *hello_json(const struct conn *conn)
{
	const struct channel *c = conn->channel;
	char local[ADDR_STRLEN], peer[ADDR_STRLEN];
	json_t *hello = json_pack("{s:[i,i],s:s,s:s,s:I,s:I,s:s,s:s,s:s,s:o,s:o}", "protocol", SYNC_PROTOCOL_MIN,
				  SYNC_PROTOCOL_MAX, "software", FAIRLEAD_VERSION, "node", c->node, "number",
				  (json_int_t)c->number, "epoch", (json_int_t)c->epoch, "role", c->role, "local",
				  addr_format(&c->local, local), "peer", addr_format(&conn->peer->addr, peer), "keys",
				  keys_json(&c->keys), "link", link_json(c));

	for (size_t i = 0; i < c->n_parts; i++) {
		const struct sync_part *part = c->parts[i];
		json_t *its = part->hello ? part->hello(part->arg, conn->peer) : NULL;

		if (its)
			json_object_set_new(hello, part->name, its);
	}
	return hello;
}

static int send_json(struct conn *conn, uint16_t type, json_t *json)
{
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	int err = text ? conn_send(conn, type, text, strlen(text)) : -ENOMEM;

	free(text);
	json_decref(json);
	return err;
}

int hello_send(struct conn *conn)
{
	return send_json(conn, SYNC_HELLO, hello_json(conn));
}

int keys_send(struct conn *conn)
{
	return send_json(conn, SYNC_KEYS, json_pack("{s:o}", "keys", keys_json(&conn->channel->keys)));
}

/* 0: there is no such device */
static int device_mtu(const char *device)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq ifr = { 0 };

	strncpy(ifr.ifr_name, device, sizeof(ifr.ifr_name) - 1);
	if (fd < 0 || ioctl(fd, SIOCGIFMTU, &ifr))
		ifr.ifr_mtu = 0;
	if (fd >= 0)
		close(fd);
	return ifr.ifr_mtu;
}

void link_look(struct channel *c)
{
	int mtu = device_mtu(c->device);
	struct conn *conn;

	if (mtu == c->mtu)
		return;
	c->mtu = mtu;
	LIST_FOREACH(conn, &c->conns, entry)
	{
		if (conn->state == CONN_HELLO || conn->state == CONN_OPEN)
			send_json(conn, SYNC_LINK, link_json(c));
	}
}

/* ---- theirs ---- */

static bool is_name(const char *text)
{
	size_t len = strlen(text);

	return len && len <= NAME_MAX_BYTES;
}

/* Where there is one: an older release has none. */
static bool is_link(const json_t *link)
{
	json_t *device = json_object_get(link, "device");

	return !device || (json_is_string(device) && json_string_length(device) < IFNAMSIZ);
}

static bool are_names(const json_t *hello)
{
	const char *software = json_string_value(json_object_get(hello, "software"));

	return is_name(json_string_value(json_object_get(hello, "node"))) &&
	       is_name(json_string_value(json_object_get(hello, "role"))) && (!software || is_name(software)) &&
	       is_link(json_object_get(hello, "link"));
}

static bool is_address(const char *text, const struct addr *addr)
{
	struct addr its;

	return !addr_parse(text, &its) && addr_equal(&its, addr);
}

/* The one with the lower maximum is the older one. */
static bool speaks(struct conn *conn, const char *node, int min, int max)
{
	struct sync_peer *peer = conn->peer;

	peer->protocol = max < SYNC_PROTOCOL_MAX ? max : SYNC_PROTOCOL_MAX;
	if (min <= max && min <= SYNC_PROTOCOL_MAX && max >= SYNC_PROTOCOL_MIN)
		return true;
	conn_end(conn, "version",
		 "%s speaks versions %d to %d of the sync protocol, %s %d to %d: update fairlead on %s",
		 conn->channel->node, SYNC_PROTOCOL_MIN, SYNC_PROTOCOL_MAX, node, min, max,
		 max < SYNC_PROTOCOL_MIN ? node : conn->channel->node);
	return false;
}

static bool meant(struct conn *conn, const char *local, const char *to)
{
	if (is_address(local, &conn->peer->addr) && is_address(to, &conn->channel->local))
		return true;
	conn_end(conn, "address",
		 "its connection is from %.64s to %.64s, as it says itself: somebody leads it elsewhere", local, to);
	return false;
}

/* What a newer one adds is left to those who know it. */
static bool unpack(struct conn *conn, json_t *hello)
{
	const char *node, *local, *to, *role;
	struct sync_peer *peer = conn->peer;
	json_int_t number, epoch;
	json_error_t error;
	int min, max;

	if (json_unpack_ex(hello, &error, 0, "{s:[i,i],s:s,s:I,s:I,s:s,s:s,s:s}", "protocol", &min, &max, "node", &node,
			   "number", &number, "epoch", &epoch, "role", &role, "local", &local, "peer", &to) ||
	    !are_names(hello)) {
		conn_end(conn, "protocol", "its HELLO can't be understood: %s",
			 *error.text ? error.text : "a name in it is empty, or too long");
		return false;
	}
	if (!meant(conn, local, to) || !speaks(conn, node, min, max))
		return false;
	free(peer->name);
	peer->name = strdup(node);
	peer->number = number;
	return true;
}

bool hello_take(struct conn *conn, const uint8_t *data, size_t len)
{
	json_t *hello = peer_json(data, len);

	if (!hello) {
		conn_end(conn, "protocol", "its HELLO is no JSON");
		return false;
	}
	if (!unpack(conn, hello)) {
		json_decref(hello);
		return false;
	}
	json_decref(conn->peer->hello);
	conn->peer->hello = hello;
	return true;
}

void keys_take(struct conn *conn, const uint8_t *data, size_t len)
{
	json_t *frame = peer_json(data, len);
	json_t *keys = json_object_get(frame, "keys");

	if (json_is_array(keys))
		json_object_set(conn->peer->hello, "keys", keys);
	hello_judge_keys(conn->peer);
	json_decref(frame);
}

void link_take(struct conn *conn, const uint8_t *data, size_t len)
{
	json_t *link = peer_json(data, len);

	if (json_is_object(link) && is_link(link))
		json_object_set(conn->peer->hello, "link", link);
	json_decref(link);
}

static bool names_key(const struct sync_peer *peer, const char *id)
{
	json_t *its;
	size_t i;

	json_array_foreach(json_object_get(peer->hello, "keys"), i, its) {
		if (json_is_string(its) && !strcmp(json_string_value(its), id))
			return true;
	}
	return false;
}

bool hello_has_key(const struct sync_peer *peer, const struct sync_key *key)
{
	char id[SYNC_KEY_ID_DIGITS + 1];

	return names_key(peer, sync_key_id_text(key, id));
}

static bool leaves_out(const struct sync_peer *peer)
{
	const struct sync_keys *keys = &peer->channel->keys;
	char id[SYNC_KEY_ID_DIGITS + 1];
	bool has_it = false;

	if (!peer->key[0] || !json_is_array(json_object_get(peer->hello, "keys")) || names_key(peer, peer->key))
		return false;
	for (unsigned int i = 0; i < keys->n - keys->n_kept; i++) {
		if (hello_has_key(peer, &keys->key[i]))
			return false;
		has_it |= !strcmp(peer->key, sync_key_id_text(&keys->key[i], id));
	}
	return has_it || peer->channel->number > peer->number;
}

void hello_judge_keys(struct sync_peer *peer)
{
	peer->leaves_out = leaves_out(peer);
}
