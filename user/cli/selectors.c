// SPDX-License-Identifier: GPL-2.0-only
/* Which states `show states` and `kill states` mean. */
#include <getopt.h>
#include <netdb.h>
#include <string.h>

#include "user/cli/cli.h"
#include "user/config/suggest.h"

enum { RULE, HOST, GATEWAY, INTERFACE, PROTO, PORT, SORT, LIMIT, COUNT, ALL, RESET };

#define SELECTORS \
	{ "rule", required_argument, NULL, RULE }, { "host", required_argument, NULL, HOST }, \
		{ "gateway", required_argument, NULL, GATEWAY }, { "interface", required_argument, NULL, INTERFACE }, \
		{ "proto", required_argument, NULL, PROTO }, \
	{ \
		"port", required_argument, NULL, PORT \
	}

static const struct option show_options[] = {
	SELECTORS,
	{ "sort", required_argument, NULL, SORT },
	{ "limit", required_argument, NULL, LIMIT },
	{ "count", no_argument, NULL, COUNT },
	{ 0 },
};

static const struct option kill_options[] = {
	SELECTORS,
	{ "all", no_argument, NULL, ALL },
	{ "reset", no_argument, NULL, RESET },
	{ 0 },
};

static const char *const text_keys[] = {
	[RULE] = "rule", [GATEWAY] = "gateway", [INTERFACE] = "interface", [SORT] = "sort"
};
static const char *const flag_keys[] = { [COUNT] = "count", [ALL] = "all", [RESET] = "reset" };

static int take_host(const char *command, json_t *request, const char *text)
{
	json_t *hosts = json_object_get(request, "host");

	if (!hosts) {
		hosts = json_array();
		json_object_set_new(request, "host", hosts);
	}
	if (json_array_size(hosts) == 2)
		return cli_usage(command, "--host: two at most");
	json_array_append_new(hosts, json_string(text));
	return CLI_DONE;
}

static int take_proto(const char *command, json_t *request, const char *text)
{
	struct suggest near = { .given = text };
	static const char *const usual[] = { "tcp", "udp", "icmp", "ipv6-icmp", "esp", "gre", "sctp", "ipv6" };
	const struct protoent *p;
	long proto;

	if (!cli_number(text, 1, 255, &proto)) {
		p = getprotobyname(text);
		if (!p || !p->p_proto) {
			for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++)
				suggest_offer(&near, usual[i]);
			return cli_usage(command, "--proto \"%s\": neither a name in /etc/protocols nor 1 to 255%s%s%s",
					 text, near.best ? "; did you mean \"" : "", near.best ? near.best : "",
					 near.best ? "\"?" : "");
		}
		proto = p->p_proto;
	}
	json_object_set_new(request, "proto", json_integer(proto));
	return CLI_DONE;
}

static int take_number(const char *command, json_t *request, const char *key, const char *text, long max)
{
	long n;

	if (!cli_number(text, 1, max, &n))
		return cli_usage(command, "--%s \"%s\": 1 to %ld", key, text, max);
	json_object_set_new(request, key, json_integer(n));
	return CLI_DONE;
}

static int take_option(const char *command, json_t *request, int opt, const char *text)
{
	switch (opt) {
	case HOST:
		return take_host(command, request, text);
	case PROTO:
		return take_proto(command, request, text);
	case PORT:
		return take_number(command, request, "port", text, 65535);
	case LIMIT:
		return take_number(command, request, "limit", text, 100000000);
	case COUNT:
	case ALL:
	case RESET:
		json_object_set_new(request, flag_keys[opt], json_true());
		return CLI_DONE;
	default:
		json_object_set_new(request, text_keys[opt], json_string(text));
		return CLI_DONE;
	}
}

static int unknown_option(const char *command, const struct option *options, const char *given)
{
	struct suggest near = { .given = given };

	if (!strncmp(given, "--", 2))
		near.given += 2;
	for (; options->name; options++)
		suggest_offer(&near, options->name);
	if (near.best && strcmp(near.best, near.given))
		return cli_usage(command, "%s: not known; did you mean --%s?", given, near.best);
	return cli_usage(command, "%s: not known, or its value is missing", given);
}

int cli_take_states(const char *command, bool kill, int argc, char **argv, json_t *request)
{
	const struct option *options = kill ? kill_options : show_options;
	int opt, status = CLI_DONE;

	while (!status && (opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt < RULE || opt > RESET)
			return unknown_option(command, options, argv[optind - 1]);
		status = take_option(command, request, opt, optarg);
	}
	if (!status && optind < argc)
		return cli_usage(command, "\"%s\" is too much", argv[optind]);
	return status;
}
