/* SPDX-License-Identifier: GPL-2.0-only */
/* Virtual addresses and their MACs: what this node may answer for, and until when. */
#pragma once

#include "fairlead/maps.h"

#define FL_VIPS_MAX 256 /* vhids on all interfaces; a configuration with more is refused */

/*
 * fl_leases: array, mapped, by the number that the two tables below tell: until when this node has the addresses of a vhid, in ns of
 * CLOCK_MONOTONIC. 0: another has them; FL_LEASE_FOREVER: no other node is there that would take them from one that has died. Its timekeeper
 * writes it (with stores, no call), programs read it: a daemon that is stopped for a while does not answer for what its peer has taken.
 */
#define FL_LEASE_FOREVER (~0ull)

/* fl_vmacs: hash -> struct fl_vmac. Of a VLAN twice: as its parent's XDP sees its frames, and as tc of the device does. Daemon writes */
struct fl_vmac_key {
	__u32 ifindex;
	__u16 vid;
	__u8 vhid; /* the last byte of 00:00:5e:00:01:vhid */
	__u8 pad;
};

struct fl_vmac {
	__u16 lease;
	__u8 mac[6]; /* the device's own */
};

/* fl_vips: hash -> struct fl_vip. Daemon writes */
struct fl_vip_key {
	union fl_addr addr;
	__u32 ifindex; /* of a link-local address, else 0 */
	__u32 pad;
};

struct fl_vip {
	__u16 lease;
	__u8 vhid;
	__u8 pad;
};

/* fl_pairs: hash -> 1, of nodes that tell each other what they know, on a port with FL_PORT_SYNC. Daemon writes */
struct fl_pair_key {
	union fl_addr local, remote;
	__u32 ifindex; /* of the port's device */
	__be16 port;   /* TCP or UDP, of either end */
	__u16 pad;
};
