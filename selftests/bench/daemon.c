// SPDX-License-Identifier: GPL-2.0-only
/* The daemons of the devices under test: the real programs, each in its namespace and on the CPU that has no packets. */
#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "selftests/bench/bench.h"

static void daemon_exec(const struct run *r, const char *name, const char *config, const char *log)
{
	char program[512], instance[64];
	int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	prctl(PR_SET_PDEATHSIG, SIGTERM); /* however the benchmark ends */

	snprintf(program, sizeof(program), "%s/fairleadd", r->build);
	snprintf(instance, sizeof(instance), "%s-%s", r->prefix, name);
	if (fd < 0)
		_exit(127);
	dup2(fd, STDOUT_FILENO);
	dup2(fd, STDERR_FILENO);
	leave_packets_cpu(r);
	netns_enter(r, name);
	execl(program, program, "-f", "-c", config, "--instance", instance, NULL);
	_exit(127);
}

pid_t node_spawn(const struct run *r, const char *name)
{
	char config[512], log[512];
	pid_t pid;

	snprintf(config, sizeof(config), "%s/%s.json", r->work, name);
	snprintf(log, sizeof(log), "%s/%s.log", r->work, name);
	pid = forked();
	if (!pid)
		daemon_exec(r, name, config, log);
	return pid;
}

void daemon_spawn(struct run *r, enum dut_id dut)
{
	char config[512];

	snprintf(config, sizeof(config), "%s/%s.json", r->work, duts[dut].name);
	if (access(config, F_OK))
		config_write(dut, config);
	r->daemons[dut] = node_spawn(r, duts[dut].name);
}

#define ARGUMENTS_MAX 8

/* `out`: where its answer goes; -1: nowhere */
static pid_t ask_spawn(const struct run *r, const char *name, int out, va_list ap)
{
	char program[512], instance[64];
	char *argv[ARGUMENTS_MAX] = { program, "--instance", instance };
	pid_t pid;

	for (int i = 3; i < ARGUMENTS_MAX - 1; i++) {
		argv[i] = va_arg(ap, char *);
		if (!argv[i])
			break;
	}
	snprintf(program, sizeof(program), "%s/fairlead", r->build);
	snprintf(instance, sizeof(instance), "%s-%s", r->prefix, name);
	pid = forked();
	if (!pid) {
		int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

		dup2(out < 0 ? fd : out, STDOUT_FILENO);
		dup2(fd, STDERR_FILENO);
		leave_packets_cpu(r);
		execv(program, argv);
		_exit(127);
	}
	return pid;
}

pid_t daemon_ask_spawn(const struct run *r, enum dut_id dut, ...)
{
	va_list ap;
	pid_t pid;

	va_start(ap, dut);
	pid = ask_spawn(r, duts[dut].name, -1, ap);
	va_end(ap);
	return pid;
}

int daemon_ask(const struct run *r, enum dut_id dut, ...)
{
	va_list ap;
	pid_t pid;
	int status;

	va_start(ap, dut);
	pid = ask_spawn(r, duts[dut].name, -1, ap);
	va_end(ap);
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int node_ask(const struct run *r, const char *name, ...)
{
	va_list ap;
	pid_t pid;
	int status;

	va_start(ap, name);
	pid = ask_spawn(r, name, -1, ap);
	va_end(ap);
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

json_t *node_tell(const struct run *r, const char *name, ...)
{
	json_t *answer;
	int ends[2];
	va_list ap;
	FILE *from;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC))
		die("no pipe");
	va_start(ap, name);
	pid = ask_spawn(r, name, ends[1], ap);
	va_end(ap);
	close(ends[1]);
	from = fdopen(ends[0], "r");
	answer = from ? json_loadf(from, 0, NULL) : NULL;
	if (from)
		fclose(from);
	waitpid(pid, NULL, 0);
	return answer;
}

bool daemon_answers(const struct run *r, enum dut_id dut)
{
	int status = daemon_ask(r, dut, "status", NULL);

	return status == 0 || status == 1;
}

bool daemon_wait(struct run *r, enum dut_id dut, double seconds)
{
	uint64_t end = now_ns() + seconds * 1e9;

	while (now_ns() < end) {
		if (daemon_answers(r, dut))
			return true;
		if (waitpid(r->daemons[dut], NULL, WNOHANG) == r->daemons[dut]) {
			r->daemons[dut] = 0;
			break;
		}
		usleep(20000);
	}
	complain(r, "the daemon of %s did not start; see %s/%s.log", duts[dut].name, r->work, duts[dut].name);
	return false;
}

uint64_t process_cpu_ns(pid_t pid)
{
	char pattern[64];
	uint64_t sum = 0;
	glob_t files;

	snprintf(pattern, sizeof(pattern), "/proc/%d/task/*/schedstat", (int)pid);
	if (glob(pattern, 0, NULL, &files))
		return 0;
	for (size_t i = 0; i < files.gl_pathc; i++) {
		FILE *file = fopen(files.gl_pathv[i], "r");
		unsigned long long ns = 0;

		if (file && fscanf(file, "%llu", &ns) == 1)
			sum += ns;
		if (file)
			fclose(file);
	}
	globfree(&files);
	return sum;
}

void daemon_kill(struct run *r, enum dut_id dut, int sig)
{
	if (!r->daemons[dut])
		return;
	kill(r->daemons[dut], sig);
	waitpid(r->daemons[dut], NULL, 0);
	r->daemons[dut] = 0;
}

/* Kilobytes of what is mapped, the programs' maps aside; -1: not told. */
static long resident_kb(FILE *smaps)
{
	unsigned long from, to;
	char line[512];
	bool is_map = false;
	long kb, sum = -1;

	while (smaps && fgets(line, sizeof(line), smaps)) {
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			is_map = strstr(line, "bpf-map");
		else if (!is_map && sscanf(line, "Rss: %ld", &kb) == 1)
			sum = (sum < 0 ? 0 : sum) + kb;
	}
	return sum;
}

void daemon_memory(struct run *r, enum dut_id dut, const char *fact_name)
{
	char path[64];
	FILE *file;
	long kb;

	snprintf(path, sizeof(path), "/proc/%d/smaps", (int)r->daemons[dut]);
	file = fopen(path, "r");
	kb = resident_kb(file);
	if (file)
		fclose(file);
	if (kb > 0)
		fact(r, fact_name, kb / 1024.0);
	else
		complain(r, "no telling how much memory the daemon of %s has", duts[dut].name);
}

void daemons_stop(struct run *r)
{
	for (int i = 0; i < DUT_COUNT; i++)
		daemon_kill(r, i, SIGTERM);
}
