/* SPDX-License-Identifier: GPL-2.0-only */
/* The kernel's own packet filters, as far as they meet ours: chains of nftables that have a hook, and the old iptables' tables. */
#pragma once

#include <linux/netlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RULESETS_CHAINS 256 /* more are not looked at */

struct ruleset_chain {
	uint8_t family; /* NFPROTO_* */
	char table[64], name[64];
	uint32_t hook; /* NF_INET_*, of NFPROTO_NETDEV NF_NETDEV_*; meaningless without has_hook */
	bool has_hook; /* else only others jump to it */
	bool drops;    /* its policy */
	unsigned int rules;
	bool tracks;	    /* a rule asks for the state of connections, or translates */
	bool drops_invalid; /* a rule may drop what is of no known connection (ct state invalid) */
};

struct rulesets {
	struct ruleset_chain chains[RULESETS_CHAINS];
	size_t n;
};

/* Both take messages of dumps, NFT_MSG_NEWCHAIN first. */
void rulesets_take_chain(struct rulesets *sets, const struct nlmsghdr *h);
void rulesets_take_rule(struct rulesets *sets, const struct nlmsghdr *h);

/* 0 or -errno */
int rulesets_read(struct rulesets *sets);

/* Whether the chain of that hook of an old iptables' table has rules: 1, 0; or -1: it can't be told. */
int rulesets_legacy(int family, const char *table, unsigned int hook);
