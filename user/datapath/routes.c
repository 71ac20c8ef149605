// SPDX-License-Identifier: GPL-2.0-only
/* Routes that fairlead keeps in the kernel's main table: those of the configuration and those to brokers' clients. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/datapath/private.h"
#include "user/lib/log.h"

struct route_list {
	struct system_route *routes;
	size_t n, cap;
};

static int route_add(struct route_list *list, const struct system_route *route)
{
	if (list->n == list->cap) {
		size_t cap = list->cap ? list->cap * 2 : 64;
		struct system_route *routes = reallocarray(list->routes, cap, sizeof(*routes));

		if (!routes)
			return -ENOMEM;
		list->routes = routes;
		list->cap = cap;
	}
	list->routes[list->n++] = *route;
	return 0;
}

static int config_routes(const struct config *config, const struct port *ports, struct route_list *list)
{
	int err = 0;

	for (size_t i = 0; i < config->n_routes && !err; i++) {
		const struct config_gateway *gateway = config->routes[i].gateway;
		const struct port *port = gateway->interface ? port_of_interface(ports, gateway->interface)
							     : port_of_tunnel(ports, gateway->tunnel);
		struct system_route route = { .destination = config->routes[i].destination };

		if (!port || !port->present)
			continue; /* the device is not there yet */
		route.ifindex = port->value.ifindex;
		route.gateway = gateway->address;
		err = route_add(list, &route);
	}
	return err;
}

static bool in_own_network(const struct config_tunnel *tunnel, const struct addr *a)
{
	for (size_t i = 0; i < tunnel->n_addresses; i++)
		if (prefix_contains(&tunnel->addresses[i], a))
			return true;
	return false;
}

/* A client's prefixes go via its address where that is on the tunnel's network, else straight into the tunnel. */
static int client_routes(const struct config_tunnel *tunnel, const struct config_remote *remote, uint32_t ifindex,
			 struct route_list *list)
{
	struct system_route route = { .ifindex = ifindex };
	int err = 0;

	if (remote->address.family == AF_INET6) {
		if (in_own_network(tunnel, &remote->address)) {
			route.gateway = remote->address;
		} else {
			route.destination = (struct prefix){ remote->address, 128 };
			err = route_add(list, &route);
		}
	}
	for (size_t i = 0; i < remote->n_routes && !err; i++) {
		route.destination = remote->routes[i];
		err = route_add(list, &route);
	}
	return err;
}

static int brokers_routes(const struct config *config, const struct port *ports, struct route_list *list)
{
	int err = 0;

	for (size_t i = 0; i < config->n_tunnels; i++) {
		const struct config_tunnel *tunnel = &config->tunnels[i];
		const struct port *port = port_of_tunnel(ports, tunnel);

		if (!tunnel->broker || !port || !port->present)
			continue;
		for (size_t j = 0; j < tunnel->n_remotes && !err; j++)
			err = client_routes(tunnel, &tunnel->remotes[j], port->value.ifindex, list);
	}
	return err;
}

struct routes_change {
	size_t n;
	struct system_route routes[];
};

static void routes_change_back(struct datapath *dp, const void *data)
{
	const struct routes_change *change = data;
	size_t conflict;
	int err = system_set_routes(dp->system, change->routes, change->n, &conflict);

	if (err)
		log_ret(err, "cannot put the routes back");
}

static int remember_routes(struct datapath *dp, struct undo *undo)
{
	struct system_route *routes = NULL;
	struct routes_change *change;
	size_t n = 0;
	int err = system_get_routes(dp->system, &routes, &n);

	if (err)
		return err;
	change = calloc(1, sizeof(*change) + n * sizeof(*routes));
	if (change) {
		change->n = n;
		if (n)
			memcpy(change->routes, routes, n * sizeof(*routes));
		undo_push(undo, routes_change_back, change, sizeof(*change) + n * sizeof(*routes));
	}
	free(change);
	free(routes);
	return change ? 0 : -ENOMEM;
}

static int refused(const struct route_list *list, size_t conflict, int err, char **why)
{
	char destination[PREFIX_STRLEN], gateway[ADDR_STRLEN];

	if (conflict >= list->n)
		return fail(why, err, "cannot set the routes: %s", strerror(-err));
	prefix_format(&list->routes[conflict].destination, destination);
	for (size_t i = 0; i < list->n && err == -EEXIST; i++)
		if (i != conflict && list->routes[i].destination.len == list->routes[conflict].destination.len &&
		    addr_equal(&list->routes[i].destination.addr, &list->routes[conflict].destination.addr))
			return fail(why, err, "two routes to %s", destination);
	if (err == -EEXIST)
		return fail(why, err, "there is a route to %s that is not fairlead's; remove one of the two",
			    destination);
	addr_format(&list->routes[conflict].gateway, gateway);
	return fail(why, err, "cannot set the route to %s%s%s: %s", destination, gateway[0] ? " via " : "", gateway,
		    strerror(-err));
}

int routes_apply(struct datapath *dp, const struct config *config, const struct port *ports, struct undo *undo,
		 char **why)
{
	struct route_list list = {};
	size_t conflict = SIZE_MAX;
	int err = config_routes(config, ports, &list);

	err = err ?: brokers_routes(config, ports, &list);
	if (!err && undo)
		err = remember_routes(dp, undo);
	if (!err) {
		err = system_set_routes(dp->system, list.routes, list.n, &conflict);
		if (err)
			refused(&list, conflict, err, why);
	}
	free(list.routes);
	return err;
}
