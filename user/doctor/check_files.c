// SPDX-License-Identifier: GPL-2.0-only
/* Files: what the daemon writes, secrets that it reads, scripts that it runs. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "user/doctor/judge.h"
#include "user/lib/script.h"
#include "user/lib/secret.h"

#define SPACE_MIN_MB 64	   /* two files of events of 16 MB, a version of the configuration of as much */
#define KEY_CHANGE_S 86400 /* a change of the key takes so long at most, one would think */

/* ---- where it writes ---- */

void judge_space(struct doctor *d, const char *path, unsigned long long free_mb, unsigned long long free_inodes,
		 bool read_only)
{
	if (read_only)
		doctor_fail(
			d, "mount it for writing; what do the kernel's messages (dmesg) say of the disk?",
			"the file system of %s is mounted for reading only: history, events and drills are not kept",
			path);
	else if (free_mb < SPACE_MIN_MB)
		doctor_fail(d, "make room there", "%s: %llu MB are free, less than %d", path, free_mb, SPACE_MIN_MB);
	else if (free_inodes < 100)
		doctor_fail(d, "remove files there", "%s: no more than %llu files can be made", path, free_inodes);
	else
		doctor_ok(d, "%s: %llu MB are free", path, free_mb);
}

void check_state_directory(struct doctor *d)
{
	struct statvfs fs;

	if (access(d->state_dir, W_OK) && errno != EROFS)
		doctor_fail(d, doctor_text(d, "mkdir -p %s; chown root, chmod 700", d->state_dir),
			    "%s can't be written: %s", d->state_dir, strerror(errno));
	else if (statvfs(d->state_dir, &fs))
		doctor_warn(d, "look at the disk", "%s: %s", d->state_dir, strerror(errno));
	else
		judge_space(d, d->state_dir, fs.f_bavail * (fs.f_frsize >> 10) >> 10,
			    fs.f_files ? fs.f_favail : 100, /* 0: the file system does not count them */
			    fs.f_flag & ST_RDONLY);
}

/* ---- secrets ---- */

static unsigned int judge_secret(struct doctor *d, const char *whose, const char *path)
{
	const char *trouble = path ? secret_trouble(path) : NULL;
	struct stat st;

	if (!path)
		return 0;
	if (trouble)
		doctor_fail(d, doctor_text(d, "chown root:root %s; chmod 600 %s", path, path), "%s: %s: %s", whose,
			    path, trouble);
	else if (!stat(path, &st) && st.st_uid)
		doctor_warn(d, doctor_text(d, "chown root:root %s", path), "%s: %s is not root's", whose, path);
	return 1;
}

void check_secrets(struct doctor *d)
{
	const struct config *c = d->config;
	size_t before = json_array_size(d->rows);
	unsigned int n = 0;

	if (!c) {
		doctor_skip(d, "no configuration tells which files");
		return;
	}
	for (size_t i = 0; i < c->n_vips; i++)
		n += judge_secret(d, doctor_text(d, "vip %s", c->vips[i].name), c->vips[i].password_file);
	for (size_t i = 0; i < c->n_tunnels; i++)
		n += judge_secret(d, doctor_text(d, "tunnel %s", c->tunnels[i].name),
				  c->tunnels[i].update.password_file);
	if (c->ha.interface)
		n += judge_secret(d, "ha", c->ha.key_file);
	if (!n)
		doctor_skip(d, "the configuration names no file with a secret");
	else if (json_array_size(d->rows) == before)
		doctor_ok(d, "%u file%s, root's alone", n, n == 1 ? "" : "s");
}

/* Lines with anything in them; nothing of it is kept. */
static unsigned int count_lines(const char *path)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	unsigned int n = 0;
	char text[1024];
	ssize_t len;
	bool any = false;

	if (fd < 0)
		return 0;
	len = read(fd, text, sizeof(text));
	close(fd);
	for (ssize_t i = 0; i < len; i++) {
		n += text[i] == '\n' && any;
		any = text[i] != '\n' && (any || text[i] > ' ');
	}
	explicit_bzero(text, sizeof(text));
	return n + any;
}

void judge_key_file(struct doctor *d, const char *path, time_t now)
{
	struct stat st;
	unsigned int lines = count_lines(path);

	if (stat(path, &st) || !lines)
		doctor_skip(d, "%s can't be read", path);
	else if (lines == 1)
		doctor_ok(d, "one key");
	else if (now - st.st_mtime > KEY_CHANGE_S)
		doctor_warn(d, doctor_text(d, "when all nodes have the new key, take the second line out of %s", path),
			    "the old key is still good, %lld hours after the change",
			    (long long)(now - st.st_mtime) / 3600);
	else
		doctor_ok(d, "two keys: a change is under way");
}

void check_key_change(struct doctor *d)
{
	if (!d->config || !d->config->ha.interface)
		doctor_skip(d, "there is no pair");
	else
		judge_key_file(d, d->config->ha.key_file, time(NULL));
}

/* ---- scripts ---- */

static void judge_scripts(struct doctor *d, char *const *paths, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const char *trouble = script_trouble(paths[i]);

		if (trouble)
			doctor_fail(d, doctor_text(d, "ls -l %s", paths[i]), "%s is not run: %s", paths[i], trouble);
		else
			doctor_ok(d, "%s", paths[i]);
	}
}

void check_scripts(struct doctor *d)
{
	const struct config *c = d->config;

	if (!c || !(c->n_hooks_gateway + c->n_hooks_vip)) {
		doctor_skip(d, c ? "the configuration has no hooks" : "no configuration tells which");
		return;
	}
	judge_scripts(d, c->hooks_gateway, c->n_hooks_gateway);
	judge_scripts(d, c->hooks_vip, c->n_hooks_vip);
}
