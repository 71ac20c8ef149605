// SPDX-License-Identifier: GPL-2.0-only
/* Checks of the user's own run while the other node has taken over: that is what they are to look at. */
#include "user/doctor/own.h"
#include "user/drill/private.h"

static void take(struct run *r, const struct config_check *check, const struct own_result *result)
{
	const char *text = result->text ? result->text : "";
	json_t *finding =
		result->why ? json_sprintf("%s%s%s", result->why, *text ? ": " : "", text) : json_sprintf("%s", text);

	json_array_append_new(r->checks,
			      json_pack("{s:s,s:s,s:o?,s:i}", "check", check->name, "result",
					result->passed ? "ok" : "fail", "finding", finding, "status", result->status));
}

void run_checks(struct run *r)
{
	struct own_result result;

	for (size_t i = 0; r->scenario->expects & DRILL_MOVES && i < r->config->n_checks; i++) {
		const struct config_check *check = &r->config->checks[i];

		if (!(check->when & CONFIG_CHECK_DRILL))
			continue;
		own_run_check(check, "drill", r->world->instance, r->config->node, &result);
		take(r, check, &result);
		own_result_free(&result);
	}
}
