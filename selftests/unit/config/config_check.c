/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * config_check FILE: what the parser says of a file, as `fairleadd -n` does, without a daemon around it; exit status 0
 * right, 2 wrong. --print FILE: the JSON that was kept. --keys: the keys of the parser's tables. --timeouts: each timeout's
 * name, and its seconds in every set, in the order in which `optimization` has them.
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

static const struct schema_key *find_key(const char *name)
{
	const struct schema_key *key = config_schema.keys;

	while (strcmp(key->key, name))
		key++;
	return key;
}

static void print_timeouts(void)
{
	const struct schema_key *key;
	const struct schema_word *set;

	for (key = find_key("timeouts_s")->object->keys; key->kind == SCHEMA_NUMBER; key++) {
		printf("%s", key->key);
		for (set = find_key("optimization")->words; set->word; set++) {
			uint32_t timeouts_s[CONFIG_TIMEOUTS] = { 0 };

			config_timeouts_complete(timeouts_s, (enum config_optimization)set->value);
			printf(" %u",
			       timeouts_s[(key->offset - offsetof(struct draft, timeouts_s)) / sizeof(*timeouts_s)]);
		}
		putchar('\n');
	}
}

int main(int argc, char **argv)
{
	const char *option = argc > 1 ? argv[1] : "";

	if (argc == 2 && !strcmp(option, "--keys")) {
		schema_print_keys(&config_schema, stdout);
		return 0;
	}
	if (argc == 2 && !strcmp(option, "--timeouts")) {
		print_timeouts();
		return 0;
	}
	if (argc == 3 && !strcmp(option, "--print"))
		return check(argv[2], true);
	if (argc == 2)
		return check(option, false);
	fprintf(stderr, "usage: config_check [--print] FILE | --keys | --timeouts\n");
	return 2;
}
