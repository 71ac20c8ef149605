// SPDX-License-Identifier: GPL-2.0-only
#include "user/daemon/presence.h"

#include <stdlib.h>

#include "user/daemon/daemon.h"
#include "user/daemon/vips_internal.h"

static bool is_master(struct daemon *d)
{
	struct vhid_view *views = NULL;
	size_t n = vips_views(d, &views);
	bool is = false;

	for (size_t i = 0; i < n; i++)
		is |= views[i].carp.role == CARP_MASTER;
	free(views);
	return is;
}

struct presence presence_now(struct daemon *d)
{
	return (struct presence){ d, d->apply.running->n_vips && !is_master(d) };
}

bool presence_expects(const struct presence *p, const struct config_interface *interface)
{
	return !p->standby || !interface || !config_is_masters(p->daemon->apply.running, interface);
}

bool presence_expects_via(const struct presence *p, const char *name)
{
	const struct config *config = p->daemon->apply.running;
	const struct config_gateway *gateway = config_find_gateway(config, name);
	const struct config_group *group = config_find_group(config, name);
	bool expects = !gateway && !group;

	if (gateway)
		return presence_expects(p, gateway->interface);
	for (size_t i = 0; group && i < group->n_members; i++)
		expects |= presence_expects(p, group->members[i].gateway->interface);
	return expects;
}
