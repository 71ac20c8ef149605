/* SPDX-License-Identifier: GPL-2.0-only */
/* Helpers of test_system*.c. */
#include "selftests/net/test_system.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

struct system *sys;
struct told told;

static void on_changed(void *arg, unsigned int what)
{
	struct told *t = arg;

	t->what |= what;
	t->times++;
}

__attribute__((format(printf, 1, 2))) void run(const char *fmt, ...)
{
	char command[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(command, sizeof(command), fmt, ap);
	va_end(ap);
	cr_assert_eq(system(command), 0, "failed: %s", command);
}

pid_t far_namespace(void)
{
	int ready[2];
	char byte;
	pid_t pid;

	cr_assert_eq(pipe2(ready, O_CLOEXEC), 0);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (unshare(CLONE_NEWNET) || write(ready[1], "", 1) != 1)
			_exit(2);
		pause();
		_exit(0);
	}
	close(ready[1]);
	cr_assert_eq(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return pid;
}

__attribute__((format(printf, 1, 2))) json_t *ip(const char *fmt, ...)
{
	char command[512] = "ip -j ";
	json_t *all, *some = json_array(), *item;
	size_t i, n = strlen(command);
	va_list ap;
	FILE *f;

	va_start(ap, fmt);
	vsnprintf(command + n, sizeof(command) - n, fmt, ap);
	va_end(ap);
	f = popen(command, "r");
	cr_assert_not_null(f);
	all = json_loadf(f, 0, NULL);
	cr_assert_eq(pclose(f), 0, "failed: %s", command);
	json_array_foreach(all, i, item)
		if (json_object_size(item))
			json_array_append(some, item);
	json_decref(all);
	return some;
}

const char *text(json_t *object, const char *key)
{
	const char *value = json_string_value(json_object_get(object, key));

	return value ? value : "";
}

long long number(json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

bool has_flag(json_t *link, const char *flag)
{
	json_t *value;
	size_t i;

	json_array_foreach(json_object_get(link, "flags"), i, value)
		if (!strcmp(json_string_value(value), flag))
			return true;
	return false;
}

unsigned int dispatch(void)
{
	told = (struct told){ 0 };
	cr_assert_eq(system_dispatch(sys), 0);
	return told.what;
}

unsigned int settle(void)
{
	struct pollfd p = { .fd = system_fd(sys), .events = POLLIN };
	unsigned int what = 0;

	for (int i = 0; i < 100 && poll(&p, 1, 150) > 0; i++)
		what |= dispatch();
	return what;
}

void sysctl_is(const char *key, const char *expected)
{
	char value[64];

	cr_assert_eq(sysctl_get(key, value, sizeof(value)), 0, "%s", key);
	cr_assert_str_eq(value, expected, "%s is %s", key, value);
}

struct prefix prefix(const char *s)
{
	struct prefix p = { 0 };

	cr_assert_eq(prefix_parse(s, &p), 0, "%s", s);
	return p;
}

struct addr addr(const char *s)
{
	struct addr a = { 0 };

	if (s)
		cr_assert_eq(addr_parse(s, &a), 0, "%s", s);
	return a;
}

uint32_t index_of(const char *name)
{
	struct link_entry entry;

	cr_assert_eq(link_query(sys, name, 0, &entry), 0, "%s", name);
	return entry.link.ifindex;
}

void set_up(void)
{
	if (geteuid())
		cr_skip_test("needs root");
	cr_assert_eq(unshare(CLONE_NEWNET), 0);
	/* nothing that comes by itself and late: link-local addresses, multicast neighbours */
	cr_assert_eq(sysctl_set("net.ipv6.conf.default.addr_gen_mode", "1"), 0);
	cr_assert_eq(sysctl_set("net.ipv6.conf.default.disable_ipv6", "1"), 0);
	run("ip link set lo up");
	cr_assert_eq(system_open(&sys, on_changed, &told), 0);
}

void tear_down(void)
{
	system_close(sys);
}
