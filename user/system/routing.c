/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What bpf_fib_lookup() must be asked for, and which of its answers may be believed: rules and routes that look at more than addresses and
 * devices, and the MTUs that routes are locked to.
 */
#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "user/lib/log.h"
#include "user/system/internal.h"

/* FRA_IP_PROTO, FRA_SPORT_RANGE, FRA_DPORT_RANGE, and since Linux 6.13 FRA_DSCP and others of that kind, are the last ones */
#define FRA_TRANSPORT FRA_IP_PROTO

/* The MTU that a route is locked to; 0: none. */
static uint32_t locked_mtu(struct nlattr *metrics)
{
	struct nlattr *tb[RTAX_MAX + 1];

	if (!metrics || nla_parse_nested(tb, RTAX_MAX, metrics, NULL) || !tb[RTAX_MTU] || !tb[RTAX_LOCK])
		return 0;
	return nla_get_u32(tb[RTAX_LOCK]) & 1 << RTAX_MTU ? nla_get_u32(tb[RTAX_MTU]) : 0;
}

static bool knows_mtu(const struct caches *c, uint32_t mtu)
{
	for (size_t i = 0; i < c->n_locked_mtus; i++)
		if (c->locked_mtus[i] == mtu)
			return true;
	return false;
}

/* What a default route is part of, as far as it is not ours. */
static unsigned int what_changed(const struct rtmsg *rtm)
{
	bool others = rtm->rtm_table == RT_TABLE_MAIN && rtm->rtm_protocol != RTPROT_FAIRLEAD;

	return SYSTEM_ROUTE | (!rtm->rtm_dst_len && others ? SYSTEM_DEFAULT : 0);
}

/* What was once seen stays until all is read anew: it says only which of the kernel's answers may be believed. */
int take_route(struct caches *c, struct nlmsghdr *h)
{
	struct nlattr *tb[RTA_MAX + 1];
	struct rtmsg *rtm = nlmsg_data(h);
	int what;
	uint32_t mtu;

	if ((h->nlmsg_type != RTM_NEWROUTE && h->nlmsg_type != RTM_DELROUTE) ||
	    nlmsg_parse(h, sizeof(*rtm), tb, RTA_MAX, NULL))
		return SYSTEM_ROUTE | SYSTEM_DEFAULT; /* a nexthop object: of any routes */
	if (rtm->rtm_flags & RTM_F_CLONED) /* entries of the kernel's path MTU and redirect cache are no routes */
		return 0;
	what = what_changed(rtm);
	c->routes_by_tos |= rtm->rtm_family == AF_INET && rtm->rtm_tos;
	mtu = locked_mtu(tb[RTA_METRICS]);
	if (!mtu || knows_mtu(c, mtu))
		return what;
	if (c->n_locked_mtus == SYSTEM_LOCKED_MTUS)
		log_warnx("routes are locked to more than %d different MTUs: not all are heeded", SYSTEM_LOCKED_MTUS);
	else
		c->locked_mtus[c->n_locked_mtus++] = mtu;
	return what;
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
	s->rules_by_transport = transport;
	return 0;
}

bool system_routes_by_transport(const struct system *s)
{
	return s->rules_by_transport || s->caches.routes_by_tos;
}

size_t system_locked_mtus(const struct system *s, const uint32_t **mtus)
{
	*mtus = s->caches.locked_mtus;
	return s->caches.n_locked_mtus;
}
