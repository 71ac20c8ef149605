// SPDX-License-Identifier: GPL-2.0-only
#include "user/lib/instance.h"

#include <stdio.h>
#include <string.h>

bool instance_name_valid(const char *name)
{
	size_t len = strlen(name);

	return len && len <= INSTANCE_NAME_MAX && name[0] != '.' &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") == len;
}

static char *path(const char *dir, const char *name, const char *suffix)
{
	char *out;

	return asprintf(&out, "%s/%s%s", dir, name, suffix) < 0 ? NULL : out;
}

char *instance_socket(const char *name)
{
	return path(INSTANCE_RUN_DIR, name, ".sock");
}

char *instance_lock_file(const char *name)
{
	return path(INSTANCE_RUN_DIR, name, ".lock");
}

char *instance_state_dir(const char *name)
{
	return path(INSTANCE_STATE_DIR, name, "");
}
