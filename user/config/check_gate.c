/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the file may say and the data plane does not do yet: checked like all the rest, and then refused, so that nobody relies on
 * what is not there. Each of the constructs once, at its first place.
 */
#include "user/config/check.h"

static void refuse(struct check *c, const char *const *at, const char *why)
{
	check_error(c, at, "not in this version: %s", why);
}

static void gate_ha(struct check *c)
{
	if (c->draft->ha.item.role != CONFIG_ROLE_NONE)
		refuse(c, AT("ha", "sync_config"), "configurations are not pushed yet");
}

void check_gate(struct check *c)
{
	gate_ha(c);
}
