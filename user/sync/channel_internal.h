/* SPDX-License-Identifier: GPL-2.0-only */
/* Between channel.c (peers, and who is connected to), channel_listen.c (who comes), channel_conn.c (a connection) and the others. */
#pragma once

#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <openssl/ssl.h>
#include <sys/queue.h>

#include "user/sync/channel.h"

#define TICK_MS 250
#define TICKS(ms) ((ms) / TICK_MS)
#define RETRY_MS 1000	     /* between two tries, and between two PINGs */
#define HANDSHAKES_MAX 16    /* of those who have come, at a time */
#define HELLO_MAX (1u << 16) /* bytes; longer frames come after it only */
#define FRAME_HEADER 8	     /* u32 length of the payload, u16 type, u16 0; big endian */
#define TOLD_MAX 32	     /* addresses of which is known when they were told of last */
#define ERROR_MAX 256	     /* bytes of a text */

enum conn_state {
	CONN_CONNECTING, /* TCP */
	CONN_TLS,
	CONN_HELLO,
	CONN_OPEN,
	CONN_OVER, /* nothing but to be freed */
};

struct conn {
	LIST_ENTRY(conn) entry;
	struct channel *channel;
	struct sync_peer *peer;
	enum conn_state state;
	bool accepted; /* the peer has come; else this node has gone there */
	int fd;	       /* while connecting */
	struct event *connecting;
	struct bufferevent *bev;
	char id[SYNC_KEY_ID_DIGITS + 1]; /* of the key; the server's once it is found */
	bool unknown_key;		 /* the client has offered another one */
	bool dismissed;			 /* BYE has come */
	bool full;			 /* more than SYNC_WAITING_STOP / 2 has waited */
	unsigned int age, silent,
		stuck; /* ticks: since it began; since something came, was written while something waits */
	uint64_t sent, received, written; /* bytes; `written` as of the last tick */
	char doom[ERROR_MAX];		  /* why it ends as soon as the loop goes on; "" */
};

struct sync_peer {
	struct channel *channel;
	struct addr addr;
	struct conn *conn;		  /* the open one; NULL */
	json_t *hello;			  /* the last one; NULL */
	char *name;			  /* of it; NULL */
	char key[SYNC_KEY_ID_DIGITS + 1]; /* of the last connection; "": there was none */
	bool ended_key;			  /* the last connection has ended for the key */
	bool leaves_out;		  /* see channel.h; as of when both were connected */
	uint64_t number;
	unsigned int protocol;
	unsigned int offered;  /* which of the keys is next */
	unsigned int refusals; /* in a row, for the key */
	bool stays;	       /* configure: it is in the new settings, too */
	bool moving;	       /* from one connection to the next: it is not lost */
	bool was_open;
	long long since_ms;	 /* connected, or not: CLOCK_BOOTTIME */
	long long heard_ms;	 /* 0: never */
	uint64_t sent, received; /* of connections that are over */
	uint64_t rtt_us;
	int64_t clock_offset_us; /* its CLOCK_REALTIME is so much ahead */
	bool clock_known;
	unsigned int pause; /* ticks until the next try */
	char last_error[ERROR_MAX];
	void *data[SYNC_PARTS_MAX];
};

/* A stranger, or a peer whose connections fail: one event a minute. */
struct told {
	struct addr addr;
	long long ms;
	unsigned int more; /* since then */
};

struct channel {
	struct event_base *base;
	SSL_CTX *tls;
	struct event *tick, *reap, *on_accept;
	LIST_HEAD(, conn) conns, over;
	struct sync_peer **peers;
	size_t n_peers;
	const struct sync_part *parts[SYNC_PARTS_MAX];
	size_t n_parts;
	struct told told[TOLD_MAX];
	unsigned int ticks;
	bool closing;
	uint32_t ifindex; /* of the device that is listened on */
	int mtu;	  /* of it, as peers were told; 0: it is not there */
	char listen_error[ERROR_MAX];
	/* settings */
	char *device, *node, *role, *no_key;
	struct addr local;
	uint16_t port;
	struct sync_keys keys;
	uint64_t number, epoch;
	struct journal *journal;
	bool (*lives)(void *arg, const struct addr *peer, uint64_t epoch);
	void *arg;
};

/* ---- channel_tls.c ---- */

SSL_CTX *tls_context(void); /* NULL: told */
/* For one connection; its callbacks look for keys in conn->channel. NULL: out of memory */
SSL *tls_new(SSL_CTX *context, struct conn *conn);
/* What has gone wrong, from the connection's and OpenSSL's errors; may be told by an alert. */
const char *tls_error(struct conn *conn, char text[ERROR_MAX]);
bool tls_uses_key(const struct conn *conn); /* the handshake is over, and the key has made it */

/* ---- channel_conn.c ---- */

struct conn *conn_accept(struct channel *channel, struct sync_peer *peer, int fd); /* takes fd; NULL: out of memory */
void conn_connect(struct channel *channel, struct sync_peer *peer);
/*
 * It is over: parts, events and last_error follow; code: the peer is told (BYE), if there is still a way to; NULL: it is not. The struct
 * lives until the loop goes on.
 */
void conn_end(struct conn *conn, const char *code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void conn_free(struct conn *conn);
int conn_send(struct conn *conn, uint16_t type, const void *data, size_t len);
size_t conn_waiting(const struct conn *conn);

/* ---- channel_time.c ---- */

void conn_tick(struct conn *conn);
/* Nothing comes by it, but the peer lives. */
bool conn_is_held_up(const struct conn *conn);

/* ---- channel_hello.c ---- */

int hello_send(struct conn *conn);
int keys_send(struct conn *conn);
/* The device's MTU; when it is another one than before peers are told. */
void link_look(struct channel *channel);
/* Whether the connection opens; if not, it is over. */
bool hello_take(struct conn *conn, const uint8_t *data, size_t len);
void keys_take(struct conn *conn, const uint8_t *data, size_t len);
void link_take(struct conn *conn, const uint8_t *data, size_t len);
/* The peer has that key, as it says itself. */
bool hello_has_key(const struct sync_peer *peer, const struct sync_key *key);
/* While both are connected: what keys they have has changed. */
void hello_judge_keys(struct sync_peer *peer);

/* ---- channel_listen.c ---- */

/* socket(), of the device and the node's address. The fd or -errno. port: 0: any */
int channel_socket(const struct channel *channel, uint16_t port);
socklen_t channel_sockaddr(const struct channel *channel, const struct addr *addr, uint16_t port,
			   struct sockaddr_storage *out);
/*
 * Hears who comes, or says why it can't: to be called again when the machine has changed. A device that went and came is another one: what is
 * bound to the old one hears nothing any more.
 */
void channel_listen(struct channel *channel);
void channel_stop_listening(struct channel *channel);

/* ---- channel.c ---- */

struct sync_peer *channel_peer(const struct channel *channel, const struct addr *addr); /* NULL: it is none */
const struct sync_part *channel_part_of(const struct channel *channel, uint16_t type);
const char *peer_title(const struct sync_peer *peer, char text[ADDR_STRLEN]);
/* An event, once a minute for the address. */
void channel_tell(struct channel *channel, const struct addr *addr, const char *event, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
