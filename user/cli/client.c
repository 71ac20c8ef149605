// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
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

static int dial(const char *path)
{
	const struct timeval wait = { .tv_sec = ANSWER_TIMEOUT_S };
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
	int fd = path ? dial(path) : -ENOMEM;

	free(path);
	if (fd >= 0)
		close(fd);
	return fd >= 0 || (fd != -ENOENT && fd != -ECONNREFUSED);
}

/* A daemon that refuses early closes its end: its answer is there to be read all the same. */
static void send_line(int fd, const char *text)
{
	size_t len = strlen(text);
	ssize_t n = 1;

	while (len && n > 0) {
		n = send(fd, text, len, MSG_NOSIGNAL);
		if (n > 0) {
			text += n;
			len -= n;
		}
	}
	send(fd, "\n", 1, MSG_NOSIGNAL);
}

/* Everything up to the newline, malloc'ed; NULL and errno */
static char *read_line(int fd)
{
	char *line = NULL;
	size_t size = 0;
	FILE *f = fdopen(dup(fd), "r");
	ssize_t n;

	if (!f)
		return NULL;
	errno = 0;
	n = getline(&line, &size, f);
	if (n <= 0 || line[n - 1] != '\n') {
		int err = errno ? errno : ECONNRESET;

		free(line);
		line = NULL;
		errno = err == EAGAIN ? ETIMEDOUT : err;
	}
	fclose(f);
	return line;
}

int cli_ask(const struct cli *cli, json_t *request, struct answer *answer)
{
	char *path = instance_socket(cli->instance);
	char *text = request ? json_dumps(request, JSON_COMPACT) : NULL;
	char *line = NULL;
	int fd = -1, status = CLI_FAILED;

	*answer = (struct answer){ 0 };
	json_decref(request);
	if (!path || !text) {
		fputs("fairlead: out of memory\n", stderr);
		goto out;
	}
	fd = dial(path);
	if (fd < 0) {
		status = nobody(cli, path, -fd);
		goto out;
	}
	send_line(fd, text);
	line = read_line(fd);
	if (!line) {
		status = nobody(cli, path, errno);
		goto out;
	}
	answer->json = json_loads(line, JSON_DECODE_ANY, NULL);
	if (!json_is_integer(json_object_get(answer->json, "status"))) {
		fprintf(stderr, "fairlead: %s: the answer is not understood\n", path);
		goto out;
	}
	status = json_integer_value(json_object_get(answer->json, "status"));
	answer->result = json_object_get(answer->json, "result");
	answer->error = json_string_value(json_object_get(answer->json, "error"));
	answer->findings = json_object_get(answer->json, "findings");
	answer->file = json_string_value(json_object_get(answer->json, "file"));
out:
	free(line);
	if (fd >= 0)
		close(fd);
	free(text);
	free(path);
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
