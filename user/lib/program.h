/* SPDX-License-Identifier: GPL-2.0-only */
/* Programs that this one runs: where they are, what they inherit, and their end. */
#pragma once

#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Of this project: beside this program, where it was built; installed in ../libexec/fairlead, for nobody runs it by hand. */
bool program_find(const char *name, char path[PATH_MAX]);

#define PROGRAM_EMPTY (-1)  /* /dev/null, to be read */
#define PROGRAM_SHARED (-2) /* this program's own of that number */

/* Nothing else is inherited: no file, no directory but /, no signal that is ignored or blocked. */
struct program {
	const char *path;
	char *const *argv, *const *env;
	const int *files; /* its file 0 and so on: which of ours each is, or PROGRAM_… */
	size_t n_files;
	bool session; /* of its own; so its group is, which program_end() ends */
};

/* The errno; 0: *pid runs. */
int program_start(const struct program *program, pid_t *pid);

/* Of one with a session of its own: all that is in its process group. */
void program_signal(pid_t pid, int sig);
/*
 * That has ended, or is ended now; so is its group: its number is nobody else's until the program is waited for. *info, if not NULL, is as
 * waitid(2) leaves it, which `options` (WNOHANG) are for.
 */
void program_end(pid_t pid, int options, siginfo_t *info);
