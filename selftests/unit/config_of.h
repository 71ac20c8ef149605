/* SPDX-License-Identifier: GPL-2.0-only */
/* Configurations for tests, as C strings in which quotes are written ' */
#pragma once

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "user/config/config.h"

/* 0 or what the parser says; *config and *report as it leaves them. */
static inline int config_try(const char *quoted, struct config **config, struct config_report *report)
{
	char *text = strdup(quoted), *c;
	int err;

	for (c = text; *c; c++) {
		if (*c == '\'')
			*c = '"';
	}
	err = config_load_string(text, strlen(text), config, report);
	free(text);
	return err;
}

static inline struct config *config_of(const char *quoted)
{
	struct config_report report;
	struct config *config = NULL;
	int err = config_try(quoted, &config, &report);

	if (err)
		config_report_print(&report, "test", NULL, stderr);
	cr_assert_eq(err, 0);
	cr_assert_eq(report.n_errors, 0u);
	config_report_free(&report);
	return config;
}
