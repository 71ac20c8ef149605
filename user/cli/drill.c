// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "user/cli/cli.h"
#include "user/config/suggest.h"
#include "user/drill/drill.h"
#include "user/lib/drill_result.h"
#include "user/lib/file.h"
#include "user/lib/program.h"

#define GAP_MAX_MS 3600000

struct options {
	struct drill_options drill;
	const char *report;
	const char *checks_of; /* a drill, which the daemon has started this for */
	long after_ms;
	bool list;
};

/* ---- what a drill needs of this program ---- */

/* Nobody may answer: the daemon may be what the drill has killed. */
static json_t *ask(void *arg, json_t *request, char **error)
{
	const struct cli *cli = arg;
	struct answer answer;
	json_t *result;

	if (!cli_daemon_there(cli)) {
		json_decref(request);
		return NULL;
	}
	cli_ask(cli, request, &answer);
	if (answer.error)
		*error = strdup(answer.error);
	result = json_incref((json_t *)answer.result);
	cli_answer_free(&answer);
	return result;
}

static bool confirm(void *arg, const char *what)
{
	char line[16] = "";

	(void)arg;
	if (!isatty(STDIN_FILENO)) {
		fprintf(stderr, "fairlead: %s\nNothing was done; --yes does it.\n", what);
		return false;
	}
	fprintf(stderr, "%s Go on? [y/N] ", what);
	return fgets(line, sizeof(line), stdin) && (line[0] == 'y' || line[0] == 'Y');
}

static void progress(void *arg, const char *what)
{
	(void)arg;
	fprintf(stderr, "fairlead: %s\n", what);
}

/* ---- the command line ---- */

static int list(const struct cli *cli)
{
	json_t *rows = json_array();
	int status = CLI_DONE;

	for (const struct drill_scenario *s = drill_scenarios; s->name; s++)
		json_array_append_new(rows, json_pack("{s:s,s:s}", "scenario", s->name, "what", s->summary));
	if (cli->json)
		cli_print_json(rows);
	else
		status = cli_print_table(rows, "scenario what", "");
	json_decref(rows);
	return status;
}

static int unknown(const char *name)
{
	struct suggest near = { .given = name };

	for (const struct drill_scenario *s = drill_scenarios; s->name; s++)
		suggest_offer(&near, s->name);
	if (near.best)
		return cli_usage("drill", "no scenario \"%s\"; did you mean \"%s\"?", name, near.best);
	return cli_usage("drill", "no scenario \"%s\"; `fairlead drill --list` has them", name);
}

static int take_options(struct options *o, int argc, char **argv)
{
	static const struct option names[] = { { "list", no_argument, NULL, 'l' },
					       { "target", required_argument, NULL, 't' },
					       { "max-gap-ms", required_argument, NULL, 'g' },
					       { "report", required_argument, NULL, 'r' },
					       { "yes", no_argument, NULL, 'y' },
					       { "checks-of", required_argument, NULL, 'c' },
					       { "after-ms", required_argument, NULL, 'a' },
					       { 0 } };
	long gap;
	int opt;

	optind = 0;
	while ((opt = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (opt == 'l')
			o->list = true;
		else if (opt == 't')
			o->drill.target = optarg;
		else if (opt == 'r')
			o->report = optarg;
		else if (opt == 'y')
			o->drill.yes = true;
		else if (opt == 'c')
			o->checks_of = optarg;
		else if (opt == 'a' && cli_number(optarg, 0, GAP_MAX_MS, &o->after_ms))
			continue;
		else if (opt != 'g')
			return cli_usage("drill", "\"%s\" is not understood", argv[optind - 1]);
		else if (!cli_number(optarg, 0, GAP_MAX_MS, &gap))
			return cli_usage("drill", "--max-gap-ms: 0 to %d", GAP_MAX_MS);
		else
			o->drill.max_gap_ms = (uint32_t)gap;
	}
	if (o->list)
		return optind < argc ? cli_usage("drill", "--list stands alone") : CLI_DONE;
	if (o->checks_of && optind == argc)
		return CLI_DONE;
	if (optind + 1 != argc)
		return cli_usage("drill", optind < argc ? "one scenario at a time"
							: "which scenario? `fairlead drill --list` has them");
	o->drill.scenario = argv[optind];
	return drill_find(o->drill.scenario) ? CLI_DONE : unknown(o->drill.scenario);
}

/* ---- the result ---- */

static bool write_report(const char *path, const json_t *result)
{
	char *text = json_dumps(result, JSON_INDENT(2));
	int err = text ? file_replace(path, text, strlen(text), 0644) : -ENOMEM;

	free(text);
	if (err)
		fprintf(stderr, "fairlead: %s: %s\n", path, strerror(-err));
	return !err;
}

static bool keep(const struct cli *cli, const json_t *result)
{
	int err = drill_result_keep(cli->instance, result);

	if (err)
		fprintf(stderr, "fairlead: the result can't be kept in the state directory: %s\n", strerror(-err));
	return !err;
}

static int finish(const struct cli *cli, const struct options *o, const json_t *result)
{
	const char *what = json_string_value(json_object_get(result, "result"));
	bool kept = true;

	if (drill_is_kept(result))
		kept = keep(cli, result);
	if (o->report)
		kept &= write_report(o->report, result);
	if (cli->json)
		cli_print_json(result);
	else
		drill_print(result);
	return kept && !strcmp(what, "passed") ? CLI_DONE : CLI_FAILED;
}

int cmd_drill(const struct cli *cli, int argc, char **argv)
{
	struct options o = { .drill = { .max_gap_ms = CONFIG_NO_LIMIT } };
	char probe[PATH_MAX] = "";
	const struct drill_world world = { .arg = (void *)cli,
					   .ask = ask,
					   .confirm = confirm,
					   .progress = progress,
					   .instance = cli->instance,
					   .probe = probe };
	struct answer answer;
	json_t *result;
	int status = take_options(&o, argc, argv);

	if (status || o.list)
		return status ? status : list(cli);
	if (o.checks_of)
		return drill_checks_here(&world, o.checks_of, o.drill.scenario, o.after_ms) ? CLI_FAILED : CLI_DONE;
	if (!cli_daemon_there(cli)) /* says so */
		return cli_ask(cli, json_pack("{s:s}", "command", "status"), &answer);
	if (!program_find("fairlead-probe", probe)) {
		fprintf(stderr, "fairlead: fairlead-probe is neither beside this program nor in ../libexec/fairlead\n");
		return CLI_FAILED;
	}
	result = drill_run(&world, &o.drill);
	status = result ? finish(cli, &o, result) : CLI_FAILED;
	json_decref(result);
	return status;
}
