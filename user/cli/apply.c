// SPDX-License-Identifier: GPL-2.0-only
/* apply, confirm, rollback: what changes the running configuration. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/cli/cli.h"
#include "user/lib/file.h"

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static void print_changes(const json_t *changes)
{
	json_t *change;
	size_t i;

	if (!json_array_size(changes))
		puts("no difference");
	json_array_foreach((json_t *)changes, i, change) {
		printf("%-8s %s\n", text_of(change, "change"), text_of(change, "pointer"));
	}
}

/* confirm_s: only for the hint */
static int finish(const struct cli *cli, int status, struct answer *answer, const char *file, long confirm_s)
{
	const char *state = text_of(answer->result, "state");

	cli_tell(cli, answer, file);
	if (status) {
		;
	} else if (cli->json) {
		cli_print_json(answer->result);
	} else if (!strcmp(state, "dry-run")) {
		print_changes(json_object_get(answer->result, "changes"));
	} else {
		printf("%s: %s\n", state, text_of(answer->result, "summary"));
		if (!strcmp(state, "pending"))
			printf("it is undone in %ld s unless you run `fairlead confirm`\n", confirm_s);
		if (*text_of(answer->result, "note"))
			puts(text_of(answer->result, "note"));
	}
	cli_answer_free(answer);
	return status;
}

/* ---- apply ---- */

struct apply_args {
	const char *file;
	long confirm_s;
	bool dry_run, strict, local;
};

static int parse_apply(struct apply_args *args, int argc, char **argv)
{
	static const struct option options[] = {
		{ "confirm", required_argument, NULL, 'c' },
		{ "dry-run", no_argument, NULL, 'd' },
		{ "strict", no_argument, NULL, 's' },
		{ "local", no_argument, NULL, 'l' },
		{ 0 },
	};
	int opt;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (opt) {
		case 'c':
			if (!cli_number(optarg, 1, 86400, &args->confirm_s))
				return cli_usage("apply", "--confirm: seconds, 1 to 86400");
			break;
		case 'd':
			args->dry_run = true;
			break;
		case 's':
			args->strict = true;
			break;
		case 'l':
			args->local = true;
			break;
		default:
			return cli_usage("apply", "%s: not known, or its value is missing", argv[optind - 1]);
		}
	}
	if (optind < argc)
		args->file = argv[optind++];
	return optind < argc ? cli_usage("apply", "one file at a time") : 0;
}

/* Without a file the daemon takes its own: which one that is, it knows itself. */
int cmd_apply(const struct cli *cli, int argc, char **argv)
{
	struct apply_args args = { 0 };
	struct answer answer;
	char *text = NULL;
	json_t *request;
	size_t len = 0;
	int status, err;

	if (parse_apply(&args, argc, argv))
		return CLI_WRONG;
	err = args.file ? file_read(args.file, &text, &len) : 0;
	if (err) {
		fprintf(stderr, "fairlead: %s: %s\n", args.file, strerror(-err));
		return CLI_WRONG;
	}
	request = json_pack("{s:s,s:i,s:b,s:b,s:b,s:b}", "command", "apply", "confirm_s", (int)args.confirm_s,
			    "dry_run", args.dry_run, "strict", args.strict, "changes", args.dry_run || cli->json,
			    "local", args.local);
	status = cli_ask_with(cli, request, text, len, &answer);
	free(text);
	return finish(cli, status, &answer, args.file, args.confirm_s);
}

/* ---- confirm, rollback ---- */

int cmd_confirm(const struct cli *cli, int argc, char **argv)
{
	struct answer answer;
	int status;

	(void)argv;
	if (argc > 1)
		return cli_usage("confirm", "it takes no argument");
	status = cli_ask(cli, json_pack("{s:s}", "command", "confirm"), &answer);
	return finish(cli, status, &answer, NULL, 0);
}

int cmd_rollback(const struct cli *cli, int argc, char **argv)
{
	struct answer answer;
	long back = 0;
	int status;

	if (argc > 2 || (argc == 2 && !cli_number(argv[1], 1, 1000, &back)))
		return cli_usage("rollback", "how many versions back, 1 and up");
	status = cli_ask(cli, json_pack("{s:s,s:i}", "command", "rollback", "back", (int)back), &answer);
	return finish(cli, status, &answer, NULL, 0);
}
