/* SPDX-License-Identifier: GPL-2.0-only */
/* The log of what has changed in the state table (include/fairlead/sync.h). */
#pragma once

#include "fairlead/sync.h"
#include "lib/control.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* one for each CPU: the daemon sets it */
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct fl_sync_log);
} fl_sync_log SEC(".maps");

/* Nothing interrupts this on its CPU: programs run with bottom halves off. */
GLOBAL int state_log(__u32 slot)
{
	const struct fl_control *control = control_get();
	struct fl_sync_log *log;
	__u32 cpu;

	if (!control || !(control->sync & FL_SYNC_STATES))
		return 0;
	cpu = bpf_get_smp_processor_id();
	log = bpf_map_lookup_elem(&fl_sync_log, &cpu);
	if (!log)
		return 0;
	log->slot[log->head & (FL_SYNC_LOG - 1)] = slot;
	__sync_fetch_and_add(&log->head, 1); /* a barrier, too */
	return 1;
}
