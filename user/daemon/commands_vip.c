// SPDX-License-Identifier: GPL-2.0-only
/* Virtual addresses by hand. */
#include <string.h>

#include "user/config/suggest.h"
#include "user/daemon/daemon.h"

static void unknown(const struct config *config, const char *name, struct control_answer *answer)
{
	struct suggest near = { .given = name };

	for (size_t i = 0; i < config->n_vips; i++)
		suggest_offer(&near, config->vips[i].name);
	command_no_such("vip named", &near, answer);
}

static void disable(struct daemon *d, const char *verb, const char *name, struct control_answer *answer)
{
	const bool off = !strcmp(verb, "disable");

	if (!d->apply.running->n_vips) {
		control_fail(answer, 1, "the configuration has no vips");
		return;
	}
	if (vips_disable(d, name, off)) {
		unknown(d->apply.running, name, answer);
		return;
	}
	journal_write(d->journal, JOURNAL_NOTICE, JOURNAL_VIP, name ? name : VIPS_ALL, off ? "disabled" : "enabled",
		      NULL, "by hand");
	answer->result = json_pack("{s:s*,s:s}", "vip", name, "is", off ? "disabled" : "enabled");
}

static void maintenance(struct daemon *d, const char *how, struct control_answer *answer)
{
	const bool on = !strcmp(how, "on");

	vips_maintenance(d, on);
	journal_write(d->journal, JOURNAL_NOTICE, JOURNAL_VIP, VIPS_ALL, on ? "maintenance" : "no maintenance", NULL,
		      "by hand");
	answer->result = json_pack("{s:b}", "maintenance", on);
}

/* {"command": "vip", "verb": "disable"|"enable"|"maintenance", "name": of one vip, or "on"|"off"} */
void command_vip(void *arg, const json_t *request, struct control_answer *answer)
{
	const char *command, *verb, *name = NULL;
	struct daemon *d = arg;
	json_error_t error;

	if (!command_unpacked(json_unpack_ex((json_t *)request, &error, JSON_STRICT, "{s:s,s:s,s?s}", "command",
					     &command, "verb", &verb, "name", &name),
			      &error, answer))
		return;
	if (!strcmp(verb, "disable") || !strcmp(verb, "enable"))
		disable(d, verb, name, answer);
	else if (!strcmp(verb, "maintenance") && name && (!strcmp(name, "on") || !strcmp(name, "off")))
		maintenance(d, name, answer);
	else
		control_fail(answer, 2, "it takes disable, enable, or maintenance with on or off");
}
