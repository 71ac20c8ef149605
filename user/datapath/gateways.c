// SPDX-License-Identifier: GPL-2.0-only
/* Gateways as the programs know them: by number. A number stays a name's, since states have it. */

#include <errno.h>
#include <linux/if_addr.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/datapath/private.h"
#include "user/lib/log.h"

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

unsigned int datapath_gateway_number(const struct datapath *dp, const char *name)
{
	return gateway_number(dp, name);
}

/* That which the name has; one that nobody had; one that nobody has. 0: none is left. */
static uint32_t number_for(struct datapath *dp, const struct tables *next, const char *name)
{
	uint32_t number = gateway_number(dp, name);

	if (number)
		return number;
	for (uint32_t i = 1; i < FL_GATEWAYS_MAX && !number; i++)
		if (!dp->gateway_names[i][0])
			number = i;
	for (uint32_t i = 1; i < FL_GATEWAYS_MAX && !number; i++)
		if (!is_in_use(dp, next, i))
			number = i;
	if (!number)
		return 0;
	name_set(dp->gateway_names[number], name);
	__atomic_store_n(&dp->health[number], 0, __ATOMIC_RELAXED); /* that was another's */
	return number;
}

const struct port *gateway_port(const struct port *ports, const struct config_gateway *gateway)
{
	return gateway->tunnel ? port_of_tunnel(ports, gateway->tunnel) : port_of_interface(ports, gateway->interface);
}

static bool is_member_on(const struct fl_gateway *gateway, uint32_t port, unsigned int six)
{
	return gateway->flags & FL_GATEWAY_MEMBER && gateway->port && gateway->port == port &&
	       gateway->family & (six ? FL_INET6 : FL_INET);
}

/* From each member on a port to the next one of its family there. */
static void members_chain(struct tables *tables)
{
	for (uint32_t i = 1; i < FL_GATEWAYS_MAX; i++) {
		struct fl_gateway *gateway = &tables->gateways[i];

		if (!(gateway->flags & FL_GATEWAY_MEMBER))
			continue;
		for (unsigned int six = 0; six < 2; six++)
			for (uint32_t j = i + 1; j < FL_GATEWAYS_MAX && !gateway->next[six]; j++)
				if (is_member_on(&tables->gateways[j], gateway->port, six) &&
				    is_member_on(gateway, gateway->port, six))
					gateway->next[six] = j;
	}
}

/* Of a group that routes lead to. */
static bool is_member(const struct config *config, const struct config_gateway *gateway)
{
	for (size_t i = 0; i < config->n_routes; i++) {
		const struct config_group *group = config->routes[i].via.group;

		for (size_t j = 0; group && j < group->n_members; j++)
			if (group->members[j].gateway == gateway)
				return true;
	}
	return false;
}

static void gateway_value(const struct datapath *dp, const struct config *config, const struct config_gateway *gateway,
			  const struct port *ports, struct fl_gateway *value)
{
	const struct port *port = gateway_port(ports, gateway);
	struct learned hops[2];

	*value = (struct fl_gateway){ .family = gateway_hops(dp, gateway, port, hops) };
	name_set(value->name, gateway->name);
	if (gateway_is_link(dp, gateway, port))
		value->flags |= FL_GATEWAY_LINK;
	for (unsigned int six = 0; six < 2; six++)
		if (hops[six].address.family != AF_UNSPEC)
			value->addr[six] = addr_to_map(&hops[six].address);
	if (is_member(config, gateway))
		value->flags |= FL_GATEWAY_MEMBER;
	if (!port || !port->present)
		return;
	value->port = port->number;
	value->ifindex = port->value.ifindex;
}

int gateways_plan(struct datapath *dp, const struct config *config, const struct port *ports, struct tables *tables,
		  char **why)
{
	tables->gateways = calloc(FL_GATEWAYS_MAX, sizeof(*tables->gateways));
	if (!tables->gateways)
		return -ENOMEM;
	if (config->n_groups >= FL_GROUPS_MAX)
		return fail(why, ENOSPC, "more than %d gateway groups", FL_GROUPS_MAX - 1);
	for (size_t i = 0; i < config->n_gateways; i++) {
		const struct config_gateway *gateway = &config->gateways[i];
		uint32_t number = number_for(dp, tables, gateway->name);

		if (!number)
			return fail(why, ENOSPC, "more than %d gateways in two configurations", FL_GATEWAYS_MAX - 1);
		gateway_value(dp, config, gateway, ports, &tables->gateways[number]);
	}
	members_chain(tables);
	return 0;
}

bool gateways_moved(const struct datapath *dp)
{
	const struct tables *tables = tables_in_force(dp);

	for (size_t i = 0; tables && tables->gateways && i < dp->config->n_gateways; i++) {
		const struct config_gateway *gateway = &dp->config->gateways[i];
		uint32_t number = gateway_number(dp, gateway->name);
		struct fl_gateway now;

		if (!gateway->automatic || !number)
			continue;
		gateway_value(dp, dp->config, gateway, dp->ports, &now);
		if (memcmp(now.addr, tables->gateways[number].addr, sizeof(now.addr)))
			return true;
	}
	return false;
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

/* Of each family the gateway that answers to what comes in by a port go by, and the first member of a group that routes lead to. */
void gateways_of_ports(const struct tables *tables, struct port *ports)
{
	for (size_t i = 1; i < FL_PORTS_MAX; i++) {
		memset(ports[i].value.gateway, 0, sizeof(ports[i].value.gateway));
		memset(ports[i].value.member, 0, sizeof(ports[i].value.member));
		ports[i].value.flags &= ~FL_PORT_MEMBER;
	}
	for (uint32_t i = 1; tables->gateways && i < FL_GATEWAYS_MAX; i++) {
		const struct fl_gateway *gateway = &tables->gateways[i];
		struct fl_port *port = &ports[gateway->port].value;

		for (unsigned int six = 0; six < 2 && gateway->port; six++) {
			if (gateway->family & (six ? FL_INET6 : FL_INET) && !port->gateway[six])
				port->gateway[six] = i;
			if (is_member_on(gateway, gateway->port, six) && !port->member[six]) {
				port->member[six] = i;
				port->flags |= FL_PORT_MEMBER;
			}
		}
	}
}

/* ---- who watches them ---- */

void datapath_watch_gateways(struct datapath *dp, datapath_gateways_fn *fn, void *arg)
{
	dp->gateways_told = fn;
	dp->gateways_told_arg = arg;
}

static void gateway_fact(struct datapath *dp, const struct config_gateway *gateway, const struct port *ports,
			 struct datapath_gateway *fact)
{
	const struct port *port = gateway_port(ports, gateway);
	struct learned hops[2];
	char word[LEARNED_BY_MAX];

	fact->config = gateway;
	fact->number = gateway_number(dp, gateway->name);
	fact->ifindex = port && port->present ? port->value.ifindex : 0;
	fact->health = health_of(dp, fact->number);
	fact->families = gateway_hops(dp, gateway, port, hops);
	for (unsigned int six = 0; six < 2; six++) {
		fact->address[six] = hops[six].address;
		if (gateway->automatic && hops[six].known)
			snprintf(fact->learned_by[six], sizeof(fact->learned_by[six]), "%s",
				 learned_by(&hops[six], word));
	}
}

void gateways_tell(struct datapath *dp, const struct config *config, const struct port *ports, uint32_t set)
{
	struct datapath_gateway *facts = calloc(config->n_gateways + 1, sizeof(*facts));

	dp->groups_set = set;
	for (size_t i = 0; i < config->n_groups; i++)
		for (unsigned int six = 0; six < 2; six++)
			dp->groups[FL_GROUP_INDEX(set, GROUP_NUMBER(i), six)].flags =
				config->groups[i].sticky_source ? FL_GROUP_BY_SOURCE : 0;
	for (size_t i = 0; facts && i < config->n_gateways; i++)
		gateway_fact(dp, &config->gateways[i], ports, &facts[i]);
	if (facts && dp->gateways_told)
		dp->gateways_told(dp->gateways_told_arg, config, set, facts);
	if (!facts)
		log_warnx("out of memory: who watches gateways does not know what has changed");
	free(facts);
}

/* What the kernel would choose, more or less (RFC 6724 5, rules 2, 3 and 8): of the same scope, on the same network before others. */
int datapath_source(struct datapath *dp, unsigned int ifindex, const struct addr *to, struct addr *source)
{
	bool link_local = addr_is_link_local(to), best_near = false, near;
	const struct system_addr *a, *best = NULL;

	for (size_t i = 0; (a = system_addr_at(dp->system, i)); i++) {
		if (a->ifindex != ifindex || a->prefix.addr.family != to->family ||
		    a->flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED) || addr_is_link_local(&a->prefix.addr) != link_local)
			continue;
		near = prefix_contains(&a->prefix, to);
		if (best && (best_near || !near) && !(best->flags & IFA_F_DEPRECATED && !(a->flags & IFA_F_DEPRECATED)))
			continue;
		best = a;
		best_near = near;
	}
	if (!best)
		return -EADDRNOTAVAIL;
	*source = best->prefix.addr;
	return 0;
}
