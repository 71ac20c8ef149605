// SPDX-License-Identifier: GPL-2.0-only
/*
 * Somebody between the nodes, who can read, change, keep and repeat what they send. Node 0 means 127.0.0.2, port 7242, where the one in the middle
 * listens; from 127.0.0.1 it goes on to node 1 at 127.0.0.2, port 7241.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "selftests/net/test_channel.h"
#include "selftests/net/test_system.h"
#include "selftests/unit/tempdir.h"
#include "user/lib/file.h"

#define MIDDLE 7242
#define SECONDS 20

static struct {
	int listener, to[2];	 /* sockets towards node 0 and node 1 */
	size_t passed[2];	 /* bytes from node 0, from node 1 */
	size_t flip[2];		 /* the byte that is changed; 0: none */
	unsigned char log[4096]; /* the first ones from node 0 */
	bool recording, blocked;
} mid = { .listener = -1, .to = { -1, -1 } };

static struct sockaddr_in at(const char *text, uint16_t port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = addr(text).v4 };
}

static int new_socket(const char *from, uint16_t port)
{
	const struct sockaddr_in local = at(from, port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	const int on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	cr_assert_eq(bind(fd, (const struct sockaddr *)&local, sizeof(local)), 0);
	return fd;
}

static int go_on(const char *from, const char *to, uint16_t port)
{
	const struct sockaddr_in far = at(to, port);
	int fd = new_socket(from, 0);

	cr_assert(!connect(fd, (const struct sockaddr *)&far, sizeof(far)) || errno == EINPROGRESS);
	return fd;
}

static void mid_end(void)
{
	close(mid.to[0]);
	close(mid.to[1]);
	mid.to[0] = mid.to[1] = -1;
}

/* false: one end is closed */
static bool pass(int from)
{
	unsigned char buf[2048];
	ssize_t n = recv(mid.to[from], buf, sizeof(buf), 0);

	if (n <= 0)
		return n < 0 && errno == EAGAIN;
	if (mid.flip[from] >= mid.passed[from] && mid.flip[from] && mid.flip[from] < mid.passed[from] + n)
		buf[mid.flip[from] - mid.passed[from]] ^= 0x01;
	if (!from && mid.recording && mid.passed[0] + n <= sizeof(mid.log))
		memcpy(mid.log + mid.passed[0], buf, n);
	mid.passed[from] += n;
	return send(mid.to[!from], buf, n, MSG_NOSIGNAL) == n;
}

static void pump(void)
{
	if (mid.to[0] < 0) {
		mid.to[0] = accept4(mid.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (mid.to[0] < 0)
			return;
		mid.to[1] = go_on("127.0.0.1", "127.0.0.2", PORT);
		mid.passed[0] = mid.passed[1] = 0;
		go_ms(2);
	}
	if (mid.blocked)
		return;
	if (!pass(0) || !pass(1))
		mid_end();
}

static void set_up_middle(void)
{
	set_up_channel();
	mid.listener = new_socket("127.0.0.2", MIDDLE);
	cr_assert_eq(listen(mid.listener, 8), 0);
	node_prepare(0, 1, 1);
	nodes[0].settings.port = MIDDLE;
	node_prepare(1, 0, 1);
	node_open(0);
	node_open(1);
}

TestSuite(channel_middle, .init = set_up_middle, .fini = tear_down_channel, .timeout = 120);

static bool connected(void)
{
	pump();
	return both_connected();
}

static bool either_has_closed(void)
{
	pump();
	return nodes[0].closed || nodes[1].closed;
}

static bool says_altered(void)
{
	pump();
	return strstr(sync_peer_last_error(peer_of(0)), "altered") ||
	       strstr(sync_peer_last_error(peer_of(1)), "altered");
}

static bool connected_again(void)
{
	return connected() && nodes[0].opened == 2 && nodes[1].opened == 2;
}

/* One bit of what a node sends. */
static void alter(int from)
{
	cr_assert(until(connected, SECONDS));
	mid.flip[from] = mid.passed[from] + 10;
	cr_assert_eq(sync_send(peer_of(from), PART_FIRST, "do this", 7), 0);
	cr_assert(until(either_has_closed, SECONDS));
	cr_expect_eq(nodes[!from].messages, 0);
	cr_expect(until(says_altered, SECONDS));
	mid.flip[from] = 0;
	cr_assert(until(connected_again, SECONDS));
	cr_assert_eq(sync_send(peer_of(from), PART_FIRST, "do this", 7), 0);
	while (!nodes[!from].messages) {
		pump();
		go_ms(1);
	}
}

Test(channel_middle, altered)
{
	alter(0);
}

Test(channel_middle, altered_back)
{
	alter(1);
}

/* Every single byte of what begins it: none of them leads to a connection that is another one. */
Test(channel_middle, altered_handshake)
{
	static const size_t places[] = { 11, 50, 150, 240 };

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		mid.flip[0] = places[i];
		for (int ms = 0; ms < 1500 && !(mid.passed[0] > places[i] && mid.to[0] < 0); ms++) {
			pump();
			go_ms(1);
		}
		cr_expect_gt(mid.passed[0], places[i]);
		cr_expect_eq(nodes[0].opened + nodes[1].opened, 0, "byte %zu", places[i]);
		mid_end();
	}
	mid.flip[0] = 0;
	cr_assert(until(connected, SECONDS));
}

/* What was a connection, once more: its keys were made for that one alone. */
Test(channel_middle, replayed)
{
	unsigned int messages;
	struct tempdir dir;
	char *events;
	size_t len;
	int fd;

	tempdir_make(&dir);
	nodes[1].settings.journal = journal_open(dir.path);
	cr_assert_eq(channel_configure(nodes[1].channel, &nodes[1].settings), 0);
	mid.recording = true;
	cr_assert(until(connected, SECONDS));
	cr_assert_eq(sync_send(peer_of(0), PART_FIRST, "once", 4), 0);
	while (!nodes[1].messages) {
		pump();
		go_ms(1);
	}
	mid.recording = false;
	messages = nodes[1].messages;
	len = mid.passed[0];
	cr_assert_leq(len, sizeof(mid.log));
	fd = go_on("127.0.0.1", "127.0.0.2", PORT);
	go_ms(5);
	cr_expect_eq(send(fd, mid.log, len, MSG_NOSIGNAL), (ssize_t)len);
	for (int i = 0; i < 100; i++) {
		pump();
		go_ms(1);
	}
	cr_expect_eq(nodes[1].messages, messages);
	cr_expect_eq(nodes[1].opened, 1, "it is no peer");
	cr_expect(both_connected(), "who is one stays");
	close(fd);
	go_ms(50);
	cr_assert_eq(file_read(tempdir_file(&dir, "events.log"), &events, &len), 0);
	cr_expect_not_null(strstr(events, "\"event\":\"refused\",\"reason\":\"while it is connected: "), "%s", events);
	free(events);
	tempdir_remove(&dir);
}

/* It leads a node to itself: the key is right, and all that it hears is its own. */
Test(channel_middle, mirrored)
{
	int far, near;

	cr_assert(until(connected, SECONDS));
	mid_end();
	close(mid.listener);
	mid.listener = new_socket("127.0.0.2", MIDDLE);
	cr_assert_eq(listen(mid.listener, 8), 0);
	while ((near = accept4(mid.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) < 0)
		go_ms(1);
	far = go_on("127.0.0.2", "127.0.0.1", MIDDLE);
	go_ms(5);
	mid.to[0] = near;
	mid.to[1] = far;
	nodes[0].opened = 0;
	for (int i = 0; i < 200 && mid.to[0] >= 0; i++) {
		if (!pass(0) || !pass(1))
			mid_end();
		go_ms(1);
	}
	cr_expect_eq(nodes[0].opened, 0);
	cr_expect(strstr(sync_peer_last_error(peer_of(0)), "somebody leads it elsewhere"), "%s",
		  sync_peer_last_error(peer_of(0)));
}

static bool lost_by_both(void)
{
	pump();
	return nodes[0].closed && nodes[1].closed;
}

/* Nothing passes any more, and nobody is told: each finds it out. */
Test(channel_middle, cut)
{
	cr_assert(until(connected, SECONDS));
	mid.blocked = true;
	cr_assert(until(lost_by_both, SECONDS));
	cr_expect(strstr(sync_peer_last_error(peer_of(0)), "nothing was heard from it for 3 s"));
	cr_expect(strstr(sync_peer_last_error(peer_of(1)), "nothing was heard from it for 3 s"));
	mid.blocked = false;
	mid_end();
	cr_assert(until(connected_again, SECONDS));
}

static bool both_closed(void)
{
	return nodes[0].closed && nodes[1].closed;
}

/* What the kernel of a peer says whose daemon was killed with something unread. */
Test(channel_middle, reset)
{
	static const struct linger at_once = { .l_onoff = 1 };

	cr_assert(until(connected, SECONDS));
	for (int i = 0; i < 2; i++)
		cr_assert_eq(setsockopt(mid.to[i], SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
	mid_end();
	cr_assert(until(both_closed, SECONDS));
	for (int i = 0; i < 2; i++)
		cr_expect_str_eq(sync_peer_last_error(peer_of(i)), "it has closed the connection");
}
