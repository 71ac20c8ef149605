/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Links, addresses and neighbours of this namespace, read once and then kept by the kernel's notifications; and word of
 * changed routes and rules. Notifications may be lost (ENOBUFS): then all is read anew.
 */
#include <errno.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <netlink/errno.h>
#include <netlink/socket.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "user/lib/log.h"
#include "user/system/internal.h"

/* Datagrams of one dispatch, so that a storm of them can't hold up the event loop. */
#define DISPATCH_MAX 4096

/* A few thousand neighbours that go at once are some MB of notifications. Twice this is what the kernel charges. */
#define EVENTS_BUFFER (8 << 20)

#define EVERYTHING (SYSTEM_LINK | SYSTEM_ADDR | SYSTEM_NEIGH | SYSTEM_ROUTE | SYSTEM_HOOK | SYSTEM_DEFAULT)

/* The kernel's own set (include/net/neighbour.h): there is a link-layer address that may be used. */
#define NUD_VALID (NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_PROBE | NUD_STALE | NUD_DELAY)

#define ADDR_KEY offsetof(struct system_addr, flags)
#define NEIGH_KEY offsetof(struct system_neigh, mac)

/* the keys are compared as bytes: nothing but the fields may lie in them */
_Static_assert(ADDR_KEY == 2 * sizeof(struct addr) + sizeof(uint32_t) + sizeof(unsigned int), "no padding");
_Static_assert(NEIGH_KEY == sizeof(uint32_t) + sizeof(struct addr), "no padding");

static void caches_init(struct caches *c)
{
	table_init(&c->links, sizeof(struct link_entry), sizeof(uint32_t));
	table_init(&c->addrs, sizeof(struct addr_entry), ADDR_KEY);
	table_init(&c->neighs, sizeof(struct system_neigh), NEIGH_KEY);
	c->rules_changed = true;
	c->routes_by_tos = false;
	c->n_locked_mtus = 0;
}

static void caches_free(struct caches *c)
{
	table_free(&c->links);
	table_free(&c->addrs);
	table_free(&c->neighs);
}

/* ---- single messages into the caches ---- */

static int remove_key(struct table *t, const void *key)
{
	const void *item = table_get(t, key);

	if (!item)
		return 0;
	table_remove(t, item);
	return 1;
}

/* The kernel tells of each address and neighbour that goes with a link; this is for those it would not. */
static unsigned int forget_link(struct caches *c, uint32_t ifindex)
{
	unsigned int what = 0;

	for (size_t i = c->addrs.n; i-- > 0;) {
		if (((struct addr_entry *)table_at(&c->addrs, i))->addr.ifindex == ifindex) {
			table_remove_at(&c->addrs, i);
			what |= SYSTEM_ADDR;
		}
	}
	for (size_t i = c->neighs.n; i-- > 0;) {
		if (((struct system_neigh *)table_at(&c->neighs, i))->ifindex == ifindex) {
			table_remove_at(&c->neighs, i);
			what |= SYSTEM_NEIGH;
		}
	}
	return what;
}

/* Each: what changed (SYSTEM_*) or -ENOMEM. */

static int take_link(struct caches *c, struct nlmsghdr *h)
{
	struct link_entry entry;
	int changed;

	if (parse_link(h, &entry))
		return 0;
	if (h->nlmsg_type == RTM_NEWLINK) {
		changed = table_put_if_new(&c->links, &entry);
		return changed > 0 ? SYSTEM_LINK : changed;
	}
	changed = remove_key(&c->links, &entry) ? SYSTEM_LINK : 0;
	return changed | (int)forget_link(c, entry.link.ifindex);
}

static int take_addr(struct caches *c, struct nlmsghdr *h)
{
	struct addr_entry entry;
	int changed;

	if (parse_addr(h, &entry))
		return 0;
	changed = h->nlmsg_type == RTM_NEWADDR ? table_put_if_new(&c->addrs, &entry) : remove_key(&c->addrs, &entry);
	return changed > 0 ? SYSTEM_ADDR : changed;
}

/* A neighbour in use goes from reachable to stale and back every few seconds: kept, but not told. */
static int take_neigh(struct caches *c, struct nlmsghdr *h)
{
	const struct system_neigh *old;
	struct system_neigh entry;
	bool same;

	if (parse_neigh(h, &entry))
		return 0;
	if (h->nlmsg_type != RTM_NEWNEIGH)
		return remove_key(&c->neighs, &entry) ? SYSTEM_NEIGH : 0;
	old = table_get(&c->neighs, &entry);
	/* the kernel has asked once more, again in vain: that is news each time */
	same = old && entry.state != NUD_FAILED && !memcmp(old->mac, entry.mac, sizeof(entry.mac)) &&
	       !(old->state & NUD_VALID) == !(entry.state & NUD_VALID);
	if (table_put(&c->neighs, &entry))
		return -ENOMEM;
	return same ? 0 : SYSTEM_NEIGH;
}

static int take_hook(struct caches *c, struct nlmsghdr *h)
{
	(void)c, (void)h;
	return SYSTEM_HOOK;
}

static const struct {
	uint16_t first, last; /* nlmsg_type */
	int (*take)(struct caches *c, struct nlmsghdr *h);
} messages[] = {
	{ RTM_NEWLINK, RTM_DELLINK, take_link },    { RTM_NEWADDR, RTM_DELADDR, take_addr },
	{ RTM_NEWNEIGH, RTM_DELNEIGH, take_neigh }, { RTM_NEWROUTE, RTM_DELROUTE, take_route },
	{ RTM_NEWRULE, RTM_DELRULE, take_rule },    { RTM_NEWNEXTHOP, RTM_DELNEXTHOP, take_route },
	{ RTM_DELQDISC, RTM_DELQDISC, take_hook },  { RTM_DELTFILTER, RTM_DELTFILTER, take_hook },
	{ RTM_DELCHAIN, RTM_DELCHAIN, take_hook },  { RTM_NEWNETCONF, RTM_NEWNETCONF, take_hook },
};

static int take(struct caches *c, struct nlmsghdr *h)
{
	for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++)
		if (h->nlmsg_type >= messages[i].first && h->nlmsg_type <= messages[i].last)
			return messages[i].take(c, h);
	return 0;
}

/* ---- reading all ---- */

static int dumped(struct nlmsghdr *h, void *arg)
{
	int changed = take(arg, h);

	return changed < 0 ? changed : 0;
}

static int dumped_anew(struct nlmsghdr *h, void *arg)
{
	struct system *s = arg;
	int changed = take(&s->caches, h);

	if (changed > 0)
		s->what |= (unsigned int)changed;
	return changed < 0 ? changed : 0;
}

static int dump(struct system *s, int (*each)(struct nlmsghdr *h, void *arg), void *arg, int type, const void *header,
		int len)
{
	int err = -EINTR;

	/*
	 * Asked again without clearing: what went meanwhile is in the notifications, which are taken after this. So an
	 * unsteady dump may only lack something.
	 */
	for (int i = 0; i < REQUEST_DUMP_TRIES && err == -EINTR; i++)
		err = request_send(s, request_new(type, NLM_F_DUMP, header, len), each, arg);
	return err;
}

static int read_all(struct system *s)
{
	struct ifinfomsg ifi = { .ifi_family = AF_UNSPEC };
	struct ifaddrmsg ifa = { .ifa_family = AF_UNSPEC };
	struct ndmsg ndm = { .ndm_family = AF_UNSPEC };
	struct rtmsg rtm = { .rtm_family = AF_UNSPEC };
	struct caches fresh;
	int err;

	caches_init(&fresh);
	err = dump(s, dumped, &fresh, RTM_GETLINK, &ifi, sizeof(ifi));
	if (!err)
		err = dump(s, dumped, &fresh, RTM_GETADDR, &ifa, sizeof(ifa));
	if (!err)
		err = dump(s, dumped, &fresh, RTM_GETNEIGH, &ndm, sizeof(ndm));
	if (!err)
		err = dump(s, dumped, &fresh, RTM_GETROUTE, &rtm, sizeof(rtm));
	if (err) {
		caches_free(&fresh);
		return err;
	}
	caches_free(&s->caches);
	s->caches = fresh;
	return read_rules(s);
}

/*
 * Addresses that an advertisement made: the kernel tells of them only when they have been found unique, a second or two
 * later, but of the advertised prefix at once. Adds and changes only: what goes is told.
 */
static int read_advertised(struct system *s)
{
	struct ifaddrmsg ifa = { .ifa_family = AF_INET6 };

	return dump(s, dumped_anew, s, RTM_GETADDR, &ifa, sizeof(ifa));
}

/* ---- notifications ---- */

static int on_event(struct nl_msg *msg, void *arg)
{
	struct system *s = arg;
	int changed;

	/* lost: what is read now is older than the caches will be; not from the kernel: nobody's business */
	if (s->lost || nlmsg_get_src(msg)->nl_pid != 0)
		return NL_OK;
	s->advertised |= nlmsg_hdr(msg)->nlmsg_type == RTM_NEWPREFIX;
	changed = take(&s->caches, nlmsg_hdr(msg));
	if (changed < 0)
		s->lost = true;
	else
		s->what |= (unsigned int)changed;
	return NL_OK;
}

/* -EAGAIN: all read; 0: there may be more. */
static int read_events(struct system *s)
{
	for (int i = 0; i < DISPATCH_MAX; i++) {
		int err = nl_recvmsgs_default(s->events);

		switch (-err) {
		case NLE_SUCCESS:
			break;
		case NLE_AGAIN:
			return -EAGAIN;
		case NLE_NOMEM: /* ENOBUFS, too */
		case NLE_MSG_TRUNC:
		case NLE_MSG_OVERFLOW:
			if (!s->lost)
				log_info(
					"netlink: notifications were lost; links, addresses and neighbours are read anew");
			s->lost = true;
			break;
		default:
			log_warnx("netlink: can't read notifications: %s", nl_geterror(err));
			return request_errno(err);
		}
	}
	return 0;
}

int system_dispatch(struct system *s)
{
	unsigned int what;
	int err = read_events(s);

	/*
	 * After a loss the kernel queues nothing new until all that was queued is read, so this end comes soon, and
	 * only what is queued after it is newer than what is read now.
	 */
	if (s->lost && err == -EAGAIN) {
		err = read_all(s);
		if (err) /* lost stays set: the next notification tries again */
			return log_ret(err, "netlink: can't read links, addresses and neighbours");
		s->lost = false;
		s->advertised = false;
		s->what = EVERYTHING;
	}
	if (s->advertised && err == -EAGAIN)
		s->advertised = read_advertised(s) != 0; /* else with the next notification */
	if (s->caches.rules_changed && err == -EAGAIN && read_rules(s))
		s->what |= SYSTEM_ROUTE; /* tried again with the next notification */
	what = s->what;
	s->what = 0;
	if (what && s->changed)
		s->changed(s->arg, what);
	return err == -EAGAIN ? 0 : err;
}

static const int groups[] = {
	RTNLGRP_LINK,	      RTNLGRP_IPV4_IFADDR,  RTNLGRP_IPV6_IFADDR, RTNLGRP_NEIGH,	  RTNLGRP_IPV4_ROUTE,
	RTNLGRP_IPV6_ROUTE,   RTNLGRP_IPV4_RULE,    RTNLGRP_IPV6_RULE,	 RTNLGRP_NEXTHOP, RTNLGRP_TC,
	RTNLGRP_IPV4_NETCONF, RTNLGRP_IPV6_NETCONF, RTNLGRP_IPV6_PREFIX,
};

static int subscribe(struct system *s)
{
	int size = EVENTS_BUFFER;
	int fd, err;

	s->events = nl_socket_alloc();
	if (!s->events)
		return -ENOMEM;
	nl_socket_modify_cb(s->events, NL_CB_VALID, NL_CB_CUSTOM, on_event, s);
	nl_socket_disable_seq_check(s->events);
	err = nl_connect(s->events, NETLINK_ROUTE);
	if (err < 0)
		return request_errno(err);
	fd = nl_socket_get_fd(s->events);
	/* the limit net.core.rmem_max holds only for those without CAP_NET_ADMIN */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)))
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	nl_socket_set_msg_buf_size(s->events, 65536);
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]) && err >= 0; i++)
		err = nl_socket_add_memberships(s->events, groups[i], 0);
	if (err >= 0)
		err = nl_socket_set_nonblocking(s->events);
	return err < 0 ? request_errno(err) : 0;
}

int system_open(struct system **out, void (*changed)(void *arg, unsigned int what), void *arg)
{
	struct system *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return -ENOMEM;
	s->changed = changed;
	s->arg = arg;
	caches_init(&s->caches);
	err = subscribe(s); /* before reading: nothing may happen in between unheard */
	if (!err)
		err = request_open(s);
	if (!err)
		err = read_all(s);
	if (err) {
		system_close(s);
		return err;
	}
	*out = s;
	return 0;
}

void system_close(struct system *s)
{
	if (!s)
		return;
	nl_socket_free(s->events);
	request_close(s);
	caches_free(&s->caches);
	free(s);
}

int system_fd(const struct system *s)
{
	return nl_socket_get_fd(s->events);
}

/* ---- looking ---- */

const struct system_link *system_link_by_index(const struct system *s, uint32_t ifindex)
{
	return table_get(&s->caches.links, &ifindex);
}

const struct system_link *system_link_by_name(const struct system *s, const char *name)
{
	const struct system_link *link;

	for (size_t i = 0; (link = system_link_at(s, i)); i++)
		if (!strcmp(link->name, name))
			return link;
	return NULL;
}

const struct system_link *system_link_at(const struct system *s, size_t i)
{
	return table_at(&s->caches.links, i);
}

const struct system_addr *system_addr_at(const struct system *s, size_t i)
{
	const struct addr_entry *entry = table_at(&s->caches.addrs, i);

	return entry ? &entry->addr : NULL;
}

const struct system_neigh *system_neigh_at(const struct system *s, size_t i)
{
	return table_at(&s->caches.neighs, i);
}
