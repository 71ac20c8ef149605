/* SPDX-License-Identifier: GPL-2.0-only */
/* Reading and writing below /proc/sys/net, which shows the namespace of the thread that looks. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "user/system/system.h"

/*
 * The key's first separator says what it is written with, as in sysctl(8): with dots, a slash stands for a dot (device
 * "eth0.10": net.ipv6.conf.eth0/10.mtu); with slashes, a dot is a dot. Only below net/, and no way out of it.
 */
static int sysctl_path(const char *key, char *path, size_t len)
{
	const char *separator = strpbrk(key, "./");
	char *at;
	int n;

	if (!separator || separator - key != 3 || strncmp(key, "net", 3))
		return -EINVAL;
	n = snprintf(path, len, "/proc/sys/%s", key);
	if (n < 0 || (size_t)n >= len)
		return -ENAMETOOLONG;
	if (*separator == '.')
		for (at = path + strlen("/proc/sys/"); *at; at++)
			*at = *at == '.' ? '/' : *at == '/' ? '.' : *at;
	return strstr(path, "/../") ? -EINVAL : 0;
}

int sysctl_get(const char *key, char *buf, size_t len)
{
	char path[PATH_MAX];
	ssize_t n;
	int fd, err;

	err = sysctl_path(key, path, sizeof(path));
	if (err)
		return err;
	if (!len)
		return -ENOSPC;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, buf, len);
	err = n < 0 ? -errno : 0;
	close(fd);
	if (err)
		return err;
	if (n > 0 && buf[n - 1] == '\n')
		n--;
	if ((size_t)n == len)
		return -ENOSPC;
	buf[n] = '\0';
	return 0;
}

int sysctl_set(const char *key, const char *value)
{
	char path[PATH_MAX];
	char now[256];
	size_t len = strlen(value);
	int fd, err;

	/* nothing to do needs no right to write: /proc/sys is read-only in many containers */
	if (!sysctl_get(key, now, sizeof(now)) && !strcmp(now, value))
		return 0;
	err = sysctl_path(key, path, sizeof(path));
	if (err)
		return err;
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, value, len) != (ssize_t)len)
		err = -errno;
	close(fd);
	return err;
}
