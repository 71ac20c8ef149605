// SPDX-License-Identifier: GPL-2.0-only
#include "user/doctor/own.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "user/doctor/doctor.h"
#include "user/lib/clock.h"
#include "user/lib/program.h"
#include "user/lib/script.h"

/* ---- its start ---- */

/* *path: of argv[0]. */
static bool resolve(const char *program, char *path, size_t len)
{
	const char *dir = OWN_PATH;

	if (strchr(program, '/')) {
		snprintf(path, len, "%s", program);
		return true;
	}
	while (*dir) {
		size_t n = strcspn(dir, ":");

		snprintf(path, len, "%.*s/%s", (int)n, dir, program);
		if (!access(path, X_OK))
			return true;
		dir += n + (dir[n] == ':');
	}
	return false;
}

/* The errno; 0: *pid runs. What it says on standard error is for people, as it is. */
static int spawn(const char *path, const struct own_run *run, int out, pid_t *pid)
{
	const int files[] = { PROGRAM_EMPTY, out, PROGRAM_SHARED };
	const struct program program = {
		.path = path, .argv = run->argv, .env = run->env, .files = files, .n_files = 3, .session = true
	};

	return program_start(&program, pid);
}

/* ---- its output ---- */

/* Bytes that are there, of which what has no room is forgotten. False: that was all. */
static bool take(int fd, size_t max, char *text, size_t *len)
{
	char buf[4096];
	ssize_t n = read(fd, buf, sizeof(buf));
	size_t room = max - *len;

	if (n < 0)
		return errno == EINTR;
	if ((size_t)n < room)
		room = n;
	memcpy(text + *len, buf, room);
	*len += room;
	return n > 0;
}

/* Until it has ended; false: it has not, in time. What others hold open of its output is not waited for. */
static bool watch(int pidfd, int out, const struct own_run *run, char *text, size_t *len)
{
	long long until = clock_ms(CLOCK_MONOTONIC) + run->timeout_ms;
	struct pollfd p[] = { { .fd = pidfd, .events = POLLIN }, { .fd = out, .events = POLLIN } };

	for (;;) {
		long long left = until - clock_ms(CLOCK_MONOTONIC);

		if (left <= 0 || (poll(p, 2, left) < 0 && errno != EINTR))
			return false;
		if (p[1].revents) {
			if (!take(out, run->max, text, len))
				p[1].fd = -1;
			continue; /* what it wrote before it ended comes first */
		}
		if (p[0].revents)
			return true;
	}
}

static void trim(char *text, size_t len)
{
	while (len && (unsigned char)text[len - 1] <= ' ')
		len--;
	text[len] = '\0';
}

/* ---- all of it ---- */

static int status_of(const siginfo_t *info)
{
	return info->si_code == CLD_EXITED ? info->si_status : 128 + info->si_status;
}

static void attend(pid_t pid, int out, const struct own_run *run, struct own_result *result)
{
	int pidfd = pidfd_open(pid, 0);
	siginfo_t info = { 0 };
	size_t len = 0;

	if (pidfd < 0)
		result->why = "it can't be watched";
	else if (!watch(pidfd, out, run, result->text, &len))
		result->why = "it took too long, and was ended";
	trim(result->text, len);
	program_end(pid, 0, &info);
	result->status = status_of(&info);
	if (pidfd >= 0)
		close(pidfd);
	result->passed = !result->why && !result->status;
}

void own_run(const struct own_run *run, struct own_result *result)
{
	char path[4096];
	int fds[2];
	pid_t pid;

	*result = (struct own_result){ .text = calloc(1, run->max + 1) };
	if (!result->text) {
		result->why = "memory is short";
		return;
	}
	result->why = resolve(run->argv[0], path, sizeof(path)) ? script_trouble(path) : "there is no such program";
	if (result->why)
		return;
	if (pipe2(fds, O_CLOEXEC)) {
		result->why = "no pipe can be had";
		return;
	}
	if (spawn(path, run, fds[1], &pid))
		result->why = "it can't be started; what does its first line (#!) name?";
	close(fds[1]);
	if (!result->why)
		attend(pid, fds[0], run, result);
	close(fds[0]);
}

void own_result_free(struct own_result *result)
{
	free(result->text);
	result->text = NULL;
}

/* ---- those of the configuration ---- */

void own_run_check(const struct config_check *check, const char *when, const char *scenario, const char *instance,
		   const char *node, struct own_result *result)
{
	char **argv = calloc(check->n_command + 1, sizeof(*argv)), event[64], its[128], name[512], self[128], drill[64];
	char path[] = "PATH=" OWN_PATH, home[] = "HOME=/", locale[] = "LC_ALL=C.UTF-8";
	char *env[] = { path, home, locale, event, its, name, self, scenario ? drill : NULL, NULL };
	const struct own_run run = { .argv = argv, .env = env, .timeout_ms = OWN_TIMEOUT_MS, .max = OWN_FINDING_MAX };

	*result = (struct own_result){ .why = "memory is short" };
	if (!argv)
		return;
	memcpy(argv, check->command, check->n_command * sizeof(*argv));
	snprintf(event, sizeof(event), "FAIRLEAD_EVENT=%s", when);
	snprintf(its, sizeof(its), "FAIRLEAD_INSTANCE=%s", instance);
	snprintf(name, sizeof(name), "FAIRLEAD_CHECK=%s", check->name);
	snprintf(self, sizeof(self), "FAIRLEAD_NODE=%s", node);
	snprintf(drill, sizeof(drill), "FAIRLEAD_SCENARIO=%s", scenario ? scenario : "");
	own_run(&run, result);
	free(argv);
}

static void tell(struct doctor *d, const struct config_check *check, const struct own_result *result)
{
	const char *text = result->text ? result->text : "",
		   *remedy = doctor_text(d, "%s says what it looks at", check->command[0]);

	if (result->passed)
		doctor_ok(d, "%s", *text ? text : "passed");
	else if (result->why)
		doctor_fail(d, doctor_text(d, "make %s fit to be run, and quick", check->command[0]), "%s%s%s",
			    result->why, *text ? ": " : "", text);
	else
		doctor_fail(d, remedy, "%s (exit status %d)", *text ? text : "failed", result->status);
}

/* Each under its own name. */
void check_own(struct doctor *d)
{
	struct own_result result;
	unsigned int n = 0;

	for (size_t i = 0; d->config && i < d->config->n_checks; i++) {
		const struct config_check *check = &d->config->checks[i];

		if (!(check->when & CONFIG_CHECK_DOCTOR))
			continue;
		n++;
		d->check = check->name;
		own_run_check(check, "doctor", NULL, d->settings.instance, d->config->node, &result);
		tell(d, check, &result);
		own_result_free(&result);
	}
	if (!n)
		doctor_skip(d, "the configuration has no checks of its own for doctor");
}
