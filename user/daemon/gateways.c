// SPDX-License-Identifier: GPL-2.0-only
#include "user/daemon/gateways.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/daemon/daemon.h"
#include "user/lib/log.h"

#define UNKNOWN_TOLD_NS (5 * 1000000000ull) /* until then nobody need be told that a new gateway is not known yet */

/* Next hops of a gateway, as the data plane has told them last. */
struct next_hops {
	struct addr address[2]; /* of IPv4, of IPv6 */
	char learned_by[2][16];
};

/* What a group does with a member, as seen last. */
enum member_use { MEMBER_UNSEEN, MEMBER_UNUSABLE, MEMBER_WAITS, MEMBER_CARRIES };

struct gateways {
	struct timekeeper *timekeeper;
	struct event *on_events, *on_moves;
	const struct config *config; /* that the timekeeper has a plan of; NULL: none yet */
	unsigned int set;	     /* of the tables, whose groups' slots it writes */
	/* enum member_use, by group of the configuration, family (IPv4, IPv6) and number of the gateway */
	uint8_t (*use)[2][FL_GATEWAYS_MAX];
	struct next_hops hops[FL_GATEWAYS_MAX]; /* by number */
	bool rights_told;
};

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

_Static_assert(GROUP_SLOTS == FL_GROUP_SLOTS, "one table of slots");

/* Until connections are ended: programs that still go the old way are done then. */
static const struct timeval begun = { .tv_usec = 20000 };

/* ---- plans ---- */

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

struct plan {
	struct timekeeper_plan plan;
	struct timekeeper_gateway *gateways;
	struct timekeeper_path *paths;
	struct addr (*targets)[2];
	struct timekeeper_group *groups;
	struct timekeeper_member *members;
	uint16_t (*slots)[2][FL_GROUP_SLOTS];
};

static void plan_free(struct plan *p)
{
	free(p->gateways);
	free(p->paths);
	free(p->targets);
	free(p->groups);
	free(p->members);
	free(p->slots);
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
			struct plan *p)
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

static int plan_make(struct daemon *d, const struct config *config, const struct datapath_gateway *gateways,
		     struct plan *p)
{
	size_t n_members = 0;

	for (size_t i = 0; i < config->n_groups; i++)
		n_members += config->groups[i].n_members;
	*p = (struct plan){
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

static enum member_use use_of(const struct group_member *member)
{
	return member->active ? MEMBER_CARRIES : member->usable ? MEMBER_WAITS : MEMBER_UNUSABLE;
}

/* Whether some who carried wait now and their connections are still to be ended. */
static bool is_moving(struct daemon *d)
{
	struct timekeeper_snapshot *s = d->gateways->use ? timekeeper_show(d->gateways->timekeeper) : NULL;
	bool moving = datapath_groups_moving(d->datapath);

	for (size_t i = 0; s && i < s->n_groups; i++)
		for (size_t j = 0; j < 2 * s->groups[i].n_members; j++) {
			const struct group_member *m = &s->groups[i].of[j % 2].members[j / 2];

			moving |= use_of(m) == MEMBER_WAITS &&
				  d->gateways->use[s->groups[i].index][j % 2][m->gateway] == MEMBER_CARRIES;
		}
	timekeeper_snapshot_free(s);
	return moving;
}

/*
 * What each member is when a configuration comes in force. That alone ends nothing; but what can't be used may have been lost by an earlier
 * daemon, or one that was at work with an earlier configuration: it is looked at once more, and with `waits` what has to wait, too.
 */
static void uses_begin(struct gateways *g, const struct timekeeper_snapshot *s, bool waits)
{
	g->use = calloc(FL_GROUPS_MAX, sizeof(*g->use));
	for (size_t i = 0; i < s->n_groups && g->use; i++)
		for (size_t j = 0; j < 2 * s->groups[i].n_members; j++) {
			const struct group_member *m = &s->groups[i].of[j % 2].members[j / 2];
			enum member_use use = use_of(m);

			if (use == MEMBER_CARRIES || (use == MEMBER_WAITS && !waits))
				g->use[s->groups[i].index][j % 2][m->gateway] = use;
		}
}

/* Follows soon, when the configuration is in force: what is to end has its numbers of groups. */
static void uses_anew(struct gateways *g, bool waits)
{
	struct timekeeper_snapshot *s = timekeeper_show(g->timekeeper);

	free(g->use);
	g->use = NULL;
	if (s)
		uses_begin(g, s, waits);
	timekeeper_snapshot_free(s);
	event_active(g->on_events, EV_READ, 0);
}

/* ---- next hops that others learn ---- */

static const char *family_text(unsigned int six)
{
	return six ? "IPv6" : "IPv4";
}

static const char *hop_text(const struct addr *address, char buf[ADDR_STRLEN])
{
	return address->family == AF_UNSPEC ? "the link" : addr_format(address, buf);
}

static void hop_happened(struct daemon *d, const char *name, unsigned int six, const struct next_hops *was,
			 const struct next_hops *is)
{
	char before[ADDR_STRLEN] = "", after[ADDR_STRLEN] = "";
	const char *from = hop_text(&was->address[six], before), *to = hop_text(&is->address[six], after);
	const char *by = is->learned_by[six];
	json_t *values = json_pack("{s:s,s:s,s:s,s:s}", "family", six ? "inet6" : "inet", "from", before, "address",
				   after, "learned_by", by);

	if (!*by)
		journal_write(d->journal, JOURNAL_WARNING, JOURNAL_GATEWAY, name, "address lost", values,
			      "%s: %s is not told any more", family_text(six), from);
	else if (!*was->learned_by[six])
		journal_write(d->journal, JOURNAL_NOTICE, JOURNAL_GATEWAY, name, "address learned", values,
			      "%s: %s (%s)", family_text(six), to, by);
	else
		journal_write(d->journal, JOURNAL_NOTICE, JOURNAL_GATEWAY, name, "address changed", values,
			      "%s: from %s to %s (%s)", family_text(six), from, to, by);
}

/* true: the gateway has another next hop. Who tells it may change alone. */
static bool hops_follow(struct daemon *d, const struct datapath_gateway *fact)
{
	struct next_hops *was = &d->gateways->hops[fact->number], is;
	bool changed = false;

	memcpy(is.address, fact->address, sizeof(is.address));
	memcpy(is.learned_by, fact->learned_by, sizeof(is.learned_by));
	for (unsigned int six = 0; six < 2 && fact->config->automatic; six++) {
		bool same = addr_equal(&was->address[six], &is.address[six]);

		changed |= !same;
		if (!same || !*was->learned_by[six] != !*is.learned_by[six])
			hop_happened(d, fact->config->name, six, was, &is);
	}
	*was = is;
	return changed;
}

/* Numbers that gateways of this configuration don't have may be others' later. */
static void hops_forget(struct gateways *g, const struct config *config, const struct datapath_gateway *gateways)
{
	bool used[FL_GATEWAYS_MAX] = { false };

	for (size_t i = 0; i < config->n_gateways; i++)
		used[gateways[i].number % FL_GATEWAYS_MAX] = true;
	for (size_t i = 0; i < FL_GATEWAYS_MAX; i++)
		if (!used[i])
			g->hops[i] = (struct next_hops){};
}

static void gateways_told(void *arg, const struct config *config, unsigned int set,
			  const struct datapath_gateway *gateways)
{
	struct daemon *d = arg;
	struct gateways *g = d->gateways;
	bool same = config == g->config && set == g->set;
	bool moving = config != g->config && is_moving(d);
	struct plan plan;
	int err = plan_make(d, config, gateways, &plan);

	if (!same)
		hops_forget(g, config, gateways);
	for (size_t i = 0; i < config->n_gateways; i++)
		if (hops_follow(d, &gateways[i])) /* it may be what is probed, which belongs to the plan */
			same = false;
	if (!err && same) {
		timekeeper_paths(g->timekeeper, plan.paths);
	} else if (!err) {
		__atomic_store_n(&g->set, set, __ATOMIC_RELAXED);
		err = timekeeper_configure(g->timekeeper, &plan.plan);
		if (!err)
			tell_rights(g, config);
		if (!err && config != g->config)
			uses_anew(g, moving);
		g->config = err ? g->config : config;
	}
	if (err)
		log_ret(err, "gateways are watched as they were before");
	if (datapath_has_orphans(d->datapath))
		evtimer_add(g->on_moves, &begun);
	plan_free(&plan);
}

/* ---- what follows from a change ---- */

static const struct config_gateway *gateway_of(const struct gateways *g, const struct timekeeper_snapshot *s,
					       unsigned int number)
{
	for (size_t i = 0; i < s->n_gateways; i++)
		if (s->gateways[i].number == number)
			return config_find_gateway(g->config, s->gateways[i].name);
	return NULL;
}

/*
 * Connections of a member that is lost, or (failback "move") of one that a better one has taken over from, are ended: another carries now. If
 * none does they stay, for the same one may be back.
 */
static void group_follows(struct daemon *d, const struct timekeeper_group_view *group, enum fl_family family)
{
	const struct timekeeper_choice_view *choice = &group->of[family == FL_INET6];
	uint8_t *before = d->gateways->use[group->index][family == FL_INET6];

	for (size_t i = 0; i < group->n_members; i++) {
		const struct group_member *member = &choice->members[i];
		enum member_use use = use_of(member);
		bool lost = use == MEMBER_UNUSABLE || (use == MEMBER_WAITS && group->failback == CONFIG_FAILBACK_MOVE);

		if (!choice->tier && lost)
			use = MEMBER_UNSEEN; /* to be looked at again when one carries */
		if (!lost || use == MEMBER_UNSEEN)
			datapath_group_stay(d->datapath, group->index, member->gateway, family);
		else if (before[member->gateway] != use)
			datapath_group_leave(d->datapath, group->index, member->gateway, family);
		before[member->gateway] = use;
	}
}

static void connections_follow(struct daemon *d)
{
	struct gateways *g = d->gateways;
	struct timekeeper_snapshot *s = timekeeper_show(g->timekeeper);

	if (!s)
		return;
	if (!g->use) /* a new configuration: what is lost since before it is looked at once more */
		g->use = calloc(FL_GROUPS_MAX, sizeof(*g->use));
	for (size_t i = 0; i < s->n_groups && g->use; i++) {
		group_follows(d, &s->groups[i], FL_INET);
		group_follows(d, &s->groups[i], FL_INET6);
	}
	timekeeper_snapshot_free(s);
	evtimer_add(g->on_moves, &begun);
}

/* ---- what groups are used for ---- */

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
static unsigned int families_used(const struct gateways *g, const char *name)
{
	const struct config_group *group = config_find_group(g->config, name);
	unsigned int may = group ? config_group_families(group) : FL_BOTH, used = 0;

	if (group)
		used = may & (families_of_rules(g->config, group) | families_of_routes(g->config, group));
	return used ? used : may;
}

/* ---- telling ---- */

static const char *const forced_names[] = {
	[MONITOR_FORCED_DOWN] = "down",
	[MONITOR_FORCED_UP] = "up",
};

/* Of what is not negative; nobody measures finer than that. */
static json_t *thousandths(double value)
{
	return json_real((uint64_t)(value * 1000 + 0.5) / 1000.0);
}

static json_t *rtt_ms(bool known, uint32_t us)
{
	return known ? thousandths(us / 1000.0) : json_null();
}

static void put_groups(const struct gateways *g, const char *gateway, char *to, size_t len)
{
	size_t n = 0;

	*to = '\0';
	for (size_t i = 0; i < g->config->n_groups && n < len; i++)
		for (size_t j = 0; j < g->config->groups[i].n_members && n < len; j++)
			if (!strcmp(g->config->groups[i].members[j].gateway->name, gateway))
				n += snprintf(to + n, len - n, "%s%s", n ? " " : "", g->config->groups[i].name);
}

/* Of both families, those that it has. */
static void put_address(const struct gateways *g, uint16_t number, char to[2 * ADDR_STRLEN + 2])
{
	const struct next_hops *hops = &g->hops[number % FL_GATEWAYS_MAX];
	char text[ADDR_STRLEN];
	size_t n = 0;

	*to = '\0';
	for (unsigned int six = 0; six < 2; six++)
		if (hops->address[six].family != AF_UNSPEC)
			n += snprintf(to + n, 2 * ADDR_STRLEN + 2 - n, "%s%s", n ? ", " : "",
				      addr_format(&hops->address[six], text));
}

static void gateway_happened(struct daemon *d, const struct timekeeper_event *e)
{
	const char *status = monitor_status_text(e->view.status), *before = monitor_status_text(e->before);
	char reason[MONITOR_REASON_MAX], what[32], address[2 * ADDR_STRLEN + 2], groups[1024], loss[32], rtt[32] = "";
	const struct hook_variable variables[] = {
		{ "NAME", e->name },  { "STATUS", status },	 { "OLD_STATUS", before },
		{ "REASON", reason }, { "INTERFACE", e->where }, { "ADDRESS", address },
		{ "GROUPS", groups }, { "LOSS_PCT", loss },	 { "RTT_MS", rtt },
	};

	monitor_reason_text(&e->view, e->where, e->at_ns, reason);
	snprintf(what, sizeof(what), "%s -> %s", before, status);
	put_address(d->gateways, datapath_gateway_number(d->datapath, e->name), address);
	put_groups(d->gateways, e->name, groups, sizeof(groups));
	snprintf(loss, sizeof(loss), "%.0f", e->view.loss_pct);
	if (e->view.has_rtt)
		snprintf(rtt, sizeof(rtt), "%.1f", e->view.rtt_us / 1000.0);
	journal_write(d->journal, e->view.status == MONITOR_UP ? JOURNAL_NOTICE : JOURNAL_WARNING, JOURNAL_GATEWAY,
		      e->name, what,
		      json_pack("{s:s,s:o,s:o}", "interface", e->where, "rtt_ms",
				rtt_ms(e->view.has_rtt, e->view.rtt_us), "loss_pct", thousandths(e->view.loss_pct)),
		      "%s", reason);
	hooks_run(d->gateway_hooks, variables, sizeof(variables) / sizeof(variables[0]));
}

static const char *const family_words[] = { [FL_INET] = "inet", [FL_INET6] = "inet6", [FL_BOTH] = "both" };
static const char *const family_texts[] = { [FL_INET] = "IPv4", [FL_INET6] = "IPv6" };

/* " for IPv6", of a group that is used for both families. */
static const char *for_family(const struct gateways *g, const char *group, unsigned int families)
{
	static const char *const texts[] = { [FL_INET] = " for IPv4", [FL_INET6] = " for IPv6", [FL_BOTH] = "" };

	return families_used(g, group) == FL_BOTH ? texts[families] : "";
}

static void add_name(json_t *names, const struct config_gateway *gateway)
{
	if (gateway)
		json_array_append_new(names, json_string(gateway->name));
}

static json_t *names_of(const struct gateways *g, const struct timekeeper_snapshot *s, const uint16_t *numbers,
			size_t n)
{
	json_t *names = json_array();

	for (size_t i = 0; i < n && s; i++)
		add_name(names, gateway_of(g, s, numbers[i]));
	return names;
}

static const char *put_names(const json_t *names, char *to, size_t len)
{
	json_t *name;
	size_t n = 0, i;

	*to = '\0';
	json_array_foreach(names, i, name) {
		if (n < len)
			n += snprintf(to + n, len - n, "%s%s", i ? ", " : "", json_string_value(name));
	}
	return to;
}

static void group_happened(struct daemon *d, const struct timekeeper_event *e)
{
	struct timekeeper_snapshot *s = timekeeper_show(d->gateways->timekeeper);
	json_t *active = names_of(d->gateways, s, e->active, e->n_active);
	const char *family = for_family(d->gateways, e->name, e->families);
	char text[512];

	if (e->tier)
		journal_write(d->journal, JOURNAL_NOTICE, JOURNAL_GROUP, e->name, "carried by",
			      json_pack("{s:s,s:O,s:i}", "family", family_words[e->families], "active", active, "tier",
					(int)e->tier),
			      "%s (tier %u)%s", put_names(active, text, sizeof(text)), e->tier, family);
	else
		journal_write(d->journal, JOURNAL_WARNING, JOURNAL_GROUP, e->name, "nobody left",
			      json_pack("{s:s}", "family", family_words[e->families]),
			      "no member can be used%s: rules that use it block, its routes are unreachable", family);
	json_decref(active);
	timekeeper_snapshot_free(s);
}

static json_t *carriers(const struct gateways *g, const struct timekeeper_snapshot *s, const char *group,
			enum fl_family family)
{
	json_t *names = json_array();

	for (size_t i = 0; s && i < s->n_groups; i++) {
		const struct timekeeper_choice_view *choice = &s->groups[i].of[family == FL_INET6];

		for (size_t j = 0; j < s->groups[i].n_members && !strcmp(s->groups[i].name, group); j++)
			if (choice->members[j].active)
				add_name(names, gateway_of(g, s, choice->members[j].gateway));
	}
	return names;
}

static void moved(void *arg, const struct datapath_move *move)
{
	struct daemon *d = arg;
	struct timekeeper_snapshot *s = timekeeper_show(d->gateways->timekeeper);
	const char *group = d->gateways->config->groups[move->group].name;
	const struct config_gateway *from = s ? gateway_of(d->gateways, s, move->number) : NULL;
	json_t *to = carriers(d->gateways, s, group, move->family);
	const char *name = from ? from->name : "";
	char text[512];

	journal_write(d->journal, JOURNAL_NOTICE, JOURNAL_STATES, group, "moved",
		      json_pack("{s:I,s:s,s:s,s:O}", "states", (json_int_t)move->ended, "family",
				family_words[move->family], "from", name, "to", to),
		      "%llu %s connections by %s ended, to begin anew by %s", (unsigned long long)move->ended,
		      family_texts[move->family], name, put_names(to, text, sizeof(text)));
	json_decref(to);
	timekeeper_snapshot_free(s);
}

static void on_moves(evutil_socket_t fd, short what, void *arg)
{
	static const struct timeval soon = { .tv_usec = 1000 };
	struct daemon *d = arg;
	bool more = datapath_groups_move(d->datapath, moved, d);
	uint64_t ended;

	(void)fd, (void)what;
	more |= datapath_orphans_end(d->datapath, &ended);
	if (ended)
		journal_write(
			d->journal, JOURNAL_NOTICE, JOURNAL_STATES, "", "readdressed",
			json_pack("{s:I}", "states", (json_int_t)ended),
			"%llu connections ended, whose address outside is gone, to begin anew with the one that is there",
			(unsigned long long)ended);
	if (more)
		evtimer_add(d->gateways->on_moves, &soon);
}

static void happened(void *arg, const struct timekeeper_event *e)
{
	struct daemon *d = arg;

	if (e->is_group && e->families & families_used(d->gateways, e->name))
		group_happened(arg, e);
	else if (!e->is_group)
		gateway_happened(arg, e);
}

/* The programs know already. First what packets go by, then connections, then people. */
static void on_events(evutil_socket_t fd, short what, void *arg)
{
	struct daemon *d = arg;
	unsigned int lost;

	(void)fd, (void)what;
	datapath_health_changed(d->datapath);
	connections_follow(d);
	lost = timekeeper_events(d->gateways->timekeeper, happened, d);
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
			unsigned int used = families_used(d->gateways, s->groups[j].name);

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

/* ---- showing ---- */

/* What an automatic gateway has learned, and of whom. */
static json_t *learned_json(const struct gateways *g, uint16_t number)
{
	const struct next_hops *hops = &g->hops[number % FL_GATEWAYS_MAX];
	json_t *array = json_array();
	char text[ADDR_STRLEN];

	for (unsigned int six = 0; six < 2; six++)
		if (*hops->learned_by[six])
			json_array_append_new(array, json_pack("{s:s,s:s,s:s}", "family", six ? "inet6" : "inet",
							       "address", addr_format(&hops->address[six], text), "by",
							       hops->learned_by[six]));
	return array;
}

static json_t *gateway_row(struct daemon *d, const struct timekeeper_snapshot *s,
			   const struct timekeeper_gateway_view *view, const uint64_t *states)
{
	char address[2 * ADDR_STRLEN + 2], reason[MONITOR_REASON_MAX];
	const struct monitor_view *v = &view->view;
	json_t *targets = json_array();

	for (unsigned int i = 0; i < v->n_targets; i++) {
		const struct monitor_target_view *t = &view->targets[i];
		char text[ADDR_STRLEN];

		json_array_append_new(targets,
				      json_pack("{s:s,s:s,s:o,s:o}", "address", addr_format(&t->address, text),
						"status", monitor_status_text(t->status), "rtt_ms",
						rtt_ms(t->has_rtt, t->rtt_us), "loss_pct", thousandths(t->loss_pct)));
	}
	put_address(d->gateways, view->number, address);
	return json_pack("{s:s,s:s,s:s,s:s,s:o,s:o,s:o,s:I,s:s,s:s?,s:I,s:o,s:o}", "name", view->name, "interface",
			 view->where, "address", address, "status", monitor_status_text(v->status), "rtt_ms",
			 rtt_ms(v->has_rtt, v->rtt_us), "rtt_stddev_ms", rtt_ms(v->has_rtt, v->stddev_us), "loss_pct",
			 v->n_targets ? thousandths(v->loss_pct) : json_null(), "since_ms",
			 (json_int_t)((s->now_ns - v->since_ns) / 1000000), "reason",
			 monitor_reason_text(v, view->where, s->now_ns, reason), "forced", forced_names[v->forced],
			 "states", (json_int_t)states[view->number % FL_GATEWAYS_MAX], "targets", targets, "learned",
			 learned_json(d->gateways, view->number));
}

json_t *gateways_show(struct daemon *d)
{
	struct timekeeper_snapshot *s = timekeeper_show(d->gateways->timekeeper);
	uint64_t *states = calloc(FL_GATEWAYS_MAX, sizeof(*states));
	json_t *array = s && states ? json_array() : NULL;

	if (array)
		datapath_gateway_states(d->datapath, states);
	for (size_t i = 0; array && d->gateways->config && i < s->n_gateways; i++)
		json_array_append_new(array, gateway_row(d, s, &s->gateways[i], states));
	free(states);
	timekeeper_snapshot_free(s);
	return array;
}

static const char *const trigger_names[] = {
	[CONFIG_TRIGGER_DOWN] = "down",
	[CONFIG_TRIGGER_LOSS] = "loss",
	[CONFIG_TRIGGER_LATENCY] = "latency",
	[CONFIG_TRIGGER_LOSS_OR_LATENCY] = "loss-or-latency",
};

static const char *const failback_names[] = {
	[CONFIG_FAILBACK_KEEP] = "keep",
	[CONFIG_FAILBACK_DRAIN] = "drain",
	[CONFIG_FAILBACK_MOVE] = "move",
};

static const char *const use_names[] = {
	[MEMBER_UNUSABLE] = "unusable",
	[MEMBER_WAITS] = "waits",
	[MEMBER_CARRIES] = "carries",
};

/* One row says it of both families. */
static bool is_same(const struct timekeeper_group_view *group)
{
	bool same = group->of[0].tier == group->of[1].tier;

	for (size_t i = 0; i < group->n_members; i++) {
		const struct group_member *a = &group->of[0].members[i], *b = &group->of[1].members[i];

		same &= a->takes == b->takes && use_of(a) == use_of(b) && a->n_slots == b->n_slots;
	}
	return same;
}

static bool takes_any(const struct group_member *members, size_t n)
{
	bool any = false;

	for (size_t i = 0; i < n; i++)
		any |= members[i].takes;
	return any;
}

/* Without members that do not take the family, unless no member does. */
static json_t *group_row(struct daemon *d, const struct timekeeper_snapshot *s,
			 const struct timekeeper_group_view *group, unsigned int families)
{
	const struct timekeeper_choice_view *choice = &group->of[families == FL_INET6];
	bool all = !takes_any(choice->members, group->n_members);
	json_t *members = json_array(), *active = json_array();

	for (size_t i = 0; i < group->n_members; i++) {
		const struct group_member *m = &choice->members[i];
		const struct config_gateway *gateway = gateway_of(d->gateways, s, m->gateway);

		if (!gateway || !(m->takes || all))
			continue;
		if (m->active)
			add_name(active, gateway);
		json_array_append_new(members, json_pack("{s:s,s:i,s:i,s:s,s:i}", "gateway", gateway->name, "tier",
							 (int)m->tier, "weight", (int)m->weight, "use",
							 use_names[use_of(m)], "slots", (int)m->n_slots));
	}
	return json_pack("{s:s,s:s,s:s,s:s,s:o,s:i,s:I,s:o}", "name", group->name, "family", family_words[families],
			 "trigger", trigger_names[group->trigger], "failback", failback_names[group->failback],
			 "active", active, "tier", (int)choice->tier, "since_ms",
			 (json_int_t)((s->now_ns - choice->since_ns) / 1000000), "members", members);
}

static void add_group_rows(struct daemon *d, const struct timekeeper_snapshot *s,
			   const struct timekeeper_group_view *group, json_t *array)
{
	unsigned int families = families_used(d->gateways, group->name);

	if (families == FL_BOTH && !is_same(group)) {
		json_array_append_new(array, group_row(d, s, group, FL_INET));
		families = FL_INET6;
	}
	json_array_append_new(array, group_row(d, s, group, families));
}

json_t *gateways_show_groups(struct daemon *d)
{
	struct timekeeper_snapshot *s = timekeeper_show(d->gateways->timekeeper);
	json_t *array = s ? json_array() : NULL;

	for (size_t i = 0; array && d->gateways->config && i < s->n_groups; i++)
		add_group_rows(d, s, &s->groups[i], array);
	timekeeper_snapshot_free(s);
	return array;
}

static void group_reason(const struct gateways *g, const struct timekeeper_group_view *group, json_t *reasons)
{
	unsigned int lacks = families_used(g, group->name);

	lacks &= ~((group->of[0].tier ? FL_INET : 0u) | (group->of[1].tier ? FL_INET6 : 0u));
	if (lacks)
		json_array_append_new(reasons, json_sprintf("group %s: no member can be used%s", group->name,
							    for_family(g, group->name, lacks)));
}

void gateways_reasons(struct daemon *d, json_t *reasons)
{
	struct timekeeper_snapshot *s = timekeeper_show(d->gateways->timekeeper);
	char reason[MONITOR_REASON_MAX];

	for (size_t i = 0; s && i < s->n_gateways; i++) {
		const struct timekeeper_gateway_view *g = &s->gateways[i];

		bool soon = g->view.status == MONITOR_UNKNOWN && s->now_ns - g->view.since_ns < UNKNOWN_TOLD_NS;

		if (g->view.status != MONITOR_UP && !soon)
			json_array_append_new(reasons,
					      json_sprintf("gateway %s is %s: %s", g->name,
							   monitor_status_text(g->view.status),
							   monitor_reason_text(&g->view, g->where, s->now_ns, reason)));
	}
	for (size_t i = 0; s && d->gateways->config && i < s->n_groups; i++)
		group_reason(d->gateways, &s->groups[i], reasons);
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
	const struct timekeeper_plane plane = { plane_gateway, plane_group, plane_changed, d };
	struct gateways *g = calloc(1, sizeof(*g));
	int err = g ? 0 : -ENOMEM;

	d->gateways = g;
	err = err ?: timekeeper_start(&g->timekeeper, &plane);
	if (err)
		return log_ret(err, "gateways can't be watched");
	g->on_events = event_new(d->base, timekeeper_fd(g->timekeeper), EV_READ | EV_PERSIST, on_events, d);
	g->on_moves = evtimer_new(d->base, on_moves, d);
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
