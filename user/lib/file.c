// SPDX-License-Identifier: GPL-2.0-only
#include "user/lib/file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "user/lib/log.h"

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

int file_read_regular(const char *path, char **text, size_t *len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), err;
	struct stat st;

	if (fd < 0)
		return -errno;
	err = fstat(fd, &st) ? -errno : S_ISREG(st.st_mode) ? read_all(fd, text, len) : -EINVAL;
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

/* Of a file whose group is now another one: to nobody's new right, both have what the old group and all others had. */
static mode_t without_group(mode_t mode)
{
	mode_t both = mode >> 3 & mode & 07;

	return (mode & 0700) | both << 3 | both;
}

/*
 * Owner and mode of the file that is there. Without CAP_CHOWN, which a supervisor may have taken, what belonged to another user
 * becomes ours, and never more readable. The owner last: then the mode is no longer ours to change.
 */
static int look_like(int fd, const char *path, const struct stat *st)
{
	mode_t mode = st->st_mode & 07777;
	bool ours = false;

	if (fchown(fd, -1, st->st_gid)) {
		if (errno != EPERM)
			return -errno;
		mode = without_group(mode);
		ours = true;
	}
	if (fchmod(fd, mode))
		return -errno;
	if (fchown(fd, st->st_uid, -1)) {
		if (errno != EPERM)
			return -errno;
		ours = true;
	}
	if (ours)
		log_warnx(
			"%s belonged to user %u and group %u; without the right to give files away (CAP_CHOWN) the new one is "
			"that of user %u, mode %04o",
			path, st->st_uid, st->st_gid, geteuid(), mode);
	return 0;
}

static int fill(int fd, const char *path, const char *text, size_t len, mode_t mode)
{
	struct stat st;
	int err;

	if (!stat(path, &st))
		err = look_like(fd, path, &st);
	else
		err = fchmod(fd, mode) ? -errno : 0;
	if (err)
		return err;
	return write_all(fd, text, len);
}

/* FILE's is .FILE.fairlead-new beside it. Malloc'ed, NULL without memory. */
static char *temp_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	int dir = slash ? slash + 1 - path : 0;
	char *temp;

	return asprintf(&temp, "%.*s.%s.fairlead-new", dir, path, path + dir) < 0 ? NULL : temp;
}

/* Always the same name: what a killed one left is replaced by the next. Nobody reads it before it has its owner and mode. */
static int open_temp(const char *temp)
{
	int fd;

	if (unlink(temp) && errno != ENOENT)
		return -errno;
	fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	return fd < 0 ? -errno : fd;
}

int file_prepare(struct file_change *change, const char *path, const char *text, size_t len, mode_t mode)
{
	char *temp;
	int fd, err;

	*change = (struct file_change){ .path = resolve(path) };
	if (!change->path)
		return -errno;
	temp = temp_of(change->path);
	fd = temp ? open_temp(temp) : -ENOMEM;
	if (fd < 0) {
		free(temp);
		file_discard(change);
		return fd;
	}
	change->temp = temp;
	change->fd = fd;
	err = fill(fd, change->path, text, len, mode);
	if (err)
		file_discard(change);
	else
		sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE); /* begins what file_commit() waits for */
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

static int put_in_place(struct file_change *change, bool now)
{
	int err = 0;

	if ((now && fsync(change->fd)) || rename(change->temp, change->path)) {
		err = -errno;
	} else {
		if (now)
			sync_parent(change->path);
		close(change->fd);
		free(change->temp);
		change->temp = NULL;
	}
	file_discard(change);
	return err;
}

int file_commit(struct file_change *change)
{
	return put_in_place(change, true);
}

void file_discard(struct file_change *change)
{
	if (change->temp) {
		unlink(change->temp);
		close(change->fd);
	}
	free(change->temp);
	free(change->path);
	*change = (struct file_change){ 0 };
}

void file_forget_half_written(const char *path)
{
	char *real = resolve(path), *temp = real ? temp_of(real) : NULL;

	if (temp)
		unlink(temp);
	free(temp);
	free(real);
}

int file_replace(const char *path, const char *text, size_t len, mode_t mode)
{
	struct file_change change;
	int err = file_prepare(&change, path, text, len, mode);

	return err ? err : file_commit(&change);
}

int file_replace_soon(const char *path, const char *text, size_t len, mode_t mode)
{
	struct file_change change;
	int err = file_prepare(&change, path, text, len, mode);

	return err ? err : put_in_place(&change, false);
}

int file_sync(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), err;

	if (fd < 0)
		return -errno;
	err = fsync(fd) ? -errno : 0;
	close(fd);
	sync_parent(path);
	return err;
}

char *file_why_unread(const char *path, int err)
{
	struct passwd *owner;
	struct stat st;
	char *text;
	int n;

	if (err == -EACCES && !stat(path, &st) && st.st_uid != geteuid()) {
		owner = getpwuid(st.st_uid);
		n = asprintf(
			&text,
			"%s: it belongs to %s (user %u), mode %04o, and others may not read it (CAP_DAC_OVERRIDE is "
			"not given); make it root's: chown root %s",
			strerror(-err), owner ? owner->pw_name : "nobody known", st.st_uid, st.st_mode & 07777, path);
	} else if (err == -EINVAL) {
		n = asprintf(&text, "it is no regular file");
	} else {
		n = asprintf(&text, "%s", strerror(-err));
	}
	return n < 0 ? NULL : text;
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
