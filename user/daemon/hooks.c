// SPDX-License-Identifier: GPL-2.0-only
#include "user/daemon/hooks.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/queue.h>
#include <sys/wait.h>
#include <unistd.h>

#include "user/daemon/hooks_queue.h"
#include "user/lib/clock.h"
#include "user/lib/log.h"
#include "user/lib/program.h"
#include "user/lib/script.h"

#define READ_MAX 16384	   /* bytes of output at a time; then the loop does other things for … */
#define READ_PAUSE_US 5000 /* … so long */
#define CLOSE_MS 1000
#define KILLED_MS 100 /* until one that got SIGKILL has ended, unless a disk or the like holds it */

#define TEXT(number) #number
#define TEXT_OF(macro) TEXT(macro)

struct script {
	LIST_ENTRY(script) entry;
	struct hooks *hooks;
	char *path;
	bool configured; /* else it goes when its run has ended */
	struct hook_queue waiting;
	const char *trouble; /* why it is not run, as told; NULL: nothing */
	/* its run; pid 0: none */
	pid_t pid;
	int pidfd, out; /* out -1: closed */
	struct event *ended, *readable, *pause, *timeout;
	const char *why; /* it was told to end; NULL: it was not */
	char line[HOOK_LINE_MAX];
	size_t len;	    /* bytes of a line whose end is not read yet */
	bool cut;	    /* and that was logged already, for it is too long */
	unsigned int lines; /* logged */
	unsigned long more; /* not logged */
};

struct hooks {
	struct event_base *base;
	struct journal *journal;
	const char *event, *instance;
	char *node;
	LIST_HEAD(, script) scripts;
};

static void run_next(struct script *s);

/* ---- what may be run ---- */

static void tell_dropped(struct script *s, const char *why)
{
	if (s->waiting.dropped)
		journal_write(s->hooks->journal, JOURNAL_WARNING, JOURNAL_HOOK, s->path, "events dropped",
			      json_pack("{s:s,s:I}", "hook", s->hooks->event, "events", (json_int_t)s->waiting.dropped),
			      "%llu of them: %s", s->waiting.dropped, why);
	s->waiting.dropped = 0;
}

/* Told once as long as it lasts. */
static bool may_run(struct script *s)
{
	const char *trouble = script_trouble(s->path);

	if (trouble && trouble != s->trouble)
		journal_write(s->hooks->journal, JOURNAL_WARNING, JOURNAL_HOOK, s->path, "not run",
			      json_pack("{s:s}", "hook", s->hooks->event), "%s", trouble);
	s->trouble = trouble;
	return !trouble;
}

/* ---- its output ---- */

static void log_line(struct script *s)
{
	const char *name = strrchr(s->path, '/');

	for (size_t i = 0; i < s->len; i++)
		if ((unsigned char)s->line[i] < ' ' || s->line[i] == 0x7f)
			s->line[i] = s->line[i] == '\t' ? ' ' : '?';
	if (s->lines < HOOK_LINES)
		log_info("hook %s[%d]: %.*s", name ? name + 1 : s->path, s->pid, (int)s->len, s->line);
	if (s->lines < HOOK_LINES)
		s->lines++;
	else
		s->more++;
	s->len = 0;
}

/* Of a line that is too long the beginning is logged. */
static void take_output(struct script *s, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '\n') {
			if (!s->cut)
				log_line(s);
			s->cut = false;
		} else if (!s->cut) {
			s->line[s->len++] = text[i];
			s->cut = s->len == sizeof(s->line);
			if (s->cut)
				log_line(s);
		}
	}
}

static void close_output(struct script *s)
{
	if (s->readable)
		event_free(s->readable);
	s->readable = NULL;
	if (s->out >= 0)
		close(s->out);
	s->out = -1;
	if (s->len)
		log_line(s);
	if (s->more)
		log_warnx("hook %s[%d]: %lu more lines of output", s->path, s->pid, s->more);
	s->more = 0;
}

/* False: that was all for now. */
static bool read_output(struct script *s)
{
	char buf[READ_MAX];
	ssize_t n = s->out < 0 ? -1 : read(s->out, buf, sizeof(buf));

	if (n > 0)
		take_output(s, buf, n);
	return n > 0 || (n < 0 && s->out >= 0 && (errno == EAGAIN || errno == EINTR));
}

/* One that never stops writing must not take all of the loop's time: it is read so fast at most. */
static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	const struct timeval pause = { .tv_usec = READ_PAUSE_US };
	struct script *s = arg;

	(void)fd, (void)what;
	if (!read_output(s))
		close_output(s);
	else if (!evtimer_add(s->pause, &pause))
		event_del(s->readable);
}

static void on_pause(evutil_socket_t fd, short what, void *arg)
{
	struct script *s = arg;

	(void)fd, (void)what;
	if (s->readable)
		event_add(s->readable, NULL);
}

/* ---- its end ---- */

static void script_free(struct script *s)
{
	struct event **all[] = { &s->ended, &s->readable, &s->pause, &s->timeout };

	hook_queue_clear(&s->waiting);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (*all[i])
			event_free(*all[i]);
	LIST_REMOVE(s, entry);
	free(s->path);
	free(s);
}

static void tell_end(struct script *s, const siginfo_t *info)
{
	json_t *details = json_pack("{s:s,s:i}", "hook", s->hooks->event, "pid", (int)s->pid);
	struct journal *journal = s->hooks->journal;

	if (s->why)
		journal_write(journal, JOURNAL_WARNING, JOURNAL_HOOK, s->path, "ended", details, "%s", s->why);
	else if (info->si_code == CLD_EXITED && info->si_status)
		journal_write(journal, JOURNAL_WARNING, JOURNAL_HOOK, s->path, "failed", details, "exit status %d",
			      info->si_status);
	else if (info->si_code != CLD_EXITED)
		journal_write(journal, JOURNAL_WARNING, JOURNAL_HOOK, s->path, "failed", details, "signal %d (%s)",
			      info->si_status, strsignal(info->si_status));
	else
		json_decref(details);
}

static void reap(struct script *s)
{
	siginfo_t info = { 0 };

	program_end(s->pid, WNOHANG, &info);
	tell_end(s, &info);
	close(s->pidfd);
	event_free(s->ended);
	s->ended = NULL;
	evtimer_del(s->pause);
	evtimer_del(s->timeout);
	s->pid = 0;
}

static void on_ended(evutil_socket_t fd, short what, void *arg)
{
	struct script *s = arg;
	unsigned int n = 0;

	(void)fd, (void)what;
	while (n++ * READ_MAX < 65536 && read_output(s)) /* what is left in the pipe */
		if (poll(&(struct pollfd){ .fd = s->out, .events = POLLIN }, 1, 0) <= 0)
			break;
	close_output(s);
	reap(s);
	if (s->configured)
		run_next(s);
	else
		script_free(s);
}

static void on_timeout(evutil_socket_t fd, short what, void *arg)
{
	const struct timeval grace = { .tv_sec = HOOK_GRACE_S };
	struct script *s = arg;

	(void)fd, (void)what;
	program_signal(s->pid, s->why ? SIGKILL : SIGTERM);
	if (!s->why)
		evtimer_add(s->timeout, &grace);
	s->why = "it took longer than " TEXT_OF(HOOK_TIMEOUT_S) " s";
}

/* ---- its start ---- */

/* The errno; 0: *pid runs. */
static int spawn(const char *path, char *const *env, int out, pid_t *pid)
{
	char *const argv[] = { (char *)path, NULL };
	const int files[] = { PROGRAM_EMPTY, out, out };
	const struct program program = {
		.path = path, .argv = argv, .env = env, .files = files, .n_files = 3, .session = true
	};

	return program_start(&program, pid);
}

/* Runs, but could not be watched: it is not left alone. */
static int give_up(struct script *s, int err)
{
	program_end(s->pid, 0, NULL);
	if (s->pidfd >= 0)
		close(s->pidfd);
	if (s->ended)
		event_free(s->ended);
	s->ended = NULL;
	s->pid = 0;
	close_output(s);
	return err;
}

static int watch(struct script *s)
{
	const struct timeval timeout = { .tv_sec = HOOK_TIMEOUT_S };

	s->pidfd = pidfd_open(s->pid, 0);
	if (s->pidfd < 0)
		return give_up(s, errno);
	s->ended = event_new(s->hooks->base, s->pidfd, EV_READ, on_ended, s);
	s->readable = event_new(s->hooks->base, s->out, EV_READ | EV_PERSIST, on_readable, s);
	if (!s->ended || !s->readable || event_add(s->ended, NULL) || event_add(s->readable, NULL) ||
	    evtimer_add(s->timeout, &timeout))
		return give_up(s, ENOMEM);
	return 0;
}

static int start(struct script *s, const struct hook_run *run)
{
	int fds[2], err;

	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK))
		return errno;
	fcntl(fds[1], F_SETFL, 0); /* a script does not expect that its writes fail */
	err = spawn(s->path, run->env, fds[1], &s->pid);
	close(fds[1]);
	if (err) {
		s->pid = 0;
		close(fds[0]);
		return err;
	}
	s->out = fds[0];
	s->why = NULL;
	s->cut = false;
	s->lines = 0;
	return watch(s);
}

static void try_run(struct script *s, const struct hook_run *run)
{
	int err = may_run(s) ? start(s, run) : 0;

	if (err)
		journal_write(s->hooks->journal, JOURNAL_WARNING, JOURNAL_HOOK, s->path, "not run",
			      json_pack("{s:s}", "hook", s->hooks->event), "%s%s", strerror(err),
			      err == ENOENT || err == ENOEXEC ? "; what does its first line (#!) name?" : "");
}

static void run_next(struct script *s)
{
	struct hook_run *run;

	tell_dropped(s, "more waited than it can be run for in time");
	while (!s->pid && (run = hook_queue_first(&s->waiting))) {
		try_run(s, run);
		hook_run_free(run);
	}
}

void hooks_run(struct hooks *hooks, const struct hook_variable *variables, size_t n)
{
	const struct hook_about about = { hooks->event, hooks->instance, hooks->node ? hooks->node : "" };
	struct script *s;

	LIST_FOREACH(s, &hooks->scripts, entry)
	{
		if (!s->configured)
			continue;
		hook_queue_add(&s->waiting, &about, variables, n);
		if (!s->pid)
			run_next(s);
	}
}

/* ---- which scripts ---- */

static struct script *find(const struct hooks *hooks, const char *path)
{
	struct script *s;

	LIST_FOREACH(s, &hooks->scripts, entry)
	{
		if (!strcmp(s->path, path))
			return s;
	}
	return NULL;
}

static struct script *add(struct hooks *hooks, const char *path)
{
	struct script *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->hooks = hooks;
	s->out = -1;
	s->pidfd = -1;
	hook_queue_init(&s->waiting);
	LIST_INSERT_HEAD(&hooks->scripts, s, entry);
	s->path = strdup(path);
	s->pause = evtimer_new(hooks->base, on_pause, s);
	s->timeout = evtimer_new(hooks->base, on_timeout, s);
	if (s->path && s->pause && s->timeout)
		return s;
	script_free(s);
	return NULL;
}

static void remove_unconfigured(struct hooks *hooks)
{
	struct script *s = LIST_FIRST(&hooks->scripts), *next;

	for (; s; s = next) {
		next = LIST_NEXT(s, entry);
		if (!s->configured && !s->pid)
			script_free(s);
	}
}

void hooks_configure(struct hooks *hooks, const char *node, char *const *paths, size_t n)
{
	struct script *s;

	free(hooks->node);
	hooks->node = strdup(node);
	LIST_FOREACH(s, &hooks->scripts, entry)
	{
		s->configured = false;
	}
	for (size_t i = 0; i < n; i++) {
		s = find(hooks, paths[i]);
		s = s ? s : add(hooks, paths[i]);
		if (!s) {
			log_warnx("out of memory: %s is not run", paths[i]);
			continue;
		}
		s->configured = true;
	}
	remove_unconfigured(hooks);
}

/* ---- open and close ---- */

struct hooks *hooks_open(struct event_base *base, struct journal *journal, const char *event, const char *instance)
{
	struct hooks *hooks = calloc(1, sizeof(*hooks));

	if (!hooks)
		return NULL;
	hooks->base = base;
	hooks->journal = journal;
	hooks->event = event;
	hooks->instance = instance;
	LIST_INIT(&hooks->scripts);
	return hooks;
}

/* Its output is read meanwhile, or it would wait for that. */
static bool ends_before(struct script *s, long long until)
{
	for (;;) {
		struct pollfd p[] = { { .fd = s->pidfd, .events = POLLIN }, { .fd = s->out, .events = POLLIN } };
		long long left = until - clock_ms(CLOCK_MONOTONIC);

		if (poll(p, 2, left > 0 ? (int)left : 0) <= 0 || left <= 0)
			return false;
		if (p[0].revents)
			return true;
		if (p[1].revents && !read_output(s))
			close_output(s);
	}
}

void hooks_finish(struct hooks *hooks, unsigned int ms)
{
	long long until = clock_ms(CLOCK_MONOTONIC) + ms;
	struct script *s = LIST_FIRST(&hooks->scripts), *next;

	for (; s; s = next) {
		next = LIST_NEXT(s, entry);
		while (s->pid && s->configured && ends_before(s, until))
			on_ended(s->pidfd, EV_READ, s);
	}
}

/* They had their time: what has not ended then, is. */
static void end_run(struct script *s, long long until)
{
	struct pollfd p = { .fd = s->pidfd, .events = POLLIN };
	long long left = until - clock_ms(CLOCK_MONOTONIC);

	if (poll(&p, 1, left > 0 ? left : 0) <= 0) {
		program_signal(s->pid, SIGKILL);
		poll(&p, 1, KILLED_MS);
	}
	close_output(s);
	reap(s);
}

void hooks_close(struct hooks *hooks)
{
	long long until = clock_ms(CLOCK_MONOTONIC) + CLOSE_MS;
	struct script *s;

	if (!hooks)
		return;
	LIST_FOREACH(s, &hooks->scripts, entry)
	{
		s->why = "the daemon ends";
		if (s->pid)
			program_signal(s->pid, SIGTERM);
	}
	while ((s = LIST_FIRST(&hooks->scripts))) {
		s->waiting.dropped += s->waiting.n;
		tell_dropped(s, "the daemon ends");
		if (s->pid)
			end_run(s, until);
		script_free(s);
	}
	free(hooks->node);
	free(hooks);
}
