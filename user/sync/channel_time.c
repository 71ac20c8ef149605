// SPDX-License-Identifier: GPL-2.0-only
/* One connection, as time goes by: whether its peer is still there. */
#include "user/lib/clock.h"
#include "user/sync/channel_internal.h"

static void send_ping(struct conn *conn)
{
	const uint64_t now = clock_us(CLOCK_MONOTONIC);

	conn_send(conn, SYNC_PING, &now, sizeof(now));
}

bool conn_is_held_up(const struct conn *conn)
{
	const struct channel *c = conn->channel;
	json_int_t epoch = json_integer_value(json_object_get(conn->peer->hello, "epoch"));

	return conn->silent >= TICKS(SYNC_DEAD_MS) && c->lives && c->lives(c->arg, &conn->peer->addr, (uint64_t)epoch);
}

/* Who says nothing reads nothing either: that is counted once. */
static void count_silence(struct conn *conn)
{
	bool stuck = conn_waiting(conn) && conn->sent == conn->written;

	if (!stuck)
		conn->stuck = 0;
	else if (conn->silent < TICKS(SYNC_DEAD_MS) / 2)
		conn->stuck++;
	conn->written = conn->sent;
	conn->silent++;
}

/* Ticks are counted, not milliseconds: a loop that was held up for long has had no chance to hear anything. */
static void tick_open(struct conn *conn)
{
	count_silence(conn);
	if (conn->silent >= TICKS(SYNC_HELD_UP_MS))
		conn_end(
			conn, NULL,
			"nothing but beats was heard from it for %d s: its fairleadd hangs, or something drops TCP port %u",
			SYNC_HELD_UP_MS / 1000, conn->channel->port);
	else if (conn->silent >= TICKS(SYNC_DEAD_MS) && !conn_is_held_up(conn))
		conn_end(conn, NULL, "nothing was heard from it for %d s", SYNC_DEAD_MS / 1000);
	else if (conn->stuck >= TICKS(SYNC_DEAD_MS))
		conn_end(conn, NULL, "it has read nothing for %d s, and %zu bytes wait for it", SYNC_DEAD_MS / 1000,
			 conn_waiting(conn));
	else if (conn->age % TICKS(RETRY_MS) == 0)
		send_ping(conn);
}

void conn_tick(struct conn *conn)
{
	static const char *const late[] = {
		[CONN_CONNECTING] = "it does not answer",
		[CONN_TLS] = "it began, and sent no whole TLS handshake",
		[CONN_HELLO] = "it sent no HELLO",
	};

	conn->age++;
	if (conn->state == CONN_OPEN)
		tick_open(conn);
	else if (conn->age >= TICKS(SYNC_DEAD_MS))
		conn_end(conn, NULL, "%s for %d s", late[conn->state], SYNC_DEAD_MS / 1000);
}
