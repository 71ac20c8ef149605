// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "user/cli/cli.h"
#include "user/cli/pcapng.h"
#include "user/lib/event_text.h"

#define DATA_MAX 65535

enum { RULE, HOST, INTERFACE, VERDICT, LAST, FOLLOW, PCAP };

static const struct option options[] = {
	{ "rule", required_argument, NULL, RULE },	     { "host", required_argument, NULL, HOST },
	{ "interface", required_argument, NULL, INTERFACE }, { "verdict", required_argument, NULL, VERDICT },
	{ "last", required_argument, NULL, LAST },	     { "follow", no_argument, NULL, FOLLOW },
	{ "pcap", required_argument, NULL, PCAP },	     { 0 },
};

struct output {
	const struct cli *cli;
	FILE *to;
	struct pcapng *pcapng; /* NULL: text or JSON */
	bool failed;
};

/* Microseconds since 1970 */
static long long time_of(const json_t *event)
{
	return ((long long)(json_number_value(json_object_get(event, "time_ms")) * 2000) + 1) / 2;
}

/* ---- text and JSON ---- */

/* The time of day, and the day if it is not today. */
static void print_time(const struct output *out, long long us)
{
	const time_t s = us / 1000000, now = time(NULL);
	struct tm tm, today;
	char text[32];

	localtime_r(&s, &tm);
	localtime_r(&now, &today);
	strftime(text, sizeof(text),
		 tm.tm_yday == today.tm_yday && tm.tm_year == today.tm_year ? "%H:%M:%S" : "%Y-%m-%d %H:%M:%S", &tm);
	fprintf(out->to, "%s.%06lld ", text, us % 1000000);
}

static void print_text(const struct output *out, const json_t *event)
{
	char text[EVENT_TEXT_MAX];

	if (json_object_get(event, "time_ms"))
		print_time(out, time_of(event));
	fprintf(out->to, "%s\n", event_text(event, text));
}

static void print_json_line(const struct output *out, const json_t *event)
{
	json_dumpf(event, out->to, JSON_COMPACT | JSON_REAL_PRECISION(16));
	putc('\n', out->to);
}

/* ---- pcapng ---- */

static int hex_digit(char c)
{
	const char *digits = "0123456789abcdef", *at = c ? strchr(digits, c) : NULL;

	return at ? at - digits : -1;
}

/* The event's bytes, malloc'ed; NULL: it has none. */
static uint8_t *data_of(const json_t *event, uint32_t *len)
{
	const char *hex = json_string_value(json_object_get(event, "data"));
	size_t n = hex ? strlen(hex) / 2 : 0;
	uint8_t *data = n && n <= DATA_MAX ? malloc(n) : NULL;

	for (size_t i = 0; data && i < n; i++) {
		int high = hex_digit(hex[2 * i]), low = hex_digit(hex[2 * i + 1]);

		data[i] = high < 0 || low < 0 ? 0 : high << 4 | low;
	}
	*len = data ? n : 0;
	return data;
}

static const char *text_of(const json_t *event, const char *key)
{
	const char *text = json_string_value(json_object_get(event, key));

	return text ? text : "?";
}

static char *comment_of(const json_t *event)
{
	const char *rule = json_string_value(json_object_get(event, "rule"));
	const char *reason = json_string_value(json_object_get(event, "reason"));
	bool dropped = rule && reason && !strcmp(text_of(event, "verdict"), "drop");
	char *text = NULL;

	if (asprintf(&text, "%s %s; %s%s%s%s %s on %s", rule ? "rule" : "reason",
		     rule     ? rule
		     : reason ? reason
			      : "?",
		     text_of(event, "verdict"), dropped ? " (" : "", dropped ? reason : "", dropped ? ")" : "",
		     text_of(event, "direction"), text_of(event, "interface")) < 0)
		return NULL;
	return text;
}

static bool write_packet(struct output *out, const json_t *event)
{
	struct pcapng_packet packet = {
		.interface = text_of(event, "interface"),
		.out = !strcmp(text_of(event, "direction"), "out"),
		.time_us = time_of(event),
		.len = json_integer_value(json_object_get(event, "length")),
	};
	uint8_t *data = data_of(event, &packet.captured);
	char *comment = comment_of(event);
	char text[EVENT_TEXT_MAX];
	bool done = true;

	packet.data = data;
	packet.comment = comment;
	if (json_object_get(event, "lost")) /* pcapng has no place for that between packets */
		fprintf(stderr, "fairlead: %s\n", event_text(event, text));
	else if (comment)
		done = pcapng_write(out->pcapng, &packet);
	free(comment);
	free(data);
	return done;
}

/* ---- the command ---- */

static bool print_event(void *arg, const json_t *event)
{
	struct output *out = arg;

	if (out->pcapng)
		write_packet(out, event);
	else if (out->cli->json)
		print_json_line(out, event);
	else
		print_text(out, event);
	if (out->to != stdout && fflush(out->to))
		out->failed = true;
	return !ferror(out->to) && !out->failed;
}

static int add_host(json_t *request, const char *text)
{
	json_t *hosts = json_object_get(request, "host");

	if (!hosts) {
		hosts = json_array();
		json_object_set_new(request, "host", hosts);
	}
	if (json_array_size(hosts) == 2)
		return cli_usage("log", "--host: two at most");
	json_array_append_new(hosts, json_string(text));
	return 0;
}

static int take_last(json_t *request, const char *text)
{
	long n;

	if (!cli_number(text, 1, 4096, &n))
		return cli_usage("log", "--last \"%s\": 1 to 4096", text);
	json_object_set_new(request, "last", json_integer(n));
	return 0;
}

static int take_option(json_t *request, int opt, const char *text, const char **pcap)
{
	switch (opt) {
	case RULE:
	case INTERFACE:
	case VERDICT:
		json_object_set_new(request, options[opt].name, json_string(text));
		return 0;
	case HOST:
		return add_host(request, text);
	case LAST:
		return take_last(request, text);
	case FOLLOW:
		json_object_set_new(request, "follow", json_true());
		return 0;
	default:
		*pcap = text;
		json_object_set_new(request, "data", json_true());
		return 0;
	}
}

static int take_args(int argc, char **argv, json_t *request, const char **pcap)
{
	int opt, status = 0;

	while (!status && (opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt < 0 || opt > PCAP)
			return cli_usage("log", "%s: not known, or its value is missing", argv[optind - 1]);
		status = take_option(request, opt, optarg, pcap);
	}
	if (!status && optind < argc)
		return cli_usage("log", "\"%s\" is too much", argv[optind]);
	if (!status && !json_object_get(request, "last"))
		json_object_set_new(request, "follow", json_true());
	return status;
}

static int open_pcap(struct output *out, const char *file)
{
	if (!strcmp(file, "-")) {
		if (isatty(STDOUT_FILENO))
			return cli_usage("log", "--pcap -: standard output is a terminal; | tcpdump -r -, or > FILE");
	} else {
		out->to = fopen(file, "we");
		if (!out->to) {
			fprintf(stderr, "fairlead: %s: %s\n", file, strerror(errno));
			return CLI_FAILED;
		}
	}
	out->pcapng = pcapng_begin(out->to);
	if (!out->pcapng)
		return CLI_FAILED;
	fflush(out->to); /* who reads it learns what it is before the first packet */
	return 0;
}

static int close_pcap(struct output *out, const char *file, int status)
{
	pcapng_end(out->pcapng);
	if (out->to == stdout)
		return status;
	if (fclose(out->to) || out->failed) {
		fprintf(stderr, "fairlead: %s: %s\n", file, strerror(errno));
		return status ? status : CLI_FAILED;
	}
	return status;
}

/* As main() leaves it where the caller has closed it: nothing printed would tell, but only when there is something to print. */
static int check_stdout(void)
{
	if ((fcntl(STDOUT_FILENO, F_GETFL) & O_ACCMODE) != O_RDONLY)
		return 0;
	fputs("fairlead: standard output: it is closed\n", stderr);
	return CLI_FAILED;
}

int cmd_log(const struct cli *cli, int argc, char **argv)
{
	struct output out = { .cli = cli, .to = stdout };
	json_t *request = json_pack("{s:s}", "command", "log");
	const char *pcap = NULL;
	int status = take_args(argc, argv, request, &pcap);

	signal(SIGPIPE, SIG_IGN); /* a reader that has seen enough ends us in order */
	if (!status && pcap && cli->json)
		status = cli_usage("log", "either --json or --pcap");
	if (!status && (!pcap || !strcmp(pcap, "-")))
		status = check_stdout();
	if (!status && pcap)
		status = open_pcap(&out, pcap);
	if (status) {
		json_decref(request);
		return status;
	}
	status = cli_follow(cli, request, print_event, &out);
	return close_pcap(&out, pcap, status);
}
