// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "user/fault/fault.h"
#include "user/lib/instance.h"

#define ANSWER_S 5

void fault_error(struct fault *f, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	json_array_append_new(f->errors, json_vsprintf(fmt, ap));
	va_end(ap);
}

static int dial(const char *path)
{
	const struct timeval wait = { .tv_sec = ANSWER_S };
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), err;

	if (fd < 0)
		return -errno;
	strncpy(sun.sun_path, path, sizeof(sun.sun_path) - 1);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
	if (!connect(fd, (struct sockaddr *)&sun, sizeof(sun)))
		return fd;
	err = -errno;
	close(fd);
	return err;
}

/* The answer's first bytes have its status. */
static int read_status(int fd)
{
	static const char begins[] = "{\"status\":";
	char text[256];
	ssize_t n = recv(fd, text, sizeof(text) - 1, 0);

	if (n <= 0)
		return n ? -errno : -ECONNRESET;
	text[n] = '\0';
	return strncmp(text, begins, sizeof(begins) - 1) ? -EPROTO : atoi(text + sizeof(begins) - 1);
}

int fault_ask(const struct fault *f, json_t *request)
{
	char *path = instance_socket(f->instance), *text = json_dumps(request, JSON_COMPACT);
	int fd = path && text ? dial(path) : -ENOMEM, status = fd;

	if (fd >= 0) {
		status = send(fd, text, strlen(text), MSG_NOSIGNAL) < 0 || send(fd, "\n", 1, MSG_NOSIGNAL) < 0
				 ? -errno
				 : read_status(fd);
		close(fd);
	}
	json_decref(request);
	free(text);
	free(path);
	return status;
}
