// SPDX-License-Identifier: GPL-2.0-only
/* Gateways: what is known of them, from who watches them to the programs. */

#include <net/if.h>

#include "user/daemon/daemon.h"

static bool link_is_up(const struct system *system, unsigned int ifindex)
{
	const struct system_link *link = system_link_by_index(system, ifindex);

	return link && (link->flags & IFF_UP) && link->carrier;
}

static void gateways_told(void *arg, const struct config *config, unsigned int set,
			  const struct datapath_gateway *gateways)
{
	struct daemon *d = arg;

	(void)set;
	for (size_t i = 0; i < config->n_gateways; i++) {
		bool up = !gateways[i].config->monitored || link_is_up(d->system, gateways[i].ifindex);

		datapath_gateway_health(d->datapath, gateways[i].number, up ? FL_HEALTH_UP : 0);
	}
	datapath_health_written(d->datapath);
}

void gateways_open(struct daemon *d)
{
	datapath_watch_gateways(d->datapath, gateways_told, d);
}
