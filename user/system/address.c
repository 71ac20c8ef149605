/* SPDX-License-Identifier: GPL-2.0-only */
/* The addresses of a device of our own. */
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "user/system/internal.h"

/* One to change, one for IPv4 secondaries that went with their primary, one to see that all is as wanted. */
#define PASSES 3

struct present {
	uint32_t ifindex;
	struct addr_entry *entries;
	size_t n;
};

static int on_addr(struct nlmsghdr *h, void *arg)
{
	struct present *present = arg;
	struct addr_entry entry, *grown;

	if (parse_addr(h, &entry) || entry.addr.ifindex != present->ifindex)
		return 0;
	grown = reallocarray(present->entries, present->n + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	present->entries = grown;
	grown[present->n++] = entry;
	return 0;
}

static int read_addresses(struct system *s, struct present *present)
{
	struct ifaddrmsg ifa = { .ifa_family = AF_UNSPEC, .ifa_index = present->ifindex };
	int err = -EINTR;

	for (int i = 0; i < REQUEST_DUMP_TRIES && err == -EINTR; i++) {
		present->n = 0;
		err = request_send(s, request_new(RTM_GETADDR, NLM_F_DUMP, &ifa, sizeof(ifa)), on_addr, present);
	}
	return err;
}

/* Link-local addresses that the kernel made; those set by hand or by us do not have its mark. */
static bool is_kernels(const struct addr_entry *entry)
{
	return entry->addr.prefix.addr.family == AF_INET6 && addr_is_link_local(&entry->addr.prefix.addr) &&
	       entry->origin == IFAPROT_KERNEL_LL;
}

static bool same(const struct addr_entry *entry, const struct prefix *p)
{
	return entry->addr.prefix.len == p->len && addr_equal(&entry->addr.prefix.addr, &p->addr) &&
	       addr_equal(&entry->addr.peer, &p->addr);
}

static int change(struct system *s, int type, uint32_t ifindex, const struct prefix *p, const struct addr *peer)
{
	struct ifaddrmsg ifa = {
		.ifa_family = (uint8_t)p->addr.family,
		.ifa_prefixlen = (uint8_t)p->len,
		.ifa_index = ifindex,
		.ifa_scope = addr_is_link_local(&p->addr) ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE,
	};
	struct nl_msg *msg = request_new(type, type == RTM_NEWADDR ? NLM_F_CREATE | NLM_F_EXCL : 0, &ifa, sizeof(ifa));
	int err;

	/* duplicate address detection: nobody else is on these devices, and the address shall serve at once */
	if (!msg || put_address(msg, IFA_LOCAL, &p->addr) || put_address(msg, IFA_ADDRESS, peer) ||
	    (type == RTM_NEWADDR && nla_put_u32(msg, IFA_FLAGS, IFA_F_NODAD))) {
		nlmsg_free(msg);
		return -ENOMEM;
	}
	err = request_send(s, msg, NULL, NULL);
	if (type == RTM_DELADDR && err == -EADDRNOTAVAIL) /* went by itself meanwhile */
		return 0;
	return err;
}

/* One pass. Removes first: another length of an IPv6 address can't be set beside it. *changed: something was done. */
static int settle(struct system *s, const struct present *present, const struct prefix *wanted, size_t n, bool *changed)
{
	int err = 0;

	for (size_t i = 0; i < present->n && !err; i++) {
		const struct addr_entry *entry = &present->entries[i];
		bool keep = is_kernels(entry);

		for (size_t k = 0; k < n && !keep; k++)
			keep = same(entry, &wanted[k]);
		if (keep)
			continue;
		*changed = true;
		err = change(s, RTM_DELADDR, present->ifindex, &entry->addr.prefix, &entry->addr.peer);
	}
	for (size_t k = 0; k < n && !err; k++) {
		bool there = false;

		for (size_t i = 0; i < present->n && !there; i++)
			there = same(&present->entries[i], &wanted[k]);
		for (size_t i = 0; i < k && !there; i++) /* named twice */
			there = wanted[i].len == wanted[k].len && addr_equal(&wanted[i].addr, &wanted[k].addr);
		if (there)
			continue;
		*changed = true;
		err = change(s, RTM_NEWADDR, present->ifindex, &wanted[k], &wanted[k].addr);
	}
	return err;
}

int device_set_addresses(struct system *s, uint32_t ifindex, const struct prefix *addresses, size_t n)
{
	struct present present = { .ifindex = ifindex };
	bool changed = true;
	int err = 0;

	for (int i = 0; i < PASSES && changed && !err; i++) {
		changed = false;
		err = read_addresses(s, &present);
		if (!err)
			err = settle(s, &present, addresses, n, &changed);
	}
	free(present.entries);
	/* someone else changes them, too */
	return err ? err : changed ? -EBUSY : 0;
}
