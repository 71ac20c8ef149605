// SPDX-License-Identifier: GPL-2.0-only
/* The process that does a drill's faults to this node, and what is left when it was ended before it has undone them. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include "user/daemon/daemon.h"
#include "user/daemon/drill.h"
#include "user/daemon/drill_internal.h"
#include "user/daemon/gateways_internal.h"
#include "user/fault/fault.h"
#include "user/lib/clock.h"
#include "user/lib/file.h"
#include "user/lib/instance.h"
#include "user/lib/log.h"
#include "user/lib/program.h"

/* ---- the process that does it ---- */

bool drill_fault_runs(const struct daemon *d, pid_t *pid)
{
	char path[128], text[16] = "";
	bool runs;
	int fd;

	snprintf(path, sizeof(path), FAULT_LOCK, d->options.instance);
	fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return false;
	runs = flock(fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK;
	if (pid)
		*pid = runs && pread(fd, text, sizeof(text) - 1, 0) > 0 ? atoi(text) : 0;
	close(fd);
	return runs;
}

/* With the daemon's standard files: a daemon that it starts again is to have them. It is its child's parent for some milliseconds only. */
int drill_run_program(const char *name, char *const *argv)
{
	char path[PATH_MAX];
	static const int files[] = { PROGRAM_SHARED, PROGRAM_SHARED, PROGRAM_SHARED };
	char *const env[] = { NULL };
	const struct program program = {
		.path = path, .argv = argv, .env = env, .files = files, .n_files = 3, .session = true
	};
	pid_t pid;
	int err, status;

	if (!program_find(name, path))
		return -ENOENT;
	err = program_start(&program, &pid);
	if (err)
		return -err;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int drill_start_program(struct daemon *d, char *const *argv)
{
	int status = drill_run_program(FAULT_PROGRAM, argv);

	d->drill_watched |= !status;
	return status;
}

/* ---- what it has told ---- */

/* malloc'ed; NULL: no memory */
static char *result_path(const struct daemon *d)
{
	char *dir = instance_state_dir(d->options.instance), *path = NULL;

	if (!dir || asprintf(&path, "%s/" FAULT_RESULT, dir) < 0)
		path = NULL;
	free(dir);
	return path;
}

json_t *drill_last_fault(const struct daemon *d)
{
	char *path = result_path(d);
	json_t *fault = path ? json_load_file(path, 0, NULL) : NULL;

	free(path);
	return fault;
}

/* ---- what was left ---- */

/* By the same program: it knows what links have lost. */
static int undo_links(struct daemon *d, const json_t *fault)
{
	const char *argv[DRILL_ARGUMENTS_MAX + 1] = { FAULT_PROGRAM, "--instance", d->options.instance };
	const json_t *targets = json_object_get(fault, "targets");
	const char *id = json_string_value(json_object_get(fault, "id"));
	size_t n = 3;

	argv[n++] = "--id";
	argv[n++] = id ? id : "";
	argv[n++] = "--undo";
	argv[n++] = json_string_value(json_object_get(fault, "fault"));
	for (size_t i = 0; i < json_array_size(targets) && n < DRILL_ARGUMENTS_MAX; i++)
		argv[n++] = json_string_value(json_array_get(targets, i));
	return drill_start_program(d, (char *const *)argv);
}

static int undo_maintenance(struct daemon *d, const json_t *fault)
{
	(void)fault;
	vips_maintenance(d, false);
	return 0;
}

static int undo_gateway(struct daemon *d, const json_t *fault)
{
	const char *name = json_string_value(json_array_get(json_object_get(fault, "targets"), 0));

	gateways_force(d, name ? name : "", MONITOR_AUTO);
	return 0;
}

static int undo_mute(struct daemon *d, const json_t *fault)
{
	(void)fault;
	timekeeper_vip_mute(d->gateways->timekeeper, 0);
	return 0;
}

static const struct {
	const char *fault;
	int (*undo)(struct daemon *d, const json_t *fault);
	bool tells; /* that it is undone */
} undos[] = {
	{ "maintenance", undo_maintenance, false },
	{ "gateway", undo_gateway, false },
	{ "mute", undo_mute, false },
	{ "links", undo_links, true },
	{ "power", undo_links, true },
};

static void set_missing(json_t *fault, const char *key, long long ms)
{
	if (!json_is_integer(json_object_get(fault, key)))
		json_object_set_new(fault, key, json_integer(ms));
}

static void mark_over(struct daemon *d, json_t *fault, bool left)
{
	long long now = clock_ms(CLOCK_REALTIME);
	char *path = result_path(d), *text;

	set_missing(fault, "ending_ms", now);
	if (left)
		json_object_set_new(fault, "left", json_true());
	else
		set_missing(fault, "undone_ms", now);
	json_array_append_new(json_object_get(fault, "errors"), json_string(DRILL_ENDED_BEFORE));
	text = json_dumps(fault, JSON_COMPACT);
	if (path && text)
		file_replace_soon(path, text, strlen(text), 0600);
	free(text);
	free(path);
}

static bool is_left(const json_t *fault)
{
	return json_is_true(json_object_get(fault, "left"));
}

static bool is_over(const json_t *fault)
{
	return json_is_integer(json_object_get(fault, "undone_ms")) || is_left(fault);
}

/* Of a fault that is over; the last error is what could not be done. */
static void tell_over(struct daemon *d, const json_t *fault, const char *name)
{
	const json_t *errors = json_object_get(fault, "errors");
	const char *last = json_string_value(json_array_get(errors, json_array_size(errors) - 1));
	bool left = is_left(fault);

	journal_write(d->journal, JOURNAL_WARNING, JOURNAL_DRILL, name, left ? "left" : "undone", NULL, "%s",
		      left && last ? last : DRILL_ENDED_BEFORE);
}

static void undo(struct daemon *d, json_t *fault, const char *name)
{
	int status = 0;

	d->drill_undoing = false;
	for (size_t i = 0; i < sizeof(undos) / sizeof(undos[0]); i++) {
		if (strcmp(undos[i].fault, name))
			continue;
		status = undos[i].undo(d, fault);
		d->drill_undoing = undos[i].tells && !status;
	}
	if (status)
		log_warnx("what a drill has done to this node (%s) can't be undone: " FAULT_PROGRAM ": %s", name,
			  status < 0 ? strerror(-status) : "it has not begun");
	if (d->drill_undoing)
		return;
	mark_over(d, fault, status != 0);
	tell_over(d, fault, name);
}

void drill_resume(struct daemon *d)
{
	bool runs = drill_fault_runs(d, NULL);
	json_t *fault = runs ? NULL : drill_last_fault(d);
	const char *name = json_string_value(json_object_get(fault, "fault"));

	d->drill_watched = runs;
	if (name && !is_over(fault)) {
		undo(d, fault, name);
	} else if (name && d->drill_undoing) {
		d->drill_undoing = false;
		tell_over(d, fault, name);
	}
	json_decref(fault);
}

void drill_tick(struct daemon *d)
{
	if (d->drill_watched)
		drill_resume(d);
}
