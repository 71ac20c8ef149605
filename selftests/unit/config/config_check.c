/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * config_check FILE: what the parser says of a file, as `fairleadd -n` does, without a daemon around it; exit status 0
 * right, 2 wrong. config_check --keys: the keys of the parser's tables. config_check --print FILE: the JSON that was kept.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/config/draft.h"

static int check(const char *file, bool print)
{
	struct config *config = NULL;
	struct config_report report;
	int err = config_load_file(file, &config, &report);

	config_report_print(&report, "fairlead", file, stderr);
	if (!err && print) {
		json_t *json = config_json(config);

		json_dumpf(json, stdout, JSON_INDENT(2));
		putchar('\n');
		json_decref(json);
	}
	config_free(config);
	config_report_free(&report);
	return err ? 2 : 0;
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "--keys")) {
		schema_print_keys(&config_schema, stdout);
		return 0;
	}
	if (argc == 3 && !strcmp(argv[1], "--print"))
		return check(argv[2], true);
	if (argc == 2)
		return check(argv[1], false);
	fprintf(stderr, "usage: config_check [--print] FILE | --keys\n");
	return 2;
}
