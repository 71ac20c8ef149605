// SPDX-License-Identifier: GPL-2.0-only
#include "user/lib/kept.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/lib/file.h"

json_t *kept_load(const char *path)
{
	json_t *object = NULL;
	char *text;
	size_t len;

	if (!file_read_regular(path, &text, &len)) {
		object = json_loadb(text, len, 0, NULL);
		free(text);
	}
	if (json_is_object(object))
		return object;
	json_decref(object);
	return json_object();
}

int kept_save(const char *path, const json_t *object, size_t flags)
{
	char *text = object ? json_dumps(object, flags) : NULL;
	int err = text ? file_replace_soon(path, text, strlen(text), 0600) : -ENOMEM;

	free(text);
	return err;
}
