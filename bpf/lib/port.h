/* SPDX-License-Identifier: GPL-2.0-only */
/* Ports: the interfaces and tunnels that fairlead works on, by number; their counters. */
#pragma once

#include "lib/control.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FL_IFINDEX_MAX);
	__uint(map_flags, BPF_F_RDONLY_PROG);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct fl_numbers);
} fl_ifindex SEC(".maps"); /* by ifindex. Daemon writes */

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2 * FL_PORTS_MAX);
	__uint(map_flags, BPF_F_RDONLY_PROG);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct fl_vlan_key);
	__type(value, struct fl_numbers);
} fl_vlans SEC(".maps"); /* Daemon writes */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2 * FL_PORTS_MAX);
	__uint(map_flags, BPF_F_RDONLY_PROG);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct fl_port);
} fl_ports SEC(".maps"); /* Daemon writes */

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, FL_PORTS_MAX);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct fl_port_stats);
} fl_port_stats SEC(".maps");

/* Number of the port of (device, VLAN), with FL_NUMBER_HIDDEN where it is a hidden end; 0 when it is not ours. */
static __always_inline __u32 port_number(__u32 set, __u32 ifindex, __u16 vid)
{
	struct fl_vlan_key key = { .ifindex = ifindex, .vid = vid };
	const struct fl_numbers *numbers;

	if (vid == 0 && ifindex < FL_IFINDEX_MAX)
		numbers = bpf_map_lookup_elem(&fl_ifindex, &ifindex);
	else
		numbers = bpf_map_lookup_elem(&fl_vlans, &key);
	return numbers ? numbers->port[set & 1] : 0;
}

static __always_inline const struct fl_port *port_get(__u32 set, __u32 number)
{
	__u32 index = FL_PORT_INDEX(set, number);

	return bpf_map_lookup_elem(&fl_ports, &index);
}

/* What a flow that leaves by the port keeps of it: FL_FLOW_*. */
static __always_inline __u16 port_xmit(const struct fl_port *port)
{
	__u16 xmit = port->vid & FL_FLOW_VID;

	if (port->flags & FL_PORT_L3)
		return xmit;
	return xmit | FL_FLOW_ETHERNET | (port->flags & FL_PORT_XDP_XMIT ? FL_FLOW_XDP_XMIT : 0);
}

static __always_inline void port_count_rx(__u32 number, __u32 bytes)
{
	struct fl_port_stats *stats = bpf_map_lookup_elem(&fl_port_stats, &number);

	if (!stats || fl_dry_run)
		return;
	stats->rx_packets++;
	stats->rx_bytes += bytes;
#ifdef CTX_IS_XDP
	stats->xdp_packets++;
#endif
}

static __always_inline void port_count_tx(__u32 number, __u32 bytes)
{
	struct fl_port_stats *stats = bpf_map_lookup_elem(&fl_port_stats, &number);

	if (!stats || fl_dry_run)
		return;
	stats->tx_packets++;
	stats->tx_bytes += bytes;
}
