/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Devices of our own: pairs of veth, one end to be seen, the other hidden ("fl-" and a number). Both carry the alias
 * "fairlead INSTANCE": what has another or none is somebody else's and never touched.
 */
#include <errno.h>
#include <linux/if_link.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "user/lib/log.h"
#include "user/system/internal.h"

#define ICMP_NEAR "fl-icmp"
#define ICMP_FAR "fl-icmp-rx"
#define HIDDEN_PREFIX "fl-"
#define HIDDEN_PATTERN "fl-%d" /* the kernel puts in the first number that is free */

#define MTU_MIN 1280 /* RFC 8200 section 5: below it Linux takes IPv6 from a device */
#define MTU_MAX 65535

/*
 * First bytes of the MACs of our devices: locally administered, then "fl". The MAC and the group, which says the instance, are
 * set in the request that makes the pair and the alias only in the next; a pair with these and no alias yet is one whose
 * maker died in between. (A MAC that was set also keeps udev from choosing another one.)
 */
static const uint8_t mac_mark[] = { 0x02, 'f', 'l' };

#define GROUP_MARK 0x66000000 /* and 24 bits of a hash of the alias: below 2^31, as ip(8) prints groups */

struct device_sysctl {
	const char *tree; /* below net/ */
	const char *key;
	const char *value;
};

/* addr_gen_mode 1: no link-local address. Before disable_ipv6 and before the device comes up. */
static const struct device_sysctl tunnel_near[] = {
	{ "ipv6/conf", "disable_ipv6", "0" },
	{ "ipv6/conf", "accept_ra", "0" },
	{ "ipv6/conf", "accept_dad", "0" },
	{ "ipv4/conf", "rp_filter", "0" },
	{ 0 },
};

static const struct device_sysctl hidden[] = {
	{ "ipv6/conf", "addr_gen_mode", "1" },
	{ "ipv6/conf", "accept_ra", "0" },
	{ "ipv6/conf", "disable_ipv6", "1" },
	{ 0 },
};

/* IPv6 stays on: with disable_ipv6 the kernel would drop what arrives here before it could answer it. */
static const struct device_sysctl icmp_far[] = {
	{ "ipv6/conf", "addr_gen_mode", "1" },
	{ "ipv6/conf", "accept_ra", "0" },
	{ "ipv6/conf", "accept_dad", "0" },
	{ "ipv6/conf", "disable_ipv6", "0" },
	{ "ipv4/conf", "rp_filter", "0" },
	{ "ipv4/conf", "accept_local", "1" },
	{ 0 },
};

struct pair_kind {
	const char *near;
	const char *far; /* name or pattern */
	uint32_t mtu;
	const struct device_sysctl *near_sysctls, *far_sysctls;
	bool plain; /* the near end's transmit offloads off */
};

struct pair {
	struct link_entry near, far;
};

/* ---- asking ---- */

static int on_link(struct nlmsghdr *h, void *arg)
{
	return parse_link(h, arg);
}

int link_query(struct system *s, const char *name, uint32_t ifindex, struct link_entry *out)
{
	struct ifinfomsg ifi = { .ifi_family = AF_UNSPEC, .ifi_index = (int)ifindex };
	struct nl_msg *msg = request_new(RTM_GETLINK, 0, &ifi, sizeof(ifi));

	if (!msg || (name && nla_put_string(msg, IFLA_IFNAME, name)) ||
	    nla_put_u32(msg, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS)) {
		nlmsg_free(msg);
		return -ENOMEM;
	}
	return request_send(s, msg, on_link, out);
}

static int alias_of(const char *instance, char alias[IFALIASZ])
{
	int n = snprintf(alias, IFALIASZ, "fairlead %s", instance);

	return n < 0 || n >= IFALIASZ ? -EINVAL : 0;
}

/* FNV-1a */
static uint32_t group_of(const char *alias)
{
	uint32_t hash = 2166136261u;

	for (; *alias; alias++)
		hash = (hash ^ (uint8_t)*alias) * 16777619u;
	return GROUP_MARK | (hash >> 24 ^ (hash & 0xffffff));
}

static bool is_ours(const struct link_entry *entry, const char *alias)
{
	if (strcmp(entry->link.kind, "veth"))
		return false;
	return !strcmp(entry->alias, alias) || (!entry->alias[0] && entry->group == group_of(alias) &&
						!memcmp(entry->link.mac, mac_mark, sizeof(mac_mark)));
}

/* A name that the kernel takes as it is (dev_valid_name(); '%' would be a pattern). */
static bool name_ok(const char *name)
{
	return name[0] && strlen(name) < IFNAMSIZ && !strpbrk(name, "%/: \t\n") && strcmp(name, ".") &&
	       strcmp(name, "..");
}

/* ---- changing ---- */

struct link_change {
	uint32_t mtu; /* 0: stays */
	uint32_t flags_on;
	const char *alias; /* NULL: stays */
};

static int link_change(struct system *s, uint32_t ifindex, const struct link_change *change)
{
	struct ifinfomsg ifi = {
		.ifi_family = AF_UNSPEC,
		.ifi_index = (int)ifindex,
		.ifi_flags = change->flags_on,
		.ifi_change = change->flags_on,
	};
	struct nl_msg *msg = request_new(RTM_SETLINK, 0, &ifi, sizeof(ifi));

	if (!msg || (change->mtu && nla_put_u32(msg, IFLA_MTU, change->mtu)) ||
	    (change->alias && nla_put_string(msg, IFLA_IFALIAS, change->alias))) {
		nlmsg_free(msg);
		return -ENOMEM;
	}
	return request_send(s, msg, NULL, NULL);
}

static int link_delete(struct system *s, uint32_t ifindex)
{
	struct ifinfomsg ifi = { .ifi_family = AF_UNSPEC, .ifi_index = (int)ifindex };
	int err = request_send(s, request_new(RTM_DELLINK, 0, &ifi, sizeof(ifi)), NULL, NULL);

	return err == -ENODEV ? 0 : err;
}

static int put_end(struct nl_msg *msg, const char *name, uint32_t mtu, uint32_t group)
{
	uint8_t mac[6];

	if (getrandom(mac, sizeof(mac), 0) != sizeof(mac))
		return -errno;
	memcpy(mac, mac_mark, sizeof(mac_mark));
	if (nla_put_string(msg, IFLA_IFNAME, name) || nla_put_u32(msg, IFLA_MTU, mtu) ||
	    nla_put_u32(msg, IFLA_GROUP, group) || nla_put(msg, IFLA_ADDRESS, sizeof(mac), mac))
		return -ENOMEM;
	return 0;
}

static int put_pair(struct nl_msg *msg, const struct pair_kind *kind, uint32_t group)
{
	struct ifinfomsg ifi = { .ifi_family = AF_UNSPEC };
	struct nlattr *info, *data, *far;
	int err;

	err = put_end(msg, kind->near, kind->mtu, group);
	if (err)
		return err;
	info = nla_nest_start(msg, IFLA_LINKINFO);
	if (!info || nla_put_string(msg, IFLA_INFO_KIND, "veth"))
		return -ENOMEM;
	data = nla_nest_start(msg, IFLA_INFO_DATA);
	far = data ? nla_nest_start(msg, VETH_INFO_PEER) : NULL;
	if (!far || nlmsg_append(msg, &ifi, sizeof(ifi), NLMSG_ALIGNTO))
		return -ENOMEM;
	err = put_end(msg, kind->far, kind->mtu, group);
	nla_nest_end(msg, far);
	nla_nest_end(msg, data);
	nla_nest_end(msg, info);
	return err;
}

static int pair_make(struct system *s, const char *alias, const struct pair_kind *kind)
{
	struct ifinfomsg ifi = { .ifi_family = AF_UNSPEC };
	struct nl_msg *msg = request_new(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &ifi, sizeof(ifi));
	int err = msg ? put_pair(msg, kind, group_of(alias)) : -ENOMEM;

	if (err) {
		nlmsg_free(msg);
		return err;
	}
	return request_send(s, msg, NULL, NULL);
}

static bool far_fits(const struct pair_kind *kind, const struct link_entry *far)
{
	if (!strcmp(kind->far, HIDDEN_PATTERN))
		return !strncmp(far->link.name, HIDDEN_PREFIX, strlen(HIDDEN_PREFIX));
	return !strcmp(far->link.name, kind->far);
}

/*
 * Finds the pair. -ENODEV: not there; -EEXIST: not ours; -EXDEV: ours, but its far end was moved or renamed, so that it
 * is of no use.
 */
static int pair_find(struct system *s, const char *alias, const struct pair_kind *kind, struct pair *pair)
{
	int err = link_query(s, kind->near, 0, &pair->near);

	if (err)
		return err;
	if (!is_ours(&pair->near, alias))
		return -EEXIST;
	if (pair->near.lower_elsewhere || link_query(s, NULL, pair->near.lower, &pair->far) ||
	    !is_ours(&pair->far, alias) || !far_fits(kind, &pair->far))
		return -EXDEV;
	return 0;
}

/* ---- a pair as it shall be ---- */

static int set_sysctls(const struct link_entry *entry, const struct device_sysctl *sysctls)
{
	char key[128];
	int err;

	for (; sysctls->key; sysctls++) {
		snprintf(key, sizeof(key), "net/%s/%s/%s", sysctls->tree, entry->link.name, sysctls->key);
		err = sysctl_set(key, sysctls->value);
		if (err)
			return log_ret(err, "%s: can't set it to %s", key, sysctls->value);
	}
	return 0;
}

/* With an XDP program attached to its other end, a veth's MTU may be limited: then as much as goes. */
static uint32_t possible_mtu(const struct link_entry *entry, uint32_t mtu)
{
	return entry->max_mtu && entry->max_mtu < mtu ? entry->max_mtu : mtu;
}

static int settle_end(struct system *s, const char *alias, uint32_t mtu, const struct device_sysctl *sysctls,
		      const struct link_entry *now)
{
	uint32_t flags = IFF_UP | IFF_NOARP;
	struct link_change change = { 0 };
	int err;

	/* first, and by itself: from here on it is known as ours */
	if (strcmp(now->alias, alias)) {
		change.alias = alias;
		err = link_change(s, now->link.ifindex, &change);
		if (err)
			return err;
		change.alias = NULL;
	}
	err = set_sysctls(now, sysctls);
	if (err)
		return err;
	if (now->link.mtu != mtu)
		change.mtu = mtu;
	if ((now->link.flags & flags) != flags)
		change.flags_on = flags;
	return change.mtu || change.flags_on ? link_change(s, now->link.ifindex, &change) : 0;
}

static int pair_settle(struct system *s, const char *alias, const struct pair_kind *kind, const struct pair *pair)
{
	int err;

	err = settle_end(s, alias, kind->plain ? possible_mtu(&pair->far, kind->mtu) : kind->mtu, kind->far_sysctls,
			 &pair->far);
	if (!err)
		err = settle_end(s, alias, kind->plain ? possible_mtu(&pair->near, kind->mtu) : kind->mtu,
				 kind->near_sysctls, &pair->near);
	if (!err && kind->plain)
		err = offload_clear_transmit(pair->near.link.name);
	/* UDP packets joined for forwarding can't be put into or taken out of a tunnel in one piece */
	if (!err)
		err = offload_set(pair->near.link.name, OFFLOAD_UDP_GRO_FORWARDING, false);
	if (!err)
		err = offload_set(pair->far.link.name, OFFLOAD_UDP_GRO_FORWARDING, false);
	return err;
}

static int pair_create(struct system *s, const char *instance, const struct pair_kind *kind, uint32_t *ifindex,
		       uint32_t *peer)
{
	char alias[IFALIASZ];
	struct pair pair = { 0 };
	bool made = false;
	int err;

	err = alias_of(instance, alias);
	if (err)
		return err;
	err = pair_find(s, alias, kind, &pair);
	if (err == -EXDEV) {
		log_info("%s: its hidden end is gone or changed; it is made anew", kind->near);
		err = link_delete(s, pair.near.link.ifindex);
		if (!err)
			err = -ENODEV;
	}
	if (err == -ENODEV) {
		err = pair_make(s, alias, kind);
		made = !err;
		if (!err)
			err = pair_find(s, alias, kind, &pair);
	}
	if (!err)
		err = pair_settle(s, alias, kind, &pair);
	if (err) {
		if (made && pair.near.link.ifindex)
			link_delete(s, pair.near.link.ifindex);
		return err;
	}
	*ifindex = pair.near.link.ifindex;
	*peer = pair.far.link.ifindex;
	return 0;
}

int device_tunnel_create(struct system *s, const char *instance, const char *name, uint32_t mtu, uint32_t *ifindex,
			 uint32_t *peer)
{
	struct pair_kind kind = {
		.near = name,
		.far = HIDDEN_PATTERN,
		.mtu = mtu,
		.near_sysctls = tunnel_near,
		.far_sysctls = hidden,
	};

	if (!name_ok(name) || mtu < MTU_MIN || mtu > MTU_MAX)
		return -EINVAL;
	return pair_create(s, instance, &kind, ifindex, peer);
}

int device_icmp_create(struct system *s, const char *instance, uint32_t *ifindex, uint32_t *peer)
{
	static const struct pair_kind kind = {
		.near = ICMP_NEAR,
		.far = ICMP_FAR,
		.mtu = MTU_MAX,
		.near_sysctls = hidden,
		.far_sysctls = icmp_far,
		.plain = true,
	};

	return pair_create(s, instance, &kind, ifindex, peer);
}

int device_delete(struct system *s, const char *instance, const char *name)
{
	struct link_entry entry;
	char alias[IFALIASZ];
	int err;

	if (!name_ok(name))
		return -EINVAL;
	err = alias_of(instance, alias);
	if (err)
		return err;
	err = link_query(s, name, 0, &entry);
	if (err)
		return err == -ENODEV ? 0 : err;
	if (!is_ours(&entry, alias))
		return -EEXIST;
	return link_delete(s, entry.link.ifindex);
}

int device_check(struct system *s, const char *instance, const char *name)
{
	struct link_entry entry;
	char alias[IFALIASZ];
	int err = alias_of(instance, alias);

	err = err ? err : link_query(s, name, 0, &entry);
	if (err)
		return err == -ENODEV ? 0 : err;
	return is_ours(&entry, alias) ? 0 : -EEXIST;
}

int device_set_mtu(struct system *s, uint32_t ifindex, uint32_t mtu)
{
	struct link_change change = { .mtu = mtu };

	return mtu ? link_change(s, ifindex, &change) : -EINVAL;
}

static int on_qdisc(struct nlmsghdr *h, void *arg)
{
	struct nlattr *tb[TCA_MAX + 1];

	if (!nlmsg_parse(h, sizeof(struct tcmsg), tb, TCA_MAX, NULL) && tb[TCA_KIND])
		nla_strlcpy(arg, tb[TCA_KIND], 16);
	return 0;
}

int device_ingress_qdisc(struct system *s, uint32_t ifindex, char kind[16])
{
	struct tcmsg tcm = { .tcm_ifindex = (int)ifindex, .tcm_parent = TC_H_INGRESS };
	int err;

	kind[0] = '\0';
	/* without ECHO the kernel tells the answer to its listeners only */
	err = request_send(s, request_new(RTM_GETQDISC, NLM_F_ECHO, &tcm, sizeof(tcm)), on_qdisc, kind);
	return err || kind[0] ? err : -ENOENT;
}

/* The end that goes with another one; not one whose other end is not here. */
static bool is_hidden(const struct system *s, const struct link_entry *entry, const char *alias)
{
	const struct link_entry *other = NULL;

	if (strncmp(entry->link.name, HIDDEN_PREFIX, strlen(HIDDEN_PREFIX)) || !strcmp(entry->link.name, ICMP_NEAR))
		return false;
	if (!entry->lower_elsewhere)
		other = table_get(&s->caches.links, &entry->lower);
	return other && is_ours(other, alias);
}

size_t device_list_own(const struct system *s, const char *instance, char (*names)[16], size_t max)
{
	const struct link_entry *entry;
	char alias[IFALIASZ];
	size_t n = 0;

	if (alias_of(instance, alias))
		return 0;
	for (size_t i = 0; n < max && (entry = table_at(&s->caches.links, i)); i++)
		if (is_ours(entry, alias) && !is_hidden(s, entry, alias))
			memcpy(names[n++], entry->link.name, sizeof(entry->link.name));
	return n;
}
