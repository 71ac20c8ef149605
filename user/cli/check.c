// SPDX-License-Identifier: GPL-2.0-only
#include <getopt.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/cli/cli.h"
#include "user/lib/file.h"
#include "user/lib/instance.h"

/* A device may come later (a modem, a VPN): a warning. */
static void check_devices(const struct config *config, struct config_report *report)
{
	for (size_t i = 0; i < config->n_interfaces; i++) {
		const struct config_interface *in = &config->interfaces[i];
		char pointer[256];

		if (if_nametoindex(in->device))
			continue;
		snprintf(pointer, sizeof(pointer), "/interfaces/%s/device", in->name);
		config_report_add(report, true, pointer, "there is no device \"%s\" here yet", in->device);
	}
}

static int check(const struct cli *cli, const char *file, const char *text, size_t len, bool strict)
{
	struct config_report report = { 0 };
	struct config *config = NULL;
	int status = CLI_DONE;
	json_t *findings;

	if (config_load_string(text, len, &config, &report))
		status = CLI_WRONG;
	else
		check_devices(config, &report);
	if (!status && strict && report.n_findings)
		status = CLI_FAILED;
	config_report_print(&report, "fairlead", file, stderr);
	if (cli->json) {
		findings = config_report_json(&report);
		cli_print_json(findings);
		json_decref(findings);
	} else if (status != CLI_WRONG) {
		printf("%s is valid%s\n", file, report.n_findings ? ", with warnings" : "");
	}
	config_free(config);
	config_report_free(&report);
	return status;
}

int cmd_check(const struct cli *cli, int argc, char **argv)
{
	static const struct option options[] = { { "strict", no_argument, NULL, 's' }, { 0 } };
	const char *file = INSTANCE_CONFIG;
	bool strict = false;
	char *text;
	size_t len;
	int opt, err;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt != 's')
			return cli_usage("check", "%s: not known, or its value is missing", argv[optind - 1]);
		strict = true;
	}
	if (optind < argc)
		file = argv[optind++];
	if (optind < argc)
		return cli_usage("check", "one file at a time");
	err = file_read(file, &text, &len);
	if (err) {
		fprintf(stderr, "fairlead: %s: %s\n", file, strerror(-err));
		return CLI_WRONG;
	}
	err = check(cli, strcmp(file, "-") ? file : "standard input", text, len, strict);
	free(text);
	return err;
}
