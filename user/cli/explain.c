// SPDX-License-Identifier: GPL-2.0-only
#include <getopt.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "user/cli/explain.h"

/* The bit of a letter is its place (RFC 9293 section 3.1, RFC 3168 section 6.1). */
#define TCP_FLAGS "FSRPAUEW"
#define TCP_SYN 0x02

static const struct {
	const char *name;
	int v4, v6; /* -1: that ICMP has none */
} icmp_types[] = {
	{ "echo-request", 8, 128 },	     { "echo-reply", 0, 129 },
	{ "destination-unreachable", 3, 1 }, { "packet-too-big", -1, 2 },
	{ "time-exceeded", 11, 3 },	     { "parameter-problem", 12, 4 },
	{ "source-quench", 4, -1 },	     { "redirect", 5, 137 },
	{ "timestamp-request", 13, -1 },     { "timestamp-reply", 14, -1 },
	{ "mld-listener-query", -1, 130 },   { "mld-listener-report", -1, 131 },
	{ "mld-listener-done", -1, 132 },    { "router-advertisement", 9, 134 },
	{ "router-solicitation", 10, 133 },  { "nd-router-solicit", -1, 133 },
	{ "nd-router-advert", -1, 134 },     { "nd-neighbor-solicit", -1, 135 },
	{ "nd-neighbor-advert", -1, 136 },   { "nd-redirect", -1, 137 },
	{ "mld2-listener-report", -1, 143 },
};

enum { IN, SRC, DST, PROTO, SPORT, DPORT, TCPFLAGS, ICMPTYPE, N_ARGS };

static const struct option options[] = {
	{ "in", required_argument, NULL, IN },
	{ "src", required_argument, NULL, SRC },
	{ "dst", required_argument, NULL, DST },
	{ "proto", required_argument, NULL, PROTO },
	{ "sport", required_argument, NULL, SPORT },
	{ "dport", required_argument, NULL, DPORT },
	{ "tcp-flags", required_argument, NULL, TCPFLAGS },
	{ "icmp-type", required_argument, NULL, ICMPTYPE },
	{ 0 },
};

static int parse_proto(const char *text, long *out)
{
	struct protoent *p;

	if (cli_number(text, 0, 255, out))
		return 0;
	p = getprotobyname(text);
	if (!p)
		return cli_usage("explain", "--proto \"%s\": neither a name in /etc/protocols nor 0 to 255", text);
	*out = p->p_proto;
	return 0;
}

static int parse_port(const char *option, const char *text, long proto, json_t *request, const char *key)
{
	struct servent *s;
	long port;

	if (!text)
		return 0;
	if (!cli_number(text, 0, 65535, &port)) {
		s = getservbyname(text, proto == IPPROTO_UDP ? "udp" : "tcp");
		if (!s)
			return cli_usage("explain", "--%s \"%s\": neither a name in /etc/services nor 0 to 65535",
					 option, text);
		port = ntohs(s->s_port);
	}
	json_object_set_new(request, key, json_integer(port));
	return 0;
}

static int parse_tcp_flags(const char *text, json_t *request)
{
	long flags = 0;

	for (; text && *text; text++) {
		const char *at = strchr(TCP_FLAGS, *text);

		if (!at)
			return cli_usage("explain", "--tcp-flags: '%c' is none of %s", *text, TCP_FLAGS);
		flags |= 1 << (at - TCP_FLAGS);
	}
	json_object_set_new(request, "tcp_flags", json_integer(flags ? flags : TCP_SYN));
	return 0;
}

static int parse_icmp_type(const char *text, bool v6, json_t *request)
{
	long type = -1;

	if (!text)
		text = "echo-request";
	if (!cli_number(text, 0, 255, &type)) {
		for (size_t i = 0; i < sizeof(icmp_types) / sizeof(icmp_types[0]); i++) {
			if (!strcasecmp(text, icmp_types[i].name))
				type = v6 ? icmp_types[i].v6 : icmp_types[i].v4;
		}
	}
	if (type < 0)
		return cli_usage("explain", "--icmp-type \"%s\": no type of ICMP%s", text, v6 ? "v6" : "");
	json_object_set_new(request, "icmp_type", json_integer(type));
	return 0;
}

static int take_args(int argc, char **argv, const char **args)
{
	int opt;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt < 0 || opt >= N_ARGS)
			return cli_usage("explain", "%s: not known, or its value is missing", argv[optind - 1]);
		args[opt] = optarg;
	}
	if (optind < argc)
		return cli_usage("explain", "\"%s\" is too much", argv[optind]);
	for (int i = IN; i <= PROTO; i++) {
		if (!args[i])
			return cli_usage("explain", "--%s is needed", options[i].name);
	}
	return 0;
}

/* An option that the packet has no place for would be left out without a word. */
static int check_fits(const char **args, long proto)
{
	bool icmp = proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6;
	bool ports = proto == IPPROTO_TCP || proto == IPPROTO_UDP;

	if (args[TCPFLAGS] && proto != IPPROTO_TCP)
		return cli_usage("explain", "--tcp-flags: goes with --proto tcp only");
	if (args[ICMPTYPE] && !icmp)
		return cli_usage("explain", "--icmp-type: goes with --proto icmp or ipv6-icmp only");
	for (int i = SPORT; i <= DPORT; i++) {
		if (args[i] && !ports)
			return cli_usage("explain", "--%s: goes with --proto tcp or udp only", options[i].name);
	}
	return 0;
}

/* The request, or NULL: told why. The daemon checks addresses and interface. */
static json_t *build(const char **args)
{
	json_t *request = json_pack("{s:s,s:s,s:s,s:s}", "command", "explain", "in", args[IN], "src", args[SRC], "dst",
				    args[DST]);
	bool v6 = args[SRC] && strchr(args[SRC], ':');
	long proto;
	int err;

	err = parse_proto(args[PROTO], &proto);
	if (!err)
		err = check_fits(args, proto);
	if (err)
		goto out;
	json_object_set_new(request, "proto", json_integer(proto));
	err = parse_port("sport", args[SPORT], proto, request, "sport");
	if (!err)
		err = parse_port("dport", args[DPORT], proto, request, "dport");
	if (!err && proto == IPPROTO_TCP)
		err = parse_tcp_flags(args[TCPFLAGS], request);
	if (!err && (proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6))
		err = parse_icmp_type(args[ICMPTYPE], v6, request);
out:
	if (err) {
		json_decref(request);
		return NULL;
	}
	return request;
}

/* "tcp 192.0.2.80 port 4000 > 203.0.113.1 port 80, in by lan". The source is the one that was taken. */
static void packet_text(const char **args, const json_t *answer, char *buf, size_t len)
{
	const char *source = json_string_value(json_object_get(answer, "source"));
	const char *in = args[IN] ? args[IN] : "?";
	bool self = !strcmp(in, "self");

	snprintf(buf, len, "%s %s%s%s > %s%s%s, %s%s", args[PROTO], source ? source : args[SRC],
		 args[SPORT] ? " port " : "", args[SPORT] ? args[SPORT] : "", args[DST], args[DPORT] ? " port " : "",
		 args[DPORT] ? args[DPORT] : "", self ? "the router's own" : "in by ", self ? "" : in);
}

int cmd_explain(const struct cli *cli, int argc, char **argv)
{
	const char *args[N_ARGS] = { 0 };
	struct answer answer;
	char packet[512];
	json_t *request;
	int status;

	if (take_args(argc, argv, args))
		return CLI_WRONG;
	request = build(args);
	if (!request)
		return CLI_WRONG;
	status = cli_ask(cli, request, &answer);
	cli_tell(cli, &answer, NULL);
	if (!status && cli->json)
		cli_print_json(answer.result);
	if (!status && !cli->json) {
		packet_text(args, answer.result, packet, sizeof(packet));
		explain_print(answer.result, packet);
	}
	cli_answer_free(&answer);
	return status;
}
