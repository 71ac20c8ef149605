// SPDX-License-Identifier: GPL-2.0-only
/* fairlead gateway: up or down by hand. */
#include <string.h>

#include "user/config/suggest.h"
#include "user/daemon/daemon.h"

static const struct {
	const char *verb;
	enum monitor_forced forced;
	const char *event;
} verbs[] = {
	{ "down", MONITOR_FORCED_DOWN, "forced down" },
	{ "up", MONITOR_FORCED_UP, "forced up" },
	{ "auto", MONITOR_AUTO, "left to probes" },
};

static void unknown(const struct config *config, const char *name, struct control_answer *answer)
{
	struct suggest near = { .given = name };

	for (size_t i = 0; i < config->n_gateways; i++)
		suggest_offer(&near, config->gateways[i].name);
	command_no_such("gateway named", &near, answer);
}

/* {"command": "gateway", "verb": "down"|"up"|"auto", "name"} */
void command_gateway(void *arg, const json_t *request, struct control_answer *answer)
{
	const char *command, *verb, *name;
	struct daemon *d = arg;
	json_error_t error;

	if (!command_unpacked(json_unpack_ex((json_t *)request, &error, JSON_STRICT, "{s:s,s:s,s:s}", "command",
					     &command, "verb", &verb, "name", &name),
			      &error, answer))
		return;
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (strcmp(verb, verbs[i].verb))
			continue;
		if (!config_find_gateway(d->apply.running, name) || gateways_force(d, name, verbs[i].forced)) {
			unknown(d->apply.running, name, answer);
			return;
		}
		journal_write(d->journal, JOURNAL_NOTICE, JOURNAL_GATEWAY, name, verbs[i].event, NULL, "by hand");
		answer->result = json_pack("{s:s,s:s}", "gateway", name, "forced", verb);
		return;
	}
	control_fail(answer, 2, "\"%s\" is nothing to do to a gateway", verb);
}
