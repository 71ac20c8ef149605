// SPDX-License-Identifier: GPL-2.0-only
#include "user/sync/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "user/lib/clock.h"
#include "user/lib/log.h"
#include "user/sync/channel_internal.h"

#define BACKLOG 32
#define ACCEPTS_MAX 32 /* at a time, then the loop goes on */
#define TELL_MS 60000  /* of one address */

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

/* ---- sockets ---- */

socklen_t channel_sockaddr(const struct channel *c, const struct addr *addr, uint16_t port,
			   struct sockaddr_storage *out)
{
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
	struct sockaddr_in *v4 = (struct sockaddr_in *)out;

	memset(out, 0, sizeof(*out));
	if (addr->family == AF_INET) {
		*v4 = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = addr->v4 };
		return sizeof(*v4);
	}
	*v6 = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = addr->v6 };
	if (addr_is_link_local(addr))
		v6->sin6_scope_id = if_nametoindex(c->device);
	return sizeof(*v6);
}

static struct addr addr_of(const struct sockaddr_storage *from)
{
	struct addr addr = { .family = from->ss_family };

	if (from->ss_family == AF_INET)
		addr.v4 = ((const struct sockaddr_in *)from)->sin_addr;
	else
		addr.v6 = ((const struct sockaddr_in6 *)from)->sin6_addr;
	return addr;
}

int channel_socket(const struct channel *c, uint16_t port)
{
	int fd = socket(c->local.family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), err;
	const int on = 1, v6 = c->local.family == AF_INET6;
	struct sockaddr_storage local;
	socklen_t len = channel_sockaddr(c, &c->local, port, &local);

	if (fd >= 0 && !setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) &&
	    (!v6 || !setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on))) &&
	    !setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, c->device, strlen(c->device)) &&
	    !bind(fd, (const struct sockaddr *)&local, len))
		return fd;
	err = errno;
	if (fd >= 0)
		close(fd);
	return -err;
}

/* ---- who comes ---- */

static unsigned int handshakes(const struct channel *c, struct conn **oldest)
{
	struct conn *conn;
	unsigned int n = 0;

	LIST_FOREACH(conn, &c->conns, entry)
	{
		if (!conn->accepted || conn->state == CONN_OPEN)
			continue;
		n++;
		*oldest = conn; /* the newest are the first of the list */
	}
	return n;
}

/* Who is slow makes room: a peer is done in milliseconds. */
static void welcome(struct channel *c, int fd, const struct addr *addr)
{
	struct sync_peer *peer = channel_peer(c, addr);
	struct conn *oldest = NULL;

	if (!peer) {
		close(fd);
		channel_tell(c, addr, "refused", "a connection from an address that is not in ha.peers");
		return;
	}
	if (handshakes(c, &oldest) >= HANDSHAKES_MAX)
		conn_end(oldest, NULL, "it has begun %d connections and more, and none is complete", HANDSHAKES_MAX);
	conn_accept(c, peer, fd);
}

static void on_accept(evutil_socket_t listener, short what, void *arg)
{
	struct sockaddr_storage from = { 0 };
	struct channel *c = arg;

	(void)what;
	for (int i = 0; i < ACCEPTS_MAX; i++) {
		socklen_t len = sizeof(from);
		int fd = accept4(listener, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
		struct addr addr;

		if (fd < 0)
			return;
		addr = addr_of(&from);
		welcome(c, fd, &addr);
	}
}

static void stop_listening(struct channel *c)
{
	if (!c->on_accept)
		return;
	close(event_get_fd(c->on_accept));
	event_free(c->on_accept);
	c->on_accept = NULL;
}

static int start_listening(struct channel *c)
{
	int fd = channel_socket(c, c->port);

	if (fd < 0)
		return fd;
	c->on_accept = listen(fd, BACKLOG) ? NULL : event_new(c->base, fd, EV_READ | EV_PERSIST, on_accept, c);
	if (!c->on_accept) {
		int err = errno;

		close(fd);
		return -err;
	}
	return event_add(c->on_accept, NULL) ? -ENOMEM : 0;
}

static void listen_failed(struct channel *c, int err)
{
	char local[ADDR_STRLEN], why[ERROR_MAX];

	addr_format(&c->local, local);
	if (err == -ENODEV)
		snprintf(why, sizeof(why), "there is no device %s", c->device);
	else if (err == -EADDRNOTAVAIL)
		snprintf(why, sizeof(why), "%s is no address of this machine, or not yet", local);
	else
		snprintf(why, sizeof(why), "%s port %u: %s", local, c->port, strerror(-err));
	if (strcmp(why, c->listen_error))
		log_warnx("sync: nobody can connect: %s", why);
	strcpy(c->listen_error, why);
}

/* A device that went and came is another one: what is bound to the old one hears nothing any more. */
static void listen_again(struct channel *c)
{
	uint32_t ifindex = if_nametoindex(c->device);
	int err;

	if (c->on_accept && ifindex != c->ifindex)
		stop_listening(c);
	if (c->on_accept || !c->keys.n)
		return;
	c->ifindex = ifindex;
	err = ifindex ? start_listening(c) : -ENODEV;
	if (!err)
		c->listen_error[0] = '\0';
	else
		listen_failed(c, err);
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

/* The connection is of the old key, and both have the new one: another takes its place before the old key goes. */
static bool is_to_renew(const struct channel *c, struct sync_peer *peer)
{
	char id[SYNC_KEY_ID_DIGITS + 1];

	if (!strcmp(peer->conn->id, sync_key_id_text(&c->keys.key[0], id)) || !hello_has_key(peer, &c->keys.key[0]))
		return false;
	peer->offered = 0;
	return true;
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
	listen_again(c);
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
		if (c->peers[i]->conn && !strcmp(c->peers[i]->conn->id, id))
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
	for (size_t i = 0; i < c->n_peers; i++)
		c->peers[i]->offered = 0;
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
		stop_listening(c);
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
		stop_listening(c);
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
	stop_listening(c);
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
