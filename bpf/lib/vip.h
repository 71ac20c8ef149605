/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Virtual addresses (CARP). Frames to a virtual MAC are this node's while it has the vhid's lease: XDP makes them frames to the device's own
 * MAC at the door, so that nothing behind it knows of virtual ones; tc tells the kernel. See vip_host.h for the way out.
 */
#pragma once

#include "fairlead/vip.h"
#include "lib/csum.h"
#include "lib/packet.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FL_VIPS_MAX);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, __u64);
} fl_leases SEC(".maps"); /* Daemon's timekeeper writes */

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2 * FL_VIPS_MAX);
	__uint(map_flags, BPF_F_RDONLY_PROG);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct fl_vmac_key);
	__type(value, struct fl_vmac);
} fl_vmacs SEC(".maps"); /* Daemon writes */

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, FL_VIP_ADDRESSES_MAX);
	__uint(map_flags, BPF_F_RDONLY_PROG);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct fl_vip_key);
	__type(value, struct fl_vip);
} fl_vips SEC(".maps"); /* Daemon writes */

static __always_inline bool lease_holds(__u32 number)
{
	const volatile __u64 *until = bpf_map_lookup_elem(&fl_leases, &number);
	__u64 ns = until ? *until : 0;

	return ns == FL_LEASE_FOREVER || ns > bpf_ktime_get_ns();
}

/* 00:00:5e:00:01:vhid, RFC 5798 7.3 and CARP's; *vhid */
static __always_inline bool is_vmac(const __u8 *mac, __u8 *vhid)
{
	const __u16 *words = (const __u16 *)mac;

	*vhid = mac[5];
	return !(words[0] | (words[1] ^ bpf_htons(0x5e00)) | (mac[4] ^ 1));
}

/* The vhid's entry if this node has the lease. */
static __always_inline const struct fl_vmac *vmac_find(__u32 ifindex, __u16 vid, __u8 vhid)
{
	struct fl_vmac_key key = { .ifindex = ifindex, .vid = vid, .vhid = vhid };
	const struct fl_vmac *vmac = bpf_map_lookup_elem(&fl_vmacs, &key);

	return vmac && lease_holds(vmac->lease) ? vmac : NULL;
}
