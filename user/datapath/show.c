// SPDX-License-Identifier: GPL-2.0-only
/* What the maps count, as JSON: interfaces, drops, routes. */

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "user/datapath/private.h"
#include "user/lib/log.h"

static const struct {
	const char *name, *text;
} drop_reasons[] = {
#define DROP_ROW(symbol, name, text) { name, text },
	FL_DROP_REASONS(DROP_ROW)
#undef DROP_ROW
};

static const char *const mode_names[] = {
	[PORT_MODE_NONE] = "none",
	[PORT_MODE_TC] = "tc",
	[PORT_MODE_GENERIC] = "generic",
	[PORT_MODE_NATIVE] = "native",
};

static const char *const family_names[] = { [FL_INET] = "inet", [FL_INET6] = "inet6", [FL_BOTH] = "both" };

const char *drop_name(uint32_t reason)
{
	return reason < FL_DROP_MAX ? drop_reasons[reason].name : "unknown";
}

/* ---- counters ---- */

static void port_stats_read(struct datapath *dp, uint32_t number, struct fl_port_stats *stats)
{
	void *value = calloc(1, dp->maps[DP_MAP_PORT_STATS].value_size);

	memset(stats, 0, sizeof(*stats));
	if (value && map_get(dp, DP_MAP_PORT_STATS, &number, value) == 0)
		percpu_sum(dp, value, sizeof(*stats) / sizeof(uint64_t), (uint64_t *)stats);
	free(value);
	waiting_add_received(dp, number, stats);
}

int drops_read(struct datapath *dp, uint32_t port, struct fl_drop_stats out[FL_DROP_SLOTS])
{
	size_t size = dp->maps[DP_MAP_DROPS].value_size;
	uint8_t *values = calloc(FL_DROP_SLOTS, size);
	int err = values ? map_read(dp, DP_MAP_DROPS, port * FL_DROP_SLOTS, FL_DROP_SLOTS, values) : -ENOMEM;

	memset(out, 0, FL_DROP_SLOTS * sizeof(*out));
	for (uint32_t reason = 0; reason < FL_DROP_SLOTS && !err; reason++) {
		const struct fl_drop_stats *cpu = (const struct fl_drop_stats *)(values + reason * size);

		for (unsigned int i = 0; i < dp->n_cpus; i++, cpu++) {
			out[reason].packets += cpu->packets;
			out[reason].bytes += cpu->bytes;
			if (cpu->last_ns > out[reason].last_ns)
				out[reason].last_ns = cpu->last_ns;
		}
		reassembly_add_drops(dp, port, reason, &out[reason]);
		waiting_add_drops(dp, port, reason, &out[reason]);
	}
	free(values);
	return err;
}

static uint64_t drops_total(struct datapath *dp, uint32_t port)
{
	struct fl_drop_stats drops[FL_DROP_SLOTS];
	uint64_t total = 0;

	if (drops_read(dp, port, drops))
		return 0;
	for (size_t i = 0; i < FL_DROP_SLOTS; i++)
		total += drops[i].packets;
	return total;
}

/* ---- interfaces ---- */

static json_t *interface_json(struct datapath *dp, const struct config_interface *interface)
{
	const struct port *port = port_of_interface(dp->ports, interface);
	struct fl_port_stats stats = {};
	const char *reason = "no such device";
	enum port_mode mode = port ? port->mode : PORT_MODE_NONE;
	char missing[256], text[512];
	uint64_t drops = 0;
	uint32_t bits;

	if (port) {
		port_stats_read(dp, port->number, &stats);
		drops = drops_total(dp, port->number);
		if (port->present)
			reason = port->reason;
		bits = watch_port(dp, port, missing, sizeof(missing));
		if (bits) {
			snprintf(text, sizeof(text), "%s; missing: %s", reason, missing);
			reason = text;
		}
		if ((bits & MISSING_XDP) || mode == PORT_MODE_TC)
			mode = bits & MISSING_INGRESS ? PORT_MODE_NONE : PORT_MODE_TC;
	}
	return json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s}", "name", interface->name,
			 "device", interface->device, "mode", mode_names[mode], "reason", reason, "rx_packets",
			 (json_int_t)stats.rx_packets, "tx_packets", (json_int_t)stats.tx_packets, "drops",
			 (json_int_t)drops, "xdp_packets", (json_int_t)stats.xdp_packets, "rx_bytes",
			 (json_int_t)stats.rx_bytes, "tx_bytes", (json_int_t)stats.tx_bytes, "mtu",
			 (json_int_t)(port ? port->value.mtu : 0), "family", family_names[interface->family]);
}

json_t *datapath_show_interfaces(struct datapath *dp)
{
	json_t *array = json_array();

	system_dispatch(dp->system);
	for (size_t i = 0; array && dp->config && i < dp->config->n_interfaces; i++)
		json_array_append_new(array, interface_json(dp, &dp->config->interfaces[i]));
	return array;
}

/* ---- drops ---- */

static int64_t ms_since(uint64_t ns)
{
	struct timespec ts;
	uint64_t now;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	now = (uint64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
	return now > ns ? (now - ns) / 1000000 : 0;
}

static void drops_append(struct datapath *dp, json_t *array, uint32_t port, const char *name)
{
	struct fl_drop_stats drops[FL_DROP_SLOTS];

	if (drops_read(dp, port, drops))
		return;
	for (uint32_t reason = 1; reason < FL_DROP_MAX; reason++) {
		if (!drops[reason].packets)
			continue;
		json_array_append_new(array,
				      json_pack("{s:s, s:s, s:I, s:I, s:I, s:s}", "reason", drop_reasons[reason].name,
						"interface", name, "packets", (json_int_t)drops[reason].packets,
						"bytes", (json_int_t)drops[reason].bytes, "last_ms",
						(json_int_t)ms_since(drops[reason].last_ns), "text",
						drop_reasons[reason].text));
	}
}

json_t *datapath_show_drops(struct datapath *dp)
{
	json_t *array = json_array();

	if (array)
		drops_append(dp, array, 0, "");
	for (uint32_t i = 1; array && i < FL_PORTS_MAX; i++)
		if (dp->ports[i].kind != PORT_NONE)
			drops_append(dp, array, i, dp->ports[i].name);
	return array;
}

/* ---- routes ---- */

static const struct system_route *route_find(const struct system_route *routes, size_t n,
					     const struct config_route *wanted)
{
	for (size_t i = 0; i < n; i++)
		if (route_is_of(&routes[i], wanted))
			return &routes[i];
	return NULL;
}

static const char *device_name(struct datapath *dp, uint32_t ifindex)
{
	const struct port *port = port_by_ifindex(dp->ports, ifindex);
	const struct system_link *link = port ? NULL : system_link_by_index(dp->system, ifindex);

	return port ? port->name : link ? link->name : "";
}

static json_t *route_json(const char *destination, const char *gateway, const char *interface, uint32_t metric,
			  const char *state)
{
	return json_pack("{s:s, s:s, s:s, s:I, s:s}", "destination", destination, "gateway", gateway, "interface",
			 interface, "metric", (json_int_t)metric, "state", state);
}

static void route_state_text(struct datapath *dp, enum route_state state, const struct system_route *others, char *text,
			     size_t len)
{
	if (state == ROUTE_YIELDS)
		snprintf(text, len, "the system's own default by %s is used", device_name(dp, others->ifindex));
	else
		snprintf(text, len, "%s", state == ROUTE_ACTIVE ? "active" : "missing");
}

static const char *gateway_interface(const struct config_gateway *gateway)
{
	return gateway->interface ? gateway->interface->name : gateway->tunnel->name;
}

static json_t *configured_route(struct datapath *dp, const struct config_route *route,
				const struct system_route *routes, size_t n)
{
	const struct system_route *there = route_find(routes, n, route);
	const struct config_gateway *gw = route_gateway(dp, dp->config, route);
	char destination[PREFIX_STRLEN], state[128];
	struct system_route others;

	route_state_text(dp, route_state(dp, route, &others), &others, state, sizeof(state));
	return route_json(prefix_format(&route->destination, destination), gw ? gw->name : route->via.group->name,
			  gw ? gateway_interface(gw) : "", there ? there->metric : 0,
			  there && there->unreachable ? "unreachable" : state);
}

static json_t *other_route(struct datapath *dp, const struct system_route *route)
{
	char destination[PREFIX_STRLEN], gateway[ADDR_STRLEN];

	return route_json(prefix_format(&route->destination, destination), addr_format(&route->gateway, gateway),
			  device_name(dp, route->ifindex), route->metric, "active");
}

static bool is_configured(const struct config *config, const struct system_route *route)
{
	for (size_t i = 0; config && i < config->n_routes; i++)
		if (route_is_of(route, &config->routes[i]))
			return true;
	return false;
}

/* Those of the configuration by their gateway's name, whether they are there or not; then those to clients. */
json_t *datapath_show_routes(struct datapath *dp)
{
	const struct config *config = dp->config;
	struct system_route *routes = NULL;
	json_t *array = json_array();
	size_t n = 0;

	if (!array || system_get_routes(dp->system, &routes, &n))
		return array;
	for (size_t i = 0; config && i < config->n_routes; i++)
		json_array_append_new(array, configured_route(dp, &config->routes[i], routes, n));
	for (size_t i = 0; i < n; i++)
		if (!is_configured(config, &routes[i]))
			json_array_append_new(array, other_route(dp, &routes[i]));
	free(routes);
	return array;
}
