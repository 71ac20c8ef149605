// SPDX-License-Identifier: GPL-2.0-only
#include "user/lib/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Who could read it would have it. */
static const char *stat_trouble(const struct stat *st)
{
	if (!S_ISREG(st->st_mode))
		return "it is no regular file";
	if (st->st_mode & 077)
		return "others than its owner may use it: chmod 600";
	if (st->st_uid && st->st_uid != geteuid())
		return "it belongs to another user: chown root";
	return NULL;
}

static const char *open_trouble(int err)
{
	return err == ENOENT ? "there is no such file"
			     : "it can't be opened; is each directory above it readable, and is it root's?";
}

/* Bytes of the first line; what is behind it is cleared. */
static size_t first_line(char *text, size_t len)
{
	const char *end = memchr(text, '\n', len);
	size_t n = end ? (size_t)(end - text) : len;

	if (n && text[n - 1] == '\r')
		n--;
	explicit_bzero(text + n, len - n);
	text[n] = '\0';
	return n;
}

/* Bytes, or -1 and *why; a buffer that is full leaves open whether that was all. */
static ssize_t read_text(const char *path, char *text, size_t size, const char **why)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;
	ssize_t len = -1;

	if (fd < 0) {
		*why = open_trouble(errno);
		return -1;
	}
	*why = fstat(fd, &st) ? "it can't be looked at" : stat_trouble(&st);
	if (!*why) {
		len = read(fd, text, size - 1);
		if (len < 0)
			*why = "it can't be read";
		else
			text[len] = '\0';
	}
	close(fd);
	return len;
}

char *secret_read(const char *path, char *line, size_t size, const char **why)
{
	ssize_t len = read_text(path, line, size, why);
	bool whole;

	if (len >= 0) {
		whole = len < (ssize_t)size - 1 || memchr(line, '\n', len);
		if (!first_line(line, len))
			*why = "its first line is empty";
		else if (whole)
			return line;
		else
			*why = "its first line is too long";
	}
	explicit_bzero(line, size);
	return NULL;
}

ssize_t secret_read_all(const char *path, char *text, size_t size, const char **why)
{
	ssize_t len = read_text(path, text, size, why);

	if (len >= 0 && len < (ssize_t)size - 1)
		return len;
	if (len >= 0)
		*why = "it is too long";
	explicit_bzero(text, size);
	return -1;
}

const char *secret_trouble(const char *path)
{
	struct stat st;

	if (stat(path, &st))
		return open_trouble(errno);
	return stat_trouble(&st);
}
