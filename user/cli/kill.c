// SPDX-License-Identifier: GPL-2.0-only
#include <stdio.h>
#include <string.h>

#include "user/cli/cli.h"
#include "user/config/suggest.h"

struct killed {
	const struct cli *cli;
	int status;
};

static bool begin(void *arg, const json_t *result)
{
	(void)arg, (void)result;
	return true;
}

static bool take_line(void *arg, char *line)
{
	struct killed *killed = arg;
	json_t *json = json_loads(line, 0, NULL);
	const char *error = json_string_value(json_object_get(json, "error"));
	const json_t *reset = json_object_get(json, "reset"), *asked = json_object_get(json, "asked");
	json_int_t n = json_integer_value(json_object_get(json, "killed"));

	if (error) {
		fprintf(stderr, "fairlead: %s\n", error);
		killed->status = CLI_FAILED;
	} else if (killed->cli->json) {
		cli_print_json(json);
	} else {
		printf("%" JSON_INTEGER_FORMAT " state%s killed", n, n == 1 ? "" : "s");
		if (reset)
			printf(", resets sent for %" JSON_INTEGER_FORMAT, json_integer_value(reset));
		if (asked)
			printf(", the peer was asked to send them for %" JSON_INTEGER_FORMAT,
			       json_integer_value(asked));
		puts("");
	}
	json_decref(json);
	return false;
}

static bool names_some(const json_t *request)
{
	static const char *const keys[] = { "rule", "host", "gateway", "interface", "proto", "port" };

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (json_object_get(request, keys[i]))
			return true;
	}
	return false;
}

static int ask(const struct cli *cli, int argc, char **argv, json_t *request)
{
	struct killed killed = { .cli = cli };
	int status = cli_take_states("kill", true, argc, argv, request);
	bool all = json_is_true(json_object_get(request, "all"));

	if (!status && all && names_some(request))
		status = cli_usage("kill", "either --all, or which states");
	else if (!status && !all && !names_some(request))
		status = cli_usage("kill", "say which states, or --all");
	if (!status)
		status = cli_stream(cli, json_incref(request), begin, take_line, &killed);
	return status ? status : killed.status;
}

int cmd_kill(const struct cli *cli, int argc, char **argv)
{
	struct suggest near = { .given = argc > 1 ? argv[1] : "" };
	json_t *request;
	int status;

	if (argc < 2)
		return cli_usage("kill", "it takes the word \"states\", and which ones");
	suggest_offer(&near, "states");
	if (strcmp(argv[1], "states"))
		return cli_usage("kill", "there is no \"%s\"%s", argv[1],
				 near.best ? "; did you mean \"states\"?" : " to kill; accepted: states");
	request = json_pack("{s:s,s:s}", "command", "kill", "what", "states");
	status = ask(cli, argc - 1, argv + 1, request);
	json_decref(request);
	return status;
}
