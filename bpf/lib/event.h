/* SPDX-License-Identifier: GPL-2.0-only */
/* Logging packets: what a rule with `log` has said of one goes to the daemon, with the packet's first bytes. */
#pragma once

#include "fairlead/event.h"
#include "lib/packet.h"

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, FL_EVENT_RING);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} fl_events SEC(".maps"); /* Programs write, the daemon reads */

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct fl_event_stats);
} fl_event_stats SEC(".maps");

/* The event that is being made: on a program's stack it would be too much. Not pinned, so that each object has its own. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct fl_event);
} fl_event_new SEC(".maps");

#ifdef CTX_IS_XDP
#define EVENT_HOOK FL_EVENT_XDP
#else
#define EVENT_HOOK 0
#endif

static __always_inline struct fl_event *event_element(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&fl_event_new, &zero);
}

/*
 * Starts an event, of which the caller says what the packet does not: src, dst, sport and dport as the rules see them, port, rule,
 * verdict, reason, FL_EVENT_OUT in flags. Then event_log(). NULL: there is nothing to log.
 */
static __always_inline struct fl_event *event_begin(void)
{
	struct fl_event *e = fl_dry_run ? NULL : event_element();

	if (e)
		__builtin_memset(e, 0, offsetof(struct fl_event, data));
	return e;
}

/* Copies the packet's first bytes to e->data, across buffers where it lies in more than one. Returns how many. */
static __always_inline __u32 event_capture(struct fl_ctx *ctx, const struct pkt *pkt, struct fl_event *e)
{
	__u32 len = pkt->len, room = ctx_len(ctx);

	room = room > pkt->l3 ? room - pkt->l3 : 0;
	if (len > room)
		len = room;
	if (len > FL_EVENT_DATA_MAX)
		len = FL_EVENT_DATA_MAX;
	if (len == 0)
		return 0;
	return pkt_copy(ctx, pkt->l3, e->data, len, FL_EVENT_DATA_MAX);
}

static __always_inline void event_transport(struct fl_ctx *ctx, const struct pkt *pkt, struct fl_event *e)
{
	const __u8 *h = pkt->l4 ? pkt_at(ctx, pkt->l4, L4_MAX, 14) : NULL;

	e->tcp_flags = h && pkt->proto == IPPROTO_TCP ? h[13] : 0;
	h = pkt->l4 ? pkt_at(ctx, pkt->l4, L4_MAX, 2) : NULL;
	if (!h || (pkt->proto != IPPROTO_ICMP && pkt->proto != IPPROTO_ICMPV6))
		return;
	e->icmp_type = h[0];
	e->icmp_code = h[1];
}

/*
 * Logs the packet, before it is changed, as event_begin()'s caller says. Where the ring is full that is all that is done. Returns 0:
 * programs have no use for what came of it.
 */
GLOBAL int event_log(struct fl_ctx *ctx, const struct pkt *pkt)
{
	struct fl_event_stats *stats;
	__u32 zero = 0, captured;
	struct fl_event *e;

	if (!pkt || fl_dry_run)
		return 0;
	stats = bpf_map_lookup_elem(&fl_event_stats, &zero);
	e = event_element();
	if (!stats || !e)
		return 0;
	if (bpf_ringbuf_query(&fl_events, BPF_RB_AVAIL_DATA) > FL_EVENT_RING - sizeof(*e) - BPF_RINGBUF_HDR_SZ) {
		stats->lost++;
		return 0;
	}
	e->time_ns = bpf_ktime_get_boot_ns();
	e->flags |= EVENT_HOOK;
	e->len = pkt->len;
	e->family = pkt->family;
	e->proto = pkt->proto;
	event_transport(ctx, pkt, e);
	captured = event_capture(ctx, pkt, e);
	e->captured = captured;
	if (bpf_ringbuf_output(&fl_events, e, offsetof(struct fl_event, data) + captured, 0))
		stats->lost++;
	else
		stats->written++;
	return 0;
}
