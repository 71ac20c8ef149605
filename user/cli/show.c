// SPDX-License-Identifier: GPL-2.0-only
#include <stdio.h>
#include <string.h>

#include "user/cli/cli.h"
#include "user/config/suggest.h"

static const struct {
	const char *what;
	const char *keys; /* in this order; what else the daemon tells comes after them */
	const char *none;
} shows[] = {
	{ "interfaces", "name device mode reason rx_packets tx_packets drops", "no interfaces" },
	{ "tunnels", "name type local remote mtu rx_packets tx_packets drops", "no tunnels" },
	{ "translations", "interface internal external mode", "no translations" },
	{ "routes", "destination gateway", "no routes" },
	{ "gateways", "name interface address status rtt_ms loss_pct since_ms reason states", "no gateways" },
	{ "vips", "name interface address vhid role since_ms advskew demotion master adverts_bad not_ready",
	  "no virtual addresses" },
	{ "sync",
	  "peer connected role sent received lag_ms resyncs digest_match config_match config_version pending states_local "
	  "states_peer last_error since_ms",
	  "no peers" },
	{ "groups", "name family trigger failback active since_ms members", "no gateway groups" },
	{ "rules",
	  "index name action direction interface match quick log live state route_to reply_to packets bytes states",
	  "no rules" },
	{ "nat", "index type interface match translate_to packets bytes states", "no translations of addresses" },
	{ "aliases", "name kind entries at_run_time ranges addresses file", "no aliases" },
	{ "drops", "reason interface packets bytes last_ms", "nothing was dropped" },
	{ "config", NULL, NULL },
	{ "history", "back version time_ms summary", "no versions" },
};

#define N_SHOWS (sizeof(shows) / sizeof(shows[0]))

static int unknown(const char *what)
{
	struct suggest near = { .given = what };

	for (size_t i = 0; i < N_SHOWS; i++)
		suggest_offer(&near, shows[i].what);
	suggest_offer(&near, "states");
	suggest_offer(&near, "events");
	if (near.best)
		return cli_usage("show", "there is no \"%s\"; did you mean \"%s\"?", what, near.best);
	return cli_usage("show", "there is no \"%s\"", what);
}

/* A broker's clients: a table of their own behind that of the tunnels. */
static int print_clients(const json_t *tunnels)
{
	int status = CLI_DONE;
	json_t *tunnel;
	size_t i;

	json_array_foreach((json_t *)tunnels, i, tunnel) {
		const json_t *clients = json_object_get(tunnel, "clients");

		if (!json_array_size(clients) || status)
			continue;
		printf("\nclients of %s:\n", json_string_value(json_object_get(tunnel, "name")));
		status = cli_print_table(clients, "name remote address mtu rx_packets tx_packets", "");
	}
	return status;
}

int cmd_show(const struct cli *cli, int argc, char **argv)
{
	struct answer answer;
	size_t i = 0;
	int status;

	if (argc > 1 && !strcmp(argv[1], "states"))
		return cmd_show_states(cli, argc - 1, argv + 1);
	if (argc > 1 && !strcmp(argv[1], "events"))
		return cmd_show_events(cli, argc - 1, argv + 1);
	if (argc != 2)
		return cli_usage("show", "it takes one word, what to show");
	while (i < N_SHOWS && strcmp(argv[1], shows[i].what))
		i++;
	if (i == N_SHOWS)
		return unknown(argv[1]);
	status = cli_ask(cli, json_pack("{s:s,s:s}", "command", "show", "what", argv[1]), &answer);
	cli_tell(cli, &answer, NULL);
	if (!status && (cli->json || !shows[i].keys))
		cli_print_json(answer.result);
	else if (!status)
		status = cli_print_table(answer.result, shows[i].keys, shows[i].none);
	if (!status && !cli->json && !strcmp(shows[i].what, "tunnels"))
		status = print_clients(answer.result);
	cli_answer_free(&answer);
	return status;
}
