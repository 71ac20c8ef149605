// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "user/cli/cli.h"
#include "user/lib/instance.h"

#define ANSWER_TIMEOUT_S 120 /* an apply of many thousand clients takes its time */

static int nobody(const struct cli *cli, const char *path, int err)
{
	bool other = strcmp(cli->instance, INSTANCE_DEFAULT);

	if (err == EACCES || err == EPERM) {
		fprintf(stderr, "fairlead: %s: %s; run it as root\n", path, strerror(err));
		return CLI_FAILED;
	}
	fprintf(stderr, "fairlead: no daemon answers on %s (%s); start it: `", path, strerror(err));
	if (other)
		fprintf(stderr, "fairleadd --instance %s -c FILE`\n", cli->instance);
	else
		fputs("systemctl start fairleadd`, or `fairleadd`\n", stderr);
	return CLI_NOBODY;
}

static int dial(const struct cli *cli, const char *path)
{
	const struct timeval wait = { .tv_sec = cli->timeout_s ? cli->timeout_s : ANSWER_TIMEOUT_S };
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd, err;

	if (strlen(path) >= sizeof(sun.sun_path))
		return -ENAMETOOLONG;
	strcpy(sun.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun))) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

bool cli_daemon_there(const struct cli *cli)
{
	char *path = instance_socket(cli->instance);
	int fd = path ? dial(cli, path) : -ENOMEM;

	free(path);
	if (fd >= 0)
		close(fd);
	return fd >= 0 || (fd != -ENOENT && fd != -ECONNREFUSED);
}

/* A daemon that refuses early closes its end: its answer is there to be read all the same. */
static void send_text(int fd, const char *text, size_t len)
{
	ssize_t n = 1;

	while (len && n > 0) {
		n = send(fd, text, len, MSG_NOSIGNAL);
		if (n > 0) {
			text += n;
			len -= n;
		}
	}
}

/* ---- lines ---- */

/* What has come and is not read yet: text[start .. end). */
struct lines {
	int fd;
	char *text;
	size_t start, end, size;
	size_t seen; /* from start on, searched for a newline */
};

/* The next whole line that is there, without its newline; good until the next call. NULL: none */
static char *next_line(struct lines *lines)
{
	char *line = lines->text + lines->start, *newline;

	newline = lines->end - lines->start > lines->seen
			  ? memchr(line + lines->seen, '\n', lines->end - lines->start - lines->seen)
			  : NULL;
	if (!newline) {
		lines->seen = lines->end - lines->start;
		return NULL;
	}
	*newline = '\0';
	lines->start += newline + 1 - line;
	lines->seen = 0;
	return line;
}

static bool make_room(struct lines *lines)
{
	char *text;

	if (lines->start) {
		memmove(lines->text, lines->text + lines->start, lines->end - lines->start);
		lines->end -= lines->start;
		lines->start = 0;
	}
	if (lines->end < lines->size)
		return true;
	text = realloc(lines->text, lines->size ? 2 * lines->size : 65536);
	if (!text)
		return false;
	lines->text = text;
	lines->size = lines->size ? 2 * lines->size : 65536;
	return true;
}

/* Waits for more; false and errno at the end, which has none of its own. */
static bool read_more(struct lines *lines)
{
	ssize_t n;

	errno = ENOMEM;
	if (!make_room(lines))
		return false;
	n = read(lines->fd, lines->text + lines->end, lines->size - lines->end);
	if (n > 0)
		lines->end += n;
	else if (n == 0)
		errno = ECONNRESET;
	else if (errno == EAGAIN)
		errno = ETIMEDOUT;
	return n > 0;
}

static void lines_close(struct lines *lines)
{
	if (lines->fd >= 0)
		close(lines->fd);
	free(lines->text);
}

/* ---- asking ---- */

static int take_answer(const char *path, const char *line, struct answer *answer)
{
	answer->json = json_loads(line, JSON_DECODE_ANY, NULL);
	if (!json_is_integer(json_object_get(answer->json, "status"))) {
		fprintf(stderr, "fairlead: %s: the answer is not understood\n", path);
		return CLI_FAILED;
	}
	answer->result = json_object_get(answer->json, "result");
	answer->error = json_string_value(json_object_get(answer->json, "error"));
	answer->findings = json_object_get(answer->json, "findings");
	answer->file = json_string_value(json_object_get(answer->json, "file"));
	return json_integer_value(json_object_get(answer->json, "status"));
}

/* As cli_ask_with(), and leaves the connection open. */
static int ask(const struct cli *cli, json_t *request, const char *body, size_t len, struct answer *answer,
	       struct lines *lines)
{
	char *path = instance_socket(cli->instance);
	int failed = body && json_object_set_new(request, "body", json_integer(len));
	char *text = request && !failed ? json_dumps(request, JSON_COMPACT) : NULL;
	int status = CLI_FAILED;
	char *line;

	*answer = (struct answer){ 0 };
	json_decref(request);
	if (!path || !text) {
		fputs("fairlead: out of memory\n", stderr);
		goto out;
	}
	lines->fd = dial(cli, path);
	if (lines->fd < 0) {
		status = nobody(cli, path, -lines->fd);
		goto out;
	}
	send_text(lines->fd, text, strlen(text));
	send_text(lines->fd, "\n", 1);
	if (body)
		send_text(lines->fd, body, len);
	while (!(line = next_line(lines))) {
		if (!read_more(lines)) {
			status = nobody(cli, path, errno);
			goto out;
		}
	}
	status = take_answer(path, line, answer);
out:
	free(text);
	free(path);
	return status;
}

int cli_ask_with(const struct cli *cli, json_t *request, const char *body, size_t len, struct answer *answer)
{
	struct lines lines = { .fd = -1 };
	int status = ask(cli, request, body, len, answer, &lines);

	lines_close(&lines);
	return status;
}

int cli_ask(const struct cli *cli, json_t *request, struct answer *answer)
{
	return cli_ask_with(cli, request, NULL, 0, answer);
}

/* ---- following ---- */

static bool take_line(const char *line, cli_line_fn *each, void *arg)
{
	json_t *json = json_loads(line, 0, NULL);
	bool more = !json || each(arg, json);

	json_decref(json);
	return more;
}

/* False when nobody reads what we print (any more), or more has come. A program that printed nothing would not learn of it. */
static bool wait_for_line(int fd)
{
	struct pollfd p[] = { { .fd = fd, .events = POLLIN }, { .fd = STDOUT_FILENO } };

	while (poll(p, 2, -1) < 0) {
		if (errno != EINTR)
			return false;
	}
	return !(p[1].revents & (POLLERR | POLLNVAL));
}

int cli_follow(const struct cli *cli, json_t *request, cli_line_fn *each, void *arg)
{
	struct lines lines = { .fd = -1 };
	bool follow = json_is_true(json_object_get(request, "follow")), more = true;
	struct answer answer;
	int status = ask(cli, request, NULL, 0, &answer, &lines);
	json_t *event;
	char *line;
	size_t i;

	cli_tell(cli, &answer, NULL);
	json_array_foreach((json_t *)answer.result, i, event) {
		more = more && each(arg, event);
	}
	cli_answer_free(&answer);
	while (!status && follow && more) {
		while (more && (line = next_line(&lines)))
			more = take_line(line, each, arg);
		if (fflush(stdout) || !more || !wait_for_line(lines.fd))
			break;
		if (!read_more(&lines)) {
			fputs("fairlead: the daemon has ended\n", stderr);
			status = CLI_NOBODY;
		}
	}
	lines_close(&lines);
	return status;
}

int cli_stream(const struct cli *cli, json_t *request, cli_begin_fn *begin, cli_text_fn *each, void *arg)
{
	struct lines lines = { .fd = -1 };
	struct answer answer;
	int status = ask(cli, request, NULL, 0, &answer, &lines);
	bool more;
	char *line;

	cli_tell(cli, &answer, NULL);
	more = !status && begin(arg, answer.result);
	cli_answer_free(&answer);
	while (more) {
		while (more && (line = next_line(&lines)))
			more = each(arg, line);
		if (more && !read_more(&lines)) {
			fputs("fairlead: the daemon has ended\n", stderr);
			status = CLI_NOBODY;
			break;
		}
	}
	lines_close(&lines);
	return status;
}

void cli_answer_free(struct answer *answer)
{
	json_decref(answer->json);
	*answer = (struct answer){ 0 };
}

void cli_tell(const struct cli *cli, const struct answer *answer, const char *file)
{
	struct config_report report = { 0 };
	json_t *finding;
	size_t i;

	json_array_foreach((json_t *)answer->findings, i, finding) {
		const char *severity, *pointer, *text;

		if (json_unpack(finding, "{s:s,s:s,s:s}", "severity", &severity, "pointer", &pointer, "text", &text))
			continue;
		config_report_add(&report, !strcmp(severity, "warning"), pointer, "%s", text);
	}
	config_report_print(&report, "fairlead", file ? file : answer->file, stderr);
	config_report_free(&report);
	if (answer->error)
		fprintf(stderr, "fairlead: %s\n", answer->error);
	if (cli->json && answer->json && !answer->result)
		cli_print_json(answer->json);
}
