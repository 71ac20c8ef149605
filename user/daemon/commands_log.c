// SPDX-License-Identifier: GPL-2.0-only
/* `log`: the last logged packets, and those to come. */
#include <stdio.h>
#include <string.h>

#include "user/config/suggest.h"
#include "user/daemon/daemon.h"

static bool is_configured(const struct config *config, const char *rule, struct suggest *near)
{
	char number[16];

	for (size_t i = 0; i < config->n_rules; i++) {
		snprintf(number, sizeof(number), "%zu", (size_t)config->rules[i].index);
		if (!strcmp(rule, config->rules[i].name) || !strcmp(rule, number))
			return true;
		suggest_offer(near, config->rules[i].name);
	}
	suggest_offer(near, OBSERVE_DEFAULT);
	return !strcmp(rule, OBSERVE_DEFAULT);
}

/* One that is gone may be among what is remembered, by its name or as #N. */
static bool is_remembered(struct daemon *d, const char *rule)
{
	struct observe_filter filter = { .verdict = -1, .rule = (char *)rule };
	json_t *found = observe_last(d->observe, &filter, 1, false);
	bool any = json_object_get(json_array_get(found, 0), "verdict"); /* else it is how many were lost */

	json_decref(found);
	return any || *rule == '#';
}

static bool knows_rule(struct daemon *d, const char *rule, struct control_answer *answer)
{
	struct suggest near = { .given = rule };

	if (is_configured(d->apply.running, rule, &near) || is_remembered(d, rule))
		return true;
	command_no_such("rule named", &near, answer);
	return false;
}

/*
 * {"command": "log", "rule", "host", "interface", "verdict", "last": N, "follow": true, "data": true}: the result is an array of
 * the last N that match; with follow each one that comes is a line of its own behind it.
 */
void command_log(void *arg, const json_t *request, struct control_answer *answer)
{
	const char *command, *interface = NULL, *rule = NULL, *verdict;
	struct observe_filter filter;
	int follow = 0, data = 0;
	struct daemon *d = arg;
	json_int_t last = 0;
	json_error_t error;
	json_t *host;

	if (!command_unpacked(json_unpack_ex((json_t *)request, &error, JSON_STRICT,
					     "{s:s,s?s,s?o,s?s,s?s,s?I,s?b,s?b}", "command", &command, "rule", &rule,
					     "host", &host, "interface", &interface, "verdict", &verdict, "last", &last,
					     "follow", &follow, "data", &data),
			      &error, answer))
		return;
	if (last < 0 || last > OBSERVE_KEPT) {
		control_fail(answer, 2, "last: 0 to %d", OBSERVE_KEPT);
		return;
	}
	if (!d->observe) {
		control_fail(answer, 1, "logged packets can't be read; the daemon's log says why");
		return;
	}
	if ((interface && !command_knows_port(d->apply.running, interface, answer)) ||
	    (rule && !knows_rule(d, rule, answer)))
		return;
	if (!observe_filter_take(&filter, request, answer))
		return;
	answer->result = observe_last(d->observe, &filter, last, data);
	if (!answer->result)
		control_fail(answer, 1, "out of memory");
	else if (follow)
		observe_follow(d->observe, &filter, data, answer);
	observe_filter_free(&filter);
}
