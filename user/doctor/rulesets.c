// SPDX-License-Identifier: GPL-2.0-only
#include "user/doctor/rulesets.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/xt_conntrack.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <netlink/msg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "user/doctor/netlink.h"

static struct nlattr *attr_of(const struct nlmsghdr *h, int type)
{
	return nlmsg_find_attr((struct nlmsghdr *)h, sizeof(struct nfgenmsg), type);
}

static struct nlattr *in(const struct nlattr *nest, int type)
{
	return nest ? nla_find(nla_data(nest), nla_len(nest), type) : NULL;
}

static uint32_t number(const struct nlattr *attr)
{
	uint32_t value = 0;

	if (attr && nla_len(attr) >= (int)sizeof(value))
		memcpy(&value, nla_data(attr), sizeof(value));
	return ntohl(value);
}

static const char *text(const struct nlattr *attr)
{
	return attr ? nla_data(attr) : "";
}

void rulesets_take_chain(struct rulesets *sets, const struct nlmsghdr *h)
{
	const struct nfgenmsg *head = NLMSG_DATA(h);
	struct nlattr *hook = attr_of(h, NFTA_CHAIN_HOOK), *policy = attr_of(h, NFTA_CHAIN_POLICY);
	struct ruleset_chain *chain;

	if (sets->n == RULESETS_CHAINS)
		return;
	chain = &sets->chains[sets->n++];
	*chain = (struct ruleset_chain){ .family = head->nfgen_family,
					 .has_hook = hook,
					 .hook = number(in(hook, NFTA_HOOK_HOOKNUM)),
					 .drops = policy && number(policy) == NF_DROP };
	snprintf(chain->table, sizeof(chain->table), "%s", text(attr_of(h, NFTA_CHAIN_TABLE)));
	snprintf(chain->name, sizeof(chain->name), "%s", text(attr_of(h, NFTA_CHAIN_NAME)));
}

/* ---- rules ---- */

static struct ruleset_chain *find(struct rulesets *sets, const struct nlmsghdr *h)
{
	const struct nfgenmsg *head = NLMSG_DATA(h);

	for (size_t i = 0; i < sets->n; i++) {
		struct ruleset_chain *c = &sets->chains[i];

		if (c->family == head->nfgen_family && !strcmp(c->table, text(attr_of(h, NFTA_RULE_TABLE))) &&
		    !strcmp(c->name, text(attr_of(h, NFTA_RULE_CHAIN))))
			return c;
	}
	return NULL;
}

/* The mask of `ct state invalid`, in the machine's byte order. */
static bool masks_invalid(const struct nlattr *data)
{
	struct nlattr *value = in(in(data, NFTA_BITWISE_MASK), NFTA_DATA_VALUE);
	uint32_t mask = 0;

	if (value && nla_len(value) >= (int)sizeof(mask))
		memcpy(&mask, nla_data(value), sizeof(mask));
	return mask & NF_CT_STATE_INVALID_BIT;
}

/* immediate with a verdict */
static bool is_drop(const struct nlattr *data)
{
	struct nlattr *verdict = in(in(data, NFTA_IMMEDIATE_DATA), NFTA_DATA_VERDICT),
		      *code = in(verdict, NFTA_VERDICT_CODE);

	return code && number(code) == NF_DROP;
}

struct rule {
	bool state, invalid, drop; /* ct state; its mask has "invalid", or it is looked up in a map; and drops */
	bool tracks;
};

/* A match of iptables (nft), in its own form. */
static void take_match(struct rule *rule, const struct nlattr *data)
{
	struct nlattr *info = in(data, NFTA_MATCH_INFO);
	struct xt_conntrack_mtinfo3 of;

	if (strcmp(text(in(data, NFTA_MATCH_NAME)), "conntrack"))
		return;
	rule->tracks = true;
	if (!info || nla_len(info) < (int)sizeof(of))
		return;
	memcpy(&of, nla_data(info), sizeof(of));
	rule->invalid |= of.match_flags & XT_CONNTRACK_STATE && of.state_mask & XT_CONNTRACK_STATE_INVALID;
}

static void take_expression(struct rule *rule, const char *name, const struct nlattr *data)
{
	static const char *const translating[] = { "nat", "masq", "redir" };

	if (!strcmp(name, "ct")) {
		rule->tracks = true;
		rule->state |= number(in(data, NFTA_CT_KEY)) == NFT_CT_STATE;
	}
	for (size_t i = 0; i < sizeof(translating) / sizeof(translating[0]); i++)
		rule->tracks |= !strcmp(name, translating[i]);
	if (rule->state && !strcmp(name, "bitwise"))
		rule->invalid |= masks_invalid(data);
	if (!strcmp(name, "immediate"))
		rule->drop |= is_drop(data);
	if (!strcmp(name, "reject"))
		rule->drop = true;
	/* a verdict map: what it has for "invalid" is in a set of its own */
	if (rule->state && !strcmp(name, "lookup") && in(data, NFTA_LOOKUP_DREG))
		rule->invalid = rule->drop = true;
	if (!strcmp(name, "match"))
		take_match(rule, data);
}

void rulesets_take_rule(struct rulesets *sets, const struct nlmsghdr *h)
{
	struct nlattr *list = attr_of(h, NFTA_RULE_EXPRESSIONS), *element;
	struct ruleset_chain *chain = find(sets, h);
	struct rule rule = { 0 };
	int left;

	if (!chain)
		return;
	if (list) {
		nla_for_each_nested(element, list, left)
			take_expression(&rule, text(in(element, NFTA_EXPR_NAME)), in(element, NFTA_EXPR_DATA));
	}
	chain->rules++;
	chain->tracks |= rule.tracks;
	chain->drops_invalid |= rule.invalid && rule.drop;
}

/* ---- reading ---- */

static void on_chain(const struct nlmsghdr *h, void *arg)
{
	rulesets_take_chain(arg, h);
}

static void on_rule(const struct nlmsghdr *h, void *arg)
{
	rulesets_take_rule(arg, h);
}

int rulesets_read(struct rulesets *sets)
{
	const struct nfgenmsg head = { .nfgen_family = NFPROTO_UNSPEC, .version = NFNETLINK_V0 };
	int err;

	sets->n = 0;
	err = netlink_dump(NETLINK_NETFILTER, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETCHAIN, &head, sizeof(head),
			   on_chain, sets);
	if (err || !sets->n)
		return err;
	return netlink_dump(NETLINK_NETFILTER, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETRULE, &head, sizeof(head),
			    on_rule, sets);
}

/* ---- the old iptables ---- */

/* Asking for a table that is not loaded would load it. */
static bool is_loaded(int family, const char *table)
{
	FILE *f = fopen(family == AF_INET ? "/proc/net/ip_tables_names" : "/proc/net/ip6_tables_names", "re");
	char line[64];
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		found = !strcmp(line, table);
	}
	if (f)
		fclose(f);
	return found;
}

int rulesets_legacy(int family, const char *table, unsigned int hook)
{
	struct ipt_getinfo info = { 0 }; /* that of IPv6 is the same */
	socklen_t len = sizeof(info);
	int fd, err;

	if (!is_loaded(family, table))
		return 0;
	fd = socket(family, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	if (fd < 0)
		return -1;
	snprintf(info.name, sizeof(info.name), "%s", table);
	err = getsockopt(fd, family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6, IPT_SO_GET_INFO, &info, &len);
	close(fd);
	if (err)
		return -1;
	/* between the two are the rules; behind them the policy */
	return info.valid_hooks >> hook & 1 && info.hook_entry[hook] != info.underflow[hook];
}
