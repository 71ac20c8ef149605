// SPDX-License-Identifier: GPL-2.0-only
/* A new configuration for the timekeeper, and new paths in the one that it has. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "user/gateway/timekeeper_internal.h"
#include "user/lib/log.h"

#define GOLDEN 2654435769u /* 2^32 over the golden ratio: multiples of it lie far apart */

/* ---- one piece of memory ---- */

struct arena {
	uint8_t *next;
};

static size_t rounded(size_t size)
{
	return (size + 63) & ~(size_t)63;
}

static void *take(struct arena *a, size_t size)
{
	void *memory = a->next;

	a->next += rounded(size);
	return memory;
}

static struct monitor_setup setup_of(const struct timekeeper_gateway *g, uint32_t phase)
{
	return (struct monitor_setup){ .settings = g->settings,
				       .targets = g->targets,
				       .n_targets = g->n_targets,
				       .monitored = g->monitored,
				       .metered = g->metered,
				       .unreachable = !g->path.families,
				       .before = g->before,
				       .forced = g->forced,
				       .phase = phase };
}

static size_t members_of(const struct timekeeper_plan *plan)
{
	size_t n = 0, i;

	for (i = 0; i < plan->n_groups; i++)
		n += plan->groups[i].n_members;
	return n;
}

static size_t size_of(const struct timekeeper_plan *plan)
{
	size_t n = plan->n_gateways, members = members_of(plan), size, i;

	size = rounded(sizeof(struct keeper_plan)) + rounded(n * sizeof(struct keeper_gateway)) +
	       2 * rounded(n * sizeof(uint64_t)) + rounded(plan->n_groups * sizeof(struct keeper_group)) +
	       rounded(members * sizeof(struct keeper_gateway *)) + rounded(members * sizeof(struct group_state)) +
	       2 * rounded(members * sizeof(struct group_member));
	for (i = 0; i < n; i++) {
		struct monitor_setup setup = setup_of(&plan->gateways[i], 0);

		size += rounded(monitor_size(&setup));
	}
	return size;
}

static void name(char *to, size_t size, const char *from)
{
	snprintf(to, size, "%s", from ? from : "");
}

static void copy_path(struct keeper_gateway *g, const struct timekeeper_path *path)
{
	g->path = path->probe;
	g->underlay = path->underlay;
	g->underlay_group = path->underlay_group;
	g->families = path->families;
	name(g->where, sizeof(g->where), path->where);
}

static void build_gateway(struct keeper_gateway *g, const struct timekeeper_gateway *from, struct arena *a,
			  uint32_t phase, uint64_t now_ns)
{
	struct monitor_setup setup = setup_of(from, phase);

	name(g->name, sizeof(g->name), from->name);
	name(g->dns_name, sizeof(g->dns_name), from->settings->dns_name);
	g->number = from->number;
	g->type = from->settings->type;
	g->port = from->settings->port;
	copy_path(g, &from->path);
	g->monitor = monitor_init(take(a, monitor_size(&setup)), &setup, now_ns);
	g->n_targets = !from->monitored			       ? 0
		       : from->n_targets < MONITOR_TARGETS_MAX ? from->n_targets
							       : MONITOR_TARGETS_MAX;
	g->told = monitor_status(g->monitor);
}

static struct keeper_gateway *find_number(const struct keeper_plan *plan, uint16_t number)
{
	size_t i;

	for (i = 0; i < plan->n_gateways; i++)
		if (plan->gateways[i].number == number)
			return &plan->gateways[i];
	return NULL;
}

static void build_choice(struct keeper_choice *choice, enum fl_family family, const struct timekeeper_group *from,
			 struct group_member *members, uint64_t now_ns)
{
	size_t i;

	for (i = 0; i < from->n_members; i++)
		members[i] = (struct group_member){ .gateway = from->members[i].gateway,
						    .tier = from->members[i].tier,
						    .weight = from->members[i].weight };
	group_init(&choice->group, family, from->trigger, from->failback, members, from->n_members);
	choice->since_ns = now_ns;
}

/* -EINVAL: a member is no gateway of the plan */
static int build_group(struct keeper_plan *plan, struct keeper_group *g, const struct timekeeper_group *from,
		       size_t first, uint64_t now_ns)
{
	unsigned int six;
	size_t i;

	name(g->name, sizeof(g->name), from->name);
	g->index = from->index;
	g->first_member = first;
	g->n_members = from->n_members;
	for (six = 0; six < 2; six++)
		build_choice(&g->of[six], six ? FL_INET6 : FL_INET, from, &plan->group_members[six][first], now_ns);
	for (i = 0; i < from->n_members; i++) {
		plan->members[first + i] = find_number(plan, plan->group_members[0][first + i].gateway);
		if (!plan->members[first + i])
			return -EINVAL;
	}
	for (six = 0; six < 2 && from->before; six++)
		group_take_over(&g->of[six].group, from->before[six]);
	return 0;
}

static int fill(struct keeper_plan *new, const struct timekeeper_plan *plan, struct arena *a, uint64_t now_ns)
{
	size_t n_members = members_of(plan), first = 0, i;
	uint32_t targets = 0;
	int err = 0;

	new->n_gateways = plan->n_gateways;
	new->n_groups = plan->n_groups;
	new->gateways = take(a, plan->n_gateways * sizeof(*new->gateways));
	new->next_ns = take(a, plan->n_gateways * sizeof(*new->next_ns));
	new->early_ns = take(a, plan->n_gateways * sizeof(*new->early_ns));
	new->groups = take(a, plan->n_groups * sizeof(*new->groups));
	new->members = take(a, n_members * sizeof(struct keeper_gateway *));
	new->states = take(a, n_members * sizeof(*new->states));
	for (i = 0; i < 2; i++)
		new->group_members[i] = take(a, n_members * sizeof(struct group_member));
	for (i = 0; i < plan->n_gateways; i++) {
		build_gateway(&new->gateways[i], &plan->gateways[i], a, targets * GOLDEN, now_ns);
		targets += new->gateways[i].n_targets;
	}
	for (i = 0; i < plan->n_groups && !err; i++) {
		err = build_group(new, &new->groups[i], &plan->groups[i], first, now_ns);
		first += plan->groups[i].n_members;
	}
	return err;
}

static struct keeper_plan *build(struct timekeeper *tk, const struct timekeeper_plan *plan, int *err)
{
	size_t size = size_of(plan);
	struct arena a = { .next = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) };
	struct keeper_plan *new = (struct keeper_plan *)a.next;

	if (a.next == MAP_FAILED) {
		*err = -ENOMEM;
		return NULL;
	}
	keeper_lock(tk, a.next, size);
	take(&a, sizeof(*new));
	new->size = size;
	*err = fill(new, plan, &a, keeper_now());
	if (!*err)
		return new;
	munmap(new, size);
	return NULL;
}

/* ---- the probes' slots ---- */

static struct probe_setup probe_of(const struct keeper_gateway *g, const struct addr *target)
{
	return (struct probe_setup){ .target = *target, .type = g->type, .port = g->port, .dns_name = g->dns_name };
}

/* Before the mutex is taken: sockets[] of all targets, in their order; NULL without memory */
static int *open_sockets(const struct keeper_plan *new, const struct timekeeper_plan *plan)
{
	int *sockets = calloc(new->n_gateways *MONITOR_TARGETS_MAX + 1, sizeof(*sockets));
	size_t i, k;

	for (i = 0; sockets && i < new->n_gateways; i++)
		for (k = 0; k < new->gateways[i].n_targets; k++) {
			struct probe_setup setup = probe_of(&new->gateways[i], &plan->gateways[i].targets[k]);

			sockets[i * MONITOR_TARGETS_MAX + k] = prober_socket(&setup);
		}
	return sockets;
}

static int give_slot(struct timekeeper *tk, const struct keeper_gateway *g, const struct addr *target, int sock)
{
	struct probe_setup setup = probe_of(g, target);

	return sock < 0 && sock != PROBE_NO_SOCKET ? sock : prober_add(tk->prober, &setup, sock);
}

static void own_slot(struct keeper_plan *plan, const struct keeper_gateway *g, unsigned int target)
{
	int slot = g->targets[target].slot;

	if (slot < 0)
		return;
	plan->owners[slot] = (uint16_t)(g - plan->gateways);
	plan->which[slot] = (uint8_t)target;
}

/* ---- taking over ---- */

static bool same_probes(const struct keeper_gateway *a, const struct keeper_gateway *b)
{
	return a->type == b->type && a->port == b->port && !strcmp(a->dns_name, b->dns_name);
}

static struct keeper_gateway *find_name(const struct keeper_plan *plan, const char *gateway)
{
	size_t i;

	for (i = 0; plan && i < plan->n_gateways; i++)
		if (!strcmp(plan->gateways[i].name, gateway))
			return &plan->gateways[i];
	return NULL;
}

/* Probes that go on keep their slot, where their answers are waited for; the others have new ones, and stray answers find nobody */
static void take_gateway(struct timekeeper *tk, struct keeper_plan *new, struct keeper_gateway *g,
			 const struct timekeeper_gateway *from, int *sockets, uint64_t now_ns)
{
	struct keeper_gateway *old = find_name(tk->plan, g->name);
	int map[MONITOR_TARGETS_MAX];
	unsigned int i;

	memset(map, 0xff, sizeof(map));
	if (old) {
		monitor_take_over(g->monitor, old->monitor, same_probes(g, old), now_ns, map);
		g->told = old->told;
	}
	for (i = 0; i < g->n_targets; i++) {
		struct keeper_target *before = map[i] >= 0 ? &old->targets[map[i]] : NULL;

		if (before && before->slot >= 0) {
			g->targets[i] = *before;
			before->slot = -1;
		} else {
			g->targets[i].slot = give_slot(tk, g, &from->targets[i], sockets[i]);
			sockets[i] = -1;
		}
		own_slot(new, g, i);
	}
	g->underlay_up = !old || old->underlay_up;
	keeper_link_ask(tk, g);
	keeper_path_changed(new, g, now_ns);
}

static struct keeper_group *find_group(const struct keeper_plan *plan, const char *group)
{
	size_t i;

	for (i = 0; plan && i < plan->n_groups; i++)
		if (!strcmp(plan->groups[i].name, group))
			return &plan->groups[i];
	return NULL;
}

static void take_choice(const struct timekeeper *tk, const struct keeper_plan *new, struct keeper_choice *choice,
			const struct keeper_choice *old)
{
	uint16_t slots[GROUP_SLOTS] = { 0 };
	unsigned int i;

	for (i = 0; i < GROUP_SLOTS; i++) {
		const struct keeper_gateway *was = find_number(tk->plan, old->group.slots[i]);
		const struct keeper_gateway *is = was ? find_name(new, was->name) : NULL;

		slots[i] = is ? is->number : 0;
	}
	group_take_over(&choice->group, slots);
	choice->since_ns = old->since_ns;
}

static void take_group(const struct timekeeper *tk, const struct keeper_plan *new, struct keeper_group *g)
{
	const struct keeper_group *old = find_group(tk->plan, g->name);
	unsigned int six;

	for (six = 0; six < 2 && old; six++)
		take_choice(tk, new, &g->of[six], &old->of[six]);
}

static void drop_slots(struct timekeeper *tk, struct keeper_plan *old)
{
	size_t i, k;

	for (i = 0; old && i < old->n_gateways; i++)
		for (k = 0; k < old->gateways[i].n_targets; k++)
			if (old->gateways[i].targets[k].slot >= 0)
				prober_remove(tk->prober, old->gateways[i].targets[k].slot);
}

static struct keeper_plan *swap(struct timekeeper *tk, struct keeper_plan *new, const struct timekeeper_plan *plan,
				int *sockets)
{
	struct keeper_plan *old = tk->plan;
	uint64_t now_ns = keeper_now();
	size_t i;

	for (i = 0; i < new->n_gateways; i++)
		take_gateway(tk, new, &new->gateways[i], &plan->gateways[i], &sockets[i * MONITOR_TARGETS_MAX], now_ns);
	for (i = 0; i < new->n_groups; i++)
		take_group(tk, new, &new->groups[i]);
	drop_slots(tk, old);
	tk->plan = new;
	keeper_round(tk, true);
	return old;
}

static void close_sockets(int *sockets, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (sockets[i] > 0)
			close(sockets[i]);
	free(sockets);
}

static void log_unprobed(const struct keeper_plan *plan)
{
	size_t i, k;

	for (i = 0; i < plan->n_gateways; i++)
		for (k = 0; k < plan->gateways[i].n_targets; k++)
			if (plan->gateways[i].targets[k].slot < 0)
				log_warnx("gateway %s: a target can't be probed: %s", plan->gateways[i].name,
					  strerror(-plan->gateways[i].targets[k].slot));
}

int timekeeper_configure(struct timekeeper *tk, const struct timekeeper_plan *plan)
{
	struct keeper_plan *new, *old;
	int *sockets, err;

	new = build(tk, plan, &err);
	if (!new)
		return log_ret(err, "gateways: new configuration");
	sockets = open_sockets(new, plan);
	if (!sockets) {
		munmap(new, new->size);
		return log_ret(ENOMEM, "gateways: new configuration");
	}
	pthread_mutex_lock(&tk->mutex);
	old = swap(tk, new, plan, sockets);
	pthread_mutex_unlock(&tk->mutex);
	close_sockets(sockets, plan->n_gateways * MONITOR_TARGETS_MAX);
	if (old)
		munmap(old, old->size);
	log_unprobed(new);
	return 0;
}

/* ---- paths ---- */

static bool moved(const struct addr *from, const struct addr *to)
{
	return from->family == to->family && from->family != AF_UNSPEC && !addr_equal(from, to);
}

static void set_path(struct timekeeper *tk, struct keeper_gateway *g, const struct timekeeper_path *path,
		     uint64_t now_ns)
{
	struct probe_path old = g->path;
	unsigned int i;

	copy_path(g, path);
	keeper_link_ask(tk, g);
	for (i = 0; i < PROBE_SOURCES; i++)
		if (moved(&old.sources[i], &g->path.sources[i]) || old.ifindex != g->path.ifindex)
			monitor_source_changed(g->monitor, i, now_ns);
	keeper_path_changed(tk->plan, g, now_ns);
}

void timekeeper_paths(struct timekeeper *tk, const struct timekeeper_path *paths)
{
	uint64_t now_ns;
	size_t i;

	pthread_mutex_lock(&tk->mutex);
	now_ns = keeper_now();
	for (i = 0; tk->plan && i < tk->plan->n_gateways; i++)
		set_path(tk, &tk->plan->gateways[i], &paths[i], now_ns);
	keeper_round(tk, false);
	pthread_mutex_unlock(&tk->mutex);
}
