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
