// SPDX-License-Identifier: GPL-2.0-only
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "selftests/unit/tempdir.h"
#include "user/sync/keys.h"

#define KEY "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define OLD "FFeeDDccBBaa99887766554433221100FFeeDDccBBaa99887766554433221100"

static void write_key(const char *path, const char *text, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	cr_assert_geq(fd, 0);
	cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	cr_assert_eq(fchmod(fd, mode), 0);
	close(fd);
}

static const char *read_key(const char *text, mode_t mode, struct sync_keys *keys)
{
	const char *why = NULL, *path;
	struct tempdir dir;
	int err;

	tempdir_make(&dir);
	path = tempdir_file(&dir, "sync.key");
	write_key(path, text, mode);
	err = sync_keys_read(path, keys, &why);
	tempdir_remove(&dir);
	cr_assert_eq(err, why ? -EINVAL : 0);
	return why;
}

static void expect_refused(const char *text, mode_t mode, const char *trouble)
{
	const struct sync_keys empty = { 0 };
	struct sync_keys keys;
	const char *why = read_key(text, mode, &keys);

	cr_assert_not_null(why, "%s", text);
	cr_expect_not_null(strstr(why, trouble), "%s", why);
	cr_expect_arr_eq(&keys, &empty, sizeof(keys), "nothing is left of it");
}

static void expect_hex(const uint8_t *bytes, size_t n, const char *text)
{
	char hex[65];

	for (size_t i = 0; i < n; i++)
		snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
	cr_expect_str_eq(hex, text);
}

/* Made with another implementation of RFC 5869. */
Test(sync_keys, derived)
{
	struct sync_keys keys;
	char id[SYNC_KEY_ID_DIGITS + 1];

	cr_assert_null(read_key(KEY "\n", 0600, &keys));
	cr_assert_eq(keys.n, 1);
	expect_hex(keys.key[0].psk, 32, "7e047eb39b4110a5276cc0b6e392896ff457bf19640dff01f8da06d3319444b8");
	expect_hex(keys.key[0].advert, 32, "4ffcd95ea23b145c0ef5c8eaf02567195a15fe56dc2b10e08791c703bea194d4");
	cr_expect_str_eq(sync_key_id_text(&keys.key[0], id), "027f8697a8ee6cff");
	sync_keys_clear(&keys);
	cr_expect_eq(keys.n, 0);
}

Test(sync_keys, two)
{
	struct sync_keys keys, other;

	cr_assert_null(read_key(KEY " \r\n" OLD "\n\n", 0400, &keys));
	cr_assert_eq(keys.n, 2);
	cr_assert_null(read_key(OLD, 0600, &other));
	cr_assert_eq(other.n, 1);
	cr_expect_arr_eq(&keys.key[1], &other.key[0], sizeof(other.key[0]));
	cr_expect_eq(sync_keys_find(&keys, other.key[0].id), &keys.key[1]);
	cr_expect_null(sync_keys_find(&other, keys.key[0].id));
}

Test(sync_keys, refused)
{
	const char *why;
	struct sync_keys keys;

	expect_refused(KEY, 0640, "chmod 600");
	expect_refused("", 0600, "its first line is no key");
	expect_refused("secret", 0600, "its first line is no key");
	expect_refused(KEY "0", 0600, "its first line is no key");
	expect_refused(KEY "\n\n" OLD, 0600, "its second line is no key");
	expect_refused("g" OLD, 0600, "its first line is no key");
	expect_refused(KEY "\n0x" OLD, 0600, "its second line is no key");
	expect_refused(KEY "\n" OLD "\n" OLD, 0600, "more than two lines");
	expect_refused(KEY "\n" OLD "\n" OLD "\n" OLD "\n" OLD "\n" OLD "\n" OLD "\n" OLD, 0600, "too long");
	cr_expect_eq(sync_keys_read("/nowhere/at/all", &keys, &why), -EINVAL);
	cr_expect_str_eq(why, "there is no such file");
}

/* ---- what is no more in the file ---- */

static struct sync_keys keys_of(const char *names)
{
	struct sync_keys keys = { 0 };

	for (; *names; names++)
		memset(keys.key[keys.n++].id, *names, sizeof(keys.key->id));
	return keys;
}

static bool is_wanted(void *arg, const struct sync_key *key)
{
	return strchr(arg, key->id[0]);
}

/* names: of peers' keys. Returns those of all keys, and those that are kept behind a colon. */
static const char *keep(struct sync_keys *keys, const char *file, long long now_ms, const char *names)
{
	struct sync_keys next = keys_of(file);
	static char text[16];
	unsigned int n = 0;

	sync_keys_keep(&next, keys, now_ms, is_wanted, (void *)names);
	*keys = next;
	for (unsigned int i = 0; i < next.n; i++) {
		if (i == next.n - next.n_kept)
			text[n++] = ':';
		text[n++] = (char)next.key[i].id[0];
	}
	text[n] = 0;
	return text;
}

#define EXPECT_KEPT(file, at_ms, peers, all) cr_expect_str_eq(keep(&keys, file, at_ms, peers), all)

Test(sync_keys, kept)
{
	struct sync_keys keys = { 0 };

	EXPECT_KEPT("a", 0, "", "a");
	EXPECT_KEPT("ba", 0, "a", "ba");
	EXPECT_KEPT("b", 0, "b", "b");
	EXPECT_KEPT("c", 0, "b", "c:b");
	EXPECT_KEPT("dc", 0, "b", "dc:b");
	EXPECT_KEPT("fe", 0, "bd", "fe:db");
	EXPECT_KEPT("hg", 0, "bdfe", "hg:fe");
	EXPECT_KEPT("fg", 0, "fe", "fg:e");
	EXPECT_KEPT("fg", 0, "f", "fg");
}

/* It is not put off by the file's being read again, but by its having been in it. */
Test(sync_keys, kept_until)
{
	struct sync_keys keys = { 0 };

	EXPECT_KEPT("a", 0, "a", "a");
	EXPECT_KEPT("b", 5, "a", "b:a");
	EXPECT_KEPT("b", SYNC_KEY_KEPT_MS, "a", "b:a");
	EXPECT_KEPT("cb", SYNC_KEY_KEPT_MS + 4, "a", "cb:a");
	cr_expect(sync_keys_hold(&keys, SYNC_KEY_KEPT_MS + 4, is_wanted, "a"));
	cr_expect_not(sync_keys_hold(&keys, SYNC_KEY_KEPT_MS + 4, is_wanted, "c"));
	cr_expect_not(sync_keys_hold(&keys, SYNC_KEY_KEPT_MS + 5, is_wanted, "a"));
	EXPECT_KEPT("ca", SYNC_KEY_KEPT_MS + 4, "a", "ca");
	cr_expect(sync_keys_hold(&keys, 9 * SYNC_KEY_KEPT_MS, is_wanted, ""), "those of the file always do");
	EXPECT_KEPT("c", 2 * SYNC_KEY_KEPT_MS, "a", "c:a");
	EXPECT_KEPT("c", 3 * SYNC_KEY_KEPT_MS - 1, "a", "c:a");
	EXPECT_KEPT("c", 3 * SYNC_KEY_KEPT_MS, "a", "c");
}

/* A file that can't be used any more leaves the keys that it had, not those that are kept. */
Test(sync_keys, of_file)
{
	struct sync_keys keys = keys_of("a"), its;

	EXPECT_KEPT("cb", 0, "a", "cb:a");
	sync_keys_of_file(&keys, &its);
	cr_expect_eq(its.n, 2);
	cr_expect_eq(its.n_kept, 0);
	cr_expect_arr_eq(its.key, keys.key, 2 * sizeof(*its.key));
	cr_expect_eq(its.key[2].id[0], 0);
}
