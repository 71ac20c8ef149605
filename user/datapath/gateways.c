// SPDX-License-Identifier: GPL-2.0-only
/* Gateways as the programs know them: by number. A number stays a name's, since states have it. */

#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "user/datapath/private.h"

int gateways_adopt(struct datapath *dp)
{
	struct fl_gateway *found = calloc(FL_GATEWAYS_MAX, sizeof(*found));
	int err = found ? 0 : -ENOMEM;

	for (uint32_t set = 0; set < 2 && !err; set++) {
		err = map_read(dp, DP_MAP_GATEWAYS, FL_GATEWAY_INDEX(set, 0), FL_GATEWAYS_MAX, found);
		for (size_t i = 1; i < FL_GATEWAYS_MAX && !err; i++)
			if (found[i].name[0])
				memcpy(dp->gateway_names[i], found[i].name, FL_GATEWAY_NAME_MAX);
	}
	free(found);
	return err;
}

static bool is_in_use(const struct datapath *dp, const struct tables *next, uint32_t number)
{
	const struct tables *sets[] = { dp->sets[0], dp->sets[1], next };

	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++)
		if (sets[i] && sets[i]->gateways && sets[i]->gateways[number].name[0])
			return true;
	return false;
}

uint32_t gateway_number(const struct datapath *dp, const char *name)
{
	for (uint32_t i = 1; i < FL_GATEWAYS_MAX; i++)
		if (strncmp(dp->gateway_names[i], name, FL_GATEWAY_NAME_MAX) == 0)
			return i;
	return 0;
}

static void name_set(char to[FL_GATEWAY_NAME_MAX], const char *name)
{
	memset(to, 0, FL_GATEWAY_NAME_MAX);
	memcpy(to, name, strnlen(name, FL_GATEWAY_NAME_MAX));
}

/* That which the name has; one that nobody had; one that nobody has. 0: none is left. */
static uint32_t number_for(struct datapath *dp, const struct tables *next, const char *name)
{
	uint32_t number = gateway_number(dp, name);

	for (uint32_t i = 1; i < FL_GATEWAYS_MAX && !number; i++)
		if (!dp->gateway_names[i][0])
			number = i;
	for (uint32_t i = 1; i < FL_GATEWAYS_MAX && !number; i++)
		if (!is_in_use(dp, next, i))
			number = i;
	if (number)
		name_set(dp->gateway_names[number], name);
	return number;
}

const struct port *gateway_port(const struct port *ports, const struct config_gateway *gateway)
{
	return gateway->tunnel ? port_of_tunnel(ports, gateway->tunnel) : port_of_interface(ports, gateway->interface);
}

static bool link_is_up(struct datapath *dp, const struct port *port)
{
	const struct system_link *link = system_link_by_index(dp->system, port->value.ifindex);

	return link && (link->flags & IFF_UP) && link->carrier;
}

static uint8_t families_of(const struct config_gateway *gateway)
{
	if (gateway->tunnel)
		return FL_INET6;
	if (gateway->address.family == AF_UNSPEC)
		return FL_BOTH;
	return gateway->address.family == AF_INET ? FL_INET : FL_INET6;
}

static void gateway_value(struct datapath *dp, const struct config_gateway *gateway, const struct port *ports,
			  struct fl_gateway *value)
{
	const struct port *port = gateway_port(ports, gateway);

	*value = (struct fl_gateway){ .family = families_of(gateway) };
	name_set(value->name, gateway->name);
	if (gateway->address.family == AF_UNSPEC)
		value->flags |= FL_GATEWAY_LINK;
	else
		value->addr = addr_to_map(&gateway->address);
	if (!port || !port->present)
		return;
	value->port = port->number;
	value->ifindex = port->value.ifindex;
	if (!gateway->monitored || link_is_up(dp, port))
		value->flags |= FL_GATEWAY_UP;
}

int gateways_plan(struct datapath *dp, const struct config *config, const struct port *ports, struct tables *tables,
		  char **why)
{
	tables->gateways = calloc(FL_GATEWAYS_MAX, sizeof(*tables->gateways));
	if (!tables->gateways)
		return -ENOMEM;
	for (size_t i = 0; i < config->n_gateways; i++) {
		const struct config_gateway *gateway = &config->gateways[i];
		uint32_t number = number_for(dp, tables, gateway->name);

		if (!number)
			return fail(why, ENOSPC, "more than %d gateways in two configurations", FL_GATEWAYS_MAX - 1);
		gateway_value(dp, gateway, ports, &tables->gateways[number]);
	}
	return 0;
}

bool gateways_equal(const struct tables *a, const struct tables *b)
{
	size_t bytes = FL_GATEWAYS_MAX * sizeof(struct fl_gateway);

	return a->gateways && b->gateways && memcmp(a->gateways, b->gateways, bytes) == 0;
}

int gateways_write(struct datapath *dp, const struct tables *tables, uint32_t set)
{
	uint32_t index[FL_GATEWAYS_MAX];

	for (uint32_t i = 0; i < FL_GATEWAYS_MAX; i++)
		index[i] = FL_GATEWAY_INDEX(set, i);
	return map_put_all(dp, DP_MAP_GATEWAYS, index, tables->gateways, FL_GATEWAYS_MAX);
}

/* Of each family the gateway that answers to what comes in by a port go by: the first that it has. */
void gateways_of_ports(const struct tables *tables, struct port *ports)
{
	for (size_t i = 1; i < FL_PORTS_MAX; i++)
		memset(ports[i].value.gateway, 0, sizeof(ports[i].value.gateway));
	for (uint32_t i = 1; tables->gateways && i < FL_GATEWAYS_MAX; i++) {
		const struct fl_gateway *gateway = &tables->gateways[i];
		struct port *port = &ports[gateway->port];

		for (unsigned int six = 0; six < 2 && gateway->port; six++)
			if (gateway->family & (six ? FL_INET6 : FL_INET) && !port->value.gateway[six])
				port->value.gateway[six] = i;
	}
}
