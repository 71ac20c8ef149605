/* SPDX-License-Identifier: GPL-2.0-only */
/* The counters of dropped packets, by port and reason. */
#pragma once

#include "lib/control.h"

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, FL_PORTS_MAX *FL_DROP_SLOTS);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct fl_drop_stats);
} fl_drops SEC(".maps");

static __always_inline void drop_count(__u32 port, __u32 reason, __u32 bytes)
{
	__u32 slot = port * FL_DROP_SLOTS + reason;
	struct fl_drop_stats *stats = bpf_map_lookup_elem(&fl_drops, &slot);

	if (!stats || fl_dry_run)
		return;
	stats->packets++;
	stats->bytes += bytes;
	stats->last_ns = bpf_ktime_get_coarse_ns();
}
