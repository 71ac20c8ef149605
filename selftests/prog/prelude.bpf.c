// SPDX-License-Identifier: GPL-2.0-only
/*
 * What BPF_PROG_TEST_RUN cannot set on an skb, set before the program under test runs: skb->tc_index and a VLAN tag
 * beside the data. And after a run, in a second one of the same skb, tc_index shown.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "selftests/prog/prelude.h"

char _license[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, PRELUDE_PROGS);
	__type(key, __u32);
	__type(value, __u32);
} progs SEC(".maps");

SEC("tc")
int prelude(struct __sk_buff *skb)
{
	__u32 tag = skb->cb[PRELUDE_VLAN];

	if (skb->cb[PRELUDE_RAN]) { /* the second run */
		skb->mark = skb->tc_index;
		return TC_ACT_UNSPEC;
	}
	skb->cb[PRELUDE_RAN] = 1;
	skb->tc_index = skb->cb[PRELUDE_TC_INDEX];
	if (tag & PRELUDE_VLAN_SET)
		bpf_skb_vlan_push(skb, bpf_htons(0x8100), tag & 0xffff);
	bpf_tail_call(skb, &progs, skb->cb[PRELUDE_PROG]);
	return PRELUDE_FAILED;
}

/* A veth device registers the receive queues that XDP test runs need once it has a program. */
SEC("xdp")
int pass(struct xdp_md *xdp)
{
	return XDP_PASS;
}
