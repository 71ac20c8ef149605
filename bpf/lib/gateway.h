/* SPDX-License-Identifier: GPL-2.0-only */
/* Gateways and groups: which one a packet goes by. */
#pragma once

#include "fairlead/gateway.h"
#include "lib/scratch.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2 * FL_GATEWAYS_MAX);
	__uint(map_flags, BPF_F_RDONLY_PROG);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct fl_gateway);
} fl_gateways SEC(".maps"); /* Daemon writes */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FL_GATEWAYS_MAX);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, __u32);
} fl_health SEC(".maps"); /* Daemon writes */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4 * FL_GROUPS_MAX);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct fl_group);
} fl_groups SEC(".maps"); /* Daemon writes */

static __always_inline const struct fl_gateway *gateway_get(__u32 set, __u32 number)
{
	__u32 index = FL_GATEWAY_INDEX(set & 1, number & (FL_GATEWAYS_MAX - 1));

	return bpf_map_lookup_elem(&fl_gateways, &index);
}

/* For packets of the family. */
static __always_inline bool gateway_is_up(__u32 number, __u8 family)
{
	const __u32 *health = bpf_map_lookup_elem(&fl_health, &number);

	return health && *health & family & FL_HEALTH_UP;
}

/* Where in a group's slots a packet falls. */
static __always_inline __u32 group_slot(const struct subject *sub, bool by_source)
{
	__u64 h = sub->src.q[0] * 0x9e3779b97f4a7c15ULL + sub->src.q[1];

	h = (h ^ h >> 32) * 0xc2b2ae3d27d4eb4fULL;
	if (!by_source) {
		h += sub->dst.q[0] * 0x165667b19e3779f9ULL + sub->dst.q[1];
		h = (h ^ h >> 29) * 0x9fb21c651e98df25ULL;
		h += (__u64)sub->proto << 32 | (__u32)sub->sport << 16 | sub->dport;
	}
	h = (h ^ h >> 32) * 0xd6e8feb86659fd93ULL;
	return (h >> 32) * FL_GROUP_SLOTS >> 32;
}

/* The gateway that a rule's `via` means for s->subject: itself, or the member of the group. 0: there is none that its family can use */
GLOBAL __u32 via_gateway(struct scratch *s, __u32 via)
{
	const struct fl_group *group;
	__u32 index, slot;

	if (!s)
		return 0;
	if (!(via & FL_VIA_GROUP))
		return gateway_is_up(via, s->pkt.family) ? via : 0;
	index = FL_GROUP_INDEX(s->pkt.set & 1, via & (FL_GROUPS_MAX - 1), s->pkt.family == FL_INET6);
	group = bpf_map_lookup_elem(&fl_groups, &index);
	if (!group)
		return 0;
	slot = group_slot(&s->subject, group->flags & FL_GROUP_BY_SOURCE);
	return slot < FL_GROUP_SLOTS ? group->slot[slot] : 0;
}

/* The gateway that answers go by, as a rule's `reply_to` says, be it up or not. 0: there is none for the family */
static __always_inline __u32 reply_via(struct scratch *s, __u32 via)
{
	const struct fl_gateway *gateway;

	if (via & FL_VIA_GROUP)
		return via_gateway(s, via);
	gateway = via ? gateway_get(s->pkt.set, via) : NULL;
	return gateway && gateway->family & s->pkt.family ? via : 0;
}
