/* SPDX-License-Identifier: GPL-2.0-only */
/* rtnetlink messages to the caches' entries. Entries are cleared first: the caches compare them as bytes. */
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "user/system/internal.h"

int put_address(struct nl_msg *msg, int attr, const struct addr *a)
{
	const uint8_t *bytes;
	unsigned int len = addr_bytes(a, &bytes);

	return nla_put(msg, attr, (int)len, bytes);
}

int parse_address(int family, struct nlattr *attr, struct addr *out)
{
	int len = family == AF_INET ? 4 : 16;

	if (nla_len(attr) != len)
		return -EINVAL;
	memset(out, 0, sizeof(*out));
	out->family = family;
	memcpy(&out->v6, nla_data(attr), (size_t)len); /* a union: v4 begins where v6 does */
	return 0;
}

static void copy_string(char *to, size_t size, struct nlattr *attr)
{
	nla_strlcpy(to, attr, size);
}

static void parse_vlan(struct nlattr *data, struct link_entry *out)
{
	struct nlattr *tb[IFLA_VLAN_MAX + 1];

	if (nla_parse_nested(tb, IFLA_VLAN_MAX, data, NULL) || !tb[IFLA_VLAN_ID])
		return;
	/* 802.1ad has the same kind and numbers, but another tag: never to be taken for an 802.1Q child of its parent */
	if (tb[IFLA_VLAN_PROTOCOL] && nla_get_u16(tb[IFLA_VLAN_PROTOCOL]) != htons(ETH_P_8021Q))
		return;
	out->link.vid = nla_get_u16(tb[IFLA_VLAN_ID]);
}

static void parse_linkinfo(struct nlattr *info, struct link_entry *out)
{
	struct nlattr *tb[IFLA_INFO_MAX + 1];

	if (nla_parse_nested(tb, IFLA_INFO_MAX, info, NULL) || !tb[IFLA_INFO_KIND])
		return;
	copy_string(out->link.kind, sizeof(out->link.kind), tb[IFLA_INFO_KIND]);
	if (!strcmp(out->link.kind, "vlan") && tb[IFLA_INFO_DATA])
		parse_vlan(tb[IFLA_INFO_DATA], out);
}

/* A device may have a program in several modes at once; the native one counts. */
static void parse_xdp(struct nlattr *xdp, struct system_link *out)
{
	struct nlattr *tb[IFLA_XDP_MAX + 1];
	int mode;

	if (nla_parse_nested(tb, IFLA_XDP_MAX, xdp, NULL) || !tb[IFLA_XDP_ATTACHED])
		return;
	mode = nla_get_u8(tb[IFLA_XDP_ATTACHED]);
	if (mode == XDP_ATTACHED_MULTI && tb[IFLA_XDP_DRV_PROG_ID]) {
		out->xdp_native = true;
		out->xdp_prog_id = nla_get_u32(tb[IFLA_XDP_DRV_PROG_ID]);
	} else if (mode == XDP_ATTACHED_MULTI && tb[IFLA_XDP_SKB_PROG_ID]) {
		out->xdp_prog_id = nla_get_u32(tb[IFLA_XDP_SKB_PROG_ID]);
	} else if (mode != XDP_ATTACHED_NONE && tb[IFLA_XDP_PROG_ID]) {
		out->xdp_native = mode == XDP_ATTACHED_DRV;
		out->xdp_prog_id = nla_get_u32(tb[IFLA_XDP_PROG_ID]);
	}
}

static bool has_lower(const char *kind)
{
	return !strcmp(kind, "vlan") || !strcmp(kind, "macvlan") || !strcmp(kind, "macvtap");
}

int parse_link(struct nlmsghdr *h, struct link_entry *out)
{
	struct nlattr *tb[IFLA_MAX + 1];
	struct ifinfomsg *ifi = nlmsg_data(h);
	struct system_link *link = &out->link;

	memset(out, 0, sizeof(*out));
	/* bridges tell of their ports by the same message types, of family AF_BRIDGE */
	if (nlmsg_parse(h, sizeof(*ifi), tb, IFLA_MAX, NULL) || ifi->ifi_family != AF_UNSPEC)
		return -ENOENT;
	link->ifindex = (uint32_t)ifi->ifi_index;
	link->flags = ifi->ifi_flags;
	link->arptype = ifi->ifi_type;
	link->carrier = ifi->ifi_flags & IFF_LOWER_UP;
	if (tb[IFLA_IFNAME])
		copy_string(link->name, sizeof(link->name), tb[IFLA_IFNAME]);
	if (tb[IFLA_MTU])
		link->mtu = nla_get_u32(tb[IFLA_MTU]);
	if (tb[IFLA_MAX_MTU])
		out->max_mtu = nla_get_u32(tb[IFLA_MAX_MTU]);
	if (tb[IFLA_ADDRESS] && ifi->ifi_type == ARPHRD_ETHER && nla_len(tb[IFLA_ADDRESS]) == ETH_ALEN) {
		link->has_mac = true;
		memcpy(link->mac, nla_data(tb[IFLA_ADDRESS]), ETH_ALEN);
	}
	if (tb[IFLA_LINKINFO])
		parse_linkinfo(tb[IFLA_LINKINFO], out);
	if (tb[IFLA_LINK])
		out->lower = nla_get_u32(tb[IFLA_LINK]);
	out->lower_elsewhere = tb[IFLA_LINK_NETNSID];
	if (has_lower(link->kind) && !out->lower_elsewhere)
		link->parent = out->lower;
	if (tb[IFLA_GROUP])
		out->group = nla_get_u32(tb[IFLA_GROUP]);
	if (tb[IFLA_XDP])
		parse_xdp(tb[IFLA_XDP], link);
	if (tb[IFLA_IFALIAS])
		copy_string(out->alias, sizeof(out->alias), tb[IFLA_IFALIAS]);
	return 0;
}

int parse_addr(struct nlmsghdr *h, struct addr_entry *out)
{
	struct nlattr *tb[IFA_MAX + 1], *own;
	const struct ifa_cacheinfo *times;
	struct ifaddrmsg *ifa = nlmsg_data(h);

	memset(out, 0, sizeof(*out));
	if (nlmsg_parse(h, sizeof(*ifa), tb, IFA_MAX, NULL) ||
	    (ifa->ifa_family != AF_INET && ifa->ifa_family != AF_INET6))
		return -ENOENT;
	/* point-to-point: IFA_LOCAL is ours, IFA_ADDRESS the other end's; IPv6 has IFA_LOCAL only then */
	own = tb[IFA_LOCAL] ? tb[IFA_LOCAL] : tb[IFA_ADDRESS];
	if (!own || parse_address(ifa->ifa_family, own, &out->addr.prefix.addr))
		return -ENOENT;
	if (parse_address(ifa->ifa_family, tb[IFA_ADDRESS] ? tb[IFA_ADDRESS] : own, &out->addr.peer))
		return -ENOENT;
	out->addr.ifindex = ifa->ifa_index;
	out->addr.prefix.len = ifa->ifa_prefixlen;
	out->addr.flags = tb[IFA_FLAGS] ? nla_get_u32(tb[IFA_FLAGS]) : ifa->ifa_flags;
	out->addr.scope = ifa->ifa_scope;
	if (tb[IFA_CACHEINFO] && nla_len(tb[IFA_CACHEINFO]) >= (int)sizeof(*times)) {
		times = nla_data(tb[IFA_CACHEINFO]);
		out->addr.created = times->cstamp;
	}
	if (tb[IFA_PROTO])
		out->addr.protocol = nla_get_u8(tb[IFA_PROTO]);
	return 0;
}

/* When a neighbour's state changed last. The kernel says how long ago, in its clock ticks for user space. */
static uint64_t changed_ms(struct nlattr *cacheinfo)
{
	struct nda_cacheinfo info = {};
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (cacheinfo && nla_len(cacheinfo) >= (int)sizeof(info))
		memcpy(&info, nla_data(cacheinfo), sizeof(info));
	return (uint64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 -
	       (uint64_t)info.ndm_updated * 1000 / sysconf(_SC_CLK_TCK);
}

int parse_neigh(struct nlmsghdr *h, struct system_neigh *out)
{
	struct nlattr *tb[NDA_MAX + 1];
	struct ndmsg *ndm = nlmsg_data(h);

	memset(out, 0, sizeof(*out));
	/* AF_BRIDGE: forwarding entries of bridges; NTF_PROXY: addresses answered for, not neighbours */
	if (nlmsg_parse(h, sizeof(*ndm), tb, NDA_MAX, NULL) || !tb[NDA_DST] || ndm->ndm_flags & NTF_PROXY ||
	    (ndm->ndm_family != AF_INET && ndm->ndm_family != AF_INET6))
		return -ENOENT;
	if (parse_address(ndm->ndm_family, tb[NDA_DST], &out->addr))
		return -ENOENT;
	out->ifindex = (uint32_t)ndm->ndm_ifindex;
	out->state = ndm->ndm_state;
	if (tb[NDA_LLADDR] && nla_len(tb[NDA_LLADDR]) == ETH_ALEN)
		memcpy(out->mac, nla_data(tb[NDA_LLADDR]), ETH_ALEN);
	if (tb[NDA_FLAGS_EXT])
		out->flags_ext = nla_get_u32(tb[NDA_FLAGS_EXT]);
	out->failed_ms = changed_ms(tb[NDA_CACHEINFO]);
	return 0;
}
