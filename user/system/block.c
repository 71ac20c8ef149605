/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Rules (ip rule) by which the kernel forwards nothing that comes in by a device: they are asked before any table but that of the
 * machine's own addresses, so what is for the machine comes in, and what it sends goes out. A rule goes by the device's name:
 * it holds from the moment in which one of that name is made. Whoever switches forwarding on changes nothing of it.
 *
 * They bear the kernel's protocol number, since systemd-networkd removes all others when it starts.
 */
#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/system/internal.h"

#define PRIORITY 1 /* behind `from all lookup local`, before what others have */

struct blocks {
	int family;
	char (*devices)[16];
	size_t n;
};

/* "not iif lo": what did not begin here */
static bool is_all(const char *device)
{
	return strcmp(device, SYSTEM_BLOCK_ALL) == 0;
}

static int change(struct system *s, int family, const char *device, bool on)
{
	struct fib_rule_hdr rule = { .family = family, .action = FR_ACT_BLACKHOLE };
	struct nl_msg *msg;
	int err;

	if (is_all(device))
		rule.flags = FIB_RULE_INVERT;
	msg = request_new(on ? RTM_NEWRULE : RTM_DELRULE, on ? NLM_F_CREATE | NLM_F_EXCL : 0, &rule, sizeof(rule));
	if (msg && (nla_put_u32(msg, FRA_PRIORITY, PRIORITY) || nla_put_u8(msg, FRA_PROTOCOL, RTPROT_KERNEL) ||
		    nla_put_string(msg, FRA_IIFNAME, is_all(device) ? "lo" : device))) {
		nlmsg_free(msg);
		msg = NULL;
	}
	err = request_send(s, msg, NULL, NULL);
	return err == (on ? -EEXIST : -ENOENT) ? 0 : err;
}

static int on_rule(struct nlmsghdr *h, void *arg)
{
	struct fib_rule_hdr *rule = nlmsg_data(h);
	struct nlattr *tb[FRA_MAX + 1];
	struct blocks *blocks = arg;
	char(*grown)[16];
	bool inverted;

	if (h->nlmsg_type != RTM_NEWRULE || nlmsg_parse(h, sizeof(*rule), tb, FRA_MAX, NULL) ||
	    rule->family != blocks->family || rule->action != FR_ACT_BLACKHOLE || !tb[FRA_IIFNAME] ||
	    !tb[FRA_PROTOCOL] || !tb[FRA_PRIORITY] || nla_get_u8(tb[FRA_PROTOCOL]) != RTPROT_KERNEL ||
	    nla_get_u32(tb[FRA_PRIORITY]) != PRIORITY)
		return 0;
	inverted = rule->flags & FIB_RULE_INVERT;
	if (inverted != (strcmp(nla_get_string(tb[FRA_IIFNAME]), "lo") == 0))
		return 0; /* not of our making */
	grown = reallocarray(blocks->devices, blocks->n + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	blocks->devices = grown;
	snprintf(grown[blocks->n++], sizeof(*grown), "%s",
		 inverted ? SYSTEM_BLOCK_ALL : nla_get_string(tb[FRA_IIFNAME]));
	return 0;
}

static int blocks_read(struct system *s, struct blocks *blocks)
{
	struct fib_rule_hdr rule = { .family = blocks->family };
	int err = -EINTR;

	for (int try = 0; try < REQUEST_DUMP_TRIES && err == -EINTR; try++) {
		blocks->n = 0;
		err = request_send(s, request_new(RTM_GETRULE, NLM_F_DUMP, &rule, sizeof(rule)), on_rule, blocks);
	}
	return err;
}

static bool is_in(const char (*devices)[16], size_t n, const char *device)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(devices[i], device) == 0)
			return true;
	return false;
}

/* New ones first: what both the old and the new ones block is blocked at every moment. */
int system_set_blocked(struct system *s, int family, const char (*devices)[16], size_t n)
{
	struct blocks now = { .family = family };
	int err = blocks_read(s, &now);

	if (!n && (err == -EAFNOSUPPORT || err == -EOPNOTSUPP)) /* a kernel without policy routing */
		err = 0;
	for (size_t i = 0; i < n && !err; i++)
		if (!is_in(now.devices, now.n, devices[i]))
			err = change(s, family, devices[i], true);
	for (size_t i = 0; i < now.n && !err; i++)
		if (!is_in(devices, n, now.devices[i]))
			err = change(s, family, now.devices[i], false);
	free(now.devices);
	return err;
}

bool system_is_blocked(struct system *s, int family)
{
	struct blocks now = { .family = family };
	bool blocked = !blocks_read(s, &now) && is_in(now.devices, now.n, SYSTEM_BLOCK_ALL);

	free(now.devices);
	return blocked;
}
