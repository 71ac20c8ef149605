// SPDX-License-Identifier: GPL-2.0-only
/* rules-test [--measure]: the matching of packets by rules against a reference; or how long that and compiling take. */
#include <stdio.h>
#include <string.h>

#include "selftests/rules/rules.h"

int main(int argc, char **argv)
{
	struct world w;
	int failed;

	if (world_open(&w)) {
		printf("not ok rules/load\n");
		return 1;
	}
	if (argc > 1 && !strcmp(argv[1], "--measure"))
		failed = measure(&w);
	else
		failed = differential(&w);
	world_close(&w);
	return failed != 0;
}
