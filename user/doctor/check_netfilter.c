// SPDX-License-Identifier: GPL-2.0-only
/* Packet filters of the kernel beside ours: forwarded packets never come to them, the router's own do. */
#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "user/doctor/doctor.h"
#include "user/doctor/rulesets.h"

#define FULL_PCT 80

static const char *const hooks[] = {
	[NF_INET_PRE_ROUTING] = "prerouting", [NF_INET_LOCAL_IN] = "input",	      [NF_INET_FORWARD] = "forward",
	[NF_INET_LOCAL_OUT] = "output",	      [NF_INET_POST_ROUTING] = "postrouting",
};

static bool is_inet(const struct ruleset_chain *c)
{
	return c->family == NFPROTO_INET || c->family == NFPROTO_IPV4 || c->family == NFPROTO_IPV6;
}

static const char *hook_name(const struct ruleset_chain *c)
{
	if (!is_inet(c))
		return c->hook == NF_NETDEV_INGRESS ? "ingress" : "egress";
	return c->hook < sizeof(hooks) / sizeof(hooks[0]) ? hooks[c->hook] : "ingress";
}

/* As nft calls it: without one it takes "ip". */
static const char *family_name(const struct ruleset_chain *c)
{
	switch (c->family) {
	case NFPROTO_INET:
		return "inet";
	case NFPROTO_IPV4:
		return "ip";
	case NFPROTO_IPV6:
		return "ip6";
	default:
		return "netdev";
	}
}

/* What forwarded packets would have to come by to be seen; input and output see the router's own as ever. */
static bool is_bypassed(const struct ruleset_chain *c)
{
	if (!c->has_hook || !(c->rules || c->drops))
		return false;
	if (is_inet(c))
		return c->hook != NF_INET_LOCAL_IN && c->hook != NF_INET_LOCAL_OUT;
	return c->family == NFPROTO_NETDEV;
}

/* The other family of an interface goes up to the kernel, where its filters hold. */
static bool has_host_family(const struct config *c)
{
	for (size_t i = 0; i < c->n_interfaces; i++)
		if (c->interfaces[i].family != FL_BOTH)
			return true;
	return false;
}

static void check_bypassed(struct doctor *d, const struct rulesets *sets)
{
	for (size_t i = 0; i < sets->n; i++) {
		const struct ruleset_chain *c = &sets->chains[i];

		if (is_bypassed(c))
			doctor_warn(
				d,
				doctor_text(
					d,
					"what they should do belongs into rules and nat of the configuration%s; then nft "
					"flush chain %s %s %s; nft delete chain %s %s %s",
					d->config && has_host_family(d->config)
						? ", unless it is of a family that fairlead leaves to the host"
						: "",
					family_name(c), c->table, c->name, family_name(c), c->table, c->name),
				"nftables, table %s, chain %s (%s): %u rule%s%s that forwarded packets never come to",
				c->table, c->name, hook_name(c), c->rules, c->rules == 1 ? "" : "s",
				c->drops ? " and the policy drop" : "");
	}
}

static void check_legacy(struct doctor *d)
{
	static const struct {
		const char *table;
		unsigned int hook;
	} chains[] = {
		{ "filter", NF_INET_FORWARD },	   { "nat", NF_INET_PRE_ROUTING }, { "nat", NF_INET_POST_ROUTING },
		{ "mangle", NF_INET_PRE_ROUTING }, { "mangle", NF_INET_FORWARD },  { "mangle", NF_INET_POST_ROUTING },
		{ "raw", NF_INET_PRE_ROUTING },
	};
	static const struct {
		int family;
		const char *program;
	} families[] = { { AF_INET, "iptables-legacy" }, { AF_INET6, "ip6tables-legacy" } };

	for (size_t f = 0; f < sizeof(families) / sizeof(families[0]); f++)
		for (size_t i = 0; i < sizeof(chains) / sizeof(chains[0]); i++)
			if (rulesets_legacy(families[f].family, chains[i].table, chains[i].hook) > 0)
				doctor_warn(
					d,
					doctor_text(
						d,
						"%s -t %s -S shows them; what they should do belongs into rules and nat "
						"of the configuration",
						families[f].program, chains[i].table),
					"iptables, table %s: rules at %s that forwarded packets never come to",
					chains[i].table, hooks[chains[i].hook]);
}

/* ---- probes ---- */

/* Whoever gets answers has let them in before. */
static bool answers_come(struct doctor *d)
{
	const json_t *rows = doctor_shown(d, "gateways");
	json_t *row;
	size_t i;

	json_array_foreach((json_t *)rows, i, row) {
		if (json_array_size(json_object_get(row, "targets")) && strcmp(doctor_string(row, "status"), "up") &&
		    strcmp(doctor_string(row, "status"), "warn"))
			return false;
	}
	return rows;
}

static bool is_probed(const struct doctor *d)
{
	for (size_t i = 0; d->config && i < d->config->n_gateways; i++)
		if (d->config->gateways[i].monitored)
			return true;
	return false;
}

static void check_invalid(struct doctor *d, const struct rulesets *sets)
{
	for (size_t i = 0; i < sets->n && is_probed(d) && !answers_come(d); i++) {
		const struct ruleset_chain *c = &sets->chains[i];

		if (!c->drops_invalid || !is_inet(c) ||
		    (c->has_hook && c->hook != NF_INET_LOCAL_IN && c->hook != NF_INET_PRE_ROUTING))
			continue;
		doctor_fail(
			d,
			doctor_text(d, "nft insert rule %s %s %s meta l4proto { icmp, icmpv6 } accept", family_name(c),
				    c->table, c->name),
			"nftables, table %s, chain %s drops what is ct state invalid: answers to probes are, so gateways "
			"seem down",
			c->table, c->name);
	}
}

void check_netfilter(struct doctor *d)
{
	size_t before = json_array_size(d->rows);
	struct rulesets *sets = calloc(1, sizeof(*sets));

	if (!sets || rulesets_read(sets)) {
		doctor_skip(d, "the kernel does not tell of nftables");
	} else {
		check_bypassed(d, sets);
		check_invalid(d, sets);
	}
	check_legacy(d);
	if (json_array_size(d->rows) == before)
		doctor_ok(d, "no rules of the kernel's own that forwarded packets would pass by");
	free(sets);
}

/* ---- connection tracking ---- */

/* A rule of nftables, or any of the old ones: which of these want it is not looked at. */
static bool is_tracked(const struct rulesets *sets)
{
	static const char *const tables[] = { "filter", "nat", "mangle", "raw" };
	static const int families[] = { AF_INET, AF_INET6 };

	for (size_t i = 0; i < sets->n; i++)
		if (sets->chains[i].tracks)
			return true;
	for (size_t f = 0; f < sizeof(families) / sizeof(families[0]); f++)
		for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
			for (unsigned int hook = 0; hook < NF_INET_NUMHOOKS; hook++)
				if (rulesets_legacy(families[f], tables[i], hook) > 0)
					return true;
	return false;
}

static bool is_tracked_for_own(const struct rulesets *sets)
{
	for (size_t i = 0; i < sets->n; i++)
		if (sets->chains[i].tracks && (!sets->chains[i].has_hook || sets->chains[i].hook == NF_INET_LOCAL_IN ||
					       sets->chains[i].hook == NF_INET_LOCAL_OUT))
			return true;
	return rulesets_legacy(AF_INET, "filter", NF_INET_LOCAL_IN) ||
	       rulesets_legacy(AF_INET, "filter", NF_INET_LOCAL_OUT);
}

void check_conntrack(struct doctor *d)
{
	int count = doctor_sysctl("net/netfilter/nf_conntrack_count"),
	    max = doctor_sysctl("net/netfilter/nf_conntrack_max");
	struct rulesets *sets = calloc(1, sizeof(*sets));
	bool is_read = sets && !rulesets_read(sets);

	if (count <= 0)
		doctor_ok(d, "the kernel's connection tracking has nothing to do");
	else if (is_read && !is_tracked(sets))
		doctor_ok(d, "the kernel still knows %d connections; the rules that wanted it are gone", count);
	else if (max > 0 && count * 100ll >= max * (long long)FULL_PCT)
		doctor_fail(d,
			    "take the rules away that want it, for what fairlead does, it is not asked; else raise "
			    "net.netfilter.nf_conntrack_max",
			    "the kernel's connection tracking is full: %d of %d; the router's own packets get lost",
			    count, max);
	else if (is_read && !is_tracked_for_own(sets))
		doctor_warn(
			d,
			"take the rules away that want it (ct, nat, masquerade): forwarded packets do not come to them",
			"the kernel tracks %d connections, and no rule for the router's own packets needs it", count);
	else
		doctor_ok(d, "the kernel tracks %d connections of the router's own, of %d", count, max);
	free(sets);
}
