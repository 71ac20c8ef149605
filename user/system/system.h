/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the machine has: links, addresses, neighbours, read by rtnetlink (libnl-route) and kept up to date; and the few
 * things that fairlead sets on it. One namespace: the process's own. Nothing here knows the configuration.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "user/lib/addr.h"

/* ---- monitor: caches of links, addresses and neighbours, and a callback when they change ---- */

struct system; /* opaque */

enum system_change {
	SYSTEM_LINK = 1 << 0,
	SYSTEM_ADDR = 1 << 1,
	SYSTEM_NEIGH = 1 << 2,
	SYSTEM_ROUTE = 1 << 3, /* routes and rules: no cache, only that they changed */
	SYSTEM_HOOK =
		1 << 4, /* a tc filter or qdisc was removed, or forwarding of a device switched: no cache either */
	SYSTEM_DEFAULT =
		1 << 5, /* with SYSTEM_ROUTE: a default route of another protocol than ours may be among them */
};

struct system_link {
	uint32_t ifindex;
	char name[16];
	uint32_t mtu;
	uint32_t flags;	  /* IFF_* */
	uint16_t arptype; /* ARPHRD_* */
	uint8_t mac[6];
	bool has_mac; /* 6-byte Ethernet header */
	bool carrier;
	char kind[16];	      /* IFLA_INFO_KIND: veth, vlan, bridge, tun, ppp…; "" for hardware */
	uint32_t parent;      /* VLAN and macvlan: ifindex of the lower device, else 0 */
	uint16_t vid;	      /* VLAN id, else 0 */
	bool xdp_native;      /* a program is attached in native mode */
	uint32_t xdp_prog_id; /* 0: none */
};

struct system_addr {
	uint32_t ifindex;
	struct prefix prefix;
	struct addr peer; /* of a point-to-point address the other end's; else its own */
	uint32_t flags;	  /* IFA_F_* */
	uint8_t scope;	  /* RT_SCOPE_* */
	uint32_t created; /* when, in 1/100 s since boot; wraps */
	uint8_t protocol; /* IFAPROT_*, or ADDRPROT_FAIRLEAD; since Linux 5.18 */
};

struct system_neigh {
	uint32_t ifindex;
	struct addr addr;
	uint8_t mac[6];
	uint16_t state;	    /* NUD_* */
	uint64_t failed_ms; /* CLOCK_MONOTONIC, when it went to NUD_FAILED; meaningful in that state */
	uint32_t flags_ext; /* NTF_EXT_MANAGED … */
};

/*
 * SO_NETNS_COOKIE (Linux 5.14): a number that no other network namespace gets as long as the machine is up, where inode numbers
 * are given anew. 0 or -errno.
 */
int system_netns_cookie(uint64_t *cookie);
/* What leads to the network namespace of that cookie, for nsenter(1): a name in /run/netns, else that of a process. -ENOENT */
int system_netns_find(uint64_t cookie, char *path, size_t len);

/*
 * changed(): called from system_dispatch(), after the caches are up to date, with what changed (SYSTEM_* or-ed). A
 * message lost by the kernel (ENOBUFS) leads to a full re-read and a call with everything set.
 */
int system_open(struct system **out, void (*changed)(void *arg, unsigned int what), void *arg);
void system_close(struct system *s);
int system_fd(const struct system *s); /* for the event loop: readable -> system_dispatch() */
int system_dispatch(struct system *s); /* never blocks */

/* NULL when there is none. Pointers are valid until the next system_dispatch(). */
const struct system_link *system_link_by_name(const struct system *s, const char *name);
const struct system_link *system_link_by_index(const struct system *s, uint32_t ifindex);
/* Iterate: the i-th, NULL past the end. */
const struct system_link *system_link_at(const struct system *s, size_t i);
const struct system_addr *system_addr_at(const struct system *s, size_t i);
const struct system_neigh *system_neigh_at(const struct system *s, size_t i);
/* The different MTUs that routes are locked to, or were. */
#define SYSTEM_LOCKED_MTUS 256
size_t system_locked_mtus(const struct system *s, const uint32_t **mtus);
/* Whether a rule (ip rule) asks for DSCP, protocol or ports, or a route for a TOS. */
bool system_routes_by_transport(const struct system *s);

/* ---- changes; all 0 or -errno, all idempotent, each waits for the kernel's answer ---- */

/*
 * A tunnel's device: a veth `name`, no ARP, up, MTU set, with a hidden peer ("fl-" and a number) that is up too. An
 * existing pair made by fairlead is kept and adjusted; a device of that name that is not ours is -EEXIST. `alias`
 * (ifalias) of both says whose they are: "fairlead INSTANCE". *ifindex, *peer are set.
 */
int device_tunnel_create(struct system *s, const char *instance, const char *name, uint32_t mtu, uint32_t *ifindex,
			 uint32_t *peer);
/*
 * The pair by which packets come back as ICMP errors: `fl-icmp` (all transmit offloads off: what goes in comes out
 * segmented and with checksums finished) and its peer `fl-icmp-rx`, both up, no IPv6 addresses, MTU 65535 or the most that
 * veth with XDP allows.
 */
int device_icmp_create(struct system *s, const char *instance, uint32_t *ifindex, uint32_t *peer);
int device_delete(struct system *s, const char *instance, const char *name); /* only ours; absent is 0 */
/* Whether a device of that name could be made: 0 (absent, or ours) or -EEXIST. */
int device_check(struct system *s, const char *instance, const char *name);
/* Names of fairlead's own devices of this instance, for finding left-overs. Returns how many; names[i] are 16 bytes each. */
size_t device_list_own(const struct system *s, const char *instance, char (*names)[16], size_t max);

int device_set_mtu(struct system *s, uint32_t ifindex, uint32_t mtu);

/* The kind of the qdisc at the device's ingress: "clsact", "ingress"; -ENOENT: there is none. */
int device_ingress_qdisc(struct system *s, uint32_t ifindex, char kind[16]);

/* Addresses on a tunnel's device become exactly these (link-local ones of the kernel are left alone). nodad. */
int device_set_addresses(struct system *s, uint32_t ifindex, const struct prefix *addresses, size_t n);

/*
 * `n` addresses that another machine may have at another time become the device's (on), each alone, without a network and without duplicate
 * address detection; or not. They bear our mark: those that the device has without it are another's and are left alone, others[i] tells
 * (NULL: nobody wants to know). An IPv6 address is deprecated, so that it is no source but of who asks for it.
 */
#define ADDRPROT_FAIRLEAD 0xfa /* IFA_PROTO */
int device_share_addresses(struct system *s, uint32_t ifindex, const struct prefix *addresses, size_t n, bool on,
			   bool *others);

/* The device takes in frames to that MAC, too (of a bridge: as its own). Absent: 0, also the device. */
int device_hear_mac(struct system *s, uint32_t ifindex, const uint8_t mac[6], bool on);

/*
 * Routes of fairlead's own protocol number (RTPROT_FAIRLEAD) in the main table become exactly these: missing ones are added, foreign ones of
 * that protocol removed, equal ones untouched. An existing route of another protocol with the same destination and metric
 * is not replaced: -EEXIST names it in *conflict (index into routes). gateway AF_UNSPEC: on link.
 */
#define RTPROT_FAIRLEAD 0xfa
struct system_route {
	struct prefix destination;
	uint32_t ifindex;
	struct addr gateway;
	uint32_t metric;  /* 0: the kernel's default */
	bool first;	  /* of those with the same destination and metric, others' too */
	bool unreachable; /* leads nowhere: ifindex and gateway say nothing */
};
int system_set_routes(struct system *s, const struct system_route *routes, size_t n, size_t *conflict);
/* One of ours becomes another, with the same destination and metric: there is one at each moment. */
int system_move_route(struct system *s, const struct system_route *from, const struct system_route *to);
/* Those that are there, of our protocol. *out is malloc'ed. */
int system_get_routes(struct system *s, struct system_route **out, size_t *n);
/* Where the main table's other routes lead to; some may be named twice. *out is malloc'ed. */
int system_get_others_destinations(struct system *s, struct prefix **out, size_t *n);
/* Another protocol's default route in the main table, of the family and metric of `route`, which is one too. -ENOENT: none. */
int system_get_others_default(struct system *s, const struct system_route *route, struct system_route *out);

/*
 * A default route in the main table that others have put there: a DHCP client, pppd, the kernel itself by router advertisements. It tells
 * its gateway; none, or one of the other family (RFC 8950): AF_UNSPEC.
 */
struct system_default {
	int family;
	uint32_t ifindex;
	struct addr gateway;
	uint32_t metric;
	uint8_t protocol;    /* RTPROT_* */
	uint64_t expires_ms; /* CLOCK_MONOTONIC: the kernel uses it no more, and tells so later; 0: never */
};
/* Those that are in use, for each device the better ones first. *out is malloc'ed. */
int system_get_defaults(struct system *s, struct system_default **out, size_t *n);

/*
 * The devices (by name, there or not) by which nothing comes in that the kernel forwards become exactly these, whatever its switches say:
 * what is for the machine itself comes in. One that comes later is blocked from its first moment. SYSTEM_BLOCK_ALL: every device.
 * bpf_fib_lookup() has no way for packets of a blocked device either.
 */
#define SYSTEM_BLOCK_ALL "*"
int system_set_blocked(struct system *s, int family, const char (*devices)[16], size_t n);
bool system_is_blocked(struct system *s, int family); /* every device is */

/* Asks the kernel which way: for explain of the router's own traffic. 0, *ifindex and *source (preferred) set. */
int system_route_get(struct system *s, const struct addr *dst, const struct addr *src, uint32_t *ifindex,
		     struct addr *source);

/* Whether the routing tables have a way to an IPv4 address by that device: 0, -EHOSTUNREACH or another -errno. */
int system_route_by(struct system *s, const struct addr *dst, uint32_t ifindex);

/* NTF_EXT_MANAGED on or off for a neighbour (made if absent). -EOPNOTSUPP before Linux 5.16. */
int system_neigh_manage(struct system *s, uint32_t ifindex, const struct addr *addr, bool on);

/* Has the kernel resolve a neighbour that it has given up, as a packet for it would. */
int system_neigh_probe(struct system *s, uint32_t ifindex, const struct addr *addr);

/* ---- sysctl: text of /proc/sys/net/…, dots or slashes ---- */
int sysctl_get(const char *key, char *buf, size_t len); /* without the newline */
int sysctl_set(const char *key, const char *value);

/* ---- ethtool ---- */
enum offload {
	OFFLOAD_RXVLAN,
	OFFLOAD_TXVLAN,
	OFFLOAD_TX_CHECKSUM,
	OFFLOAD_TSO,
	OFFLOAD_GSO,
	OFFLOAD_GRO,
	OFFLOAD_UDP_GRO_FORWARDING,
	OFFLOAD_LRO
};
int offload_get(const char *device, enum offload what, bool *on);
int offload_set(const char *device, enum offload what, bool on); /* -EOPNOTSUPP where it is fixed otherwise */
int device_driver(const char *device, char *buf, size_t len);	 /* ETHTOOL_GDRVINFO */

/*
 * XDP abilities of a device by the netdev generic netlink family (Linux 6.3 and up): NETDEV_XDP_ACT_* bits.
 * -EOPNOTSUPP where the kernel can't tell.
 */
int device_xdp_features(uint32_t ifindex, uint64_t *features);
