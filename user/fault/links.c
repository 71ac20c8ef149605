// SPDX-License-Identifier: GPL-2.0-only
/*
 * Devices are taken down, and up again. What the kernel forgets with that is put back: it drops all of IPv6's addresses, the routes by the
 * device (of IPv4 too), and neighbours that somebody has set. Messages by which netlink tells of them are kept as they are, and those of which
 * nothing is there afterwards are sent back. Not those that come by themselves: what the kernel makes (link-local addresses, networks of
 * addresses, what routers advertise), and what is the daemon's.
 */
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "user/fault/fault.h"
#include "user/lib/file.h"
#include "user/system/system.h"

#define DEVICES_MAX 64
#define DUMPS 4
#define BUFFER (64 * 1024)
#define PUT_BACK_MAX 65536 /* of a kind */
#define CARRIER_MS 10000   /* a link takes its time to come up; routes can't be put back before */

/* Messages one behind the other, as they came. */
struct dump {
	char *data;
	size_t len;
};

struct saved {
	int devices[DEVICES_MAX]; /* and those upon them, whose links go with theirs */
	size_t n_devices, n_own;
	struct dump addresses, routes, neighbours, proxies;
};

/* ---- rtnetlink ---- */

static bool dump_add(struct dump *d, const struct nlmsghdr *h)
{
	size_t len = NLMSG_ALIGN(h->nlmsg_len);
	char *data = realloc(d->data, d->len + len);

	if (!data)
		return false;
	d->data = data;
	memcpy(data + d->len, h, h->nlmsg_len);
	memset(data + d->len + h->nlmsg_len, 0, len - h->nlmsg_len);
	d->len += len;
	return true;
}

static int netlink(void)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	return fd < 0 ? -errno : fd;
}

/* 1: more is to come; 0: that was all; -errno */
static int take(struct dump *d, char *buf, ssize_t len)
{
	for (struct nlmsghdr *h = (void *)buf; NLMSG_OK(h, len); h = NLMSG_NEXT(h, len)) {
		if (h->nlmsg_type == NLMSG_DONE)
			return 0;
		if (h->nlmsg_type == NLMSG_ERROR)
			return ((struct nlmsgerr *)NLMSG_DATA(h))->error;
		if (!dump_add(d, h))
			return -ENOMEM;
	}
	return 1;
}

/* neighbours: NTF_PROXY for those that the kernel answers for, which it keeps apart */
static int dump(uint16_t type, uint8_t neighbours, struct dump *d)
{
	struct {
		struct nlmsghdr h;
		union {
			struct ndmsg m; /* the family is the first byte of all of them */
			char room[32];
		};
	} request = {
		.h = { .nlmsg_len = sizeof(request), .nlmsg_type = type, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.m = { .ndm_flags = neighbours }
	};
	char *buf = malloc(BUFFER);
	int fd = netlink(), err = fd < 0 ? fd : buf ? 1 : -ENOMEM;
	ssize_t n;

	*d = (struct dump){ 0 };
	if (err > 0 && send(fd, &request, sizeof(request), 0) < 0)
		err = -errno;
	while (err > 0) {
		n = recv(fd, buf, BUFFER, 0);
		err = n < 0 ? -errno : take(d, buf, n);
	}
	if (fd >= 0)
		close(fd);
	free(buf);
	return err;
}

/* 0 or -errno, the kernel's answer */
static int ask(int fd, const struct nlmsghdr *what, uint16_t flags)
{
	char buf[BUFFER];
	struct nlmsghdr *h = (void *)buf;
	ssize_t n;

	if (what->nlmsg_len > sizeof(buf))
		return -EMSGSIZE;
	memcpy(buf, what, what->nlmsg_len);
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
	h->nlmsg_pid = 0;
	if (send(fd, buf, h->nlmsg_len, 0) < 0)
		return -errno;
	n = recv(fd, buf, sizeof(buf), 0);
	if (n < 0 || !NLMSG_OK(h, n) || h->nlmsg_type != NLMSG_ERROR)
		return -EPROTO;
	return ((struct nlmsgerr *)NLMSG_DATA(h))->error;
}

static const struct rtattr *attribute(const struct nlmsghdr *h, size_t header, uint16_t type)
{
	int len = h->nlmsg_len - NLMSG_LENGTH(header);

	for (const struct rtattr *a = (void *)((char *)NLMSG_DATA(h) + NLMSG_ALIGN(header)); RTA_OK(a, len);
	     a = RTA_NEXT(a, len))
		if ((a->rta_type & NLA_TYPE_MASK) == type)
			return a;
	return NULL;
}

static uint32_t number(const struct rtattr *a)
{
	uint32_t value = 0;

	if (a && RTA_PAYLOAD(a) >= sizeof(value))
		memcpy(&value, RTA_DATA(a), sizeof(value));
	return value;
}

/* ---- what is to be put back ---- */

static bool is_ours(const struct saved *s, int ifindex)
{
	for (size_t i = 0; i < s->n_devices; i++)
		if (s->devices[i] == ifindex)
			return true;
	return false;
}

static bool keeps_address(const struct saved *s, const struct nlmsghdr *h)
{
	const struct ifaddrmsg *m = NLMSG_DATA(h);
	const struct rtattr *protocol = attribute(h, sizeof(*m), IFA_PROTO);
	uint8_t by = protocol ? *(const uint8_t *)RTA_DATA(protocol) : 0;
	uint32_t flags = number(attribute(h, sizeof(*m), IFA_FLAGS));

	return is_ours(s, m->ifa_index) && by != ADDRPROT_FAIRLEAD && m->ifa_scope != RT_SCOPE_LINK &&
	       !((flags | m->ifa_flags) & IFA_F_TEMPORARY && m->ifa_family == AF_INET6);
}

/* By one of the devices, or with a next hop by one of them. */
static bool leads_by(const struct saved *s, const struct nlmsghdr *h)
{
	const struct rtattr *many = attribute(h, sizeof(struct rtmsg), RTA_MULTIPATH);
	const struct rtnexthop *hop = many ? RTA_DATA(many) : NULL;
	int len = many ? (int)RTA_PAYLOAD(many) : 0;

	if (!many)
		return is_ours(s, (int)number(attribute(h, sizeof(struct rtmsg), RTA_OIF)));
	for (; RTNH_OK(hop, len); len -= NLMSG_ALIGN(hop->rtnh_len), hop = RTNH_NEXT(hop))
		if (is_ours(s, hop->rtnh_ifindex))
			return true;
	return false;
}

static bool keeps_route(const struct saved *s, const struct nlmsghdr *h)
{
	const struct rtmsg *m = NLMSG_DATA(h);

	return leads_by(s, h) && m->rtm_type != RTN_LOCAL && m->rtm_type != RTN_ANYCAST &&
	       m->rtm_type != RTN_BROADCAST && m->rtm_protocol != RTPROT_KERNEL && m->rtm_protocol != RTPROT_RA &&
	       m->rtm_protocol != RTPROT_REDIRECT && m->rtm_protocol != RTPROT_FAIRLEAD &&
	       !(m->rtm_flags & RTM_F_CLONED);
}

static bool keeps_neighbour(const struct saved *s, const struct nlmsghdr *h)
{
	const struct ndmsg *m = NLMSG_DATA(h);

	return is_ours(s, m->ndm_ifindex) && m->ndm_family != AF_BRIDGE &&
	       (m->ndm_state & NUD_PERMANENT || m->ndm_flags & NTF_PROXY);
}

static int save(uint16_t type, uint8_t neighbours, struct dump *kept, const struct saved *s,
		bool (*keeps)(const struct saved *, const struct nlmsghdr *))
{
	struct dump all;
	int err = dump(type, neighbours, &all);
	size_t len = all.len;

	for (const struct nlmsghdr *h = (void *)all.data; !err && NLMSG_OK(h, len); h = NLMSG_NEXT(h, len))
		if (keeps(s, h) && !dump_add(kept, h))
			err = -ENOMEM;
	free(all.data);
	return err;
}

/* The last one first: of IPv6's addresses the kernel tells the newest first, and which is older counts. How many fail. */
static size_t put_back(const struct dump *kept, int *err)
{
	static const struct nlmsghdr *all[PUT_BACK_MAX];
	const struct nlmsghdr *h = (void *)kept->data;
	size_t len = kept->len, n = 0, failed = 0;
	int fd = netlink(), e;

	for (; NLMSG_OK(h, len) && n < PUT_BACK_MAX; h = NLMSG_NEXT(h, len))
		all[n++] = h;
	while (fd >= 0 && n) {
		e = ask(fd, all[--n], NLM_F_CREATE | NLM_F_REPLACE);
		if (!e || e == -EEXIST)
			continue;
		*err = e;
		failed++;
	}
	if (fd >= 0)
		close(fd);
	return failed;
}

/* ---- devices ---- */

static int set_up(int ifindex, bool up)
{
	struct {
		struct nlmsghdr h;
		struct ifinfomsg m;
	} request = { .h = { .nlmsg_len = sizeof(request), .nlmsg_type = RTM_NEWLINK },
		      .m = { .ifi_family = AF_UNSPEC,
			     .ifi_index = ifindex,
			     .ifi_flags = up ? IFF_UP : 0,
			     .ifi_change = IFF_UP } };
	int fd = netlink(), err;

	if (fd < 0)
		return fd;
	err = ask(fd, &request.h, 0);
	close(fd);
	return err;
}

/* Those that are upon one of them go down and up with it. */
static int find_devices(struct fault *f, struct saved *s)
{
	struct dump links;
	int err = 0;
	size_t len;

	for (size_t i = 0; i < f->n_targets && i < DEVICES_MAX; i++) {
		s->devices[s->n_devices] = (int)if_nametoindex(f->targets[i]);
		if (s->devices[s->n_devices])
			s->n_devices++; /* one that is not there is down already */
	}
	s->n_own = s->n_devices;
	if (!s->n_own) {
		fault_error(f, "no device of these is there");
		return -ENODEV;
	}
	err = dump(RTM_GETLINK, 0, &links);
	len = links.len;
	for (const struct nlmsghdr *h = (void *)links.data; !err && NLMSG_OK(h, len); h = NLMSG_NEXT(h, len)) {
		const struct ifinfomsg *m = NLMSG_DATA(h);
		int below = (int)number(attribute(h, sizeof(*m), IFLA_LINK));

		if (below && !attribute(h, sizeof(*m), IFLA_LINK_NETNSID) && is_ours(s, below) &&
		    !is_ours(s, m->ifi_index) && s->n_devices < DEVICES_MAX)
			s->devices[s->n_devices++] = m->ifi_index;
	}
	free(links.data);
	return err;
}

/* ---- for who has to undo it in this process's place ---- */

static void saved_path(const struct fault *f, char path[128])
{
	snprintf(path, 128, FAULT_SAVED, f->instance);
}

static struct dump *dumps_of(struct saved *s, size_t i)
{
	struct dump *const dumps[DUMPS] = { &s->addresses, &s->routes, &s->neighbours, &s->proxies };

	return dumps[i];
}

/* The struct, and behind it what its dumps point to. */
static int keep(struct fault *f, struct saved *s)
{
	size_t len = sizeof(*s), at = sizeof(*s);
	char path[128], *all;
	int err;

	for (size_t i = 0; i < DUMPS; i++)
		len += dumps_of(s, i)->len;
	all = malloc(len);
	if (!all)
		return -ENOMEM;
	memcpy(all, s, sizeof(*s));
	for (size_t i = 0; i < DUMPS; i++) {
		const struct dump *d = dumps_of(s, i);

		if (d->len)
			memcpy(all + at, d->data, d->len);
		at += d->len;
	}
	saved_path(f, path);
	err = file_replace_soon(path, all, len, 0600);
	free(all);
	return err;
}

/* What can be done where nobody knows any more what they have lost. */
static void take_up_targets(const struct fault *f)
{
	for (size_t i = 0; i < f->n_targets; i++) {
		int ifindex = (int)if_nametoindex(f->targets[i]);

		if (ifindex)
			set_up(ifindex, true);
	}
}

static void keep_no_longer(const struct fault *f)
{
	char path[128];

	saved_path(f, path);
	unlink(path);
}

/* No file: nothing was taken down yet, or all is back, or the machine has booted since. */
int links_resume(struct fault *f)
{
	struct saved *s = calloc(1, sizeof(*s));
	char path[128], *all = NULL;
	size_t len = 0, at = sizeof(*s);
	int err;

	saved_path(f, path);
	err = s ? file_read(path, &all, &len) : -ENOMEM;
	if (!err && len >= sizeof(*s))
		memcpy(s, all, sizeof(*s));
	else
		err = err ?: -EINVAL;
	for (size_t i = 0; i < DUMPS && !err; i++) {
		struct dump *d = dumps_of(s, i);

		if (d->len > len - at)
			err = -EINVAL;
		d->data = all + at; /* which stays */
		at += d->len;
	}
	f->saved = s;
	if (err) {
		free(s);
		free(all);
		f->saved = NULL;
	}
	if (err == -ENOENT)
		return 0;
	if (err) {
		fault_error(f, "%s, what the links have lost: %s; they are up again, the rest is for `ip` by hand",
			    path, strerror(-err));
		take_up_targets(f);
		keep_no_longer(f);
	}
	return err;
}

int links_begin(struct fault *f)
{
	struct saved *s = calloc(1, sizeof(*s));
	int err = s ? find_devices(f, s) : -ENOMEM;

	f->saved = s;
	err = err ?: save(RTM_GETADDR, 0, &s->addresses, s, keeps_address);
	err = err ?: save(RTM_GETROUTE, 0, &s->routes, s, keeps_route);
	err = err ?: save(RTM_GETNEIGH, 0, &s->neighbours, s, keeps_neighbour);
	err = err ?: save(RTM_GETNEIGH, NTF_PROXY, &s->proxies, s, keeps_neighbour);
	if (err) {
		fault_error(f, "what the kernel has of these devices can't be read: %s", strerror(-err));
		return err;
	}
	err = keep(f, s);
	if (err) {
		fault_error(f, "what the links will lose can't be kept: %s", strerror(-err));
		return err;
	}
	for (size_t i = 0; i < s->n_own && !err; i++)
		err = set_up(s->devices[i], false);
	if (!err)
		return 0;
	fault_error(f, "%s can't be taken down: %s", f->targets[0], strerror(-err));
	links_undo(f);
	return err;
}

static bool has_carrier(int ifindex)
{
	struct ifreq ifr = { 0 };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool has = fd >= 0 && if_indextoname(ifindex, ifr.ifr_name) && !ioctl(fd, SIOCGIFFLAGS, &ifr) &&
		   ifr.ifr_flags & IFF_RUNNING;

	if (fd >= 0)
		close(fd);
	return has;
}

static void wait_for_carrier(const struct saved *s)
{
	const struct timespec pause = { .tv_nsec = 10000000 };

	for (size_t i = 0; i < s->n_own; i++)
		for (int ms = 0; ms < CARRIER_MS && !has_carrier(s->devices[i]); ms += 10)
			nanosleep(&pause, NULL);
}

static void restore(struct fault *f, const char *what, const struct dump *kept)
{
	int err = 0;
	size_t n = put_back(kept, &err);

	if (n && what)
		fault_error(f, "%zu %s could not be put back: %s", n, what, strerror(-err));
}

void links_undo(struct fault *f)
{
	struct saved *s = f->saved;

	for (size_t i = 0; i < s->n_own; i++) {
		int err = set_up(s->devices[i], true);

		if (err && err != -ENODEV)
			fault_error(f, "%s can't be taken up: %s", f->targets[i], strerror(-err));
	}
	wait_for_carrier(s);
	restore(f, "addresses", &s->addresses);
	restore(f, NULL, &s->routes); /* some lead to a next hop that another one of them leads to */
	restore(f, "routes", &s->routes);
	restore(f, "neighbours", &s->neighbours);
	restore(f, "neighbours", &s->proxies);
	keep_no_longer(f);
}
