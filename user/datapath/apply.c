// SPDX-License-Identifier: GPL-2.0-only
/*
 * Making the data plane what a configuration says, on the machine as it is. One path for apply, which takes everything back when
 * a step fails, and for refresh, which does what it can.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/datapath/private.h"
#include "user/lib/log.h"

struct change {
	const struct config *config;
	struct undo *undo; /* NULL: refresh */
	char **why;
	struct port *next;
	uint32_t *peers;
	struct tables *tables; /* NULL once installed, or where they could not be compiled */
	bool filled;	       /* the set that is not in force */
	int err;	       /* the first one */
};

static bool goes_on(const struct change *c)
{
	return !c->err || !c->undo;
}

static void step(struct change *c, int err)
{
	if (err && !c->err)
		c->err = err;
}

/* ---- what shall be ---- */

static int change_plan(struct datapath *dp, struct change *c, struct config_report *report)
{
	const struct tables *current = tables_in_force(dp);

	c->next = calloc(FL_PORTS_MAX, sizeof(*c->next));
	c->peers = calloc(c->config->n_tunnels + 1, sizeof(*c->peers));
	if (!c->next || !c->peers)
		return -ENOMEM;
	memcpy(c->next, dp->ports, FL_PORTS_MAX * sizeof(*c->next));
	step(c, devices_make(dp, c->config, c->peers, c->undo, c->why));
	if (goes_on(c))
		step(c, ports_plan(dp, c->config, c->peers, c->next, report, c->why));
	if (!goes_on(c))
		return c->err;
	facts_addresses(dp, c->next);
	learned_read(dp, c->config);
	step(c, tables_compile(c->config, c->next, current, &c->tables, c->why));
	if (c->tables)
		step(c, gateways_plan(dp, c->config, c->next, c->tables, c->why));
	if (c->tables && c->tables->gateways)
		step(c, policy_plan(dp, c->config, c->next, c->tables, c->why));
	return c->err;
}

/* ---- making it so ---- */

static void forward_back(struct datapath *dp, const void *data)
{
	memcpy(&dp->control.forward, data, sizeof(dp->control.forward));
	control_write(dp);
}

/* ICMP errors have a way when our program is on the far end of fl-icmp; and packets may pass. */
static void forward_on(struct datapath *dp, const struct change *c)
{
	const struct port *icmp = port_by_name(c->next, "fl-icmp-rx");
	uint32_t before = dp->control.forward;
	uint32_t icmp_ifindex = icmp && icmp->present && icmp->mode == PORT_MODE_NATIVE ? dp->icmp_ifindex : 0;

	if (dp->control.forward && dp->control.icmp_ifindex == icmp_ifindex)
		return;
	dp->control.forward = 1;
	dp->control.icmp_ifindex = icmp_ifindex;
	undo_push(c->undo, forward_back, &before, sizeof(before));
	control_write(dp);
}

/*
 * Programs of an earlier daemon are on every port, but its maps could not be taken over: what is in the new ones by now may
 * be used as soon as the new programs are there, so that packets go on.
 */
static bool is_guarded(struct datapath *dp, const struct port *next)
{
	for (size_t i = 1; i < FL_PORTS_MAX; i++)
		if (next[i].present && next[i].kind != PORT_ICMP &&
		    (!tc_is_attached(dp, next[i].value.ifindex, true) ||
		     !tc_is_attached(dp, next[i].value.ifindex, false)))
			return false;
	return true;
}

static void attach(struct datapath *dp, struct change *c)
{
	if (goes_on(c))
		step(c, hooks_attach(dp, c->next, c->undo, c->why));
	if (goes_on(c))
		step(c, state_table_follow(dp, c->why));
	if (goes_on(c))
		state_table_take_left(dp);
	if (goes_on(c))
		sysctls_withdraw(dp, c->next, c->undo); /* where they could not be attached */
	if (c->tables)
		ports_values(dp, c->next, c->tables); /* the programs' modes are known now */
}

/*
 * The set that is not in force becomes what the change wants. When only ports differ, and only because the machine has changed,
 * the set in force is written: what packets meet half done is true at each moment.
 */
static void fill(struct datapath *dp, struct change *c)
{
	bool same_tables = c->tables && tables_equal(c->tables, tables_in_force(dp));

	if (!goes_on(c) || !c->tables)
		return;
	if (same_tables && (!c->undo || (ports_equal(dp, c->next, set_in_force(dp)) &&
					 gateways_equal(c->tables, tables_in_force(dp))))) {
		step(c, ports_write(dp, c->next, set_in_force(dp)));
		step(c, gateways_write(dp, c->tables, set_in_force(dp)));
		return;
	}
	step(c, tables_fill(dp, c->tables, c->next));
	c->tables = NULL;
	c->filled = goes_on(c);
}

static void tell_back(struct datapath *dp, const void *data)
{
	(void)data;
	if (dp->config)
		gateways_tell(dp, dp->config, dp->ports, set_in_force(dp));
}

/*
 * Groups have members by the time that the tables that name them come in force. Only where no program of ours is at work yet this is told
 * afterwards: probes would find no way.
 */
static void tell(struct datapath *dp, struct change *c, uint32_t set)
{
	if (!goes_on(c))
		return;
	undo_push(c->undo, tell_back, NULL, 0);
	gateways_tell(dp, c->config, c->next, set);
}

/* The tables at one moment, then the kernel's routes; who would meet only one of the two is held. */
static void switch_over(struct datapath *dp, struct change *c)
{
	if (goes_on(c))
		step(c, routes_hold(dp, c->config, c->next));
	if (goes_on(c) && c->filled)
		tables_switch(dp, c->undo);
}

/*
 * New devices get their programs before the tables know them: these pass everything until then. The first time, other maps
 * may be in force in the programs of an earlier daemon: the tables are complete when this one's replace them.
 */
static void change_make(struct datapath *dp, struct change *c)
{
	bool first = !dp->config, fresh = first && dp->first;

	ports_values(dp, c->next, c->tables ? c->tables : tables_in_force(dp));
	step(c, locals_sync(dp, c->next));
	step(c, routing_sync(dp));
	if (goes_on(c))
		sysctls_withdraw(dp, c->next, c->undo);
	if (goes_on(c))
		step(c, state_table_fit(dp, c->config, c->undo, c->why));
	if (!first)
		attach(dp, c);
	if (goes_on(c))
		step(c, vips_add(dp, c->config, c->next, c->undo, c->why));
	fill(dp, c);
	state_table_configure(dp, c->config);
	if (!fresh)
		tell(dp, c, c->filled ? !set_in_force(dp) : set_in_force(dp));
	switch_over(dp, c);
	if (first && goes_on(c) && !dp->control.forward && is_guarded(dp, c->next))
		forward_on(dp, c);
	if (first)
		attach(dp, c);
	if (first && goes_on(c)) {
		ports_values(dp, c->next, tables_in_force(dp));
		step(c, ports_write(dp, c->next, set_in_force(dp)));
	}
	if (fresh)
		tell(dp, c, set_in_force(dp));
	if (goes_on(c))
		forward_on(dp, c);
	routes_hold_on(dp);
	if (goes_on(c))
		step(c, routes_apply(dp, c->config, c->next, c->undo, c->why));
	if (goes_on(c))
		step(c, sysctls_apply(dp, c->next, c->undo, c->why));
	if (goes_on(c))
		step(c, blocks_sync(dp, c->config, c->next, c->undo, c->why));
}

/* ---- afterwards: nothing of this can fail the change ---- */

static void release_port(struct datapath *dp, struct port *next, uint32_t number)
{
	uint32_t before = dp->ports[number].value.ifindex;
	const struct system_link *link = before ? system_link_by_index(dp->system, before) : NULL;
	bool gone = next[number].kind == PORT_NONE && dp->ports[number].kind != PORT_NONE;

	if (link && (gone || before != next[number].value.ifindex) && !port_by_ifindex(next, before)) {
		hooks_detach(dp, before);
		offload_release(dp, before);
	}
	if (gone)
		dp->port_freed_ms[number] = monotonic_ms();
}

static void change_keep(struct datapath *dp, struct change *c)
{
	if (c->tables) { /* nothing new for the maps, but these point into the new configuration */
		tables_free(dp->sets[set_in_force(dp)]);
		dp->sets[set_in_force(dp)] = c->tables;
		c->tables = NULL;
	}
	for (uint32_t i = 1; i < FL_PORTS_MAX; i++)
		release_port(dp, c->next, i);
	if (!dp->config && !dp->table_before) /* else those that came with the new table are settled */
		objects_settle(dp);
	state_table_settle(dp);
	vips_settle(dp, c->config, c->next);
	free(dp->ports);
	dp->ports = c->next;
	c->next = NULL;
	if (dp->config != c->config)
		moves_free(dp);
	dp->config = c->config;
	datapath_health_changed(dp);
	devices_remove(dp, c->config);
	saved_write(dp);
	nexthops_sync(dp);
	reassembly_update(dp);
	control_write(dp);
}

static void change_free(struct change *c)
{
	tables_free(c->tables);
	free(c->next);
	free(c->peers);
}

int datapath_apply(struct datapath *dp, const struct config *config, struct config_report *report, char **why)
{
	struct undo undo = {};
	struct change c = { .config = config, .undo = &undo, .why = why };

	*why = NULL;
	if (change_plan(dp, &c, report) == 0)
		change_make(dp, &c);
	if (!c.err && *why) /* a name is another's address */
		config_report_add(report, true, "/tunnels", "%s", *why);
	if (c.err) {
		undo_run(&undo, dp);
		if (dp->config)
			state_table_configure(dp, dp->config);
		system_dispatch(dp->system);
		locals_sync(dp, dp->ports);
		fail(why, c.err, "the data plane could not be changed: %s", strerror(-c.err));
	} else {
		change_keep(dp, &c);
		undo_free(&undo);
		modes_warn(config, dp->ports, report);
		routes_warn(dp, config, dp->ports, report);
	}
	routes_release(dp);
	change_free(&c);
	return c.err;
}

int datapath_rules_changed(struct datapath *dp, char **why)
{
	struct tables *tables = NULL;
	int err;

	*why = NULL;
	if (!dp->config)
		return fail(why, ENOENT, "no configuration is in force");
	err = tables_compile(dp->config, dp->ports, tables_in_force(dp), &tables, why);
	if (tables) /* what else is wrong with tunnels has been told */
		err = gateways_plan(dp, dp->config, dp->ports, tables, why);
	err = err ?: policy_plan(dp, dp->config, dp->ports, tables, why);
	if (err) {
		tables_free(tables);
		return err;
	}
	err = tables_fill(dp, tables, dp->ports);
	if (err)
		return err;
	gateways_tell(dp, dp->config, dp->ports, !set_in_force(dp));
	tables_switch(dp, NULL);
	return 0;
}

/* The same configuration on a machine that has changed. */
static void follow(struct datapath *dp)
{
	char *why = NULL;
	struct change c = { .config = dp->config, .why = &why };

	change_plan(dp, &c, NULL);
	if (c.next && c.peers) {
		change_make(dp, &c);
		routes_release(dp);
		change_keep(dp, &c);
		watch_settled(dp);
	}
	if (c.err && !why)
		fail(&why, c.err, "%s", strerror(-c.err));
	if (why && (!dp->trouble || strcmp(why, dp->trouble) != 0)) /* once, though it is tried every few seconds */
		journal_write(dp->journal, JOURNAL_WARNING, JOURNAL_DAEMON, dp->instance, "not all follows", NULL, "%s",
			      why);
	free(dp->trouble);
	dp->trouble = why;
	change_free(&c);
}

void datapath_refresh(struct datapath *dp, unsigned int what)
{
	bool missing = false;

	if (!dp->config || !what)
		return;
	if (what & (SYSTEM_LINK | SYSTEM_HOOK))
		missing = watch_all(dp);
	if (missing || (what & (SYSTEM_LINK | SYSTEM_ADDR)) ||
	    (what & SYSTEM_DEFAULT && config_has_automatic(dp->config)) || (what & SYSTEM_NEIGH && gateways_moved(dp)))
		follow(dp);
	else if (what & SYSTEM_NEIGH)
		nexthops_sync(dp);
	if (what & SYSTEM_ROUTE)
		routing_sync(dp);
	if (what & (SYSTEM_LINK | SYSTEM_ADDR | SYSTEM_ROUTE))
		control_bump(dp);
	if (what & SYSTEM_ROUTE)
		dp->routes_dirty = true;
}
