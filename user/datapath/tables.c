// SPDX-License-Identifier: GPL-2.0-only
/* Tunnels, and routes by groups: from the configuration to the keys and values of fl_ep_in, fl_ep and fl_clients. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/datapath/private.h"

struct tables *tables_new(void)
{
	struct tables *tables = calloc(1, sizeof(*tables));

	if (!tables)
		return NULL;
	tables->ep_in.key_size = sizeof(struct fl_endpoint_key);
	tables->clients.key_size = sizeof(struct fl_client_route_key);
	tables->npt_prefix.key_size = sizeof(struct fl_npt_key);
	return tables;
}

void tables_free(struct tables *tables)
{
	if (!tables)
		return;
	free(tables->ep_in.records);
	free(tables->clients.records);
	free(tables->npt_prefix.records);
	free(tables->endpoints);
	free(tables->npts);
	free(tables->gateways);
	policy_destroy(tables->policy);
	free(tables);
}

static size_t record_size(const struct entries *entries)
{
	return entries->key_size + sizeof(uint32_t);
}

int entries_add(struct entries *entries, const void *key, uint32_t value)
{
	size_t size = record_size(entries);

	if (entries->n == entries->cap) {
		size_t cap = entries->cap ? entries->cap * 2 : 64;
		uint8_t *records = reallocarray(entries->records, cap, size);

		if (!records)
			return -ENOMEM;
		entries->records = records;
		entries->cap = cap;
	}
	memcpy(entries->records + entries->n * size, key, entries->key_size);
	memcpy(entries->records + entries->n * size + entries->key_size, &value, sizeof(value));
	entries->n++;
	return 0;
}

const uint8_t *entry_key(const struct entries *entries, size_t i)
{
	return entries->records + i * record_size(entries);
}

uint32_t entry_value(const struct entries *entries, size_t i)
{
	uint32_t value;

	memcpy(&value, entry_key(entries, i) + entries->key_size, sizeof(value));
	return value;
}

static int compare_records(const void *a, const void *b, void *size)
{
	return memcmp(a, b, *(size_t *)size);
}

void entries_sort(struct entries *entries)
{
	size_t size = record_size(entries);

	if (entries->n)
		qsort_r(entries->records, entries->n, size, compare_records, &size);
}

static bool entries_equal(const struct entries *a, const struct entries *b)
{
	return a->n == b->n && (!a->n || memcmp(a->records, b->records, a->n * record_size(a)) == 0);
}

bool tables_equal(const struct tables *a, const struct tables *b)
{
	if (!entries_equal(&a->ep_in, &b->ep_in) || !entries_equal(&a->clients, &b->clients) ||
	    !entries_equal(&a->npt_prefix, &b->npt_prefix) || a->n_endpoints != b->n_endpoints ||
	    a->n_npts != b->n_npts || !policy_equal(a, b))
		return false;
	/* an index belongs to one content only: changed items got another one, and so other entries */
	return true;
}

/* Drops entries whose key was there before: the lowest value wins. Expects them sorted. */
static void entries_unique(struct entries *entries)
{
	size_t size = record_size(entries), kept = 0;

	for (size_t i = 0; i < entries->n; i++) {
		uint8_t *record = entries->records + i * size;

		if (kept && memcmp(record, entries->records + (kept - 1) * size, entries->key_size) == 0)
			continue;
		memmove(entries->records + kept++ * size, record, size);
	}
	entries->n = kept;
}

/* By which an endpoint is the same one before and after: its ends and its tunnel. */
static int compare_ends(const void *a, const void *b)
{
	const struct fl_endpoint *x = &((const struct table_endpoint *)a)->value;
	const struct fl_endpoint *y = &((const struct table_endpoint *)b)->value;

	if (x->local != y->local)
		return x->local < y->local ? -1 : 1;
	if (x->remote != y->remote)
		return x->remote < y->remote ? -1 : 1;
	if (!x->local && x->tunnel != y->tunnel) /* has many: add_ends() sees whether others have them too */
		return x->tunnel < y->tunnel ? -1 : 1;
	return 0;
}

/*
 * For sorting. Of two with the same ends, which is so where one's "local" is the underlay's address, the first stays: rather the one
 * whose remote was given as an address, then the one whose local end was.
 */
static int by_ends(const void *a, const void *b)
{
	const struct table_endpoint *x = a, *y = b;
	int order = compare_ends(a, b);

	if (order)
		return order;
	if (x->remote->named != y->remote->named)
		return x->remote->named ? 1 : -1;
	if (x->tunnel->local.family != y->tunnel->local.family)
		return x->tunnel->local.family == AF_INET ? -1 : 1;
	if (x->tunnel != y->tunnel)
		return x->tunnel < y->tunnel ? -1 : 1;
	return x->remote < y->remote ? -1 : 1;
}

/* The address that outers have that leave by a port; AF_UNSPEC: it has none */
static const struct addr *local_at(const struct config_tunnel *tunnel, const struct port *underlay)
{
	return tunnel->local.family == AF_INET ? &tunnel->local : &underlay->own4;
}

/* The port of an interface that outers may leave by, and have an address there. NULL: there is none. */
static const struct port *underlay_at(const struct config_tunnel *tunnel, const struct port *ports, size_t i)
{
	const struct port *port = port_of_interface(ports, config_tunnel_underlay(tunnel, i));

	return port && port->present && local_at(tunnel, port)->family == AF_INET ? port : NULL;
}

/* Of several the one with the smallest MTU. */
static const struct port *underlay_of(const struct config_tunnel *tunnel, const struct port *ports)
{
	const struct port *best = NULL, *port;

	for (size_t i = 0; config_tunnel_underlay(tunnel, i); i++) {
		port = underlay_at(tunnel, ports, i);
		if (port && (!best || port->value.mtu < best->value.mtu))
			best = port;
	}
	return best;
}

static void endpoint_values(const struct config *config, const struct config_tunnel *tunnel, const struct port *port,
			    const struct port *underlay, struct fl_endpoint *value)
{
	const struct config_group *group = tunnel->underlay_group;

	*value = (struct fl_endpoint){
		.local = group && tunnel->local.family != AF_INET ? 0 : local_at(tunnel, underlay)->v4.s_addr,
		.group = group ? GROUP_NUMBER(group - config->groups) : 0,
		.underlay_ifindex = underlay->value.ifindex,
		.underlay = underlay->number,
		.tunnel = port->number,
		.mtu = port->value.mtu,
		.mss = tunnel->mss_clamp,
		.ttl = tunnel->ttl,
		.dscp = tunnel->dscp,
		.flags = tunnel->mtu == 0 ? FL_EP_DYNAMIC_MTU : 0,
	};
}

static int tunnel_compile(const struct config *config, const struct config_tunnel *tunnel, const struct port *ports,
			  struct tables *tables)
{
	const struct port *port = port_of_tunnel(ports, tunnel);
	const struct port *underlay = underlay_of(tunnel, ports);
	struct fl_endpoint value;

	if (!port || !port->present || !underlay)
		return 0;
	endpoint_values(config, tunnel, port, underlay, &value);
	for (size_t i = 0; i < tunnel->n_remotes; i++) {
		const struct config_remote *remote = &tunnel->remotes[i];

		if (remote->address_outer.family != AF_INET)
			continue; /* a host name that nobody has resolved yet */
		value.remote = remote->address_outer.v4.s_addr;
		tables->endpoints[tables->n_endpoints++] =
			(struct table_endpoint){ .value = value, .tunnel = tunnel, .remote = remote };
	}
	return 0;
}

/* Unchanged endpoints keep their index, the others get one that is in use nowhere. */
static int endpoints_number(struct tables *tables, const struct tables *current, char **why)
{
	struct indices indices;
	int err = indices_init(&indices, FL_ENDPOINTS_MAX);

	if (err)
		return err;
	for (size_t i = 0; current && i < current->n_endpoints; i++)
		indices_take(&indices, current->endpoints[i].index);
	for (size_t i = 0; i < tables->n_endpoints && !err; i++) {
		struct table_endpoint *ep = &tables->endpoints[i];
		const struct table_endpoint *old = NULL;

		if (current && current->n_endpoints)
			old = bsearch(ep, current->endpoints, current->n_endpoints, sizeof(*ep), compare_ends);
		if (old && memcmp(&old->value, &ep->value, sizeof(ep->value)) == 0) {
			ep->index = old->index;
			continue;
		}
		ep->index = indices_get(&indices);
		if (old && old->value.tunnel == ep->value.tunnel)
			ep->previous = old->index;
		if (!ep->index)
			err = fail(why, ENOSPC, "more than %d tunnel remotes in two configurations",
				   FL_ENDPOINTS_MAX - 1);
	}
	indices_free(&indices);
	return err;
}

static int client_add(struct tables *tables, const struct table_endpoint *ep, const struct prefix *prefix)
{
	struct prefix net = { prefix_network(prefix), prefix->len };
	struct fl_client_route_key key = {
		.prefixlen = 32 + net.len,
		.tunnel = ep->value.tunnel,
		.addr = addr_to_map(&net.addr),
	};

	return entries_add(&tables->clients, &key, ep->index);
}

/*
 * RFC 4213 3.7: the link-local address of a tunnel's end is made of its IPv4 address. Linux makes it so too, and a client that speaks from
 * it is answered. From any other only what it sends is taken: nothing says whose it is.
 */
static int client_add_link_local(struct tables *tables, const struct table_endpoint *ep)
{
	struct prefix host = { { .family = AF_INET6 }, 128 };

	host.addr.v6.s6_addr[0] = 0xfe;
	host.addr.v6.s6_addr[1] = 0x80;
	memcpy(&host.addr.v6.s6_addr[12], &ep->value.remote, sizeof(ep->value.remote));
	return client_add(tables, ep, &host);
}

/* What comes in by a port is found by it. */
static int add_ends(struct tables *tables, const struct table_endpoint *ep, const struct port *underlay)
{
	struct fl_endpoint_key key = { .local = local_at(ep->tunnel, underlay)->v4.s_addr, .remote = ep->value.remote };
	int err = entries_add(&tables->ep_in, &key, FL_EP_IN(ep->value.tunnel, ep->index));

	key.remote = 0; /* strangers to this address are counted on the tunnel's port */
	err = err ?: entries_add(&tables->ep_in, &key, FL_EP_IN(ep->value.tunnel, 0));
	if (!ep->value.group)
		return err;
	key.port = underlay->number;
	key.remote = FL_EP_IN_MEMBER(ep->value.tunnel);
	return err ?: entries_add(&tables->ep_in, &key, FL_EP_IN(ep->value.tunnel, 0));
}

static int endpoint_entries(struct tables *tables, const struct table_endpoint *ep, const struct port *ports)
{
	const struct port *underlay;
	int err = 0;

	for (size_t i = 0; config_tunnel_underlay(ep->tunnel, i); i++) {
		underlay = underlay_at(ep->tunnel, ports, i);
		if (underlay)
			err = err ?: add_ends(tables, ep, underlay);
	}
	if (!ep->tunnel->broker)
		return err;
	if (ep->remote->address.family == AF_INET6) {
		struct prefix host = { ep->remote->address, 128 };

		err = err ?: client_add(tables, ep, &host);
	}
	err = err ?: client_add_link_local(tables, ep);
	for (size_t i = 0; i < ep->remote->n_routes; i++)
		err = err ?: client_add(tables, ep, &ep->remote->routes[i]);
	return err;
}

static int same_ends(const struct table_endpoint *a, const struct table_endpoint *b, __be32 ours, const char *whose,
		     char **why)
{
	struct addr local = { .family = AF_INET, .v4.s_addr = ours }, remote = a->remote->address_outer;
	char local_text[ADDR_STRLEN], remote_text[ADDR_STRLEN];

	if (b->remote->named) {
		fail(why, EEXIST,
		     "%s, the remote of tunnel \"%s\", is %s now, which is that of tunnel \"%s\" too, with the same local end %s; "
		     "that is left out of \"%s\"",
		     b->remote->host, b->tunnel->name, addr_format(&remote, remote_text), a->tunnel->name,
		     addr_format(&local, local_text), b->tunnel->name);
		return 0;
	}
	return fail(
		why, EEXIST,
		"tunnels \"%s\" and \"%s\" would have the same ends, %s and %s, since that is the address of %s now; "
		"give one of them another \"local\"",
		a->tunnel->name, b->tunnel->name, addr_format(&local, local_text), addr_format(&remote, remote_text),
		whose);
}

/*
 * Sorts them and leaves out those whose ends another has. Returns 0, or -EEXIST with the first such pair in *why: a name that was resolved to
 * what another remote is already is in *why too, and no error, for the next answer may be another.
 */
static int endpoints_unique(struct tables *tables, char **why)
{
	struct table_endpoint *endpoints = tables->endpoints;
	size_t kept = 0;
	int err = 0;

	qsort(endpoints, tables->n_endpoints, sizeof(*endpoints), by_ends);
	for (size_t i = 0; i < tables->n_endpoints; i++) {
		if (kept && compare_ends(&endpoints[kept - 1], &endpoints[i]) == 0)
			err = same_ends(&endpoints[kept - 1], &endpoints[i], endpoints[i].value.local,
					config_tunnel_underlay(endpoints[i].tunnel, 0)->device, why)
				      ?: err;
		else
			endpoints[kept++] = endpoints[i];
	}
	tables->n_endpoints = kept;
	return err;
}

static const struct table_endpoint *endpoint_by_index(const struct tables *tables, uint32_t index)
{
	for (size_t i = 0; i < tables->n_endpoints; i++)
		if (tables->endpoints[i].index == index)
			return &tables->endpoints[i];
	return NULL;
}

/* The same by way of a group's members, in the sorted entries: -EEXIST with the first such pair in *why. */
static int ends_unique(const struct tables *tables, char **why)
{
	for (size_t i = 1; i < tables->ep_in.n; i++) {
		uint32_t a = entry_value(&tables->ep_in, i - 1), b = entry_value(&tables->ep_in, i);
		struct fl_endpoint_key key, before;

		memcpy(&before, entry_key(&tables->ep_in, i - 1), sizeof(before));
		memcpy(&key, entry_key(&tables->ep_in, i), sizeof(key));
		if (a == b || !FL_EP_IN_ENDPOINT(a) || memcmp(&before, &key, sizeof(key)))
			continue;
		return same_ends(endpoint_by_index(tables, FL_EP_IN_ENDPOINT(a)),
				 endpoint_by_index(tables, FL_EP_IN_ENDPOINT(b)), key.local, "an interface of both",
				 why);
	}
	return 0;
}

/* -EEXIST: all is compiled, but what has the ends of another. */
static int endpoints_compile(const struct config *config, const struct port *ports, const struct tables *current,
			     struct tables *tables, char **why)
{
	size_t n = 0;
	int err = 0, same;

	for (size_t i = 0; i < config->n_tunnels; i++)
		n += config->tunnels[i].n_remotes;
	tables->endpoints = calloc(n ? n : 1, sizeof(*tables->endpoints));
	if (!tables->endpoints)
		return -ENOMEM;
	for (size_t i = 0; i < config->n_tunnels; i++)
		err = err ?: tunnel_compile(config, &config->tunnels[i], ports, tables);
	same = endpoints_unique(tables, why);
	err = err ?: endpoints_number(tables, current, why);
	for (size_t i = 0; i < tables->n_endpoints; i++)
		err = err ?: endpoint_entries(tables, &tables->endpoints[i], ports);
	return err ?: same;
}

static int route_add(struct tables *tables, const struct config_route *route)
{
	struct prefix net = { prefix_network(&route->destination), route->destination.len };
	struct fl_client_route_key key = {
		.prefixlen = 32 + (net.addr.family == AF_INET ? 96 : 0) + net.len,
		.addr = addr_to_map(&net.addr),
	};

	return entries_add(&tables->clients, &key, route->via.group != NULL);
}

/* Nobody asks where no group has routes. */
static int routes_compile(const struct config *config, struct tables *tables)
{
	bool by_group = false;
	int err = 0;

	for (size_t i = 0; i < config->n_routes; i++)
		by_group |= config->routes[i].via.group != NULL;
	for (size_t i = 0; i < config->n_routes && by_group && !err; i++)
		err = route_add(tables, &config->routes[i]);
	return err;
}

int tables_compile(const struct config *config, const struct port *ports, const struct tables *current,
		   struct tables **out, char **why)
{
	struct tables *tables = tables_new();
	int err, same = 0;

	if (!tables)
		return -ENOMEM;
	err = endpoints_compile(config, ports, current, tables, why);
	if (err == -EEXIST) {
		same = err;
		err = 0;
	}
	err = err ?: npts_compile(config, ports, current, tables, why);
	err = err ?: routes_compile(config, tables);
	if (!err && tables->clients.n > FL_CLIENT_ROUTES_MAX / 2)
		err = fail(why, ENOSPC, "%zu prefixes of clients and routes, at most %d fit", tables->clients.n,
			   FL_CLIENT_ROUTES_MAX / 2);
	if (err) {
		tables_free(tables);
		return err;
	}
	entries_sort(&tables->ep_in);
	same = same ?: ends_unique(tables, why);
	entries_unique(&tables->ep_in);
	if (tables->ep_in.n > FL_ENDPOINTS_MAX) {
		err = fail(why, ENOSPC, "%zu pairs of ends of tunnels, at most %d fit", tables->ep_in.n,
			   FL_ENDPOINTS_MAX);
		tables_free(tables);
		return err;
	}
	entries_sort(&tables->clients);
	entries_unique(&tables->clients);
	entries_sort(&tables->npt_prefix);
	entries_unique(&tables->npt_prefix);
	*out = tables;
	return same;
}
