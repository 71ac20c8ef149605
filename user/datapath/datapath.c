// SPDX-License-Identifier: GPL-2.0-only
/* The data plane as a whole: opening and adopting, the second's work, closing, unloading. */

#include <errno.h>
#include <netlink/errno.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/datapath/private.h"
#include "user/lib/log.h"

#define ALIVE_MS 1500	     /* the programs think that the daemon lives for so long after the last tick */
#define ROUTES_EVERY_MS 5000 /* at most so often are our routes compared, while others change theirs */

static int open_netlink(struct datapath *dp)
{
	int err;

	dp->nl = nl_socket_alloc();
	if (!dp->nl)
		return -ENOMEM;
	err = nl_connect(dp->nl, NETLINK_ROUTE);
	return err ? log_ret(EIO, "netlink: %s", nl_geterror(err)) : 0;
}

/*
 * Pins outlive the namespace whose programs they were. With maps that say "forward" but no guard attached anywhere, nothing
 * is running here: this is a first start.
 */
static int forget_the_dead(struct datapath *dp)
{
	bool alive = false;
	int err = 0;

	for (size_t i = 1; i < FL_PORTS_MAX && !alive; i++)
		alive = dp->ports[i].kind != PORT_NONE && tc_is_attached(dp, dp->ports[i].value.ifindex, true);
	if (alive) {
		dp->adopted = true;
		return 0;
	}
	dp->first = true;
	for (uint32_t i = 1; i < FL_PORTS_MAX; i++)
		dp->ports[i] = (struct port){ .number = i };
	for (int set = 0; set < 2 && !err; set++)
		err = ports_write(dp, dp->ports, set);
	dp->control.forward = 0;
	dp->control.icmp_ifindex = 0;
	vips_settle(dp, NULL, dp->ports);
	control_write(dp);
	return err;
}

bool datapath_adopted(const struct datapath *dp)
{
	return dp->adopted;
}

void datapath_report_to(struct datapath *dp, struct journal *journal)
{
	dp->journal = journal;
}

int datapath_open(struct datapath **out, const char *instance, struct system *system, const struct config *config)
{
	struct datapath *dp = calloc(1, sizeof(*dp));
	int err;

	if (!dp)
		return -ENOMEM;
	dp->system = system;
	if (snprintf(dp->instance, sizeof(dp->instance), "%s", instance) >= (int)sizeof(dp->instance)) {
		free(dp);
		return -ENAMETOOLONG;
	}
	dp->ports = calloc(FL_PORTS_MAX, sizeof(*dp->ports));
	for (int set = 0; set < 2; set++)
		dp->in_map[set] = calloc(FL_PORTS_MAX, sizeof(*dp->in_map[set]));
	err = dp->ports && dp->in_map[0] && dp->in_map[1] ? open_netlink(dp) : -ENOMEM;
	err = err ?: objects_load(dp, config);
	err = err ?: control_map_open(dp);
	err = err ?: sync_log_open(dp);
	err = err ?: state_table_open(dp);
	err = err ?: health_open(dp);
	err = err ?: policy_open(dp);
	err = err ?: waiting_open(dp);
	err = err ?: strays_open(dp);
	err = err ?: vip_maps_open(dp);
	err = err ?: adopt(dp);
	err = err ?: nexthops_adopt(dp);
	err = err ?: saved_load(dp);
	err = err ?: forget_the_dead(dp);
	if (!err)
		owner_prune_pins(dp);
	dp->ready = !err;
	if (err) {
		datapath_close(dp);
		return err;
	}
	*out = dp;
	return 0;
}

/* ---- unload ---- */

bool datapath_at_work(struct datapath *dp)
{
	const struct system_link *link;
	char name[1][16];

	if (dp->control.forward || device_list_own(dp->system, dp->instance, name, 1))
		return true;
	for (size_t i = 0; (link = system_link_at(dp->system, i)); i++)
		if (tc_is_attached(dp, link->ifindex, true) || tc_is_attached(dp, link->ifindex, false))
			return true;
	return false;
}

bool datapath_on_devices(struct system *system, char instance[64])
{
	struct datapath *dp = calloc(1, sizeof(*dp));
	const struct system_link *link;
	bool found = false;

	if (dp && !open_netlink(dp)) {
		for (size_t i = 0; !found && (link = system_link_at(system, i)); i++)
			found = tc_instance_at(dp, link->ifindex, true, instance) ||
				tc_instance_at(dp, link->ifindex, false, instance);
		nl_socket_free(dp->nl);
	}
	free(dp);
	return found;
}

/* Also what an interrupted apply left attached to devices that the maps know nothing of. Of this instance only. */
static void detach_everywhere(struct datapath *dp)
{
	const struct system_link *link;

	for (size_t i = 0; (link = system_link_at(dp->system, i)); i++)
		if (tc_is_attached(dp, link->ifindex, true) || tc_is_attached(dp, link->ifindex, false) ||
		    link->xdp_prog_id)
			hooks_detach(dp, link->ifindex);
}

/*
 * Forwarding goes off first (if it was off before fairlead), then the programs: at no moment does the kernel forward what they
 * have not seen, unless it did so before.
 */
static int take_away(struct datapath *dp)
{
	size_t conflict;
	int err;

	dp->control.forward = 0;
	control_write(dp);
	vips_settle(dp, NULL, dp->ports);
	sysctls_restore(dp);
	nexthops_release(dp);
	reassembly_close(dp);
	dry_run_close(dp);
	detach_everywhere(dp);
	offloads_restore(dp);
	saved_free(dp);
	saved_unlink(dp);
	/* routes say no instance's name: those of one that is at work here stay */
	err = others_at_work(dp) ? 0 : system_set_routes(dp->system, NULL, 0, &conflict);
	if (err)
		log_ret(err, "cannot remove the routes");
	devices_remove(dp, NULL);
	dp->config = NULL;
	dp->first = false;
	return objects_unpin(dp) ?: err;
}

int datapath_unload(struct datapath *dp)
{
	int err = take_away(dp);

	if (!others_at_work(dp))
		blocks_lift(dp);
	return err;
}

/* ---- close ---- */

void datapath_close(struct datapath *dp)
{
	if (!dp)
		return;
	if (dp->first && !dp->config) { /* a first start that came to nothing leaves nothing, but what was blocked */
		if (dp->ready)
			take_away(dp);
		else
			objects_unpin(dp);
	}
	if (dp->reassembly) {
		reassembly_close(dp);
		dp->control.reassembly_until_ns = 0; /* else the kernel would answer for a socket that is gone */
	}
	waiting_close(dp);
	strays_close(dp);
	vip_maps_close(dp);
	dp->control.alive_until = 0;
	dp->control.sync = 0; /* nobody is there to tell peers, or to ask them */
	if (dp->config)
		control_write(dp);
	control_map_close(dp);
	moves_free(dp);
	orphans_free(dp);
	learned_free(dp);
	health_close(dp);
	dry_run_close(dp);
	joins_free(dp);
	nexthops_free(dp);
	saved_free(dp);
	objects_unload(dp);
	for (int set = 0; set < 2; set++)
		tables_free(dp->sets[set]);
	if (dp->nl)
		nl_socket_free(dp->nl);
	free(dp->locals.records);
	policy_close(dp);
	state_table_close(dp);
	sync_log_close(dp);
	resets_close(dp->asked);
	for (int set = 0; set < 2; set++)
		free(dp->in_map[set]);
	free(dp->group_routes);
	free(dp->trouble);
	free(dp->ports);
	free(dp);
}

/* ---- once a second ---- */

/* No message tells what a veth can transmit, which hangs on its other end, nor of an MTU that a router advertises. */
static void check_ports(struct datapath *dp)
{
	ports_values(dp, dp->ports, tables_in_force(dp));
	ports_write(dp, dp->ports, set_in_force(dp));
}

/* RFC 1191 6.3: a path MTU is tried anew after ten minutes. The programs set the time and heed it; this tidies up. */
static void expire_paths(struct datapath *dp)
{
	const struct tables *tables = tables_in_force(dp);
	const struct fl_endpoint_path none = {};
	struct fl_endpoint_path *paths;
	uint32_t n = 0, now = monotonic_ms() / 1000;
	bool changed = false;

	for (size_t i = 0; i < tables->n_endpoints; i++)
		if (tables->endpoints[i].index >= n)
			n = tables->endpoints[i].index + 1;
	paths = n ? calloc(n, sizeof(*paths)) : NULL;
	if (!paths || map_read(dp, DP_MAP_EP_PATH, 0, n, paths))
		goto out;
	for (uint32_t i = 1; i < n; i++) {
		if (!paths[i].mtu || paths[i].expires_s > now)
			continue;
		map_put(dp, DP_MAP_EP_PATH, &i, &none);
		changed = true;
	}
	if (changed)
		control_bump(dp);
out:
	free(paths);
}

/* Somebody may have removed a route of ours. */
static void check_routes(struct datapath *dp)
{
	char *why = NULL;

	if (!dp->routes_dirty || monotonic_ms() - dp->routes_checked_ms < ROUTES_EVERY_MS)
		return;
	dp->routes_dirty = false;
	dp->routes_checked_ms = monotonic_ms();
	if (routes_apply(dp, dp->config, dp->ports, NULL, &why))
		log_warnx("%s", why ? why : "routes cannot be set");
	free(why);
}

/* By what the programs have told of a moment. 0: they have seen no packet yet */
uint32_t datapath_jiffies(struct datapath *dp)
{
	struct fl_learned learned = {};
	const uint32_t zero = 0;
	uint64_t since;

	if (map_get(dp, DP_MAP_LEARNED, &zero, &learned) || !learned.jiffies_ns)
		return 0;
	since = monotonic_ms() - learned.jiffies_ns / 1000000;
	return learned.jiffies + since * dp->hz / 1000;
}

/*
 * The programs believe their flow cache for longer while a daemon watches the tables that it was filled from. They count in
 * jiffies, which user space can't read: fl_learned says what they were at a time that it can.
 */
static void alive_update(struct datapath *dp)
{
	uint32_t now = datapath_jiffies(dp);

	if (now)
		dp->control.alive_until = now + ALIVE_MS * dp->hz / 1000;
}

void datapath_tick(struct datapath *dp)
{
	reassembly_update(dp);
	alive_update(dp);
	control_write(dp);
	if (!dp->config)
		return;
	nexthops_tick(dp);
	failed_tick(dp);
	learned_tick(dp);
	check_ports(dp);
	expire_paths(dp);
	policy_follow(dp);
	if (dp->control.alive_until)
		state_table_tick(dp, dp->control.alive_until - ALIVE_MS * dp->hz / 1000);
	check_routes(dp);
	watch_tick(dp);
	if (learned_expired(dp))
		datapath_refresh(dp, SYSTEM_ROUTE | SYSTEM_DEFAULT);
}

/* ---- logged packets ---- */

void datapath_event_maps(const struct datapath *dp, int *ring, int *stats)
{
	*ring = dp->maps[DP_MAP_EVENTS].fd;
	*stats = dp->maps[DP_MAP_EVENT_STATS].fd;
}

const char *datapath_port_name(const struct datapath *dp, unsigned int number)
{
	return number < FL_PORTS_MAX && dp->ports[number].kind != PORT_NONE ? dp->ports[number].name : NULL;
}
