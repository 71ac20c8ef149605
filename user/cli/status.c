// SPDX-License-Identifier: GPL-2.0-only
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/cli/cli.h"

static void print_age(const char *before, json_int_t ms)
{
	json_int_t s = ms / 1000;

	fputs(before, stdout);
	if (s >= 86400)
		printf("%" JSON_INTEGER_FORMAT " d ", s / 86400);
	if (s >= 3600)
		printf("%" JSON_INTEGER_FORMAT " h ", s / 3600 % 24);
	if (s >= 60)
		printf("%" JSON_INTEGER_FORMAT " min ", s / 60 % 60);
	printf("%" JSON_INTEGER_FORMAT " s\n", s % 60);
}

static void print_line(const char *name, const char *key, const json_t *value)
{
	char *text = cli_text(key, value);

	printf("%-9s %s\n", name, text ? text : "");
	free(text);
}

static void print_first_line(const json_t *result)
{
	const json_t *reasons = json_object_get(result, "reasons");
	json_t *reason;
	size_t i;

	if (!strcmp(json_string_value(json_object_get(result, "state")), "ok")) {
		puts("OK");
		return;
	}
	fputs("DEGRADED: ", stdout);
	json_array_foreach((json_t *)reasons, i, reason) {
		printf("%s%s", i ? "; " : "", json_string_value(reason));
	}
	putchar('\n');
}

static void print_states(const json_t *states)
{
	if (states)
		printf("states    %" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT "\n",
		       json_integer_value(json_object_get(states, "states")),
		       json_integer_value(json_object_get(states, "limit")));
}

static int print_status(const json_t *result)
{
	const json_t *config = json_object_get(result, "config");

	print_first_line(result);
	print_line("node", "node", json_object_get(result, "node"));
	print_line("peer", "peer", json_object_get(result, "peer"));
	print_line("instance", "instance", json_object_get(result, "instance"));
	print_age("up        ", json_integer_value(json_object_get(result, "uptime_ms")));
	print_line("config", "file", json_object_get(config, "file"));
	print_line("version", "version", json_object_get(config, "version"));
	print_line("since", "time_ms", json_object_get(config, "since_ms"));
	print_states(json_object_get(result, "states"));
	putchar('\n');
	if (cli_print_table(json_object_get(result, "interfaces"),
			    "name device mode reason rx_packets tx_packets drops", "no interfaces"))
		return CLI_FAILED;
	if (!json_array_size(json_object_get(result, "tunnels")))
		return CLI_DONE;
	putchar('\n');
	return cli_print_table(json_object_get(result, "tunnels"),
			       "name type local remote mtu rx_packets tx_packets drops", "");
}

int cmd_status(const struct cli *cli, int argc, char **argv)
{
	struct answer answer;
	int status;

	(void)argv;
	if (argc > 1)
		return cli_usage("status", "it takes no argument");
	status = cli_ask(cli, json_pack("{s:s}", "command", "status"), &answer);
	cli_tell(cli, &answer, NULL);
	if (answer.result && cli->json)
		cli_print_json(answer.result);
	else if (answer.result && print_status(answer.result))
		status = CLI_FAILED;
	cli_answer_free(&answer);
	return status;
}
