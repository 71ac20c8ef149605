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

/* ---- two nodes side by side ---- */

static char *joined(const json_t *list)
{
	char *all = NULL;
	json_t *item;
	size_t i;

	json_array_foreach((json_t *)list, i, item) {
		char *before = all;

		if (asprintf(&all, "%s%s%s", before ? before : "", before ? "; " : "", json_string_value(item)) < 0)
			all = NULL;
		free(before);
	}
	return all;
}

static void print_pair(const char *name, const char *left, const char *right)
{
	printf("%-9s %-24s %s\n", name, left ? left : "", right ? right : "");
}

static void print_both(const char *name, const char *key, const json_t *left, const json_t *right)
{
	char *a = left ? cli_text(key, left) : NULL, *b = right ? cli_text(key, right) : NULL;

	print_pair(name, a, b);
	free(a);
	free(b);
}

static const json_t *role_of(const json_t *status, const char *vip)
{
	const json_t *vips = json_object_get(status, "vips");
	json_t *row;
	size_t i;

	json_array_foreach((json_t *)vips, i, row) {
		const char *name = json_string_value(json_object_get(row, "name"));

		if (name && !strcmp(name, vip))
			return json_object_get(row, "role");
	}
	return NULL;
}

static void print_vips(const json_t *result, const json_t *peer)
{
	json_t *row;
	size_t i;

	json_array_foreach(json_object_get(result, "vips"), i, row) {
		const char *name = json_string_value(json_object_get(row, "name"));

		print_both(name, "role", json_object_get(row, "role"), role_of(peer, name));
	}
}

/* Of the peer only what it has said: one that is not connected has said nothing. */
static void print_peer(const json_t *result, const json_t *peer)
{
	bool connected = json_is_true(json_object_get(peer, "connected"));
	const char *error = json_string_value(json_object_get(peer, "last_error"));
	char *reasons = joined(json_object_get(peer, "reasons"));

	print_both("node", "node", json_object_get(result, "node"), json_object_get(peer, "name"));
	print_both("state", "state", json_object_get(result, "state"), json_object_get(peer, "state"));
	print_both("software", "version", json_object_get(result, "version"), json_object_get(peer, "version"));
	print_both("config", "version", json_object_get(json_object_get(result, "config"), "version"),
		   json_object_get(json_object_get(peer, "config"), "version"));
	print_vips(result, peer);
	if (!connected)
		printf("peer      not connected: %s\n", error ? error : "");
	else if (error && *error)
		printf("peer      %s\n", error);
	if (reasons)
		printf("peer      degraded: %s\n", reasons);
	free(reasons);
}

static void print_peers(const json_t *result)
{
	const json_t *peers = json_object_get(result, "peers"), *peer = json_object_get(result, "peer");
	json_t *one;
	size_t i;

	if (!json_is_object(peer)) {
		print_line("node", "node", json_object_get(result, "node"));
		return;
	}
	if (!peers)
		print_peer(result, peer);
	json_array_foreach((json_t *)peers, i, one) {
		print_peer(result, one);
	}
}

static int print_status(const json_t *result)
{
	const json_t *config = json_object_get(result, "config");

	print_first_line(result);
	print_peers(result);
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
