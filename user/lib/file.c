// SPDX-License-Identifier: GPL-2.0-only
#include "user/lib/file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int read_all(int fd, char **text, size_t *len)
{
	size_t size = 65536, used = 0;
	char *buf = malloc(size);
	ssize_t n;

	while (buf) {
		n = read(fd, buf + used, size - used - 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		used += n;
		if (used > FILE_TEXT_MAX) {
			free(buf);
			return -EFBIG;
		}
		if (used + 1 == size) {
			char *more = realloc(buf, size *= 2);

			if (!more)
				free(buf);
			buf = more;
		}
	}
	if (!buf)
		return -ENOMEM;
	if (n < 0) {
		n = -errno;
		free(buf);
		return n;
	}
	buf[used] = '\0';
	*text = buf;
	*len = used;
	return 0;
}

int file_read(const char *path, char **text, size_t *len)
{
	int fd, err;

	if (!strcmp(path, "-"))
		return read_all(STDIN_FILENO, text, len);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = read_all(fd, text, len);
	close(fd);
	return err;
}

static int write_all(int fd, const char *text, size_t len)
{
	while (len) {
		ssize_t n = write(fd, text, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		text += n;
		len -= n;
	}
	return 0;
}

/* The file's own name where it is a link, so that the link stays one; a file that is not there yet is itself. */
static char *resolve(const char *path)
{
	char *real = realpath(path, NULL);

	return real || errno != ENOENT ? real : strdup(path);
}

static int fill(int fd, const char *path, const char *text, size_t len, mode_t mode)
{
	struct stat st;
	bool there = !stat(path, &st);
	int err;

	/* the mode first: what belongs to another is no longer ours to change */
	if (fchmod(fd, there ? st.st_mode & 07777 : mode))
		return -errno;
	if (there && fchown(fd, st.st_uid, st.st_gid))
		return -errno;
	err = write_all(fd, text, len);
	if (err)
		return err;
	return fsync(fd) ? -errno : 0;
}

int file_prepare(struct file_change *change, const char *path, const char *text, size_t len, mode_t mode)
{
	char *temp;
	int fd, err;

	*change = (struct file_change){ .path = resolve(path) };
	if (!change->path)
		return -errno;
	if (asprintf(&temp, "%s.XXXXXX", change->path) < 0) {
		file_discard(change);
		return -ENOMEM;
	}
	fd = mkostemp(temp, O_CLOEXEC);
	if (fd < 0) {
		err = -errno;
		free(temp);
		file_discard(change);
		return err;
	}
	change->temp = temp;
	err = fill(fd, change->path, text, len, mode);
	if (close(fd) && !err)
		err = -errno;
	if (err)
		file_discard(change);
	return err;
}

/* The new name survives a power cut only when the directory is on disk too. */
static void sync_parent(const char *path)
{
	char buf[PATH_MAX];
	int fd;

	snprintf(buf, sizeof(buf), "%s", path);
	fd = open(dirname(buf), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return;
	fsync(fd);
	close(fd);
}

int file_commit(struct file_change *change)
{
	int err = 0;

	if (rename(change->temp, change->path)) {
		err = -errno;
	} else {
		sync_parent(change->path);
		free(change->temp);
		change->temp = NULL;
	}
	file_discard(change);
	return err;
}

void file_discard(struct file_change *change)
{
	if (change->temp)
		unlink(change->temp);
	free(change->temp);
	free(change->path);
	*change = (struct file_change){ 0 };
}

int file_replace(const char *path, const char *text, size_t len, mode_t mode)
{
	struct file_change change;
	int err = file_prepare(&change, path, text, len, mode);

	return err ? err : file_commit(&change);
}

int file_make_dirs(const char *path, mode_t mode)
{
	char buf[PATH_MAX];

	if (strlen(path) >= sizeof(buf))
		return -ENAMETOOLONG;
	strcpy(buf, path);
	for (char *p = buf + 1; (p = strchr(p, '/')); p++) {
		*p = '\0';
		if (mkdir(buf, 0755) && errno != EEXIST)
			return -errno;
		*p = '/';
	}
	return mkdir(buf, mode) && errno != EEXIST ? -errno : 0;
}
