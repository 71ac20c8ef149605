// SPDX-License-Identifier: GPL-2.0-only
/* The near ends of tunnels, and how the daemon itself sends from there. */

#include <errno.h>
#include <net/if.h>
#include <stdio.h>

#include "user/datapath/private.h"

/* The gateway by which packets leave there: the group's, or one of IPv4 on the interface, rather one that is up. 0: none */
static uint32_t gateway_of(const struct datapath *dp, const struct config_tunnel *tunnel)
{
	const struct tables *tables = tables_in_force(dp);
	uint32_t number, found = 0;

	if (tunnel->underlay_group)
		return group_gateway(dp, tunnel->underlay_group - dp->config->groups, FL_INET);
	for (size_t i = 0; i < dp->config->n_gateways; i++) {
		const struct config_gateway *g = &dp->config->gateways[i];

		number = gateway_number(dp, g->name);
		if (g->interface != tunnel->underlay || !tables->gateways ||
		    !(tables->gateways[number].family & FL_INET))
			continue;
		if (!found || (!gateway_is_up(dp, found) && gateway_is_up(dp, number)))
			found = number;
	}
	return found;
}

int datapath_tunnel_end(const struct datapath *dp, const struct config_tunnel *tunnel, struct datapath_end *end)
{
	uint32_t gateway = gateway_of(dp, tunnel);
	const struct port *underlay = tunnel_underlay_now(dp, tunnel);

	if (!underlay || !underlay->present)
		return -ENODEV;
	*end = (struct datapath_end){
		.local = tunnel->local.family == AF_INET ? tunnel->local : underlay->own4,
		.ifindex = underlay->value.ifindex,
		.gateway = underlay->value.family & FL_INET ? gateway : 0,
	};
	snprintf(end->device, sizeof(end->device), "%s", underlay->device);
	return end->local.family == AF_INET ? 0 : -EADDRNOTAVAIL;
}

/* A device without neighbours takes any address; of another the kernel would think that it is on the link. */
static bool takes_any(struct datapath *dp, uint32_t ifindex)
{
	const struct system_link *link = system_link_by_index(dp->system, ifindex);

	return link && link->flags & (IFF_NOARP | IFF_POINTOPOINT);
}

int datapath_end_way(struct datapath *dp, const struct datapath_end *end, const struct addr *to, uint32_t *mark,
		     bool *by_device)
{
	const struct port *port;
	struct addr source;
	uint32_t ifindex;

	*mark = end->gateway ? FL_PROBE_MARK(end->gateway) : 0;
	*by_device = system_route_by(dp->system, to, end->ifindex) == 0 || takes_any(dp, end->ifindex);
	if (*by_device)
		return 0;
	/* the kernel has no route by that device: it sends by another, at whose egress our program turns it */
	if (!*mark || system_route_get(dp->system, to, &end->local, &ifindex, &source))
		return -EHOSTUNREACH;
	port = port_by_ifindex(dp->ports, ifindex);
	return port && port->present && port->value.family & FL_INET ? 0 : -EHOSTUNREACH;
}
