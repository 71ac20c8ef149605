// SPDX-License-Identifier: GPL-2.0-only
#include <stdio.h>
#include <string.h>

#include "user/cli/cli.h"

static const char *const told[][2] = {
	{ "down", "counts as down, whatever its probes say, until \"gateway auto\"" },
	{ "up", "counts as up, whatever its probes say, until \"gateway auto\"" },
	{ "auto", "is what its probes say" },
};

static const char *meaning(const char *verb)
{
	for (size_t i = 0; i < sizeof(told) / sizeof(told[0]); i++)
		if (!strcmp(verb, told[i][0]))
			return told[i][1];
	return NULL;
}

int cmd_gateway(const struct cli *cli, int argc, char **argv)
{
	struct answer answer;
	int status;

	if (argc != 3 || !meaning(argv[1]))
		return cli_usage("gateway", "it takes down, up or auto, and the gateway's name");
	status = cli_ask(cli, json_pack("{s:s,s:s,s:s}", "command", "gateway", "verb", argv[1], "name", argv[2]),
			 &answer);
	cli_tell(cli, &answer, NULL);
	if (!status && cli->json)
		cli_print_json(answer.result);
	else if (!status)
		printf("%s %s\n", argv[2], meaning(argv[1]));
	cli_answer_free(&answer);
	return status;
}
