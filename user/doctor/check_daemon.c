// SPDX-License-Identifier: GPL-2.0-only
/* The daemon: does it answer, is it ours, does it get what it needs of the machine, and would it come back after a boot? */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "user/doctor/judge.h"
#include "user/lib/instance.h"

#define MEMLOCK_MIN (8ull << 20) /* what the timekeeper locks, with room to grow */

void check_rights(struct doctor *d)
{
	if (geteuid())
		doctor_fail(d, "run it as root: sudo fairlead doctor",
			    "not root: programs, files and sockets of others can't be looked at");
	else if (d->elsewhere)
		doctor_fail(d,
			    "run it in the daemon's network namespace: nsenter --net=/proc/$(pidof fairleadd)/ns/net",
			    "the daemon's network namespace can't be entered: what follows is of another one");
	else
		doctor_ok(d, "root");
}

/* Another instance's is started by hand. */
static const char *how_to_start(struct doctor *d)
{
	if (!strcmp(d->settings.instance, INSTANCE_DEFAULT))
		return "systemctl start fairleadd; why it ended: journalctl -u fairleadd";
	return doctor_text(d, "fairleadd --instance %s -c FILE", d->settings.instance);
}

void check_daemon(struct doctor *d)
{
	const json_t *status = doctor_shown(d, "status");

	if (!d->settings.answers)
		doctor_fail(
			d, how_to_start(d),
			"no daemon answers: packets go on by what the last one left, and nothing is probed, handed over "
			"or renewed");
	else if (!status)
		doctor_fail(d, "journalctl -u fairleadd; then systemctl restart fairleadd",
			    "the daemon has a socket and does not answer what is asked");
	else
		doctor_ok(d, "instance %s, process %lld", d->settings.instance, doctor_number(status, "pid"));
}

static void compare_peers(struct doctor *d)
{
	const json_t *peers = doctor_shown(d, "sync");
	json_t *row;
	size_t i;

	json_array_foreach((json_t *)peers, i, row) {
		const char *its = doctor_string(row, "software");

		if (*its && strcmp(its, FAIRLEAD_VERSION))
			doctor_warn(d, "install the same version on both nodes; the standby first",
				    "%s runs version %s, this node %s", doctor_string(row, "peer"), its,
				    FAIRLEAD_VERSION);
	}
}

void check_version(struct doctor *d)
{
	const char *its = doctor_string(doctor_shown(d, "status"), "version");

	if (!*its)
		doctor_skip(d, "this program is version %s; no daemon tells its own", FAIRLEAD_VERSION);
	else if (strcmp(its, FAIRLEAD_VERSION))
		doctor_fail(d, "systemctl restart fairleadd: packets go on meanwhile",
			    "the daemon that runs is version %s, what is installed %s", its, FAIRLEAD_VERSION);
	else
		doctor_ok(d, "version %s", its);
	compare_peers(d);
}

/* ---- what it gets ---- */

static bool memlock_of(pid_t pid, rlim_t *limit)
{
	struct rlimit now;

	if (prlimit(pid, RLIMIT_MEMLOCK, NULL, &now))
		return false;
	*limit = now.rlim_cur;
	return true;
}

void check_realtime(struct doctor *d)
{
	const json_t *status = doctor_shown(d, "status"), *realtime = json_object_get(status, "realtime"),
		     *locked = json_object_get(status, "locked");
	const char *remedy =
		"LimitRTPRIO=10 and LimitMEMLOCK=64M in fairleadd.service, as installed; in a container it must be "
		"allowed outside";
	rlim_t limit;

	if (!json_is_boolean(realtime)) {
		doctor_skip(d, "no daemon tells");
		return;
	}
	if (!json_is_true(realtime))
		doctor_fail(
			d, remedy,
			"the timekeeper has no real-time priority: while the machine is busy, gateways may seem dead and "
			"shared addresses be taken over falsely");
	else if (!json_is_true(locked))
		doctor_warn(d, remedy, "the timekeeper's memory is not locked: it may wait for a disk");
	else
		doctor_ok(d, "real-time priority and locked memory");
	if (memlock_of(doctor_number(status, "pid"), &limit) && limit < MEMLOCK_MIN && !json_is_true(locked))
		doctor_warn(d, remedy, "the limit of locked memory is %llu KB", (unsigned long long)limit >> 10);
}

/* ---- at the next boot ---- */

/* Somewhere below it a target wants the unit. */
static bool is_wanted(const char *dir, const char *unit)
{
	struct dirent *e;
	DIR *top = opendir(dir);
	bool found = false;
	char path[512];

	while (top && !found && (e = readdir(top))) {
		size_t len = strlen(e->d_name);

		if (len < 6 || strcmp(e->d_name + len - 6, ".wants"))
			continue;
		snprintf(path, sizeof(path), "%s/%s/%s", dir, e->d_name, unit);
		found = !access(path, F_OK);
	}
	if (top)
		closedir(top);
	return found;
}

void judge_units(struct doctor *d, const char *dir)
{
	static const struct {
		const char *unit, *without;
	} units[] = {
		{ "fairleadd.service", "after a boot nothing starts the daemon" },
		{ "fairlead-block.service",
		  "while the machine boots, the kernel forwards unfiltered if it is told to" },
	};

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (is_wanted(dir, units[i].unit))
			doctor_ok(d, "%s is enabled", units[i].unit);
		else
			doctor_fail(d, doctor_text(d, "systemctl enable %s", units[i].unit), "%s is not enabled: %s",
				    units[i].unit, units[i].without);
	}
}

void check_unit(struct doctor *d)
{
	if (strcmp(d->settings.instance, INSTANCE_DEFAULT))
		doctor_skip(d, "the units are of the instance %s", INSTANCE_DEFAULT);
	else if (access("/run/systemd/system", F_OK))
		doctor_skip(d, "systemd does not run here: that something starts fairleadd is not looked at");
	else
		judge_units(d, "/etc/systemd/system");
}
