/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Keys and values of every map, as both sides of the kernel boundary see them.
 *
 * Who writes: "daemon" only writes from user space, "programs" only in the kernel. Addresses and ports are in network
 * byte order (__be*), everything else in host order. IPv4 addresses in a 16-byte field are IPv4-mapped (::ffff:a.b.c.d).
 */
#pragma once

#include <linux/types.h>

#include "fairlead/drop.h"
#include "fairlead/limits.h"

union fl_addr {
	__u8 b[16];
	__be32 w[4];
	__u64 q[2];
};

enum fl_family {
	FL_INET = 1,
	FL_INET6 = 2,
	FL_BOTH = 3,
};

/* ---- fl_control: one element. Daemon writes, programs read it once a packet ---- */
struct fl_control {
	__u32 layout;  /* FL_LAYOUT_VERSION */
	__u32 gen;     /* flow cache entries of another generation are stale. It only grows; see FL_GEN_SET() */
	__u32 forward; /* 0: nothing is forwarded (start, unload); 1: go */
	__u32 routing; /* enum fl_routing: what the kernel's tables have that most do not */
	__u64 reassembly_until_ns; /* CLOCK_MONOTONIC; outer fragments go up to the daemon's raw socket until then */
	__u64 held_until_ns; /* the same clock; packets to destinations in fl_held are dropped until then: their routes are being changed */
	__u32 icmp_ifindex; /* where a packet is sent to come back as an ICMP error; 0: nowhere yet */
	__u32 alive_until;  /* low word of jiffies64: until then a daemon watches routes and neighbours */
	__u8 policy[2];	    /* enum fl_policy, of each set */
	__u8 vips;	    /* 1: there are virtual addresses */
	__u8 sync;	    /* enum fl_sync: what peers want to hear of */
	__u8 pad[4];
	/* for daemons only: whose maps and programs these are. Written once */
	__u64 netns;	   /* SO_NETNS_COOKIE: the network namespace that they work in */
	char instance[64]; /* its name */
};
_Static_assert(sizeof(struct fl_control) == 120, "layout");

enum fl_policy {
	FL_POLICY_ON = 1 << 0,	 /* packets are judged, and have states; else all are forwarded */
	FL_POLICY_DNAT = 1 << 1, /* the list is not empty */
	FL_POLICY_SNAT = 1 << 2,
};

enum fl_routing {
	FL_ROUTING_TRANSPORT =
		1 << 0, /* rules by DSCP, protocol or ports, or routes by TOS: every packet is routed by itself */
	FL_ROUTING_MTU = 1 << 1, /* routes with an MTU of their own: fl_route_mtu has them */
};

/* Ports, tunnels and translations have two sets of tables. The generation says which one is in force: one word, read once. */
#define FL_GEN_SET(gen) ((gen)&1)
#define FL_GEN_NEXT(gen) ((gen) + 2)   /* the same set */
#define FL_GEN_SWITCH(gen) ((gen) + 1) /* the other set */

/* fl_held: LPM trie (IPv6 or IPv4-mapped prefix) -> 1: held; 0: has a route of its own that stays. Daemon writes */
struct fl_held_key {
	__u32 prefixlen; /* 32 + length */
	__u32 pad;
	union fl_addr addr;
};

/*
 * fl_route_mtu: hash MTU -> 1, of every route that has a locked one (`ip route … mtu lock N`). bpf_fib_lookup() says the MTU of the route,
 * or what ICMP has told of the path; only what is in here is believed. Daemon writes
 */

/* ---- fl_learned: one element, mapped. Programs write; of the daemon its timekeeper, gen alone ---- */
struct fl_learned {
	__u32 gen; /* added to control.gen; grows when a path MTU is learned, or a gateway's health changes. Atomically */
	__u32 jiffies;	  /* low word of jiffies64 … */
	__u64 jiffies_ns; /* … at this CLOCK_MONOTONIC; 0: not told yet */
};

/* ---- fl_ports: array by FL_PORT_INDEX(set, port number). Daemon writes ---- */
#define FL_PORT_INDEX(set, number) ((set)*FL_PORTS_MAX + (number))

enum fl_port_flags {
	FL_PORT_UP = 1 << 0,	   /* in use */
	FL_PORT_XDP_XMIT = 1 << 1, /* XDP may transmit by it */
	FL_PORT_TUNNEL = 1 << 2,   /* a tunnel's device */
	FL_PORT_BROKER = 1 << 3,   /* a tunnel with clients: sources are checked, destinations looked up */
	FL_PORT_L3 = 1 << 4,	   /* no Ethernet header */
	FL_PORT_ICMP = 1 << 5,	   /* where ICMP errors of our own come in */
	FL_PORT_NPT = 1 << 6,	   /* has prefix translations */
	FL_PORT_ANTISPOOF =
		1 << 7,		  /* sources of other interfaces' networks are dropped; of a tunnel: as its underlay */
	FL_PORT_OUTSIDE = 1 << 8, /* leads out: a tunnel's underlay, a default route's, where a prefix is delegated */
	FL_PORT_OWN4 = 1 << 9,	  /* addr4 is its own; else another port's */
	FL_PORT_OWN6 = 1 << 10,
	FL_PORT_MEMBER = 1 << 11, /* a gateway here is a member of a group that routes lead to */
	FL_PORT_VIP = 1 << 12,	  /* has virtual MACs: fl_vmacs */
	FL_PORT_SYNC = 1 << 13,	  /* other nodes are there: fl_pairs */
};

#define FL_UNDERLAY_GROUP 0xffff /* a group is the underlay: the ports that fl_ep_in names */

/* What fl_ifindex and fl_vlans say of a device: its port's number in each set, 0: not ours. */
struct fl_numbers {
	__u16 port[2];
};
#define FL_NUMBER_HIDDEN (1u << 15) /* the device is the hidden end of this port's */

struct fl_port {
	__u32 ifindex;	    /* of its device: for a VLAN the child */
	__u32 xmit_ifindex; /* by which XDP transmits: for a VLAN the parent */
	__u16 flags;
	__u16 vid;   /* VLAN tag that XDP pushes; 0: none */
	__u8 family; /* enum fl_family bits that fairlead takes here */
	__u8 pad;
	__u16 mtu6; /* for IPv6: what a router advertised, or an administrator set; else the device's */
	__u32 mtu;
	__u32 endpoint; /* of a tunnel with one remote; else 0 */
	__u8 mac[6];
	__u16 underlay;	    /* of a tunnel: the port that outers must come in by, or FL_UNDERLAY_GROUP; else 0 */
	__be32 addr4;	    /* sources of ICMP errors for what came in here; 0: none */
	__u32 peer_ifindex; /* of a tunnel: its device's hidden end, by which the router's own packets come; else 0 */
	union fl_addr addr6;
	__u16 gateway[2]; /* number of its IPv4 and of its IPv6 gateway; 0: none */
	__u16 member[2];  /* the same of the first that is a member of a group that routes lead to (FL_PORT_MEMBER) */
};
_Static_assert(sizeof(struct fl_port) == 64, "layout");

/* fl_tx: devmap FL_PORT_INDEX() -> xmit_ifindex, of every port with an Ethernet header. Daemon writes; XDP redirects by it */

/* fl_vlans: hash (device, VLAN) -> numbers; also devices with an ifindex of FL_IFINDEX_MAX and up, vid 0 */
struct fl_vlan_key {
	__u32 ifindex;
	__u32 vid;
};

/* ---- fl_port_stats: per-CPU array by port number. Programs write, each packet once, by the floor that finishes it ---- */
struct fl_port_stats {
	__u64 rx_packets, rx_bytes; /* finished packets that came in here */
	__u64 tx_packets, tx_bytes; /* that left here */
	__u64 xdp_packets;	    /* of rx_packets, those that XDP finished */
};

/* ---- fl_drops: per-CPU array by port * FL_DROP_SLOTS + reason. Programs write ---- */
struct fl_drop_stats {
	__u64 packets, bytes;
	__u64 last_ns; /* CLOCK_MONOTONIC, coarse */
};

/* ---- tunnels ---- */

/*
 * fl_ep_in: hash (set, local, remote) -> FL_EP_IN(tunnel's port, endpoint), so that a decapsulated packet touches no
 * endpoint. remote 0 marks an address that tunnels use, with endpoint 0: strangers are dropped. With a port: outers of a tunnel over a
 * group may come in there; local is the tunnel's by that member, remote FL_EP_IN_MEMBER().
 */
#define FL_EP_IN(tunnel, endpoint) ((__u32)(tunnel) << 16 | (endpoint))
#define FL_EP_IN_TUNNEL(value) ((value) >> 16)
#define FL_EP_IN_ENDPOINT(value) ((value)&0xffff)
#define FL_EP_IN_MEMBER(tunnel) ((__be32)(tunnel)) /* its port */
_Static_assert(FL_ENDPOINTS_MAX <= 0x10000, "an endpoint has 16 bits in fl_ep_in");
struct fl_endpoint_key {
	__u16 set;
	__u16 port; /* a member's interface; else 0 */
	__be32 local;
	__be32 remote;
};

enum fl_endpoint_flags {
	FL_EP_DYNAMIC_MTU = 1 << 0, /* RFC 4213 3.2.2: DF set above 1280, learns the path MTU; else 3.2.1: DF clear */
};

#define FL_DSCP_COPY 0xff
#define FL_MSS_OFF 0
#define FL_MSS_AUTO 0xffff

/* fl_ep: array. Daemon writes. Index 0 is none */
struct fl_endpoint {
	__be32 local; /* 0: the address of whichever port of the group it leaves by */
	__be32 remote;
	__u32 underlay_ifindex; /* outers leave by it, where there is no group */
	__u16 underlay;		/* its port; of a group that of the smallest MTU */
	__u16 tunnel;		/* port of the tunnel's device */
	__u32 mtu;		/* inner; configured, or the underlay's less 20 */
	__u16 mss;		/* FL_MSS_* or a value */
	__u8 ttl;
	__u8 dscp; /* 0 to 63 or FL_DSCP_COPY */
	__u8 flags;
	__u8 pad;
	__u16 group; /* outers leave by the gateway that carries for it; 0: none */
	__u8 pad2[4];
};
_Static_assert(sizeof(struct fl_endpoint) == 32, "layout");

/* fl_ep_path: array by endpoint. Programs write (tc), daemon reads and clears */
struct fl_endpoint_path {
	__u32 mtu;	 /* inner MTU that the path reported; 0: nothing reported */
	__u32 expires_s; /* CLOCK_MONOTONIC; forgotten then (RFC 1191 6.3: 10 minutes) */
};

/*
 * fl_ep_stats: array by FL_EP_STATS_INDEX(); programs write, each its CPU's. No per-CPU array, which takes one cache line more to
 * find a CPU's value: with thousands of clients each line is a cold one. Inner packets and bytes
 */
#define FL_EP_STATS_INDEX(cpu, endpoint) ((cpu)*FL_ENDPOINTS_MAX + (endpoint))

struct fl_endpoint_stats {
	__u64 rx_packets, rx_bytes;
	__u64 tx_packets, tx_bytes;
};

/*
 * fl_clients: LPM trie (set, tunnel port, IPv6 prefix) -> endpoint. Daemon writes. Destinations and legal inner sources; and with tunnel 0
 * the configured routes (IPv4 as mapped), where groups have some -> 1: this one leads to a group, 0: it does not
 */
struct fl_client_route_key {
	__u32 prefixlen; /* 32 + length */
	__u16 set;
	__u16 tunnel;
	union fl_addr addr;
};

/* ---- prefix translation ---- */

enum fl_npt_mode {
	FL_NPT_RFC6296 = 0,
	FL_NPT_PLAIN = 1,
	FL_NPT_UNKNOWN = 2, /* no external prefix yet: nothing has a translation */
};

/* fl_npt: array. Daemon writes. Index 0 is none. Both prefixes have `len` bits: the shorter is extended by zeros (RFC 6296 3.1) */
struct fl_npt {
	union fl_addr internal; /* bits behind `len` are 0 */
	union fl_addr external;
	__u16 adjust; /* internal -> external: sum(internal) - sum(external), one's complement, as loaded from network order */
	__u8 len;			 /* 1 to 64 */
	__u8 mode;			 /* enum fl_npt_mode */
	__u16 port;			 /* outside */
	__u8 internal_len, external_len; /* as configured */
};
_Static_assert(sizeof(struct fl_npt) == 40, "layout");

enum fl_npt_dir {
	FL_NPT_OUT = 0,	    /* internal prefix, by the port that it leaves by */
	FL_NPT_IN = 1,	    /* external prefix, by the port that it comes in by */
	FL_NPT_HAIRPIN = 2, /* external prefix, port 0: from inside to an inside host's outside address */
};

/* fl_npt_prefix: LPM trie (set, direction, port, IPv6 prefix as configured) -> npt. Daemon writes */
struct fl_npt_key {
	__u32 prefixlen; /* 32 + length */
	__u8 set;
	__u8 dir;
	__u16 port;
	union fl_addr addr;
};

/* fl_npt_stats: per-CPU array by npt. Programs write */
struct fl_npt_stats {
	__u64 out_packets, out_bytes;
	__u64 in_packets, in_bytes;
	__u64 untranslatable;
};

/* ---- next hops ---- */

/* fl_nh_by_addr: hash -> index in fl_nh. Daemon writes */
struct fl_nexthop_key {
	__u32 ifindex;
	__u32 pad;
	union fl_addr addr;
};

/* fl_nh: array. Daemon writes from netlink; programs correct MACs from the FIB in the slow path, so also with the daemon dead */
struct fl_nexthop {
	__u64 dmac; /* 6 bytes in memory order, then 0; one store changes it */
	__u64 smac;
	union fl_addr addr;
	__u32 port;
	__u32 used; /* low word of jiffies64 when a flow last asked for it; the daemon keeps used ones resolved */
	__u8 valid;
	__u8 pad[7];
};
_Static_assert(sizeof(struct fl_nexthop) == 48, "layout");

/*
 * fl_nh_failed: LRU hash, neighbours that the kernel asked for in vain; key as in fl_nh_by_addr. Daemon writes and removes; programs (tc)
 * note that somebody wants one, for the daemon to have the kernel ask again
 */
struct fl_failed {
	__u32 until_s; /* CLOCK_MONOTONIC; packets for it are answered with Destination Unreachable until then */
	__u32 asked_s; /* when the last one was; 0: none */
};

/*
 * fl_locals: hash address -> port; every address of the router, and of each IPv4 network on a link its broadcast address. Port 0 where
 * the device is not fairlead's. Daemon writes
 */
#define FL_LOCAL_BROADCAST (1u << 31) /* with the port */

/*
 * fl_flows: array, FL_FLOWS a CPU, each read and written by its CPU alone: what the tables said of (port, outer addresses,
 * source, destination). A memo, no state.
 */
#define FL_FLOW_OWN 0x8000	/* in from */
#define FL_FLOW_INET 0x4000	/* in from: IPv4, whose addresses IPv6 could write too */
#define FL_FLOW_BY_STATE 0x2000 /* in from: no prefixes are translated, a state or a rule has said the addresses */

/* Of jiffies64, coarse: comes round after an hour or more */
#define FL_STAMP(jiffies) ((__u16)((jiffies) >> 6))

/* In xmit: the VLAN tag that XDP pushes (0: none), and whether it can send there at all. */
#define FL_FLOW_VID 0x0fff
#define FL_FLOW_ETHERNET 0x1000	 /* the device has an Ethernet header: generic XDP can */
#define FL_FLOW_XDP_XMIT 0x2000	 /* native XDP can */
#define FL_FLOW_NEIGHBOUR 0x4000 /* no more of the way out: the source is on the link that it comes by */

struct fl_flow {
	union fl_addr src, dst; /* as received; of the inner packet where it came in a tunnel */
	__u64 outer;		/* source and destination of the outer header, as they lie there; 0: plain */
	__u32 gen;		/* control.gen + learned.gen */
	__u16 stamp;		/* FL_STAMP() */
	__u16 gateway;		/* by it, whatever the routing table says: number; 0: as routed */
	__u16 from; /* port that the frame came in by; or FL_FLOW_OWN and the one that the router's own leaves by. FL_FLOW_INET */
	__u16 in_endpoint; /* decapsulated from; 0: plain */
	__u16 endpoint;	   /* encapsulate by it; 0: plain */
	__u16 nexthop;	   /* index */
	__u16 xmit;	   /* FL_FLOW_*: what XDP must know of the port that the frame leaves by */
	__u16 mtu;	   /* of the inner packet; capped at 65535 */
	__u16 npt_src;	   /* translation of the source, internal to external: index; 0: none */
	__u16 npt_dst;	   /* of the destination, external to internal */
};
_Static_assert(sizeof(struct fl_flow) == 64, "one cache line");

/* fl_flow_tags: array, FL_FLOW_SETS a CPU: of each entry of the set in fl_flows some bits of its flow's hash. 0: empty. Programs write */
struct fl_flow_tags {
	__u16 tag[FL_FLOW_WAYS];
};
_Static_assert(sizeof(struct fl_flow_tags) == 8, "no padding");

/* ---- explain: global data of the second load, where nothing is sent ---- */
enum fl_verdict {
	FL_VERDICT_NONE,
	FL_VERDICT_FORWARD,
	FL_VERDICT_DELIVER, /* to the host, also what only the kernel can answer (no route) */
	FL_VERDICT_DROP,
	FL_VERDICT_ERROR, /* dropped and answered with an ICMP error */
};

#define FL_ICMP_RESET 0xff /* where an ICMP type stands: the answer is a TCP reset */

enum fl_explain_flags {
	FL_EXPLAIN_JUDGED =
		1 << 0, /* by states and rules: what follows in struct fl_explain from `rule` on says something */
	FL_EXPLAIN_KNOWN = 1 << 1, /* of the connection that `state` has */
	FL_EXPLAIN_ERROR = 1 << 2, /* an ICMP error about a packet of that */
	FL_EXPLAIN_NEW = 1 << 3,   /* begins one, which gets a state */
	FL_EXPLAIN_LOCAL = 1 << 4, /* for the host itself */
	FL_EXPLAIN_LOG = 1 << 5,   /* is logged */
};

struct fl_explain {
	__u32 verdict;
	__u32 reason;		 /* enum fl_drop */
	__u32 in_port, out_port; /* out_port: the tunnel's where it is encapsulated */
	__u32 in_endpoint, endpoint;
	__u32 xmit_port; /* the outer's, or out_port */
	__u32 npt_src, npt_dst;
	__u32 mtu;
	__u8 icmp_type, icmp_code, resolved, pad;
	union fl_addr src, dst; /* translated */
	union fl_addr nexthop;	/* of the frame: the outer packet's where it is encapsulated */
	union fl_addr gateway;	/* of the packet itself, as the routing table has it; 0: the router's own */
	__u32 flags;		/* enum fl_explain_flags */
	__u32 state;		/* slot */
	__u16 rule[2], decider; /* ids of those that judged it, `in` and `out`, and of the last of them; 0: none did */
	__u16 snat, dnat;	/* ids of translations that fit */
	__u16 steer;		/* number of the gateway that a rule or the state says; 0: as routed */
	__be16 sport, dport;	/* translated, of src and dst; identifiers of ICMP queries */
};
