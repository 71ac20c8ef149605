/* SPDX-License-Identifier: GPL-2.0-only */
/* One packet through one program, and everything that the programs count. */
#pragma once

#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include "selftests/prog/env.h"
#include "selftests/prog/frame.h"

/* Linux 6.16 and stable kernels since; the skb comes as from a device that sums up what it receives */
#ifndef BPF_F_TEST_SKB_CHECKSUM_COMPLETE
#define BPF_F_TEST_SKB_CHECKSUM_COMPLETE (1U << 2)
#endif

enum hook {
	HOOK_XDP,
	HOOK_GENERIC, /* generic XDP, which has a program of its own */
	HOOK_TC,
	HOOK_TC_OLD,
	HOOKS,
};

/* What a program made of a frame. */
struct result {
	int verdict; /* XDP_* or TC_ACT_*; negative errno: it could not be run */
	struct frame frame;
};

/* What goes with a frame at tc. */
struct skb_extra {
	__u32 ingress_ifindex; /* of a packet that the kernel forwards */
	__u32 tc_index;
	int vlan; /* tag beside the data: its TCI + 1; 0: none */
	int gso_size, gso_segs;
	bool no_sum; /* no device has summed it up, though the kernel's test run could have it so */
};

#define SKB_TAG 0xfa17 /* tc_index of what fairlead has passed */

/* Every counter of the ports, endpoints and translations there are. last_ns is 0 here. */
struct counters {
	struct fl_drop_stats drops[PORTS * FL_DROP_SLOTS];
	struct fl_port_stats ports[PORTS];
	struct fl_endpoint_stats eps[EPS];
	struct fl_npt_stats npts[NPTS];
	struct fl_endpoint_path paths[EPS];
	struct fl_learned learned;
};

const char *hook_name(enum hook hook);
const char *drop_name(__u32 reason);

/* Runs fl_xdp, fl_xdp_generic, or fl_icmp, on a frame that came in by the device. */
void run_xdp(struct env *env, __u32 ifindex, const struct frame *in, struct result *out);
void run_generic(struct env *env, __u32 ifindex, const struct frame *in, struct result *out);
void run_icmp(struct env *env, const struct frame *in, struct result *out);

/* Runs fl_tc_in or fl_tc_out on a frame at the device. extra may be NULL. */
void run_tc(struct env *env, enum tc_prog prog, __u32 ifindex, const struct skb_extra *extra, const struct frame *in,
	    struct result *out);

/* The same again, for skb->tc_index after it; the verdict is lost. Negative: errno. */
int run_tc_tag(struct env *env, enum tc_prog prog, __u32 ifindex, const struct skb_extra *extra,
	       const struct frame *in);

void counters_read(struct env *env, struct counters *c);

/* Where counters differ from what is expected, as text. Returns whether they do. */
bool counters_differ(const struct counters *is, const struct counters *expected, char *text, size_t size);
