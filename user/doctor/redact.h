/* SPDX-License-Identifier: GPL-2.0-only */
/* What others may see: nothing that opens a door. By structure, and then by looking for each secret that is known, wherever it may stand. */
#pragma once

#include <jansson.h>

#include "user/config/config.h"

#define REDACTED "[removed]"

struct secrets; /* opaque */

/* All that the configuration names: files of passwords and keys are read, and cleared by secrets_free(). NULL: out of memory. */
struct secrets *secrets_collect(const struct config *config);
void secrets_free(struct secrets *secrets);

/* A configuration without users, tokens, arguments of commands, and descriptions. Its own; NULL: out of memory. */
json_t *redact_config(const json_t *config);

/* A copy in which no string has one of the secrets; malloc'ed. */
char *redact_text(const struct secrets *secrets, const char *text);
json_t *redact_json(const struct secrets *secrets, const json_t *json);
