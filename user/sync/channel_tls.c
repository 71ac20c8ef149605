// SPDX-License-Identifier: GPL-2.0-only
/* TLS 1.3 with a key that both have and a Diffie-Hellman exchange; no certificates, no tickets, no early data. */
#include <errno.h>
#include <openssl/err.h>
#include <string.h>

#include "user/lib/log.h"
#include "user/sync/channel_internal.h"

static const unsigned char aes_128_gcm_sha256[] = { 0x13, 0x01 };

static struct conn *conn_of(SSL *ssl)
{
	return SSL_get_app_data(ssl);
}

/* What OpenSSL takes for a session that was before: the key. */
static SSL_SESSION *session_of(SSL *ssl, const struct sync_key *key)
{
	const SSL_CIPHER *cipher = SSL_CIPHER_find(ssl, aes_128_gcm_sha256);
	SSL_SESSION *session = SSL_SESSION_new();

	if (session && cipher && SSL_SESSION_set1_master_key(session, key->psk, sizeof(key->psk)) &&
	    SSL_SESSION_set_cipher(session, cipher) && SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION))
		return session;
	SSL_SESSION_free(session);
	return NULL;
}

/* The client offers one key. md: it must be that hash's (after a HelloRetryRequest) */
static int use_key(SSL *ssl, const EVP_MD *md, const unsigned char **id, size_t *len, SSL_SESSION **session)
{
	struct conn *conn = conn_of(ssl);
	const struct sync_keys *keys = &conn->channel->keys;
	const struct sync_key *key;

	*session = NULL;
	if (!keys->n || (md && !EVP_MD_is_a(md, "SHA256")))
		return 0;
	key = &keys->key[conn->peer->offered % keys->n];
	*id = (const unsigned char *)sync_key_id_text(key, conn->id);
	*len = SYNC_KEY_ID_DIGITS;
	*session = session_of(ssl, key);
	return *session != NULL;
}

/* The server takes either of its own. Without one the handshake fails, since there is no certificate. */
static int find_key(SSL *ssl, const unsigned char *id, size_t len, SSL_SESSION **session)
{
	struct conn *conn = conn_of(ssl);
	const struct sync_keys *keys = &conn->channel->keys;
	char text[SYNC_KEY_ID_DIGITS + 1];

	*session = NULL;
	for (unsigned int i = 0; i < keys->n && !*session; i++) {
		sync_key_id_text(&keys->key[i], text);
		if (len != SYNC_KEY_ID_DIGITS || memcmp(text, id, len))
			continue;
		strcpy(conn->id, text);
		*session = session_of(ssl, &keys->key[i]);
		if (!*session)
			return 0;
	}
	conn->unknown_key = !*session;
	return 1;
}

SSL_CTX *tls_context(void)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_method());

	if (!ctx || !SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) ||
	    !SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256") ||
	    !SSL_CTX_set1_groups_list(ctx, "X25519:P-256") || !SSL_CTX_set_num_tickets(ctx, 0)) {
		SSL_CTX_free(ctx);
		log_warnx("OpenSSL can't do TLS 1.3 with TLS_AES_128_GCM_SHA256");
		return NULL;
	}
	SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_psk_use_session_callback(ctx, use_key);
	SSL_CTX_set_psk_find_session_callback(ctx, find_key);
	return ctx;
}

SSL *tls_new(SSL_CTX *context, struct conn *conn)
{
	SSL *ssl = SSL_new(context);

	if (!ssl)
		return NULL;
	SSL_set_app_data(ssl, conn);
	if (!conn->accepted) /* a server that comes with a certificate, without the key, is none of ours */
		SSL_set_verify(ssl, SSL_VERIFY_PEER, NULL);
	return ssl;
}

bool tls_uses_key(const struct conn *conn)
{
	SSL *ssl = bufferevent_openssl_get_ssl(conn->bev);

	return SSL_session_reused(ssl) == 1 && SSL_version(ssl) == TLS1_3_VERSION;
}

/* ---- errors ---- */

static const struct {
	int reason;
	const char *text;
} reasons[] = {
	{ SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC, "what came was altered on its way" },
	{ SSL_R_SSLV3_ALERT_BAD_RECORD_MAC, "what was sent to it was altered on its way" },
	{ SSL_R_BINDER_DOES_NOT_VERIFY, "what came was altered on its way, or it knows the key's id alone" },
	{ SSL_R_DIGEST_CHECK_FAILED, "what came was altered on its way" },
	{ SSL_R_TLSV1_ALERT_DECRYPT_ERROR, "what was sent to it was altered on its way" },
	{ SSL_R_TLSV1_ALERT_DECODE_ERROR, "what was sent to it was altered on its way" },
	{ SSL_R_SSLV3_ALERT_ILLEGAL_PARAMETER, "what was sent to it was altered on its way" },
	{ SSL_R_SSLV3_ALERT_UNEXPECTED_MESSAGE, "what was sent to it was altered on its way" },
	{ SSL_R_UNSUPPORTED_PROTOCOL, "it does not speak TLS 1.3" },
	{ SSL_R_TLSV1_ALERT_PROTOCOL_VERSION, "it does not speak TLS 1.3" },
	{ SSL_R_WRONG_VERSION_NUMBER, "it does not speak TLS" },
	{ SSL_R_WRONG_SSL_VERSION, "it does not speak TLS" },
	{ SSL_R_HTTP_REQUEST, "it speaks HTTP, not TLS" },
	{ SSL_R_HTTPS_PROXY_REQUEST, "it speaks HTTP, not TLS" },
	{ SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM, "it has offered no key" },
	{ SSL_R_NO_SHARED_CIPHER, "it does not know TLS_AES_128_GCM_SHA256" },
	{ SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE, "it has another key than this node" },
	{ SSL_R_CERTIFICATE_VERIFY_FAILED, "it has a certificate, not the key" },
};

static const char *reason_text(int reason)
{
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reason == reasons[i].reason)
			return reasons[i].text;
	return NULL;
}

/*
 * The last of TLS's own: those before it are of what it is made of. 0: none, or of the socket: libevent has SSL_get_error()'s word for that among
 * them, which is of no library.
 */
static unsigned long last_error(struct bufferevent *bev)
{
	unsigned long error = 0, next;

	while ((next = bufferevent_get_openssl_error(bev)))
		if (next != SSL_ERROR_SYSCALL && (!error || ERR_GET_LIB(error) != ERR_LIB_SSL))
			error = next;
	return error;
}

/* Where the peer is no fairlead that knows this node, or has no key that can be read: it ends what is not to be. */
static const char *closed_text(const struct conn *conn, char text[ERROR_MAX])
{
	char local[ADDR_STRLEN];

	if (conn->state == CONN_TLS && !conn->accepted)
		snprintf(text, ERROR_MAX, "it closes connections before TLS begins: is %s in its ha.peers?",
			 addr_format(&conn->channel->local, local));
	else
		snprintf(text, ERROR_MAX, "it has closed the connection");
	return text;
}

const char *tls_error(struct conn *conn, char text[ERROR_MAX])
{
	int err = EVUTIL_SOCKET_ERROR();
	unsigned long error = last_error(conn->bev);
	const char *known;
	int reason;

	if (ERR_SYSTEM_ERROR(error)) { /* OpenSSL has no words for these */
		err = ERR_GET_REASON(error);
		error = 0;
	}
	reason = error ? ERR_GET_REASON(error) : 0;
	known = reason_text(reason);
	if (conn->unknown_key) {
		snprintf(text, ERROR_MAX, "it has another key than this node");
		return text;
	}
	conn->unknown_key = reason == SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE && !conn->accepted;
	if (reason == SSL_R_UNEXPECTED_EOF_WHILE_READING || (!error && (!err || err == ECONNRESET)))
		return closed_text(conn, text);
	if (!known)
		known = error ? ERR_reason_error_string(error) : strerror(err);
	snprintf(text, ERROR_MAX, "%s", known ? known : "an error of TLS");
	return text;
}
