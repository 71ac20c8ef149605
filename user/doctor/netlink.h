/* SPDX-License-Identifier: GPL-2.0-only */
/* Dumps of what user/system keeps no cache of. */
#pragma once

#include <linux/netlink.h>
#include <netlink/attr.h>
#include <stddef.h>

typedef void netlink_each_fn(const struct nlmsghdr *h, void *arg);

/* protocol: NETLINK_ROUTE, …; header: of the message, behind struct nlmsghdr. 0 or -errno */
int netlink_dump(int protocol, int type, const void *header, size_t len, netlink_each_fn *each, void *arg);
