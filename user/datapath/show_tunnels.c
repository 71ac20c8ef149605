// SPDX-License-Identifier: GPL-2.0-only
/* Tunnels, their clients and prefix translations, as JSON. */

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/datapath/private.h"

/* Endpoint tables as they are at the moment of asking: read once for all tunnels. */
struct snapshot {
	uint32_t n;			 /* endpoints below it are read */
	struct fl_endpoint_stats *stats; /* of each CPU `n` */
	struct fl_endpoint_path *paths;
};

static int snapshot_read(struct datapath *dp, const struct tables *tables, struct snapshot *s)
{
	int err = 0;

	memset(s, 0, sizeof(*s));
	for (size_t i = 0; i < tables->n_endpoints; i++)
		if (tables->endpoints[i].index >= s->n)
			s->n = tables->endpoints[i].index + 1;
	if (!s->n)
		return 0;
	s->stats = calloc((size_t)s->n * dp->n_cpus, sizeof(*s->stats));
	s->paths = calloc(s->n, sizeof(*s->paths));
	if (!s->stats || !s->paths)
		return -ENOMEM;
	for (unsigned int cpu = 0; cpu < dp->n_cpus && !err; cpu++)
		err = map_read(dp, DP_MAP_EP_STATS, FL_EP_STATS_INDEX(cpu, 0), s->n, s->stats + (size_t)cpu * s->n);
	return err ?: map_read(dp, DP_MAP_EP_PATH, 0, s->n, s->paths);
}

static void snapshot_free(struct snapshot *s)
{
	free(s->stats);
	free(s->paths);
}

static void add(struct fl_endpoint_stats *sum, const struct fl_endpoint_stats *stats)
{
	sum->rx_packets += stats->rx_packets;
	sum->rx_bytes += stats->rx_bytes;
	sum->tx_packets += stats->tx_packets;
	sum->tx_bytes += stats->tx_bytes;
}

static struct fl_endpoint_stats stats_of(struct datapath *dp, const struct snapshot *s, uint32_t index)
{
	struct fl_endpoint_stats stats = {};

	for (unsigned int cpu = 0; s->stats && cpu < dp->n_cpus; cpu++)
		add(&stats, &s->stats[(size_t)cpu * s->n + index]);
	reassembly_add_stats(dp, index, &stats);
	return stats;
}

/* As the programs see it: what the path reported, while that is not too old. */
static uint32_t mtu_of(const struct snapshot *s, const struct table_endpoint *ep)
{
	const struct fl_endpoint_path *path = s->paths ? &s->paths[ep->index] : NULL;

	if (path && path->mtu && path->mtu < ep->value.mtu && path->expires_s > monotonic_ms() / 1000)
		return path->mtu;
	return ep->value.mtu;
}

static json_t *drops_json(struct datapath *dp, const struct port *port)
{
	struct fl_drop_stats drops[FL_DROP_SLOTS];
	json_t *object = json_object();

	if (!object || !port || drops_read(dp, port->number, drops))
		return object;
	for (uint32_t reason = 1; reason < FL_DROP_MAX; reason++)
		if (drops[reason].packets)
			json_object_set_new(object, drop_name(reason), json_integer(drops[reason].packets));
	return object;
}

/* What has an address and no endpoint had the ends of another: tables_compile() left it out. */
static const char *missing_reason(const struct config_tunnel *tunnel, size_t n_endpoints)
{
	size_t resolved = 0;

	for (size_t i = 0; i < tunnel->n_remotes; i++)
		resolved += tunnel->remotes[i].address_outer.family == AF_INET;
	if (n_endpoints < resolved)
		return tunnel->broker ? "another tunnel has the same ends as some clients"
				      : "another tunnel has the same ends";
	return tunnel->broker ? "the host names of some clients are not resolved"
			      : "the remote's host name is not resolved";
}

const struct port *tunnel_underlay_now(const struct datapath *dp, const struct config_tunnel *tunnel)
{
	const struct config_gateway *carrier;

	if (!tunnel->underlay_group)
		return port_of_interface(dp->ports, tunnel->underlay);
	carrier = group_carrier(dp, dp->config, tunnel->underlay_group, FL_INET);
	return carrier ? gateway_port(dp->ports, carrier) : NULL;
}

int datapath_tunnel_local(const struct datapath *dp, const struct config_tunnel *tunnel, struct addr *local)
{
	const struct port *underlay = tunnel_underlay_now(dp, tunnel);

	if (tunnel->local.family == AF_INET)
		*local = tunnel->local;
	else if (underlay && underlay->present && underlay->own4.family == AF_INET)
		*local = underlay->own4;
	else
		return -EADDRNOTAVAIL;
	return 0;
}

/* A broker's clients come and go; of one remote a user wants to know. By a group it is always the gateway. */
static bool has_way(const struct datapath *dp, const struct config_tunnel *tunnel, const struct port *underlay)
{
	return tunnel->broker || tunnel->underlay_group || tunnel->remotes[0].address_outer.family != AF_INET ||
	       system_route_by(dp->system, &tunnel->remotes[0].address_outer, underlay->value.ifindex) != -EHOSTUNREACH;
}

static const char *tunnel_reason(const struct datapath *dp, const struct config_tunnel *tunnel, size_t n_endpoints)
{
	const struct port *underlay = tunnel_underlay_now(dp, tunnel);
	const struct port *port = port_of_tunnel(dp->ports, tunnel);

	if (!port || !port->present)
		return "its device is gone";
	if (tunnel->underlay_group && !underlay)
		return "no member of its underlay can be used";
	if (!underlay || !underlay->present)
		return "the underlay's device is not there";
	if (tunnel->local.family != AF_INET && underlay->own4.family != AF_INET)
		return "the underlay has no IPv4 address";
	if (n_endpoints < tunnel->n_remotes)
		return missing_reason(tunnel, n_endpoints);
	if (port->foreign_filters)
		return "tc filters of another owner run before ours";
	return has_way(dp, tunnel, underlay) ? "" : "no route to its remote by the underlay";
}

/* The address, "" while nobody knows it; with the name, where it is one. */
static void put_remote(json_t *object, const struct config_remote *remote)
{
	char address[ADDR_STRLEN];

	json_object_set_new(object, "remote",
			    json_string(remote->named ? addr_format(&remote->address_outer, address) : remote->host));
	if (remote->named)
		json_object_set_new(object, "remote_name", json_string(remote->host));
}

static json_t *client_json(const struct table_endpoint *ep, const struct fl_endpoint_stats *stats, uint32_t mtu)
{
	char address[ADDR_STRLEN];
	json_t *object;

	object = json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I}", "name", ep->remote->name ? ep->remote->name : "",
			   "remote", "", "address", addr_format(&ep->remote->address, address), "mtu", (json_int_t)mtu,
			   "rx_packets", (json_int_t)stats->rx_packets, "tx_packets", (json_int_t)stats->tx_packets,
			   "rx_bytes", (json_int_t)stats->rx_bytes, "tx_bytes", (json_int_t)stats->tx_bytes);
	put_remote(object, ep->remote);
	return object;
}

static json_t *carrier_json(const struct datapath *dp, const struct config_tunnel *tunnel)
{
	const struct config_gateway *carrier =
		tunnel->underlay_group ? group_carrier(dp, dp->config, tunnel->underlay_group, FL_INET) : NULL;

	return carrier ? json_string(carrier->name) : json_null();
}

static json_t *tunnel_json(struct datapath *dp, const struct config_tunnel *tunnel, const struct tables *tables,
			   const struct snapshot *s)
{
	const struct port *port = port_of_tunnel(dp->ports, tunnel);
	uint32_t mtu = port && port->present ? port->value.mtu : tunnel_mtu(dp->system, tunnel);
	struct fl_endpoint_stats sum = {};
	json_t *clients = json_array(), *object;
	char local_text[ADDR_STRLEN] = "";
	struct addr local;
	size_t n = 0;

	for (size_t i = 0; i < tables->n_endpoints; i++) {
		const struct table_endpoint *ep = &tables->endpoints[i];
		struct fl_endpoint_stats stats;

		if (ep->tunnel != tunnel)
			continue;
		n++;
		stats = stats_of(dp, s, ep->index);
		add(&sum, &stats);
		if (tunnel->broker)
			json_array_append_new(clients, client_json(ep, &stats, mtu_of(s, ep)));
		else
			mtu = mtu_of(s, ep);
	}
	if (!datapath_tunnel_local(dp, tunnel, &local))
		addr_format(&local, local_text);
	object = json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:o, s:s, s:o, s:I, s:I, s:s}", "name", tunnel->name,
			   "type", "6in4", "local", local_text, "remote", "", "mtu", (json_int_t)mtu, "rx_packets",
			   (json_int_t)sum.rx_packets, "tx_packets", (json_int_t)sum.tx_packets, "drops",
			   drops_json(dp, port), "underlay",
			   tunnel->underlay_group ? tunnel->underlay_group->name : tunnel->underlay->name, "carrier",
			   carrier_json(dp, tunnel), "rx_bytes", (json_int_t)sum.rx_bytes, "tx_bytes",
			   (json_int_t)sum.tx_bytes, "reason", tunnel_reason(dp, tunnel, n));
	if (tunnel->broker)
		json_object_set(object, "clients", clients);
	else
		put_remote(object, &tunnel->remotes[0]);
	json_decref(clients);
	return object;
}

json_t *datapath_show_tunnels(struct datapath *dp)
{
	const struct tables *tables = tables_in_force(dp);
	json_t *array = json_array();
	struct snapshot s;

	if (!array || !dp->config)
		return array;
	if (snapshot_read(dp, tables, &s) == 0)
		for (size_t i = 0; i < dp->config->n_tunnels; i++)
			json_array_append_new(array, tunnel_json(dp, &dp->config->tunnels[i], tables, &s));
	snapshot_free(&s);
	return array;
}

/* ---- translations ---- */

static const struct table_npt *npt_of(const struct tables *tables, const struct config_translation *translation)
{
	for (size_t i = 0; i < tables->n_npts; i++)
		if (tables->npts[i].translation == translation)
			return &tables->npts[i];
	return NULL;
}

static const char *npt_reason(struct datapath *dp, const struct config_translation *translation)
{
	struct fl_npt npt;

	switch (npt_compile(translation, dp->ports, &npt)) {
	case 0:
		return "";
	case -ENODEV:
		return "an interface of it is not there";
	case -ERANGE:
		return "the delegated prefix has no such subnet";
	default:
		return "the interface that it follows has no global IPv6 address yet";
	}
}

/* "" as long as it follows an interface that has none. */
static const char *external_text(const struct config_translation *translation, const struct table_npt *item, char *buf)
{
	struct prefix prefix = translation->external;

	if (prefix.addr.family == AF_UNSPEC && item && item->value.mode != FL_NPT_UNKNOWN)
		prefix = (struct prefix){ addr_from_map(&item->value.external), item->value.external_len };
	return prefix_format(&prefix, buf);
}

static json_t *translation_json(struct datapath *dp, const struct config_translation *translation,
				const struct table_npt *item)
{
	char internal[PREFIX_STRLEN], external[PREFIX_STRLEN];
	struct fl_npt_stats stats = {};

	if (item) {
		void *value = calloc(1, dp->maps[DP_MAP_NPT_STATS].value_size);

		if (value && map_get(dp, DP_MAP_NPT_STATS, &item->index, value) == 0)
			percpu_sum(dp, value, sizeof(stats) / sizeof(uint64_t), (uint64_t *)&stats);
		free(value);
	}
	external_text(translation, item, external);
	return json_pack("{s:s, s:s, s:s?, s:s, s:I, s:I, s:I, s:I, s:I, s:s}", "interface",
			 translation->interface ? translation->interface->name : translation->tunnel->name, "internal",
			 prefix_format(&translation->internal, internal), "external", external[0] ? external : NULL,
			 "mode", translation->mode == FL_NPT_PLAIN ? "plain" : "rfc6296", "out_packets",
			 (json_int_t)stats.out_packets, "in_packets", (json_int_t)stats.in_packets, "out_bytes",
			 (json_int_t)stats.out_bytes, "in_bytes", (json_int_t)stats.in_bytes, "untranslatable",
			 (json_int_t)stats.untranslatable, "reason", npt_reason(dp, translation));
}

json_t *datapath_show_translations(struct datapath *dp)
{
	const struct tables *tables = tables_in_force(dp);
	json_t *array = json_array();

	for (size_t i = 0; array && dp->config && i < dp->config->n_translations; i++)
		json_array_append_new(array, translation_json(dp, &dp->config->translations[i],
							      npt_of(tables, &dp->config->translations[i])));
	return array;
}
