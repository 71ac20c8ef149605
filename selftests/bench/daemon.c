// SPDX-License-Identifier: GPL-2.0-only
/* The daemons of the devices under test: the real programs, each in its namespace and on the CPU that has no packets. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
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
	int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);

	prctl(PR_SET_PDEATHSIG, SIGTERM); /* however the benchmark ends */

	snprintf(program, sizeof(program), "%s/fairleadd", r->build);
	snprintf(instance, sizeof(instance), "%s-%s", r->prefix, name);
	if (fd < 0)
		_exit(127);
	dup2(fd, STDOUT_FILENO);
	dup2(fd, STDERR_FILENO);
	pin_to_cpu(!r->cpu);
	netns_enter(r, name);
	execl(program, program, "-f", "-c", config, "--instance", instance, NULL);
	_exit(127);
}

void daemon_spawn(struct run *r, enum dut_id dut)
{
	char config[512], log[512];

	snprintf(config, sizeof(config), "%s/%s.json", r->work, duts[dut].name);
	snprintf(log, sizeof(log), "%s/%s.log", r->work, duts[dut].name);
	if (access(config, F_OK))
		config_write(dut, config);
	r->daemons[dut] = fork();
	if (r->daemons[dut] < 0)
		die("cannot fork: %s", strerror(errno));
	if (!r->daemons[dut])
		daemon_exec(r, duts[dut].name, config, log);
}

bool daemon_answers(const struct run *r, enum dut_id dut)
{
	char program[512], instance[64];
	pid_t pid;
	int status;

	snprintf(program, sizeof(program), "%s/fairlead", r->build);
	snprintf(instance, sizeof(instance), "%s-%s", r->prefix, duts[dut].name);
	pid = fork();
	if (pid < 0)
		die("cannot fork: %s", strerror(errno));
	if (!pid) {
		int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

		dup2(fd, STDOUT_FILENO);
		dup2(fd, STDERR_FILENO);
		pin_to_cpu(!r->cpu);
		execl(program, program, "--instance", instance, "status", NULL);
		_exit(127);
	}
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) < 2;
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

void daemon_kill(struct run *r, enum dut_id dut, int sig)
{
	if (!r->daemons[dut])
		return;
	kill(r->daemons[dut], sig);
	waitpid(r->daemons[dut], NULL, 0);
	r->daemons[dut] = 0;
}

void daemon_memory(struct run *r, enum dut_id dut, const char *fact_name)
{
	char path[64], line[128];
	long kb = -1;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)r->daemons[dut]);
	file = fopen(path, "r");
	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "VmRSS: %ld", &kb) == 1)
			break;
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
