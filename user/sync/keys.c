// SPDX-License-Identifier: GPL-2.0-only
#include "user/sync/keys.h"

#include <ctype.h>
#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "user/lib/secret.h"

#define FILE_KEYS 2
#define FILE_MAX 512 /* two lines, and blanks behind them */

/* ---- deriving ---- */

static int derive(EVP_KDF_CTX *ctx, const uint8_t *secret, const char *info, uint8_t *out, size_t len)
{
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)"SHA256", 0),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)secret, SYNC_KEY_BYTES),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)info, strlen(info)),
		OSSL_PARAM_construct_end(),
	};

	EVP_KDF_CTX_reset(ctx);
	return EVP_KDF_derive(ctx, out, len, params) == 1 ? 0 : -EIO;
}

int sync_key_derive(const uint8_t secret[SYNC_KEY_BYTES], struct sync_key *key)
{
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX *ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
	int err = ctx ? 0 : -EIO;

	err = err ?: derive(ctx, secret, "fairlead tls", key->psk, sizeof(key->psk));
	err = err ?: derive(ctx, secret, "fairlead advert", key->advert, sizeof(key->advert));
	err = err ?: derive(ctx, secret, "fairlead id", key->id, sizeof(key->id));
	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
	return err;
}

/* ---- the file ---- */

static int digit(char c)
{
	return isdigit((unsigned char)c)    ? c - '0'
	       : isxdigit((unsigned char)c) ? tolower((unsigned char)c) - 'a' + 10
					    : -1;
}

static bool parse_line(const char *line, size_t len, uint8_t secret[SYNC_KEY_BYTES])
{
	if (len != SYNC_KEY_DIGITS)
		return false;
	for (size_t i = 0; i < SYNC_KEY_BYTES; i++) {
		int high = digit(line[2 * i]), low = digit(line[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		secret[i] = high << 4 | low;
	}
	return true;
}

static const char *take_line(struct sync_keys *keys, const char *line, size_t len)
{
	static const char *const wrong[] = {
		"its first line is no key of 64 hexadecimal digits, as `fairlead keygen` makes it",
		"its second line is no key of 64 hexadecimal digits: the key before the first line's, or nothing",
		"it has more than two lines: the key, and while it is changed the one before",
	};
	uint8_t secret[SYNC_KEY_BYTES];
	const char *why = NULL;

	if (keys->n >= FILE_KEYS || !parse_line(line, len, secret))
		why = wrong[keys->n];
	else if (sync_key_derive(secret, &keys->key[keys->n]))
		why = "OpenSSL can't derive keys (HKDF)";
	else
		keys->n++;
	explicit_bzero(secret, sizeof(secret));
	return why;
}

/* Blanks at the ends of lines, and empty lines at the end of the file, are what editors leave. */
static const char *take_lines(struct sync_keys *keys, const char *text, size_t len)
{
	const char *why = NULL;

	while (len && isspace((unsigned char)text[len - 1]))
		len--;
	for (const char *end = text + len, *line = text; !why && line <= end;) {
		const char *newline = memchr(line, '\n', end - line);
		size_t n = (newline ? newline : end) - line;

		while (n && isspace((unsigned char)line[n - 1]))
			n--;
		why = take_line(keys, line, n);
		line += (newline ? newline : end) - line + 1;
	}
	return why;
}

int sync_keys_read(const char *path, struct sync_keys *keys, const char **why)
{
	char text[FILE_MAX];
	ssize_t len = secret_read_all(path, text, sizeof(text), why);

	*keys = (struct sync_keys){ 0 };
	if (len >= 0)
		*why = take_lines(keys, text, len);
	explicit_bzero(text, sizeof(text));
	if (!*why)
		return 0;
	sync_keys_clear(keys);
	return -EINVAL;
}

void sync_keys_clear(struct sync_keys *keys)
{
	explicit_bzero(keys, sizeof(*keys));
}

/* ---- keys that are no more in the file ---- */

static unsigned int of_file(const struct sync_keys *keys)
{
	return keys->n - keys->n_kept;
}

void sync_keys_of_file(const struct sync_keys *keys, struct sync_keys *its)
{
	*its = (struct sync_keys){ .n = of_file(keys) };
	memcpy(its->key, keys->key, its->n * sizeof(*its->key));
}

void sync_keys_keep(struct sync_keys *keys, const struct sync_keys *before, long long now_ms,
		    bool (*needed)(void *arg, const struct sync_key *key), void *arg)
{
	for (unsigned int i = 0; i < before->n && keys->n < SYNC_KEYS_MAX; i++) {
		const struct sync_key *key = &before->key[i];
		long long until_ms = i < of_file(before) ? now_ms + SYNC_KEY_KEPT_MS : before->until_ms[i];

		if (sync_keys_find(keys, key->id) || now_ms >= until_ms || !needed(arg, key))
			continue;
		keys->until_ms[keys->n] = until_ms;
		keys->key[keys->n++] = *key;
		keys->n_kept++;
	}
}

bool sync_keys_hold(const struct sync_keys *keys, long long now_ms,
		    bool (*needed)(void *arg, const struct sync_key *key), void *arg)
{
	for (unsigned int i = of_file(keys); i < keys->n; i++)
		if (now_ms >= keys->until_ms[i] || !needed(arg, &keys->key[i]))
			return false;
	return true;
}

/* ---- ids ---- */

const char *sync_key_id_text(const struct sync_key *key, char text[SYNC_KEY_ID_DIGITS + 1])
{
	for (size_t i = 0; i < sizeof(key->id); i++)
		snprintf(text + 2 * i, 3, "%02x", key->id[i]);
	return text;
}

const struct sync_key *sync_keys_find(const struct sync_keys *keys, const uint8_t id[8])
{
	for (unsigned int i = 0; i < keys->n; i++)
		if (!memcmp(keys->key[i].id, id, sizeof(keys->key[i].id)))
			return &keys->key[i];
	return NULL;
}
