/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The world that the programs run in: a network namespace of our own with real devices, routes and neighbours, and maps
 * filled as the daemon would fill them (include/fairlead/maps.h). What is where: tables.c.
 */
#pragma once

#include <linux/types.h>
#include <stdbool.h>

#include "fairlead/maps.h"

enum port {
	NOWHERE,
	LAN,	 /* inside: 2001:db8:10::/64, 192.0.2.0/24; routes to every internal prefix */
	WAN,	 /* outside and underlay: 2001:db8:20::/64, 198.51.100.0/24; default route of IPv4 */
	HE0,	 /* tunnel, one remote, static MTU */
	BK0,	 /* broker's tunnel, two clients */
	HE1,	 /* tunnel, one remote, dynamic MTU, MSS clamp, prefix translation */
	DYN0,	 /* tunnel, dynamic MTU of 1280 */
	NPT,	 /* outside of prefix translations */
	VLAN,	 /* tag 100 on LAN: a device of its own for routes and tc */
	ICMP,	 /* where ICMP errors come in */
	FOUR,	 /* IPv4 only */
	NOXMIT,	 /* native XDP may not transmit there */
	NOETHER, /* no Ethernet header (a veth all the same: only as a way out) */
	THIN,	 /* MTU 1400 */
	UNDER2,	 /* another way in, no tunnel's underlay */
	PORTS,
	STRANGE = PORTS, /* a device that is not in the configuration */
	DEVICES,
};

enum endpoint {
	EP_HE0 = 1,
	EP_C2,
	EP_C3,
	EP_HE1,
	EP_DYN0,
	EPS,
};

enum npt {
	NPT_48 = 1, /* fd01:203:405::/48 and 2001:db8:1::/48 */
	NPT_64,	    /* fd00:1:2:3::/64 and 2001:db8:1:2::/64 */
	NPT_56,	    /* fd00:1:2::/48 and 2001:db8:aa:bb00::/56 */
	NPT_BIN,    /* fd00:aaaa::/48 and 2001:db8:bbbb::/48, plain */
	NPT_HE1,    /* fd02::/48 and 2001:db8:6::/48 on HE1 */
	NPT_SWEEP,  /* changes */
	NPTS,
};

/* The programs of the tc object; TC_OLD_*: loaded for a kernel without BPF_F_ADJ_ROOM_DECAP_L3_IPV6. */
enum tc_prog {
	TC_IN,
	TC_OUT,
	TC_OLD_IN,
	TC_OLD_OUT,
};

struct env {
	struct xdp *xdp;
	struct tc *tc, *tc_old;
	struct prelude *prelude;
	struct policy_world *policy; /* policy.h */
	struct fl_control control;
	int cpus, cpu; /* all of them; the one that everything here runs on */
	__u32 ifindex[DEVICES];
	__u32 other_end[DEVICES]; /* of each veth */
	__u32 icmp_tx;		  /* ifindex of ICMP's other end */
	bool sums;		  /* the kernel can tell whether skb->csum still says what the packet sums up to */
	void *buffer;		  /* of one batch of per-CPU values */
	char why[8192];		  /* what is wrong with the test that runs; empty: nothing */
};

/* Notes a failure of the test that runs. */
void fail(struct env *env, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A MAC of the device, and of every neighbour there (`host`). */
void port_mac(enum port port, bool host, __u8 *mac);
const char *port_name(enum port port);
__u16 port_vid(enum port port);
/* Whose device a frame arrives at in XDP: of a VLAN the parent. */
enum port port_parent(enum port port);
bool port_is_tunnel(enum port port);

/* Makes namespaces, devices and addresses, loads the programs, fills the maps. 0, or -errno after a message. */
int env_open(struct env *env);
void env_close(struct env *env);

/* The XDP programs once more, on the same maps, with another secret. NULL after a message. */
struct xdp *env_load_xdp(const struct env *env, __u64 secret);
void env_unload_xdp(struct xdp *xdp);

/* Every neighbour there is; all are resolved. */
struct neighbour {
	enum port port;
	const char *addr;
};
extern const struct neighbour neighbours[];
extern const int neighbours_count;

/* links.c: `ip` and sysctls. -errno after a message. */
int links_create(struct env *env);
int links_run(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
int links_sysctl(const char *path, const char *value);

/* tables.c */
int tables_fill(struct env *env);
int tables_switch(struct env *env); /* the same in the other set of tables; nothing is left in the first */
int tables_control(struct env *env);
void tables_new_generation(struct env *env); /* the flow cache forgets */
int tables_endpoint(struct env *env, enum endpoint ep, struct fl_endpoint *out);
int tables_npt(struct env *env, enum npt index, const char *internal, int internal_len, const char *external,
	       int external_len, int mode, enum port port);
int tables_npt_remove(struct env *env, enum npt index);
/* That the neighbour did not answer; for so many seconds from now. And whether a packet has asked for it since. */
int tables_failed(struct env *env, enum port port, const char *addr, int seconds);
bool tables_failed_asked(struct env *env, enum port port, const char *addr);
void tables_forget_icmp(struct env *env); /* the rates of ICMP errors start anew */
int tables_port(struct env *env, enum port port, struct fl_port *out);
int tables_port_flags(struct env *env, enum port port, int set, int clear);
/* Gateways that are members of a group that routes lead to, the first of each family; 0: none. */
int tables_port_members(struct env *env, enum port port, int of4, int of6);
/* A configured route (IPv4 as mapped) that leads to a group, or not; or there is none any more. */
int tables_route(struct env *env, const char *to, int len, bool by_group);
int tables_no_route(struct env *env, const char *to, int len);
int tables_port_mtu(struct env *env, enum port port, int mtu);
int tables_port_mtu6(struct env *env, enum port port, int mtu);
/* HE0 over a group of WAN and THIN, of which `by` carries (0: none), from `local` (NULL: the member's address). */
int tables_he0_over_group(struct env *env, enum port by, const char *local);
int tables_he0_as_it_was(struct env *env);
/* That routes to the prefix are being moved (or, not held: that one in it stays), until so many seconds from now. */
int tables_held(struct env *env, const char *prefix, int len, bool held, int seconds);
int tables_held_none(struct env *env);
/* That a route is locked to the MTU, or none is. */
int tables_locked_mtu(struct env *env, __u32 mtu, bool add);
union fl_addr addr_of(const char *text); /* IPv4: mapped */
