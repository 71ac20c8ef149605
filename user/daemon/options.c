// SPDX-License-Identifier: GPL-2.0-only
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "user/daemon/daemon.h"
#include "user/lib/instance.h"

enum { OPT_INSTANCE = 256, OPT_UNLOAD, OPT_BLOCK, OPT_VERSION };

static const struct option long_options[] = {
	{ "config", required_argument, NULL, 'c' },    { "foreground", no_argument, NULL, 'f' },
	{ "check", no_argument, NULL, 'n' },	       { "instance", required_argument, NULL, OPT_INSTANCE },
	{ "unload", no_argument, NULL, OPT_UNLOAD },   { "block", no_argument, NULL, OPT_BLOCK },
	{ "verbose", no_argument, NULL, 'v' },	       { "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, OPT_VERSION }, { 0 },
};

static void usage(FILE *to)
{
	fputs("usage: fairleadd [-c FILE] [-f] [-n] [-v] [--instance NAME]\n"
	      "\n"
	      "  -c, --config FILE  the configuration (" INSTANCE_CONFIG ")\n"
	      "  -f, --foreground   stay in the foreground, log to stderr\n"
	      "  -n, --check        check the configuration and exit: 0 it is right, 2 it is not\n"
	      "  -v, --verbose      log more\n"
	      "      --instance NAME  which instance this is (" INSTANCE_DEFAULT ")\n"
	      "      --unload       take away what an ended daemon of this instance left in the kernel, and exit;\n"
	      "                     while one runs, that is `fairlead unload`\n"
	      "      --block        have the kernel forward nothing until a daemon has its programs in place, and exit: for boot\n"
	      "      --version, --help\n"
	      "\n"
	      "Drive it with fairlead(8).\n",
	      to);
}

int options_parse(struct options *options, int argc, char **argv)
{
	int opt;

	*options = (struct options){ .instance = INSTANCE_DEFAULT, .file = INSTANCE_CONFIG };
	while ((opt = getopt_long(argc, argv, "c:fnvh", long_options, NULL)) != -1) {
		switch (opt) {
		case 'c':
			options->file = optarg;
			break;
		case 'f':
			options->foreground = true;
			break;
		case 'n':
			options->check = true;
			break;
		case 'v':
			options->verbose++;
			break;
		case OPT_INSTANCE:
			options->instance = optarg;
			break;
		case OPT_UNLOAD:
			options->unload = true;
			break;
		case OPT_BLOCK:
			options->block = true;
			break;
		case 'h':
			usage(stdout);
			return EXIT_SUCCESS;
		case OPT_VERSION:
			puts("fairleadd " FAIRLEAD_VERSION);
			return EXIT_SUCCESS;
		default:
			usage(stderr);
			return EXIT_WRONG;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "fairleadd: \"%s\" is too much; a configuration is named by -c\n", argv[optind]);
		return EXIT_WRONG;
	}
	if (!instance_name_valid(options->instance)) {
		fprintf(stderr,
			"fairleadd: --instance \"%s\": up to %d letters, digits, `_`, `-` and `.`, no dot first\n",
			options->instance, INSTANCE_NAME_MAX);
		return EXIT_WRONG;
	}
	return -1;
}
