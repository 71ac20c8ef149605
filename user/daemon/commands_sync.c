// SPDX-License-Identifier: GPL-2.0-only
/* What the nodes of a pair have of each other, by hand. */
#include <string.h>

#include "user/daemon/daemon.h"

static const struct {
	const char *what;
	void (*command)(struct daemon *d, struct control_answer *answer);
} whats[] = {
	{ "states", command_sync_states },
	{ "config", command_sync_config },
	{ "diff", command_sync_diff },
	{ "keys", command_sync_keys },
};

/* {"command": "sync", "what": "states"|"config"|"diff"|"keys"} */
void command_sync(void *arg, const json_t *request, struct control_answer *answer)
{
	const char *command, *what;
	json_error_t error;

	if (!command_unpacked(json_unpack_ex((json_t *)request, &error, JSON_STRICT, "{s:s,s:s}", "command", &command,
					     "what", &what),
			      &error, answer))
		return;
	for (size_t i = 0; i < sizeof(whats) / sizeof(*whats); i++)
		if (!strcmp(what, whats[i].what)) {
			whats[i].command(arg, answer);
			return;
		}
	control_fail(answer, 2, "it takes states, config, diff or keys");
}
