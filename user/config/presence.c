// SPDX-License-Identifier: GPL-2.0-only
/* Of a pair some devices are there at one node only, the master: those of what scripts start where the shared addresses are. */
#include "user/config/config.h"

bool config_is_steered_to(const struct config *c, const struct config_gateway *gateway)
{
	for (size_t i = 0; i < c->n_rules; i++)
		if (c->rules[i].route_to.gateway == gateway)
			return true;
	return false;
}

/* What routes and groups name is for the standby's own packets too, and to take another one's place there as well. */
static bool others_name(const struct config *c, const struct config_gateway *gateway)
{
	for (size_t i = 0; i < c->n_routes; i++)
		if (c->routes[i].via.gateway == gateway)
			return true;
	for (size_t i = 0; i < c->n_groups; i++)
		for (size_t j = 0; j < c->groups[i].n_members; j++)
			if (c->groups[i].members[j].gateway == gateway)
				return true;
	return false;
}

/* All of its gateways are for rules alone, and there is one. */
static bool is_for_rules(const struct config *c, const struct config_interface *interface)
{
	bool any = false;

	for (size_t i = 0; i < c->n_gateways; i++) {
		const struct config_gateway *gateway = &c->gateways[i];

		if (gateway->interface != interface)
			continue;
		if (!config_is_steered_to(c, gateway) || others_name(c, gateway))
			return false;
		any = true;
	}
	return any;
}

bool config_is_masters(const struct config *c, const struct config_interface *interface)
{
	if (!c->n_vips || interface->present != CONFIG_PRESENT_AUTO)
		return c->n_vips && interface->present == CONFIG_PRESENT_MASTER;
	return c->n_hooks_vip && !config_has_vip(c, interface) && c->ha.interface != interface &&
	       is_for_rules(c, interface);
}
