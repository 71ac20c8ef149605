// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "user/fault/fault.h"
#include "user/lib/clock.h"
#include "user/lib/file.h"
#include "user/lib/instance.h"

#define DELAY_MS 300 /* the order that has led to this is answered first */
#define ASK_TRIES 60 /* of a daemon that is starting, a second apart */

/* ---- by order of the daemon's own ---- */

static int order(struct fault *f, const char *what, json_t *request)
{
	int status = fault_ask(f, request);

	if (status)
		fault_error(f, "%s: %s", what, status < 0 ? strerror(-status) : "the daemon refuses");
	return status > 0 ? -EINVAL : status;
}

/* It may be starting just now. */
static void order_until(struct fault *f, const char *what, json_t *request)
{
	int status = -EAGAIN;

	for (int i = 0; i < ASK_TRIES && status < 0; i++) {
		if (i)
			sleep(1);
		status = fault_ask(f, json_incref(request));
	}
	json_decref(request);
	if (status)
		fault_error(f, "%s: %s", what, status < 0 ? strerror(-status) : "the daemon refuses");
}

static json_t *maintenance(bool on)
{
	return json_pack("{s:s,s:s,s:s}", "command", "vip", "verb", "maintenance", "name", on ? "on" : "off");
}

static int maintenance_begin(struct fault *f)
{
	return order(f, "vip maintenance on", maintenance(true));
}

static void maintenance_undo(struct fault *f)
{
	order_until(f, "vip maintenance off", maintenance(false));
}

static json_t *gateway(const struct fault *f, const char *verb)
{
	return json_pack("{s:s,s:s,s:s}", "command", "gateway", "verb", verb, "name",
			 f->n_targets ? f->targets[0] : "");
}

static int gateway_begin(struct fault *f)
{
	return order(f, "gateway down", gateway(f, "down"));
}

static void gateway_undo(struct fault *f)
{
	order_until(f, "gateway auto", gateway(f, "auto"));
}

/* The daemon itself counts the time, too. */
static json_t *mute(const struct fault *f, long seconds)
{
	return json_pack("{s:s,s:s,s:s,s:I}", "command", "drill", "order", "mute", "id", f->id, "seconds",
			 (json_int_t)seconds);
}

static int mute_begin(struct fault *f)
{
	return order(f, "no adverts", mute(f, f->seconds));
}

static void mute_undo(struct fault *f)
{
	order_until(f, "adverts again", mute(f, 0));
}

/* ---- the machine's ---- */

/* Stands still first, so that it can't say goodbye: a machine without power does not. */
static int power_begin(struct fault *f)
{
	int err = process_stop(f);

	err = err ?: links_begin(f);
	if (err) {
		kill(f->daemon, SIGCONT);
		return err;
	}
	return process_kill(f);
}

static void power_undo(struct fault *f)
{
	links_undo(f);
	process_undo(f);
}

static const struct fault_kind kinds[] = {
	{ "maintenance", maintenance_begin, maintenance_undo, NULL },
	{ "kill", process_begin, process_undo, NULL },
	{ "power", power_begin, power_undo, links_resume },
	{ "links", links_begin, links_undo, links_resume },
	{ "gateway", gateway_begin, gateway_undo, NULL },
	{ "mute", mute_begin, mute_undo, NULL },
};

/* ---- telling ---- */

struct times {
	long long begun_ms, done_ms, ending_ms, undone_ms; /* 0: not yet */
	bool left;					   /* it can't be undone */
};

static json_t *time_json(long long ms)
{
	return ms ? json_integer(ms) : json_null();
}

static void tell(const struct fault *f, const struct times *t)
{
	json_t *targets = json_array(), *all;
	char *dir = instance_state_dir(f->instance), *path = NULL, *text = NULL;

	for (size_t i = 0; i < f->n_targets; i++)
		json_array_append_new(targets, json_string(f->targets[i]));
	all = json_pack("{s:s,s:s,s:o,s:o,s:o,s:o,s:o,s:b,s:O}", "id", f->id, "fault", f->name, "targets", targets,
			"begun_ms", time_json(t->begun_ms), "done_ms", time_json(t->done_ms), "ending_ms",
			time_json(t->ending_ms), "undone_ms", time_json(t->undone_ms), "left", t->left, "errors",
			f->errors);
	text = all ? json_dumps(all, JSON_COMPACT) : NULL;
	if (text && dir && asprintf(&path, "%s/" FAULT_RESULT, dir) > 0) {
		*strrchr(path, '/') = '\0';
		file_make_dirs(path, 0700);
		path[strlen(path)] = '/';
		file_replace_soon(path, text, strlen(text), 0600);
	}
	json_decref(all);
	free(text);
	free(path);
	free(dir);
}

/* ---- all of it ---- */

/* The lock ends with this process: what it starts does not inherit it. The file descriptor, or -errno */
static int lock(const char *instance)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), FAULT_LOCK, instance);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB))
		return -errno;
	return fd;
}

/* Whoever has started it waits for this: from now on it goes its own way, and tells nobody but by the file. */
static int leave(int fd)
{
	pid_t pid = fork();

	if (pid)
		_exit(pid < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
	setsid();
	return ftruncate(fd, 0) || dprintf(fd, "%d\n", getpid()) < 0 ? -errno : 0;
}

/*
 * SIGUSR1 ends it early. So do the signals that end any process, but where a supervisor has sent one to all that is left of the service
 * whose daemon was just killed here: that is part of the fault.
 */
static void wait_for_end(const struct fault *f)
{
	long long until = clock_ms(CLOCK_BOOTTIME) + f->seconds * 1000, left;
	sigset_t set;
	int sig = 0;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	while ((left = until - clock_ms(CLOCK_BOOTTIME)) > 0) {
		const struct timespec ts = { left / 1000, left % 1000 * 1000000 };

		sig = sigtimedwait(&set, NULL, &ts);
		if (sig == SIGUSR1 || (sig > 0 && !(f->daemon && f->supervised)))
			return;
	}
}

static int run(struct fault *f, const struct fault_kind *kind)
{
	const struct timespec delay = { .tv_nsec = DELAY_MS * 1000000 };
	struct times t = { 0 };
	int err;

	nanosleep(&delay, NULL);
	t.begun_ms = clock_ms(CLOCK_REALTIME);
	tell(f, &t);
	err = kind->begin(f);
	t.done_ms = clock_ms(CLOCK_REALTIME);
	if (!err) {
		tell(f, &t);
		wait_for_end(f);
		t.ending_ms = clock_ms(CLOCK_REALTIME);
		kind->undo(f);
	}
	t.undone_ms = clock_ms(CLOCK_REALTIME);
	tell(f, &t);
	return err ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* When the one that was killed had begun, and had done it. */
static void told_times(const struct fault *f, struct times *t)
{
	char *dir = instance_state_dir(f->instance), *path = NULL;
	json_t *told = dir && asprintf(&path, "%s/" FAULT_RESULT, dir) > 0 ? json_load_file(path, 0, NULL) : NULL;

	t->begun_ms = json_integer_value(json_object_get(told, "begun_ms"));
	t->done_ms = json_integer_value(json_object_get(told, "done_ms"));
	json_decref(told);
	free(path);
	free(dir);
}

/* The daemon runs, or it could not have started this. */
static int undo_left(struct fault *f, const struct fault_kind *kind)
{
	struct times t = { .ending_ms = clock_ms(CLOCK_REALTIME) };

	told_times(f, &t);
	fault_error(f, "what was to undo it was ended before it had");
	t.left = kind->resume && kind->resume(f);
	if (f->saved)
		links_undo(f);
	t.undone_ms = t.left ? 0 : clock_ms(CLOCK_REALTIME);
	tell(f, &t);
	return t.left ? EXIT_FAILURE : EXIT_SUCCESS;
}

static bool take_options(struct fault *f, int argc, char **argv)
{
	static const struct option names[] = { { "instance", required_argument, NULL, 'i' },
					       { "id", required_argument, NULL, 'd' },
					       { "seconds", required_argument, NULL, 's' },
					       { "daemon", required_argument, NULL, 'p' },
					       { "supervised", no_argument, NULL, 'v' },
					       { "undo", no_argument, NULL, 'u' },
					       { 0 } };
	int opt;

	while ((opt = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (opt == 'i')
			f->instance = optarg;
		else if (opt == 'd')
			f->id = optarg;
		else if (opt == 's')
			f->seconds = strtol(optarg, NULL, 10);
		else if (opt == 'p')
			f->daemon = (pid_t)strtol(optarg, NULL, 10);
		else if (opt == 'v')
			f->supervised = true;
		else if (opt == 'u')
			f->undo = true;
		else
			return false;
	}
	if (optind >= argc)
		return false;
	f->name = argv[optind];
	f->targets = (const char **)argv + optind + 1;
	f->n_targets = argc - optind - 1;
	return f->id && instance_name_valid(f->instance) &&
	       (f->undo || (f->seconds > 0 && f->seconds <= FAULT_SECONDS_MAX));
}

static void block_signals(void)
{
	sigset_t set;

	sigfillset(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

int main(int argc, char **argv)
{
	struct fault f = { .instance = INSTANCE_DEFAULT, .errors = json_array() };
	int fd;

	if (!take_options(&f, argc, argv)) {
		fputs("fairlead-fault: not for people: `fairlead drill` has the daemon start it\n", stderr);
		return 2;
	}
	block_signals();
	fd = lock(f.instance);
	if (fd < 0) {
		fprintf(stderr, "fairlead-fault: " FAULT_LOCK ": %s\n", f.instance, strerror(-fd));
		return EXIT_FAILURE;
	}
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(kinds[i].name, f.name))
			continue;
		if (leave(fd))
			return EXIT_FAILURE;
		return f.undo ? undo_left(&f, &kinds[i]) : run(&f, &kinds[i]);
	}
	fprintf(stderr, "fairlead-fault: no fault \"%s\"\n", f.name);
	return 2;
}
