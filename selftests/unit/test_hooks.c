// SPDX-License-Identifier: GPL-2.0-only
/* Scripts: what they are given, that one runs at a time, and that none of them can harm: hanging, loud, forking, gone. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "selftests/unit/tempdir.h"
#include "user/daemon/hooks.h"
#include "user/lib/clock.h"
#include "user/lib/file.h"
#include "user/lib/log.h"
#include "user/lib/script.h"

static struct tempdir dir;
static struct event_base *base;
static struct journal *journal;
static struct hooks *hooks;
static char script[128];

static void setup(void)
{
	tempdir_make(&dir);
	cr_assert(freopen(tempdir_file(&dir, "stderr"), "w", stderr));
	log_init("test", true, 0);
	base = event_base_new();
	journal = journal_open(dir.path);
	hooks = hooks_open(base, journal, "gateway", "default");
	snprintf(script, sizeof(script), "%s/hook.sh", dir.path);
}

static void teardown(void)
{
	hooks_close(hooks);
	journal_close(journal);
	event_base_free(base);
	tempdir_remove(&dir);
}

TestSuite(hooks, .init = setup, .fini = teardown, .timeout = 60);

/* Another file in its place, as an editor or a package does it. $D is the directory. */
static void write_script(const char *body)
{
	char *text;
	int n = asprintf(&text, "#!/bin/sh\nD=%s\n%s\n", dir.path, body);

	unlink(script);
	cr_assert_eq(file_replace(script, text, n, 0755), 0);
	free(text);
}

static void configure(void)
{
	char *const paths[] = { script };

	hooks_configure(hooks, "fw-pri01", paths, 1);
}

static void with_script(const char *body)
{
	write_script(body);
	configure();
}

static void run(const char *name)
{
	const struct hook_variable variables[] = { { "NAME", name }, { "STATUS", "down" }, { "REASON", NULL } };

	hooks_run(hooks, variables, 3);
}

static void loop_ms(long ms)
{
	const struct timeval wait = { ms / 1000, ms % 1000 * 1000 };

	event_base_loopexit(base, &wait);
	event_base_dispatch(base);
}

/* All of a file, "" where there is none; good until the next call. */
static const char *content(const char *name)
{
	static char *text;
	size_t len;

	free(text);
	text = NULL;
	fflush(stderr);
	return file_read(tempdir_file(&dir, name), &text, &len) ? "" : text;
}

static bool wait_for(const char *file, const char *text)
{
	for (int i = 0; i < 1000; i++) {
		if (strstr(content(file), text))
			return true;
		loop_ms(20);
	}
	return false;
}

static size_t times(const char *file, const char *text)
{
	const char *at = content(file);
	size_t n = 0;

	while ((at = strstr(at, text))) {
		at += strlen(text);
		n++;
	}
	return n;
}

/* Whether the process whose id is in the file is one still. */
static bool alive(const char *file)
{
	pid_t pid = atoi(content(file));

	return pid > 0 && !kill(pid, 0);
}

static bool gone(const char *file)
{
	for (int i = 0; i < 500 && alive(file); i++)
		loop_ms(20);
	return !alive(file);
}

/* ---- what it is given ---- */

Test(hooks, environment)
{
	int open_by_mistake = open("/dev/null", O_RDONLY);
	const char *env;

	setenv("LD_PRELOAD_OR_SECRET", "x", 1);
	with_script(
		"env > $D/env.new; ls -l /proc/self/fd > $D/fds; echo $# > $D/args; pwd > $D/pwd\n"
		"grep -E '^Sig(Blk|Ign)' /proc/self/status > $D/signals; ps -o sid= -p $$ > $D/sid; echo $$ >> $D/sid\n"
		"mv $D/env.new $D/env; echo done > $D/done");
	signal(SIGPIPE, SIG_IGN);
	run("he_gw");
	cr_assert(wait_for("done", "done"));
	env = content("env");
	cr_assert(strstr(env, "FAIRLEAD_EVENT=gateway\n"));
	cr_assert(strstr(env, "FAIRLEAD_INSTANCE=default\n"));
	cr_assert(strstr(env, "FAIRLEAD_NODE=fw-pri01\n"));
	cr_assert(strstr(env, "FAIRLEAD_NAME=he_gw\n"));
	cr_assert(strstr(env, "FAIRLEAD_STATUS=down\n"));
	cr_assert(strstr(env, "FAIRLEAD_REASON=\n"));
	cr_assert(strstr(env, "FAIRLEAD_TIME_MS=1"));
	cr_assert(strstr(env, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"));
	cr_assert(!strstr(env, "SECRET"));
	cr_assert_str_eq(content("args"), "0\n");
	cr_assert_str_eq(content("pwd"), "/\n");
	/* the three, and the one that ls(1) reads by */
	cr_assert_eq(times("fds", " -> "), 4, "%s", content("fds"));
	cr_assert(strstr(content("fds"), "0 -> /dev/null"));
	cr_assert(strstr(content("signals"), "SigBlk:\t0000000000000000"), "%s", content("signals"));
	/* 32 and 33 are the C library's own, which it leaves ignored */
	cr_assert_eq(strtoull(strstr(content("signals"), "SigIgn:") + 7, NULL, 16) & ~0x180000000ULL, 0, "%s",
		     content("signals"));
	cr_assert_eq(strtol(content("sid"), NULL, 10), strtol(strchr(content("sid"), '\n'), NULL, 10));
	close(open_by_mistake);
}

Test(hooks, output_goes_to_the_log)
{
	with_script("echo one; echo two >&2; printf 'three\\033[1m\\tx'");
	run("a");
	cr_assert(wait_for("stderr", ": three?[1m x\n"), "%s", content("stderr"));
	cr_assert(strstr(content("stderr"), "test: hook hook.sh["));
	cr_assert(strstr(content("stderr"), "]: one\n"));
	cr_assert(strstr(content("stderr"), "]: two\n"));
	cr_assert_str_empty(content("events.log"));
}

Test(hooks, loud)
{
	with_script("i=0; while [ $i -lt 5000 ]; do echo line $i; i=$((i + 1)); done\n"
		    "head -c 100000 /dev/zero | tr '\\0' x; echo; echo done > $D/done");
	run("a");
	cr_assert(wait_for("stderr", " more lines of output"));
	cr_assert_str_eq(content("done"), "done\n");
	cr_assert_eq(times("stderr", "]: line "), HOOK_LINES);
	cr_assert(strstr(content("stderr"), ": 4901 more lines of output"), "%s", content("stderr"));
	cr_assert_eq(times("stderr", "xxxx"), 0);
}

Test(hooks, a_line_too_long)
{
	with_script("head -c 100000 /dev/zero | tr '\\0' x; echo; echo behind");
	run("a");
	cr_assert(wait_for("stderr", "]: behind\n"));
	cr_assert_eq(times("stderr", "x"), HOOK_LINE_MAX);
}

Test(hooks, failures)
{
	with_script("case $FAIRLEAD_NAME in a) exit 3;; b) kill -SEGV $$;; esac");
	run("a");
	cr_assert(wait_for("events.log", "\"event\":\"failed\",\"reason\":\"exit status 3\""));
	run("b");
	cr_assert(wait_for("events.log", "\"reason\":\"signal 11"));
	run("c");
	loop_ms(300);
	cr_assert_eq(times("events.log", "\n"), 2);
}

/* ---- which scripts are run ---- */

Test(hooks, troubles)
{
	configure();
	cr_assert_str_eq(script_trouble(script), "there is no such file");
	cr_assert_str_empty(content("events.log"));
	run("a");
	run("a");
	cr_assert(strstr(content("events.log"), "\"event\":\"not run\",\"reason\":\"there is no such file\""));
	cr_assert_eq(times("events.log", "not run"), 1); /* told once */
	write_script("echo ran");
	chmod(script, 0777);
	run("a");
	cr_assert(strstr(content("events.log"), "everybody may write it"));
	chmod(script, 0644);
	run("a");
	cr_assert(strstr(content("events.log"), "not executable"));
	unlink(script);
	mkdir(script, 0755);
	run("a");
	cr_assert(strstr(content("events.log"), "no regular file"));
	rmdir(script);
	cr_assert_eq(times("stderr", "ran"), 0);
	write_script("echo ran");
	cr_assert_null(script_trouble(script));
	run("a");
	cr_assert(wait_for("stderr", "ran"));
	cr_assert_eq(file_replace(script, "#!/no/such/interpreter\n", 23, 0755), 0);
	run("a");
	cr_assert(wait_for("events.log", "first line (#!)"));
	cr_assert_eq(file_replace(script, "no first line\n", 14, 0755), 0);
	run("a");
	cr_assert_eq(times("events.log", "first line (#!)"), 2);
	write_script("echo again");
	run("a");
	cr_assert(wait_for("stderr", "again"));
}

Test(hooks, of_another_user)
{
	if (geteuid())
		cr_skip("only root can give a file away");
	write_script("echo ran");
	cr_assert_eq(chown(script, 65534, 0), 0);
	configure();
	run("a");
	loop_ms(200);
	cr_assert(strstr(content("events.log"), "belongs to another user"));
	cr_assert_eq(times("stderr", "ran"), 0);
}

/* ---- one at a time ---- */

Test(hooks, in_order_and_one_at_a_time)
{
	char name[16], *expected = NULL;
	size_t len;
	FILE *to = open_memstream(&expected, &len);

	with_script("[ -e $D/running ] && echo two >> $D/twice; : > $D/running; echo $FAIRLEAD_NAME >> $D/out\n"
		    "rm $D/running");
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		run(name);
		fprintf(to, "%s\n", name);
	}
	fclose(to);
	cr_assert(wait_for("out", "n99\n"));
	cr_assert_str_eq(content("out"), expected);
	cr_assert_str_empty(content("twice"));
	free(expected);
}

Test(hooks, a_thousand_at_once)
{
	long long begun = clock_ms(CLOCK_MONOTONIC);
	char name[16];

	with_script("echo $FAIRLEAD_NAME >> $D/out");
	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		run(name);
	}
	cr_assert_lt(clock_ms(CLOCK_MONOTONIC) - begun, 1000);
	cr_assert(wait_for("out", "n999\n")); /* the last is what counts */
	cr_assert_eq(times("out", "\n"), HOOK_QUEUE + 1);
	cr_assert_eq(times("events.log", "events dropped"), 1);
	cr_assert(strstr(content("events.log"), "\"events\":743"), "%s", content("events.log"));
}

/* One thing that changes all the time must not take another one's only news away. */
Test(hooks, the_last_of_each_is_kept)
{
	with_script(
		"[ $FAIRLEAD_NAME = first ] && while [ ! -e $D/go ]; do sleep 0.05; done; echo $FAIRLEAD_NAME >> $D/out");
	run("first");
	run("calm");
	for (int i = 0; i < 2 * HOOK_QUEUE; i++)
		run("restless");
	run("last");
	cr_assert_eq(file_replace(tempdir_file(&dir, "go"), "", 0, 0644), 0);
	cr_assert(wait_for("out", "last\n"));
	cr_expect_eq(times("out", "calm\n"), 1);
	cr_expect_eq(times("out", "\n"), HOOK_QUEUE + 1);
}

Test(hooks, finish_waits_for_all)
{
	with_script("yes | head -n 50000; echo $FAIRLEAD_NAME >> $D/out");
	run("a");
	run("b");
	hooks_finish(hooks, 30000);
	cr_expect_str_eq(content("out"), "a\nb\n");
}

Test(hooks, finish_does_not_wait_forever)
{
	long long begun = clock_ms(CLOCK_MONOTONIC);

	with_script("sleep 30");
	run("a");
	hooks_finish(hooks, 100);
	cr_expect_lt(clock_ms(CLOCK_MONOTONIC) - begun, 10000);
}

Test(hooks, two_scripts_side_by_side)
{
	char other[128];
	char *const paths[] = { script, other };

	snprintf(other, sizeof(other), "%s/other.sh", dir.path);
	write_script("sleep 30");
	cr_assert_eq(file_replace(other, "#!/bin/sh\necho other $FAIRLEAD_NAME\n", 36, 0755), 0);
	hooks_configure(hooks, "n", paths, 2);
	run("a");
	run("b");
	cr_assert(wait_for("stderr", "other b"));
}

Test(hooks, replaced_while_it_runs)
{
	with_script("echo old $FAIRLEAD_NAME; while [ ! -e $D/go ]; do sleep 0.05; done; echo old goes");
	run("a");
	cr_assert(wait_for("stderr", "old a"));
	write_script("echo new $FAIRLEAD_NAME");
	run("b");
	cr_assert_eq(file_replace(tempdir_file(&dir, "go"), "", 0, 0644), 0);
	cr_assert(wait_for("stderr", "new b"));
	cr_assert_eq(times("stderr", "old goes"), 1);
	cr_assert_eq(times("stderr", "old b"), 0);
}

Test(hooks, no_longer_configured_while_it_runs)
{
	with_script("echo begun; while [ ! -e $D/go ]; do sleep 0.05; done; echo ends $FAIRLEAD_NAME");
	run("a");
	run("b");
	cr_assert(wait_for("stderr", "begun"));
	hooks_configure(hooks, "n", NULL, 0);
	run("c");
	cr_assert_eq(file_replace(tempdir_file(&dir, "go"), "", 0, 0644), 0);
	cr_assert(wait_for("stderr", "ends a"));
	loop_ms(200);
	cr_assert_eq(times("stderr", "begun"), 1);
}

/* ---- hanging ---- */

Test(hooks, hanging)
{
	long long begun = clock_ms(CLOCK_MONOTONIC);

	with_script("[ $FAIRLEAD_NAME = a ] || { echo next $FAIRLEAD_NAME; exit 0; }\n"
		    "sleep 1000 & echo $! > $D/child; echo $$ > $D/pid; wait");
	run("a");
	run("b");
	cr_assert(wait_for("stderr", "next b"));
	cr_assert(clock_ms(CLOCK_MONOTONIC) - begun >= HOOK_TIMEOUT_S * 1000);
	cr_assert_lt(clock_ms(CLOCK_MONOTONIC) - begun, (HOOK_TIMEOUT_S + HOOK_GRACE_S) * 1000);
	cr_assert(strstr(content("events.log"), "\"event\":\"ended\",\"reason\":\"it took longer than 10 s\""));
	cr_assert(gone("pid"));
	cr_assert(gone("child"));
}

Test(hooks, deaf_to_sigterm)
{
	long long begun = clock_ms(CLOCK_MONOTONIC), took;

	with_script("[ $FAIRLEAD_NAME = a ] || { echo next $FAIRLEAD_NAME; exit 0; }\n"
		    "trap '' TERM; echo $$ > $D/pid; while :; do sleep 1; done");
	run("a");
	run("b");
	cr_assert(wait_for("stderr", "next b"));
	took = clock_ms(CLOCK_MONOTONIC) - begun;
	cr_assert(took >= (HOOK_TIMEOUT_S + HOOK_GRACE_S) * 1000, "%lld ms", took);
	cr_assert(gone("pid"));
}

/* It has ended when it has, whoever holds its output; what it leaves in its group ends with it, a daemon of its own does not. */
Test(hooks, children_keep_its_output)
{
	long long begun = clock_ms(CLOCK_MONOTONIC);

	with_script(
		"sleep 1000 & echo $! > $D/child; setsid sh -c 'echo $$ > '$D'/own.new; mv '$D'/own.new '$D'/own; exec sleep 50' &\n"
		"while [ ! -e $D/own ]; do sleep 0.01; done; echo ends $FAIRLEAD_NAME; rm $D/own.never 2> /dev/null; exit 0");
	run("a");
	cr_assert(wait_for("stderr", "ends a"));
	run("b");
	cr_assert(gone("child"));
	cr_assert(wait_for("stderr", "ends b"));
	cr_assert_lt(clock_ms(CLOCK_MONOTONIC) - begun, HOOK_TIMEOUT_S * 1000);
	cr_assert(alive("own"));
	kill(atoi(content("own")), SIGKILL);
}

/* The loop goes on while one writes without end. */
Test(hooks, writes_without_end)
{
	long long begun = clock_ms(CLOCK_MONOTONIC);
	int rounds = 0;

	with_script("echo $$ > $D/pid; exec yes");
	run("a");
	while (clock_ms(CLOCK_MONOTONIC) - begun < 2000) {
		loop_ms(10);
		rounds++;
	}
	cr_assert_gt(rounds, 60, "%d", rounds);
	kill(atoi(content("pid")), SIGKILL);
	cr_assert(wait_for("stderr", " more lines of output"));
	cr_assert_eq(times("stderr", "]: y\n"), HOOK_LINES);
}

/* ---- others ---- */

Test(hooks, another_child_is_not_reaped)
{
	pid_t pid = fork();
	int status;

	if (!pid)
		_exit(7);
	with_script("exit 0");
	run("a");
	loop_ms(500);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert_eq(WEXITSTATUS(status), 7);
}

Test(hooks, the_daemon_ends)
{
	long long begun;

	with_script("trap '' TERM; echo $$ > $D/pid; echo begun; while :; do sleep 1; done");
	run("a");
	run("b");
	cr_assert(wait_for("stderr", "begun"));
	begun = clock_ms(CLOCK_MONOTONIC);
	hooks_close(hooks);
	hooks = NULL;
	cr_assert_lt(clock_ms(CLOCK_MONOTONIC) - begun, 3000);
	cr_assert(!alive("pid"));
	cr_assert(strstr(content("events.log"), "\"event\":\"ended\",\"reason\":\"the daemon ends\""));
	cr_assert(strstr(content("events.log"), "1 of them: the daemon ends"));
}
