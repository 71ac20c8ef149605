/* SPDX-License-Identifier: GPL-2.0-only */
/* The addresses of a device of our own, and those that a device has by turns with another machine's. */
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
	       entry->addr.protocol == IFAPROT_KERNEL_LL;
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

/* ---- shared ones ---- */

static struct prefix alone(const struct addr *a)
{
	return (struct prefix){ *a, a->family == AF_INET ? 32 : 128 };
}

static struct nl_msg *shared_msg(uint32_t ifindex, const struct prefix *p)
{
	struct ifaddrmsg ifa = {
		.ifa_family = (uint8_t)p->addr.family,
		.ifa_prefixlen = (uint8_t)p->len,
		.ifa_index = ifindex,
		.ifa_scope = addr_is_link_local(&p->addr) ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE,
	};
	/* valid for ever, but preferred never: deprecated. IPv4 has no such thing */
	const struct ifa_cacheinfo times = { .ifa_prefered = 0, .ifa_valid = UINT32_MAX };
	struct nl_msg *msg = request_new(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &ifa, sizeof(ifa));

	if (!msg || put_address(msg, IFA_LOCAL, &p->addr) || put_address(msg, IFA_ADDRESS, &p->addr) ||
	    nla_put_u32(msg, IFA_FLAGS, IFA_F_NODAD | IFA_F_NOPREFIXROUTE) ||
	    nla_put_u8(msg, IFA_PROTO, ADDRPROT_FAIRLEAD) ||
	    (p->addr.family == AF_INET6 && nla_put(msg, IFA_CACHEINFO, sizeof(times), &times))) {
		nlmsg_free(msg);
		return NULL;
	}
	return msg;
}

/* As the device has it, ours rather than another's; NULL: it has not. */
static const struct addr_entry *present_find(const struct present *present, const struct addr *a)
{
	const struct addr_entry *found = NULL;

	for (size_t i = 0; i < present->n; i++) {
		const struct addr_entry *entry = &present->entries[i];

		if (addr_equal(&entry->addr.prefix.addr, a) && (!found || entry->addr.protocol == ADDRPROT_FAIRLEAD))
			found = entry;
	}
	return found;
}

static int share(struct system *s, const struct present *present, const struct prefix *address, bool on, bool *another)
{
	const struct addr_entry *entry = present_find(present, &address->addr);
	struct prefix p = alone(&address->addr);

	*another = entry && entry->addr.protocol != ADDRPROT_FAIRLEAD;
	if (*another || on == !!entry)
		return 0;
	if (!on)
		return change(s, RTM_DELADDR, present->ifindex, &entry->addr.prefix, &entry->addr.peer);
	return request_send(s, shared_msg(present->ifindex, &p), NULL, NULL);
}

int device_share_addresses(struct system *s, uint32_t ifindex, const struct prefix *addresses, size_t n, bool on,
			   bool *others)
{
	struct present present = { .ifindex = ifindex };
	int err = read_addresses(s, &present), first = err;
	bool another;

	for (size_t i = 0; i < n && !err; i++) { /* one that can't be had keeps no other back */
		int one = share(s, &present, &addresses[i], on, &another);

		first = first ? first : one == -EEXIST ? 0 : one;
		if (others)
			others[i] = another;
	}
	free(present.entries);
	return first;
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
