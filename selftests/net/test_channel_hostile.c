// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is no peer, or a peer that is broken, at the other end of a pair's stream. Node 1 (127.0.0.2) is a node; whoever comes has the address
 * of its peer (127.0.0.1), but for strangers.
 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "selftests/net/test_channel.h"
#include "selftests/net/test_system.h"
#include "user/lib/clock.h"

#define SECONDS 20 /* for what takes three or less: others may have the CPUs */

TestSuite(channel_hostile, .init = set_up_channel, .fini = tear_down_channel, .timeout = 120);

/* ---- who comes ---- */

static int raw = -1, listener = -1;
static SSL *ssl;
static struct sync_key key;

static int bound(const char *from)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	const int on = 1;
	const struct sockaddr_in local = { .sin_family = AF_INET, .sin_addr = addr(from).v4 };

	cr_assert_geq(fd, 0);
	cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
	cr_assert_eq(bind(fd, (const struct sockaddr *)&local, sizeof(local)), 0);
	return fd;
}

static int go_to(const char *from, const char *to, uint16_t port)
{
	const struct sockaddr_in far = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = addr(to).v4 };
	int fd = bound(from);

	cr_assert(!connect(fd, (const struct sockaddr *)&far, sizeof(far)) || errno == EINPROGRESS);
	return fd;
}

static int listen_at(const char *at, uint16_t port)
{
	const struct sockaddr_in local = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = addr(at).v4 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	const int on = 1;

	cr_assert_geq(fd, 0);
	cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
	cr_assert_eq(bind(fd, (const struct sockaddr *)&local, sizeof(local)), 0);
	cr_assert_eq(listen(fd, 8), 0);
	return fd;
}

static void node_alone(void)
{
	node_prepare(1, 0, 1);
	node_open(1);
	key_of(&key, 1);
}

static bool error_has(int i, const char *what)
{
	return strstr(sync_peer_last_error(peer_of(i)), what);
}

static bool raw_is_closed(void)
{
	char byte;

	return recv(raw, &byte, 1, MSG_PEEK) == 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
}

/* ---- before TLS ---- */

/* A stranger is shown the door at once, without a word. */
Test(channel_hostile, stranger)
{
	char byte;

	node_alone();
	raw = go_to("127.0.0.9", "127.0.0.2", PORT);
	go_ms(20);
	cr_expect_eq(send(raw, "hello", 5, MSG_NOSIGNAL), 5);
	cr_assert(until(raw_is_closed, SECONDS));
	cr_expect_leq(recv(raw, &byte, 1, 0), 0);
	cr_expect(error_has(1, "not heard yet"));
}

static bool says_nothing(void)
{
	return error_has(1, "sent no whole TLS handshake");
}

static bool no_tls(void)
{
	return error_has(1, "does not speak TLS");
}

static bool http(void)
{
	return error_has(1, "HTTP");
}

Test(channel_hostile, silent)
{
	node_alone();
	raw = go_to("127.0.0.1", "127.0.0.2", PORT);
	cr_expect(until(says_nothing, SECONDS), "%s", sync_peer_last_error(peer_of(1)));
	cr_expect(raw_is_closed());
}

Test(channel_hostile, garbage)
{
	static const char request[] = "GET / HTTP/1.1\r\n\r\n";

	node_alone();
	raw = go_to("127.0.0.1", "127.0.0.2", PORT);
	go_ms(20);
	cr_expect_eq(send(raw, "\x80\x99garbage and more of it", 24, MSG_NOSIGNAL), 24);
	cr_expect(until(no_tls, SECONDS), "%s", sync_peer_last_error(peer_of(1)));
	raw = go_to("127.0.0.1", "127.0.0.2", PORT);
	go_ms(20);
	cr_expect_eq(send(raw, request, sizeof(request), MSG_NOSIGNAL), sizeof(request));
	cr_expect(until(http, SECONDS), "%s", sync_peer_last_error(peer_of(1)));
}

static int fds[100];

static int still_open(void)
{
	int n = 0;

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		raw = fds[i];
		n += !raw_is_closed();
	}
	return n;
}

static bool few_are_open(void)
{
	return still_open() <= 16;
}

/* They sit there, and the peer comes all the same. */
Test(channel_hostile, hundred)
{
	node_alone();
	for (int i = 0; i < 100; i++) {
		fds[i] = go_to("127.0.0.1", "127.0.0.2", PORT);
		if (i % 8 == 0)
			go_ms(1);
	}
	cr_expect(until(few_are_open, SECONDS));
	cr_expect_eq(still_open(), 16, "as soon as others come, not when their time is over");
	node_prepare(0, 1, 1);
	node_open(0);
	cr_expect(until(both_connected, SECONDS), "%s", sync_peer_last_error(peer_of(1)));
	for (int i = 0; i < 100; i++)
		close(fds[i]);
}

/* ---- TLS that is none of ours ---- */

static int use_key(SSL *s, const EVP_MD *md, const unsigned char **id, size_t *len, SSL_SESSION **session)
{
	static char text[SYNC_KEY_ID_DIGITS + 1];

	(void)md;
	*id = (const unsigned char *)sync_key_id_text(&key, text);
	*len = SYNC_KEY_ID_DIGITS;
	*session = SSL_SESSION_new();
	return SSL_SESSION_set1_master_key(*session, key.psk, sizeof(key.psk)) &&
	       SSL_SESSION_set_cipher(*session, SSL_CIPHER_find(s, (const unsigned char *)"\x13\x01")) &&
	       SSL_SESSION_set_protocol_version(*session, TLS1_3_VERSION);
}

static SSL_CTX *context(int max_version, bool with_key)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_method());

	cr_assert_not_null(ctx);
	SSL_CTX_set_max_proto_version(ctx, max_version);
	if (with_key)
		SSL_CTX_set_psk_use_session_callback(ctx, use_key);
	return ctx;
}

static bool shaken(void)
{
	int n = SSL_do_handshake(ssl), error = SSL_get_error(ssl, n);

	return n == 1 || (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE);
}

/* The handshake has ended, in whatever way. */
static void shake_hands(int max_version, bool with_key)
{
	ssl = SSL_new(context(max_version, with_key));
	raw = go_to("127.0.0.1", "127.0.0.2", PORT);
	SSL_set_fd(ssl, raw);
	SSL_set_connect_state(ssl);
	go_ms(5);
	cr_assert(until(shaken, SECONDS));
}

static bool no_tls13(void)
{
	return error_has(1, "TLS 1.3");
}

static bool offers_nothing(void)
{
	return error_has(1, "has offered no key");
}

Test(channel_hostile, older_tls)
{
	node_alone();
	shake_hands(TLS1_2_VERSION, false);
	cr_expect(!SSL_is_init_finished(ssl));
	cr_expect(until(no_tls13, SECONDS), "%s", sync_peer_last_error(peer_of(1)));
}

Test(channel_hostile, no_key)
{
	node_alone();
	shake_hands(TLS1_3_VERSION, false);
	cr_expect(until(offers_nothing, SECONDS), "%s", sync_peer_last_error(peer_of(1)));
}

static bool both_have_another_key(void)
{
	return error_has(0, "another key") && error_has(1, "another key");
}

Test(channel_hostile, wrong_key)
{
	node_prepare(0, 1, 1);
	node_prepare(1, 0, 2);
	node_open(0);
	node_open(1);
	cr_expect(until(both_have_another_key, SECONDS));
	cr_expect_eq(nodes[0].opened + nodes[1].opened, 0);
	/* the second line of one is the first of the other */
	nodes[0].keys.n = 2;
	key_of(&nodes[0].keys.key[1], 2);
	cr_assert_eq(channel_configure(nodes[0].channel, &nodes[0].settings), 0);
	cr_expect(until(both_connected, SECONDS));
}

/* Its id is known to who has listened; the key is not. */
Test(channel_hostile, id_alone)
{
	struct sync_key other;

	node_alone();
	key_of(&other, 2);
	memcpy(key.psk, other.psk, sizeof(key.psk));
	shake_hands(TLS1_3_VERSION, true);
	go_ms(50);
	cr_expect_eq(nodes[1].opened, 0);
	cr_expect(error_has(1, "altered"), "%s", sync_peer_last_error(peer_of(1)));
}

/* ---- a server with a certificate is no peer ---- */

static void add_certificate(SSL_CTX *ctx)
{
	EVP_PKEY *pkey = EVP_EC_gen("P-256");
	X509 *x509 = X509_new();

	X509_gmtime_adj(X509_getm_notBefore(x509), 0);
	X509_gmtime_adj(X509_getm_notAfter(x509), 3600);
	X509_set_pubkey(x509, pkey);
	cr_assert(X509_sign(x509, pkey, EVP_sha256()));
	cr_assert(SSL_CTX_use_certificate(ctx, x509) && SSL_CTX_use_PrivateKey(ctx, pkey));
}

static bool has_come(void)
{
	raw = raw < 0 ? accept4(listener, NULL, NULL, SOCK_NONBLOCK) : raw;
	return raw >= 0;
}

static bool has_certificate(void)
{
	SSL_do_handshake(ssl);
	return error_has(0, "it has a certificate, not the key");
}

Test(channel_hostile, certificate)
{
	SSL_CTX *ctx = context(TLS1_3_VERSION, false);

	add_certificate(ctx);
	listener = listen_at("127.0.0.2", PORT);
	node_prepare(0, 1, 1);
	node_open(0);
	cr_assert(until(has_come, SECONDS));
	ssl = SSL_new(ctx);
	SSL_set_fd(ssl, raw);
	SSL_set_accept_state(ssl);
	cr_expect(until(has_certificate, SECONDS), "%s", sync_peer_last_error(peer_of(0)));
	cr_expect_eq(nodes[0].opened, 0);
}

/* ---- a peer with the key, that does not behave ---- */

static void send_frame(uint32_t len, uint16_t type, const void *data, size_t n)
{
	uint8_t frame[4096] = { len >> 24, len >> 16, len >> 8, len, type >> 8, type };

	cr_assert_leq(n, sizeof(frame) - 8);
	memcpy(frame + 8, data, n);
	cr_assert_eq(SSL_write(ssl, frame, (int)(8 + n)), (int)(8 + n));
}

static void send_text(uint16_t type, const char *text)
{
	send_frame(strlen(text), type, text, strlen(text));
}

static const char *hello(int min, int max, const char *local, const char *more)
{
	static char text[512];

	snprintf(text, sizeof(text),
		 "{\"protocol\":[%d,%d],\"node\":\"old\",\"number\":1,\"epoch\":1,\"role\":\"none\",\"local\":\"%s\","
		 "\"peer\":\"127.0.0.2\"%s}",
		 min, max, local, more);
	return text;
}

/* What has come so far; frames one behind another. */
static uint8_t got[65536];
static size_t n_got;

static const char *frame_of(uint16_t type)
{
	static char text[4096];
	int n;

	while (n_got < sizeof(got) && (n = SSL_read(ssl, got + n_got, (int)(sizeof(got) - n_got))) > 0)
		n_got += n;
	for (size_t at = 0; at + 8 <= n_got;) {
		uint32_t len = (uint32_t)got[at] << 24 | got[at + 1] << 16 | got[at + 2] << 8 | got[at + 3];

		if (len < sizeof(text) && at + 8 + len <= n_got && (got[at + 4] << 8 | got[at + 5]) == type) {
			memcpy(text, got + at + 8, len);
			text[len] = '\0';
			return text;
		}
		at += 8 + len;
	}
	return NULL;
}

static bool hello_has_come(void)
{
	return frame_of(SYNC_HELLO);
}

static bool bye_has_come(void)
{
	return frame_of(SYNC_BYE);
}

static bool node_has_opened(void)
{
	return nodes[1].opened;
}

static bool node_has_closed(void)
{
	return nodes[1].closed;
}

static void come_with_key(void)
{
	node_alone();
	shake_hands(TLS1_3_VERSION, true);
	cr_assert(SSL_is_init_finished(ssl));
	cr_assert(until(hello_has_come, SECONDS));
}

static void expect_bye(const char *code, const char *words)
{
	cr_assert(until(bye_has_come, SECONDS));
	cr_expect_not_null(strstr(frame_of(SYNC_BYE), code), "%s", frame_of(SYNC_BYE));
	cr_expect(error_has(1, words), "%s", sync_peer_last_error(peer_of(1)));
}

Test(channel_hostile, before_hello)
{
	come_with_key();
	send_text(PART_FIRST, "states");
	expect_bye("protocol", "came before HELLO");
	cr_expect_eq(nodes[1].messages, 0);
}

Test(channel_hostile, no_json)
{
	come_with_key();
	send_text(SYNC_HELLO, "{\"protocol\":");
	expect_bye("protocol", "is no JSON");
}

Test(channel_hostile, hello_without_a_node)
{
	come_with_key();
	send_text(SYNC_HELLO, "{\"protocol\":[1,2]}");
	expect_bye("protocol", "node");
}

Test(channel_hostile, four_gigabytes)
{
	come_with_key();
	send_frame(0xffffffff, SYNC_HELLO, "", 0);
	expect_bye("protocol", "4294967295 bytes");
}

Test(channel_hostile, four_gigabytes_later)
{
	come_with_key();
	send_text(SYNC_HELLO, hello(1, 2, "127.0.0.1", ""));
	cr_assert(until(node_has_opened, SECONDS));
	send_frame(SYNC_FRAME_MAX + 1, PART_FIRST, "", 0);
	expect_bye("protocol", "16777217 bytes");
	cr_expect_eq(nodes[1].closed, 1);
}

/* ---- what ends up on somebody's terminal ---- */

/* Of `show sync`; NULL: there is no such text */
static const char *shown(const char *column)
{
	static char text[300];
	json_t *rows = channel_show(nodes[1].channel);
	const char *its = json_string_value(json_object_get(json_array_get(rows, 0), column));

	snprintf(text, sizeof(text), "%s", its ? its : "");
	json_decref(rows);
	return text;
}

static bool device_is_shown(void)
{
	return !strcmp(shown("peer_device"), "a?b?c");
}

Test(channel_hostile, control_characters)
{
	come_with_key();
	send_text(
		SYNC_HELLO,
		"{\"protocol\":[1,2],\"node\":\"o\\nld\",\"number\":1,\"epoch\":1,\"role\":\"\\u001b[2Jnone\","
		"\"local\":\"127.0.0.1\",\"peer\":\"127.0.0.2\",\"software\":\"1\\u009b2\",\"link\":{\"device\":\"e\\u007fh\"}}");
	cr_assert(until(node_has_opened, SECONDS));
	cr_expect_str_eq(sync_peer_name(peer_of(1)), "o?ld");
	cr_expect_str_eq(shown("role"), "?[2Jnone");
	cr_expect_str_eq(shown("software"), "1?2");
	cr_expect_str_eq(shown("peer_device"), "e?h");
	send_text(SYNC_LINK, "{\"device\":\"one that is far too long\",\"mtu\":1500}");
	send_text(SYNC_LINK, "{\"device\":7}");
	send_text(SYNC_LINK, "\"device\"");
	send_text(SYNC_LINK, "{\"device\":\"a\\r\\nb\\tc\"}");
	send_text(SYNC_LINK, "{\"device\":\"a\\nb\\tc\"}");
	cr_expect(until(device_is_shown, SECONDS), "%s", shown("peer_device"));
	send_text(SYNC_BYE, "{\"code\":\"stopping\",\"text\":\"\\u001b]0;\\u0007 ends\"}");
	cr_assert(until(node_has_closed, SECONDS));
	cr_expect(error_has(1, "it says: ?]0;? ends"), "%s", sync_peer_last_error(peer_of(1)));
}

static void expect_refused_hello(const char *more)
{
	come_with_key();
	send_text(SYNC_HELLO, hello(1, 2, "127.0.0.1", more));
	expect_bye("protocol", "can't be understood");
	cr_expect_eq(nodes[1].opened, 0);
}

Test(channel_hostile, long_device)
{
	expect_refused_hello(",\"link\":{\"device\":\"sixteen letters.\"}");
}

Test(channel_hostile, device_of_no_text)
{
	expect_refused_hello(",\"link\":{\"device\":[]}");
}

Test(channel_hostile, long_software)
{
	char more[300];

	snprintf(more, sizeof(more), ",\"software\":\"%0256d\"", 1);
	expect_refused_hello(more);
}

/* What belongs to the channel itself is short, always. */
Test(channel_hostile, long_keys)
{
	come_with_key();
	send_text(SYNC_HELLO, hello(1, 2, "127.0.0.1", ""));
	cr_assert(until(node_has_opened, SECONDS));
	send_frame(65537, SYNC_KEYS, "", 0);
	expect_bye("protocol", "a frame of 65537 bytes came");
}

/* It speaks to another node than this one, as it says: somebody has led it here. */
Test(channel_hostile, led_elsewhere)
{
	come_with_key();
	send_text(SYNC_HELLO, hello(1, 2, "127.0.0.7", ""));
	expect_bye("address", "somebody leads it elsewhere");
}

Test(channel_hostile, part_refuses)
{
	come_with_key();
	send_text(SYNC_HELLO, hello(1, 2, "127.0.0.1", ""));
	cr_assert(until(node_has_opened, SECONDS));
	nodes[1].answer = -EPROTO;
	send_text(PART_FIRST, "what?");
	expect_bye("protocol", "a frame of type 16 with 5 bytes");
}

/* ---- versions ---- */

/* Version 1, from before there was anything to add: a frame of a type that it may have then is the part's business. */
Test(channel_hostile, version_1)
{
	come_with_key();
	send_text(SYNC_HELLO, hello(1, 1, "127.0.0.1", ""));
	cr_assert(until(node_has_opened, SECONDS));
	cr_expect_eq(sync_peer_protocol(peer_of(1)), 1);
	send_text(PART_FIRST, "short");
	while (!nodes[1].messages)
		go_ms(1);
	cr_expect_eq(nodes[1].last_len, 5);
}

/* What is newer says more, and sends what this one does not know. */
Test(channel_hostile, version_7)
{
	come_with_key();
	send_text(SYNC_HELLO, hello(2, 7, "127.0.0.1", ",\"telepathy\":{\"version\":3},\"keys\":7"));
	cr_assert(until(node_has_opened, SECONDS));
	cr_expect_eq(sync_peer_protocol(peer_of(1)), SYNC_PROTOCOL_MAX);
	send_text(9, "a control frame");
	send_text(4711, "a part's");
	send_text(PART_LAST, "known");
	while (!nodes[1].messages)
		go_ms(1);
	cr_expect_eq(nodes[1].messages, 1);
	cr_expect_eq(nodes[1].closed, 0);
}

Test(channel_hostile, version_too_new)
{
	come_with_key();
	send_text(SYNC_HELLO, hello(7, 9, "127.0.0.1", ""));
	expect_bye("version", "fw1 speaks versions 1 to 3 of the sync protocol, old 7 to 9: update fairlead on fw1");
}

Test(channel_hostile, version_too_old)
{
	come_with_key();
	send_text(SYNC_HELLO, hello(0, 0, "127.0.0.1", ""));
	expect_bye("version", "update fairlead on old");
}

/* ---- slow ones ---- */

/* It speaks, so that it is heard, and reads nothing. */
static bool is_told_and_lost(void)
{
	static long long last_ms;

	if (clock_ms(CLOCK_MONOTONIC) - last_ms > 500 && !nodes[1].closed) {
		last_ms = clock_ms(CLOCK_MONOTONIC);
		send_text(PART_FIRST, "here I am");
	}
	return nodes[1].closed;
}

Test(channel_hostile, reads_nothing)
{
	static uint8_t block[65536];
	long long begin_ms;

	come_with_key();
	send_text(SYNC_HELLO, hello(1, 2, "127.0.0.1", ""));
	cr_assert(until(node_has_opened, SECONDS));
	while (sync_waiting(peer_of(1)) < 8 << 20)
		cr_assert_eq(sync_send(peer_of(1), PART_FIRST, block, sizeof(block)), 0);
	begin_ms = clock_ms(CLOCK_MONOTONIC);
	cr_expect(until(is_told_and_lost, SECONDS));
	cr_expect(error_has(1, "has read nothing for 3 s, and "), "%s", sync_peer_last_error(peer_of(1)));
	cr_expect_geq(clock_ms(CLOCK_MONOTONIC) - begin_ms, SYNC_DEAD_MS - 500);
	cr_expect_eq(sync_waiting(peer_of(1)), 0);
}

/* A part that never stops: memory has an end. */
Test(channel_hostile, no_end)
{
	uint8_t *block = calloc(1, SYNC_FRAME_MAX);
	int n = 0, err = 0;

	come_with_key();
	send_text(SYNC_HELLO, hello(1, 2, "127.0.0.1", ""));
	cr_assert(until(node_has_opened, SECONDS));
	while (n < 10 && !err) {
		err = sync_send(peer_of(1), PART_FIRST, block, SYNC_FRAME_MAX);
		n++;
	}
	free(block);
	cr_expect_eq(err, -ENOBUFS);
	cr_expect_leq(n, 4);
	cr_expect_eq(nodes[1].closed, 0, "not while it sends");
	cr_expect_eq(sync_send(peer_of(1), PART_FIRST, "", 0), -ENOTCONN);
	cr_assert(until(node_has_closed, SECONDS));
	cr_expect(error_has(1, "more than 64 MB wait"), "%s", sync_peer_last_error(peer_of(1)));
}
