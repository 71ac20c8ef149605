/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Strays: packets of no connection that this node knows, which a peer may know (include/fairlead/sync.h). tc hands them up; XDP leaves them
 * to it.
 */
#pragma once

#include "fairlead/sync.h"
#include "lib/reject.h"
#include "lib/scratch.h"

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, FL_ASKED_MAX);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct fl_tuple);
	__type(value, __u32);
} fl_asked SEC(".maps"); /* Daemon writes */

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct fl_stray_stats);
} fl_stray_stats SEC(".maps");

#define STAGE_STRAY 7  /* a peer may know its connection */
#define STRAY_WINDOW 5 /* of jiffies, as a power of two: how long FL_STRAYS_MAX are for */

/* In the midst of a connection, or the answer to its first packet. Of another protocol only what is blocked can be told from a first one. */
static __always_inline bool stray_is(const struct scratch *s, int verdict)
{
	if (!s->pkt.judged || !s->stranger)
		return false;
	if (s->message == MESSAGE_ERROR)
		return verdict == -FL_DROP_RULE && s->quote.proto;
	if (verdict == -FL_DROP_RULE || (verdict == STAGE_ERROR && s->pkt.reason == FL_DROP_REJECTED))
		return true;
	return (verdict == STAGE_GO || verdict == STAGE_DELIVER) && is_segment(&s->pkt) &&
	       (s->seg.flags & (TCP_SYN | TCP_ACK)) != TCP_SYN;
}

/* Whether somebody is to be asked about the packet, of which `verdict` would become: STAGE_STRAY; else the verdict. */
GLOBAL int stray_or(int verdict)
{
	const struct fl_control *control = control_get();
	struct scratch *s = scratch_at(); /* no argument: Linux 6.1 takes no key from there */
	struct fl_stray_stats *stats;
	__u32 zero = 0, now = bpf_jiffies64();
	const __u32 *until;

	if (!s || !control || !(control->sync & FL_SYNC_ASK) || fl_dry_run || !stray_is(s, verdict) ||
	    !daemon_is_alive(now - DAEMON_LATE_S * fl_hz))
		return verdict;
	if (s->message == MESSAGE_ERROR) /* its connection is that of what it quotes */
		quote_tuple(&s->conn, &s->quote);
	until = bpf_map_lookup_elem(&fl_asked, &s->conn.key);
	if (until && (__s32)(*until - now) > 0)
		return verdict;
	stats = bpf_map_lookup_elem(&fl_stray_stats, &zero);
	if (!stats)
		return verdict;
	if (stats->window != now >> STRAY_WINDOW) {
		stats->window = now >> STRAY_WINDOW;
		stats->n = 0;
	}
	if (stats->n < FL_STRAYS_MAX)
		return STAGE_STRAY;
	stats->too_many++;
	return verdict;
}

#ifdef CTX_IS_SKB
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, FL_STRAYS_RING);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} fl_strays SEC(".maps"); /* Programs write, the daemon reads */

/* 1: the daemon has the packet now, or of a bigger one only the question: its sender sends it once more. */
GLOBAL int stray_offer(struct fl_ctx *ctx, struct scratch *s)
{
	struct fl_stray_stats *stats;
	struct fl_stray *stray;
	__u32 zero = 0, len;

	if (!s)
		return 0;
	stats = bpf_map_lookup_elem(&fl_stray_stats, &zero);
	stray = bpf_ringbuf_reserve(&fl_strays, sizeof(*stray), 0);
	if (!stray)
		return 0;
	if (stats) {
		stats->n++;
		stats->offered++;
	}
	stray->time_ns = bpf_ktime_get_ns();
	stray->ifindex = ctx_ifindex(ctx);
	stray->key = s->conn.key;
	stray->l3 = s->pkt.l3;
	stray->l4 = s->pkt.l4;
	stray->family = s->pkt.family;
	__builtin_memset(stray->pad, 0, sizeof(stray->pad));
	len = ctx_len(ctx);
	stray->len = 0;
	if (len > 0 && len <= FL_STRAY_FRAME) {
		stray->len = len;
		if (!pkt_copy(ctx, 0, stray->frame, len, FL_STRAY_FRAME)) {
			bpf_ringbuf_discard(stray, 0);
			return 0;
		}
	}
	bpf_ringbuf_submit(stray, 0);
	return 1;
}
#endif
