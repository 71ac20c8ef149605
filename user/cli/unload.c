// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "user/cli/cli.h"

static void print_list(const struct cli *cli, const json_t *effects)
{
	json_t *effect;
	size_t i;

	if (cli->json) {
		json_t *result = json_pack("{s:O}", "no_longer", (json_t *)effects);

		cli_print_json(result);
		json_decref(result);
		return;
	}
	printf("unloaded; fairleadd does not run%s\n", json_array_size(effects) ? ". What no longer holds:" : "");
	json_array_foreach((json_t *)effects, i, effect) {
		printf("  %s\n", json_string_value(effect));
	}
}

/* ---- no daemon: fairleadd --unload ---- */

/* The one beside this program, else the one in PATH. Does not return. */
static void exec_fairleadd(const struct cli *cli)
{
	char path[PATH_MAX + 16];
	ssize_t n = readlink("/proc/self/exe", path, PATH_MAX);

	if (n > 0 && n < PATH_MAX) {
		path[n] = '\0';
		strcpy(strrchr(path, '/') + 1, "fairleadd");
		execl(path, path, "--unload", "--instance", cli->instance, NULL);
	}
	execlp("fairleadd", "fairleadd", "--unload", "--instance", cli->instance, NULL);
	fprintf(stderr, "fairlead: fairleadd can't be run: %s\n", strerror(errno));
	_exit(CLI_FAILED);
}

static json_t *read_lines(int fd)
{
	json_t *lines = json_array();
	FILE *from = fdopen(fd, "r");
	char *line = NULL;
	size_t size = 0;

	while (from && getline(&line, &size, from) > 0) {
		line[strcspn(line, "\n")] = '\0';
		json_array_append_new(lines, json_string(line));
	}
	free(line);
	if (from)
		fclose(from);
	return lines;
}

static int unload_without_daemon(const struct cli *cli)
{
	int fds[2], status = -1;
	json_t *lines;
	pid_t pid;

	if (pipe(fds))
		return CLI_FAILED;
	pid = fork();
	if (!pid) {
		dup2(fds[1], STDOUT_FILENO);
		close(fds[0]);
		close(fds[1]);
		exec_fairleadd(cli);
	}
	close(fds[1]);
	lines = read_lines(fds[0]);
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status)) {
		json_decref(lines);
		return CLI_FAILED;
	}
	print_list(cli, lines);
	json_decref(lines);
	return CLI_DONE;
}

/* ---- the command ---- */

int cmd_unload(const struct cli *cli, int argc, char **argv)
{
	struct answer answer;
	int status;

	if (argc > 2 || (argc == 2 && strcmp(argv[1], "--yes")))
		return cli_usage("unload", "it takes --yes only");
	if (argc < 2) {
		fprintf(stderr,
			"fairlead: this would take the programs of instance \"%s\" off all interfaces, remove its maps, tunnel\n"
			"devices, shared addresses and routes, put the forwarding switches back to what they were, and end the daemon.\n"
			"Packets then go as the kernel alone decides. Nothing was done; `fairlead unload --yes` does it.\n",
			cli->instance);
		return CLI_WRONG;
	}
	if (!cli_daemon_there(cli))
		return unload_without_daemon(cli);
	status = cli_ask(cli, json_pack("{s:s}", "command", "unload"), &answer);
	cli_tell(cli, &answer, NULL);
	if (!status)
		print_list(cli, json_object_get(answer.result, "no_longer"));
	cli_answer_free(&answer);
	return status;
}
