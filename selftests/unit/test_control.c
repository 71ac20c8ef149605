// SPDX-License-Identifier: GPL-2.0-only
/* The control socket with well-behaved and with broken clients. The server runs in a child process. */
#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#include "selftests/unit/tempdir.h"
#include "user/control/control.h"

#define TIMEOUT_S 2

static struct tempdir dir;
static pid_t server;

static void run_echo(void *arg, const json_t *request, struct control_answer *answer)
{
	(void)arg;
	answer->result = json_deep_copy(json_object_get(request, "value"));
	if (json_object_get(request, "body"))
		answer->result = json_integer(json_string_length(json_object_get(request, "body")));
}

static void run_big(void *arg, const json_t *request, struct control_answer *answer)
{
	char *text = malloc(8u << 20);

	(void)arg, (void)request;
	memset(text, 'x', 8u << 20);
	answer->result = json_stringn(text, 8u << 20);
	free(text);
}

static void run_fail(void *arg, const json_t *request, struct control_answer *answer)
{
	(void)arg, (void)request;
	control_fail(answer, 1, "no %s today", "luck");
}

static void run_last(void *arg, const json_t *request, struct control_answer *answer)
{
	(void)arg, (void)request;
	answer->result = json_string("bye");
	answer->last = true;
}

/* ---- answers that come later: those of "later" when somebody says "now" ---- */

static struct waiter {
	struct client *client;
} waiters[8];

static void waiter_begin(void *arg, struct client *client)
{
	((struct waiter *)arg)->client = client;
}

static void waiter_gone(void *arg)
{
	((struct waiter *)arg)->client = NULL;
}

static void run_later(void *arg, const json_t *request, struct control_answer *answer)
{
	static const struct control_later later = { waiter_begin, waiter_gone };
	struct waiter *w = waiters;

	(void)arg, (void)request;
	while (w->client)
		w++;
	answer->later = &later;
	answer->later_arg = w;
}

static int count_waiters(void)
{
	int n = 0;

	for (size_t i = 0; i < sizeof(waiters) / sizeof(waiters[0]); i++)
		n += waiters[i].client != NULL;
	return n;
}

static void run_now(void *arg, const json_t *request, struct control_answer *answer)
{
	(void)arg, (void)request;
	answer->result = json_integer(count_waiters());
	for (size_t i = 0; i < sizeof(waiters) / sizeof(waiters[0]); i++) {
		struct control_answer later = { .result = json_string("later") };

		if (waiters[i].client)
			control_answer(waiters[i].client, &later);
		else
			json_decref(later.result);
		waiters[i].client = NULL;
	}
}

static void run_waiting(void *arg, const json_t *request, struct control_answer *answer)
{
	(void)arg, (void)request;
	answer->result = json_integer(count_waiters());
}

static const struct control_command commands[] = {
	{ "echo", run_echo },	{ "big", run_big }, { "fail", run_fail },	{ "last", run_last },
	{ "later", run_later }, { "now", run_now }, { "waiting", run_waiting }, { NULL, NULL },
};

static void renew(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	control_renew(arg);
}

static void serve(int ready)
{
	const struct timeval often = { .tv_usec = 20000 };
	struct event_base *base = event_base_new();
	struct control *control;

	signal(SIGPIPE, SIG_IGN);
	if (control_open(&control, base, tempdir_file(&dir, "sock"), commands, NULL, TIMEOUT_S))
		_exit(9);
	event_add(event_new(base, -1, EV_PERSIST, renew, control), &often);
	if (write(ready, "", 1) != 1)
		_exit(9);
	event_base_dispatch(base);
	control_close(control);
	event_base_free(base);
	_exit(0);
}

static void setup(void)
{
	int fds[2];
	char byte;

	signal(SIGPIPE, SIG_IGN);
	tempdir_make(&dir);
	cr_assert_eq(pipe(fds), 0);
	server = fork();
	if (!server)
		serve(fds[1]);
	cr_assert_eq(read(fds[0], &byte, 1), 1);
}

static void teardown(void)
{
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
	tempdir_remove(&dir);
}

/* A connection, or -errno */
static int try_dial(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	int err;

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", tempdir_file(&dir, "sock"));
	if (!connect(fd, (struct sockaddr *)&sun, sizeof(sun)))
		return fd;
	err = -errno;
	close(fd);
	return err;
}

static int dial(void)
{
	int fd = try_dial();

	cr_assert_geq(fd, 0, "%s", strerror(-fd));
	return fd;
}

static void put(int fd, const char *text)
{
	cr_assert_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* One answer, or NULL at the end of the connection */
static json_t *get(FILE *from)
{
	char *line = NULL;
	size_t size = 0;
	json_t *json = NULL;

	if (getline(&line, &size, from) > 0)
		json = json_loads(line, 0, NULL);
	free(line);
	return json;
}

static json_int_t status_of(const json_t *answer)
{
	cr_assert(json_is_integer(json_object_get(answer, "status")));
	return json_integer_value(json_object_get(answer, "status"));
}

/* One request on a connection of its own: status and whether the result equals `expect` (JSON text, NULL: none) */
static void assert_answer(const char *request, json_int_t status, const char *expect)
{
	int fd = dial();
	FILE *from = fdopen(fd, "r");
	json_t *answer, *want = expect ? json_loads(expect, JSON_DECODE_ANY, NULL) : NULL;
	char *line = NULL;

	cr_assert_gt(asprintf(&line, "%s\n", request), 0);
	put(fd, line); /* in one piece: who is answered with an error may be cut off at once */
	free(line);
	answer = get(from);
	cr_assert_eq(status_of(answer), status, "%s", request);
	cr_assert_eq(!want, !json_object_get(answer, "result"));
	if (want)
		cr_assert(json_equal(want, json_object_get(answer, "result")));
	if (status)
		cr_assert(json_is_string(json_object_get(answer, "error")));
	json_decref(want);
	json_decref(answer);
	fclose(from);
}

static void assert_alive(void)
{
	assert_answer("{\"command\":\"echo\",\"value\":[1,\"a\"]}", 0, "[1,\"a\"]");
}

static bool closed_within(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char buf[4096];
	ssize_t n;

	while (poll(&p, 1, ms) == 1) {
		n = recv(fd, buf, sizeof(buf), 0);
		if (n <= 0)
			return true;
	}
	return false;
}

TestSuite(control, .init = setup, .fini = teardown, .timeout = 60);

Test(control, answers)
{
	assert_alive();
	assert_answer("{\"command\":\"fail\"}", 1, NULL);
	assert_answer("{\"command\":\"nothing\"}", 2, NULL);
	assert_answer("{\"value\":1}", 2, NULL);
	assert_answer("[]", 2, NULL);
	assert_answer("{\"command\":\"echo\",\"command\":\"fail\"}", 2, NULL);
	assert_answer("", 2, NULL);
}

Test(control, only_root_may_connect)
{
	struct stat st;

	cr_assert_eq(stat(tempdir_file(&dir, "sock"), &st), 0);
	cr_assert_eq(st.st_mode & 0777, 0600);
}

Test(control, removed_socket_comes_back)
{
	const struct timespec pause = { .tv_nsec = 20000000 };
	const char *path = tempdir_file(&dir, "sock");
	int fd = dial(), again = -1;
	FILE *from = fdopen(fd, "r");
	struct stat st;

	cr_assert_eq(unlink(path), 0);
	/* For a moment it is there and nobody listens: bound, and not yet more. */
	for (int i = 0; i < 250 && again < 0; i++) {
		nanosleep(&pause, NULL);
		again = try_dial();
	}
	cr_assert_geq(again, 0, "%s", strerror(-again));
	close(again);
	assert_alive();
	cr_assert_eq(stat(path, &st), 0);
	cr_assert_eq(st.st_mode & 0777, 0600);
	put(fd, "{\"command\":\"fail\"}\n");
	cr_assert_eq(status_of(get(from)), 1, "a connection from before goes on");
	fclose(from);
}

/* What another one has put in its place is his. */
Test(control, replaced_socket_is_left)
{
	const struct timespec pause = { .tv_nsec = 200000000 };
	const char *path = tempdir_file(&dir, "sock");
	FILE *file = fopen(tempdir_file(&dir, "other"), "w");
	struct stat st;

	cr_assert(file);
	fclose(file);
	cr_assert_eq(rename(tempdir_file(&dir, "other"), path), 0);
	nanosleep(&pause, NULL);
	cr_assert_eq(lstat(path, &st), 0);
	cr_assert(S_ISREG(st.st_mode));
}

Test(control, many_requests_on_one_connection)
{
	int fd = dial();
	FILE *from = fdopen(fd, "r");

	for (int i = 0; i < 500; i++)
		put(fd, "{\"command\":\"echo\",\"value\":7}\n");
	shutdown(fd, SHUT_WR);
	for (int i = 0; i < 500; i++) {
		json_t *answer = get(from);

		cr_assert_eq(status_of(answer), 0, "answer %d", i);
		json_decref(answer);
	}
	cr_assert_null(get(from));
	fclose(from);
}

Test(control, half_lines_add_up)
{
	const struct timespec pause = { .tv_nsec = 20000000 };
	int fd = dial();
	FILE *from = fdopen(fd, "r");
	json_t *answer;

	put(fd, "{\"comm");
	nanosleep(&pause, NULL);
	assert_alive();
	put(fd, "and\":\"echo\",\"val");
	nanosleep(&pause, NULL);
	put(fd, "ue\":3}\n");
	answer = get(from);
	cr_assert_eq(json_integer_value(json_object_get(answer, "result")), 3);
	json_decref(answer);
	fclose(from);
}

Test(control, bodies)
{
	const struct timespec pause = { .tv_nsec = 20000000 };
	int fd = dial();
	FILE *from = fdopen(fd, "r");
	json_t *answer;

	put(fd, "{\"command\":\"echo\",\"body\":5}\n{\n");
	nanosleep(&pause, NULL);
	put(fd, "\n}");
	nanosleep(&pause, NULL);
	put(fd, "\n{\"command\":\"echo\",\"body\":0}\n{\"command\":\"fail\"}\n");
	answer = get(from);
	cr_assert_eq(json_integer_value(json_object_get(answer, "result")), 5);
	json_decref(answer);
	answer = get(from);
	cr_assert_eq(json_integer_value(json_object_get(answer, "result")), 0);
	json_decref(answer);
	answer = get(from);
	cr_assert_eq(status_of(answer), 1);
	json_decref(answer);
	fclose(from);
}

Test(control, a_body_of_megabytes)
{
	const size_t len = 5u << 20;
	char *text = malloc(len + 1);
	int fd = dial();
	FILE *from = fdopen(fd, "r");
	json_t *answer;

	memset(text, '\n', len);
	text[len] = '\0';
	put(fd, "{\"command\":\"echo\",\"body\":5242880}\n");
	put(fd, text);
	answer = get(from);
	cr_assert_eq(json_integer_value(json_object_get(answer, "result")), (json_int_t)len);
	json_decref(answer);
	fclose(from);
	free(text);
}

Test(control, wrong_bodies_end_the_connection)
{
	static const char *const bodies[] = { "-1", "\"x\"", "1.5", "null", "1000000000000" };

	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		char line[100];

		snprintf(line, sizeof(line), "{\"command\":\"echo\",\"body\":%s}\n{\"command\":\"echo\"}", bodies[i]);
		assert_answer(line, 2, NULL);
	}
	assert_alive();
}

Test(control, garbage_is_answered)
{
	unsigned int seed = 1;
	char line[257] = "";

	for (int round = 0; round < 200; round++) {
		for (int i = 0; i < 256; i++) {
			line[i] = rand_r(&seed);
			if (!line[i] || line[i] == '\n')
				line[i] = 'x';
		}
		assert_answer(line, 2, NULL);
	}
	assert_alive();
}

Test(control, a_megabyte_line)
{
	char *line = malloc((1 << 20) + 100);

	strcpy(line, "{\"command\":\"echo\",\"value\":1,\"pad\":\"");
	memset(line + strlen(line), 'x', 1 << 20);
	strcpy(line + 36 + (1 << 20) - 1, "\"}");
	assert_answer(line, 0, "1");
	free(line);
}

/* Deeply nested JSON must end in an answer, not in an overrun stack. */
Test(control, nesting)
{
	char *line = malloc(1 << 20);

	memset(line, '[', (1 << 20) - 1);
	line[(1 << 20) - 1] = '\0';
	assert_answer(line, 2, NULL);
	free(line);
	assert_alive();
}

Test(control, a_line_without_end_is_refused)
{
	char *chunk = malloc(1 << 20);
	int fd = dial();
	size_t sent = 0;
	ssize_t n;

	memset(chunk, 'x', 1 << 20);
	do {
		n = send(fd, chunk, 1 << 20, MSG_NOSIGNAL);
		sent += n > 0 ? n : 0;
	} while (n > 0 && sent < 4u * CONTROL_LINE_MAX);
	cr_assert_lt(sent, 2u * CONTROL_LINE_MAX, "it took %zu bytes", sent);
	cr_assert(closed_within(fd, 1000 * TIMEOUT_S + 2000));
	free(chunk);
	assert_alive();
}

Test(control, two_hundred_connections)
{
	int fds[200], refused = 0;

	for (int i = 0; i < 200; i++)
		fds[i] = dial();
	for (int i = 0; i < 200; i++) {
		struct pollfd p = { .fd = fds[i], .events = POLLIN };

		refused += poll(&p, 1, i < CONTROL_CLIENTS_MAX ? 0 : 1000) == 1;
	}
	cr_assert_eq(refused, 200 - CONTROL_CLIENTS_MAX);
	put(fds[0], "{\"command\":\"echo\",\"value\":1}\n");
	cr_assert_eq(poll(&(struct pollfd){ .fd = fds[0], .events = POLLIN }, 1, 2000), 1, "those within answer");
	for (int i = 0; i < 200; i++)
		close(fds[i]);
	assert_alive();
}

Test(control, silent_clients_are_dropped)
{
	int fd = dial();

	put(fd, "{\"command\":");
	cr_assert(!closed_within(fd, 1000 * TIMEOUT_S - 500));
	cr_assert(closed_within(fd, 2000));
	assert_alive();
}

Test(control, a_client_that_does_not_read_holds_up_nobody)
{
	int fd = dial();
	const struct timespec wait = { .tv_sec = TIMEOUT_S + 1 };

	for (int i = 0; i < 20; i++)
		put(fd, "{\"command\":\"big\"}\n");
	assert_alive();
	nanosleep(&wait, NULL);
	assert_alive();
	cr_assert(closed_within(fd, 2000));
}

Test(control, gone_in_the_middle)
{
	for (int i = 0; i < 50; i++) {
		int fd = dial();

		put(fd, i % 2 ? "{\"command\":\"big\"}\n" : "{\"command\":\"bi");
		close(fd);
	}
	assert_alive();
}

Test(control, the_last_answer_is_sent_before_the_end)
{
	int status;

	assert_answer("{\"command\":\"last\"}", 0, "\"bye\"");
	cr_assert_eq(waitpid(server, &status, 0), server);
	cr_assert(WIFEXITED(status) && !WEXITSTATUS(status));
	cr_assert_neq(access(tempdir_file(&dir, "sock"), F_OK), 0, "the socket is gone");
}

Test(control, the_end_comes_also_when_nobody_waits_for_the_last_answer)
{
	int fd = dial(), status;

	put(fd, "{\"command\":\"last\"}\n");
	close(fd);
	cr_assert_eq(waitpid(server, &status, 0), server);
	cr_assert(WIFEXITED(status) && !WEXITSTATUS(status));
}

/* ---- answers that come later ---- */

/* It is with the command then, and the number of those that wait is as said. */
static void wait_for_waiters(int n)
{
	const struct timespec pause = { .tv_nsec = 10000000 };

	for (int i = 0; i < 1000; i++) {
		int fd = dial();
		FILE *from = fdopen(fd, "r");
		json_t *answer;
		json_int_t got;

		put(fd, "{\"command\":\"waiting\"}\n");
		answer = get(from);
		got = json_integer_value(json_object_get(answer, "result"));
		json_decref(answer);
		fclose(from);
		if (got == n)
			return;
		nanosleep(&pause, NULL);
	}
	cr_assert_fail("never %d that wait", n);
}

static void assert_text(FILE *from, const char *want)
{
	json_t *answer = get(from);

	cr_assert_eq(status_of(answer), 0);
	cr_assert_str_eq(json_string_value(json_object_get(answer, "result")), want);
	json_decref(answer);
}

/* More than the time of silent clients passes; what is asked behind it keeps its turn. */
Test(control, later)
{
	const struct timespec pause = { .tv_sec = TIMEOUT_S, .tv_nsec = 300000000 };
	int fd = dial();
	FILE *from = fdopen(fd, "r");

	put(fd, "{\"command\":\"later\"}\n{\"command\":\"echo\",\"value\":\"next\"}\n");
	wait_for_waiters(1);
	nanosleep(&pause, NULL);
	assert_alive();
	cr_assert_not(closed_within(fd, 0));
	assert_answer("{\"command\":\"now\"}", 0, "1");
	assert_text(from, "later");
	assert_text(from, "next");
	fclose(from);
}

Test(control, later_for_several)
{
	int a = dial(), b = dial();
	FILE *from_a = fdopen(a, "r"), *from_b = fdopen(b, "r");

	put(a, "{\"command\":\"later\"}\n");
	put(b, "{\"command\":\"later\"}\n");
	shutdown(b, SHUT_WR);
	wait_for_waiters(2);
	assert_answer("{\"command\":\"now\"}", 0, "2");
	assert_text(from_a, "later");
	assert_text(from_b, "later");
	fclose(from_b);
	/* the answer has its end, and the connection goes on */
	put(a, "{\"command\":\"echo\",\"value\":\"on\"}\n");
	assert_text(from_a, "on");
	fclose(from_a);
}

/* What is sent to who is gone is lost, and nothing else. */
Test(control, later_for_nobody)
{
	int fd = dial(), other;

	put(fd, "{\"command\":\"later\"}\n");
	wait_for_waiters(1);
	close(fd);
	assert_alive();
	assert_answer("{\"command\":\"now\"}", 0, "1");
	assert_alive();
	/* one that talks on without end is broken, and let go */
	other = dial();
	put(other, "{\"command\":\"later\"}\n");
	wait_for_waiters(1);
	for (int i = 0; i < 100; i++) {
		static char much[1 << 20];

		memset(much, 'x', sizeof(much));
		if (send(other, much, sizeof(much), MSG_NOSIGNAL) <= 0)
			break;
	}
	close(other);
	wait_for_waiters(0);
	assert_alive();
}

Test(control, later_and_the_daemon_ends)
{
	int fd = dial();
	FILE *from = fdopen(fd, "r");
	json_t *answer;

	put(fd, "{\"command\":\"later\"}\n");
	wait_for_waiters(1);
	assert_answer("{\"command\":\"last\"}", 0, "\"bye\"");
	answer = get(from);
	cr_assert_eq(status_of(answer), 1);
	cr_assert(strstr(json_string_value(json_object_get(answer, "error")), "ends"));
	json_decref(answer);
	fclose(from);
	waitpid(server, NULL, 0);
}
