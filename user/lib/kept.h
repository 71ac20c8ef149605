/* SPDX-License-Identifier: GPL-2.0-only */
/* JSON objects that a program keeps in files, over its own restart. */
#pragma once

#include <jansson.h>

/* Empty where there is none, or it can't be understood. NULL: no memory. */
json_t *kept_load(const char *path);
/* -errno; as file_replace_soon(), for root alone. flags: of json_dumps(). */
int kept_save(const char *path, const json_t *object, size_t flags);
