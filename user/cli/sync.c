// SPDX-License-Identifier: GPL-2.0-only
#include <stdio.h>
#include <string.h>

#include "user/cli/cli.h"

static int sync_states(const struct cli *cli)
{
	struct answer answer;
	int status = cli_ask(cli, json_pack("{s:s,s:s}", "command", "sync", "what", "states"), &answer);

	cli_tell(cli, &answer, NULL);
	if (!status && cli->json)
		cli_print_json(answer.result);
	else if (!status)
		printf("both nodes send all their states; see \"show sync\"\n");
	cli_answer_free(&answer);
	return status;
}

static int ask_and_print(const struct cli *cli, const char *what, const char *keys, const char *none)
{
	struct answer answer;
	int status = cli_ask(cli, json_pack("{s:s,s:s}", "command", "sync", "what", what), &answer);
	int printed = 0;

	cli_tell(cli, &answer, NULL);
	if (cli->json && answer.result)
		cli_print_json(answer.result);
	else if (answer.result && (!status || json_array_size(answer.result)))
		printed = cli_print_table(answer.result, keys, none);
	cli_answer_free(&answer);
	return status ? status : printed;
}

static int sync_config(const struct cli *cli)
{
	return ask_and_print(cli, "config", "peer outcome config_version error", "no peers");
}

static int sync_diff(const struct cli *cli)
{
	return ask_and_print(cli, "diff", "peer change pointer", "no difference");
}

static int sync_keys(const struct cli *cli)
{
	struct answer answer;
	int status = cli_ask(cli, json_pack("{s:s,s:s}", "command", "sync", "what", "keys"), &answer);

	cli_tell(cli, &answer, NULL);
	if (!status && cli->json)
		cli_print_json(answer.result);
	else if (!status)
		printf("%lld ended\n", json_integer_value(json_object_get(answer.result, "ended")));
	cli_answer_free(&answer);
	return status;
}

static const struct {
	const char *what;
	int (*run)(const struct cli *cli);
} whats[] = {
	{ "states", sync_states },
	{ "config", sync_config },
	{ "diff", sync_diff },
	{ "keys", sync_keys },
};

int cmd_sync(const struct cli *cli, int argc, char **argv)
{
	for (size_t i = 0; argc == 2 && i < sizeof(whats) / sizeof(*whats); i++)
		if (!strcmp(argv[1], whats[i].what))
			return whats[i].run(cli);
	return cli_usage("sync", "it takes states, config, diff or keys");
}
