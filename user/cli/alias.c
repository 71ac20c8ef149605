// SPDX-License-Identifier: GPL-2.0-only
#include <stdio.h>
#include <string.h>

#include "user/cli/cli.h"

static const char *string_of(const json_t *result, const char *key)
{
	const char *text = json_string_value(json_object_get(result, key));

	return text ? text : "";
}

static void print(const json_t *result)
{
	const char *state = string_of(result, "state"), *address = string_of(result, "address");
	const char *alias = string_of(result, "alias");

	if (!strcmp(state, "there"))
		printf("%s is in \"%s\" (%s)\n", address, alias, string_of(result, "entry"));
	else if (!strcmp(state, "unchanged"))
		printf("%s was in \"%s\" already\n", address, alias);
	else
		printf("%s: %s %s\n", alias, address, state);
}

int cmd_alias(const struct cli *cli, int argc, char **argv)
{
	struct answer answer;
	int status;

	if (argc != 4 || (strcmp(argv[1], "add") && strcmp(argv[1], "remove") && strcmp(argv[1], "test")))
		return cli_usage("alias", "it takes add, remove or test, the alias's name, and an address");
	status = cli_ask(cli,
			 json_pack("{s:s,s:s,s:s,s:s}", "command", "alias", "verb", argv[1], "name", argv[2], "address",
				   argv[3]),
			 &answer);
	cli_tell(cli, &answer, NULL);
	if (!status && cli->json)
		cli_print_json(answer.result);
	else if (!status)
		print(answer.result);
	cli_answer_free(&answer);
	return status;
}
