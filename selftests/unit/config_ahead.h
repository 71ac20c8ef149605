/* SPDX-License-Identifier: GPL-2.0-only */
/* Configurations for tests of what check_gate() still holds back: right in all else, and built all the same. */
#pragma once

#include "selftests/unit/config_of.h"
#include "user/config/check.h"

#define HELD_BACK "not in this version"

static inline void config_ahead_report(const struct config_report *report)
{
	size_t i;

	for (i = 0; i < report->n_findings; i++)
		cr_assert(report->findings[i].warning ||
				  !strncmp(report->findings[i].text, HELD_BACK, strlen(HELD_BACK)),
			  "%s: %s", report->findings[i].pointer, report->findings[i].text);
}

static inline struct config *config_ahead_of(const char *quoted)
{
	char *text = strdup(quoted), *c;
	struct draft draft = { .node = NULL };
	struct config_report report = { .n_findings = 0 };
	struct schema_walk walk = { .report = &report };
	struct config *config;
	json_t *document;

	for (c = text; *c; c++) {
		if (*c == '\'')
			*c = '"';
	}
	document = json_loads(text, 0, NULL);
	cr_assert_not_null(document);
	schema_parse(&walk, NULL, document, &config_schema, &draft);
	schema_walk_free(&walk);
	cr_assert_eq(walk.err, 0);
	cr_assert_eq(check_draft(&draft, document, &report), 0);
	config_ahead_report(&report);
	config = draft_build(&draft);
	cr_assert_not_null(config);
	draft_free(&draft);
	config_report_free(&report);
	json_decref(document);
	free(text);
	return config;
}
