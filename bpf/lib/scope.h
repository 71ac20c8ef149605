/* SPDX-License-Identifier: GPL-2.0-only */
/* What an address is by itself: the router's own, a group's, or one that is never forwarded. */
#pragma once

#include "lib/packet.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, FL_LOCALS_MAX);
	__uint(map_flags, BPF_F_RDONLY_PROG);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, union fl_addr);
	__type(value, __u32);
} fl_locals SEC(".maps"); /* Daemon writes */

/* Linux 6.1 takes no key that lies in an argument of a global function: a copy on the stack. */
static __always_inline const __u32 *local_find(const union fl_addr *addr)
{
	union fl_addr key = *addr;

	return bpf_map_lookup_elem(&fl_locals, &key);
}

static __always_inline bool is_local(const union fl_addr *addr)
{
	return local_find(addr);
}

/* The broadcast address of an IPv4 network on one of our links. */
static __always_inline bool is_broadcast(const union fl_addr *addr)
{
	const __u32 *local = local_find(addr);

	return local && (*local & FL_LOCAL_BROADCAST);
}

static __always_inline bool is_link_local(const union fl_addr *a)
{
	return a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80;
}

/* Multicast, or IPv4's broadcast to this link. */
static __always_inline bool is_group(const union fl_addr *a, __u8 family)
{
	return family == FL_INET6 ? a->b[0] == 0xff : a->b[12] >> 4 == 14 || a->w[3] == 0xffffffff;
}

/* ::ffff:0:0/96: IPv4 addresses in sockets and in our maps; on the wire they would be taken for those (RFC 6890 2.2.3). */
static __always_inline bool is_mapped(const union fl_addr *a)
{
	return a->q[0] == 0 && a->w[2] == bpf_htonl(0xffff);
}

/* Sources and destinations that are never forwarded: STAGE_GO, STAGE_DELIVER or -FL_DROP_*. */
static __always_inline int scope_check6(const union fl_addr *src, const union fl_addr *dst)
{
	if (is_mapped(src) || is_mapped(dst) || src->b[0] == 0xff ||
	    (src->q[0] == 0 && src->q[1] == bpf_cpu_to_be64(1)) ||
	    (dst->q[0] == 0 && (dst->q[1] == bpf_cpu_to_be64(1) || dst->q[1] == 0)))
		return -FL_DROP_MARTIAN;
	if (dst->b[0] == 0xff || is_link_local(dst) || is_local(dst))
		return STAGE_DELIVER;
	if (is_link_local(src) || (src->q[0] == 0 && src->q[1] == 0))
		return -FL_DROP_SCOPE;
	return STAGE_GO;
}

static __always_inline int scope_check4(const union fl_addr *src, const union fl_addr *dst)
{
	__u32 s = bpf_ntohl(src->w[3]), d = bpf_ntohl(dst->w[3]);

	if (s >> 24 == 127 || d >> 24 == 127 || s >> 28 == 14 || s == 0xffffffff ||
	    is_broadcast(src)) /* RFC 1812 5.3.7 */
		return -FL_DROP_MARTIAN;
	if (d >> 28 == 14 || d == 0xffffffff || is_local(dst))
		return STAGE_DELIVER;
	if (s >> 24 == 0 || s >> 28 == 15 || d >> 24 == 0 || d >> 28 == 15)
		return -FL_DROP_MARTIAN;
	if (s >> 16 == 0xa9fe || d >> 16 == 0xa9fe)
		return -FL_DROP_SCOPE;
	return STAGE_GO;
}
