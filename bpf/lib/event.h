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

/* An event that is being made: too much for the stack. Not pinned, so that each object has its own. */
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

/* What the pipeline says of a packet; the rest is read from it. */
struct event {
	union fl_addr src, dst; /* as the rules see them */
	__be16 sport, dport;
	__u16 port;   /* number, that it came in or leaves by */
	__u16 rule;   /* id */
	__u8 verdict; /* enum fl_event_verdict */
	__u8 reason;  /* enum fl_drop; 0: passed */
	__u8 flags;   /* FL_EVENT_OUT */
};

/* Copies the packet's first bytes to e->data, across buffers where it lies in more than one. Returns how many. */
static __always_inline __u32 event_capture(struct fl_ctx *ctx, const struct pkt *pkt, struct fl_event *e)
{
	__u32 len = pkt->len, room = ctx_len(ctx);

	room = room > pkt->l3 ? room - pkt->l3 : 0;
	if (len > room)
		len = room;
	if (len > FL_EVENT_DATA_MAX)
		len = FL_EVENT_DATA_MAX;
	hide(len);
	if (len < 1 || len > FL_EVENT_DATA_MAX || ctx_load_bytes(ctx, pkt->l3, e->data, len))
		return 0;
	return len;
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
 * Logs the packet, before it is changed. Costs a lookup where the ring is full, and nothing where nobody calls. Returns 0: programs
 * have no use for what came of it.
 */
GLOBAL int event_log(struct fl_ctx *ctx, const struct pkt *pkt, const struct event *what)
{
	struct fl_event_stats *stats;
	__u32 zero = 0, captured;
	struct fl_event *e;

	if (!pkt || !what || fl_dry_run)
		return 0;
	stats = bpf_map_lookup_elem(&fl_event_stats, &zero);
	e = bpf_map_lookup_elem(&fl_event_new, &zero);
	if (!stats || !e)
		return 0;
	if (bpf_ringbuf_query(&fl_events, BPF_RB_AVAIL_DATA) > FL_EVENT_RING - sizeof(*e) - BPF_RINGBUF_HDR_SZ) {
		stats->lost++;
		return 0;
	}
	__builtin_memset(e, 0, offsetof(struct fl_event, data));
	e->time_ns = bpf_ktime_get_boot_ns();
	e->src = what->src;
	e->dst = what->dst;
	e->sport = what->sport;
	e->dport = what->dport;
	e->port = what->port;
	e->rule = what->rule;
	e->verdict = what->verdict;
	e->reason = what->reason;
	e->flags = what->flags | EVENT_HOOK;
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
