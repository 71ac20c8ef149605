// SPDX-License-Identifier: GPL-2.0-only
/* The channel's sockets, and who comes by them. */
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "user/lib/log.h"
#include "user/sync/channel_internal.h"

#define BACKLOG 32
#define ACCEPTS_MAX 32 /* at a time, then the loop goes on */

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

void channel_stop_listening(struct channel *c)
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

void channel_listen(struct channel *c)
{
	uint32_t ifindex = if_nametoindex(c->device);
	int err;

	if (c->on_accept && ifindex != c->ifindex)
		channel_stop_listening(c);
	if (c->on_accept || !c->keys.n)
		return;
	c->ifindex = ifindex;
	err = ifindex ? start_listening(c) : -ENODEV;
	if (!err)
		c->listen_error[0] = '\0';
	else
		listen_failed(c, err);
}
