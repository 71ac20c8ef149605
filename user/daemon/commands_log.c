// SPDX-License-Identifier: GPL-2.0-only
/* `log`: the last logged packets, and those to come. */
#include "user/daemon/daemon.h"

/*
 * {"command": "log", "rule", "host", "interface", "verdict", "last": N, "follow": true, "data": true}: the result is an array of
 * the last N that match; with follow each one that comes is a line of its own behind it.
 */
void command_log(void *arg, const json_t *request, struct control_answer *answer)
{
	const char *command, *interface = NULL, *rule, *verdict;
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
	if (interface && !command_knows_port(d->apply.running, interface, answer))
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
