// SPDX-License-Identifier: GPL-2.0-only
/* The plan that the timekeeper gets: made of the configuration, and of what the data plane says of gateways. */
#include "user/daemon/gateways_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *where(const struct config_gateway *gateway)
{
	return gateway->interface ? gateway->interface->name : gateway->tunnel->name;
}

/* Addresses to probe: its own where none are given. */
static size_t targets_of(const struct datapath_gateway *fact, struct addr targets[2])
{
	size_t n = 0;

	for (size_t i = 0; i < 2; i++)
		if (fact->address[i].family != AF_UNSPEC)
			targets[n++] = fact->address[i];
	return n;
}

static enum probe_source source_for(const struct addr *target)
{
	if (target->family == AF_INET)
		return PROBE_SOURCE4;
	return addr_is_link_local(target) ? PROBE_SOURCE_LOCAL : PROBE_SOURCE6;
}

/* The first target of a kind says what the source has to reach. There is none of a family that the gateway has no next hop for. */
static void sources_of(struct daemon *d, const struct datapath_gateway *fact, const struct addr *targets, size_t n,
		       struct addr sources[PROBE_SOURCES])
{
	memset(sources, 0, PROBE_SOURCES * sizeof(*sources));
	for (size_t i = 0; i < n; i++) {
		struct addr *source = &sources[source_for(&targets[i])];
		unsigned int family = targets[i].family == AF_INET ? FL_INET : FL_INET6;

		if (source->family == AF_UNSPEC && fact->families & family)
			datapath_source(d->datapath, fact->ifindex, &targets[i], source);
	}
}

static uint32_t underlay_of(struct daemon *d, const struct config_gateway *gateway)
{
	const struct config_interface *underlay = gateway->tunnel ? gateway->tunnel->underlay : NULL;
	const struct system_link *link = underlay ? system_link_by_name(d->system, underlay->device) : NULL;

	return link ? link->ifindex : 0;
}

/* A group's place in the timekeeper's plan is the configuration's. */
static uint32_t underlay_group_of(const struct config *config, const struct config_gateway *gateway)
{
	const struct config_group *group = gateway->tunnel ? gateway->tunnel->underlay_group : NULL;

	return group ? (uint32_t)(group - config->groups) + 1 : 0;
}

static enum monitor_forced forced_of(uint32_t health)
{
	if (health & FL_HEALTH_FORCED_UP)
		return MONITOR_FORCED_UP;
	return health & FL_HEALTH_FORCED_DOWN ? MONITOR_FORCED_DOWN : MONITOR_AUTO;
}

static void plan_gateway(struct daemon *d, const struct config *config, const struct datapath_gateway *fact,
			 struct addr targets[2], struct timekeeper_gateway *to)
{
	const struct config_gateway *gateway = fact->config;

	*to = (struct timekeeper_gateway){
		.name = gateway->name,
		.number = fact->number,
		.monitored = gateway->monitored,
		.metered = gateway->metered,
		.settings = &gateway->monitor,
		.targets = gateway->monitor.targets,
		.n_targets = gateway->monitor.n_targets,
		.before = fact->health & FL_HEALTH_UP ? MONITOR_UP : MONITOR_UNKNOWN,
		.forced = forced_of(fact->health),
		.path = { .probe = { .ifindex = fact->ifindex, .mark = FL_PROBE_MARK(fact->number) },
			  .underlay = underlay_of(d, gateway),
			  .families = fact->families,
			  .underlay_group = underlay_group_of(config, gateway),
			  .where = where(gateway) },
	};
	if (gateway->monitored && !to->n_targets) {
		to->targets = targets;
		to->n_targets = targets_of(fact, targets);
	}
	sources_of(d, fact, to->targets, to->n_targets, to->path.probe.sources);
}

static void plan_groups(struct daemon *d, const struct config *config, const struct datapath_gateway *gateways,
			struct gateways_plan *p)
{
	struct timekeeper_member *member = p->members;

	for (size_t i = 0; i < config->n_groups; i++) {
		const struct config_group *group = &config->groups[i];

		p->groups[i] = (struct timekeeper_group){
			.name = group->name,
			.index = i,
			.trigger = group->trigger,
			.failback = group->failback,
			.members = member,
			.n_members = group->n_members,
			.before = (const uint16_t(*)[FL_GROUP_SLOTS])p->slots[i],
		};
		datapath_group_before(d->datapath, i, FL_INET, p->slots[i][0]);
		datapath_group_before(d->datapath, i, FL_INET6, p->slots[i][1]);
		for (size_t j = 0; j < group->n_members; j++, member++)
			*member = (struct timekeeper_member){
				gateways[group->members[j].gateway - config->gateways].number,
				group->members[j].tier,
				group->members[j].weight,
			};
	}
}

int gateways_plan_make(struct daemon *d, const struct config *config, const struct datapath_gateway *gateways,
		       struct gateways_plan *p)
{
	size_t n_members = 0;

	for (size_t i = 0; i < config->n_groups; i++)
		n_members += config->groups[i].n_members;
	*p = (struct gateways_plan){
		.gateways = calloc(config->n_gateways + 1, sizeof(*p->gateways)),
		.paths = calloc(config->n_gateways + 1, sizeof(*p->paths)),
		.targets = calloc(config->n_gateways + 1, sizeof(*p->targets)),
		.groups = calloc(config->n_groups + 1, sizeof(*p->groups)),
		.members = calloc(n_members + 1, sizeof(*p->members)),
		.slots = calloc(config->n_groups + 1, sizeof(*p->slots)),
	};
	if (!p->gateways || !p->paths || !p->targets || !p->groups || !p->members || !p->slots)
		return -ENOMEM;
	for (size_t i = 0; i < config->n_gateways; i++) {
		plan_gateway(d, config, &gateways[i], p->targets[i], &p->gateways[i]);
		p->paths[i] = p->gateways[i].path;
	}
	plan_groups(d, config, gateways, p);
	p->plan.gateways = p->gateways;
	p->plan.n_gateways = config->n_gateways;
	p->plan.groups = p->groups;
	p->plan.n_groups = config->n_groups;
	return 0;
}

void gateways_plan_free(struct gateways_plan *p)
{
	free(p->gateways);
	free(p->paths);
	free(p->targets);
	free(p->groups);
	free(p->members);
	free(p->slots);
}
