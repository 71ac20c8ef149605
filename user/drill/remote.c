// SPDX-License-Identifier: GPL-2.0-only
/*
 * The host that measures is reached by ssh, as the user has it set up. The probe is sent there by its standard input, and runs on without us:
 * the connection may be one of those that the fault cuts.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "user/drill/drill.h"
#include "user/lib/clock.h"

#define OUTPUT_MAX (4u << 20)
#define CONNECT_S "8"
#define QUICK_MS 20000
#define FETCH_MS 45000
#define FORGET_S 180 /* what nobody fetches removes itself */

/* Where programs may lie, and run: not everywhere. */
static const char install[] =
	"sh -c 'p=; for t in \"${TMPDIR:-/tmp}\" \"$HOME\" /var/tmp /dev/shm; do "
	"d=$(mktemp -d \"$t/fairlead-probe.XXXXXX\" 2>/dev/null) || continue; "
	"if [ -n \"$p\" ]; then cp \"$p/probe\" \"$d/probe\"; rm -rf \"$p\"; else cat >\"$d/probe\"; fi; "
	"chmod 700 \"$d/probe\"; if \"$d/probe\" --version >/dev/null 2>&1; then echo \"$d\"; exit 0; fi; p=$d; done; "
	"rm -rf \"$p\"; echo \"fairlead-probe does not run there: it is for the machine that it was built on, and there is $(uname -sm)\" "
	">&2; exit 1'";

struct output {
	char *text;
	size_t len;
};

/* ---- one ssh ---- */

static void child(const char *from, const char *command, int in, int out)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setpgid(0, 0);
	dup2(in, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	dup2(out, STDERR_FILENO);
	execlp("ssh", "ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=" CONNECT_S, "--", from, command, NULL);
	dprintf(STDERR_FILENO, "ssh: %s\n", strerror(errno));
	_exit(127);
}

/* More than there is room for is read and forgotten. False: that was all */
static bool take(int fd, struct output *o)
{
	char buf[16384];
	ssize_t n = read(fd, buf, sizeof(buf));
	size_t room = OUTPUT_MAX - o->len;

	if (n < 0)
		return errno == EINTR;
	room = (size_t)n < room ? (size_t)n : room;
	memcpy(o->text + o->len, buf, room);
	o->len += room;
	return n > 0;
}

static bool read_all(int fd, struct output *o, int timeout_ms)
{
	long long until = clock_ms(CLOCK_MONOTONIC) + timeout_ms, left;
	struct pollfd p = { .fd = fd, .events = POLLIN };

	while ((left = until - clock_ms(CLOCK_MONOTONIC)) > 0)
		if (poll(&p, 1, (int)left) > 0 && !take(fd, o))
			return true;
	return false;
}

/* What it printed, of both kinds, with a 0 at its end. The exit status, or -1 */
static int ssh(const char *from, const char *command, const char *stdin_path, int timeout_ms, struct output *o)
{
	int in = open(stdin_path, O_RDONLY | O_CLOEXEC), fds[2], status = -1;
	bool ended;
	pid_t pid;

	*o = (struct output){ .text = calloc(1, OUTPUT_MAX + 1) };
	if (!o->text || in < 0 || pipe2(fds, O_CLOEXEC)) {
		if (in >= 0)
			close(in);
		return -1;
	}
	pid = fork();
	if (!pid)
		child(from, command, in, fds[1]);
	close(in);
	close(fds[1]);
	ended = pid > 0 && read_all(fds[0], o, timeout_ms);
	close(fds[0]);
	if (pid > 0 && !ended)
		kill(-pid, SIGKILL);
	if (pid > 0 && waitpid(pid, &status, 0) == pid)
		status = ended && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	o->text[o->len] = '\0';
	return status;
}

/* ---- errors ---- */

static const char *last_line(struct output *o)
{
	char *line;

	while (o->len && (unsigned char)o->text[o->len - 1] <= ' ')
		o->text[--o->len] = '\0';
	line = strrchr(o->text, '\n');
	return line ? line + 1 : o->text;
}

/* ssh's own exit status is 255. */
static int fails(const struct drill_remote *r, int status, struct output *o, char **why)
{
	const char *line = o->text ? last_line(o) : "out of memory";
	int err;

	if (status == 255 || status == 127)
		err = asprintf(why, "%s can't be reached: %s; `ssh -o BatchMode=yes %s true` must work", r->from, line,
			       r->from);
	else if (status < 0)
		err = asprintf(why, "%s does not answer in time", r->from);
	else
		err = asprintf(why, "%s: %s", r->from, line);
	if (err < 0)
		*why = NULL;
	free(o->text);
	return -1;
}

static int done(struct output *o)
{
	free(o->text);
	return 0;
}

/* ---- the probe ---- */

int drill_remote_open(struct drill_remote *r, const char *from, const char *program, char **why)
{
	struct output o;
	int status;

	*r = (struct drill_remote){ .from = from };
	status = ssh(from, install, program, QUICK_MS, &o);
	if (status)
		return fails(r, status, &o, why);
	r->dir = strdup(last_line(&o));
	done(&o);
	return r->dir ? 0 : -1;
}

/* An object that the probe has printed, in the last line. */
static int take_result(struct drill_remote *r, struct output *o, json_t **result, char **why)
{
	*result = json_loads(last_line(o), 0, NULL);
	if (!json_is_array(json_object_get(*result, "series"))) {
		json_decref(*result);
		*result = NULL;
		return fails(r, 1, o, why);
	}
	return done(o);
}

static int run(struct drill_remote *r, const char *command, int timeout_ms, struct output *o, char **why)
{
	int status = command ? ssh(r->from, command, "/dev/null", timeout_ms, o) : -1;

	return status ? fails(r, status, o, why) : 0;
}

int drill_remote_measure(struct drill_remote *r, const char *arguments, json_t **result, char **why)
{
	char *command = NULL;
	struct output o = { 0 };
	int err = asprintf(&command, "sh -c '%s/probe %s'", r->dir, arguments);

	err = err < 0 ? -1 : run(r, command, QUICK_MS, &o, why);
	free(command);
	return err ? -1 : take_result(r, &o, result, why);
}

int drill_remote_start(struct drill_remote *r, const char *arguments, int seconds, char **why)
{
	char *command = NULL;
	struct output o = { 0 };
	int err = asprintf(&command, "sh -c '%s/probe --seconds %d --detach %s/result --until %s/end --forget %d %s'",
			   r->dir, seconds, r->dir, r->dir, FORGET_S, arguments);

	err = err < 0 ? -1 : run(r, command, QUICK_MS, &o, why);
	free(command);
	return err ? -1 : done(&o);
}

int drill_remote_fetch(struct drill_remote *r, json_t **result, char **why)
{
	char *command = NULL;
	struct output o = { 0 };
	int err = asprintf(&command,
			   "sh -c 'cd %s && touch end && i=0 && while [ ! -e result ] && [ $i -lt 300 ]; do sleep 0.1; "
			   "i=$((i+1)); done; cat result'",
			   r->dir);

	err = err < 0 ? -1 : run(r, command, FETCH_MS, &o, why);
	free(command);
	return err ? -1 : take_result(r, &o, result, why);
}

void drill_remote_close(struct drill_remote *r)
{
	char *command = NULL;
	struct output o = { 0 };

	if (r->dir && asprintf(&command, "rm -rf %s", r->dir) > 0)
		ssh(r->from, command, "/dev/null", QUICK_MS, &o);
	free(o.text);
	free(command);
	free(r->dir);
	r->dir = NULL;
}
