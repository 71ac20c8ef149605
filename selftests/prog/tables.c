// SPDX-License-Identifier: GPL-2.0-only
/* The maps, as a daemon would fill them for the configuration that env.h draws. */

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fairlead/gateway.h"
#include "fairlead/npt_math.h"
#include "fairlead/vip.h"
#include "selftests/prog/env.h"

#include "xdp.skel.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))
#define MAP(env, name) bpf_map__fd((env)->xdp->maps.name)

static const struct {
	enum port port, parent;
	int flags, vid, family, mtu;
	enum endpoint endpoint;
	const char *addr4, *addr6;
} ports[] = {
	{ LAN, LAN, FL_PORT_XDP_XMIT | FL_PORT_VIP | FL_PORT_SYNC, 0, FL_BOTH, 1500, 0, "192.0.2.1", "2001:db8:10::1" },
	{ WAN, WAN, FL_PORT_XDP_XMIT | FL_PORT_OUTSIDE, 0, FL_BOTH, 1500, 0, "198.51.100.1", "2001:db8:20::1" },
	{ HE0, HE0, FL_PORT_TUNNEL, 0, FL_INET6, 1480, EP_HE0, NULL, "2001:db8:80::1" },
	{ BK0, BK0, FL_PORT_TUNNEL | FL_PORT_BROKER, 0, FL_INET6, 1480, 0, NULL, "2001:db8:80::2" },
	{ HE1, HE1, FL_PORT_TUNNEL | FL_PORT_NPT, 0, FL_INET6, 1480, EP_HE1, NULL, "2001:db8:80::3" },
	{ DYN0, DYN0, FL_PORT_TUNNEL, 0, FL_INET6, 1280, EP_DYN0, NULL, "2001:db8:80::4" },
	{ NPT, NPT, FL_PORT_XDP_XMIT | FL_PORT_NPT, 0, FL_INET6, 1500, 0, NULL, "2001:db8:60::1" },
	{ VLAN, LAN, FL_PORT_XDP_XMIT, 100, FL_INET6, 1500, 0, NULL, "2001:db8:70::1" },
	{ ICMP, ICMP, FL_PORT_ICMP, 0, FL_BOTH, 1500, 0, NULL, NULL },
	{ FOUR, FOUR, FL_PORT_XDP_XMIT, 0, FL_INET, 1500, 0, "192.0.0.1", NULL },
	{ NOXMIT, NOXMIT, 0, 0, FL_BOTH, 1500, 0, NULL, "2001:db8:31::1" },
	{ NOETHER, NOETHER, FL_PORT_XDP_XMIT | FL_PORT_L3, 0, FL_BOTH, 1500, 0, NULL, "2001:db8:33::1" },
	{ THIN, THIN, FL_PORT_XDP_XMIT, 0, FL_BOTH, 1400, 0, "192.0.0.33", "2001:db8:34::1" },
	{ UNDER2, UNDER2, FL_PORT_XDP_XMIT, 0, FL_BOTH, 1500, 0, NULL, "2001:db8:35::1" },
};

#define LOCAL "198.51.100.1"

static const struct {
	enum endpoint ep;
	const char *remote;
	enum port tunnel;
	int mtu, mss, ttl, dscp, flags;
} endpoints[] = {
	{ EP_HE0, "203.0.113.1", HE0, 1480, FL_MSS_OFF, 255, FL_DSCP_COPY, 0 },
	{ EP_C2, "203.0.113.2", BK0, 1480, FL_MSS_OFF, 64, FL_DSCP_COPY, 0 },
	{ EP_C3, "203.0.113.3", BK0, 1480, 1200, 77, 46, FL_EP_DYNAMIC_MTU },
	{ EP_HE1, "203.0.113.4", HE1, 1480, FL_MSS_AUTO, 64, FL_DSCP_COPY, FL_EP_DYNAMIC_MTU },
	{ EP_DYN0, "203.0.113.5", DYN0, 1280, FL_MSS_OFF, 64, 0, FL_EP_DYNAMIC_MTU },
};

static const struct {
	enum endpoint ep;
	const char *prefix;
	int len;
} client_routes[] = {
	{ EP_C2, "2001:db8:b002::", 48 },
	{ EP_C2, "2001:db8:b00a:5::", 64 },
	{ EP_C3, "2001:db8:b003::", 48 },
	{ EP_C3, "fe80::3", 128 },
};

static const struct {
	enum npt index;
	const char *internal, *external;
	int internal_len, external_len, mode;
	enum port port;
} translations[] = {
	{ NPT_48, "fd01:203:405::", "2001:db8:1::", 48, 48, FL_NPT_RFC6296, NPT },
	{ NPT_64, "fd00:1:2:3::", "2001:db8:1:2::", 64, 64, FL_NPT_RFC6296, NPT },
	{ NPT_56, "fd00:1:2::", "2001:db8:aa:bb00::", 48, 56, FL_NPT_RFC6296, NPT },
	{ NPT_BIN, "fd00:aaaa::", "2001:db8:bbbb::", 48, 48, FL_NPT_PLAIN, NPT },
	{ NPT_HE1, "fd02::", "2001:db8:6::", 48, 48, FL_NPT_RFC6296, HE1 },
};

/* Of every port; and those of a device that is none, which is the router's all the same */
static const char *const more_locals[] = { "2001:db8:50::1", "2001:db8:81::1", "fd01:203:405:5::1",
					   "fd00:aaaa:0:5::1" };

union fl_addr addr_of(const char *text)
{
	union fl_addr a = {};

	if (!text)
		return a;
	if (strchr(text, ':')) {
		inet_pton(AF_INET6, text, a.b);
	} else {
		a.w[2] = htonl(0xffff);
		inet_pton(AF_INET, text, &a.w[3]);
	}
	return a;
}

static int set(int map, const void *key, const void *value)
{
	int r = bpf_map_update_elem(map, key, value, BPF_ANY);

	if (r)
		fprintf(stderr, "prog-test: map update: %s\n", strerror(-r));
	return r;
}

static void empty(int map)
{
	__u8 key[64];

	while (!bpf_map_get_next_key(map, NULL, key))
		bpf_map_delete_elem(map, key);
}

static const struct {
	enum port port;
	const char *local, *remote;
	int number;
} pairs[] = {
	{ LAN, "192.0.2.1", "192.0.2.10", 7241 },
	{ LAN, "2001:db8:10::1", "2001:db8:10::10", 7241 },
};

static __u32 set_in_force(const struct env *env)
{
	return FL_GEN_SET(env->control.gen);
}

__u16 port_vid(enum port port)
{
	return port == VLAN ? 100 : 0;
}

enum port port_parent(enum port port)
{
	return port == VLAN ? LAN : port;
}

bool port_is_tunnel(enum port port)
{
	return port == HE0 || port == BK0 || port == HE1 || port == DYN0;
}

static int fill_port(struct env *env, int i)
{
	__u32 number = ports[i].port, ifindex = env->ifindex[number], xmit = env->ifindex[ports[i].parent];
	__u32 tables = set_in_force(env), index = FL_PORT_INDEX(tables, number);
	struct fl_vlan_key vlan = { .ifindex = xmit, .vid = ports[i].vid };
	struct fl_port port = {
		.ifindex = ifindex,
		.xmit_ifindex = xmit,
		.flags = ports[i].flags | FL_PORT_UP | (ports[i].addr4 ? FL_PORT_OWN4 : 0) |
			 (ports[i].addr6 ? FL_PORT_OWN6 : 0),
		.vid = ports[i].vid,
		.family = ports[i].family,
		.mtu = ports[i].mtu,
		.mtu6 = ports[i].mtu,
		.endpoint = ports[i].endpoint,
		.underlay = ports[i].flags & FL_PORT_TUNNEL ? WAN : 0,
		.addr4 = addr_of(ports[i].addr4).w[3],
		.addr6 = addr_of(ports[i].addr6),
	};
	union fl_addr local4 = addr_of(ports[i].addr4), broadcast = local4;
	struct fl_numbers numbers = {}, hidden = {};
	__u32 to_all = number | FL_LOCAL_BROADCAST;

	numbers.port[tables] = number;
	hidden.port[tables] = number | FL_NUMBER_HIDDEN;
	port_mac(ports[i].parent, false, port.mac);
	if (set(MAP(env, fl_ports), &index, &port) || set(MAP(env, fl_ifindex), &ifindex, &numbers))
		return -EIO;
	if (!(port.flags & FL_PORT_L3) && set(MAP(env, fl_tx), &index, &xmit))
		return -EIO;
	if (vlan.vid && set(MAP(env, fl_vlans), &vlan, &numbers))
		return -EIO;
	if ((port.flags & FL_PORT_TUNNEL) && set(MAP(env, fl_ifindex), &env->other_end[number], &hidden))
		return -EIO;
	broadcast.b[15] |= ports[i].port == LAN || ports[i].port == WAN ? 0xff : 0x0f; /* links.c has the lengths */
	if (ports[i].addr4 &&
	    (set(MAP(env, fl_locals), &local4, &number) || set(MAP(env, fl_locals), &broadcast, &to_all)))
		return -EIO;
	return ports[i].addr6 ? set(MAP(env, fl_locals), &port.addr6, &number) : 0;
}

static int fill_endpoint(struct env *env, int i)
{
	__u32 index = endpoints[i].ep, stranger = FL_EP_IN(HE0, 0), in = FL_EP_IN(endpoints[i].tunnel, index);
	struct fl_endpoint ep = {
		.local = addr_of(LOCAL).w[3],
		.remote = addr_of(endpoints[i].remote).w[3],
		.underlay_ifindex = env->ifindex[WAN],
		.underlay = WAN,
		.tunnel = endpoints[i].tunnel,
		.mtu = endpoints[i].mtu,
		.mss = endpoints[i].mss,
		.ttl = endpoints[i].ttl,
		.dscp = endpoints[i].dscp,
		.flags = endpoints[i].flags,
	};
	struct fl_endpoint_key key = { .set = set_in_force(env), .local = ep.local, .remote = ep.remote };
	struct fl_endpoint_key any = { .set = set_in_force(env), .local = ep.local };

	if (set(MAP(env, fl_ep), &index, &ep) || set(MAP(env, fl_ep_in), &key, &in))
		return -EIO;
	return set(MAP(env, fl_ep_in), &any, &stranger);
}

int tables_port(struct env *env, enum port port, struct fl_port *out)
{
	__u32 index = FL_PORT_INDEX(set_in_force(env), port);

	return bpf_map_lookup_elem(MAP(env, fl_ports), &index, out);
}

static int put_port(struct env *env, enum port port, const struct fl_port *p)
{
	__u32 index = FL_PORT_INDEX(set_in_force(env), port);

	return set(MAP(env, fl_ports), &index, p);
}

int tables_port_members(struct env *env, enum port port, int of4, int of6)
{
	struct fl_port p;

	if (tables_port(env, port, &p))
		return -1;
	p.member[0] = of4;
	p.member[1] = of6;
	p.flags = of4 || of6 ? p.flags | FL_PORT_MEMBER : p.flags & ~FL_PORT_MEMBER;
	return put_port(env, port, &p);
}

static struct fl_client_route_key route_key(const struct env *env, const char *to, int len)
{
	return (struct fl_client_route_key){ .prefixlen = 32 + len, .set = set_in_force(env), .addr = addr_of(to) };
}

int tables_route(struct env *env, const char *to, int len, bool by_group)
{
	struct fl_client_route_key key = route_key(env, to, len);
	__u32 value = by_group;

	return set(MAP(env, fl_clients), &key, &value);
}

int tables_no_route(struct env *env, const char *to, int len)
{
	struct fl_client_route_key key = route_key(env, to, len);

	return bpf_map_delete_elem(MAP(env, fl_clients), &key);
}

#define GROUP 200 /* numbers that policies do not have */
#define MEMBER 100

/* HE0's outers may come by a port, to that address. */
static int put_member(struct env *env, enum port port, const char *local)
{
	__u16 set_now = set_in_force(env);
	__u32 in = FL_EP_IN(HE0, EP_HE0), any = FL_EP_IN(HE0, 0);
	struct fl_endpoint_key key = { .set = set_now,
				       .local = addr_of(local).w[3],
				       .remote = addr_of("203.0.113.1").w[3] };
	struct fl_endpoint_key member = {
		.set = set_now, .port = port, .local = key.local, .remote = FL_EP_IN_MEMBER(HE0)
	};

	return set(MAP(env, fl_ep_in), &key, &in) || set(MAP(env, fl_ep_in), &member, &any) ? -EIO : 0;
}

int tables_he0_over_group(struct env *env, enum port by, const char *local)
{
	__u32 ep = EP_HE0, group_at = FL_GROUP_INDEX(set_in_force(env), GROUP, 0),
	      member_at = FL_GATEWAY_INDEX(set_in_force(env), MEMBER);
	struct fl_gateway member = {
		.addr = { addr_of(by == THIN ? "192.0.0.34" : "198.51.100.254") },
		.ifindex = env->ifindex[by],
		.port = by,
		.family = FL_INET,
	};
	struct fl_group group = { .most = by ? MEMBER : 0 };
	struct fl_endpoint value;
	struct fl_port he0;

	if (tables_port(env, HE0, &he0) || bpf_map_lookup_elem(MAP(env, fl_ep), &ep, &value))
		return -ENOENT;
	he0.underlay = FL_UNDERLAY_GROUP;
	value.group = GROUP;
	value.local = addr_of(local).w[3];
	if (put_member(env, WAN, local ?: LOCAL) || put_member(env, THIN, local ?: "192.0.0.33"))
		return -EIO;
	if (set(MAP(env, fl_gateways), &member_at, &member) || set(MAP(env, fl_groups), &group_at, &group))
		return -EIO;
	return put_port(env, HE0, &he0) ?: set(MAP(env, fl_ep), &ep, &value);
}

int tables_he0_as_it_was(struct env *env)
{
	static const char *const locals[] = { LOCAL, "192.0.0.33" };
	struct fl_endpoint_key key = { .set = set_in_force(env) };
	struct fl_port he0;

	if (tables_port(env, HE0, &he0))
		return -ENOENT;
	for (size_t i = 0; i < COUNT(locals); i++) {
		key.local = addr_of(locals[i]).w[3];
		key.port = 0;
		key.remote = addr_of("203.0.113.1").w[3];
		bpf_map_delete_elem(MAP(env, fl_ep_in), &key);
		key.remote = FL_EP_IN_MEMBER(HE0);
		for (key.port = 1; key.port <= UNDER2; key.port++)
			bpf_map_delete_elem(MAP(env, fl_ep_in), &key);
	}
	he0.underlay = WAN;
	return put_port(env, HE0, &he0) ?: fill_endpoint(env, 0);
}

int tables_port_flags(struct env *env, enum port port, int more, int less)
{
	struct fl_port p;

	if (tables_port(env, port, &p))
		return -ENOENT;
	p.flags = (p.flags | more) & ~less;
	return put_port(env, port, &p);
}

int tables_port_mtu(struct env *env, enum port port, int mtu)
{
	struct fl_port p;

	if (tables_port(env, port, &p))
		return -ENOENT;
	p.mtu = p.mtu6 = mtu;
	return put_port(env, port, &p);
}

int tables_port_mtu6(struct env *env, enum port port, int mtu)
{
	struct fl_port p;

	if (tables_port(env, port, &p))
		return -ENOENT;
	p.mtu6 = mtu;
	return put_port(env, port, &p);
}

int tables_locked_mtu(struct env *env, __u32 mtu, bool add)
{
	const __u32 one = 1;

	env->control.routing = add ? FL_ROUTING_MTU : 0;
	if (tables_control(env))
		return -EIO;
	return add ? set(MAP(env, fl_route_mtu), &mtu, &one) : bpf_map_delete_elem(MAP(env, fl_route_mtu), &mtu);
}

int tables_held(struct env *env, const char *prefix, int len, bool held, int seconds)
{
	struct fl_held_key key = { .prefixlen = 32 + len + (strchr(prefix, ':') ? 0 : 96), .addr = addr_of(prefix) };
	struct timespec now;
	__u32 value = held;

	clock_gettime(CLOCK_MONOTONIC, &now);
	env->control.held_until_ns = (now.tv_sec + seconds) * 1000000000ULL;
	return tables_control(env) ? -EIO : set(MAP(env, fl_held), &key, &value);
}

int tables_held_none(struct env *env)
{
	env->control.held_until_ns = 0;
	empty(MAP(env, fl_held));
	return tables_control(env);
}

int tables_failed(struct env *env, enum port port, const char *addr, int seconds)
{
	struct fl_nexthop_key key = { .ifindex = env->ifindex[port], .addr = addr_of(addr) };
	struct fl_failed failed = {};
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	failed.until_s = now.tv_sec + seconds;
	return set(MAP(env, fl_nh_failed), &key, &failed);
}

bool tables_failed_asked(struct env *env, enum port port, const char *addr)
{
	struct fl_nexthop_key key = { .ifindex = env->ifindex[port], .addr = addr_of(addr) };
	struct fl_failed failed = {};

	return !bpf_map_lookup_elem(MAP(env, fl_nh_failed), &key, &failed) && failed.asked_s;
}

void tables_forget_icmp(struct env *env)
{
	const __u64 none = 0;

	for (__u32 i = 0; i < FL_ICMP_RATES * FL_ICMP_BUCKETS; i++)
		set(MAP(env, fl_icmp_rate), &i, &none);
}

int tables_endpoint(struct env *env, enum endpoint ep, struct fl_endpoint *out)
{
	__u32 index = ep;

	return bpf_map_lookup_elem(MAP(env, fl_ep), &index, out);
}

static int npt_prefix(struct env *env, int dir, enum port port, const union fl_addr *prefix, int len, __u32 index)
{
	struct fl_npt_key key = {
		.prefixlen = 32 + len, .set = set_in_force(env), .dir = dir, .port = port, .addr = *prefix
	};

	return index ? set(MAP(env, fl_npt_prefix), &key, &index) : bpf_map_delete_elem(MAP(env, fl_npt_prefix), &key);
}

static int npt_prefixes(struct env *env, const struct fl_npt *npt, __u32 index)
{
	if (npt_prefix(env, FL_NPT_OUT, npt->port, &npt->internal, npt->internal_len, index) ||
	    npt_prefix(env, FL_NPT_IN, npt->port, &npt->external, npt->external_len, index))
		return -EIO;
	return npt_prefix(env, FL_NPT_HAIRPIN, 0, &npt->external, npt->external_len, index);
}

int tables_npt(struct env *env, enum npt index, const char *internal, int internal_len, const char *external,
	       int external_len, int mode, enum port port)
{
	struct fl_npt npt = {
		.internal = addr_of(internal),
		.external = addr_of(external),
		.len = internal_len > external_len ? internal_len : external_len,
		.mode = mode,
		.port = port,
		.internal_len = internal_len,
		.external_len = external_len,
	};
	__u32 key = index;

	npt.adjust = fl_npt_adjust(&npt.internal, &npt.external);
	return set(MAP(env, fl_npt), &key, &npt) ? -EIO : npt_prefixes(env, &npt, index);
}

int tables_npt_remove(struct env *env, enum npt index)
{
	struct fl_npt npt;
	__u32 key = index;

	return bpf_map_lookup_elem(MAP(env, fl_npt), &key, &npt) ? -EIO : npt_prefixes(env, &npt, 0);
}

/* The MACs are wrong at first: the programs correct them from the FIB. */
static int fill_nexthop(struct env *env, __u32 i)
{
	struct fl_nexthop_key key = { .ifindex = env->ifindex[neighbours[i].port],
				      .addr = addr_of(neighbours[i].addr) };
	struct fl_nexthop nh = { .addr = key.addr, .port = neighbours[i].port, .valid = 1 };
	__u32 index = i + 1;

	if (neighbours[i].port >= PORTS)
		return 0;
	return set(MAP(env, fl_nh), &index, &nh) ? -EIO : set(MAP(env, fl_nh_by_addr), &key, &index);
}

int tables_control(struct env *env)
{
	__u32 zero = 0;

	return set(MAP(env, fl_control), &zero, &env->control);
}

void tables_new_generation(struct env *env)
{
	env->control.gen = FL_GEN_NEXT(env->control.gen);
	tables_control(env);
}

static int fill(struct env *env)
{
	__u32 nobody = 0;
	size_t i;
	int r = 0;

	for (i = 0; i < COUNT(ports); i++)
		r |= fill_port(env, i);
	for (i = 0; i < COUNT(endpoints); i++)
		r |= fill_endpoint(env, i);
	for (i = 0; i < COUNT(client_routes); i++) {
		struct fl_client_route_key key = { .prefixlen = 32 + client_routes[i].len,
						   .set = set_in_force(env),
						   .tunnel = BK0,
						   .addr = addr_of(client_routes[i].prefix) };
		__u32 ep = client_routes[i].ep;

		r |= set(MAP(env, fl_clients), &key, &ep);
	}
	for (i = 0; i < COUNT(translations); i++)
		r |= tables_npt(env, translations[i].index, translations[i].internal, translations[i].internal_len,
				translations[i].external, translations[i].external_len, translations[i].mode,
				translations[i].port);
	for (i = 0; i < (size_t)neighbours_count; i++)
		r |= fill_nexthop(env, i);
	for (i = 0; i < COUNT(pairs); i++) {
		struct fl_pair_key key = { .local = addr_of(pairs[i].local),
					   .remote = addr_of(pairs[i].remote),
					   .ifindex = env->ifindex[pairs[i].port],
					   .port = htons(pairs[i].number) };
		__u8 is = 1;

		r |= set(MAP(env, fl_pairs), &key, &is);
	}
	for (i = 0; i < COUNT(more_locals); i++) {
		union fl_addr addr = addr_of(more_locals[i]);

		r |= set(MAP(env, fl_locals), &addr, &nobody);
	}
	return r ? -EIO : 0;
}

int tables_fill(struct env *env)
{
	env->control = (struct fl_control){ .layout = FL_LAYOUT_VERSION, .forward = 1, .icmp_ifindex = env->icmp_tx };
	tables_new_generation(env);
	return fill(env);
}

int tables_switch(struct env *env)
{
	const struct fl_port none = {};

	for (enum port p = LAN; p < PORTS; p++) {
		__u32 index = FL_PORT_INDEX(set_in_force(env), p);

		put_port(env, p, &none);
		bpf_map_delete_elem(MAP(env, fl_tx), &index);
	}
	empty(MAP(env, fl_ep_in));
	empty(MAP(env, fl_clients));
	empty(MAP(env, fl_npt_prefix));
	env->control.gen = FL_GEN_SWITCH(env->control.gen);
	tables_control(env);
	return fill(env);
}
