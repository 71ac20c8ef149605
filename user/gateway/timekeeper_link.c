// SPDX-License-Identifier: GPL-2.0-only
/* Links, by a netlink socket of the thread's own, so that one that goes down is known at once even while the main thread is busy. */
#include <errno.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "user/gateway/timekeeper_internal.h"
#include "user/lib/log.h"

#define RECEIVE_BUFFER (1 << 20)

void keeper_path_changed(struct keeper_plan *plan, struct keeper_gateway *g, uint64_t now_ns)
{
	bool has[PROBE_SOURCES];
	unsigned int i;
	enum monitor_path path = !g->path.ifindex		? MONITOR_NO_DEVICE
				 : g->link_up && g->underlay_up ? MONITOR_PATH_OK
				 : g->underlay_group		? MONITOR_NO_MEMBER
								: MONITOR_LINK_DOWN;

	for (i = 0; i < PROBE_SOURCES; i++)
		has[i] = g->path.sources[i].family != AF_UNSPEC;
	monitor_reachable(g->monitor, g->families);
	monitor_path(g->monitor, path, has, now_ns);
	keeper_is_due(plan, g);
}

static bool flags_up(unsigned int flags)
{
	return (flags & IFF_UP) && (flags & IFF_RUNNING);
}

bool keeper_link_is_up(const struct timekeeper *tk, uint32_t ifindex)
{
	struct ifreq request = { .ifr_ifindex = (int)ifindex };

	return !ioctl(tk->query, SIOCGIFNAME, &request) && !ioctl(tk->query, SIOCGIFFLAGS, &request) &&
	       flags_up((unsigned short)request.ifr_flags);
}

void keeper_link_ask(struct timekeeper *tk, struct keeper_gateway *g)
{
	g->link_up = g->path.ifindex && keeper_link_is_up(tk, g->path.ifindex);
	if (!g->underlay_group) /* which run_group() knows */
		g->underlay_up = !g->underlay || keeper_link_is_up(tk, g->underlay);
}

static void link_is(struct timekeeper *tk, uint32_t ifindex, bool up)
{
	struct keeper_plan *plan = tk->plan;
	uint64_t now_ns = keeper_now();
	size_t i;

	vhids_link(tk->vhids, ifindex, up, now_ns);
	for (i = 0; plan && i < plan->n_gateways; i++) {
		struct keeper_gateway *g = &plan->gateways[i];

		if (g->path.ifindex != ifindex && g->underlay != ifindex)
			continue;
		if (g->path.ifindex == ifindex)
			g->link_up = up;
		if (g->underlay == ifindex)
			g->underlay_up = up;
		keeper_path_changed(plan, g, now_ns);
	}
}

static void take_message(struct timekeeper *tk, const struct nlmsghdr *header)
{
	const struct ifinfomsg *link = NLMSG_DATA(header);

	if (header->nlmsg_len < NLMSG_LENGTH(sizeof(*link)) || link->ifi_family != AF_UNSPEC)
		return;
	if (header->nlmsg_type == RTM_NEWLINK)
		link_is(tk, (uint32_t)link->ifi_index, flags_up(link->ifi_flags));
	else if (header->nlmsg_type == RTM_DELLINK)
		link_is(tk, (uint32_t)link->ifi_index, false);
}

/* News were lost: ask again for all */
static void ask_all(struct timekeeper *tk)
{
	struct keeper_plan *plan = tk->plan;
	uint64_t now_ns = keeper_now();
	size_t i;

	keeper_vip_links(tk);
	for (i = 0; plan && i < plan->n_gateways; i++) {
		keeper_link_ask(tk, &plan->gateways[i]);
		keeper_path_changed(plan, &plan->gateways[i], now_ns);
	}
}

void keeper_link_read(struct timekeeper *tk)
{
	char buf[16384] __attribute__((aligned(NLMSG_ALIGNTO)));
	ssize_t n;

	while ((n = recv(tk->link, buf, sizeof(buf), MSG_DONTWAIT)) != 0) {
		const struct nlmsghdr *header = (const struct nlmsghdr *)buf;
		size_t left = n < 0 ? 0 : (size_t)n;

		if (n < 0 && errno == ENOBUFS)
			ask_all(tk);
		else if (n < 0 && errno != EINTR)
			return;
		for (; NLMSG_OK(header, left); header = NLMSG_NEXT(header, left))
			take_message(tk, header);
	}
}

int keeper_link_open(struct timekeeper *tk)
{
	struct sockaddr_nl name = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK };
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = WAKE_LINK };
	int size = RECEIVE_BUFFER;

	tk->query = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	tk->link = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	if (tk->query < 0 || tk->link < 0)
		return -errno;
	setsockopt(tk->link, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	if (bind(tk->link, (struct sockaddr *)&name, sizeof(name)) ||
	    epoll_ctl(tk->epoll, EPOLL_CTL_ADD, tk->link, &event))
		return -errno;
	return 0;
}
