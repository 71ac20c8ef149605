// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "user/daemon/daemon.h"
#include "user/lib/file.h"
#include "user/lib/instance.h"
#include "user/lib/log.h"

#define LOCK_TRIES 20

static int taken(int fd, const char *instance)
{
	char pid[16] = "";
	ssize_t n = pread(fd, pid, sizeof(pid) - 1, 0);

	pid[n > 0 ? strcspn(pid, "\n") : 0] = '\0';
	log_warnx("instance \"%s\" has a daemon already, pid %s; stop that one, or name another by --instance",
		  instance, *pid ? pid : "unknown");
	return -EEXIST;
}

/* A daemon that was killed holds its lock until the kernel has cleared it away. */
static int lock(int fd)
{
	const struct timespec pause = { .tv_nsec = 50000000 };

	for (int i = 0; flock(fd, LOCK_EX | LOCK_NB); i++) {
		if (errno != EWOULDBLOCK || i == LOCK_TRIES)
			return -errno;
		nanosleep(&pause, NULL);
	}
	return 0;
}

/* What the file says, of a daemon that runs no more. */
static pid_t signed_by(int fd)
{
	char text[16] = "";

	return pread(fd, text, sizeof(text) - 1, 0) > 0 ? atoi(text) : 0;
}

static int lock_and_sign(int fd, const char *path, const char *instance, pid_t *killed)
{
	int err = lock(fd);

	if (err)
		return err == -EWOULDBLOCK ? taken(fd, instance) : log_ret(err, "%s", path);
	*killed = signed_by(fd);
	if (ftruncate(fd, 0) || dprintf(fd, "%d\n", getpid()) < 0)
		return log_ret(errno, "%s", path);
	return 0;
}

/*
 * For root alone: whoever may read a file may lock it, and so keep the daemon from starting. One that was made with another
 * mode gets ours; something else of that name (a link, a pipe) is refused. The file descriptor, or -errno and told.
 */
static int open_lock(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	struct stat st;
	int err;

	if (fd < 0)
		return log_ret(errno, "%s", path);
	if (!fstat(fd, &st) && S_ISREG(st.st_mode) && !fchmod(fd, 0600))
		return fd;
	err = S_ISREG(st.st_mode) ? errno : EINVAL;
	close(fd);
	return log_ret(err, "%s: not a file of ours to lock; remove it", path);
}

/* The lock is the kernel's and ends with the process, however that ends; the file itself stays. */
int lock_instance(const char *instance, pid_t *killed)
{
	char *path = instance_lock_file(instance);
	int fd, err;

	if (!path)
		return log_ret(ENOMEM, "lock");
	err = file_make_dirs(INSTANCE_RUN_DIR, 0755);
	if (err) {
		log_ret(err, INSTANCE_RUN_DIR);
		goto out;
	}
	fd = open_lock(path);
	if (fd < 0) {
		err = fd;
		goto out;
	}
	err = lock_and_sign(fd, path, instance, killed);
	if (err)
		close(fd);
out:
	free(path);
	return err ? err : fd;
}

void lock_ending(int fd)
{
	if (ftruncate(fd, 0))
		log_warn("lock");
}
