// SPDX-License-Identifier: GPL-2.0-only
/* Programs of others: what users would run in our place. From Debian's packages, or they are missing and the table says so. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "selftests/bench/bench.h"

void peers_write(const char *file, mode_t mode, const char *fmt, ...)
{
	FILE *to = fopen(file, "we");
	va_list ap;

	if (!to)
		die("cannot write %s: %s", file, strerror(errno));
	va_start(ap, fmt);
	vfprintf(to, fmt, ap);
	va_end(ap);
	if (fchmod(fileno(to), mode) || fclose(to))
		die("cannot write %s: %s", file, strerror(errno));
}

bool peer_start(const struct run *r, struct peer *peer, const char *ns, char *const argv[])
{
	int log;

	peer->program = argv[0];
	if (access(argv[0], X_OK))
		return false;
	snprintf(peer->log, sizeof(peer->log), "%s/%s.log", r->work, ns);
	peer->pid = forked();
	if (peer->pid)
		return true;
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	log = open(peer->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	dup2(log, STDOUT_FILENO);
	dup2(log, STDERR_FILENO);
	leave_packets_cpu(r);
	netns_enter(r, ns);
	execv(argv[0], argv);
	_exit(127);
}

bool peer_lives(struct peer *peer)
{
	if (peer->pid && waitpid(peer->pid, NULL, WNOHANG) == peer->pid)
		peer->pid = 0;
	return peer->pid != 0;
}

const char *peer_last_words(const struct peer *peer, char *line, size_t size)
{
	char next[256];
	FILE *log = fopen(peer->log, "re");

	snprintf(line, size, "nothing");
	while (log && fgets(next, sizeof(next), log))
		if (next[0] != '\n')
			snprintf(line, size, "%.*s", (int)strcspn(next, "\n"), next);
	if (log)
		fclose(log);
	return line;
}

/* Before it: that nobody sees it die and says good-bye */
static void children_kill(pid_t pid)
{
	char path[64];
	FILE *children;
	int child;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
	children = fopen(path, "re");
	while (children && fscanf(children, "%d", &child) == 1)
		kill(child, SIGKILL);
	if (children)
		fclose(children);
}

void peer_signal(const struct peer *peer, int sig)
{
	if (!peer->pid)
		return;
	if (sig == SIGKILL)
		children_kill(peer->pid);
	kill(peer->pid, sig);
}

void peer_end(struct peer *peer, int sig)
{
	if (!peer->pid)
		return;
	peer_signal(peer, sig);
	waitpid(peer->pid, NULL, 0);
	peer->pid = 0;
}
