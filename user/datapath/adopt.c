// SPDX-License-Identifier: GPL-2.0-only
/*
 * What an earlier daemon left in the maps: which port is which device's, which tunnel and translation has which index. Read
 * from the maps' own content, so that it holds whatever killed that daemon.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/datapath/private.h"
#include "user/lib/log.h"

/* It may have got another one while no daemon ran. */
static void adopt_outside(struct port *port)
{
	const struct fl_port *value = &port->value;

	if (value->flags & FL_PORT_OWN4)
		port->outside[0] = (struct prefix){ { .family = AF_INET, .v4 = { value->addr4 } }, 32 };
	if (value->flags & FL_PORT_OWN6)
		port->outside[1] = (struct prefix){ addr_from_map(&value->addr6), 128 };
}

static int adopt_ports(struct datapath *dp)
{
	const struct fl_port *values = dp->in_map[set_in_force(dp)];
	int err = map_read(dp, DP_MAP_PORTS, 0, FL_PORTS_MAX, dp->in_map[0]);

	err = err ?: map_read(dp, DP_MAP_PORTS, FL_PORTS_MAX, FL_PORTS_MAX, dp->in_map[1]);
	for (uint32_t i = 1; i < FL_PORTS_MAX && !err; i++) {
		struct port *port = &dp->ports[i];

		port->number = i;
		if (!(values[i].flags & FL_PORT_UP))
			continue;
		port->value = values[i];
		port->kind = values[i].flags & FL_PORT_TUNNEL ? PORT_TUNNEL
			     : values[i].flags & FL_PORT_ICMP ? PORT_ICMP
							      : PORT_INTERFACE;
		adopt_outside(port);
	}
	return err;
}

struct walk {
	struct datapath *dp;
	size_t set_offset, set_size; /* where the key names its set */
	struct entries *entries[2];
	int err;
};

static void collect(void *arg, const void *key, const void *value)
{
	struct walk *walk = arg;
	uint8_t copy[sizeof(struct fl_client_route_key)];
	uint32_t set = 0, index;

	memcpy(copy, key, walk->entries[0]->key_size);
	memcpy(&set, copy + walk->set_offset, 1); /* 0 or 1, little endian or a byte */
	memset(copy + walk->set_offset, 0, walk->set_size);
	memcpy(&index, value, sizeof(index));
	walk->err = walk->err ?: entries_add(walk->entries[set & 1], copy, index);
}

static int adopt_entries(struct datapath *dp, enum dp_map_id id, size_t set_offset, size_t set_size, size_t member)
{
	struct walk walk = { .dp = dp, .set_offset = set_offset, .set_size = set_size };
	int err;

	for (int set = 0; set < 2; set++)
		walk.entries[set] = (struct entries *)((char *)dp->sets[set] + member);
	err = map_walk(dp, id, collect, &walk);
	for (int set = 0; set < 2; set++)
		entries_sort(walk.entries[set]);
	return err ?: walk.err;
}

/* fl_ep_in's entries are sorted by (local, remote) in memory order; tables want them by number. */
static int compare_ends(const void *a, const void *b)
{
	const struct fl_endpoint *x = &((const struct table_endpoint *)a)->value;
	const struct fl_endpoint *y = &((const struct table_endpoint *)b)->value;

	if (x->local != y->local)
		return x->local < y->local ? -1 : 1;
	return x->remote < y->remote ? -1 : x->remote > y->remote;
}

static int adopt_endpoints(struct datapath *dp, struct tables *tables)
{
	struct fl_endpoint *all = calloc(FL_ENDPOINTS_MAX, sizeof(*all));
	int err = all ? map_read(dp, DP_MAP_EP, 0, FL_ENDPOINTS_MAX, all) : -ENOMEM;

	tables->endpoints = calloc(tables->ep_in.n + 1, sizeof(*tables->endpoints));
	if (!tables->endpoints)
		err = -ENOMEM;
	for (size_t i = 0; i < tables->ep_in.n && !err; i++) {
		struct fl_endpoint_key key;
		uint32_t index = FL_EP_IN_ENDPOINT(entry_value(&tables->ep_in, i));

		memcpy(&key, entry_key(&tables->ep_in, i), sizeof(key));
		if (key.remote == 0 || index >= FL_ENDPOINTS_MAX)
			continue;
		tables->endpoints[tables->n_endpoints++] =
			(struct table_endpoint){ .index = index, .value = all[index] };
	}
	if (!err)
		qsort(tables->endpoints, tables->n_endpoints, sizeof(*tables->endpoints), compare_ends);
	free(all);
	return err;
}

static int adopt_npts(struct datapath *dp, struct tables *tables)
{
	bool *seen = calloc(FL_NPT_MAX, sizeof(*seen));
	int err = 0;

	tables->npts = calloc(tables->npt_prefix.n + 1, sizeof(*tables->npts));
	if (!tables->npts || !seen)
		err = -ENOMEM;
	for (size_t i = 0; i < tables->npt_prefix.n && !err; i++) {
		uint32_t index = entry_value(&tables->npt_prefix, i);
		struct table_npt *item = &tables->npts[tables->n_npts];

		if (index >= FL_NPT_MAX || seen[index])
			continue;
		seen[index] = true;
		item->index = index;
		err = map_get(dp, DP_MAP_NPT, &index, &item->value);
		tables->n_npts++;
	}
	free(seen);
	return err;
}

static int adopt_control(struct datapath *dp)
{
	const __u32 zero = 0;
	int err = map_get(dp, DP_MAP_CONTROL, &zero, &dp->control);

	if (err)
		return err;
	dp->control.reassembly_until_ns = 0;
	dp->control.netns = dp->netns;
	memcpy(dp->control.instance, dp->instance, sizeof(dp->control.instance));
	control_sign(dp);
	if (dp->control.layout == FL_LAYOUT_VERSION)
		return 0;
	dp->control.layout = FL_LAYOUT_VERSION;
	dp->control.gen = FL_GEN_NEXT(0);
	dp->control.forward = 0;
	control_write(dp);
	return 0;
}

int adopt(struct datapath *dp)
{
	int err = adopt_control(dp);

	for (int set = 0; set < 2 && !err; set++) {
		dp->sets[set] = tables_new();
		if (!dp->sets[set])
			err = -ENOMEM;
		else
			dp->sets[set]->judged = dp->control.policy[set];
	}
	err = err ?: adopt_ports(dp);
	err = err
		      ?: adopt_entries(dp, DP_MAP_EP_IN, offsetof(struct fl_endpoint_key, set),
				       sizeof(((struct fl_endpoint_key *)0)->set), offsetof(struct tables, ep_in));
	err = err
		      ?: adopt_entries(dp, DP_MAP_CLIENTS, offsetof(struct fl_client_route_key, set),
				       sizeof(((struct fl_client_route_key *)0)->set),
				       offsetof(struct tables, clients));
	err = err
		      ?: adopt_entries(dp, DP_MAP_NPT_PREFIX, offsetof(struct fl_npt_key, set),
				       sizeof(((struct fl_npt_key *)0)->set), offsetof(struct tables, npt_prefix));
	err = err ?: adopt_endpoints(dp, dp->sets[set_in_force(dp)]);
	err = err ?: adopt_npts(dp, dp->sets[set_in_force(dp)]);
	return err ? log_ret(err, "cannot take over the maps in %s", dp->pins) : 0;
}
