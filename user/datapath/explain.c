// SPDX-License-Identifier: GPL-2.0-only
/*
 * explain: one packet through the tc program's own code and the live maps, in a second load of it that writes nothing and sends
 * nothing.
 */

#include <errno.h>
#include <linux/if_ether.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "user/datapath/packet.h"
#include "user/datapath/private.h"
#include "user/lib/log.h"

#include "tc.skel.h" /* after the structs that it holds */

struct dry_run {
	struct tc *skel;
};

void dry_run_close(struct datapath *dp)
{
	if (!dp->dry_run)
		return;
	tc__destroy(dp->dry_run->skel);
	free(dp->dry_run);
	dp->dry_run = NULL;
}

/* Loaded when first asked for: it costs the verifier some hundred milliseconds. */
static int dry_run_open(struct datapath *dp)
{
	int err;

	if (dp->dry_run)
		return 0;
	dp->dry_run = calloc(1, sizeof(*dp->dry_run));
	if (!dp->dry_run)
		return -ENOMEM;
	dp->dry_run->skel = tc_open(dp, true);
	err = dp->dry_run->skel ? object_prepare(dp, dp->dry_run->skel->obj, false) : -errno;
	err = err ?: tc__load(dp->dry_run->skel);
	if (err)
		dry_run_close(dp);
	return err;
}

/* What is asked, and where the packet meets the program. */
struct question {
	const struct explain_query *query;
	struct explain_query packet; /* as it is sent: `self` has the source that the kernel chooses */
	const struct port *port;
	uint32_t ifindex;
	bool self;
	const struct table_endpoint *outer; /* by whose outer packet it comes; NULL: it does not come by a tunnel */
	const struct port *underlay;	    /* and by which port … */
	struct addr local;		    /* … to which address */
};

static bool is_of_client(const struct config_remote *client, const struct addr *src)
{
	bool is = addr_equal(&client->address, src);

	for (size_t i = 0; i < client->n_routes && !is; i++)
		is = prefix_contains(&client->routes[i], src);
	return is;
}

/* The other end that a packet with that source comes from; of a source that is no client's, any. NULL: there is none. */
static const struct table_endpoint *other_end(const struct datapath *dp, const struct port *port,
					      const struct addr *src)
{
	const struct tables *tables = tables_in_force(dp);
	const struct table_endpoint *any = NULL;

	for (size_t i = 0; tables && i < tables->n_endpoints; i++) {
		const struct table_endpoint *ep = &tables->endpoints[i];

		if (ep->value.tunnel != port->number || !ep->tunnel || !ep->value.remote)
			continue;
		if (ep->remote && is_of_client(ep->remote, src))
			return ep;
		any = any ?: ep;
	}
	return any;
}

/* As it comes on the wire: the programs know a tunnel's packet, and from whom it is, by the outer one. */
static void put_into_tunnel(struct datapath *dp, struct question *q)
{
	if (q->self || q->port->kind != PORT_TUNNEL || q->packet.src.family != AF_INET6)
		return;
	q->outer = other_end(dp, q->port, &q->packet.src);
	q->underlay = q->outer ? tunnel_underlay_now(dp, q->outer->tunnel) : NULL;
	if (!q->underlay || !q->underlay->present || datapath_tunnel_local(dp, q->outer->tunnel, &q->local))
		q->outer = NULL;
	else
		q->ifindex = q->underlay->value.ifindex;
}

static int run(struct datapath *dp, const struct question *q, struct fl_explain *result)
{
	const struct tc *skel = dp->dry_run->skel;
	bool into_tunnel = q->self && q->port->kind == PORT_TUNNEL;
	const struct bpf_program *prog = q->self && !into_tunnel ? skel->progs.fl_tc_out : skel->progs.fl_tc_in;
	struct __sk_buff ctx = { .ifindex = into_tunnel ? q->port->value.peer_ifindex : q->ifindex,
				 .ingress_ifindex = q->self ? 0 : q->ifindex };
	uint8_t packet[EXPLAIN_PACKET_MAX];
	static const uint8_t other[ETH_ALEN] = { 0x02 };
	const struct port *at = q->outer ? q->underlay : q->port;
	const uint8_t *mac = at->value.mac;
	int len = explain_packet(&q->packet, q->self ? other : mac, q->self ? mac : other, packet);
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .ctx_in = &ctx, .ctx_size_in = sizeof(ctx));
	int err;

	if (len < 0)
		return len;
	if (q->outer)
		len = explain_encapsulate(packet, len, q->outer->value.remote, q->local.v4.s_addr);
	opts.data_size_in = len;
	memset(&skel->bss->fl_explain_result, 0, sizeof(skel->bss->fl_explain_result));
	err = bpf_prog_test_run_opts(bpf_program__fd(prog), &opts);
	*result = skel->bss->fl_explain_result;
	return err;
}

/* ---- the answer ---- */

static json_t *text_or_null(const char *text)
{
	return text && text[0] ? json_string(text) : json_null();
}

static json_t *addr_text(const struct addr *a)
{
	char buf[ADDR_STRLEN];

	return text_or_null(addr_format(a, buf));
}

static const struct port *port_at(const struct datapath *dp, uint32_t number)
{
	return number && number < FL_PORTS_MAX && dp->ports[number].kind != PORT_NONE ? &dp->ports[number] : NULL;
}

static bool gateway_is_by(const struct config_gateway *gateway, const struct port *out)
{
	return (gateway->interface && gateway->interface == out->interface) ||
	       (gateway->tunnel && gateway->tunnel == out->tunnel);
}

/* What the programs did not ask the routing table for (the router's own packet into a tunnel): by the configured routes. */
static const struct config_gateway *gateway_of_route(const struct datapath *dp, const struct addr *dst,
						     const struct port *out)
{
	const struct config_route *best = NULL;

	for (size_t i = 0; i < dp->config->n_routes; i++) {
		const struct config_route *route = &dp->config->routes[i];

		const struct config_gateway *gateway = route_gateway(dp, dp->config, route);

		if (gateway && gateway_is_by(gateway, out) && prefix_contains(&route->destination, dst) &&
		    (!best || route->destination.len > best->destination.len))
			best = route;
	}
	return best ? route_gateway(dp, dp->config, best) : NULL;
}

/* The gateway on `out` that has the address now. */
static const struct config_gateway *gateway_of_hop(const struct datapath *dp, const struct addr *hop,
						   const struct port *out)
{
	const struct config *config = dp->config;
	struct learned hops[2];

	for (size_t i = 0; i < config->n_gateways; i++) {
		if (!gateway_is_by(&config->gateways[i], out))
			continue;
		gateway_hops(dp, &config->gateways[i], out, hops);
		if (addr_equal(&hops[hop->family == AF_INET6].address, hop))
			return &config->gateways[i];
	}
	return NULL;
}

/* hop: the packet's own gateway, AF_UNSPEC when that is not known */
static json_t *gateway_name(const struct datapath *dp, const struct addr *hop, const struct addr *dst,
			    const struct port *out)
{
	const struct config_gateway *gateway = NULL;

	if (out && hop->family == AF_UNSPEC)
		gateway = gateway_of_route(dp, dst, out);
	if (out && !gateway)
		gateway = gateway_of_hop(dp, hop, out);
	return text_or_null(gateway ? gateway->name : NULL);
}

static struct addr addr_or_none(const union fl_addr *a)
{
	static const union fl_addr none;

	return memcmp(a, &none, sizeof(none)) ? addr_from_map(a) : (struct addr){};
}

/* port: translated, before: as it was; both 0 where nothing is known of them */
static void put_translated(json_t *answer, const char *key, const char *port_key, const union fl_addr *now,
			   const struct addr *before, uint16_t port, uint16_t port_before)
{
	static const union fl_addr none;
	struct addr a = addr_from_map(now);
	bool same = memcmp(now, &none, sizeof(none)) == 0 || (addr_equal(&a, before) && port == port_before);

	json_object_set_new(answer, key, same ? json_null() : addr_text(&a));
	json_object_set_new(answer, port_key, same || !port ? json_null() : json_integer(port));
}

static void put_translations(json_t *answer, const struct question *q, const struct fl_explain *e)
{
	bool judged = e->flags & FL_EXPLAIN_JUDGED;
	uint16_t sport = judged ? q->packet.sport : 0, dport = judged ? q->packet.dport : 0;

	put_translated(answer, "translated_source", "translated_source_port", &e->src, &q->packet.src, ntohs(e->sport),
		       sport);
	put_translated(answer, "translated_destination", "translated_destination_port", &e->dst, &q->packet.dst,
		       ntohs(e->dport), dport);
}

struct verdict_words {
	const char *verdict, *reason;
};

/*
 * The programs leave to the host what they have no route for, as what is for it. Which one it is they don't tell: the host's own table
 * says it, though it may be another one than the packet's where routing is by rules.
 */
static const char *why_deliver(struct datapath *dp, const struct question *q, const struct fl_explain *e)
{
	struct addr dst = addr_or_none(&e->dst), source;
	uint32_t ifindex;

	if (dst.family == AF_UNSPEC)
		dst = q->packet.dst;
	if (explain_is_unasked(e) && e->flags & FL_EXPLAIN_LOCAL)
		return "for the host; passes without a rule";
	if (e->flags & FL_EXPLAIN_LOCAL)
		return "for the host itself";
	switch (system_route_get(dp->system, &dst, NULL, &ifindex, &source)) {
	case -ENETUNREACH:
	case -EHOSTUNREACH:
	case -EACCES: /* prohibit */
		return "no route: the host answers Destination Unreachable";
	default:
		return "for the host, or only the host can answer it";
	}
}

static const char *why_forward(const struct question *q, const struct fl_explain *e)
{
	if (!q->self)
		return "routed";
	if (explain_is_unasked(e))
		return "own traffic, passes without a rule";
	return e->out_port && q->port->kind == PORT_TUNNEL ? "own traffic into the tunnel"
							   : "own traffic, sent as the host routes it";
}

static struct verdict_words words_of(struct datapath *dp, const struct question *q, const struct fl_explain *e)
{
	switch (e->verdict) {
	case FL_VERDICT_FORWARD:
		return (struct verdict_words){ "forward", why_forward(q, e) };
	case FL_VERDICT_DELIVER:
		return (struct verdict_words){ "deliver", why_deliver(dp, q, e) };
	case FL_VERDICT_DROP:
	case FL_VERDICT_ERROR:
		return (struct verdict_words){ explain_verdict(e), explain_reason(e) };
	default:
		if (q->self)
			return (struct verdict_words){ "forward", "own traffic, sent as the host routes it" };
		return (struct verdict_words){ "deliver", "left to the host" };
	}
}

/* Of what does not get as far as to be routed the last that was looked up is the way back to its source. */
static void forget_way_back(struct fl_explain *e)
{
	if (e->verdict == FL_VERDICT_DROP && e->reason == FL_DROP_SPOOFED)
		*e = (struct fl_explain){ .verdict = e->verdict, .reason = e->reason, .in_port = e->in_port };
	if (!explain_is_by_rule(e) || e->rule[1])
		return;
	e->out_port = e->xmit_port = e->mtu = 0;
	e->nexthop = e->gateway = (union fl_addr){};
}

/*
 * The tunnel that takes this packet for an outer one of its own; NULL: none does. What is asked has nothing inside it, so that
 * the programs stop at just that: the rest hangs on the packet that it would carry.
 */
static const struct port *outer_of(const struct datapath *dp, const struct question *q, const struct fl_explain *e)
{
	bool outer = q->packet.proto == IPPROTO_IPV6 && q->packet.src.family == AF_INET;

	return outer && e->verdict == FL_VERDICT_DROP && e->reason == FL_DROP_TUNNEL_INNER ? port_at(dp, e->in_port)
											   : NULL;
}

static void put_outer(json_t *answer, const struct port *tunnel)
{
	json_object_set_new(answer, "verdict", json_string("deliver"));
	json_object_set_new(answer, "reason",
			    json_sprintf("outer packet of tunnel %s: what becomes of the packet inside is explained by "
					 "--in %s with its addresses",
					 tunnel->name, tunnel->name));
	json_object_set_new(answer, "tunnel", json_string(tunnel->name));
}

/* Nobody answers a reset by one (RFC 9293 3.10.7.1), nor an error by another (RFC 1122 3.2.2, RFC 4443 2.4 (e)). */
static bool may_be_answered(const struct explain_query *packet, const struct fl_explain *e)
{
	uint8_t type = packet->icmp_type;

	if (e->icmp_type == FL_ICMP_RESET)
		return !(packet->tcp_flags & TH_RST);
	if (packet->proto == IPPROTO_ICMPV6 && packet->dst.family == AF_INET6)
		return type >= ICMP6_ECHO_REQUEST && type != ND_REDIRECT;
	if (packet->proto == IPPROTO_ICMP && packet->dst.family == AF_INET)
		return type == ICMP_ECHO || type == ICMP_ECHOREPLY || type >= ICMP_TIMESTAMP;
	return true;
}

static void put_reply(json_t *answer, const struct question *q, const struct fl_explain *e)
{
	if (e->verdict != FL_VERDICT_ERROR || !may_be_answered(&q->packet, e))
		return;
	if (e->icmp_type == FL_ICMP_RESET)
		json_object_set_new(answer, "answer", json_string("tcp reset"));
	else
		json_object_set_new(answer, "icmp",
				    json_pack("{s:i, s:i}", "type", e->icmp_type, "code", e->icmp_code));
}

static json_t *answer_of(struct datapath *dp, const struct question *q, const struct fl_explain *e)
{
	const struct port *out = port_at(dp, e->out_port), *xmit = port_at(dp, e->xmit_port);
	const struct port *tunnel = outer_of(dp, q, e);
	struct verdict_words words = words_of(dp, q, e);
	struct addr hop = addr_or_none(&e->nexthop), gateway = addr_or_none(&e->gateway);
	json_t *answer;

	if (!out && q->self && (e->verdict == FL_VERDICT_NONE || e->verdict == FL_VERDICT_FORWARD))
		out = xmit = q->port;
	answer = json_pack("{s:s, s:s, s:n, s:n, s:o, s:o, s:o, s:n, s:o, s:o, s:n}", "verdict", words.verdict,
			   "reason", words.reason, "rule", "route_to", "gateway",
			   gateway_name(dp, &gateway, &q->packet.dst, out), "egress",
			   text_or_null(xmit  ? xmit->name
					: out ? out->name
					      : NULL),
			   "tunnel", text_or_null(out && out->kind == PORT_TUNNEL ? out->name : NULL), "nat", "source",
			   addr_text(&q->packet.src), "destination", addr_text(&q->packet.dst), "state");
	if (!answer)
		return NULL;
	if (tunnel)
		put_outer(answer, tunnel);
	put_translations(answer, q, e);
	explain_put_policy(dp, answer, e);
	json_object_set_new(answer, "next_hop", addr_text(&hop));
	json_object_set_new(answer, "mtu", e->mtu && e->mtu != UINT16_MAX ? json_integer(e->mtu) : json_null());
	put_reply(answer, q, e);
	return answer;
}

/* The router's own packet where the programs do not see it: to itself, or by a device that is not ours. */
static json_t *answer_host(const struct question *q, const char *verdict, const char *reason, const char *egress)
{
	return json_pack("{s:s, s:s, s:n, s:n, s:n, s:o, s:n, s:n, s:o, s:o, s:n, s:n, s:n}", "verdict", verdict,
			 "reason", reason, "rule", "route_to", "gateway", "egress", text_or_null(egress), "tunnel",
			 "nat", "source", addr_text(&q->packet.src), "destination", addr_text(&q->packet.dst),
			 "translated_source", "translated_destination", "state");
}

/* By which device the kernel sends; NULL and *answer: no program sees that packet. */
static const struct port *port_of_self(struct datapath *dp, struct question *q, json_t **answer)
{
	const struct system_link *link;
	const struct port *port;
	struct addr source = {};
	bool asks = addr_is_unspecified(&q->query->src); /* the kernel for a source */
	int err = system_route_get(dp->system, &q->query->dst, asks ? NULL : &q->query->src, &q->ifindex, &source);

	if (!err && asks && source.family != AF_UNSPEC)
		q->packet.src = source;
	if (err) {
		*answer = answer_host(q, "drop", "no route", NULL);
		return NULL;
	}
	port = port_by_ifindex(dp->ports, q->ifindex);
	if (port)
		return port;
	link = system_link_by_index(dp->system, q->ifindex);
	if (link && strcmp(link->name, "lo") == 0)
		*answer = answer_host(q, "deliver", "for the host itself", NULL);
	else
		*answer = answer_host(q, "forward", "own traffic by a device that is not in the configuration",
				      link ? link->name : NULL);
	return NULL;
}

static const struct port *port_asked(struct datapath *dp, struct question *q, json_t **answer, char **why)
{
	const struct port *port;

	if (q->self)
		return port_of_self(dp, q, answer);
	port = port_by_name(dp->ports, q->query->in);
	if (!port || port->kind == PORT_ICMP) {
		if (config_find_interface(dp->config, q->query->in) || config_find_tunnel(dp->config, q->query->in))
			fail(why, ENODEV, "%s: its device is not there", q->query->in);
		else
			fail(why, ENOENT, "no interface or tunnel named \"%s\"", q->query->in);
		return NULL;
	}
	if (!port->present) {
		fail(why, ENODEV, "%s: its device %s is not there", port->name, port->device);
		return NULL;
	}
	q->ifindex = port->value.ifindex;
	return port;
}

json_t *datapath_explain(struct datapath *dp, const struct explain_query *query, char **why)
{
	struct question q = { .query = query, .packet = *query, .self = strcmp(query->in, "self") == 0 };
	struct fl_explain result;
	json_t *answer = NULL;
	int err;

	*why = NULL;
	if (!dp->config) {
		fail(why, ENOENT, "no configuration is in force");
		return NULL;
	}
	if (query->src.family != query->dst.family) {
		fail(why, EINVAL, "source and destination are not of one family");
		return NULL;
	}
	q.port = port_asked(dp, &q, &answer, why);
	if (!q.port)
		return answer;
	put_into_tunnel(dp, &q);
	err = dry_run_open(dp);
	err = err ?: run(dp, &q, &result);
	if (!err) {
		forget_way_back(&result);
		explain_limits(dp, &result, &q.packet.src);
	}
	if (err) {
		fail(why, err, "the dry run failed: %s", strerror(-err));
		return NULL;
	}
	return answer_of(dp, &q, &result);
}
