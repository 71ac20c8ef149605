/* SPDX-License-Identifier: GPL-2.0-only */
/* Routes of fairlead's protocol number in the main table, as rtnetlink messages; and asking the kernel for a way. */
#include "user/system/route_msg.h"

#include <errno.h>
#include <linux/icmpv6.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "user/system/internal.h"

struct routes {
	struct route_entry *entries;
	size_t n, capacity;
	bool ours;
};

/* ---- parsing ---- */

static int routes_add(struct routes *routes, const struct route_entry *entry)
{
	struct route_entry *grown;

	if (routes->n == routes->capacity) {
		routes->capacity = routes->capacity ? routes->capacity * 2 : 64;
		grown = reallocarray(routes->entries, routes->capacity, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		routes->entries = grown;
	}
	routes->entries[routes->n++] = *entry;
	return 0;
}

/* An IPv6 next hop of an IPv4 route (RFC 8950) has its family in front. */
static void parse_via(struct nlattr *attr, struct addr *out)
{
	struct rtvia *via = nla_data(attr);

	if (nla_len(attr) != (int)(sizeof(*via) + sizeof(out->v6)) || via->rtvia_family != AF_INET6)
		return;
	out->family = AF_INET6;
	memcpy(&out->v6, via->rtvia_addr, sizeof(out->v6));
}

void parse_gateway(int family, struct nlattr **tb, struct addr *out)
{
	memset(out, 0, sizeof(*out));
	if (tb[RTA_GATEWAY])
		parse_address(family, tb[RTA_GATEWAY], out);
	else if (tb[RTA_VIA])
		parse_via(tb[RTA_VIA], out);
}

static int add_nexthops(struct routes *routes, struct route_entry *entry, struct nlattr *multipath)
{
	struct rtnexthop *hop = nla_data(multipath);
	int left = nla_len(multipath);
	int err = 0;

	while (!err && left >= (int)sizeof(*hop) && RTNH_OK(hop, left)) {
		struct nlattr *tb[RTA_MAX + 1];

		nla_parse(tb, RTA_MAX, (struct nlattr *)RTNH_DATA(hop), hop->rtnh_len - (int)sizeof(*hop), NULL);
		entry->route.ifindex = (uint32_t)hop->rtnh_ifindex;
		entry->dead = hop->rtnh_flags & RTNH_F_DEAD;
		parse_gateway(entry->route.destination.addr.family, tb, &entry->route.gateway);
		err = routes_add(routes, entry);
		left -= (int)RTNH_ALIGN(hop->rtnh_len);
		hop = RTNH_NEXT(hop);
	}
	return err;
}

static void parse_worth(struct rtmsg *rtm, struct nlattr **tb, struct route_entry *entry)
{
	static const int8_t ranks[] = { [ICMPV6_ROUTER_PREF_HIGH] = 1, [ICMPV6_ROUTER_PREF_LOW] = -1 };
	const struct rta_cacheinfo *times = tb[RTA_CACHEINFO] ? nla_data(tb[RTA_CACHEINFO]) : NULL;
	uint8_t preference = tb[RTA_PREF] ? nla_get_u8(tb[RTA_PREF]) : ICMPV6_ROUTER_PREF_MEDIUM;

	entry->protocol = rtm->rtm_protocol;
	entry->dead = rtm->rtm_flags & RTNH_F_DEAD;
	entry->rank = preference < sizeof(ranks) ? ranks[preference] : 0;
	if (times && nla_len(tb[RTA_CACHEINFO]) >= (int)sizeof(*times))
		entry->left = (int32_t)times->rta_expires;
}

static int on_route(struct nlmsghdr *h, void *arg)
{
	struct route_entry entry = { 0 };
	struct nlattr *tb[RTA_MAX + 1];
	struct rtmsg *rtm = nlmsg_data(h);
	struct system_route *route = &entry.route;
	struct routes *routes = arg;
	uint32_t table;

	if (nlmsg_parse(h, sizeof(*rtm), tb, RTA_MAX, NULL) || h->nlmsg_type != RTM_NEWROUTE)
		return 0;
	table = tb[RTA_TABLE] ? nla_get_u32(tb[RTA_TABLE]) : rtm->rtm_table;
	/* the kernel filters already, where it can */
	if ((rtm->rtm_protocol == RTPROT_FAIRLEAD) != routes->ours || table != RT_TABLE_MAIN ||
	    rtm->rtm_flags & RTM_F_CLONED || (rtm->rtm_family != AF_INET && rtm->rtm_family != AF_INET6))
		return 0;
	entry.type = rtm->rtm_type;
	entry.tos = rtm->rtm_tos;
	entry.nexthop = tb[RTA_NH_ID] ? nla_get_u32(tb[RTA_NH_ID]) : 0;
	route->destination.addr.family = rtm->rtm_family;
	route->destination.len = rtm->rtm_dst_len;
	if (tb[RTA_DST] && parse_address(rtm->rtm_family, tb[RTA_DST], &route->destination.addr))
		return 0;
	route->metric = tb[RTA_PRIORITY] ? nla_get_u32(tb[RTA_PRIORITY]) : 0;
	parse_worth(rtm, tb, &entry);
	if (tb[RTA_MULTIPATH])
		return add_nexthops(routes, &entry, tb[RTA_MULTIPATH]);
	route->unreachable = entry.type == RTN_UNREACHABLE;
	route->ifindex = tb[RTA_OIF] ? nla_get_u32(tb[RTA_OIF]) : 0;
	parse_gateway(rtm->rtm_family, tb, &route->gateway);
	return routes_add(routes, &entry);
}

int route_dump(struct system *s, bool ours, struct route_entry **out, size_t *n)
{
	static const uint8_t families[] = { AF_INET, AF_INET6 };
	struct routes routes = { .ours = ours };
	int err = 0;

	for (size_t i = 0; i < 2 && !err; i++) {
		struct rtmsg rtm = {
			.rtm_family = families[i],
			.rtm_table = RT_TABLE_MAIN,
			.rtm_protocol = ours ? RTPROT_FAIRLEAD : RTPROT_UNSPEC,
		};
		size_t before = routes.n;

		err = -EINTR;
		for (int try = 0; try < REQUEST_DUMP_TRIES && err == -EINTR; try++) {
			routes.n = before;
			err = request_send(s, request_new(RTM_GETROUTE, NLM_F_DUMP, &rtm, sizeof(rtm)), on_route,
					   &routes);
		}
		if (err == -ENOENT) /* no table yet, since there never was a route */
			err = 0;
	}
	if (err) {
		free(routes.entries);
		return err;
	}
	*out = routes.entries;
	*n = routes.n;
	return 0;
}

/* ---- building ---- */

static int put_gateway(struct nl_msg *msg, int family, const struct addr *gateway)
{
	struct {
		struct rtvia via;
		uint8_t addr[16];
	} via = { .via = { .rtvia_family = (uint16_t)gateway->family } };
	const uint8_t *bytes;
	int len = (int)addr_bytes(gateway, &bytes);

	if (!len)
		return 0;
	if (gateway->family == family)
		return nla_put(msg, RTA_GATEWAY, len, bytes);
	memcpy(via.addr, bytes, (size_t)len);
	return nla_put(msg, RTA_VIA, (int)sizeof(via.via) + len, &via);
}

/*
 * With a gateway the kernel deletes just that next hop. Without one it takes the first of that device, destination, metric
 * and protocol: the one that was there first, which is the one to go whenever there are two.
 */
static int put_nexthop(struct nl_msg *msg, const struct route_entry *entry)
{
	const struct system_route *route = &entry->route;

	if (entry->nexthop)
		return nla_put_u32(msg, RTA_NH_ID, entry->nexthop);
	if (route->ifindex && nla_put_u32(msg, RTA_OIF, route->ifindex))
		return -ENOMEM;
	return put_gateway(msg, route->destination.addr.family, &route->gateway);
}

static int route_send(struct system *s, int type, int flags, const struct route_entry *entry)
{
	const struct system_route *route = &entry->route;
	int family = route->destination.addr.family;
	struct rtmsg rtm = {
		.rtm_family = (uint8_t)family,
		.rtm_dst_len = (uint8_t)route->destination.len,
		.rtm_tos = entry->tos,
		.rtm_table = RT_TABLE_MAIN,
		.rtm_protocol = RTPROT_FAIRLEAD,
		/* IPv4 distinguishes by it; IPv6 has no use for it */
		.rtm_scope = family == AF_INET && entry->type == RTN_UNICAST && !entry->nexthop &&
					     route->gateway.family == AF_UNSPEC
				     ? RT_SCOPE_LINK
				     : RT_SCOPE_UNIVERSE,
		.rtm_type = entry->type,
	};
	struct nl_msg *msg;

	if (type == RTM_DELROUTE)
		rtm.rtm_scope = RT_SCOPE_NOWHERE; /* any */
	msg = request_new(type, flags, &rtm, sizeof(rtm));
	if (!msg || put_address(msg, RTA_DST, &route->destination.addr) ||
	    (route->metric && nla_put_u32(msg, RTA_PRIORITY, route->metric)) || put_nexthop(msg, entry)) {
		nlmsg_free(msg);
		return -ENOMEM;
	}
	return request_send(s, msg, NULL, NULL);
}

int route_add(struct system *s, const struct route_entry *entry, int how)
{
	return route_send(s, RTM_NEWROUTE, NLM_F_CREATE | how, entry);
}

int route_delete(struct system *s, const struct route_entry *entry)
{
	int err = route_send(s, RTM_DELROUTE, 0, entry);

	return err == -ESRCH || err == -ENOENT ? 0 : err;
}

/* ---- asking for a way ---- */

struct way {
	uint32_t ifindex;
	struct addr source;
	int err;
};

/* What the kernel says to a sender on such a route; IPv6 answers with the route and not with the error. */
static int type_error(uint8_t type)
{
	switch (type) {
	case RTN_UNREACHABLE:
		return -EHOSTUNREACH;
	case RTN_PROHIBIT:
		return -EACCES;
	case RTN_BLACKHOLE:
		return -EINVAL;
	default:
		return 0;
	}
}

static int on_way(struct nlmsghdr *h, void *arg)
{
	struct nlattr *tb[RTA_MAX + 1];
	struct rtmsg *rtm = nlmsg_data(h);
	struct way *way = arg;

	if (nlmsg_parse(h, sizeof(*rtm), tb, RTA_MAX, NULL))
		return -EBADMSG;
	way->err = type_error(rtm->rtm_type);
	way->ifindex = tb[RTA_OIF] ? nla_get_u32(tb[RTA_OIF]) : 0;
	if (tb[RTA_PREFSRC])
		return parse_address(rtm->rtm_family, tb[RTA_PREFSRC], &way->source);
	return 0;
}

int system_route_get(struct system *s, const struct addr *dst, const struct addr *src, uint32_t *ifindex,
		     struct addr *source)
{
	bool has_src = src && src->family != AF_UNSPEC;
	struct rtmsg rtm = { .rtm_family = (uint8_t)dst->family };
	struct way way = { 0 };
	struct nl_msg *msg;
	int err;

	if ((dst->family != AF_INET && dst->family != AF_INET6) || (has_src && src->family != dst->family))
		return -EAFNOSUPPORT;
	rtm.rtm_dst_len = dst->family == AF_INET ? 32 : 128;
	rtm.rtm_src_len = has_src ? rtm.rtm_dst_len : 0;
	msg = request_new(RTM_GETROUTE, 0, &rtm, sizeof(rtm));
	if (!msg || put_address(msg, RTA_DST, dst) || (has_src && put_address(msg, RTA_SRC, src))) {
		nlmsg_free(msg);
		return -ENOMEM;
	}
	err = request_send(s, msg, on_way, &way);
	if (err || way.err)
		return err ? err : way.err;
	if (!way.ifindex)
		return -ENETUNREACH;
	*ifindex = way.ifindex;
	*source = has_src ? *src : way.source;
	return 0;
}

/* By the route that matches, since for a device that is asked for the kernel would take an address without route to be on its link. */
int system_route_by(struct system *s, const struct addr *dst, uint32_t ifindex)
{
	struct rtmsg rtm = { .rtm_family = AF_INET, .rtm_dst_len = 32, .rtm_flags = RTM_F_FIB_MATCH };
	struct way way = { 0 };
	struct nl_msg *msg;
	int err;

	if (dst->family != AF_INET)
		return -EAFNOSUPPORT;
	msg = request_new(RTM_GETROUTE, 0, &rtm, sizeof(rtm));
	if (!msg || put_address(msg, RTA_DST, dst) || nla_put_u32(msg, RTA_OIF, ifindex)) {
		nlmsg_free(msg);
		return -ENOMEM;
	}
	err = request_send(s, msg, on_way, &way);
	return err ? err : way.err;
}
