/* SPDX-License-Identifier: GPL-2.0-only */
/* Asks lib/rules.h for each subject in turn. Included behind ctx/xdp.h or ctx/skb.h. */
#pragma once

#include "lib/rules.h"
#include "selftests/rules/judge.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct judge_control);
} fl_judge_control SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct subject);
} fl_judge_scratch SEC(".maps");

GLOBAL int judge_one(__u32 i)
{
	__u32 zero = 0;
	struct judge_control *control = bpf_map_lookup_elem(&fl_judge_control, &zero);
	struct subject *s = bpf_map_lookup_elem(&fl_judge_scratch, &zero);
	struct judged *j;

	if (!control || !s || i >= JUDGE_SUBJECTS)
		return 0;
	j = &control->subject[i];
	s->src = j->src;
	s->dst = j->dst;
	s->gen = control->set;
	s->sport = j->sport;
	s->dport = j->dport;
	s->port = j->port;
	s->tag = j->tag;
	s->proto = j->proto;
	s->family = j->family;
	s->tcp_flags = j->tcp_flags;
	s->icmp_type = j->icmp_type;
	s->dscp = j->dscp;
	j->place = rules_match(s, j->list);
	j->tag = s->tag;
	return 0;
}

static __always_inline int judge(void)
{
	__u32 zero = 0;
	const struct judge_control *control = bpf_map_lookup_elem(&fl_judge_control, &zero);

	for (__u32 i = 0; control && i < JUDGE_SUBJECTS && i < control->count; i++)
		judge_one(i);
	return 0;
}
