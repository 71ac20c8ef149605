// SPDX-License-Identifier: GPL-2.0-only
/*
 * The daemon's end by SIGKILL, and its start as it was: the same program, arguments, environment and directory, in this process's own
 * namespaces, which are the daemon's.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "user/fault/fault.h"
#include "user/lib/instance.h"

#define TEXT_MAX (256 * 1024)
#define START_TRIES 3
#define GONE_MS 2000
#define START_MS 60000

static char exe[4096], cwd[4096];
static char **arguments, **environment;

/* ---- how it was started ---- */

/* Strings one behind the other, each with its 0. */
static char **split(char *text, size_t len)
{
	size_t n = 0;
	char **all;

	for (size_t i = 0; i < len; i++)
		n += !text[i];
	all = calloc(n + 1, sizeof(*all));
	n = 0;
	for (size_t at = 0; all && at < len; at += strlen(text + at) + 1)
		all[n++] = text + at;
	return all;
}

static char **read_strings(pid_t pid, const char *name)
{
	char path[64], *text = malloc(TEXT_MAX + 1);
	size_t len = 0;
	ssize_t n = 1;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	while (text && fd >= 0 && n > 0 && len < TEXT_MAX) {
		n = read(fd, text + len, TEXT_MAX - len);
		len += n > 0 ? n : 0;
	}
	if (fd >= 0)
		close(fd);
	if (!text || fd < 0 || n < 0) {
		free(text);
		return NULL;
	}
	text[len] = '\0';
	return split(text, len);
}

static int read_link(pid_t pid, const char *name, char *to, size_t size)
{
	char path[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	n = readlink(path, to, size - 1);
	if (n < 0)
		return -errno;
	to[n] = '\0';
	return 0;
}

static int remember(struct fault *f)
{
	static const char deleted[] = " (deleted)"; /* replaced by an upgrade: the new one is there under that name */
	size_t len;

	arguments = read_strings(f->daemon, "cmdline");
	environment = read_strings(f->daemon, "environ");
	if (!arguments || !arguments[0] || !environment || read_link(f->daemon, "exe", exe, sizeof(exe)) ||
	    read_link(f->daemon, "cwd", cwd, sizeof(cwd))) {
		fault_error(f, "process %d can't be looked at: %s", f->daemon, strerror(errno));
		return -ESRCH;
	}
	len = strlen(exe);
	if (len > sizeof(deleted) && !strcmp(exe + len - sizeof(deleted) + 1, deleted))
		exe[len - sizeof(deleted) + 1] = '\0';
	return 0;
}

/* ---- its end ---- */

static void pause_ms(long ms)
{
	const struct timespec ts = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&ts, NULL);
}

int process_stop(struct fault *f)
{
	int err = remember(f);

	if (err)
		return err;
	if (!kill(f->daemon, SIGSTOP))
		return 0;
	fault_error(f, "process %d can't be stopped: %s", f->daemon, strerror(errno));
	return -errno;
}

int process_kill(struct fault *f)
{
	if (kill(f->daemon, SIGKILL)) {
		fault_error(f, "process %d can't be killed: %s", f->daemon, strerror(errno));
		return -errno;
	}
	return 0;
}

int process_begin(struct fault *f)
{
	return remember(f) ?: process_kill(f);
}

/* ---- its start ---- */

/* Somebody holds the instance's lock: a daemon is there, by whoever watches over it. */
static bool is_there(const struct fault *f)
{
	char *path = instance_lock_file(f->instance);
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	bool held = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK;

	if (fd >= 0)
		close(fd);
	free(path);
	return held;
}

static bool answers(const struct fault *f)
{
	return fault_ask(f, json_pack("{s:s,s:s}", "command", "show", "what", "history")) >= 0;
}

static void start(void)
{
	sigset_t none;

	if (fork())
		return;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	if (!chdir(cwd))
		execve(exe, arguments, environment);
	_exit(127);
}

/* With -f it stays this process's child, else its child's child is it. */
static bool has_failed(void)
{
	int status;

	return waitpid(-1, &status, WNOHANG) > 0 && status;
}

static bool start_once(const struct fault *f)
{
	for (int ms = 0; is_there(f) && !answers(f) && ms < GONE_MS; ms += 20)
		pause_ms(20);
	if (!is_there(f))
		start();
	for (int ms = 0; ms < START_MS; ms += 20) {
		if (answers(f))
			return true;
		if (has_failed())
			return false;
		pause_ms(20);
	}
	return false;
}

/* Under a supervisor that waits for this process to end there is nothing to do. */
void process_undo(struct fault *f)
{
	if (f->supervised)
		return;
	for (int i = 0; i < START_TRIES; i++)
		if (start_once(f))
			return;
	fault_error(f, "the daemon does not start again: `%s` ends at once; see its log", exe);
}
