/* SPDX-License-Identifier: GPL-2.0-only */
/* What the daemon tells the programs at load (.rodata) and at run time (fl_control), and what they learn themselves. */
#pragma once

#include "fairlead/maps.h"

/*
 * A function that the verifier checks by itself, once, instead of at each call: keeps the programs' cost linear. Its
 * pointer arguments may be anything but packet data, and it must ask whether they are NULL.
 */
#define GLOBAL __attribute__((noinline))

/* Keeps the compiler from knowing a value: what it knows it leaves out, also where the verifier would need it. */
#define hide(value) asm volatile("" : "+r"(value))

const volatile bool fl_dry_run;	 /* explain: decide, write nothing */
const volatile bool fl_decap_l3; /* the kernel has BPF_F_ADJ_ROOM_DECAP_L3_IPV6 (Linux 6.3) */
const volatile __u32 fl_hz;	 /* jiffies a second */
const volatile __u64 fl_secret;	 /* random */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags,
	       BPF_F_MMAPABLE); /* mapped, the daemon writes it word by word; not RDONLY_PROG, which forbids that */
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct fl_control);
} fl_control SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct fl_learned);
} fl_learned SEC(".maps");

static __always_inline const struct fl_control *control_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&fl_control, &zero);
}

/* The daemon's generation: read once a packet, since it says the set too. */
static __always_inline __u32 control_gen(const struct fl_control *control)
{
	return *(const volatile __u32 *)&control->gen;
}

/* What flow cache entries must have: the daemon's changes and what the programs learned since. */
static __always_inline __u32 control_generation(__u32 gen)
{
	__u32 zero = 0;
	const struct fl_learned *learned = bpf_map_lookup_elem(&fl_learned, &zero);

	return gen + (learned ? learned->gen : 0);
}

static __always_inline void control_learned(void)
{
	__u32 zero = 0;
	struct fl_learned *learned = bpf_map_lookup_elem(&fl_learned, &zero);

	if (learned)
		__sync_fetch_and_add(&learned->gen, 1);
}

#define DAEMON_LATE_S 2 /* a busy machine's may be; what one that has died was given meanwhile the next one has */

/* Whether a daemon is at work. now: low word of jiffies64 */
static __always_inline bool daemon_is_alive(__u32 now)
{
	const struct fl_control *control = control_get();

	return control && control->alive_until && (__s32)(control->alive_until - now) > 0;
}

/* Whether a daemon is there to take outer fragments that the kernel put together. */
static __always_inline bool control_reassembles(void)
{
	const struct fl_control *control = control_get();

	return control && control->reassembly_until_ns > bpf_ktime_get_ns();
}

static __always_inline __u32 now_s(void)
{
	return bpf_ktime_get_coarse_ns() / 1000000000;
}
