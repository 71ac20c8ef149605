// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "user/cli/cli.h"
#include "user/config/suggest.h"
#include "user/lib/instance.h"

/*
 * --instance and --json may stand before and behind the command: takes them out of argv, however many words are left is
 * returned; -1 when a value is missing.
 */
static int take_global_options(struct cli *cli, int argc, char **argv)
{
	int left = 1;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--json"))
			cli->json = true;
		else if (!strncmp(argv[i], "--instance=", 11))
			cli->instance = argv[i] + 11;
		else if (strcmp(argv[i], "--instance"))
			argv[left++] = argv[i];
		else if (++i < argc)
			cli->instance = argv[i];
		else
			return -1;
	}
	argv[left] = NULL;
	return left;
}

static int unknown(const char *name)
{
	struct suggest near = { .given = name };

	for (const struct cli_command *c = cli_commands; c->name; c++)
		suggest_offer(&near, c->name);
	if (near.best)
		return cli_usage(NULL, "no command \"%s\"; did you mean \"%s\"?", name, near.best);
	return cli_usage(NULL, "no command \"%s\"", name);
}

static bool asks_for_help(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
			return true;
	}
	return false;
}

static int run(int argc, char **argv)
{
	struct cli cli = { .instance = INSTANCE_DEFAULT };

	opterr = 0; /* commands say themselves what is wrong with an option */
	argc = take_global_options(&cli, argc, argv);
	if (argc < 0)
		return cli_usage(NULL, "--instance needs a name");
	if (!instance_name_valid(cli.instance))
		return cli_usage(NULL, "--instance \"%s\" is no name of an instance", cli.instance);
	if (argc < 2)
		return cli_usage(NULL, "no command is given");
	if (!strcmp(argv[1], "--version")) {
		puts("fairlead " FAIRLEAD_VERSION);
		return CLI_DONE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
		return cmd_help(&cli, 1, argv + 1);
	for (const struct cli_command *c = cli_commands; c->name; c++) {
		if (strcmp(argv[1], c->name))
			continue;
		if (asks_for_help(argc - 1, argv + 1))
			return cmd_help(&cli, 2, (char *[]){ argv[0], argv[1], NULL });
		return c->run(&cli, argc - 1, argv + 1);
	}
	return unknown(argv[1]);
}

/*
 * A caller may have closed them: the socket must not become what we print to. Of standard output it shall be seen that nothing can
 * be written.
 */
static void keep_standard_files(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == STDOUT_FILENO ? O_RDONLY : O_RDWR) < 0)
			return;
}

/* What could not be written is a failure of a command that did all else; a wrong command line stays that. */
static int close_output(int status)
{
	struct pollfd out = { .fd = STDOUT_FILENO, .events = POLLOUT };
	bool unread = poll(&out, 1, 0) == 1 && out.revents & POLLERR; /* a pipe whose reader has seen enough */
	bool lost = ferror(stdout);

	errno = 0;
	if (fclose(stdout))
		lost = true;
	if (!lost || unread)
		return status;
	fprintf(stderr, "fairlead: standard output: %s\n", errno ? strerror(errno) : "not all of it could be written");
	return status == CLI_DONE ? CLI_FAILED : status;
}

int main(int argc, char **argv)
{
	keep_standard_files();
	return close_output(run(argc, argv));
}
