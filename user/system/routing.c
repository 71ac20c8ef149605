/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the kernel's routing has that bpf_fib_lookup() does not tell, or must be asked for: routes with an MTU of their own, and rules
 * that look at more than addresses and devices.
 */
#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "user/system/internal.h"

/* FRA_IP_PROTO, FRA_SPORT_RANGE, FRA_DPORT_RANGE, and since Linux 6.13 FRA_DSCP and others of that kind, are the last ones */
#define FRA_TRANSPORT FRA_IP_PROTO

/* The kernel forwards IPv4 by any MTU that a route has, IPv6 only by a locked one (ip6_dst_mtu_maybe_forward()). */
static uint32_t parse_mtu(int family, struct nlattr *metrics)
{
	struct nlattr *tb[RTAX_MAX + 1];

	if (!metrics || nla_parse_nested(tb, RTAX_MAX, metrics, NULL) || !tb[RTAX_MTU])
		return 0;
	if (family == AF_INET6 && !(tb[RTAX_LOCK] && nla_get_u32(tb[RTAX_LOCK]) & 1 << RTAX_MTU))
		return 0;
	return nla_get_u32(tb[RTAX_MTU]);
}

/* *out is cleared first: it is found by its leading bytes. -ENOENT: no route to forward by. */
static int parse_route_mtu(struct nlmsghdr *h, struct system_route_mtu *out)
{
	struct nlattr *tb[RTA_MAX + 1];
	struct rtmsg *rtm = nlmsg_data(h);

	memset(out, 0, sizeof(*out));
	if (nlmsg_parse(h, sizeof(*rtm), tb, RTA_MAX, NULL) || rtm->rtm_flags & RTM_F_CLONED ||
	    rtm->rtm_type != RTN_UNICAST || (rtm->rtm_family != AF_INET && rtm->rtm_family != AF_INET6))
		return -ENOENT;
	out->destination.addr.family = rtm->rtm_family;
	out->destination.len = rtm->rtm_dst_len;
	if (tb[RTA_DST] && parse_address(rtm->rtm_family, tb[RTA_DST], &out->destination.addr))
		return -ENOENT;
	out->table = tb[RTA_TABLE] ? nla_get_u32(tb[RTA_TABLE]) : rtm->rtm_table;
	out->metric = tb[RTA_PRIORITY] ? nla_get_u32(tb[RTA_PRIORITY]) : 0;
	out->mtu = parse_mtu(rtm->rtm_family, tb[RTA_METRICS]);
	if (!tb[RTA_MULTIPATH] && !tb[RTA_NH_ID]) {
		out->ifindex = tb[RTA_OIF] ? nla_get_u32(tb[RTA_OIF]) : 0;
		parse_gateway(rtm->rtm_family, tb, &out->gateway);
	}
	return 0;
}

int take_route(struct caches *c, struct nlmsghdr *h)
{
	struct system_route_mtu entry;
	const void *old;
	int changed;

	if (h->nlmsg_type != RTM_NEWROUTE && h->nlmsg_type != RTM_DELROUTE)
		return SYSTEM_ROUTE;
	if (parse_route_mtu(h, &entry))
		return nlmsg_datalen(h) >= (int)sizeof(struct rtmsg) &&
				       ((struct rtmsg *)nlmsg_data(h))->rtm_flags & RTM_F_CLONED
			       ? 0 /* entries of the kernel's path MTU and redirect cache are no routes */
			       : SYSTEM_ROUTE;
	if (h->nlmsg_type == RTM_NEWROUTE && entry.mtu) {
		changed = table_put_if_new(&c->route_mtus, &entry);
		return changed < 0 ? changed : SYSTEM_ROUTE | (changed ? SYSTEM_ROUTE_MTU : 0);
	}
	old = table_get(&c->route_mtus, &entry);
	if (!old)
		return SYSTEM_ROUTE;
	table_remove(&c->route_mtus, old);
	return SYSTEM_ROUTE | SYSTEM_ROUTE_MTU;
}

int take_rule(struct caches *c, struct nlmsghdr *h)
{
	(void)h;
	c->rules_changed = true;
	return SYSTEM_ROUTE;
}

/* Adds up over all rules: *arg becomes true if one looks at DSCP, protocol or ports. */
static int on_rule(struct nlmsghdr *h, void *arg)
{
	struct fib_rule_hdr *rule = nlmsg_data(h);
	struct nlattr *attr;
	bool *transport = arg;
	int left;

	if (h->nlmsg_type != RTM_NEWRULE || nlmsg_datalen(h) < (int)sizeof(*rule))
		return 0;
	*transport |= rule->tos != 0;
	nlmsg_for_each_attr(attr, h, sizeof(*rule), left) *transport |= nla_type(attr) >= FRA_TRANSPORT;
	return 0;
}

int read_rules(struct system *s)
{
	static const uint8_t families[] = { AF_INET, AF_INET6 };
	bool transport = false;
	int err = 0;

	for (size_t i = 0; i < sizeof(families) && !err; i++) {
		struct fib_rule_hdr rule = { .family = families[i] };

		err = -EINTR;
		for (int try = 0; try < REQUEST_DUMP_TRIES && err == -EINTR; try++)
			err = request_send(s, request_new(RTM_GETRULE, NLM_F_DUMP, &rule, sizeof(rule)), on_rule,
					   &transport);
		if (err == -EAFNOSUPPORT || err == -EOPNOTSUPP) /* a kernel without policy routing */
			err = 0;
	}
	if (err)
		return err;
	s->caches.rules_changed = false;
	s->rules_look_at_transport = transport;
	return 0;
}

bool system_rules_look_at_transport(const struct system *s)
{
	return s->rules_look_at_transport;
}

const struct system_route_mtu *system_route_mtu_at(const struct system *s, size_t i)
{
	return table_at(&s->caches.route_mtus, i);
}
