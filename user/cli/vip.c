// SPDX-License-Identifier: GPL-2.0-only
#include <stdio.h>
#include <string.h>

#include "user/cli/cli.h"

static bool is_switch(const char *word)
{
	return word && (!strcmp(word, "on") || !strcmp(word, "off"));
}

static bool is_right(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "maintenance"))
		return is_switch(argv[2]);
	return (argc == 2 || argc == 3) && (!strcmp(argv[1], "disable") || !strcmp(argv[1], "enable"));
}

static void tell(int argc, char **argv)
{
	const char *which = argc == 3 ? argv[2] : "all vips";

	if (!strcmp(argv[1], "disable"))
		printf("%s: given up, until \"vip enable\" or the next boot\n", which);
	else if (!strcmp(argv[1], "enable"))
		printf("%s: enabled\n", which);
	else if (!strcmp(argv[2], "on"))
		printf("in maintenance: another node has the vips if there is one, until \"vip maintenance off\"\n");
	else
		printf("no maintenance any more\n");
}

int cmd_vip(const struct cli *cli, int argc, char **argv)
{
	struct answer answer;
	int status;

	if (!is_right(argc, argv))
		return cli_usage("vip", "it takes disable or enable and perhaps a name, or maintenance on or off");
	status = cli_ask(
		cli, json_pack("{s:s,s:s,s:s*}", "command", "vip", "verb", argv[1], "name", argc == 3 ? argv[2] : NULL),
		&answer);
	cli_tell(cli, &answer, NULL);
	if (!status && cli->json)
		cli_print_json(answer.result);
	else if (!status)
		tell(argc, argv);
	cli_answer_free(&answer);
	return status;
}
