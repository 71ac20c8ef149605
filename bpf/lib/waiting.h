/* SPDX-License-Identifier: GPL-2.0-only */
/* Fragments that have overtaken their first one: the daemon keeps them, for a moment, and has them come in again once that one has been forwarded. */
#pragma once

#include "lib/transport.h"

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, FL_WAITING_RING);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} fl_waiting SEC(".maps"); /* Programs write, the daemon reads */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FL_PORTS_MAX);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct fl_waited);
} fl_waited SEC(".maps"); /* Daemon writes: what it counts stays when it ends, as what the programs count */

/* Whether its first one may still come. So may the frame again only where it has an Ethernet header. */
static __always_inline bool fragment_may_wait(const struct pkt *pkt)
{
	return pkt->judged && pkt->outer && fragment_is_later(pkt) && transport_check(pkt) == STAGE_GO && !fl_dry_run &&
	       daemon_is_alive(bpf_jiffies64() - DAEMON_LATE_S * fl_hz);
}

/* Of a packet that is dropped as FL_DROP_FRAGMENT: 1 if the daemon has it now, which counts it, too, should its first one not come. */
GLOBAL int fragment_wait(struct fl_ctx *ctx, struct scratch *s)
{
	struct fl_waiting *w;
	__u32 len;

	if (!s || !fragment_may_wait(&s->pkt))
		return 0;
	len = ctx_len(ctx);
	if (len == 0 || len > FL_WAITING_FRAME)
		return 0;
	w = bpf_ringbuf_reserve(&fl_waiting, sizeof(*w), 0);
	if (!w)
		return 0;
	w->time_ns = bpf_ktime_get_ns();
	w->stamp = bpf_jiffies64();
	w->ifindex = ctx_ifindex(ctx);
	fragment_key(&w->key, &s->pkt, &s->subject.src, &s->subject.dst);
	w->port = s->pkt.port;
	w->l2_port = s->pkt.l2_port;
	w->len = len;
	if (!pkt_copy(ctx, 0, w->frame, len, FL_WAITING_FRAME)) {
		bpf_ringbuf_discard(w, 0);
		return 0;
	}
	bpf_ringbuf_submit(w, 0);
	return 1;
}
