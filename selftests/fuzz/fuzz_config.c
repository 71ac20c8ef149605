/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * libFuzzer target of the configuration parser. It must refuse or accept every text without an error of memory, give an
 * error with every refusal and none with what it accepts; and what it accepts, printed, must be accepted again.
 *
 * clang -g -O1 -fsanitize=fuzzer,address,undefined -D_GNU_SOURCE -I. -Iinclude selftests/fuzz/fuzz_config.c \
 *	user/config/[a-z]*.c user/lib/addr.c user/lib/range.c -ljansson -o build/fuzz_config
 * build/fuzz_config -max_total_time=300 -dict=selftests/fuzz/config.dict DIR selftests/unit/config/valid \
 *	selftests/unit/config/invalid
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "user/config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(int condition)
{
	if (!condition)
		abort();
}

static char *print(const struct config *config)
{
	json_t *json = config_json(config);
	char *text = json_dumps(json, JSON_COMPACT);

	expect(json && text);
	json_decref(json);
	return text;
}

/* What was accepted is accepted again when printed, and prints the same. */
static void check_fixed_point(const struct config *config)
{
	char *text = print(config), *second;
	struct config *again = NULL;
	struct config_report report;

	expect(config_load_string(text, strlen(text), &again, &report) == 0);
	second = print(again);
	expect(strcmp(text, second) == 0);
	config_report_free(&report);
	config_free(again);
	free(second);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config *config = NULL;
	struct config_report report;
	json_t *list;
	FILE *null;
	int err = config_load_string((const char *)data, size, &config, &report);

	expect(err == 0 || err == -EINVAL);
	expect((err == 0) == (report.n_errors == 0) && (err == 0) == (config != NULL));
	list = config_report_json(&report);
	expect(json_array_size(list) == report.n_findings);
	json_decref(list);
	null = fopen("/dev/null", "w");
	if (null) {
		config_report_print(&report, "fuzz", "file", null);
		fclose(null);
	}
	if (config)
		check_fixed_point(config);
	config_free(config);
	config_report_free(&report);
	return 0;
}
