// SPDX-License-Identifier: GPL-2.0-only
/* `show events` */
#include <ctype.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "user/cli/cli.h"
#include "user/cli/since.h"
#include "user/lib/clock.h"
#include "user/lib/journal_text.h"

#define OUT_SIZE (1 << 16)

enum { SINCE, KIND, NAME };

static const struct option options[] = {
	{ "since", required_argument, NULL, SINCE },
	{ "kind", required_argument, NULL, KIND },
	{ "name", required_argument, NULL, NAME },
	{ 0 },
};

struct output {
	const struct cli *cli;
	size_t n;
	bool selected; /* not all were asked for */
	/* the second that was printed last, as text: most events have company */
	time_t second;
	char time[32];
	int status;
};

/* ---- what comes ---- */

static void print_text(struct output *out, const json_t *event)
{
	json_int_t ms = json_integer_value(json_object_get(event, "time_ms"));
	time_t s = ms / 1000;
	char *text = journal_text(event);
	struct tm tm;

	if (s != out->second || !*out->time) {
		out->second = s;
		if (!localtime_r(&s, &tm) || !strftime(out->time, sizeof(out->time), "%Y-%m-%d %H:%M:%S", &tm))
			strcpy(out->time, "?");
	}
	printf("%s.%03d %s\n", out->time, (int)(ms % 1000), text ? text : "?");
	free(text);
}

static bool begin(void *arg, const json_t *result)
{
	struct output *out = arg;

	(void)result;
	if (out->cli->json)
		putchar('[');
	return true;
}

static void finish(struct output *out, const json_t *end)
{
	const char *error = json_string_value(json_object_get(end, "error"));

	if (out->cli->json)
		puts(out->n ? "\n]" : "]");
	else if (!out->n && !error)
		puts(out->selected ? "no such events" : "no events");
	if (!error)
		return;
	fflush(stdout);
	fprintf(stderr, "fairlead: %s\n", error);
	out->status = CLI_FAILED;
}

/* What does not parse is a line that a power cut has damaged. */
static bool take_line(void *arg, char *line)
{
	struct output *out = arg;
	json_t *json = json_loads(line, 0, NULL);
	bool event = json_object_get(json, "time_ms"), last = json && !event;

	if (last)
		finish(out, json);
	else if (event && out->cli->json)
		printf("%s\n%s", out->n ? "," : "", line);
	else if (event)
		print_text(out, json);
	out->n += event;
	json_decref(json);
	return !last && !ferror(stdout);
}

/* ---- the command ---- */

static int take_option(json_t *request, int opt, const char *text)
{
	long long ms;

	if (opt != SINCE) {
		json_object_set_new(request, options[opt].name, json_string(text));
		return 0;
	}
	if (!since_parse(text, clock_ms(CLOCK_REALTIME), &ms))
		return cli_usage(
			"show", "--since \"%s\": accepted: 45s, 30m, 1h, 2d, 1w, or \"YYYY-MM-DD[ HH:MM[:SS]]\"", text);
	json_object_set_new(request, "since_ms", json_integer(ms));
	return 0;
}

static int take_args(int argc, char **argv, json_t *request)
{
	int opt, status = 0;

	while (!status && (opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt < 0 || opt > NAME)
			return cli_usage("show", "%s: not known, or its value is missing", argv[optind - 1]);
		status = take_option(request, opt, optarg);
	}
	if (!status && optind < argc)
		return cli_usage("show", "\"%s\" is too much", argv[optind]);
	return status;
}

int cmd_show_events(const struct cli *cli, int argc, char **argv)
{
	json_t *request = json_pack("{s:s,s:s}", "command", "show", "what", "events");
	struct output out = { .cli = cli, .selected = argc > 1 };
	int status = take_args(argc, argv, request);

	if (status) {
		json_decref(request);
		return status;
	}
	signal(SIGPIPE, SIG_IGN); /* a reader that has seen enough ends us in order */
	setvbuf(stdout, NULL, _IOFBF, OUT_SIZE);
	status = cli_stream(cli, request, begin, take_line, &out);
	return status ? status : out.status;
}
