// SPDX-License-Identifier: GPL-2.0-only
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "selftests/unit/tempdir.h"
#include "user/lib/file.h"
#include "user/lib/program.h"

static struct tempdir dir;

static void setup(void)
{
	tempdir_make(&dir);
}

static void teardown(void)
{
	tempdir_remove(&dir);
}

TestSuite(program, .init = setup, .fini = teardown, .timeout = 30);

Test(program, is_found_beside_this_one)
{
	char own[PATH_MAX] = "", path[PATH_MAX];

	cr_assert_gt(readlink("/proc/self/exe", own, sizeof(own) - 1), 0);
	cr_assert(program_find(strrchr(own, '/') + 1, path));
	cr_expect_str_eq(path, own);
	cr_expect_not(program_find("no-such-program", path));
}

/* What the shell prints, with a file more than it is given open here, a signal blocked and one ignored. */
static void run_shell(const char *script, bool session, char *text, size_t size)
{
	char *const argv[] = { "sh", "-c", (char *)script, NULL }, *const env[] = { "PATH=/usr/bin:/bin", NULL };
	int fds[2], files[4];
	const struct program program = {
		.path = "/bin/sh", .argv = argv, .env = env, .files = files, .n_files = 4, .session = session
	};
	siginfo_t info = { 0 };
	sigset_t some;
	ssize_t n = 0, got;
	pid_t pid;

	sigemptyset(&some);
	sigaddset(&some, SIGUSR1);
	sigprocmask(SIG_BLOCK, &some, NULL);
	signal(SIGUSR2, SIG_IGN);
	cr_assert_eq(pipe(fds), 0); /* inherited, as it is opened */
	files[0] = PROGRAM_EMPTY;
	files[1] = files[3] = fds[1];
	files[2] = PROGRAM_SHARED;
	cr_assert_eq(program_start(&program, &pid), 0);
	close(fds[1]);
	while ((got = read(fds[0], text + n, size - 1 - n)) > 0)
		n += got;
	text[n] = '\0';
	close(fds[0]);
	waitid(P_PID, pid, &info, WEXITED);
	cr_expect(info.si_code == CLD_EXITED && !info.si_status, "%d %d", info.si_code, info.si_status);
}

Test(program, inherits_what_it_is_given)
{
	char text[512];

	run_shell("cat; echo third >&3; pwd; ls /proc/self/fd | tr '\\n' ' '; "
		  "[ /dev/stderr -ef /proc/$PPID/fd/2 ] && echo ours; "
		  "sed -n 's/^Sig\\(Blk\\|Ign\\):.*\\(...\\)$/\\1 \\2/p' /proc/self/status; "
		  "env | grep -vE '^(PWD|_|OLDPWD|SHLVL)='",
		  false, text, sizeof(text));
	cr_expect_str_eq(text, "third\n/\n0 1 2 3 4 ours\nBlk 000\nIgn 000\nPATH=/usr/bin:/bin\n");
}

Test(program, has_a_session_where_it_is_to)
{
	static const char script[] = "cut -d ' ' -f 6 < /proc/$$/stat | tr -d '\\n'; echo \" $$\"";
	char text[64], *rest;

	run_shell(script, true, text, sizeof(text));
	cr_expect_eq(strtol(text, &rest, 10), atoi(rest));
	run_shell(script, false, text, sizeof(text));
	cr_expect_eq(strtol(text, &rest, 10), getsid(0));
}

Test(program, that_can_not_be_started)
{
	char *const argv[] = { "none", NULL }, *const env[] = { NULL };
	const struct program program = { .path = "/nowhere/none", .argv = argv, .env = env };
	pid_t pid;

	cr_expect_eq(program_start(&program, &pid), ENOENT);
}

/* Also where the program itself has ended before. */
static void expect_group_ends(const char *then)
{
	const char *child = tempdir_file(&dir, "child");
	char script[256], *text, *argv[] = { "sh", "-c", script, NULL }, *const env[] = { NULL };
	const int files[] = { PROGRAM_EMPTY, PROGRAM_SHARED, PROGRAM_SHARED };
	const struct program program = {
		.path = "/bin/sh", .argv = argv, .env = env, .files = files, .n_files = 3, .session = true
	};
	siginfo_t info = { 0 };
	size_t len;
	pid_t pid;

	snprintf(script, sizeof(script), "/bin/sleep 1000 > /dev/null 2>&1 & echo $! > %s.new; /bin/mv %s.new %s; %s",
		 child, child, child, then);
	cr_assert_eq(program_start(&program, &pid), 0);
	while (access(child, R_OK))
		usleep(1000);
	cr_assert_eq(file_read(child, &text, &len), 0);
	program_end(pid, 0, &info);
	cr_expect_eq(info.si_pid, pid);
	for (int i = 0; i < 400 && !kill(atoi(text), 0); i++)
		usleep(10000); /* until whoever inherits it has waited for it */
	cr_expect(kill(atoi(text), 0) && errno == ESRCH);
	free(text);
	unlink(child);
}

Test(program, ends_with_its_group)
{
	expect_group_ends("wait");
	expect_group_ends("exit 0");
}
