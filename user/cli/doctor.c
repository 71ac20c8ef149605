// SPDX-License-Identifier: GPL-2.0-only
#include "user/doctor/doctor.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "user/cli/cli.h"
#include "user/doctor/bundle.h"

#define TIMEOUT_S 3

struct asking {
	struct cli cli;
	bool silent; /* it has a socket, and did not answer: it is not asked again */
};

/* What the daemon refuses, a table that it does not have for instance, is no answer. */
static json_t *ask(void *arg, json_t *request)
{
	struct asking *asking = arg;
	struct answer answer;
	json_t *result;

	if (asking->silent) {
		json_decref(request);
		return NULL;
	}
	cli_ask(&asking->cli, request, &answer);
	asking->silent = !answer.json;
	result = json_incref((json_t *)answer.result);
	cli_answer_free(&answer);
	return result;
}

static int take_options(int argc, char **argv, const char **bundle)
{
	static const struct option options[] = { { "bundle", required_argument, NULL, 'b' }, { 0 } };
	int c;

	*bundle = NULL;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c != 'b')
			return cli_usage("doctor", "no option \"%s\", or it needs a value", argv[optind - 1]);
		*bundle = optarg;
	}
	return optind < argc ? cli_usage("doctor", "it takes no argument \"%s\"", argv[optind]) : CLI_DONE;
}

/* For a table: what a check of the user's own has printed may be many lines. */
static json_t *in_one_line(const json_t *rows)
{
	json_t *copy = json_deep_copy(rows), *row;
	size_t i;

	json_array_foreach(copy, i, row) {
		char *text = strdup(doctor_string(row, "finding"));

		for (char *c = text; c && (c = strpbrk(c, "\r\n\t"));)
			*c = ' ';
		if (text)
			json_object_set_new(row, "finding", json_string(text));
		free(text);
	}
	return copy;
}

static int print_table(const json_t *rows)
{
	json_t *copy = in_one_line(rows);
	int status = cli_print_table(copy, "check result finding remedy", "");

	json_decref(copy);
	return status;
}

static int write_bundle(struct doctor *d, const char *path)
{
	int err = bundle_write(d, path);

	if (err)
		fprintf(stderr, "fairlead: %s: %s\n", path, strerror(-err));
	else
		fprintf(stderr,
			"fairlead: %s is for support. Passwords, keys and tokens are not in it; addresses are\n", path);
	return err ? CLI_FAILED : CLI_DONE;
}

int cmd_doctor(const struct cli *cli, int argc, char **argv)
{
	struct asking asking = { .cli = { .instance = cli->instance, .timeout_s = TIMEOUT_S } };
	const struct doctor_settings settings = {
		.instance = cli->instance, .answers = cli_daemon_there(cli), .ask = ask, .arg = &asking
	};
	const char *bundle;
	struct doctor d;
	int status = take_options(argc, argv, &bundle);

	if (status)
		return status;
	if (doctor_open(&d, &settings)) {
		fputs("fairlead: out of memory\n", stderr);
		doctor_close(&d);
		return CLI_FAILED;
	}
	doctor_run(&d);
	if (cli->json)
		cli_print_json(d.rows);
	else
		status = print_table(d.rows);
	if (bundle && write_bundle(&d, bundle))
		status = CLI_FAILED;
	if (doctor_has_failed(&d))
		status = CLI_FAILED;
	doctor_close(&d);
	return status;
}
