// SPDX-License-Identifier: GPL-2.0-only
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "user/cli/cli.h"

#define KEY_BYTES 32

int cmd_keygen(const struct cli *cli, int argc, char **argv)
{
	char text[2 * KEY_BYTES + 1];
	uint8_t key[KEY_BYTES];
	json_t *json;

	(void)argv;
	if (argc > 1)
		return cli_usage("keygen", "it takes no argument");
	if (getrandom(key, sizeof(key), 0) != (ssize_t)sizeof(key)) {
		perror("fairlead: getrandom");
		return CLI_FAILED;
	}
	for (size_t i = 0; i < sizeof(key); i++)
		snprintf(text + 2 * i, 3, "%02x", key[i]);
	if (cli->json) {
		json = json_pack("{s:s}", "key", text);
		cli_print_json(json);
		json_decref(json);
	} else {
		puts(text);
	}
	explicit_bzero(key, sizeof(key));
	explicit_bzero(text, sizeof(text));
	return CLI_DONE;
}
