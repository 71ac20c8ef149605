// SPDX-License-Identifier: GPL-2.0-only
/* Gateways and groups as a whole: what the timekeeper, the data plane and people say, and what follows from it in which order. */
#include "user/daemon/gateways.h"

#include <errno.h>
#include <stdlib.h>

#include "user/daemon/gateways_internal.h"
#include "user/lib/log.h"

/* ---- what the timekeeper finds, in its thread or ours: stores only ---- */

static void plane_gateway(void *arg, uint16_t number, unsigned int families)
{
	datapath_gateway_health(((struct daemon *)arg)->datapath, number, families);
}

static void plane_group(void *arg, uint32_t index, enum fl_family family, const uint16_t slots[GROUP_SLOTS])
{
	struct daemon *d = arg;

	datapath_group_slots(d->datapath, __atomic_load_n(&d->gateways->set, __ATOMIC_RELAXED), index, family, slots);
}

static void plane_changed(void *arg)
{
	datapath_health_written(((struct daemon *)arg)->datapath);
}

static void plane_lease(void *arg, uint16_t lease, uint64_t until_ns)
{
	datapath_leases(((struct daemon *)arg)->datapath)[lease] = until_ns;
}

_Static_assert(GROUP_SLOTS == FL_GROUP_SLOTS, "one table of slots");

/* ---- what the configuration says ---- */

const struct config_gateway *gateways_config_of(const struct gateways *g, const struct timekeeper_snapshot *s,
						unsigned int number)
{
	for (size_t i = 0; i < s->n_gateways; i++)
		if (s->gateways[i].number == number)
			return config_find_gateway(g->config, s->gateways[i].name);
	return NULL;
}

static unsigned int families_of_rules(const struct config *config, const struct config_group *group)
{
	unsigned int families = 0;

	for (size_t i = 0; i < config->n_rules; i++)
		if (config->rules[i].route_to.group == group || config->rules[i].reply_to.group == group)
			families |= config->rules[i].match.families;
	return families;
}

static unsigned int families_of_routes(const struct config *config, const struct config_group *group)
{
	unsigned int families = 0;

	for (size_t i = 0; i < config->n_routes; i++)
		if (config->routes[i].via.group == group)
			families |= config->routes[i].destination.addr.family == AF_INET6 ? FL_INET6 : FL_INET;
	for (size_t i = 0; i < config->n_tunnels; i++)
		if (config->tunnels[i].underlay_group == group)
			families |= FL_INET;
	return families;
}

/* By the configuration, of those that its members may take; all of these if nothing uses it. People are told of these only. */
unsigned int gateways_families_used(const struct gateways *g, const char *name)
{
	const struct config_group *group = config_find_group(g->config, name);
	unsigned int may = group ? config_group_families(group) : FL_BOTH, used = 0;

	if (group)
		used = may & (families_of_rules(g->config, group) | families_of_routes(g->config, group));
	return used ? used : may;
}

/* ---- what the data plane tells ---- */

/* Once: nothing else shows what it lacks before the machine is busy. */
static void tell_rights(struct gateways *g, const struct config *config)
{
	if (g->rights_told || !config->n_gateways)
		return;
	g->rights_told = true;
	if (!timekeeper_is_realtime(g->timekeeper))
		log_warnx("gateways are probed without real-time priority (RLIMIT_RTPRIO): late on a busy machine");
	if (!timekeeper_is_locked(g->timekeeper))
		log_warnx(
			"gateways are probed from memory that is not locked (RLIMIT_MEMLOCK): late while it is fetched");
}

static void gateways_told(void *arg, const struct config *config, unsigned int set,
			  const struct datapath_gateway *gateways)
{
	struct daemon *d = arg;
	struct gateways *g = d->gateways;
	bool same = config == g->config && set == g->set;
	bool moving = config != g->config && gateways_are_moving(d);
	struct gateways_plan plan;
	int err = gateways_plan_make(d, config, gateways, &plan);

	if (!same)
		gateways_hops_forget(g, config, gateways);
	for (size_t i = 0; i < config->n_gateways; i++)
		if (gateways_hops_follow(d, &gateways[i])) /* it may be what is probed, which belongs to the plan */
			same = false;
	if (!err && same) {
		timekeeper_paths(g->timekeeper, plan.paths);
	} else if (!err) {
		__atomic_store_n(&g->set, set, __ATOMIC_RELAXED);
		err = timekeeper_configure(g->timekeeper, &plan.plan);
		if (!err)
			tell_rights(g, config);
		if (!err && config != g->config)
			gateways_uses_anew(g, moving);
		g->config = err ? g->config : config;
	}
	if (err)
		log_ret(err, "gateways are watched as they were before");
	if (datapath_has_orphans(d->datapath))
		gateways_moves_begin(g);
	gateways_plan_free(&plan);
}

/* ---- what follows from a change ---- */

/* The programs know already. First what packets go by, then connections, then people. */
static void on_events(evutil_socket_t fd, short what, void *arg)
{
	struct daemon *d = arg;
	unsigned int lost;

	(void)fd, (void)what;
	datapath_health_changed(d->datapath);
	gateways_connections_follow(d);
	vips_look(d);
	lost = timekeeper_events(d->gateways->timekeeper, gateways_tell_event, d);
	if (lost)
		journal_write(d->journal, JOURNAL_WARNING, JOURNAL_GATEWAY, "", "untold", NULL,
			      "%u changes of gateways and groups came too fast to be told", lost);
}

/* A metered gateway carries where it is used by itself, or by a group that has it in use, for a family that it is used for. */
static void idle_or_not(struct daemon *d, const struct timekeeper_snapshot *s)
{
	for (size_t i = 0; i < s->n_gateways; i++) {
		const struct config_gateway *gateway = config_find_gateway(d->gateways->config, s->gateways[i].name);
		bool member = false, active = false;

		if (!gateway || !gateway->metered)
			continue;
		for (size_t j = 0; j < s->n_groups; j++) {
			unsigned int used = gateways_families_used(d->gateways, s->groups[j].name);

			for (size_t k = 0; k < 2 * s->groups[j].n_members; k++) {
				const struct group_member *m = &s->groups[j].of[k % 2].members[k / 2];
				bool is = m->gateway == s->gateways[i].number;

				member |= is;
				active |= is && m->active && used & (k % 2 ? FL_INET6 : FL_INET);
			}
		}
		timekeeper_idle(d->gateways->timekeeper, s->gateways[i].number, member && !active);
	}
}

void gateways_tick(struct daemon *d)
{
	struct gateways *g = d->gateways;
	struct timekeeper_snapshot *s;
	bool metered = false;

	for (size_t i = 0; g->config && i < g->config->n_gateways; i++)
		metered |= g->config->gateways[i].metered;
	s = metered ? timekeeper_show(g->timekeeper) : NULL;
	if (!s)
		return;
	idle_or_not(d, s);
	timekeeper_snapshot_free(s);
}

/* ---- by hand ---- */

int gateways_force(struct daemon *d, const char *name, enum monitor_forced forced)
{
	static const unsigned int flags[] = {
		[MONITOR_FORCED_DOWN] = FL_HEALTH_FORCED_DOWN,
		[MONITOR_FORCED_UP] = FL_HEALTH_FORCED_UP,
	};
	unsigned int number = datapath_gateway_number(d->datapath, name);
	int err = number ? timekeeper_force(d->gateways->timekeeper, number, forced) : -ENOENT;

	if (!err)
		datapath_gateway_forced(d->datapath, number, flags[forced]);
	return err;
}

/* ---- beginning and end ---- */

int gateways_open(struct daemon *d)
{
	const struct timekeeper_plane plane = { plane_gateway, plane_group, plane_changed, plane_lease, d };
	struct gateways *g = calloc(1, sizeof(*g));
	int err = g ? 0 : -ENOMEM;

	d->gateways = g;
	err = err ?: timekeeper_start(&g->timekeeper, &plane);
	if (err)
		return log_ret(err, "gateways can't be watched");
	g->on_events = event_new(d->base, timekeeper_fd(g->timekeeper), EV_READ | EV_PERSIST, on_events, d);
	g->on_moves = evtimer_new(d->base, gateways_on_moves, d);
	if (!g->on_events || !g->on_moves || event_add(g->on_events, NULL))
		return log_ret(ENOMEM, "gateways can't be watched");
	datapath_watch_gateways(d->datapath, gateways_told, d);
	return 0;
}

void gateways_close(struct daemon *d)
{
	struct gateways *g = d->gateways;

	if (!g)
		return;
	if (g->on_events)
		event_free(g->on_events);
	if (g->on_moves)
		event_free(g->on_moves);
	if (g->timekeeper)
		timekeeper_stop(g->timekeeper);
	free(g->use);
	free(g);
	d->gateways = NULL;
}
