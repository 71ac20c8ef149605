// SPDX-License-Identifier: GPL-2.0-only
#include "user/lib/program.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

bool program_find(const char *name, char path[PATH_MAX])
{
	static const char *const places[] = { "", "/../libexec/fairlead" };
	char own[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", own, sizeof(own) - 1);

	if (len <= 0)
		return false;
	own[len] = '\0';
	*strrchr(own, '/') = '\0';
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		if (snprintf(path, PATH_MAX, "%s%s/%s", own, places[i], name) < PATH_MAX && !access(path, X_OK))
			return true;
	return false;
}

static int add_file(posix_spawn_file_actions_t *actions, int ours, int its)
{
	if (ours == PROGRAM_EMPTY)
		return posix_spawn_file_actions_addopen(actions, its, "/dev/null", O_RDONLY, 0);
	return ours == PROGRAM_SHARED ? 0 : posix_spawn_file_actions_adddup2(actions, ours, its);
}

static int prepare(const struct program *program, posix_spawn_file_actions_t *actions, posix_spawnattr_t *attributes)
{
	short flags = POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK;
	sigset_t all, none;
	int err = 0;

	sigfillset(&all);
	sigemptyset(&none);
	for (size_t i = 0; i < program->n_files && !err; i++)
		err = add_file(actions, program->files[i], (int)i);
	err = err ?: posix_spawn_file_actions_addclosefrom_np(actions, (int)program->n_files);
	err = err ?: posix_spawn_file_actions_addchdir_np(actions, "/");
	err = err ?: posix_spawnattr_setsigdefault(attributes, &all);
	err = err ?: posix_spawnattr_setsigmask(attributes, &none);
	return err ?: posix_spawnattr_setflags(attributes, program->session ? flags | POSIX_SPAWN_SETSID : flags);
}

int program_start(const struct program *program, pid_t *pid)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	int err = posix_spawn_file_actions_init(&actions);

	if (err)
		return err;
	err = posix_spawnattr_init(&attributes);
	if (!err) {
		err = prepare(program, &actions, &attributes);
		err = err ?: posix_spawn(pid, program->path, &actions, &attributes, program->argv, program->env);
		posix_spawnattr_destroy(&attributes);
	}
	posix_spawn_file_actions_destroy(&actions);
	return err;
}

void program_signal(pid_t pid, int sig)
{
	kill(-pid, sig);
}

void program_end(pid_t pid, int options, siginfo_t *info)
{
	program_signal(pid, SIGKILL);
	waitid(P_PID, pid, info, WEXITED | options);
}
