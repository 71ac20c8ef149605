/* SPDX-License-Identifier: GPL-2.0-only */
/* What tables of the configuration file are written with, and the tables of one part that those of another refer to. */
#pragma once

#include "user/config/draft.h"

#define FIELD(type, member) .offset = offsetof(type, member), .size = sizeof(((type *)0)->member)
#define LIST(type, member) LIST_AT(type, member, n_##member)
#define LIST_IN(type, in, member) LIST_AT(type, in.member, in.n_##member)
#define LIST_AT(type, member, count) \
	.offset = offsetof(type, member), .count_offset = offsetof(type, count), .size = sizeof(*((type *)0)->member)

#define DESCRIPTION \
	{ \
		.key = "description", .kind = SCHEMA_TEXT \
	}
#define SYNC \
	{ \
		.key = "sync", .kind = SCHEMA_BOOL, .offset = SCHEMA_NOWHERE, .fallback = "true" \
	}
#define DISABLED(type) \
	{ \
		.key = "disabled", .kind = SCHEMA_BOOL, FIELD(type, disabled), .fallback = "false" \
	}
#define LATER(name, text) \
	{ \
		.key = name, .kind = SCHEMA_LATER, .accepts = text \
	}
#define END \
	{ \
		.key = NULL \
	}

/* tables_settings.c */
extern const struct schema_object table_limits, table_timeouts, table_log;
extern const struct schema_word table_optimizations[];

/* tables_aliases.c */
extern const struct schema_object table_alias;
