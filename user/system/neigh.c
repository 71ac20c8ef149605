/* SPDX-License-Identifier: GPL-2.0-only */
/* Neighbours that the kernel keeps resolved by itself (NTF_EXT_MANAGED, Linux 5.16), or shall ask for once more. */
#include <errno.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "user/system/internal.h"

struct neigh_now {
	bool found;
	uint16_t state;
	uint8_t flags; /* NTF_* */
	uint32_t flags_ext;
};

static int on_neigh(struct nlmsghdr *h, void *arg)
{
	struct neigh_now *now = arg;
	struct system_neigh neigh;

	if (!parse_neigh(h, &neigh)) {
		now->found = true;
		now->state = neigh.state;
		now->flags = ((struct ndmsg *)nlmsg_data(h))->ndm_flags;
		now->flags_ext = neigh.flags_ext;
	}
	return 0;
}

static int neigh_query(struct system *s, uint32_t ifindex, const struct addr *addr, struct neigh_now *now)
{
	struct ndmsg ndm = { .ndm_family = (uint8_t)addr->family, .ndm_ifindex = (int)ifindex };
	struct nl_msg *msg = request_new(RTM_GETNEIGH, 0, &ndm, sizeof(ndm));
	int err;

	memset(now, 0, sizeof(*now));
	if (!msg || put_address(msg, NDA_DST, addr)) {
		nlmsg_free(msg);
		return -ENOMEM;
	}
	err = request_send(s, msg, on_neigh, now);
	return err == -ENOENT ? 0 : err;
}

/*
 * With NTF_EXT_MANAGED or NTF_USE in the request the kernel (__neigh_update() in net/core/neighbour.c) takes over the flags
 * and leaves lladdr and state, except that a permanent entry would lose its state. Flags it is not told are cleared, so
 * NTF_EXT_LEARNED is repeated.
 */
static int neigh_set(struct system *s, uint32_t ifindex, const struct addr *addr, uint8_t flags, uint32_t flags_ext)
{
	struct ndmsg ndm = { .ndm_family = (uint8_t)addr->family, .ndm_ifindex = (int)ifindex, .ndm_flags = flags };
	struct nl_msg *msg = request_new(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, &ndm, sizeof(ndm));

	if (!msg || put_address(msg, NDA_DST, addr) || (flags_ext && nla_put_u32(msg, NDA_FLAGS_EXT, flags_ext))) {
		nlmsg_free(msg);
		return -ENOMEM;
	}
	return request_send(s, msg, NULL, NULL);
}

int system_neigh_probe(struct system *s, uint32_t ifindex, const struct addr *addr)
{
	struct neigh_now now;
	int err = neigh_query(s, ifindex, addr, &now);

	if (err || now.state & ~(NUD_FAILED | NUD_NONE))
		return err;
	return neigh_set(s, ifindex, addr, NTF_USE | (now.flags & NTF_EXT_LEARNED), now.flags_ext & NTF_EXT_MANAGED);
}

int system_neigh_manage(struct system *s, uint32_t ifindex, const struct addr *addr, bool on)
{
	struct neigh_now now;
	int err;

	err = neigh_query(s, ifindex, addr, &now);
	if (err)
		return err;
	if (on == !!(now.flags_ext & NTF_EXT_MANAGED))
		return 0;
	/* these need no upkeep: set by hand, or on a device without resolution */
	if (on && now.state & (NUD_PERMANENT | NUD_NOARP))
		return 0;
	if (!on)
		return neigh_set(s, ifindex, addr, NTF_USE | (now.flags & NTF_EXT_LEARNED), 0);
	err = neigh_set(s, ifindex, addr, now.flags & NTF_EXT_LEARNED, NTF_EXT_MANAGED);
	if (err)
		return err;
	/* older kernels ignore the attribute */
	err = neigh_query(s, ifindex, addr, &now);
	if (err)
		return err;
	return now.flags_ext & NTF_EXT_MANAGED || now.state & (NUD_PERMANENT | NUD_NOARP) ? 0 : -EOPNOTSUPP;
}
