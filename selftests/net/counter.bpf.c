// SPDX-License-Identifier: GPL-2.0-only
/* Somebody else's tc program, for the tests in namespaces: counts, and leaves the verdict to the next one. */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_helpers.h>

char _license[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} counted SEC(".maps");

SEC("tc")
int counter(struct __sk_buff *skb)
{
	__u32 zero = 0;
	__u64 *count = bpf_map_lookup_elem(&counted, &zero);

	(void)skb;
	if (count)
		__sync_fetch_and_add(count, 1);
	return TC_ACT_UNSPEC;
}
